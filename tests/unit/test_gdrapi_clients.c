// SPDX-License-Identifier: MIT
/* The calls of GDRCopy's known clients, each in its own order. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>

#include "gdrapi_unit.h"

/* The functions that all of them look up. */
static const char *const functions[] = {
	"gdr_open",
	"gdr_close",
	"gdr_pin_buffer",
	"gdr_pin_buffer_v2",
	"gdr_unpin_buffer",
	"gdr_get_callback_flag",
	"gdr_get_info",
	"gdr_get_info_v2",
	"gdr_map",
	"gdr_map_v2",
	"gdr_unmap",
	"gdr_copy_to_mapping",
	"gdr_copy_from_mapping",
	"gdr_runtime_get_version",
	"gdr_driver_get_version",
	"gdr_get_attribute",
	"gdr_get_mapping_type_string",
};

/* NCCL and DPDK open the first of the names, NVSHMEM the other. */
static void both_names_open_it(void **state)
{
	static const char *const names[] = { "libgdrapi.so", "libgdrapi.so.2" };
	Dl_info self;
	int length;

	assert_true(dladdr((void *)gdr_open, &self));
	length = (int)(strrchr(self.dli_fname, '/') - self.dli_fname);
	for (int i = 0; i < 2; i++) {
		char path[1024];
		void *lib;

		snprintf(path, sizeof(path), "%.*s/%s", length, self.dli_fname,
			 names[i]);
		lib = dlopen(path, RTLD_NOW);
		if (!lib)
			fail_msg("%s", dlerror());
		for (size_t k = 0; k < sizeof(functions) / sizeof(*functions);
		     k++)
			if (!dlsym(lib, functions[k]))
				fail_msg("no %s", functions[k]);
		assert_ptr_equal(dlsym(lib, "gdr_open"), gdr_open);
		dlclose(lib);
	}
}

/* It pins what it allocated, and unmaps by the device address. */
static void as_dpdk_does(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(1024);
	void *device = (void *)(uintptr_t)memory.addr;
	gdr_mh_t mh = { 0 };
	unsigned char *map = NULL;
	gdr_info_t info;

	assert_int_equal(gdr_pin_buffer(gdr_unit, memory.addr, 1024, 0, 0, &mh),
			 0);
	assert_int_equal(gdr_map(gdr_unit, mh, (void **)&map, 1024), 0);
	map[0] = 4;
	assert_int_equal(map[0], 4);
	assert_int_equal(gdr_unmap(gdr_unit, mh, device, 1024), 0);
	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(info.mapped, 0);
	assert_false(gdr_unit_readable(map, 1));
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

/* It rounds out to pages of 64 KiB itself, into what is nobody's. */
static void as_libfabric_does(void **state)
{
	CUdeviceptr before = unit_alloc(1000), mine = unit_alloc(3000);
	uint64_t start = mine & GPU_PAGE_MASK;
	size_t size = ((mine + 3000 + GPU_PAGE_OFFSET) & GPU_PAGE_MASK) - start;
	char want[3000], seen[3000], *map;
	gdr_mh_t mh;

	assert_int_not_equal(mine, start);
	unit_free(before);
	mh = gdr_unit_pin(start, size);
	map = gdr_unit_map(mh, size);
	unit_fill(want, sizeof(want), 3);
	assert_int_equal(gdr_copy_to_mapping(mh, map + (mine - start), want,
					     sizeof(want)),
			 0);
	assert_int_equal(gdr_copy_from_mapping(mh, seen, map + (mine - start),
					       sizeof(seen)),
			 0);
	assert_memory_equal(want, seen, sizeof(seen));
	assert_int_equal(unit_cuda.to_host(seen, mine, sizeof(seen)), 0);
	assert_memory_equal(want, seen, sizeof(seen));
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, size), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(mine);
}

/* A version is taken whose major is its own and whose minor is not less. */
static void expect_version(int major, int minor)
{
	assert_int_equal(major, 2);
	assert_in_range(minor, 6, 99);
}

/* Memory of cuMemCreate, as its heap is. */
static struct {
	CUdeviceptr addr;
	CUmemGenericAllocationHandle handle;
	CUresult (*reserve)(CUdeviceptr *addr, size_t size, size_t align,
			    CUdeviceptr wanted, unsigned long long flags);
	CUresult (*create)(CUmemGenericAllocationHandle *handle, size_t size,
			   const CUmemAllocationProp *prop,
			   unsigned long long flags);
	CUresult (*map)(CUdeviceptr addr, size_t size, size_t offset,
			CUmemGenericAllocationHandle handle,
			unsigned long long flags);
	CUresult (*access)(CUdeviceptr addr, size_t size,
			   const CUmemAccessDesc *desc, size_t count);
	CUresult (*unmap)(CUdeviceptr addr, size_t size);
	CUresult (*release)(CUmemGenericAllocationHandle handle);
	CUresult (*unreserve)(CUdeviceptr addr, size_t size);
} heap;

#define HEAP (4 * MIB)

static void heap_symbol(const char *name, void *function)
{
	*(void **)function = gpumem_cuda_symbol(unit_session, name);
	assert_non_null(*(void **)function);
}

static void heap_make(void)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes =
			CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
		.allocFlags = { .gpuDirectRDMACapable = 1 },
	};
	const CUmemAccessDesc access = {
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
	};

	heap_symbol("cuMemAddressReserve", &heap.reserve);
	heap_symbol("cuMemCreate", &heap.create);
	heap_symbol("cuMemMap", &heap.map);
	heap_symbol("cuMemSetAccess", &heap.access);
	heap_symbol("cuMemUnmap", &heap.unmap);
	heap_symbol("cuMemRelease", &heap.release);
	heap_symbol("cuMemAddressFree", &heap.unreserve);
	assert_int_equal(heap.reserve(&heap.addr, HEAP, 0, 0, 0), 0);
	assert_int_equal(heap.create(&heap.handle, HEAP, &prop, 0), 0);
	assert_int_equal(heap.map(heap.addr, HEAP, 0, heap.handle, 0), 0);
	assert_int_equal(heap.access(heap.addr, HEAP, &access, 1), 0);
}

static void heap_free(void)
{
	assert_int_equal(heap.unmap(heap.addr, HEAP), 0);
	assert_int_equal(heap.release(heap.handle), 0);
	assert_int_equal(heap.unreserve(heap.addr, HEAP), 0);
}

/* Plain loads, stores and atomics in the mapping of its whole heap. */
static void as_nvshmem_does(void **state)
{
	_Atomic uint64_t *word;
	int major, minor, using_dmabuf = -1;
	uint64_t seen = 0;
	gdr_info_t info;
	gdr_mh_t mh;
	char *map;

	gdr_runtime_get_version(&major, &minor);
	expect_version(major, minor);
	assert_int_equal(gdr_get_attribute(gdr_unit,
					   GDR_ATTR_USING_DMA_BUF_MMAP,
					   &using_dmabuf),
			 0);
	assert_int_equal(using_dmabuf, 0);
	assert_int_equal(gdr_driver_get_version(gdr_unit, &major, &minor), 0);
	expect_version(major, minor);

	heap_make();
	mh = gdr_unit_pin(heap.addr, HEAP);
	map = gdr_unit_map(mh, HEAP);
	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(info.va, heap.addr);
	assert_int_equal(info.mapped_size, HEAP);
	word = (_Atomic uint64_t *)(map + HEAP - 8);
	atomic_store(word, 40);
	assert_int_equal(atomic_fetch_add(word, 2), 40);
	assert_int_equal(unit_cuda.to_host(&seen, heap.addr + HEAP - 8, 8), 0);
	assert_int_equal(seen, 42);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, HEAP), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	heap_free();
}

/* A pin that is forced through PCIe first, then one as it comes. */
static void as_nccl_does(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_info_t info;
	gdr_mh_t mh;
	char *map;

	if (gdr_pin_buffer_v2(gdr_unit, memory.addr, 65536,
			      GDR_PIN_FLAG_FORCE_PCIE, &mh))
		assert_int_equal(gdr_pin_buffer_v2(gdr_unit, memory.addr, 65536,
						   GDR_PIN_FLAG_DEFAULT, &mh),
				 0);
	map = gdr_unit_map(mh, 65536);
	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(info.va, memory.addr);
	assert_int_equal(info.mapped, 1);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

/* Where the attribute says that it can be forced, a pin may not fail. */
static void as_ucx_does(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	int force = -1;
	gdr_info_t info;
	gdr_mh_t mh;

	assert_int_equal(gdr_get_attribute(gdr_unit,
					   GDR_ATTR_SUPPORT_PIN_FLAG_FORCE_PCIE,
					   &force),
			 0);
	assert_int_equal(gdr_pin_buffer_v2(gdr_unit, memory.addr, 65536,
					   force ? GDR_PIN_FLAG_FORCE_PCIE
						 : GDR_PIN_FLAG_DEFAULT,
					   &mh),
			 0);
	gdr_unit_map(mh, 65536);
	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(info.mapping_type, GDR_MAPPING_TYPE_WC);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_names_open_it),
		cmocka_unit_test(as_dpdk_does),
		cmocka_unit_test(as_libfabric_does),
		cmocka_unit_test(as_nvshmem_does),
		cmocka_unit_test(as_nccl_does),
		cmocka_unit_test(as_ucx_does),
	};

	return group_run(tests, gdr_unit_setup, gdr_unit_teardown);
}
