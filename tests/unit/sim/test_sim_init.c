// SPDX-License-Identifier: MIT
/* The simulated CUDA: start, device, fork, cuGetProcAddress, errors. */
#include <errno.h>

#include "sim_test.h"

static void test_before_init(void **state)
{
	struct gpumem_sim_info info;
	CUcontext ctx;
	CUdeviceptr addr;
	size_t bytes;
	CUdevice dev;
	int count;

	assert_err(cuDeviceGetCount(&count), NOT_INITIALIZED);
	assert_err(cuDeviceGet(&dev, 0), NOT_INITIALIZED);
	assert_err(cuDeviceTotalMem_v2(&bytes, 0), NOT_INITIALIZED);
	assert_err(cuCtxCreate_v4(&ctx, NULL, 0, 0), NOT_INITIALIZED);
	assert_err(cuCtxGetCurrent(&ctx), NOT_INITIALIZED);
	assert_err(cuDevicePrimaryCtxRetain(&ctx, 0), NOT_INITIALIZED);
	assert_err(cuMemAlloc_v2(&addr, 1), NOT_INITIALIZED);
	assert_err(cuMemFree_v2(1), NOT_INITIALIZED);
	assert_err(cuPointerGetAttribute(&count, 2, 1), NOT_INITIALIZED);
	assert_int_equal(gpumem_sim_get_info(&info), -ENODEV);
	assert_ok(cuDriverGetVersion(&count));
	assert_int_equal(count, 13000);
	assert_non_null(strstr(gpumem_sim_description(), "simulated"));
}

static void with_bad_memory_size(void)
{
	setenv("GPUMEM_SIM_MEMORY_MB", "12x", 1);
	CHILD_CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE);
	setenv("GPUMEM_SIM_MEMORY_MB", "1", 1);
	CHILD_CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE);
	setenv("GPUMEM_SIM_MEMORY_MB", "99999999999999999999", 1);
	CHILD_CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE);
	setenv("GPUMEM_SIM_MEMORY_MB", "-6", 1);
	CHILD_CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE);
}

static void with_bad_device(void)
{
	setenv("GPUMEM_SIM_DEVICE", "real", 1);
	CHILD_CHECK(strstr(gpumem_sim_description(), "GPUMEM_SIM_DEVICE"));
	CHILD_CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE);
	CHILD_CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE);
}

static void with_odd_memory_size(void)
{
	size_t bytes;

	setenv("GPUMEM_SIM_MEMORY_MB", "7", 1);
	CHILD_CHECK(!cuInit(0));
	CHILD_CHECK(!cuDeviceTotalMem_v2(&bytes, 0));
	CHILD_CHECK(bytes == 7 * MIB);
}

static void test_environment(void **state)
{
	run_in_child(with_bad_memory_size);
	run_in_child(with_bad_device);
	run_in_child(with_odd_memory_size);
}

static void test_init(void **state)
{
	assert_err(cuInit(1), INVALID_VALUE);
	assert_ok(cuInit(0));
	assert_ok(cuInit(0));
}

static void test_device(void **state)
{
	char name[64], id[16], small[4] = "xxx";
	int major, minor, value;
	CUdevice dev = 7;
	size_t bytes;
	CUuuid uuid;

	assert_ok(cuDeviceGetCount(&value));
	assert_int_equal(value, 1);
	assert_err(cuDeviceGetCount(NULL), INVALID_VALUE);
	assert_ok(cuDeviceGet(&dev, 0));
	assert_err(cuDeviceGet(&dev, 1), INVALID_DEVICE);
	assert_err(cuDeviceGet(&dev, -1), INVALID_DEVICE);
	assert_err(cuDeviceGet(NULL, 0), INVALID_VALUE);
	assert_ok(cuDeviceGetName(name, sizeof(name), dev));
	assert_string_equal(name, "gpumem simulated GPU");
	assert_ok(cuDeviceGetName(small, sizeof(small), dev));
	assert_string_equal(small, "gpu");
	assert_err(cuDeviceGetName(name, 0, dev), INVALID_VALUE);
	assert_err(cuDeviceGetName(name, sizeof(name), 3), INVALID_DEVICE);
	assert_ok(cuDeviceGetUuid_v2(&uuid, dev));
	assert_ok(cuDeviceComputeCapability(&major, &minor, dev));
	assert_ok(cuDeviceGetAttribute(
		&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev));
	assert_int_equal(value, major);
	assert_ok(cuDeviceGetAttribute(
		&value, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, dev));
	assert_int_equal(value, 1);
	assert_ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_INTEGRATED,
				       dev));
	assert_int_equal(value, 0);
	assert_err(cuDeviceGetAttribute(&value, 0, dev), INVALID_VALUE);
	assert_err(cuDeviceGetAttribute(&value, 9999, dev), INVALID_VALUE);
	assert_err(cuDeviceGetAttribute(NULL, 1, dev), INVALID_VALUE);
	assert_ok(cuDeviceTotalMem_v2(&bytes, dev));
	assert_int_equal(bytes, 64 * MIB);

	assert_ok(cuDeviceGetPCIBusId(id, sizeof(id), dev));
	assert_ok(cuDeviceGetAttribute(&value,
				       CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, dev));
	assert_int_equal(value, strtol(id, NULL, 16));
	dev = 7;
	assert_ok(cuDeviceGetByPCIBusId(&dev, id));
	assert_int_equal(dev, 0);
	assert_err(cuDeviceGetByPCIBusId(&dev, "0000:3b:00.0"), INVALID_DEVICE);
	assert_err(cuDeviceGetByPCIBusId(&dev, "nonsense"), INVALID_VALUE);
	assert_err(cuDeviceGetPCIBusId(id, 5, 0), INVALID_VALUE);
}

static void in_forked_child(void)
{
	struct gpumem_sim_info info;
	const char *name;
	CUdeviceptr addr;
	int count;

	CHILD_CHECK(cuInit(0) == CUDA_ERROR_NOT_INITIALIZED);
	CHILD_CHECK(cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED);
	CHILD_CHECK(cuMemAlloc_v2(&addr, 1) == CUDA_ERROR_NOT_INITIALIZED);
	CHILD_CHECK(cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED);
	CHILD_CHECK(gpumem_sim_get_info(&info) == -EPERM);
	CHILD_CHECK(gpumem_sim_unpin(1) == -EPERM);
	CHILD_CHECK(!cuGetErrorName(CUDA_ERROR_NOT_INITIALIZED, &name));
}

static void test_fork(void **state)
{
	int count;

	run_in_child(in_forked_child);
	assert_ok(cuDeviceGetCount(&count));
}

static void test_proc_address(void **state)
{
	CUdriverProcAddressQueryResult status;
	void *fn;

	assert_ok(cuGetProcAddress_v2("cuMemAlloc", &fn, 12000, 0, &status));
	assert_ptr_equal(fn, cuMemAlloc_v2);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_SUCCESS);
	assert_ok(cuGetProcAddress_v2("cuMemAlloc", &fn, 3000, 0, NULL));
	assert_ptr_equal(fn, cuMemAlloc);
	assert_ok(cuGetProcAddress_v2("cuMemAlloc_v2", &fn, 12000, 0, NULL));
	assert_ptr_equal(fn, cuMemAlloc_v2);
	assert_ok(cuGetProcAddress_v2("cuCtxCreate", &fn, 12000, 0, NULL));
	assert_ptr_equal(fn, cuCtxCreate_v3);
	assert_ok(cuGetProcAddress_v2("cuCtxCreate", &fn, 13000, 0, NULL));
	assert_ptr_equal(fn, cuCtxCreate_v4);
	assert_ok(cuGetProcAddress_v2("cuGetProcAddress", &fn, 11040, 0, NULL));
	assert_ptr_equal(fn, cuGetProcAddress);
	assert_ok(cuGetProcAddress_v2("cuStreamQuery", &fn, 13000, 2, NULL));
	assert_non_null(fn);

	assert_ok(cuGetProcAddress_v2("cuNothing", &fn, 12000, 0, &status));
	assert_null(fn);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
	assert_ok(cuGetProcAddress_v2("cuCtxGetId", &fn, 11000, 0, &status));
	assert_null(fn);
	assert_int_equal(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
	assert_err(cuGetProcAddress("cuNothing", &fn, 12000, 0), NOT_FOUND);
	assert_ok(cuGetProcAddress("cuInit", &fn, 12000, 0));
	assert_ptr_equal(fn, cuInit);
	assert_err(cuGetProcAddress(NULL, &fn, 12000, 0), INVALID_VALUE);
	assert_err(cuGetProcAddress("cuInit", NULL, 12000, 0), INVALID_VALUE);
	assert_err(cuGetProcAddress("cuInit", &fn, 99999, 0), INVALID_VALUE);
	assert_err(cuGetProcAddress("cuInit", &fn, 12000, 4), INVALID_VALUE);
}

static void test_errors(void **state)
{
	const char *text;

	assert_ok(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text));
	assert_string_equal(text, "CUDA_ERROR_OUT_OF_MEMORY");
	assert_ok(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
	assert_string_equal(text, "out of memory");
	assert_err(cuGetErrorName(12345, &text), INVALID_VALUE);
	assert_null(text);
	assert_err(cuGetErrorString(12345, &text), INVALID_VALUE);
	assert_err(cuGetErrorName(0, NULL), INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_init),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_proc_address),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
