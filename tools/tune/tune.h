/* SPDX-License-Identifier: MIT */
/* gpumem tune: what is measured, and the plan that comes of it. */
#ifndef GPUMEM_TOOL_TUNE_H
#define GPUMEM_TOOL_TUNE_H

#include "bench/bench.h"
#include "bench/method.h"

#define TUNE_FIRST ((uint64_t)64)
#define TUNE_SIZES 21 /* powers of two, to 64 MiB */
#define TUNE_CHOICES_MAX 20
/* That the library takes for one direction and kind of memory. */
#define TUNE_STEPS_MAX 16
/* Two directions, two kinds of host memory. */
#define TUNE_LISTS 4

/* One size: medians of all choices, 0 where one was not measured. */
struct tune_row {
	double us[TUNE_CHOICES_MAX];
	int best; /* the choice that is taken */
};

/* One direction and kind of memory; the simplest choice is the first. */
struct tune_list {
	unsigned int flags; /* GPUMEM_COPY_READ, GPUMEM_COPY_PINNED */
	int choice_count;
	struct way choice[TUNE_CHOICES_MAX];
	struct tune_row row[TUNE_SIZES];
};

struct tune {
	struct bench_gpu gpu;
	bool show, dry_run, reset, force;
	int time; /* milliseconds for each row */
	struct tune_list list[TUNE_LISTS];
	size_t step_count;
	struct gpumem_plan_step step[TUNE_LISTS * TUNE_STEPS_MAX];
	double took; /* seconds */
};

static inline uint64_t tune_size(int row)
{
	return TUNE_FIRST << row;
}

/* "writes from pageable memory" and so on. */
const char *tune_list_name(unsigned int flags);

/*
 * Measures all and fills step. Returns 0 or TOOL_FAILED after saying why. The
 * session's plan is then any.
 */
int tune_measure(struct tune *tune);

/* Prints the rows, and the steps of a plan. */
void tune_print_rows(const struct tune *tune);
void tune_print_steps(const struct gpumem_plan_step *steps, size_t count);
/* The same into a report, as "rows" and "plan". */
void tune_report_rows(const struct tune *tune, struct report *to);
void tune_report_steps(const struct gpumem_plan_step *steps, size_t count,
		       struct report *to);

#endif /* GPUMEM_TOOL_TUNE_H */
