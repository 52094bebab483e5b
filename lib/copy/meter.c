// SPDX-License-Identifier: MIT
#include "copy/meter.h"

#define GM_MS 1000000ull
#define GM_METER_SHORTEST 11 /* a power of two */

/*
 * Of so many reads a few go another way, but not the first ones: a program may
 * read a long buffer ten times and no more, where another way takes three times as
 * long. Of long ones fewer do, and sooner again, as there are fewer in a second.
 */
#define GM_METER_TURN 4096u
#define GM_METER_TURN_LONG 512u
#define GM_METER_FIRST 16u
#define GM_METER_LOOKS 8u
#define GM_METER_LOOKS_LONG 2u
#define GM_METER_LONG ((size_t)1 << 20)
#define GM_METER_NEW 4u

/* Reads, or time, between two judgements, and how many it takes. */
#define GM_METER_READS 128u
#define GM_METER_NS (1 * GM_MS)
#define GM_METER_JUDGEMENTS 2u

/*
 * The SM copy has to be faster by a tenth: where several processes read from one
 * GPU each one's slows the others' reads too.
 */
#define GM_METER_MARGIN 10u

#define GM_METER_REST_MIN (50 * GM_MS)
#define GM_METER_REST_MAX (1000 * GM_MS)

/* What a read may add to the mean at most, in means: it may have been preempted. */
#define GM_METER_CLIP 4u
#define GM_METER_WEIGHT 16u

static uint64_t gm_get(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void gm_set(_Atomic uint64_t *value, uint64_t to)
{
	atomic_store_explicit(value, to, memory_order_relaxed);
}

static struct gm_meter_size *gm_meter_at(struct gm_meter *meter, size_t length)
{
	unsigned int power = 0;

	while (length >> (GM_METER_SHORTEST + power + 1) &&
	       power < GM_METER_SIZES - 1)
		power++;
	return &meter->size[power];
}

/* The last of the sizes has no end: its times are those of its shortest reads. */
static uint64_t gm_meter_scale(size_t length, uint64_t ns)
{
	const size_t parts = length >> (GM_METER_SHORTEST + GM_METER_SIZES - 1);

	return parts ? ns / parts : ns;
}

bool gm_meter_wants_sm(struct gm_meter *meter, size_t length, uint64_t now)
{
	struct gm_meter_size *at = gm_meter_at(meter, length);
	const bool is_long = length >= GM_METER_LONG;
	const uint32_t turn =
		atomic_fetch_add_explicit(&at->turn, 1, memory_order_relaxed) %
		(is_long ? GM_METER_TURN_LONG : GM_METER_TURN);
	const uint32_t looks = is_long ? GM_METER_LOOKS_LONG : GM_METER_LOOKS;

	return (turn < GM_METER_FIRST || turn >= GM_METER_FIRST + looks) &&
	       now >= gm_get(&at->rest_until);
}

static void gm_meter_judge(struct gm_meter_size *at, uint64_t mean,
			   uint64_t now)
{
	const uint64_t other = gm_get(&at->other_ns);
	uint64_t rest = gm_get(&at->rest_ns);

	if (!other || mean <= other - other / GM_METER_MARGIN) {
		atomic_store_explicit(&at->worse, 0, memory_order_relaxed);
		/* As long as it was better is the next rest shorter. */
		gm_set(&at->rest_ns, rest / 2);
		return;
	}
	if (atomic_fetch_add_explicit(&at->worse, 1, memory_order_relaxed) + 1 <
	    GM_METER_JUDGEMENTS)
		return;
	rest *= 2;
	if (rest < GM_METER_REST_MIN)
		rest = GM_METER_REST_MIN;
	if (rest > GM_METER_REST_MAX)
		rest = GM_METER_REST_MAX;
	gm_set(&at->rest_ns, rest);
	gm_set(&at->rest_until, now + rest);
	/* One look after the rest is enough. */
	atomic_store_explicit(&at->worse, GM_METER_JUDGEMENTS - 1,
			      memory_order_relaxed);
}

void gm_meter_sm(struct gm_meter *meter, size_t length, uint64_t ns,
		 uint64_t now)
{
	struct gm_meter_size *at = gm_meter_at(meter, length);
	const uint64_t sum = gm_get(&at->sum_ns) + gm_meter_scale(length, ns);
	const uint64_t passed = gm_get(&at->time_ns) + ns;
	const uint32_t reads =
		atomic_load_explicit(&at->reads, memory_order_relaxed) + 1;
	const bool whole = reads >= GM_METER_READS || passed >= GM_METER_NS;

	gm_set(&at->sum_ns, whole ? 0 : sum);
	gm_set(&at->time_ns, whole ? 0 : passed);
	atomic_store_explicit(&at->reads, whole ? 0 : reads,
			      memory_order_relaxed);
	if (whole)
		gm_meter_judge(at, sum / reads, now);
}

void gm_meter_other(struct gm_meter *meter, size_t length, uint64_t ns)
{
	struct gm_meter_size *at = gm_meter_at(meter, length);
	const uint64_t mean = gm_get(&at->other_ns);

	ns = gm_meter_scale(length, ns);
	if (at->others < GM_METER_NEW)
		at->others++;
	/*
	 * The first one may have waited for what CUDA makes ready once. Of the few
	 * long ones each counts for much: the quickest of the first is taken.
	 */
	if (!mean || (at->others == 2 && ns < mean / 2) ||
	    (length >= GM_METER_LONG && at->others < GM_METER_NEW &&
	     ns < mean)) {
		gm_set(&at->other_ns, ns);
		return;
	}
	if (ns > GM_METER_CLIP * mean)
		ns = GM_METER_CLIP * mean;
	gm_set(&at->other_ns,
	       mean - mean / GM_METER_WEIGHT + ns / GM_METER_WEIGHT);
}
