/* SPDX-License-Identifier: MIT */
/* What the files of the rm backend share. */
#ifndef GM_BACKEND_RM_H
#define GM_BACKEND_RM_H

#include "backend.h"
#include "rm_span.h"

struct gm_rm_session {
	struct gm_rm rm;
	CUstream stream; /* of the primary context, for proofs */
	struct gm_rm_proofs proofs;
	struct gm_rm_cache cache;
};

struct gm_rm_buf {
	struct gm_rm_view *view; /* of one part; NULL: none is held */
	size_t count;
	struct gm_rm_part parts[]; /* each of another allocation */
};

/* Set buf->base and undo that; with buf->lock or before buf is known. */
int gm_rmb_map(struct gm_buf *buf);
void gm_rmb_unmap(struct gm_buf *buf);

/*
 * A stream for proofs in the current context. It does not wait for the
 * program's own work: that may never end.
 */
int gm_rmb_stream_new(const struct gm_cuda *cuda, CUstream *stream);

/* Such a stream of a context that is current, until it is put. */
int gm_rmb_stream_get(struct gm_session *session, CUcontext context,
		      CUstream *stream);
void gm_rmb_stream_put(struct gm_session *session, CUcontext context,
		       CUstream stream);

/*
 * Proves what of a buffer is not proven yet. Leaves it mapped when there was
 * something: the first map then costs nothing.
 */
int gm_rmb_ensure_proof(struct gm_buf *buf, const struct gm_range *range,
			unsigned int flags);

#endif /* GM_BACKEND_RM_H */
