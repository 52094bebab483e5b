/* SPDX-License-Identifier: MIT */
/*
 * Steps on the stock driver's device nodes, written as text, and what came of
 * each: the format of tests/data/rm (see the README there). A step is done the
 * same way when it is recorded and when it is replayed, so that two results can
 * be compared as text.
 */
#ifndef GPUMEM_RM_TAPE_H
#define GPUMEM_RM_TAPE_H

#include <stddef.h>
#include <stdint.h>

#define TAPE_FORMAT "rm-tape 1"
#define TAPE_LINE 4096
#define TAPE_ARROW " => "

/* The CUDA side: rm_tape_cuda.c. Each returns 0 or a CUresult. */
struct tape_cuda_memory {
	uint64_t addr; /* of cuMemAlloc() memory */
	unsigned long long handle; /* of cuMemCreate() memory */
};

/* 0, or a negative errno with one line on stderr. */
int tape_cuda_open(void);
int tape_cuda_simulated(void);
void tape_cuda_device(char *name, size_t name_size, char *pci, size_t pci_size);
/* words: the 16 words of the allocation's IPC handle. */
int tape_cuda_alloc(struct tape_cuda_memory *memory, uint64_t size,
		    uint32_t *words);
int tape_cuda_vmm(struct tape_cuda_memory *memory, uint64_t size, int *fd);
int tape_cuda_fill(const struct tape_cuda_memory *memory, unsigned char byte,
		   uint64_t size);
int tape_cuda_free(struct tape_cuda_memory *memory);

/*
 * Does one step and writes its result. 0, or -1 with a line on stderr when the
 * step cannot be done at all: it is not of the format, or has no such name.
 */
int tape_step(const char *step, char *result, size_t size);

/* Undoes what the steps left open. */
void tape_close(void);

#endif /* GPUMEM_RM_TAPE_H */
