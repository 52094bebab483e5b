// SPDX-License-Identifier: MIT
/* Events: the time at which they were recorded. */
#include <stdlib.h>

#include "sim.h"

struct CUevent_st {
	unsigned int flags;
	bool recorded;
	uint64_t time_ns;
	CUstream stream; /* that it was recorded in */
	CUcontext ctx;
	struct CUevent_st *next;
};

static struct CUevent_st *events;

static struct CUevent_st **event_link(CUevent event)
{
	struct CUevent_st **at;

	for (at = &events; *at; at = &(*at)->next) {
		if (*at == event)
			return at;
	}
	sim_dead_check(event);
	return NULL;
}

bool sim_event_live(CUevent event)
{
	return event_link(event);
}

/* A stream that has ended has done all it was given. */
bool sim_event_do(CUevent event)
{
	return event->recorded && sim_stream_live(event->stream) &&
	       sim_late_do(event->ctx, event->stream);
}

static void event_remove(struct CUevent_st **at)
{
	struct CUevent_st *e = *at;

	*at = e->next;
	free(e);
}

void sim_event_clear(CUcontext ctx)
{
	struct CUevent_st **at = &events;

	while (*at) {
		if ((*at)->ctx == ctx) {
			sim_dead_add(*at);
			*at = (*at)->next;
		} else {
			at = &(*at)->next;
		}
	}
}

CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
	CUcontext ctx;
	CUresult result = sim_lock_write(&ctx);
	struct CUevent_st *e;

	if (result)
		return result;
	/* An event between processes cannot be timed. */
	if (!event || flags & ~7u ||
	    (flags & CU_EVENT_INTERPROCESS &&
	     !(flags & CU_EVENT_DISABLE_TIMING))) {
		result = CUDA_ERROR_INVALID_VALUE;
		goto unlock;
	}
	e = calloc(1, sizeof(*e));
	if (!e) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto unlock;
	}
	e->flags = flags;
	e->ctx = ctx;
	e->next = events;
	events = e;
	*event = e;
unlock:
	sim_unlock();
	return result;
}

CUresult cuEventDestroy_v2(CUevent event)
{
	CUresult result = sim_lock_write(NULL);
	struct CUevent_st **at;

	if (result)
		return result;
	at = event_link(event);
	if (at)
		event_remove(at);
	else
		result = CUDA_ERROR_INVALID_HANDLE;
	sim_unlock();
	return result;
}
SIM_ALIAS(cuEventDestroy, cuEventDestroy_v2);

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	CUresult result = sim_lock_write(NULL);

	if (result)
		return result;
	if (!sim_event_live(event) || !sim_stream_live(stream)) {
		result = CUDA_ERROR_INVALID_HANDLE;
	} else {
		event->time_ns = sim_clock_ns();
		event->stream = stream;
		event->recorded = true;
	}
	sim_unlock();
	return result;
}
SIM_ALIAS(cuEventRecord_ptsz, cuEventRecord);

/* One that was never recorded counts as finished. */
CUresult cuEventQuery(CUevent event)
{
	CUresult result = sim_lock_read(NULL);

	if (result)
		return result;
	if (!sim_event_live(event))
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (sim_event_do(event))
		result = CUDA_ERROR_NOT_READY;
	sim_unlock();
	return result;
}

CUresult cuEventSynchronize(CUevent event)
{
	CUresult result = cuEventQuery(event);

	return result == CUDA_ERROR_NOT_READY ? CUDA_SUCCESS : result;
}

static bool is_timed(CUevent event)
{
	return sim_event_live(event) && event->recorded &&
	       !(event->flags & CU_EVENT_DISABLE_TIMING);
}

CUresult cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
	CUresult result = sim_lock_read(NULL);

	if (result)
		return result;
	if (!ms)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (!is_timed(start) || !is_timed(end))
		result = CUDA_ERROR_INVALID_HANDLE;
	else
		*ms = (float)((double)(int64_t)(end->time_ns - start->time_ns) /
			      1e6);
	sim_unlock();
	return result;
}
SIM_ALIAS(cuEventElapsedTime, cuEventElapsedTime_v2);
