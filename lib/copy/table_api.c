// SPDX-License-Identifier: MIT
/* The plan of a session, for those who want to know or to change it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "copy/context.h"
#include "copy/dispatch.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "base/handle.h"

/* How the way of a step works, for people. */
static void gm_step_text(const struct gpumem_plan_step *step, bool measured,
			 char *text, size_t size)
{
	const char *source = measured ? "as measured by gpumem tune"
				      : "built in; run gpumem tune to measure";
	bool read = step->flags & GPUMEM_COPY_READ;
	bool pinned = step->flags & GPUMEM_COPY_PINNED;

	switch (step->method) {
	case GPUMEM_COPY_COURIER:
		snprintf(text, size,
			 "a kernel on the GPU pushes the data %s (%s)",
			 pinned ? "into the host memory"
			 : step->threads > 1
				 ? "into staging memory, which several "
				   "threads drain"
				 : "into staging memory, which the calling "
				   "thread drains",
			 source);
		break;
	case GPUMEM_COPY_ENGINE:
		snprintf(text, size, "the GPU's copy engine%s (%s)",
			 pinned ? "" : ", through staging memory", source);
		break;
	case GPUMEM_COPY_THREADS:
		snprintf(text, size,
			 "up to %u threads %s the mapping with %s (%s)",
			 step->threads, read ? "load from" : "store into",
			 gm_cpu()->name, source);
		break;
	default:
		snprintf(text, size,
			 "the calling thread %s the mapping with %s (%s)",
			 read ? "loads from" : "stores into", gm_cpu()->name,
			 source);
	}
}

/* What the courier would do, where it is off. */
static struct gpumem_plan_step
gm_step_without_courier(const struct gm_copier *copier, uint64_t length)
{
	struct gpumem_plan_step step = { .method = GPUMEM_COPY_CPU,
					 .threads = 1 };

	if (length <= GM_ISOLATED_CPU)
		return step;
	step.method = GPUMEM_COPY_ENGINE;
	if (copier->engine_on)
		return step;
	step.method = GPUMEM_COPY_THREADS;
	step.threads = copier->threads;
	return step;
}

int gpumem_copy_explain(struct gpumem *handle, uint64_t length,
			unsigned int flags, struct gpumem_copy_plan *plan)
{
	struct gm_session *session;
	struct gpumem_plan_step step;
	struct gm_copier *copier;
	int rc;

	rc = gm_session_get(handle, "copy_explain", &session);
	if (rc)
		return rc;
	copier = session->copier;
	if (!plan || plan->size != sizeof(*plan)) {
		rc = gm_error(-EINVAL,
			      "copy_explain: plan is NULL or its size is not "
			      "%zu; set it to sizeof(struct gpumem_copy_plan)",
			      sizeof(*plan));
	} else if (flags & ~(GPUMEM_COPY_READ | GPUMEM_COPY_PINNED)) {
		rc = gm_error(-EINVAL,
			      "copy_explain: flags 0x%x; only "
			      "GPUMEM_COPY_READ and _PINNED are known",
			      flags);
	} else {
		step = gm_copier_step(copier, flags, length);
		if (step.method == GPUMEM_COPY_COURIER && !copier->courier_on) {
			step = gm_step_without_courier(copier, length);
		}
		step.flags = flags;
		*plan = (struct gpumem_copy_plan){
			.size = sizeof(*plan),
			.method = step.method,
			.threads = step.threads,
			.measured = copier->plan.measured,
		};
		gm_step_text(&step, plan->measured, plan->text,
			     sizeof(plan->text));
	}
	gm_handle_put(handle);
	return rc;
}

int gpumem_plan_get(struct gpumem *handle, struct gpumem_plan_step *steps,
		    size_t *count)
{
	struct gm_session *session;
	struct gm_copier *copier;
	size_t room, n = 0;
	int rc;

	rc = gm_session_get(handle, "plan_get", &session);
	if (rc)
		return rc;
	copier = session->copier;
	if (!count || (*count && !steps)) {
		rc = gm_error(-EINVAL, "plan_get: count or steps is NULL; pass "
				       "both");
		goto put;
	}
	room = *count;
	pthread_rwlock_rdlock(&copier->plan_lock);
	for (unsigned int i = 0; i < GM_PLAN_WAYS; i++) {
		const struct gm_plan_list *list = &copier->plan.list[i];

		for (unsigned int k = 0; k < list->count; k++, n++)
			if (n < room)
				steps[n] = list->step[k];
	}
	pthread_rwlock_unlock(&copier->plan_lock);
	*count = n;
	if (n > room)
		rc = gm_error(-ENOSPC,
			      "plan_get: there are %zu steps and room for %zu; "
			      "give more",
			      n, room);
put:
	gm_handle_put(handle);
	return rc;
}

static int gm_copier_set_plan(struct gm_copier *copier,
			      const struct gpumem_plan_step *steps,
			      size_t count, bool save)
{
	struct gm_plan plan;
	char path[512];
	int rc = 0;

	pthread_rwlock_wrlock(&copier->plan_lock);
	plan = copier->plan;
	if (!count)
		gm_plan_default(&plan);
	else
		rc = gm_plan_set(&plan, steps, count);
	if (!rc) {
		plan.measured = count;
		if (save)
			rc = gm_plan_path(copier->gpu, path, sizeof(path));
		if (!rc && save && count)
			rc = gm_plan_save(&plan, path, copier->gpu);
		else if (!rc && save)
			remove(path);
	}
	if (!rc) {
		copier->plan = plan;
		gm_copier_plan_changed(copier);
	}
	pthread_rwlock_unlock(&copier->plan_lock);
	return rc;
}

int gpumem_plan_set(struct gpumem *handle, const struct gpumem_plan_step *steps,
		    size_t count, unsigned int flags)
{
	struct gm_session *session;
	int rc;

	rc = gm_session_get(handle, "plan_set", &session);
	if (rc)
		return rc;
	if (flags & ~GPUMEM_PLAN_SAVE)
		rc = gm_error(-EINVAL,
			      "plan_set: flags 0x%x; only GPUMEM_PLAN_SAVE is "
			      "known",
			      flags);
	else if (count && !steps)
		rc = gm_error(-EINVAL, "plan_set: steps is NULL; pass %zu",
			      count);
	else
		rc = gm_copier_set_plan(session->copier, steps, count,
					flags & GPUMEM_PLAN_SAVE);
	gm_handle_put(handle);
	return rc;
}

int gpumem_plan_path(struct gpumem *handle, char *path, size_t size)
{
	struct gm_session *session;
	int rc;

	rc = gm_session_get(handle, "plan_path", &session);
	if (rc)
		return rc;
	if (!path)
		rc = gm_error(-EINVAL, "plan_path: path is NULL; pass room for "
				       "a path");
	else
		rc = gm_plan_path(session->copier->gpu, path, size);
	gm_handle_put(handle);
	return rc;
}
