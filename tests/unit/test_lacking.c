// SPDX-License-Identifier: MIT
/* On a libcuda that lacks a function, as an older driver's does. */
#include "../../lib/cuda/cuda.h"
#include "unit.h"

#define BYTES (2 * MIB)

/* The linker puts it in dlsym()'s place. */
void *__wrap_dlsym(void *lib, const char *name);
void *__real_dlsym(void *lib, const char *name);

static const char *lacking;
static unsigned char pattern[BYTES], got[BYTES];

void *__wrap_dlsym(void *lib, const char *name)
{
	return lacking && !strcmp(name, lacking) ? NULL
						 : __real_dlsym(lib, name);
}

#define NAME(member, name, args) name,

static const char *const required[] = { GM_CUDA_REQUIRED(NAME) };
static const char *const optional[] = { GM_CUDA_OPTIONAL(NAME) };
static const char *const by_engine[] = {
	"cuStreamCreate",	"cuStreamDestroy_v2",	"cuStreamSynchronize",
	"cuMemcpyDtoHAsync_v2", "cuMemcpyHtoDAsync_v2", "cuMemHostAlloc",
	"cuMemFreeHost",
};
static const char *const by_courier[] = {
	"cuModuleLoadData",	"cuModuleUnload",
	"cuModuleGetFunction",	"cuLaunchKernel",
	"cuMemHostRegister_v2", "cuMemHostUnregister",
	"cuStreamQuery",	"cuMemHostGetDevicePointer_v2",
	"cuStreamSynchronize",	"cuMemcpyHtoDAsync_v2",
	"cuStreamDestroy_v2",	"cuStreamCreateWithPriority",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int open_without(const char *name, struct gpumem **session)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	int rc;

	lacking = name;
	rc = gpumem_open(&options, session);
	return rc;
}

static void what_is_needed_is_named(void **state)
{
	struct gpumem *session;

	for (size_t i = 0; i < COUNT(required); i++)
		unit_expect_error(open_without(required[i], &session), -ELIBACC,
				  required[i], "too old", NULL);
	lacking = NULL;
}

static void copy_there_and_back(struct gpumem_buf *buf, size_t bytes)
{
	memset(got, 0, bytes);
	assert_int_equal(gpumem_write(buf, 0, pattern, bytes), 0);
	assert_int_equal(gpumem_read(buf, 0, got, bytes), 0);
	assert_memory_equal(got, pattern, bytes);
}

static void the_rest_works_without_each_of_the_others(void **state)
{
	struct gpumem *session;
	struct gpumem_buf *buf;

	unit_fill(pattern, BYTES, 3);
	for (size_t i = 0; i < COUNT(optional); i++) {
		if (open_without(optional[i], &session))
			fail_msg("%s: %s", optional[i], gpumem_last_error());
		assert_int_equal(gpumem_alloc(session, BYTES, 0, &buf), 0);
		copy_there_and_back(buf, 100);
		copy_there_and_back(buf, 20000);
		copy_there_and_back(buf, BYTES);
		assert_int_equal(gpumem_close(session), 0);
	}
	lacking = NULL;
}

static void expect_refused(const char *name, unsigned int method,
			   const char *why)
{
	const struct gpumem_copy_options options = { .size = sizeof(options),
						     .method = method };
	struct gpumem *session;
	struct gpumem_buf *buf;

	assert_int_equal(open_without(name, &session), 0);
	assert_int_equal(gpumem_alloc(session, BYTES, 0, &buf), 0);
	unit_expect_error(gpumem_read_with(buf, 0, got, BYTES, &options),
			  -EOPNOTSUPP, why, "use a newer driver", NULL);
	assert_int_equal(gpumem_close(session), 0);
	lacking = NULL;
}

static void the_ways_of_the_gpu_say_that_they_lack_one(void **state)
{
	for (size_t i = 0; i < COUNT(by_engine); i++)
		expect_refused(by_engine[i], GPUMEM_COPY_ENGINE,
			       "lacks asynchronous copies");
	for (size_t i = 0; i < COUNT(by_courier); i++)
		expect_refused(by_courier[i], GPUMEM_COPY_COURIER,
			       "cannot start kernels");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_needed_is_named),
		cmocka_unit_test(the_rest_works_without_each_of_the_others),
		cmocka_unit_test(the_ways_of_the_gpu_say_that_they_lack_one),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
