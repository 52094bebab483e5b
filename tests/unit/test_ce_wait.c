// SPDX-License-Identifier: MIT
/* By what the end of a copy by the copy engine is seen, by the times that it took. */
#include "../../lib/copy/ce/wait.h"
#include "unit.h"

static struct gm_ce_wait wait_;

static int setup(void **state)
{
	memset(&wait_, 0, sizeof(wait_));
	return 0;
}

/* Of so many copies how many were seen by the flag, where either way takes so long. */
static int by_flag(int copies, size_t length, uint64_t flag, uint64_t other)
{
	int count = 0;

	for (int i = 0; i < copies; i++) {
		const bool chosen = gm_ce_wait_by_flag(&wait_, length);

		count += chosen;
		gm_ce_wait_took(&wait_, length, chosen, chosen ? flag : other);
	}
	return count;
}

static void the_first_ones_are_seen_by_the_flag(void **state)
{
	assert_int_equal(by_flag(16, 20000, 9000, 1), 16);
}

static void the_quicker_one_is_taken(void **state)
{
	assert_int_equal(by_flag(25600, 20000, 8000, 8600), 25600 - 400);
	setup(state);
	assert_true(by_flag(25600, 20000, 17000, 11000) <= 16 + 4 + 4 * 100);
}

/* As other processes come and go. */
static void what_is_quicker_changes(void **state)
{
	by_flag(1000, 20000, 8000, 8600);
	by_flag(2000, 20000, 17000, 11000);
	assert_true(by_flag(10240, 20000, 17000, 11000) <= 200);
	by_flag(10000, 20000, 8000, 8600);
	assert_true(by_flag(10240, 20000, 8000, 8600) >= 10000);
}

static void each_length_has_its_own(void **state)
{
	static const size_t lengths[] = { 8191, 8192, 16384, 100000, 1 << 19 };

	for (int i = 0; i < 5; i++)
		by_flag(1024, lengths[i], i % 2 ? 5000 : 9000, 7000);
	for (int i = 0; i < 5; i++)
		assert_int_equal(by_flag(256, lengths[i], i % 2 ? 5000 : 9000,
					 7000),
				 i % 2 ? 252 : 4);
	/* Those beyond share the outermost. */
	assert_int_equal(wait_.size[0].turn, 1280);
	by_flag(1, 1, 1, 1);
	assert_int_equal(wait_.size[0].turn, 1281);
	by_flag(1, (size_t)1 << 20, 1, 1);
	by_flag(1, (size_t)1 << 40, 1, 1);
	assert_int_equal(wait_.size[GM_CE_WAIT_SIZES - 1].turn, 2);
}

/* A copy that was preempted, or that CUDA made something ready for, is one of many. */
static void one_that_is_late_changes_nothing(void **state)
{
	gm_ce_wait_took(&wait_, 5000, true, 900000);
	gm_ce_wait_took(&wait_, 5000, false, 900000);
	by_flag(1000, 5000, 8000, 10000);
	gm_ce_wait_took(&wait_, 5000, true, UINT64_MAX);
	gm_ce_wait_took(&wait_, 5000, true, 8000);
	by_flag(256, 5000, 8000, 10000);
	assert_true(by_flag(1000, 5000, 8000, 10000) > 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_ones_are_seen_by_the_flag,
				       setup),
		cmocka_unit_test_setup(the_quicker_one_is_taken, setup),
		cmocka_unit_test_setup(what_is_quicker_changes, setup),
		cmocka_unit_test_setup(each_length_has_its_own, setup),
		cmocka_unit_test_setup(one_that_is_late_changes_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
