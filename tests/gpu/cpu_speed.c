// SPDX-License-Identifier: MIT
/*
 * How fast each copy routine is on mapped GPU memory: one call with its fence,
 * by length and alignment, and large ones by several threads. For choosing
 * among the routines; `gpumem bench` measures the library.
 *
 *   cpu_speed [--backend NAME]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/cpu/cpu.h"
#include "../../lib/copy/threads/pool.h"
#include "gpu.h"

#define ROUTINES 8
#define LARGEST ((size_t)4 << 20)
/* Each figure is the median of samples taken for this long. */
#define CELL_US 6000
#define SAMPLES 2000
/* Calls that are timed together, where one is short. */
#define BATCH 8
#define BATCH_MAX 4096
/* What has no streaming loads is only asked for this much. */
#define SLOW_MAX 65536
#define THREADS_MIN 65536
#define THREADS_MAX 8

enum way { STORE, LOAD, DRAIN };

struct routine {
	const char *name;
	const struct gm_cpu *cpu; /* NULL: libc's memcpy() */
	bool slow; /* at loads */
};

struct call {
	const struct routine *routine;
	enum way way;
	char *to;
	const char *from;
};

static struct routine routines[ROUTINES];
static unsigned int routine_count;
static struct gm_pool *pool;

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void piece(void *arg, size_t first, size_t length)
{
	const struct call *call = arg;
	const struct gm_cpu *cpu = call->routine->cpu;
	const char *from = call->from + first;
	char *to = call->to + first;

	if (call->way == LOAD)
		gm_cpu_load_fence();
	if (!cpu)
		memcpy(to, from, length);
	else if (call->way == STORE)
		cpu->store(to, from, length);
	else if (call->way == LOAD)
		cpu->load(to, from, length);
	else
		cpu->drain(to, from, length);
	if (call->way != LOAD)
		gm_cpu_fence();
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Microseconds of one call, or 0 for what is not measured. */
static double measure(struct call *call, size_t length, unsigned int threads)
{
	static double samples[SAMPLES];
	int batch = length <= BATCH_MAX ? BATCH : 1, count = 0;
	size_t part = length / threads / 4 & ~(size_t)4095;
	double begin, start;

	if (call->way == LOAD && call->routine->slow && length > SLOW_MAX)
		return 0;
	/* Sixteen KiB at least, as each piece ends with a fence. */
	part = part < 16384 ? 16384 : part;
	begin = now_us();
	/* The first call is not counted. */
	for (int round = 0; round < SAMPLES; round++) {
		start = now_us();
		for (int i = 0; i < batch; i++) {
			if (threads > 1)
				gm_pool_run(pool, threads, length, part, piece,
					    call);
			else
				piece(call, 0, length);
		}
		if (round)
			samples[count++] = (now_us() - start) / batch;
		if (count >= 3 && now_us() - begin > CELL_US)
			break;
	}
	qsort(samples, count, sizeof(samples[0]), compare);
	return samples[count / 2];
}

static void print_head(const char *title, const char *second)
{
	printf("\n%s\n%9s %7s", title, "bytes", second);
	for (unsigned int i = 0; i < routine_count; i++)
		printf(" %10s", routines[i].name);
	printf("\n");
}

/* Microseconds, or GB/s. */
static void print_row(struct call call, size_t length, unsigned int threads,
		      bool rate)
{
	for (unsigned int i = 0; i < routine_count; i++) {
		double us;

		call.routine = &routines[i];
		us = measure(&call, length, threads);
		if (us <= 0)
			printf(" %10s", "-");
		else
			printf(" %10.3f", rate ? length / us / 1000 : us);
	}
	printf("\n");
	fflush(stdout);
}

static void by_length(const char *title, const struct call *call, char *map)
{
	static const size_t lengths[] = { 4,	 8,	  16,	  64,
					  256,	 1024,	  4096,	  16384,
					  65536, 1 << 20, LARGEST };
	static const size_t skews[] = { 0, 1, 63 };

	print_head(title, "at");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (size_t k = 0; k < sizeof(skews) / sizeof(skews[0]); k++) {
			struct call skewed = *call;

			/* The GPU's side; the host's is aligned. */
			if (call->to == map)
				skewed.to += skews[k];
			else
				skewed.from += skews[k];
			printf("%9zu %+7zd", lengths[i], (ssize_t)skews[k]);
			print_row(skewed, lengths[i], 1, false);
		}
	}
}

static void by_threads(const char *title, const struct call *call)
{
	print_head(title, "threads");
	for (size_t length = THREADS_MIN; length <= LARGEST; length *= 4) {
		for (unsigned int threads = 1; threads <= THREADS_MAX;
		     threads *= 2) {
			printf("%9zu %7u", length, threads);
			print_row(*call, length, threads, true);
		}
	}
}

static void measure_all(char *map, char *host, char *other)
{
	const struct call store = { .way = STORE, .to = map, .from = host };
	const struct call load = { .way = LOAD, .to = host, .from = map };
	const struct call drain = { .way = DRAIN, .to = other, .from = host };

	by_length("store and fence, one thread, us", &store, map);
	by_length("fence and load, one thread, us", &load, map);
	by_threads("stores, GB/s", &store);
	by_threads("loads, GB/s", &load);
	by_threads("drain, host to host, GB/s", &drain);
}

static int run(void)
{
	const struct gm_cpu *cpu;
	struct gpumem_buf *buf;
	char *host, *other;
	void *map;

	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++)
		routines[routine_count++] = (struct routine){
			.name = cpu->name,
			.cpu = cpu,
			.slow = !strcmp(cpu->name, "sse2"),
		};
	routines[routine_count++] =
		(struct routine){ .name = "memcpy", .slow = true };
	host = aligned_alloc(4096, LARGEST + 4096);
	other = aligned_alloc(4096, LARGEST + 4096);
	pool = gm_pool_new(THREADS_MAX, -1);
	if (!host || !other || !pool) {
		printf("not ok - out of memory\n");
		return EXIT_FAILURE;
	}
	memset(host, 1, LARGEST + 4096);
	memset(other, 1, LARGEST + 4096);
	if (gpumem_alloc(gpu.session, LARGEST + 4096, 0, &buf) ||
	    gpumem_map(buf, &map)) {
		printf("not ok - map GPU memory: %s\n", gpumem_last_error());
		return EXIT_FAILURE;
	}
	printf("# %u CPUs may be used; in use by itself: %s; medians\n",
	       gm_pool_cpus(-1), gm_cpu()->name);
	if (gpu.device.flags & GPUMEM_DEVICE_SIMULATED)
		printf("# SIMULATED: ordinary memory, not a GPU's; the figures "
		       "say nothing of one\n");
	measure_all(map, host, other);
	gm_pool_free(pool);
	free(host);
	free(other);
	return gpumem_unpin(buf) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ 0 },
	};
	const char *backend = NULL;
	int option, status;
	double start = now_us();

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'b')
			return 2;
		backend = optarg;
	}
	gpu.seed = 1;
	status = gpu_open(backend);
	if (status)
		return status;
	status = run();
	cuda_close(&gpu.cuda);
	gpumem_close(gpu.session);
	printf("# measured in %.1f s\n", (now_us() - start) / 1e6);
	return status;
}
