/* SPDX-License-Identifier: MIT */
/* What the files of the rm backend share. */
#ifndef GM_BACKEND_RM_H
#define GM_BACKEND_RM_H

#include "core/backend.h"
#include "backend/rm/scratch.h"
#include "backend/verify.h"
#include "backend/rm/multi_map.h"

struct gm_rm_session {
	struct gm_rm rm;
	struct gm_verifier verifier; /* of the session's context */
	struct gm_rm_scratch scratch;
	struct gm_rm_cache cache;
};

struct gm_rm_buf {
	struct gm_rm_view *view; /* of one part; NULL: none is held */
	size_t count;
	struct gm_rm_part parts[]; /* each of another allocation */
};

/*
 * Finds where CUDA's record of an allocation, which its handle points to, holds
 * RM's handle of the object that memory is ours of.
 */
void gm_rm_record_find(struct gm_rm_session *own,
		       CUmemGenericAllocationHandle handle, uint32_t memory);

/*
 * A handle of our own to the object that CUDA's record of an allocation names, of
 * at least its size. False: it names none. handle stays retained meanwhile.
 */
bool gm_rm_take_record(struct gm_session *session, const struct gm_range *range,
		       CUmemGenericAllocationHandle handle,
		       struct gm_rm_place *place, uint32_t *memory);

/* Whether CUDA means the same memory of cuMemCreate by two addresses. */
bool gm_rm_is_same_vmm(const struct gm_cuda *cuda, uint64_t a, uint64_t b);

/* Set buf->base and undo that; with buf->lock or before buf is known. */
int gm_rmb_map(struct gm_buf *buf);
void gm_rmb_unmap(struct gm_buf *buf);

/*
 * Looks, once, whether each allocation of the buffer is mapped as CUDA means it.
 * Leaves it mapped when there was something: the first map then costs nothing.
 */
int gm_rmb_ensure_verified(struct gm_buf *buf, const struct gm_range *range);

#endif /* GM_BACKEND_RM_H */
