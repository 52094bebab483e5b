/* SPDX-License-Identifier: MIT */
/* What the tests of the simulated CUDA share. */
#ifndef SIM_TEST_H
#define SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cuda_api.h"
#include "abi/sim.h"
#include "../group.h"

#define MIB (1ull << 20)
#define PAGE GPUMEM_SIM_PAGE_SIZE

#define assert_ok(call) assert_int_equal(call, CUDA_SUCCESS)
#define assert_err(call, error) assert_int_equal(call, CUDA_ERROR_##error)

/* For child processes, where cmocka's checks would unwind into the parent's. */
#define CHILD_CHECK(condition)                                             \
	do {                                                               \
		if (!(condition)) {                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
				#condition);                               \
			_exit(1);                                          \
		}                                                          \
	} while (0)

/* Runs a function in a forked child, where it must not fail a CHILD_CHECK(). */
static inline void run_in_child(void (*way)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		way();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A group's set-up: CUDA is up and the primary context is current. */
static inline int context_setup(void **state)
{
	CUcontext ctx;

	if (cuInit(0) || cuDevicePrimaryCtxRetain(&ctx, 0) ||
	    cuCtxPushCurrent_v2(ctx))
		return -1;
	return 0;
}

/* A group's tear-down: whatever the tests did, nothing is left. */
static inline int context_teardown(void **state)
{
	struct gpumem_sim_info info;
	CUcontext ctx;

	if (cuCtxPopCurrent_v2(&ctx) || cuDevicePrimaryCtxRelease_v2(0) ||
	    gpumem_sim_get_info(&info))
		return -1;
	if (info.memory_used || info.pins || info.bar1_free != info.bar1_size) {
		fprintf(stderr, "left: %llu bytes, %llu pins\n",
			(unsigned long long)info.memory_used,
			(unsigned long long)info.pins);
		return -1;
	}
	return 0;
}

static inline CUdeviceptr mem_alloc(size_t size)
{
	CUdeviceptr addr = 0;

	assert_ok(cuMemAlloc_v2(&addr, size));
	return addr;
}

#endif /* SIM_TEST_H */
