// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "tune/tune.h"

static const char *method_name(unsigned int method)
{
	static const char *const names[] = { "auto", "cpu", "threads",
					     "courier", "engine" };

	return method <= GPUMEM_COPY_ENGINE ? names[method] : "unknown";
}

const char *tune_list_name(unsigned int flags)
{
	if (flags & GPUMEM_COPY_READ)
		return flags & GPUMEM_COPY_PINNED
			       ? "reads into pinned memory"
			       : "reads into pageable memory";
	return flags & GPUMEM_COPY_PINNED ? "writes from pinned memory"
					  : "writes from pageable memory";
}

void tune_print_rows(const struct tune *tune)
{
	for (int i = 0; i < TUNE_LISTS; i++) {
		const struct tune_list *list = &tune->list[i];

		printf("\n%s: microseconds, medians; - where far off the "
		       "best\n%9s  %-20s",
		       tune_list_name(list->flags), "bytes", "taken");
		for (int k = 0; k < list->choice_count; k++) {
			const struct way *way = &list->choice[k];
			char title[32];

			snprintf(title, sizeof(title), "%s %u",
				 method_name(way->method), way->threads);
			printf(" %10s", title);
		}
		printf("\n");
		for (int row = 0; row < TUNE_SIZES; row++) {
			printf("%9llu  %-20s",
			       (unsigned long long)tune_size(row),
			       list->choice[list->row[row].best].name);
			for (int k = 0; k < list->choice_count; k++) {
				if (list->row[row].us[k] > 0)
					printf(" %10.3f", list->row[row].us[k]);
				else
					printf(" %10s", "-");
			}
			printf("\n");
		}
	}
}

void tune_print_steps(const struct gpumem_plan_step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char size[32];

		if (!i || steps[i].flags != steps[i - 1].flags)
			printf("  %s\n", tune_list_name(steps[i].flags));
		if (steps[i].up_to == UINT64_MAX)
			printf("    %-18s", "beyond");
		else
			printf("    to %-15s",
			       tool_format_size(size, sizeof(size),
						steps[i].up_to));
		printf(" %s", method_name(steps[i].method));
		if (steps[i].threads > 1)
			printf(", %u threads", steps[i].threads);
		printf("\n");
	}
}

static void report_way(unsigned int flags, struct report *to)
{
	report_string(to, "direction",
		      flags & GPUMEM_COPY_READ ? "read" : "write");
	report_string(to, "host",
		      flags & GPUMEM_COPY_PINNED ? "pinned" : "pageable");
}

void tune_report_rows(const struct tune *tune, struct report *to)
{
	struct report *rows = report_list();

	for (int i = 0; i < TUNE_LISTS * TUNE_SIZES; i++) {
		const struct tune_list *list = &tune->list[i / TUNE_SIZES];
		const struct tune_row *row = &list->row[i % TUNE_SIZES];
		struct report *object = report_object();
		struct report *us = report_object();

		report_way(list->flags, object);
		report_number(object, "size", tune_size(i % TUNE_SIZES));
		report_string(object, "taken", list->choice[row->best].name);
		for (int k = 0; k < list->choice_count; k++) {
			if (row->us[k] > 0)
				report_real(us, list->choice[k].name,
					    row->us[k]);
		}
		report_member(object, "us", us);
		report_member(rows, NULL, object);
	}
	report_member(to, "rows", rows);
}

void tune_report_steps(const struct gpumem_plan_step *steps, size_t count,
		       struct report *to)
{
	struct report *list = report_list();

	for (size_t i = 0; i < count; i++) {
		struct report *object = report_object();

		report_way(steps[i].flags, object);
		/* null: no end */
		report_number(object, "up_to", steps[i].up_to);
		report_string(object, "method", method_name(steps[i].method));
		report_number(object, "threads", steps[i].threads);
		report_member(list, NULL, object);
	}
	report_member(to, "plan", list);
}
