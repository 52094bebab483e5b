// SPDX-License-Identifier: MIT
/* Modules, and the one kernel that the simulated CUDA knows. */
#include "abi/sm_copy.h"
#include "../clock.h"
#include "sim_test.h"

#define SIZE 5000
#define IDLE_NS 2000000ull
#define LIFE_NS 20000000ull

static const char image[] = ".version 6.0\n"
			    ".target sm_70\n"
			    ".visible .entry " GM_COURIER_KERNEL "(\n"
			    ")\n"
			    ".visible .entry other(\n"
			    ")\n";

static CUmodule module;
static CUfunction courier;
static CUstream stream;
static CUdeviceptr bell, memory;
static struct gm_courier_flags *flags;
static unsigned char *target;
static unsigned char bytes[SIZE];

static int make(void **state)
{
	static const struct gm_courier_bell silent;

	for (int i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(i * 7);
	return cuModuleLoadData(&module, image) ||
	       cuModuleGetFunction(&courier, module, GM_COURIER_KERNEL) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) ||
	       cuMemAlloc_v2(&bell, sizeof(silent)) ||
	       cuMemcpyHtoD_v2(bell, &silent, sizeof(silent)) ||
	       cuMemAlloc_v2(&memory, SIZE) ||
	       cuMemcpyHtoD_v2(memory, bytes, SIZE) ||
	       cuMemHostAlloc((void **)&flags, sizeof(*flags), 0) ||
	       cuMemHostAlloc((void **)&target, SIZE, 0);
}

static int unmake(void **state)
{
	clock_go();
	return cuMemFree_v2(bell) || cuMemFree_v2(memory) ||
	       cuMemFreeHost(flags) || cuMemFreeHost(target) ||
	       cuStreamDestroy_v2(stream) || cuModuleUnload(module);
}

static CUresult launch(uint64_t start_number, CUdeviceptr from, size_t length)
{
	struct gm_courier_start start = {
		.job = { .from = from,
			 .length = (uint32_t)length,
			 .number = 1,
			 .to = (uintptr_t)target,
			 .how = 12,
			 .number_again = 1 },
		.number = 1,
		.start = start_number,
		.bell = bell,
		.flags = (uintptr_t)flags,
		.idle_ns = IDLE_NS,
		.life_ns = LIFE_NS,
	};
	void *parameters[] = { &start };

	return cuLaunchKernel(courier, 1, 1, 1, 2 * GM_COURIER_GROUP, 1, 1, 0,
			      stream, parameters, NULL);
}

static void modules_are_ptx(void **state)
{
	CUmodule other;

	assert_err(cuModuleLoadData(NULL, image), INVALID_VALUE);
	assert_err(cuModuleLoadData(&other, NULL), INVALID_VALUE);
	assert_err(cuModuleLoadData(&other, "\177ELF"), INVALID_IMAGE);
	assert_ok(cuModuleLoadData(&other, image));
	assert_ok(cuModuleUnload(other));
	assert_err(cuModuleUnload(other), INVALID_HANDLE);
}

static void other_kernels_are_refused(void **state)
{
	CUfunction function;
	CUmodule other;

	assert_err(cuModuleGetFunction(&function, module, "other"),
		   NOT_SUPPORTED);
	assert_err(cuModuleGetFunction(NULL, module, GM_COURIER_KERNEL),
		   INVALID_VALUE);
	assert_ok(cuModuleLoadData(&other, ".version 6.0\n.target sm_70\n"
					   ".entry gpumem_courier_two("));
	assert_err(cuModuleGetFunction(&function, other, GM_COURIER_KERNEL),
		   NOT_SUPPORTED);
	assert_ok(cuModuleUnload(other));
}

static void launches_are_checked(void **state)
{
	void *parameters[] = { bytes };

	assert_err(cuLaunchKernel(courier, 2, 1, 1, 128, 1, 1, 0, stream,
				  parameters, NULL),
		   NOT_SUPPORTED);
	assert_err(cuLaunchKernel(courier, 1, 1, 1, 2048, 1, 1, 0, stream,
				  parameters, NULL),
		   INVALID_VALUE);
	assert_err(cuLaunchKernel(courier, 1, 1, 1, 128, 1, 1, 0, stream, NULL,
				  NULL),
		   INVALID_VALUE);
	assert_err(cuLaunchKernel((CUfunction)bytes, 1, 1, 1, 128, 1, 1, 0,
				  stream, parameters, NULL),
		   INVALID_HANDLE);
	assert_err(cuLaunchKernel(courier, 1, 1, 1, 128, 1, 1, 0,
				  (CUstream)bytes, parameters, NULL),
		   INVALID_HANDLE);
}

static void a_kernel_runs_and_ends(void **state)
{
	clock_stop();
	assert_ok(cuStreamQuery(stream));
	assert_ok(launch(1, memory, SIZE));
	assert_ok(launch(2, memory, SIZE));
	assert_err(cuStreamQuery(stream), NOT_READY);
	assert_ok(cuStreamQuery(NULL));
	assert_ok(clock_end_kernels(cuCtxSynchronize));
	assert_ok(cuStreamQuery(stream));
	assert_memory_equal(target, bytes, SIZE);
	assert_int_equal(flags->started.value, 2);
	assert_int_equal(flags->retired.value, 2);
	assert_int_equal(flags->done[1][0].value, 1);
	assert_int_equal(flags->done[1][1].value, 1);
	assert_int_equal(flags->done[0][0].value, 0);
}

static void a_cancelled_start_does_nothing(void **state)
{
	const uint64_t cancelled = 1;

	assert_ok(cuMemcpyHtoD_v2(bell + offsetof(struct gm_courier_bell,
						  cancelled),
				  &cancelled, sizeof(cancelled)));
	assert_ok(launch(1, memory, SIZE));
	assert_ok(cuCtxSynchronize());
	assert_int_equal(flags->started.value, 1);
	assert_int_equal(flags->retired.value, 1);
	assert_int_equal(flags->done[1][0].value, 0);
	assert_int_equal(target[1], 0);
}

static void freeing_memory_waits_for_kernels(void **state)
{
	CUdeviceptr addr;

	assert_ok(cuMemAlloc_v2(&addr, SIZE));
	assert_ok(launch(1, memory, SIZE));
	assert_ok(cuMemFree_v2(addr));
	assert_int_equal(flags->retired.value, 1);
	assert_ok(launch(2, memory, SIZE));
	assert_ok(cuCtxSynchronize());
	assert_int_equal(flags->retired.value, 2);
}

/* As on a GPU, the context is of no use from then on. */
static void a_fault_stays_with_the_context(void **state)
{
	CUcontext ctx;

	assert_ok(cuCtxCreate_v2(&ctx, 0, 0));
	assert_int_equal(make(state), 0);
	assert_ok(launch(1, 0x1000, SIZE));
	assert_err(cuCtxSynchronize(), ILLEGAL_ADDRESS);
	assert_err(cuStreamQuery(stream), ILLEGAL_ADDRESS);
	assert_err(launch(2, memory, SIZE), ILLEGAL_ADDRESS);
	assert_int_equal(flags->retired.value, 0);
	assert_ok(cuCtxDestroy_v2(ctx));
	assert_ok(cuCtxSynchronize());
}

int main(void)
{
#define WITH_KERNEL(test) cmocka_unit_test_setup_teardown(test, make, unmake)
	const struct CMUnitTest tests[] = {
		WITH_KERNEL(modules_are_ptx),
		WITH_KERNEL(other_kernels_are_refused),
		WITH_KERNEL(launches_are_checked),
		WITH_KERNEL(a_kernel_runs_and_ends),
		WITH_KERNEL(a_cancelled_start_does_nothing),
		WITH_KERNEL(freeing_memory_waits_for_kernels),
		cmocka_unit_test(a_fault_stays_with_the_context),
	};

	gpumem_sim_set_clock(&clock_gpu);
	return cmocka_run_group_tests(tests, context_setup, NULL);
}
