// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/rm/backend.h"
#include "base/clock.h"
#include "base/page.h"
#include "base/error.h"
#include "core/pointer.h"

#define GM_SCRATCH_PAGE gm_page_size()
#define GM_SCRATCH_SMALL 4096u
#define GM_SCRATCH_LARGE ((size_t)2 << 20)

/* Both ways through a mapping of all pages of the memory. */
static int gm_rm_scratch_view(struct gm_session *session,
			      const struct gm_range *range,
			      const struct gm_rm_place *place, uint32_t memory)
{
	struct gm_rm_session *own = session->backend;
	const uint64_t first = place->offset & ~(GM_SCRATCH_PAGE - 1);
	const uint64_t end =
		(place->offset + range->alloc_length + GM_SCRATCH_PAGE - 1) &
		~(GM_SCRATCH_PAGE - 1);
	struct gm_verify_view view = { .addr = range->alloc_addr,
				       .length = range->alloc_length };
	struct gm_rm_map map;
	char *cpu;
	int rc;

	rc = gm_rm_map(&own->rm, memory, first, end - first, &map);
	if (rc)
		return rc;
	cpu = gm_backend_mmap(map.fd, end - first, 0);
	gm_rm_map_done(&map);
	if (cpu) {
		view.cpu = cpu + (place->offset - first);
		rc = gm_verify_own(&own->verifier, &view);
		munmap(cpu, end - first);
	} else {
		rc = gm_rm_no_mmap(end - first);
	}
	gm_rm_unmap(&own->rm, memory, &map);
	return rc;
}

/* Gets hold of one allocation as a pin does, and looks whether it is that. */
static int gm_rm_scratch_check(struct gm_session *session, CUdeviceptr addr,
			       size_t length)
{
	struct gm_rm_session *own = session->backend;
	struct gm_rm_place place;
	struct gm_range range;
	uint32_t memory;
	int rc;

	rc = gm_range_find(session, addr, length, &range);
	if (!rc)
		rc = gm_rm_take(session, &range, false, &place, &memory);
	if (rc)
		return rc;
	rc = gm_rm_scratch_view(session, &range, &place, memory);
	/* Its mapping keeps CUDA's record. */
	if (!rc && addr == own->scratch.vmm)
		gm_rm_record_find(own, own->scratch.handle, memory);
	gm_rm_free(&own->rm, memory);
	gm_debug("rm: scratch memory of %zu bytes, at %" PRIu64 " of %" PRIu64
		 ": %s",
		 length, place.offset, place.block, rc ? "failed" : "as known");
	if (!rc && place.client)
		own->scratch.known = place;
	return rc;
}

static int gm_rm_scratch_alloc(struct gm_session *session, CUdeviceptr *addr)
{
	CUresult result = session->cuda.alloc(addr, GM_SCRATCH_SMALL);

	if (!result)
		return 0;
	*addr = 0;
	return gm_cuda_error(&session->cuda, result,
			     "open: allocate a little memory to verify the way "
			     "to the GPU's memory with",
			     "free some GPU memory");
}

static void gm_rm_scratch_unmap_vmm(const struct gm_cuda *cuda,
				    CUdeviceptr *addr)
{
	if (!*addr)
		return;
	cuda->vmm_unmap(*addr, GM_SCRATCH_LARGE);
	cuda->vmm_unreserve(*addr, GM_SCRATCH_LARGE);
	*addr = 0;
}

/* Maps an allocation that is made already. */
static CUresult gm_rm_scratch_map_vmm(const struct gm_cuda *cuda,
				      const CUmemAllocationProp *prop,
				      CUmemGenericAllocationHandle handle,
				      CUdeviceptr *mapped)
{
	const CUmemAccessDesc access = {
		.location = prop->location,
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
	};
	CUdeviceptr addr;
	CUresult result;

	result = cuda->vmm_reserve(&addr, GM_SCRATCH_LARGE, 0, 0, 0);
	if (result)
		return result;
	result = cuda->vmm_map(addr, GM_SCRATCH_LARGE, 0, handle, 0);
	if (result) {
		cuda->vmm_unreserve(addr, GM_SCRATCH_LARGE);
		return result;
	}
	*mapped = addr;
	result = cuda->vmm_access(addr, GM_SCRATCH_LARGE, &access, 1);
	if (result)
		gm_rm_scratch_unmap_vmm(cuda, mapped);
	return result;
}

static void gm_rm_scratch_export(const struct gm_cuda *cuda,
				 struct gm_rm_scratch *scratch)
{
	if (cuda->vmm_export(&scratch->fd, scratch->handle,
			     CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0))
		scratch->fd = -1;
	else
		fcntl(scratch->fd, F_SETFD, FD_CLOEXEC);
}

/* Whether CUDA's records name memory without a handle type: both ways. */
static bool gm_rm_scratch_view_record(struct gm_session *session,
				      CUmemGenericAllocationHandle handle)
{
	struct gm_rm_session *own = session->backend;
	struct gm_rm_place place;
	struct gm_range range;
	uint32_t memory;
	int rc;

	if (gm_range_find(session, own->scratch.unnamed, GM_SCRATCH_LARGE,
			  &range) ||
	    !gm_rm_take_record(session, &range, handle, &place, &memory))
		return false;
	rc = gm_rm_scratch_view(session, &range, &place, memory);
	gm_rm_free(&own->rm, memory);
	return !rc;
}

static bool gm_rm_scratch_check_record(struct gm_session *session,
				       CUmemAllocationProp prop)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_rm_session *own = session->backend;
	CUmemGenericAllocationHandle handle;
	bool right;

	prop.requestedHandleTypes = 0;
	if (cuda->vmm_create(&handle, GM_SCRATCH_LARGE, &prop, 0))
		return false;
	right = !gm_rm_scratch_map_vmm(cuda, &prop, handle,
				       &own->scratch.unnamed) &&
		gm_rm_scratch_view_record(session, handle);
	cuda->vmm_release(handle);
	gm_debug("rm: CUDA's records are %s",
		 right ? "as known" : "not believed");
	return right;
}

/* Where there is none to be had, there is none to be pinned either. */
static int gm_rm_scratch_check_vmm(struct gm_session *session)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_rm_session *own = session->backend;
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes =
			CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE,
			      .id = session->ordinal },
	};
	CUresult result;
	int rc;

	if (!cuda->vmm_create || !cuda->vmm_release || !cuda->vmm_reserve ||
	    !cuda->vmm_unreserve || !cuda->vmm_map || !cuda->vmm_unmap ||
	    !cuda->vmm_access || !cuda->vmm_retain || !cuda->vmm_export)
		return 0;
	result = cuda->vmm_create(&own->scratch.handle, GM_SCRATCH_LARGE, &prop,
				  0);
	if (!result) {
		result = gm_rm_scratch_map_vmm(cuda, &prop, own->scratch.handle,
					       &own->scratch.vmm);
		if (!result)
			gm_rm_scratch_export(cuda, &own->scratch);
		/* The mapping holds it. */
		cuda->vmm_release(own->scratch.handle);
	}
	if (result) {
		gm_debug("rm: no scratch memory of cuMemCreate: CUDA error %d",
			 (int)result);
		return 0;
	}
	/* What cannot be exported has no descriptor to be verified. */
	if (own->scratch.fd < 0)
		return 0;
	rc = gm_rm_scratch_check(session, own->scratch.vmm, GM_SCRATCH_LARGE);
	if (!rc && own->scratch.record.known)
		own->scratch.record.known =
			gm_rm_scratch_check_record(session, prop);
	return rc;
}

/* With the session's context current. */
static int gm_rm_scratch_check_all(struct gm_session *session)
{
	struct gm_rm_session *own = session->backend;
	int rc = 0;

	for (int i = 0; i < GM_RM_SCRATCHES && !rc; i++) {
		rc = gm_rm_scratch_alloc(session, &own->scratch.alloc[i]);
		if (!rc)
			rc = gm_rm_scratch_check(session, own->scratch.alloc[i],
						 GM_SCRATCH_SMALL);
	}
	if (!rc)
		rc = gm_session_need_own(session);
	if (!rc)
		rc = gm_rm_scratch_check(session, session->own, GM_OWN_BYTES);
	return rc ? rc : gm_rm_scratch_check_vmm(session);
}

int gm_rm_scratch_verify(struct gm_session *session)
{
	const uint64_t start = gm_clock_ns();
	struct gm_rm_session *own = session->backend;
	struct gm_cuda_scope scope;
	int rc;

	own->scratch.fd = -1;
	rc = gm_cuda_enter(&scope, &session->cuda, session->context);
	if (rc)
		return rc;
	rc = gm_rm_scratch_check_all(session);
	gm_cuda_leave(&scope);
	if (rc)
		gm_rm_scratch_free(session);
	gm_debug("rm: the driver's handles are %s, %.1f us",
		 rc ? "not as known" : "verified",
		 (gm_clock_ns() - start) / 1e3);
	return rc;
}

void gm_rm_scratch_free(struct gm_session *session)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_rm_session *own = session->backend;
	struct gm_cuda_scope scope;

	gm_rm_scratch_drop(&own->scratch);
	if (gm_session_is_reset(session) ||
	    gm_cuda_enter(&scope, cuda, session->context))
		return;
	for (int i = 0; i < GM_RM_SCRATCHES; i++)
		if (own->scratch.alloc[i])
			cuda->free(own->scratch.alloc[i]);
	gm_rm_scratch_unmap_vmm(cuda, &own->scratch.unnamed);
	gm_rm_scratch_unmap_vmm(cuda, &own->scratch.vmm);
	gm_cuda_leave(&scope);
}

void gm_rm_scratch_drop(struct gm_rm_scratch *scratch)
{
	if (scratch->fd >= 0)
		close(scratch->fd);
	scratch->fd = -1;
}
