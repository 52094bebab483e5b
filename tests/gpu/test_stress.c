// SPDX-License-Identifier: MIT
/* Many cycles and several threads; nothing may be left behind. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "resources.h"

#define CYCLES 1000
#define SLOTS 8
#define SIZE_MAX_BYTES (1u << 20)
#define THREADS 4
#define THREAD_CYCLES 100
#define HOST_SLACK (32ull << 20)

struct slot {
	uint64_t base, addr, length, seed; /* base 0: empty */
	struct gpumem_buf *buf;
};

static enum outcome slot_fill(struct slot *slot, uint64_t *random)
{
	uint64_t offset = random_next(random) % 70000;
	void *cpu;

	slot->length = 1 + random_next(random) % SIZE_MAX_BYTES;
	if (random_next(random) % 2)
		slot->length = 1 + slot->length % 5000;
	slot->seed = random_next(random);
	CHECK_CUDA(gpu.cuda.mem_alloc(&slot->base, offset + slot->length));
	slot->addr = slot->base + offset;
	CHECK_OK(gpumem_pin(gpu.session, slot->addr, slot->length, 0,
			    &slot->buf));
	CHECK_OK(gpumem_map(slot->buf, &cpu));
	pattern_store(cpu, slot->length, slot->seed);
	return PASSED;
}

/* Still holds what was written, however much happened since. */
static enum outcome slot_empty(struct slot *slot)
{
	CHECK_PASSED(pattern_check_gpu(slot->addr, slot->length, slot->seed));
	CHECK_OK(gpumem_unpin(slot->buf));
	CHECK_CUDA(gpu.cuda.mem_free(slot->base));
	slot->base = 0;
	return PASSED;
}

static enum outcome run_cycles(uint64_t seed, int cycles)
{
	struct slot slots[SLOTS] = { 0 };
	uint64_t random = seed * 0x9e3779b97f4a7c15ull + 1;

	for (int i = 0; i < cycles; i++) {
		struct slot *slot = &slots[random_next(&random) % SLOTS];

		if (slot->base)
			CHECK_PASSED(slot_empty(slot));
		CHECK_PASSED(slot_fill(slot, &random));
	}
	for (int i = 0; i < SLOTS; i++) {
		if (slots[i].base)
			CHECK_PASSED(slot_empty(&slots[i]));
	}
	return PASSED;
}

/*
 * CUDA and the driver fill caches at first; a leak takes more every time. So
 * one round of five that takes nothing is proof that gpumem leaks nothing.
 */
static enum outcome test_cycles(void)
{
	enum outcome outcome = FAILED;
	struct resources before, after;

	CHECK_PASSED(run_cycles(gpu.seed, CYCLES / 10));
	CHECK_PASSED(resources_get(&after));
	for (int i = 0; i < 5 && outcome != PASSED; i++) {
		before = after;
		CHECK_PASSED(run_cycles(gpu.seed, CYCLES));
		CHECK_PASSED(resources_get(&after));
		outcome = resources_compare(&before, &after, HOST_SLACK);
	}
	if (outcome == PASSED && after.bar1_used == GPUMEM_UNKNOWN)
		return test_skip("nothing is left, but BAR1, whose use "
				 "cannot be told here, was not looked at");
	return outcome;
}

struct thread {
	pthread_t id;
	int number;
	struct gpumem_buf *shared;
	enum outcome outcome;
	char why[sizeof(test_why)];
};

/* Its own part of a buffer that all threads use at once. */
static enum outcome use_shared(struct gpumem_buf *buf, int number)
{
	char bytes[1000];

	for (int i = 0; i < 100; i++) {
		memset(bytes, number * 16 + i % 16, sizeof(bytes));
		CHECK_OK(
			gpumem_write(buf, number * 1001, bytes, sizeof(bytes)));
		memset(bytes, 0, sizeof(bytes));
		CHECK_OK(gpumem_read(buf, number * 1001, bytes, sizeof(bytes)));
		for (size_t j = 0; j < sizeof(bytes); j++)
			CHECK((uint8_t)bytes[j] == number * 16 + i % 16);
	}
	return PASSED;
}

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	gpu.cuda.context_set_current(gpu.cuda.context);
	thread->outcome =
		run_cycles(gpu.seed + 100 + thread->number, THREAD_CYCLES);
	if (thread->outcome == PASSED)
		thread->outcome = use_shared(thread->shared, thread->number);
	memcpy(thread->why, test_why, sizeof(test_why));
	return NULL;
}

static enum outcome test_threads(void)
{
	struct thread threads[THREADS] = { 0 };
	enum outcome outcome = PASSED;
	struct gpumem_buf *shared;
	int started = 0;

	CHECK_OK(gpumem_alloc(gpu.session, THREADS * 1001, 0, &shared));
	for (; started < THREADS; started++) {
		threads[started].number = started;
		threads[started].shared = shared;
		if (pthread_create(&threads[started].id, NULL, thread_main,
				   &threads[started]))
			break;
	}
	for (int i = 0; i < started; i++) {
		pthread_join(threads[i].id, NULL);
		if (threads[i].outcome != PASSED && outcome == PASSED) {
			outcome = threads[i].outcome;
			memcpy(test_why, threads[i].why, sizeof(test_why));
		}
	}
	CHECK_OK(gpumem_unpin(shared));
	CHECK(started == THREADS);
	return outcome;
}

const struct test stress_tests[] = {
	{ "1000 random cycles leave nothing behind", test_cycles },
	{ "4 threads at once", test_threads },
	{ 0 },
};
