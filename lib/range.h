/* SPDX-License-Identifier: MIT */
/* What CUDA knows about an address. */
#ifndef GM_RANGE_H
#define GM_RANGE_H

#include "session.h"

/*
 * Finds the allocation that [addr, addr + length) lies in. -EINVAL, -ERANGE or
 * -EXDEV, with the reason, where the session cannot pin that range.
 */
int gm_range_find(struct gm_session *session, uint64_t addr, uint64_t length,
		  struct gm_range *range);

#endif /* GM_RANGE_H */
