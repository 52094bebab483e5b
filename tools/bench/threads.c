// SPDX-License-Identifier: MIT
/* gpumem bench threads: stores and loads by one thread and by several. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/method.h"

#define SIZES_MAX 32
#define STEPS 5
/* The largest size at which every way gets many rounds. */
#define LARGE (4u << 20)

struct bench_threads {
	struct bench_gpu gpu;
	uint64_t size[SIZES_MAX];
	int size_count;
	int most; /* threads */
	int time; /* milliseconds for each row */
	int step_count; /* of 1, 2, 4, 8, 16 threads */
	struct way way[STEPS];
	struct way_limits limits;
	struct bench_memory memory;
	struct bench_host host, check;
	struct way_result result[STEPS];
};

static void bench_threads_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem bench threads [OPTION]...\n"
		"Measures stores into the mapping and loads from it by 1, 2, "
		"4, 8 and 16 threads,\n"
		"in turns, from and to pageable host memory. Every byte is "
		"verified.\n"
		"\n"
		"  --size N[KMGT]    this size; may be given %d times (64K to "
		"64M)\n"
		"  --threads N       up to N threads (16)\n"
		"  --time MS         for each row, at least (200)\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n",
		SIZES_MAX);
}

static void threads_choose(struct bench_threads *bench, int most)
{
	for (int n = 1; n <= most && bench->step_count < STEPS; n *= 2) {
		struct way *way = &bench->way[bench->step_count++];

		way_named(n == 1 ? "cpu" : "threads", way);
		way->threads = n == 1 ? 0 : n;
		snprintf(way->name, sizeof(way->name), "%d thread%s", n,
			 n == 1 ? "" : "s");
	}
}

enum { OPTION_SIZE = TOOL_OPTION_OWN, OPTION_THREADS, OPTION_TIME };

static int bench_threads_take(void *command, int option)
{
	struct bench_threads *bench = command;

	if (option == OPTION_SIZE)
		return tool_parse_sizes("--size", optarg, 1, bench->size,
					SIZES_MAX, &bench->size_count);
	if (option == OPTION_THREADS)
		return tool_parse_number("--threads", optarg, 1, 16,
					 &bench->most);
	return tool_parse_number("--time", optarg, 0, 60000, &bench->time);
}

static int bench_threads_parse(struct bench_threads *bench, int argc,
			       char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "threads", required_argument, NULL, OPTION_THREADS },
		{ "time", required_argument, NULL, OPTION_TIME },
		{ 0 },
	};
	int status;

	bench->most = 16;
	bench->time = 200;
	status = tool_parse(argc, argv, options, &bench->gpu.target,
			    bench_threads_take, bench);
	if (!bench->size_count) {
		for (uint64_t size = 64 << 10; size <= 64 << 20; size *= 4)
			bench->size[bench->size_count++] = size;
	}
	bench->limits.time_us = bench->time * 1e3;
	threads_choose(bench, bench->most);
	return status;
}

static void threads_print_header(const struct bench_threads *bench, bool read)
{
	printf("\n%s: GB/s, medians\n%10s", read ? "loads" : "stores", "bytes");
	for (int i = 0; i < bench->step_count; i++)
		printf(" %11s", bench->way[i].name);
	printf("\n");
}

static double threads_rate(const struct bench_threads *bench, int i,
			   uint64_t size)
{
	double us = stats_median(&bench->result[i].stats);

	return us > 0 ? size / us / 1e3 : 0;
}

static void threads_print_row(const struct bench_threads *bench, uint64_t size)
{
	printf("%10llu", (unsigned long long)size);
	for (int i = 0; i < bench->step_count; i++) {
		if (bench->result[i].stats.count)
			printf(" %11.3f", threads_rate(bench, i, size));
		else
			printf(" %11s", "-");
	}
	printf("\n");
}

static void threads_report_row(const struct bench_threads *bench, bool read,
			       uint64_t size, struct report *rows)
{
	for (int i = 0; i < bench->step_count; i++) {
		struct report *row;

		if (!bench->result[i].stats.count)
			continue;
		row = report_object();
		report_string(row, "direction", read ? "read" : "write");
		report_number(row, "size", size);
		report_number(row, "threads", 1u << i);
		stats_report(&bench->result[i].stats, row, "us");
		report_real(row, "gb_per_s", threads_rate(bench, i, size));
		report_member(rows, NULL, row);
	}
}

static int threads_row(struct bench_threads *bench, bool read, uint64_t size,
		       struct report *rows)
{
	struct way_job job = {
		.gpu = &bench->gpu,
		.memory = &bench->memory,
		.host = &bench->host,
		.read = read,
		.length = size,
	};
	int status = 0;

	bench->limits.rounds = size > LARGE ? 5 : 21;
	for (int i = 0; i < bench->step_count && !status; i++)
		status = way_verify(&bench->way[i], &job, &bench->check);
	if (status)
		return status;
	way_measure(bench->way, bench->step_count, &job, &bench->limits,
		    bench->result);
	if (bench->result[0].error) {
		tool_error("%s: %s", bench->way[0].name, bench->result[0].why);
		return TOOL_FAILED;
	}
	if (rows)
		threads_report_row(bench, read, size, rows);
	else
		threads_print_row(bench, size);
	return 0;
}

static int threads_measure(struct bench_threads *bench, struct report *rows)
{
	uint64_t largest = 0;
	int status;

	for (int i = 0; i < bench->size_count; i++) {
		if (bench->size[i] > largest)
			largest = bench->size[i];
	}
	status = bench_memory_new(&bench->gpu, largest, &bench->memory);
	if (!status)
		status = bench_host_new(&bench->gpu, largest, false,
					&bench->host);
	if (!status)
		status = bench_host_new(&bench->gpu, largest, false,
					&bench->check);
	for (int read = 0; read < 2 && !status; read++) {
		if (!rows)
			threads_print_header(bench, read);
		for (int i = 0; i < bench->size_count && !status; i++)
			status = threads_row(bench, read, bench->size[i], rows);
	}
	bench_host_free(&bench->gpu, &bench->check);
	bench_host_free(&bench->gpu, &bench->host);
	bench_memory_free(&bench->memory);
	return status;
}

static int bench_threads_go(struct bench_threads *bench)
{
	struct report *report = NULL, *rows = NULL;
	int status = bench_gpu_check_sizes(&bench->gpu, "--size", bench->size,
					   bench->size_count, 2);

	if (status)
		return status;
	if (bench->gpu.target.json) {
		report = report_object();
		rows = report_list();
		bench_machine_report(&bench->gpu, report);
		report_member(report, "rows", rows);
	} else {
		bench_machine_print(&bench->gpu);
	}
	status = threads_measure(bench, rows);
	if (report && !status)
		report_print(report);
	else if (report)
		report_drop(report);
	return status;
}

static int bench_threads_run(int argc, char **argv)
{
	struct bench_threads *bench = calloc(1, sizeof(*bench));
	int status;

	if (!bench) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	status = bench_threads_parse(bench, argc, argv);
	if (!status && bench->gpu.target.help) {
		bench_threads_help(stdout);
	} else if (!status) {
		status = bench_gpu_open(&bench->gpu);
		if (!status) {
			status = bench_threads_go(bench);
			bench_gpu_close(&bench->gpu);
		}
	}
	free(bench);
	return status;
}

const struct tool_command tool_bench_threads = {
	.name = "threads",
	.summary = "stores and loads by one thread and by several",
	.run = bench_threads_run,
	.help = bench_threads_help,
};
