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
 * Memory of cuMemCreate, by way of a descriptor of it; where it was created
 * without that handle type, by a search, if bytes of the range may be written.
 * -EOPNOTSUPP when that finds nothing.
 */
int gm_rm_take_vmm(struct gm_session *session, struct gm_rm *rm,
		   const struct gm_range *range, bool may_write,
		   struct gm_rm_place *place, uint32_t *memory);

/*
 * The same memory by a search among the objects of CUDA's client: 16 bytes of
 * the range are random for a moment, and the object that shows them is it.
 * Other memory is read, never written.
 */
int gm_rm_take_search(struct gm_session *session, struct gm_rm *rm,
		      const struct gm_range *range, struct gm_rm_place *place,
		      uint32_t *memory);

/*
 * The client, and an object, of memory that cuMemAlloc gives in the current
 * context; of so many bytes, which are free again at return.
 */
int gm_rm_ipc_sample(struct gm_session *session, size_t bytes,
		     struct gm_rm_place *place);

#endif /* GM_RM_TAKE_H */
