// SPDX-License-Identifier: MIT
/* Time as the simulated GPUs see it: the system's, or a test's. */
#include <time.h>

#include "sim.h"

#define NS_PER_S 1000000000ull

static uint64_t system_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void system_wait(uint64_t ns)
{
	const struct timespec time = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};

	nanosleep(&time, NULL);
}

static const struct gpumem_sim_clock system_clock = {
	.now_ns = system_ns,
	.wait = system_wait,
};

static const struct gpumem_sim_clock *_Atomic current = &system_clock;

uint64_t sim_clock_ns(void)
{
	return current->now_ns();
}

void sim_clock_wait(uint64_t ns)
{
	current->wait(ns);
}

void gpumem_sim_set_clock(const struct gpumem_sim_clock *clock)
{
	current = clock ? clock : &system_clock;
}
