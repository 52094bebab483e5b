// SPDX-License-Identifier: MIT
/* Virtual memory management, pools and managed memory. */
#include <fcntl.h>

#include "sim_test.h"

#define SIZE (2 * MIB)

static const CUmemAllocationProp shareable = {
	.type = CU_MEM_ALLOCATION_TYPE_PINNED,
	.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
	.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
};

static const CUmemAccessDesc read_write = {
	.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
	.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
};

static size_t memory_free(void)
{
	size_t left, total;

	assert_ok(cuMemGetInfo_v2(&left, &total));
	return left;
}

/* Two allocations side by side at *addr. */
static void map_two(CUmemGenericAllocationHandle handle[2], CUdeviceptr *addr)
{
	assert_ok(cuMemAddressReserve(addr, 4 * SIZE, 0, 0, 0));
	for (int i = 0; i < 2; i++) {
		assert_ok(cuMemCreate(&handle[i], SIZE, &shareable, 0));
		assert_ok(cuMemMap(*addr + (unsigned int)i * SIZE, SIZE, 0,
				   handle[i], 0));
	}
	assert_ok(cuMemSetAccess(*addr, 2 * SIZE, &read_write, 1));
}

static void unmap_two(CUmemGenericAllocationHandle handle[2], CUdeviceptr addr)
{
	assert_ok(cuMemUnmap(addr, 2 * SIZE));
	assert_ok(cuMemRelease(handle[0]));
	assert_ok(cuMemRelease(handle[1]));
	assert_ok(cuMemAddressFree(addr, 4 * SIZE));
}

static void test_seam(void **state)
{
	CUmemGenericAllocationHandle handle[2];
	size_t before = memory_free(), size;
	unsigned char out[3000], in[3000];
	CUdeviceptr addr, base;

	map_two(handle, &addr);
	assert_int_equal(memory_free(), before - 2 * SIZE);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (unsigned char)(i * 7);
	assert_ok(cuMemcpyHtoD_v2(addr + SIZE - 1000, out, sizeof(out)));
	assert_ok(cuMemcpyDtoH_v2(in, addr + SIZE - 1000, sizeof(in)));
	assert_memory_equal(in, out, sizeof(in));
	assert_ok(cuMemsetD8_v2(addr + SIZE - 10, 0x77, 20));
	assert_ok(cuMemcpyDtoH_v2(in, addr + SIZE - 11, 22));
	assert_int_equal(in[0], out[989]);
	for (int i = 1; i < 21; i++)
		assert_int_equal(in[i], 0x77);
	assert_int_equal(in[21], out[1010]);

	assert_ok(cuMemGetAddressRange_v2(&base, &size, addr + SIZE + 5));
	assert_int_equal(base, addr + SIZE);
	assert_int_equal(size, SIZE);
	assert_err(cuMemcpyDtoH_v2(in, addr + 2 * SIZE - 1, 2), INVALID_VALUE);
	unmap_two(handle, addr);
	assert_int_equal(memory_free(), before);
}

static void test_attributes(void **state)
{
	CUmemGenericAllocationHandle handle[2], again;
	CUDA_POINTER_ATTRIBUTE_P2P_TOKENS tokens;
	CUmemAllocationProp prop;
	CUipcMemHandle ipc;
	CUdeviceptr addr;
	unsigned int flag;
	CUcontext ctx;
	uint64_t types;

	map_two(handle, &addr);
	assert_ok(cuPointerGetAttribute(
		&types, CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, addr + 9));
	assert_int_equal(types, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	assert_ok(cuPointerGetAttribute(&ctx, CU_POINTER_ATTRIBUTE_CONTEXT,
					addr));
	assert_null(ctx);
	assert_ok(cuPointerGetAttribute(
		&flag, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, addr));
	assert_int_equal(flag, 0);
	/* Always on. */
	assert_ok(cuPointerGetAttribute(&flag, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS,
					addr));
	assert_int_equal(flag, 1);
	assert_err(cuPointerSetAttribute(
			   &flag, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, addr),
		   NOT_SUPPORTED);
	assert_ok(cuPointerGetAttribute(&tokens,
					CU_POINTER_ATTRIBUTE_P2P_TOKENS, addr));
	assert_err(cuIpcGetMemHandle(&ipc, addr), INVALID_VALUE);
	assert_err(cuMemFree_v2(addr), INVALID_VALUE);

	assert_ok(cuMemRetainAllocationHandle(
		&again, (void *)(uintptr_t)(addr + SIZE + 1)));
	assert_int_equal(again, handle[1]);
	assert_ok(cuMemGetAllocationPropertiesFromHandle(&prop, again));
	assert_memory_equal(&prop, &shareable, sizeof(prop));
	assert_ok(cuMemRelease(again));
	unmap_two(handle, addr);
	assert_err(cuMemRelease(handle[0]), INVALID_VALUE);
}

/*
 * A dma-buf may show several allocations side by side. The memory file has none
 * to give, and says so after it has looked at the range.
 */
static void test_dmabuf_range(void **state)
{
	CUmemGenericAllocationHandle handle[2];
	const int type = CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD;
	CUdeviceptr addr;
	int fd;

	map_two(handle, &addr);
	assert_err(cuMemGetHandleForAddressRange(&fd, addr, SIZE, type, 0),
		   NOT_SUPPORTED);
	assert_err(cuMemGetHandleForAddressRange(&fd, addr, 2 * SIZE, type, 0),
		   NOT_SUPPORTED);
	assert_err(cuMemGetHandleForAddressRange(&fd, addr + SIZE - 4096, 8192,
						 type, 0),
		   NOT_SUPPORTED);
	/* The rest of the reservation shows nothing. */
	assert_err(cuMemGetHandleForAddressRange(&fd, addr, 2 * SIZE + 4096,
						 type, 0),
		   INVALID_VALUE);
	assert_err(cuMemGetHandleForAddressRange(&fd, addr + 1, SIZE, type, 0),
		   INVALID_VALUE);
	unmap_two(handle, addr);
	assert_err(cuMemGetHandleForAddressRange(&fd, addr, SIZE, type, 0),
		   INVALID_VALUE);
}

static void test_share(void **state)
{
	CUmemGenericAllocationHandle handle[2], other;
	size_t before = memory_free();
	CUdeviceptr addr, view;
	unsigned int word = 0;
	int fd, null;

	map_two(handle, &addr);
	assert_ok(cuMemsetD32_v2(addr, 0xfeedbeef, SIZE / 4));
	assert_ok(cuMemExportToShareableHandle(
		&fd, handle[0], CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
	assert_ok(cuMemImportFromShareableHandle(
		&other, (void *)(intptr_t)fd,
		CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
	close(fd);
	unmap_two(handle, addr);

	/* Imported memory stays when the handle it came from has gone. */
	assert_ok(cuMemAddressReserve(&view, SIZE, 0, 0, 0));
	assert_ok(cuMemMap(view, SIZE, 0, other, 0));
	assert_err(cuMemcpyDtoH_v2(&word, view, 4), INVALID_VALUE);
	assert_ok(cuMemSetAccess(view, SIZE, &read_write, 1));
	assert_ok(cuMemcpyDtoH_v2(&word, view, 4));
	assert_int_equal(word, 0xfeedbeef);
	assert_ok(cuMemRelease(other));
	assert_ok(cuMemUnmap(view, SIZE));
	assert_ok(cuMemAddressFree(view, SIZE));
	assert_int_equal(memory_free(), before);

	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_err(cuMemImportFromShareableHandle(
			   &other, (void *)(intptr_t)null,
			   CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
		   INVALID_VALUE);
	close(null);
}

static void test_refusals(void **state)
{
	CUmemAllocationProp prop = shareable;
	CUmemGenericAllocationHandle handle;
	CUdeviceptr addr;
	size_t size;
	int fd;

	assert_ok(cuMemGetAllocationGranularity(
		&size, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	assert_int_equal(size, SIZE);
	assert_err(cuMemCreate(&handle, SIZE + 4096, &prop, 0), INVALID_VALUE);
	prop.location.id = 1;
	assert_err(cuMemCreate(&handle, SIZE, &prop, 0), INVALID_VALUE);
	prop = shareable;
	prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_NONE;
	assert_ok(cuMemCreate(&handle, SIZE, &prop, 0));
	assert_err(cuMemExportToShareableHandle(
			   &fd, handle,
			   CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
		   INVALID_VALUE);
	assert_ok(cuMemAddressReserve(&addr, SIZE, 0, 0, 0));
	assert_err(cuMemMap(addr, SIZE, 4096, handle, 0), INVALID_VALUE);
	assert_err(cuMemMap(addr + SIZE, SIZE, 0, handle, 0), INVALID_VALUE);
	assert_ok(cuMemMap(addr, SIZE, 0, handle, 0));
	assert_err(cuMemMap(addr, SIZE, 0, handle, 0), INVALID_VALUE);
	assert_err(cuMemAddressFree(addr, SIZE), INVALID_VALUE);
	assert_err(cuMemUnmap(addr, SIZE / 2), INVALID_VALUE);
	assert_ok(cuMemUnmap(addr, SIZE));
	assert_ok(cuMemRelease(handle));
	assert_ok(cuMemCreate(&handle, 2 * SIZE, &prop, 0));
	assert_err(cuMemMap(addr, SIZE, 0, handle, 0), NOT_SUPPORTED);
	assert_ok(cuMemRelease(handle));
	assert_ok(cuMemAddressFree(addr, SIZE));
}

static void test_pool(void **state)
{
	CUmemoryPool pool, seen;
	CUipcMemHandle ipc;
	CUdeviceptr addr, plain;
	unsigned int word;
	int fd;

	assert_ok(cuDeviceGetDefaultMemPool(&pool, 0));
	assert_ok(cuMemAllocAsync(&addr, 1000, NULL));
	assert_ok(cuMemAlloc_v2(&plain, 1000));
	assert_ok(cuPointerGetAttribute(
		&seen, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, addr + 1));
	assert_ptr_equal(seen, pool);
	assert_ok(cuPointerGetAttribute(
		&seen, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, plain));
	assert_null(seen);
	assert_err(cuIpcGetMemHandle(&ipc, addr), INVALID_VALUE);
	assert_ok(cuIpcGetMemHandle(&ipc, plain));
	assert_ok(cuMemsetD32_v2(addr, 0x1234, 250));
	assert_ok(cuMemcpyDtoH_v2(&word, addr + 996, 4));
	assert_int_equal(word, 0x1234);
	assert_err(cuMemGetHandleForAddressRange(
			   &fd, addr, 4096, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD,
			   0),
		   NOT_SUPPORTED);
	assert_ok(cuMemFreeAsync(addr, NULL));
	assert_err(cuMemFreeAsync(addr, NULL), INVALID_VALUE);
	assert_ok(cuMemFree_v2(plain));
}

static void test_managed(void **state)
{
	unsigned int managed = 0, type = 0, word;
	CUipcMemHandle ipc;
	CUdeviceptr addr, base;
	size_t size;

	assert_err(cuMemAllocManaged(&addr, 8192, 0), INVALID_VALUE);
	assert_ok(cuMemAllocManaged(&addr, 8192, CU_MEM_ATTACH_GLOBAL));
	assert_ok(cuPointerGetAttribute(&managed,
					CU_POINTER_ATTRIBUTE_IS_MANAGED, addr));
	assert_int_equal(managed, 1);
	assert_ok(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
					addr));
	assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
	assert_err(cuIpcGetMemHandle(&ipc, addr), INVALID_VALUE);
	assert_ok(cuMemsetD32_v2(addr, 0xabcd, 2048));
	assert_int_equal(((unsigned int *)(uintptr_t)addr)[2047], 0xabcd);
	((unsigned int *)(uintptr_t)addr)[3] = 99;
	assert_ok(cuMemcpyDtoH_v2(&word, addr + 12, 4));
	assert_int_equal(word, 99);
	assert_ok(cuMemGetAddressRange_v2(&base, &size, addr + 5));
	assert_int_equal(base, addr);
	assert_int_equal(size, 8192);
	assert_err(cuMemFreeHost((void *)(uintptr_t)addr), INVALID_VALUE);
	assert_ok(cuMemFree_v2(addr));
	assert_err(cuMemFree_v2(addr), INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seam),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_dmabuf_range),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_managed),
	};

	return cmocka_run_group_tests(tests, context_setup, NULL);
}
