// SPDX-License-Identifier: MIT
/* gpumem bench loops: the command line, and the loops one after the other. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "bench/loops.h"

/* The long read of head-of-line. */
#define LARGE ((uint64_t)256 << 20)
#define SIZE_MAX_ASKED ((uint64_t)1 << 30)
#define LARGE_MAX ((uint64_t)4 << 30)

static const struct loop loop_table[] = {
	{ "kernel-sync-read",
	  "a kernel, cuCtxSynchronize, a read of its result", loop_sync_run },
	{ "write-launch-read", "a write, a kernel, cuCtxSynchronize, a read",
	  loop_write_run },
	{ "read-beside-alloc",
	  "reads; another thread allocates, frees, synchronizes",
	  loop_beside_run },
	{ "processes", "1, 2 and 4 processes read from one GPU at once",
	  loop_processes_run },
	{ "busy-gpu", "reads while products of matrices fill the GPU",
	  loop_busy_run },
	{ "head-of-line", "4 KiB reads while another thread reads 256 MiB",
	  loop_head_run },
};

#define LOOP_COUNT (sizeof(loop_table) / sizeof(loop_table[0]))

static void loops_print_list(FILE *out)
{
	for (size_t i = 0; i < LOOP_COUNT; i++)
		fprintf(out, "  %-17s %s\n", loop_table[i].name,
			loop_table[i].summary);
}

static void loops_help(FILE *out)
{
	fprintf(out, "Usage: gpumem bench loops [OPTION]...\n"
		     "Measures the loops that programs run, each with gpumem, "
		     "with gpumem that never\n"
		     "starts the SM copy (courier 0 in gpumem(3)), and with "
		     "cuMemcpy:\n");
	loops_print_list(out);
	fprintf(out,
		"\n"
		"The three take turns in blocks. A block's figure is the mean "
		"time of a round, a\n"
		"row's the median of its blocks. A ratio is that of two "
		"neighbouring blocks, as\n"
		"a median with its quartiles: 1.10 (1.08..1.13) is 10%% "
		"longer. \"worse\" is said\n"
		"where the median is above %.2f and both quartiles are above "
		"1, \"faster\" where\n"
		"it is below %.2f and both are below 1; otherwise \"same\". "
		"Reads are compared with\n"
		"what the kernel wrote; a wrong word ends the bench.\n"
		"\n"
		"  --loop NAME       this loop alone; may be given again\n"
		"  --list            name the loops, and measure nothing\n"
		"  --size N[KMGT]    this size instead of the loops' own; may "
		"be given %d times\n"
		"  --large N[KMGT]   the long read of head-of-line (256M)\n"
		"  --time MS         of a block, at least (50)\n"
		"  --blocks N        of each way, from %d on (%d)\n"
		"  --save FILE       also write the JSON object into FILE\n"
		"  --plot DIR        also draw PNG and SVG files there; needs "
		"gnuplot\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n",
		1 + RATIO_LIMIT, 1 - RATIO_LIMIT, LOOPS_SIZES_MAX,
		LOOPS_BLOCKS_MIN, LOOPS_BLOCKS_MIN);
}

static int loops_take_name(struct loops *loops, const char *name)
{
	struct text_near near = { .word = name };

	for (size_t i = 0; i < LOOP_COUNT; i++) {
		if (!strcmp(name, loop_table[i].name)) {
			loops->chosen |= 1u << i;
			return 0;
		}
		text_near_try(&near, loop_table[i].name);
	}
	if (near.name)
		return tool_usage("--loop: no loop is called %s (did you mean "
				  "%s?)",
				  tool_word(name), near.name);
	return tool_usage("--loop: no loop is called %s; --list names them",
			  tool_word(name));
}

/* Words of 4 bytes, so many that the kernel can count them. */
static int loops_check_bytes(const char *what, uint64_t bytes, uint64_t most)
{
	char text[32];

	if (bytes % 4)
		tool_error("%s: %llu is no multiple of 4", what,
			   (unsigned long long)bytes);
	else if (bytes > most)
		tool_error("%s: more than %s", what,
			   tool_format_size(text, sizeof(text), most));
	else
		return 0;
	return TOOL_USAGE;
}

static int loops_take_size(struct loops *loops, const char *text)
{
	int status = tool_parse_sizes("--size", text, 4, loops->size,
				      LOOPS_SIZES_MAX, &loops->size_count);

	if (status)
		return status;
	return loops_check_bytes("--size", loops->size[loops->size_count - 1],
				 SIZE_MAX_ASKED);
}

static int loops_take_large(struct loops *loops, const char *text)
{
	int status = tool_parse_size("--large", text, 4096, &loops->large);

	return status ? status
		      : loops_check_bytes("--large", loops->large, LARGE_MAX);
}

static int loops_take_save(struct loops *loops, const char *file)
{
	if (!report_available()) {
		tool_error("--save: gpumem was built without JSON support");
		return TOOL_USAGE;
	}
	loops->save = file;
	return 0;
}

static int loops_take_plot(struct loops *loops, const char *folder)
{
	if (!*folder) {
		tool_error("--plot: give a folder");
		return TOOL_USAGE;
	}
	loops->plot = folder;
	return 0;
}

enum {
	OPTION_LOOP = TOOL_OPTION_OWN,
	OPTION_LIST,
	OPTION_SIZE,
	OPTION_LARGE,
	OPTION_TIME,
	OPTION_BLOCKS,
	OPTION_SAVE,
	OPTION_PLOT,
	OPTION_WORKER,
};

static int loops_take(void *command, int option)
{
	struct loops *loops = command;

	switch (option) {
	case OPTION_LOOP:
		return loops_take_name(loops, optarg);
	case OPTION_LIST:
		loops->list = true;
		return 0;
	case OPTION_SIZE:
		return loops_take_size(loops, optarg);
	case OPTION_LARGE:
		return loops_take_large(loops, optarg);
	case OPTION_TIME:
		return tool_parse_number("--time", optarg, 0, 10000,
					 &loops->time);
	case OPTION_BLOCKS:
		return tool_parse_number("--blocks", optarg, LOOPS_BLOCKS_MIN,
					 LOOPS_BLOCKS_MAX, &loops->blocks);
	case OPTION_SAVE:
		return loops_take_save(loops, optarg);
	case OPTION_PLOT:
		return loops_take_plot(loops, optarg);
	default:
		loops->worker = true;
		return 0;
	}
}

/* --worker is not for people: it is how a bench starts its processes. */
static int loops_parse(struct loops *loops, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "loop", required_argument, NULL, OPTION_LOOP },
		{ "list", no_argument, NULL, OPTION_LIST },
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "large", required_argument, NULL, OPTION_LARGE },
		{ "time", required_argument, NULL, OPTION_TIME },
		{ "blocks", required_argument, NULL, OPTION_BLOCKS },
		{ "save", required_argument, NULL, OPTION_SAVE },
		{ "plot", required_argument, NULL, OPTION_PLOT },
		{ "worker", no_argument, NULL, OPTION_WORKER },
		{ 0 },
	};
	int status = tool_parse(argc, argv, options, &loops->gpu.target,
				loops_take, loops);

	if (!status && loops->worker && loops->size_count != 1)
		return tool_usage("--worker: this is for the bench itself");
	return status;
}

static bool loops_wanted(const struct loops *loops, size_t i)
{
	return !loops->chosen || loops->chosen & 1u << i;
}

/* The session whose reads start no kernel on the GPU. */
static int loops_open_without(struct loops *loops)
{
	struct gpumem_copy_settings settings = { .size = sizeof(settings) };
	int status = tool_open(&loops->gpu.target, &loops->without);

	if (status) {
		loops->without = NULL;
		return status;
	}
	if (gpumem_copy_settings_get(loops->without, &settings))
		return tool_gpumem_error("asking for the settings");
	settings.courier = 0;
	if (gpumem_copy_settings_set(loops->without, &settings))
		return tool_gpumem_error("switching the SM copy off");
	return 0;
}

static void loops_close(struct loops *loops)
{
	loops_cuda_close(loops);
	if (loops->without)
		gpumem_close(loops->without);
	bench_gpu_close(&loops->gpu);
}

static int loops_open(struct loops *loops)
{
	int status = bench_gpu_open(&loops->gpu);

	if (status)
		return status;
	status = loops_open_without(loops);
	if (!status)
		status = loops_cuda_open(loops);
	if (status) {
		loops_close(loops);
		return status;
	}
	/* What it cannot have reads do without. */
	gpumem_copy_prepare(loops->gpu.session);
	gpumem_copy_prepare(loops->without);
	return 0;
}

/* Three ways have memory of their own, and there is one host buffer. */
static int loops_check_memory(const struct loops *loops)
{
	uint64_t large = loops_wanted(loops, LOOP_COUNT - 1) ? loops->large : 0;
	int status = 0;

	for (int i = 0; i < loops->size_count && !status; i++)
		status = tool_check_memory(&loops->gpu.device,
					   loops->gpu.backend, "--size",
					   LOOP_COPIES * loops->size[i],
					   2 * loops->size[i]);
	if (!status && large)
		status = tool_check_memory(&loops->gpu.device,
					   loops->gpu.backend, "--large",
					   LOOP_COPIES * large, 2 * large);
	return status;
}

static int loops_run_all(struct loops *loops)
{
	int status = loops_check_memory(loops);

	if (!status && !loops->gpu.target.json) {
		bench_machine_print(&loops->gpu);
		printf("blocks   %d of each way, %d ms\n", loops->blocks,
		       loops->time);
		loops_print_header();
	}
	for (size_t i = 0; i < LOOP_COUNT && !status; i++) {
		if (loops_wanted(loops, i))
			status = loop_table[i].run(loops);
	}
	return status;
}

static void loops_report_end(const struct loops *loops, struct report *report)
{
	report_number(report, "blocks", loops->blocks);
	report_number(report, "block_ms", loops->time);
	report_real(report, "limit", RATIO_LIMIT);
	report_string(report, "no_graph",
		      loops->missing[0] ? loops->missing : NULL);
}

static int loops_save(const struct loops *loops, struct report *report)
{
	FILE *out = fopen(loops->save, "we");
	int lost;

	report_keep(report);
	if (out) {
		report_write(report, out);
		lost = ferror(out);
		if (!fclose(out) && !lost)
			return 0;
	} else {
		report_drop(report);
	}
	tool_error("--save: %s: %s", loops->save, strerror(errno));
	return TOOL_FAILED;
}

/* What cannot be written does not keep the rest away. */
static int loops_publish(const struct loops *loops, struct report *report)
{
	int saved = 0, drawn = 0;

	if (report)
		loops_report_end(loops, report);
	if (loops->save)
		saved = loops_save(loops, report);
	if (loops->gpu.target.json)
		report_print(report);
	else
		loops_print_end(loops);
	if (report && !loops->gpu.target.json)
		report_drop(report);
	if (loops->plot)
		drawn = loops_plot(loops);
	return saved ? saved : drawn;
}

static struct report *loops_report_new(struct loops *loops)
{
	struct report *report = report_object();

	loops->rows = report_list();
	bench_machine_report(&loops->gpu, report);
	report_member(report, "rows", loops->rows);
	return report;
}

static int loops_measure(struct loops *loops)
{
	struct report *report = NULL;
	int status;

	if (loops->gpu.target.json || loops->save)
		report = loops_report_new(loops);
	status = loops_run_all(loops);
	if (!status)
		return loops_publish(loops, report);
	if (report)
		report_drop(report);
	return status;
}

/* What the figures go to can have them: looked at before they are measured. */
static int loops_check_places(const struct loops *loops)
{
	int status = 0;

	if (loops->save)
		status = tool_check_file("--save", loops->save, false);
	if (!status && loops->plot)
		status = loops_plot_check(loops->plot);
	return status;
}

static int loops_go(struct loops *loops)
{
	int status = loops_check_places(loops);

	if (!status)
		status = loops_open(loops);
	if (status)
		return status;
	status = loops->worker ? loops_worker_run(loops) : loops_measure(loops);
	loops_close(loops);
	return status;
}

static int bench_loops_run(int argc, char **argv)
{
	struct loops loops = { .large = LARGE,
			       .time = 50,
			       .blocks = LOOPS_BLOCKS_MIN };
	int status = loops_parse(&loops, argc, argv);

	if (status)
		return status;
	if (loops.gpu.target.help)
		loops_help(stdout);
	else if (loops.list)
		loops_print_list(stdout);
	else
		status = loops_go(&loops);
	free(loops.row);
	return status;
}

const struct tool_command tool_bench_loops = {
	.name = "loops",
	.summary = "loops that programs run, beside cuMemcpy",
	.run = bench_loops_run,
	.help = loops_help,
};
