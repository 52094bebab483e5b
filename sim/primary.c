// SPDX-License-Identifier: MIT
/* The devices' primary contexts, which live while somebody retains them. */
#include "sim.h"

/* Takes sim.lock for writing on success. */
static CUresult lock_device(CUdevice dev)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!sim_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	pthread_rwlock_wrlock(&sim.lock);
	return CUDA_SUCCESS;
}

/* The same, once the kernels that were running have ended. */
static CUresult lock_device_idle(CUdevice dev)
{
	CUresult result = sim_ready();

	if (!result && sim_device_valid(dev))
		sim_kernel_wait(&sim.primary[dev]);
	return lock_device(dev);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice dev)
{
	CUresult result = lock_device(dev);

	if (result)
		return result;
	if (ctx) {
		if (!sim.primary[dev].refs || sim.primary[dev].reset)
			sim.primary[dev].id = ++sim.last_id;
		sim.primary[dev].reset = false;
		sim.primary[dev].refs++;
		*ctx = &sim.primary[dev];
	}
	sim_unlock();
	return ctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)
{
	CUresult result = lock_device_idle(dev);

	if (result)
		return result;
	if (!sim.primary[dev].refs) {
		result = CUDA_ERROR_INVALID_CONTEXT;
	} else if (!--sim.primary[dev].refs) {
		sim_ctx_clear(&sim.primary[dev]);
		sim.primary[dev].reset = false;
	}
	sim_unlock();
	return result;
}
SIM_ALIAS(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2);

/*
 * Frees all that was made in it, which is dead until it is retained again; who
 * retained it still has to release it.
 */
CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev)
{
	CUresult result = lock_device_idle(dev);

	if (result)
		return result;
	sim_ctx_clear(&sim.primary[dev]);
	sim.primary[dev].reset = true;
	sim_unlock();
	return CUDA_SUCCESS;
}
SIM_ALIAS(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2);

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)
{
	CUresult result = lock_device(dev);

	if (result)
		return result;
	if (flags & ~CU_CTX_FLAGS_MASK)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		sim.primary[dev].flags = flags;
	sim_unlock();
	return result;
}
SIM_ALIAS(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2);

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags,
				    int *active)
{
	CUresult result = lock_device(dev);

	if (result)
		return result;
	if (!flags || !active) {
		result = CUDA_ERROR_INVALID_VALUE;
	} else {
		*flags = sim.primary[dev].flags;
		*active = sim_ctx_live(&sim.primary[dev]);
	}
	sim_unlock();
	return result;
}
