// SPDX-License-Identifier: MIT
/* Mapping memory at reserved addresses, and who may use it there. */
#include <stdlib.h>

#include "vmm.h"

/* Whether whole mappings, side by side, are just this range. */
static bool whole_mappings(uint64_t addr, uint64_t size)
{
	while (size) {
		struct sim_alloc *alloc = sim_alloc_find(addr);

		if (!alloc || alloc->kind != SIM_VMM || alloc->addr != addr ||
		    alloc->size > size)
			return false;
		addr += alloc->size;
		size -= alloc->size;
	}
	return true;
}

static CUresult map(struct sim_phys *phys, uint64_t addr, uint64_t size)
{
	struct sim_block *view = calloc(1, sizeof(*view));
	struct sim_alloc *alloc = calloc(1, sizeof(*alloc));
	int err;

	if (!view || !alloc) {
		free(view);
		free(alloc);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	view->addr = addr;
	view->length = size;
	view->gpu = phys->block.gpu;
	view->view = true;
	alloc->kind = SIM_VMM;
	alloc->phys = phys;
	err = sim.store->view(view, &phys->block);
	if (err) {
		free(view);
		free(alloc);
		return sim_result(err);
	}
	if (!sim_memory_add(view, alloc)) {
		sim.store->free(view);
		free(view);
		free(alloc);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	phys->views++;
	return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr addr, size_t size, size_t offset,
		  CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	CUresult result = sim_vmm_lock();
	struct sim_phys *phys;

	if (result)
		return result;
	phys = sim_phys_find(handle);
	if (!phys || !size || size % SIM_BLOCK_SIZE || addr % SIM_BLOCK_SIZE ||
	    offset || flags || size > phys->block.length ||
	    !sim_reserve_find(addr, size) || sim_block_touches(addr, size))
		result = CUDA_ERROR_INVALID_VALUE;
	else if (size != phys->block.length)
		/* In part: as 580.159.04 has it. */
		result = CUDA_ERROR_NOT_SUPPORTED;
	else
		result = map(phys, addr, size);
	sim_unlock();
	return result;
}

CUresult cuMemUnmap(CUdeviceptr addr, size_t size)
{
	CUresult result = sim_vmm_lock();

	if (result)
		return result;
	if (!size || !whole_mappings(addr, size))
		result = CUDA_ERROR_INVALID_VALUE;
	while (!result && size) {
		struct sim_alloc *alloc = sim_alloc_find(addr);
		struct sim_phys *phys = alloc->phys;

		addr += alloc->size;
		size -= alloc->size;
		sim_memory_remove(alloc);
		phys->views--;
		sim_phys_put(phys);
	}
	sim_unlock();
	return result;
}

static bool desc_valid(const CUmemAccessDesc *desc)
{
	return desc->location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
	       sim_device_valid(desc->location.id) &&
	       (desc->flags == CU_MEM_ACCESS_FLAGS_PROT_NONE ||
		desc->flags == CU_MEM_ACCESS_FLAGS_PROT_READ ||
		desc->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
}

CUresult cuMemSetAccess(CUdeviceptr addr, size_t size,
			const CUmemAccessDesc *desc, size_t count)
{
	CUresult result = sim_vmm_lock();

	if (result)
		return result;
	if (!desc || !count || !size || !whole_mappings(addr, size))
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; i < count && !result; i++) {
		if (!desc_valid(&desc[i]))
			result = CUDA_ERROR_INVALID_VALUE;
	}
	while (!result && size) {
		struct sim_alloc *alloc = sim_alloc_find(addr);

		for (size_t i = 0; i < count; i++)
			alloc->access[desc[i].location.id] =
				(unsigned char)desc[i].flags;
		addr += alloc->size;
		size -= alloc->size;
	}
	sim_unlock();
	return result;
}

CUresult cuMemGetAccess(unsigned long long *flags,
			const CUmemLocation *location, CUdeviceptr addr)
{
	CUresult result = sim_vmm_lock();
	struct sim_alloc *alloc;

	if (result)
		return result;
	alloc = sim_alloc_find(addr);
	if (!flags || !location || !alloc || alloc->kind != SIM_VMM ||
	    location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    !sim_device_valid(location->id))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		*flags = alloc->access[location->id];
	sim_unlock();
	return result;
}
