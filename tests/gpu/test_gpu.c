// SPDX-License-Identifier: MIT
/*
 * Tests of libgpumem on a real GPU. Prints a line a test and a summary; exits 0
 * when all passed, 1 when one failed, 77 where there is no GPU to test.
 *
 *   test_gpu [--backend NAME] [--seed N] [NAME...]
 *
 * Names run the tests whose names contain one of them.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu.h"

static const struct test *const test_lists[] = {
	copy_tests, life_tests, refusal_tests, search_tests, stress_tests,
};

static int count[3]; /* by outcome */

static void run(const struct test *test)
{
	static const char *const words[] = { "ok", "not ok", "skip" };
	enum outcome outcome;

	test_why[0] = '\0';
	/* A crash must leave the name of the test behind. */
	printf("# run %s\n", test->name);
	fflush(stdout);
	outcome = test->run();
	count[outcome]++;
	printf("%s - %s%s%s\n", words[outcome], test->name,
	       outcome == PASSED ? "" : ": ",
	       outcome == PASSED ? "" : test_why);
	fflush(stdout);
}

static bool wanted(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++) {
		if (strstr(name, *names))
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	const char *backend = NULL;
	int option, status;

	gpu.seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'b')
			backend = optarg;
		else if (option == 's')
			gpu.seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	status = gpu_open(backend);
	if (status)
		return status;
	for (size_t i = 0; i < sizeof(test_lists) / sizeof(test_lists[0]);
	     i++) {
		for (const struct test *test = test_lists[i]; test->name;
		     test++) {
			if (wanted(test->name, argv + optind))
				run(test);
		}
	}
	cuda_close(&gpu.cuda);
	if (gpumem_close(gpu.session)) {
		printf("not ok - close: %s\n", gpumem_last_error());
		count[FAILED]++;
	}
	printf("%d passed, %d failed, %d skipped\n", count[PASSED],
	       count[FAILED], count[SKIPPED]);
	return count[FAILED] || !count[PASSED] ? EXIT_FAILURE : EXIT_SUCCESS;
}
