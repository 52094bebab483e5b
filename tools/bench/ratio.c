// SPDX-License-Identifier: MIT
/* Ratios of alternating blocks, and what is said of them. */
#include <string.h>

#include "bench/ratio.h"

void ratio_of(const struct stats *ours, const struct stats *theirs,
	      struct ratio *ratio)
{
	int count = ours->count < theirs->count ? ours->count : theirs->count;
	struct stats ratios = { 0 };

	for (int i = 0; i < count; i++) {
		if (theirs->sample[i] > 0)
			stats_add(&ratios, ours->sample[i] / theirs->sample[i]);
	}
	memset(ratio, 0, sizeof(*ratio));
	ratio->count = ratios.count;
	ratio->median = stats_median(&ratios);
	ratio->low = stats_quantile(&ratios, 0.25);
	ratio->high = stats_quantile(&ratios, 0.75);
}

enum verdict ratio_verdict(const struct ratio *ratio)
{
	if (!ratio->count)
		return VERDICT_NONE;
	if (ratio->median > 1 + RATIO_LIMIT && ratio->low > 1)
		return VERDICT_WORSE;
	if (ratio->median < 1 - RATIO_LIMIT && ratio->high < 1)
		return VERDICT_FASTER;
	return VERDICT_SAME;
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = { "-", "faster", "same", "worse" };

	return names[verdict];
}

void ratio_report(const struct ratio *ratio, struct report *to, const char *key)
{
	struct report *object;

	if (!ratio->count) {
		report_string(to, key, NULL);
		return;
	}
	object = report_object();
	report_real(object, "median", ratio->median);
	report_real(object, "p25", ratio->low);
	report_real(object, "p75", ratio->high);
	report_string(object, "verdict", verdict_name(ratio_verdict(ratio)));
	report_member(to, key, object);
}
