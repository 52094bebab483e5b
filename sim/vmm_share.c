// SPDX-License-Identifier: MIT
/* Handles of mapped memory, and descriptors that others can import. */
#include <stdlib.h>
#include <unistd.h>

#include "vmm.h"

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle,
				     void *addr)
{
	CUresult result = sim_vmm_lock();
	struct sim_alloc *alloc;

	if (result)
		return result;
	alloc = sim_alloc_find((uintptr_t)addr);
	if (handle && alloc && alloc->kind == SIM_VMM) {
		alloc->phys->refs++;
		*handle = alloc->phys->handle;
	} else {
		result = CUDA_ERROR_INVALID_VALUE;
	}
	sim_unlock();
	return result;
}

CUresult
cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
				       CUmemGenericAllocationHandle handle)
{
	CUresult result = sim_vmm_lock();
	struct sim_phys *phys;

	if (result)
		return result;
	phys = sim_phys_find(handle);
	if (prop && phys)
		*prop = phys->prop;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	sim_unlock();
	return result;
}

CUresult cuMemExportToShareableHandle(void *shareable,
				      CUmemGenericAllocationHandle handle,
				      int type, unsigned long long flags)
{
	CUresult result = sim_vmm_lock();
	struct sim_phys *phys;

	if (result)
		return result;
	phys = sim_phys_find(handle);
	if (!shareable || !phys || flags ||
	    type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    !(phys->prop.requestedHandleTypes & type))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = sim_result(sim.store->export(&phys->block, shareable));
	sim_unlock();
	return result;
}

/* The descriptor itself is passed in the place of the pointer. */
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle,
					void *shareable, int type)
{
	CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes =
			CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
	};
	CUresult result = sim_vmm_lock();
	struct sim_phys *phys;

	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (!handle || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		goto unlock;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	phys = sim_phys_new(&prop);
	if (!phys)
		goto unlock;
	result = sim_result(
		sim.store->import(&phys->block, (int)(intptr_t)shareable));
	/* Of a GPU that this process may see. */
	if (!result && sim_device_of(phys->block.gpu) < 0) {
		sim.store->free(&phys->block);
		result = CUDA_ERROR_INVALID_DEVICE;
	}
	if (result) {
		sim_phys_drop(phys);
		goto unlock;
	}
	phys->prop.location.id = sim_device_of(phys->block.gpu);
	sim_phys_add(phys);
	*handle = phys->handle;
unlock:
	sim_unlock();
	return result;
}

/*
 * A range that begins in an allocation of whatever kind; it may go on over the
 * blocks that follow it without a gap, as on a real GPU.
 */
CUresult cuMemGetHandleForAddressRange(void *handle, CUdeviceptr addr,
				       size_t size, int type,
				       unsigned long long flags)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	CUresult result = sim_lock_read(NULL);
	struct sim_alloc *alloc;

	if (result)
		return result;
	alloc = size ? sim_alloc_find(addr) : NULL;
	if (!handle || type != CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD ||
	    flags & ~CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE || !alloc ||
	    addr % page || size % page ||
	    !sim_blocks_cover(addr, size, alloc->block->gpu))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = sim_result(sim.store->dmabuf(addr, size, handle));
	sim_unlock();
	return result;
}
