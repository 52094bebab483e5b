// SPDX-License-Identifier: MIT
/*
 * IPC handles. Nothing can be opened with one, but it names the memory as the
 * stock driver's handles of cuMemAlloc() memory do, for those who look inside.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define HANDLE_WORDS (CU_IPC_HANDLE_SIZE / 4)

/*
 * For tests, GPUMEM_SIM_IPC_LAYOUT: a driver that lays its handles out in
 * another way. "shuffled": in another order; "offset": with another place in
 * the block; "size": with the block's size for the allocation's; "zeros":
 * nothing of what is looked for; "other": all as it should be, but for another
 * object.
 */
static bool layout_is(const char *name)
{
	const char *layout = getenv("GPUMEM_SIM_IPC_LAYOUT");

	return layout && !strcmp(layout, name);
}

static void handle_fill(CUipcMemHandle *handle, const struct sim_alloc *alloc)
{
	const struct sim_block *block = alloc->block;
	uint64_t size = layout_is("size") ? block->length + 4096 : alloc->size;
	uint32_t words[HANDLE_WORDS] = { 0 };
	unsigned int shift = layout_is("shuffled") ? 5 : 0;

	words[4] = (uint32_t)size;
	words[5] = (uint32_t)(size >> 32);
	/*
	 * A block of several allocations is told whole, one's own block up to
	 * the allocation's end (seen with 580.159.04).
	 */
	words[6] = (uint32_t)((block->shared ? block->length
					     : alloc->size + 4095) /
			      4096);
	words[7] = (uint32_t)(alloc->addr - block->addr);
	words[12] = block->client;
	words[13] = block->memory;
	/* Towards where there is room, so that only a proof can tell. */
	if (layout_is("offset"))
		words[7] = words[7] ? 0
				    : (uint32_t)(block->length - alloc->size) &
					      ~(uint32_t)(SIM_ALLOC_ALIGN - 1);
	if (layout_is("other"))
		words[13] = sim_block_other(block);
	if (layout_is("zeros"))
		memset(words, 0, sizeof(words));
	for (unsigned int i = 0; i < HANDLE_WORDS; i++) {
		uint32_t word = htole32(words[(i + shift) % HANDLE_WORDS]);

		memcpy(handle->reserved + i * 4, &word, 4);
	}
}

CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr addr)
{
	CUresult result = sim_lock_read(NULL);
	struct sim_alloc *alloc;

	if (result)
		return result;
	alloc = sim_alloc_find(addr);
	/* Memory of pools and of cuMemCreate() has no such handles. */
	if (handle && alloc && alloc->kind == SIM_PLAIN)
		handle_fill(handle, alloc);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	sim_unlock();
	return result;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *addr, CUipcMemHandle handle,
			       unsigned int flags)
{
	CUresult result = sim_ready();

	return result ? result : CUDA_ERROR_NOT_SUPPORTED;
}
SIM_ALIAS(cuIpcOpenMemHandle, cuIpcOpenMemHandle_v2);

CUresult cuIpcCloseMemHandle(CUdeviceptr addr)
{
	CUresult result = sim_ready();

	return result ? result : CUDA_ERROR_NOT_SUPPORTED;
}
