// SPDX-License-Identifier: MIT
/* Which reads start the SM copy. */
#include "../../lib/copy/sm/launch.h"
#include "unit.h"

#define IDLE 10000
#define TIGHT 500
#define LOOSE 6000
#define NOW 1000000000000ull
#define MOST (GM_SM_LAUNCH_IDLE_MAX * (uint64_t)IDLE)

static struct gm_sm_launch launch;

static int setup(void **state)
{
	launch = (struct gm_sm_launch){ 0 };
	return 0;
}

/* Reads so far apart until one is to start it. */
static unsigned int reads_until_start(uint64_t gap)
{
	unsigned int reads = 1;

	while (!gm_sm_launch_wanted(&launch, gap, IDLE, NOW))
		if (++reads > 10000)
			return 0;
	return reads;
}

static void isolated_reads_never_start_it(void **state)
{
	assert_int_equal(reads_until_start(MOST), 0);
	assert_int_equal(reads_until_start(UINT64_MAX), 0);
	assert_int_equal(reads_until_start(MOST - 1), 1);
}

static void a_kernel_waits_as_long_as_reads_take_to_come(void **state)
{
	assert_int_equal(gm_sm_launch_wanted(&launch, TIGHT, IDLE, NOW), IDLE);
	assert_int_equal(gm_sm_launch_wanted(&launch, IDLE / 2, IDLE, NOW),
			 IDLE);
	assert_int_equal(gm_sm_launch_wanted(&launch, IDLE, IDLE, NOW),
			 2 * IDLE);
	assert_int_equal(gm_sm_launch_wanted(&launch, MOST - 1, IDLE, NOW),
			 MOST);
}

static void starts_in_vain_double_the_row(void **state)
{
	unsigned int last = reads_until_start(LOOSE), next = 0;

	assert_int_equal(last, 1);
	for (int i = 0; i < 5; i++) {
		gm_sm_launch_served(&launch, GM_SM_LAUNCH_FEW);
		next = reads_until_start(LOOSE);
		assert_true(next >= 2 * (last - 1) && next > last);
		last = next;
	}
	for (int i = 0; i < 20; i++)
		gm_sm_launch_served(&launch, 1);
	assert_in_range(reads_until_start(LOOSE), 1000, 1100);
	/* Reads between which nobody waited for the GPU count for more. */
	assert_in_range(reads_until_start(TIGHT), 60, 70);
}

static void a_row_ends_with_a_pause(void **state)
{
	gm_sm_launch_served(&launch, 1);
	for (int i = 0; i < 100; i++) {
		for (int k = 0; k < 15; k++)
			assert_false(
				gm_sm_launch_wanted(&launch, LOOSE, IDLE, NOW));
		assert_false(gm_sm_launch_wanted(&launch, MOST, IDLE, NOW));
	}
}

static void a_start_that_served_many_is_forgiven_all(void **state)
{
	for (int i = 0; i < 20; i++)
		gm_sm_launch_served(&launch, 2);
	gm_sm_launch_served(&launch, GM_SM_LAUNCH_SOME - 1);
	assert_in_range(reads_until_start(LOOSE), 1000, 1100);
	gm_sm_launch_served(&launch, GM_SM_LAUNCH_MANY - 1);
	assert_in_range(reads_until_start(LOOSE), 500, 550);
	gm_sm_launch_served(&launch, GM_SM_LAUNCH_MANY);
	assert_int_equal(reads_until_start(LOOSE), 1);
}

/* For how long it rests after a pause. */
static uint64_t rest_after(bool awaited)
{
	uint64_t rest = 0;

	gm_sm_launch_pause(&launch, awaited, NOW);
	while (gm_sm_launch_rests(&launch, NOW + rest)) {
		assert_int_equal(gm_sm_launch_wanted(&launch, TIGHT, IDLE,
						     NOW + rest),
				 0);
		rest += GM_SM_LAUNCH_REST_MIN / 4;
	}
	assert_int_equal(gm_sm_launch_wanted(&launch, TIGHT, IDLE, NOW + rest),
			 IDLE);
	launch.rest_until = 0;
	return rest;
}

static void it_rests_where_others_wait_again(void **state)
{
	const uint64_t least = GM_SM_LAUNCH_REST_MIN;

	/* One wait in eight says nothing. */
	for (int i = 0; i < 40; i++)
		assert_int_equal(rest_after(!(i % 8)), 0);
	for (int i = 0; i < 7; i++)
		assert_int_equal(rest_after(false), 0);

	assert_int_equal(rest_after(true), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(rest_after(false), 0);
	assert_int_equal(rest_after(true), least);
	assert_int_equal(rest_after(true), 2 * least);
	assert_int_equal(rest_after(false), 0);
	assert_int_equal(rest_after(true), 4 * least);
	for (int i = 0; i < 10; i++)
		gm_sm_launch_pause(&launch, true, NOW);
	assert_int_equal(rest_after(true), GM_SM_LAUNCH_REST_MAX);

	/* Eight without forgive all. */
	for (int i = 0; i < 8; i++)
		assert_int_equal(rest_after(false), 0);
	assert_int_equal(rest_after(true), 0);
	assert_int_equal(rest_after(true), least);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(isolated_reads_never_start_it, setup),
		cmocka_unit_test_setup(
			a_kernel_waits_as_long_as_reads_take_to_come, setup),
		cmocka_unit_test_setup(starts_in_vain_double_the_row, setup),
		cmocka_unit_test_setup(a_row_ends_with_a_pause, setup),
		cmocka_unit_test_setup(a_start_that_served_many_is_forgiven_all,
				       setup),
		cmocka_unit_test_setup(it_rests_where_others_wait_again, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
