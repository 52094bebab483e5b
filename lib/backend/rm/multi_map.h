/* SPDX-License-Identifier: MIT */
/* A range over several memory objects, mapped in one piece. */
#ifndef GM_RM_SPAN_H
#define GM_RM_SPAN_H

#include "backend/rm/cache.h"

/* The part of a pinned range that lies in one allocation. */
struct gm_rm_part {
	struct gm_rm_mem *mem;
	uint64_t offset; /* of its first page in the memory object */
	uint64_t length; /* bytes, whole pages */
	bool mapped; /* by gm_rm_span_map(), as map tells */
	struct gm_rm_map map;
};

/* Maps parts one after the other. Each has a mapping of its own. */
int gm_rm_span_map(struct gm_rm_cache *cache, struct gm_rm_part *parts,
		   size_t count, char **base);
void gm_rm_span_unmap(struct gm_rm_cache *cache, struct gm_rm_part *parts,
		      size_t count, char *base);

#endif /* GM_RM_SPAN_H */
