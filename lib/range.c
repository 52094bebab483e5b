// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "error.h"
#include "range.h"

/* Whether this process can read the address with its CPU. */
static bool gm_host_readable(uint64_t addr)
{
	FILE *file = fopen("/proc/self/maps", "re");
	bool readable = false;
	char line[512];

	if (!file)
		return false;
	while (!readable && fgets(line, sizeof(line), file)) {
		uint64_t start, end;
		char perms[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end,
			   perms) == 3)
			readable = addr >= start && addr < end &&
				   perms[0] == 'r';
	}
	fclose(file);
	return readable;
}

static int gm_range_unknown(uint64_t addr)
{
	if (gm_host_readable(addr))
		return gm_error(-EINVAL,
				"pin 0x%" PRIx64 ": it is host memory: the CPU "
				"reaches that without gpumem; pass a device "
				"address from cuMemAlloc",
				addr);
	return gm_error(-EINVAL,
			"pin 0x%" PRIx64 ": it is no CUDA memory of this "
			"process: never allocated, or freed already; pass a "
			"live device address from cuMemAlloc",
			addr);
}

/* Refuses addresses that are not memory of the session's GPU. */
static int gm_range_check_kind(struct gm_session *session, uint64_t addr)
{
	const struct gm_cuda *cuda = &session->cuda;
	unsigned int managed = 0;
	unsigned int type = 0;
	int ordinal = -1;

	if (cuda->pointer_get(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, addr))
		return gm_range_unknown(addr);
	if (cuda->pointer_get(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, addr))
		managed = 0;
	if (managed)
		return gm_error(-EINVAL,
				"pin 0x%" PRIx64 ": it is managed memory, "
				"which moves between CPU and GPU; allocate "
				"with cuMemAlloc",
				addr);
	if (type == CU_MEMORYTYPE_HOST)
		return gm_error(-EINVAL,
				"pin 0x%" PRIx64 ": it is page-locked host "
				"memory: the CPU reaches that without gpumem; "
				"pass a device address from cuMemAlloc",
				addr);
	if (type != CU_MEMORYTYPE_DEVICE)
		return gm_range_unknown(addr);
	if (!cuda->pointer_get(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
			       addr) &&
	    ordinal != session->ordinal)
		return gm_error(-EXDEV,
				"pin 0x%" PRIx64 ": the memory is on GPU %d, "
				"the session on GPU %d; open a session for "
				"GPU %d",
				addr, ordinal, session->ordinal, ordinal);
	return 0;
}

/* With the context of the allocation current. */
static int gm_range_check_bounds(struct gm_session *session, uint64_t addr,
				 uint64_t length, struct gm_range *range)
{
	CUdeviceptr base = 0;
	size_t size = 0;
	CUresult result;
	uint64_t there;

	result = session->cuda.address_range(&base, &size, addr);
	if (result == CUDA_ERROR_INVALID_VALUE ||
	    result == CUDA_ERROR_NOT_FOUND)
		return gm_range_unknown(addr);
	if (result)
		return gm_cuda_error(&session->cuda, result,
				     "pin: find the allocation",
				     "look for an earlier CUDA error");
	if (addr < base || addr - base >= size)
		return gm_range_unknown(addr);
	there = size - (addr - base);
	if (length > there)
		return gm_error(-ERANGE,
				"pin 0x%" PRIx64 ": %" PRIu64 " bytes run "
				"past the end of the allocation: %" PRIu64
				" bytes are there; pin at most that",
				addr, length, there);
	range->addr = addr;
	range->length = length;
	range->alloc_addr = base;
	range->alloc_length = size;
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
