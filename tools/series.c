// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "series.h"

int series_add(struct series *series, double us)
{
	if (series->count == series->room) {
		size_t room = series->room ? 2 * series->room : 4096;
		double *sample =
			realloc(series->sample, room * sizeof(*sample));

		if (!sample)
			return -1;
		series->sample = sample;
		series->room = room;
	}
	series->sample[series->count++] = us;
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void series_spread(struct series *series, struct series_spread *spread)
{
	memset(spread, 0, sizeof(*spread));
	if (!series->count)
		return;
	qsort(series->sample, series->count, sizeof(double), compare);
	spread->median = series->sample[series->count / 2];
	spread->p99 = series->sample[series->count * 99 / 100];
	spread->max = series->sample[series->count - 1];
}

void series_report(struct series *series, struct report *to, const char *key)
{
	struct report *object = report_object();
	struct series_spread spread;

	series_spread(series, &spread);
	report_number(object, "count", series->count);
	report_real(object, "median", spread.median);
	report_real(object, "p99", spread.p99);
	report_real(object, "max", spread.max);
	report_member(to, key, object);
}

void series_free(struct series *series)
{
	free(series->sample);
	memset(series, 0, sizeof(*series));
}
