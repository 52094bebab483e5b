/* SPDX-License-Identifier: MIT */
/* Memory of cuMemCreate, one or several allocations mapped side by side. */
#ifndef GPUMEM_TEST_VMM_H
#define GPUMEM_TEST_VMM_H

#include <stdint.h>

#include <gpumem.h>

#define VMM_BLOCKS 4

#define VMM_NO_HANDLE_TYPE 0
#define VMM_FD 1

/*
 * In: count, and the size and GPU of each block. Sizes are rounded up to what
 * CUDA gives out. Out: addr and size of them all.
 */
struct vmm {
	uint64_t addr;
	uint64_t size;
	unsigned int count; /* 0: nothing is allocated */
	unsigned int mapped;
	struct {
		uint64_t size;
		int device;
	} block[VMM_BLOCKS];
};

/* 0, or -1 where the session's libcuda has no cuMemCreate. */
int vmm_open(struct gpumem *session);

/* What sizes are multiples of on a GPU; 0 where CUDA does not say. */
uint64_t vmm_granularity(int device);

/* 0, or a CUresult with nothing allocated. */
int vmm_alloc(struct vmm *vmm, int handle_type);
int vmm_free(struct vmm *vmm);

#endif /* GPUMEM_TEST_VMM_H */
