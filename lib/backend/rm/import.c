// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>

#include "backend/rm/backend.h"
#include "base/error.h"

/*
 * Sizes of the GPU's large pages: an object ends where such a page does, the
 * block that an IPC handle names need not (seen with 580.159.04: 64 MiB + 4 KiB
 * in an object of 66 MiB).
 */
#define GM_RM_LARGE_PAGE ((uint64_t)2 << 20)
#define GM_RM_HUGE_PAGE ((uint64_t)512 << 20)

static bool gm_rm_size_fits(uint64_t bytes, uint64_t block)
{
	const uint64_t more = bytes - block;

	return bytes >= block &&
	       (more < GM_RM_LARGE_PAGE ||
		(more < GM_RM_HUGE_PAGE && !(bytes % GM_RM_HUGE_PAGE)));
}

/*
 * The object's size, as the driver tells it, is the block's that the allocation
 * lies in; memory of cuMemCreate may be mapped in part, from its start.
 */
static int gm_rm_check_size(const struct gm_rm *rm,
			    const struct gm_range *range, uint32_t memory,
			    struct gm_rm_place *place)
{
	const bool whole = range->kind != GM_MEMORY_VMM;
	uint64_t bytes;
	int rc;

	rc = gm_rm_size(rm, memory, &bytes);
	if (rc)
		return rc;
	if (whole ? !gm_rm_size_fits(bytes, place->block)
		  : bytes < place->block)
		return gm_error(-EPROTO,
				"rm: the memory object found for 0x%" PRIx64
				" has %" PRIu64 " bytes, expected %" PRIu64
				": this driver describes allocations in "
				"another way than this library knows; use "
				"backend kmod, and report the driver version",
				range->alloc_addr, bytes, place->block);
	place->block = bytes;
	return 0;
}

int gm_rm_take(struct gm_session *session, const struct gm_range *range,
	       bool may_write, struct gm_rm_place *place, uint32_t *memory)
{
	struct gm_rm_session *own = session->backend;
	int rc;

	if (range->kind == GM_MEMORY_VMM)
		rc = gm_rm_take_vmm(session, &own->rm, range, may_write, place,
				    memory);
	else
		rc = gm_rm_take_alloc(session, &own->rm, range, place, memory);
	if (rc)
		return rc;
	rc = gm_rm_check_size(&own->rm, range, *memory, place);
	if (rc)
		gm_rm_free(&own->rm, *memory);
	return rc;
}
