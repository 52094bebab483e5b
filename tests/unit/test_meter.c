// SPDX-License-Identifier: MIT
/* When reads are left to others than the SM copy, by the times that they took. */
#include "../../lib/copy/meter.h"
#include "unit.h"

#define US 1000ull
#define MS 1000000ull

static struct gm_meter meter;
static uint64_t now;

static int setup(void **state)
{
	memset(&meter, 0, sizeof(meter));
	now = 1000 * MS;
	return 0;
}

/* Reads for so long, and returns the part of them that went by the SM copy. */
static double read_for(uint64_t time, size_t length, uint64_t sm,
		       uint64_t other)
{
	const uint64_t end = now + time;
	unsigned int by_sm = 0, all = 0;

	for (; now < end; all++) {
		const bool wanted = gm_meter_wants_sm(&meter, length, now);

		by_sm += wanted;
		now += wanted ? sm : other;
		if (wanted)
			gm_meter_sm(&meter, length, sm, now);
		else
			gm_meter_other(&meter, length, other);
	}
	return (double)by_sm / all;
}

static void what_is_faster_is_taken(void **state)
{
	assert_true(read_for(1000 * MS, 4096, 3 * US, 10 * US) > 0.99);
	assert_true(read_for(1000 * MS, 65536, 17 * US, 15 * US) < 0.1);
	/* Later still less: each look takes place after a longer rest. */
	assert_true(read_for(9000 * MS, 65536, 17 * US, 15 * US) < 0.02);
	/* By a tenth at least. */
	assert_true(read_for(1000 * MS, 20000, 8900, 10000) > 0.9);
	assert_true(read_for(1000 * MS, 9000, 9500, 10000) < 0.1);
}

static void other_sizes_are_not_meant(void **state)
{
	assert_true(read_for(1000 * MS, 65536, 30 * US, 15 * US) < 0.1);
	assert_true(read_for(1000 * MS, 4096, 3 * US, 10 * US) > 0.99);
	assert_true(read_for(1000 * MS, 1 << 20, 30 * US, 90 * US) > 0.99);
	assert_true(read_for(1000 * MS, 1 << 28, 30 * MS, 90 * MS) > 0.9);
	assert_true(read_for(MS, 1, 100, 200) > 0.99);
}

/* A few long reads, as a program makes them that reads its results once. */
static void the_first_reads_are_not_given_away(void **state)
{
	for (int i = 0; i < 16; i++)
		assert_true(gm_meter_wants_sm(&meter, 1 << 26, now));
	assert_false(gm_meter_wants_sm(&meter, 1 << 26, now));
	assert_true(read_for(10000 * MS, 1 << 26, 2 * MS, 6 * MS) > 0.995);
}

/* Both are in the last size; each takes a third of the other way's time. */
static void long_reads_of_two_lengths_are_not_compared(void **state)
{
	for (int i = 0; i < 50; i++) {
		gm_meter_other(&meter, 2 << 20, 180 * US);
		gm_meter_sm(&meter, 1 << 28, 128 * 60 * US, now);
		now += 128 * 60 * US;
	}
	assert_true(read_for(100 * MS, 1 << 28, 128 * 60 * US, 128 * 180 * US) >
		    0.999);
	for (int i = 0; i < 50; i++) {
		gm_meter_other(&meter, 1 << 28, 128 * 180 * US);
		gm_meter_sm(&meter, 2 << 20, 300 * US, now);
		now += 300 * US;
	}
	assert_true(read_for(1000 * MS, 2 << 20, 300 * US, 180 * US) < 0.1);
}

/* Of the other way; CUDA makes something ready in it. */
static void the_first_time_is_not_believed_for_long(void **state)
{
	gm_meter_other(&meter, 1 << 20, 1000 * US);
	gm_meter_other(&meter, 1 << 20, 90 * US);
	assert_true(read_for(1000 * MS, 1 << 20, 200 * US, 90 * US) < 0.1);
	/* Later a short one is one of many, as of another length. */
	setup(NULL);
	for (int i = 0; i < 10; i++)
		gm_meter_other(&meter, 6200, 9 * US);
	gm_meter_other(&meter, 4096, 3500);
	assert_true(read_for(100 * MS, 6200, 5 * US, 9 * US) > 0.99);
}

/* Of 1 MiB the quickest of the first three counts, and later each for little. */
static void long_reads_have_few_to_compare_with(void **state)
{
	gm_meter_other(&meter, 1 << 20, 200 * US);
	gm_meter_other(&meter, 1 << 20, 110 * US);
	gm_meter_other(&meter, 1 << 20, 60 * US);
	assert_true(read_for(1000 * MS, 1 << 20, 80 * US, 62 * US) < 0.1);
	setup(NULL);
	for (int i = 0; i < 3; i++)
		gm_meter_other(&meter, 1 << 20, 90 * US);
	gm_meter_other(&meter, 1 << 20, 10 * US);
	assert_true(read_for(20 * MS, 1 << 20, 70 * US, 90 * US) > 0.98);
	/* Where the other way becomes quicker that is noticed within a second. */
	assert_true(read_for(1000 * MS, 1 << 20, 80 * US, 60 * US) < 0.9);
}

/* Two reads of 256 MiB tell as much as a thousand short ones. */
static void long_reads_are_judged_soon(void **state)
{
	gm_meter_other(&meter, 1 << 28, 8 * MS);
	gm_meter_other(&meter, 1 << 28, 8 * MS);
	for (int i = 0; i < 3; i++)
		gm_meter_sm(&meter, 1 << 28, 16 * MS, now);
	assert_false(gm_meter_wants_sm(&meter, 1 << 28, now));
}

static void it_comes_back_when_it_is_faster_again(void **state)
{
	read_for(5000 * MS, 32768, 20 * US, 10 * US);
	/* It may rest for a second more. */
	read_for(1100 * MS, 32768, 5 * US, 10 * US);
	assert_true(read_for(1000 * MS, 32768, 5 * US, 10 * US) > 0.99);
}

static void a_read_that_was_preempted_is_not_believed(void **state)
{
	assert_true(read_for(100 * MS, 4096, 3 * US, 10 * US) > 0.99);
	/* Of the other way, that it takes long. */
	gm_meter_other(&meter, 4096, 100 * MS);
	assert_true(read_for(100 * MS, 4096, 12 * US, 10 * US) < 0.9);
	/* Of the SM copy, once. */
	setup(NULL);
	read_for(100 * MS, 4096, 3 * US, 10 * US);
	gm_meter_sm(&meter, 4096, 10 * MS, now);
	assert_true(read_for(100 * MS, 4096, 3 * US, 10 * US) > 0.99);
}

static void times_of_nothing_divide_nothing(void **state)
{
	for (int i = 0; i < 10000; i++) {
		gm_meter_other(&meter, 4096, 0);
		gm_meter_sm(&meter, 4096, 0, now);
		gm_meter_wants_sm(&meter, 0, now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_faster_is_taken, setup),
		cmocka_unit_test_setup(other_sizes_are_not_meant, setup),
		cmocka_unit_test_setup(the_first_reads_are_not_given_away,
				       setup),
		cmocka_unit_test_setup(
			long_reads_of_two_lengths_are_not_compared, setup),
		cmocka_unit_test_setup(the_first_time_is_not_believed_for_long,
				       setup),
		cmocka_unit_test_setup(long_reads_have_few_to_compare_with,
				       setup),
		cmocka_unit_test_setup(long_reads_are_judged_soon, setup),
		cmocka_unit_test_setup(it_comes_back_when_it_is_faster_again,
				       setup),
		cmocka_unit_test_setup(
			a_read_that_was_preempted_is_not_believed, setup),
		cmocka_unit_test_setup(times_of_nothing_divide_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
