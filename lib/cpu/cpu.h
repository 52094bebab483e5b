/* SPDX-License-Identifier: MIT */
/*
 * Copies by one CPU thread between host memory and mapped GPU memory. Each
 * kind of CPU has its own routines; the best that this one can run is chosen
 * once.
 */
#ifndef GM_CPU_H
#define GM_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu/fence.h"

/* Where a caller wrote that it is at work, see base/hazptr.h. */
typedef _Atomic(const void *) gm_cpu_done;

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
	 * A whole copy by the calling thread: store() and then the fence, or
	 * the fence that load() needs and then that. After it done is set to
	 * NULL. Return 0. In one, and what a call may end with, as each
	 * instruction around a short copy is felt.
	 */
	int (*write)(void *gpu, const void *host, size_t length,
		     gm_cpu_done *done);
	int (*read)(void *host, const void *gpu, size_t length,
		    gm_cpu_done *done);
	/*
	 * read() without the fence, where no load is answered by what an
	 * earlier one left in the CPU all the same; elsewhere read().
	 */
	int (*read_unordered)(void *host, const void *gpu, size_t length,
			      gm_cpu_done *done);
	/* Host to host, for what the GPU just wrote and the caller looks at. */
	void (*copy)(void *to, const void *from, size_t length);
	/*
	 * Host to host, for large pieces that the CPU just received and the
	 * caller may not look at soon: past the caches where the target is.
	 * Ordered by fence().
	 */
	void (*drain)(void *to, const void *from, size_t length);
	/*
	 * Host to host: takes the 48 bytes out of each of so many lines that
	 * another writes, where each 8 bytes end in the tag, in 2 of them; up to
	 * the first line in which one does not. Returns the lines taken; to is
	 * written no further. No load may cut the 8 bytes.
	 */
	size_t (*untag)(void *to, const void *lines, size_t count,
			uint16_t tag);
	/*
	 * 32 bytes, aligned to 32, to the GPU, after all that this thread loaded
	 * before: in one store, or so that whoever sees the last 8 bytes of a
	 * half sees all of it.
	 */
	void (*store32)(void *gpu, const void *host);
};

/* NULL until the first copy. */
extern _Atomic(const struct gm_cpu *) gm_cpu_chosen
	__attribute__((visibility("hidden")));

/* Chooses: GPUMEM_CPU from the environment, or the best. */
const struct gm_cpu *gm_cpu_choose(void);

/* The routines in use. */
static inline const struct gm_cpu *gm_cpu(void)
{
	const struct gm_cpu *cpu =
		atomic_load_explicit(&gm_cpu_chosen, memory_order_relaxed);

	return __builtin_expect(!cpu, 0) ? gm_cpu_choose() : cpu;
}

/* All that this CPU can run, the best first; NULL past the last. */
const struct gm_cpu *gm_cpu_at(unsigned int index);

/* Soon this line of host memory is written: have it ready. Never faults. */
static inline void gm_cpu_prefetch_write(const void *line)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
	__builtin_prefetch(line, 1, 3);
#endif
}

/* The same for those who know that it has been called before. */
static inline const struct gm_cpu *gm_cpu_again(void)
{
	return atomic_load_explicit(&gm_cpu_chosen, memory_order_relaxed);
}

/*
 * A word of 4 or 8 bytes in one store; false for all else. x86 has no need for
 * it to be aligned.
 */
static inline bool gm_cpu_store_word(void *gpu, const void *host, size_t length)
{
#ifdef __x86_64__
	typedef uint32_t __attribute__((may_alias, aligned(1))) word;
	typedef uint64_t __attribute__((may_alias, aligned(1))) two;
#else
	typedef uint32_t __attribute__((may_alias)) word;
	typedef uint64_t __attribute__((may_alias)) two;
#endif
	word value;
	two values;

	if (length == sizeof(word) && !((uintptr_t)gpu % _Alignof(word))) {
		memcpy(&value, host, sizeof(value));
		*(volatile word *)gpu = value;
		return true;
	}
	if (length == sizeof(two) && !((uintptr_t)gpu % _Alignof(two))) {
		memcpy(&values, host, sizeof(values));
		*(volatile two *)gpu = values;
		return true;
	}
	return false;
}

/* By the calling thread; on its way to the GPU, or complete, at return. */
static inline void gm_cpu_write(void *gpu, const void *host, size_t length)
{
	gm_cpu_done done;

	gm_cpu()->write(gpu, host, length, &done);
}

static inline void gm_cpu_read(void *host, const void *gpu, size_t length)
{
	gm_cpu_done done;

	gm_cpu()->read(host, gpu, length, &done);
}

#endif /* GM_CPU_H */
