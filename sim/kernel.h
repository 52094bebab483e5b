/* SPDX-License-Identifier: MIT */
/* A simulated kernel at work, as its own code sees it. */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include "sim.h"

struct sim_kernel {
	CUcontext ctx;
	uint64_t ctx_id;
	CUstream stream;
	const struct sim_program *program;
	void *parameter; /* its own copy */
	unsigned int threads; /* of its block */
	struct sim_kernel *next;
};

/* A kernel that can be simulated: its name and what a thread does for it. */
struct sim_program {
	const char *name;
	size_t parameter_size;
	/* It ends by itself: any grid will do, and its launch waits for it. */
	bool ends;
	/* A failure is the context's, from then on. */
	CUresult (*run)(struct sim_kernel *kernel);
};

extern const struct sim_program sim_courier, sim_spin, sim_step, sim_product;

/*
 * Memory as the kernel's threads see it: device memory, and host memory that
 * CUDA knows. CUDA_ERROR_ILLEGAL_ADDRESS for any other, and
 * CUDA_ERROR_CONTEXT_IS_DESTROYED when the kernel has lost its context.
 */
CUresult sim_kernel_read(const struct sim_kernel *kernel, void *dst,
			 uint64_t addr, uint64_t length);
CUresult sim_kernel_write(const struct sim_kernel *kernel, uint64_t addr,
			  const void *src, uint64_t length);
/* So many words of 8 bytes into host memory, each in one store. */
CUresult sim_kernel_write_words(const struct sim_kernel *kernel, uint64_t addr,
				const uint64_t *words, size_t count);
/* One store of 8 bytes into host memory, after all that was done before. */
CUresult sim_kernel_signal(const struct sim_kernel *kernel, uint64_t addr,
			   uint64_t value);

#endif /* SIM_KERNEL_H */
