// SPDX-License-Identifier: MIT
/* The kernels of `gpumem bench loops`, done by the thread that plays them. */
#include <stdlib.h>
#include <string.h>

#include "abi/bench_kernels.h"
#include "kernel.h"

#define PART_WORDS 16384u

static CUresult step_part(const struct sim_kernel *kernel, uint64_t addr,
			  uint32_t *words, uint32_t count)
{
	CUresult result =
		sim_kernel_read(kernel, words, addr, count * sizeof(*words));

	for (uint32_t i = 0; i < count; i++)
		words[i]++;
	if (result)
		return result;
	return sim_kernel_write(kernel, addr, words, count * sizeof(*words));
}

static CUresult step_run(struct sim_kernel *kernel)
{
	uint32_t *words = malloc(PART_WORDS * sizeof(*words));
	CUresult result = words ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	struct bench_step_job job;

	memcpy(&job, kernel->parameter, sizeof(job));
	while (job.words && !result) {
		uint32_t count = job.words < PART_WORDS ? job.words
							: PART_WORDS;

		result = step_part(kernel, job.addr, words, count);
		job.addr += count * sizeof(*words);
		job.words -= count;
	}
	free(words);
	return result;
}

const struct sim_program sim_step = {
	.name = BENCH_STEP,
	.parameter_size = sizeof(struct bench_step_job),
	.ends = true,
	.run = step_run,
};

static void product(const float *a, const float *b, float *c, uint32_t n)
{
	for (uint32_t row = 0; row < n; row++) {
		for (uint32_t col = 0; col < n; col++) {
			float sum = 0;

			for (uint32_t k = 0; k < n; k++)
				sum += a[row * n + k] * b[k * n + col];
			c[row * n + col] = sum;
		}
	}
}

static CUresult product_run(struct sim_kernel *kernel)
{
	struct bench_product_job job;
	CUresult result;
	size_t count, size;
	float *a;

	memcpy(&job, kernel->parameter, sizeof(job));
	count = (size_t)job.n * job.n;
	size = count * sizeof(*a);
	a = malloc(3 * size);
	if (!a)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = sim_kernel_read(kernel, a, job.a, size);
	if (!result)
		result = sim_kernel_read(kernel, a + count, job.b, size);
	if (!result) {
		product(a, a + count, a + 2 * count, job.n);
		result = sim_kernel_write(kernel, job.c, a + 2 * count, size);
	}
	free(a);
	return result;
}

const struct sim_program sim_product = {
	.name = BENCH_PRODUCT,
	.parameter_size = sizeof(struct bench_product_job),
	.ends = true,
	.run = product_run,
};
