// SPDX-License-Identifier: MIT
/*
 * x86-64 with MOVDIR64B: a line is written in one, past the line buffers, so
 * that it cannot be cut. All else is done as the best other routines do it.
 */
#ifdef __x86_64__
#include <cpuid.h>

#include "cpu_x86.h"

#define GM_MOVDIR64B __attribute__((target("movdir64b")))

/* Compilers differ in whether __builtin_cpu_supports() knows it. */
bool gm_movdir64b_runs(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & 1u << 28;
}

/* Such a CPU has SSE4.1 at least. */
static const struct gm_cpu *gm_movdir64b_other(void)
{
	if (gm_avx512_runs())
		return &gm_cpu_avx512;
	return gm_avx2_runs() ? &gm_cpu_avx2 : &gm_cpu_sse41;
}

GM_MOVDIR64B static void gm_movdir64b_lines(char *to, const char *from,
					    size_t count)
{
	for (; count; count--) {
		_movdir64b(to, from);
		to += GM_LINE;
		from += GM_LINE;
	}
}

static void gm_movdir64b_store(void *gpu, const void *host, size_t length)
{
	gm_x86_store(gpu, host, length, gm_movdir64b_lines);
}

static void gm_movdir64b_load(void *host, const void *gpu, size_t length)
{
	gm_movdir64b_other()->load(host, gpu, length);
}

static void gm_movdir64b_drain(void *to, const void *from, size_t length)
{
	gm_movdir64b_other()->drain(to, from, length);
}

static size_t gm_movdir64b_untag(void *to, const void *lines, size_t count,
				 uint16_t tag)
{
	return gm_movdir64b_other()->untag(to, lines, count, tag);
}

static void gm_movdir64b_store32(void *gpu, const void *host)
{
	gm_movdir64b_other()->store32(gpu, host);
}

GM_CPU_WRITE(gm_movdir64b_write, GM_MOVDIR64B, gm_movdir64b_store)

static int gm_movdir64b_read(void *host, const void *gpu, size_t length,
			     gm_cpu_done *done)
{
	return gm_movdir64b_other()->read(host, gpu, length, done);
}

static int gm_movdir64b_read_unordered(void *host, const void *gpu,
				       size_t length, gm_cpu_done *done)
{
	return gm_movdir64b_other()->read_unordered(host, gpu, length, done);
}

const struct gm_cpu gm_cpu_movdir64b = {
	.name = "movdir64b",
	.store = gm_movdir64b_store,
	.load = gm_movdir64b_load,
	.write = gm_movdir64b_write,
	.read = gm_movdir64b_read,
	.read_unordered = gm_movdir64b_read_unordered,
	.copy = gm_cpu_memcpy,
	.drain = gm_movdir64b_drain,
	.untag = gm_movdir64b_untag,
	.store32 = gm_movdir64b_store32,
};

#endif /* __x86_64__ */
