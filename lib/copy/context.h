/* SPDX-License-Identifier: MIT */
/*
 * What a session copies with beside the calling thread: a plan, helping
 * threads, the courier and the copy engine.
 */
#ifndef GM_COPIER_H
#define GM_COPIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy/host_memory.h"
#include "copy/meter.h"
#include "copy/sm/sm_copy.h"
#include "copy/ce/copy_engine.h"
#include "copy/table.h"
#include "copy/threads/pool.h"
#include "core/session.h"

/* What is made once and then used by one call at a time. */
struct gm_copier_part {
	pthread_mutex_t lock; /* guards making and using it */
	void *made; /* NULL: not yet, or it cannot be had */
	int rc; /* why it cannot be had, 0 where not tried */
	char reason[232]; /* the same for people */
};

struct gm_copier {
	struct gm_session *session;
	char gpu[96]; /* CUDA's name of the GPU */

	/* The longest copies that need no look at the plan. */
	_Atomic size_t write_small, read_small;
	struct gm_pageable pageable; /* that the courier read into */
	_Atomic uint32_t threads; /* for a large copy, the caller included */
	_Atomic bool courier_on, engine_on;
	_Atomic uint32_t idle_us, life_us;

	/* Of reads that the courier might do, and did. */
	struct gm_meter meter;
	_Atomic uint64_t read_end; /* gm_clock_ns() of the last one's end */
	_Atomic uint64_t held_up_until; /* the same: long reads keep from CUDA */
	_Atomic uint64_t held_up_ns_kib; /* what the read took that told so */
	/* Bytes of the read that has the courier, and threads that wait for it. */
	_Atomic size_t courier_length;
	_Atomic unsigned int courier_waiting;

	pthread_rwlock_t plan_lock;
	struct gm_plan plan; /* plan_lock */

	struct gm_copier_part pool; /* its lock is held for making it only */
	struct gm_copier_part courier;
	struct gm_copier_part engine;
	/* gm_clock_ns() of the last look at a busy null stream; 0: it was idle. */
	_Atomic uint64_t busy_time;
};

/* With the plan that fits this machine. NULL when out of memory. */
struct gm_copier *gm_copier_new(struct gm_session *session);

/*
 * Makes the courier and the engine when the session is opened: what CUDA does
 * for them waits for the program's kernels in the null stream, and one of these
 * may wait for the copy that needs them. So they are made while none is there,
 * and without them copies go another way.
 */
void gm_copier_prepare(struct gm_copier *copier);

/* Ends the courier for good: copies go on without it. */
void gm_copier_stop(struct gm_copier *copier);

/* Frees the rest. No copy is at work any more. */
void gm_copier_free(struct gm_copier *copier);

/* In a forked child: frees the host's memory alone. */
void gm_copier_drop(struct gm_copier *copier);

/* The threads, or NULL where there are none: then the caller works alone. */
struct gm_pool *gm_copier_pool(struct gm_copier *copier);

/*
 * The courier or the engine, made if it must be, with its lock held; give it
 * back with gm_copier_put(). NULL with the reason stored: it cannot be had, or
 * not now.
 */
struct gm_courier *gm_copier_courier(struct gm_copier *copier);
struct gm_engine *gm_copier_engine(struct gm_copier *copier);

/*
 * The same, unless another thread's long read has the courier: then NULL, and no
 * reason is stored.
 */
struct gm_courier *gm_copier_courier_soon(struct gm_copier *copier);

/* failed: a call of it did; it is not used again, for the reason stored. */
void gm_copier_put(struct gm_copier_part *part, int failed);

/* Takes over a plan, with plan_lock held for writing. */
void gm_copier_plan_changed(struct gm_copier *copier);

/*
 * The step for a copy; flags as in gm_plan_find(). Where the engine is off another
 * method takes its place.
 */
struct gpumem_plan_step gm_copier_step(struct gm_copier *copier,
				       unsigned int flags, uint64_t length);

#endif /* GM_COPIER_H */
