// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "backend/rm/backend.h"

/* 1: this memory cannot be exported. */
static int gm_rm_vmm_export(const struct gm_cuda *cuda,
			    CUmemGenericAllocationHandle handle, int *fd)
{
	CUresult result;

	*fd = -1;
	result = cuda->vmm_export(fd, handle,
				  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0);
	if (!result)
		return 0;
	if (result != CUDA_ERROR_INVALID_VALUE &&
	    result != CUDA_ERROR_NOT_SUPPORTED)
		return gm_cuda_error(cuda, result,
				     "rm: cuMemExportToShareableHandle",
				     "look for an earlier CUDA error");
	return 1;
}

static int gm_rm_vmm_scan(struct gm_session *session,
			  const struct gm_range *range, bool may_write,
			  struct gm_rm_place *place, uint32_t *memory)
{
	uint64_t start = gm_clock_ns();
	int rc;

	rc = gm_rm_take_scan(session, range, may_write, place, memory);
	gm_session_count(session, GM_COUNT_IMPORT_NS, gm_clock_ns() - start);
	return rc;
}

int gm_rm_take_vmm(struct gm_session *session, struct gm_rm *rm,
		   const struct gm_range *range, bool may_write,
		   struct gm_rm_place *place, uint32_t *memory)
{
	const struct gm_cuda *cuda = &session->cuda;
	uint64_t start = gm_clock_ns(), given;
	CUmemGenericAllocationHandle handle;
	CUresult result;
	bool found;
	int fd, rc;

	if (!cuda->vmm_export || !cuda->vmm_release)
		return gm_error(-EOPNOTSUPP,
				"pin 0x%" PRIx64 ": libcuda has no "
				"cuMemExportToShareableHandle; install a newer "
				"NVIDIA driver",
				range->addr);
	result = cuda->vmm_retain(&handle, (void *)range->addr);
	if (result)
		return gm_cuda_error(cuda, result,
				     "rm: cuMemRetainAllocationHandle",
				     "was the memory unmapped meanwhile?");
	rc = gm_rm_vmm_export(cuda, handle, &fd);
	found = rc > 0 &&
		gm_rm_take_record(session, range, handle, place, memory);
	cuda->vmm_release(handle);
	if (rc < 0)
		return rc;
	given = gm_clock_ns();
	gm_session_count(session, GM_COUNT_HANDLE_NS, given - start);
	if (found)
		return 0;
	if (rc)
		return gm_rm_vmm_scan(session, range, may_write, place, memory);
	rc = gm_rm_import(rm, fd, memory);
	close(fd);
	gm_session_count(session, GM_COUNT_IMPORT_NS, gm_clock_ns() - given);
	/* cuMemMap() maps from the start of an object only. */
	*place = (struct gm_rm_place){ .block = range->alloc_length };
	return rc;
}
