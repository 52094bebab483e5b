// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "bench/plot.h"
#include "bench/copy.h"
#include "gnuplot.h"
#include "text.h"

/* The cells of a direction and a kind of memory, at the first alignment. */
static void plot_block(const struct bench_copy *copy, bool read, bool pinned,
		       bool rate, FILE *out)
{
	const struct way *way = copy->way[read];
	bool begun = false;

	for (int i = 0; i < copy->cell_count; i++) {
		const struct copy_cell *cell = &copy->cell[i];

		if (cell->read != read || cell->pinned != pinned ||
		    cell->align != copy->align[0])
			continue;
		if (!begun)
			fprintf(out, "bytes:%s-%s-%s", read ? "read" : "write",
				pinned ? "pinned" : "pageable",
				rate ? "bandwidth" : "latency");
		for (int k = 0; k < copy->way_count[read] && !begun; k++)
			fprintf(out, "\t%s", way[k].name);
		begun = true;
		fprintf(out, "\n%" PRIu64, cell->length);
		for (int k = 0; k < copy->way_count[read]; k++) {
			double us = cell->spread[k].median;

			if (!cell->count[k])
				fprintf(out, "\t-");
			else
				fprintf(out, "\t%.4f",
					rate ? copy_rate(cell->length, us)
					     : us);
		}
	}
	if (begun)
		fprintf(out, "\n\n\n");
}

static int plot_write_data(const struct bench_copy *copy)
{
	FILE *out = plot_create(copy->plot, "copy.dat");
	struct bench_machine machine = { 0 };

	if (!out)
		return TOOL_FAILED;
	bench_machine_get(&copy->gpu, &machine);
	text_line(out, 0, "# %s, driver %s, %s, %s", machine.gpu,
		  machine.driver, machine.cpu, machine.date);
	for (int block = 0; block < 8; block++)
		plot_block(copy, block & 4, block & 2, block & 1, out);
	return plot_close(out, copy->plot, "copy.dat");
}

int copy_plot_check(const char *folder)
{
	static const char *const names[] = { "copy.dat", "copy.gp" };

	return plot_check(folder, names, 2);
}

int copy_replot(const char *folder)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/copy.dat", folder);
	if (access(path, R_OK)) {
		tool_error("--replot: %s: %s; --plot leaves it there", path,
			   strerror(errno));
		return TOOL_FAILED;
	}
	return plot_draw(folder, "copy.gp", gnuplot_script);
}

int copy_plot(const struct bench_copy *copy)
{
	int status = plot_write_data(copy);

	return status ? status : copy_replot(copy->plot);
}
