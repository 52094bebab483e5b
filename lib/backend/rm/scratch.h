/* SPDX-License-Identifier: MIT */
/*
 * Whether this driver describes allocations in the way that the library knows:
 * found out once for each session, on memory of its own.
 */
#ifndef GM_RM_SCRATCH_H
#define GM_RM_SCRATCH_H

#include "backend/rm/import.h"

/* Small ones of cuMemAlloc, which share a block. */
#define GM_RM_SCRATCHES 2

/* Where CUDA's records name objects, see backend/rm/record.c. */
struct gm_rm_record_places {
	bool known;
	unsigned int down; /* the word that points to the object's record */
	unsigned int up; /* the word in that which points back */
	unsigned int object; /* the object's handle in that, of 32 bits */
	uint32_t scratch; /* the handle of scratch.vmm's object */
};

struct gm_rm_scratch {
	CUdeviceptr alloc[GM_RM_SCRATCHES];
	/* Of cuMemCreate; 0: this CUDA has none to give. */
	CUdeviceptr vmm;
	CUdeviceptr unnamed; /* the same without a handle type, or 0 */
	CUmemGenericAllocationHandle handle; /* not retained, but mapped */
	/*
	 * A descriptor of that, or -1. While one is open, CUDA makes others in a
	 * tenth of the time (H200, 580.159.04: 40 us instead of 550, and 20 us
	 * instead of 550 to close it).
	 */
	int fd;
	/* A memory object of CUDA's client, at which gm_rm_take_scan() begins. */
	struct gm_rm_place known;
	struct gm_rm_record_places record;
};

/*
 * Allocates, writes and reads memory both ways, by CUDA and through mappings. It
 * stays until gm_rm_scratch_free(), as cuMemFree() waits for the program's
 * kernels. -EPROTO where one does not show what CUDA wrote, or the other way
 * round; -ENOMEM where the GPU has no memory for it.
 */
int gm_rm_scratch_verify(struct gm_session *session);
void gm_rm_scratch_free(struct gm_session *session);

/* In a forked child. */
void gm_rm_scratch_drop(struct gm_rm_scratch *scratch);

#endif /* GM_RM_SCRATCH_H */
