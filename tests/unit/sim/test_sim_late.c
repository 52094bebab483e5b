// SPDX-License-Identifier: MIT
/* The simulated CUDA: copies that are not done yet when their call returns. */
#include "sim_test.h"

#define WORD 0x11111111u

static CUstream stream, other, blocking;
static uint32_t *host; /* page-locked */
static CUdeviceptr gpu;

static void start(void)
{
	assert_ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	assert_ok(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	assert_ok(cuStreamCreate(&blocking, 0));
	assert_ok(cuMemHostAlloc((void **)&host, MIB, 0));
	gpu = mem_alloc(MIB);
	assert_ok(cuMemsetD32_v2(gpu, WORD, MIB / 4));
	memset(host, 0, MIB);
	gpumem_sim_delay_copies(true);
}

static void end(void)
{
	gpumem_sim_delay_copies(false);
	assert_ok(cuMemFree_v2(gpu));
	assert_ok(cuMemFreeHost(host));
	assert_ok(cuStreamDestroy_v2(stream));
	assert_ok(cuStreamDestroy_v2(other));
	assert_ok(cuStreamDestroy_v2(blocking));
}

static void read_in(CUstream in)
{
	host[0] = 0;
	assert_ok(cuMemcpyDtoHAsync_v2(host, gpu, 4, in));
	assert_int_equal(host[0], 0);
}

static void a_copy_is_done_where_it_is_waited_for(void **state)
{
	CUevent event, early;

	start();
	assert_ok(cuEventCreate(&event, 0));
	assert_ok(cuEventCreate(&early, 0));
	read_in(stream);
	assert_ok(cuStreamSynchronize(other));
	assert_ok(cuStreamQuery(other));
	assert_int_equal(host[0], 0);
	assert_ok(cuStreamSynchronize(stream));
	assert_int_equal(host[0], WORD);
	read_in(stream);
	assert_ok(cuCtxSynchronize());
	assert_int_equal(host[0], WORD);
	read_in(stream);
	assert_err(cuStreamQuery(stream), NOT_READY);
	assert_ok(cuStreamQuery(stream));
	assert_int_equal(host[0], WORD);
	read_in(stream);
	assert_ok(cuEventQuery(early));
	assert_ok(cuEventRecord(event, stream));
	assert_err(cuEventQuery(event), NOT_READY);
	assert_ok(cuEventQuery(event));
	assert_int_equal(host[0], WORD);
	read_in(stream);
	assert_ok(cuEventRecord(event, stream));
	assert_ok(cuStreamWaitEvent(other, event, 0));
	assert_int_equal(host[0], WORD);
	read_in(stream);
	assert_ok(cuEventRecord(event, stream));
	assert_ok(cuEventSynchronize(event));
	assert_int_equal(host[0], WORD);
	read_in(stream);
	assert_ok(cuStreamDestroy_v2(stream));
	assert_int_equal(host[0], WORD);
	assert_ok(cuEventQuery(event));
	assert_ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	assert_ok(cuEventDestroy_v2(event));
	assert_ok(cuEventDestroy_v2(early));
	end();
}

static void what_comes_after_it_comes_after_it(void **state)
{
	uint32_t pageable = 0;

	start();
	/* In its stream, the value behind the copy. */
	read_in(stream);
	assert_ok(cuStreamWriteValue32_v2(stream, (uintptr_t)&host[1], 5, 0));
	assert_int_equal(host[1], 0);
	assert_ok(cuMemsetD32Async(gpu, 7, 1, other));
	assert_int_equal(host[0], 0);
	assert_ok(cuMemcpyDtoHAsync_v2(&pageable, gpu, 4, stream));
	assert_int_equal(host[0], 7);
	assert_int_equal(host[1], 5);
	assert_int_equal(pageable, 7);
	/* Of page-locked memory as it is then. */
	host[2] = 8;
	assert_ok(cuMemcpyHtoDAsync_v2(gpu, &host[2], 4, stream));
	host[2] = 9;
	assert_ok(cuMemcpyDtoH_v2(&pageable, gpu, 4));
	assert_int_equal(pageable, 7);
	assert_ok(cuStreamSynchronize(stream));
	assert_ok(cuMemcpyDtoH_v2(&pageable, gpu, 4));
	assert_int_equal(pageable, 9);
	/* The null stream waits for those that do not opt out, and they for it. */
	host[0] = 0;
	assert_ok(cuMemcpyDtoHAsync_v2(host, gpu, 4, blocking));
	assert_int_equal(host[0], 0);
	assert_ok(cuMemcpyDtoH_v2(&pageable, gpu, 4));
	assert_int_equal(host[0], 9);
	host[0] = 0;
	assert_ok(cuMemcpyDtoHAsync_v2(host, gpu, 4, NULL));
	assert_int_equal(host[0], 0);
	assert_ok(cuMemsetD32Async(gpu, 10, 1, blocking));
	assert_int_equal(host[0], 9);
	end();
}

static void memory_that_is_freed_is_waited_for(void **state)
{
	CUdeviceptr more;

	start();
	more = mem_alloc(MIB);
	read_in(stream);
	assert_ok(cuMemFree_v2(more));
	assert_int_equal(host[0], WORD);
	read_in(stream);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_is_done_where_it_is_waited_for),
		cmocka_unit_test(what_comes_after_it_comes_after_it),
		cmocka_unit_test(memory_that_is_freed_is_waited_for),
	};

	return cmocka_run_group_tests(tests, context_setup, context_teardown);
}
