/* SPDX-License-Identifier: MIT */
/* A series of measured times, in microseconds. */
#ifndef GPUMEM_TOOL_STATS_H
#define GPUMEM_TOOL_STATS_H

#include "report.h"

#define STATS_MAX 1000

struct stats {
	int count;
	double sample[STATS_MAX]; /* in the order measured */
};

/* How a series is spread; all zero for an empty one. */
struct spread {
	double min, p10, median, p90, max;
};

/* Adds a sample; past STATS_MAX it is dropped. */
void stats_add(struct stats *stats, double us);

void stats_spread(const struct stats *stats, struct spread *spread);

/* The value that a fraction of the samples is below; 0 for an empty series. */
double stats_quantile(const struct stats *stats, double fraction);

/* The median alone. */
double stats_median(const struct stats *stats);

/* Puts count, min, p10, median, p90 and max into a report. */
void stats_report(const struct stats *stats, struct report *to,
		  const char *key);

#endif /* GPUMEM_TOOL_STATS_H */
