// SPDX-License-Identifier: MIT
/* The simulated CUDA: contexts, streams, events, host memory. */
#include <pthread.h>
#include <sys/mman.h>

#include "../clock.h"
#include "sim_test.h"

static int init_setup(void **state)
{
	return cuInit(0);
}

static void test_no_context(void **state)
{
	CUcontext ctx = (CUcontext)1;
	size_t a, b;
	CUdevice dev;
	CUdeviceptr addr;

	assert_ok(cuCtxGetCurrent(&ctx));
	assert_null(ctx);
	assert_err(cuCtxGetCurrent(NULL), INVALID_VALUE);
	assert_err(cuCtxGetDevice(&dev), INVALID_CONTEXT);
	assert_err(cuCtxSynchronize(), INVALID_CONTEXT);
	assert_err(cuCtxPopCurrent_v2(&ctx), INVALID_CONTEXT);
	assert_err(cuCtxPushCurrent_v2(NULL), INVALID_CONTEXT);
	assert_err(cuCtxSetCurrent((CUcontext)&dev), INVALID_CONTEXT);
	assert_err(cuMemAlloc_v2(&addr, 1), INVALID_CONTEXT);
	assert_err(cuMemFree_v2(1), INVALID_VALUE);
	assert_err(cuMemGetInfo_v2(&a, &b), INVALID_CONTEXT);
	assert_err(cuMemcpyDtoH_v2(&a, 1, 1), INVALID_CONTEXT);
	assert_err(cuFlushGPUDirectRDMAWrites(0, 100), INVALID_CONTEXT);
}

static void test_create(void **state)
{
	CUctxCreateParams cig = { .cigParams = &cig };
	unsigned long long id_a, id_b;
	CUcontext a, b, seen;
	unsigned int value;
	CUdeviceptr addr;
	CUdevice dev = 5;
	size_t size;

	assert_err(cuCtxCreate_v2(NULL, 0, 0), INVALID_VALUE);
	assert_err(cuCtxCreate_v2(&a, 0x1000, 0), INVALID_VALUE);
	assert_err(cuCtxCreate_v2(&a, 0, 1), INVALID_DEVICE);
	assert_err(cuCtxCreate_v3(&a, &dev, 1, 0, 0),
		   UNSUPPORTED_EXEC_AFFINITY);
	assert_err(cuCtxCreate_v4(&a, &cig, 0, 0), NOT_SUPPORTED);
	assert_ok(cuCtxCreate_v2(&a, CU_CTX_MAP_HOST, 0));
	assert_ok(cuCtxCreate_v4(&b, NULL, 0, 0));
	assert_ok(cuCtxGetCurrent(&seen));
	assert_ptr_equal(seen, b);
	assert_ok(cuCtxGetDevice(&dev));
	assert_int_equal(dev, 0);
	assert_ok(cuCtxGetDevice_v2(&dev, a));
	assert_ok(cuCtxGetApiVersion(b, &value));
	assert_int_equal(value, 3020);
	assert_ok(cuCtxGetId(a, &id_a));
	assert_ok(cuCtxGetId(NULL, &id_b));
	assert_int_not_equal(id_a, id_b);
	addr = mem_alloc(100);
	assert_ok(cuCtxPopCurrent_v2(&seen));
	assert_ptr_equal(seen, b);
	assert_ok(cuCtxGetFlags(&value));
	assert_int_equal(value, CU_CTX_MAP_HOST);

	/* Memory dies with its context and is everybody's until then. */
	assert_ok(cuMemGetAddressRange_v2(NULL, &size, addr));
	assert_ok(cuCtxDestroy_v2(b));
	assert_err(cuMemGetAddressRange_v2(NULL, &size, addr), NOT_FOUND);
	assert_err(cuCtxDestroy_v2(b), INVALID_CONTEXT);
	assert_err(cuCtxDestroy_v2(NULL), INVALID_VALUE);
	assert_ok(cuFlushGPUDirectRDMAWrites(0, 200));
	assert_err(cuFlushGPUDirectRDMAWrites(0, 1), INVALID_VALUE);
	assert_ok(cuCtxDestroy_v2(a));
	assert_ok(cuCtxGetCurrent(&seen));
	assert_null(seen);
}

static void test_destroyed_below(void **state)
{
	CUcontext a, b, seen;

	assert_ok(cuCtxCreate_v2(&a, 0, 0));
	assert_ok(cuCtxCreate_v2(&b, 0, 0));
	assert_ok(cuCtxDestroy_v2(a));
	assert_ok(cuCtxDestroy_v2(b));
	assert_err(cuCtxSynchronize(), CONTEXT_IS_DESTROYED);
	/* Not even when a new context happens to have the same address. */
	assert_ok(cuCtxCreate_v2(&b, 0, 0));
	assert_ok(cuCtxPopCurrent_v2(&seen));
	assert_err(cuCtxSynchronize(), CONTEXT_IS_DESTROYED);
	assert_ok(cuCtxSetCurrent(b));
	assert_ok(cuCtxSynchronize());
	assert_ok(cuCtxDestroy_v2(b));
}

static void test_stack_depth(void **state)
{
	CUcontext ctx, seen;
	unsigned int count = 0;
	CUresult result;

	assert_ok(cuCtxCreate_v2(&ctx, 0, 0));
	while (!(result = cuCtxPushCurrent_v2(ctx)))
		count++;
	assert_int_equal(result, CUDA_ERROR_OUT_OF_MEMORY);
	assert_true(count >= 32);
	assert_err(cuCtxCreate_v2(&seen, 0, 0), OUT_OF_MEMORY);
	while (count--)
		assert_ok(cuCtxPopCurrent_v2(&seen));
	assert_ok(cuCtxDestroy_v2(ctx));
}

static void test_primary(void **state)
{
	unsigned long long id, id_again;
	unsigned int flags;
	CUcontext a, b;
	CUdeviceptr addr;
	int active;

	assert_ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 0);
	assert_err(cuDevicePrimaryCtxRelease_v2(0), INVALID_CONTEXT);
	assert_err(cuDevicePrimaryCtxRetain(NULL, 0), INVALID_VALUE);
	assert_err(cuDevicePrimaryCtxRetain(&a, 1), INVALID_DEVICE);
	assert_ok(cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_SPIN));
	assert_err(cuDevicePrimaryCtxSetFlags_v2(0, 0x100), INVALID_VALUE);
	assert_ok(cuDevicePrimaryCtxRetain(&a, 0));
	assert_ok(cuDevicePrimaryCtxRetain(&b, 0));
	assert_ptr_equal(a, b);
	assert_ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 1);
	assert_int_equal(flags, CU_CTX_SCHED_SPIN);
	assert_err(cuCtxDestroy_v2(a), INVALID_CONTEXT);
	assert_ok(cuCtxSetCurrent(a));
	addr = mem_alloc(3 * MIB);
	assert_ok(cuDevicePrimaryCtxRelease_v2(0));
	assert_ok(cuMemGetAddressRange_v2(NULL, NULL, addr));
	assert_ok(cuCtxGetId(a, &id));
	assert_ok(cuDevicePrimaryCtxReset_v2(0));
	assert_ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
	assert_int_equal(active, 0);
	assert_err(cuMemGetAddressRange_v2(NULL, NULL, addr),
		   CONTEXT_IS_DESTROYED);
	assert_err(cuCtxGetId(a, &id_again), INVALID_CONTEXT);
	assert_ok(cuDevicePrimaryCtxRetain(&b, 0));
	assert_ptr_equal(a, b);
	assert_ok(cuCtxGetId(a, &id_again));
	assert_true(id != id_again);
	assert_err(cuMemGetAddressRange_v2(NULL, NULL, addr), NOT_FOUND);
	assert_ok(cuDevicePrimaryCtxRelease_v2(0));
	assert_ok(cuDevicePrimaryCtxRelease_v2(0));
	assert_err(cuCtxSynchronize(), CONTEXT_IS_DESTROYED);
	assert_ok(cuCtxSetCurrent(NULL));
	assert_err(cuCtxSynchronize(), INVALID_CONTEXT);
}

static void *other_thread(void *arg)
{
	CUcontext seen = arg;

	if (cuCtxGetCurrent(&seen) || seen)
		return "a new thread has a current context";
	if (cuCtxSetCurrent(arg) || cuCtxSynchronize())
		return "a context cannot be shared";
	return NULL;
}

static void test_threads(void **state)
{
	CUcontext ctx, seen;
	pthread_t thread;
	void *problem;

	assert_ok(cuCtxCreate_v2(&ctx, 0, 0));
	assert_int_equal(pthread_create(&thread, NULL, other_thread, ctx), 0);
	assert_int_equal(pthread_join(thread, &problem), 0);
	assert_null(problem);
	assert_ok(cuCtxGetCurrent(&seen));
	assert_ptr_equal(seen, ctx);
	assert_ok(cuCtxDestroy_v2(ctx));
}

static void test_streams(void **state)
{
	int least, greatest, priority;
	CUcontext ctx, seen;
	unsigned int flags;
	CUstream s, t;

	assert_ok(cuCtxCreate_v2(&ctx, 0, 0));
	assert_err(cuStreamCreate(NULL, 0), INVALID_VALUE);
	assert_err(cuStreamCreate(&s, 2), INVALID_VALUE);
	assert_ok(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	assert_ok(cuCtxGetStreamPriorityRange(&least, &greatest));
	assert_ok(cuStreamCreateWithPriority(&t, 0, greatest - 10));
	assert_ok(cuStreamGetPriority(t, &priority));
	assert_int_equal(priority, greatest);
	assert_ok(cuStreamGetFlags(s, &flags));
	assert_int_equal(flags, CU_STREAM_NON_BLOCKING);
	assert_ok(cuStreamGetCtx(s, &seen));
	assert_ptr_equal(seen, ctx);
	assert_ok(cuStreamQuery(s));
	assert_ok(cuStreamSynchronize(NULL));
	assert_ok(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	assert_ok(cuStreamDestroy_v2(s));
	assert_err(cuStreamDestroy_v2(s), INVALID_HANDLE);
	assert_err(cuStreamSynchronize(s), INVALID_HANDLE);
	assert_err(cuStreamDestroy_v2(NULL), INVALID_HANDLE);
	/* t dies with its context: to use it would end the process. */
	assert_ok(cuCtxDestroy_v2(ctx));
}

static void test_events(void **state)
{
	CUevent start, end, untimed;
	CUcontext ctx;
	float ms = -1;

	assert_ok(cuCtxCreate_v2(&ctx, 0, 0));
	assert_err(cuEventCreate(NULL, 0), INVALID_VALUE);
	assert_err(cuEventCreate(&start, 8), INVALID_VALUE);
	assert_err(cuEventCreate(&start, CU_EVENT_INTERPROCESS), INVALID_VALUE);
	assert_ok(cuEventCreate(&start, 0));
	assert_ok(cuEventCreate(&end, 0));
	assert_ok(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
	assert_ok(cuEventQuery(start));
	assert_err(cuEventElapsedTime_v2(&ms, start, end), INVALID_HANDLE);
	clock_stop();
	assert_ok(cuEventRecord(start, NULL));
	clock_move(1500 * CLOCK_US);
	assert_ok(cuEventRecord(end, NULL));
	clock_go();
	assert_ok(cuEventRecord(untimed, NULL));
	assert_ok(cuEventSynchronize(end));
	assert_ok(cuStreamWaitEvent(NULL, end, 0));
	assert_ok(cuEventElapsedTime_v2(&ms, start, end));
	assert_true(ms == 1.5f);
	assert_err(cuEventElapsedTime_v2(&ms, start, untimed), INVALID_HANDLE);
	assert_ok(cuEventDestroy_v2(start));
	assert_err(cuEventDestroy_v2(start), INVALID_HANDLE);
	assert_err(cuEventRecord(start, NULL), INVALID_HANDLE);
	assert_ok(cuCtxDestroy_v2(ctx));
}

static void test_host_memory(void **state)
{
	unsigned int type, flags;
	CUdeviceptr addr;
	char own[64];
	CUcontext ctx;
	void *host;
	char *hole;

	assert_ok(cuCtxCreate_v2(&ctx, 0, 0));
	assert_err(cuMemHostAlloc(NULL, 1, 0), INVALID_VALUE);
	assert_err(cuMemHostAlloc(&host, 0, 0), INVALID_VALUE);
	assert_err(cuMemHostAlloc(&host, 1, 8), INVALID_VALUE);
	assert_ok(cuMemHostAlloc(&host, 5000, CU_MEMHOSTALLOC_PORTABLE));
	memset(host, 1, 5000);
	assert_ok(cuMemHostGetDevicePointer_v2(&addr, host, 0));
	assert_int_equal(addr, (uintptr_t)host);
	assert_ok(cuMemHostGetFlags(&flags, host));
	assert_int_equal(flags, CU_MEMHOSTALLOC_PORTABLE);
	assert_ok(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					addr + 4999));
	assert_int_equal(type, CU_MEMORYTYPE_HOST);
	assert_err(cuMemFreeHost(own), INVALID_VALUE);
	assert_ok(cuMemFreeHost(host));
	assert_err(cuMemFreeHost(host), INVALID_VALUE);

	assert_err(cuMemHostRegister_v2(NULL, 64, 0), INVALID_VALUE);
	assert_err(cuMemHostRegister_v2(own, 0, 0), INVALID_VALUE);
	assert_err(cuMemHostRegister_v2(own, SIZE_MAX, 0), INVALID_VALUE);
	assert_ok(cuMemHostRegister_v2(own, 64, 0));
	assert_err(cuMemHostRegister_v2(own + 63, 1, 0),
		   HOST_MEMORY_ALREADY_REGISTERED);
	assert_err(cuMemHostUnregister(own + 1), HOST_MEMORY_NOT_REGISTERED);
	assert_ok(cuMemHostUnregister(own));
	assert_err(cuMemHostUnregister(own), HOST_MEMORY_NOT_REGISTERED);
	hole = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	assert_ptr_not_equal(hole, MAP_FAILED);
	munmap(hole + PAGE, PAGE);
	assert_err(cuMemHostRegister_v2(hole, 3 * PAGE, 0), INVALID_VALUE);
	munmap(hole, 3 * PAGE);
	assert_ok(cuMemAllocHost_v2(&host, 10));
	assert_ok(cuCtxDestroy_v2(ctx));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_context),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_destroyed_below),
		cmocka_unit_test(test_stack_depth),
		cmocka_unit_test(test_primary),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_host_memory),
	};

	gpumem_sim_set_clock(&clock_gpu);
	return cmocka_run_group_tests(tests, init_setup, NULL);
}
