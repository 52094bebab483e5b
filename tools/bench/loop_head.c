// SPDX-License-Identifier: MIT
/*
 * head-of-line: one thread reads a large buffer in a loop, another one 4 KiB:
 * what does the short read wait for?
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bench/loops.h"

#define SHORT 4096u
/* A long read takes some milliseconds: a block is to have several. */
#define TIMES 4

struct head {
	struct loops *loops;
	struct loop_side side[LOOP_COPIES]; /* of the long reads */
	struct bench_host host;
};

/* The thread that reads much, in one block. */
struct head_reader {
	struct head *head;
	struct loop_side *side;
	atomic_bool begun, stop;
	double us;
	long reads;
	int status;
};

/* A part of each read is looked at, for all of it would take longer. */
static int head_read(struct head_reader *reader)
{
	struct loop_side *side = reader->side;
	struct head *head = reader->head;
	uint64_t offset = side->reads++ % 2 * LOOP_SHIFT;
	double start = tool_now();
	int status = loop_side_read(side, offset, head->host.memory,
				    head->host.length);

	reader->us += tool_now() - start;
	reader->reads++;
	if (status)
		return status;
	return loop_side_sample(side, offset, head->host.memory,
				head->host.length);
}

static void *head_thread(void *arg)
{
	struct head_reader *reader = arg;
	const struct cuda *cuda = &reader->head->loops->gpu.cuda;

	cuda->context_set_current(cuda->context);
	atomic_store(&reader->begun, true);
	do
		reader->status = head_read(reader);
	while (!reader->status && !atomic_load(&reader->stop));
	cuda->context_set_current(NULL);
	return NULL;
}

/* All of the last read. */
static int head_check(const struct head_reader *reader)
{
	uint64_t offset = (reader->side->reads - 1) % 2 * LOOP_SHIFT;

	return loop_side_check(reader->side, offset, reader->head->host.memory,
			       reader->head->host.length);
}

static int head_block(struct loop_cell *cell, int way, double *us)
{
	struct head *head = cell->work;
	struct head_reader reader = { .head = head, .side = &head->side[way] };
	pthread_t thread;
	int status;

	if (pthread_create(&thread, NULL, head_thread, &reader)) {
		tool_error("no thread can be started");
		return TOOL_FAILED;
	}
	while (!atomic_load(&reader.begun))
		;
	status = loop_repeat(cell, way, us);
	atomic_store(&reader.stop, true);
	pthread_join(thread, NULL);
	us[1] = reader.us / reader.reads;
	if (!status)
		status = reader.status;
	return status ? status : head_check(&reader);
}

static int head_measure(struct head *head)
{
	struct loop_cell cell =
		loop_cell(head->loops, "head-of-line", "short read", SHORT);

	cell.what[1] = "long read";
	cell.bytes[1] = head->host.length;
	cell.figures = 2;
	cell.joined = true;
	cell.time_us *= TIMES;
	cell.once = loop_read_once;
	cell.block = head_block;
	cell.work = head;
	return loop_cell_run(&cell);
}

int loop_head_run(struct loops *loops)
{
	struct head head = { .loops = loops };
	int status =
		bench_host_new(&loops->gpu, loops->large, false, &head.host);

	if (!status)
		status = loop_sides_open(loops, loops->large + LOOP_SHIFT,
					 head.side);
	if (!status)
		status = head_measure(&head);
	loop_sides_close(head.side);
	bench_host_free(&loops->gpu, &head.host);
	return status;
}
