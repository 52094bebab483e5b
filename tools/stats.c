// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "stats.h"

void stats_add(struct stats *stats, double us)
{
	if (stats->count < STATS_MAX)
		stats->sample[stats->count++] = us;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Between the two samples nearest to a fraction of the way up. */
static double quantile(const double *sorted, int count, double fraction)
{
	double at = fraction * (count - 1);
	int below = at;
	int above = below + 1 < count ? below + 1 : below;

	return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/* Returns how many there are. */
static int sort(const struct stats *stats, double *sorted)
{
	int count = stats->count;

	memcpy(sorted, stats->sample, count * sizeof(sorted[0]));
	qsort(sorted, count, sizeof(sorted[0]), compare);
	return count;
}

double stats_quantile(const struct stats *stats, double fraction)
{
	double sorted[STATS_MAX];
	int count = sort(stats, sorted);

	return count ? quantile(sorted, count, fraction) : 0;
}

void stats_spread(const struct stats *stats, struct spread *spread)
{
	double sorted[STATS_MAX];
	int count = sort(stats, sorted);

	memset(spread, 0, sizeof(*spread));
	if (!count)
		return;
	spread->min = sorted[0];
	spread->p10 = quantile(sorted, count, 0.1);
	spread->median = quantile(sorted, count, 0.5);
	spread->p90 = quantile(sorted, count, 0.9);
	spread->max = sorted[count - 1];
}

double stats_median(const struct stats *stats)
{
	struct spread spread;

	stats_spread(stats, &spread);
	return spread.median;
}

void stats_report(const struct stats *stats, struct report *to, const char *key)
{
	struct report *object = report_object();
	struct spread spread;

	stats_spread(stats, &spread);
	report_number(object, "count", stats->count);
	report_real(object, "min", spread.min);
	report_real(object, "p10", spread.p10);
	report_real(object, "median", spread.median);
	report_real(object, "p90", spread.p90);
	report_real(object, "max", spread.max);
	report_member(to, key, object);
}
