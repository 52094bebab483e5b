// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "storm_check.h"
#include "storm_worker.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

#define CHUNK MIB /* of one gpumem_write() */
#define READ_MAX 4096
#define FAILURES 20 /* after so many it is enough */

static const struct {
	const char *name;
	uint64_t below;
} classes[STORM_CLASSES] = {
	{ "<4K", 4 * KIB },   { "<64K", 64 * KIB },	{ "<1M", MIB },
	{ "<16M", 16 * MIB }, { "<=256M", UINT64_MAX },
};

struct slot {
	bool used;
	struct storm_memory memory;
	uint64_t seed;
};

struct worker {
	const struct storm_options *options;
	uint64_t end; /* of storm_now(); 0: none */
	pthread_t id;
	unsigned int number;
	uint64_t random, count, sequence;
	struct storm_check check;
	struct slot slots[STORM_SLOTS];
	uint8_t *host; /* CHUNK bytes and room to align them */
	struct storm_tally tally;
	enum outcome outcome;
	char why[sizeof(test_why)];
};

static atomic_uint failures;

uint64_t storm_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/* With gpumem_write(), a piece at a time. */
static enum outcome write_pieces(struct worker *worker, struct slot *slot,
				 uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t addr = slot->memory.addr + from;
		uint64_t part = to - from < CHUNK ? to - from : CHUNK;
		uint8_t *host = worker->host + addr % 8;

		storm_store(host, addr, part, slot->seed);
		CHECK_OK(gpumem_write(slot->memory.buf, from, host, part));
		worker->tally.written += part;
		from += part;
	}
	return PASSED;
}

/*
 * Through the mapping up to a random byte, with gpumem_write() from there on.
 * Short ranges are also written without a mapping of ours.
 */
static enum outcome slot_write(struct worker *worker, struct slot *slot)
{
	struct storm_memory *memory = &slot->memory;
	uint64_t stored = memory->length;
	void *cpu;

	switch (random_next(&worker->random) % 4) {
	case 0:
		stored = 0;
		break;
	case 1:
		stored = random_next(&worker->random) % (stored + 1);
		break;
	default:
		break;
	}
	if (stored || memory->length > CHUNK) {
		CHECK_OK(gpumem_map(memory->buf, &cpu));
		storm_store(cpu, memory->addr, stored, slot->seed);
		worker->tally.stored += stored;
	}
	return write_pieces(worker, slot, stored, memory->length);
}

/* A random part, by the CPU: with gpumem_read() or through the mapping. */
static enum outcome slot_read(struct worker *worker, struct slot *slot)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct storm_memory *memory = &slot->memory;
	uint64_t offset = random_next(&worker->random) % memory->length;
	uint64_t length = memory->length - offset;

	if (length > READ_MAX)
		length = READ_MAX;
	length = 1 + random_next(&worker->random) % length;
	CHECK_OK(gpumem_buf_get(memory->buf, &info));
	if (info.cpu && random_next(&worker->random) % 2) {
		memcpy(worker->host, (uint8_t *)info.cpu + offset, length);
	} else {
		memset(worker->host, 0, length);
		CHECK_OK(
			gpumem_read(memory->buf, offset, worker->host, length));
	}
	worker->tally.read += length;
	return storm_compare(worker->host, memory->addr + offset, length,
			     slot->seed);
}

/*
 * Memory that is known: a part pinned a second time, or all of it anew. What
 * the rm backend kept for reuse must be this very memory.
 */
static enum outcome slot_pin_again(struct worker *worker, struct slot *slot)
{
	struct storm_memory *memory = &slot->memory;
	uint64_t offset = random_next(&worker->random) % memory->length;
	uint64_t length = memory->length - offset;
	struct gpumem_buf *buf = memory->buf;
	void *cpu;

	if (random_next(&worker->random) % 2) {
		memory->buf = NULL;
		CHECK_OK(gpumem_unpin(buf));
		CHECK_OK(gpumem_pin(gpu.session, memory->addr, memory->length,
				    0, &memory->buf));
		return slot_read(worker, slot);
	}
	CHECK_OK(gpumem_pin(gpu.session, memory->addr + offset, length, 0,
			    &buf));
	CHECK_OK(gpumem_map(buf, &cpu));
	if (length > READ_MAX)
		length = READ_MAX;
	storm_store(cpu, memory->addr + offset, length, slot->seed);
	memcpy(worker->host, cpu, length);
	CHECK_OK(gpumem_unpin(buf));
	worker->tally.stored += length;
	worker->tally.read += length;
	return storm_compare(worker->host, memory->addr + offset, length,
			     slot->seed);
}

static enum outcome slot_fill(struct worker *worker, struct slot *slot)
{
	CHECK_PASSED(storm_memory_alloc(&slot->memory, &worker->random));
	CHECK_PASSED(slot_write(worker, slot));
	CHECK_PASSED(slot_read(worker, slot));
	/* Unpinned, memory of gpumem_alloc() is gone. */
	if (slot->memory.kind == STORM_OWN || random_next(&worker->random) % 4)
		return PASSED;
	return slot_pin_again(worker, slot);
}

/* Still holds what was written, however much happened since. */
static enum outcome slot_verify(struct worker *worker, struct slot *slot)
{
	const struct storm_memory *memory = &slot->memory;

	CHECK_PASSED(storm_memory_enter(memory));
	if (memory->kind == STORM_CONTEXT) {
		/* The thread's stream belongs to the primary context. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		CHECK_CUDA(gpu.cuda.copy_from_gpu(worker->host, memory->addr,
						  memory->length));
		CHECK_PASSED(storm_compare(worker->host, memory->addr,
					   memory->length, slot->seed));
	} else {
		CHECK_PASSED(storm_check(&worker->check, memory->addr,
					 memory->length, slot->seed));
	}
	worker->tally.verified += memory->length;
	return PASSED;
}

static void worker_failed(struct worker *worker, const struct slot *slot,
			  const char *doing)
{
	worker->tally.failed++;
	if (atomic_fetch_add(&failures, 1) < FAILURES) {
		printf("# thread %u sequence %" PRIu64 ", %s of %s, %" PRIu64
		       " bytes at 0x%" PRIx64 ": %s\n",
		       worker->number, worker->sequence, doing,
		       storm_kind_names[slot->memory.kind], slot->memory.length,
		       slot->memory.addr, test_why);
		fflush(stdout);
	}
}

static void slot_empty(struct worker *worker, struct slot *slot, bool verify)
{
	if (verify && slot_verify(worker, slot) != PASSED)
		worker_failed(worker, slot, "verify");
	if (storm_memory_free(&slot->memory, &worker->random) != PASSED)
		worker_failed(worker, slot, "unpin and free");
	slot->used = false;
}

static void worker_step(struct worker *worker)
{
	struct slot *slot =
		&worker->slots[random_next(&worker->random) % STORM_SLOTS];
	unsigned int class = 0;

	if (slot->used)
		slot_empty(worker, slot, true);
	storm_memory_choose(&slot->memory, worker->options->max,
			    &worker->random);
	slot->seed = random_next(&worker->random);
	slot->used = true;
	while (slot->memory.length >= classes[class].below)
		class ++;
	worker->tally.sequences[slot->memory.kind][class]++;
	if (slot_fill(worker, slot) == PASSED)
		return;
	worker_failed(worker, slot, "fill");
	slot_empty(worker, slot, false);
}

static enum outcome worker_run(struct worker *worker)
{
	CHECK_CUDA(gpu.cuda.context_set_current(gpu.cuda.context));
	worker->host = aligned_alloc(64, CHUNK + 64);
	CHECK(worker->host);
	CHECK_PASSED(storm_check_open(&worker->check));
	for (; worker->sequence < worker->count; worker->sequence++) {
		if (failures >= FAILURES ||
		    (worker->end && storm_now() >= worker->end))
			break;
		worker_step(worker);
	}
	for (int i = 0; i < STORM_SLOTS; i++) {
		if (worker->slots[i].used)
			slot_empty(worker, &worker->slots[i], true);
	}
	CHECK_CUDA(gpu.cuda.context_set_current(gpu.cuda.context));
	return PASSED;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	worker->outcome = worker_run(worker);
	memcpy(worker->why, test_why, sizeof(test_why));
	storm_check_close(&worker->check);
	free(worker->host);
	return NULL;
}

static void tally_add(struct storm_tally *sum, const struct storm_tally *tally)
{
	for (int kind = 0; kind < STORM_KINDS; kind++)
		for (int class = 0; class < STORM_CLASSES; class ++)
			sum->sequences[kind][class] +=
				tally->sequences[kind][class];
	sum->verified += tally->verified;
	sum->stored += tally->stored;
	sum->written += tally->written;
	sum->read += tally->read;
	sum->failed += tally->failed;
}

enum outcome storm_run(const struct storm_options *options, uint64_t count,
		       uint64_t seed, struct storm_tally *sum)
{
	struct worker *workers = calloc(options->threads, sizeof(*workers));
	uint64_t end = options->seconds ? storm_now() + options->seconds : 0;
	unsigned int started;
	const char *why = NULL;

	*sum = (struct storm_tally){ 0 };
	CHECK(workers);
	for (started = 0; started < options->threads; started++) {
		struct worker *worker = &workers[started];

		worker->options = options;
		worker->end = end;
		worker->number = started;
		worker->random = (seed + 1) * 0x9e3779b97f4a7c15ull +
				 started * 0xbf58476d1ce4e5b9ull;
		worker->random |= !worker->random;
		worker->count = count / options->threads +
				(started < count % options->threads);
		if (pthread_create(&worker->id, NULL, worker_main, worker))
			break;
	}
	for (unsigned int i = 0; i < started; i++) {
		pthread_join(workers[i].id, NULL);
		tally_add(sum, &workers[i].tally);
		if (workers[i].outcome != PASSED && !why)
			why = workers[i].why;
	}
	if (why)
		memcpy(test_why, why, sizeof(test_why));
	free(workers);
	CHECK(started == options->threads);
	if (why)
		return FAILED;
	if (sum->failed)
		return test_fail(__FILE__, __LINE__,
				 "%" PRIu64 " sequences failed, the first of "
				 "them above",
				 sum->failed);
	return PASSED;
}

uint64_t storm_tally_total(const struct storm_tally *sum)
{
	uint64_t total = 0;

	for (int kind = 0; kind < STORM_KINDS; kind++)
		for (int class = 0; class < STORM_CLASSES; class ++)
			total += sum->sequences[kind][class];
	return total;
}

void storm_tally_print(const struct storm_tally *sum)
{
	printf("# %-26s", "sequences");
	for (int class = 0; class < STORM_CLASSES; class ++)
		printf(" %8s", classes[class].name);
	printf("\n");
	for (int kind = 0; kind < STORM_KINDS; kind++) {
		printf("# %-26s", storm_kind_names[kind]);
		for (int class = 0; class < STORM_CLASSES; class ++)
			printf(" %8" PRIu64, sum->sequences[kind][class]);
		printf("%s\n", storm_kind_is_here(kind)
				       ? ""
				       : "  (not to be had here)");
	}
	printf("# bytes verified by CUDA: %" PRIu64
	       "; stored through mappings: "
	       "%" PRIu64 ", by gpumem_write: %" PRIu64
	       "; read back by the CPU: %" PRIu64 "\n",
	       sum->verified, sum->stored, sum->written, sum->read);
}
