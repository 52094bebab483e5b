// SPDX-License-Identifier: MIT
/* What `gpumem bench loops` says of two ways, by the times of their blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../tools/bench/ratio.h"

#define BLOCKS 9

static struct ratio ratio_from(const double *ours, const double *theirs)
{
	struct stats a = { 0 }, b = { 0 };
	struct ratio ratio;

	for (int i = 0; i < BLOCKS; i++) {
		stats_add(&a, ours[i]);
		stats_add(&b, theirs[i]);
	}
	ratio_of(&a, &b, &ratio);
	return ratio;
}

static const double hundred[BLOCKS] = { 100, 100, 100, 100, 100,
					100, 100, 100, 100 };

static void expect(const double *ours, enum verdict verdict)
{
	struct ratio ratio = ratio_from(ours, hundred);

	assert_int_equal(ratio_verdict(&ratio), verdict);
}

static void worse_beyond_limit_and_spread(void **state)
{
	static const double ours[] = { 104, 105, 106, 104, 105,
				       106, 104, 105, 106 };

	expect(ours, VERDICT_WORSE);
}

static void one_outlier_changes_nothing(void **state)
{
	static const double ours[] = { 104, 105, 106, 104, 50,
				       106, 104, 105, 106 };
	static const double same[] = {
		100, 101, 99, 100, 900, 101, 99, 100, 101
	};

	expect(ours, VERDICT_WORSE);
	expect(same, VERDICT_SAME);
}

static void not_worse_within_spread(void **state)
{
	/* The median is 10% off, and a third of the blocks on the other side. */
	static const double ours[] = {
		80, 90, 95, 110, 110, 110, 120, 130, 140
	};

	expect(ours, VERDICT_SAME);
}

static void not_worse_within_limit(void **state)
{
	static const double ours[] = { 102.9, 102.9, 102.9, 102.9, 102.9,
				       102.9, 102.9, 102.9, 102.9 };

	expect(ours, VERDICT_SAME);
}

static void faster_beyond_limit_and_spread(void **state)
{
	static const double ours[] = { 50, 51, 52, 50, 51, 52, 50, 51, 52 };
	static const double wide[] = { 50, 60, 70, 80, 90, 101, 102, 110, 120 };

	expect(ours, VERDICT_FASTER);
	expect(wide, VERDICT_SAME);
}

/* Drift hits both blocks of a pair: the ratio does not see it. */
static void pairs_are_compared(void **state)
{
	static const double ours[] = { 110, 220, 330, 440, 550,
				       660, 770, 880, 990 };
	static const double theirs[] = { 100, 200, 300, 400, 500,
					 600, 700, 800, 900 };
	struct ratio ratio = ratio_from(ours, theirs);

	assert_float_equal(ratio.median, 1.1, 1e-9);
	assert_float_equal(ratio.low, 1.1, 1e-9);
	assert_float_equal(ratio.high, 1.1, 1e-9);
	assert_int_equal(ratio.count, BLOCKS);
	assert_int_equal(ratio_verdict(&ratio), VERDICT_WORSE);
}

static void quartiles(void **state)
{
	static const double ours[] = { 90, 80, 70, 60, 50, 40, 30, 20, 10 };
	struct ratio ratio = ratio_from(ours, hundred);

	assert_float_equal(ratio.low, 0.3, 1e-9);
	assert_float_equal(ratio.median, 0.5, 1e-9);
	assert_float_equal(ratio.high, 0.7, 1e-9);
}

static void nothing_measured_no_verdict(void **state)
{
	struct stats none = { 0 }, one = { 0 };
	struct ratio ratio;

	stats_add(&one, 1);
	ratio_of(&one, &none, &ratio);
	assert_int_equal(ratio_verdict(&ratio), VERDICT_NONE);
	stats_add(&none, 0);
	ratio_of(&one, &none, &ratio);
	assert_int_equal(ratio_verdict(&ratio), VERDICT_NONE);
	assert_string_equal(verdict_name(VERDICT_NONE), "-");
	assert_string_equal(verdict_name(VERDICT_WORSE), "worse");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worse_beyond_limit_and_spread),
		cmocka_unit_test(one_outlier_changes_nothing),
		cmocka_unit_test(not_worse_within_spread),
		cmocka_unit_test(not_worse_within_limit),
		cmocka_unit_test(faster_beyond_limit_and_spread),
		cmocka_unit_test(pairs_are_compared),
		cmocka_unit_test(quartiles),
		cmocka_unit_test(nothing_measured_no_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
