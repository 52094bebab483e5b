/* SPDX-License-Identifier: MIT */
/*
 * From a CUDA allocation to a memory object of RM's that the library owns.
 * The allocation's context is current.
 */
#ifndef GM_RM_TAKE_H
#define GM_RM_TAKE_H

#include "backend/rm/ioctl.h"
#include "core/session.h"

/* Where an allocation is in RM's terms. */
struct gm_rm_place {
	uint32_t client; /* CUDA's hClient; 0: unknown */
	uint32_t object; /* CUDA's hMemory */
	uint64_t block; /* bytes in that object */
	uint64_t offset; /* of the allocation in it */
};

/*
 * A handle of our own to the memory that a range of one allocation lies in, by
 * that allocation's kind; the object has the size that it should have.
 * may_write: see gm_rm_take_scan(). -EPROTO where the driver's answers do not
 * read as they should, -EOPNOTSUPP for memory that cannot be had.
 */
int gm_rm_take(struct gm_session *session, const struct gm_range *range,
	       bool may_write, struct gm_rm_place *place, uint32_t *memory);

/*
 * Memory of cuMemAlloc, by way of its IPC handle. -EPROTO when that does not
 * read as it should, -EOPNOTSUPP for memory that has none.
 */
int gm_rm_take_alloc(struct gm_session *session, struct gm_rm *rm,
		     const struct gm_range *range, struct gm_rm_place *place,
		     uint32_t *memory);

/*
 * Memory of cuMemCreate, by way of a descriptor of it; where it was created
 * without that handle type, out of CUDA's records (backend/rm/record.c), or by
 * gm_rm_take_scan().
 */
int gm_rm_take_vmm(struct gm_session *session, struct gm_rm *rm,
		   const struct gm_range *range, bool may_write,
		   struct gm_rm_place *place, uint32_t *memory);

/*
 * The same memory by exclusion: of the memory objects of CUDA's client the only
 * one that has its size, shows what CUDA reads there, and is no other memory that
 * the session knows. Writes nothing, unless may_write: then several may be left,
 * and the one is it that shows random bytes which CUDA puts for a moment in the
 * place of the last 16 of the range. -EOPNOTSUPP when none or several are left.
 */
int gm_rm_take_scan(struct gm_session *session, const struct gm_range *range,
		    bool may_write, struct gm_rm_place *place,
		    uint32_t *memory);

#endif /* GM_RM_TAKE_H */
