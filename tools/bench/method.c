// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/method.h"

/* Calls that follow each other are timed together up to about so long. */
#define SAMPLE_US 5.0
#define CALLS_MAX 64
/* A call that takes longer finds nothing cold that a call before it warmed. */
#define WARM_US 500.0

/* As many before these, of short calls, or for so long. */
#define ROW_CALLS 8
#define ROW_US 200.0

static const struct {
	const char *name;
	enum way_kind kind;
	unsigned int method;
} names[] = {
	{ "gpumem", WAY_GPUMEM, GPUMEM_COPY_AUTO },
	{ "cpu", WAY_GPUMEM, GPUMEM_COPY_CPU },
	{ "threads", WAY_GPUMEM, GPUMEM_COPY_THREADS },
	{ "courier", WAY_GPUMEM, GPUMEM_COPY_COURIER },
	{ "engine", WAY_GPUMEM, GPUMEM_COPY_ENGINE },
	{ "cuMemcpy", WAY_CUDA, 0 },
};

bool way_named(const char *name, struct way *way)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i].name) != 0)
			continue;
		memset(way, 0, sizeof(*way));
		way->kind = names[i].kind;
		way->method = names[i].method;
		snprintf(way->name, sizeof(way->name), "%s", name);
		return true;
	}
	return false;
}

void way_classic(const struct classic *classic, struct way *way)
{
	memset(way, 0, sizeof(*way));
	way->kind = WAY_CLASSIC;
	way->classic = classic;
	snprintf(way->name, sizeof(way->name), "classic-%s", classic->name);
}

/*
 * The loops below are no more than a call each: the fence of a small write lets
 * no later store pass, so that one that a loop does is felt as much as one of
 * the copy itself.
 */
static int way_gpumem_with(const struct way *way, const struct way_job *job,
			   int count)
{
	const struct gpumem_copy_options options = {
		.size = sizeof(options),
		.method = way->method,
		.threads = way->threads,
	};
	const uint64_t offset = BENCH_GUARD + job->offset;
	struct gpumem_buf *buf = job->memory->buf;
	char *host = job->host->memory;
	int error = 0;

	for (; count && !error; count--)
		error = job->read ? gpumem_read_with(buf, offset, host,
						     job->length, &options)
				  : gpumem_write_with(buf, offset, host,
						      job->length, &options);
	return error;
}

static int way_gpumem(const struct way_job *job, int count)
{
	const uint64_t offset = BENCH_GUARD + job->offset;
	struct gpumem_buf *buf = job->memory->buf;
	const uint64_t length = job->length;
	char *host = job->host->memory;
	int error = 0;

	if (job->read)
		for (; count && !error; count--)
			error = gpumem_read(buf, offset, host, length);
	else
		for (; count && !error; count--)
			error = gpumem_write(buf, offset, host, length);
	return error;
}

static int way_cuda(const struct way_job *job, int count)
{
	const uint64_t addr = job->memory->addr + BENCH_GUARD + job->offset;
	const struct cuda *cuda = &job->gpu->cuda;
	char *host = job->host->memory;
	int result = 0;

	if (job->read)
		for (; count && !result; count--)
			result = cuda->copy_from_gpu(host, addr, job->length);
	else
		for (; count && !result; count--)
			result = cuda->copy_to_gpu(addr, host, job->length);
	return result;
}

static void way_classic_copies(const struct way *way, const struct way_job *job,
			       int count)
{
	void (*copy)(void *to, const void *from, size_t length) =
		way->classic->copy;
	char *gpu = job->memory->cpu + BENCH_GUARD + job->offset;
	const uint64_t length = job->length;
	char *host = job->host->memory;
	char *to = job->read ? host : gpu, *from = job->read ? gpu : host;

	for (; count; count--)
		copy(to, from, length);
}

int way_copies(const struct way *way, const struct way_job *job, int count,
	       char *why, size_t room)
{
	int error = 0;

	switch (way->kind) {
	case WAY_CUDA:
		error = way_cuda(job, count);
		if (!error)
			return 0;
		cuda_error(&job->gpu->cuda, error, why, room);
		return -EIO;
	case WAY_CLASSIC:
		way_classic_copies(way, job, count);
		return 0;
	case WAY_PLAN:
		error = way_gpumem(job, count);
		break;
	case WAY_GPUMEM:
		error = way->method == GPUMEM_COPY_AUTO
				? way_gpumem(job, count)
				: way_gpumem_with(way, job, count);
	}
	if (error)
		snprintf(why, room, "%s", tool_reason());
	return error;
}

int way_copy(const struct way *way, const struct way_job *job, char *why,
	     size_t room)
{
	return way_copies(way, job, 1, why, room);
}

/*
 * What a turn begins with. A way through a plan costs what it costs those who
 * do not choose: with the looks at the memory that its method needs.
 */
static int way_begin(const struct way *way, const struct way_job *job,
		     char *why, size_t room)
{
	struct gpumem_plan_step steps[2] = {
		{ .flags = job->read ? GPUMEM_COPY_READ : 0,
		  .method = way->method,
		  .threads = way->threads,
		  .up_to = UINT64_MAX },
	};
	int error;

	if (way->kind != WAY_PLAN)
		return 0;
	/* For both kinds of memory, or the library must look which it is. */
	steps[1] = steps[0];
	steps[1].flags |= GPUMEM_COPY_PINNED;
	error = gpumem_plan_set(job->gpu->session, steps, 2, 0);
	if (error)
		snprintf(why, room, "%s", tool_reason());
	return error;
}

/* Bytes that no other seed has at the same place, or nearly none. */
static void pattern_fill(char *bytes, uint64_t length, uint64_t seed)
{
	uint64_t word = seed * 0x9e3779b97f4a7c15u + 1;

	for (uint64_t i = 0; i < length; i += sizeof(word)) {
		uint64_t left = length - i;

		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		memcpy(bytes + i, &word,
		       left < sizeof(word) ? left : sizeof(word));
	}
}

/* Looked at before and behind the bytes that are copied. */
#define EDGE 64
#define EDGE_BYTE 0xc3

/*
 * found has EDGE bytes before and behind length bytes; the edges must have kept
 * EDGE_BYTE and the rest be what is expected.
 */
static int way_compare(const struct way *way, const struct way_job *job,
		       const char *found, const char *expected)
{
	int64_t length = job->length, wrong = -EDGE;

	while (wrong < length + EDGE) {
		bool edge = wrong < 0 || wrong >= length;
		char byte = edge ? (char)EDGE_BYTE : expected[wrong];

		if (!wrong && !memcmp(found, expected, length)) {
			wrong = length;
			continue;
		}
		if (found[wrong] != byte)
			break;
		wrong++;
	}
	if (wrong >= length + EDGE)
		return 0;
	tool_error("%s: a %s of %" PRIu64 " bytes at offset %" PRIu64
		   "%s: byte %" PRId64 " is 0x%02x and not 0x%02x",
		   way->name, job->read ? "read" : "write", job->length,
		   job->offset, job->host->pinned ? " (pinned)" : "", wrong,
		   (unsigned char)found[wrong],
		   wrong < 0 || wrong >= length
			   ? EDGE_BYTE
			   : (unsigned char)expected[wrong]);
	return TOOL_MISMATCH;
}

static int way_verify_write(const struct way *way, const struct way_job *job,
			    const struct bench_host *check)
{
	const struct cuda *cuda = &job->gpu->cuda;
	uint64_t addr = job->memory->addr + BENCH_GUARD + job->offset - EDGE;
	char why[232];
	int result;

	pattern_fill(job->host->memory, job->length, addr + job->length);
	result = cuda->memset_d8(addr, EDGE_BYTE, job->length + 2 * EDGE);
	if (!result)
		result = cuda->context_synchronize();
	if (result)
		return bench_cuda_failed(job->gpu, "cuMemsetD8", result);
	if (way_copy(way, job, why, sizeof(why)))
		return 0;
	result = cuda->copy_from_gpu(check->memory - EDGE, addr,
				     job->length + 2 * EDGE);
	if (result)
		return bench_cuda_failed(job->gpu, "cuMemcpyDtoH", result);
	return way_compare(way, job, check->memory, job->host->memory);
}

static int way_verify_read(const struct way *way, const struct way_job *job,
			   const struct bench_host *check)
{
	const struct cuda *cuda = &job->gpu->cuda;
	uint64_t addr = job->memory->addr + BENCH_GUARD + job->offset;
	char why[232];
	int result;

	pattern_fill(check->memory, job->length, addr - job->length);
	memset(job->host->memory - EDGE, EDGE_BYTE, job->length + 2 * EDGE);
	result = cuda->copy_to_gpu(addr, check->memory, job->length);
	if (!result)
		result = cuda->context_synchronize();
	if (result)
		return bench_cuda_failed(job->gpu, "cuMemcpyHtoD", result);
	if (way_copy(way, job, why, sizeof(why)))
		return 0;
	return way_compare(way, job, job->host->memory, check->memory);
}

int way_verify(const struct way *way, const struct way_job *job,
	       const struct bench_host *check)
{
	return job->read ? way_verify_read(way, job, check)
			 : way_verify_write(way, job, check);
}

/* What a way needs beside its result. */
struct turn {
	double estimate; /* us a call */
	int calls; /* timed together */
	bool dropped;
};

static bool way_estimate(const struct way *way, const struct way_job *job,
			 struct turn *turn, struct way_result *result)
{
	turn->estimate = 0;
	result->error = way_begin(way, job, result->why, sizeof(result->why));
	for (int i = 0; i < 3; i++) {
		double start = tool_now(), took;

		result->error =
			way_copy(way, job, result->why, sizeof(result->why));
		took = tool_now() - start;
		if (result->error)
			return false;
		if (!i || took < turn->estimate)
			turn->estimate = took;
		if (i && took > WARM_US * 20)
			break;
	}
	turn->calls = SAMPLE_US / (turn->estimate + 0.001);
	if (turn->calls < 1)
		turn->calls = 1;
	if (turn->calls > CALLS_MAX)
		turn->calls = CALLS_MAX;
	return true;
}

/*
 * A turn is a row of calls out of a loop that does nothing else: those before the
 * ones that are timed come as often as in one.
 */
static int way_warm_calls(const struct turn *turn)
{
	double calls = ROW_US / (turn->estimate + 0.001);

	if (calls > ROW_CALLS)
		calls = ROW_CALLS;
	return turn->calls > calls ? turn->calls : (int)calls;
}

static void way_turn(const struct way *way, const struct way_job *job,
		     const struct way_limits *limits, const struct turn *turn,
		     struct way_result *result)
{
	int calls = limits->pause_us > 0 ? 1 : turn->calls;
	int error = way_begin(way, job, result->why, sizeof(result->why));
	double start = tool_now();

	if (limits->pause_us > 0) {
		while (tool_now() - start < limits->pause_us)
			;
	} else if (turn->estimate < WARM_US && !error) {
		error = way_copies(way, job, way_warm_calls(turn), result->why,
				   sizeof(result->why));
	}
	start = tool_now();
	if (!error)
		error = way_copies(way, job, calls, result->why,
				   sizeof(result->why));
	if (!error)
		stats_add(&result->stats, (tool_now() - start) / calls);
	result->error = error;
}

#define WAYS_MAX 32

void way_measure(const struct way *ways, unsigned int count,
		 const struct way_job *job, const struct way_limits *limits,
		 struct way_result *results)
{
	struct turn turns[WAYS_MAX] = { 0 };
	unsigned int order[WAYS_MAX];
	unsigned int seed = 1;
	double best = 0, begin;

	if (count > WAYS_MAX)
		count = WAYS_MAX;
	for (unsigned int i = 0; i < count; i++) {
		order[i] = i;
		results[i].stats.count = 0;
		results[i].error = 0;
		if (way_estimate(&ways[i], job, &turns[i], &results[i]) &&
		    (best == 0 || turns[i].estimate < best))
			best = turns[i].estimate;
	}
	for (unsigned int i = 0; i < count; i++) {
		if (results[i].error || limits->drop == 0 ||
		    turns[i].estimate <= limits->drop * best)
			continue;
		turns[i].dropped = true;
		stats_add(&results[i].stats, turns[i].estimate);
	}
	begin = tool_now();
	for (int round = 0; round < STATS_MAX; round++) {
		if (round >= limits->rounds &&
		    tool_now() - begin > limits->time_us)
			break;
		/* Nobody comes after the same other one more often. */
		for (unsigned int k = count; k > 1; k--) {
			unsigned int other = rand_r(&seed) % k;
			unsigned int moved = order[k - 1];

			order[k - 1] = order[other];
			order[other] = moved;
		}
		for (unsigned int k = 0; k < count; k++) {
			unsigned int i = order[k];

			if (!results[i].error && !turns[i].dropped)
				way_turn(&ways[i], job, limits, &turns[i],
					 &results[i]);
		}
		tool_pace(begin, limits->spread_us, round + 1, STATS_MAX);
	}
	/* A way that failed half way has no figure. */
	for (unsigned int i = 0; i < count; i++) {
		if (results[i].error)
			results[i].stats.count = 0;
	}
}
