// SPDX-License-Identifier: MIT
/*
 * libgdrapi on several simulated GPUs: a pin opens the GPU that has the memory
 * and no other, not even for a moment.
 */
#include <dlfcn.h>

#include "gdrapi_unit.h"

#define GPUS 4

static unsigned int opened[GPUS];

/* In the place of libgpumem's. */
__attribute__((visibility("default"))) int
gpumem_open(const struct gpumem_options *options, struct gpumem **session)
{
	int (*real)(const struct gpumem_options *options,
		    struct gpumem **session);

	*(void **)&real = dlsym(RTLD_NEXT, "gpumem_open");
	opened[options->device]++;
	return real(options, session);
}

static CUdeviceptr memory_on(int gpu, size_t bytes)
{
	CUcontext context;
	CUdeviceptr addr;

	assert_int_equal(unit_cuda.primary_retain(&context, gpu), 0);
	assert_int_equal(unit_cuda.ctx_set(context), 0);
	addr = unit_alloc(bytes);
	unit_use_context();
	return addr;
}

static void memory_free(int gpu, CUdeviceptr addr)
{
	unit_free(addr);
	assert_int_equal(unit_cuda.primary_release(gpu), 0);
}

static void pin_once(gdr_t g, CUdeviceptr addr)
{
	gdr_mh_t mh;

	assert_int_equal(gdr_pin_buffer(g, addr, 65536, 0, 0, &mh), 0);
	assert_int_equal(gdr_unpin_buffer(g, mh), 0);
}

/* As the last of several ranks on a machine does it. */
static void only_the_gpu_that_has_the_memory(void **state)
{
	CUdeviceptr addr = memory_on(3, 2 * MIB);
	gdr_t g = gdr_open();

	assert_non_null(g);
	memset(opened, 0, sizeof(opened));
	pin_once(g, addr);
	pin_once(g, addr + 65536);
	assert_int_equal(opened[0] + opened[1] + opened[2], 0);
	assert_int_equal(opened[3], 1);
	assert_int_equal(gdr_close(g), 0);
	memory_free(3, addr);
}

static void several_gpus_through_one_handle(void **state)
{
	CUdeviceptr one = memory_on(1, 2 * MIB), two = memory_on(2, 2 * MIB);
	gdr_t g = gdr_open();

	assert_non_null(g);
	memset(opened, 0, sizeof(opened));
	pin_once(g, two);
	assert_int_equal(opened[1], 0);
	pin_once(g, one);
	pin_once(g, two);
	assert_int_equal(opened[0] + opened[3], 0);
	assert_int_equal(opened[1], 1);
	assert_int_equal(opened[2], 1);
	assert_int_equal(gdr_close(g), 0);
	memory_free(1, one);
	memory_free(2, two);
}

/* UCX rounds a range down out of its allocation, here into nobody's memory. */
static void a_range_that_begins_before_its_allocation(void **state)
{
	CUdeviceptr gap = memory_on(2, 4096), addr = memory_on(2, 4096);
	gdr_t g = gdr_open();

	assert_non_null(g);
	assert_int_equal(addr & GPU_PAGE_MASK, gap);
	memory_free(2, gap);
	memset(opened, 0, sizeof(opened));
	pin_once(g, gap);
	assert_int_equal(opened[0] + opened[1] + opened[3], 0);
	assert_int_equal(opened[2], 1);
	assert_int_equal(gdr_close(g), 0);
	memory_free(2, addr);
}

static void nobodys_address_opens_none(void **state)
{
	gdr_t g = gdr_open();
	gdr_mh_t mh;

	assert_non_null(g);
	memset(opened, 0, sizeof(opened));
	assert_int_equal(gdr_pin_buffer(g, 0x6ff000000000, 65536, 0, 0, &mh),
			 EINVAL);
	for (int i = 0; i < GPUS; i++)
		assert_int_equal(opened[i], 0);
	assert_int_equal(gdr_close(g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_gpu_that_has_the_memory),
		cmocka_unit_test(several_gpus_through_one_handle),
		cmocka_unit_test(a_range_that_begins_before_its_allocation),
		cmocka_unit_test(nobodys_address_opens_none),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
