/* SPDX-License-Identifier: MIT */
/*
 * The kernels of `gpumem bench loops`: their names and their one parameter, for
 * the command that launches them and for the simulated CUDA that plays them.
 */
#ifndef GPUMEM_ABI_BENCH_KERNELS_H
#define GPUMEM_ABI_BENCH_KERNELS_H

#include <stdint.h>

/* Threads of a block; a thread for each word. */
#define BENCH_KERNEL_THREADS 256u

/* Adds 1 to each of `words` 32-bit words at addr. */
#define BENCH_STEP "gpumem_bench_step"

struct bench_step_job {
	uint64_t addr;
	uint32_t words;
	uint32_t reserved;
};

/* c = a b, square matrices of n rows of 32-bit floats, row by row. */
#define BENCH_PRODUCT "gpumem_bench_product"

struct bench_product_job {
	uint64_t a, b, c;
	uint32_t n;
	uint32_t reserved;
};

#endif /* GPUMEM_ABI_BENCH_KERNELS_H */
