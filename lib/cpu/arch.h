/* SPDX-License-Identifier: MIT */
/* Between cpu.c and the routines of each kind of CPU. */
#ifndef GM_CPU_ARCH_H
#define GM_CPU_ARCH_H

#include <stdint.h>
#include <string.h>

#include "cpu/cpu.h"

/* Bytes that leave the CPU together: a cache line, a full bus write. */
#define GM_LINE 64u

/*
 * Below this drain() leaves the data in the caches: it fits, and the caller
 * will most likely look at it.
 */
#define GM_DRAIN_MIN ((size_t)256 << 10)

struct gm_cpu_entry {
	const struct gm_cpu *cpu;
	bool (*runs)(void); /* on this CPU, under this kernel */
};

/* Those that were built, the best first; a NULL cpu past the last. */
extern const struct gm_cpu_entry gm_cpu_entries[];

/*
 * For what loads whole lines. Neighbouring bytes, which are dropped, may belong
 * to other threads, and to no object of the program.
 */
#define GM_WHOLE_LINES __attribute__((no_sanitize("address", "thread")))

/*
 * One access each, at any address: the compiler neither splits nor repeats it.
 * Other threads may look: a flag is such a word.
 */
#define GM_MOVE static inline __attribute__((no_sanitize("thread")))

typedef uint8_t gm_byte __attribute__((may_alias));
typedef uint16_t gm_u16 __attribute__((may_alias, aligned(1)));
typedef uint32_t gm_u32 __attribute__((may_alias, aligned(1)));
typedef uint64_t gm_u64 __attribute__((may_alias, aligned(1)));

GM_MOVE void gm_move8(void *to, const void *from)
{
	*(volatile gm_byte *)to = *(const volatile gm_byte *)from;
}

GM_MOVE void gm_move16(void *to, const void *from)
{
	*(volatile gm_u16 *)to = *(const volatile gm_u16 *)from;
}

GM_MOVE void gm_move32(void *to, const void *from)
{
	*(volatile gm_u32 *)to = *(const volatile gm_u32 *)from;
}

GM_MOVE void gm_move64(void *to, const void *from)
{
	*(volatile gm_u64 *)to = *(const volatile gm_u64 *)from;
}

/* Bytes from an address up to the next line; 0 at the start of a line. */
static inline size_t gm_line_room(const void *address)
{
	return -(uintptr_t)address & (GM_LINE - 1);
}

/* Loads 1, 2, 4 or 8 aligned bytes in one; false for all else. */
static inline bool gm_load_word(void *to, const void *from, size_t length)
{
	if (length > 8 || (uintptr_t)from & (length - 1))
		return false;
	switch (length) {
	case 1:
		gm_move8(to, from);
		return true;
	case 2:
		gm_move16(to, from);
		return true;
	case 4:
		gm_move32(to, from);
		return true;
	case 8:
		gm_move64(to, from);
		return true;
	default:
		return false;
	}
}

/* gm_cpu.copy, where no loop was seen to be faster. */
static inline void gm_cpu_memcpy(void *to, const void *from, size_t length)
{
	memcpy(to, from, length);
}

/* gm_cpu.untag: what a line has of either, and its words. */
#define GM_TAGGED_LINE 48u
#define GM_TAGGED_WORDS 8u
#define GM_TAGGED_BYTES 6u

/* By words, the lower bytes first. */
GM_MOVE size_t gm_cpu_untag(void *to, const void *lines, size_t count,
			    uint16_t tag)
{
	const uint64_t *from = lines;
	unsigned char *target = to;

	for (size_t line = 0; line < count; line++) {
		unsigned char bytes[GM_TAGGED_LINE];

		for (unsigned int i = 0; i < GM_TAGGED_WORDS; i++) {
			uint64_t word =
				__atomic_load_n(from++, __ATOMIC_RELAXED);

			if (word >> 48 != tag)
				return line;
			for (unsigned int k = 0; k < GM_TAGGED_BYTES; k++)
				bytes[i * GM_TAGGED_BYTES + k] =
					(unsigned char)(word >> 8 * k);
		}
		memcpy(target, bytes, sizeof(bytes));
		target += sizeof(bytes);
	}
	return count;
}

static inline void gm_cpu_no_fence(void)
{
}

/* gm_cpu.write and gm_cpu.read out of a store() and a load() and its fence. */
#define GM_CPU_WRITE(name, target, store)                                  \
	target static int name(void *gpu, const void *host, size_t length, \
			       gm_cpu_done *done)                          \
	{                                                                  \
		store(gpu, host, length);                                  \
		gm_cpu_fence();                                            \
		atomic_store_explicit(done, NULL, memory_order_release);   \
		return 0;                                                  \
	}

#define GM_CPU_READ(name, target, fence, load)                             \
	target static int name(void *host, const void *gpu, size_t length, \
			       gm_cpu_done *done)                          \
	{                                                                  \
		fence();                                                   \
		load(host, gpu, length);                                   \
		atomic_store_explicit(done, NULL, memory_order_release);   \
		return 0;                                                  \
	}

#endif /* GM_CPU_ARCH_H */
