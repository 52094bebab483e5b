// SPDX-License-Identifier: MIT
#include <stdint.h>
#include <string.h>

#include "bench/copy.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/*
 * Two ways that take the same time differ by so much in a run, up or down (the
 * end of the output says how far gpumem is from itself): where the goal is to be
 * as fast, less is no difference.
 */
#define EQUAL (1 / 1.02)

enum goal {
	FASTER, /* than peers, by a factor, in a range of sizes */
	RATE, /* in GB/s */
	PLACES, /* 64 bytes anywhere, against aligned ones */
};

static const struct rule {
	const char *name;
	enum goal goal;
	bool read, pinned;
	bool cuda; /* FASTER: against cuMemcpy alone */
	uint64_t min, max; /* sizes */
	double factor; /* or GB/s */
} rules[] = {
	{ "writes, pageable: as fast as the best peer, to 2%, at every size",
	  FASTER, .max = UINT64_MAX, .factor = EQUAL },
	{ "writes, pageable: 15 times cuMemcpy up to 4 KiB", FASTER,
	  .cuda = true, .max = 4 * KIB, .factor = 15 },
	{ "writes, pageable: 2 times the best peer from 1 MiB", FASTER,
	  .min = MIB, .max = UINT64_MAX, .factor = 2 },
	{ "writes, pageable: over 30 GB/s at 4 MiB", RATE, .min = 4 * MIB,
	  .max = 4 * MIB, .factor = 30 },
	{ "reads, pageable: as fast as the best peer, to 2%, at every size",
	  FASTER, .read = true, .max = UINT64_MAX, .factor = EQUAL },
	{ "reads, pageable: 2 times the best peer from 8 KiB to 256 KiB",
	  FASTER, .read = true, .min = 8 * KIB, .max = 256 * KIB, .factor = 2 },
	{ "reads, pageable: 1.5 times the best peer from 1 MiB", FASTER,
	  .read = true, .min = MIB, .max = UINT64_MAX, .factor = 1.5 },
	{ "writes, pinned: slower than the best peer by at most 3%", FASTER,
	  .pinned = true, .max = UINT64_MAX, .factor = 1 / 1.03 },
	{ "reads, pinned: slower than the best peer by at most 3%", FASTER,
	  .read = true, .pinned = true, .max = UINT64_MAX, .factor = 1 / 1.03 },
	{ "64 bytes written at any alignment: within 1.5 times the aligned",
	  PLACES, .factor = 1.5 },
	{ "64 bytes read at any alignment: within 1.3 times the aligned",
	  PLACES, .read = true, .factor = 1.3 },
};

#define RULES (sizeof(rules) / sizeof(rules[0]))
/* Of these, the last ones, that tell of every alignment in themselves. */
#define PLACE_RULES 2

static bool rule_takes(const struct rule *rule, unsigned int align,
		       const struct copy_cell *cell)
{
	return cell->read == rule->read && cell->pinned == rule->pinned &&
	       cell->align == align && cell->length >= rule->min &&
	       cell->length <= rule->max;
}

/* cuMemcpy is the first peer. */
static void target_faster(const struct bench_copy *copy,
			  const struct rule *rule, unsigned int align,
			  struct copy_target *target)
{
	const struct copy_cell *at = NULL;
	int sizes = 0, short_of = 0, peer = 0;
	double worst = 0;
	char size[32];

	for (int i = 0; i < copy->cell_count; i++) {
		const struct copy_cell *cell = &copy->cell[i];
		int best = rule->cuda ? 1 : copy_best_peer(copy, cell);
		double ratio;

		if (!rule_takes(rule, align, cell) || best < 0 ||
		    !cell->count[best])
			continue;
		ratio = cell->spread[best].median / cell->spread[0].median;
		sizes++;
		short_of += ratio < rule->factor;
		if (!at || ratio < worst) {
			at = cell;
			worst = ratio;
			peer = best;
		}
	}
	target->measured = at;
	if (!at)
		return;
	target->met = !short_of;
	tool_format_size(size, sizeof(size), at->length);
	if (short_of)
		snprintf(target->detail, sizeof(target->detail),
			 "at %d of %d sizes, worst %.3f times at %s (%.3f us, "
			 "%s %.3f us)",
			 short_of, sizes, worst, size, at->spread[0].median,
			 copy->way[rule->read][peer].name,
			 at->spread[peer].median);
	else
		snprintf(target->detail, sizeof(target->detail),
			 "at all %d sizes, least %.3f times at %s (%s)", sizes,
			 worst, size, copy->way[rule->read][peer].name);
}

static void target_rate(const struct bench_copy *copy, const struct rule *rule,
			unsigned int align, struct copy_target *target)
{
	for (int i = 0; i < copy->cell_count; i++) {
		const struct copy_cell *cell = &copy->cell[i];
		double rate = copy_rate(cell->length, cell->spread[0].median);

		if (!rule_takes(rule, align, cell))
			continue;
		target->measured = true;
		target->met = rate > rule->factor;
		snprintf(target->detail, sizeof(target->detail), "%.2f GB/s",
			 rate);
	}
}

static void target_places(const struct bench_copy *copy,
			  const struct rule *rule, struct copy_target *target)
{
	const double *place = copy->place[rule->read];
	int worst = 0;

	target->measured = place[0] > 0;
	if (!target->measured)
		return;
	for (int i = 1; i < COPY_PLACES; i++) {
		if (place[i] > place[worst])
			worst = i;
	}
	target->met = place[worst] <= rule->factor * place[0];
	snprintf(target->detail, sizeof(target->detail),
		 "at most %.2f times, %.3f us at + %d against %.3f us",
		 place[worst] / place[0], place[worst], worst, place[0]);
}

/* All rules at the first alignment, then those that others may break. */
bool copy_target_get(const struct bench_copy *copy, unsigned int index,
		     struct copy_target *target)
{
	unsigned int align = 0;
	const struct rule *rule;

	if (index >= RULES) {
		index -= RULES;
		align = 1 + index / (RULES - PLACE_RULES);
		index %= RULES - PLACE_RULES;
	}
	if (align >= (unsigned int)copy->align_count)
		return false;
	rule = &rules[index];
	memset(target, 0, sizeof(*target));
	if (copy->align[align])
		snprintf(target->name, sizeof(target->name), "%s, at + %u",
			 rule->name, copy->align[align]);
	else
		snprintf(target->name, sizeof(target->name), "%s", rule->name);
	if (rule->goal == FASTER)
		target_faster(copy, rule, copy->align[align], target);
	else if (rule->goal == RATE)
		target_rate(copy, rule, copy->align[align], target);
	else
		target_places(copy, rule, target);
	return true;
}
