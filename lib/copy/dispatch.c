// SPDX-License-Identifier: MIT
/*
 * The ways of a copy: the choice of one, by the plan and by what the memory at
 * both ends is, and a fall back to the mapping where that one cannot be taken.
 */
#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "copy/context.h"
#include "copy/copy.h"
#include "copy/host_memory.h"
#include "copy/dispatch.h"
#include "cpu/cpu.h"
#include "base/error.h"

/* What a piece of a copy by several threads is, at least. */
#define GM_PIECE_MIN ((size_t)16 << 10)
#define GM_PIECE_MAX ((size_t)256 << 10)

/* Reads up to this are done the same way into any host memory. */
#define GM_STAGED_MAX ((size_t)32 << 10)

/*
 * Longer than this, where the host memory is not pinned, a read starts the courier
 * in any case, which is drained while it goes on. 512 KiB after a kernel and a
 * synchronize take 23 % less by the engine; 1 MiB takes 18 % less where the helping
 * threads wake in time, and 50 % more where they do not (H200).
 */
#define GM_ISOLATED_ENGINE ((size_t)512 << 10)

/*
 * A longer read than these by the GPU that takes 10 ms and 10 ns a byte was held up in
 * CUDA, by threads that allocate, free and synchronize without a pause: 1 MiB took 40
 * to 120 ms by any call of CUDA's, and 0.4 by the mapping (H200, 580.159.04), which is
 * taken for so many times as long, up to 2 s, as long as it is quicker.
 */
#define GM_HELD_UP_NS 10000000ull
#define GM_HELD_UP_BYTE_NS 10u
#define GM_HELD_UP_TIMES 20u
#define GM_HELD_UP_MAX_NS 2000000000ull

/* Of a long read for who waits for the courier, at most: it may want no more. */
#define GM_GIVE_WAY_YIELDS 1000

static void gm_copy_cpu(const struct gm_copy *copy)
{
	if (copy->read)
		gm_cpu_read(copy->host, copy->map, copy->length);
	else
		gm_cpu_write(copy->map, copy->host, copy->length);
}

/* Each thread orders its own stores before it says that its piece is done. */
static void gm_copy_piece(void *arg, size_t first, size_t length)
{
	struct gm_copy piece = *(struct gm_copy *)arg;

	piece.map += first;
	piece.host += first;
	piece.length = length;
	gm_copy_cpu(&piece);
}

static int gm_copy_threads(struct gm_copier *copier, struct gm_copy *copy,
			   unsigned int threads)
{
	struct gm_pool *pool = threads > 1 ? gm_copier_pool(copier) : NULL;
	size_t piece;

	copy->gpu_since = 0;
	if (!pool) {
		gm_copy_cpu(copy);
		return 0;
	}
	/* A few pieces each, so that who wakes up late takes fewer. */
	piece = copy->length / threads / 4;
	if (piece < GM_PIECE_MIN)
		piece = GM_PIECE_MIN;
	if (piece > GM_PIECE_MAX)
		piece = GM_PIECE_MAX;
	piece &= ~(size_t)4095;
	gm_pool_run(pool, threads, copy->length, piece, gm_copy_piece, copy);
	return 0;
}

static void gm_copy_look_at_host(struct gm_copy *copy)
{
	const uint64_t begin = gm_clock_ns();

	copy->host_gpu = gm_host_memory_query(&copy->buf->session->cuda,
					      copy->host, copy->length);
	copy->pinned = copy->host_gpu;
	copy->looked = true;
	copy->look_ns = gm_clock_ns() - begin;
}

static void gm_copy_look_aside(void *copy)
{
	gm_copy_look_at_host(copy);
}

/*
 * Whether the device memory is still what was pinned: its address means nothing
 * else, and the GPU may touch it.
 */
static bool gm_copy_alive(void *arg)
{
	const struct gm_copy *copy = arg;
	const struct gm_buf *buf = copy->buf;

	return buf->memory_id && gm_cuda_buffer_id(&buf->session->cuda,
						   buf->addr) == buf->memory_id;
}

/* Whether another thread waits for the courier. */
static bool gm_copy_awaited(void *arg)
{
	const struct gm_copy *copy = arg;

	return copy->buf->session->copier->courier_waiting;
}

/* Skips what has been copied. */
static void gm_copy_skip(struct gm_copy *copy, size_t done)
{
	copy->gpu += done;
	copy->map += done;
	copy->host += done;
	copy->length -= done;
	if (copy->host_gpu)
		copy->host_gpu += done;
}

/* Lets those who wait have the courier, which the caller has, and takes it back. */
static struct gm_courier *gm_copy_give_way(struct gm_copier *copier)
{
	gm_copier_put(&copier->courier, 0);
	for (int i = 0; copier->courier_waiting && i < GM_GIVE_WAY_YIELDS; i++)
		sched_yield();
	return gm_copier_courier(copier);
}

/*
 * By the courier, whose lock is held, and let go of. What is freed meanwhile is
 * read through the mapping from there on.
 */
static int gm_copy_courier_held(struct gm_copier *copier,
				struct gm_courier *courier,
				struct gm_copy *whole, unsigned int threads)
{
	struct gm_copy copy = *whole;
	struct gm_courier_watch watch = { .alive = gm_copy_alive,
					  .give_way = gm_copy_awaited,
					  .arg = &copy };
	struct gm_pool *pool = threads > 1 ? gm_copier_pool(copier) : NULL;
	int rc;

	whole->gpu_since = gm_clock_ns();
	for (;;) {
		copier->courier_length = copy.length;
		gm_courier_watch(courier, &watch);
		rc = gm_courier_read(courier, copy.gpu, copy.host,
				     copy.host_gpu, copy.length, pool, threads);
		copier->courier_length = 0;
		if (rc != -EAGAIN)
			break;
		gm_copy_skip(&copy, watch.done);
		courier = gm_copy_give_way(copier);
		if (!courier)
			return -EOPNOTSUPP;
	}
	whole->stuck = rc == -ETIMEDOUT && copy.host_gpu &&
		       !gm_courier_ended(courier);
	/* Busy is the GPU, for now. */
	gm_copier_put(&copier->courier, rc == -EBUSY || rc == -ESTALE ? 0 : rc);
	if (rc != -ESTALE)
		return rc;
	gm_copy_skip(&copy, watch.done);
	whole->gpu_since = 0;
	return gm_copy_threads(copier, &copy, copier->threads);
}

static int gm_copy_courier(struct gm_copier *copier, struct gm_copy *copy,
			   unsigned int threads)
{
	struct gm_courier *courier = gm_copier_courier(copier);

	if (!courier)
		return -EOPNOTSUPP;
	if (!gm_courier_runs(courier))
		gm_courier_wants_start(courier, UINT64_MAX, 0, true);
	return gm_copy_courier_held(copier, courier, copy, threads);
}

static int gm_copy_engine(struct gm_copier *copier, struct gm_copy *copy,
			  unsigned int threads)
{
	const struct gm_engine_copy by = {
		.gpu = copy->gpu,
		.host = copy->host,
		.length = copy->length,
		.read = copy->read,
		.pinned = copy->pinned,
		.alive = gm_copy_alive,
		.arg = copy,
		.pool = threads > 1 && copy->read && !copy->pinned
				? gm_copier_pool(copier)
				: NULL,
		.threads = threads,
	};
	struct gm_engine *engine = gm_copier_engine(copier);
	int rc;

	if (!engine)
		return -EOPNOTSUPP;
	copy->gpu_since = gm_clock_ns();
	rc = gm_engine_copy(engine, &by);
	gm_copier_put(&copier->engine, rc == -ESTALE ? 0 : rc);
	return rc == -ESTALE ? gm_copy_threads(copier, copy, copier->threads)
			     : rc;
}

/*
 * The GPU may touch only memory that is there: an address that was freed, or
 * belongs to another context, would end the program's context. The mapping
 * shows the pinned memory in any case.
 */
static void gm_copy_look_at_gpu(struct gm_copy *copy)
{
	struct gm_buf *buf = copy->buf;

	copy->why_not = gm_buf_gpu_reach(buf);
	if (!copy->why_not && !gm_copy_alive(copy))
		copy->why_not = "the memory was freed after it was pinned";
}

/* One way. -EOPNOTSUPP, or the error of the GPU's side, with the reason. */
static int gm_copy_by(struct gm_copier *copier, struct gm_copy *copy,
		      const struct gpumem_plan_step *step)
{
	switch (step->method) {
	case GPUMEM_COPY_COURIER:
	case GPUMEM_COPY_ENGINE:
		if (copy->why_not)
			return gm_error(-EOPNOTSUPP,
					"%s: the GPU itself cannot copy here: "
					"%s; use GPUMEM_COPY_CPU or _THREADS",
					copy->call, copy->why_not);
		if (step->method == GPUMEM_COPY_ENGINE)
			return gm_copy_engine(copier, copy, step->threads);
		if (!copy->read)
			return gm_error(-EOPNOTSUPP,
					"%s: the courier reads only; use "
					"another method",
					copy->call);
		return gm_copy_courier(copier, copy, step->threads);
	case GPUMEM_COPY_THREADS:
		return gm_copy_threads(copier, copy, step->threads);
	default:
		gm_copy_cpu(copy);
		return 0;
	}
}

static unsigned int gm_copy_flags(const struct gm_copy *copy)
{
	return (copy->read ? GPUMEM_COPY_READ : 0) |
	       (copy->pinned ? GPUMEM_COPY_PINNED : 0);
}

/* The plan's way, and where it cannot be taken the next best. */
static int gm_copy_planned(struct gm_copier *copier, struct gm_copy *copy)
{
	struct gpumem_plan_step step =
		gm_copier_step(copier, gm_copy_flags(copy), copy->length);

	if (!gm_copy_by(copier, copy, &step))
		return 0;
	step.method = GPUMEM_COPY_THREADS;
	step.threads = copier->threads;
	return gm_copy_by(copier, copy, &step);
}

/* Since the end of the last read; of one in another thread, if it is later. */
static uint64_t gm_copy_gap(const struct gm_copier *copier, uint64_t now)
{
	const uint64_t end = copier->read_end;

	return now > end ? now - end : 0;
}

/*
 * A read that the plan gives to the courier, by it: where it runs, or is worth
 * its start. -EAGAIN: it is not, and nothing was copied; else an error.
 */
static int gm_copy_by_courier(struct gm_copier *copier, struct gm_copy *copy,
			      const struct gpumem_plan_step *step, uint64_t now)
{
	/* Without the engine what is left is to load from the mapping: slow. */
	const bool only = !copier->engine_on && copy->length > GM_ISOLATED_CPU;
	const bool always =
		only || (copy->length > GM_ISOLATED_ENGINE && !copy->pinned);
	const uint64_t gap_ns = gm_copy_gap(copier, now);
	struct gm_courier *courier;

	/* Times of a simulated GPU say nothing. */
	if (!only && !copy->buf->session->cuda.simulated &&
	    !gm_meter_wants_sm(&copier->meter, copy->length, now))
		return -EAGAIN;
	courier = only ? gm_copier_courier(copier)
		       : gm_copier_courier_soon(copier);
	if (!courier)
		return -EAGAIN;
	if (gm_courier_runs(courier)) {
		/* After a reset of the context the stream is gone as well. */
		if (gm_courier_may_time(courier, now) && gm_copy_alive(copy))
			gm_courier_time_running(courier);
	} else if (!gm_courier_wants_start(courier, gap_ns, now, always)) {
		copy->contended = copy->length <= GM_ISOLATED_ENGINE &&
				  gm_courier_rests(courier, gap_ns, now);
		gm_copier_put(&copier->courier, 0);
		return -EAGAIN;
	}
	if (copy->look_later)
		gm_courier_meanwhile(courier, gm_copy_look_aside, copy);
	return gm_copy_courier_held(copier, courier, copy, step->threads);
}

/*
 * The same read without the courier. Where other threads allocate, free and
 * synchronize without a pause the mapping is quicker than the engine, whose calls
 * wait for theirs: 64 KiB 38 us, and 1 MiB up to 90 ms (H200, 580.159.04).
 */
static int gm_copy_by_others(struct gm_copier *copier, struct gm_copy *copy,
			     bool look)
{
	struct gpumem_plan_step step = { .method = GPUMEM_COPY_ENGINE,
					 .threads = copier->threads };

	if (copy->length <= GM_ISOLATED_CPU) {
		gm_copy_cpu(copy);
		return 0;
	}
	if (look && !copy->looked && !copy->contended)
		gm_copy_look_at_host(copy);
	if (!copy->contended && !gm_copy_by(copier, copy, &step))
		return 0;
	step.method = GPUMEM_COPY_THREADS;
	return gm_copy_by(copier, copy, &step);
}

static int gm_copy_metered(struct gm_copier *copier, struct gm_copy *copy,
			   const struct gpumem_plan_step *step, bool look)
{
	const size_t length = copy->length;
	const uint64_t begin = gm_clock_ns();
	uint64_t end;
	int rc;

	rc = gm_copy_by_courier(copier, copy, step, begin);
	if (!rc) {
		if (copy->look_later && copy->looked)
			gm_pageable_set(&copier->pageable, copy->host,
					!copy->pinned);
		end = gm_clock_ns();
		gm_meter_sm(&copier->meter, length, end - begin, end);
	} else {
		rc = gm_copy_by_others(copier, copy, look);
		end = gm_clock_ns();
		if (!copy->contended)
			gm_meter_other(&copier->meter, length, end - begin);
	}
	copier->read_end = end;
	return rc;
}

/*
 * Looks at what the host memory is, where it makes a difference to a read: short
 * ones come through staging memory as fast in any case. Memory that was not
 * pinned at the last read is looked at while the courier is at work.
 */
static void gm_copy_look_for_read(struct gm_copier *copier,
				  struct gm_copy *copy, bool by_courier)
{
	if (copy->length <= GM_STAGED_MAX)
		return;
	if (by_courier && gm_pageable_holds(&copier->pageable, copy->host)) {
		copy->look_later = true;
		return;
	}
	gm_copy_look_at_host(copy);
	gm_pageable_set(&copier->pageable, copy->host, !copy->pinned);
}

static int gm_copy_read(struct gm_copier *copier, struct gm_copy *copy,
			bool look)
{
	struct gpumem_plan_step step;

	step = gm_copier_step(copier, GPUMEM_COPY_READ, copy->length);
	if (look)
		gm_copy_look_for_read(
			copier, copy,
			!copy->why_not && step.method == GPUMEM_COPY_COURIER);
	if (copy->pinned)
		step = gm_copier_step(copier, gm_copy_flags(copy),
				      copy->length);
	if (step.method != GPUMEM_COPY_COURIER || copy->why_not)
		return gm_copy_planned(copier, copy);
	return gm_copy_metered(copier, copy, &step, look);
}

/* To wait for another copy of this library's is not to be held up in CUDA. */
static void gm_copy_note_time(struct gm_copier *copier,
			      const struct gm_copy *copy, size_t length)
{
	const uint64_t end = gm_clock_ns();
	const uint64_t took = end - copy->gpu_since + copy->look_ns;
	uint64_t rest = took * GM_HELD_UP_TIMES;

	if (!copy->gpu_since ||
	    took < GM_HELD_UP_NS + length * GM_HELD_UP_BYTE_NS)
		return;
	if (rest > GM_HELD_UP_MAX_NS)
		rest = GM_HELD_UP_MAX_NS;
	copier->held_up_ns_kib = took / (length >> 10);
	copier->held_up_until = end + rest;
	gm_debug("read: %zu bytes took %llu ms, as another thread keeps CUDA "
		 "busy: long reads go through the mapping for %llu ms",
		 length, (unsigned long long)(took / 1000000),
		 (unsigned long long)(rest / 1000000));
}

static int gm_copy_held_up(struct gm_copier *copier, struct gm_copy *copy,
			   uint64_t begin)
{
	const size_t kib = copy->length >> 10;
	int rc = gm_copy_threads(copier, copy, copier->threads);

	if ((gm_clock_ns() - begin) / kib >= copier->held_up_ns_kib)
		copier->held_up_until = 0;
	return rc;
}

static int gm_copy_auto_read(struct gm_copier *copier, struct gm_copy *copy,
			     bool look)
{
	const size_t length = copy->length;
	uint64_t begin;
	int rc;

	/* Times of a simulated GPU say nothing. */
	if (length <= GM_ISOLATED_ENGINE || copy->buf->session->cuda.simulated)
		return gm_copy_read(copier, copy, look);
	begin = gm_clock_ns();
	if (begin < copier->held_up_until)
		return gm_copy_held_up(copier, copy, begin);
	rc = gm_copy_read(copier, copy, look);
	if (!rc)
		gm_copy_note_time(copier, copy, length);
	return rc;
}

static int gm_copy_auto(struct gm_copier *copier, struct gm_copy *copy,
			bool look)
{
	if (copy->read)
		return gm_copy_auto_read(copier, copy, look);
	if (look)
		gm_copy_look_at_host(copy);
	return gm_copy_planned(copier, copy);
}

static int gm_copy_stuck(const struct gm_copy *copy)
{
	return gm_error(-ETIMEDOUT,
			"%s: the GPU does not answer, and may still write to "
			"the host memory: do not use that; see nvidia-smi and "
			"dmesg",
			copy->call);
}

int gm_copy_run(struct gm_copy *copy, const struct gpumem_copy_options *options)
{
	struct gm_copier *copier = copy->buf->session->copier;
	const bool look = !(options->flags & GPUMEM_COPY_PAGEABLE);
	struct gpumem_plan_step step = { .method = options->method };
	int rc;

	if (options->method == GPUMEM_COPY_AUTO) {
		copy->why_not = gm_buf_gpu_reach(copy->buf);
		rc = gm_copy_auto(copier, copy, look);
		return copy->stuck ? gm_copy_stuck(copy) : rc;
	}
	gm_copy_look_at_gpu(copy);
	if (look && (!copy->read || copy->length > GM_STAGED_MAX))
		gm_copy_look_at_host(copy);
	step.threads = options->threads ? options->threads : copier->threads;
	return gm_copy_by(copier, copy, &step);
}
