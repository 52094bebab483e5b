/* SPDX-License-Identifier: MIT */
/*
 * The calls of the stock NVIDIA driver's resource manager (RM) that the rm
 * backend makes, and what they take, from R515 on. A failing function stores the
 * reason.
 */
#ifndef GM_RM_H
#define GM_RM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/rm/version.h"

#define GM_RM_CONTROL_NODE "/dev/nvidiactl"

/* An RM client of this process with one GPU in it. */
struct gm_rm {
	int ctl; /* the client works through this descriptor alone */
	int gpu; /* /dev/nvidia<minor>, which keeps the GPU open */
	uint32_t client; /* hClient */
	uint32_t device; /* hDevice */
	uint32_t minor; /* of /dev/nvidia<minor> */
	char pci[16];
	struct gm_rm_version version;
	const struct gm_rm_layout *layout;
};

/* A mapping of a memory object into BAR1. */
struct gm_rm_map {
	int fd; /* to mmap at offset 0, once; -1 after gm_rm_map_done() */
	uint64_t linear; /* physical address of the first byte */
};

/*
 * Asks the loaded driver for its version. -EACCES, -ENODEV or -EOPNOTSUPP (too
 * old), with one line of why in reason; stores no other.
 */
int gm_rm_probe(struct gm_rm_version *version, char *reason, size_t size);

/* Makes a client for the GPU at a PCI address such as "0000:3b:00.0". */
int gm_rm_open(struct gm_rm *rm, const char *pci);

/* Frees the client and all its objects. */
void gm_rm_close(struct gm_rm *rm);

/* In a forked child: closes the descriptors only. */
void gm_rm_drop(struct gm_rm *rm);

/*
 * Makes a handle of our own to a memory object of another client of this
 * process: it keeps the memory allocated until gm_rm_free(). -EPROTO when the
 * driver knows no such object.
 */
int gm_rm_dup(struct gm_rm *rm, uint32_t client, uint32_t object,
	      uint32_t *memory);

/*
 * Makes a handle of our own to the memory behind a descriptor that CUDA
 * exported; the descriptor is no longer needed then. -EOPNOTSUPP when that is
 * not video memory.
 */
int gm_rm_import(struct gm_rm *rm, int fd, uint32_t *memory);

void gm_rm_free(struct gm_rm *rm, uint32_t memory);

/*
 * Bytes of a memory object of ours. Since driver 525, for any user (read up to
 * 595, seen with 580.159.04).
 */
int gm_rm_size(const struct gm_rm *rm, uint32_t memory, uint64_t *bytes);

/* Whether two memory objects of ours are the same memory. Drivers as above. */
int gm_rm_are_same(const struct gm_rm *rm, uint32_t a, uint32_t b, bool *same);

/* Maps bytes of a memory object; offset and length in whole CPU pages. */
int gm_rm_map(struct gm_rm *rm, uint32_t memory, uint64_t offset,
	      uint64_t length, struct gm_rm_map *map);

/* The reason for why mmap() of so many bytes failed, from errno. */
int gm_rm_no_mmap(uint64_t length);

/*
 * After mmap(), or instead of it: closes the descriptor, as a process has few.
 * What was mapped stays so. Leaves errno as it is.
 */
void gm_rm_map_done(struct gm_rm_map *map);

/* Undoes gm_rm_map(), after munmap. */
void gm_rm_unmap(struct gm_rm *rm, uint32_t memory,
		 const struct gm_rm_map *map);

#endif /* GM_RM_H */
