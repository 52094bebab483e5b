// SPDX-License-Identifier: MIT
/*
 * Many random sequences of alloc, pin, map, write, verify, unpin and free, in
 * several threads over all kinds of memory. CUDA verifies every byte, and at
 * the end nothing may be left behind. The same seed, count and number of
 * threads do the same again. Exits as test_gpu does.
 *
 *   test_storm [--backend NAME] [--count N] [--threads N] [--max BYTES]
 *              [--seconds N] [--seed N]
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resources.h"
#include "storm_check.h"
#include "storm_worker.h"

#define MIB (1ull << 20)
#define HOST_SLACK (64 * MIB)

static uint64_t count = 100000;
static struct storm_options options = { .max = 256 * MIB };
/* The same without a limit of time. */
static struct storm_options endless;
static int passed, failed, skipped;

static void report(const char *name, enum outcome outcome)
{
	static const char *const words[] = { "ok", "not ok", "skip" };

	printf("%s - %s%s%s\n", words[outcome], name,
	       outcome == PASSED ? "" : ": ",
	       outcome == PASSED ? "" : test_why);
	fflush(stdout);
	*(outcome == PASSED   ? &passed
	  : outcome == FAILED ? &failed
			      : &skipped) += 1;
}

/* One wrong byte is found wherever it is: else nothing below means anything. */
static enum outcome find_wrong_byte(struct storm_check *check, uint64_t addr,
				    uint64_t length)
{
	uint64_t places[] = { 0, length / 2, length - 1 };
	uint8_t byte, other;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t place = addr + places[i];

		CHECK_PASSED(storm_check(check, addr, length, 5));
		CHECK_CUDA(gpu.cuda.copy_from_gpu(&byte, place, 1));
		other = byte ^ 0x10;
		CHECK_CUDA(gpu.cuda.copy_to_gpu(place, &other, 1));
		CHECK_CUDA(gpu.cuda.context_synchronize());
		CHECK(storm_check(check, addr, length, 5) == FAILED);
		/* Not what is checked: its neighbours. */
		if (place == addr)
			CHECK_PASSED(
				storm_check(check, addr + 1, length - 1, 5));
		if (place == addr + length - 1)
			CHECK_PASSED(storm_check(check, addr, length - 1, 5));
		CHECK_CUDA(gpu.cuda.copy_to_gpu(place, &byte, 1));
		CHECK_CUDA(gpu.cuda.context_synchronize());
	}
	return PASSED;
}

static enum outcome test_check(void)
{
	static const uint64_t lengths[] = { 17, STORM_SMALL + 3, 3 * MIB - 5 };
	struct storm_check check;
	enum outcome outcome;
	uint8_t *host;
	uint64_t base;

	CHECK_PASSED(storm_check_open(&check));
	host = aligned_alloc(64, 3 * MIB + 64);
	CHECK(host);
	CHECK_CUDA(gpu.cuda.mem_alloc(&base, 3 * MIB + 64));
	outcome = PASSED;
	for (int i = 0; i < 3 && outcome == PASSED; i++) {
		uint64_t addr = base + 3 + i;

		storm_store(host + 3 + i, addr, lengths[i], 5);
		CHECK_CUDA(
			gpu.cuda.copy_to_gpu(addr, host + 3 + i, lengths[i]));
		CHECK_CUDA(gpu.cuda.context_synchronize());
		outcome = find_wrong_byte(&check, addr, lengths[i]);
	}
	CHECK_CUDA(gpu.cuda.mem_free(base));
	free(host);
	storm_check_close(&check);
	return outcome;
}

static enum outcome take_stock(const char *when, struct resources *resources)
{
	CHECK_PASSED(resources_flush());
	CHECK_PASSED(resources_get(resources));
	resources_print(when, resources);
	return PASSED;
}

/*
 * CUDA and the driver may fill a cache in the long run; a leak takes more every
 * time. So where something grew, all is done once more: that it then takes
 * nothing shows that it was no leak.
 */
static enum outcome test_leaks(struct resources *before)
{
	struct storm_tally tally;
	enum outcome outcome;
	struct resources after;

	CHECK_PASSED(take_stock("after it", &after));
	outcome = resources_compare(before, &after, HOST_SLACK);
	if (outcome != PASSED) {
		printf("# %s; all of it once more\n", test_why);
		*before = after;
		CHECK_PASSED(storm_run(&endless, count, gpu.seed + 2, &tally));
		CHECK_PASSED(take_stock("after that", &after));
		outcome = resources_compare(before, &after, HOST_SLACK);
	}
	if (outcome == PASSED && after.bar1_used == GPUMEM_UNKNOWN)
		return test_skip("nothing is left, but BAR1, whose use cannot "
				 "be told here, was not looked at");
	return outcome;
}

static void print_pins(void)
{
	struct gpumem_stats stats = { .size = sizeof(stats) };

	if (!gpumem_stats_get(gpu.session, &stats))
		printf("# %" PRIu64 " pins, of these %" PRIu64
		       " out of the cache; %" PRIu64 " proofs, %" PRIu64
		       " by a trial write\n",
		       stats.pins, stats.repins, stats.proofs,
		       stats.trial_writes);
}

static void run_tests(void)
{
	uint64_t warm = count / 20 + 1, start, took;
	struct resources before;
	enum outcome outcome;
	struct storm_tally tally;
	char name[128];

	outcome = storm_check_load();
	if (outcome == PASSED)
		outcome = storm_memory_open();
	if (outcome == PASSED)
		outcome = test_check();
	report("the check finds one wrong byte", outcome);
	if (outcome != PASSED)
		return;
	printf("# beyond %llu bytes verified by %s\n", STORM_SMALL,
	       storm_check_how());

	outcome = storm_run(&endless, warm, gpu.seed, &tally);
	if (outcome == PASSED)
		outcome = take_stock("before the storm", &before);
	snprintf(name, sizeof(name), "%" PRIu64 " sequences to warm up", warm);
	report(name, outcome);
	if (outcome != PASSED)
		return;

	start = storm_now();
	outcome = storm_run(&options, count, gpu.seed + 1, &tally);
	took = storm_now() - start;
	storm_tally_print(&tally);
	print_pins();
	printf("# %" PRIu64 " s\n", took);
	snprintf(name, sizeof(name),
		 "%" PRIu64 " of %" PRIu64 " random sequences, %" PRIu64
		 " threads, seed %" PRIu64 ": every byte verified by CUDA",
		 storm_tally_total(&tally), count, options.threads, gpu.seed);
	report(name, outcome);
	if (outcome == PASSED)
		report("the storm left nothing behind", test_leaks(&before));
}

/* What can be mapped at once bounds the sizes. */
static void bound_sizes(void)
{
	uint64_t room = gpu.device.memory / 2;

	if (gpu.device.bar1_free != GPUMEM_UNKNOWN &&
	    gpu.device.bar1_free / 2 < room)
		room = gpu.device.bar1_free / 2;
	room /= options.threads * STORM_SLOTS;
	if (options.max > room) {
		printf("# sizes up to %" PRIu64 " bytes, not %" PRIu64
		       ": %" PRIu64 " ranges at once must fit\n",
		       room, options.max, options.threads * STORM_SLOTS);
		options.max = room;
	}
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "count", required_argument, NULL, 'c' },
		{ "max", required_argument, NULL, 'm' },
		{ "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 'p' },
		{ 0 },
	};
	const char *backend = NULL;
	int option, status;

	gpu.seed = 1;
	options.threads = sysconf(_SC_NPROCESSORS_ONLN) / 2;
	if (options.threads > 8)
		options.threads = 8;
	if (options.threads < 2)
		options.threads = 2;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 0) : 0;

		if (option == 'b')
			backend = optarg;
		else if (option == 'c')
			count = number;
		else if (option == 'm')
			options.max = number;
		else if (option == 't')
			options.seconds = number;
		else if (option == 's')
			gpu.seed = number;
		else if (option == 'p')
			options.threads = number;
		else
			return 2;
	}
	if (!count || !options.max || !options.threads ||
	    options.threads > STORM_THREADS_MAX || optind < argc) {
		fprintf(stderr, "test_storm: --count, --max and --threads want "
				"a number from 1 on, and threads at most 64\n");
		return 2;
	}
	status = gpu_open(backend);
	if (status)
		return status;
	bound_sizes();
	endless = options;
	endless.seconds = 0;
	run_tests();
	storm_memory_close();
	cuda_close(&gpu.cuda);
	if (gpumem_close(gpu.session)) {
		printf("not ok - close: %s\n", gpumem_last_error());
		failed++;
	}
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
