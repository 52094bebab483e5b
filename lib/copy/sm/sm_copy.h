/* SPDX-License-Identifier: MIT */
/*
 * The courier: a kernel on the GPU that pushes device memory into pinned host
 * memory on a doorbell. It is started with its first job, takes further ones
 * through the mapping, and retires when it had nothing to do for a while or has
 * lived long enough, so that nothing that waits for the GPU waits for it long.
 */
#ifndef GM_COURIER_H
#define GM_COURIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/session.h"

struct gm_courier;
struct gm_pool;

/* When the courier retires; an application's synchronize waits no longer. */
struct gm_courier_limits {
	uint32_t idle_us; /* without a job */
	uint32_t life_us; /* in all; a job that it has begun it ends first */
};

/* The longest job: what it pushes before it looks at the time again. */
#define GM_COURIER_JOB ((size_t)1 << 20)

/*
 * Loads the kernel and allocates its staging memory and doorbell. Takes
 * milliseconds. -EOPNOTSUPP with its reason where the GPU or the driver cannot,
 * or as gpumem_alloc(): the doorbell is a buffer of the session.
 */
int gm_courier_new(struct gm_session *session,
		   const struct gm_courier_limits *limits,
		   struct gm_courier **courier);

/* Waits for the kernel to retire, and frees all. Before the session's buffers. */
void gm_courier_free(struct gm_courier *courier);

/* In a forked child: frees the host's memory alone. */
void gm_courier_drop(struct gm_courier *courier);

void gm_courier_set_limits(struct gm_courier *courier,
			   const struct gm_courier_limits *limits);

/* What a read asks before each part of it, and what it tells. */
struct gm_courier_watch {
	/* Whether the memory is there still: else the GPU is not to touch it. */
	bool (*alive)(void *arg);
	/* Whether another thread waits for the courier, or NULL. */
	bool (*give_way)(void *arg);
	void *arg;
	size_t done; /* out: bytes from the start on that have come */
};

/*
 * Copies device memory to the host. One call at a time; the caller locks.
 *
 * gpu      device address, of memory that is known to be allocated
 * host     where to
 * host_gpu what the GPU calls host where it is pinned memory, or 0: through the
 *          staging memory
 * threads  that may drain the staging memory, out of pool
 *
 * -EBUSY: the GPU does not begin the kernel, because others keep it busy; it is
 * to be copied another way. Nothing or a part was copied, and nothing will be
 * written later. The courier can be used again: it says the same at once while
 * that lasts, and for a while afterwards.
 * -ESTALE, -EAGAIN: the memory is gone, or others wait, see gm_courier_watch():
 * its done bytes have come, and nothing will be written later. Store no reason.
 * -EIO, -ETIMEDOUT: the kernel could not be started or does not answer; nothing
 * or a part was copied, and the courier is not to be used again.
 */
int gm_courier_read(struct gm_courier *courier, uint64_t gpu, void *host,
		    uint64_t host_gpu, size_t length, struct gm_pool *pool,
		    unsigned int threads);

/*
 * What the next read asks; without it the memory stays, and nobody waits. The
 * caller locks.
 */
void gm_courier_watch(struct gm_courier *courier,
		      struct gm_courier_watch *watch);

/* Whether a kernel runs and looks for jobs. The caller locks. */
bool gm_courier_runs(const struct gm_courier *courier);

/*
 * Where none runs: whether a read is to start one; see copy/sm/launch.h. gap_ns:
 * since the end of the last read. always: in any case, so that it says nothing of
 * reads to come. The caller locks.
 */
bool gm_courier_wants_start(struct gm_courier *courier, uint64_t gap_ns,
			    uint64_t now, bool always);

/*
 * Before a read that a running kernel is to do, of memory that is alive: takes the
 * time by which it is told later whether others waited for that kernel, where it may,
 * which is once in the second half of the kernel's life. The caller locks.
 */
bool gm_courier_may_time(const struct gm_courier *courier, uint64_t now);
void gm_courier_time_running(struct gm_courier *courier);

/*
 * Whether this read would have been one of a row that is not started for a while, as
 * another thread waits for its kernels again and again. The caller locks.
 */
bool gm_courier_rests(const struct gm_courier *courier, uint64_t gap_ns,
		      uint64_t now);

/*
 * What the next read is to do once, while the GPU is at work; not at all where
 * it does not come so far. The caller locks.
 */
void gm_courier_meanwhile(struct gm_courier *courier, void (*aside)(void *arg),
			  void *arg);

/* Waits until no kernel runs. False: one may still write, later. The caller locks. */
bool gm_courier_ended(struct gm_courier *courier);

/* Kernels started so far. */
uint64_t gm_courier_starts(const struct gm_courier *courier);

#endif /* GM_COURIER_H */
