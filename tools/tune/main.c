// SPDX-License-Identifier: MIT
/*
 * gpumem tune: measures which way is the fastest for which copies here, and
 * stores that for the library.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "tune/tune.h"

static void tune_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem tune [OPTION]...\n"
		"Measures, in less than 20 s, which way to copy is the fastest "
		"for which size,\n"
		"direction and kind of host memory on this machine, and stores "
		"the plan for this\n"
		"GPU model and CPU model in the user's cache folder, where "
		"programs find it.\n"
		"On a simulated GPU it stores nothing without --force.\n"
		"\n"
		"  --show            print the plan in force, and measure "
		"nothing\n"
		"  --dry-run         measure and print, but store nothing\n"
		"  --reset           go back to the built-in plan\n"
		"  --force           store the plan of a simulated GPU too\n"
		"  --time MS         for each row, at least (120)\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n");
}

enum {
	OPTION_SHOW = TOOL_OPTION_OWN,
	OPTION_DRY_RUN,
	OPTION_RESET,
	OPTION_FORCE,
	OPTION_TIME
};

static int tune_take(void *command, int option)
{
	struct tune *tune = command;

	if (option == OPTION_TIME)
		return tool_parse_number("--time", optarg, 0, 10000,
					 &tune->time);
	if (option == OPTION_SHOW)
		tune->show = true;
	else if (option == OPTION_DRY_RUN)
		tune->dry_run = true;
	else if (option == OPTION_RESET)
		tune->reset = true;
	else
		tune->force = true;
	return 0;
}

static int tune_parse(struct tune *tune, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "show", no_argument, NULL, OPTION_SHOW },
		{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
		{ "reset", no_argument, NULL, OPTION_RESET },
		{ "force", no_argument, NULL, OPTION_FORCE },
		{ "time", required_argument, NULL, OPTION_TIME },
		{ 0 },
	};
	int status = tool_parse(argc, argv, options, &tune->gpu.target,
				tune_take, tune);

	if (!status && tune->show + tune->dry_run + tune->reset > 1)
		return tool_usage("--show, --dry-run and --reset: give one of "
				  "them");
	return status;
}

/* The file, or NULL with the reason in gpumem_last_error(). */
static const char *tune_path(struct tune *tune, char *path, size_t room)
{
	return gpumem_plan_path(tune->gpu.session, path, room) ? NULL : path;
}

static int tune_show(struct tune *tune)
{
	struct gpumem_copy_plan plan = { .size = sizeof(plan) };
	char path[4096];
	const char *file;
	struct report *report;

	tune->step_count = sizeof(tune->step) / sizeof(tune->step[0]);
	if (gpumem_plan_get(tune->gpu.session, tune->step, &tune->step_count) ||
	    gpumem_copy_explain(tune->gpu.session, TUNE_FIRST, 0, &plan))
		return tool_gpumem_error("asking for the plan");
	file = tune_path(tune, path, sizeof(path));
	if (tune->gpu.target.json) {
		report = report_object();
		bench_machine_report(&tune->gpu, report);
		report_bool(report, "measured", plan.measured);
		report_string(report, "file", file);
		tune_report_steps(tune->step, tune->step_count, report);
		report_print(report);
		return 0;
	}
	bench_machine_print(&tune->gpu);
	printf("\nplan, %s\n",
	       plan.measured ? "measured by gpumem tune" : "built in");
	tune_print_steps(tune->step, tune->step_count);
	if (file)
		text_line(stdout, 9, "file     %s", file);
	else
		text_line(stdout, 9, "no file: %s", tool_reason());
	return 0;
}

static int tune_reset(struct tune *tune)
{
	char path[4096];

	if (gpumem_plan_set(tune->gpu.session, NULL, 0, GPUMEM_PLAN_SAVE))
		return tool_gpumem_error("going back to the built-in plan");
	return tune_path(tune, path, sizeof(path))
		       ? tune_show(tune)
		       : tool_gpumem_error("finding the plan's file");
}

/* Whether the plan is stored; otherwise *why says why not. */
static bool tune_stores(const struct tune *tune, const char **why)
{
	bool simulated = tune->gpu.device.flags & GPUMEM_DEVICE_SIMULATED;

	if (tune->dry_run)
		*why = "nothing stored: --dry-run";
	else if (simulated && !tune->force)
		*why = "nothing stored: the GPU is simulated, and its figures "
		       "say nothing of a real one (--force stores them)";
	else
		return true;
	return false;
}

static int tune_go(struct tune *tune)
{
	const char *why = NULL, *file = NULL;
	struct report *report;
	char path[4096];
	int status;

	if (tune_stores(tune, &why)) {
		file = tune_path(tune, path, sizeof(path));
		if (!file)
			return tool_gpumem_error("finding the plan's file");
		status = tool_check_file("the plan", file, true);
		if (status)
			return status;
	}
	if (!tune->gpu.target.json)
		bench_machine_print(&tune->gpu);
	status = tune_measure(tune);
	if (status)
		return status;
	if (file && gpumem_plan_set(tune->gpu.session, tune->step,
				    tune->step_count, GPUMEM_PLAN_SAVE)) {
		status = tool_gpumem_error("storing the plan");
		file = NULL;
	}
	if (tune->gpu.target.json) {
		report = report_object();
		bench_machine_report(&tune->gpu, report);
		report_real(report, "seconds", tune->took);
		report_string(report, "stored", file);
		tune_report_rows(tune, report);
		tune_report_steps(tune->step, tune->step_count, report);
		report_print(report);
		return status;
	}
	tune_print_rows(tune);
	printf("\nplan, measured in %.1f s\n", tune->took);
	tune_print_steps(tune->step, tune->step_count);
	if (why)
		printf("%s\n", why);
	else if (file)
		text_line(stdout, 9, "stored   %s", file);
	return status;
}

static int tune_run(int argc, char **argv)
{
	struct tune *tune = calloc(1, sizeof(*tune));
	int status;

	if (!tune) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	tune->time = 120;
	status = tune_parse(tune, argc, argv);
	if (status)
		goto out;
	if (tune->gpu.target.help) {
		tune_help(stdout);
		goto out;
	}
	status = bench_gpu_open(&tune->gpu);
	if (status)
		goto out;
	if (tune->show)
		status = tune_show(tune);
	else if (tune->reset)
		status = tune_reset(tune);
	else
		status = tune_go(tune);
	bench_gpu_close(&tune->gpu);
out:
	free(tune);
	return status;
}

const struct tool_command tool_tune = {
	.name = "tune",
	.summary = "find the fastest way to copy here, and remember it",
	.run = tune_run,
	.help = tune_help,
};
