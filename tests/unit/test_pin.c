// SPDX-License-Identifier: MIT
/* Pins and mappings, with the data verified by CUDA. */
#include "unit.h"

/* Writes through the mapping, reads by CUDA, and the other way round. */
static void verify(struct gpumem_buf *buf, CUdeviceptr addr, size_t length,
		   uint32_t seed)
{
	char *written = malloc(length), *seen = malloc(length);
	char *cpu = unit_map(buf);

	assert_non_null(written);
	assert_non_null(seen);
	unit_fill(written, length, seed);
	memcpy(cpu, written, length);
	assert_int_equal(unit_cuda.to_host(seen, addr, length), 0);
	assert_memory_equal(seen, written, length);
	unit_fill(written, length, seed + 1);
	assert_int_equal(unit_cuda.to_device(addr, written, length), 0);
	assert_memory_equal(cpu, written, length);
	assert_int_equal(gpumem_unmap(buf), 0);
	free(written);
	free(seen);
}

static void pins_of_any_alignment_map_the_very_byte(void **state)
{
	CUdeviceptr addr = unit_alloc(300 * KIB);
	const size_t bytes = 300 * KIB;

	for (size_t offset = 0; offset <= 4097;
	     offset += offset < 70 ? 1 : 331) {
		struct gpumem_buf_info info = { .size = sizeof(info) };
		struct gpumem_buf *buf = unit_pin(addr + offset, 5);
		char *cpu = unit_map(buf);

		assert_int_equal(unit_cuda.set(addr, 0, bytes), 0);
		assert_int_equal(unit_cuda.set(addr + offset, 0x5a, 1), 0);
		assert_int_equal(cpu[0], 0x5a);
		assert_int_equal(cpu[1], 0);
		assert_int_equal(gpumem_buf_get(buf, &info), 0);
		assert_int_equal(info.addr, addr + offset);
		assert_int_equal(info.length, 5);
		assert_int_equal(info.addr_offset,
				 (addr + offset) % info.page_size);
		assert_ptr_equal(info.cpu, cpu);
		assert_int_equal((uintptr_t)cpu % 4096,
				 info.addr_offset % 4096);
		assert_int_equal(gpumem_unpin(buf), 0);
	}
	unit_free(addr);
}

static void odd_offsets_hold_the_right_data(void **state)
{
	static const size_t offsets[] = { 0,	1,    3,     255,  513,
					  4095, 4097, 65535, 65537 };
	CUdeviceptr addr = unit_alloc(300 * KIB);

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		struct gpumem_buf *buf = unit_pin(addr + offsets[i], 131073);

		verify(buf, addr + offsets[i], 131073, i);
		assert_int_equal(gpumem_unpin(buf), 0);
	}
	unit_free(addr);
}

static void sizes_from_one_byte_to_64_mib_work(void **state)
{
	static const size_t sizes[] = {
		1,     2,     15,    16,      17,  4095,    4096,     4097,
		65535, 65536, 65537, MIB - 1, MIB, MIB + 1, 16 * MIB, 64 * MIB,
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CUdeviceptr addr = unit_alloc(sizes[i]);
		struct gpumem_buf *buf = unit_pin(addr, sizes[i]);

		verify(buf, addr, sizes[i], i);
		assert_int_equal(gpumem_unpin(buf), 0);
		unit_free(addr);
	}
}

static void map_calls_nest_and_give_one_address(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf = unit_pin(addr + 77, MIB - 77);
	struct gpumem_buf_info info = { .size = sizeof(info) };
	char *first = unit_map(buf);

	assert_ptr_equal(unit_map(buf), first);
	assert_ptr_equal(unit_map(buf), first);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_int_equal(info.maps, 3);
	assert_int_equal(gpumem_unmap(buf), 0);
	assert_int_equal(gpumem_unmap(buf), 0);
	first[0] = 1;
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_ptr_equal(info.cpu, first);
	assert_int_equal(gpumem_unmap(buf), 0);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_null(info.cpu);
	assert_int_equal(info.maps, 0);
	unit_expect_error(gpumem_unmap(buf), -EINVAL, "not mapped", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void two_buffers_in_one_page_do_not_mix(void **state)
{
	CUdeviceptr one = unit_alloc(1000), two = unit_alloc(1000);
	struct gpumem_buf *first = unit_pin(one, 1000);
	struct gpumem_buf *second = unit_pin(two, 1000);
	struct gpumem_buf *again = unit_pin(one + 10, 20);
	char *a = unit_map(first), *b = unit_map(second);
	char *c = unit_map(again), seen[1000];

	memset(a, 1, 1000);
	memset(b, 2, 1000);
	memset(c, 3, 20);
	assert_int_equal(unit_cuda.to_host(seen, one, 1000), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(seen[i], i >= 10 && i < 30 ? 3 : 1);
	assert_int_equal(unit_cuda.to_host(seen, two, 1000), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 2);
	/* The others live on. */
	assert_int_equal(gpumem_unpin(first), 0);
	c[0] = 4;
	b[0] = 5;
	assert_int_equal(unit_cuda.to_host(seen, one, 11), 0);
	assert_int_equal(seen[10], 4);
	assert_int_equal(gpumem_unpin(again), 0);
	assert_int_equal(gpumem_unpin(second), 0);
	unit_free(one);
	unit_free(two);
}

static void pages_have_addresses(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf = unit_pin(addr + 1, MIB - 1);
	struct gpumem_buf_info info = { .size = sizeof(info) };
	uint64_t pages[17], some[3];
	size_t count = 17;

	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_int_equal(info.page_size, 65536);
	assert_int_equal(info.page_count, 16);
	assert_true(info.flags & GPUMEM_BUF_SIMULATED_PAGES);
	assert_int_equal(gpumem_pages(buf, 0, pages, &count), 0);
	assert_int_equal(count, 16);
	for (size_t i = 0; i < count; i++) {
		assert_true(pages[i] >= GPUMEM_SIM_FAKE_PHYS);
		assert_int_equal(pages[i] % 65536, 0);
		for (size_t k = 0; k < i; k++)
			assert_true(pages[i] != pages[k]);
	}
	count = 3;
	assert_int_equal(gpumem_pages(buf, 5, some, &count), 0);
	assert_int_equal(count, 3);
	assert_memory_equal(some, pages + 5, sizeof(some));
	count = 0;
	assert_int_equal(gpumem_pages(buf, 15, some, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void memory_freed_while_pinned_stays_until_unpin(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB), other;
	struct gpumem_buf *buf = unit_pin(addr, MIB);
	struct gpumem_sim_info before, after;
	char *cpu = unit_map(buf), byte = 0;

	memset(cpu, 0x77, MIB);
	unit_free(addr);
	other = unit_alloc(MIB);
	assert_int_equal(unit_cuda.set(other, 0x11, MIB), 0);
	assert_int_equal(cpu[0], 0x77);
	assert_int_equal(cpu[MIB - 1], 0x77);
	assert_int_equal(gpumem_read(buf, 5, &byte, 1), 0);
	assert_int_equal(byte, 0x77);
	assert_int_equal(unit_cuda.sim_info(&before), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(unit_cuda.sim_info(&after), 0);
	assert_true(after.memory_used < before.memory_used);
	unit_free(other);
}

static void alloc_frees_at_unpin(void **state)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_sim_info before, during, after;
	struct gpumem_buf *buf;

	assert_int_equal(unit_cuda.sim_info(&before), 0);
	assert_int_equal(gpumem_alloc(unit_session, 3 * MIB, 0, &buf), 0);
	assert_int_equal(unit_cuda.sim_info(&during), 0);
	assert_true(during.memory_used > before.memory_used);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_true(info.flags & GPUMEM_BUF_OWNED);
	assert_int_equal(info.length, 3 * MIB);
	verify(buf, info.addr, 3 * MIB, 9);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(unit_cuda.sim_info(&after), 0);
	assert_int_equal(after.memory_used, before.memory_used);
}

/* Kept by the allocation until it is freed, as gpumem.h says. */
static void synchronous_copies_are_complete_when_they_return(void **state)
{
	CUresult (*attribute)(void *data, CUpointer_attribute which,
			      CUdeviceptr addr);
	CUdeviceptr addr = unit_alloc(4096);
	unsigned int on = 7;

	*(void **)&attribute =
		gpumem_cuda_symbol(unit_session, "cuPointerGetAttribute");
	assert_int_equal(attribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, addr),
			 0);
	assert_int_equal(on, 0);
	assert_int_equal(gpumem_unpin(unit_pin(addr, 4096)), 0);
	assert_int_equal(attribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, addr),
			 0);
	assert_int_equal(on, 1);
	unit_free(addr);
}

static void calls_leave_the_threads_context_alone(void **state)
{
	CUcontext mine, seen, primary;
	struct gpumem_buf *buf;

	assert_int_equal(unit_cuda.ctx_get(&primary), 0);
	assert_int_equal(unit_cuda.ctx_set(NULL), 0);
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	assert_int_equal(unit_cuda.ctx_get(&seen), 0);
	assert_null(seen);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(unit_cuda.ctx_create(&mine, 0, 0), 0);
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(unit_cuda.ctx_get(&seen), 0);
	assert_ptr_equal(seen, mine);
	assert_int_equal(unit_cuda.ctx_destroy(mine), 0);
	assert_int_equal(unit_cuda.ctx_set(primary), 0);
}

static void memory_of_another_context_can_be_pinned(void **state)
{
	CUcontext mine, primary;
	struct gpumem_buf *buf;
	CUdeviceptr addr;

	assert_int_equal(unit_cuda.ctx_get(&primary), 0);
	assert_int_equal(unit_cuda.ctx_create(&mine, 0, 0), 0);
	addr = unit_alloc(MIB);
	assert_int_equal(unit_cuda.ctx_set(primary), 0);
	buf = unit_pin(addr + 3, MIB - 3);
	assert_int_equal(unit_cuda.ctx_set(mine), 0);
	verify(buf, addr + 3, MIB - 3, 4);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
	assert_int_equal(unit_cuda.ctx_destroy(mine), 0);
	assert_int_equal(unit_cuda.ctx_set(primary), 0);
}

static void the_device_is_described(void **state)
{
	struct gpumem_device device = { .size = sizeof(device) };
	int count = 0;

	assert_int_equal(gpumem_device_count(unit_session, &count), 0);
	assert_true(count >= 1);
	assert_int_equal(gpumem_device_get(unit_session, -1, &device), 0);
	assert_int_equal(device.ordinal, 0);
	assert_int_equal(device.size, sizeof(device));
	assert_true(device.flags & GPUMEM_DEVICE_SIMULATED);
	assert_non_null(strstr(device.name, "simulated"));
	assert_true(device.memory > 0);
	assert_true(device.bar1_size > 0);
	assert_true(device.bar1_free <= device.bar1_size);
}

static unsigned int sync_memops(CUdeviceptr addr)
{
	CUresult (*get)(void *data, CUpointer_attribute attribute,
			CUdeviceptr addr) =
		gpumem_cuda_symbol(unit_session, "cuPointerGetAttribute");
	unsigned int on = 77;

	assert_int_equal(get(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, addr), 0);
	return on;
}

/* Else a cuMemcpy() that has returned may not have come. */
static void cuda_copies_of_pinned_memory_are_synchronous(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf;

	assert_int_equal(sync_memops(addr), 0);
	buf = unit_pin(addr, MIB);
	assert_int_equal(sync_memops(addr), 1);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins_of_any_alignment_map_the_very_byte),
		cmocka_unit_test(odd_offsets_hold_the_right_data),
		cmocka_unit_test(sizes_from_one_byte_to_64_mib_work),
		cmocka_unit_test(map_calls_nest_and_give_one_address),
		cmocka_unit_test(two_buffers_in_one_page_do_not_mix),
		cmocka_unit_test(pages_have_addresses),
		cmocka_unit_test(memory_freed_while_pinned_stays_until_unpin),
		cmocka_unit_test(alloc_frees_at_unpin),
		cmocka_unit_test(
			synchronous_copies_are_complete_when_they_return),
		cmocka_unit_test(calls_leave_the_threads_context_alone),
		cmocka_unit_test(memory_of_another_context_can_be_pinned),
		cmocka_unit_test(the_device_is_described),
		cmocka_unit_test(cuda_copies_of_pinned_memory_are_synchronous),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
