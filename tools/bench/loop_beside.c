// SPDX-License-Identifier: MIT
/*
 * read-beside-alloc: a thread reads while another one calls cuMemAlloc,
 * cuMemFree and cuCtxSynchronize. Both are timed: the second pays for what the
 * first keeps on the GPU.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "bench/loops.h"

/* What the other thread allocates and frees. */
#define BLOCK ((size_t)1 << 20)

/* Beside the ways: nobody reads. */
enum { ALSO_QUIET = LOOP_COPIES };

struct beside {
	struct loops *loops;
	atomic_bool stop;
	double us; /* of all cycles */
	long cycles;
	int status;
};

static int beside_cycle(struct loops *loops)
{
	const struct cuda *cuda = &loops->gpu.cuda;
	const char *what = "cuMemAlloc";
	uint64_t addr;
	int result = cuda->mem_alloc(&addr, BLOCK);

	if (!result) {
		what = "cuMemFree";
		result = cuda->mem_free(addr);
	}
	if (!result) {
		what = "cuCtxSynchronize";
		result = cuda->context_synchronize();
	}
	return result ? bench_cuda_failed(&loops->gpu, what, result) : 0;
}

static void *beside_thread(void *arg)
{
	struct beside *beside = arg;
	const struct cuda *cuda = &beside->loops->gpu.cuda;
	double start;

	cuda->context_set_current(cuda->context);
	start = tool_now();
	/* Once at least, however late this thread gets a CPU. */
	do {
		beside->status = beside_cycle(beside->loops);
		beside->cycles++;
	} while (!beside->status && !atomic_load(&beside->stop));
	beside->us = tool_now() - start;
	cuda->context_set_current(NULL);
	return NULL;
}

static int beside_block(struct loop_cell *cell, int way, double *us)
{
	struct beside beside = { .loops = cell->loops };
	pthread_t thread;
	int status = 0;

	if (pthread_create(&thread, NULL, beside_thread, &beside)) {
		tool_error("no thread can be started");
		return TOOL_FAILED;
	}
	if (way == ALSO_QUIET)
		loop_idle(cell, us);
	else
		status = loop_repeat(cell, way, us);
	atomic_store(&beside.stop, true);
	pthread_join(thread, NULL);
	us[1] = beside.us / beside.cycles;
	return status ? status : beside.status;
}

int loop_beside_run(struct loops *loops)
{
	static const uint64_t own[] = { 4 << 10, 64 << 10, 1 << 20, 0 };
	uint64_t sizes[LOOPS_SIZES_MAX];
	int count = loop_sizes(loops, own, sizes), status = 0;

	for (int i = 0; i < count && !status; i++) {
		struct loop_cell cell =
			loop_cell(loops, "read-beside-alloc", "read", sizes[i]);

		cell.what[1] = "alloc, free, synchronize";
		cell.bytes[1] = sizes[i];
		cell.figures = 2;
		cell.also[0] = "nobody reads";
		cell.also_count = 1;
		cell.once = loop_read_once;
		cell.block = beside_block;
		status = loop_cell_run(&cell);
	}
	return status;
}
