// SPDX-License-Identifier: MIT
/* Fuzzes the reader of plan files: a plan that it takes survives being stored. */
#include <string.h>

#include "../../../lib/copy/table.h"
#include "check.h"

static int plan_read(struct gm_plan *plan, const void *text, size_t length)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, length, "r");
	int rc;

	check(in);
	gm_plan_default(plan);
	rc = gm_plan_read(plan, in);
	fclose(in);
	return rc;
}

static void list_check(const struct gm_plan_list *list)
{
	check(list->count >= 1 && list->count <= GM_PLAN_STEPS);
	check(list->step[list->count - 1].up_to == UINT64_MAX);
	for (unsigned int i = 1; i < list->count; i++)
		check(list->step[i].up_to >= list->step[i - 1].up_to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gm_plan plan, built_in, again;
	size_t length;
	char *text;
	FILE *out;

	gm_plan_default(&built_in);
	if (plan_read(&plan, data, size)) {
		check(!memcmp(&plan, &built_in, sizeof(plan)));
		return 0;
	}
	for (unsigned int i = 0; i < GM_PLAN_WAYS; i++)
		list_check(&plan.list[i]);
	out = open_memstream(&text, &length);
	check(out);
	gm_plan_write(&plan, out, "GPU, CPU");
	check(!fclose(out));
	check(!plan_read(&again, text, length));
	free(text);
	for (unsigned int i = 0; i < GM_PLAN_WAYS; i++) {
		const struct gm_plan_list *one = &plan.list[i];

		check(again.list[i].count == one->count);
		check(!memcmp(again.list[i].step, one->step,
			      one->count * sizeof(one->step[0])));
	}
	return 0;
}
