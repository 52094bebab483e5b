// SPDX-License-Identifier: MIT
/* libgdrapi on the simulated GPU: what each call does and refuses. */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../lib/base/tsan.h"
#include "gdrapi_unit.h"

static unsigned int pins_tried, places_asked;

/* In the place of libgpumem's. */
__attribute__((visibility("default"))) int
gpumem_pin(struct gpumem *session, uint64_t addr, uint64_t length,
	   unsigned int flags, struct gpumem_buf **buf)
{
	int (*real)(struct gpumem * session, uint64_t addr, uint64_t length,
		    unsigned int flags, struct gpumem_buf **buf);

	*(void **)&real = dlsym(RTLD_NEXT, "gpumem_pin");
	pins_tried++;
	return real(session, addr, length, flags, buf);
}

/* The same. */
__attribute__((visibility("default"))) int gpumem_device_of(uint64_t addr,
							    int *ordinal)
{
	int (*real)(uint64_t addr, int *ordinal);

	*(void **)&real = dlsym(RTLD_NEXT, "gpumem_device_of");
	places_asked++;
	return real(addr, ordinal);
}

/* Pages of the host's, in the place of the C library's; 0: as they are. */
static long page_size;

/* TSan asks for it before it has what instrumented functions need. */
#ifndef GM_TSAN
/* The C library's own name for it: ASan asks before there is a dlsym(). */
long __sysconf(int name);

__attribute__((visibility("default"))) long sysconf(int name)
{
	return name == _SC_PAGESIZE && page_size ? page_size : __sysconf(name);
}
#endif

/* As programs built before GDRCopy 2.4 know it. */
struct info_v1 {
	uint64_t va;
	uint64_t mapped_size;
	uint32_t page_size;
	uint64_t tm_cycles;
	uint32_t cycles_per_ms;
	unsigned mapped : 1;
	unsigned wc_mapping : 1;
};

static void layouts_are_those_of_2_6(void **state)
{
	assert_int_equal(sizeof(gdr_mh_t), 8);
	assert_int_equal(sizeof(gdr_info_t), 48);
	assert_int_equal(sizeof(struct info_v1), 40);
	assert_int_equal(offsetof(gdr_info_t, tm_cycles), 24);
	assert_int_equal(offsetof(gdr_info_t, mapping_type), 40);
	assert_int_equal(GDR_API_VERSION, 0x20006);
	assert_int_equal(GPU_PAGE_SIZE, 65536);
	assert_int_equal(GPU_PAGE_MASK, ~65535ul);
	assert_int_equal(sizeof(gdr_copy_flags_t), 4);
	assert_int_equal(GDR_COPY_FLAG_WRITE_FENCE, 1);
	assert_int_equal(GDR_COPY_FLAG_READ_FENCE, 2);
	assert_int_equal(GDR_COPY_FLAG_USE_LS64, 512);
	assert_int_equal(
		GDR_DEFAULT_X86_FLAGS,
		GDR_COPY_FLAG_USE_AVX | GDR_COPY_FLAG_USE_AVX2 |
			GDR_COPY_FLAG_USE_AVX512 | GDR_COPY_FLAG_USE_SSE |
			GDR_COPY_FLAG_USE_SSE4_1 | GDR_COPY_FLAG_USE_MOVDIR64B);
	assert_int_equal(GDR_DEFAULT_ARM_FLAGS,
			 GDR_COPY_FLAG_USE_NEON | GDR_COPY_FLAG_USE_LS64);
	assert_int_equal(GDR_COPY_FLAG_DEFAULT, 1021);
	assert_int_equal(GDR_ATTR_VMA_INHERITED_ON_FORK, 4);
}

static void versions(void **state)
{
	int major = 0, minor = 0;

	gdr_runtime_get_version(&major, &minor);
	assert_int_equal(major, 2);
	assert_int_equal(minor, 6);
	major = minor = 0;
	assert_int_equal(gdr_driver_get_version(gdr_unit, &major, &minor), 0);
	assert_int_equal(major, 2);
	assert_int_equal(minor, 6);
	assert_int_equal(gdr_driver_get_version(NULL, &major, &minor), EINVAL);
	assert_int_equal(gdr_driver_get_version(gdr_unit, NULL, &minor),
			 EINVAL);
}

static void attributes(void **state)
{
	int value = -1;

	assert_int_equal(gdr_get_attribute(gdr_unit,
					   GDR_ATTR_USE_PERSISTENT_MAPPING,
					   &value),
			 0);
	assert_int_equal(value, 1);
	assert_int_equal(gdr_get_attribute(gdr_unit,
					   GDR_ATTR_SUPPORT_PIN_FLAG_FORCE_PCIE,
					   &value),
			 0);
#ifdef __x86_64__
	/* For other CPUs see test_gdrapi_attribute.c. */
	assert_int_equal(value, 1);
#endif
	assert_int_equal(gdr_get_attribute(gdr_unit,
					   GDR_ATTR_USING_DMA_BUF_MMAP, &value),
			 0);
	assert_int_equal(value, 0);
	value = -1;
	assert_int_equal(gdr_get_attribute(gdr_unit,
					   GDR_ATTR_VMA_INHERITED_ON_FORK,
					   &value),
			 0);
	assert_int_equal(value, 0);
	assert_int_equal(gdr_get_attribute(gdr_unit, GDR_ATTR_MAX, &value),
			 EINVAL);
	assert_int_equal(gdr_get_attribute(gdr_unit, 0, &value), EINVAL);
	assert_int_equal(gdr_get_attribute(gdr_unit,
					   GDR_ATTR_USING_DMA_BUF_MMAP, NULL),
			 EINVAL);
}

static void mapping_types_have_names(void **state)
{
	const char *name = NULL;

	assert_int_equal(
		gdr_get_mapping_type_string(GDR_MAPPING_TYPE_WC, &name), 0);
	assert_string_equal(name, "Write Combining");
	for (int i = 0; i < GDR_MAPPING_TYPE_MAX; i++)
		assert_int_equal(gdr_get_mapping_type_string(i, &name), 0);
	assert_int_equal(gdr_get_mapping_type_string(GDR_MAPPING_TYPE_MAX,
						     &name),
			 EINVAL);
	assert_int_equal(gdr_get_mapping_type_string(-1, &name), EINVAL);
	assert_int_equal(gdr_get_mapping_type_string(GDR_MAPPING_TYPE_WC, NULL),
			 EINVAL);
}

static void the_first_member_is_a_descriptor(void **state)
{
	int fd = *(int *)gdr_unit;
	int copy = dup(fd);

	assert_true(fd > 2);
	assert_true(copy >= 0);
	close(copy);
	assert_true(gdr_unit_readable(gdr_unit, 48));
}

static void info_tells_whole_pages(void **state)
{
	static const struct {
		uint64_t offset, size, pages;
	} cases[] = {
		{ 0, 1, 1 },	       { 0, 65536, 1 }, { 0, 65537, 2 },
		{ 100, 1, 1 },	       { 65535, 2, 2 }, { 65536, 65536, 1 },
		{ 300, 3 * 65536, 4 },
	};
	struct gdr_unit_memory memory = gdr_unit_alloc(5 * 65536);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CUdeviceptr addr = memory.addr + cases[i].offset;
		gdr_mh_t mh = gdr_unit_pin(addr, cases[i].size);
		gdr_info_t info;

		memset(&info, 0xff, sizeof(info));
		assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
		assert_int_equal(info.va, addr & GPU_PAGE_MASK);
		assert_int_equal(info.mapped_size,
				 cases[i].pages * GPU_PAGE_SIZE);
		assert_int_equal(info.page_size, GPU_PAGE_SIZE);
		assert_int_equal(info.mapped, 0);
		assert_int_equal(info.wc_mapping, 0);
		assert_int_equal(info.mapping_type, GDR_MAPPING_TYPE_NONE);
		assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	}
	unit_free(memory.place);
}

static void info_of_old_is_40_bytes(void **state)
{
	int (*get_info)(gdr_t g, gdr_mh_t mh, struct info_v1 * info);
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	struct {
		struct info_v1 info;
		char behind[8];
	} found;

	memset(&found, 0x5a, sizeof(found));
	*(void **)&get_info = dlsym(RTLD_DEFAULT, "gdr_get_info");
	assert_non_null(get_info);
	gdr_unit_map(mh, 65536);
	assert_int_equal(get_info(gdr_unit, mh, &found.info), 0);
	assert_int_equal(found.info.va, memory.addr);
	assert_int_equal(found.info.mapped_size, 65536);
	assert_int_equal(found.info.page_size, 65536);
	assert_int_equal(found.info.mapped, 1);
	assert_int_equal(found.info.wc_mapping, 1);
	for (size_t i = 0; i < sizeof(found.behind); i++)
		assert_int_equal(found.behind[i], 0x5a);
	assert_int_equal(get_info(gdr_unit, mh, NULL), EINVAL);
	assert_int_equal(gdr_get_info(gdr_unit, mh, NULL), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void a_mapping_shows_the_memory(void **state)
{
	const size_t size = 3 * 65536;
	struct gdr_unit_memory memory = gdr_unit_alloc(size);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, size);
	char *map = gdr_unit_map(mh, size);
	char *want = malloc(size), *seen = malloc(size);
	gdr_info_t info;

	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(info.mapped, 1);
	assert_int_equal(info.wc_mapping, 1);
	assert_int_equal(info.mapping_type, GDR_MAPPING_TYPE_WC);
	assert_int_equal((uintptr_t)map % 4096, 0);
	unit_fill(want, size, 1);
	memcpy(map + (memory.addr - info.va), want, size);
	assert_int_equal(unit_cuda.to_host(seen, memory.addr, size), 0);
	assert_memory_equal(want, seen, size);
	unit_fill(want, size, 2);
	assert_int_equal(unit_cuda.to_device(memory.addr, want, size), 0);
	assert_memory_equal(map, want, size);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, size), 0);
	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(info.mapped, 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	free(want);
	free(seen);
	unit_free(memory.place);
}

/* Whatever the flags are, the data is that of the calls without. */
static void copies_with_flags(void **state)
{
	static const uint32_t flags[] = {
		GDR_COPY_FLAG_DEFAULT,
		GDR_COPY_FLAG_DEFAULT | GDR_COPY_FLAG_READ_FENCE,
		GDR_COPY_FLAG_WRITE_FENCE,
		GDR_COPY_FLAG_READ_FENCE,
		GDR_DEFAULT_X86_FLAGS,
		0,
		1u << 31 | 1u << 10,
		UINT32_MAX
	};
	static const size_t sizes[] = { 1, 4, 8, 100, 4096, 130000 };
	struct gdr_unit_memory memory = gdr_unit_alloc(2 * 65536);
	/* What is behind 70000 is beside the pin. */
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 70000);
	char *map = gdr_unit_map(mh, 2 * 65536);
	char *want = malloc(130000), *seen = malloc(130000);

	for (size_t i = 0; i < 8 * 6; i++) {
		size_t size = sizes[i / 8], at = i % 3;
		uint32_t flag = flags[i % 8];

		unit_fill(want, size, i);
		assert_int_equal(gdr_copy_to_mapping_v2(mh, map + at, want,
							size, flag),
				 0);
		assert_int_equal(gdr_copy_fence(mh, GDR_COPY_FLAG_WRITE_FENCE),
				 0);
		assert_int_equal(
			unit_cuda.to_host(seen, memory.addr + at, size), 0);
		assert_memory_equal(want, seen, size);
		memset(seen, 0, size);
		assert_int_equal(gdr_copy_from_mapping_v2(mh, seen, map + at,
							  size, flag),
				 0);
		assert_memory_equal(want, seen, size);
	}
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	free(want);
	free(seen);
	unit_free(memory.place);
}

static void fences_want_a_mapping(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	void *map;

	assert_int_equal(gdr_copy_fence(mh, GDR_COPY_FLAG_WRITE_FENCE), EINVAL);
	map = gdr_unit_map(mh, 65536);
	for (uint32_t flags = 0; flags < 8; flags++)
		assert_int_equal(gdr_copy_fence(mh, flags), 0);
	assert_int_equal(gdr_copy_fence(mh, UINT32_MAX), 0);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	assert_int_equal(gdr_copy_fence(mh, 0), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void a_second_map_says_again(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	char *map = gdr_unit_map(mh, 65536);
	void *other = NULL;

	assert_int_equal(gdr_map(gdr_unit, mh, &other, 65536), EAGAIN);
	assert_null(other);
	/* Also where it is wrong otherwise, as GDRCopy looks first. */
	assert_int_equal(gdr_map_v2(gdr_unit, mh, &other, 65536, 99), EAGAIN);
	/* What is mapped stays so. */
	map[5] = 7;
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	map = gdr_unit_map(mh, 65536);
	assert_int_equal(map[5], 7);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void kinds_of_mappings(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	void *map = NULL;

	assert_int_equal(gdr_map_v2(gdr_unit, mh, &map, 65536,
				    GDR_MAP_FLAG_REQ_CACHE_MAPPING),
			 EOPNOTSUPP);
	assert_int_equal(gdr_map_v2(gdr_unit, mh, &map, 65536,
				    GDR_MAP_FLAG_REQ_DEVICE_MAPPING),
			 EOPNOTSUPP);
	assert_int_equal(gdr_map_v2(gdr_unit, mh, &map, 65536, 4), EINVAL);
	assert_int_equal(gdr_map_v2(gdr_unit, mh, &map, 65536, -1), EINVAL);
	assert_int_equal(gdr_map_v2(gdr_unit, mh, &map, 65536,
				    GDR_MAP_FLAG_REQ_WC_MAPPING),
			 0);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void an_unaligned_pin_cannot_be_mapped(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(2 * 65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr + 512, 65536);
	void *map = NULL;

	assert_int_equal(gdr_map(gdr_unit, mh, &map, 65536), EINVAL);
	assert_null(map);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void two_buffers_in_one_page(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t a = gdr_unit_pin(memory.addr, 512);
	gdr_mh_t b = gdr_unit_pin(memory.addr + 512, 512);
	void *map = NULL;

	assert_int_not_equal(a.h, b.h);
	gdr_unit_map(a, 512);
	assert_int_equal(gdr_map(gdr_unit, b, &map, 512), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, a), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, b), 0);
	unit_free(memory.place);
}

static void one_buffer_pinned_twice(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t a = gdr_unit_pin(memory.addr, 65536);
	gdr_mh_t b = gdr_unit_pin(memory.addr, 65536);
	char *one = gdr_unit_map(a, 65536);
	char *other = gdr_unit_map(b, 65536);

	one[9] = 3;
	assert_int_equal(other[9], 3);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, a), 0);
	other[9] = 4;
	assert_int_equal(other[9], 4);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, b), 0);
	unit_free(memory.place);
}

static void pins_that_are_refused(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = { 7 };
	int on_the_stack = 0;

	assert_int_equal(gdr_pin_buffer(gdr_unit, memory.addr, 65536, 0, 0,
					NULL),
			 EINVAL);
	assert_int_equal(gdr_pin_buffer(gdr_unit, memory.addr, 0, 0, 0, &mh),
			 EINVAL);
	assert_int_equal(gdr_pin_buffer(gdr_unit, memory.addr, SIZE_MAX, 0, 0,
					&mh),
			 EINVAL);
	assert_int_equal(gdr_pin_buffer_v2(gdr_unit, memory.addr, 65536, 2,
					   &mh),
			 EINVAL);
	assert_int_equal(gdr_pin_buffer(gdr_unit, memory.addr, 65536 * 1000, 0,
					0, &mh),
			 EINVAL);
	assert_int_equal(gdr_pin_buffer(gdr_unit, 0x10000, 65536, 0, 0, &mh),
			 EINVAL);
	assert_int_equal(gdr_pin_buffer(gdr_unit, (unsigned long)&on_the_stack,
					4, 0, 0, &mh),
			 EINVAL);
	assert_int_equal(gdr_pin_buffer(NULL, memory.addr, 65536, 0, 0, &mh),
			 EINVAL);
	assert_int_equal(mh.h, 7);
	unit_free(memory.place);
	assert_int_equal(gdr_pin_buffer(gdr_unit, memory.addr, 65536, 0, 0,
					&mh),
			 EINVAL);
}

static void pins_with_tokens_and_flags(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh;

	assert_int_equal(gdr_pin_buffer(gdr_unit, memory.addr, 65536, 0x123456,
					42, &mh),
			 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	assert_int_equal(gdr_pin_buffer_v2(gdr_unit, memory.addr, 65536,
					   GDR_PIN_FLAG_FORCE_PCIE, &mh),
			 0);
	gdr_unit_map(mh, 65536);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

/* Whole pages of the host's are mapped, of whatever size these are. */
static void maps_are_rounded_to_the_hosts_pages(void **state)
{
	static const size_t pages[] = { 4096, 16384, 65536 };
	struct gdr_unit_memory memory;
	gdr_mh_t mh;
	char byte = 1;

#ifdef GM_TSAN
	skip();
#endif
	memory = gdr_unit_alloc(65536);
	mh = gdr_unit_pin(memory.addr, 65536);
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		char *map;

		page_size = (long)pages[i];
		map = gdr_unit_map(mh, 1);
		assert_int_equal(gdr_copy_to_mapping(mh, map + pages[i] - 1,
						     &byte, 1),
				 0);
		assert_int_equal(gdr_copy_to_mapping(mh, map + pages[i], &byte,
						     1),
				 EINVAL);
		assert_int_equal(gdr_unmap(gdr_unit, mh, map, 1), 0);
	}
	page_size = 0;
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void maps_that_are_refused(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(2 * 65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	void *map = NULL;

	assert_int_equal(gdr_map(gdr_unit, mh, NULL, 65536), EINVAL);
	assert_int_equal(gdr_map(gdr_unit, mh, &map, 0), EINVAL);
	assert_int_equal(gdr_map(gdr_unit, mh, &map, 65537), EINVAL);
	assert_int_equal(gdr_map(gdr_unit, mh, &map, SIZE_MAX), EINVAL);
	assert_int_equal(gdr_map(NULL, mh, &map, 65536), EINVAL);
	assert_null(map);
	/* Less than all of it can be mapped. */
	gdr_unit_map(mh, 1);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

/* Eight bytes each way, so often that nothing is looked up any more. */
static int copy_word(gdr_mh_t mh, char *at)
{
	char word[8] = "12345678";
	int error = 0;

	for (int i = 0; i < 3 && !error; i++) {
		error = gdr_copy_to_mapping(mh, at, word, sizeof(word));
		if (!error)
			error = gdr_copy_from_mapping(mh, word, at,
						      sizeof(word));
	}
	return error;
}

/* A copy reaches what is mapped, be more pinned or not. */
static void copies_stay_in_what_is_mapped(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(3 * 65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 2 * 65536);
	char *map = gdr_unit_map(mh, 65536), byte;

	assert_int_equal(copy_word(mh, map), 0);
	assert_int_equal(copy_word(mh, map + 65528), 0);
	assert_int_equal(copy_word(mh, map + 65529), EINVAL);
	assert_int_equal(copy_word(mh, map + 65536), EINVAL);
	assert_int_equal(copy_word(mh, map - 1), EINVAL);
	assert_int_equal(copy_word(mh, NULL), EINVAL);
	assert_int_equal(gdr_copy_from_mapping(mh, &byte, map, SIZE_MAX),
			 EINVAL);
	assert_int_equal(gdr_copy_to_mapping(mh, map, NULL, 8), EINVAL);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	assert_int_equal(copy_word(mh, map), EINVAL);
	assert_int_equal(copy_word(mh, NULL), EINVAL);
	map = gdr_unit_map(mh, 2 * 65536);
	assert_int_equal(copy_word(mh, map + 2 * 65536 - 8), 0);
	assert_int_equal(copy_word(mh, map + 2 * 65536 - 7), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	assert_int_equal(copy_word(mh, map), EINVAL);
	unit_free(memory.place);
}

static void unmaps_that_are_refused(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	char *map;

	assert_int_equal(gdr_unmap(gdr_unit, mh, NULL, 65536), EINVAL);
	map = gdr_unit_map(mh, 65536);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map + 4096, 4096), EINVAL);
	assert_int_equal(gdr_unmap(gdr_unit, mh, NULL, 65536), EINVAL);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 0), EINVAL);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65537), EINVAL);
	assert_int_equal(gdr_unmap(NULL, mh, map, 65536), EINVAL);
	/* It is mapped as before. */
	map[0] = 1;
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

/* As DPDK does it. */
static void unmaps_by_the_device_address(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(3 * 65536);
	void *device = (void *)(uintptr_t)(memory.addr + 65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr + 65536, 65536);
	char *map = gdr_unit_map(mh, 65536);
	gdr_info_t info;

	assert_int_equal(gdr_unmap(gdr_unit, mh, device, 65537), EINVAL);
	assert_int_equal(gdr_unmap(gdr_unit, mh, (char *)device + 4096, 4096),
			 EINVAL);
	assert_int_equal(gdr_unmap(gdr_unit, mh, (char *)device - 65536, 65536),
			 EINVAL);
	map[0] = 1;
	assert_int_equal(gdr_unmap(gdr_unit, mh, device, 65536), 0);
	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(info.mapped, 0);
	assert_int_equal(gdr_unmap(gdr_unit, mh, device, 65536), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

/* Bytes that this process has read so far, by any call. */
static unsigned long long bytes_read(void)
{
	unsigned long long bytes = 0;
	FILE *file = fopen("/proc/self/io", "r");

	if (!file || fscanf(file, "rchar: %llu", &bytes) != 1)
		skip();
	fclose(file);
	return bytes;
}

#define MANY 2000

/* The kernel keeps each of them apart, whose list is then long. */
static char *map_many(void)
{
	char *area = mmap(NULL, MANY * 8192ul, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(area, MAP_FAILED);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(mprotect(area + i * 8192, 4096, PROT_NONE), 0);
	return area;
}

/*
 * Clients round down into the gap before an allocation, so that each place in
 * the page may be where it begins: that takes no time where there is nothing,
 * however many mappings the process has.
 */
static void nobodys_address_is_refused_at_once(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	char *many = map_many();
	uint64_t addresses[] = { 0x6ff000000000,
				 ((uintptr_t)many + 65536) & ~65535ull,
				 memory.addr };
	unsigned long long before;
	gdr_mh_t mh;

	unit_free(memory.place);
	for (size_t i = 0; i < 3; i++) {
		pins_tried = places_asked = 0;
		before = bytes_read();
		assert_int_equal(gdr_pin_buffer(gdr_unit, addresses[i], 65536,
						0, 0, &mh),
				 EINVAL);
		/* The counter's own text is among them. */
		assert_in_range(bytes_read() - before, 0, 4096);
		assert_int_equal(pins_tried, 0);
		assert_in_range(places_asked, 1, 129);
	}
	munmap(many, MANY * 8192ul);
}

static void after_free_a_mapping_shows_the_memory(void **state)
{
	/* What is smaller shares a block with others, which stays. */
	struct gdr_unit_memory memory = gdr_unit_alloc(4 * MIB);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	int *map = gdr_unit_map(mh, 65536);
	struct gdr_unit_memory other;
	int seen = 0, flag = -1;

	map[0] = 1234;
	unit_free(memory.place);
	assert_int_equal(map[0], 1234);
	/* Memory that is allocated now is not that one. */
	other = gdr_unit_alloc(4 * MIB);
	assert_int_equal(unit_cuda.set(other.addr, 0x77, 4 * MIB), 0);
	assert_int_equal(map[0], 1234);
	assert_int_equal(gdr_copy_from_mapping(mh, &seen, map, sizeof(seen)),
			 0);
	assert_int_equal(seen, 1234);
	assert_int_equal(gdr_get_callback_flag(gdr_unit, mh, &flag), 0);
	assert_int_equal(flag, 0);
	assert_int_equal(gdr_get_callback_flag(gdr_unit, mh, NULL), EINVAL);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(other.place);
}

/*
 * Clients round the range of their allocation out to pages: it then begins and
 * ends in what is another's or nobody's.
 */
static void ranges_rounded_out_of_an_allocation(void **state)
{
	static const size_t sizes[] = { 8, 4096, 65536, 65536 * 5 + 100 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CUdeviceptr before = unit_alloc(100);
		CUdeviceptr gap = unit_alloc(3000);
		CUdeviceptr mine = unit_alloc(sizes[i]);
		CUdeviceptr behind = unit_alloc(100);
		uint64_t start = mine & GPU_PAGE_MASK;
		uint64_t end = (mine + sizes[i] + GPU_PAGE_OFFSET) &
			       GPU_PAGE_MASK;
		char *want = malloc(sizes[i]), *seen = malloc(sizes[i]);

		for (int round = 0; round < 2; round++) {
			gdr_mh_t mh = gdr_unit_pin(start, end - start);
			char *map = gdr_unit_map(mh, end - start);
			char *at = map + (mine - start);

			unit_fill(want, sizes[i], i + round);
			assert_int_equal(
				gdr_copy_to_mapping(mh, at, want, sizes[i]), 0);
			assert_int_equal(
				unit_cuda.to_host(seen, mine, sizes[i]), 0);
			assert_memory_equal(want, seen, sizes[i]);
			memset(seen, 0, sizes[i]);
			assert_int_equal(gdr_copy_from_mapping(mh, seen, at,
							       sizes[i]),
					 0);
			assert_memory_equal(want, seen, sizes[i]);
			assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
			/* Again with nobody's memory in front of it. */
			if (!round)
				unit_free(gap);
		}
		unit_free(before);
		unit_free(mine);
		unit_free(behind);
		free(want);
		free(seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts_are_those_of_2_6),
		cmocka_unit_test(versions),
		cmocka_unit_test(attributes),
		cmocka_unit_test(mapping_types_have_names),
		cmocka_unit_test(the_first_member_is_a_descriptor),
		cmocka_unit_test(info_tells_whole_pages),
		cmocka_unit_test(info_of_old_is_40_bytes),
		cmocka_unit_test(a_mapping_shows_the_memory),
		cmocka_unit_test(copies_with_flags),
		cmocka_unit_test(fences_want_a_mapping),
		cmocka_unit_test(a_second_map_says_again),
		cmocka_unit_test(kinds_of_mappings),
		cmocka_unit_test(an_unaligned_pin_cannot_be_mapped),
		cmocka_unit_test(two_buffers_in_one_page),
		cmocka_unit_test(one_buffer_pinned_twice),
		cmocka_unit_test(pins_that_are_refused),
		cmocka_unit_test(pins_with_tokens_and_flags),
		cmocka_unit_test(maps_are_rounded_to_the_hosts_pages),
		cmocka_unit_test(maps_that_are_refused),
		cmocka_unit_test(copies_stay_in_what_is_mapped),
		cmocka_unit_test(unmaps_that_are_refused),
		cmocka_unit_test(nobodys_address_is_refused_at_once),
		cmocka_unit_test(unmaps_by_the_device_address),
		cmocka_unit_test(after_free_a_mapping_shows_the_memory),
		cmocka_unit_test(ranges_rounded_out_of_an_allocation),
	};

	return group_run(tests, gdr_unit_setup, gdr_unit_teardown);
}
