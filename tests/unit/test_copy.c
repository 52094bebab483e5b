// SPDX-License-Identifier: MIT
/* gpumem_write() and gpumem_read() move exactly the bytes asked for. */
#include "unit.h"

#define GUARD 0xa5
#define LONGEST 300
#define SHIFTS 65
#define ROOM (SHIFTS + LONGEST + 64)

static unsigned char pattern[LONGEST];
static unsigned char guarded[ROOM];
static unsigned char expected[ROOM];

/* What memory of guards looks like with the pattern put at a place. */
static void expect(size_t at, size_t length)
{
	memset(expected, GUARD, ROOM);
	memcpy(expected + at, pattern, length);
}

static void write_touches_its_bytes_alone(void **state)
{
	CUdeviceptr addr = unit_alloc(ROOM);
	struct gpumem_buf *buf = unit_pin(addr, ROOM);
	unsigned char source[LONGEST + SHIFTS];

	unit_map(buf);
	for (size_t shift = 0; shift < SHIFTS; shift++) {
		for (size_t length = 0; length <= LONGEST; length++) {
			size_t from = (shift * 7 + length) % SHIFTS;

			unit_fill(pattern, length, shift * 1000 + length);
			memcpy(source + from, pattern, length);
			expect(shift, length);
			assert_int_equal(unit_cuda.set(addr, GUARD, ROOM), 0);
			assert_int_equal(gpumem_write(buf, shift, source + from,
						      length),
					 0);
			assert_int_equal(unit_cuda.to_host(guarded, addr, ROOM),
					 0);
			assert_memory_equal(guarded, expected, ROOM);
		}
	}
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

typedef int (*read_call)(struct gpumem_buf *buf, uint64_t offset, void *dst,
			 size_t length);

static void reads_touch_their_bytes_alone(read_call read)
{
	CUdeviceptr addr = unit_alloc(ROOM);
	struct gpumem_buf *buf = unit_pin(addr, ROOM);
	unsigned char memory[ROOM];

	unit_map(buf);
	unit_fill(memory, ROOM, 5);
	assert_int_equal(unit_cuda.to_device(addr, memory, ROOM), 0);
	for (size_t shift = 0; shift < SHIFTS; shift++) {
		for (size_t length = 0; length <= LONGEST; length++) {
			size_t to = (shift * 5 + length) % SHIFTS;

			memcpy(pattern, memory + shift, length);
			expect(to, length);
			memset(guarded, GUARD, ROOM);
			assert_int_equal(read(buf, shift, guarded + to, length),
					 0);
			assert_memory_equal(guarded, expected, ROOM);
		}
	}
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void read_touches_its_bytes_alone(void **state)
{
	reads_touch_their_bytes_alone(gpumem_read);
	reads_touch_their_bytes_alone(gpumem_read_unordered);
}

static void copies_map_for_their_own_time(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf = unit_pin(addr + 13, MIB - 13);
	const unsigned int before = unit_mappings();
	char out[100], in[100];

	unit_fill(out, sizeof(out), 1);
	assert_int_equal(gpumem_write(buf, 65530, out, sizeof(out)), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_read(buf, 65530, in, sizeof(in)), 0);
	assert_int_equal(unit_mappings(), before);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(unit_cuda.to_host(in, addr + 13 + 65530, sizeof(in)),
			 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

/* The last unmap ends it, whatever copies there were meanwhile. */
static void a_mapping_is_given_back(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf = unit_pin(addr, MIB);
	const unsigned int before = unit_mappings();
	char bytes[100] = "";

	for (int i = 0; i < 3; i++) {
		unit_map(buf);
		unit_map(buf);
		assert_true(unit_mappings() > before);
		assert_int_equal(gpumem_write(buf, 9, bytes, sizeof(bytes)), 0);
		assert_int_equal(gpumem_read(buf, 9, bytes, sizeof(bytes)), 0);
		assert_int_equal(gpumem_unmap(buf), 0);
		assert_true(unit_mappings() > before);
		assert_int_equal(gpumem_unmap(buf), 0);
		assert_int_equal(unit_mappings(), before);
	}
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void copies_across_every_page_are_right(void **state)
{
	const size_t length = 5 * MIB + 3;
	char *out = malloc(length), *in = malloc(length);
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf;

	assert_non_null(out);
	assert_non_null(in);
	unit_fill(out, length, 3);
	assert_int_equal(gpumem_alloc(unit_session, length, 0, &buf), 0);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_int_equal(gpumem_write(buf, 0, out, length), 0);
	assert_int_equal(unit_cuda.to_host(in, info.addr, length), 0);
	assert_memory_equal(in, out, length);
	memset(in, 0, length);
	assert_int_equal(gpumem_read(buf, 0, in, length), 0);
	assert_memory_equal(in, out, length);
	memset(in, 0, length);
	assert_int_equal(gpumem_read_unordered(buf, 0, in, length), 0);
	assert_memory_equal(in, out, length);
	assert_int_equal(gpumem_unpin(buf), 0);
	free(out);
	free(in);
}

#define MANY 150

static void check_word(struct gpumem_buf *buf, uint64_t addr, uint64_t value)
{
	uint64_t seen = 0;

	for (int i = 0; i < 3; i++, value++) {
		assert_int_equal(gpumem_write(buf, 8, &value, sizeof(value)),
				 0);
		assert_int_equal(unit_cuda.to_host(&seen, addr + 8, 8), 0);
		assert_int_equal(seen, value);
		seen = 0;
		assert_int_equal(gpumem_read(buf, 8, &seen, sizeof(seen)), 0);
		assert_int_equal(seen, value);
		seen = 0;
		assert_int_equal(gpumem_read_unordered(buf, 8, &seen, 8), 0);
		assert_int_equal(seen, value);
	}
}

/* What a handle's slot keeps for short copies goes with the mapping. */
static void short_copies_follow_every_mapping(void **state)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf[MANY];

	for (int i = 0; i < MANY; i++) {
		assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf[i]),
				 0);
		unit_map(buf[i]);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			assert_int_equal(gpumem_buf_get(buf[i], &info), 0);
			check_word(buf[i], info.addr, round * 1000 + i);
		}
		/* The addresses change hands. */
		for (int i = 0; i < MANY; i++)
			assert_int_equal(gpumem_unmap(buf[i]), 0);
		for (int i = MANY; i-- > 0;)
			unit_map(buf[i]);
	}
	for (int i = 0; i < MANY; i++)
		assert_int_equal(gpumem_unpin(buf[i]), 0);
}

static void expect_dead(void *handle, const char *call)
{
	char byte = 0;

	unit_expect_error(gpumem_write(handle, 0, &byte, 1), -EBADF, call,
			  NULL);
	unit_expect_error(gpumem_read(handle, 0, &byte, 1), -EBADF, NULL);
	unit_expect_error(gpumem_read_unordered(handle, 0, &byte, 1), -EBADF,
			  "read", NULL);
	unit_expect_error(gpumem_doorbell(handle, 0, 1, 4), -EBADF, NULL);
	unit_expect_error(gpumem_write(handle, 0, NULL, 0), -EBADF, NULL);
}

static void short_copies_know_their_handles(void **state)
{
	struct gpumem_buf *buf, *later;
	uint64_t word = 1;

	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	unit_map(buf);
	for (int i = 0; i < 3; i++)
		assert_int_equal(gpumem_write(buf, 0, &word, 8), 0);
	unit_expect_error(gpumem_write(buf, 4090, &word, 8), -ERANGE, "write",
			  NULL);
	unit_expect_error(gpumem_read(buf, UINT64_MAX, &word, 8), -ERANGE,
			  NULL);
	unit_expect_error(gpumem_read_unordered(buf, 4089, &word, 8), -ERANGE,
			  "read", NULL);
	unit_expect_error(gpumem_read_unordered(buf, 0, NULL, 8), -EINVAL,
			  "NULL", NULL);
	assert_int_equal(gpumem_read_unordered(buf, 4096, &word, 0), 0);
	unit_expect_error(gpumem_write(buf, 0, NULL, 8), -EINVAL, "NULL", NULL);
	unit_expect_error(gpumem_doorbell(buf, 2, 1, 4), -EINVAL, NULL);
	unit_expect_error(gpumem_doorbell(buf, 0, 1, 3), -EINVAL, NULL);
	unit_expect_error(gpumem_doorbell(buf, 4096, 1, 4), -ERANGE, NULL);
	assert_int_equal(gpumem_write(buf, 4096, &word, 0), 0);
	expect_dead(NULL, "write");
	for (int bit = 0; bit < 64; bit++)
		expect_dead((void *)((uintptr_t)buf ^ (uint64_t)1 << bit),
			    "write");
	assert_int_equal(gpumem_unpin(buf), 0);
	expect_dead(buf, "write");
	/* Its slot is used again, and the handle is still dead. */
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &later), 0);
	unit_map(later);
	for (int i = 0; i < 3; i++)
		assert_int_equal(gpumem_write(later, 0, &word, 8), 0);
	expect_dead(buf, "write");
	assert_int_equal(gpumem_unpin(later), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_touches_its_bytes_alone),
		cmocka_unit_test(read_touches_its_bytes_alone),
		cmocka_unit_test(copies_map_for_their_own_time),
		cmocka_unit_test(a_mapping_is_given_back),
		cmocka_unit_test(copies_across_every_page_are_right),
		cmocka_unit_test(short_copies_follow_every_mapping),
		cmocka_unit_test(short_copies_know_their_handles),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
