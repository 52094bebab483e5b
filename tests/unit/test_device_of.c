// SPDX-License-Identifier: MIT
/* gpumem_device_of(): which of four simulated GPUs an address is on. */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define GPUS 4

static struct {
	CUresult (*init)(unsigned int flags);
	CUresult (*retain)(CUcontext *context, CUdevice device);
	CUresult (*release)(CUdevice device);
	CUresult (*state)(CUdevice device, unsigned int *flags, int *active);
	CUresult (*set)(CUcontext context);
	CUresult (*current)(CUcontext *context);
	CUresult (*alloc)(CUdeviceptr *addr, size_t bytes);
	CUresult (*alloc_managed)(CUdeviceptr *addr, size_t bytes,
				  unsigned int flags);
	CUresult (*alloc_host)(void **addr, size_t bytes);
	CUresult (*alloc_async)(CUdeviceptr *addr, size_t bytes,
				CUstream stream);
	CUresult (*free)(CUdeviceptr addr);
	CUresult (*free_host)(void *addr);
} cuda;

/* As a program loads CUDA that uses gpumem for nothing else. */
static void load(void)
{
	void *lib = dlopen(getenv("GPUMEM_SIM_LIBCUDA"), RTLD_NOW);

	assert_non_null(lib);
	*(void **)&cuda.init = dlsym(lib, "cuInit");
	*(void **)&cuda.retain = dlsym(lib, "cuDevicePrimaryCtxRetain");
	*(void **)&cuda.release = dlsym(lib, "cuDevicePrimaryCtxRelease_v2");
	*(void **)&cuda.state = dlsym(lib, "cuDevicePrimaryCtxGetState");
	*(void **)&cuda.set = dlsym(lib, "cuCtxSetCurrent");
	*(void **)&cuda.current = dlsym(lib, "cuCtxGetCurrent");
	*(void **)&cuda.alloc = dlsym(lib, "cuMemAlloc_v2");
	*(void **)&cuda.alloc_managed = dlsym(lib, "cuMemAllocManaged");
	*(void **)&cuda.alloc_host = dlsym(lib, "cuMemAllocHost_v2");
	*(void **)&cuda.alloc_async = dlsym(lib, "cuMemAllocAsync");
	*(void **)&cuda.free = dlsym(lib, "cuMemFree_v2");
	*(void **)&cuda.free_host = dlsym(lib, "cuMemFreeHost");
}

/* Whether a GPU's primary context is alive; 1 << GPU for each. */
static unsigned int contexts(void)
{
	unsigned int alive = 0, flags;
	int active;

	for (int i = 0; i < GPUS; i++) {
		assert_int_equal(cuda.state(i, &flags, &active), 0);
		alive |= active ? 1u << i : 0;
	}
	return alive;
}

static int device_of(uint64_t addr)
{
	int ordinal = -7;
	int rc = gpumem_device_of(addr, &ordinal);

	if (rc)
		fail_msg("0x%llx: %d: %s", (unsigned long long)addr, rc,
			 gpumem_last_error());
	return ordinal;
}

static void expect_none(uint64_t addr, const char *why)
{
	int ordinal = -7;

	unit_expect_error(gpumem_device_of(addr, &ordinal), -EINVAL,
			  "device_of", why, NULL);
	assert_int_equal(ordinal, -7);
}

/* First of all tests: nobody has started CUDA, and this does not either. */
static void before_cuda_is_started(void **state)
{
	CUcontext context;

	expect_none(0x7f0000000000, "not started");
	assert_int_equal(cuda.current(&context), CUDA_ERROR_NOT_INITIALIZED);
}

static void each_gpu(void **state)
{
	CUdeviceptr addr[GPUS], pool;
	CUcontext context;

	assert_int_equal(cuda.init(0), 0);
	for (int i = 1; i < GPUS; i += 2) {
		assert_int_equal(cuda.retain(&context, i), 0);
		assert_int_equal(cuda.set(context), 0);
		assert_int_equal(cuda.alloc(&addr[i], 4 * MIB), 0);
		assert_int_equal(contexts() & 1, 0);
	}
	assert_int_equal(cuda.alloc_async(&pool, 5000, NULL), 0);
	assert_int_equal(cuda.set(NULL), 0);
	assert_int_equal(contexts(), 0xa);

	for (int i = 1; i < GPUS; i += 2) {
		assert_int_equal(device_of(addr[i]), i);
		assert_int_equal(device_of(addr[i] + 4 * MIB - 1), i);
	}
	assert_int_equal(device_of(pool + 77), 3);
	/* No context came to be, and none is current. */
	assert_int_equal(contexts(), 0xa);
	assert_int_equal(cuda.current(&context), 0);
	assert_null(context);

	for (int i = 1; i < GPUS; i += 2) {
		assert_int_equal(cuda.free(addr[i]), 0);
		expect_none(addr[i], "freed already");
	}
	assert_int_equal(cuda.free(pool), 0);
	assert_int_equal(cuda.release(1), 0);
	assert_int_equal(cuda.release(3), 0);
	assert_int_equal(contexts(), 0);
}

static void what_is_no_device_memory(void **state)
{
	int on_the_stack = 0;
	CUdeviceptr managed;
	CUcontext context;
	void *host;

	assert_int_equal(cuda.retain(&context, 0), 0);
	assert_int_equal(cuda.set(context), 0);
	assert_int_equal(cuda.alloc_managed(&managed, 4096, 1), 0);
	assert_int_equal(cuda.alloc_host(&host, 4096), 0);
	expect_none(managed, "managed memory");
	expect_none((uintptr_t)host, "page-locked host memory");
	expect_none((uintptr_t)&on_the_stack, "host memory");
	expect_none(0, "never allocated");
	expect_none(UINT64_MAX, "never allocated");
	unit_expect_error(gpumem_device_of(managed, NULL), -EINVAL, "NULL",
			  NULL);
	assert_int_equal(cuda.free(managed), 0);
	assert_int_equal(cuda.free_host(host), 0);
	assert_int_equal(cuda.release(0), 0);
}

static void *ask_often(void *arg)
{
	CUdeviceptr addr = *(CUdeviceptr *)arg;
	int ordinal;

	for (int i = 0; i < 2000; i++)
		if (gpumem_device_of(addr, &ordinal) || ordinal != 2 ||
		    gpumem_device_of(0x1000, &ordinal) != -EINVAL)
			return "wrong";
	return NULL;
}

static void threads_without_contexts(void **state)
{
	pthread_t threads[4];
	CUcontext context;
	CUdeviceptr addr;
	void *problem;

	assert_int_equal(cuda.retain(&context, 2), 0);
	assert_int_equal(cuda.set(context), 0);
	assert_int_equal(cuda.alloc(&addr, 4096), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, ask_often, &addr), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &problem), 0);
		assert_null(problem);
	}
	assert_int_equal(cuda.free(addr), 0);
	assert_int_equal(cuda.release(2), 0);
}

static void a_backend_that_is_none(void **state)
{
	int ordinal;

	setenv("GPUMEM_BACKEND", "gdrdrv", 1);
	unit_expect_error(gpumem_device_of(0x1000, &ordinal), -EINVAL, "gdrdrv",
			  NULL);
	setenv("GPUMEM_BACKEND", "sim", 1);
}

/* CUDA does not survive a fork(). */
static void in_a_forked_child(void **state)
{
	int ordinal, status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child)
		_exit(gpumem_device_of(0x1000, &ordinal) != -EINVAL ||
		      !strstr(gpumem_last_error(), "fork()"));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_cuda_is_started),
		cmocka_unit_test(each_gpu),
		cmocka_unit_test(what_is_no_device_memory),
		cmocka_unit_test(threads_without_contexts),
		cmocka_unit_test(a_backend_that_is_none),
		cmocka_unit_test(in_a_forked_child),
	};

	load();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
