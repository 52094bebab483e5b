// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_copy.h"
#include "gnuplot.h"
#include "text.h"

extern char **environ;

static int plot_failed(const char *folder, const char *name)
{
	tool_error("--plot: %s%s%s: %s", folder, *name ? "/" : "", name,
		   strerror(errno));
	return TOOL_FAILED;
}

static FILE *plot_create(const char *folder, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return fopen(path, "we");
}

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
	int lost;

	if (!out)
		return plot_failed(copy->plot, "copy.dat");
	bench_machine_get(&copy->gpu, &machine);
	text_line(out, 0, "# %s, driver %s, %s, %s", machine.gpu,
		  machine.driver, machine.cpu, machine.date);
	for (int block = 0; block < 8; block++)
		plot_block(copy, block & 4, block & 2, block & 1, out);
	lost = ferror(out);
	if (fclose(out) || lost)
		return plot_failed(copy->plot, "copy.dat");
	return 0;
}

/* Runs gnuplot in the folder; what it says goes to stderr. */
static int plot_gnuplot(const char *folder, char *const *argv)
{
	posix_spawn_file_actions_t actions;
	int error, status;
	pid_t child;

	if (posix_spawn_file_actions_init(&actions))
		return plot_failed(folder, "gnuplot");
	error = posix_spawn_file_actions_addchdir_np(&actions, folder);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, 2, 1);
	if (!error)
		error = posix_spawnp(&child, "gnuplot", &actions, NULL, argv,
				     environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error == ENOENT) {
		tool_error("gnuplot is not installed; install it (Debian: apt "
			   "install gnuplot-nox)");
		return TOOL_FAILED;
	}
	if (error) {
		errno = error;
		return plot_failed(folder, "gnuplot");
	}
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return plot_failed(folder, "gnuplot");
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	tool_error("gnuplot failed; its message says why");
	return TOOL_FAILED;
}

int copy_plot_check(const char *folder)
{
	/* Both kinds of drawings take a gnuplot that was built with them. */
	char *const argv[] = { "gnuplot", "-e",
			       "set terminal pngcairo; set terminal svg",
			       NULL };
	static const char *const names[] = { "copy.dat", "copy.gp" };
	char path[4096];
	int status = plot_gnuplot(".", argv);

	if (status)
		return status;
	if (mkdir(folder, 0777) && errno != EEXIST)
		return plot_failed(folder, "");
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		status = tool_check_file("--plot", path, false);
		if (status)
			return status;
	}
	return 0;
}

int copy_replot(const char *folder)
{
	char *const argv[] = { "gnuplot", "copy.gp", NULL };
	FILE *out;
	int lost;
	char path[4096];

	snprintf(path, sizeof(path), "%s/copy.dat", folder);
	if (access(path, R_OK)) {
		tool_error("--replot: %s: %s; --plot leaves it there", path,
			   strerror(errno));
		return TOOL_FAILED;
	}
	out = plot_create(folder, "copy.gp");
	if (!out)
		return plot_failed(folder, "copy.gp");
	lost = fputs(gnuplot_script, out) < 0;
	if (fclose(out) || lost)
		return plot_failed(folder, "copy.gp");
	return plot_gnuplot(folder, argv);
}

int copy_plot(const struct bench_copy *copy)
{
	int status = plot_write_data(copy);

	return status ? status : copy_replot(copy->plot);
}
