// SPDX-License-Identifier: MIT
/* x86-64: which routines there are, and the fences. */
#ifdef __x86_64__
#include "cpu_x86.h"

/*
 * By what was measured on an H100 behind Sapphire Rapids cores: one thread
 * stores 15.6 GB/s by AVX-512, 12 by SSE or MOVDIR64B, and loads 0.8 by
 * AVX-512, 0.55 by SSE4.1.
 */
const struct gm_cpu_entry gm_cpu_entries[] = {
	{ &gm_cpu_avx512, gm_avx512_runs },
	{ &gm_cpu_avx2, gm_avx2_runs },
	{ &gm_cpu_movdir64b, gm_movdir64b_runs },
	{ &gm_cpu_sse41, gm_sse41_runs },
	{ &gm_cpu_sse2, gm_sse2_runs },
	{ NULL, NULL },
};

/*
 * Stores to write-combining memory and non-temporal ones are ordered with
 * nothing, ordinary stores included. SFENCE empties the line buffers that hold
 * them before any later store is seen. (A locked instruction does so too.)
 */
void gm_cpu_fence(void)
{
	_mm_sfence();
}

/*
 * Streaming loads may pass other loads, earlier and later ones, and may take
 * their data from a buffer that an earlier streaming load of the same line
 * filled: nobody keeps that buffer coherent. LFENCE would order the loads but
 * says nothing of the buffers; MFENCE is what the manuals ask for. It waits for
 * the thread's earlier stores too, so that it may load what it stored. Beside
 * the bus read that follows it costs nothing.
 */
void gm_cpu_load_fence(void)
{
	_mm_mfence();
}

void gm_cpu_pause(void)
{
	_mm_pause();
}

#endif /* __x86_64__ */
