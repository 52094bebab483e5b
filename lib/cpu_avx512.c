// SPDX-License-Identifier: MIT
/*
 * x86-64 with AVX-512: a line a register, and what is less than a line by one
 * masked access. Bytes that the mask leaves out are not touched and cannot
 * fault. They may lie before the start of the range: an access to a whole line
 * crosses no line.
 */
#ifdef __x86_64__
#include "cpu_x86.h"

#define GM_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

bool gm_avx512_runs(void)
{
	return __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl");
}

/* The bytes [skip, skip + length) of a line, length from 1 to GM_LINE. */
GM_INLINE __mmask64 gm_avx512_mask(size_t skip, size_t length)
{
	return UINT64_MAX >> (GM_LINE - length) << skip;
}

GM_AVX512 static void gm_avx512_part(char *line, const char *host, size_t skip,
				     size_t length)
{
	__mmask64 mask = gm_avx512_mask(skip, length);

	_mm512_mask_storeu_epi8(line, mask,
				_mm512_maskz_loadu_epi8(mask, host - skip));
}

GM_AVX512 static void gm_avx512_lines(char *to, const char *from, size_t count)
{
#pragma GCC unroll 4
	for (; count; count--) {
		_mm_prefetch(from + GM_AHEAD, _MM_HINT_T0);
		_mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(from));
		to += GM_LINE;
		from += GM_LINE;
	}
}

GM_AVX512 static void gm_avx512_store(void *gpu, const void *host,
				      size_t length)
{
	size_t skip = (uintptr_t)gpu & (GM_LINE - 1);
	const char *from = host;
	char *to = gpu;

	if (!length || gm_store_word(to, from, length))
		return;
	if (skip + length < GM_LINE) {
		gm_avx512_part(to - skip, from, skip, length);
		return;
	}
	if (skip) {
		gm_avx512_part(to - skip, from, skip, GM_LINE - skip);
		to += GM_LINE - skip;
		from += GM_LINE - skip;
		length -= GM_LINE - skip;
	}
	gm_avx512_lines(to, from, length / GM_LINE);
	skip = length & (GM_LINE - 1);
	if (skip)
		gm_avx512_part(to + length - skip, from + length - skip, 0,
			       skip);
}

GM_AVX512 static void gm_avx512_drain(void *to, const void *from, size_t length)
{
	gm_x86_drain(to, from, length, gm_avx512_lines);
}

GM_AVX512 static void gm_avx512_store32(void *gpu, const void *host)
{
	_mm256_stream_si256((__m256i *)gpu,
			    _mm256_loadu_si256((const __m256i *)host));
}

/* Sixteen lines at a time: as many as such a CPU can wait for. */
GM_AVX512 static void gm_avx512_load_lines(char *to, const char *from,
					   size_t count)
{
	for (; count >= 16; count -= 16) {
		__m512i *source = (__m512i *)from;
		__m512i v[16];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			v[i] = _mm512_stream_load_si512(source + i);
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			_mm512_storeu_si512(to + i * GM_LINE, v[i]);
		to += 16 * GM_LINE;
		from += 16 * GM_LINE;
	}
	for (; count; count--) {
		_mm512_storeu_si512(to, _mm512_stream_load_si512((void *)from));
		to += GM_LINE;
		from += GM_LINE;
	}
}

/* The lines at both ends are asked for first, as gm_x86_load() does. */
GM_WHOLE_LINES GM_AVX512 static void gm_avx512_load(void *host, const void *gpu,
						    size_t length)
{
	size_t skip = (uintptr_t)gpu & (GM_LINE - 1);
	__m512i first, last;
	const char *from = gpu;
	size_t head, tail;
	char *to = host;

	if (!length || gm_load_word(to, from, length))
		return;
	first = _mm512_stream_load_si512((void *)(from - skip));
	if (skip + length <= GM_LINE) {
		_mm512_mask_storeu_epi8(to - skip, gm_avx512_mask(skip, length),
					first);
		return;
	}
	head = GM_LINE - skip;
	/* From 1 to a whole line. */
	tail = (length - head - 1) % GM_LINE + 1;
	last = _mm512_stream_load_si512((void *)(from + length - tail));
	gm_avx512_load_lines(to + head, from + head,
			     (length - head - tail) / GM_LINE);
	_mm512_mask_storeu_epi8(to - skip, gm_avx512_mask(skip, head), first);
	_mm512_mask_storeu_epi8(to + length - tail, gm_avx512_mask(0, tail),
				last);
}

const struct gm_cpu gm_cpu_avx512 = {
	.name = "avx512",
	.store = gm_avx512_store,
	.load = gm_avx512_load,
	.drain = gm_avx512_drain,
	.store32 = gm_avx512_store32,
};

#endif /* __x86_64__ */
