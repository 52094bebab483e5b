// SPDX-License-Identifier: MIT
/* The simulated CUDA: allocations, copies, pointer attributes, IPC handles. */
#include <endian.h>
#include <pthread.h>

#include "sim_test.h"

static unsigned char pattern(uint64_t i)
{
	return (unsigned char)(i * 7 + (i >> 8) + 1);
}

static void test_alloc_errors(void **state)
{
	CUdeviceptr a, b;
	size_t unused, total;

	assert_err(cuMemAlloc_v2(NULL, 1), INVALID_VALUE);
	assert_err(cuMemAlloc_v2(&a, 0), INVALID_VALUE);
	assert_err(cuMemAlloc_v2(&a, SIZE_MAX), OUT_OF_MEMORY);
	assert_err(cuMemAlloc_v2(&a, 65 * MIB), OUT_OF_MEMORY);
	assert_ok(cuMemGetInfo_v2(&unused, &total));
	assert_int_equal(total, 64 * MIB);
	assert_int_equal(unused, total);
	assert_err(cuMemGetInfo_v2(NULL, &total), INVALID_VALUE);
	a = mem_alloc(63 * MIB); /* takes 64 */
	assert_err(cuMemAlloc_v2(&b, 1), OUT_OF_MEMORY);
	assert_ok(cuMemGetInfo_v2(&unused, &total));
	assert_int_equal(unused, 0);
	assert_err(cuMemFree_v2(a + 1), INVALID_VALUE);
	assert_ok(cuMemFree_v2(a));
	assert_err(cuMemFree_v2(a), INVALID_VALUE);
	assert_ok(cuMemFree_v2(0));
	assert_err(cuMemFree_v2((uintptr_t)&a), INVALID_VALUE);
	assert_err(cuMemAllocManaged(&a, 1, 0), INVALID_VALUE);
	/* The wrong variant, a classic. */
	assert_err(cuMemAlloc((CUdeviceptr_v1 *)&a, 1), INVALID_CONTEXT);
}

static void test_blocks(void **state)
{
	CUdeviceptr small[4], large, base;
	size_t size;

	for (int i = 0; i < 4; i++)
		small[i] = mem_alloc(1000);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(small[i] % 512, 0);
		assert_int_equal(small[i] / (2 * MIB), small[0] / (2 * MIB));
		assert_ok(
			cuMemGetAddressRange_v2(&base, &size, small[i] + 999));
		assert_int_equal(base, small[i]);
		assert_int_equal(size, 1000);
		assert_err(cuMemGetAddressRange_v2(&base, &size,
						   small[i] + 1000),
			   NOT_FOUND);
	}
	/* A hole is used again, but only by what fits. */
	assert_ok(cuMemFree_v2(small[1]));
	base = mem_alloc(1025);
	assert_int_not_equal(base, small[1]);
	assert_ok(cuMemFree_v2(base));
	base = mem_alloc(1024);
	assert_int_equal(base, small[1]);

	large = mem_alloc(MIB);
	assert_int_equal(large % (2 * MIB), 0);
	assert_int_not_equal(large, small[0]);
	assert_ok(cuMemFree_v2(large));
	for (int i = 0; i < 4; i++)
		assert_ok(cuMemFree_v2(small[i]));
}

static void test_pitch(void **state)
{
	CUdeviceptr addr;
	size_t pitch;

	assert_ok(cuMemAllocPitch_v2(&addr, &pitch, 700, 3, 4));
	assert_int_equal(pitch, 1024);
	assert_ok(cuMemFree_v2(addr));
	assert_err(cuMemAllocPitch_v2(&addr, &pitch, 700, 3, 5), INVALID_VALUE);
	assert_err(cuMemAllocPitch_v2(&addr, &pitch, SIZE_MAX, 3, 4),
		   INVALID_VALUE);
	assert_err(cuMemAllocPitch_v2(&addr, &pitch, SIZE_MAX / 2, 3, 4),
		   INVALID_VALUE);
}

static void test_copy(void **state)
{
	size_t size = 5 * PAGE + 123;
	unsigned char *in = malloc(size), *out = malloc(size);
	CUdeviceptr a = mem_alloc(size), b = mem_alloc(2 * MIB);

	assert_non_null(in);
	assert_non_null(out);
	for (size_t i = 0; i < size; i++)
		in[i] = pattern(i);
	assert_ok(cuMemcpyHtoD_v2(a, in, size));
	assert_ok(cuMemcpyDtoH_v2(out, a, size));
	assert_memory_equal(in, out, size);
	assert_ok(cuMemcpyDtoD_v2(b + 77, a, size));
	assert_ok(cuMemcpyDtoHAsync_v2(out, b + 78, size - 1, NULL));
	assert_memory_equal(in + 1, out, size - 1);
	memset(out, 0, size);
	assert_ok(cuMemcpy((uintptr_t)out, a, size));
	assert_memory_equal(in, out, size);
	assert_ok(cuMemcpy(b, (uintptr_t)in, size));
	assert_ok(cuMemcpy(a, b, size));
	memset(out, 0, size);
	assert_ok(cuMemcpy((uintptr_t)out, (uintptr_t)in, size));
	assert_memory_equal(in, out, size);

	assert_ok(cuMemcpyHtoD_v2(a, NULL, 0));
	assert_err(cuMemcpyHtoD_v2(a, NULL, 1), INVALID_VALUE);
	assert_err(cuMemcpyHtoD_v2(a, in, size + 1), INVALID_VALUE);
	assert_err(cuMemcpyDtoH_v2(out, a + 1, size), INVALID_VALUE);
	assert_err(cuMemcpyDtoH_v2(out, a, SIZE_MAX), INVALID_VALUE);
	assert_err(cuMemcpyDtoH_v2(NULL, a, 1), INVALID_VALUE);
	assert_err(cuMemcpyDtoH_v2((void *)16, a, 1), INVALID_VALUE);
	assert_err(cuMemcpyDtoD_v2(b + 2 * MIB - 1, a, 2), INVALID_VALUE);
	assert_err(cuMemcpyDtoHAsync_v2(out, a, 1, (CUstream)out),
		   INVALID_HANDLE);
	assert_ok(cuMemFree_v2(b));
	assert_err(cuMemcpyDtoH_v2(out, b, 1), INVALID_VALUE);
	assert_err(cuMemcpy((uintptr_t)out, b, 1), INVALID_VALUE);
	assert_ok(cuMemFree_v2(a));
	free(in);
	free(out);
}

static void test_fill(void **state)
{
	size_t size = 2 * PAGE + 6;
	unsigned char *out = malloc(size);
	CUdeviceptr a = mem_alloc(size);

	assert_non_null(out);
	assert_ok(cuMemsetD8_v2(a, 0x5a, size));
	assert_ok(cuMemsetD16_v2(a + 2, 0x1234, 2));
	assert_ok(cuMemsetD32_v2(a + PAGE - 4, 0xdeadbeef, 2));
	assert_ok(cuMemcpyDtoH_v2(out, a, size));
	assert_int_equal(out[0], 0x5a);
	assert_int_equal(out[1], 0x5a);
	assert_int_equal(out[2] | out[3] << 8, 0x1234);
	assert_int_equal(out[6], 0x5a);
	assert_int_equal(out[PAGE], 0xef);
	assert_int_equal(out[PAGE + 4], 0x5a);
	assert_int_equal(out[size - 1], 0x5a);
	assert_ok(cuMemsetD8_v2(a, 0, 0));
	assert_err(cuMemsetD8_v2(a, 0, size + 1), INVALID_VALUE);
	assert_err(cuMemsetD16_v2(a + 1, 0, 1), INVALID_VALUE);
	assert_err(cuMemsetD32_v2(a, 0, SIZE_MAX / 2), INVALID_VALUE);
	assert_err(cuMemsetD8_v2(0, 0, 1), INVALID_VALUE);
	assert_ok(cuMemFree_v2(a));
	free(out);
}

/* Freed memory never comes back with what was in it. */
static void test_poison(void **state)
{
	unsigned char out[4096];
	CUdeviceptr a = mem_alloc(64 * MIB);

	assert_ok(cuMemsetD8_v2(a, 0x11, 64 * MIB));
	assert_ok(cuMemFree_v2(a));
	a = mem_alloc(2 * MIB);
	for (uint64_t at = 0; at < 2 * MIB; at += sizeof(out)) {
		assert_ok(cuMemcpyDtoH_v2(out, a + at, sizeof(out)));
		for (size_t i = 0; i < sizeof(out); i++)
			assert_int_equal(out[i], 0xdb);
	}
	assert_ok(cuMemFree_v2(a));
}

static void test_attributes(void **state)
{
	CUpointer_attribute names[] = {
		CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
		CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
		CU_POINTER_ATTRIBUTE_MAPPED,
		CU_POINTER_ATTRIBUTE_RANGE_SIZE,
		CU_POINTER_ATTRIBUTE_HOST_POINTER,
	};
	unsigned int type = 9, mapped = 9, flag = 1;
	unsigned long long id_a, id_b;
	size_t size = 9;
	void *host = &host;
	int ordinal = 9;
	void *values[] = { &type, &ordinal, &mapped, &size, &host };
	CUdeviceptr a = mem_alloc(3000), start;

	assert_ok(cuPointerGetAttributes(5, names, values, a + 10));
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	assert_int_equal(ordinal, 0);
	assert_int_equal(mapped, 1);
	assert_int_equal(size, 3000);
	assert_null(host);
	assert_ok(cuPointerGetAttribute(
		&start, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, a + 10));
	assert_int_equal(start, a);
	assert_ok(cuPointerGetAttribute(
		&start, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, a + 10));
	assert_int_equal(start, a + 10);
	assert_err(cuPointerGetAttribute(&host,
					 CU_POINTER_ATTRIBUTE_HOST_POINTER, a),
		   INVALID_VALUE);
	assert_ok(cuPointerGetAttribute(&id_a, CU_POINTER_ATTRIBUTE_BUFFER_ID,
					a));

	assert_ok(cuPointerSetAttribute(&flag, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS,
					a));
	flag = 0;
	assert_ok(cuPointerGetAttribute(&flag, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS,
					a));
	assert_int_equal(flag, 1);
	assert_err(cuPointerSetAttribute(&flag, CU_POINTER_ATTRIBUTE_BUFFER_ID,
					 a),
		   INVALID_VALUE);
	assert_err(cuPointerSetAttribute(NULL, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS,
					 a),
		   INVALID_VALUE);

	/* The same address again is another buffer. */
	assert_ok(cuMemFree_v2(a));
	assert_err(cuPointerSetAttribute(&flag,
					 CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, a),
		   INVALID_VALUE);
	a = mem_alloc(3000);
	assert_ok(cuPointerGetAttribute(&id_b, CU_POINTER_ATTRIBUTE_BUFFER_ID,
					a));
	assert_int_not_equal(id_a, id_b);
	assert_ok(cuMemFree_v2(a));

	assert_ok(cuPointerGetAttributes(5, names, values, (uintptr_t)&a));
	assert_int_equal(type, 0);
	assert_int_equal(ordinal, CU_DEVICE_INVALID);
	assert_int_equal(mapped, 0);
	assert_err(cuPointerGetAttribute(&type,
					 CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					 (uintptr_t)&a),
		   INVALID_VALUE);
	assert_err(cuPointerGetAttributes(0, names, values, a), INVALID_VALUE);
}

static uint32_t word(const CUipcMemHandle *handle, unsigned int i)
{
	uint32_t value;

	memcpy(&value, handle->reserved + 4 * i, 4);
	return le32toh(value);
}

static void test_ipc(void **state)
{
	CUdeviceptr first = mem_alloc(600), a = mem_alloc(5000), addr;
	CUipcMemHandle handle, shuffled;

	assert_ok(cuIpcGetMemHandle(&handle, a + 3));
	assert_int_equal(word(&handle, 4), 5000);
	assert_int_equal(word(&handle, 5), 0);
	assert_int_equal(word(&handle, 6), 512);
	assert_int_equal(word(&handle, 7), a - first);
	assert_int_equal(word(&handle, 12) >> 20, 0xc1d);
	assert_int_not_equal(word(&handle, 13), 0);
	setenv("GPUMEM_SIM_IPC_LAYOUT", "shuffled", 1);
	assert_ok(cuIpcGetMemHandle(&shuffled, a));
	unsetenv("GPUMEM_SIM_IPC_LAYOUT");
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(word(&shuffled, i),
				 word(&handle, (i + 5) % 16));
	assert_err(cuIpcGetMemHandle(NULL, a), INVALID_VALUE);
	assert_err(cuIpcGetMemHandle(&handle, 1), INVALID_VALUE);
	assert_err(cuIpcOpenMemHandle_v2(&addr, handle, 1), NOT_SUPPORTED);
	assert_err(cuIpcCloseMemHandle(a), NOT_SUPPORTED);
	assert_ok(cuMemFree_v2(a));
	assert_ok(cuMemFree_v2(first));
}

static void *churn(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	unsigned char in[256], out[256];
	CUcontext ctx;

	if (cuDevicePrimaryCtxRetain(&ctx, 0) || cuCtxSetCurrent(ctx))
		return "no context";
	memset(in, (int)seed, sizeof(in));
	for (int i = 0; i < 200; i++) {
		size_t size = (size_t)rand_r(&seed) % (3 * MIB) + sizeof(in);
		CUdeviceptr a;

		if (cuMemAlloc_v2(&a, size))
			return "alloc failed";
		if (cuMemcpyHtoD_v2(a + size - sizeof(in), in, sizeof(in)) ||
		    cuMemcpyDtoH_v2(out, a + size - sizeof(in), sizeof(out)))
			return "copy failed";
		if (memcmp(in, out, sizeof(in)))
			return "another thread wrote here";
		if (cuMemFree_v2(a))
			return "free failed";
	}
	return cuDevicePrimaryCtxRelease_v2(0) ? "release failed" : NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	void *problem;

	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn,
						(void *)(i + 1)),
				 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &problem), 0);
		if (problem)
			fail_msg("%s", (const char *)problem);
	}
}

/* A stream writes words of either memory. */
static void test_write_value(void **state)
{
	CUdeviceptr addr = mem_alloc(2 * MIB);
	uint32_t seen[2] = { 0 }, *word;
	void *host;

	assert_ok(cuMemHostAlloc(&host, 4096, 0));
	word = host;
	memset(host, 0, 4096);
	assert_ok(cuStreamWriteValue32_v2(NULL, (uintptr_t)(word + 1), 7, 0));
	assert_int_equal(word[0], 0);
	assert_int_equal(word[1], 7);
	assert_int_equal(word[2], 0);
	assert_ok(
		cuStreamWriteValue32_v2(NULL, (uintptr_t)(word + 1023), 8, 1));
	assert_int_equal(word[1023], 8);
	assert_err(cuStreamWriteValue32_v2(NULL, (uintptr_t)(word + 1024), 9,
					   0),
		   INVALID_VALUE);
	assert_err(cuStreamWriteValue32_v2(NULL, (uintptr_t)word + 2, 9, 0),
		   INVALID_VALUE);
	assert_err(cuStreamWriteValue32_v2(NULL, (uintptr_t)word, 9, 2),
		   INVALID_VALUE);
	assert_err(cuStreamWriteValue32_v2((CUstream)word, (uintptr_t)word, 9,
					   0),
		   INVALID_HANDLE);
	assert_int_equal(word[0], 0);

	assert_ok(cuMemsetD8_v2(addr, 0, 2 * MIB));
	assert_ok(cuStreamWriteValue32_v2(NULL, addr + 2 * MIB - 4, 0x1234567,
					  0));
	assert_ok(cuMemcpyDtoH_v2(seen, addr + 2 * MIB - 8, 8));
	assert_int_equal(seen[0], 0);
	assert_int_equal(seen[1], 0x1234567);
	assert_ok(cuMemFree_v2(addr));
	assert_err(cuStreamWriteValue32_v2(NULL, addr, 1, 0), INVALID_VALUE);
	assert_ok(cuMemFreeHost(host));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc_errors),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_pitch),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_write_value),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_ipc),
		cmocka_unit_test(test_threads),
	};

	return group_run(tests, context_setup, context_teardown);
}
