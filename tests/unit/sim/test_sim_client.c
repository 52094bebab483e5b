// SPDX-License-Identifier: MIT
/*
 * What clients of real drivers ask of CUDA beside the usual: frees in threads
 * without a context, tokens, execution affinity. The answers are those of driver
 * 580.159.04.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "sim_test.h"

static const char image[] = ".version 6.0\n"
			    ".target sm_70\n"
			    ".visible .entry gpumem_sim_spin(\n"
			    ")\n";

/* Memory of each kind that a call frees. */
static struct {
	CUdeviceptr plain, managed, pool;
	void *host, *registered;
} made;

static void make_all(void)
{
	made.plain = mem_alloc(4096);
	assert_ok(cuMemAllocManaged(&made.managed, 4096, CU_MEM_ATTACH_GLOBAL));
	assert_ok(cuMemAllocAsync(&made.pool, 4096, NULL));
	assert_ok(cuMemHostAlloc(&made.host, 4096, 0));
	made.registered = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(made.registered, MAP_FAILED);
	assert_ok(cuMemHostRegister_v2(made.registered, 4096,
				       CU_MEMHOSTREGISTER_PORTABLE));
}

static void free_all(void)
{
	assert_ok(cuMemFree_v2(made.plain));
	assert_ok(cuMemFree_v2(made.managed));
	assert_ok(cuMemFree_v2(made.pool));
	assert_ok(cuMemFreeHost(made.host));
	assert_ok(cuMemHostUnregister(made.registered));
	munmap(made.registered, 4096);
}

/* Each check that fails in a thread without a context has a number. */
#define THREAD_CHECK(call, error)              \
	do {                                   \
		number++;                      \
		if ((call) != CUDA_##error)    \
			return (void *)number; \
	} while (0)

static void *free_without_context(void *arg)
{
	uintptr_t number = 0;
	unsigned int flags;
	CUdeviceptr addr;
	CUcontext ctx;
	size_t size;

	THREAD_CHECK(cuCtxGetCurrent(&ctx), SUCCESS);
	if (ctx)
		return (void *)99;
	THREAD_CHECK(cuMemFree_v2(0), SUCCESS);
	THREAD_CHECK(cuMemFree_v2(0x1000), ERROR_INVALID_VALUE);
	THREAD_CHECK(cuMemFree_v2(made.plain + 8), ERROR_INVALID_VALUE);
	THREAD_CHECK(cuMemFreeHost(NULL), SUCCESS);
	THREAD_CHECK(cuMemFreeHost(&size), ERROR_INVALID_VALUE);
	THREAD_CHECK(cuMemHostUnregister(NULL), ERROR_INVALID_VALUE);
	THREAD_CHECK(cuMemHostUnregister(&size),
		     ERROR_HOST_MEMORY_NOT_REGISTERED);
	/* These want a context. */
	THREAD_CHECK(cuMemAlloc_v2(&addr, 4096), ERROR_INVALID_CONTEXT);
	THREAD_CHECK(cuMemGetAddressRange_v2(&addr, &size, made.plain),
		     ERROR_INVALID_CONTEXT);
	THREAD_CHECK(cuMemHostGetFlags(&flags, made.host),
		     ERROR_INVALID_CONTEXT);
	THREAD_CHECK(cuMemHostGetDevicePointer_v2(&addr, made.host, 0),
		     ERROR_INVALID_CONTEXT);
	THREAD_CHECK(cuMemFree_v2(made.plain), SUCCESS);
	THREAD_CHECK(cuMemFree_v2(made.managed), SUCCESS);
	THREAD_CHECK(cuMemFree_v2(made.pool), SUCCESS);
	THREAD_CHECK(cuMemFreeHost(made.host), SUCCESS);
	THREAD_CHECK(cuMemHostUnregister(made.registered), SUCCESS);
	THREAD_CHECK(cuMemFree_v2(made.plain), ERROR_INVALID_VALUE);
	return NULL;
}

/* GDRCopy and DPDK do so. */
static void test_no_context(void **state)
{
	pthread_t thread;
	void *failed;

	make_all();
	assert_int_equal(
		pthread_create(&thread, NULL, free_without_context, NULL), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	if (failed)
		fail_msg("check %d in the thread", (int)(uintptr_t)failed);
	munmap(made.registered, 4096);
}

static void *free_plain(void *arg)
{
	atomic_int *freed = arg;

	if (cuMemFree_v2(made.plain))
		return "cuMemFree() failed";
	atomic_store(freed, 1);
	return NULL;
}

/* A thread without a context waits too, for kernels of the memory's context. */
static void test_frees_wait(void **state)
{
	const unsigned int end = 1;
	CUdeviceptr word = mem_alloc(8);
	void *parameters[] = { &word }, *failed;
	CUfunction function;
	atomic_int freed = 0;
	CUmodule module;
	CUstream stream;
	pthread_t thread;

	made.plain = mem_alloc(4096);
	assert_ok(cuMemsetD32_v2(word, 0, 2));
	assert_ok(cuModuleLoadData(&module, image));
	assert_ok(cuModuleGetFunction(&function, module, "gpumem_sim_spin"));
	assert_ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	assert_ok(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream,
				 parameters, NULL));
	assert_int_equal(pthread_create(&thread, NULL, free_plain, &freed), 0);
	/* Long enough for a free that does not wait. */
	usleep(100000);
	assert_int_equal(atomic_load(&freed), 0);
	assert_ok(cuMemcpyHtoDAsync_v2(word, &end, sizeof(end), NULL));
	assert_int_equal(pthread_join(thread, &failed), 0);
	if (failed)
		fail_msg("%s", (const char *)failed);
	assert_int_equal(atomic_load(&freed), 1);
	assert_ok(cuStreamDestroy_v2(stream));
	assert_ok(cuModuleUnload(module));
	assert_ok(cuMemFree_v2(word));
}

/* Drivers older than CUDA 6 wanted them back; today's give constants. */
static void test_tokens(void **state)
{
	CUpointer_attribute names[] = { CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					CU_POINTER_ATTRIBUTE_P2P_TOKENS };
	CUDA_POINTER_ATTRIBUTE_P2P_TOKENS tokens = { 7, 7 };
	unsigned int type;
	void *values[] = { &type, &tokens };
	int on_the_stack;

	make_all();
	assert_ok(cuPointerGetAttribute(
		&tokens, CU_POINTER_ATTRIBUTE_P2P_TOKENS, made.plain + 8));
	assert_int_equal(tokens.p2pToken, 0);
	assert_int_equal(tokens.vaSpaceToken, 0xfe00);
	assert_ok(cuPointerGetAttribute(
		&tokens, CU_POINTER_ATTRIBUTE_P2P_TOKENS, made.managed));
	assert_ok(cuPointerGetAttribute(
		&tokens, CU_POINTER_ATTRIBUTE_P2P_TOKENS, made.pool));
	assert_err(cuPointerGetAttribute(&tokens,
					 CU_POINTER_ATTRIBUTE_P2P_TOKENS,
					 (uintptr_t)made.host),
		   INVALID_VALUE);
	assert_err(cuPointerGetAttribute(&tokens,
					 CU_POINTER_ATTRIBUTE_P2P_TOKENS,
					 (uintptr_t)&on_the_stack),
		   INVALID_VALUE);
	assert_err(cuPointerGetAttributes(2, names, values, made.plain),
		   INVALID_VALUE);
	free_all();
}

static void test_sync_memops(void **state)
{
	unsigned int value = 7, on = 1;
	uintptr_t places[3];

	make_all();
	places[0] = (uintptr_t)made.registered;
	places[1] = (uintptr_t)made.host;
	places[2] = made.managed;
	for (int i = 0; i < 3; i++) {
		assert_ok(cuPointerGetAttribute(
			&value, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, places[i]));
		assert_int_equal(value, 0);
		assert_ok(cuPointerSetAttribute(
			&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, places[i] + 9));
		assert_ok(cuPointerGetAttribute(
			&value, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, places[i]));
		assert_int_equal(value, 1);
	}
	free_all();
}

static void test_affinity(void **state)
{
	CUexecAffinityParam affinity = { .type = 7 };
	int count = 0;
	CUcontext ctx;

	assert_ok(cuDeviceGetAttribute(
		&count, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
	assert_ok(cuCtxGetExecAffinity(&affinity,
				       CU_EXEC_AFFINITY_TYPE_SM_COUNT));
	assert_int_equal(affinity.type, CU_EXEC_AFFINITY_TYPE_SM_COUNT);
	assert_int_equal(affinity.param.smCount.val, count);
	assert_err(cuCtxGetExecAffinity(&affinity, 1),
		   UNSUPPORTED_EXEC_AFFINITY);
	assert_err(cuCtxGetExecAffinity(NULL, CU_EXEC_AFFINITY_TYPE_SM_COUNT),
		   INVALID_VALUE);
	assert_ok(cuCtxPopCurrent_v2(&ctx));
	assert_err(cuCtxGetExecAffinity(&affinity,
					CU_EXEC_AFFINITY_TYPE_SM_COUNT),
		   INVALID_CONTEXT);
	assert_ok(cuCtxPushCurrent_v2(ctx));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_context),
		cmocka_unit_test(test_frees_wait),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_sync_memops),
		cmocka_unit_test(test_affinity),
	};

	return group_run(tests, context_setup, context_teardown);
}
