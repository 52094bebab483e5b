// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/backend.h"
#include "base/error.h"
#include "core/pointer.h"

/* Linux 5.14; not in older headers. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/*
 * Whether this process can read the address with its CPU. The kernel tells: the
 * list of a program's mappings may be long. Linux before 5.14 does not: then it
 * is as if it could not.
 */
static bool gm_host_readable(uint64_t addr)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	void *at = (void *)(uintptr_t)(addr & ~(page - 1));

	return !madvise(at, page, MADV_POPULATE_READ);
}

static int gm_range_unknown(const char *call, uint64_t addr)
{
	if (gm_host_readable(addr))
		return gm_error(-EINVAL,
				"%s 0x%" PRIx64 ": it is host memory: the CPU "
				"reaches that without gpumem; pass a device "
				"address from cuMemAlloc",
				call, addr);
	return gm_error(-EINVAL,
			"%s 0x%" PRIx64 ": it is no CUDA memory of this "
			"process: never allocated, or freed already; pass a "
			"live device address from cuMemAlloc",
			call, addr);
}

static int gm_range_no_type(const char *call, uint64_t addr, CUresult result)
{
	if (result != CUDA_ERROR_NOT_INITIALIZED)
		return gm_range_unknown(call, addr);
	return gm_error(-EINVAL,
			"%s 0x%" PRIx64 ": CUDA is not started in this "
			"process, or was before a fork(), so that no address "
			"is its memory; pass a device address that CUDA gave "
			"to this process",
			call, addr);
}

int gm_range_device(const struct gm_cuda *cuda, const char *call, uint64_t addr,
		    int *ordinal)
{
	unsigned int managed = 0;
	unsigned int type = 0;
	CUresult result;

	result = cuda->pointer_get(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
				   addr);
	if (result)
		return gm_range_no_type(call, addr, result);
	if (cuda->pointer_get(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, addr))
		managed = 0;
	if (managed)
		return gm_error(-EINVAL,
				"%s 0x%" PRIx64 ": it is managed memory, "
				"which moves between CPU and GPU; allocate "
				"with cuMemAlloc",
				call, addr);
	if (type == CU_MEMORYTYPE_HOST)
		return gm_error(-EINVAL,
				"%s 0x%" PRIx64 ": it is page-locked host "
				"memory: the CPU reaches that without gpumem; "
				"pass a device address from cuMemAlloc",
				call, addr);
	if (type != CU_MEMORYTYPE_DEVICE)
		return gm_range_unknown(call, addr);
	if (cuda->pointer_get(ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
			      addr))
		*ordinal = -1;
	return 0;
}

/* Refuses addresses that are not memory of the session's GPU. */
static int gm_range_check_kind(struct gm_session *session, uint64_t addr)
{
	int ordinal = -1;
	int rc = gm_range_device(&session->cuda, "pin", addr, &ordinal);

	if (rc || ordinal == -1 || ordinal == session->ordinal)
		return rc;
	return gm_error(-EXDEV,
			"pin 0x%" PRIx64 ": the memory is on GPU %d, the "
			"session on GPU %d; open a session for GPU %d",
			addr, ordinal, session->ordinal, ordinal);
}

static enum gm_memory gm_range_kind(const struct gm_cuda *cuda, uint64_t addr)
{
	CUmemGenericAllocationHandle handle;
	unsigned int legacy = 0;
	void *pool = NULL;

	/* Asked first: the others fail for it, which takes CUDA longer. */
	if (!cuda->pointer_get(&legacy,
			       CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE,
			       addr) &&
	    legacy)
		return GM_MEMORY_ALLOC;
	if (cuda->vmm_retain && !cuda->vmm_retain(&handle, (void *)addr)) {
		cuda->vmm_release(handle);
		return GM_MEMORY_VMM;
	}
	if (!cuda->pointer_get(&pool, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE,
			       addr) &&
	    pool)
		return GM_MEMORY_POOL;
	return GM_MEMORY_ALLOC;
}

static int gm_range_alloc(const struct gm_cuda *cuda, uint64_t addr,
			  struct gm_range *range)
{
	CUdeviceptr base = 0;
	size_t size = 0;
	CUresult result;

	result = cuda->address_range(&base, &size, addr);
	if (result == CUDA_ERROR_INVALID_VALUE ||
	    result == CUDA_ERROR_NOT_FOUND)
		return gm_range_unknown("pin", addr);
	if (result)
		return gm_cuda_error(cuda, result, "pin: find the allocation",
				     "look for an earlier CUDA error");
	if (addr < base || addr - base >= size)
		return gm_range_unknown("pin", addr);
	range->addr = addr;
	range->alloc_addr = base;
	range->alloc_length = size;
	return 0;
}

/*
 * Bytes from addr on that are there: in its allocation and, with memory of
 * cuMemMap, in those of this GPU that follow it without a gap.
 */
static uint64_t gm_range_reach(struct gm_session *session,
			       const struct gm_range *range, uint64_t length)
{
	const struct gm_cuda *cuda = &session->cuda;
	uint64_t there = range->alloc_addr + range->alloc_length - range->addr;
	CUdeviceptr base;
	size_t size;

	if (range->kind != GM_MEMORY_VMM || !session->ops->spans)
		return there;
	while (there < length) {
		uint64_t next = range->addr + there;
		int ordinal = -1;

		if (cuda->pointer_get(&ordinal,
				      CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
				      next) ||
		    ordinal != session->ordinal ||
		    gm_range_kind(cuda, next) != GM_MEMORY_VMM ||
		    cuda->address_range(&base, &size, next) || base != next ||
		    !size)
			break;
		there += size;
	}
	return there;
}

/* With the context of the allocation current. */
static int gm_range_check_bounds(struct gm_session *session, uint64_t addr,
				 uint64_t length, struct gm_range *range)
{
	uint64_t there;
	int rc;

	rc = gm_range_alloc(&session->cuda, addr, range);
	if (rc)
		return rc;
	range->length = length;
	range->kind = gm_range_kind(&session->cuda, addr);
	there = gm_range_reach(session, range, length);
	if (length > there)
		return gm_error(-ERANGE,
				"pin 0x%" PRIx64 ": %" PRIu64 " bytes run "
				"past the end of the allocation: %" PRIu64
				" bytes are there; pin at most that",
				addr, length, there);
	return 0;
}

int gm_range_part(const struct gm_cuda *cuda, const struct gm_range *range,
		  uint64_t addr, struct gm_range *part)
{
	uint64_t end = range->addr + range->length;
	uint64_t alloc_end;
	int rc;

	*part = *range;
	rc = addr == range->addr ? 0 : gm_range_alloc(cuda, addr, part);
	if (rc)
		return rc;
	alloc_end = part->alloc_addr + part->alloc_length;
	part->length = (end < alloc_end ? end : alloc_end) - addr;
	return 0;
}

int gm_range_find(struct gm_session *session, uint64_t addr, uint64_t length,
		  struct gm_range *range)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_cuda_scope scope;
	CUcontext context = NULL;
	int rc;

	rc = gm_cuda_enter(&scope, cuda, session->context);
	if (rc)
		return rc;
	rc = gm_range_check_kind(session, addr);
	if (!rc &&
	    cuda->pointer_get(&context, CU_POINTER_ATTRIBUTE_CONTEXT, addr))
		context = NULL;
	gm_cuda_leave(&scope);
	if (rc)
		return rc;
	/* Memory made by cuMemCreate belongs to no context. */
	range->context = context ? context : session->context;

	rc = gm_cuda_enter(&scope, cuda, range->context);
	if (rc)
		return rc;
	rc = gm_range_check_bounds(session, addr, length, range);
	gm_cuda_leave(&scope);
	return rc;
}
