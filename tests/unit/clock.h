/* SPDX-License-Identifier: MIT */
/*
 * The clock of a test, in place of the library's and of the simulated GPU's. It
 * goes as the system's does while nobody stops it.
 */
#ifndef GPUMEM_UNIT_CLOCK_H
#define GPUMEM_UNIT_CLOCK_H

#include <stdint.h>

#include "../../lib/base/clock.h"
#include "../../abi/cuda.h"
#include "../../abi/sim.h"

#define CLOCK_US 1000ull
#define CLOCK_MS 1000000ull

/* From now on time passes by clock_move() alone, until clock_go(). */
void clock_stop(void);
void clock_go(void);
void clock_move(uint64_t ns);

/* How often the library asked for the time. */
uint64_t clock_looks(void);

/* For gpumem_sim_set_clock(): the same time, and what the GPU alone has more. */
extern const struct gpumem_sim_clock clock_gpu;

/* Until clock_go(): so much more each time that a kernel looks at it. */
void clock_gpu_step(uint64_t ns);

/*
 * Lets time pass on the GPU alone until all kernels of the current context have
 * ended. synchronize: cuCtxSynchronize().
 */
CUresult clock_end_kernels(CUresult (*synchronize)(void));

#endif /* GPUMEM_UNIT_CLOCK_H */
