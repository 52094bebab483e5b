/* SPDX-License-Identifier: MIT */
/*
 * From a CUDA allocation to a memory object of RM's that the library owns.
 * The allocation's context is current.
 */
#ifndef GM_RM_TAKE_H
#define GM_RM_TAKE_H

#include "rm.h"
#include "rm_proof.h"

/*
 * Memory of cuMemAlloc, by way of its IPC handle. -EPROTO when that does not
 * read as it should, -EOPNOTSUPP for memory that has none.
 */
int gm_rm_take_alloc(struct gm_session *session, struct gm_rm *rm,
		     const struct gm_range *range, struct gm_rm_place *place,
		     uint32_t *memory);

/*
 * Memory of cuMemCreate, by way of a descriptor of it. -EOPNOTSUPP when it was
 * created without that handle type.
 */
int gm_rm_take_vmm(struct gm_session *session, struct gm_rm *rm,
		   const struct gm_range *range, struct gm_rm_place *place,
		   uint32_t *memory);

#endif /* GM_RM_TAKE_H */
