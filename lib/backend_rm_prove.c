// SPDX-License-Identifier: MIT
/* When the rm backend proves a mapping, and with which stream. */
#include "backend_rm.h"
#include "base/clock.h"
#include "error.h"
#include "range.h"

int gm_rmb_stream_new(const struct gm_cuda *cuda, CUstream *stream)
{
	CUresult result = cuda->stream_create(stream, CU_STREAM_NON_BLOCKING);

	if (!result)
		return 0;
	return gm_cuda_error(cuda, result, "rm: make a stream",
			     "look for an earlier CUDA error");
}

int gm_rmb_stream_get(struct gm_session *session, CUcontext context,
		      CUstream *stream)
{
	struct gm_rm_session *rm = session->backend;

	*stream = rm->stream;
	if (context == session->context)
		return 0;
	return gm_rmb_stream_new(&session->cuda, stream);
}

void gm_rmb_stream_put(struct gm_session *session, CUcontext context,
		       CUstream stream)
{
	if (context != session->context)
		session->cuda.stream_destroy(stream);
}

/* Proves the part of the mapping that shows one allocation. */
static int gm_rmb_prove(struct gm_buf *buf, const struct gm_range *range,
			CUstream stream, char *cpu, struct gm_rm_part *part,
			bool may_write)
{
	struct gm_session *session = buf->session;
	struct gm_rm_session *rm = session->backend;
	struct gm_rm_mem *mem = part->mem;
	struct gm_rm_suspect suspect = {
		.cuda = &session->cuda,
		.stream = stream,
		.range = range,
		.cpu = cpu,
		.addr = mem->addr - mem->place.offset + part->offset,
		.length = part->length,
		.may_write = may_write,
	};
	uint64_t start = gm_clock_ns();
	int rc;

	rc = gm_rm_prove(&suspect);
	gm_session_count(session, GM_COUNT_PROOFS, 1);
	gm_session_count(session, GM_COUNT_TRIAL_WRITES, suspect.wrote);
	gm_session_count(session, GM_COUNT_PROOF_NS, gm_clock_ns() - start);
	if (rc)
		return rc;
	gm_rm_proofs_add(&rm->proofs, mem->id, mem->addr, &mem->place);
	gm_rm_cache_proven(&rm->cache, mem);
	return 0;
}

/* Proves those parts that are not proven yet. */
static int gm_rmb_prove_parts(struct gm_buf *buf, const struct gm_range *range,
			      CUstream stream, bool may_write)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;
	uint64_t addr = range->addr;
	char *cpu = buf->base;
	int rc = 0;

	for (size_t i = 0; i < own->count && !rc; i++) {
		struct gm_range part;

		rc = gm_range_part(&buf->session->cuda, range, addr, &part);
		if (!rc &&
		    !gm_rm_cache_is_proven(&session->cache, own->parts[i].mem))
			rc = gm_rmb_prove(buf, &part, stream, cpu,
					  &own->parts[i], may_write);
		addr += part.length;
		cpu += own->parts[i].length;
	}
	return rc;
}

int gm_rmb_ensure_proof(struct gm_buf *buf, const struct gm_range *range,
			unsigned int flags)
{
	struct gm_session *session = buf->session;
	struct gm_rm_session *rm = session->backend;
	struct gm_rm_buf *own = buf->backend;
	bool proven = true;
	CUstream stream;
	int rc;

	for (size_t i = 0; i < own->count; i++)
		proven &= gm_rm_cache_is_proven(&rm->cache, own->parts[i].mem);
	if (proven)
		return 0;
	rc = gm_rmb_map(buf);
	if (rc)
		return rc;
	rc = gm_rmb_stream_get(session, range->context, &stream);
	if (!rc) {
		rc = gm_rmb_prove_parts(buf, range, stream,
					!(flags & GPUMEM_PIN_NO_TRIAL_WRITE));
		gm_rmb_stream_put(session, range->context, stream);
	}
	if (rc)
		gm_rmb_unmap(buf);
	return rc;
}
