// SPDX-License-Identifier: MIT
/* What CUDA knows of an address. */
#include <string.h>

#include "sim.h"

static CUresult give_uint(void *data, unsigned int value)
{
	memcpy(data, &value, sizeof(value));
	return CUDA_SUCCESS;
}

static CUresult give_int(void *data, int value)
{
	memcpy(data, &value, sizeof(value));
	return CUDA_SUCCESS;
}

/* Addresses, sizes and ids. */
static CUresult give_u64(void *data, uint64_t value)
{
	memcpy(data, &value, sizeof(value));
	return CUDA_SUCCESS;
}

static CUresult give_pointer(void *data, void *value)
{
	memcpy(data, &value, sizeof(value));
	return CUDA_SUCCESS;
}

/* The tokens of a process without MPS; clients pass them on. */
static CUresult give_tokens(void *data)
{
	static const unsigned int va_space = 0xfe00;
	static const unsigned long long p2p;

	memcpy(data, &p2p, sizeof(p2p));
	memcpy((char *)data + sizeof(p2p), &va_space, sizeof(va_space));
	return CUDA_SUCCESS;
}

static CUresult device_attribute(void *data, CUpointer_attribute attribute,
				 const struct sim_alloc *alloc, uint64_t addr)
{
	bool plain = alloc->kind == SIM_PLAIN;
	const CUmemAllocationProp *prop = alloc->phys ? &alloc->phys->prop
						      : NULL;

	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		/* Pools and mappings belong to a device, to no context. */
		return give_pointer(data, plain ? alloc->ctx : NULL);
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		return give_uint(data, CU_MEMORYTYPE_DEVICE);
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		return give_u64(data, addr);
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		/* Of what is mapped it cannot be taken away. */
		return give_uint(data,
				 alloc->kind == SIM_VMM || alloc->sync_memops);
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		return give_u64(data, alloc->id);
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		return give_uint(data, 0);
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		return give_int(data, sim_device_of(alloc->block->gpu));
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
		return give_uint(data, plain);
	case CU_POINTER_ATTRIBUTE_MAPPED:
		return give_uint(data, 1);
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
		return give_uint(
			data, !prop || prop->allocFlags.gpuDirectRDMACapable);
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		return give_u64(data, alloc->addr);
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		return give_u64(data, alloc->size);
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		return give_u64(
			data, prop ? (uint64_t)prop->requestedHandleTypes : 0);
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		return give_uint(
			data,
			alloc->phys
				? alloc->access[sim_device_of(alloc->block->gpu)]
				: CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		return give_pointer(data, alloc->pool);
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		return give_u64(data, alloc->block->length);
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		return give_u64(data, alloc->block->addr);
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		return give_u64(data, alloc->block->memory);
	case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
		return give_tokens(data);
	default: /* no host pointer */
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult host_attribute(void *data, CUpointer_attribute attribute,
			       const struct sim_host *host, uint64_t addr)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		return give_pointer(data, host->ctx);
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		return give_uint(data, host->managed ? CU_MEMORYTYPE_DEVICE
						     : CU_MEMORYTYPE_HOST);
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		return give_u64(data, addr);
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		return give_pointer(data, (void *)(uintptr_t)addr);
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		return give_u64(data, host->id);
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		return give_int(data, host->ctx->dev);
	case CU_POINTER_ATTRIBUTE_MAPPED:
		return give_uint(data, 1);
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		return give_uint(data, host->managed);
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		return give_uint(data, host->sync_memops);
	case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
		return host->managed ? give_tokens(data)
				     : CUDA_ERROR_INVALID_VALUE;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
		return give_uint(data, 0);
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		return give_u64(data, host->addr);
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		return give_u64(data, host->size);
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		return give_u64(data, 0);
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		return give_pointer(data, NULL);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/*
 * What cuPointerGetAttributes() says of an address that CUDA knows nothing of,
 * or of an attribute that the address does not have.
 */
static CUresult no_attribute(void *data, CUpointer_attribute attribute)
{
	switch (attribute) {
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		return give_uint(data, 0);
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		return give_int(data, CU_DEVICE_INVALID);
	case CU_POINTER_ATTRIBUTE_CONTEXT:
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		return give_u64(data, 0);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* With sim.lock held. */
static CUresult attribute_get(void *data, CUpointer_attribute attribute,
			      uint64_t addr)
{
	struct sim_alloc *alloc = sim_alloc_find(addr);
	struct sim_host *host = sim_host_find(addr);

	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	if (alloc)
		return device_attribute(data, attribute, alloc, addr);
	if (host)
		return host_attribute(data, attribute, host, addr);
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute,
			       CUdeviceptr addr)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	pthread_rwlock_rdlock(&sim.lock);
	result = attribute_get(data, attribute, addr);
	sim_unlock();
	return result;
}

CUresult cuPointerGetAttributes(unsigned int count,
				CUpointer_attribute *attributes, void **data,
				CUdeviceptr addr)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!count || !attributes || !data)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_rwlock_rdlock(&sim.lock);
	for (unsigned int i = 0; i < count && !result; i++) {
		/* Tokens are asked for alone. */
		if (!data[i] ||
		    attributes[i] == CU_POINTER_ATTRIBUTE_P2P_TOKENS)
			result = CUDA_ERROR_INVALID_VALUE;
		else if (attribute_get(data[i], attributes[i], addr))
			result = no_attribute(data[i], attributes[i]);
	}
	sim_unlock();
	return result;
}

/* With sim.lock held for writing. */
static CUresult sync_memops_set(uint64_t addr, unsigned int on)
{
	struct sim_alloc *alloc = sim_alloc_find(addr);
	struct sim_host *host = alloc ? NULL : sim_host_find(addr);

	if (alloc && alloc->kind == SIM_VMM)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (alloc)
		alloc->sync_memops = on;
	else if (host)
		host->sync_memops = on;
	else
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
			       CUdeviceptr addr)
{
	CUresult result = sim_ready();
	unsigned int flag;

	if (result)
		return result;
	if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&flag, value, sizeof(flag));
	pthread_rwlock_wrlock(&sim.lock);
	result = sync_memops_set(addr, flag != 0);
	sim_unlock();
	return result;
}
