// SPDX-License-Identifier: MIT
/* Files for gnuplot, and gnuplot itself, in the folder of --plot. */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tool.h"
#include "bench/plot.h"

extern char **environ;

static int plot_failed(const char *folder, const char *name)
{
	tool_error("--plot: %s%s%s: %s", folder, *name ? "/" : "", name,
		   strerror(errno));
	return TOOL_FAILED;
}

FILE *plot_create(const char *folder, const char *name)
{
	char path[4096];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "we");
	if (!out)
		plot_failed(folder, name);
	return out;
}

int plot_close(FILE *out, const char *folder, const char *name)
{
	int lost = ferror(out);

	return fclose(out) || lost ? plot_failed(folder, name) : 0;
}

/* Returns 0 or an errno. */
static int plot_spawn(const char *folder, char *const *argv, pid_t *child)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error)
		return error;
	error = posix_spawn_file_actions_addchdir_np(&actions, folder);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&actions, 2, 1);
	if (!error)
		error = posix_spawnp(child, "gnuplot", &actions, NULL, argv,
				     environ);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* Runs gnuplot in the folder; what it says goes to stderr. */
static int plot_gnuplot(const char *folder, char *const *argv)
{
	pid_t child = 0;
	int error = plot_spawn(folder, argv, &child), status;

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

int plot_check(const char *folder, const char *const *names, int count)
{
	/* Both kinds of drawings take a gnuplot that was built with them. */
	char *const argv[] = { "gnuplot", "-e",
			       "set terminal pngcairo; set terminal svg",
			       NULL };
	int status = plot_gnuplot(".", argv);

	if (status)
		return status;
	if (mkdir(folder, 0777) && errno != EEXIST)
		return plot_failed(folder, "");
	for (int i = 0; i < count && !status; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		status = tool_check_file("--plot", path, false);
	}
	return status;
}

int plot_draw(const char *folder, const char *name, const char *script)
{
	char *const argv[] = { "gnuplot", (char *)name, NULL };
	FILE *out = plot_create(folder, name);
	int status;

	if (!out)
		return TOOL_FAILED;
	fputs(script, out);
	status = plot_close(out, folder, name);
	return status ? status : plot_gnuplot(folder, argv);
}
