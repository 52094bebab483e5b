/* SPDX-License-Identifier: MIT */
/* What all calls that copy share. */
#ifndef GM_COPY_H
#define GM_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/map.h"
#include "core/session.h"

/* The arguments of a copy. -EINVAL, -ERANGE with the reason stored. */
int gm_copy_check(struct gm_buf *buf, const char *call, uint64_t offset,
		  const void *host, size_t length);

/*
 * Why the GPU cannot reach the buffer's memory from the session's context at
 * the device addresses in a row, whether or not it is there still; or NULL.
 */
const char *gm_buf_gpu_reach(struct gm_buf *buf);

/*
 * A copy of a buffer in use whose arguments are checked and not empty. A short
 * one is done by this thread without fences: gm_cpu_load_fence() comes before
 * reads, gm_cpu_fence() after writes.
 */
int gm_copy_held(struct gm_buf *buf, const char *call, uint64_t offset,
		 void *host, size_t length, bool read);

#endif /* GM_COPY_H */
