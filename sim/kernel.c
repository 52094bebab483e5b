// SPDX-License-Identifier: MIT
/*
 * Modules and kernels. No engine here runs a GPU's code: a kernel is known by
 * its name, and a thread of this process does what it would do. There are the
 * library's courier, one that tests wait with and those of the command's bench;
 * any other is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/tsan.h"
#include "kernel.h"

#define MAX_THREADS 1024u

struct CUfunc_st {
	const struct sim_program *program;
};

struct CUmod_st {
	CUcontext ctx;
	struct CUfunc_st function;
	bool has; /* the image has that function */
	struct CUmod_st *next;
};

static const struct sim_program *const programs[] = {
	&sim_courier,
	&sim_spin,
	&sim_step,
	&sim_product,
};

/* sim.lock */
static struct CUmod_st *modules;

/* Taken alone, or after sim.lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct sim_kernel *kernels; /* lock; the newest first */
static bool held; /* lock */

static struct CUmod_st **module_link(CUmodule module)
{
	struct CUmod_st **at;

	for (at = &modules; *at; at = &(*at)->next) {
		if (*at == module)
			return at;
	}
	sim_dead_check(module);
	return NULL;
}

static void module_remove(struct CUmod_st **at)
{
	struct CUmod_st *m = *at;

	*at = m->next;
	free(m);
}

void sim_module_clear(CUcontext ctx)
{
	struct CUmod_st **at = &modules;

	while (*at) {
		if ((*at)->ctx == ctx) {
			sim_dead_add(*at);
			sim_dead_add(&(*at)->function);
			*at = (*at)->next;
		} else {
			at = &(*at)->next;
		}
	}
}

/* Whether the text of a module has a kernel of that name. */
static bool image_has(const char *image, const char *name)
{
	static const char entry[] = ".entry ";
	const size_t length = strlen(name);

	while ((image = strstr(image, entry))) {
		image += sizeof(entry) - 1;
		if (!strncmp(image, name, length) &&
		    !strchr("_$", image[length]) &&
		    (image[length] < '0' || image[length] > 'z'))
			return true;
	}
	return false;
}

/* Takes PTX alone, of which it only reads the names of the kernels. */
CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	CUcontext ctx;
	CUresult result = sim_null_stream_wait_current();
	struct CUmod_st *m;

	if (!result)
		result = sim_lock_write(&ctx);
	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (!module || !image)
		goto unlock;
	result = CUDA_ERROR_INVALID_IMAGE;
	if (!strstr(image, ".version") || !strstr(image, ".target"))
		goto unlock;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	m = calloc(1, sizeof(*m));
	if (!m)
		goto unlock;
	m->ctx = ctx;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (image_has(image, programs[i]->name)) {
			m->function.program = programs[i];
			m->has = true;
		}
	}
	m->next = modules;
	modules = m;
	*module = m;
	result = CUDA_SUCCESS;
unlock:
	sim_unlock();
	return result;
}

CUresult cuModuleUnload(CUmodule module)
{
	CUresult result = sim_kernel_wait_current();
	struct CUmod_st **at;

	if (!result)
		result = sim_lock_write(NULL);
	if (result)
		return result;
	at = module_link(module);
	if (at)
		module_remove(at);
	else
		result = CUDA_ERROR_INVALID_HANDLE;
	sim_unlock();
	return result;
}

/* CUDA_ERROR_NOT_SUPPORTED: a kernel that cannot be simulated, or none. */
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module,
			     const char *name)
{
	CUresult result = sim_lock_read(NULL);

	if (result)
		return result;
	if (!module_link(module))
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (!function || !name)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (!module->has ||
		 strcmp(name, module->function.program->name) != 0)
		result = CUDA_ERROR_NOT_SUPPORTED;
	else
		*function = &module->function;
	sim_unlock();
	return result;
}

/* With sim.lock held: whether the kernel's context is as it was. */
static bool kernel_live(const struct sim_kernel *kernel)
{
	return sim_ctx_live(kernel->ctx) && kernel->ctx->id == kernel->ctx_id;
}

/* With lock held. */
static bool kernel_is_first(const struct sim_kernel *kernel)
{
	const struct sim_kernel *k;

	for (k = kernel->next; k; k = k->next) {
		if (k->ctx == kernel->ctx && k->stream == kernel->stream)
			return false;
	}
	return true;
}

static void kernel_remove(struct sim_kernel *kernel)
{
	struct sim_kernel **at;

	for (at = &kernels; *at != kernel; at = &(*at)->next)
		;
	*at = kernel->next;
	pthread_cond_broadcast(&changed);
}

void gpumem_sim_hold_kernels(bool hold)
{
	pthread_mutex_lock(&lock);
	held = hold;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *kernel_thread(void *arg)
{
	struct sim_kernel *kernel = arg;
	CUresult result;

	pthread_mutex_lock(&lock);
	while (held || !kernel_is_first(kernel))
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	result = kernel->program->run(kernel);
	if (result && result != CUDA_ERROR_CONTEXT_IS_DESTROYED) {
		pthread_rwlock_wrlock(&sim.lock);
		if (kernel_live(kernel) && !kernel->ctx->fault)
			kernel->ctx->fault = result;
		sim_unlock();
	}
	pthread_mutex_lock(&lock);
	kernel_remove(kernel);
	pthread_mutex_unlock(&lock);
	free(kernel->parameter);
	free(kernel);
	return NULL;
}

static int kernel_start(struct sim_kernel *kernel)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	err = pthread_attr_init(&attr);
	if (err)
		return err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&lock);
	kernel->next = kernels;
	kernels = kernel;
	err = pthread_create(&thread, &attr, kernel_thread, kernel);
	if (err)
		kernel_remove(kernel);
	pthread_mutex_unlock(&lock);
	pthread_attr_destroy(&attr);
	return err;
}

static CUresult kernel_launch(CUcontext ctx, const struct sim_program *program,
			      unsigned int threads, CUstream stream,
			      const void *parameter)
{
	struct sim_kernel *kernel = calloc(1, sizeof(*kernel));

	if (!kernel)
		return CUDA_ERROR_OUT_OF_MEMORY;
	kernel->parameter = malloc(program->parameter_size);
	if (!kernel->parameter) {
		free(kernel);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	memcpy(kernel->parameter, parameter, program->parameter_size);
	kernel->ctx = ctx;
	kernel->ctx_id = ctx->id;
	kernel->stream = stream == CU_STREAM_LEGACY ? NULL : stream;
	kernel->program = program;
	kernel->threads = threads;
	if (!kernel_start(kernel))
		return CUDA_SUCCESS;
	free(kernel->parameter);
	free(kernel);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* With sim.lock held. */
static bool function_live(CUfunction function)
{
	struct CUmod_st *m;

	for (m = modules; m; m = m->next) {
		if (function == &m->function)
			return m->has;
	}
	sim_dead_check(function);
	return false;
}

/* A row of blocks of a row of threads: one, unless the kernel ends by itself. */
CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x,
			unsigned int grid_y, unsigned int grid_z,
			unsigned int block_x, unsigned int block_y,
			unsigned int block_z, unsigned int shared_bytes,
			CUstream stream, void **parameters, void **extra)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);
	bool wait = false;

	if (result)
		return result;
	if (ctx->fault)
		result = ctx->fault;
	else if (!function_live(function) || !sim_stream_live(stream))
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (!block_x || block_x > MAX_THREADS || !parameters)
		result = CUDA_ERROR_INVALID_VALUE;
	else if ((grid_x != 1 && !function->program->ends) || grid_y != 1 ||
		 grid_z != 1 || block_y != 1 || block_z != 1 || shared_bytes ||
		 extra)
		result = CUDA_ERROR_NOT_SUPPORTED;
	else {
		sim_late_do(ctx, stream);
		result = kernel_launch(ctx, function->program, block_x, stream,
				       parameters[0]);
	}
	wait = !result && function->program->ends;
	sim_unlock();
	if (wait)
		sim_stream_wait(ctx, stream);
	return result;
}
SIM_ALIAS(cuLaunchKernel_ptsz, cuLaunchKernel);

/* With lock held: a kernel of the context, on the stream unless any is meant. */
static bool kernel_runs(CUcontext ctx, bool any, CUstream stream)
{
	const struct sim_kernel *k;

	if (stream == CU_STREAM_LEGACY)
		stream = NULL;
	for (k = kernels; k; k = k->next) {
		if (k->ctx == ctx && (any || k->stream == stream))
			return true;
	}
	return false;
}

static void kernel_wait(CUcontext ctx, bool any, CUstream stream)
{
	pthread_mutex_lock(&lock);
	while (kernel_runs(ctx, any, stream))
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

bool sim_stream_runs(CUcontext ctx, CUstream stream)
{
	bool runs;

	pthread_mutex_lock(&lock);
	runs = kernel_runs(ctx, false, stream);
	pthread_mutex_unlock(&lock);
	return runs;
}

void sim_stream_wait(CUcontext ctx, CUstream stream)
{
	pthread_rwlock_rdlock(&sim.lock);
	if (!stream || sim_stream_live(stream))
		sim_late_do(ctx, stream);
	sim_unlock();
	kernel_wait(ctx, false, stream);
}

void sim_kernel_wait(CUcontext ctx)
{
	pthread_rwlock_rdlock(&sim.lock);
	sim_late_do_all(ctx);
	sim_unlock();
	kernel_wait(ctx, true, NULL);
}

CUresult sim_kernel_wait_current(void)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);

	if (result)
		return result;
	sim_unlock();
	sim_kernel_wait(ctx);
	return CUDA_SUCCESS;
}

CUresult sim_null_stream_wait_current(void)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);

	if (result)
		return result;
	sim_unlock();
	sim_stream_wait(ctx, NULL);
	return CUDA_SUCCESS;
}

/* Until the word at the device address that it is given is not 0. */
static CUresult spin_run(struct sim_kernel *kernel)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t addr, word = 0;
	CUresult result = CUDA_SUCCESS;

	memcpy(&addr, kernel->parameter, sizeof(addr));
	while (!word && !result) {
		nanosleep(&pause, NULL);
		result = sim_kernel_read(kernel, &word, addr, sizeof(word));
	}
	return result;
}

const struct sim_program sim_spin = {
	.name = "gpumem_sim_spin",
	.parameter_size = sizeof(uint64_t),
	.run = spin_run,
};

/* Holds sim.lock for reading on success. */
static CUresult kernel_lock(const struct sim_kernel *kernel)
{
	pthread_rwlock_rdlock(&sim.lock);
	if (kernel_live(kernel))
		return CUDA_SUCCESS;
	sim_unlock();
	return CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult sim_kernel_read(const struct sim_kernel *kernel, void *dst,
			 uint64_t addr, uint64_t length)
{
	CUresult result = kernel_lock(kernel);

	if (result)
		return result;
	gm_tsan_device_begin();
	if (!sim_device_read_checked(dst, addr, length))
		result = CUDA_ERROR_ILLEGAL_ADDRESS;
	gm_tsan_device_end();
	sim_unlock();
	return result;
}

/* With sim.lock held. */
static bool host_range(uint64_t addr, uint64_t length)
{
	const struct sim_host *host = sim_host_find(addr);

	return host && length <= host->size - (addr - host->addr);
}

CUresult sim_kernel_write(const struct sim_kernel *kernel, uint64_t addr,
			  const void *src, uint64_t length)
{
	CUresult result = kernel_lock(kernel);

	if (result)
		return result;
	gm_tsan_device_begin();
	if (host_range(addr, length))
		memcpy((void *)(uintptr_t)addr, src, length);
	else if (!sim_device_write(addr, src, length))
		result = CUDA_ERROR_ILLEGAL_ADDRESS;
	gm_tsan_device_end();
	sim_unlock();
	return result;
}

CUresult sim_kernel_write_words(const struct sim_kernel *kernel, uint64_t addr,
				const uint64_t *words, size_t count)
{
	uint64_t *to = (uint64_t *)(uintptr_t)addr;
	CUresult result = kernel_lock(kernel);

	if (result)
		return result;
	gm_tsan_device_begin();
	if (addr % sizeof(*words) == 0 &&
	    host_range(addr, count * sizeof(*words)))
		for (size_t i = 0; i < count; i++)
			__atomic_store_n(&to[i], words[i], __ATOMIC_RELAXED);
	else
		result = CUDA_ERROR_ILLEGAL_ADDRESS;
	gm_tsan_device_end();
	sim_unlock();
	return result;
}

CUresult sim_kernel_signal(const struct sim_kernel *kernel, uint64_t addr,
			   uint64_t value)
{
	CUresult result = kernel_lock(kernel);

	if (result)
		return result;
	if (addr % sizeof(value) == 0 && host_range(addr, sizeof(value)))
		__atomic_store_n((uint64_t *)(uintptr_t)addr, value,
				 __ATOMIC_SEQ_CST);
	else
		result = CUDA_ERROR_ILLEGAL_ADDRESS;
	sim_unlock();
	return result;
}
