// SPDX-License-Identifier: MIT
/*
 * libgdrapi on the simulated GPU: copies to allocations that share a page of
 * 64 KiB with the one that was pinned. They go through the mapping.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "gdrapi_unit.h"

/* Where what is in the page. Allocations are 512 bytes aligned. */
#define BEFORE 0
#define BEFORE_SIZE 100
#define FIRST 512
#define FIRST_SIZE 5000
#define SECOND 5632
#define SECOND_SIZE 3000
#define GAP 8704
#define GAP_SIZE 2000
#define THIRD 10752
#define THIRD_SIZE 20000
#define END (THIRD + THIRD_SIZE)
#define TAIL 31232
#define TAIL_SIZE (GPU_PAGE_SIZE - TAIL)
#define ROUNDS 150

struct page {
	CUdeviceptr start;
	CUdeviceptr filler, filler_end; /* what is in front of the page */
	gdr_mh_t mh;
	char *map;
	uint64_t pins; /* with it */
};

static char want[GPU_PAGE_SIZE], seen[GPU_PAGE_SIZE];

static uint64_t pins(void)
{
	struct gpumem_sim_info info;

	assert_int_equal(unit_cuda.sim_info(&info), 0);
	return info.pins;
}

static void alloc_at(CUdeviceptr addr, size_t size)
{
	assert_int_equal(unit_alloc(size), addr);
}

/* Pins the first one, by the page that it begins in. */
static struct page page_pin(void)
{
	struct page page = { .filler = unit_alloc(1) };
	uint64_t next = page.filler + FIRST;

	page.start = (next + GPU_PAGE_OFFSET) & GPU_PAGE_MASK;
	if (page.start > next)
		page.filler_end = unit_alloc(page.start - next);
	alloc_at(page.start, BEFORE_SIZE);
	alloc_at(page.start + FIRST, FIRST_SIZE);
	alloc_at(page.start + SECOND, SECOND_SIZE);
	alloc_at(page.start + GAP, GAP_SIZE);
	alloc_at(page.start + THIRD, THIRD_SIZE);
	alloc_at(page.start + TAIL, TAIL_SIZE);
	unit_free(page.start + GAP);
	unit_free(page.start + BEFORE);
	page.mh = gdr_unit_pin(page.start, GPU_PAGE_SIZE);
	page.map = gdr_unit_map(page.mh, GPU_PAGE_SIZE);
	alloc_at(page.start + BEFORE, BEFORE_SIZE);
	page.pins = pins();
	return page;
}

/* Copies have pinned nothing. */
static void page_unpin(const struct page *page)
{
	assert_int_equal(pins(), page->pins);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, page->mh), 0);
	assert_int_equal(pins(), page->pins - 1);
}

static void page_free(const struct page *page)
{
	unit_free(page->start + BEFORE);
	unit_free(page->start + FIRST);
	unit_free(page->start + SECOND);
	unit_free(page->start + THIRD);
	unit_free(page->start + TAIL);
	unit_free(page->filler);
	if (page->filler_end)
		unit_free(page->filler_end);
}

/* Both ways; the mapping shows the bytes and nothing else changes. */
static void copy(const struct page *page, size_t offset, size_t size)
{
	static char page_before[GPU_PAGE_SIZE];
	static uint32_t seed;
	char *at = page->map + offset;

	memcpy(page_before, page->map, GPU_PAGE_SIZE);
	unit_fill(want, size, ++seed);
	assert_int_equal(gdr_copy_to_mapping(page->mh, at, want, size), 0);
	memcpy(page_before + offset, want, size);
	assert_memory_equal(page->map, page_before, GPU_PAGE_SIZE);
	unit_fill(want, size, ++seed);
	memcpy(at, want, size);
	memset(seen, 0, sizeof(seen));
	assert_int_equal(gdr_copy_from_mapping(page->mh, seen, at, size), 0);
	assert_memory_equal(seen, want, size);
	for (size_t i = size; i < sizeof(seen); i++)
		assert_int_equal(seen[i], 0);
}

/* All of the page, by pieces that lie in what was pinned and beside it. */
static void what_lies_beside_is_copied(void **state)
{
	struct page page = page_pin();
	char byte;

	copy(&page, FIRST, FIRST_SIZE);
	copy(&page, SECOND, SECOND_SIZE);
	copy(&page, SECOND + 77, 1);
	/* It is this memory by CUDA's word, too. */
	page.map[SECOND + 5] = 0x5a;
	assert_int_equal(unit_cuda.to_host(&byte, page.start + SECOND + 5, 1),
			 0);
	assert_int_equal(byte, 0x5a);
	copy(&page, BEFORE, BEFORE_SIZE);
	copy(&page, FIRST - 1, 2);
	copy(&page, FIRST - 1, 1);
	copy(&page, FIRST + FIRST_SIZE - 1, 1);
	copy(&page, FIRST + FIRST_SIZE - 1, 2);
	copy(&page, FIRST + FIRST_SIZE, 1);
	copy(&page, BEFORE, FIRST + 10);
	copy(&page, FIRST, END - FIRST);
	copy(&page, 0, GPU_PAGE_SIZE);
	copy(&page, GPU_PAGE_SIZE - 1, 1);
	page_unpin(&page);
	page_free(&page);
}

static void what_is_nobodys_is_copied(void **state)
{
	struct page page = page_pin();

	for (size_t size = 1; size <= GAP_SIZE; size = size * 2 + 1)
		copy(&page, GAP + size % 7, size);
	for (size_t offset = 0; offset < 130; offset++)
		copy(&page, GAP + offset, 64);
	copy(&page, END, TAIL - END);
	page_unpin(&page);
	page_free(&page);
}

/* The page is what the mapping shows, whosever it is. */
static void freed_and_allocated_again(void **state)
{
	struct page page = page_pin();

	copy(&page, THIRD, THIRD_SIZE);
	/* So that the next one does not begin there. */
	alloc_at(page.start + GAP, GAP_SIZE);
	unit_free(page.start + THIRD);
	copy(&page, THIRD, THIRD_SIZE);
	alloc_at(page.start + THIRD, THIRD_SIZE - 100);
	unit_free(page.start + GAP);
	assert_int_equal(unit_cuda.set(page.start + THIRD, 0x33, 1000), 0);
	assert_int_equal(gdr_copy_from_mapping(page.mh, seen, page.map + THIRD,
					       THIRD_SIZE),
			 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 0x33);
	copy(&page, THIRD, THIRD_SIZE);
	assert_int_equal(unit_cuda.to_host(seen, page.start + THIRD, 19000), 0);
	assert_memory_equal(seen, want, 19000);
	page_unpin(&page);
	page_free(&page);
}

static void unmapped_it_is_refused(void **state)
{
	struct page page = page_pin();
	char byte = 1;

	copy(&page, SECOND, SECOND_SIZE);
	assert_int_equal(gdr_copy_to_mapping(page.mh, page.map + SECOND, NULL,
					     1),
			 EINVAL);
	assert_int_equal(
		gdr_copy_to_mapping(page.mh, page.map + SECOND, NULL, 0), 0);
	assert_int_equal(gdr_unmap(gdr_unit, page.mh, page.map, GPU_PAGE_SIZE),
			 0);
	assert_int_equal(gdr_copy_to_mapping(page.mh, page.map + SECOND, &byte,
					     1),
			 EINVAL);
	/* It is the same when it is mapped again. */
	page.map = gdr_unit_map(page.mh, GPU_PAGE_SIZE);
	copy(&page, SECOND, SECOND_SIZE);
	page_unpin(&page);
	page_free(&page);
}

static int in_child(void *arg)
{
	const struct page *page = arg;
	char byte;

	CHECK(gdr_copy_from_mapping(page->mh, &byte, page->map + SECOND, 1) ==
	      EACCES);
	CHECK(gdr_close(gdr_unit) == 0);
	CHECK(gdr_copy_from_mapping(page->mh, &byte, page->map + SECOND, 1) ==
	      EINVAL);
	return 0;
}

static void a_child_gets_at_nothing_beside(void **state)
{
	struct page page = page_pin();

	copy(&page, SECOND, SECOND_SIZE);
	assert_int_equal(gdr_unit_child(in_child, &page), 0);
	copy(&page, SECOND, SECOND_SIZE);
	page_unpin(&page);
	page_free(&page);
}

static struct {
	_Atomic unsigned long mh;
	_Atomic uintptr_t map;
	atomic_bool end;
	atomic_uint done;
} shared;

/* Each thread in bytes of its own. */
static void *copy_beside(void *arg)
{
	static const size_t at[] = { SECOND, THIRD, GAP, BEFORE, SECOND + 100 };
	const size_t mine = *(size_t *)arg;
	char bytes[600];

	for (unsigned int i = 0; !atomic_load(&shared.end); i++) {
		gdr_mh_t mh = { atomic_load(&shared.mh) };
		uintptr_t addr = atomic_load(&shared.map) + at[i % 5] + mine;
		void *map = (void *)addr;
		int error;

		memset(bytes, 1, sizeof(bytes));
		error = gdr_copy_to_mapping(mh, map, bytes, sizeof(bytes));
		if (error && error != EINVAL)
			return "copy to";
		error = gdr_copy_from_mapping(mh, bytes, map, sizeof(bytes));
		if (error && error != EINVAL)
			return "copy from";
		if (error)
			continue;
		for (size_t k = 0; k < sizeof(bytes); k++)
			if (bytes[k] != 1)
				return "other data";
		atomic_fetch_add(&shared.done, 1);
	}
	return NULL;
}

static void copies_race_with_unpin(void **state)
{
	static size_t offset[3] = { 0, 700, 1400 };
	struct page page = page_pin();
	pthread_t threads[3];

	memset(page.map, 1, GPU_PAGE_SIZE);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, page.mh), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, copy_beside,
						&offset[i]),
				 0);
	for (int i = 0; i < ROUNDS; i++) {
		unsigned int done = atomic_load(&shared.done);
		gdr_mh_t mh = gdr_unit_pin(page.start, GPU_PAGE_SIZE);
		char *map = gdr_unit_map(mh, GPU_PAGE_SIZE);

		atomic_store(&shared.map, (uintptr_t)map);
		atomic_store(&shared.mh, mh.h);
		while (atomic_load(&shared.done) < done + 3)
			usleep(50);
		if (i % 2)
			assert_int_equal(
				gdr_unmap(gdr_unit, mh, map, GPU_PAGE_SIZE), 0);
		assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
		assert_int_equal(pins(), page.pins - 1);
	}
	atomic_store(&shared.end, true);
	for (int i = 0; i < 3; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		if (failed)
			fail_msg("%s", (char *)failed);
	}
	page_free(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lies_beside_is_copied),
		cmocka_unit_test(what_is_nobodys_is_copied),
		cmocka_unit_test(freed_and_allocated_again),
		cmocka_unit_test(unmapped_it_is_refused),
		cmocka_unit_test(a_child_gets_at_nothing_beside),
		cmocka_unit_test(copies_race_with_unpin),
	};

	return group_run(tests, gdr_unit_setup, gdr_unit_teardown);
}
