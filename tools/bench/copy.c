// SPDX-License-Identifier: MIT
/*
 * gpumem bench copy: gpumem_write() and gpumem_read() beside CUDA's copies and
 * the classic ones, every size, in one run, with every byte verified.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/copy.h"

static void bench_copy_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem bench copy [OPTION]...\n"
		"Measures gpumem_write and gpumem_read beside cuMemcpyHtoD and "
		"cuMemcpyDtoH and\n"
		"beside the classic one-thread copy through the mapping that "
		"suits this CPU best,\n"
		"in turns, for each size; verifies every byte once a size.\n"
		"\n"
		"  --min N, --max N  every power of two from N (4) to N (64M)\n"
		"  --size N[KMGT]    this size instead; may be given %d times\n"
		"  --direction D     write or read (both)\n"
		"  --host KIND       pageable or pinned host memory (both)\n"
		"  --align N         device addresses so far past a page's "
		"start, below %d;\n"
		"                    may be given %d times (0 and 1)\n"
		"  --method NAME     also this method of gpumem alone: cpu, "
		"threads, courier,\n"
		"                    engine or all; may be given again\n"
		"  --classic all     all classic copies that this CPU can do, "
		"not the best alone\n"
		"  --time MS         for each row, at least (500)\n"
		"  --pause US        a pause before each call, instead of calls "
		"in a row\n"
		"  --save FILE       also write the JSON object into FILE\n"
		"  --plot DIR        also draw PNG and SVG files there; needs "
		"gnuplot\n"
		"  --replot DIR      draw again what an earlier --plot left in "
		"DIR, and no more\n"
		"  --targets         also compare the figures with the "
		"project's own targets\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n",
		COPY_SIZES_MAX, BENCH_GUARD, COPY_ALIGNS_MAX);
}

static void copy_add_way(struct bench_copy *copy, int read,
			 const struct way *way)
{
	if (copy->way_count[read] < COPY_WAYS_MAX)
		copy->way[read][copy->way_count[read]++] = *way;
}

static void copy_choose_ways(struct bench_copy *copy)
{
	static const char *const methods[] = { "", "cpu", "threads", "courier",
					       "engine" };
	const struct classic *classic;
	struct way way;

	for (int read = 0; read < 2; read++) {
		way_named("gpumem", &way);
		copy_add_way(copy, read, &way);
		way_named("cuMemcpy", &way);
		copy_add_way(copy, read, &way);
		for (unsigned int i = 0; (classic = classic_at(read, i)) &&
					 (copy->all_classic || !i);
		     i++) {
			way_classic(classic, &way);
			copy_add_way(copy, read, &way);
		}
		copy->peer_count[read] = copy->way_count[read] - 1;
		for (unsigned int i = 1; i <= GPUMEM_COPY_ENGINE; i++) {
			/* The GPU pushes; it does not fetch. */
			if (!copy->method[i] ||
			    (i == GPUMEM_COPY_COURIER && !read))
				continue;
			way_named(methods[i], &way);
			copy_add_way(copy, read, &way);
		}
	}
}

static int copy_parse_method(const char *text, bool *method)
{
	struct way way;

	if (!strcmp(text, "all")) {
		for (unsigned int i = 1; i <= GPUMEM_COPY_ENGINE; i++)
			method[i] = true;
		return 0;
	}
	if (!way_named(text, &way) || way.kind != WAY_GPUMEM || !way.method) {
		tool_error("--method: \"%s\" is none of cpu, threads, courier, "
			   "engine and all",
			   text);
		return TOOL_USAGE;
	}
	method[way.method] = true;
	return 0;
}

/* One of two words; they are wanted both until one is named. */
static int copy_parse_either(const char *what, const char *text,
			     const char *const *words, bool *wanted,
			     bool *given)
{
	for (int i = 0; i < 2; i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		if (!*given)
			wanted[!i] = false;
		wanted[i] = true;
		*given = true;
		return 0;
	}
	tool_error("%s: \"%s\" is neither %s nor %s", what, text, words[0],
		   words[1]);
	return TOOL_USAGE;
}

static int copy_parse_align(struct bench_copy *copy, const char *text)
{
	int align, status;

	if (copy->align_count == COPY_ALIGNS_MAX) {
		tool_error("--align: given more than %d times",
			   COPY_ALIGNS_MAX);
		return TOOL_USAGE;
	}
	status = tool_parse_number("--align", text, 0, BENCH_GUARD - 1, &align);
	if (!status)
		copy->align[copy->align_count++] = align;
	return status;
}

static int copy_default_sizes(struct bench_copy *copy)
{
	if (copy->min > copy->max) {
		tool_error("--min is more than --max");
		return TOOL_USAGE;
	}
	if (!copy->size_count) {
		uint64_t size = 1;

		copy->ranged = true;
		while (size && size < copy->min)
			size *= 2;
		for (; size && size <= copy->max; size *= 2)
			copy->size[copy->size_count++] = size;
	}
	if (!copy->size_count) {
		tool_error("--min, --max: there is no power of two between "
			   "them; use --size");
		return TOOL_USAGE;
	}
	if (!copy->align_count) {
		copy->align[copy->align_count++] = 0;
		copy->align[copy->align_count++] = 1;
	}
	return 0;
}

enum {
	OPTION_MIN = TOOL_OPTION_OWN,
	OPTION_MAX,
	OPTION_SIZE,
	OPTION_DIRECTION,
	OPTION_HOST,
	OPTION_ALIGN,
	OPTION_METHOD,
	OPTION_CLASSIC,
	OPTION_TIME,
	OPTION_PAUSE,
	OPTION_SAVE,
	OPTION_PLOT,
	OPTION_REPLOT,
	OPTION_TARGETS,
};

static int bench_copy_take(void *command, int option)
{
	static const char *const directions[] = { "write", "read" };
	static const char *const hosts[] = { "pageable", "pinned" };
	struct bench_copy *copy = command;

	switch (option) {
	case OPTION_MIN:
		return tool_parse_size("--min", optarg, 1, &copy->min);
	case OPTION_MAX:
		return tool_parse_size("--max", optarg, 1, &copy->max);
	case OPTION_SIZE:
		return tool_parse_sizes("--size", optarg, 1, copy->size,
					COPY_SIZES_MAX, &copy->size_count);
	case OPTION_DIRECTION:
		return copy_parse_either("--direction", optarg, directions,
					 copy->direction,
					 &copy->direction_given);
	case OPTION_HOST:
		return copy_parse_either("--host", optarg, hosts, copy->host,
					 &copy->host_given);
	case OPTION_ALIGN:
		return copy_parse_align(copy, optarg);
	case OPTION_METHOD:
		return copy_parse_method(optarg, copy->method);
	case OPTION_CLASSIC:
		copy->all_classic = !strcmp(optarg, "all");
		if (copy->all_classic || !strcmp(optarg, "best"))
			return 0;
		tool_error("--classic: \"%s\" is neither best nor all", optarg);
		return TOOL_USAGE;
	case OPTION_TIME:
		return tool_parse_number("--time", optarg, 0, 60000,
					 &copy->time);
	case OPTION_PAUSE:
		return tool_parse_number("--pause", optarg, 0, 1000000,
					 &copy->pause);
	case OPTION_SAVE:
		copy->save = optarg;
		return 0;
	case OPTION_TARGETS:
		copy->targets = true;
		return 0;
	default:
		if (!*optarg) {
			tool_error("--plot, --replot: give a folder");
			return TOOL_USAGE;
		}
		copy->plot = optarg;
		copy->replot = option == OPTION_REPLOT;
		return 0;
	}
}

static int bench_copy_parse(struct bench_copy *copy, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "min", required_argument, NULL, OPTION_MIN },
		{ "max", required_argument, NULL, OPTION_MAX },
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "direction", required_argument, NULL, OPTION_DIRECTION },
		{ "host", required_argument, NULL, OPTION_HOST },
		{ "align", required_argument, NULL, OPTION_ALIGN },
		{ "method", required_argument, NULL, OPTION_METHOD },
		{ "classic", required_argument, NULL, OPTION_CLASSIC },
		{ "time", required_argument, NULL, OPTION_TIME },
		{ "pause", required_argument, NULL, OPTION_PAUSE },
		{ "save", required_argument, NULL, OPTION_SAVE },
		{ "plot", required_argument, NULL, OPTION_PLOT },
		{ "replot", required_argument, NULL, OPTION_REPLOT },
		{ "targets", no_argument, NULL, OPTION_TARGETS },
		{ 0 },
	};
	int status = tool_parse(argc, argv, options, &copy->gpu.target,
				bench_copy_take, copy);

	if (status || copy->gpu.target.help)
		return status;
	if (copy->save && !report_available()) {
		tool_error("--save: gpumem was built without JSON support");
		return TOOL_USAGE;
	}
	copy->limits.time_us = copy->time * 1e3;
	copy->limits.pause_us = copy->pause;
	copy->limits.spread_us = copy->pause > 0 ? 0 : copy->limits.time_us;
	copy_choose_ways(copy);
	return copy_default_sizes(copy);
}

static int copy_save(const struct bench_copy *copy)
{
	FILE *out = fopen(copy->save, "we");
	int lost;

	if (out) {
		copy_report(copy, out);
		lost = ferror(out);
		if (!fclose(out) && !lost)
			return 0;
	}
	tool_error("--save: %s: %s", copy->save, strerror(errno));
	return TOOL_FAILED;
}

/* What cannot be written does not keep the rest away. */
static int copy_publish(const struct bench_copy *copy)
{
	int saved = 0, drawn = 0;

	if (copy->gpu.target.json)
		copy_report(copy, stdout);
	else
		copy_print_end(copy);
	if (copy->save)
		saved = copy_save(copy);
	if (copy->plot)
		drawn = copy_plot(copy);
	return saved ? saved : drawn;
}

static int bench_copy_run(int argc, char **argv)
{
	struct bench_copy *copy = calloc(1, sizeof(*copy));
	int status;

	if (!copy) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	copy->min = 4;
	copy->max = 64 << 20;
	copy->time = 500;
	copy->direction[0] = copy->direction[1] = true;
	copy->host[0] = copy->host[1] = true;
	status = bench_copy_parse(copy, argc, argv);
	if (status)
		goto out;
	if (copy->gpu.target.help) {
		bench_copy_help(stdout);
		goto out;
	}
	if (copy->replot) {
		status = copy_replot(copy->plot);
		goto out;
	}
	if (copy->save)
		status = tool_check_file("--save", copy->save, false);
	if (!status && copy->plot)
		status = copy_plot_check(copy->plot);
	if (!status)
		status = bench_gpu_open(&copy->gpu);
	if (status)
		goto out;
	status = copy_measure(copy);
	if (!status)
		status = copy_publish(copy);
	bench_gpu_close(&copy->gpu);
out:
	free(copy->cell);
	free(copy);
	return status;
}

const struct tool_command tool_bench_copy = {
	.name = "copy",
	.summary = "copies beside cuMemcpy and the classic ones, every size",
	.run = bench_copy_run,
	.help = bench_copy_help,
};
