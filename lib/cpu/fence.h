/* SPDX-License-Identifier: MIT */
/* What orders copies, on each kind of CPU. */
#ifndef GM_CPU_FENCE_H
#define GM_CPU_FENCE_H

#include <stdatomic.h>

/*
 * gm_cpu_fence(), after stores: they are on their way to the GPU before any
 * later store or locked instruction of this thread.
 *
 * gm_cpu_load_fence(), before loads: none of them may use what was loaded before
 * this call.
 *
 * gm_cpu_loads_done(), before stores: none of them is seen before all that this
 * thread loads earlier has been loaded.
 */
#if defined(__x86_64__)

/*
 * Stores to write-combining memory and non-temporal ones are ordered with
 * nothing, ordinary stores included. SFENCE empties the line buffers that hold
 * them before any later store is seen. (A locked instruction does so too.)
 */
static inline void gm_cpu_fence(void)
{
	__builtin_ia32_sfence();
}

/*
 * Streaming loads may pass other loads, earlier and later ones, and may take
 * their data from a buffer that an earlier streaming load of the same line
 * filled: nobody keeps that buffer coherent. LFENCE would order the loads but
 * says nothing of the buffers (after it, 16-byte loads of one place returned
 * in 10 to 30 ns: not from the GPU, which is a microsecond away). MFENCE is what
 * the manuals ask for. It waits for the thread's earlier stores too, so that it
 * may load what it stored. Beside the bus read that follows it costs nothing.
 */
static inline void gm_cpu_load_fence(void)
{
	__builtin_ia32_mfence();
}

/* No store leaves the CPU before it retires, nor retires before earlier loads. */
static inline void gm_cpu_loads_done(void)
{
	__asm__ volatile("" ::: "memory");
}

#elif defined(__aarch64__)

/*
 * DMB would order the stores against later ones; DSB also waits until they have
 * left the CPU's gathering buffers, where they could stay for long.
 */
static inline void gm_cpu_fence(void)
{
	__asm__ volatile("dsb st" ::: "memory");
}

/*
 * Loads against earlier loads, and no more. Outer Shareable, the domain of
 * devices: what was loaded before may be a flag that the GPU wrote.
 */
static inline void gm_cpu_load_fence(void)
{
	__asm__ volatile("dmb oshld" ::: "memory");
}

/* The same barrier: it keeps later loads and later stores behind the loads. */
static inline void gm_cpu_loads_done(void)
{
	gm_cpu_load_fence();
}

#else

static inline void gm_cpu_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void gm_cpu_load_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void gm_cpu_loads_done(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

#endif

#endif /* GM_CPU_FENCE_H */
