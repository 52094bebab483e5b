// SPDX-License-Identifier: MIT
/* Weak, so that a test's own take their place where it links the objects. */
#include <time.h>

#include "base/pause.h"
#include "base/clock.h"

__attribute__((weak)) uint64_t gm_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

__attribute__((weak)) void gm_clock_spin(uint64_t ns)
{
	const uint64_t start = gm_clock_ns();

	while (gm_clock_ns() - start < ns)
		gm_cpu_pause();
}
