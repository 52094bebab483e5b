// SPDX-License-Identifier: MIT
/* Contexts and each thread's stack of current ones. */
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

#define STACK_MAX 64

/* The id tells a destroyed context from a new one at the same address. */
static _Thread_local struct {
	CUcontext ctx;
	uint64_t id;
} stack[STACK_MAX];
static _Thread_local unsigned int depth;

static bool live(CUcontext ctx, uint64_t id)
{
	struct CUctx_st *c;

	for (int i = 0; i < sim.device_count; i++) {
		if (ctx == &sim.primary[i])
			return ctx->refs > 0 && !ctx->reset;
	}
	for (c = sim.contexts; c; c = c->next) {
		if (c == ctx)
			return !id || c->id == id;
	}
	return false;
}

bool sim_ctx_live(CUcontext ctx)
{
	return live(ctx, 0);
}

/* With sim.lock held. */
static CUresult current(CUcontext *ctx)
{
	if (!depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!live(stack[depth - 1].ctx, stack[depth - 1].id))
		return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	if (ctx)
		*ctx = stack[depth - 1].ctx;
	return CUDA_SUCCESS;
}

static CUresult lock_current(CUcontext *ctx,
			     int (*lock)(pthread_rwlock_t *lock))
{
	CUresult result = sim_ready();

	if (result)
		return result;
	lock(&sim.lock);
	result = current(ctx);
	if (result)
		sim_unlock();
	return result;
}

CUresult sim_lock_read(CUcontext *ctx)
{
	return lock_current(ctx, pthread_rwlock_rdlock);
}

CUresult sim_lock_write(CUcontext *ctx)
{
	return lock_current(ctx, pthread_rwlock_wrlock);
}

void sim_unlock(void)
{
	pthread_rwlock_unlock(&sim.lock);
}

void sim_ctx_clear(CUcontext ctx)
{
	sim_late_clear(ctx);
	sim_module_clear(ctx);
	sim_memory_clear(ctx);
	sim_host_clear(ctx);
	sim_stream_clear(ctx);
	sim_event_clear(ctx);
	ctx->fault = CUDA_SUCCESS;
}

static struct {
	const void **handle;
	size_t count;
} dead;

void sim_dead_add(const void *handle)
{
	const void **more =
		realloc(dead.handle, (dead.count + 1) * sizeof(*more));

	if (!more)
		return;
	dead.handle = more;
	dead.handle[dead.count++] = handle;
}

void sim_dead_check(const void *handle)
{
	for (size_t i = 0; i < dead.count; i++) {
		if (dead.handle[i] != handle)
			continue;
		fprintf(stderr,
			"simulated CUDA: handle %p is used, whose "
			"context has ended\n",
			handle);
		abort();
	}
}

/* With sim.lock held. */
static CUresult push(CUcontext ctx)
{
	if (!sim_ctx_live(ctx))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (depth == STACK_MAX)
		return CUDA_ERROR_OUT_OF_MEMORY;
	stack[depth].ctx = ctx;
	stack[depth].id = ctx->id;
	depth++;
	return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice dev)
{
	CUresult result = sim_ready();
	struct CUctx_st *c;

	if (result)
		return result;
	if (!ctx || flags & ~CU_CTX_FLAGS_MASK)
		return CUDA_ERROR_INVALID_VALUE;
	if (!sim_device_valid(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	c = calloc(1, sizeof(*c));
	if (!c)
		return CUDA_ERROR_OUT_OF_MEMORY;
	c->flags = flags;
	c->dev = dev;
	pthread_rwlock_wrlock(&sim.lock);
	c->id = ++sim.last_id;
	c->next = sim.contexts;
	sim.contexts = c;
	result = push(c);
	if (result)
		sim.contexts = c->next;
	sim_unlock();
	if (result)
		free(c);
	else
		*ctx = c;
	return result;
}
SIM_ALIAS(cuCtxCreate, cuCtxCreate_v2);

CUresult cuCtxCreate_v3(CUcontext *ctx, void *affinity, int affinity_count,
			unsigned int flags, CUdevice dev)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (affinity || affinity_count)
		return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	return cuCtxCreate_v2(ctx, flags, dev);
}

CUresult cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *params,
			unsigned int flags, CUdevice dev)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (params && params->cigParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return cuCtxCreate_v3(ctx, params ? params->execAffinityParams : NULL,
			      params ? params->numExecAffinityParams : 0, flags,
			      dev);
}

CUresult cuCtxDestroy_v2(CUcontext ctx)
{
	CUresult result = sim_ready();
	struct CUctx_st **at;

	if (result)
		return result;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	sim_kernel_wait(ctx);
	pthread_rwlock_wrlock(&sim.lock);
	for (at = &sim.contexts; *at && *at != ctx; at = &(*at)->next)
		;
	if (!*at) {
		sim_unlock();
		return CUDA_ERROR_INVALID_CONTEXT;
	}
	sim_ctx_clear(ctx);
	if (depth && stack[depth - 1].ctx == ctx &&
	    stack[depth - 1].id == ctx->id)
		depth--;
	*at = ctx->next;
	sim_unlock();
	free(ctx);
	return CUDA_SUCCESS;
}
SIM_ALIAS(cuCtxDestroy, cuCtxDestroy_v2);

CUresult cuCtxPushCurrent_v2(CUcontext ctx)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	pthread_rwlock_rdlock(&sim.lock);
	result = push(ctx);
	sim_unlock();
	return result;
}
SIM_ALIAS(cuCtxPushCurrent, cuCtxPushCurrent_v2);

CUresult cuCtxPopCurrent_v2(CUcontext *ctx)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	depth--;
	if (ctx)
		*ctx = stack[depth].ctx;
	return CUDA_SUCCESS;
}
SIM_ALIAS(cuCtxPopCurrent, cuCtxPopCurrent_v2);

/* Replaces the top of the stack; NULL removes it. */
CUresult cuCtxSetCurrent(CUcontext ctx)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!ctx) {
		if (depth)
			depth--;
		return CUDA_SUCCESS;
	}
	pthread_rwlock_rdlock(&sim.lock);
	if (!sim_ctx_live(ctx)) {
		result = CUDA_ERROR_INVALID_CONTEXT;
	} else {
		if (depth)
			depth--;
		result = push(ctx);
	}
	sim_unlock();
	return result;
}

CUresult cuCtxGetCurrent(CUcontext *ctx)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	*ctx = depth ? stack[depth - 1].ctx : NULL;
	return CUDA_SUCCESS;
}

/* With sim.lock held by the caller on success. NULL is the current context. */
static CUresult lock_named(CUcontext *ctx)
{
	CUresult result;

	if (!*ctx)
		return sim_lock_read(ctx);
	result = sim_ready();
	if (result)
		return result;
	pthread_rwlock_rdlock(&sim.lock);
	if (sim_ctx_live(*ctx))
		return CUDA_SUCCESS;
	sim_unlock();
	return CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuCtxGetDevice_v2(CUdevice *dev, CUcontext ctx)
{
	CUresult result = lock_named(&ctx);

	if (result)
		return result;
	if (dev)
		*dev = ctx->dev;
	sim_unlock();
	return dev ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuCtxGetDevice(CUdevice *dev)
{
	return cuCtxGetDevice_v2(dev, NULL);
}

CUresult cuCtxGetFlags(unsigned int *flags)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);

	if (result)
		return result;
	if (flags)
		*flags = ctx->flags;
	sim_unlock();
	return flags ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long *id)
{
	CUresult result = lock_named(&ctx);

	if (result)
		return result;
	if (id)
		*id = ctx->id;
	sim_unlock();
	return id ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
	CUresult result = lock_named(&ctx);

	if (result)
		return result;
	if (version)
		*version = 3020;
	sim_unlock();
	return version ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* No context here is limited to a part of its device. */
CUresult cuCtxGetExecAffinity(CUexecAffinityParam *affinity, int type)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);
	int count = 0;

	if (result)
		return result;
	if (!affinity)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		result = CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
	else
		result = cuDeviceGetAttribute(
			&count, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
			ctx->dev);
	sim_unlock();
	if (result)
		return result;
	affinity->type = type;
	affinity->param.smCount.val = (unsigned int)count;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
	CUresult result = sim_lock_read(NULL);

	if (result)
		return result;
	sim_unlock();
	if (least)
		*least = 0;
	if (greatest)
		*greatest = -5;
	return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize_v2(CUcontext ctx)
{
	CUresult result = lock_named(&ctx);

	if (result)
		return result;
	sim_unlock();
	sim_kernel_wait(ctx);
	result = lock_named(&ctx);
	if (result)
		return result;
	result = ctx->fault;
	sim_unlock();
	return result;
}

CUresult cuCtxSynchronize(void)
{
	return cuCtxSynchronize_v2(NULL);
}

/* Stores through a mapping are in the memory at once: nothing to flush. */
CUresult cuFlushGPUDirectRDMAWrites(int target, int scope)
{
	CUresult result = cuCtxSynchronize();

	if (result)
		return result;
	if (target != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX ||
	    (scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER &&
	     scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_ALL_DEVICES))
		return CUDA_ERROR_INVALID_VALUE;
	__sync_synchronize();
	return CUDA_SUCCESS;
}
