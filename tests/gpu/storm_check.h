/* SPDX-License-Identifier: MIT */
/*
 * The storm's pattern and its check by CUDA. A byte's value depends on its
 * device address and a seed: a mapping that shows other memory, or the right
 * memory shifted, never passes.
 */
#ifndef GPUMEM_TEST_STORM_CHECK_H
#define GPUMEM_TEST_STORM_CHECK_H

#include "gpu.h"

/* Up to this many bytes are copied back and compared by the CPU. */
#define STORM_SMALL 65536ull

/* A thread's own. */
struct storm_check {
	void *stream;
	uint64_t wrong; /* device address of the kernel's count */
	uint8_t *host; /* STORM_SMALL bytes and room to align them */
};

/* Once a process. What checks large ranges stands in storm_check_how(). */
enum outcome storm_check_load(void);
const char *storm_check_how(void);

enum outcome storm_check_open(struct storm_check *check);
void storm_check_close(struct storm_check *check);

/* The pattern of these device addresses, into host memory or a mapping. */
void storm_store(void *to, uint64_t addr, uint64_t length, uint64_t seed);

/* The host memory holds the pattern of these device addresses. */
enum outcome storm_compare(const void *bytes, uint64_t addr, uint64_t length,
			   uint64_t seed);

/* The GPU memory holds it: every byte is looked at. */
enum outcome storm_check(struct storm_check *check, uint64_t addr,
			 uint64_t length, uint64_t seed);

#endif /* GPUMEM_TEST_STORM_CHECK_H */
