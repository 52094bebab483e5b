/* SPDX-License-Identifier: MIT */
/* What this process holds, for finding what was left behind. */
#ifndef GPUMEM_TEST_RESOURCES_H
#define GPUMEM_TEST_RESOURCES_H

#include "gpu.h"

struct resources {
	uint64_t descriptors;
	uint64_t mappings; /* of the driver's or the module's nodes */
	uint64_t bar1_used; /* of the GPU; GPUMEM_UNKNOWN: cannot be told */
	uint64_t memory_free; /* of the GPU; 0: cannot be told */
	uint64_t host; /* bytes of VmRSS */
};

/* Has the session give back what it keeps for reuse. */
enum outcome resources_flush(void);

/* NVML tells BAR1's use, as to nvidia-smi; a simulated GPU tells its own. */
enum outcome resources_get(struct resources *now);

/* Passes when nothing grew, and host memory by no more than `slack` bytes. */
enum outcome resources_compare(const struct resources *before,
			       const struct resources *after, uint64_t slack);

/* One line after "# ". */
void resources_print(const char *when, const struct resources *now);

#endif /* GPUMEM_TEST_RESOURCES_H */
