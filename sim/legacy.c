// SPDX-License-Identifier: MIT
/*
 * The variants of CUDA 2, with device addresses of 32 bits. They work only in a
 * context of that age, which cannot be made here any more: the usual fate of a
 * program that takes "cuMemAlloc" from dlsym() where it means "cuMemAlloc_v2".
 */
#include <limits.h>

#include "sim.h"

static CUresult legacy_refuse(void)
{
	CUresult result = sim_lock_read(NULL);

	if (result)
		return result;
	sim_unlock();
	return CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuDeviceTotalMem(unsigned int *bytes, CUdevice dev)
{
	size_t total = 0;
	CUresult result;

	result = cuDeviceTotalMem_v2(bytes ? &total : NULL, dev);
	if (!result && bytes)
		*bytes = total < UINT_MAX ? (unsigned int)total : UINT_MAX;
	return result;
}

CUresult cuMemAlloc(CUdeviceptr_v1 *addr, unsigned int size)
{
	return legacy_refuse();
}

CUresult cuMemAllocPitch(CUdeviceptr_v1 *addr, unsigned int *pitch,
			 unsigned int width, unsigned int height,
			 unsigned int element)
{
	return legacy_refuse();
}

CUresult cuMemFree(CUdeviceptr_v1 addr)
{
	return legacy_refuse();
}

CUresult cuMemGetAddressRange(CUdeviceptr_v1 *base, unsigned int *size,
			      CUdeviceptr_v1 addr)
{
	return legacy_refuse();
}

CUresult cuMemGetInfo(unsigned int *unused, unsigned int *total)
{
	return legacy_refuse();
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr_v1 *addr, void *host,
				   unsigned int flags)
{
	return legacy_refuse();
}

CUresult cuMemcpyHtoD(CUdeviceptr_v1 dst, const void *src, unsigned int size)
{
	return legacy_refuse();
}

CUresult cuMemcpyDtoH(void *dst, CUdeviceptr_v1 src, unsigned int size)
{
	return legacy_refuse();
}

CUresult cuMemcpyDtoD(CUdeviceptr_v1 dst, CUdeviceptr_v1 src, unsigned int size)
{
	return legacy_refuse();
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr_v1 dst, const void *src,
			   unsigned int size, CUstream stream)
{
	return legacy_refuse();
}

CUresult cuMemcpyDtoHAsync(void *dst, CUdeviceptr_v1 src, unsigned int size,
			   CUstream stream)
{
	return legacy_refuse();
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr_v1 dst, CUdeviceptr_v1 src,
			   unsigned int size, CUstream stream)
{
	return legacy_refuse();
}

CUresult cuMemsetD8(CUdeviceptr_v1 dst, unsigned char value, unsigned int count)
{
	return legacy_refuse();
}

CUresult cuMemsetD16(CUdeviceptr_v1 dst, unsigned short value,
		     unsigned int count)
{
	return legacy_refuse();
}

CUresult cuMemsetD32(CUdeviceptr_v1 dst, unsigned int value, unsigned int count)
{
	return legacy_refuse();
}
