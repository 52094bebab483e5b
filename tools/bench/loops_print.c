// SPDX-License-Identifier: MIT
/* gpumem bench loops: rows as text and as JSON, and what they come to. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/loops.h"

static const char *const keys[LOOP_COPIES] = { "gpumem", "without_sm_copy",
					       "cuMemcpy" };

/* What a time is of: "read", "read, 4 processes". */
static const char *row_what(const struct loop_row *row, char *text, size_t room)
{
	snprintf(text, room, "%s", row->what);
	if (row->processes)
		snprintf(text, room, "%s, %d process%s", row->what,
			 row->processes, row->processes == 1 ? "" : "es");
	return text;
}

static const char *row_host(const struct loop_row *row)
{
	return row->pinned ? "pinned" : "pageable";
}

/* "1.07 (1.05..1.09)" */
static const char *row_ratio(const struct ratio *ratio, char *text, size_t room)
{
	if (ratio->count)
		snprintf(text, room, "%.2f (%.2f..%.2f)", ratio->median,
			 ratio->low, ratio->high);
	else
		snprintf(text, room, "-");
	return text;
}

void loops_print_header(void)
{
	printf("\nmicroseconds, medians of blocks; ratio: the time as a "
	       "multiple of the other's (quartiles)\n"
	       "%-17s %-24s %9s %-8s %10s %10s %10s  %-20s %-20s %s\n",
	       "loop", "time of", "bytes", "host", "gpumem", "without",
	       "cuMemcpy", "to cuMemcpy", "to without", "verdict");
}

static void print_also(const struct loop_cell *cell, const struct stats *stats)
{
	for (int i = 0; i < cell->also_count; i++) {
		double us = stats_median(&stats[LOOP_COPIES + i]);

		if (us > 0)
			printf("%-17s beside: %s %.2f\n", "", cell->also[i],
			       us);
	}
}

static double per_second(const struct stats *stats)
{
	double us = stats_median(stats);

	return us > 0 ? 1e6 / us : 0;
}

static void print_per_second(const struct loop_cell *cell,
			     const struct stats *stats)
{
	int ways = LOOP_COPIES + cell->also_count;

	printf("%-17s per second:", "");
	for (int i = 0; i < ways; i++)
		printf("%s %s %.1f", i ? ";" : "", loop_way_name(cell, i),
		       per_second(&stats[i]));
	printf("\n");
}

static void print_row(const struct loop_row *row)
{
	char what[48], to_cuda[48], to_without[48];

	printf("%-17s %-24s %9" PRIu64 " %-8s %10.2f %10.2f %10.2f  "
	       "%-20s %-20s %s\n",
	       row->loop, row_what(row, what, sizeof(what)), row->bytes,
	       row_host(row), row->us[LOOP_GPUMEM], row->us[LOOP_WITHOUT],
	       row->us[LOOP_CUDA],
	       row_ratio(&row->to_cuda, to_cuda, sizeof(to_cuda)),
	       row_ratio(&row->to_without, to_without, sizeof(to_without)),
	       verdict_name(ratio_verdict(&row->to_cuda)));
}

static void report_per_second(const struct loop_cell *cell,
			      const struct stats *stats, struct report *to)
{
	struct report *object = report_object();

	for (int i = 0; i < LOOP_COPIES + cell->also_count; i++)
		report_real(object,
			    i < LOOP_COPIES ? keys[i]
					    : cell->also[i - LOOP_COPIES],
			    per_second(&stats[i]));
	report_member(to, "per_second", object);
}

static void report_row(const struct loop_cell *cell, int figure,
		       const struct loop_row *row, const struct stats *stats)
{
	struct report *object = report_object(), *us = report_object();
	struct report *also = report_object(), *ratio = report_object();

	for (int i = 0; i < LOOP_COPIES; i++)
		stats_report(&stats[i], us, keys[i]);
	for (int i = 0; i < cell->also_count; i++) {
		if (stats[LOOP_COPIES + i].count)
			stats_report(&stats[LOOP_COPIES + i], also,
				     cell->also[i]);
	}
	ratio_report(&row->to_cuda, ratio, "cuMemcpy");
	ratio_report(&row->to_without, ratio, "without_sm_copy");
	report_string(object, "loop", row->loop);
	report_string(object, "what", row->what);
	report_number(object, "bytes", row->bytes);
	report_string(object, "host", row_host(row));
	report_number(object, "processes", row->processes ? row->processes : 1);
	report_member(object, "us", us);
	report_member(object, "also_us", also);
	report_member(object, "ratio", ratio);
	if (cell->per_second[figure])
		report_per_second(cell, stats, object);
	report_string(object, "verdict",
		      verdict_name(ratio_verdict(&row->to_cuda)));
	report_member(cell->loops->rows, NULL, object);
}

static struct loop_row *row_new(struct loops *loops)
{
	size_t count = loops->row_count + 1;
	struct loop_row *row = realloc(loops->row, count * sizeof(*row));

	if (!row) {
		tool_error("out of host memory");
		return NULL;
	}
	loops->row = row;
	loops->row_count = count;
	memset(&row[count - 1], 0, sizeof(*row));
	return &row[count - 1];
}

int loops_row(const struct loop_cell *cell, int figure,
	      const struct stats *stats)
{
	struct loop_row *row = row_new(cell->loops);

	if (!row)
		return TOOL_FAILED;
	row->loop = cell->loop;
	row->what = cell->what[figure];
	row->bytes = cell->bytes[figure];
	row->joined = cell->joined;
	row->pinned = cell->pinned;
	row->processes = cell->processes;
	for (int i = 0; i < LOOP_COPIES; i++)
		row->us[i] = stats_median(&stats[i]);
	ratio_of(&stats[LOOP_GPUMEM], &stats[LOOP_CUDA], &row->to_cuda);
	ratio_of(&stats[LOOP_GPUMEM], &stats[LOOP_WITHOUT], &row->to_without);
	if (cell->loops->rows)
		report_row(cell, figure, row, stats);
	if (cell->loops->gpu.target.json)
		return 0;
	print_row(row);
	if (cell->per_second[figure])
		print_per_second(cell, stats);
	else
		print_also(cell, stats);
	return 0;
}

/* The rows that are worse than another way, each in a line. */
static void print_worse(const struct loops *loops, const char *than,
			size_t member)
{
	int count = 0;

	for (int i = 0; i < loops->row_count; i++) {
		const struct loop_row *row = &loops->row[i];
		const struct ratio *ratio =
			(const struct ratio *)((const char *)row + member);
		char what[48], text[48];

		if (ratio_verdict(ratio) != VERDICT_WORSE)
			continue;
		if (!count++)
			printf("worse than %s:\n", than);
		printf("  %s, %s, %" PRIu64 " bytes, %s: %s\n", row->loop,
		       row_what(row, what, sizeof(what)), row->bytes,
		       row_host(row), row_ratio(ratio, text, sizeof(text)));
	}
	printf("worse than %s: %d of %d rows%s\n", than, count,
	       loops->row_count,
	       tool_device_label(&loops->gpu.device, loops->gpu.backend));
}

void loops_print_end(const struct loops *loops)
{
	printf("\nevery read was right\n");
	if (loops->missing[0])
		printf("no CUDA graph: %s\n", loops->missing);
	print_worse(loops, "cuMemcpy", offsetof(struct loop_row, to_cuda));
	print_worse(loops, "gpumem without SM copy",
		    offsetof(struct loop_row, to_without));
}
