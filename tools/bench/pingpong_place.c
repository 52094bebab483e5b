// SPDX-License-Identifier: MIT
/*
 * Where a ping-pong is the quickest, by trying. A GPU's cache is in parts, which
 * are near to the bus and to a multiprocessor or far from it: how long a value
 * takes depends on where the word is, which pages of 4 KiB decide on an H100, and
 * where the kernel runs. A CPU's cache is in parts too: which of them holds the
 * line that the answer comes to, and how far that is from the core that polls it
 * and from the bus, differs from line to line and from core to core.
 */
#include <sched.h>
#include <stdlib.h>

#include "bench/pingpong.h"

/* CPUs that are tried, of more every so many. */
#define CPUS_MAX 32
#define TRY_ROUNDS 100
/* So many trials for one that is counted: there are thousands. */
#define TRIES_STEP 10
#define AWAKE_US 500e3
/* A kernel that does not answer by then is not where it should be. */
#define TRY_US 2000.0

/* The quickest so far of what was tried in a row. */
struct best {
	double us; /* 0: none */
	uint64_t what;
};

uint64_t ping_word(const struct ping *ping)
{
	return ping->pingpong->memory.addr + ping->base + ping->word;
}

void ping_store(const struct ping *ping, uint32_t value)
{
	char *gpu = ping->pingpong->memory.cpu + ping->base;

	*(volatile uint32_t *)(gpu + ping->word) = value;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * What a plain store to the word and the answer take as things are, or 0 where no
 * answer came: where no block runs on the multiprocessor, for one.
 */
static int ping_measure(const struct ping *ping, double *us)
{
	struct pingpong *pingpong = ping->pingpong;
	struct stats *stats = calloc(1, sizeof(*stats));
	int status = stats ? kernel_start(&pingpong->kernel, ping_word(ping))
			   : TOOL_FAILED;
	bool answers = true;

	if (status) {
		free(stats);
		return status;
	}
	for (int i = 0; i < TRY_ROUNDS && answers; i++) {
		double start = tool_now();

		ping_store(ping, kernel_next(&pingpong->kernel));
		answers = kernel_answers(&pingpong->kernel, TRY_US);
		stats_add(stats, tool_now() - start);
	}
	status = kernel_stop(&pingpong->kernel, ping_word(ping));
	*us = answers ? stats_median(stats) : 0;
	free(stats);
	return status;
}

/* Tries things as they are, which is what, and remembers the quickest. */
static int ping_try(const struct ping *ping, uint64_t what, struct best *best)
{
	struct pingpong *pingpong = ping->pingpong;
	double us = 0;
	int status = ping_measure(ping, &us);

	if (status || us == 0)
		return status;
	if (pingpong->tries++ % TRIES_STEP == 0)
		stats_add(&pingpong->tried, us);
	if (best->us == 0 || us < best->us)
		*best = (struct best){ us, what };
	return 0;
}

static int ping_try_places(struct ping *ping, struct best *best)
{
	int status = 0;

	for (unsigned int i = 0; i < PLACES && !status; i++) {
		ping->base = BENCH_GUARD + i * PLACE;
		status = ping_try(ping, ping->base, best);
	}
	ping->base = best->us > 0 ? best->what : BENCH_GUARD;
	return status;
}

int ping_place(struct ping *ping)
{
	struct best best = { 0 };

	return ping_try_places(ping, &best);
}

/* The multiprocessor, by a word at the best of the places for each. */
static int ping_choose_sm(struct ping *ping)
{
	struct pingpong *pingpong = ping->pingpong;
	struct kernel *kernel = &pingpong->kernel;
	struct best best = { 0 };
	uint64_t base = ping->base;
	int status = 0;

	for (int sm = 0; sm < kernel->sm_count && !status; sm++) {
		struct best place = { 0 };

		kernel->sm = sm;
		status = ping_try_places(ping, &place);
		if (place.us == 0)
			continue;
		pingpong->sms_tried++;
		if (best.us == 0 || place.us < best.us) {
			best = (struct best){ place.us, sm };
			base = place.what;
		}
	}
	kernel->sm = best.us > 0 ? best.what : KERNEL_ANY_SM;
	ping->base = base;
	return status;
}

static bool ping_go_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

/* The CPU and the line for the answer together: near is what they are. */
static int ping_choose_cpu(struct ping *ping)
{
	struct pingpong *pingpong = ping->pingpong;
	struct best best = { 0 };
	cpu_set_t may;
	int step, status = 0;

	/* Where there are more CPUs than a set has, the one that it is. */
	if (sched_getaffinity(0, sizeof(may), &may)) {
		CPU_ZERO(&may);
		CPU_SET(sched_getcpu() % CPU_SETSIZE, &may);
	}
	step = (CPU_COUNT(&may) + CPUS_MAX - 1) / CPUS_MAX;
	for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE && !status; cpu++) {
		if (!CPU_ISSET(cpu, &may) || seen++ % step || !ping_go_to(cpu))
			continue;
		pingpong->cpus_tried++;
		for (unsigned int i = 0; i < KERNEL_ANSWERS && !status; i++) {
			kernel_answer_at(&pingpong->kernel, i);
			status = ping_try(ping,
					  (uint64_t)cpu * KERNEL_ANSWERS + i,
					  &best);
		}
	}
	pingpong->place_us = best.us;
	if (best.us > 0) {
		kernel_answer_at(&pingpong->kernel, best.what % KERNEL_ANSWERS);
		ping_go_to((int)(best.what / KERNEL_ANSWERS));
	}
	pingpong->cpu = sched_getcpu();
	return status;
}

int pingpong_place(struct pingpong *pingpong)
{
	struct ping ping = { .pingpong = pingpong, .length = 4 };
	double begin = tool_now();
	int status = 0;

	/* What comes first finds the GPU and the CPU asleep. */
	while (!status && tool_now() - begin < AWAKE_US)
		status = ping_place(&ping);
	pingpong->tried.count = 0;
	if (!status)
		status = ping_choose_sm(&ping);
	return status ? status : ping_choose_cpu(&ping);
}
