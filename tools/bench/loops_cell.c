// SPDX-License-Identifier: MIT
/* gpumem bench loops: one size of a loop, every way in blocks that alternate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/loops.h"

/* Rounds of a block that come first and do not count. */
#define WARM_UP 2

const char *loop_way_name(const struct loop_cell *cell, int way)
{
	static const char *const names[] = { "gpumem", "gpumem without SM copy",
					     "cuMemcpy" };

	return way < LOOP_COPIES ? names[way] : cell->also[way - LOOP_COPIES];
}

struct loop_cell loop_cell(struct loops *loops, const char *loop,
			   const char *what, uint64_t bytes)
{
	return (struct loop_cell){
		.loops = loops,
		.loop = loop,
		.what = { what },
		.bytes = { bytes },
		.figures = 1,
		.time_us = loops->time * 1e3,
		.block = loop_repeat,
	};
}

int loop_repeat(struct loop_cell *cell, int way, double *us)
{
	double begin, sum = 0;
	int status = 0;
	long count = 0;

	for (int i = 0; i < WARM_UP && !status; i++)
		status = cell->once(cell, way, &sum);
	sum = 0;
	begin = tool_now();
	while (!status && (!count || tool_now() - begin < cell->time_us)) {
		status = cell->once(cell, way, &sum);
		count++;
	}
	us[0] = sum / count;
	return status;
}

void loop_idle(const struct loop_cell *cell, double *us)
{
	struct timespec pause = { .tv_sec = cell->time_us / 1e6 };

	pause.tv_nsec = (cell->time_us - pause.tv_sec * 1e6) * 1e3;
	nanosleep(&pause, NULL);
	*us = NAN;
}

int loop_read_once(struct loop_cell *cell, int way, double *us)
{
	return loop_side_next(&cell->side[way], cell->host.memory,
			      cell->bytes[0], us);
}

/* One block, from an idle GPU on: no kernel of the block before is there. */
static int cell_block(struct loop_cell *cell, int way, struct stats *stats)
{
	double us[LOOP_FIGURES_MAX] = { NAN, NAN };
	int result = cell->loops->gpu.cuda.context_synchronize();
	int status;

	if (result)
		return bench_cuda_failed(&cell->loops->gpu, "cuCtxSynchronize",
					 result);
	status = cell->block(cell, way, us);
	for (int i = 0; i < cell->figures && !status; i++) {
		if (!isnan(us[i]))
			stats_add(&stats[i * LOOP_WAYS_MAX + way], us[i]);
	}
	return status;
}

int loop_cell_measure(struct loop_cell *cell)
{
	int ways = LOOP_COPIES + cell->also_count, status = 0;
	struct stats *stats =
		calloc(LOOP_FIGURES_MAX * LOOP_WAYS_MAX, sizeof(*stats));

	if (!stats) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	cell->loops->now = cell->loop;
	/* To and fro: none comes behind the same other one each time. */
	for (int block = 0; block < cell->loops->blocks; block++) {
		for (int i = 0; i < ways && !status; i++)
			status = cell_block(cell, block % 2 ? ways - 1 - i : i,
					    stats);
	}
	for (int i = 0; i < cell->figures && !status; i++)
		status = loops_row(cell, i, &stats[i * LOOP_WAYS_MAX]);
	free(stats);
	return status;
}

int loop_cell_open(struct loop_cell *cell)
{
	struct bench_gpu *gpu = &cell->loops->gpu;
	uint64_t length = cell->bytes[0];
	int status = bench_host_new(gpu, length, cell->pinned, &cell->host);

	if (!status)
		status = loop_sides_open(cell->loops, length + LOOP_SHIFT,
					 cell->side);
	if (status)
		loop_cell_close(cell);
	return status;
}

void loop_cell_close(struct loop_cell *cell)
{
	loop_sides_close(cell->side);
	bench_host_free(&cell->loops->gpu, &cell->host);
}

int loop_cell_run(struct loop_cell *cell)
{
	int status = loop_cell_open(cell);

	if (status)
		return status;
	status = loop_cell_measure(cell);
	loop_cell_close(cell);
	return status;
}

int loop_sizes(const struct loops *loops, const uint64_t *own, uint64_t *sizes)
{
	int count = loops->size_count;

	memcpy(sizes, loops->size, count * sizeof(*sizes));
	if (count)
		return count;
	for (; own[count]; count++)
		sizes[count] = own[count];
	return count;
}
