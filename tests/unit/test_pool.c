// SPDX-License-Identifier: MIT
/* The threads that help with large copies. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/base/pause.h"
#include "../../lib/cpu/cpu.h"
#include "../../lib/copy/threads/pool.h"
#include "../../lib/copy/threads/affinity.h"
#include "clock.h"
#include "unit.h"

#define THREADS 4
#define PIECE 1000
#define PIECES 257
/* For so long a helper looks for its next job. */
#define LOOK_NS (50 * CLOCK_US)
#define LENGTH ((size_t)PIECE * (PIECES - 1) + 7)

/* What a job did; plain members, which the pool alone makes safe. */
struct job {
	unsigned char seen[PIECES];
	size_t bytes[PIECES];
	atomic_size_t next; /* the piece that begins next */
	atomic_bool wrong;
	atomic_uint at_work, most;
	unsigned int spins, pause_us; /* how long each piece takes */
};

static void work(void *arg, size_t first, size_t length)
{
	unsigned int at_work, most;
	struct job *job = arg;
	size_t index = first / PIECE;

	at_work = atomic_fetch_add(&job->at_work, 1) + 1;
	most = atomic_load(&job->most);
	while (at_work > most &&
	       !atomic_compare_exchange_weak(&job->most, &most, at_work))
		;
	if (first % PIECE || index >= PIECES ||
	    length != (index == PIECES - 1 ? 7 : PIECE) || job->seen[index])
		atomic_store(&job->wrong, true);
	job->seen[index]++;
	job->bytes[index] = length;
	for (unsigned int i = 0; i < job->spins; i++)
		gm_cpu_pause();
	if (job->pause_us)
		usleep(job->pause_us);
	atomic_fetch_sub(&job->at_work, 1);
}

static const char *job_trouble(const struct job *job)
{
	size_t sum = 0;

	if (job->wrong)
		return "a piece of the wrong size, or twice";
	for (size_t i = 0; i < PIECES; i++) {
		if (job->seen[i] != 1)
			return "a piece that was left out";
		sum += job->bytes[i];
	}
	return sum == LENGTH ? NULL : "bytes that were left out";
}

static void run_job(struct gm_pool *pool, unsigned int threads, struct job *job)
{
	gm_pool_run(pool, threads, LENGTH, PIECE, work, job);
	if (job_trouble(job))
		fail_msg("%u threads: %s", threads, job_trouble(job));
	assert_true(job->most <= threads);
}

static void every_piece_is_done_once(void **state)
{
	struct gm_pool *pool = gm_pool_new(THREADS, -1);

	assert_non_null(pool);
	for (unsigned int round = 0; round < 3000; round++) {
		struct job job = { .spins = round % 50 };

		run_job(pool, 1 + round % THREADS, &job);
	}
	gm_pool_free(pool);
}

/* Before jobs that come at once, late or not at all, to sleepers and others. */
static void threads_may_be_roused(void **state)
{
	struct gm_pool *pool = gm_pool_new(THREADS, -1);

	assert_non_null(pool);
	gm_pool_rouse(pool, THREADS);
	for (unsigned int round = 0; round < 1000; round++) {
		struct job job = { .spins = round % 50 };

		if (round % 5 == 0)
			usleep(round % 200);
		if (round % 3)
			gm_pool_rouse(pool, round % 4 * THREADS);
		if (round % 7 == 0)
			usleep(round % 100);
		run_job(pool, 1 + round % THREADS, &job);
	}
	gm_pool_rouse(pool, THREADS);
	gm_pool_free(pool);
}

static void odd_sizes(void **state)
{
	struct gm_pool *pool = gm_pool_new(THREADS, -1);
	struct job job = { 0 };

	gm_pool_run(pool, THREADS, 0, PIECE, work, &job);
	assert_int_equal(job.seen[0], 0);
	gm_pool_run(pool, THREADS, PIECE, PIECE, work, &job);
	assert_int_equal(job.seen[0], 1);
	assert_int_equal(job.seen[1], 0);
	gm_pool_free(pool);
	/* Never used, and for one thread alone. */
	gm_pool_free(gm_pool_new(THREADS, 0));
	pool = gm_pool_new(1, -1);
	job = (struct job){ 0 };
	run_job(pool, 1, &job);
	job = (struct job){ 0 };
	gm_pool_run(pool, THREADS, LENGTH, PIECE, work, &job);
	assert_null(job_trouble(&job));
	assert_int_equal(job.most, 1);
	gm_pool_free(pool);
}

/* Piece n waits until all before it have begun: it hangs if n comes first. */
static void wait_for_earlier(void *arg, size_t first, size_t length)
{
	struct job *job = arg;
	size_t next = first / PIECE;

	while (atomic_load(&job->next) != next)
		sched_yield();
	atomic_fetch_add(&job->next, 1);
}

static void pieces_begin_in_order(void **state)
{
	struct gm_pool *pool = gm_pool_new(THREADS, -1);

	for (int round = 0; round < 200; round++) {
		struct job job = { 0 };

		gm_pool_run(pool, THREADS, LENGTH, PIECE, wait_for_earlier,
			    &job);
		assert_int_equal(job.next, PIECES);
	}
	gm_pool_free(pool);
}

/* Waits until as many as that are at work at once. */
static void meet(void *arg, size_t first, size_t length)
{
	struct job *job = arg;

	atomic_fetch_add(&job->at_work, 1);
	while (atomic_load(&job->at_work) < THREADS)
		usleep(100);
}

static void all_threads_help(void **state)
{
	struct gm_pool *pool = gm_pool_new(THREADS, -1);

	for (int round = 0; round < 20; round++) {
		struct job job = { 0 };

		/* Once asleep, once still looking. */
		if (round % 2)
			usleep(2000);
		gm_pool_run(pool, THREADS, THREADS, 1, meet, &job);
		assert_int_equal(job.at_work, THREADS);
	}
	gm_pool_free(pool);
}

/* Of the pools' threads: how many, how many asleep, and the number of one. */
struct helpers {
	unsigned int count, asleep;
	char one[256];
};

static struct helpers helpers_now(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct helpers helpers = { 0 };
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[300], name[32] = "", state = '?';
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/stat",
			 entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%*d (%31[^)]) %c", name, &state) == 2 &&
		    !strcmp(name, "gpumem-copy")) {
			helpers.count++;
			helpers.asleep += state == 'S';
			strcpy(helpers.one, entry->d_name);
		}
		fclose(file);
	}
	closedir(dir);
	return helpers;
}

/* They name themselves when they begin to run, and end soon after a join. */
static void expect_threads(unsigned int count)
{
	unsigned int seen;

	while ((seen = helpers_now().count) != count) {
		assert_true(!count || seen < count);
		usleep(1000);
	}
}

static void threads_are_few_and_end(void **state)
{
	struct gm_pool *pool = gm_pool_new(3, -1);
	struct job job = { 0 };

	expect_threads(0);
	gm_pool_run(pool, 1, LENGTH, PIECE, work, &job);
	assert_int_equal(helpers_now().count, 0);
	job = (struct job){ .pause_us = 50 };
	run_job(pool, 2, &job);
	expect_threads(1);
	job = (struct job){ .pause_us = 50 };
	gm_pool_run(pool, 64, LENGTH, PIECE, work, &job);
	assert_null(job_trouble(&job));
	assert_true(job.most <= 3);
	expect_threads(2);
	gm_pool_free(pool);
	expect_threads(0);

	pool = gm_pool_new(1000, -1);
	job = (struct job){ .pause_us = 50 };
	gm_pool_run(pool, 1000, LENGTH, PIECE, work, &job);
	assert_null(job_trouble(&job));
	assert_true(job.most <= GM_POOL_MAX);
	expect_threads(GM_POOL_MAX - 1);
	gm_pool_free(pool);
	expect_threads(0);
}

/* But those that their own instructions cause. */
static void helpers_take_no_signals(void **state)
{
	static const int own[] = { SIGILL, SIGTRAP, SIGBUS,
				   SIGFPE, SIGSEGV, SIGSYS };
	struct gm_pool *pool = gm_pool_new(2, -1);
	unsigned long long blocked = 0;
	char path[300], line[200];
	sigset_t before, after;
	struct job job = { .pause_us = 50 };
	FILE *file;

	sigprocmask(SIG_SETMASK, NULL, &before);
	run_job(pool, 2, &job);
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int signal = 1; signal < 32; signal++)
		assert_int_equal(sigismember(&after, signal),
				 sigismember(&before, signal));
	expect_threads(1);
	snprintf(path, sizeof(path), "/proc/self/task/%s/status",
		 helpers_now().one);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "SigBlk: %llx", &blocked);
	fclose(file);
	for (int signal = 1; signal < 32; signal++) {
		bool open = signal == SIGKILL || signal == SIGSTOP;

		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			open |= signal == own[i];
		assert_int_equal(blocked >> (signal - 1) & 1, !open);
	}
	gm_pool_free(pool);
}

struct caller {
	struct gm_pool *pool;
	const char *trouble;
};

static void *run_jobs(void *arg)
{
	struct caller *caller = arg;

	for (unsigned int round = 0; round < 500 && !caller->trouble; round++) {
		struct job job = { .spins = round % 50 };

		gm_pool_run(caller->pool, THREADS, LENGTH, PIECE, work, &job);
		caller->trouble = job_trouble(&job);
	}
	return NULL;
}

static void many_callers(void **state)
{
	struct gm_pool *pool = gm_pool_new(THREADS, -1);
	struct caller callers[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){ .pool = pool };
		assert_int_equal(pthread_create(&threads[i], NULL, run_jobs,
						&callers[i]),
				 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		if (callers[i].trouble)
			fail_msg("%s", callers[i].trouble);
	}
	gm_pool_free(pool);
}

static struct gm_pool *idle_pool;

static int free_idle_pool(void **state)
{
	clock_go();
	gm_pool_free(idle_pool);
	idle_pool = NULL;
	return 0;
}

/* The only helper is on its rounds: they are not this thread's looks. */
static void expect_looks(void)
{
	const uint64_t looks = clock_looks();

	while (clock_looks() - looks < 10)
		assert_int_equal(helpers_now().asleep, 0);
}

static void a_helper_looks_for_its_next_job_for_a_while(void **state)
{
	struct job job = { 0 };
	uint64_t looks;

	/* It needs a CPU of its own for that. */
	if (gm_pool_cpus(-1) < 2)
		skip();
	idle_pool = gm_pool_new(2, -1);
	clock_stop();
	run_job(idle_pool, 2, &job);
	expect_threads(1);
	expect_looks();
	clock_move(LOOK_NS - 1);
	expect_looks();
	clock_move(1);
	looks = clock_looks();
	while (!helpers_now().asleep)
		assert_true(clock_looks() - looks < 10);
}

static void expect_sleep(unsigned int helpers)
{
	while (helpers_now().asleep != helpers) {
		clock_move(LOOK_NS);
		usleep(1000);
	}
}

/* Of as few threads as look for a job on any machine, and of more. */
static void idle_threads_sleep(void **state)
{
	clock_stop();
	for (unsigned int threads = 2; threads <= THREADS; threads++) {
		struct job job = { 0 };
		uint64_t looks;

		idle_pool = gm_pool_new(threads, -1);
		run_job(idle_pool, threads, &job);
		expect_sleep(threads - 1);
		/* Woken for a job that does not come. */
		looks = clock_looks();
		gm_pool_rouse(idle_pool, threads);
		while (clock_looks() == looks)
			usleep(1000);
		expect_sleep(threads - 1);
		gm_pool_free(idle_pool);
		idle_pool = NULL;
	}
}

/* The child has the memory alone: it works, by itself, and is dropped. */
static void forked_children(void **state)
{
	struct gm_pool *pool = gm_pool_new(THREADS, -1);
	struct job job = { 0 };
	pid_t child;
	int status;

	run_job(pool, THREADS, &job);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		job = (struct job){ 0 };
		gm_pool_run(pool, THREADS, LENGTH, PIECE, work, &job);
		gm_pool_drop(pool);
		_exit(job_trouble(&job) ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	job = (struct job){ 0 };
	run_job(pool, THREADS, &job);
	gm_pool_free(pool);
}

static void cpus_of_a_node(void **state)
{
	struct gm_pool_set set;
	cpu_set_t mine;

	assert_int_equal(sched_getaffinity(getpid(), sizeof(mine), &mine), 0);
	assert_int_equal(gm_pool_cpus(-1), CPU_COUNT(&mine));
	/* A node that does not exist is none. */
	assert_int_equal(gm_pool_cpus(9999), CPU_COUNT(&mine));
	assert_in_range(gm_pool_cpus(0), 1, CPU_COUNT(&mine));

	assert_int_equal(gm_pool_node_parse("0-3,8,10-11\n", &set), 7);
	assert_true(CPU_ISSET_S(8, sizeof(set), set.words));
	assert_false(CPU_ISSET_S(9, sizeof(set), set.words));
	assert_int_equal(gm_pool_node_parse("5000-5001", &set), 2);
	assert_true(CPU_ISSET_S(5001, sizeof(set), set.words));
	assert_int_equal(gm_pool_node_parse("\n", &set), 0);
	assert_int_equal(gm_pool_node_parse("3-1", &set), 0);
	assert_int_equal(gm_pool_node_parse("0,x", &set), 0);
	assert_int_equal(gm_pool_node_parse("0-99999999999", &set),
			 GM_POOL_CPUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_piece_is_done_once),
		cmocka_unit_test(threads_may_be_roused),
		cmocka_unit_test(odd_sizes),
		cmocka_unit_test(pieces_begin_in_order),
		cmocka_unit_test(all_threads_help),
		cmocka_unit_test(threads_are_few_and_end),
		cmocka_unit_test(helpers_take_no_signals),
		cmocka_unit_test(many_callers),
		cmocka_unit_test_teardown(
			a_helper_looks_for_its_next_job_for_a_while,
			free_idle_pool),
		cmocka_unit_test_teardown(idle_threads_sleep, free_idle_pool),
		cmocka_unit_test(forked_children),
		cmocka_unit_test(cpus_of_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
