// SPDX-License-Identifier: MIT
/*
 * Memory pools: each device has the one that the driver gives it. As with all
 * that is asynchronous here, what was asked for is done when the call returns.
 */
#include "sim.h"

struct CUmemPoolHandle_st {
	CUdevice dev;
};

static struct CUmemPoolHandle_st pools[SIM_MAX_GPUS];

bool sim_pool_valid(CUmemoryPool pool)
{
	for (int i = 0; i < sim.device_count; i++) {
		if (pool == &pools[i])
			return true;
	}
	return false;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice dev)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	pools[dev].dev = dev;
	*pool = &pools[dev];
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev)
{
	return cuDeviceGetDefaultMemPool(pool, dev);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *addr, size_t size,
				 CUmemoryPool pool, CUstream stream)
{
	struct CUctx_st *ctx;
	CUresult result = sim_lock_write(&ctx);

	if (result)
		return result;
	if (!addr || !size || !sim_pool_valid(pool) || pool != &pools[ctx->dev])
		result = CUDA_ERROR_INVALID_VALUE;
	else if (!sim_stream_live(stream))
		result = CUDA_ERROR_INVALID_HANDLE;
	else
		result = sim_memory_alloc(ctx, pool, size, addr);
	sim_unlock();
	return result;
}
SIM_ALIAS(cuMemAllocFromPoolAsync_ptsz, cuMemAllocFromPoolAsync);

CUresult cuMemAllocAsync(CUdeviceptr *addr, size_t size, CUstream stream)
{
	CUmemoryPool pool;
	CUdevice dev;
	CUresult result = cuCtxGetDevice(&dev);

	if (!result)
		result = cuDeviceGetDefaultMemPool(&pool, dev);
	return result ? result
		      : cuMemAllocFromPoolAsync(addr, size, pool, stream);
}
SIM_ALIAS(cuMemAllocAsync_ptsz, cuMemAllocAsync);

CUresult cuMemFreeAsync(CUdeviceptr addr, CUstream stream)
{
	CUresult result = sim_lock_write(NULL);
	struct sim_alloc *alloc;

	if (result)
		return result;
	alloc = sim_alloc_find(addr);
	if (!sim_stream_live(stream))
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (alloc && alloc->addr == addr && alloc->kind != SIM_VMM)
		sim_memory_remove(alloc);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	sim_unlock();
	return result;
}
SIM_ALIAS(cuMemFreeAsync_ptsz, cuMemFreeAsync);
