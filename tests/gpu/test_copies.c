// SPDX-License-Identifier: MIT
/*
 * Random copies in every way that there is, each byte compared: what is read
 * with what was written, what was written with what CUDA shows, and the bytes
 * around both. Several threads, each with a part of one buffer. The same seed,
 * count and number of threads do the same again. Exits as test_gpu does.
 *
 *   test_copies [--backend NAME] [--count N] [--threads N] [--seed N]
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

#define PART (8 * MIB) /* a thread's part of the buffer */
#define NOISE (2 * PART) /* random bytes to copy from */
#define GUARD 128u
#define THREADS_MAX 64
#define BATCH 16

enum host { PAGEABLE, PINNED, HOSTS };
enum way { AUTO, CPU, THREADS, COURIER, ENGINE, BATCHED, RECT, WAYS };

static const char *const way_names[] = { "auto",    "cpu",    "threads",
					 "courier", "engine", "batch",
					 "2d" };
static const char *const host_names[] = { "pageable", "pinned" };

struct worker {
	pthread_t id;
	uint64_t random, count, first; /* first byte of its part */
	uint8_t *shadow; /* what the part holds */
	uint8_t *hosts[HOSTS]; /* PART and guards on both sides */
	uint8_t *seen; /* for CUDA's look */
	uint64_t copies[WAYS][HOSTS][2], bytes, refused;
	enum outcome outcome;
	char why[sizeof(test_why)];
};

static struct gpumem_buf *buf;
static uint64_t buf_addr;
static uint8_t *noise;
static atomic_bool stop;

/* Lengths of every order of magnitude, most of them short. */
static uint64_t random_length(struct worker *w)
{
	uint64_t r = random_next(&w->random);
	unsigned int bits = 1 + r % 12;

	if (r >> 32 & 7)
		return 1 + (r >> 40) % (1ull << bits);
	bits = 1 + r % (r >> 35 & 31 ? 17 : 23);
	return 1 + random_next(&w->random) % (1ull << bits);
}

static unsigned int random_way(struct worker *w)
{
	unsigned int r = random_next(&w->random) % 16;

	return r < 8 ? AUTO : r - 8 < WAYS - 1 ? r - 7 : AUTO;
}

/* Everything about one copy. */
struct copy {
	enum way way;
	enum host host;
	bool read;
	uint64_t at, length; /* in the part */
	uint8_t *bytes; /* in host memory */
};

static enum outcome copy_fail(const struct copy *c, uint64_t i, uint8_t got,
			      uint8_t wanted, const char *where)
{
	return test_fail(__FILE__, __LINE__,
			 "%s by %s, %s memory at ...%03" PRIxPTR ": %" PRIu64
			 " bytes at %" PRIu64 ": %s byte %" PRId64
			 " is %#x, not %#x",
			 c->read ? "read" : "write", way_names[c->way],
			 host_names[c->host], (uintptr_t)c->bytes & 0xfff,
			 c->length, c->at, where, (int64_t)i, got, wanted);
}

static enum outcome compare(const struct copy *c, const uint8_t *got,
			    const uint8_t *wanted, uint64_t length,
			    const char *where)
{
	if (!memcmp(got, wanted, length))
		return PASSED;
	for (uint64_t i = 0; i < length; i++)
		if (got[i] != wanted[i])
			return copy_fail(c, i, got[i], wanted[i], where);
	return PASSED;
}

/* Pieces side by side, in one call. */
static int copy_batch(struct worker *w, const struct copy *c)
{
	struct gpumem_piece pieces[BATCH];
	uint64_t done = 0;
	size_t n = 0;

	while (done < c->length) {
		uint64_t rest = c->length - done;
		uint64_t length = n + 1 < BATCH
					  ? random_next(&w->random) % (rest + 1)
					  : rest;

		pieces[n++] = (struct gpumem_piece){ w->first + c->at + done,
						     c->bytes + done, length };
		done += length;
	}
	return c->read ? gpumem_readv(buf, pieces, n)
		       : gpumem_writev(buf, pieces, n);
}

/* Rows without a gap are a range; a last row that is not full comes after. */
static int copy_rect(struct worker *w, const struct copy *c)
{
	uint64_t width = 1 + random_next(&w->random) % c->length;
	uint64_t rows = c->length / width, whole = rows * width;
	struct gpumem_rect odd = {
		.offset = w->first + c->at,
		.pitch = 2 * width,
		.host_pitch = 2 * width,
		.width = width,
		.height = (rows + 1) / 2,
	};
	struct gpumem_rect even = odd;
	int rc;

	even.offset += width;
	even.height = rows / 2;
	rc = c->read ? gpumem_read_2d(buf, &odd, c->bytes)
		     : gpumem_write_2d(buf, &odd, c->bytes);
	if (!rc)
		rc = c->read ? gpumem_read_2d(buf, &even, c->bytes + width)
			     : gpumem_write_2d(buf, &even, c->bytes + width);
	if (!rc)
		rc = c->read ? gpumem_read(buf, w->first + c->at + whole,
					   c->bytes + whole, c->length - whole)
			     : gpumem_write(buf, w->first + c->at + whole,
					    c->bytes + whole,
					    c->length - whole);
	return rc;
}

static int copy_do(struct worker *w, const struct copy *c)
{
	struct gpumem_copy_options options = { .size = sizeof(options) };
	uint64_t offset = w->first + c->at;

	switch (c->way) {
	case AUTO:
		return c->read ? gpumem_read(buf, offset, c->bytes, c->length)
			       : gpumem_write(buf, offset, c->bytes, c->length);
	case BATCHED:
		return copy_batch(w, c);
	case RECT:
		return copy_rect(w, c);
	default:
		options.method = c->way;
		if (random_next(&w->random) & 1)
			options.flags = c->host == PINNED
						? GPUMEM_COPY_PINNED
						: GPUMEM_COPY_PAGEABLE;
		return c->read ? gpumem_read_with(buf, offset, c->bytes,
						  c->length, &options)
			       : gpumem_write_with(buf, offset, c->bytes,
						   c->length, &options);
	}
}

static enum outcome check_read(struct worker *w, const struct copy *c,
			       const uint8_t *guard)
{
	CHECK_PASSED(compare(c, c->bytes, w->shadow + c->at, c->length, "its"));
	CHECK_PASSED(compare(c, c->bytes - GUARD, guard, GUARD,
			     "before the host memory"));
	return compare(c, c->bytes + c->length, guard, GUARD,
		       "behind the host memory");
}

/* With what lies around it, which other copies of this thread wrote. */
static enum outcome check_write(struct worker *w, const struct copy *c)
{
	uint64_t begin = c->at > GUARD ? c->at - GUARD : 0;
	uint64_t end = c->at + c->length + GUARD;

	if (end > PART)
		end = PART;
	CHECK_CUDA(gpu.cuda.copy_from_gpu(w->seen, buf_addr + w->first + begin,
					  end - begin));
	return compare(c, w->seen, w->shadow + begin, end - begin, "CUDA's");
}

static enum outcome one_copy(struct worker *w)
{
	static const uint8_t guard[GUARD] = { 0 };
	struct copy c = {
		.way = random_way(w),
		.host = random_next(&w->random) % HOSTS,
		.read = random_next(&w->random) & 1,
		.length = random_length(w),
	};
	const uint8_t *from = noise + random_next(&w->random) % (NOISE - PART);
	int rc;

	if (c.way == COURIER)
		c.read = true;
	if (c.length > PART)
		c.length = PART;
	c.at = random_next(&w->random) % (PART - c.length + 1);
	/* Short copies meet each other's bytes more often near one place. */
	if (c.length < 4096 && random_next(&w->random) & 3)
		c.at %= 8192;
	c.bytes = w->hosts[c.host] + GUARD +
		  random_next(&w->random) % (PART - c.length + 1) % 65536;
	if (c.read) {
		memset(c.bytes - GUARD, 0, GUARD);
		memset(c.bytes + c.length, 0, GUARD);
		memset(c.bytes, 0x5a, c.length);
	} else {
		memcpy(c.bytes, from, c.length);
	}
	rc = copy_do(w, &c);
	/* Asked for by name, and not to be had on every GPU. */
	if (rc == -95 && (c.way == COURIER || c.way == ENGINE)) {
		w->refused++;
		return PASSED;
	}
	if (rc)
		return test_fail(__FILE__, __LINE__, "%s by %s: %d: %s",
				 c.read ? "read" : "write", way_names[c.way],
				 rc, gpumem_last_error());
	w->copies[c.way][c.host][c.read]++;
	w->bytes += c.length;
	if (c.read)
		return check_read(w, &c, guard);
	memcpy(w->shadow + c.at, c.bytes, c.length);
	return check_write(w, &c);
}

static enum outcome work(struct worker *w)
{
	CHECK_CUDA(gpu.cuda.context_set_current(gpu.cuda.context));
	CHECK_OK(gpumem_write(buf, w->first, w->shadow, PART));
	for (uint64_t i = 0; i < w->count && !atomic_load(&stop); i++)
		CHECK_PASSED(one_copy(w));
	/* Nothing that was written was touched by another thread since. */
	CHECK_CUDA(gpu.cuda.copy_from_gpu(w->seen, buf_addr + w->first, PART));
	if (memcmp(w->seen, w->shadow, PART))
		return test_fail(__FILE__, __LINE__,
				 "the part at %" PRIu64 " differs at the end",
				 w->first);
	return PASSED;
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;

	w->outcome = work(w);
	if (w->outcome != PASSED) {
		memcpy(w->why, test_why, sizeof(w->why));
		atomic_store(&stop, true);
	}
	return NULL;
}

static enum outcome worker_make(struct worker *w, unsigned int i,
				uint64_t count)
{
	int (*host_alloc)(void **host, size_t bytes, unsigned int flags) =
		gpu_symbol("cuMemHostAlloc");
	void *pinned;

	CHECK(host_alloc);
	w->random = (gpu.seed + i + 1) * 0x9e3779b97f4a7c15ull | 1;
	w->count = count;
	/* Parts that begin and end anywhere in a line. */
	w->first = i * (PART + 77) + 13;
	w->shadow = malloc(PART);
	w->seen = malloc(PART);
	w->hosts[PAGEABLE] = malloc(PART + 2 * GUARD);
	CHECK(w->shadow && w->seen && w->hosts[PAGEABLE]);
	CHECK_CUDA(host_alloc(&pinned, PART + 2 * GUARD, 0));
	w->hosts[PINNED] = pinned;
	memcpy(w->shadow, noise + i * 4099, PART);
	return PASSED;
}

static void summary(const struct worker *workers, unsigned int threads)
{
	uint64_t copies = 0, bytes = 0, refused = 0;

	for (unsigned int i = 0; i < threads; i++) {
		bytes += workers[i].bytes;
		refused += workers[i].refused;
	}
	printf("# %-9s %12s %12s %12s %12s\n", "way", "write page.",
	       "write pinned", "read page.", "read pinned");
	for (unsigned int way = 0; way < WAYS; way++) {
		uint64_t sum[4] = { 0 };

		for (unsigned int i = 0; i < threads; i++)
			for (unsigned int k = 0; k < 4; k++)
				sum[k] += workers[i].copies[way][k & 1][k >> 1];
		printf("# %-9s %12" PRIu64 " %12" PRIu64 " %12" PRIu64
		       " %12" PRIu64 "\n",
		       way_names[way], sum[0], sum[1], sum[2], sum[3]);
		copies += sum[0] + sum[1] + sum[2] + sum[3];
	}
	printf("# %" PRIu64 " copies, %" PRIu64 " MiB, %" PRIu64
	       " asked for by name and not to be had here\n",
	       copies, bytes >> 20, refused);
}

static enum outcome run(unsigned int threads, uint64_t count)
{
	static struct worker workers[THREADS_MAX];
	struct gpumem_buf_info info = { .size = sizeof(info) };
	uint64_t state = gpu.seed | 1;
	enum outcome outcome = PASSED;
	void *map;

	noise = malloc(NOISE);
	CHECK(noise);
	for (uint64_t i = 0; i < NOISE; i += 8) {
		uint64_t r = random_next(&state);

		memcpy(noise + i, &r, sizeof(r));
	}
	CHECK_OK(gpumem_alloc(gpu.session, threads * (PART + 77) + 4096, 0,
			      &buf));
	CHECK_OK(gpumem_map(buf, &map));
	CHECK_OK(gpumem_buf_get(buf, &info));
	buf_addr = info.addr;
	for (unsigned int i = 0; i < threads; i++)
		CHECK_PASSED(worker_make(&workers[i], i,
					 (count + threads - 1) / threads));
	for (unsigned int i = 0; i < threads; i++)
		CHECK(!pthread_create(&workers[i].id, NULL, worker_run,
				      &workers[i]));
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(workers[i].id, NULL);
		if (workers[i].outcome != PASSED && outcome == PASSED) {
			outcome = workers[i].outcome;
			memcpy(test_why, workers[i].why, sizeof(test_why));
		}
	}
	summary(workers, threads);
	CHECK_OK(gpumem_unpin(buf));
	return outcome;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "count", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	uint64_t count = 100000, threads = 4;
	const char *backend = NULL;
	enum outcome outcome;
	time_t start;
	int option, status;

	gpu.seed = (uint64_t)time(NULL);
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		if (option == 'b')
			backend = optarg;
		else if (option == 'c')
			count = strtoull(optarg, NULL, 10);
		else if (option == 't')
			threads = strtoull(optarg, NULL, 10);
		else if (option == 's')
			gpu.seed = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	if (threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "test_copies: --threads takes 1 to %d\n",
			THREADS_MAX);
		return 2;
	}
	status = gpu_open(backend);
	if (status)
		return status;
	start = time(NULL);
	outcome = run((unsigned int)threads, count);
	printf("%s - %" PRIu64 " random copies by %" PRIu64
	       " threads (%ld s)%s%s\n",
	       outcome == PASSED ? "ok" : "not ok", count, threads,
	       (long)(time(NULL) - start), outcome == PASSED ? "" : ": ",
	       outcome == PASSED ? "" : test_why);
	printf("%d passed, %d failed, 0 skipped\n", outcome == PASSED,
	       outcome != PASSED);
	gpumem_close(gpu.session);
	return outcome == PASSED ? EXIT_SUCCESS : EXIT_FAILURE;
}
