/* SPDX-License-Identifier: MIT */
/* Whether the host memory of a copy is CUDA's pinned memory. */
#ifndef GM_COPY_HOST_MEMORY_H
#define GM_COPY_HOST_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/cuda.h"

/*
 * Asks CUDA, in 0.2 us: the address that the GPU has for the memory where all of it
 * is pinned, 0 where it is not or CUDA does not tell. Any context, no lock.
 */
uint64_t gm_host_memory_query(const struct gm_cuda *cuda, const void *host,
			      size_t length);

/* Pieces of 64 KiB, as many as the buffers have that are read in slices. */
#define GM_PAGEABLE_SHIFT 16
#define GM_PAGEABLE 64u

/*
 * Pieces of the address space that were not pinned when they were asked about: so
 * that CUDA is asked again while the GPU is at work, which a read of 64 KiB feels.
 * A guess, which the caller checks. From any thread, without locks.
 */
struct gm_pageable {
	_Atomic uintptr_t piece[GM_PAGEABLE]; /* 0: none, no program has it */
};

/* Whether the memory at an address is of such a piece. */
bool gm_pageable_holds(const struct gm_pageable *pageable, const void *host);

/* What CUDA said of the memory at an address: the piece is learnt or forgotten. */
void gm_pageable_set(struct gm_pageable *pageable, const void *host,
		     bool is_pageable);

#endif /* GM_COPY_HOST_MEMORY_H */
