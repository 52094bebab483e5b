// SPDX-License-Identifier: MIT
/*
 * Copies between host memory and the write-combined mapping of GPU memory.
 * Stores go out as whole 16-byte pieces past the caches. Loads are streaming
 * loads where the CPU has them: each ordinary load from the mapping would cross
 * the bus alone.
 */
#include <stdint.h>
#include <string.h>

#include "session.h"

#ifdef __x86_64__
#include <immintrin.h>

#define GM_PIECE 16u

void gm_copy_to_gpu(void *gpu, const void *host, size_t length)
{
	const char *from = host;
	char *to = gpu;
	size_t head = -(uintptr_t)to & (GM_PIECE - 1);

	if (head > length)
		head = length;
	memcpy(to, from, head);
	to += head;
	from += head;
	length -= head;
	for (; length >= GM_PIECE; length -= GM_PIECE) {
		_mm_stream_si128((__m128i *)to,
				 _mm_loadu_si128((const __m128i *)from));
		to += GM_PIECE;
		from += GM_PIECE;
	}
	memcpy(to, from, length);
	_mm_sfence();
}

/*
 * Loads whole aligned pieces, at the ends too: they lie in the same page as the
 * bytes that are wanted.
 */
__attribute__((target("sse4.1"))) static void
gm_copy_streaming(char *to, const char *from, size_t length)
{
	size_t skip = (uintptr_t)from & (GM_PIECE - 1);
	const char *piece = from - skip;
	char bytes[GM_PIECE];

	if (skip && length) {
		size_t take = GM_PIECE - skip;

		if (take > length)
			take = length;
		_mm_storeu_si128((__m128i *)bytes,
				 _mm_stream_load_si128((__m128i *)piece));
		memcpy(to, bytes + skip, take);
		to += take;
		length -= take;
		piece += GM_PIECE;
	}
	for (; length >= GM_PIECE; length -= GM_PIECE) {
		_mm_storeu_si128((__m128i *)to,
				 _mm_stream_load_si128((__m128i *)piece));
		to += GM_PIECE;
		piece += GM_PIECE;
	}
	if (length) {
		_mm_storeu_si128((__m128i *)bytes,
				 _mm_stream_load_si128((__m128i *)piece));
		memcpy(to, bytes, length);
	}
}

void gm_copy_from_gpu(void *host, const void *gpu, size_t length)
{
	/* Streaming loads may pass other loads, before and after them. */
	_mm_mfence();
	if (__builtin_cpu_supports("sse4.1"))
		gm_copy_streaming(host, gpu, length);
	else
		memcpy(host, gpu, length);
	_mm_mfence();
}

#else

void gm_copy_to_gpu(void *gpu, const void *host, size_t length)
{
	memcpy(gpu, host, length);
	atomic_thread_fence(memory_order_seq_cst);
}

void gm_copy_from_gpu(void *host, const void *gpu, size_t length)
{
	atomic_thread_fence(memory_order_seq_cst);
	memcpy(host, gpu, length);
	atomic_thread_fence(memory_order_seq_cst);
}

#endif
