/* SPDX-License-Identifier: MIT */
/* Which way a copy of some length takes: built-in, or measured and stored. */
#ifndef GM_PLAN_H
#define GM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <gpumem.h>

/* Two directions, two kinds of host memory. */
#define GM_PLAN_WAYS 4
#define GM_PLAN_STEPS 16

struct gm_plan_list {
	unsigned int count;
	struct gpumem_plan_step step[GM_PLAN_STEPS]; /* by rising up_to */
};

struct gm_plan {
	struct gm_plan_list list[GM_PLAN_WAYS];
	bool measured;
};

/* The list for GPUMEM_COPY_READ and GPUMEM_COPY_PINNED in flags. */
static inline unsigned int gm_plan_way(unsigned int flags)
{
	return (flags & GPUMEM_COPY_READ ? 2 : 0) +
	       (flags & GPUMEM_COPY_PINNED ? 1 : 0);
}

/* The step for a length; the last one has no end. */
static inline const struct gpumem_plan_step *
gm_plan_find(const struct gm_plan *plan, unsigned int flags, uint64_t length)
{
	const struct gm_plan_list *list = &plan->list[gm_plan_way(flags)];
	unsigned int i = 0;

	while (i + 1 < list->count && length > list->step[i].up_to)
		i++;
	return &list->step[i];
}

void gm_plan_default(struct gm_plan *plan);

/*
 * Replaces the lists by steps in any order; each way that is named must reach
 * to UINT64_MAX. -EINVAL with its reason.
 */
int gm_plan_set(struct gm_plan *plan, const struct gpumem_plan_step *steps,
		size_t count);

/*
 * The file for a GPU and this machine's CPU. -ENOENT where neither
 * XDG_CACHE_HOME nor HOME is set.
 */
int gm_plan_path(const char *gpu, char *path, size_t size);

/*
 * -ENOENT: there is none; -EPERM: others could have written it, or it is no
 * file of the kind, which the log tells; -EINVAL: it is none of ours. Stores no
 * reason, and never waits.
 */
int gm_plan_load(struct gm_plan *plan, const char *path);

/* The same from a file that is open. -EINVAL, and the plan stays as it was. */
int gm_plan_read(struct gm_plan *plan, FILE *in);

/* As gm_plan_read() reads it; the comment is one line. */
void gm_plan_write(const struct gm_plan *plan, FILE *out, const char *comment);

/* Writes it whole or not at all. With the reason stored. */
int gm_plan_save(const struct gm_plan *plan, const char *path, const char *gpu);

/* "cpu", "threads", "courier", "engine"; "?" for none of them. */
const char *gm_method_name(unsigned int method);

#endif /* GM_PLAN_H */
