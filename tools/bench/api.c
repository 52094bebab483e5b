// SPDX-License-Identifier: MIT
/* gpumem bench api: what each call of the life of a buffer costs. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "stats.h"

enum call { OPEN, CLOSE, ALLOC, PIN, MAP, GET, UNMAP, UNPIN, CALLS };

static const struct {
	const char *name, *key;
} calls[CALLS] = {
	{ "gpumem_open", "open" },   { "gpumem_close", "close" },
	{ "gpumem_alloc", "alloc" }, { "gpumem_pin", "pin" },
	{ "gpumem_map", "map" },     { "gpumem_buf_get", "buf_get" },
	{ "gpumem_unmap", "unmap" }, { "gpumem_unpin", "unpin" },
};

struct bench_api {
	struct bench_gpu gpu;
	uint64_t size;
	int rounds, sessions;
	struct stats stats[CALLS];
};

static void bench_api_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem bench api [OPTION]...\n"
		"Measures gpumem_open and gpumem_close of further sessions "
		"beside a first one,\n"
		"and on that one gpumem_alloc, gpumem_pin of a range that CUDA "
		"allocated,\n"
		"gpumem_map, gpumem_buf_get, gpumem_unmap and gpumem_unpin.\n"
		"For buffers never seen before, "
		"and beside cuMemcpy, see gpumem bench pin.\n"
		"\n"
		"  --size N[KMGT]    buffer size (1M)\n"
		"  --rounds N        rounds of the calls on a buffer (200)\n"
		"  --sessions N      sessions opened and closed (20)\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n");
}

enum { OPTION_SIZE = TOOL_OPTION_OWN, OPTION_ROUNDS, OPTION_SESSIONS };

static int bench_api_take(void *command, int option)
{
	struct bench_api *bench = command;

	if (option == OPTION_SIZE)
		return tool_parse_size("--size", optarg, 1, &bench->size);
	if (option == OPTION_ROUNDS)
		return tool_parse_number("--rounds", optarg, 1, STATS_MAX,
					 &bench->rounds);
	return tool_parse_number("--sessions", optarg, 1, STATS_MAX,
				 &bench->sessions);
}

static int bench_api_parse(struct bench_api *bench, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "rounds", required_argument, NULL, OPTION_ROUNDS },
		{ "sessions", required_argument, NULL, OPTION_SESSIONS },
		{ 0 },
	};

	return tool_parse(argc, argv, options, &bench->gpu.target,
			  bench_api_take, bench);
}

static int api_session(struct bench_api *bench)
{
	struct gpumem *session;
	double start = tool_now();
	int status = tool_open(&bench->gpu.target, &session);

	if (status)
		return status;
	stats_add(&bench->stats[OPEN], tool_now() - start);
	start = tool_now();
	if (gpumem_close(session))
		return tool_gpumem_error("closing a session");
	stats_add(&bench->stats[CLOSE], tool_now() - start);
	return 0;
}

static int api_alloc(struct bench_api *bench)
{
	struct gpumem_buf *buf;
	double start = tool_now();

	if (gpumem_alloc(bench->gpu.session, bench->size, 0, &buf))
		return tool_gpumem_error("allocating");
	stats_add(&bench->stats[ALLOC], tool_now() - start);
	if (gpumem_unpin(buf))
		return tool_gpumem_error("freeing");
	return 0;
}

/* The calls on a pinned buffer, the last of which ends it. */
static int api_mapping(struct bench_api *bench, struct gpumem_buf *buf)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	double start = tool_now();
	void *cpu;

	if (gpumem_map(buf, &cpu))
		return tool_gpumem_error("mapping");
	stats_add(&bench->stats[MAP], tool_now() - start);
	start = tool_now();
	if (gpumem_buf_get(buf, &info))
		return tool_gpumem_error("describing");
	stats_add(&bench->stats[GET], tool_now() - start);
	start = tool_now();
	if (gpumem_unmap(buf))
		return tool_gpumem_error("unmapping");
	stats_add(&bench->stats[UNMAP], tool_now() - start);
	return 0;
}

static int api_pin(struct bench_api *bench, uint64_t addr)
{
	struct gpumem_buf *buf;
	double start = tool_now();
	int status;

	if (gpumem_pin(bench->gpu.session, addr, bench->size, 0, &buf))
		return tool_gpumem_error("pinning");
	stats_add(&bench->stats[PIN], tool_now() - start);
	status = api_mapping(bench, buf);
	start = tool_now();
	if (gpumem_unpin(buf) && !status)
		return tool_gpumem_error("unpinning");
	stats_add(&bench->stats[UNPIN], tool_now() - start);
	return status;
}

static int api_measure(struct bench_api *bench)
{
	int status, result;
	uint64_t addr;

	status = tool_check_memory(&bench->gpu.device, bench->gpu.backend,
				   "--size", bench->size, 0);
	if (status)
		return status;
	result = bench->gpu.cuda.mem_alloc(&addr, bench->size);
	if (result)
		return bench_cuda_failed(&bench->gpu, "cuMemAlloc", result);
	for (int i = 0; i < bench->sessions && !status; i++)
		status = api_session(bench);
	for (int i = 0; i < bench->rounds && !status; i++)
		status = api_pin(bench, addr);
	for (int i = 0; i < bench->sessions && !status; i++)
		status = api_alloc(bench);
	bench->gpu.cuda.mem_free(addr);
	return status;
}

static void api_print(const struct bench_api *bench)
{
	char text[32];

	bench_machine_print(&bench->gpu);
	printf("\n%s; the first gpumem_open %.1f us\n",
	       tool_format_size(text, sizeof(text), bench->size),
	       bench->gpu.open_us);
	printf("%-15s %9s %9s %9s %9s %9s %9s\n", "microseconds", "median",
	       "min", "p10", "p90", "max", "calls");
	for (int i = 0; i < CALLS; i++) {
		struct spread spread;

		stats_spread(&bench->stats[i], &spread);
		printf("%-15s %9.2f %9.2f %9.2f %9.2f %9.2f %9d\n",
		       calls[i].name, spread.median, spread.min, spread.p10,
		       spread.p90, spread.max, bench->stats[i].count);
	}
}

static void api_report(const struct bench_api *bench)
{
	struct report *report = report_object();

	bench_machine_report(&bench->gpu, report);
	report_number(report, "size", bench->size);
	report_real(report, "first_open_us", bench->gpu.open_us);
	for (int i = 0; i < CALLS; i++)
		stats_report(&bench->stats[i], report, calls[i].key);
	report_print(report);
}

static int bench_api_run(int argc, char **argv)
{
	struct bench_api bench = { .size = 1 << 20,
				   .rounds = 200,
				   .sessions = 20 };
	int status = bench_api_parse(&bench, argc, argv);

	if (status)
		return status;
	if (bench.gpu.target.help) {
		bench_api_help(stdout);
		return TOOL_OK;
	}
	status = bench_gpu_open(&bench.gpu);
	if (status)
		return status;
	status = api_measure(&bench);
	if (!status && bench.gpu.target.json)
		api_report(&bench);
	else if (!status)
		api_print(&bench);
	bench_gpu_close(&bench.gpu);
	return status;
}

const struct tool_command tool_bench_api = {
	.name = "api",
	.summary = "open, close, alloc, pin, map, unmap and unpin",
	.run = bench_api_run,
	.help = bench_api_help,
};
