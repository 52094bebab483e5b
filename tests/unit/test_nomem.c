// SPDX-License-Identifier: MIT
/*
 * Every allocation of host memory fails once, one after the other: each gives
 * an error with a reason, and nothing is left behind.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "unit.h"

/* glibc's own, under their second names. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *memory);

/* Allocations of this thread until one fails; 0: none does. */
static __thread unsigned int until_failure;
static __thread unsigned int failures;

/* Blocks that were not freed, of all threads. */
static atomic_long blocks;

static bool fails_now(void)
{
	if (!until_failure || --until_failure)
		return false;
	failures++;
	errno = ENOMEM;
	return true;
}

#define EXPORTED __attribute__((visibility("default")))

/* These take the place of glibc's in the whole program. */
EXPORTED void *malloc(size_t size)
{
	void *made = fails_now() ? NULL : __libc_malloc(size);

	blocks += !!made;
	return made;
}

EXPORTED void *calloc(size_t count, size_t size)
{
	void *made = fails_now() ? NULL : __libc_calloc(count, size);

	blocks += !!made;
	return made;
}

EXPORTED void *realloc(void *old, size_t size)
{
	void *made = fails_now() ? NULL : __libc_realloc(old, size);

	blocks += made && !old;
	return made;
}

EXPORTED void free(void *memory)
{
	blocks -= !!memory;
	__libc_free(memory);
}

static int open_and_close(void)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem *session;
	int rc = gpumem_open(&options, &session);

	return rc ? rc : gpumem_close(session);
}

static int alloc_and_unpin(void)
{
	struct gpumem_buf *buf;
	int rc = gpumem_alloc(unit_session, 200000, 0, &buf);

	return rc ? rc : gpumem_unpin(buf);
}

/* The simulated GPU has no DMA mappings: that they are refused is success. */
static int refused_dma_map(void)
{
	struct gpumem_dma *dma;
	struct gpumem_buf *buf;
	int rc = gpumem_alloc(unit_session, 1, 0, &buf);

	if (rc)
		return rc;
	rc = gpumem_dma_map(buf, "0000:3b:00.0", 0, &dma);
	if (gpumem_unpin(buf))
		return -EUCLEAN;
	return rc == -EOPNOTSUPP ? 0 : rc;
}

static CUdeviceptr memory;

static int pin_map_and_unpin(void)
{
	struct gpumem_buf *buf;
	uint64_t pages[4];
	size_t count = 4;
	void *cpu;
	int rc = gpumem_pin(unit_session, memory + 1, 200000, 0, &buf);

	if (rc)
		return rc;
	rc = gpumem_map(buf, &cpu);
	if (!rc)
		rc = gpumem_pages(buf, 0, pages, &count);
	if (!rc)
		rc = gpumem_write(buf, 9, "abc", 3);
	if (gpumem_unpin(buf))
		return -EUCLEAN;
	return rc;
}

/* Enough handles that their table must grow. */
static int pin_many(void)
{
	static struct gpumem_buf *buf[150];
	int rc = 0, n = 0;

	while (!rc && n < 150)
		rc = gpumem_pin(unit_session, memory, 1, 0, &buf[n++]);
	if (rc)
		n--;
	while (n--)
		if (gpumem_unpin(buf[n]))
			return -EUCLEAN;
	return rc;
}

/* Runs body until no allocation in it is left that could fail. */
static void sweep(int (*body)(void))
{
	struct gpumem_sim_info before, after;
	unsigned int n = 0;
	int rc;

	assert_int_equal(unit_cuda.sim_info(&before), 0);
	do {
		failures = 0;
		until_failure = ++n;
		rc = body();
		until_failure = 0;
		if (rc == -EUCLEAN || (rc && !failures))
			fail_msg("allocation %u: %d, %s", n, rc,
				 gpumem_last_error());
		if (rc && (!strchr(gpumem_last_error(), ';') || rc == -EBADF))
			fail_msg("allocation %u: %d, no good reason: %s", n, rc,
				 gpumem_last_error());
		assert_int_equal(unit_cuda.sim_info(&after), 0);
		assert_int_equal(after.pins, before.pins);
		assert_int_equal(after.memory_used, before.memory_used);
	} while (failures);
	print_message("%u allocations failed in turn\n", n - 1);
	assert_true(n > 1);
}

static void open_survives_each_failure(void **state)
{
	sweep(open_and_close);
}

static void alloc_survives_each_failure(void **state)
{
	sweep(alloc_and_unpin);
}

static void dma_map_survives_each_failure(void **state)
{
	sweep(refused_dma_map);
}

static void pin_and_map_survive_each_failure(void **state)
{
	memory = unit_alloc(300000);
	sweep(pin_map_and_unpin);
	unit_free(memory);
}

static void many_pins_survive_each_failure(void **state)
{
	memory = unit_alloc(300000);
	sweep(pin_many);
	unit_free(memory);
}

#define ROUNDS 20

static void expect_no_growth(int (*body)(void))
{
	long before;

	/* What is made once, and what a cache keeps. */
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(body(), 0);
	before = blocks;
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(body(), 0);
	if (blocks - before >= ROUNDS)
		fail_msg("%ld blocks more after %d rounds", blocks - before,
			 ROUNDS);
}

static void nothing_stays_of_a_session(void **state)
{
	expect_no_growth(open_and_close);
}

static void nothing_stays_of_a_buffer(void **state)
{
	expect_no_growth(alloc_and_unpin);
	memory = unit_alloc(300000);
	expect_no_growth(pin_map_and_unpin);
	unit_free(memory);
}

/* The kernel gives no more addresses, as where a program has used them up. */
static void a_mapping_that_cannot_be_made_is_an_error(void **state)
{
	struct rlimit limit, none;
	struct gpumem_buf *buf;
	void *cpu = &limit;
	int mapped, wrote;
	char byte = 0;
	bool heeded;

	assert_int_equal(gpumem_alloc(unit_session, 300000, 0, &buf), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	/* An emulator may not heed it. */
	heeded = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		 MAP_FAILED;
	mapped = gpumem_map(buf, &cpu);
	wrote = gpumem_write(buf, 0, "a", 1);
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	if (!heeded) {
		assert_int_equal(gpumem_unpin(buf), 0);
		skip();
	}
	assert_int_equal(mapped, -ENOMEM);
	assert_ptr_equal(cpu, &limit);
	unit_expect_error(wrote, -ENOMEM, "map", NULL);
	/* Later they do. */
	assert_int_equal(gpumem_write(buf, 0, "b", 1), 0);
	assert_int_equal(gpumem_map(buf, &cpu), 0);
	assert_int_equal(gpumem_read(buf, 0, &byte, 1), 0);
	assert_int_equal(byte, 'b');
	assert_int_equal(gpumem_unpin(buf), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_survives_each_failure),
		cmocka_unit_test(alloc_survives_each_failure),
		cmocka_unit_test(dma_map_survives_each_failure),
		cmocka_unit_test(pin_and_map_survive_each_failure),
		cmocka_unit_test(many_pins_survive_each_failure),
		cmocka_unit_test(nothing_stays_of_a_session),
		cmocka_unit_test(nothing_stays_of_a_buffer),
		cmocka_unit_test(a_mapping_that_cannot_be_made_is_an_error),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
