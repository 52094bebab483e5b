// SPDX-License-Identifier: MIT
#include <stddef.h>
#include <string.h>

#include "../../abi/cuda.h"
#include "vmm.h"

static struct {
	int (*create)(CUmemGenericAllocationHandle *handle, size_t size,
		      const CUmemAllocationProp *prop,
		      unsigned long long flags);
	int (*release)(CUmemGenericAllocationHandle handle);
	int (*reserve)(uint64_t *addr, size_t size, size_t align, uint64_t wish,
		       unsigned long long flags);
	int (*unreserve)(uint64_t addr, size_t size);
	int (*map)(uint64_t addr, size_t size, size_t offset,
		   CUmemGenericAllocationHandle handle,
		   unsigned long long flags);
	int (*unmap)(uint64_t addr, size_t size);
	int (*access)(uint64_t addr, size_t size, const CUmemAccessDesc *desc,
		      size_t count);
	int (*granularity)(size_t *size, const CUmemAllocationProp *prop,
			   int option);
} cu;

static const struct {
	const char *name;
	void *function;
} functions[] = {
	{ "cuMemCreate", &cu.create },
	{ "cuMemRelease", &cu.release },
	{ "cuMemAddressReserve", &cu.reserve },
	{ "cuMemAddressFree", &cu.unreserve },
	{ "cuMemMap", &cu.map },
	{ "cuMemUnmap", &cu.unmap },
	{ "cuMemSetAccess", &cu.access },
	{ "cuMemGetAllocationGranularity", &cu.granularity },
};

int vmm_open(struct gpumem *session)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *found = gpumem_cuda_symbol(session, functions[i].name);

		if (!found)
			return -1;
		memcpy(functions[i].function, &found, sizeof(found));
	}
	return 0;
}

static CUmemAllocationProp vmm_prop(int device, int handle_type)
{
	return (CUmemAllocationProp){
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = handle_type,
		.location = { CU_MEM_LOCATION_TYPE_DEVICE, device },
	};
}

uint64_t vmm_granularity(int device)
{
	CUmemAllocationProp prop = vmm_prop(device, VMM_FD);
	size_t size = 0;

	if (cu.granularity(&size, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM))
		return 0;
	return size;
}

static int vmm_map_block(struct vmm *vmm, unsigned int i, uint64_t addr,
			 int handle_type)
{
	uint64_t size = vmm->block[i].size;
	CUmemAllocationProp prop = vmm_prop(vmm->block[i].device, handle_type);
	CUmemAccessDesc access = {
		.location = prop.location,
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
	};
	CUmemGenericAllocationHandle handle;
	int result;

	result = cu.create(&handle, size, &prop, 0);
	if (result)
		return result;
	result = cu.map(addr, size, 0, handle, 0);
	/* The mapping holds the memory from here on. */
	cu.release(handle);
	if (result)
		return result;
	vmm->mapped++;
	return cu.access(addr, size, &access, 1);
}

int vmm_alloc(struct vmm *vmm, int handle_type)
{
	uint64_t addr;
	int result;

	vmm->size = 0;
	vmm->mapped = 0;
	for (unsigned int i = 0; i < vmm->count; i++) {
		uint64_t unit = vmm_granularity(vmm->block[i].device);

		if (!unit)
			return CUDA_ERROR_NOT_SUPPORTED;
		vmm->block[i].size =
			(vmm->block[i].size + unit - 1) / unit * unit;
		vmm->size += vmm->block[i].size;
	}
	result = cu.reserve(&vmm->addr, vmm->size, 0, 0, 0);
	if (result) {
		vmm->count = 0;
		return result;
	}
	addr = vmm->addr;
	for (unsigned int i = 0; i < vmm->count && !result; i++) {
		result = vmm_map_block(vmm, i, addr, handle_type);
		addr += vmm->block[i].size;
	}
	if (result)
		vmm_free(vmm);
	return result;
}

int vmm_free(struct vmm *vmm)
{
	uint64_t addr = vmm->addr;
	int result = 0;

	for (unsigned int i = 0; i < vmm->mapped; i++) {
		int failed = cu.unmap(addr, vmm->block[i].size);

		result = result ? result : failed;
		addr += vmm->block[i].size;
	}
	if (!result)
		result = cu.unreserve(vmm->addr, vmm->size);
	vmm->count = 0;
	vmm->mapped = 0;
	return result;
}
