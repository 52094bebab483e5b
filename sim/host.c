// SPDX-License-Identifier: MIT
/* Host memory that CUDA allocated or was told of, managed memory included. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim.h"

static struct sim_host *hosts;

struct sim_host *sim_host_find(uint64_t addr)
{
	struct sim_host *h;

	for (h = hosts; h; h = h->next) {
		if (addr - h->addr < h->size)
			return h;
	}
	return NULL;
}

/* Whether there is something mapped everywhere in the range. */
bool sim_host_mapped(uint64_t addr, size_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t end, start = addr & ~(page - 1);
	unsigned char seen[1024];

	if (__builtin_add_overflow(addr, size, &end))
		return false;
	while (start < end) {
		uint64_t part = end - start;

		if (part > sizeof(seen) * page)
			part = sizeof(seen) * page;
		if (mincore((void *)(uintptr_t)start, part, seen))
			return false;
		start += part;
	}
	return true;
}

struct sim_host *sim_managed_range(uint64_t addr, uint64_t length)
{
	struct sim_host *h = sim_host_find(addr);

	if (!h || !h->managed || length > h->size - (addr - h->addr))
		return NULL;
	return h;
}

static struct sim_host **host_link(uintptr_t addr, bool registered)
{
	struct sim_host **at;

	for (at = &hosts; *at; at = &(*at)->next) {
		if ((*at)->addr == addr && (*at)->registered == registered)
			return at;
	}
	return NULL;
}

static void host_remove(struct sim_host **at)
{
	struct sim_host *h = *at;

	*at = h->next;
	if (!h->registered)
		munmap((void *)h->addr, h->size);
	free(h);
}

void sim_host_clear(CUcontext ctx)
{
	struct sim_host **at = &hosts;

	while (*at) {
		if ((*at)->ctx == ctx)
			host_remove(at);
		else
			at = &(*at)->next;
	}
}

static CUresult host_add(void *host, size_t size, unsigned int flags,
			 bool registered, CUcontext ctx)
{
	struct sim_host *h = calloc(1, sizeof(*h));

	if (!h)
		return CUDA_ERROR_OUT_OF_MEMORY;
	h->addr = (uintptr_t)host;
	h->size = size;
	h->flags = flags;
	h->registered = registered;
	h->id = ++sim.last_id;
	h->ctx = ctx;
	h->next = hosts;
	hosts = h;
	return CUDA_SUCCESS;
}

/*
 * The pages stay on the host, as the driver leaves them until a GPU uses them;
 * no engine here ever does.
 */
CUresult cuMemAllocManaged(CUdeviceptr *addr, size_t size, unsigned int flags)
{
	CUcontext ctx;
	CUresult result = sim_lock_write(&ctx);
	void *area;

	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (!addr || !size ||
	    (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
		goto unlock;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		goto unlock;
	result = host_add(area, size, flags, false, ctx);
	if (result) {
		munmap(area, size);
		goto unlock;
	}
	hosts->managed = true;
	*addr = (uintptr_t)area;
unlock:
	sim_unlock();
	return result;
}

CUresult sim_managed_free(uint64_t addr)
{
	struct sim_host **at = host_link((uintptr_t)addr, false);

	if (!at || !(*at)->managed)
		return CUDA_ERROR_INVALID_VALUE;
	host_remove(at);
	return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **host, size_t size, unsigned int flags)
{
	CUcontext ctx;
	CUresult result = sim_null_stream_wait_current();
	void *area;

	if (!result)
		result = sim_lock_write(&ctx);
	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (!host || !size || flags & ~7u)
		goto unlock;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	area = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		goto unlock;
	result = host_add(area, size, flags, false, ctx);
	if (result)
		munmap(area, size);
	else
		*host = area;
unlock:
	sim_unlock();
	return result;
}

CUresult cuMemAllocHost_v2(void **host, size_t size)
{
	return cuMemHostAlloc(host, size, 0);
}

CUresult cuMemAllocHost(void **host, unsigned int size)
{
	return cuMemHostAlloc(host, size, 0);
}

/* As cuMemFree(). */
CUresult cuMemFreeHost(void *host)
{
	CUresult result = sim_memory_wait((uintptr_t)host);
	struct sim_host **at;

	if (result || !host)
		return result;
	pthread_rwlock_wrlock(&sim.lock);
	at = host_link((uintptr_t)host, false);
	if (at && !(*at)->managed)
		host_remove(at);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	sim_unlock();
	return result;
}

CUresult cuMemHostRegister_v2(void *host, size_t size, unsigned int flags)
{
	uintptr_t addr = (uintptr_t)host;
	CUcontext ctx;
	CUresult result = sim_null_stream_wait_current();
	struct sim_host *h;

	if (!result)
		result = sim_lock_write(&ctx);
	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (!host || !size || flags & ~15u || !sim_host_mapped(addr, size) ||
	    sim_block_touches(addr, size))
		goto unlock;
	result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	for (h = hosts; h; h = h->next) {
		if (addr < h->addr + h->size && h->addr < addr + size)
			goto unlock;
	}
	result = host_add(host, size, flags, true, ctx);
unlock:
	sim_unlock();
	return result;
}
SIM_ALIAS(cuMemHostRegister, cuMemHostRegister_v2);

CUresult cuMemHostUnregister(void *host)
{
	CUresult result = sim_memory_wait((uintptr_t)host);
	struct sim_host **at;

	if (result)
		return result;
	pthread_rwlock_wrlock(&sim.lock);
	at = host_link((uintptr_t)host, true);
	if (at)
		host_remove(at);
	else
		result = host ? CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED
			      : CUDA_ERROR_INVALID_VALUE;
	sim_unlock();
	return result;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *addr, void *host,
				      unsigned int flags)
{
	CUresult result = sim_lock_read(NULL);

	if (result)
		return result;
	if (!addr || flags || !sim_host_find((uintptr_t)host))
		result = CUDA_ERROR_INVALID_VALUE;
	else
		*addr = (uintptr_t)host;
	sim_unlock();
	return result;
}

CUresult cuMemHostGetFlags(unsigned int *flags, void *host)
{
	CUresult result = sim_lock_read(NULL);
	struct sim_host *h;

	if (result)
		return result;
	h = sim_host_find((uintptr_t)host);
	if (!flags || !h || h->registered || h->managed)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		*flags = h->flags;
	sim_unlock();
	return result;
}
