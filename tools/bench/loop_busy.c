// SPDX-License-Identifier: MIT
/*
 * busy-gpu: reads while products of matrices keep every multiprocessor busy, and
 * what the products lose by that.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bench/loops.h"

#define STREAM_NON_BLOCKING 1u
/* Not timed, and who waits sleeps: a spinning thread takes a CPU from others. */
#define EVENT_FLAGS (1u | 2u)
/* 2 * 1024^3 operations: some tenths of a millisecond on an H200. */
#define ROWS 1024u
/* The simulated GPU is a thread. */
#define ROWS_SIMULATED 16u
/* Products that are under way: the GPU is never without one. */
#define DEPTH 4
#define MATRICES 3
#define ONE 0x3f800000u /* 1.0f */
/* No product takes so long, whatever else the GPU does. */
#define PRODUCT_LIMIT_US 10e6

/* Beside the ways: nobody reads. */
enum { ALSO_QUIET = LOOP_COPIES };

struct busy {
	struct loops *loops;
	uint32_t rows;
	uint64_t matrix[MATRICES];
	void *stream;
	void *event[DEPTH];
	pthread_t thread;
	atomic_bool stop;
	pthread_mutex_t lock;
	/* lock: products that have ended, and when the last of them did */
	uint64_t count;
	double at;
	int status;
};

/* How many products had ended by when. */
struct busy_mark {
	uint64_t count;
	double at;
	int status;
};

static struct busy_mark busy_look(struct busy *busy)
{
	struct busy_mark mark;

	pthread_mutex_lock(&busy->lock);
	mark = (struct busy_mark){ busy->count, busy->at, busy->status };
	pthread_mutex_unlock(&busy->lock);
	return mark;
}

static void busy_note(struct busy *busy, uint64_t ended, int status)
{
	pthread_mutex_lock(&busy->lock);
	busy->count += ended;
	busy->at = tool_now();
	busy->status = status;
	pthread_mutex_unlock(&busy->lock);
}

static int busy_launch(struct busy *busy, uint64_t i)
{
	int status = loops_product(busy->loops, busy->matrix, busy->rows,
				   busy->stream);
	int result;

	if (status)
		return status;
	result = busy->loops->cuda.event_record(busy->event[i % DEPTH],
						busy->stream);
	if (!result)
		return 0;
	return bench_cuda_failed(&busy->loops->gpu, "cuEventRecord", result);
}

static int busy_wait(struct busy *busy, uint64_t i)
{
	int result =
		busy->loops->cuda.event_synchronize(busy->event[i % DEPTH]);

	if (!result)
		return 0;
	return bench_cuda_failed(&busy->loops->gpu, "the product", result);
}

static void *busy_thread(void *arg)
{
	struct busy *busy = arg;
	const struct cuda *cuda = &busy->loops->gpu.cuda;
	int status = 0;

	cuda->context_set_current(cuda->context);
	for (uint64_t i = 0; !status && !atomic_load(&busy->stop); i++) {
		status = i < DEPTH ? 0 : busy_wait(busy, i);
		if (i >= DEPTH)
			busy_note(busy, !status, status);
		if (!status)
			status = busy_launch(busy, i);
	}
	if (status)
		busy_note(busy, 0, status);
	busy->loops->cuda.stream_synchronize(busy->stream);
	cuda->context_set_current(NULL);
	return NULL;
}

/* Until more than so many products have ended. */
static int busy_advance(struct busy *busy, uint64_t count,
			struct busy_mark *mark)
{
	static const struct timespec pause = { .tv_nsec = 20000 };
	double begin = tool_now();

	for (;;) {
		*mark = busy_look(busy);
		if (mark->status || mark->count > count)
			return mark->status;
		if (tool_now() - begin > PRODUCT_LIMIT_US)
			break;
		nanosleep(&pause, NULL);
	}
	tool_error("no product of matrices ended in %.0f s",
		   PRODUCT_LIMIT_US / 1e6);
	return TOOL_FAILED;
}

static int busy_block(struct loop_cell *cell, int way, double *us)
{
	struct busy *busy = cell->work;
	struct busy_mark first = { 0 }, last = { 0 };
	int status = busy_advance(busy, busy_look(busy).count, &first);

	if (status)
		return status;
	if (way == ALSO_QUIET)
		loop_idle(cell, us);
	else
		status = loop_repeat(cell, way, us);
	if (!status)
		status = busy_advance(busy, first.count, &last);
	if (!status)
		us[1] = (last.at - first.at) / (last.count - first.count);
	return status;
}

/* The products' stream does not wait for what fills the matrices. */
static int busy_fill_end(const struct loops *loops)
{
	int result = loops->gpu.cuda.context_synchronize();

	if (!result)
		return 0;
	return bench_cuda_failed(&loops->gpu, "cuCtxSynchronize", result);
}

static int busy_fill(struct busy *busy)
{
	size_t count = (size_t)busy->rows * busy->rows;
	const struct loops *loops = busy->loops;

	for (int i = 0; i < MATRICES; i++) {
		int result = loops->gpu.cuda.mem_alloc(&busy->matrix[i],
						       count * sizeof(float));

		if (result) {
			busy->matrix[i] = 0;
			return bench_cuda_failed(&loops->gpu, "cuMemAlloc",
						 result);
		}
		result = loops->cuda.memset_d32(busy->matrix[i], ONE, count);
		if (result)
			return bench_cuda_failed(&loops->gpu, "cuMemsetD32",
						 result);
	}
	return busy_fill_end(loops);
}

static int busy_stream(struct busy *busy)
{
	const struct loops *loops = busy->loops;
	int result =
		loops->cuda.stream_create(&busy->stream, STREAM_NON_BLOCKING);

	if (result) {
		busy->stream = NULL;
		return bench_cuda_failed(&loops->gpu, "cuStreamCreate", result);
	}
	for (int i = 0; i < DEPTH && !result; i++)
		result = loops->cuda.event_create(&busy->event[i], EVENT_FLAGS);
	if (result)
		return bench_cuda_failed(&loops->gpu, "cuEventCreate", result);
	return 0;
}

static void busy_free(struct busy *busy)
{
	const struct loops *loops = busy->loops;

	for (int i = 0; i < DEPTH; i++) {
		if (busy->event[i])
			loops->cuda.event_destroy(busy->event[i]);
	}
	if (busy->stream)
		loops->cuda.stream_destroy(busy->stream);
	for (int i = 0; i < MATRICES; i++) {
		if (busy->matrix[i])
			loops->gpu.cuda.mem_free(busy->matrix[i]);
	}
}

/* Every element of a product of ones is the number of rows. */
static int busy_check(const struct busy *busy)
{
	size_t count = (size_t)busy->rows * busy->rows;
	float *product = malloc(count * sizeof(*product));
	int status = 0, result;

	if (!product) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	result = busy->loops->gpu.cuda.copy_from_gpu(product, busy->matrix[2],
						     count * sizeof(*product));
	if (result)
		status = bench_cuda_failed(&busy->loops->gpu, "cuMemcpyDtoH",
					   result);
	for (size_t i = 0; i < count && !status; i++) {
		if (product[i] == (float)busy->rows)
			continue;
		tool_error("busy-gpu: element %zu of the product is %g and not "
			   "%u",
			   i, product[i], busy->rows);
		status = TOOL_MISMATCH;
	}
	free(product);
	return status;
}

/* No memory comes or goes while the products run. */
static int busy_measure(struct busy *busy, struct loop_cell *cell)
{
	int status;

	atomic_store(&busy->stop, false);
	if (pthread_create(&busy->thread, NULL, busy_thread, busy)) {
		tool_error("no thread can be started");
		return TOOL_FAILED;
	}
	status = loop_cell_measure(cell);
	atomic_store(&busy->stop, true);
	pthread_join(busy->thread, NULL);
	return status ? status : busy->status;
}

static int busy_size(struct busy *busy, uint64_t bytes)
{
	struct loop_cell cell =
		loop_cell(busy->loops, "busy-gpu", "read", bytes);
	int status = loop_cell_open(&cell);

	if (status)
		return status;
	cell.what[1] = "product";
	cell.bytes[1] = bytes;
	cell.figures = 2;
	cell.per_second[1] = true;
	cell.also[0] = "nobody reads";
	cell.also_count = 1;
	cell.once = loop_read_once;
	cell.block = busy_block;
	cell.work = busy;
	status = busy_measure(busy, &cell);
	loop_cell_close(&cell);
	return status;
}

static int busy_sizes(struct busy *busy)
{
	static const uint64_t own[] = { 4 << 10, 64 << 10, 1 << 20, 0 };
	uint64_t sizes[LOOPS_SIZES_MAX];
	int count = loop_sizes(busy->loops, own, sizes), status = 0;

	for (int i = 0; i < count && !status; i++)
		status = busy_size(busy, sizes[i]);
	return status;
}

int loop_busy_run(struct loops *loops)
{
	struct busy busy = { .loops = loops,
			     .lock = PTHREAD_MUTEX_INITIALIZER };
	int status;

	busy.rows = loops->gpu.device.flags & GPUMEM_DEVICE_SIMULATED
			    ? ROWS_SIMULATED
			    : ROWS;
	status = busy_fill(&busy);
	if (!status)
		status = busy_stream(&busy);
	if (!status)
		status = busy_sizes(&busy);
	if (!status)
		status = busy_check(&busy);
	busy_free(&busy);
	return status;
}
