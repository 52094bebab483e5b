// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_check.h"

#define OFFSETS 128
#define LENGTHS 301
/* A range and what lies around it, which must not change. */
#define AROUND 64
#define WINDOW (AROUND + OFFSETS + LENGTHS + AROUND)
#define CLEAN 0xa5

#define LARGE ((size_t)1 << 20)

char cpu_check_why[256];
unsigned int cpu_check_step = 1;

typedef void (*copy_call)(void *to, const void *from, size_t length);

static bool failed(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
static bool failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cpu_check_why, sizeof(cpu_check_why), format, args);
	va_end(args);
	return false;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* No byte is CLEAN, so that none that is missing looks as if it were there. */
static void fill(unsigned char *bytes, size_t length, uint32_t seed)
{
	for (size_t i = 0; i < length; i++) {
		bytes[i] = next_random(&seed);
		if (bytes[i] == CLEAN)
			bytes[i]++;
	}
}

/* Whole pages, with pages before and after them that fault. */
static unsigned char *fenced_pages(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	unsigned char *base = mmap(NULL, size + 2 * page, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED ||
	    mprotect(base + page, size, PROT_READ | PROT_WRITE)) {
		perror("mmap");
		exit(1);
	}
	return base + page;
}

static void free_pages(unsigned char *pages, size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);

	munmap(pages - page, size + 2 * page);
}

/* After a copy to to[at], of length, in a CLEAN memory; cleans it again. */
static bool arrived(unsigned char *to, size_t size, size_t at,
		    const unsigned char *from, size_t length)
{
	static unsigned char clean[LARGE];

	if (!clean[0])
		memset(clean, CLEAN, sizeof(clean));
	if (memcmp(to + at, from, length))
		return failed("%zu bytes from ..%02x to ..%02x: wrong data",
			      length, (unsigned int)((uintptr_t)from & 127),
			      (unsigned int)((uintptr_t)(to + at) & 127));
	if (memcmp(to, clean, at) ||
	    memcmp(to + at + length, clean, size - at - length))
		return failed("%zu bytes from ..%02x to ..%02x: wrote outside",
			      length, (unsigned int)((uintptr_t)from & 127),
			      (unsigned int)((uintptr_t)(to + at) & 127));
	memset(to + at, CLEAN, length);
	return true;
}

/* Of 128 addresses of each side every how many are tried. */
static bool every_alignment(copy_call call, unsigned int to_step,
			    unsigned int from_step)
{
	static unsigned char to[WINDOW] __attribute__((aligned(128)));
	static unsigned char from[WINDOW] __attribute__((aligned(128)));

	fill(from, sizeof(from), 1);
	memset(to, CLEAN, sizeof(to));
	for (size_t a = 0; a < OFFSETS; a += to_step) {
		for (size_t b = 0; b < OFFSETS; b += from_step) {
			for (size_t length = 0; length < LENGTHS; length++) {
				call(to + AROUND + a, from + AROUND + b,
				     length);
				if (!arrived(to, sizeof(to), AROUND + a,
					     from + AROUND + b, length))
					return false;
			}
		}
	}
	return true;
}

static bool check_store(const struct gm_cpu *cpu)
{
	return every_alignment(cpu->store, 1, cpu_check_step);
}

static bool check_copy(const struct gm_cpu *cpu)
{
	return every_alignment(cpu->copy, 3 * cpu_check_step, 3);
}

static bool check_load(const struct gm_cpu *cpu)
{
	return every_alignment(cpu->load, cpu_check_step, 1);
}

static bool large(copy_call call)
{
	static const size_t lengths[] = { 4095,	  4096,	  4097,	  16383, 65535,
					  262143, 262144, 262145, 300007 };
	static const size_t offsets[] = { 0, 1, 15, 16, 17, 32, 63, 64, 65 };
	const size_t offset_count = sizeof(offsets) / sizeof(offsets[0]);
	unsigned char *to = fenced_pages(LARGE), *from = fenced_pages(LARGE);
	bool good = true;

	fill(from, LARGE, 2);
	memset(to, CLEAN, LARGE);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]) *
					   offset_count * offset_count &&
			   good;
	     i++) {
		size_t length = lengths[i / offset_count / offset_count];
		size_t a = AROUND + offsets[i / offset_count % offset_count];
		size_t b = offsets[i % offset_count];

		call(to + a, from + b, length);
		good = arrived(to, LARGE, a, from + b, length);
	}
	free_pages(to, LARGE);
	free_pages(from, LARGE);
	return good;
}

static bool check_large(const struct gm_cpu *cpu)
{
	return large(cpu->store) && large(cpu->load) && large(cpu->copy) &&
	       large(cpu->drain);
}

static bool check_drain(const struct gm_cpu *cpu)
{
	return every_alignment(cpu->drain, 7, 11);
}

/* At both ends of both sides' pages; a fault ends the program. */
static bool at_page_ends(copy_call call)
{
	size_t page = sysconf(_SC_PAGESIZE);
	unsigned char *to = fenced_pages(page), *from = fenced_pages(page);
	bool good = true;

	fill(from, page, 3);
	memset(to, CLEAN, page);
	for (size_t i = 0; i < 4 * 70 * LENGTHS && good; i++) {
		size_t length = i % LENGTHS, gap = i / LENGTHS % 70;
		unsigned int ends = i / LENGTHS / 70;
		size_t a = ends & 1 ? page - length - gap : gap;
		size_t b = ends & 2 ? page - length : 0;

		call(to + a, from + b, length);
		good = arrived(to, page, a, from + b, length);
		if (!good)
			break;
		a = ends & 1 ? page - length : 0;
		b = ends & 2 ? page - length - gap : gap;
		call(to + a, from + b, length);
		good = arrived(to, page, a, from + b, length);
	}
	free_pages(to, page);
	free_pages(from, page);
	return good;
}

static bool check_pages(const struct gm_cpu *cpu)
{
	return at_page_ends(cpu->store) && at_page_ends(cpu->load) &&
	       at_page_ends(cpu->copy) && at_page_ends(cpu->drain);
}

static bool check_store32(const struct gm_cpu *cpu)
{
	static unsigned char to[256] __attribute__((aligned(128)));
	static unsigned char from[256];

	fill(from, sizeof(from), 4);
	memset(to, CLEAN, sizeof(to));
	for (size_t a = 0; a + 32 <= sizeof(to); a += 32) {
		for (size_t b = 0; b + 32 <= sizeof(from); b++) {
			cpu->store32(to + a, from + b);
			if (!arrived(to, sizeof(to), a, from + b, 32))
				return false;
		}
	}
	return true;
}

bool cpu_check_map(const struct gm_cpu *cpu, char *map, size_t size,
		   unsigned int rounds)
{
	unsigned char *shadow = calloc(1, size), *host = calloc(1, size + 256);
	uint32_t state = 5;
	bool good = true;

	if (!shadow || !host) {
		free(shadow);
		free(host);
		return failed("out of memory");
	}
	fill(shadow, size, 6);
	cpu->store(map, shadow, size);
	for (unsigned int i = 0; i < rounds && good; i++) {
		size_t most = next_random(&state) % 4 ? 300 : size;
		size_t length = next_random(&state) % (most + 1);
		size_t at = next_random(&state) % (size - length + 1);
		size_t skew = next_random(&state) % 128;
		size_t first = at > AROUND ? at - AROUND : 0;
		size_t last = at + length + AROUND;

		if (last > size)
			last = size;
		fill(host + skew, length, i);
		cpu->store(map + at, host + skew, length);
		memcpy(shadow + at, host + skew, length);
		gm_cpu_fence();
		gm_cpu_load_fence();
		memset(host, CLEAN, size + 256);
		cpu->load(host + skew, map + first, last - first);
		good = !memcmp(host + skew, shadow + first, last - first) &&
		       host[skew + last - first] == CLEAN &&
		       (!skew || host[skew - 1] == CLEAN);
		if (!good)
			failed("round %u: %zu bytes at %zu", i, length, at);
	}
	if (good) {
		gm_cpu_load_fence();
		cpu->load(host, map, size);
		good = !memcmp(host, shadow, size) ||
		       failed("a byte elsewhere has changed");
	}
	free(shadow);
	free(host);
	return good;
}

/* What a whole copy takes beside its range, and what it left. */
static const struct gm_cpu *whole_cpu;
static bool whole_ended;

static void whole_run(int (*copy)(void *to, const void *from, size_t length,
				  gm_cpu_done *done),
		      void *to, const void *from, size_t length)
{
	gm_cpu_done done = to;

	if (copy(to, from, length, &done) || done)
		whole_ended = false;
}

static void whole_write(void *to, const void *from, size_t length)
{
	whole_run(whole_cpu->write, to, from, length);
}

static void whole_read(void *to, const void *from, size_t length)
{
	whole_run(whole_cpu->read, to, from, length);
}

static void whole_read_unordered(void *to, const void *from, size_t length)
{
	whole_run(whole_cpu->read_unordered, to, from, length);
}

#define TAGGED 37

/* Tagged lines, as another would write them, of random bytes. */
static void tag_lines(uint64_t *words, const unsigned char *bytes, uint16_t tag)
{
	for (size_t i = 0; i < 8 * TAGGED; i++) {
		words[i] = (uint64_t)tag << 48;
		for (int k = 0; k < 6; k++)
			words[i] |= (uint64_t)bytes[6 * i + k] << 8 * k;
	}
}

/* All of them, or up to the one that has a word with another tag. */
static bool untags(const struct gm_cpu *cpu, uint64_t *words,
		   const unsigned char *bytes, uint16_t tag, size_t wrong)
{
	static unsigned char to[AROUND + 48 * TAGGED + 16 + AROUND];
	size_t good = wrong / 8 < TAGGED ? wrong / 8 : TAGGED;
	size_t at = AROUND + wrong % 17, taken;
	bool same;

	/* One bit, each in its turn. */
	if (good < TAGGED)
		words[wrong] ^= 1ull << (48 + wrong % 16);
	memset(to, CLEAN, sizeof(to));
	taken = cpu->untag(to + at, words, TAGGED, tag);
	same = arrived(to, sizeof(to), at, bytes, 48 * good);
	if (good < TAGGED)
		words[wrong] ^= 1ull << (48 + wrong % 16);
	if (taken != good)
		return failed("%zu lines of %zu, of which word %zu is wrong",
			      taken, good, wrong);
	return same;
}

static bool check_untag(const struct gm_cpu *cpu)
{
	static const uint16_t tags[] = { 0, 1, 0x7fff, 0x8000, 0xffff, 0x1234 };
	static uint64_t words[8 * TAGGED] __attribute__((aligned(64)));
	static unsigned char bytes[48 * TAGGED];

	fill(bytes, sizeof(bytes), 5);
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		tag_lines(words, bytes, tags[i]);
		for (size_t wrong = 0; wrong < 8 * TAGGED + 16; wrong++)
			if (!untags(cpu, words, bytes, tags[i], wrong))
				return false;
	}
	return !cpu->untag(bytes, words, 0, 0x1234);
}

/* write(), read() and read_unordered(), which set what their caller passes. */
static bool check_whole(const struct gm_cpu *cpu)
{
	static const copy_call calls[] = { whole_write, whole_read,
					   whole_read_unordered };

	whole_cpu = cpu;
	whole_ended = true;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (!every_alignment(calls[i], 3 * cpu_check_step, 3) ||
		    !at_page_ends(calls[i]))
			return false;
		if (!whole_ended)
			return failed("a copy that did not say that it ended");
	}
	return true;
}

const struct cpu_check cpu_checks[] = {
	{ "store", check_store }, { "load", check_load },
	{ "drain", check_drain }, { "large", check_large },
	{ "pages", check_pages }, { "store32", check_store32 },
	{ "whole", check_whole }, { "copy", check_copy },
	{ "untag", check_untag }, { NULL, NULL },
};
