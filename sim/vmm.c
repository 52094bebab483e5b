// SPDX-License-Identifier: MIT
/*
 * Virtual memory management: reserved addresses, and memory that has none until
 * it is mapped there. Neither belongs to a context.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"
#include "vmm.h"

#define RECORD_WORDS 16
#define RECORD_OBJECT 7
#define RECORD_UP 11

static struct sim_phys *all_phys;
static struct sim_reserve *reserves;

CUresult sim_vmm_lock(void)
{
	CUresult result = sim_ready();

	if (!result)
		pthread_rwlock_wrlock(&sim.lock);
	return result;
}

struct sim_phys *sim_phys_find(CUmemGenericAllocationHandle handle)
{
	struct sim_phys *phys;

	for (phys = all_phys; phys; phys = phys->next) {
		if (phys->handle == handle && phys->refs)
			return phys;
	}
	return NULL;
}

const struct sim_block *sim_phys_block(uint32_t memory)
{
	struct sim_phys *phys;

	for (phys = all_phys; phys; phys = phys->next) {
		if (phys->block.memory == memory)
			return &phys->block;
	}
	return NULL;
}

struct sim_phys *sim_phys_new(const CUmemAllocationProp *prop)
{
	struct sim_phys *phys = calloc(1, sizeof(*phys));

	if (!phys)
		return NULL;
	phys->record = calloc(RECORD_WORDS, sizeof(*phys->record));
	if (!phys->record) {
		free(phys);
		return NULL;
	}
	phys->refs = 1;
	phys->prop = *prop;
	phys->block.gpu = (unsigned int)sim_prop_gpu(prop);
	return phys;
}

/*
 * The driver's handle is the address of its record, which points to another one that
 * points back and holds RM's handle of the memory (580.159.04).
 * GPUMEM_SIM_VMM_RECORD: "0": it is a number; "last": the newest memory is named.
 */
static void phys_set_handle(struct sim_phys *phys)
{
	static CUmemGenericAllocationHandle last_number = 0x5100;
	const char *record = getenv("GPUMEM_SIM_VMM_RECORD");

	phys->handle = (uintptr_t)phys;
	if (record && *record == '0')
		phys->handle = ++last_number;
	phys->record[RECORD_UP] = (uintptr_t)phys;
	phys->record[RECORD_OBJECT] = phys->block.memory;
	for (struct sim_phys *old = all_phys; old; old = old->next)
		if (record && *record == 'l')
			old->record[RECORD_OBJECT] = phys->block.memory;
}

void sim_phys_add(struct sim_phys *phys)
{
	phys_set_handle(phys);
	phys->next = all_phys;
	all_phys = phys;
}

void sim_phys_drop(struct sim_phys *phys)
{
	free(phys->record);
	free(phys);
}

void sim_phys_put(struct sim_phys *phys)
{
	struct sim_phys **at;

	if (phys->refs || phys->views)
		return;
	for (at = &all_phys; *at != phys; at = &(*at)->next)
		;
	*at = phys->next;
	sim.store->free(&phys->block);
	sim_phys_drop(phys);
}

int sim_prop_gpu(const CUmemAllocationProp *prop)
{
	if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
	    (prop->requestedHandleTypes &
	     ~CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) ||
	    !sim_device_valid(prop->location.id))
		return -1;
	return (int)sim.gpu[prop->location.id];
}

struct sim_reserve *sim_reserve_find(uint64_t addr, uint64_t size)
{
	struct sim_reserve *r;

	for (r = reserves; r; r = r->next) {
		if (addr >= r->addr && addr - r->addr < r->length &&
		    size <= r->length - (addr - r->addr))
			return r;
	}
	return NULL;
}

CUresult cuMemGetAllocationGranularity(size_t *size,
				       const CUmemAllocationProp *prop,
				       int option)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!size || sim_prop_gpu(prop) < 0 ||
	    (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
	     option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
		return CUDA_ERROR_INVALID_VALUE;
	*size = SIM_BLOCK_SIZE;
	return CUDA_SUCCESS;
}

/* The wanted address is a hint, which is not taken. */
CUresult cuMemAddressReserve(CUdeviceptr *addr, size_t size, size_t align,
			     CUdeviceptr wanted, unsigned long long flags)
{
	CUresult result = sim_vmm_lock();
	struct sim_reserve *r;
	uint64_t got;
	int err;

	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (!addr || !size || size % SIM_BLOCK_SIZE || flags ||
	    (align & (align - 1)))
		goto unlock;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	r = calloc(1, sizeof(*r));
	if (!r)
		goto unlock;
	err = sim.store->reserve(
		size, align < SIM_BLOCK_SIZE ? SIM_BLOCK_SIZE : align, &got);
	result = sim_result(err);
	if (err) {
		free(r);
		goto unlock;
	}
	r->addr = got;
	r->length = size;
	r->next = reserves;
	reserves = r;
	*addr = got;
unlock:
	sim_unlock();
	return result;
}

CUresult cuMemAddressFree(CUdeviceptr addr, size_t size)
{
	CUresult result = sim_vmm_lock();
	struct sim_reserve **at, *r;

	if (result)
		return result;
	for (at = &reserves; (r = *at) != NULL; at = &r->next) {
		if (r->addr == addr && r->length == size)
			break;
	}
	if (r && !sim_block_touches(addr, size)) {
		*at = r->next;
		sim.store->unreserve(addr, size);
		free(r);
	} else {
		result = CUDA_ERROR_INVALID_VALUE;
	}
	sim_unlock();
	return result;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
		     const CUmemAllocationProp *prop, unsigned long long flags)
{
	CUresult result = sim_vmm_lock();
	struct sim_phys *phys;

	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (!handle || !size || size % SIM_BLOCK_SIZE || flags ||
	    sim_prop_gpu(prop) < 0)
		goto unlock;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	phys = sim_phys_new(prop);
	if (!phys)
		goto unlock;
	phys->block.length = size;
	result = sim_result(sim.store->create(&phys->block));
	if (result) {
		sim_phys_drop(phys);
		goto unlock;
	}
	sim_phys_add(phys);
	*handle = phys->handle;
unlock:
	sim_unlock();
	return result;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
	CUresult result = sim_vmm_lock();
	struct sim_phys *phys;

	if (result)
		return result;
	phys = sim_phys_find(handle);
	if (phys) {
		phys->refs--;
		sim_phys_put(phys);
	} else {
		result = CUDA_ERROR_INVALID_VALUE;
	}
	sim_unlock();
	return result;
}
