// SPDX-License-Identifier: MIT
/* x86-64 in pieces of 16 bytes: SSE2, and SSE4.1, which has streaming loads. */
#ifdef __x86_64__
#include "cpu/x86.h"

#define GM_SSE41 __attribute__((target("sse4.1")))
#define GM_PIECE 16u

bool gm_sse2_runs(void)
{
	return true;
}

bool gm_sse41_runs(void)
{
	return __builtin_cpu_supports("sse4.1");
}

static void gm_sse2_lines(char *to, const char *from, size_t count)
{
	for (; count; count--) {
		const __m128i *source = (const __m128i *)from;
		__m128i *target = (__m128i *)to;
		__m128i a = _mm_loadu_si128(source);
		__m128i b = _mm_loadu_si128(source + 1);
		__m128i c = _mm_loadu_si128(source + 2);
		__m128i d = _mm_loadu_si128(source + 3);

		_mm_prefetch(from + GM_AHEAD, _MM_HINT_T0);
		_mm_stream_si128(target, a);
		_mm_stream_si128(target + 1, b);
		_mm_stream_si128(target + 2, c);
		_mm_stream_si128(target + 3, d);
		to += GM_LINE;
		from += GM_LINE;
	}
}

static void gm_sse2_store(void *gpu, const void *host, size_t length)
{
	gm_x86_store(gpu, host, length, gm_sse2_lines);
}

static void gm_sse2_drain(void *to, const void *from, size_t length)
{
	gm_x86_drain(to, from, length, gm_sse2_lines);
}

static void gm_sse2_store32(void *gpu, const void *host)
{
	const __m128i *source = host;
	__m128i a = _mm_loadu_si128(source);
	__m128i b = _mm_loadu_si128(source + 1);

	_mm_stream_si128((__m128i *)gpu, a);
	_mm_stream_si128((__m128i *)gpu + 1, b);
}

/*
 * Without streaming loads each load is a bus read of its own size: as few as
 * possible, so by aligned pieces, and at the ends the pieces that hold them.
 */
GM_WHOLE_LINES static void gm_sse2_load(void *host, const void *gpu,
					size_t length)
{
	size_t skip = (uintptr_t)gpu & (GM_PIECE - 1);
	const char *from = (const char *)gpu - skip;
	char *to = host;

	if (gm_load_word(host, gpu, length))
		return;
	while (length) {
		__m128i piece = _mm_load_si128((const __m128i *)from);
		size_t take = GM_PIECE - skip;
		char bytes[GM_PIECE];

		if (take == GM_PIECE && length >= GM_PIECE) {
			_mm_storeu_si128((__m128i *)to, piece);
		} else {
			if (take > length)
				take = length;
			_mm_storeu_si128((__m128i *)bytes, piece);
			memcpy(to, bytes + skip, take);
		}
		to += take;
		from += GM_PIECE;
		length -= take;
		skip = 0;
	}
}

GM_WHOLE_LINES GM_SSE41 static void gm_sse41_line(char *to, const char *from)
{
	__m128i *source = (__m128i *)from;
	__m128i *target = (__m128i *)to;
	__m128i a = _mm_stream_load_si128(source);
	__m128i b = _mm_stream_load_si128(source + 1);
	__m128i c = _mm_stream_load_si128(source + 2);
	__m128i d = _mm_stream_load_si128(source + 3);

	_mm_storeu_si128(target, a);
	_mm_storeu_si128(target + 1, b);
	_mm_storeu_si128(target + 2, c);
	_mm_storeu_si128(target + 3, d);
}

/* Four lines at a time: all 16 registers. */
GM_SSE41 static void gm_sse41_load_lines(char *to, const char *from,
					 size_t count)
{
	for (; count >= 4; count -= 4) {
		__m128i *source = (__m128i *)from;
		__m128i *target = (__m128i *)to;
		__m128i v[16];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			v[i] = _mm_stream_load_si128(source + i);
#pragma GCC unroll 16
		for (int i = 0; i < 16; i++)
			_mm_storeu_si128(target + i, v[i]);
		to += 4 * GM_LINE;
		from += 4 * GM_LINE;
	}
	for (; count; count--) {
		gm_sse41_line(to, from);
		to += GM_LINE;
		from += GM_LINE;
	}
}

GM_SSE41 static void gm_sse41_load(void *host, const void *gpu, size_t length)
{
	gm_x86_load(host, gpu, length, gm_sse41_line, gm_sse41_load_lines);
}

GM_CPU_WRITE(gm_sse2_write, , gm_sse2_store)
GM_CPU_READ(gm_sse2_read, , gm_cpu_load_fence, gm_sse2_load)
GM_CPU_READ(gm_sse41_read, GM_SSE41, gm_cpu_load_fence, gm_sse41_load)

const struct gm_cpu gm_cpu_sse2 = {
	.name = "sse2",
	.store = gm_sse2_store,
	.load = gm_sse2_load,
	.write = gm_sse2_write,
	.read = gm_sse2_read,
	.read_unordered = gm_sse2_read,
	.copy = gm_cpu_memcpy,
	.drain = gm_sse2_drain,
	.untag = gm_cpu_untag,
	.store32 = gm_sse2_store32,
};

const struct gm_cpu gm_cpu_sse41 = {
	.name = "sse4.1",
	.store = gm_sse2_store,
	.load = gm_sse41_load,
	.write = gm_sse2_write,
	.read = gm_sse41_read,
	.read_unordered = gm_sse41_read,
	.copy = gm_cpu_memcpy,
	.drain = gm_sse2_drain,
	.untag = gm_cpu_untag,
	.store32 = gm_sse2_store32,
};

#endif /* __x86_64__ */
