// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "copy/table.h"
#include "copy/threads/pool.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define END UINT64_MAX

/*
 * Where nothing was measured: the crossovers of an H100 on PCIe 5.0 with Xeon
 * CPUs of the fourth generation, as `gpumem tune` found them there.
 */
static const struct gpumem_plan_step gm_plan_built_in[] = {
	{ 0, GPUMEM_COPY_CPU, 1, 0, 64 * KIB },
	{ 0, GPUMEM_COPY_THREADS, 4, 0, 512 * KIB },
	{ 0, GPUMEM_COPY_THREADS, 8, 0, END },
	{ GPUMEM_COPY_PINNED, GPUMEM_COPY_CPU, 1, 0, 64 * KIB },
	{ GPUMEM_COPY_PINNED, GPUMEM_COPY_THREADS, 4, 0, 384 * KIB },
	{ GPUMEM_COPY_PINNED, GPUMEM_COPY_ENGINE, 1, 0, END },
	{ GPUMEM_COPY_READ, GPUMEM_COPY_CPU, 1, 0, 2048 },
	{ GPUMEM_COPY_READ, GPUMEM_COPY_COURIER, 1, 0, 128 * KIB },
	{ GPUMEM_COPY_READ, GPUMEM_COPY_COURIER, 8, 0, END },
	{ GPUMEM_COPY_READ | GPUMEM_COPY_PINNED, GPUMEM_COPY_CPU, 1, 0, 2048 },
	{ GPUMEM_COPY_READ | GPUMEM_COPY_PINNED, GPUMEM_COPY_COURIER, 1, 0,
	  384 * KIB },
	{ GPUMEM_COPY_READ | GPUMEM_COPY_PINNED, GPUMEM_COPY_ENGINE, 1, 0,
	  END },
};

static int gm_step_compare(const void *a, const void *b)
{
	const struct gpumem_plan_step *x = a, *y = b;

	return x->up_to < y->up_to ? -1 : x->up_to > y->up_to;
}

static int gm_step_check(const struct gpumem_plan_step *step)
{
	if (step->flags & ~(GPUMEM_COPY_READ | GPUMEM_COPY_PINNED) ||
	    step->reserved)
		return gm_error(-EINVAL,
				"plan_set: a step has flags 0x%x, reserved "
				"0x%x; only GPUMEM_COPY_READ and _PINNED are "
				"known",
				step->flags, step->reserved);
	if (step->method < GPUMEM_COPY_CPU ||
	    step->method > GPUMEM_COPY_ENGINE ||
	    (step->method == GPUMEM_COPY_COURIER &&
	     !(step->flags & GPUMEM_COPY_READ)))
		return gm_error(-EINVAL,
				"plan_set: a step has method %u, which is none "
				"for its direction; use GPUMEM_COPY_CPU, "
				"_THREADS, _ENGINE, and _COURIER for reads",
				step->method);
	if (step->threads < 1 || step->threads > GM_POOL_MAX)
		return gm_error(-EINVAL,
				"plan_set: a step has %u threads; use 1 to %u",
				step->threads, GM_POOL_MAX);
	return 0;
}

int gm_plan_set(struct gm_plan *plan, const struct gpumem_plan_step *steps,
		size_t count)
{
	struct gm_plan_list lists[GM_PLAN_WAYS] = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct gm_plan_list *list;
		int rc = gm_step_check(&steps[i]);

		if (rc)
			return rc;
		list = &lists[gm_plan_way(steps[i].flags)];
		if (list->count == GM_PLAN_STEPS)
			return gm_error(-EINVAL,
					"plan_set: more than %u steps for one "
					"direction and kind of memory; join "
					"some",
					GM_PLAN_STEPS);
		list->step[list->count++] = steps[i];
	}
	for (unsigned int i = 0; i < GM_PLAN_WAYS; i++) {
		struct gm_plan_list *list = &lists[i];

		if (!list->count)
			continue;
		qsort(list->step, list->count, sizeof(list->step[0]),
		      gm_step_compare);
		if (list->step[list->count - 1].up_to != END)
			return gm_error(-EINVAL,
					"plan_set: the last step of a "
					"direction and kind of memory must "
					"have no end; set up_to to UINT64_MAX");
	}
	for (unsigned int i = 0; i < GM_PLAN_WAYS; i++)
		if (lists[i].count)
			plan->list[i] = lists[i];
	return 0;
}

void gm_plan_default(struct gm_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	gm_plan_set(plan, gm_plan_built_in,
		    sizeof(gm_plan_built_in) / sizeof(gm_plan_built_in[0]));
}
