// SPDX-License-Identifier: MIT
/* Every copy routine that this CPU can run, and how one is chosen. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu_check.h"
#include "unit.h"

#ifdef __x86_64__
extern const struct gm_cpu gm_cpu_avx512_line;
bool gm_avx512_runs(void);
#endif

static void for_every_routine(const char *name)
{
	const struct cpu_check *check = cpu_checks;
	const struct gm_cpu *cpu;

	while (strcmp(check->name, name))
		check++;
	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++) {
		if (!check->run(cpu))
			fail_msg("%s: %s", cpu->name, cpu_check_why);
	}
#ifdef __x86_64__
	/* It copies rightly on more CPUs than it is chosen for. */
	cpu = &gm_cpu_avx512_line;
	if (gm_avx512_runs() && !check->run(cpu))
		fail_msg("%s: %s", cpu->name, cpu_check_why);
#endif
}

static void stores_write_the_range_alone(void **state)
{
	for_every_routine("store");
}

static void loads_bring_the_range_alone(void **state)
{
	for_every_routine("load");
}

static void drains_are_copies(void **state)
{
	for_every_routine("drain");
}

static void large_ranges(void **state)
{
	for_every_routine("large");
}

static void no_page_but_the_ranges_is_touched(void **state)
{
	for_every_routine("pages");
}

static void thirty_two_bytes(void **state)
{
	for_every_routine("store32");
}

static void copies_within_the_host(void **state)
{
	for_every_routine("copy");
}

static void tags_end_where_one_is_wrong(void **state)
{
	for_every_routine("untag");
}

static void whole_copies_end_as_they_say(void **state)
{
	for_every_routine("whole");
}

static void random_places(void **state)
{
	/* Whole lines, as what is mapped is. */
	static char map[100032] __attribute__((aligned(64)));
	const struct gm_cpu *cpu;

	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++) {
		if (!cpu_check_map(cpu, map, 100001, 500))
			fail_msg("%s: %s", cpu->name, cpu_check_why);
	}
}

/* Words of 4 and 8 bytes, each half 0 or all ones, as the other half is. */
struct words {
	const struct gm_cpu *cpu;
	uint64_t eight __attribute__((aligned(64)));
	uint32_t four;
	atomic_bool end;
};

static void *write_words(void *arg)
{
	struct words *words = arg;
	uint64_t value = 0;

	while (!atomic_load_explicit(&words->end, memory_order_relaxed)) {
		value = ~value;
		words->cpu->store(&words->eight, &value, 8);
		words->cpu->store(&words->four, &value, 4);
	}
	return NULL;
}

static void words_are_whole(void **state)
{
	struct words words = { 0 };

	for (unsigned int i = 0; (words.cpu = gm_cpu_at(i)); i++) {
		pthread_t thread;

		words.end = false;
		assert_int_equal(
			pthread_create(&thread, NULL, write_words, &words), 0);
		for (int round = 0; round < 200000; round++) {
			uint64_t eight;
			uint32_t four;

			words.cpu->load(&eight, &words.eight, 8);
			words.cpu->load(&four, &words.four, 4);
			if (eight + 1 > 1 || four + 1 > 1)
				fail_msg("%s: half a word", words.cpu->name);
		}
		words.end = true;
		pthread_join(thread, NULL);
	}
}

/* What a program run with GPUMEM_CPU uses, and its debug output. */
static void choose(const char *name, char *used, char *log, size_t size)
{
	int pipes[2], logs[2], status;
	ssize_t got;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pipe(logs), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		const char *text;

		dup2(logs[1], STDERR_FILENO);
		setenv("GPUMEM_CPU", name, 1);
		setenv("GPUMEM_LOG", "debug", 1);
		text = gm_cpu()->name;
		_exit(write(pipes[1], text, strlen(text)) < 0);
	}
	close(pipes[1]);
	close(logs[1]);
	got = read(pipes[0], used, size - 1);
	used[got > 0 ? got : 0] = '\0';
	got = read(logs[0], log, size - 1);
	log[got > 0 ? got : 0] = '\0';
	close(pipes[0]);
	close(logs[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void the_environment_chooses(void **state)
{
	const struct gm_cpu *cpu;
	char used[200], log[200];

	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++) {
		choose(cpu->name, used, log, sizeof(used));
		assert_string_equal(used, cpu->name);
		assert_string_equal(log, "");
	}
	choose("", used, log, sizeof(used));
	assert_string_equal(used, gm_cpu_at(0)->name);
	choose("abacus", used, log, sizeof(used));
	assert_string_equal(used, gm_cpu_at(0)->name);
	assert_non_null(strstr(log, "GPUMEM_CPU=abacus"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: it is chosen once in a process. */
		cmocka_unit_test(the_environment_chooses),
		cmocka_unit_test(stores_write_the_range_alone),
		cmocka_unit_test(loads_bring_the_range_alone),
		cmocka_unit_test(drains_are_copies),
		cmocka_unit_test(large_ranges),
		cmocka_unit_test(no_page_but_the_ranges_is_touched),
		cmocka_unit_test(thirty_two_bytes),
		cmocka_unit_test(copies_within_the_host),
		cmocka_unit_test(tags_end_where_one_is_wrong),
		cmocka_unit_test(whole_copies_end_as_they_say),
		cmocka_unit_test(random_places),
		cmocka_unit_test(words_are_whole),
	};

#ifdef __SANITIZE_THREAD__
	/* Which makes it many times slower, and has nothing to find here. */
	cpu_check_step = 5;
#endif
	printf("routines:");
	for (unsigned int i = 0; gm_cpu_at(i); i++)
		printf(" %s", gm_cpu_at(i)->name);
	printf("\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
