// SPDX-License-Identifier: MIT
/*
 * arm64: by pairs of 16-byte registers, two pairs a line. GPU memory is mapped
 * Normal Non-cacheable there, where the CPU may gather neighbouring stores into
 * one bus write, and does so best when nothing comes between them.
 *
 * At the ends of a range only aligned pieces are used, so that the routines
 * also work where such memory is mapped as Device memory.
 */
#ifdef __aarch64__
#include <arm_neon.h>

#include "cpu/arch.h"

#define GM_PIECE 16u

static bool gm_arm64_runs(void)
{
	return true;
}

/* A line, loaded before it is stored. stp, as in ordinary copies. */
static inline void gm_arm64_store_line(char *to, const char *from)
{
	uint8x16_t a = vld1q_u8((const uint8_t *)from);
	uint8x16_t b = vld1q_u8((const uint8_t *)from + 16);
	uint8x16_t c = vld1q_u8((const uint8_t *)from + 32);
	uint8x16_t d = vld1q_u8((const uint8_t *)from + 48);

	__asm__ volatile(
		"stp %q[a], %q[b], [%[to]]\n\t"
		"stp %q[c], %q[d], [%[to], #32]"
		:
		: [a] "w"(a), [b] "w"(b), [c] "w"(c), [d] "w"(d), [to] "r"(to)
		: "memory");
}

/* stnp: the line need not stay in the caches. */
static inline void gm_arm64_drain_line(char *to, const char *from)
{
	uint8x16_t a = vld1q_u8((const uint8_t *)from);
	uint8x16_t b = vld1q_u8((const uint8_t *)from + 16);
	uint8x16_t c = vld1q_u8((const uint8_t *)from + 32);
	uint8x16_t d = vld1q_u8((const uint8_t *)from + 48);

	__asm__ volatile(
		"stnp %q[a], %q[b], [%[to]]\n\t"
		"stnp %q[c], %q[d], [%[to], #32]"
		:
		: [a] "w"(a), [b] "w"(b), [c] "w"(c), [d] "w"(d), [to] "r"(to)
		: "memory");
}

/* The largest aligned piece that begins at an address in GPU memory. */
static inline size_t gm_arm64_piece(const void *gpu, size_t length)
{
	size_t piece = GM_PIECE;

	while ((uintptr_t)gpu & (piece - 1) || piece > length)
		piece /= 2;
	return piece;
}

static void gm_arm64_store_part(char *to, const char *from, size_t length)
{
	while (length) {
		size_t piece = gm_arm64_piece(to, length);

		switch (piece) {
		case 16:
			vst1q_u8((uint8_t *)to,
				 vld1q_u8((const uint8_t *)from));
			break;
		case 8:
			gm_move64(to, from);
			break;
		case 4:
			gm_move32(to, from);
			break;
		case 2:
			gm_move16(to, from);
			break;
		default:
			gm_move8(to, from);
		}
		to += piece;
		from += piece;
		length -= piece;
	}
}

static void gm_arm64_store(void *gpu, const void *host, size_t length)
{
	size_t room = gm_line_room(gpu);
	const char *from = host;
	char *to = gpu;

	if (room > length)
		room = length;
	gm_arm64_store_part(to, from, room);
	to += room;
	from += room;
	length -= room;
	for (; length >= GM_LINE; length -= GM_LINE) {
		gm_arm64_store_line(to, from);
		to += GM_LINE;
		from += GM_LINE;
	}
	gm_arm64_store_part(to, from, length);
}

/*
 * Loads of Non-cacheable memory go over the bus one by one: as wide as there
 * are, and all of two lines under way before the first is stored. ldnp may be
 * reordered even against an address that it depends on; gm_cpu_load_fence()
 * orders it all the same.
 */
static inline void gm_arm64_load_lines2(char *to, const char *from)
{
	uint8x16_t a, b, c, d, e, f, g, h;

	__asm__ volatile(
		"ldnp %q[a], %q[b], [%[from]]\n\t"
		"ldnp %q[c], %q[d], [%[from], #32]\n\t"
		"ldnp %q[e], %q[f], [%[from], #64]\n\t"
		"ldnp %q[g], %q[h], [%[from], #96]"
		: [a] "=&w"(a), [b] "=&w"(b), [c] "=&w"(c), [d] "=&w"(d),
		  [e] "=&w"(e), [f] "=&w"(f), [g] "=&w"(g), [h] "=&w"(h)
		: [from] "r"(from)
		: "memory");
	vst1q_u8((uint8_t *)to, a);
	vst1q_u8((uint8_t *)to + 16, b);
	vst1q_u8((uint8_t *)to + 32, c);
	vst1q_u8((uint8_t *)to + 48, d);
	vst1q_u8((uint8_t *)to + 64, e);
	vst1q_u8((uint8_t *)to + 80, f);
	vst1q_u8((uint8_t *)to + 96, g);
	vst1q_u8((uint8_t *)to + 112, h);
}

/*
 * What is less than two lines: by the aligned pieces of 16 bytes that hold it,
 * which lie in the same pages.
 */
GM_WHOLE_LINES static void gm_arm64_load_part(char *to, const char *from,
					      size_t length)
{
	size_t skip = (uintptr_t)from & (GM_PIECE - 1);

	from -= skip;
	while (length) {
		uint8_t bytes[GM_PIECE];
		size_t take = GM_PIECE - skip;

		if (take > length)
			take = length;
		vst1q_u8(bytes, vld1q_u8((const uint8_t *)from));
		memcpy(to, bytes + skip, take);
		to += take;
		from += GM_PIECE;
		length -= take;
		skip = 0;
	}
}

static void gm_arm64_load(void *host, const void *gpu, size_t length)
{
	size_t room = gm_line_room(gpu);
	const char *from = gpu;
	char *to = host;

	if (gm_load_word(to, from, length))
		return;
	if (room > length)
		room = length;
	gm_arm64_load_part(to, from, room);
	to += room;
	from += room;
	length -= room;
	for (; length >= 2 * GM_LINE; length -= 2 * GM_LINE) {
		gm_arm64_load_lines2(to, from);
		to += 2 * GM_LINE;
		from += 2 * GM_LINE;
	}
	gm_arm64_load_part(to, from, length);
}

static void gm_arm64_drain(void *to, const void *from, size_t length)
{
	size_t room = gm_line_room(to);
	const char *source = from;
	char *target = to;

	if (length < GM_DRAIN_MIN) {
		memcpy(to, from, length);
		return;
	}
	memcpy(target, source, room);
	for (length -= room; length >= GM_LINE; length -= GM_LINE) {
		gm_arm64_drain_line(target + room, source + room);
		room += GM_LINE;
	}
	memcpy(target + room, source + room, length);
}

/*
 * No store of more than 8 bytes is promised to arrive whole in Non-cacheable or
 * Device memory, with LSE2 neither: the first word of each half, then the last.
 */
static void gm_arm64_store32(void *gpu, const void *host)
{
	uint64_t word[4];

	memcpy(word, host, sizeof(word));
	gm_cpu_loads_done();
	__asm__ volatile("str %[a], [%[to]]\n\t"
			 "str %[c], [%[to], #16]\n\t"
			 "dmb oshst\n\t"
			 "str %[b], [%[to], #8]\n\t"
			 "str %[d], [%[to], #24]"
			 :
			 : [a] "r"(word[0]), [b] "r"(word[1]), [c] "r"(word[2]),
			   [d] "r"(word[3]), [to] "r"(gpu)
			 : "memory");
}

GM_CPU_WRITE(gm_arm64_write, , gm_arm64_store)
GM_CPU_READ(gm_arm64_read, , gm_cpu_load_fence, gm_arm64_load)
GM_CPU_READ(gm_arm64_read_unordered, , gm_cpu_no_fence, gm_arm64_load)

static const struct gm_cpu gm_cpu_neon = {
	.name = "neon",
	.store = gm_arm64_store,
	.load = gm_arm64_load,
	.write = gm_arm64_write,
	.read = gm_arm64_read,
	.read_unordered = gm_arm64_read_unordered,
	.copy = gm_cpu_memcpy,
	.drain = gm_arm64_drain,
	.untag = gm_cpu_untag,
	.store32 = gm_arm64_store32,
};

const struct gm_cpu_entry gm_cpu_entries[] = {
	{ &gm_cpu_neon, gm_arm64_runs },
	{ NULL, NULL },
};

#endif /* __aarch64__ */
