// SPDX-License-Identifier: MIT
/*
 * kernel-sync-read: a kernel writes the buffer, the program waits for it and
 * reads the result. write-launch-read: the same on data that the program wrote
 * before.
 */
#include "bench/loops.h"

static const uint64_t sizes_all[] = { 64,	4 << 10,   16 << 10, 32 << 10,
				      64 << 10, 256 << 10, 1 << 20,  0 };

/* Ways of the first loop, for pinned memory, for information. */
enum { ALSO_ASYNC = LOOP_COPIES, ALSO_GRAPH };

static int sync_wait(struct loops *loops)
{
	int result = loops->gpu.cuda.context_synchronize();

	if (!result)
		return 0;
	return bench_cuda_failed(&loops->gpu, "cuCtxSynchronize", result);
}

static int sync_wait_stream(struct loops *loops)
{
	int result = loops->cuda.stream_synchronize(NULL);

	if (!result)
		return 0;
	return bench_cuda_failed(&loops->gpu, "cuStreamSynchronize", result);
}

/* With pinned memory cuMemcpy is the asynchronous one, waited for. */
static int sync_read(struct loop_cell *cell, struct loop_side *side)
{
	uint64_t length = cell->bytes[0];
	int status;

	if (side->buf || !cell->pinned)
		return loop_side_read(side, 0, cell->host.memory, length);
	status = loop_side_read_async(side, cell->host.memory, length);
	return status ? status : sync_wait_stream(cell->loops);
}

static int sync_async(struct loop_cell *cell, struct loop_side *side)
{
	int status = loop_side_step(side);

	if (!status)
		status = loop_side_read_async(side, cell->host.memory,
					      cell->bytes[0]);
	return status ? status : sync_wait_stream(cell->loops);
}

static int sync_round(struct loop_cell *cell, int way, struct loop_side *side)
{
	int status;

	if (way == ALSO_ASYNC)
		return sync_async(cell, side);
	if (way == ALSO_GRAPH)
		return loop_graph_run(side, cell->work);
	status = loop_side_step(side);
	if (!status)
		status = sync_wait(cell->loops);
	return status ? status : sync_read(cell, side);
}

static int sync_once(struct loop_cell *cell, int way, double *us)
{
	struct loop_side *side = &cell->side[way < LOOP_CUDA ? way : LOOP_CUDA];
	double start = tool_now();
	int status = sync_round(cell, way, side);

	*us += tool_now() - start;
	if (status)
		return status;
	return loop_side_check(side, 0, cell->host.memory, cell->bytes[0]);
}

/* What CUDA does without a copy into pageable memory, and without two waits. */
static void sync_also(struct loop_cell *cell, struct loop_graph *graph)
{
	cell->work = graph;
	cell->also[0] = "async copy, one synchronize";
	cell->also[1] = "the same as a CUDA graph";
	cell->also_count = 1 + loop_graph_open(&cell->side[LOOP_CUDA],
					       cell->host.memory,
					       cell->bytes[0], graph);
}

static int sync_size(struct loops *loops, uint64_t bytes, bool pinned)
{
	struct loop_cell cell =
		loop_cell(loops, "kernel-sync-read", "iteration", bytes);
	struct loop_graph graph = { 0 };
	int status;

	cell.once = sync_once;
	cell.pinned = pinned;
	status = loop_cell_open(&cell);
	if (status)
		return status;
	if (pinned)
		sync_also(&cell, &graph);
	status = loop_cell_measure(&cell);
	loop_graph_close(loops, &graph);
	loop_cell_close(&cell);
	return status;
}

int loop_sync_run(struct loops *loops)
{
	uint64_t sizes[LOOPS_SIZES_MAX];
	int count = loop_sizes(loops, sizes_all, sizes), status = 0;

	for (int pinned = 0; pinned < 2; pinned++) {
		for (int i = 0; i < count && !status; i++)
			status = sync_size(loops, sizes[i], pinned);
	}
	return status;
}

/* Other words each time: what was there before is not what comes back. */
static int write_once(struct loop_cell *cell, int way, double *us)
{
	struct loop_side *side = &cell->side[way];
	uint64_t length = cell->bytes[0];
	uint32_t first = side->first + 0x1000;
	void *host = cell->host.memory;
	double start;
	int status;

	loop_words_fill(host, length, first);
	start = tool_now();
	status = loop_side_write(side, host, length, first);
	if (!status)
		status = loop_side_step(side);
	if (!status)
		status = sync_wait(cell->loops);
	if (!status)
		status = loop_side_read(side, 0, host, length);
	*us += tool_now() - start;
	return status ? status : loop_side_check(side, 0, host, length);
}

int loop_write_run(struct loops *loops)
{
	uint64_t sizes[LOOPS_SIZES_MAX];
	int count = loop_sizes(loops, sizes_all, sizes), status = 0;

	for (int i = 0; i < count && !status; i++) {
		struct loop_cell cell = loop_cell(loops, "write-launch-read",
						  "iteration", sizes[i]);

		cell.once = write_once;
		status = loop_cell_run(&cell);
	}
	return status;
}
