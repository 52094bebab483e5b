// SPDX-License-Identifier: MIT
/*
 * gpumem bench stall: how long an application's cuCtxSynchronize, cuMemAlloc
 * and cuMemFree take while another thread reads, and while none does.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "series.h"

#define SMALLEST ((uint64_t)64 << 10)
#define LARGEST ((uint64_t)1 << 20)
/* What the application allocates and frees. */
#define BLOCK ((size_t)1 << 20)
/* Of the kernel that pushes, for which a call may wait; see gpumem.h. */
#define BOUND_LIVES 10

enum call { SYNCHRONIZE, ALLOC, FREE, CALLS };

static const char *const call_names[CALLS] = { "cuCtxSynchronize", "cuMemAlloc",
					       "cuMemFree" };
static const char *const call_keys[CALLS] = { "synchronize", "alloc", "free" };

struct stall {
	struct bench_gpu gpu;
	int seconds;
	int life_us; /* 0: as it is */
	struct gpumem_copy_settings settings;
	struct series quiet[CALLS]; /* while nobody reads */
	struct series busy[CALLS];
	uint64_t reads; /* that were done meanwhile */
};

/* The thread that reads. */
struct reader {
	struct bench_memory memory;
	struct bench_host host;
	atomic_bool stop;
	uint64_t reads;
	int error;
	char why[232];
};

static void bench_stall_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem bench stall [OPTION]...\n"
		"Measures cuCtxSynchronize, cuMemAlloc and cuMemFree in a "
		"loop: first alone, then\n"
		"while another thread calls gpumem_read for 64 KiB to 1 MiB "
		"without a pause. The\n"
		"worst case is to be within %d times the life of the kernel "
		"that pushes data\n"
		"(courier_life_us in gpumem(3)): a call may meet several of "
		"them.\n"
		"\n"
		"  --seconds N       for each of the two (3)\n"
		"  --life US         of that kernel, 100 to 10000 (the "
		"library's default)\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n",
		BOUND_LIVES);
}

enum { OPTION_SECONDS = TOOL_OPTION_OWN, OPTION_LIFE };

static int bench_stall_take(void *command, int option)
{
	struct stall *stall = command;

	if (option == OPTION_SECONDS)
		return tool_parse_number("--seconds", optarg, 1, 600,
					 &stall->seconds);
	return tool_parse_number("--life", optarg, 100, 10000, &stall->life_us);
}

static int bench_stall_parse(struct stall *stall, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "seconds", required_argument, NULL, OPTION_SECONDS },
		{ "life", required_argument, NULL, OPTION_LIFE },
		{ 0 },
	};

	return tool_parse(argc, argv, options, &stall->gpu.target,
			  bench_stall_take, stall);
}

static void *reader_run(void *arg)
{
	struct reader *reader = arg;
	uint64_t length = SMALLEST;

	/* Once at least, however late this thread gets a CPU. */
	do {
		reader->error = gpumem_read(reader->memory.buf, BENCH_GUARD,
					    reader->host.memory, length);
		if (reader->error) {
			snprintf(reader->why, sizeof(reader->why), "%s",
				 tool_reason());
			break;
		}
		reader->reads++;
		length = length == LARGEST ? SMALLEST : 2 * length;
	} while (!atomic_load_explicit(&reader->stop, memory_order_relaxed));
	return NULL;
}

static int stall_add(struct series *series, double start)
{
	if (!series_add(series, tool_now() - start))
		return 0;
	tool_error("out of host memory");
	return TOOL_FAILED;
}

/* What the application does, once. */
static int stall_round(const struct stall *stall, struct series *series)
{
	const struct cuda *cuda = &stall->gpu.cuda;
	double start = tool_now();
	uint64_t addr;
	int result = cuda->context_synchronize();

	if (result)
		return bench_cuda_failed(&stall->gpu, "cuCtxSynchronize",
					 result);
	if (stall_add(&series[SYNCHRONIZE], start))
		return TOOL_FAILED;
	start = tool_now();
	result = cuda->mem_alloc(&addr, BLOCK);
	if (result)
		return bench_cuda_failed(&stall->gpu, "cuMemAlloc", result);
	if (stall_add(&series[ALLOC], start)) {
		cuda->mem_free(addr);
		return TOOL_FAILED;
	}
	start = tool_now();
	result = cuda->mem_free(addr);
	if (result)
		return bench_cuda_failed(&stall->gpu, "cuMemFree", result);
	return stall_add(&series[FREE], start);
}

static int stall_loop(const struct stall *stall, struct series *series)
{
	double begin = tool_now();
	int status;

	do
		status = stall_round(stall, series);
	while (!status && tool_now() - begin < stall->seconds * 1e6);
	return status;
}

static int stall_busy(struct stall *stall, struct reader *reader)
{
	pthread_t thread;
	int status;

	if (pthread_create(&thread, NULL, reader_run, reader)) {
		tool_error("no thread can be started");
		return TOOL_FAILED;
	}
	status = stall_loop(stall, stall->busy);
	atomic_store_explicit(&reader->stop, true, memory_order_relaxed);
	pthread_join(thread, NULL);
	stall->reads = reader->reads;
	if (!status && reader->error) {
		tool_error("reading: %s", reader->why);
		status = TOOL_FAILED;
	}
	return status;
}

static int stall_measure(struct stall *stall)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int status;

	if (!reader) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	/* What it cannot have reads do without. */
	gpumem_copy_prepare(stall->gpu.session);
	status = bench_memory_new(&stall->gpu, LARGEST, &reader->memory);
	if (!status)
		status = bench_host_new(&stall->gpu, LARGEST, false,
					&reader->host);
	if (!status)
		status = stall_loop(stall, stall->quiet);
	if (!status)
		status = stall_busy(stall, reader);
	bench_host_free(&stall->gpu, &reader->host);
	bench_memory_free(&reader->memory);
	free(reader);
	return status;
}

/* How long a call took at worst while a thread read. */
static double stall_worst(struct stall *stall)
{
	double worst = 0;

	for (int i = 0; i < CALLS; i++) {
		struct series_spread busy;

		series_spread(&stall->busy[i], &busy);
		if (busy.max > worst)
			worst = busy.max;
	}
	return worst;
}

static void stall_print(struct stall *stall)
{
	double bound = BOUND_LIVES * (double)stall->settings.courier_life_us;
	double worst = stall_worst(stall);

	bench_machine_print(&stall->gpu);
	printf("\n%-17s %29s %31s\n", "microseconds", "nobody reads",
	       "a thread reads");
	printf("%-17s %9s %9s %9s   %9s %9s %9s %9s\n", "call", "median", "p99",
	       "worst", "median", "p99", "worst", "calls");
	for (int i = 0; i < CALLS; i++) {
		struct series_spread quiet, busy;

		series_spread(&stall->quiet[i], &quiet);
		series_spread(&stall->busy[i], &busy);
		printf("%-17s %9.1f %9.1f %9.1f   %9.1f %9.1f %9.1f %9zu\n",
		       call_names[i], quiet.median, quiet.p99, quiet.max,
		       busy.median, busy.p99, busy.max, stall->busy[i].count);
	}
	printf("\n%" PRIu64 " reads meanwhile; the worst call took %.1f us\n",
	       stall->reads, worst);
	if (stall->settings.courier)
		printf("bound: %.0f us, %d lives of the kernel that pushes: "
		       "%s%s\n",
		       bound, BOUND_LIVES, worst <= bound ? "met" : "missed",
		       tool_device_label(&stall->gpu.device,
					 stall->gpu.backend));
	else
		printf("no kernel pushes: the courier is off\n");
}

static void stall_report(struct stall *stall)
{
	struct report *report = report_object();

	bench_machine_report(&stall->gpu, report);
	report_bool(report, "courier", stall->settings.courier);
	report_number(report, "courier_life_us",
		      stall->settings.courier_life_us);
	report_number(report, "reads", stall->reads);
	report_real(report, "worst_us", stall_worst(stall));
	report_number(report, "bound_us",
		      (uint64_t)BOUND_LIVES * stall->settings.courier_life_us);
	for (int i = 0; i < CALLS; i++) {
		struct report *call = report_object();

		series_report(&stall->quiet[i], call, "quiet_us");
		series_report(&stall->busy[i], call, "busy_us");
		report_member(report, call_keys[i], call);
	}
	report_print(report);
}

static int stall_settings(struct stall *stall)
{
	struct gpumem *session = stall->gpu.session;

	if (gpumem_copy_settings_get(session, &stall->settings))
		return tool_gpumem_error("asking for the settings");
	if (!stall->life_us)
		return 0;
	stall->settings.courier_life_us = stall->life_us;
	if (gpumem_copy_settings_set(session, &stall->settings))
		return tool_gpumem_error("setting the kernel's life");
	return 0;
}

static int bench_stall_run(int argc, char **argv)
{
	struct stall stall = { .seconds = 3 };
	int status = bench_stall_parse(&stall, argc, argv);

	if (status)
		return status;
	if (stall.gpu.target.help) {
		bench_stall_help(stdout);
		return TOOL_OK;
	}
	status = bench_gpu_open(&stall.gpu);
	if (status)
		return status;
	stall.settings.size = sizeof(stall.settings);
	status = stall_settings(&stall);
	if (!status)
		status = stall_measure(&stall);
	if (!status && stall.gpu.target.json)
		stall_report(&stall);
	else if (!status)
		stall_print(&stall);
	for (int i = 0; i < CALLS; i++) {
		series_free(&stall.quiet[i]);
		series_free(&stall.busy[i]);
	}
	bench_gpu_close(&stall.gpu);
	return status;
}

const struct tool_command tool_bench_stall = {
	.name = "stall",
	.summary = "an application's CUDA calls while reads go on",
	.run = bench_stall_run,
	.help = bench_stall_help,
};
