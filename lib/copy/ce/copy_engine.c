// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "copy/ce/wait.h"
#include "cpu/cpu.h"
#include "copy/ce/copy_engine.h"
#include "base/error.h"
#include "base/handle.h"
#include "base/pause.h"
#include "copy/threads/pool.h"

struct gm_engine {
	struct gm_session *session;
	CUstream stream;
	char *staging; /* GM_ENGINE_STAGED, pinned, and behind it the flag */
	uint32_t *flag; /* what the stream writes behind a copy */
	CUdeviceptr flag_gpu; /* 0: it cannot */
	uint32_t copies;
	struct gm_ce_wait wait;
};

/* Copies up to this may end by the flag: longer ones do not feel the difference. */
#define GM_ENGINE_FLAGGED ((size_t)1 << 20)

/*
 * Looks at the flag between two questions to CUDA, each some 40 us, and questions
 * until CUDA waits itself, in the way that the program has chosen.
 */
#define GM_ENGINE_LOOKS 1024u
#define GM_ENGINE_QUESTIONS 32u
#define GM_ENGINE_FLAG_ROOM 64u

/* Reads from this on several threads take out of the staging memory, in parts. */
#define GM_ENGINE_SHARED ((size_t)128 << 10)
#define GM_ENGINE_PART ((size_t)32 << 10)

struct gm_engine_part {
	char *to;
	const char *from;
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

	if (engine->staging)
		cuda->host_free(engine->staging);
	if (engine->stream)
		cuda->stream_destroy(engine->stream);
}

static void gm_engine_make_flag(struct gm_engine *engine)
{
	const struct gm_cuda *cuda = &engine->session->cuda;

	engine->flag = (uint32_t *)(engine->staging + GM_ENGINE_STAGED);
	*engine->flag = 0;
	if (!cuda->stream_write || !cuda->stream_query || !cuda->host_address ||
	    cuda->host_address(&engine->flag_gpu, engine->flag, 0))
		engine->flag_gpu = 0;
}

static int gm_engine_make(struct gm_engine *engine)
{
	const struct gm_cuda *cuda = &engine->session->cuda;
	void *staging = NULL;
	CUresult result;

	result = cuda->stream_create(&engine->stream, CU_STREAM_NON_BLOCKING);
	if (!result)
		result = cuda->host_alloc(
			&staging, GM_ENGINE_STAGED + GM_ENGINE_FLAG_ROOM,
			CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
	engine->staging = staging;
	if (!result)
		gm_engine_make_flag(engine);
	return result ? gm_engine_error(engine, result,
					"engine: make its stream and staging "
					"memory")
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
	    !cuda->copy_to_device || !cuda->host_alloc || !cuda->host_free)
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
		gm_engine_undo(engine);
		gm_cuda_leave(&scope);
	}
	free(engine);
}

void gm_engine_drop(struct gm_engine *engine)
{
	free(engine);
}

static bool gm_engine_alive(const struct gm_engine_copy *copy)
{
	return copy->alive(copy->arg);
}

static CUresult gm_engine_start(struct gm_engine *engine,
				const struct gm_engine_copy *copy)
{
	const struct gm_cuda *cuda = &engine->session->cuda;

	if (copy->read)
		return cuda->copy_to_host(copy->host, copy->gpu, copy->length,
					  engine->stream);
	return cuda->copy_to_device(copy->gpu, copy->host, copy->length,
				    engine->stream);
}

static CUresult gm_engine_wait_flag(const struct gm_engine *engine)
{
	const struct gm_cuda *cuda = &engine->session->cuda;
	CUresult result = CUDA_ERROR_NOT_READY;

	for (unsigned int i = 1; result == CUDA_ERROR_NOT_READY; i++) {
		if (__atomic_load_n(engine->flag, __ATOMIC_ACQUIRE) ==
		    engine->copies)
			return CUDA_SUCCESS;
		gm_cpu_pause();
		if (i % GM_ENGINE_LOOKS)
			continue;
		if (i == GM_ENGINE_LOOKS * GM_ENGINE_QUESTIONS)
			return cuda->stream_synchronize(engine->stream);
		sched_yield();
		/* Where something went wrong no flag comes. */
		result = cuda->stream_query(engine->stream);
	}
	return result;
}

/* For a copy of length bytes that was started at begin. */
static CUresult gm_engine_wait(struct gm_engine *engine, size_t length,
			       uint64_t begin)
{
	const struct gm_cuda *cuda = &engine->session->cuda;
	const bool chosen = engine->flag_gpu && length <= GM_ENGINE_FLAGGED;
	bool by_flag = chosen && gm_ce_wait_by_flag(&engine->wait, length);
	CUresult result;

	if (by_flag && cuda->stream_write(engine->stream, engine->flag_gpu,
					  ++engine->copies, 0)) {
		engine->flag_gpu = 0;
		by_flag = false;
	}
	result = by_flag ? gm_engine_wait_flag(engine)
			 : cuda->stream_synchronize(engine->stream);
	if (chosen && !result)
		gm_ce_wait_took(&engine->wait, length, by_flag,
				gm_clock_ns() - begin);
	return result;
}

/* By one call of CUDA's, between the GPU and host memory of any kind. */
static int gm_engine_once(struct gm_engine *engine,
			  const struct gm_engine_copy *copy)
{
	const struct gm_cuda *cuda = &engine->session->cuda;
	struct gm_cuda_scope scope;
	uint64_t begin;
	CUresult result;
	int rc;

	rc = gm_cuda_enter(&scope, cuda, engine->session->context);
	if (rc)
		return rc;
	if (!gm_engine_alive(copy)) {
		rc = -ESTALE;
		goto leave;
	}
	begin = gm_clock_ns();
	result = gm_engine_start(engine, copy);
	if (result && !gm_engine_alive(copy)) {
		rc = -ESTALE;
		goto leave;
	}
	if (!result)
		result = gm_engine_wait(engine, copy->length, begin);
	if (result)
		rc = gm_engine_error(engine, result, "copy by the engine");
leave:
	gm_cuda_leave(&scope);
	return rc;
}

/* gm_pool_work: a part of what lies in the staging memory, into the host's. */
static void gm_engine_take_part(void *arg, size_t first, size_t length)
{
	const struct gm_engine_part *part = arg;

	gm_cpu()->copy(part->to + first, part->from + first, length);
}

static void gm_engine_take(struct gm_engine *engine,
			   const struct gm_engine_copy *copy)
{
	struct gm_engine_part part = { .to = copy->host,
				       .from = engine->staging };

	if (copy->pool && copy->length >= GM_ENGINE_SHARED)
		gm_pool_run(copy->pool, copy->threads, copy->length,
			    GM_ENGINE_PART, gm_engine_take_part, &part);
	else
		gm_engine_take_part(&part, 0, copy->length);
}

int gm_engine_copy(struct gm_engine *engine, const struct gm_engine_copy *copy)
{
	struct gm_engine_copy staged = *copy;
	int rc;

	if (copy->pinned || copy->length > GM_ENGINE_STAGED)
		return gm_engine_once(engine, copy);
	staged.host = engine->staging;
	/* After a reset of the context the staging memory is gone as well. */
	if (!copy->read && !gm_engine_alive(copy))
		return -ESTALE;
	if (!copy->read)
		memcpy(engine->staging, copy->host, copy->length);
	else if (copy->pool && copy->length >= GM_ENGINE_SHARED)
		gm_pool_rouse(copy->pool, copy->threads);
	rc = gm_engine_once(engine, &staged);
	if (!rc && copy->read)
		gm_engine_take(engine, copy);
	return rc;
}
