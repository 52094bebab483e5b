/* SPDX-License-Identifier: MIT */
/*
 * A kernel that polls a 4-byte word of GPU memory and stores each new value
 * into host memory, until it sees the last value or has run long enough.
 */
#ifndef GPUMEM_TOOL_KERNEL_H
#define GPUMEM_TOOL_KERNEL_H

#include "bench/bench.h"

/* In kernel.sm: wherever the GPU puts it. */
#define KERNEL_ANY_SM UINT32_MAX

/* The kernel ends after so long whatever happens. */
#define KERNEL_LIFE_NS 3000000000u

/* Where the answer may go: so far apart that many an address bit differs. */
#define KERNEL_ANSWERS 64u
#define KERNEL_ANSWER (9u * 4096u + 3u * 64u)

struct kernel {
	struct bench_gpu *gpu;
	void *module, *function, *stream;
	char *answers; /* host memory, pinned: KERNEL_ANSWERS of them */
	uint64_t answers_gpu; /* what the GPU calls it */
	uint32_t *answer; /* the one in use */
	int sm_count;
	uint32_t sm; /* the multiprocessor that kernel_start() uses */
	bool running;
	uint32_t value; /* the last one that was given to the kernel */
	int (*launch)(void *function, unsigned int grid_x, unsigned int grid_y,
		      unsigned int grid_z, unsigned int block_x,
		      unsigned int block_y, unsigned int block_z,
		      unsigned int shared, void *stream, void **parameters,
		      void **extra);
	int (*module_unload)(void *module);
	int (*stream_destroy)(void *stream);
	int (*stream_synchronize)(void *stream);
};

/*
 * Loads the kernel. Returns 0 or TOOL_FAILED after saying why not, such as that
 * the simulated GPU runs none.
 */
int kernel_open(struct bench_gpu *gpu, struct kernel *kernel);
/* Ends what runs, and frees all. */
void kernel_close(struct kernel *kernel);

/* The next kernel_start() has the answer there; the first is the standard. */
void kernel_answer_at(struct kernel *kernel, unsigned int i);

/* Starts it, with zero in the word that it polls. */
int kernel_start(struct kernel *kernel, uint64_t word);
/*
 * Ends it, through CUDA. Returns 0, or TOOL_FAILED when it died of an error.
 */
int kernel_stop(struct kernel *kernel, uint64_t word);

/* The next value to give to the kernel. */
uint32_t kernel_next(struct kernel *kernel);
/* Waits for the answer, so long. */
bool kernel_answers(const struct kernel *kernel, double timeout_us);
/* Waits for the answer. Returns false, having said so, when there is none. */
bool kernel_wait(const struct kernel *kernel);

#endif /* GPUMEM_TOOL_KERNEL_H */
