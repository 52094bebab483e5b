// SPDX-License-Identifier: MIT
/* x86-64 with AVX2: in pieces of 32 bytes. */
#ifdef __x86_64__
#include "cpu_x86.h"

#define GM_AVX2 __attribute__((target("avx2")))

bool gm_avx2_runs(void)
{
	return __builtin_cpu_supports("avx2");
}

GM_AVX2 static void gm_avx2_lines(char *to, const char *from, size_t count)
{
	for (; count; count--) {
		__m256i a = _mm256_loadu_si256((const __m256i *)from);
		__m256i b = _mm256_loadu_si256((const __m256i *)from + 1);

		_mm_prefetch(from + GM_AHEAD, _MM_HINT_T0);
		_mm256_stream_si256((__m256i *)to, a);
		_mm256_stream_si256((__m256i *)to + 1, b);
		to += GM_LINE;
		from += GM_LINE;
	}
}

GM_AVX2 static void gm_avx2_store(void *gpu, const void *host, size_t length)
{
	gm_x86_store(gpu, host, length, gm_avx2_lines);
}

GM_AVX2 static void gm_avx2_drain(void *to, const void *from, size_t length)
{
	gm_x86_drain(to, from, length, gm_avx2_lines);
}

GM_AVX2 static void gm_avx2_store32(void *gpu, const void *host)
{
	_mm256_stream_si256((__m256i *)gpu,
			    _mm256_loadu_si256((const __m256i *)host));
}

/* The second load finds the line in the buffer that the first one filled. */
GM_WHOLE_LINES GM_AVX2 static void gm_avx2_line(char *to, const char *from)
{
	__m256i a = _mm256_stream_load_si256((__m256i *)from);
	__m256i b = _mm256_stream_load_si256((__m256i *)from + 1);

	_mm256_storeu_si256((__m256i *)to, a);
	_mm256_storeu_si256((__m256i *)to + 1, b);
}

/* Eight lines at a time: all 16 registers. */
GM_AVX2 static void gm_avx2_load_lines(char *to, const char *from, size_t count)
{
	for (; count >= 8; count -= 8) {
		__m256i *source = (__m256i *)from;
		__m256i *target = (__m256i *)to;
		__m256i v[16];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			v[i] = _mm256_stream_load_si256(source + i);
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			_mm256_storeu_si256(target + i, v[i]);
		to += 8 * GM_LINE;
		from += 8 * GM_LINE;
	}
	for (; count; count--) {
		gm_avx2_line(to, from);
		to += GM_LINE;
		from += GM_LINE;
	}
}

GM_AVX2 static void gm_avx2_load(void *host, const void *gpu, size_t length)
{
	gm_x86_load(host, gpu, length, gm_avx2_line, gm_avx2_load_lines);
}

GM_CPU_WRITE(gm_avx2_write, GM_AVX2, gm_avx2_store)
GM_CPU_READ(gm_avx2_read, GM_AVX2, gm_cpu_load_fence, gm_avx2_load)

const struct gm_cpu gm_cpu_avx2 = {
	.name = "avx2",
	.store = gm_avx2_store,
	.load = gm_avx2_load,
	.write = gm_avx2_write,
	.read = gm_avx2_read,
	.read_unordered = gm_avx2_read,
	.copy = gm_cpu_memcpy,
	.drain = gm_avx2_drain,
	.store32 = gm_avx2_store32,
};

#endif /* __x86_64__ */
