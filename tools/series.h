/* SPDX-License-Identifier: MIT */
/* A series of any number of times, for what matters is the rare one. */
#ifndef GPUMEM_TOOL_SERIES_H
#define GPUMEM_TOOL_SERIES_H

#include <stddef.h>

struct report;

struct series {
	double *sample;
	size_t count, room;
};

struct series_spread {
	double median, p99, max;
};

/* Adds a sample. Returns -1 when out of memory. */
int series_add(struct series *series, double us);

/* Sorts the samples; all zero for none. */
void series_spread(struct series *series, struct series_spread *spread);

/* Puts count, median, p99 and max into a report. */
void series_report(struct series *series, struct report *to, const char *key);

void series_free(struct series *series);

#endif /* GPUMEM_TOOL_SERIES_H */
