// SPDX-License-Identifier: MIT
/*
 * Every allocation of host memory fails once, one after the other: each gives
 * an error with a reason, and nothing is left behind.
 */
#include <stdio.h>

#include "unit.h"

/* glibc's own, under their second names. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

/* Allocations of this thread until one fails; 0: none does. */
static __thread unsigned int until_failure;
static __thread unsigned int failures;

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
	return fails_now() ? NULL : __libc_malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __libc_calloc(count, size);
}

EXPORTED void *realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __libc_realloc(old, size);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_survives_each_failure),
		cmocka_unit_test(alloc_survives_each_failure),
		cmocka_unit_test(dma_map_survives_each_failure),
		cmocka_unit_test(pin_and_map_survive_each_failure),
		cmocka_unit_test(many_pins_survive_each_failure),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
