/* SPDX-License-Identifier: MIT */
/* What CUDA knows about an address. */
#ifndef GM_RANGE_H
#define GM_RANGE_H

#include "core/session.h"

/*
 * The GPU that the memory at an address is on; -1 where CUDA does not tell.
 * -EINVAL, with the reason, which begins with call: it is no device memory. There
 * need be no current context.
 */
int gm_range_device(const struct gm_cuda *cuda, const char *call, uint64_t addr,
		    int *ordinal);

/*
 * Finds the allocation that [addr, addr + length) lies in. -EINVAL, -ERANGE or
 * -EXDEV, with the reason, where the session cannot pin that range.
 */
int gm_range_find(struct gm_session *session, uint64_t addr, uint64_t length,
		  struct gm_range *range);

/*
 * Narrows a range that gm_range_find() found to the part of it from addr on
 * that lies in one allocation. Its context is current.
 */
int gm_range_part(const struct gm_cuda *cuda, const struct gm_range *range,
		  uint64_t addr, struct gm_range *part);

#endif /* GM_RANGE_H */
