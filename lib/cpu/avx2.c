// SPDX-License-Identifier: MIT
/* x86-64 with AVX2: in pieces of 32 bytes. */
#ifdef __x86_64__
#include "cpu/x86.h"

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

/* In loads of 32 bytes, which cut no word: see gm_avx512_untag(). */
__attribute__((no_sanitize("thread"))) GM_AVX2 static size_t
gm_avx2_untag(void *to, const void *lines, size_t count, uint16_t tag)
{
	const __m256i untagged = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1));
	/* 12 of each 16 bytes, in a row: from the start, and up to the end. */
	const __m256i first = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
	const __m256i last = _mm256_setr_epi32(7, 7, 0, 1, 2, 4, 5, 6);
	const __m256i tags = _mm256_set1_epi16((short)tag);
	const volatile __m256i *from = lines;
	char *target = to;

	for (size_t line = 0; line < count; line++) {
		__m256i a = from[0], b = from[1];
		__m256i same = _mm256_and_si256(_mm256_cmpeq_epi16(a, tags),
						_mm256_cmpeq_epi16(b, tags));

		/* The upper two bytes of each 8. */
		if (~_mm256_movemask_epi8(same) & 0xc0c0c0c0)
			return line;
		a = _mm256_permutevar8x32_epi32(
			_mm256_shuffle_epi8(a, untagged), first);
		b = _mm256_permutevar8x32_epi32(
			_mm256_shuffle_epi8(b, untagged), last);
		/* Behind the first 24 bytes the next 8, then the other 16. */
		a = _mm256_blend_epi32(a, _mm256_permute4x64_epi64(b, 0x40),
				       0xc0);
		_mm256_storeu_si256((__m256i *)target, a);
		_mm_storeu_si128((__m128i *)(target + 32),
				 _mm256_extracti128_si256(b, 1));
		target += GM_TAGGED_LINE;
		from += 2;
	}
	return count;
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
	.untag = gm_avx2_untag,
	.store32 = gm_avx2_store32,
};

#endif /* __x86_64__ */
