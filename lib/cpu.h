/* SPDX-License-Identifier: MIT */
/*
 * Copies by one CPU thread between host memory and mapped GPU memory. Each
 * kind of CPU has its own routines; the best that this one can run is chosen
 * once.
 */
#ifndef GM_CPU_H
#define GM_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct gm_cpu {
	const char *name; /* "sse2", "avx512", ... */

	/*
	 * Host to GPU, any alignment and length; writes exactly these bytes.
	 * Unordered until fence().
	 */
	void (*store)(void *gpu, const void *host, size_t length);
	/*
	 * GPU to host. May load whole 64-byte lines that hold a byte of the
	 * range, so never outside the pages of the range. Unordered against
	 * earlier loads until load_fence(), and complete when it returns.
	 */
	void (*load)(void *host, const void *gpu, size_t length);
	/*
	 * Host to host, for large pieces that the CPU just received and the
	 * caller may not look at soon: past the caches where the target is.
	 * Ordered by fence().
	 */
	void (*drain)(void *to, const void *from, size_t length);
	/*
	 * 32 bytes, aligned to 32, to the GPU: in one store where the CPU has
	 * one, otherwise in two that are each whole.
	 */
	void (*store32)(void *gpu, const void *host);
};

/* The routines in use: GPUMEM_CPU from the environment, or the best. */
const struct gm_cpu *gm_cpu(void);

/* All that this CPU can run, the best first; NULL past the last. */
const struct gm_cpu *gm_cpu_at(unsigned int index);

/*
 * After stores: they are on their way to the GPU before any later store or
 * locked instruction of this thread.
 */
void gm_cpu_fence(void);

/* Before loads: none of them may use what was loaded before this call. */
void gm_cpu_load_fence(void);

/* In a loop that waits for memory to change. */
void gm_cpu_pause(void);

/* Soon this line of host memory is written: have it ready. Never faults. */
static inline void gm_cpu_prefetch_write(const void *line)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
	__builtin_prefetch(line, 1, 3);
#endif
}

/*
 * By the calling thread; on its way to the GPU, or complete, at return. A word
 * is one store: such a write costs so little that a call would be felt.
 */
static inline void gm_cpu_write(void *gpu, const void *host, size_t length)
{
	uint32_t word;
	uint64_t two;

	if (length == sizeof(word) && !((uintptr_t)gpu % sizeof(word))) {
		memcpy(&word, host, sizeof(word));
		*(volatile uint32_t *)gpu = word;
	} else if (length == sizeof(two) && !((uintptr_t)gpu % sizeof(two))) {
		memcpy(&two, host, sizeof(two));
		*(volatile uint64_t *)gpu = two;
	} else {
		gm_cpu()->store(gpu, host, length);
	}
	gm_cpu_fence();
}

static inline void gm_cpu_read(void *host, const void *gpu, size_t length)
{
	gm_cpu_load_fence();
	gm_cpu()->load(host, gpu, length);
}

#endif /* GM_CPU_H */
