// SPDX-License-Identifier: MIT
/* gpumem bench loops --plot: a drawing for each loop and kind of memory. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "bench/loops.h"
#include "bench/loops_gnuplot.h"
#include "bench/plot.h"

static const char data[] = "loops.dat", script[] = "loops.gp";

int loops_plot_check(const char *folder)
{
	const char *const names[] = { data, script };

	return plot_check(folder, names, 2);
}

/* "read-beside-alloc-read-pageable": letters, digits and dashes. */
static void series_name(const struct loop_row *row, char *name, size_t room)
{
	size_t used = 0;
	char text[96];

	snprintf(text, sizeof(text), "%s %s %s", row->loop,
		 row->joined ? "" : row->what,
		 row->pinned ? "pinned" : "pageable");
	if (row->processes)
		snprintf(text, sizeof(text), "%s %d", row->loop,
			 row->processes);
	for (const char *c = text; *c && used + 1 < room; c++) {
		if (isalnum((unsigned char)*c))
			name[used++] = *c;
		else if (used && name[used - 1] != '-')
			name[used++] = '-';
	}
	name[used] = '\0';
}

static bool same_series(const struct loop_row *a, const struct loop_row *b)
{
	return !strcmp(a->loop, b->loop) &&
	       (a->joined || !strcmp(a->what, b->what)) &&
	       a->pinned == b->pinned && a->processes == b->processes;
}

static void plot_row(const struct loop_row *row, FILE *out)
{
	fprintf(out, "%" PRIu64, row->bytes);
	for (int i = 0; i < LOOP_COPIES; i++)
		fprintf(out, "\t%.4f", row->us[i]);
	fprintf(out, "\n");
}

/* The rows of a series from its first one on; nothing from a later one on. */
static void plot_series(const struct loops *loops, int first, FILE *out)
{
	char name[64];

	for (int i = 0; i < first; i++) {
		if (same_series(&loops->row[i], &loops->row[first]))
			return;
	}
	series_name(&loops->row[first], name, sizeof(name));
	fprintf(out, "bytes:%s\tgpumem\tgpumem without SM copy\tcuMemcpy\n",
		name);
	for (int i = first; i < loops->row_count; i++) {
		if (same_series(&loops->row[i], &loops->row[first]))
			plot_row(&loops->row[i], out);
	}
	fprintf(out, "\n\n");
}

static int plot_data(const struct loops *loops)
{
	FILE *out = plot_create(loops->plot, data);
	struct bench_machine machine = { 0 };

	if (!out)
		return TOOL_FAILED;
	bench_machine_get(&loops->gpu, &machine);
	text_line(out, 0, "# %s, driver %s, %s, %s", machine.gpu,
		  machine.driver, machine.cpu, machine.date);
	for (int i = 0; i < loops->row_count; i++)
		plot_series(loops, i, out);
	return plot_close(out, loops->plot, data);
}

int loops_plot(const struct loops *loops)
{
	int status = plot_data(loops);

	return status ? status
		      : plot_draw(loops->plot, script, loops_gnuplot_script);
}
