// SPDX-License-Identifier: MIT
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "clock.h"

#define STOPPING UINT64_MAX

static _Atomic uint64_t stopped; /* when, by the system's clock; 0: it goes */
static _Atomic uint64_t moved, looks;
static _Atomic uint64_t gpu_moved, gpu_step;

static uint64_t system_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t clock_ns(void)
{
	uint64_t at, now;

	/* What is given out is never later than what is when it stands. */
	do {
		at = stopped;
		now = at ? at : system_ns();
	} while (at == STOPPING || at != stopped);
	return now + moved;
}

uint64_t gm_clock_ns(void)
{
	looks++;
	/* Who asks waits: for others, while time stands still. */
	if (stopped)
		sched_yield();
	return clock_ns();
}

void gm_clock_spin(uint64_t ns)
{
	clock_move(ns);
}

void clock_stop(void)
{
	stopped = STOPPING;
	stopped = system_ns();
}

void clock_go(void)
{
	gpu_step = 0;
	stopped = 0;
}

void clock_move(uint64_t ns)
{
	moved += ns;
}

uint64_t clock_looks(void)
{
	return looks;
}

static uint64_t clock_gpu_ns(void)
{
	return clock_ns() + atomic_fetch_add(&gpu_moved, gpu_step);
}

const struct gpumem_sim_clock clock_gpu = {
	.now_ns = clock_gpu_ns,
	.wait = clock_move,
};

void clock_gpu_step(uint64_t ns)
{
	gpu_step = ns;
}

CUresult clock_end_kernels(CUresult (*synchronize)(void))
{
	CUresult result;

	clock_gpu_step(10 * CLOCK_US);
	result = synchronize();
	clock_gpu_step(0);
	return result;
}
