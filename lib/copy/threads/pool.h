/* SPDX-License-Identifier: MIT */
/*
 * Threads that help with large copies. They are started when first needed, run
 * on the CPUs of one NUMA node where that is known, and sleep while there is
 * nothing to do.
 */
#ifndef GM_POOL_H
#define GM_POOL_H

#include <stddef.h>

#include "base/env.h"

struct gm_pool;

/* More threads than this, the caller included, are never used. */
#define GM_POOL_MAX GM_ENV_THREADS_MAX

/*
 * A pool for up to max threads, the caller of gm_pool_run() being one of them.
 * node: the NUMA node to run on, or -1. NULL when out of memory. Starts none.
 */
struct gm_pool *gm_pool_new(unsigned int max, int node);

/* Ends the threads. No gm_pool_run() may be at work. */
void gm_pool_free(struct gm_pool *pool);

/* In a forked child, where the threads do not exist: frees the memory. */
void gm_pool_drop(struct gm_pool *pool);

/* Does one piece of a job; called at once by several threads. */
typedef void (*gm_pool_work)(void *arg, size_t first, size_t length);

/*
 * Calls work for pieces of [0, length), each of `piece` bytes but the last, by
 * up to `threads` threads, and returns when all are done, with everything that
 * they wrote visible to the caller. Pieces begin in order of their offset, each
 * once. The caller works too and waits for no one to wake up: where the others
 * are late, or busy with another caller's job, it does all by itself.
 */
void gm_pool_run(struct gm_pool *pool, unsigned int threads, size_t length,
		 size_t piece, gm_pool_work work, void *arg);

/*
 * Before a gm_pool_run() that comes within microseconds: wakes some of those that
 * would sleep until then, so that they look for it.
 */
void gm_pool_rouse(struct gm_pool *pool, unsigned int threads);

/* CPUs that this process may use, on the node where that is not -1. */
unsigned int gm_pool_cpus(int node);

#endif /* GM_POOL_H */
