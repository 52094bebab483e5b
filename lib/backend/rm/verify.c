// SPDX-License-Identifier: MIT
/* The look at each allocation that is pinned for the first time. */
#include <inttypes.h>

#include "backend/rm/backend.h"
#include "base/clock.h"
#include "base/error.h"
#include "core/pointer.h"

/* The part of a mapped buffer that one allocation holds. */
static int gm_rmb_verify(struct gm_buf *buf, const struct gm_range *range,
			 const struct gm_rm_part *part, char *cpu)
{
	struct gm_session *session = buf->session;
	struct gm_rm_session *rm = session->backend;
	struct gm_rm_mem *mem = part->mem;
	/* Where the part's first page is. */
	const uint64_t start = mem->addr - mem->place.offset + part->offset;
	const struct gm_verify_view view = {
		.addr = range->addr,
		.cpu = cpu + (range->addr - start),
		.length = range->length,
	};
	const uint64_t began = gm_clock_ns();
	int rc;

	rc = gm_verify_compare(&rm->verifier, &view);
	gm_session_count(session, GM_COUNT_PROOFS, 1);
	gm_session_count(session, GM_COUNT_PROOF_NS, gm_clock_ns() - began);
	gm_debug("rm: compared 0x%" PRIx64 " + %" PRIu64 ": %s, %.1f us",
		 view.addr, view.length, rc ? "failed" : "agrees",
		 (gm_clock_ns() - began) / 1e3);
	if (!rc)
		gm_rm_cache_verified(&rm->cache, mem);
	return rc;
}

/* All of the parts that have not been looked at. */
static int gm_rmb_verify_parts(struct gm_buf *buf, const struct gm_range *range)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;
	uint64_t addr = range->addr;
	char *cpu = buf->base;
	int rc = 0;

	for (size_t i = 0; i < own->count && !rc; i++) {
		struct gm_range part;

		rc = gm_range_part(&buf->session->cuda, range, addr, &part);
		if (!rc && !gm_rm_cache_is_verified(&session->cache,
						    own->parts[i].mem))
			rc = gm_rmb_verify(buf, &part, &own->parts[i], cpu);
		addr += part.length;
		cpu += own->parts[i].length;
	}
	return rc;
}

int gm_rmb_ensure_verified(struct gm_buf *buf, const struct gm_range *range)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;
	bool verified = true;
	int rc;

	/* What the library has just allocated holds nothing to compare. */
	if (buf->owned)
		return 0;
	for (size_t i = 0; i < own->count; i++)
		verified &= gm_rm_cache_is_verified(&session->cache,
						    own->parts[i].mem);
	if (verified)
		return 0;
	rc = gm_rmb_map(buf);
	if (rc)
		return rc;
	rc = gm_rmb_verify_parts(buf, range);
	if (rc)
		gm_rmb_unmap(buf);
	return rc;
}
