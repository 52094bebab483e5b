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

/*
 * In loads of 16 aligned bytes, each of which is one on all CPUs with AVX (Intel
 * SDM volume 3, "Guaranteed Atomic Operations"; AMD APM volume 2, "Access
 * Atomicity").
 */
__attribute__((target("avx"), no_sanitize("thread"))) size_t
gm_avx_untag(void *to, const void *lines, size_t count, uint16_t tag)
{
	const __m128i low = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12,
					  13, -1, -1, -1, -1);
	const __m128i tags = _mm_set1_epi16((short)tag);
	const volatile __m128i *from = lines;
	char *target = to;

	for (size_t line = 0; line < count; line++) {
		__m128i a = from[0], b = from[1], c = from[2], d = from[3];
		__m128i same =
			_mm_and_si128(_mm_and_si128(_mm_cmpeq_epi16(a, tags),
						    _mm_cmpeq_epi16(b, tags)),
				      _mm_and_si128(_mm_cmpeq_epi16(c, tags),
						    _mm_cmpeq_epi16(d, tags)));

		/* The upper two bytes of each 8. */
		if ((_mm_movemask_epi8(same) & 0xc0c0) != 0xc0c0)
			return line;
		a = _mm_shuffle_epi8(a, low);
		b = _mm_shuffle_epi8(b, low);
		c = _mm_shuffle_epi8(c, low);
		d = _mm_shuffle_epi8(d, low);
		/* The last store holds the third part's end too. */
		d = _mm_alignr_epi8(d, _mm_slli_si128(c, 4), 12);
		_mm_storeu_si128((__m128i *)target, a);
		_mm_storeu_si128((__m128i *)(target + 12), b);
		_mm_storeu_si128((__m128i *)(target + 24), c);
		_mm_storeu_si128((__m128i *)(target + 32), d);
		target += GM_TAGGED_LINE;
		from += 4;
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
	.untag = gm_avx_untag,
	.store32 = gm_avx2_store32,
};

#endif /* __x86_64__ */
