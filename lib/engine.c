// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "engine.h"
#include "error.h"
#include "handle.h"
#include "pool.h"

/*
 * Staging memory: enough slots for the engine to be busy while every other
 * slot is being drained or filled by a thread.
 */
#define GM_SLOT_SIZE ((size_t)512 << 10)
#define GM_SLOTS 8u

struct gm_engine {
	struct gm_session *session;
	CUstream stream;
	CUevent copied[GM_SLOTS];
	char *staging; /* GM_SLOTS of GM_SLOT_SIZE, pinned */
};

/* One copy through the staging memory, by several threads. */
struct gm_engine_job {
	struct gm_engine *engine;
	uint64_t gpu;
	char *host;
	size_t length;
	size_t chunks;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t moved; /* with lock: one of the counts changed */
	size_t queued; /* chunks given to the engine, in order */
	size_t freed; /* chunks before this one have left their slots */
	bool left[GM_SLOTS]; /* the chunk in a slot has, but one before has not */
	int rc;
	char reason[200]; /* of rc, for the calling thread */
};

static int gm_engine_error(struct gm_engine *engine, CUresult result,
			   const char *what)
{
	return gm_cuda_error(&engine->session->cuda, result, what,
			     "look at what the program's kernels did before");
}

static void gm_engine_undo(struct gm_engine *engine)
{
	const struct gm_cuda *cuda = &engine->session->cuda;

	for (unsigned int i = 0; i < GM_SLOTS; i++)
		if (engine->copied[i])
			cuda->event_destroy(engine->copied[i]);
	if (engine->staging)
		cuda->host_free(engine->staging);
	if (engine->stream)
		cuda->stream_destroy(engine->stream);
}

static int gm_engine_make(struct gm_engine *engine)
{
	const struct gm_cuda *cuda = &engine->session->cuda;
	void *staging = NULL;
	CUresult result;

	result = cuda->stream_create(&engine->stream, CU_STREAM_NON_BLOCKING);
	if (!result)
		result = cuda->host_alloc(&staging, GM_SLOTS * GM_SLOT_SIZE,
					  CU_MEMHOSTALLOC_PORTABLE);
	engine->staging = staging;
	for (unsigned int i = 0; i < GM_SLOTS && !result; i++)
		result = cuda->event_create(&engine->copied[i],
					    CU_EVENT_DISABLE_TIMING);
	return result ? gm_engine_error(engine, result,
					"engine: make its stream, events and "
					"staging memory")
		      : 0;
}

int gm_engine_new(struct gm_session *session, struct gm_engine **made)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_cuda_scope scope;
	struct gm_engine *engine;
	int rc;

	if (!cuda->stream_create || !cuda->stream_destroy ||
	    !cuda->stream_synchronize || !cuda->copy_to_host ||
	    !cuda->copy_to_device || !cuda->host_alloc || !cuda->host_free ||
	    !cuda->event_create || !cuda->event_destroy ||
	    !cuda->event_record || !cuda->event_query)
		return gm_error(-EOPNOTSUPP,
				"engine: this libcuda lacks asynchronous "
				"copies; use a newer driver");
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return gm_error(-ENOMEM,
				"engine: out of host memory; free some");
	engine->session = session;
	rc = gm_cuda_enter(&scope, cuda, session->context);
	if (rc)
		goto free_engine;
	rc = gm_engine_make(engine);
	if (rc)
		gm_engine_undo(engine);
	gm_cuda_leave(&scope);
	if (rc)
		goto free_engine;
	gm_session_set_witness(session, (uintptr_t)engine->staging);
	*made = engine;
	return 0;

free_engine:
	free(engine);
	return rc;
}

void gm_engine_free(struct gm_engine *engine)
{
	struct gm_cuda_scope scope;

	if (!gm_session_is_reset(engine->session) &&
	    !gm_cuda_enter(&scope, &engine->session->cuda,
			   engine->session->context)) {
		gm_session_set_witness(engine->session, 0);
		gm_engine_undo(engine);
		gm_cuda_leave(&scope);
	}
	free(engine);
}

void gm_engine_drop(struct gm_engine *engine)
{
	free(engine);
}

int gm_engine_begin(struct gm_engine *engine, uint64_t gpu, void *host,
		    size_t length, bool read, struct gm_cuda_scope *scope)
{
	const struct gm_cuda *cuda = &engine->session->cuda;
	CUresult result;
	int rc;

	rc = gm_cuda_enter(scope, cuda, engine->session->context);
	if (rc)
		return rc;
	result = read ? cuda->copy_to_host(host, gpu, length, engine->stream)
		      : cuda->copy_to_device(gpu, host, length, engine->stream);
	if (!result)
		return 0;
	rc = gm_engine_error(engine, result, "copy by the engine");
	gm_cuda_leave(scope);
	return rc;
}

int gm_engine_end(struct gm_engine *engine, struct gm_cuda_scope *scope)
{
	CUresult result =
		engine->session->cuda.stream_synchronize(engine->stream);
	int rc = result ? gm_engine_error(engine, result, "copy by the engine")
			: 0;

	gm_cuda_leave(scope);
	return rc;
}

/* Straight between the GPU and memory that the engine reaches. */
static int gm_engine_direct(struct gm_engine *engine, uint64_t gpu, void *host,
			    size_t length, bool read)
{
	struct gm_cuda_scope scope;
	int rc = gm_engine_begin(engine, gpu, host, length, read, &scope);

	return rc ? rc : gm_engine_end(engine, &scope);
}

/* The first failure stays, with the reason that its thread stored. */
static void gm_job_fail(struct gm_engine_job *job, int rc)
{
	pthread_mutex_lock(&job->lock);
	if (!job->rc) {
		job->rc = rc;
		snprintf(job->reason, sizeof(job->reason), "%.198s",
			 gm_error_text());
	}
	pthread_cond_broadcast(&job->moved);
	pthread_mutex_unlock(&job->lock);
}

static char *gm_job_slot(const struct gm_engine_job *job, size_t chunk)
{
	return job->engine->staging + chunk % GM_SLOTS * GM_SLOT_SIZE;
}

static size_t gm_job_length(const struct gm_engine_job *job, size_t chunk)
{
	size_t rest = job->length - chunk * GM_SLOT_SIZE;

	return rest < GM_SLOT_SIZE ? rest : GM_SLOT_SIZE;
}

/* Gives one chunk to the engine. Under job->lock, with the context current. */
static CUresult gm_job_queue(struct gm_engine_job *job, size_t chunk, bool read)
{
	struct gm_engine *engine = job->engine;
	const struct gm_cuda *cuda = &engine->session->cuda;
	uint64_t gpu = job->gpu + chunk * GM_SLOT_SIZE;
	size_t length = gm_job_length(job, chunk);
	char *slot = gm_job_slot(job, chunk);
	CUresult result;

	result = read ? cuda->copy_to_host(slot, gpu, length, engine->stream)
		      : cuda->copy_to_device(gpu, slot, length, engine->stream);
	if (!result)
		result = cuda->event_record(engine->copied[chunk % GM_SLOTS],
					    engine->stream);
	return result;
}

/* The chunk has left its slot. */
static void gm_job_free_slot(struct gm_engine_job *job, size_t chunk)
{
	pthread_mutex_lock(&job->lock);
	job->left[chunk % GM_SLOTS] = true;
	while (job->left[job->freed % GM_SLOTS]) {
		job->left[job->freed % GM_SLOTS] = false;
		job->freed++;
	}
	pthread_cond_broadcast(&job->moved);
	pthread_mutex_unlock(&job->lock);
}

static CUresult gm_job_wait(struct gm_engine_job *job, size_t chunk)
{
	const struct gm_cuda *cuda = &job->engine->session->cuda;
	CUevent event = job->engine->copied[chunk % GM_SLOTS];
	CUresult result;

	while ((result = cuda->event_query(event)) == CUDA_ERROR_NOT_READY)
		gm_cpu_pause();
	return result;
}

/*
 * Queues what there are slots for, up to this chunk at least: who is at work
 * on an earlier chunk needs no one to empty its slot.
 */
static int gm_job_queue_up_to(struct gm_engine_job *job, size_t chunk)
{
	CUresult result = 0;

	pthread_mutex_lock(&job->lock);
	for (;;) {
		while (!job->rc && !result && job->queued < job->chunks &&
		       job->queued < job->freed + GM_SLOTS)
			if (!(result = gm_job_queue(job, job->queued, true)))
				job->queued++;
		if (job->rc || result || job->queued > chunk)
			break;
		pthread_cond_wait(&job->moved, &job->lock);
	}
	pthread_mutex_unlock(&job->lock);
	if (result)
		return gm_engine_error(job->engine, result,
				       "read by the engine");
	return job->rc;
}

static void gm_job_read_piece(void *arg, size_t first, size_t length)
{
	struct gm_engine_job *job = arg;
	struct gm_engine *engine = job->engine;
	size_t chunk = first / GM_SLOT_SIZE;
	struct gm_cuda_scope scope;
	CUresult result;
	int rc;

	rc = gm_cuda_enter(&scope, &engine->session->cuda,
			   engine->session->context);
	if (rc) {
		gm_job_fail(job, rc);
		return;
	}
	rc = gm_job_queue_up_to(job, chunk);
	if (!rc) {
		result = gm_job_wait(job, chunk);
		if (result)
			rc = gm_engine_error(engine, result,
					     "read by the engine");
	}
	gm_cuda_leave(&scope);
	if (rc) {
		gm_job_fail(job, rc);
		return;
	}
	gm_cpu()->drain(job->host + first, gm_job_slot(job, chunk), length);
	gm_cpu_fence();
	gm_job_free_slot(job, chunk);
}

static void gm_job_write_piece(void *arg, size_t first, size_t length)
{
	struct gm_engine_job *job = arg;
	struct gm_engine *engine = job->engine;
	size_t chunk = first / GM_SLOT_SIZE;
	struct gm_cuda_scope scope;
	CUresult result = 0;
	int rc;

	rc = gm_cuda_enter(&scope, &engine->session->cuda,
			   engine->session->context);
	if (rc) {
		gm_job_fail(job, rc);
		return;
	}
	/* The engine is done with who had the slot before. */
	if (chunk >= GM_SLOTS) {
		pthread_mutex_lock(&job->lock);
		while (!job->rc && job->queued <= chunk - GM_SLOTS)
			pthread_cond_wait(&job->moved, &job->lock);
		rc = job->rc;
		pthread_mutex_unlock(&job->lock);
		if (!rc)
			result = gm_job_wait(job, chunk - GM_SLOTS);
	}
	if (!rc && !result) {
		memcpy(gm_job_slot(job, chunk), job->host + first, length);
		pthread_mutex_lock(&job->lock);
		while (!job->rc && job->queued != chunk)
			pthread_cond_wait(&job->moved, &job->lock);
		rc = job->rc;
		if (!rc && !(result = gm_job_queue(job, chunk, false)))
			job->queued++;
		pthread_cond_broadcast(&job->moved);
		pthread_mutex_unlock(&job->lock);
	}
	if (result)
		rc = gm_engine_error(engine, result, "write by the engine");
	gm_cuda_leave(&scope);
	if (rc)
		gm_job_fail(job, rc);
}

/* Without a pool the pieces come one after the other, by this thread. */
static void gm_job_run(struct gm_engine_job *job, struct gm_pool *pool,
		       unsigned int threads, gm_pool_work work)
{
	if (pool) {
		gm_pool_run(pool, threads, job->length, GM_SLOT_SIZE, work,
			    job);
		return;
	}
	for (size_t i = 0; i < job->chunks; i++)
		work(job, i * GM_SLOT_SIZE, gm_job_length(job, i));
}

static int gm_engine_staged(struct gm_engine *engine, uint64_t gpu, void *host,
			    size_t length, struct gm_pool *pool,
			    unsigned int threads, bool read)
{
	struct gm_engine_job job = {
		.engine = engine,
		.gpu = gpu,
		.host = host,
		.length = length,
		.chunks = (length + GM_SLOT_SIZE - 1) / GM_SLOT_SIZE,
	};
	struct gm_cuda_scope scope;
	CUresult result;

	pthread_mutex_init(&job.lock, NULL);
	pthread_cond_init(&job.moved, NULL);
	if (threads > GM_SLOTS)
		threads = GM_SLOTS;
	gm_job_run(&job, pool, threads,
		   read ? gm_job_read_piece : gm_job_write_piece);
	pthread_cond_destroy(&job.moved);
	pthread_mutex_destroy(&job.lock);
	/* What is still on its way uses the staging memory. */
	if (!gm_cuda_enter(&scope, &engine->session->cuda,
			   engine->session->context)) {
		result = engine->session->cuda.stream_synchronize(
			engine->stream);
		gm_cuda_leave(&scope);
		if (result && !job.rc)
			return gm_engine_error(engine, result,
					       "copy by the engine");
	}
	return job.rc ? gm_error(job.rc, "%s", job.reason) : 0;
}

int gm_engine_read(struct gm_engine *engine, uint64_t gpu, void *host,
		   size_t length, bool pinned, struct gm_pool *pool,
		   unsigned int threads)
{
	if (pinned)
		return gm_engine_direct(engine, gpu, host, length, true);
	return gm_engine_staged(engine, gpu, host, length, pool, threads, true);
}

int gm_engine_write(struct gm_engine *engine, uint64_t gpu, const void *host,
		    size_t length, bool pinned, struct gm_pool *pool,
		    unsigned int threads)
{
	void *from = (void *)(uintptr_t)host;

	if (pinned)
		return gm_engine_direct(engine, gpu, from, length, false);
	return gm_engine_staged(engine, gpu, from, length, pool, threads,
				false);
}
