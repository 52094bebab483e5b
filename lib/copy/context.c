// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "copy/context.h"
#include "base/env.h"
#include "base/error.h"
#include "base/hazptr.h"
#include "base/handle.h"

#define GM_COURIER_IDLE_US 10
#define GM_COURIER_LIFE_US 500
#define GM_LIMIT_MAX_US 10000

/* Another thread's read up to this is waited for: a few microseconds. */
#define GM_COURIER_SHORT ((size_t)64 << 10)

/* How long gpumem_open() waits for the null stream, and copies do not ask. */
#define GM_BUSY_OPEN_NS 50000000ull
#define GM_BUSY_COPY_NS 10000000ull

/* More threads than this fill no bus that was measured. */
#define GM_THREADS_DEFAULT 8

/* The NUMA node of the session's GPU, or -1. */
static int gm_session_node(const struct gm_session *session)
{
	char path[80];
	FILE *in;
	int node;

	if (!*session->pci)
		return -1;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node",
		 session->pci);
	in = fopen(path, "re");
	if (!in)
		return -1;
	if (fscanf(in, "%d", &node) != 1)
		node = -1;
	fclose(in);
	return node;
}

static void gm_part_init(struct gm_copier_part *part)
{
	pthread_mutex_init(&part->lock, NULL);
}

/* How far the plan says "by the caller alone" for either kind of memory. */
static size_t gm_plan_small(const struct gm_plan *plan, unsigned int flags)
{
	uint64_t small = UINT64_MAX;

	for (unsigned int pinned = 0; pinned <= GPUMEM_COPY_PINNED;
	     pinned += GPUMEM_COPY_PINNED) {
		const struct gpumem_plan_step *first =
			&plan->list[gm_plan_way(flags | pinned)].step[0];
		uint64_t end = first->method == GPUMEM_COPY_CPU ? first->up_to
								: 0;

		if (end < small)
			small = end;
	}
	return small > SIZE_MAX ? SIZE_MAX : (size_t)small;
}

void gm_copier_plan_changed(struct gm_copier *copier)
{
	atomic_store_explicit(&copier->write_small,
			      gm_plan_small(&copier->plan, 0),
			      memory_order_relaxed);
	atomic_store_explicit(&copier->read_small,
			      gm_plan_small(&copier->plan, GPUMEM_COPY_READ),
			      memory_order_relaxed);
}

static void gm_copier_plan_open(struct gm_copier *copier)
{
	char path[512];
	int rc;

	gm_plan_default(&copier->plan);
	if (!gm_plan_path(copier->gpu, path, sizeof(path))) {
		rc = gm_plan_load(&copier->plan, path);
		if (rc == -EINVAL) {
			gm_plan_default(&copier->plan);
			gm_debug("open: %s is no plan of this version; run "
				 "gpumem tune",
				 path);
		}
	}
	gm_copier_plan_changed(copier);
}

/* Launches that wait for their kernel's end, which then waits for the host. */
static bool gm_launches_block(void)
{
	const char *value = secure_getenv("CUDA_LAUNCH_BLOCKING");

	return value && *value && strcmp(value, "0") != 0;
}

struct gm_copier *gm_copier_new(struct gm_session *session)
{
	struct gm_copier *copier = calloc(1, sizeof(*copier));
	unsigned int cpus;

	if (!copier)
		return NULL;
	copier->session = session;
	session->cuda.device_name(copier->gpu, sizeof(copier->gpu),
				  session->device);
	cpus = gm_pool_cpus(-1);
	if (cpus > GM_THREADS_DEFAULT)
		cpus = GM_THREADS_DEFAULT;
	copier->threads = (unsigned int)gm_env_number(GM_ENV_THREADS, cpus);
	copier->courier_on = gm_env_number(GM_ENV_COURIER, 1) &&
			     !gm_launches_block();
	copier->engine_on = gm_env_number(GM_ENV_COPY_ENGINE, 1);
	copier->idle_us = GM_COURIER_IDLE_US;
	copier->life_us = GM_COURIER_LIFE_US;
	pthread_rwlock_init(&copier->plan_lock, NULL);
	gm_part_init(&copier->pool);
	gm_part_init(&copier->courier);
	gm_part_init(&copier->engine);
	gm_copier_plan_open(copier);
	gm_guard_setup();
	return copier;
}

static void gm_copier_end(struct gm_copier *copier)
{
	pthread_mutex_destroy(&copier->pool.lock);
	pthread_mutex_destroy(&copier->courier.lock);
	pthread_mutex_destroy(&copier->engine.lock);
	pthread_rwlock_destroy(&copier->plan_lock);
	free(copier);
}

void gm_copier_stop(struct gm_copier *copier)
{
	struct gm_copier_part *part = &copier->courier;

	pthread_mutex_lock(&part->lock);
	if (part->made)
		gm_courier_free(part->made);
	part->made = NULL;
	part->rc = -EBADF;
	snprintf(part->reason, sizeof(part->reason),
		 "courier: the session is being closed; copy before that");
	pthread_mutex_unlock(&part->lock);
}

void gm_copier_free(struct gm_copier *copier)
{
	if (copier->engine.made)
		gm_engine_free(copier->engine.made);
	if (copier->pool.made)
		gm_pool_free(copier->pool.made);
	gm_copier_end(copier);
}

void gm_copier_drop(struct gm_copier *copier)
{
	if (copier->courier.made)
		gm_courier_drop(copier->courier.made);
	if (copier->engine.made)
		gm_engine_drop(copier->engine.made);
	if (copier->pool.made)
		gm_pool_drop(copier->pool.made);
	/* The locks may be held for ever by threads that are not here. */
	free(copier);
}

struct gm_pool *gm_copier_pool(struct gm_copier *copier)
{
	struct gm_copier_part *part = &copier->pool;
	struct gm_pool *pool;

	if (copier->threads < 2)
		return NULL;
	pthread_mutex_lock(&part->lock);
	if (!part->made)
		part->made = gm_pool_new(GM_POOL_MAX,
					 gm_session_node(copier->session));
	pool = part->made;
	pthread_mutex_unlock(&part->lock);
	return pool;
}

/* Remembers why a part cannot be had, from the reason stored. */
static void gm_part_fail(struct gm_copier_part *part, int rc)
{
	part->rc = rc;
	snprintf(part->reason, sizeof(part->reason), "%.230s", gm_error_text());
}

/* Whether the part is there or is to be tried. Under its lock. */
static int gm_part_refused(const struct gm_copier_part *part)
{
	return part->rc ? gm_error(part->rc, "%s", part->reason) : 0;
}

/*
 * Whether a kernel runs in the null stream. To ask that would break a capture
 * in a stream that waits for the null stream; to ask whether there is one does
 * not.
 */
static bool gm_null_stream_runs(const struct gm_session *session)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_cuda_scope scope;
	bool runs = false;
	int capturing = 0;

	if (!cuda->stream_capturing || !cuda->stream_query ||
	    gm_cuda_enter(&scope, cuda, session->context))
		return false;
	if (!cuda->stream_capturing(CU_STREAM_LEGACY, &capturing) && !capturing)
		runs = cuda->stream_query(CU_STREAM_LEGACY) ==
		       CUDA_ERROR_NOT_READY;
	gm_cuda_leave(&scope);
	return runs;
}

/* Whether a part is not to be made now. Stores the reason. */
static bool gm_copier_is_busy(struct gm_copier *copier)
{
	uint64_t since = copier->busy_time, now = gm_clock_ns();

	if (!since || now - since > GM_BUSY_COPY_NS)
		copier->busy_time = gm_null_stream_runs(copier->session) ? now
									 : 0;
	if (!copier->busy_time)
		return false;
	gm_error(-EBUSY,
		 "copy: the GPU's own ways of copying are not made while "
		 "a kernel runs in the null stream, for which CUDA would "
		 "wait; use GPUMEM_COPY_CPU or _THREADS, or try later");
	return true;
}

/* Under the part's lock, which it lets go of where there is no courier. */
static struct gm_courier *gm_copier_courier_make(struct gm_copier *copier)
{
	const struct gm_courier_limits limits = { copier->idle_us,
						  copier->life_us };
	struct gm_copier_part *part = &copier->courier;
	struct gm_courier *made = NULL;
	int rc;

	if (!part->made && !gm_part_refused(part) &&
	    !gm_copier_is_busy(copier)) {
		rc = gm_courier_new(copier->session, &limits, &made);
		if (rc) {
			gm_part_fail(part, rc);
			gm_debug("courier: not to be had: %s", part->reason);
		}
		part->made = made;
	} else if (part->made && !part->rc) {
		gm_courier_set_limits(part->made, &limits);
	}
	if (part->made && !gm_part_refused(part))
		return part->made;
	pthread_mutex_unlock(&part->lock);
	return NULL;
}

struct gm_courier *gm_copier_courier(struct gm_copier *copier)
{
	struct gm_copier_part *part = &copier->courier;

	if (!copier->courier_on) {
		gm_error(-EOPNOTSUPP,
			 "courier: it is switched off; set GPUMEM_COURIER=1 or "
			 "gpumem_copy_settings.courier");
		return NULL;
	}
	if (pthread_mutex_trylock(&part->lock)) {
		copier->courier_waiting++;
		pthread_mutex_lock(&part->lock);
		copier->courier_waiting--;
	}
	return gm_copier_courier_make(copier);
}

struct gm_courier *gm_copier_courier_soon(struct gm_copier *copier)
{
	struct gm_copier_part *part = &copier->courier;

	if (!copier->courier_on)
		return NULL;
	if (!pthread_mutex_trylock(&part->lock))
		return gm_copier_courier_make(copier);
	return copier->courier_length > GM_COURIER_SHORT
		       ? NULL
		       : gm_copier_courier(copier);
}

struct gm_engine *gm_copier_engine(struct gm_copier *copier)
{
	struct gm_copier_part *part = &copier->engine;
	struct gm_engine *made = NULL;
	int rc;

	pthread_mutex_lock(&part->lock);
	/* Under the lock: see gpumem_copy_settings_set(). */
	if (!copier->engine_on) {
		pthread_mutex_unlock(&part->lock);
		gm_error(-EOPNOTSUPP, "copy engine: it is switched off; set "
				      "GPUMEM_COPY_ENGINE=1 or "
				      "gpumem_copy_settings.copy_engine");
		return NULL;
	}
	if (!part->made && !gm_part_refused(part) &&
	    !gm_copier_is_busy(copier)) {
		rc = gm_engine_new(copier->session, &made);
		if (rc) {
			gm_part_fail(part, rc);
			gm_debug("engine: not to be had: %s", part->reason);
		}
		part->made = made;
	}
	if (part->made && !gm_part_refused(part))
		return part->made;
	pthread_mutex_unlock(&part->lock);
	return NULL;
}

void gm_copier_put(struct gm_copier_part *part, int failed)
{
	if (failed) {
		gm_part_fail(part, failed);
		gm_debug("copy: not used again: %s", part->reason);
	}
	pthread_mutex_unlock(&part->lock);
}

struct gpumem_plan_step gm_copier_step(struct gm_copier *copier,
				       unsigned int flags, uint64_t length)
{
	struct gpumem_plan_step step;

	pthread_rwlock_rdlock(&copier->plan_lock);
	if (!copier->engine_on)
		flags &= ~GPUMEM_COPY_PINNED;
	step = *gm_plan_find(&copier->plan, flags, length);
	pthread_rwlock_unlock(&copier->plan_lock);
	/* That for memory which is not pinned has it seldom. */
	if (step.method == GPUMEM_COPY_ENGINE && !copier->engine_on) {
		step.method = flags & GPUMEM_COPY_READ ? GPUMEM_COPY_COURIER
						       : GPUMEM_COPY_THREADS;
		step.threads = copier->threads;
	}
	if (step.threads > copier->threads)
		step.threads = copier->threads;
	return step;
}

/* A kernel that ends soon is worth to wait for. */
static void gm_copier_await_idle(struct gm_copier *copier)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const uint64_t start = gm_clock_ns();

	while (gm_null_stream_runs(copier->session)) {
		if (gm_clock_ns() - start > GM_BUSY_OPEN_NS) {
			gm_debug("open: a kernel runs in the null stream: "
				 "copies go through the mapping until it has "
				 "ended");
			return;
		}
		nanosleep(&pause, NULL);
	}
}

void gm_copier_prepare(struct gm_copier *copier)
{
	struct gm_session *session = copier->session;

	gm_copier_await_idle(copier);
	if (copier->engine_on && gm_copier_engine(copier))
		gm_copier_put(&copier->engine, 0);
	if (copier->courier_on && gm_copier_courier(copier))
		gm_copier_put(&copier->courier, 0);
	/* Its doorbell is pinned: the program's pins are counted from here. */
	for (unsigned int i = 0; i < GM_COUNTS; i++)
		atomic_store(&session->counts[i], 0);
}

int gpumem_copy_settings_get(struct gpumem *handle,
			     struct gpumem_copy_settings *settings)
{
	struct gm_session *session;
	const struct gm_copier *copier;
	int rc;

	rc = gm_session_get(handle, "copy_settings_get", &session);
	if (rc)
		return rc;
	copier = session->copier;
	if (!settings || settings->size != sizeof(*settings))
		rc = gm_error(-EINVAL,
			      "copy_settings_get: settings is NULL or its size "
			      "is not %zu; set it to sizeof(struct "
			      "gpumem_copy_settings)",
			      sizeof(*settings));
	else
		*settings = (struct gpumem_copy_settings){
			.size = sizeof(*settings),
			.threads = copier->threads,
			.courier = copier->courier_on,
			.courier_idle_us = copier->idle_us,
			.courier_life_us = copier->life_us,
			.copy_engine = copier->engine_on,
		};
	gm_handle_put(handle);
	return rc;
}

static int gm_settings_check(const struct gpumem_copy_settings *settings)
{
	if (!settings || settings->size != sizeof(*settings))
		return gm_error(-EINVAL,
				"copy_settings_set: settings is NULL or its "
				"size is not %zu; set it to sizeof(struct "
				"gpumem_copy_settings)",
				sizeof(*settings));
	if (settings->threads < 1 || settings->threads > GM_POOL_MAX)
		return gm_error(-EINVAL,
				"copy_settings_set: threads is %u; use 1 to %u",
				settings->threads, GM_POOL_MAX);
	if (settings->courier > 1)
		return gm_error(-EINVAL,
				"copy_settings_set: courier is %u; use 0 or 1",
				settings->courier);
	if (settings->copy_engine > 1)
		return gm_error(-EINVAL,
				"copy_settings_set: copy_engine is %u; use 0 "
				"or 1",
				settings->copy_engine);
	if (settings->courier_idle_us < 10 ||
	    settings->courier_idle_us > GM_LIMIT_MAX_US ||
	    settings->courier_life_us < 100 ||
	    settings->courier_life_us > GM_LIMIT_MAX_US)
		return gm_error(-EINVAL,
				"copy_settings_set: courier_idle_us is %u, "
				"courier_life_us %u; use 10 to %u and 100 to "
				"%u",
				settings->courier_idle_us,
				settings->courier_life_us, GM_LIMIT_MAX_US,
				GM_LIMIT_MAX_US);
	return 0;
}

int gpumem_copy_settings_set(struct gpumem *handle,
			     const struct gpumem_copy_settings *settings)
{
	struct gm_session *session;
	struct gm_copier *copier;
	int rc;

	rc = gm_session_get(handle, "copy_settings_set", &session);
	if (rc)
		return rc;
	copier = session->copier;
	rc = gm_settings_check(settings);
	if (!rc) {
		copier->threads = settings->threads;
		copier->courier_on = settings->courier;
		copier->idle_us = settings->courier_idle_us;
		copier->life_us = settings->courier_life_us;
		copier->engine_on = settings->copy_engine;
		/* A copy that the engine is at ends before memory is freed. */
		pthread_mutex_lock(&copier->engine.lock);
		pthread_mutex_unlock(&copier->engine.lock);
	}
	gm_handle_put(handle);
	return rc;
}

int gpumem_copy_prepare(struct gpumem *handle)
{
	struct gm_session *session;
	struct gm_copier *copier;
	int rc;

	rc = gm_session_get(handle, "copy_prepare", &session);
	if (rc)
		return rc;
	copier = session->copier;
	/* The caller may have waited for the kernel: ask again. */
	copier->busy_time = 0;
	if (copier->threads > 1 && !gm_copier_pool(copier))
		rc = gm_error(-ENOMEM,
			      "copy_prepare: out of host memory; free some");
	if (copier->engine_on) {
		if (gm_copier_engine(copier))
			gm_copier_put(&copier->engine, 0);
		else
			rc = copier->busy_time ? -EBUSY : -EOPNOTSUPP;
	}
	if (copier->courier_on) {
		if (gm_copier_courier(copier))
			gm_copier_put(&copier->courier, 0);
		else
			rc = copier->busy_time ? -EBUSY : -EOPNOTSUPP;
	}
	gm_handle_put(handle);
	return rc;
}
