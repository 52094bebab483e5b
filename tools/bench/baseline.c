// SPDX-License-Identifier: MIT
#include <stdint.h>
#include <string.h>

#include "bench/baseline.h"

/* One access of each size, none of which the compiler may merge or split. */
typedef uint64_t __attribute__((may_alias, aligned(1))) loose64;
typedef uint32_t __attribute__((may_alias, aligned(1))) loose32;
typedef uint16_t __attribute__((may_alias, aligned(1))) loose16;

static void copy_8(char *dst, const char *src)
{
	*(volatile loose64 *)dst = *(const volatile loose64 *)src;
}

static void copy_4(char *dst, const char *src)
{
	*(volatile loose32 *)dst = *(const volatile loose32 *)src;
}

static void copy_2(char *dst, const char *src)
{
	*(volatile loose16 *)dst = *(const volatile loose16 *)src;
}

static void copy_1(char *dst, const char *src)
{
	*(volatile char *)dst = *(const volatile char *)src;
}

/*
 * Copies length bytes, less than a loop's width, in pieces as large as the
 * alignment of the device address allows.
 */
static void copy_pieces(char *dst, const char *src, size_t length,
			uintptr_t device)
{
	size_t done = 0;

	while (done < length) {
		uintptr_t at = device + done;
		size_t left = length - done;

		if (left >= 8 && at % 8 == 0) {
			copy_8(dst + done, src + done);
			done += 8;
		} else if (left >= 4 && at % 4 == 0) {
			copy_4(dst + done, src + done);
			done += 4;
		} else if (left >= 2 && at % 2 == 0) {
			copy_2(dst + done, src + done);
			done += 2;
		} else {
			copy_1(dst + done, src + done);
			done += 1;
		}
	}
}

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#define LINE 64

/* Bytes up to the next multiple of width, but not past the end. */
static size_t head_length(uintptr_t device, size_t width, size_t length)
{
	size_t head = -device % width;

	return head < length ? head : length;
}

/*
 * The three parts of a copy to device memory: up to the loop's alignment, the
 * loop, the rest; and the fence that empties the write-combining buffers.
 */
#define CLASSIC_STORE(name, isa, width, loop)                             \
	__attribute__((target(isa))) static void name(                    \
		void *to, const void *from, size_t length)                \
	{                                                                 \
		char *dst = to;                                           \
		const char *src = from;                                   \
		size_t head = head_length((uintptr_t)dst, width, length); \
		size_t body = (length - head) / (width) * (width);        \
                                                                          \
		copy_pieces(dst, src, head, (uintptr_t)dst);              \
		loop(dst + head, src + head, body);                       \
		head += body;                                             \
		copy_pieces(dst + head, src + head, length - head,        \
			    (uintptr_t)dst + head);                       \
		_mm_sfence();                                             \
	}

/*
 * The same for loads. The fence before keeps streaming loads from running ahead
 * of loads that the caller did before, such as of a flag.
 */
#define CLASSIC_LOAD(name, isa, width, loop)                              \
	__attribute__((target(isa))) static void name(                    \
		void *to, const void *from, size_t length)                \
	{                                                                 \
		char *dst = to;                                           \
		const char *src = from;                                   \
		size_t head = head_length((uintptr_t)src, width, length); \
		size_t body = (length - head) / (width) * (width);        \
                                                                          \
		_mm_mfence();                                             \
		copy_pieces(dst, src, head, (uintptr_t)src);              \
		loop(dst + head, src + head, body);                       \
		head += body;                                             \
		copy_pieces(dst + head, src + head, length - head,        \
			    (uintptr_t)src + head);                       \
		_mm_mfence();                                             \
	}

__attribute__((target("sse2"))) static void
store_loop_sse(char *dst, const char *src, size_t length)
{
	for (size_t i = 0; i < length; i += 16)
		_mm_stream_si128((__m128i *)(dst + i),
				 _mm_loadu_si128((const __m128i *)(src + i)));
}

__attribute__((target("avx"))) static void
store_loop_avx(char *dst, const char *src, size_t length)
{
	for (size_t i = 0; i < length; i += 32)
		_mm256_stream_si256(
			(__m256i *)(dst + i),
			_mm256_loadu_si256((const __m256i *)(src + i)));
}

__attribute__((target("movdir64b"))) static void
store_loop_movdir64b(char *dst, const char *src, size_t length)
{
	for (size_t i = 0; i < length; i += LINE)
		_movdir64b(dst + i, src + i);
}

/* Four loads, then four stores: the loads of a line are merged. */
__attribute__((target("sse4.1"))) static void
load_loop_sse41(char *dst, const char *src, size_t length)
{
	size_t i = 0;

	for (; i + LINE <= length; i += LINE) {
		__m128i *line = (__m128i *)(uintptr_t)(src + i);
		__m128i a = _mm_stream_load_si128(line);
		__m128i b = _mm_stream_load_si128(line + 1);
		__m128i c = _mm_stream_load_si128(line + 2);
		__m128i d = _mm_stream_load_si128(line + 3);

		_mm_storeu_si128((__m128i *)(dst + i), a);
		_mm_storeu_si128((__m128i *)(dst + i + 16), b);
		_mm_storeu_si128((__m128i *)(dst + i + 32), c);
		_mm_storeu_si128((__m128i *)(dst + i + 48), d);
	}
	for (; i < length; i += 16)
		_mm_storeu_si128(
			(__m128i *)(dst + i),
			_mm_stream_load_si128((__m128i *)(uintptr_t)(src + i)));
}

__attribute__((target("avx2"))) static void load_16(char *dst, const char *src)
{
	_mm_storeu_si128((__m128i *)dst,
			 _mm_stream_load_si128((__m128i *)(uintptr_t)src));
}

/* Begins and ends with a half, where the device address asks for it. */
__attribute__((target("avx2"))) static void
load_loop_avx2(char *dst, const char *src, size_t length)
{
	size_t i = 0;

	if (length && (uintptr_t)src % 32) {
		load_16(dst, src);
		i = 16;
	}
	for (; i + LINE <= length; i += LINE) {
		const __m256i *line = (const __m256i *)(src + i);
		__m256i a = _mm256_stream_load_si256(line);
		__m256i b = _mm256_stream_load_si256(line + 1);

		_mm256_storeu_si256((__m256i *)(dst + i), a);
		_mm256_storeu_si256((__m256i *)(dst + i + 32), b);
	}
	for (; i + 32 <= length; i += 32)
		_mm256_storeu_si256(
			(__m256i *)(dst + i),
			_mm256_stream_load_si256((const __m256i *)(src + i)));
	if (i < length)
		load_16(dst + i, src + i);
}

CLASSIC_STORE(store_sse, "sse2", 16, store_loop_sse)
CLASSIC_STORE(store_avx, "avx", 32, store_loop_avx)
CLASSIC_STORE(store_movdir64b, "movdir64b", LINE, store_loop_movdir64b)
CLASSIC_LOAD(load_sse41, "sse4.1", 16, load_loop_sse41)
CLASSIC_LOAD(load_avx2, "avx2", 16, load_loop_avx2)

static bool always(void)
{
	return true;
}

static bool has_avx(void)
{
	return __builtin_cpu_supports("avx");
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

static bool has_sse41(void)
{
	return __builtin_cpu_supports("sse4.1");
}

static bool has_movdir64b(void)
{
	unsigned int a, b, c, d;

	/* Leaf 7, ECX bit 28. */
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 28);
}

static const struct choice {
	struct classic classic;
	bool load;
	bool (*has)(void);
} choices[] = {
	{ { "movdir64b", store_movdir64b }, false, has_movdir64b },
	{ { "avx", store_avx }, false, has_avx },
	{ { "sse2", store_sse }, false, always },
	{ { "avx2", load_avx2 }, true, has_avx2 },
	{ { "sse4.1", load_sse41 }, true, has_sse41 },
};

#else

/* Without a loop of its own: 8 bytes at a time, and a full barrier. */
static void copy_words(void *to, const void *from, size_t length)
{
	__sync_synchronize();
	copy_pieces(to, from, length, (uintptr_t)to);
	__sync_synchronize();
}

static void load_words(void *to, const void *from, size_t length)
{
	__sync_synchronize();
	copy_pieces(to, from, length, (uintptr_t)from);
	__sync_synchronize();
}

static bool always(void)
{
	return true;
}

static const struct choice {
	struct classic classic;
	bool load;
	bool (*has)(void);
} choices[] = {
	{ { "words", copy_words }, false, always },
	{ { "words", load_words }, true, always },
};

#endif

const struct classic *classic_at(bool load, unsigned int index)
{
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		if (choices[i].load == load && choices[i].has() && !index--)
			return &choices[i].classic;
	}
	return NULL;
}
