// SPDX-License-Identifier: MIT
/* Wrong arguments: the errors of include/gpumem.h, and what they say. */
#include <stdio.h>

#include "unit.h"

static void open_refuses_bad_options(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem *session;

	unit_expect_error(gpumem_open(&options, NULL), -EINVAL,
			  "session is NULL", NULL);
	options.size = 0;
	unit_expect_error(gpumem_open(&options, &session), -EINVAL, "size is 0",
			  "sizeof(struct gpumem_options)", NULL);
	options.size = sizeof(options) + 8;
	unit_expect_error(gpumem_open(&options, &session), -EINVAL, "size is",
			  NULL);
	options.size = sizeof(options);
	options.flags = 4;
	unit_expect_error(gpumem_open(&options, &session), -EINVAL, "0x4",
			  "set it to 0", NULL);
	options.flags = 0;
	options.backend = "vulkan";
	unit_expect_error(gpumem_open(&options, &session), -EINVAL,
			  "no backend \"vulkan\"", "rm, dmabuf or sim", NULL);
}

static void open_refuses_a_gpu_that_is_not_there(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem *session;

	options.device = 99;
	unit_expect_error(gpumem_open(&options, &session), -ENOENT, "no GPU 99",
			  "CUDA sees ", NULL);
	options.device = -1;
	unit_expect_error(gpumem_open(&options, &session), -ENOENT, "no GPU -1",
			  NULL);
}

static void pin_refuses_bad_arguments(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf;

	unit_expect_error(gpumem_pin(unit_session, addr, 4096, 0, NULL),
			  -EINVAL, "buf is NULL", NULL);
	unit_expect_error(gpumem_pin(unit_session, addr, 0, 0, &buf), -EINVAL,
			  "length is 0", "at least 1 byte", NULL);
	unit_expect_error(gpumem_pin(unit_session, addr, 1, 0x80, &buf),
			  -EINVAL, "flags 0x80", "GPUMEM_PIN_", NULL);
	unit_expect_error(gpumem_alloc(unit_session, 4096, 0, NULL), -EINVAL,
			  "buf is NULL", NULL);
	unit_expect_error(gpumem_alloc(unit_session, 0, 0, &buf), -EINVAL,
			  "length is 0", NULL);
	unit_expect_error(gpumem_alloc(unit_session, 1, 0x80, &buf), -EINVAL,
			  "flags 0x80", NULL);
	unit_free(addr);
}

static void pin_refuses_a_range_past_the_end(void **state)
{
	CUdeviceptr addr = unit_alloc(10000);
	struct gpumem_buf *buf;

	unit_expect_error(gpumem_pin(unit_session, addr, 10001, 0, &buf),
			  -ERANGE, "past the end", "10000 bytes are there",
			  NULL);
	unit_expect_error(gpumem_pin(unit_session, addr + 9999, 2, 0, &buf),
			  -ERANGE, "1 bytes are there", NULL);
	unit_expect_error(gpumem_pin(unit_session, addr, UINT64_MAX, 0, &buf),
			  -ERANGE, "10000 bytes are there", NULL);
	unit_expect_error(gpumem_pin(unit_session, addr + 1, UINT64_MAX, 0,
				     &buf),
			  -ERANGE, "9999 bytes are there", NULL);
	unit_free(addr);
}

static void pin_refuses_addresses_that_are_no_device_memory(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf;
	char *host = malloc(64);

	assert_non_null(host);
	unit_expect_error(gpumem_pin(unit_session, (uintptr_t)host, 64, 0,
				     &buf),
			  -EINVAL, "host memory", "cuMemAlloc", NULL);
	free(host);
	unit_expect_error(gpumem_pin(unit_session, 0, 64, 0, &buf), -EINVAL,
			  "no CUDA memory", "never allocated, or freed", NULL);
	unit_expect_error(gpumem_pin(unit_session, UINT64_MAX, 1, 0, &buf),
			  -EINVAL, "no CUDA memory", NULL);
	unit_free(addr);
	unit_expect_error(gpumem_pin(unit_session, addr, 64, 0, &buf), -EINVAL,
			  "no CUDA memory", "freed already", NULL);
}

static void pin_refuses_page_locked_host_memory(void **state)
{
	struct gpumem_buf *buf;
	void *host;

	assert_int_equal(unit_cuda.alloc_host(&host, 4096), 0);
	unit_expect_error(gpumem_pin(unit_session, (uintptr_t)host, 64, 0,
				     &buf),
			  -EINVAL, "host memory", "cuMemAlloc", NULL);
	assert_int_equal(unit_cuda.free_host(host), 0);
}

static void pin_refuses_managed_memory(void **state)
{
	struct gpumem_buf *buf;
	CUdeviceptr addr;

	if (unit_cuda.alloc_managed(&addr, 4096, 1)) {
		print_message("the stand-in has no managed memory\n");
		skip();
	}
	unit_expect_error(gpumem_pin(unit_session, addr, 64, 0, &buf), -EINVAL,
			  "managed memory", "cuMemAlloc", NULL);
	unit_free(addr);
}

static void alloc_refuses_more_than_there_is(void **state)
{
	struct gpumem_buf *buf;

	unit_expect_error(gpumem_alloc(unit_session, 1ull << 50, 0, &buf),
			  -ENOMEM, "alloc: CUDA error 2, ", "ask for less",
			  NULL);
}

static void buffer_calls_refuse_bad_arguments(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf = unit_pin(addr, 4096);
	struct gpumem_buf_info info = { .size = 3 };
	uint64_t page;
	size_t count = 1;

	unit_expect_error(gpumem_map(buf, NULL), -EINVAL, "addr is NULL", NULL);
	unit_expect_error(gpumem_unmap(buf), -EINVAL, "not mapped", NULL);
	unit_expect_error(gpumem_buf_get(buf, NULL), -EINVAL, "info is NULL",
			  NULL);
	unit_expect_error(gpumem_buf_get(buf, &info), -EINVAL, "size is 3",
			  NULL);
	unit_expect_error(gpumem_pages(buf, 0, NULL, &count), -EINVAL, "array",
			  NULL);
	unit_expect_error(gpumem_pages(buf, 0, &page, NULL), -EINVAL,
			  "count is NULL", NULL);
	unit_expect_error(gpumem_pages(buf, 1, &page, &count), -ERANGE,
			  "no page 1", "has 1", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void copies_refuse_bad_arguments(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf = unit_pin(addr, 1000);
	char bytes[8];

	unit_expect_error(gpumem_write(buf, 0, NULL, 1), -EINVAL,
			  "write: the host address is NULL", NULL);
	unit_expect_error(gpumem_read(buf, 0, NULL, 1), -EINVAL,
			  "read: the host address is NULL", NULL);
	unit_expect_error(gpumem_write(buf, 1000, bytes, 1), -ERANGE,
			  "pass the end", "has 1000", NULL);
	unit_expect_error(gpumem_read(buf, 999, bytes, 2), -ERANGE,
			  "pass the end", NULL);
	unit_expect_error(gpumem_read(buf, UINT64_MAX, bytes, 2), -ERANGE,
			  "pass the end", NULL);
	unit_expect_error(gpumem_read(buf, 2, bytes, SIZE_MAX), -ERANGE,
			  "pass the end", NULL);
	assert_int_equal(gpumem_write(buf, 1000, bytes, 0), 0);
	assert_int_equal(gpumem_read(buf, 0, NULL, 0), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void device_calls_refuse_bad_arguments(void **state)
{
	struct gpumem_device device = { .size = 1 };

	unit_expect_error(gpumem_device_count(unit_session, NULL), -EINVAL,
			  "count is NULL", NULL);
	unit_expect_error(gpumem_device_get(unit_session, 0, NULL), -EINVAL,
			  "device is NULL", NULL);
	unit_expect_error(gpumem_device_get(unit_session, 0, &device), -EINVAL,
			  "size is 1", NULL);
	device.size = sizeof(device);
	unit_expect_error(gpumem_device_get(unit_session, 99, &device), -ENOENT,
			  "no GPU 99", NULL);
	unit_expect_error(gpumem_device_get(unit_session, -2, &device), -ENOENT,
			  "no GPU -2", NULL);
	assert_null(gpumem_cuda_symbol(unit_session, NULL));
	unit_expect_error(0, 0, "name is NULL", NULL);
	assert_null(gpumem_cuda_symbol(unit_session, "cuNoSuchThing"));
	unit_expect_error(0, 0, "no function cuNoSuchThing", NULL);
}

static void a_failure_leaves_the_output_alone(void **state)
{
	struct gpumem_buf *buf = (void *)0x1234;
	struct gpumem *session = (void *)0x1234;
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim",
					  .device = 99 };

	assert_int_not_equal(gpumem_pin(unit_session, 0, 1, 0, &buf), 0);
	assert_ptr_equal(buf, (void *)0x1234);
	assert_int_not_equal(gpumem_open(&options, &session), 0);
	assert_ptr_equal(session, (void *)0x1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_refuses_bad_options),
		cmocka_unit_test(open_refuses_a_gpu_that_is_not_there),
		cmocka_unit_test(pin_refuses_bad_arguments),
		cmocka_unit_test(pin_refuses_a_range_past_the_end),
		cmocka_unit_test(
			pin_refuses_addresses_that_are_no_device_memory),
		cmocka_unit_test(pin_refuses_page_locked_host_memory),
		cmocka_unit_test(pin_refuses_managed_memory),
		cmocka_unit_test(alloc_refuses_more_than_there_is),
		cmocka_unit_test(buffer_calls_refuse_bad_arguments),
		cmocka_unit_test(copies_refuse_bad_arguments),
		cmocka_unit_test(device_calls_refuse_bad_arguments),
		cmocka_unit_test(a_failure_leaves_the_output_alone),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
