/* SPDX-License-Identifier: MIT */
/* What the benches and `gpumem tune` share: a GPU, memory, the machine. */
#ifndef GPUMEM_TOOL_BENCH_H
#define GPUMEM_TOOL_BENCH_H

#include "cuda.h"
#include "report.h"
#include "tool.h"

struct bench_gpu {
	struct tool_target target;
	struct gpumem *session;
	struct gpumem_device device;
	const char *backend;
	struct cuda cuda;
	int (*host_alloc)(void **host, size_t length, unsigned int flags);
	int (*host_free)(void *host);
	double open_us; /* that gpumem_open() took */
};

/* Whose figures these are; "unknown" where the machine does not tell. */
struct bench_machine {
	char gpu[160]; /* with SIMULATED behind it where that is so */
	char driver[64];
	char cpu[96];
	char date[32]; /* UTC */
};

/* GPU memory, mapped, with a guard before and behind what is asked for. */
struct bench_memory {
	struct gpumem_buf *buf;
	uint64_t addr; /* device address of the buffer's first byte */
	char *cpu; /* the mapping's */
	uint64_t length; /* that may be used, from BENCH_GUARD on */
};

/* Host memory, likewise: the guards are before and behind it. */
struct bench_host {
	char *memory;
	uint64_t length;
	bool pinned; /* by CUDA */
};

#define BENCH_GUARD 4096

/*
 * Open and close a target. bench_gpu_open() returns 0 or an exit code after
 * saying why not; then there is nothing to close.
 */
int bench_gpu_open(struct bench_gpu *gpu);
void bench_gpu_close(struct bench_gpu *gpu);

/*
 * Looks a CUDA function up; puts it at *function, a pointer to a function.
 * Returns 0, or TOOL_FAILED after saying that libcuda has no such.
 */
int bench_gpu_symbol(struct bench_gpu *gpu, const char *name, void *function);

/*
 * Whether each of some sizes, of the option `what`, can be there, with so many copies of the largest in
 * host memory: 0 or TOOL_FAILED after saying which is too large.
 */
int bench_gpu_check_sizes(const struct bench_gpu *gpu, const char *what,
			  const uint64_t *size, int count, unsigned int copies);

/* Says what a CUDA function failed with. Returns TOOL_FAILED. */
int bench_cuda_failed(const struct bench_gpu *gpu, const char *what,
		      int result);

void bench_machine_get(const struct bench_gpu *gpu,
		       struct bench_machine *machine);
void bench_machine_print(const struct bench_gpu *gpu);
/* Puts version, the GPU's members and the machine's into a report. */
void bench_machine_report(const struct bench_gpu *gpu, struct report *to);

/*
 * Each returns 0 or TOOL_FAILED after saying why. The host memory's pages are
 * there when it returns.
 */
int bench_memory_new(struct bench_gpu *gpu, uint64_t length,
		     struct bench_memory *memory);
void bench_memory_free(struct bench_memory *memory);
int bench_host_new(struct bench_gpu *gpu, uint64_t length, bool pinned,
		   struct bench_host *host);
/* Nothing happens where there is none. */
void bench_host_free(struct bench_gpu *gpu, struct bench_host *host);

#endif /* GPUMEM_TOOL_BENCH_H */
