/* SPDX-License-Identifier: MIT */
/* gm_cpu_pause(), in a loop that waits for memory to change. */
#ifndef GM_BASE_PAUSE_H
#define GM_BASE_PAUSE_H

static inline void gm_cpu_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	/* The loop that it stands in must not be optimized away. */
	__asm__ volatile("" ::: "memory");
#endif
}

#endif /* GM_BASE_PAUSE_H */
