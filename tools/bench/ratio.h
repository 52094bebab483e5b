/* SPDX-License-Identifier: MIT */
/*
 * How many times as long one way takes as another, from blocks of both that
 * alternate: what drifts on the machine hits both blocks of a pair.
 */
#ifndef GPUMEM_TOOL_BENCH_RATIO_H
#define GPUMEM_TOOL_BENCH_RATIO_H

#include "report.h"
#include "stats.h"

/* Less than this from 1 is no difference: 3%. */
#define RATIO_LIMIT 0.03

struct ratio {
	int count; /* pairs of blocks; 0: no ratio, and no verdict */
	double median, low, high; /* low and high: the quartiles */
};

enum verdict { VERDICT_NONE, VERDICT_FASTER, VERDICT_SAME, VERDICT_WORSE };

/* Of ours[i] / theirs[i]; samples without a counterpart do not count. */
void ratio_of(const struct stats *ours, const struct stats *theirs,
	      struct ratio *ratio);

/*
 * Worse or faster only where the median is beyond the limit and both quartiles
 * are on that side of 1.
 */
enum verdict ratio_verdict(const struct ratio *ratio);

/* "worse"; "-" for none. */
const char *verdict_name(enum verdict verdict);

/* Puts median, quartiles and verdict into a report; null where there is none. */
void ratio_report(const struct ratio *ratio, struct report *to,
		  const char *key);

#endif /* GPUMEM_TOOL_BENCH_RATIO_H */
