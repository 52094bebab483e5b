// SPDX-License-Identifier: MIT
/*
 * The courier on this machine's GPU: whether it brings the right bytes, what it
 * costs beside cuMemcpyDtoH and loads in the same run, by the kernel's threads
 * and chunk, and how long it makes others wait. Takes less than a minute. Built
 * with the library's objects: the courier is not in its API.
 *
 *   courier_probe [--backend NAME]
 */
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/base/clock.h"
#include "../../lib/copy/sm/private.h"
#include "../../lib/cpu/cpu.h"
#include "../../lib/base/error.h"
#include "../../lib/base/handle.h"
#include "../../lib/copy/threads/pool.h"

#define EXIT_SKIPPED 77
#define KIB 1024ull
#define MIB (1024 * KIB)
#define ROOM (64 * MIB)
#define GUARD 64
#define SAMPLES 300
#define THREADS 8u

static struct gpumem *handle;
static struct gm_session *session;
static struct gm_courier *courier;
static struct gm_pool *pool;
static struct gpumem_buf *buf;
static uint64_t device;
static char *mapped;
static char *truth; /* what is in device memory */
static char *pageable, *pinned;
static unsigned int threads;
static uint64_t dice = 88172645463325252ull;

static struct {
	CUresult (*synchronize)(void);
	CUresult (*to_host)(void *to, CUdeviceptr from, size_t bytes);
	CUresult (*to_device)(CUdeviceptr to, const void *from, size_t bytes);
	CUresult (*set)(CUdeviceptr to, unsigned char value, size_t bytes);
	CUresult (*set_current)(CUcontext context);
} cu;

static void die(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("not ok - ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(EXIT_FAILURE);
}

static void check(int failed, const char *what)
{
	if (failed)
		die("%s: %d: %s", what, failed, gpumem_last_error());
}

static uint64_t roll(uint64_t sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % sides;
}

static void fill(char *to, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = (char)roll(256);
}

static void rest(uint64_t ns)
{
	const struct timespec time = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	nanosleep(&time, NULL);
}

static void symbol(const char *name, void *function)
{
	*(void **)function = gpumem_cuda_symbol(handle, name);
	if (!*(void **)function)
		die("%s", gpumem_last_error());
}

static void wait_retired(void)
{
	while (courier->start && !gm_courier_retired(courier))
		rest(10000);
}

/* Ways to read; all return 0 when the bytes are there. */

static int by_courier(size_t offset, size_t length)
{
	return gm_courier_read(courier, device + offset, pageable + GUARD, 0,
			       length, NULL, 1);
}

static int by_courier_threads(size_t offset, size_t length)
{
	return gm_courier_read(courier, device + offset, pageable + GUARD, 0,
			       length, pool, threads);
}

/* Not in waves. */
static int by_chunks(size_t offset, size_t length)
{
	const size_t waves_max = courier->waves_max;
	int rc;

	courier->waves_max = 0;
	rc = by_courier(offset, length);
	courier->waves_max = waves_max;
	return rc;
}

static int by_courier_pinned(size_t offset, size_t length)
{
	return gm_courier_read(courier, device + offset, pinned + GUARD,
			       (uintptr_t)(pinned + GUARD), length, NULL, 1);
}

static int by_cuda(size_t offset, size_t length)
{
	return cu.to_host(pageable + GUARD, device + offset, length);
}

static int by_cuda_pinned(size_t offset, size_t length)
{
	return cu.to_host(pinned + GUARD, device + offset, length);
}

static int by_loads(size_t offset, size_t length)
{
	gm_cpu_load_fence();
	gm_cpu()->load(pageable + GUARD, mapped + offset, length);
	gm_cpu_load_fence();
	return 0;
}

typedef int (*read_way)(size_t offset, size_t length);

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Median microseconds; several samples at least, and then for some time. */
static double median(read_way way, size_t length, uint64_t budget_ns)
{
	double us[SAMPLES];
	uint64_t begin, end, since;
	int count = 0;

	for (int i = 0; i < 3; i++)
		check(way(0, length), "read");
	since = gm_clock_ns();
	do {
		begin = gm_clock_ns();
		check(way(0, length), "read");
		end = gm_clock_ns();
		us[count++] = (double)(end - begin) / 1000;
	} while (count < SAMPLES && (count < 5 || end - since < budget_ns));
	qsort(us, (size_t)count, sizeof(*us), compare);
	return us[count / 2];
}

/* Changes some bytes, by the CPU, a copy or a kernel of CUDA's. */
static void change(void)
{
	size_t length = 1 + roll(1 << roll(14));
	size_t offset = roll(4 * MIB);
	int way = (int)roll(3);

	if (way == 2)
		memset(truth + offset, (int)roll(256), length);
	else
		fill(truth + offset, length);
	if (way == 0)
		check(gpumem_write(buf, offset, truth + offset, length),
		      "gpumem_write");
	else if (way == 1)
		check(cu.to_device(device + offset, truth + offset, length),
		      "cuMemcpyHtoD");
	else
		check(cu.set(device + offset, (unsigned char)truth[offset],
			     length) ||
			      cu.synchronize(),
		      "cuMemsetD8");
}

static void check_read(void)
{
	size_t length = 1 + roll(1ull << roll(23));
	size_t offset = roll(4 * MIB);
	bool direct = roll(2);
	char *base = (direct ? pinned : pageable) + roll(256);
	char *to = base + GUARD;
	char guard[GUARD];

	memset(guard, 0x5a, GUARD);
	memset(base, 0x5a, GUARD);
	memset(to, ~truth[offset], length);
	memset(to + length, 0x5a, GUARD);
	check(gm_courier_read(courier, device + offset, to,
			      direct ? (uintptr_t)to : 0, length, pool,
			      1 + (unsigned int)roll(threads)),
	      "read");
	if (memcmp(to, truth + offset, length) || memcmp(base, guard, GUARD) ||
	    memcmp(to + length, guard, GUARD))
		die("wrong bytes: %zu at +%zu, %s, target at +%zu", length,
		    offset % 128, direct ? "pinned" : "staged",
		    (uintptr_t)to % 128);
}

static void check_bytes(uint64_t budget_ns)
{
	uint64_t since = gm_clock_ns();
	unsigned int count = 0;

	while (gm_clock_ns() - since < budget_ns) {
		change();
		check_read();
		if (roll(20) == 0)
			rest(roll(400000));
		count++;
	}
	check(cu.to_host(pageable, device, ROOM), "cuMemcpyDtoH");
	if (memcmp(pageable, truth, ROOM))
		die("device memory is not what was written");
	printf("ok - %u random reads, each after a change by the CPU or CUDA; "
	       "%llu starts\n",
	       count, (unsigned long long)gm_courier_starts(courier));
}

static void print_sizes(uint64_t cell_ns)
{
	static const read_way ways[] = {
		by_courier, by_chunks,	       by_courier_threads,
		by_cuda,    by_courier_pinned, by_cuda_pinned,
		by_loads
	};

	printf("\nWarm reads, median us (%u threads of the kernel, chunks to "
	       "%u, waves up to %zu)\n"
	       "%10s %11s %11s %11s %11s | %11s %11s | %11s\n",
	       courier->threads, courier->chunk_max, courier->waves_max,
	       "bytes", "courier", "no waves", "c.threads", "DtoH", "c.pinned",
	       "DtoH pinned", "loads");
	for (size_t length = 64; length <= ROOM; length *= 2) {
		printf("%10zu", length);
		for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
			if (i == 4 || i == 6)
				printf(" |");
			/* Loads take seconds where nobody uses them. */
			if (ways[i] == by_loads && length > MIB)
				printf(" %11s", "");
			else
				printf(" %11.2f",
				       median(ways[i], length, cell_ns));
		}
		printf("\n");
		fflush(stdout);
	}
}

static void print_alignments(uint64_t cell_ns)
{
	static const size_t sizes[] = { 64, 4 * KIB, 64 * KIB, MIB };
	const uint64_t aligned = device;
	char *const to = pinned;

	printf("\nPinned memory, median us by where source and target lie\n"
	       "%10s %11s %11s %11s\n",
	       "bytes", "0 and 0", "5 and 5", "5 and 0");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		printf("%10zu", sizes[i]);
		printf(" %11.2f", median(by_courier_pinned, sizes[i], cell_ns));
		device = aligned + 5;
		pinned = to + 5;
		printf(" %11.2f", median(by_courier_pinned, sizes[i], cell_ns));
		pinned = to;
		printf(" %11.2f\n",
		       median(by_courier_pinned, sizes[i], cell_ns));
		device = aligned;
	}
}

static void print_cold(void)
{
	static const size_t sizes[] = { 64, 4 * KIB, 64 * KIB };

	printf("\nCold reads: the kernel has retired, median us of 50\n");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		double us[50];

		for (int j = 0; j < 50; j++) {
			uint64_t begin;

			wait_retired();
			begin = gm_clock_ns();
			check(by_courier(0, sizes[i]), "read");
			us[j] = (double)(gm_clock_ns() - begin) / 1000;
		}
		qsort(us, 50, sizeof(*us), compare);
		printf("%10zu %11.2f\n", sizes[i], us[25]);
	}
}

static void print_tuning(uint64_t cell_ns)
{
	static const size_t sizes[] = { KIB,	   16 * KIB, 64 * KIB,
					256 * KIB, MIB,	     16 * MIB };
	const unsigned int kernel_threads = courier->threads;
	const unsigned int chunk_max = courier->chunk_max;

	printf("\nBy the kernel's threads and longest chunk, median us: "
	       "staged with %u threads, then pinned\n%8s %8s",
	       threads, "threads", "chunk");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		printf(" %18zu", sizes[i]);
	printf("\n");
	for (unsigned int t = 2 * GM_COURIER_GROUP;
	     t <= GM_COURIER_GROUPS * GM_COURIER_GROUP;
	     t += 2 * GM_COURIER_GROUP) {
		wait_retired();
		courier->threads = t;
		for (unsigned int c = 8192; c <= 131072; c *= 2) {
			courier->chunk_max = c;
			printf("%8u %8u", t, c);
			for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes);
			     i++)
				printf(" %9.2f %8.2f",
				       median(by_courier_threads, sizes[i],
					      cell_ns),
				       median(by_courier_pinned, sizes[i],
					      cell_ns));
			printf("\n");
			fflush(stdout);
		}
	}
	wait_retired();
	courier->threads = kernel_threads;
	courier->chunk_max = chunk_max;
}

/* What another thread of the program sees. */
struct stall {
	const char *name;
	int (*call)(void);
	atomic_bool stop;
	double worst, middle; /* us */
	unsigned int count;
};

static int call_synchronize(void)
{
	return cu.synchronize();
}

static int call_alloc(void)
{
	CUdeviceptr addr;

	return session->cuda.alloc(&addr, 1 * MIB) || session->cuda.free(addr);
}

static void *stall_run(void *arg)
{
	struct stall *stall = arg;
	const size_t room = 200000;
	double *us = malloc(room * sizeof(*us));

	check(!us || cu.set_current(session->context), "set the context");
	while (!stall->stop && stall->count < room) {
		uint64_t begin = gm_clock_ns();

		check(stall->call(), stall->name);
		us[stall->count++] = (double)(gm_clock_ns() - begin) / 1000;
	}
	qsort(us, stall->count, sizeof(*us), compare);
	if (stall->count) {
		stall->worst = us[stall->count - 1];
		stall->middle = us[stall->count / 2];
	}
	free(us);
	return NULL;
}

static void print_stall(const char *name, int (*call)(void), bool reading,
			uint64_t budget_ns)
{
	struct stall stall = { .name = name, .call = call };
	uint64_t since = gm_clock_ns();
	uint64_t starts = gm_courier_starts(courier);
	unsigned int reads = 0;
	pthread_t thread;

	check(pthread_create(&thread, NULL, stall_run, &stall), "thread");
	while (gm_clock_ns() - since < budget_ns) {
		if (!reading) {
			rest(1000000);
			continue;
		}
		check(by_courier(0, 64 * KIB), "read");
		reads++;
	}
	stall.stop = true;
	pthread_join(thread, NULL);
	printf("%-24s %-14s median %9.1f  worst %9.1f us of %u calls; %u "
	       "reads, %llu starts\n",
	       name, reading ? "while reading" : "alone", stall.middle,
	       stall.worst, stall.count, reads,
	       (unsigned long long)(gm_courier_starts(courier) - starts));
}

static int open_all(const char *backend)
{
	const struct gm_courier_limits limits = { 200, 2000 };
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = backend };
	struct gpumem_buf_info info = { .size = sizeof(info) };
	char name[96] = "";
	uint64_t begin;
	void *object;

	if (!backend && access("/dev/nvidiactl", F_OK)) {
		printf("skip - this machine has no NVIDIA GPU (no "
		       "/dev/nvidiactl); --backend sim probes a simulated "
		       "one\n");
		return EXIT_SKIPPED;
	}
	check(gpumem_open(&options, &handle), "open");
	check(gm_handle_get(GM_KIND_SESSION, handle, "probe", &object),
	      "session");
	gm_handle_put(handle);
	session = object;
	symbol("cuCtxSynchronize", &cu.synchronize);
	symbol("cuMemcpyDtoH_v2", &cu.to_host);
	symbol("cuMemcpyHtoD_v2", &cu.to_device);
	symbol("cuMemsetD8_v2", &cu.set);
	symbol("cuCtxSetCurrent", &cu.set_current);
	check(cu.set_current(session->context), "set the context");
	session->cuda.device_name(name, sizeof(name), session->device);
	threads = gm_pool_cpus(-1) < THREADS ? gm_pool_cpus(-1) : THREADS;
	printf("%s, backend %s, CPU routines %s, %u threads%s\n", name,
	       gpumem_backend_name(handle), gm_cpu()->name, threads,
	       session->cuda.simulated
		       ? " (SIMULATED: the times say nothing about a GPU)"
		       : "");
	begin = gm_clock_ns();
	check(gm_courier_new(session, &limits, &courier), "courier");
	printf("made in %.1f ms\n", (double)(gm_clock_ns() - begin) / 1e6);

	check(gpumem_alloc(handle, ROOM, 0, &buf), "alloc");
	check(gpumem_map(buf, &object), "map");
	check(gpumem_buf_get(buf, &info), "buffer");
	mapped = object;
	device = info.addr;
	pool = gm_pool_new(THREADS, -1);
	truth = malloc(ROOM);
	pageable = malloc(ROOM + 4096);
	check(!pool || !truth || !pageable, "host memory");
	check(session->cuda.host_alloc((void **)&pinned, ROOM + 4096,
				       CU_MEMHOSTALLOC_PORTABLE),
	      "pinned host memory");
	fill(truth, ROOM);
	memset(pageable, 1, ROOM + 4096);
	memset(pinned, 1, ROOM + 4096);
	check(cu.to_device(device, truth, ROOM), "cuMemcpyHtoD");
	return 0;
}

static void close_all(void)
{
	gm_courier_free(courier);
	gm_pool_free(pool);
	session->cuda.host_free(pinned);
	free(pageable);
	free(truth);
	check(gpumem_close(handle), "close");
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ 0 },
	};
	const char *backend = NULL;
	uint64_t cell = 20000000;
	uint64_t second = 1000000000;
	size_t waves_max;
	int option, status;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option != 'b')
			return 2;
		backend = optarg;
	}
	status = open_all(backend);
	if (status)
		return status;
	if (session->cuda.simulated) {
		cell /= 20;
		second /= 10;
	}
	check_bytes(6 * second);
	print_sizes(2 * cell);
	print_alignments(cell);
	print_cold();
	/* What it tunes are chunks. */
	waves_max = courier->waves_max;
	courier->waves_max = 0;
	print_tuning(cell / 2);
	courier->waves_max = waves_max;
	printf("\nOther calls of the program (idle limit %u us, life %u us)\n",
	       courier->limits.idle_us, courier->limits.life_us);
	for (int reading = 0; reading <= 1; reading++) {
		print_stall("cuCtxSynchronize", call_synchronize, reading,
			    second * (reading ? 3 : 1));
		print_stall("cuMemAlloc + cuMemFree", call_alloc, reading,
			    second * (reading ? 3 : 1));
	}
	close_all();
	printf("ok - courier probe\n");
	return 0;
}
