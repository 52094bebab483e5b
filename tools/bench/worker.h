/* SPDX-License-Identifier: MIT */
/*
 * gpumem bench loops: what the bench and the processes that it starts tell each
 * other, over a socket that is a process's standard input.
 */
#ifndef GPUMEM_TOOL_BENCH_WORKER_H
#define GPUMEM_TOOL_BENCH_WORKER_H

#include <stdint.h>

/* Read so many bytes, in a row, in this window of tool_now(). */
struct worker_order {
	int32_t way; /* LOOP_GPUMEM, _WITHOUT or _CUDA */
	uint32_t reserved;
	uint64_t bytes;
	double begin_us, end_us;
};

/*
 * One comes first of all, when a process is ready, and one for each order. A
 * process that fails says why on standard error.
 */
struct worker_answer {
	int32_t status; /* an exit code */
	uint32_t reserved;
	double us; /* mean of a read */
};

#endif /* GPUMEM_TOOL_BENCH_WORKER_H */
