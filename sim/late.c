// SPDX-License-Identifier: MIT
/*
 * Work that a stream was given and has not done yet: asynchronous copies between the
 * device and page-locked memory, and values to write.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "sim.h"

struct late {
	CUcontext ctx;
	CUstream stream;
	struct sim_work work;
	struct late *next;
};

static atomic_bool delayed; /* see gpumem_sim_delay_copies() */
/* Taken with sim.lock held, for reading at least. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct late *first, **last = &first;

void gpumem_sim_delay_copies(bool delay)
{
	delayed = delay;
}

bool sim_late_add(CUcontext ctx, CUstream stream, const struct sim_work *work)
{
	struct late *late = delayed ? malloc(sizeof(*late)) : NULL;

	if (!late)
		return false;
	*late = (struct late){ ctx, stream == CU_STREAM_LEGACY ? NULL : stream,
			       *work, NULL };
	pthread_mutex_lock(&lock);
	*last = late;
	last = &late->next;
	pthread_mutex_unlock(&lock);
	return true;
}

/* The null stream waits for the others that do not opt out, and they for it. */
static bool comes_before(const struct late *late, CUcontext ctx,
			 CUstream stream)
{
	if (late->ctx != ctx)
		return false;
	if (late->stream == stream)
		return true;
	return (!stream && sim_stream_blocks(late->stream)) ||
	       (!late->stream && sim_stream_blocks(stream));
}

/* What is meant is done in its order, or forgotten. Whether there was any. */
static bool take_out(CUcontext ctx, bool any, CUstream stream, bool forget)
{
	struct late **at = &first, *late;
	bool found = false;
	CUresult result;

	if (stream == CU_STREAM_LEGACY)
		stream = NULL;
	pthread_mutex_lock(&lock);
	while ((late = *at)) {
		if (any ? late->ctx != ctx : !comes_before(late, ctx, stream)) {
			at = &late->next;
			continue;
		}
		found = true;
		result = forget ? CUDA_SUCCESS : sim_work_do(&late->work);
		if (result && !ctx->fault)
			ctx->fault = result;
		*at = late->next;
		free(late);
	}
	last = at;
	pthread_mutex_unlock(&lock);
	return found;
}

bool sim_late_do(CUcontext ctx, CUstream stream)
{
	return take_out(ctx, false, stream, false);
}

void sim_late_do_all(CUcontext ctx)
{
	take_out(ctx, true, NULL, false);
}

void sim_late_clear(CUcontext ctx)
{
	take_out(ctx, true, NULL, true);
}
