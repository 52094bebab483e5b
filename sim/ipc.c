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

/* For tests: a driver that lays its handles out in another way. */
static bool layout_shuffled(void)
{
	const char *layout = getenv("GPUMEM_SIM_IPC_LAYOUT");

	return layout && !strcmp(layout, "shuffled");
}

static void handle_fill(CUipcMemHandle *handle, const struct sim_alloc *alloc)
{
	const struct sim_block *block = alloc->block;
	uint32_t words[HANDLE_WORDS] = { 0 };
	unsigned int shift = layout_shuffled() ? 5 : 0;

	words[4] = (uint32_t)alloc->size;
	words[5] = (uint32_t)(alloc->size >> 32);
	words[6] = (uint32_t)(block->length / 4096);
	words[7] = (uint32_t)(alloc->addr - block->addr);
	words[12] = block->client;
	words[13] = block->memory;
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
	if (handle && alloc)
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
