// SPDX-License-Identifier: MIT
/*
 * The program resets the GPU's primary context (cudaDeviceReset) under a
 * session. The simulated CUDA ends the process when a stream, an event or a
 * module of before is used, as a real one does.
 */
#include "unit.h"

#define LENGTH (4 * MIB)

static struct gpumem *session;
static struct gpumem_buf *buf;
static char host[LENGTH];

static void symbol(const char *name, void *function)
{
	*(void **)function = gpumem_cuda_symbol(session, name);
	assert_non_null(*(void **)function);
}

static struct {
	CUresult (*reset)(CUdevice device);
	CUresult (*create)(CUmemGenericAllocationHandle *handle, size_t size,
			   const CUmemAllocationProp *prop,
			   unsigned long long flags);
	CUresult (*reserve)(CUdeviceptr *addr, size_t size, size_t alignment,
			    CUdeviceptr fixed, unsigned long long flags);
	CUresult (*map)(CUdeviceptr addr, size_t size, size_t offset,
			CUmemGenericAllocationHandle handle,
			unsigned long long flags);
	CUresult (*access)(CUdeviceptr addr, size_t size,
			   const CUmemAccessDesc *desc, size_t count);
	CUresult (*unmap)(CUdeviceptr addr, size_t size);
	CUresult (*release)(CUmemGenericAllocationHandle handle);
	CUresult (*alloc)(CUdeviceptr *addr, size_t bytes);
	CUresult (*free)(CUdeviceptr addr);
	CUresult (*set)(CUdeviceptr addr, unsigned char value, size_t bytes);
	CUresult (*ctx_set)(CUcontext context);
	CUresult (*primary_retain)(CUcontext *context, CUdevice device);
	CUresult (*primary_release)(CUdevice device);
} cuda;

/* Every way of copying has been used, and none may be again. */
static void use(struct gpumem_buf *of, bool must_work)
{
	for (unsigned int method = GPUMEM_COPY_AUTO;
	     method <= GPUMEM_COPY_ENGINE; method++) {
		struct gpumem_copy_options options = { .size = sizeof(options),
						       .method = method };
		int read = gpumem_read_with(of, 0, host, LENGTH, &options);
		int write = method == GPUMEM_COPY_COURIER
				    ? 0
				    : gpumem_write_with(of, 0, host, LENGTH,
							&options);

		if (must_work && (read || write))
			fail_msg("method %u: %s", method, gpumem_last_error());
	}
}

static void session_open(void)
{
	void *addr;

	assert_int_equal(gpumem_open(NULL, &session), 0);
	symbol("cuDevicePrimaryCtxReset_v2", &cuda.reset);
	symbol("cuMemCreate", &cuda.create);
	symbol("cuMemAddressReserve", &cuda.reserve);
	symbol("cuMemMap", &cuda.map);
	symbol("cuMemSetAccess", &cuda.access);
	symbol("cuMemUnmap", &cuda.unmap);
	symbol("cuMemRelease", &cuda.release);
	symbol("cuMemAlloc_v2", &cuda.alloc);
	symbol("cuMemFree_v2", &cuda.free);
	symbol("cuMemsetD8_v2", &cuda.set);
	symbol("cuCtxSetCurrent", &cuda.ctx_set);
	symbol("cuDevicePrimaryCtxRetain", &cuda.primary_retain);
	symbol("cuDevicePrimaryCtxRelease_v2", &cuda.primary_release);
	assert_int_equal(gpumem_alloc(session, LENGTH, 0, &buf), 0);
	assert_int_equal(gpumem_map(buf, &addr), 0);
	use(buf, true);
}

static void close_after_a_reset(void **state)
{
	session_open();
	assert_int_equal(cuda.reset(0), 0);
	assert_int_equal(gpumem_close(session), 0);
}

static void calls_after_a_reset(void **state)
{
	struct gpumem_buf *other;
	CUcontext context;
	CUdeviceptr addr;

	session_open();
	assert_int_equal(cuda.reset(0), 0);
	use(buf, false);
	assert_int_not_equal(gpumem_alloc(session, LENGTH, 0, &other), 0);

	/* The program goes on with the context. */
	assert_int_equal(cuda.primary_retain(&context, 0), 0);
	assert_int_equal(cuda.ctx_set(context), 0);
	assert_int_equal(cuda.alloc(&addr, LENGTH), 0);
	use(buf, false);
	unit_expect_error(gpumem_pin(session, addr, LENGTH, 0, &other), -EIO,
			  "was reset", "open another", NULL);
	unit_expect_error(gpumem_alloc(session, LENGTH, 0, &other), -EIO,
			  "was reset", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(gpumem_close(session), 0);

	/* Its memory is its own, and a new session works. */
	assert_int_equal(cuda.set(addr, 1, LENGTH), 0);
	session_open();
	assert_int_equal(gpumem_close(session), 0);
	assert_int_equal(cuda.free(addr), 0);
	assert_int_equal(cuda.primary_release(0), 0);
}

/* Memory that belongs to no context is there after the reset as before. */
static void memory_that_outlives_the_context(void **state)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
	};
	const CUmemAccessDesc access = {
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
	};
	CUmemGenericAllocationHandle handle;
	struct gpumem_buf *lasting;
	CUcontext context;
	CUdeviceptr addr;

	session_open();
	assert_int_equal(cuda.reserve(&addr, LENGTH, 0, 0, 0), 0);
	assert_int_equal(cuda.create(&handle, LENGTH, &prop, 0), 0);
	assert_int_equal(cuda.map(addr, LENGTH, 0, handle, 0), 0);
	assert_int_equal(cuda.access(addr, LENGTH, &access, 1), 0);
	assert_int_equal(gpumem_pin(session, addr, LENGTH, 0, &lasting), 0);
	use(lasting, true);
	assert_int_equal(cuda.reset(0), 0);
	assert_int_equal(cuda.primary_retain(&context, 0), 0);
	assert_int_equal(cuda.ctx_set(context), 0);
	use(lasting, false);
	assert_int_equal(gpumem_read(lasting, 0, host, LENGTH), 0);
	assert_int_equal(gpumem_close(session), 0);
	cuda.unmap(addr, LENGTH);
	cuda.release(handle);
	assert_int_equal(cuda.primary_release(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_after_a_reset),
		cmocka_unit_test(calls_after_a_reset),
		cmocka_unit_test(memory_that_outlives_the_context),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
