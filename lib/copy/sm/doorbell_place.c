// SPDX-License-Identifier: MIT
/*
 * Where in device memory the courier's doorbell is. A GPU's cache is in parts,
 * and each piece of memory belongs to one: to a write from the bus and to a
 * processor one part is near, another far. On an H100, where pages of 4 KiB
 * alternate, a read that is rung for at a near place takes 0.25 to 0.35 us less.
 * So a few places are tried once.
 */
#include "base/clock.h"
#include "copy/sm/private.h"
#include "cpu/cpu.h"
#include "base/error.h"

#define GM_COURIER_TRIES 5u
#define GM_COURIER_TRY_LENGTH 64u
/* The kernel is to end soon after the last try, not between two. */
#define GM_COURIER_TRY_IDLE_US 10u

static void gm_courier_bell_at(struct gm_courier *courier, unsigned int place)
{
	const size_t at = (size_t)place * GM_COURIER_PLACE;

	courier->bell = (struct gm_courier_bell *)(courier->bells + at);
	courier->bell_gpu = courier->bells_gpu + at;
}

/* Nanoseconds of the shortest of some reads. Returns 0, or why one failed. */
static int gm_courier_try(struct gm_courier *courier, uint64_t *least)
{
	char bytes[GM_COURIER_TRY_LENGTH];
	int rc = 0;

	*least = UINT64_MAX;
	for (unsigned int i = 0; i < GM_COURIER_TRIES && !rc; i++) {
		uint64_t start = gm_clock_ns(), took;

		rc = gm_courier_read(courier, courier->bell_gpu, bytes, 0,
				     sizeof(bytes), NULL, 1);
		took = gm_clock_ns() - start;
		if (took < *least)
			*least = took;
	}
	return rc;
}

int gm_courier_place(struct gm_courier *courier)
{
	const struct gm_courier_limits limits = courier->limits;
	const uint64_t begin = gm_clock_ns();
	uint64_t least = UINT64_MAX, took;
	unsigned int best = 0;
	int rc = 0;

	courier->limits.idle_us = GM_COURIER_TRY_IDLE_US;
	/* A kernel keeps the place that it was started with. */
	for (unsigned int i = 0;
	     i < GM_COURIER_PLACES && !rc && gm_courier_ended(courier); i++) {
		gm_courier_bell_at(courier, i);
		rc = gm_courier_try(courier, &took);
		if (!rc && took < least) {
			least = took;
			best = i;
		}
	}
	if (!rc && gm_courier_ended(courier))
		gm_courier_bell_at(courier, best);
	courier->limits = limits;
	/* How many reads these starts served says nothing of those to come. */
	courier->judged = courier->start;
	gm_debug("courier: doorbell in place %u of %u, after %llu us", best,
		 GM_COURIER_PLACES,
		 (unsigned long long)((gm_clock_ns() - begin) / GM_US));
	return rc;
}
