/* SPDX-License-Identifier: MIT */
/* What the unit tests share: a session on the simulated GPU and its CUDA. */
#ifndef GPUMEM_UNIT_H
#define GPUMEM_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gpumem.h>

#include "../../abi/cuda.h"
#include "../../abi/sim.h"
#include "group.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

/* The stand-in's functions, looked up through gpumem_cuda_symbol(). */
struct unit_cuda {
	CUresult (*alloc)(CUdeviceptr *addr, size_t bytes);
	CUresult (*alloc_managed)(CUdeviceptr *addr, size_t bytes,
				  unsigned int flags);
	CUresult (*alloc_host)(void **addr, size_t bytes);
	CUresult (*free)(CUdeviceptr addr);
	CUresult (*free_host)(void *addr);
	CUresult (*to_host)(void *host, CUdeviceptr addr, size_t bytes);
	CUresult (*to_device)(CUdeviceptr addr, const void *host, size_t bytes);
	CUresult (*set)(CUdeviceptr addr, unsigned char value, size_t bytes);
	CUresult (*ctx_set)(CUcontext context);
	CUresult (*ctx_get)(CUcontext *context);
	CUresult (*ctx_create)(CUcontext *context, unsigned int flags,
			       CUdevice device);
	CUresult (*ctx_destroy)(CUcontext context);
	CUresult (*primary_retain)(CUcontext *context, CUdevice device);
	CUresult (*primary_release)(CUdevice device);
	CUresult (*synchronize)(void);
	int (*sim_info)(struct gpumem_sim_info *info);
	void (*sim_set_clock)(const struct gpumem_sim_clock *clock);
	void (*sim_hold_kernels)(bool hold);
};

/* One for the whole program, set by unit_setup(). */
extern struct gpumem *unit_session;
extern struct unit_cuda unit_cuda;

/*
 * Group set-up: a session through the sim backend, and the primary context
 * current in this thread. The tear-down closes it and fails when pins or memory
 * are left.
 */
int unit_setup(void **state);
int unit_teardown(void **state);

/* Makes the primary context current in another thread. */
void unit_use_context(void);

CUdeviceptr unit_alloc(size_t bytes);
void unit_free(CUdeviceptr addr);

/* Pins, and fails the test with the reason when it cannot. */
struct gpumem_buf *unit_pin(uint64_t addr, uint64_t length);
void *unit_map(struct gpumem_buf *buf);

/* How many mappings of the GPU's memory the process has. */
unsigned int unit_mappings(void);

/* Fails unless rc is err and the last error contains each text up to NULL. */
void unit_expect_error(int rc, int err, ...) __attribute__((sentinel));

/* Bytes that differ from one another and from one seed to the next. */
void unit_fill(void *bytes, size_t length, uint32_t seed);

#endif /* GPUMEM_UNIT_H */
