// SPDX-License-Identifier: MIT
/*
 * gpumem bench pin: what pin, map, unmap and unpin of a cuMemAlloc buffer cost,
 * beside what CUDA takes to copy the same buffer once, in the same rounds.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cuda.h"
#include "report.h"
#include "stats.h"
#include "text.h"
#include "tool.h"

#define SIZES_MAX 32
/* Buffers that are pinned once each, to measure first calls on a buffer. */
#define NEW_BUFFERS 10
/* A size gets this long, but at least this many rounds. */
#define TIME_US 10e6
#define ROUNDS_MIN 5

enum call {
	PIN,
	MAP,
	PIN_MAP,
	UNMAP,
	UNPIN,
	CYCLE,
	COLD_CYCLE,
	TO_GPU,
	FROM_GPU,
	CALL_COUNT
};

static const struct {
	const char *name;
	const char *key; /* as a member of a JSON object */
} calls[CALL_COUNT] = {
	[PIN] = { "pin", "pin" },
	[MAP] = { "map", "map" },
	[PIN_MAP] = { "pin+map", "pin_map" },
	[UNMAP] = { "unmap", "unmap" },
	[UNPIN] = { "unpin", "unpin" },
	[CYCLE] = { "all four", "cycle" },
	[COLD_CYCLE] = { "after copies", "cycle_after_copies" },
	[TO_GPU] = { "cuMemcpyHtoD", "memcpy_htod" },
	[FROM_GPU] = { "cuMemcpyDtoH", "memcpy_dtoh" },
};

/* What the library tells of a first pin and map; the rest is what is left. */
enum step {
	FIND,
	HANDLE,
	IMPORT,
	BAR1,
	MMAP,
	PROOF,
	RELEASE,
	REST,
	STEP_COUNT
};

static const char *const step_names[STEP_COUNT] = {
	"find", "handle", "import", "bar1", "mmap", "proof", "release", "rest",
};

struct bench_size {
	uint64_t size;
	struct stats fresh[CALL_COUNT]; /* first calls on a new buffer */
	struct stats later[CALL_COUNT]; /* calls on a buffer seen before */
	struct stats step[STEP_COUNT]; /* of fresh[PIN_MAP] */
};

struct bench {
	struct tool_target target;
	int rounds;
	int size_count;
	uint64_t size[SIZES_MAX];
	struct gpumem *session;
	struct gpumem_device device;
	const char *backend;
	struct cuda cuda;
	double open; /* us of gpumem_open() */
};

static void bench_pin_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem bench pin [OPTION]...\n"
		"Measures pin, map, unmap and unpin of cuMemAlloc buffers: "
		"the first time on\n"
		"each of %d new buffers, with its steps where the backend "
		"tells them, and again\n"
		"and again on one: each call, all four as one, and all four "
		"right after copies\n"
		"that push them out of the CPU's caches. Those copies are for "
		"scale too: one\n"
		"cuMemcpyHtoD and one cuMemcpyDtoH of the whole buffer, from "
		"and to ordinary\n"
		"host memory, in each round.\n"
		"\n"
		"  --size N[KMGT]    buffer size; may be given up to %d times "
		"(1M)\n"
		"  --rounds N        rounds on the one buffer (100), cut "
		"short after 10 s\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n",
		NEW_BUFFERS, SIZES_MAX);
}

enum { OPTION_SIZE = TOOL_OPTION_OWN, OPTION_ROUNDS };

static int bench_pin_take(void *command, int option)
{
	struct bench *bench = command;

	if (option == OPTION_SIZE)
		return tool_parse_sizes("--size", optarg, 1, bench->size,
					SIZES_MAX, &bench->size_count);
	return tool_parse_number("--rounds", optarg, 1, STATS_MAX,
				 &bench->rounds);
}

static int bench_pin_parse(struct bench *bench, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "rounds", required_argument, NULL, OPTION_ROUNDS },
		{ 0 },
	};
	int status = tool_parse(argc, argv, options, &bench->target,
				bench_pin_take, bench);

	if (!bench->size_count)
		bench->size[bench->size_count++] = 1 << 20;
	return status;
}

/* One pin, map, unmap and unpin of [addr, addr + size), each timed. */
static int bench_pin_round(struct bench *bench, uint64_t addr, uint64_t size,
			   struct stats *stats)
{
	double start, pinned, mapped, unmapped, unpinned;
	struct gpumem_buf *buf;
	void *cpu;

	start = tool_now();
	if (gpumem_pin(bench->session, addr, size, 0, &buf))
		return tool_gpumem_error("pinning");
	pinned = tool_now();
	if (gpumem_map(buf, &cpu)) {
		tool_gpumem_error("mapping");
		gpumem_unpin(buf);
		return TOOL_FAILED;
	}
	mapped = tool_now();
	if (gpumem_unmap(buf)) {
		tool_gpumem_error("unmapping");
		gpumem_unpin(buf);
		return TOOL_FAILED;
	}
	unmapped = tool_now();
	if (gpumem_unpin(buf))
		return tool_gpumem_error("unpinning");
	unpinned = tool_now();
	stats_add(&stats[PIN], pinned - start);
	stats_add(&stats[MAP], mapped - pinned);
	stats_add(&stats[PIN_MAP], mapped - start);
	stats_add(&stats[UNMAP], unmapped - mapped);
	stats_add(&stats[UNPIN], unpinned - unmapped);
	return 0;
}

/* The same four calls, timed as one. */
static int bench_pin_cycle(struct bench *bench, uint64_t addr, uint64_t size,
			   struct stats *stats)
{
	struct gpumem_buf *buf;
	double start;
	void *cpu;

	start = tool_now();
	if (gpumem_pin(bench->session, addr, size, 0, &buf))
		return tool_gpumem_error("pinning");
	if (gpumem_map(buf, &cpu) || gpumem_unmap(buf)) {
		tool_gpumem_error("mapping");
		gpumem_unpin(buf);
		return TOOL_FAILED;
	}
	if (gpumem_unpin(buf))
		return tool_gpumem_error("unpinning");
	stats_add(stats, tool_now() - start);
	return 0;
}

static int bench_stats(struct bench *bench, struct gpumem_stats *stats)
{
	stats->size = sizeof(*stats);
	if (gpumem_stats_get(bench->session, stats))
		return tool_gpumem_error("asking for the costs");
	return 0;
}

/* A first round on a buffer, and the steps of its pin and map. */
static int bench_first_round(struct bench *bench, uint64_t addr,
			     struct bench_size *size)
{
	struct gpumem_stats before, after;
	double step[STEP_COUNT], rest;
	int status;

	status = bench_stats(bench, &before);
	if (!status)
		status = bench_pin_round(bench, addr, size->size, size->fresh);
	if (!status)
		status = bench_stats(bench, &after);
	if (status)
		return status;
	rest = size->fresh[PIN_MAP].sample[size->fresh[PIN_MAP].count - 1];
	step[FIND] = after.find_ns - before.find_ns;
	step[HANDLE] = after.handle_ns - before.handle_ns;
	step[IMPORT] = after.import_ns - before.import_ns;
	step[BAR1] = after.bar1_ns - before.bar1_ns;
	step[MMAP] = after.mmap_ns - before.mmap_ns;
	step[PROOF] = after.proof_ns - before.proof_ns;
	/* In the unpin. */
	step[RELEASE] = after.release_ns - before.release_ns;
	for (int i = 0; i < REST; i++) {
		stats_add(&size->step[i], step[i] / 1e3);
		if (i != RELEASE)
			rest -= step[i] / 1e3;
	}
	stats_add(&size->step[REST], rest);
	return 0;
}

static int bench_cuda_failed(const struct bench *bench, const char *what,
			     int result)
{
	char text[128];

	tool_error("%s: %s", what,
		   cuda_error(&bench->cuda, result, text, sizeof(text)));
	return TOOL_FAILED;
}

static int bench_copy_round(struct bench *bench, uint64_t addr, void *host,
			    uint64_t size, struct stats *stats)
{
	double start = tool_now();
	int result = bench->cuda.copy_to_gpu(addr, host, size);

	if (result)
		return bench_cuda_failed(bench, "cuMemcpyHtoD", result);
	stats_add(&stats[TO_GPU], tool_now() - start);
	start = tool_now();
	result = bench->cuda.copy_from_gpu(host, addr, size);
	if (result)
		return bench_cuda_failed(bench, "cuMemcpyDtoH", result);
	stats_add(&stats[FROM_GPU], tool_now() - start);
	return 0;
}

static int bench_new_buffers(struct bench *bench, struct bench_size *size,
			     void *host)
{
	int status = 0;

	for (int i = 0; i < NEW_BUFFERS && !status; i++) {
		uint64_t addr;
		int result = bench->cuda.mem_alloc(&addr, size->size);

		if (result)
			return bench_cuda_failed(bench, "cuMemAlloc", result);
		status = bench_first_round(bench, addr, size);
		if (!status)
			status = bench_copy_round(bench, addr, host, size->size,
						  size->fresh);
		bench->cuda.mem_free(addr);
	}
	return status;
}

static int bench_one_buffer(struct bench *bench, struct bench_size *size,
			    void *host)
{
	struct stats warm_up[CALL_COUNT] = { 0 };
	double begin = tool_now();
	uint64_t addr;
	int status, result = bench->cuda.mem_alloc(&addr, size->size);

	if (result)
		return bench_cuda_failed(bench, "cuMemAlloc", result);
	status = bench_pin_round(bench, addr, size->size, warm_up);
	for (int i = 0; i < bench->rounds && !status; i++) {
		if (i >= ROUNDS_MIN && tool_now() - begin > TIME_US)
			break;
		status = bench_copy_round(bench, addr, host, size->size,
					  size->later);
		if (!status)
			status = bench_pin_cycle(bench, addr, size->size,
						 &size->later[COLD_CYCLE]);
		if (!status)
			status = bench_pin_round(bench, addr, size->size,
						 size->later);
		if (!status)
			status = bench_pin_cycle(bench, addr, size->size,
						 &size->later[CYCLE]);
	}
	bench->cuda.mem_free(addr);
	return status;
}

static void bench_print_device(const struct bench *bench)
{
	text_line(stdout, 9, "GPU      %d: %s%s", bench->device.ordinal,
		  bench->device.name,
		  tool_device_label(&bench->device, bench->backend));
	printf("backend  %s, opened in %.0f us\n", bench->backend, bench->open);
}

static void bench_print_steps(const struct bench_size *size)
{
	if (!stats_median(&size->step[HANDLE]))
		return;
	printf("steps of a new buffer's pin+map:");
	for (int i = 0; i < STEP_COUNT; i++)
		if (i != RELEASE)
			printf(" %s %.1f", step_names[i],
			       stats_median(&size->step[i]));
	printf("; of its unpin: release %.1f\n",
	       stats_median(&size->step[RELEASE]));
}

/* The first time on new buffers, where that was measured. */
static void bench_print_first(const struct stats *stats)
{
	if (stats->count)
		printf(" %10.1f %10.1f", stats->sample[0], stats_median(stats));
	else
		printf(" %10s %10s", "-", "-");
}

static void bench_print_size(const struct bench_size *size)
{
	char text[32];

	printf("\n%s: microseconds; %d new buffers, then %d rounds on one\n",
	       tool_format_size(text, sizeof(text), size->size),
	       size->fresh[PIN].count, size->later[PIN].count);
	printf("%-13s %10s %10s %10s %10s %10s %10s %8s\n", "", "very first",
	       "new buffer", "later", "p10", "p90", "max", "of HtoD");
	for (int i = 0; i < CALL_COUNT; i++) {
		struct spread spread;

		stats_spread(&size->later[i], &spread);
		printf("%-13s", calls[i].name);
		bench_print_first(&size->fresh[i]);
		printf(" %10.2f %10.2f %10.2f %10.1f %8.4f\n", spread.median,
		       spread.p10, spread.p90, spread.max,
		       spread.median / stats_median(&size->later[TO_GPU]));
	}
	bench_print_steps(size);
}

static void bench_report_size(const struct bench_size *size, struct report *to)
{
	struct report *object = report_object();
	struct report *steps = report_object();

	report_number(object, "size", size->size);
	for (int i = 0; i < CALL_COUNT; i++) {
		struct report *call = report_object();

		if (size->fresh[i].count) {
			report_real(call, "very_first_us",
				    size->fresh[i].sample[0]);
			stats_report(&size->fresh[i], call, "new_buffer_us");
		}
		stats_report(&size->later[i], call, "later_us");
		report_real(call, "of_memcpy_htod",
			    stats_median(&size->later[i]) /
				    stats_median(&size->later[TO_GPU]));
		report_member(object, calls[i].key, call);
	}
	for (int i = 0; i < STEP_COUNT; i++)
		stats_report(&size->step[i], steps, step_names[i]);
	report_member(object, "new_buffer_steps_us", steps);
	report_member(to, NULL, object);
}

/* Measures one size and prints it or puts it into the list. */
static int bench_size_run(struct bench *bench, uint64_t bytes,
			  struct report *list)
{
	struct bench_size *size;
	int status = TOOL_FAILED;
	void *host;

	size = calloc(1, sizeof(*size));
	host = malloc(bytes);
	if (!size || !host) {
		tool_error("no host memory for a copy of %" PRIu64
			   " bytes; give a smaller --size",
			   bytes);
		goto out;
	}
	/* Host pages exist before they are measured. */
	memset(host, 0x5a, bytes);
	size->size = bytes;
	status = bench_new_buffers(bench, size, host);
	if (!status)
		status = bench_one_buffer(bench, size, host);
	if (status)
		goto out;
	if (bench->target.json)
		bench_report_size(size, list);
	else
		bench_print_size(size);
out:
	free(host);
	free(size);
	return status;
}

static int bench_sizes_run(struct bench *bench)
{
	struct report *report = NULL, *list = NULL;
	int status = 0;

	for (int i = 0; i < bench->size_count && !status; i++)
		status = tool_check_memory(&bench->device, bench->backend,
					   "--size", bench->size[i],
					   bench->size[i]);
	if (status)
		return status;
	if (bench->target.json) {
		report = report_object();
		list = report_list();
		report_string(report, "version", gpumem_version());
		tool_report_device(report, &bench->device, bench->backend);
		report_real(report, "open_us", bench->open);
		report_member(report, "sizes", list);
	} else {
		bench_print_device(bench);
	}
	for (int i = 0; i < bench->size_count && !status; i++)
		status = bench_size_run(bench, bench->size[i], list);
	if (bench->target.json && !status)
		report_print(report);
	return status;
}

static int bench_pin_run(int argc, char **argv)
{
	struct bench bench = { .rounds = 100 };
	int status = bench_pin_parse(&bench, argc, argv);
	double start = tool_now();

	if (status)
		return status;
	if (bench.target.help) {
		bench_pin_help(stdout);
		return TOOL_OK;
	}
	status = tool_open(&bench.target, &bench.session);
	if (status)
		return status;
	bench.open = tool_now() - start;
	bench.backend = gpumem_backend_name(bench.session);
	status = tool_device(bench.session, &bench.device);
	if (status)
		goto close;
	if (cuda_open(&bench.cuda, bench.session, bench.device.ordinal)) {
		tool_error("%s", bench.cuda.why);
		status = TOOL_FAILED;
		goto close;
	}
	status = bench_sizes_run(&bench);
	cuda_close(&bench.cuda);
close:
	gpumem_close(bench.session);
	return status;
}

const struct tool_command tool_bench_pin = {
	.name = "pin",
	.summary = "pin, map, unmap and unpin of CUDA buffers",
	.run = bench_pin_run,
	.help = bench_pin_help,
};
