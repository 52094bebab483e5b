// SPDX-License-Identifier: MIT
/* Processors without routines of their own: by aligned words. */
#if !defined(__x86_64__) && !defined(__aarch64__)
#include "cpu/arch.h"

static bool gm_any_runs(void)
{
	return true;
}

/* The largest aligned word that begins at an address. */
static size_t gm_any_word(const void *gpu, size_t length)
{
	size_t word = sizeof(long);

	while ((uintptr_t)gpu & (word - 1) || word > length)
		word /= 2;
	return word;
}

/* Atomic, so that the compiler neither splits nor joins them. */
#define GM_ANY_STORE(type, gpu, host)                                      \
	do {                                                               \
		type value_;                                               \
		memcpy(&value_, host, sizeof(value_));                     \
		__atomic_store_n((type *)(gpu), value_, __ATOMIC_RELAXED); \
	} while (0)

#define GM_ANY_LOAD(type, host, gpu)                               \
	do {                                                       \
		type value_ = __atomic_load_n((const type *)(gpu), \
					      __ATOMIC_RELAXED);   \
		memcpy(host, &value_, sizeof(value_));             \
	} while (0)

static void gm_any_store(void *gpu, const void *host, size_t length)
{
	const char *from = host;
	char *to = gpu;

	while (length) {
		size_t word = gm_any_word(to, length);

		if (word == 8)
			GM_ANY_STORE(uint64_t, to, from);
		else if (word == 4)
			GM_ANY_STORE(uint32_t, to, from);
		else if (word == 2)
			GM_ANY_STORE(uint16_t, to, from);
		else
			GM_ANY_STORE(uint8_t, to, from);
		to += word;
		from += word;
		length -= word;
	}
}

static void gm_any_load(void *host, const void *gpu, size_t length)
{
	const char *from = gpu;
	char *to = host;

	while (length) {
		size_t word = gm_any_word(from, length);

		if (word == 8)
			GM_ANY_LOAD(uint64_t, to, from);
		else if (word == 4)
			GM_ANY_LOAD(uint32_t, to, from);
		else if (word == 2)
			GM_ANY_LOAD(uint16_t, to, from);
		else
			GM_ANY_LOAD(uint8_t, to, from);
		to += word;
		from += word;
		length -= word;
	}
}

static void gm_any_drain(void *to, const void *from, size_t length)
{
	memcpy(to, from, length);
}

/* The first word of each half, then the last. */
static void gm_any_store32(void *gpu, const void *host)
{
	const char *from = host;
	char *to = gpu;

	gm_cpu_loads_done();
	gm_any_store(to, from, 8);
	gm_any_store(to + 16, from + 16, 8);
	gm_cpu_fence();
	gm_any_store(to + 8, from + 8, 8);
	gm_any_store(to + 24, from + 24, 8);
}

GM_CPU_WRITE(gm_any_write, , gm_any_store)
GM_CPU_READ(gm_any_read, , gm_cpu_load_fence, gm_any_load)

static const struct gm_cpu gm_cpu_any = {
	.name = "any",
	.store = gm_any_store,
	.load = gm_any_load,
	.write = gm_any_write,
	.read = gm_any_read,
	.read_unordered = gm_any_read,
	.copy = gm_cpu_memcpy,
	.drain = gm_any_drain,
	.untag = gm_cpu_untag,
	.store32 = gm_any_store32,
};

const struct gm_cpu_entry gm_cpu_entries[] = {
	{ &gm_cpu_any, gm_any_runs },
	{ NULL, NULL },
};

#endif
