/* SPDX-License-Identifier: MIT */
/* Helpers for the tests of peer DMA: PCI devices, their files, the board. */
#ifndef GPUMEM_VM_T_DMA_H
#define GPUMEM_VM_T_DMA_H

#include "fpga_dma.h"
#include "t.h"

/* A PCI device that DMA can be mapped for. */
struct t_peer {
	uint32_t domain;
	uint8_t bus, devfn;
	char name[16]; /* as sysfs has it */
};

/* The PCI device behind a board's node; stops the program if there is none. */
struct t_peer t_peer_of_board(int board);
/* The first PCI device with that vendor and device id; likewise. */
struct t_peer t_peer_find(unsigned int vendor, unsigned int device);
/* The device of that name, "0000:00:04.0". */
struct t_peer t_peer_parse(const char *name);
/* Path of a sysfs file of the device. */
const char *t_peer_file(const struct t_peer *peer, const char *file, char *path,
			size_t size);

/* Board number n, or -1. */
int t_board_try_open(int n);
int t_board_open(void);

/* The ioctls; arguments are made from the peer. */
int gm_dma_map_fd(int fd, uint32_t pin, const struct t_peer *peer,
		  int device_fd, struct gpumem_dma_map *map);
int gm_dma_map(int fd, uint32_t pin, const struct t_peer *peer,
	       struct gpumem_dma_map *map);
struct gpumem_dma_map gm_must_dma_map(int fd, uint32_t pin,
				      const struct t_peer *peer);
int gm_dma_runs(int fd, uint32_t dma, uint64_t first,
		struct gpumem_dma_run *runs, uint64_t *count);
int gm_dma_unmap(int fd, uint32_t dma);

/* All runs of a mapping, to be freed by the caller. */
struct gpumem_dma_run *gm_dma_all_runs(int fd,
				       const struct gpumem_dma_map *map);
/* The DMA address of a byte of the mapping. */
uint64_t gm_dma_at(const struct gpumem_dma_run *runs, uint64_t count,
		   uint64_t offset);

/* The board writes into memory, or reads it: 0 or the errno. */
int board_send(int board, uint64_t addr, const void *data, uint64_t length);
int board_receive(int board, uint64_t addr, void *data, uint64_t length);

#endif /* GPUMEM_VM_T_DMA_H */
