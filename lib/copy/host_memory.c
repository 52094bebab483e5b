// SPDX-License-Identifier: MIT
#include "copy/host_memory.h"

/*
 * In one call, in which memory that CUDA does not know is no error, as it is in the
 * others: an error takes CUDA a microsecond.
 */
uint64_t gm_host_memory_query(const struct gm_cuda *cuda, const void *host,
			      size_t length)
{
	const CUdeviceptr addr = (uintptr_t)host;
	CUdeviceptr start = 0, gpu = 0;
	unsigned int type = 0;
	size_t size = 0;
	CUpointer_attribute attributes[] = {
		CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
		CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
		CU_POINTER_ATTRIBUTE_RANGE_SIZE,
		CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
	};
	void *values[] = { &type, &start, &size, &gpu };

	if (!cuda->pointer_get_all ||
	    cuda->pointer_get_all(4, attributes, values, addr) ||
	    type != CU_MEMORYTYPE_HOST || addr < start || addr - start > size ||
	    length > size - (addr - start))
		return 0;
	return gpu;
}

static uintptr_t gm_pageable_piece(const void *host)
{
	return (uintptr_t)host >> GM_PAGEABLE_SHIFT;
}

bool gm_pageable_holds(const struct gm_pageable *pageable, const void *host)
{
	const uintptr_t piece = gm_pageable_piece(host);

	return atomic_load_explicit(&pageable->piece[piece % GM_PAGEABLE],
				    memory_order_relaxed) == piece;
}

void gm_pageable_set(struct gm_pageable *pageable, const void *host,
		     bool is_pageable)
{
	const uintptr_t piece = gm_pageable_piece(host);
	_Atomic uintptr_t *at = &pageable->piece[piece % GM_PAGEABLE];

	if (is_pageable)
		atomic_store_explicit(at, piece, memory_order_relaxed);
	else if (gm_pageable_holds(pageable, host))
		atomic_store_explicit(at, 0, memory_order_relaxed);
}
