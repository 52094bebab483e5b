// SPDX-License-Identifier: MIT
/*
 * gpumem bench pingpong: how long a value takes from the CPU to a running
 * kernel and back, and how long until the kernel sees the end of a write.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/pingpong.h"
#include "bench/baseline.h"

/* Rounds that each way gets before the next one's turn, and before any count. */
#define TURN 20
#define WARM_UP 3
/* No new turn after so long; 3 s is the end. */
#define TIME_US 600e3
#define PING_TIME_US 2500e3
/*
 * The ping-pong's turns lie so far apart in all: for tenths of a second a host
 * can be slower (what its other guests do, the clock of the CPU's caches).
 */
#define PING_SPREAD_US 2000e3
#define TURN_US 2000.0

enum act { DOORBELL, STORE, PLAIN, CLASSIC, PUBLISH, CLASSIC_FLAG, CUDA };

/* The ping-pong's. */
static const enum act pings[] = { DOORBELL, STORE, PLAIN, CLASSIC };
/* A write's, whose end the kernel polls; and a flag's behind a write. */
static const enum act ends[] = { STORE, CLASSIC, CUDA };
static const enum act flags[] = { PUBLISH, CLASSIC_FLAG };

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define ACTS_MAX 4

static void bench_pingpong_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem bench pingpong [OPTION]...\n"
		"Measures, with a kernel that polls 4 bytes of GPU memory and "
		"answers into host\n"
		"memory:\n"
		"  ping-pong   a value goes to the kernel and its answer comes "
		"back\n"
		"  visibility  from the call that writes data until the answer, "
		"where the kernel\n"
		"              polls the last word of the data, or a flag that "
		"is written after\n"
		"              it; the way back is in the figure\n"
		"for gpumem, a plain store and a fence, the classic copy, and "
		"cuMemcpyHtoD, in\n"
		"turns, at the place in the memory, on the multiprocessor and "
		"the CPU and with\n"
		"the line for the answer that are the quickest for a plain "
		"store. Needs a GPU\n"
		"that runs kernels. The kernel ends after 3 s at most.\n"
		"\n"
		"  --size N[KMGT]    bytes written, from 4; may be given %d "
		"times (64 to 1M)\n"
		"  --rounds N        rounds of each way (1000)\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n",
		PINGPONG_SIZES_MAX);
}

enum { OPTION_SIZE = TOOL_OPTION_OWN, OPTION_ROUNDS };

static int bench_pingpong_take(void *command, int option)
{
	struct pingpong *pingpong = command;

	if (option == OPTION_SIZE)
		return tool_parse_sizes("--size", optarg, 4, pingpong->size,
					PINGPONG_SIZES_MAX,
					&pingpong->size_count);
	return tool_parse_number("--rounds", optarg, 1, STATS_MAX,
				 &pingpong->rounds);
}

static int bench_pingpong_parse(struct pingpong *pingpong, int argc,
				char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "rounds", required_argument, NULL, OPTION_ROUNDS },
		{ 0 },
	};
	static const uint64_t sizes[] = { 64,	     256,      1 << 10,
					  4 << 10,   16 << 10, 64 << 10,
					  256 << 10, 1 << 20 };
	int status = tool_parse(argc, argv, options, &pingpong->gpu.target,
				bench_pingpong_take, pingpong);

	if (status || pingpong->gpu.target.help)
		return status;
	for (int i = 0; i < pingpong->size_count; i++) {
		if (pingpong->size[i] % 4) {
			tool_error("--size: %" PRIu64
				   " is no multiple of 4, and the kernel polls "
				   "the last 4 bytes",
				   pingpong->size[i]);
			return TOOL_USAGE;
		}
	}
	if (!pingpong->size_count) {
		memcpy(pingpong->size, sizes, sizeof(sizes));
		pingpong->size_count = COUNT(sizes);
	}
	return 0;
}

static const char *act_name(const struct pingpong *pingpong, enum act act,
			    char *text, size_t room)
{
	static const char *const names[] = {
		[DOORBELL] = "gpumem_doorbell", [STORE] = "gpumem_write",
		[PLAIN] = "store-and-fence",	[PUBLISH] = "gpumem_publish",
		[CUDA] = "cuMemcpyHtoD",
	};

	if (act == CLASSIC || act == CLASSIC_FLAG)
		snprintf(text, room, "classic-%s%s", pingpong->classic->name,
			 act == CLASSIC ? "" : "-flag");
	else
		snprintf(text, room, "%s", names[act]);
	return text;
}

/* Writes the value, at the end of the data or behind it. Returns 0 or -1. */
static int act_do(const struct ping *ping, enum act act, uint32_t value)
{
	struct pingpong *pingpong = ping->pingpong;
	struct gpumem_buf *buf = pingpong->memory.buf;
	char *gpu = pingpong->memory.cpu + ping->base;
	char *host = pingpong->host.memory;
	uint64_t addr = pingpong->memory.addr + ping->base;

	switch (act) {
	case DOORBELL:
		return gpumem_doorbell(buf, ping->base + ping->word, value, 4);
	case STORE:
		return gpumem_write(buf, ping->base, host, ping->length);
	case PLAIN:
		ping_store(ping, value);
		return 0;
	case CLASSIC:
		pingpong->classic->copy(gpu, host, ping->length);
		return 0;
	case PUBLISH:
		return gpumem_publish(buf, ping->base, host, ping->length,
				      ping->base + ping->word, value);
	case CLASSIC_FLAG:
		pingpong->classic->copy(gpu, host, ping->length);
		pingpong->classic->copy(gpu + ping->word, &value,
					sizeof(value));
		return 0;
	default:
		return pingpong->gpu.cuda.copy_to_gpu(addr, host, ping->length);
	}
}

/* One round; stats may be NULL. */
static int ping_round(const struct ping *ping, enum act act,
		      struct stats *stats)
{
	struct pingpong *pingpong = ping->pingpong;
	uint32_t value = kernel_next(&pingpong->kernel);
	char name[48];
	double start;

	memcpy(pingpong->host.memory + ping->length - sizeof(value), &value,
	       sizeof(value));
	start = tool_now();
	if (act_do(ping, act, value)) {
		tool_error("%s: %s",
			   act_name(pingpong, act, name, sizeof(name)),
			   act == CUDA ? "failed" : tool_reason());
		return TOOL_FAILED;
	}
	if (!kernel_wait(&pingpong->kernel))
		return TOOL_FAILED;
	if (stats)
		stats_add(stats, tool_now() - start);
	return 0;
}

static int ping_turn(const struct ping *ping, enum act act, struct stats *stats)
{
	double begin = tool_now();
	int status = 0;

	for (int i = 0; i < WARM_UP && !status; i++)
		status = ping_round(ping, act, NULL);
	for (int i = 0; i < TURN && !status && tool_now() - begin < TURN_US;
	     i++)
		status = ping_round(ping, act, stats);
	return status;
}

/* All acts in turns, with one life of the kernel. */
static int ping_run(const struct ping *ping, const enum act *acts, size_t count,
		    struct stats *stats)
{
	struct pingpong *pingpong = ping->pingpong;
	uint64_t word = ping_word(ping);
	double begin, time = ping->spread_us > 0 ? PING_TIME_US : TIME_US;
	int status, stopped;

	status = kernel_start(&pingpong->kernel, word);
	if (status)
		return status;
	begin = tool_now();
	while (!status && stats[0].count < pingpong->rounds &&
	       tool_now() - begin < time) {
		for (size_t i = 0; i < count && !status; i++)
			status = ping_turn(ping, acts[i], &stats[i]);
		tool_pace(begin, ping->spread_us, stats[0].count,
			  pingpong->rounds);
	}
	stopped = kernel_stop(&pingpong->kernel, word);
	return status ? status : stopped;
}

static void ping_print(const struct ping *ping, const char *what,
		       const enum act *acts, size_t count,
		       const struct stats *stats)
{
	struct pingpong *pingpong = ping->pingpong;

	for (size_t i = 0; i < count; i++) {
		struct report *row;
		struct spread spread;
		char name[48];

		act_name(pingpong, acts[i], name, sizeof(name));
		stats_spread(&stats[i], &spread);
		if (!pingpong->rows) {
			printf("%-10s %9" PRIu64 "  %-24s %9.3f %9.3f %9.3f "
			       "%9.3f %9.3f\n",
			       what, ping->length, name, spread.median,
			       spread.min, spread.p10, spread.p90, spread.max);
			continue;
		}
		row = report_object();
		report_string(row, "what", what);
		report_number(row, "size", ping->length);
		report_string(row, "way", name);
		stats_report(&stats[i], row, "us");
		report_member(pingpong->rows, NULL, row);
	}
}

/* Measures and prints one line of acts. */
static int ping_all(struct pingpong *pingpong, const char *what,
		    const enum act *acts, size_t count, uint64_t length,
		    uint64_t word)
{
	struct ping ping = { pingpong, length, BENCH_GUARD, word,
			     acts == pings ? PING_SPREAD_US : 0 };
	struct stats *stats = calloc(ACTS_MAX, sizeof(*stats));
	int status;

	if (!stats) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	status = ping_place(&ping);
	if (!status)
		status = ping_run(&ping, acts, count, stats);
	if (!status)
		ping_print(&ping, what, acts, count, stats);
	free(stats);
	return status;
}

static int bench_pingpong_measure(struct pingpong *pingpong)
{
	uint64_t largest = pingpong->memory.length - PLACES * PLACE;
	struct spread tried;
	int status;

	/* What it cannot have the figures show. */
	gpumem_copy_prepare(pingpong->gpu.session);
	status = pingpong_place(pingpong);
	if (status)
		return status;
	if (!pingpong->rows) {
		bench_machine_print(&pingpong->gpu);
		stats_spread(&pingpong->tried, &tried);
		printf("place    %.3f us there and back, on CPU %d; others of "
		       "%u words, %d multiprocessors,\n"
		       "         %d CPUs and %u lines for the answer: median "
		       "%.3f, 90%% %.3f\n",
		       pingpong->place_us, pingpong->cpu, PLACES,
		       pingpong->sms_tried, pingpong->cpus_tried,
		       KERNEL_ANSWERS, tried.median, tried.p90);
		printf("\n%-10s %9s  %-24s %9s %9s %9s %9s %9s\n", "us",
		       "bytes", "way", "median", "min", "p10", "p90", "max");
	}
	status = ping_all(pingpong, "ping-pong", pings, COUNT(pings), 4, 0);
	for (int i = 0; i < pingpong->size_count && !status; i++) {
		uint64_t size = pingpong->size[i];

		status = ping_all(pingpong, "last word", ends, COUNT(ends),
				  size, size - 4);
		if (!status)
			status = ping_all(pingpong, "then flag", flags,
					  COUNT(flags), size, largest);
	}
	return status;
}

static int bench_pingpong_memory(struct pingpong *pingpong)
{
	uint64_t largest = 4;
	int status;

	for (int i = 0; i < pingpong->size_count; i++) {
		if (pingpong->size[i] > largest)
			largest = pingpong->size[i];
	}
	/* The flag has a line, and a page, of its own. */
	largest = (largest + BENCH_GUARD - 1) / BENCH_GUARD * BENCH_GUARD;
	largest += PLACES * PLACE;
	status = bench_memory_new(&pingpong->gpu, largest, &pingpong->memory);
	if (!status)
		status = bench_host_new(&pingpong->gpu, largest, false,
					&pingpong->host);
	return status;
}

static int bench_pingpong_run(int argc, char **argv)
{
	struct pingpong pingpong = { .rounds = STATS_MAX };
	struct report *report = NULL;
	int status = bench_pingpong_parse(&pingpong, argc, argv);

	if (status)
		return status;
	if (pingpong.gpu.target.help) {
		bench_pingpong_help(stdout);
		return TOOL_OK;
	}
	status = bench_gpu_open(&pingpong.gpu);
	if (status)
		return status;
	pingpong.classic = classic_at(false, 0);
	status = kernel_open(&pingpong.gpu, &pingpong.kernel);
	if (status)
		goto close;
	if (pingpong.gpu.target.json) {
		report = report_object();
		pingpong.rows = report_list();
		bench_machine_report(&pingpong.gpu, report);
		report_member(report, "rows", pingpong.rows);
	}
	status = bench_gpu_check_sizes(&pingpong.gpu, "--size", pingpong.size,
				       pingpong.size_count, 1);
	if (!status)
		status = bench_pingpong_memory(&pingpong);
	if (!status)
		status = bench_pingpong_measure(&pingpong);
	if (report && !status) {
		report_real(report, "place_us", pingpong.place_us);
		stats_report(&pingpong.tried, report, "places_us");
		report_number(report, "cpu", pingpong.cpu);
	}
	if (report && !status)
		report_print(report);
	else if (report)
		report_drop(report);
	kernel_close(&pingpong.kernel);
	bench_host_free(&pingpong.gpu, &pingpong.host);
	bench_memory_free(&pingpong.memory);
close:
	bench_gpu_close(&pingpong.gpu);
	return status;
}

const struct tool_command tool_bench_pingpong = {
	.name = "pingpong",
	.summary = "to a running kernel and back; until it sees a write",
	.run = bench_pingpong_run,
	.help = bench_pingpong_help,
};
