// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "tune/tune.h"

/* Rounds that a row gets in any case. */
#define ROUNDS 5
/* A way so much slower than the best in its first calls is out. */
#define DROP 2.0
/* What is faster by less is not worth more threads, or the GPU's time. */
#define WORTH 1.03

static void tune_add(struct tune_list *list, unsigned int method,
		     const char *name, unsigned int threads)
{
	struct way *way = &list->choice[list->choice_count];

	if (list->choice_count == TUNE_CHOICES_MAX)
		return;
	list->choice_count++;
	way->kind = WAY_PLAN;
	way->method = method;
	way->threads = threads;
	if (threads > 1)
		snprintf(way->name, sizeof(way->name), "%s, %u threads", name,
			 threads);
	else
		snprintf(way->name, sizeof(way->name), "%s", name);
}

/* Whether a method can be taken here at all: the library's choice would fall
 * back to another without a word. */
static bool tune_can(struct way_job *job, const char *name)
{
	char why[232];
	struct way way;

	way_named(name, &way);
	job->length = 64 << 10;
	return !way_copy(&way, job, why, sizeof(why));
}

/* Helpers drain staging memory: into pinned memory there is none. */
static void tune_choose(struct tune_list *list, struct way_job *job,
			unsigned int threads)
{
	unsigned int helpers = job->host->pinned ? 1 : threads;

	tune_add(list, GPUMEM_COPY_CPU, "cpu", 1);
	for (unsigned int n = 2; n <= threads; n *= 2)
		tune_add(list, GPUMEM_COPY_THREADS, "threads", n);
	for (unsigned int n = 1; n <= helpers && tune_can(job, "engine");
	     n *= 2)
		tune_add(list, GPUMEM_COPY_ENGINE, "engine", n);
	if (!job->read || !tune_can(job, "courier"))
		return;
	for (unsigned int n = 1; n <= helpers; n *= 2)
		tune_add(list, GPUMEM_COPY_COURIER, "courier", n);
}

/* The choice before, or the simplest, that is nearly the best. */
static int tune_best(const struct tune_list *list, int row)
{
	const double *us = list->row[row].us;
	int before = row ? list->row[row - 1].best : -1;
	double best = 0;

	for (int i = 0; i < list->choice_count; i++) {
		if (us[i] > 0 && (best == 0 || us[i] < best))
			best = us[i];
	}
	if (before >= 0 && us[before] > 0 && us[before] <= WORTH * best)
		return before;
	for (int i = 0; i < list->choice_count; i++) {
		if (us[i] > 0 && us[i] <= WORTH * best)
			return i;
	}
	return 0;
}

/*
 * The length from which the next row's choice is better than this one's:
 * between the two sizes, where straight lines through the figures cross.
 */
static uint64_t tune_crossover(const struct tune_list *list, int row)
{
	uint64_t size = tune_size(row), step;
	int from = list->row[row].best, to = list->row[row + 1].best;
	double before = list->row[row].us[to] - list->row[row].us[from];
	double after = list->row[row + 1].us[from] - list->row[row + 1].us[to];
	double part;

	if (list->row[row].us[to] <= 0 || list->row[row + 1].us[from] <= 0 ||
	    before <= 0 || after <= 0)
		return size;
	part = before / (before + after);
	step = size >= 16 << 10 ? 4096 : 64;
	return (uint64_t)(size + part * size) / step * step;
}

static void tune_plan(struct tune *tune, const struct tune_list *list)
{
	int begun = 0;

	for (int row = 0; row < TUNE_SIZES; row++) {
		const struct way *way = &list->choice[list->row[row].best];
		bool last = row == TUNE_SIZES - 1;

		if (!last && (list->row[row + 1].best == list->row[row].best ||
			      begun == TUNE_STEPS_MAX - 1))
			continue;
		begun++;
		tune->step[tune->step_count++] = (struct gpumem_plan_step){
			.flags = list->flags,
			.method = way->method,
			.threads = way->threads,
			.up_to = last ? UINT64_MAX : tune_crossover(list, row),
		};
	}
}

static int tune_row(const struct tune *tune, struct tune_list *list, int row,
		    struct way_job *job, struct way_result *results)
{
	const struct way_limits limits = {
		.time_us = tune->time * 1e3,
		.rounds = ROUNDS,
		.drop = DROP,
	};

	job->length = tune_size(row);
	way_measure(list->choice, list->choice_count, job, &limits, results);
	if (results[0].error) {
		tool_error("measuring %s of %llu bytes: %s",
			   tune_list_name(list->flags),
			   (unsigned long long)job->length, results[0].why);
		return TOOL_FAILED;
	}
	for (int i = 0; i < list->choice_count; i++)
		list->row[row].us[i] = stats_median(&results[i].stats);
	list->row[row].best = tune_best(list, row);
	return 0;
}

static int tune_list_measure(struct tune *tune, struct tune_list *list,
			     struct way_job *job, struct way_result *results)
{
	struct gpumem_copy_settings settings = { .size = sizeof(settings) };
	int status = 0;

	if (gpumem_copy_settings_get(tune->gpu.session, &settings))
		return tool_gpumem_error("asking for the settings");
	if (!settings.copy_engine) {
		tool_error(
			"GPUMEM_COPY_ENGINE=0 leaves out a way to copy, which "
			"the plan then lacks for good; unset it");
		return TOOL_FAILED;
	}
	tune_choose(list, job, settings.threads);
	for (int row = 0; row < TUNE_SIZES && !status; row++)
		status = tune_row(tune, list, row, job, results);
	if (!status)
		tune_plan(tune, list);
	return status;
}

int tune_measure(struct tune *tune)
{
	struct way_result *results = calloc(TUNE_CHOICES_MAX, sizeof(*results));
	uint64_t largest = tune_size(TUNE_SIZES - 1);
	struct bench_memory memory = { 0 };
	struct bench_host host[2] = { 0 };
	double start = tool_now();
	int status = 0;

	if (!results) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	/* What it cannot have is no choice. */
	gpumem_copy_prepare(tune->gpu.session);
	status = bench_memory_new(&tune->gpu, largest, &memory);
	for (int i = 0; i < 2 && !status; i++)
		status = bench_host_new(&tune->gpu, largest, i, &host[i]);
	for (int i = 0; i < TUNE_LISTS && !status; i++) {
		struct tune_list *list = &tune->list[i];
		struct way_job job = {
			.gpu = &tune->gpu,
			.memory = &memory,
			.host = &host[i & 1],
			.read = i & 2,
		};

		list->flags = (i & 2 ? GPUMEM_COPY_READ : 0) |
			      (i & 1 ? GPUMEM_COPY_PINNED : 0);
		status = tune_list_measure(tune, list, &job, results);
	}
	for (int i = 0; i < 2; i++)
		bench_host_free(&tune->gpu, &host[i]);
	bench_memory_free(&memory);
	free(results);
	tune->took = (tool_now() - start) / 1e6;
	return status;
}
