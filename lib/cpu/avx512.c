// SPDX-License-Identifier: MIT
/*
 * x86-64 with AVX-512: a line a register, and what is less than a line by one
 * masked access. Bytes that the mask leaves out are not touched and cannot
 * fault. They may lie before the start of the range: an access to a whole line
 * crosses no line.
 */
#ifdef __x86_64__
#include <cpuid.h>

#include "cpu/x86.h"

#define GM_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

bool gm_avx512_runs(void)
{
	return __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl");
}

/* Family 6 of Intel. */
#define GM_SAPPHIRE_RAPIDS 143u
#define GM_EMERALD_RAPIDS 207u

/*
 * A streaming load may be answered by what an earlier one of the same line left
 * in a buffer of the CPU: that is what gm_cpu_load_fence() is for. The loads here
 * take the whole line at once, and on these CPUs a row of them of one line went
 * to the GPU each time, after LFENCE and without a fence as after MFENCE, while
 * loads of 16 bytes did not (seen on model 207; the other one has the same core).
 * The manual calls that likely, but promises it for no CPU (Intel SDM volume 1,
 * "Streaming Load Hint Instruction"): so all others get the fence that it asks
 * for.
 */
bool gm_avx512_line_runs(void)
{
	unsigned int a, b, c, d, model;

	if (!gm_avx512_runs() || !__builtin_cpu_is("intel") ||
	    !__get_cpuid(1, &a, &b, &c, &d))
		return false;
	model = (a >> 4 & 0xf) | (a >> 12 & 0xf0);
	return (a >> 8 & 0xf) == 6 &&
	       (model == GM_SAPPHIRE_RAPIDS || model == GM_EMERALD_RAPIDS);
}

/* Lines of a copy that is short. */
#define GM_SHORT 32

/* Up to this an odd copy is stored in whole registers where it lies. */
#define GM_LOOSE_MAX 256

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

static __attribute__((noinline)) GM_AVX512 void
gm_avx512_lines(char *to, const char *from, size_t count)
{
#pragma GCC unroll 4
	for (; count; count--) {
		_mm_prefetch(from + GM_AHEAD, _MM_HINT_T0);
		_mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(from));
		to += GM_LINE;
		from += GM_LINE;
	}
}

/* What is short gains nothing by being fetched ahead. */
GM_INLINE GM_AVX512 void gm_avx512_store_lines(char *to, const char *from,
					       size_t count)
{
	if (count > GM_SHORT) {
		gm_avx512_lines(to, from, count);
		return;
	}
#pragma GCC unroll 1
	for (; count; count--) {
		_mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(from));
		to += GM_LINE;
		from += GM_LINE;
	}
}

/*
 * Up to a line, in one store also where it is in two lines: from the second store
 * on, and for one with a mask, the fence takes 30 ns longer on Sapphire Rapids. A
 * mask begins where a line does if it can, and so crosses no page.
 */
GM_INLINE GM_AVX512 void gm_avx512_store_one(char *to, const char *from,
					     size_t length)
{
	size_t skip = (uintptr_t)to & (GM_LINE - 1);

	if (length == GM_LINE)
		_mm512_storeu_si512(to, _mm512_loadu_si512(from));
	else if (length == 32)
		_mm256_storeu_si256((__m256i *)to,
				    _mm256_loadu_si256((const __m256i *)from));
	else if (length == 16)
		gm_store16(to, from);
	else if (!length || gm_store_word(to, from, length))
		return;
	else if (skip + length > GM_LINE)
		gm_avx512_part(to, from, 0, length);
	else
		gm_avx512_part(to - skip, from, skip, length);
}

/* Neither short nor whole lines. */
static __attribute__((noinline)) GM_AVX512 void
gm_avx512_store_odd(char *to, const char *from, size_t length)
{
	size_t skip = (uintptr_t)to & (GM_LINE - 1);

	/* The CPU joins what two stores put into a line. */
	if (length <= GM_LOOSE_MAX) {
		for (; length >= GM_LINE; length -= GM_LINE) {
			gm_avx512_store_one(to, from, GM_LINE);
			to += GM_LINE;
			from += GM_LINE;
		}
		gm_avx512_store_one(to, from, length);
		return;
	}
	if (skip) {
		gm_avx512_part(to - skip, from, skip, GM_LINE - skip);
		to += GM_LINE - skip;
		from += GM_LINE - skip;
		length -= GM_LINE - skip;
	}
	gm_avx512_store_lines(to, from, length / GM_LINE);
	skip = length & (GM_LINE - 1);
	if (skip)
		gm_avx512_part(to + length - skip, from + length - skip, 0,
			       skip);
}

GM_INLINE GM_AVX512 void gm_avx512_store_all(void *gpu, const void *host,
					     size_t length)
{
	if (!(((uintptr_t)gpu | length) & (GM_LINE - 1)))
		gm_avx512_store_lines(gpu, host, length / GM_LINE);
	else if (length <= GM_LINE)
		gm_avx512_store_one(gpu, host, length);
	else
		gm_avx512_store_odd(gpu, host, length);
}

GM_AVX512 static void gm_avx512_store(void *gpu, const void *host,
				      size_t length)
{
	gm_avx512_store_all(gpu, host, length);
}

/*
 * From 64 KiB on up to three hundredths faster than memcpy() on one machine with
 * Emerald Rapids, and as fast on another. Prefetches gained nothing; several pages
 * at once were slower.
 */
GM_AVX512 static void gm_avx512_copy(void *to, const void *from, size_t length)
{
	const char *source = from;
	char *target = to;

	for (; length >= 4 * GM_LINE; length -= 4 * GM_LINE) {
		__m512i a = _mm512_loadu_si512(source);
		__m512i b = _mm512_loadu_si512(source + GM_LINE);
		__m512i c = _mm512_loadu_si512(source + 2 * GM_LINE);
		__m512i d = _mm512_loadu_si512(source + 3 * GM_LINE);

		_mm512_storeu_si512(target, a);
		_mm512_storeu_si512(target + GM_LINE, b);
		_mm512_storeu_si512(target + 2 * GM_LINE, c);
		_mm512_storeu_si512(target + 3 * GM_LINE, d);
		source += 4 * GM_LINE;
		target += 4 * GM_LINE;
	}
	memcpy(target, source, length);
}

GM_AVX512 static void gm_avx512_drain(void *to, const void *from, size_t length)
{
	gm_x86_drain(to, from, length, gm_avx512_lines);
}

/* Bits of the upper two bytes of each 8, in a mask of 16-bit words. */
#define GM_TAGS 0x88888888u

/* The words that are no tags, in a row. */
#define GM_UNTAGGED                                                            \
	_mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 30, 29, 28, 26, 25, 24, 22,   \
			 21, 20, 18, 17, 16, 14, 13, 12, 10, 9, 8, 6, 5, 4, 2, \
			 1, 0)
#define GM_UNTAGGED_MASK 0x3fu /* of 8 bytes each */

GM_INLINE GM_AVX512 void gm_avx512_untag_line(char *to, __m512i line)
{
	_mm512_mask_storeu_epi64(to, GM_UNTAGGED_MASK,
				 _mm512_permutexvar_epi16(GM_UNTAGGED, line));
}

/*
 * In loads of a line. They may be made in several, but not in less than 8 aligned
 * bytes each (Intel SDM volume 3, "Guaranteed Atomic Operations": what is larger
 * than a quadword may take more than one access). Of lines that the GPU had just
 * written this took half as long as by loads of 16 bytes, on Emerald Rapids.
 */
__attribute__((no_sanitize("thread"))) GM_AVX512 static size_t
gm_avx512_untag(void *to, const void *lines, size_t count, uint16_t tag)
{
	const __m512i tags = _mm512_set1_epi16((short)tag);
	const volatile __m512i *from = lines;
	char *target = to;
	size_t line = 0;

	for (; count - line >= 4; line += 4) {
		__m512i a = from[0], b = from[1], c = from[2], d = from[3];

		if (~(_mm512_cmpeq_epi16_mask(a, tags) &
		      _mm512_cmpeq_epi16_mask(b, tags) &
		      _mm512_cmpeq_epi16_mask(c, tags) &
		      _mm512_cmpeq_epi16_mask(d, tags)) &
		    GM_TAGS)
			break;
		gm_avx512_untag_line(target, a);
		gm_avx512_untag_line(target + GM_TAGGED_LINE, b);
		gm_avx512_untag_line(target + 2 * GM_TAGGED_LINE, c);
		gm_avx512_untag_line(target + 3 * GM_TAGGED_LINE, d);
		target += 4 * GM_TAGGED_LINE;
		from += 4;
	}
	for (; line < count; line++) {
		__m512i a = *from++;

		if (~_mm512_cmpeq_epi16_mask(a, tags) & GM_TAGS)
			break;
		gm_avx512_untag_line(target, a);
		target += GM_TAGGED_LINE;
	}
	return line;
}

GM_AVX512 static void gm_avx512_store32(void *gpu, const void *host)
{
	_mm256_stream_si256((__m256i *)gpu,
			    _mm256_loadu_si256((const __m256i *)host));
}

/*
 * Four are asked for before the first is stored; the CPU itself runs ahead to as
 * many as it can have under way, which are sixteen. To ask for all sixteen in a
 * row took up to 40 ns longer on Sapphire Rapids.
 */
GM_AVX512 static void gm_avx512_load_lines(char *to, const char *from,
					   size_t count)
{
	for (; count >= 4; count -= 4) {
		__m512i *line = (__m512i *)from;
		__m512i a = _mm512_stream_load_si512(line);
		__m512i b = _mm512_stream_load_si512(line + 1);
		__m512i c = _mm512_stream_load_si512(line + 2);
		__m512i d = _mm512_stream_load_si512(line + 3);

		_mm512_storeu_si512(to, a);
		_mm512_storeu_si512(to + GM_LINE, b);
		_mm512_storeu_si512(to + 2 * GM_LINE, c);
		_mm512_storeu_si512(to + 3 * GM_LINE, d);
		to += 4 * GM_LINE;
		from += 4 * GM_LINE;
	}
	for (; count; count--) {
		_mm512_storeu_si512(to, _mm512_stream_load_si512((void *)from));
		to += GM_LINE;
		from += GM_LINE;
	}
}

/* The lines at both ends are asked for first, as gm_x86_load() does. */
static __attribute__((noinline)) GM_WHOLE_LINES GM_AVX512 void
gm_avx512_load_odd(void *host, const void *gpu, size_t length)
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

GM_INLINE GM_AVX512 void gm_avx512_load_all(void *host, const void *gpu,
					    size_t length)
{
	if (((uintptr_t)gpu | length) & (GM_LINE - 1))
		gm_avx512_load_odd(host, gpu, length);
	else
		gm_avx512_load_lines(host, gpu, length / GM_LINE);
}

GM_AVX512 static void gm_avx512_load(void *host, const void *gpu, size_t length)
{
	gm_avx512_load_all(host, gpu, length);
}

static inline void gm_avx512_line_fence(void)
{
	_mm_lfence();
}

GM_CPU_WRITE(gm_avx512_write, GM_AVX512, gm_avx512_store_all)
GM_CPU_READ(gm_avx512_read, GM_AVX512, gm_cpu_load_fence, gm_avx512_load_all)
GM_CPU_READ(gm_avx512_line_read, GM_AVX512, gm_avx512_line_fence,
	    gm_avx512_load_all)

/*
 * Words by loads of their own, which the CPU does one by one: streaming loads of
 * one line may come in another order, so that a counter went back.
 */
GM_WHOLE_LINES GM_AVX512 static int
gm_avx512_line_read_unordered(void *host, const void *gpu, size_t length,
			      gm_cpu_done *done)
{
	size_t skip = (uintptr_t)gpu & (GM_LINE - 1);

	if (gm_load_word(host, gpu, length))
		;
	else if (length - 1 < GM_LINE - skip)
		_mm512_mask_storeu_epi8(
			(char *)host - skip, gm_avx512_mask(skip, length),
			_mm512_stream_load_si512((char *)gpu - skip));
	else
		gm_avx512_load(host, gpu, length);
	atomic_store_explicit(done, NULL, memory_order_release);
	return 0;
}

const struct gm_cpu gm_cpu_avx512 = {
	.name = "avx512",
	.store = gm_avx512_store,
	.load = gm_avx512_load,
	.write = gm_avx512_write,
	.read = gm_avx512_read,
	.read_unordered = gm_avx512_read,
	.copy = gm_avx512_copy,
	.drain = gm_avx512_drain,
	.untag = gm_avx512_untag,
	.store32 = gm_avx512_store32,
};

const struct gm_cpu gm_cpu_avx512_line = {
	.name = "avx512-line",
	.store = gm_avx512_store,
	.load = gm_avx512_load,
	.write = gm_avx512_write,
	.read = gm_avx512_line_read,
	.read_unordered = gm_avx512_line_read_unordered,
	.copy = gm_avx512_copy,
	.drain = gm_avx512_drain,
	.untag = gm_avx512_untag,
	.store32 = gm_avx512_store32,
};

#endif /* __x86_64__ */
