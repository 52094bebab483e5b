/* SPDX-License-Identifier: MIT */
/* A buffer's mapping for the CPU, as copies use it. */
#ifndef GM_CORE_MAP_H
#define GM_CORE_MAP_H

#include "core/session.h"

/*
 * Holds the buffer's mapping, made if it must be, until gm_buf_unuse().
 * -ENODEV for memory that was freed, or as gpumem_map().
 */
int gm_buf_use(struct gm_buf *buf, const char *call);
void gm_buf_unuse(struct gm_buf *buf);

/*
 * After a short copy of a buffer that is held: the next one may go by
 * gm_quick_begin(), where the backend and the mapping allow that.
 */
void gm_buf_allow_quick(struct gm_buf *buf);

#endif /* GM_CORE_MAP_H */
