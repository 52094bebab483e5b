/* SPDX-License-Identifier: MIT */
/*
 * Copies by the GPU's copy engine: straight to pinned host memory, and through
 * pinned staging memory for short ones to any other.
 */
#ifndef GM_ENGINE_H
#define GM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/cuda.h"
#include "core/session.h"

struct gm_engine;
struct gm_pool;

/* -EOPNOTSUPP, -ENOMEM, -EIO with the reason stored. */
int gm_engine_new(struct gm_session *session, struct gm_engine **engine);
void gm_engine_free(struct gm_engine *engine);
/* In a forked child: frees the host's memory alone. */
void gm_engine_drop(struct gm_engine *engine);

/* A copy between device memory, which is known to be allocated, and the host. */
struct gm_engine_copy {
	uint64_t gpu;
	char *host;
	size_t length;
	bool read;
	bool pinned; /* the host memory is CUDA's own */
	/* Whether the memory is there still: asked before the call of CUDA's. */
	bool (*alive)(void *arg);
	void *arg;
	/* Who takes a long read out of the staging memory; NULL: the caller. */
	struct gm_pool *pool;
	unsigned int threads;
};

/* Copies up to this go through staging memory, where host is not pinned. */
#define GM_ENGINE_STAGED ((size_t)2 << 20)

/*
 * Copies; the caller locks. Returns when the data is there. -ESTALE: the memory is
 * gone, nothing was copied; stores no reason. -EIO with its reason.
 *
 * One copy is one call of CUDA's, for whose end cuMemFree() waits. A copy in
 * several could not be safe from one: a call that comes while cuMemFree() waits
 * for those before it waits too, and then copies what is freed, which ends the
 * context (seen with 580.159.04). So long copies of memory that is not pinned are
 * CUDA's own.
 */
int gm_engine_copy(struct gm_engine *engine, const struct gm_engine_copy *copy);

#endif /* GM_ENGINE_H */
