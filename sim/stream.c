// SPDX-License-Identifier: MIT
/* Streams: handles, as late.c keeps what they have not done yet. */
#include <stdlib.h>

#include "sim.h"

#define PRIORITY_GREATEST (-5)

struct CUstream_st {
	unsigned int flags;
	int priority;
	CUcontext ctx;
	struct CUstream_st *next;
};

static struct CUstream_st *streams;

static struct CUstream_st **stream_link(CUstream stream)
{
	struct CUstream_st **at;

	for (at = &streams; *at; at = &(*at)->next) {
		if (*at == stream)
			return at;
	}
	sim_dead_check(stream);
	return NULL;
}

static bool is_default(CUstream stream)
{
	return !stream || stream == CU_STREAM_LEGACY ||
	       stream == CU_STREAM_PER_THREAD;
}

bool sim_stream_live(CUstream stream)
{
	return is_default(stream) || stream_link(stream);
}

bool sim_stream_blocks(CUstream stream)
{
	return !is_default(stream) && !(stream->flags & CU_STREAM_NON_BLOCKING);
}

static void stream_remove(struct CUstream_st **at)
{
	struct CUstream_st *s = *at;

	*at = s->next;
	free(s);
}

void sim_stream_clear(CUcontext ctx)
{
	struct CUstream_st **at = &streams;

	while (*at) {
		if ((*at)->ctx == ctx) {
			sim_dead_add(*at);
			*at = (*at)->next;
		} else {
			at = &(*at)->next;
		}
	}
}

/* A priority out of range is brought into it. */
CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags,
				    int priority)
{
	CUcontext ctx;
	CUresult result = sim_lock_write(&ctx);
	struct CUstream_st *s = NULL;

	if (result)
		return result;
	if (!stream || flags & ~1u) {
		result = CUDA_ERROR_INVALID_VALUE;
		goto unlock;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto unlock;
	}
	if (priority > 0)
		priority = 0;
	if (priority < PRIORITY_GREATEST)
		priority = PRIORITY_GREATEST;
	s->flags = flags;
	s->priority = priority;
	s->ctx = ctx;
	s->next = streams;
	streams = s;
	*stream = s;
unlock:
	sim_unlock();
	return result;
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
	return cuStreamCreateWithPriority(stream, flags, 0);
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
	CUresult result = sim_lock_write(NULL);
	struct CUstream_st **at;

	if (result)
		return result;
	at = stream_link(stream);
	if (at) {
		sim_late_do((*at)->ctx, stream);
		stream_remove(at);
	} else {
		result = CUDA_ERROR_INVALID_HANDLE;
	}
	sim_unlock();
	return result;
}
SIM_ALIAS(cuStreamDestroy, cuStreamDestroy_v2);

/* Holds sim.lock for reading on success. */
static CUresult lock_stream(CUstream stream, CUcontext *ctx)
{
	CUresult result = sim_lock_read(ctx);

	if (result)
		return result;
	if (sim_stream_live(stream))
		return CUDA_SUCCESS;
	sim_unlock();
	return CUDA_ERROR_INVALID_HANDLE;
}

static CUresult stream_state(CUstream stream, bool synchronized)
{
	CUcontext ctx;
	CUresult result = lock_stream(stream, &ctx);

	if (result)
		return result;
	if (sim_late_do(ctx, stream) || sim_stream_runs(ctx, stream) ||
	    (stream && sim_streams_are_mute(synchronized)))
		result = CUDA_ERROR_NOT_READY;
	if (ctx->fault)
		result = ctx->fault;
	sim_unlock();
	return result;
}

CUresult cuStreamQuery(CUstream stream)
{
	return stream_state(stream, false);
}
SIM_ALIAS(cuStreamQuery_ptsz, cuStreamQuery);

/* None ever is. */
CUresult cuStreamIsCapturing(CUstream stream, int *status)
{
	CUresult result = lock_stream(stream, NULL);

	if (result)
		return result;
	if (status)
		*status = 0;
	sim_unlock();
	return status ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuStreamSynchronize(CUstream stream)
{
	CUcontext ctx;
	CUresult result = lock_stream(stream, &ctx);

	if (result)
		return result;
	sim_unlock();
	sim_stream_wait(ctx, stream);
	return stream_state(stream, true);
}
SIM_ALIAS(cuStreamSynchronize_ptsz, cuStreamSynchronize);

CUresult cuStreamGetFlags(CUstream stream, unsigned int *flags)
{
	CUresult result = lock_stream(stream, NULL);

	if (result)
		return result;
	if (flags)
		*flags = is_default(stream) ? 0 : stream->flags;
	sim_unlock();
	return flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
SIM_ALIAS(cuStreamGetFlags_ptsz, cuStreamGetFlags);

CUresult cuStreamGetPriority(CUstream stream, int *priority)
{
	CUresult result = lock_stream(stream, NULL);

	if (result)
		return result;
	if (priority)
		*priority = is_default(stream) ? 0 : stream->priority;
	sim_unlock();
	return priority ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
SIM_ALIAS(cuStreamGetPriority_ptsz, cuStreamGetPriority);

CUresult cuStreamGetCtx(CUstream stream, CUcontext *ctx)
{
	CUcontext current;
	CUresult result = lock_stream(stream, &current);

	if (result)
		return result;
	if (ctx)
		*ctx = is_default(stream) ? current : stream->ctx;
	sim_unlock();
	return ctx ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
SIM_ALIAS(cuStreamGetCtx_ptsz, cuStreamGetCtx);

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
	CUresult result = lock_stream(stream, NULL);

	if (result)
		return result;
	if (!sim_event_live(event))
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (flags & ~1u)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		sim_event_do(event);
	sim_unlock();
	return result;
}
SIM_ALIAS(cuStreamWaitEvent_ptsz, cuStreamWaitEvent);
