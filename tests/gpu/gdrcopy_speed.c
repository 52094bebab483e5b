// SPDX-License-Identifier: MIT
/*
 * How long gdr_copy_to_mapping() and gdr_copy_from_mapping() take, of libgdrapi
 * and of GDRCopy, in turn on the same mapping and the same pageable memory; and
 * how often the reads of both bring what the CPU kept of an earlier one. Nothing
 * is asserted but the data of libgdrapi. gdrcopy.sh builds it and runs it;
 * GPUMEM_BACKEND chooses the backend.
 */
#include <errno.h>
#include <gdrapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fresh.h"
#include "gdrcopy_theirs.h"
#include "gpu.h"

#define LARGEST ((size_t)16 << 20)
/* Of each row of medians: the time spent, and the samples taken. */
#define RESULT_US 200000
#define SAMPLES_MIN 15
#define SAMPLES_MAX 2000
/* Rounds that are not counted. */
#define ROUNDS_BEFORE 3
/*
 * Calls that are timed together, where one is short: each of other lines. A line
 * that was just read can come out of the CPU.
 */
#define BATCH 16
#define BATCH_MAX 4096
#define LINE 64
#define STALE_ROWS 1250u

/*
 * The last two, reads alone, end with a load fence: of libgdrapi by
 * GDR_COPY_FLAG_READ_FENCE, after GDRCopy's by the caller.
 */
enum who { OURS, THEIRS, OURS_FENCED, THEIRS_FENCED, WHO_COUNT };
#define WRITE_WHOS OURS_FENCED

struct copy {
	gdr_mh_t handle;
	char *map;
	char *host;
	size_t size;
	bool read;
};

struct result {
	double us[WHO_COUNT]; /* medians, by who */
	unsigned int samples;
};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* At an offset in the mapping. */
static int copy_at(const struct copy *copy, enum who who, size_t at)
{
	char *map = copy->map + at;

	if (!copy->read)
		return who == OURS
			       ? gdr_copy_to_mapping(copy->handle, map,
						     copy->host, copy->size)
			       : theirs_copy_to(map, copy->host, copy->size);
	switch (who) {
	case OURS:
		return gdr_copy_from_mapping(copy->handle, copy->host, map,
					     copy->size);
	case OURS_FENCED:
		return gdr_copy_from_mapping_v2(
			copy->handle, copy->host, map, copy->size,
			GDR_COPY_FLAG_DEFAULT | GDR_COPY_FLAG_READ_FENCE);
	case THEIRS_FENCED:
		return theirs_copy_from_fenced(copy->host, map, copy->size);
	default:
		return theirs_copy_from(copy->host, map, copy->size);
	}
}

static int copy_once(const struct copy *copy, enum who who)
{
	return copy_at(copy, who, 0);
}

static int copy_row(const struct copy *copy, enum who who, int count)
{
	const size_t step = copy->size < LINE ? LINE : copy->size;
	int failed = 0;

	for (int i = 0; i < count; i++)
		failed |= copy_at(copy, who, i * step);
	return failed;
}

/* A load passes no store on the bus: all of them have arrived. */
static void settle(const struct copy *copy)
{
	(void)*(volatile char *)copy->map;
}

/* Microseconds of one call, or a negative number when it failed. */
static double sample(const struct copy *copy, enum who who)
{
	int batch = copy->size <= BATCH_MAX ? BATCH : 1, failed;
	double start;

	/* What the other one's turn made cold. */
	failed = copy_row(copy, who, batch);
	settle(copy);
	start = now_us();
	failed |= copy_row(copy, who, batch);
	return failed ? -1 : (now_us() - start) / batch;
}

static int measure(const struct copy *copy, struct result *result)
{
	static double samples[WHO_COUNT][SAMPLES_MAX];
	const unsigned int whos = copy->read ? WHO_COUNT : WRITE_WHOS;
	double begin = now_us();
	unsigned int count = 0;

	for (unsigned int round = 0; count < SAMPLES_MAX; round++) {
		/* Who comes first changes. */
		for (unsigned int turn = 0; turn < whos; turn++) {
			enum who who = (round + turn) % whos;
			double us = sample(copy, who);

			if (us < 0)
				return -1;
			samples[who][count] = us;
		}
		count += round >= ROUNDS_BEFORE;
		if (count >= SAMPLES_MIN && now_us() - begin > RESULT_US)
			break;
	}
	for (unsigned int who = OURS; who < whos; who++) {
		qsort(samples[who], count, sizeof(double), compare);
		result->us[who] = samples[who][count / 2];
	}
	result->samples = count;
	return 0;
}

/* What one has written the other reads. */
static int check_data(const struct copy *copy, uint64_t seed)
{
	struct copy write = *copy, read = *copy;

	write.read = false;
	read.read = true;
	for (int who = OURS; who <= THEIRS; who++, seed++) {
		for (size_t i = 0; i < copy->size; i++)
			copy->host[i] = (char)pattern_byte(seed, i);
		if (copy_once(&write, who))
			return -1;
		memset(copy->host, 0, copy->size);
		if (copy_once(&read, who == OURS ? THEIRS : OURS) ||
		    pattern_check(copy->host, copy->size, seed) != PASSED)
			return -1;
	}
	return 0;
}

static int measure_all(struct copy *copy)
{
	struct result result;

	printf("\n%s, us a call, medians%s\n%9s %11s %11s %12s %8s",
	       copy->read ? "gdr_copy_from_mapping" : "gdr_copy_to_mapping",
	       copy->read ? "; and both with a load fence" : "", "bytes",
	       "libgdrapi", "GDRCopy", "GDRCopy/lib", "samples");
	printf(copy->read ? " %11s %11s %12s\n" : "\n", "lib fenced",
	       "GDR. fenced", "GDRCopy/lib");
	for (copy->size = 4; copy->size <= LARGEST; copy->size *= 2) {
		if (check_data(copy, copy->size)) {
			printf("not ok - %zu bytes: a copy failed or brought "
			       "other data\n",
			       copy->size);
			return EXIT_FAILURE;
		}
		if (measure(copy, &result)) {
			printf("not ok - %zu bytes: a copy failed\n",
			       copy->size);
			return EXIT_FAILURE;
		}
		printf("%9zu %11.3f %11.3f %12.2f %8u", copy->size,
		       result.us[OURS], result.us[THEIRS],
		       result.us[THEIRS] / result.us[OURS], result.samples);
		if (copy->read)
			printf(" %11.3f %11.3f %12.2f", result.us[OURS_FENCED],
			       result.us[THEIRS_FENCED],
			       result.us[THEIRS_FENCED] /
				       result.us[OURS_FENCED]);
		printf("\n");
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}

static int fresh_write(void *arg, void *host, size_t size)
{
	const struct copy *copy = arg;

	return gdr_copy_to_mapping(copy->handle, copy->map, host, size);
}

static int fresh_ours(void *arg, void *host, size_t size)
{
	const struct copy *copy = arg;

	return gdr_copy_from_mapping(copy->handle, host, copy->map, size);
}

/* The fence is needed before: so no load of this may pass the one before it. */
static int fresh_ours_fenced(void *arg, void *host, size_t size)
{
	const struct copy *copy = arg;

	return gdr_copy_fence(copy->handle, GDR_COPY_FLAG_READ_FENCE) ||
	       gdr_copy_from_mapping(copy->handle, host, copy->map, size);
}

static int fresh_theirs(void *arg, void *host, size_t size)
{
	const struct copy *copy = arg;

	return theirs_copy_from(host, copy->map, size);
}

static int fresh_theirs_fenced(void *arg, void *host, size_t size)
{
	const struct copy *copy = arg;

	return theirs_copy_from_fenced(host, copy->map, size);
}

static int count_stale_of(struct copy *copy, size_t size)
{
	static const fresh_copy reads[WHO_COUNT] = {
		[OURS] = fresh_ours,
		[THEIRS] = fresh_theirs,
		[OURS_FENCED] = fresh_ours_fenced,
		[THEIRS_FENCED] = fresh_theirs_fenced,
	};
	int status = EXIT_SUCCESS;

	printf("%9zu", size);
	for (int who = OURS; who < WHO_COUNT; who++) {
		struct fresh fresh = { .write = fresh_write,
				       .read = reads[who],
				       .arg = copy,
				       .size = size,
				       .rows = STALE_ROWS };

		if (fresh_run(&fresh)) {
			printf("\nnot ok - a copy failed\n");
			return EXIT_FAILURE;
		}
		printf(" %10u %10u", fresh.stale, fresh.again);
		if (who == OURS_FENCED && fresh.stale)
			status = EXIT_FAILURE;
	}
	printf("\n");
	if (status)
		printf("not ok - libgdrapi's reads behind a fence must never "
		       "be stale\n");
	return status;
}

/* Small reads beside a thread that writes: a fast one may be none. */
static int count_stale(struct copy *copy)
{
	static const size_t sizes[] = { 8, 16, 32, 64, 128, 1024 };
	int status = EXIT_SUCCESS;

	printf("\nreads in a row while a thread writes: of %u, those that "
	       "brought less than was\nwritten before, and those that brought "
	       "what the one before did\n%9s %21s %21s %21s %21s\n",
	       STALE_ROWS * 16, "bytes", "libgdrapi", "GDRCopy", "lib fenced",
	       "GDR. fenced");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (count_stale_of(copy, sizes[i]))
			status = EXIT_FAILURE;
	return status;
}

/* Pinned and mapped through libgdrapi, both directions. */
static int run_mapped(gdr_t library, uint64_t addr)
{
	struct copy copy = { .host = aligned_alloc(4096, LARGEST) };
	int status = EXIT_FAILURE, error;
	void *map;

	error = gdr_pin_buffer(library, addr, LARGEST, 0, 0, &copy.handle);
	if (!error)
		error = gdr_map(library, copy.handle, &map, LARGEST);
	if (error || !copy.host) {
		printf("not ok - pin and map GPU memory: %s\n",
		       strerror(error ? error : ENOMEM));
		free(copy.host);
		return status;
	}
	copy.map = map;
	memset(copy.host, 1, LARGEST);
	status = measure_all(&copy);
	copy.read = true;
	if (status == EXIT_SUCCESS)
		status = measure_all(&copy);
	if (status == EXIT_SUCCESS)
		status = count_stale(&copy);
	if (gdr_unpin_buffer(library, copy.handle))
		status = EXIT_FAILURE;
	free(copy.host);
	return status;
}

static int run(void)
{
	uint64_t place, addr;
	gdr_t library = gdr_open();
	int status;

	if (!library) {
		printf("not ok - gdr_open\n");
		return EXIT_FAILURE;
	}
	if (gpu.cuda.mem_alloc(&place, LARGEST + GPU_PAGE_SIZE)) {
		printf("not ok - allocate GPU memory\n");
		gdr_close(library);
		return EXIT_FAILURE;
	}
	addr = (place + GPU_PAGE_OFFSET) & GPU_PAGE_MASK;
	theirs_start();
	if (gpu.device.flags & GPUMEM_DEVICE_SIMULATED)
		printf("# SIMULATED: ordinary memory, not a GPU's; the figures "
		       "say nothing of one\n");
	printf("# A call's time is until it returns: what was stored may be "
	       "under way then\n");
	status = run_mapped(library, addr);
	if (gdr_close(library))
		status = EXIT_FAILURE;
	gpu.cuda.mem_free(place);
	return status;
}

int main(void)
{
	double start = now_us();
	int status;

	gpu.seed = 1;
	status = gpu_open(getenv("GPUMEM_BACKEND"));
	if (status)
		return status;
	status = run();
	cuda_close(&gpu.cuda);
	gpumem_close(gpu.session);
	printf("# measured in %.1f s\n", (now_us() - start) / 1e6);
	return status;
}
