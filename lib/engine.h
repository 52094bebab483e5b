/* SPDX-License-Identifier: MIT */
/*
 * Copies by the GPU's copy engine: straight to pinned host memory, and in
 * chunks through pinned staging memory for any other, so that the engine and
 * the CPU work at the same time.
 */
#ifndef GM_ENGINE_H
#define GM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda.h"
#include "session.h"

struct gm_engine;
struct gm_pool;

/* Shorter copies than this are not worth the engine's start. */
#define GM_ENGINE_MIN ((size_t)16 << 10)

/* -EOPNOTSUPP, -ENOMEM, -EIO with the reason stored. */
int gm_engine_new(struct gm_session *session, struct gm_engine **engine);
void gm_engine_free(struct gm_engine *engine);
/* In a forked child: frees the host's memory alone. */
void gm_engine_drop(struct gm_engine *engine);

/*
 * Copy between device memory, which is known to be allocated, and host memory.
 * One call at a time; the caller locks. pinned: the host memory is CUDA's own.
 * Return when the data is there. -EIO with its reason.
 */
int gm_engine_read(struct gm_engine *engine, uint64_t gpu, void *host,
		   size_t length, bool pinned, struct gm_pool *pool,
		   unsigned int threads);
int gm_engine_write(struct gm_engine *engine, uint64_t gpu, const void *host,
		    size_t length, bool pinned, struct gm_pool *pool,
		    unsigned int threads);

/*
 * The same in two steps, for host memory that should be pinned: any other CUDA
 * copies itself, and takes longer. After a failure to begin there is nothing to
 * end.
 */
int gm_engine_begin(struct gm_engine *engine, uint64_t gpu, void *host,
		    size_t length, bool read, struct gm_cuda_scope *scope);
int gm_engine_end(struct gm_engine *engine, struct gm_cuda_scope *scope);

#endif /* GM_ENGINE_H */
