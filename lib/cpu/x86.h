/* SPDX-License-Identifier: MIT */
/*
 * What the routines for x86-64 share: how a range is cut into lines and what
 * is left at its ends. The lines are each routine's own.
 *
 * GPU memory is mapped write-combining. A store goes into a line buffer of the
 * CPU and leaves when the line is full, in one bus write, or in pieces when the
 * buffer is taken away before; so lines are filled whole and at once. Bytes are
 * stored once each: the GPU may answer in the same memory before the rest of
 * the range has arrived, and must not have its answer overwritten.
 */
#ifndef GM_CPU_X86_H
#define GM_CPU_X86_H

#include <immintrin.h>

#include "cpu/arch.h"

#define GM_INLINE static inline __attribute__((always_inline))

extern const struct gm_cpu gm_cpu_sse2;
extern const struct gm_cpu gm_cpu_sse41;
extern const struct gm_cpu gm_cpu_avx2;
extern const struct gm_cpu gm_cpu_avx512;
extern const struct gm_cpu gm_cpu_avx512_line;

bool gm_sse2_runs(void);
bool gm_sse41_runs(void);
bool gm_avx2_runs(void);
bool gm_avx512_runs(void);
bool gm_avx512_line_runs(void);

/*
 * How far ahead of a copy its source is fetched, past what the CPU does by
 * itself, which ends with each page. A prefetch never faults.
 */
#define GM_AHEAD 1024

/* Whole lines: from any address to the start of a line, and back. */
typedef void (*gm_lines)(char *to, const char *from, size_t count);

/* The line at `from` into a buffer of the same alignment. */
typedef void (*gm_line)(char *to, const char *from);

GM_INLINE void gm_store16(char *to, const char *from)
{
	_mm_storeu_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
}

/* Less than a line, that ends where a line begins: in aligned pieces. */
GM_INLINE void gm_store_head(char *to, const char *from, size_t length)
{
	if (length & 1) {
		gm_move8(to, from);
		to += 1;
		from += 1;
	}
	if (length & 2) {
		gm_move16(to, from);
		to += 2;
		from += 2;
	}
	if (length & 4) {
		gm_move32(to, from);
		to += 4;
		from += 4;
	}
	if (length & 8) {
		gm_move64(to, from);
		to += 8;
		from += 8;
	}
	if (length & 16) {
		gm_store16(to, from);
		to += 16;
		from += 16;
	}
	if (length & 32) {
		gm_store16(to, from);
		gm_store16(to + 16, from + 16);
	}
}

/* Less than a line, within one: in aligned pieces where that begins there. */
GM_INLINE void gm_store_tail(char *to, const char *from, size_t length)
{
	if (length & 32) {
		gm_store16(to, from);
		gm_store16(to + 16, from + 16);
		to += 32;
		from += 32;
	}
	if (length & 16) {
		gm_store16(to, from);
		to += 16;
		from += 16;
	}
	if (length & 8) {
		gm_move64(to, from);
		to += 8;
		from += 8;
	}
	if (length & 4) {
		gm_move32(to, from);
		to += 4;
		from += 4;
	}
	if (length & 2) {
		gm_move16(to, from);
		to += 2;
		from += 2;
	}
	if (length & 1)
		gm_move8(to, from);
}

/* True when the range was a word, stored in one. */
GM_INLINE bool gm_store_word(char *to, const char *from, size_t length)
{
	if (length == 4)
		gm_move32(to, from);
	else if (length == 8)
		gm_move64(to, from);
	else
		return false;
	return true;
}

GM_INLINE void gm_x86_store(void *gpu, const void *host, size_t length,
			    gm_lines lines)
{
	size_t room = gm_line_room(gpu);
	const char *from = host;
	char *to = gpu;

	if (gm_store_word(to, from, length))
		return;
	if (length < room) {
		gm_store_tail(to, from, length);
		return;
	}
	if (room) {
		gm_store_head(to, from, room);
		to += room;
		from += room;
		length -= room;
	}
	if (length >= GM_LINE) {
		size_t body = length & ~(size_t)(GM_LINE - 1);

		lines(to, from, body / GM_LINE);
		to += body;
		from += body;
	}
	gm_store_tail(to, from, length & (GM_LINE - 1));
}

/*
 * A bus read takes about a microsecond however short it is, and many can be
 * under way: so the lines at both ends are asked for before anything waits for
 * one. They lie in the pages of the range, as a line never crosses a page.
 */
GM_INLINE void gm_x86_load(void *host, const void *gpu, size_t length,
			   gm_line line, gm_lines lines)
{
	char edge[2][GM_LINE] __attribute__((aligned(GM_LINE)));
	size_t skip = (uintptr_t)gpu & (GM_LINE - 1);
	size_t head, tail;
	const char *from = gpu;
	char *to = host;

	if (!length || gm_load_word(to, from, length))
		return;
	if (skip + length < GM_LINE) {
		line(edge[0], from - skip);
		memcpy(to, edge[0] + skip, length);
		return;
	}
	head = gm_line_room(from);
	tail = (length - head) & (GM_LINE - 1);
	if (head)
		line(edge[0], from - skip);
	if (tail)
		line(edge[1], from + length - tail);
	if (length - head >= GM_LINE)
		lines(to + head, from + head, (length - head) / GM_LINE);
	if (head)
		memcpy(to, edge[0] + skip, head);
	if (tail)
		memcpy(to + length - tail, edge[1], tail);
}

GM_INLINE void gm_x86_drain(void *to, const void *from, size_t length,
			    gm_lines lines)
{
	size_t room = gm_line_room(to);
	size_t body;

	if (length < GM_DRAIN_MIN) {
		memcpy(to, from, length);
		return;
	}
	memcpy(to, from, room);
	body = (length - room) & ~(size_t)(GM_LINE - 1);
	lines((char *)to + room, (const char *)from + room, body / GM_LINE);
	room += body;
	memcpy((char *)to + room, (const char *)from + room, length - room);
}

#endif /* GM_CPU_X86_H */
