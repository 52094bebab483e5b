// SPDX-License-Identifier: MIT
/*
 * The ways of a copy: the choice of one, by the plan and by what the memory at
 * both ends is, and a fall back to the mapping where that one cannot be taken.
 */
#include <errno.h>

#include "copier.h"
#include "copy.h"
#include "copy_way.h"
#include "cpu.h"
#include "error.h"

/* What a piece of a copy by several threads is, at least. */
#define GM_PIECE_MIN ((size_t)16 << 10)
#define GM_PIECE_MAX ((size_t)256 << 10)

/* Reads up to this are done the same way into any host memory. */
#define GM_STAGED_MAX ((size_t)32 << 10)

/*
 * A read that finds no courier, after a pause: up to the first by the CPU, then
 * by the engine, where the host memory is not pinned up to the second: it takes
 * longer ones more time than to start the courier.
 */
#define GM_LONE_CPU ((size_t)8 << 10)
#define GM_LONE_ENGINE ((size_t)64 << 10)

static void gm_copy_cpu(const struct gm_copy *copy)
{
	if (copy->read)
		gm_cpu_read(copy->host, copy->map, copy->length);
	else
		gm_cpu_write(copy->map, copy->host, copy->length);
}

/* Each thread orders its own stores before it says that its piece is done. */
static void gm_copy_piece(void *arg, size_t first, size_t length)
{
	struct gm_copy piece = *(struct gm_copy *)arg;

	piece.map += first;
	piece.host += first;
	piece.length = length;
	gm_copy_cpu(&piece);
}

static int gm_copy_threads(struct gm_copier *copier, struct gm_copy *copy,
			   unsigned int threads)
{
	struct gm_pool *pool = threads > 1 ? gm_copier_pool(copier) : NULL;
	size_t piece;

	if (!pool) {
		gm_copy_cpu(copy);
		return 0;
	}
	/* A few pieces each, so that who wakes up late takes fewer. */
	piece = copy->length / threads / 4;
	if (piece < GM_PIECE_MIN)
		piece = GM_PIECE_MIN;
	if (piece > GM_PIECE_MAX)
		piece = GM_PIECE_MAX;
	piece &= ~(size_t)4095;
	gm_pool_run(pool, threads, copy->length, piece, gm_copy_piece, copy);
	return 0;
}

/*
 * Whether the host memory is CUDA's, all of it. CUDA says so in one call, in
 * which memory that it does not know is no error, as it is in the others: to
 * make one takes it a microsecond.
 */
static void gm_copy_look_at_host(struct gm_copy *copy)
{
	const struct gm_cuda *cuda = &copy->buf->session->cuda;
	CUdeviceptr host = (uintptr_t)copy->host, start = 0, gpu = 0;
	unsigned int type = 0;
	size_t size = 0;
	CUpointer_attribute attributes[] = {
		CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
		CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
		CU_POINTER_ATTRIBUTE_RANGE_SIZE,
		CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
	};
	void *values[] = { &type, &start, &size, &gpu };

	copy->pinned = false;
	copy->host_gpu = 0;
	if (!cuda->pointer_get_all ||
	    cuda->pointer_get_all(4, attributes, values, host) ||
	    type != CU_MEMORYTYPE_HOST || !gpu || host < start ||
	    host - start > size || copy->length > size - (host - start))
		return;
	copy->pinned = true;
	copy->pinned_start = start;
	copy->pinned_size = size;
	copy->host_gpu = gpu;
}

static void gm_copy_look_aside(void *copy)
{
	gm_copy_look_at_host(copy);
}

static int gm_copy_courier(struct gm_copier *copier, struct gm_copy *copy,
			   unsigned int threads)
{
	struct gm_courier *courier = gm_copier_courier(copier);
	int rc;

	if (!courier)
		return -EOPNOTSUPP;
	if (copy->planned && (copy->pinned || copy->length <= GM_LONE_ENGINE))
		copy->lone = copy->lone || gm_courier_lone(courier);
	if (copy->lone) {
		gm_copier_put(&copier->courier, 0);
		return -EAGAIN;
	}
	if (copy->look_later)
		gm_courier_meanwhile(courier, gm_copy_look_aside, copy);
	rc = gm_courier_read(courier, copy->gpu, copy->host, copy->host_gpu,
			     copy->length,
			     threads > 1 ? gm_copier_pool(copier) : NULL,
			     threads);
	/* Busy is the GPU, for now. */
	gm_copier_put(&copier->courier, rc == -EBUSY ? 0 : rc);
	return rc;
}

static int gm_copy_engine(struct gm_copier *copier, struct gm_copy *copy,
			  unsigned int threads)
{
	struct gm_engine *engine = gm_copier_engine(copier);
	struct gm_pool *pool;
	int rc;

	if (!engine)
		return -EOPNOTSUPP;
	pool = threads > 1 && !copy->pinned ? gm_copier_pool(copier) : NULL;
	if (copy->read)
		rc = gm_engine_read(engine, copy->gpu, copy->host, copy->length,
				    copy->pinned, pool, threads);
	else
		rc = gm_engine_write(engine, copy->gpu, copy->host,
				     copy->length, copy->pinned, pool, threads);
	if (copy->pinned &&
	    !gm_known_holds(&copier->known, copy->host, copy->length))
		gm_known_learn(&copier->known, copy->pinned_start,
			       copy->pinned_size);
	gm_copier_put(&copier->engine, rc);
	return rc;
}

/*
 * The GPU may touch only memory that is there: an address that was freed, or
 * belongs to another context, would end the program's context. The mapping
 * shows the pinned memory in any case.
 */
static void gm_copy_look_at_gpu(struct gm_copy *copy)
{
	struct gm_buf *buf = copy->buf;
	const struct gm_cuda *cuda = &buf->session->cuda;
	uint64_t id = 0;

	copy->why_not = gm_buf_gpu_reach(buf);
	if (copy->why_not)
		return;
	if (cuda->pointer_get(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, buf->addr) ||
	    id != buf->memory_id)
		copy->why_not = "the memory was freed after it was pinned";
}

/* One way. -EOPNOTSUPP, or the error of the GPU's side, with the reason. */
static int gm_copy_by(struct gm_copier *copier, struct gm_copy *copy,
		      const struct gpumem_plan_step *step)
{
	switch (step->method) {
	case GPUMEM_COPY_COURIER:
	case GPUMEM_COPY_ENGINE:
		if (copy->why_not)
			return gm_error(-EOPNOTSUPP,
					"%s: the GPU itself cannot copy here: "
					"%s; use GPUMEM_COPY_CPU or _THREADS",
					copy->call, copy->why_not);
		if (step->method == GPUMEM_COPY_ENGINE)
			return gm_copy_engine(copier, copy, step->threads);
		if (!copy->read)
			return gm_error(-EOPNOTSUPP,
					"%s: the courier reads only; use "
					"another method",
					copy->call);
		return gm_copy_courier(copier, copy, step->threads);
	case GPUMEM_COPY_THREADS:
		return gm_copy_threads(copier, copy, step->threads);
	default:
		gm_copy_cpu(copy);
		return 0;
	}
}

/*
 * A long copy of memory that was pinned when the engine copied it before, and
 * that the engine does whatever else is found out: so it begins, and what the
 * memory is now is asked while it is at work. False: to be copied otherwise.
 */
static bool gm_copy_again(struct gm_copier *copier, struct gm_copy *copy)
{
	struct gm_cuda_scope scope;
	struct gm_engine *engine;
	int rc;

	if (copy->length <
		    (copy->read ? copier->read_long : copier->write_long) ||
	    !gm_known_holds(&copier->known, copy->host, copy->length) ||
	    copy->why_not)
		return false;
	engine = gm_copier_engine(copier);
	if (!engine)
		return false;
	rc = gm_engine_begin(engine, copy->gpu, copy->host, copy->length,
			     copy->read, &scope);
	if (!rc) {
		gm_copy_look_at_host(copy);
		rc = gm_engine_end(engine, &scope);
	}
	if (!copy->pinned)
		gm_known_forget(&copier->known, copy->host);
	gm_copier_put(&copier->engine, copy->pinned ? rc : 0);
	return !rc;
}

/*
 * A read by the courier into memory that was not pinned at the last read:
 * through the staging memory, which is right for pinned memory too, if slower.
 * What the memory is now is asked meanwhile. False: to be copied otherwise.
 */
static bool gm_copy_staged_again(struct gm_copier *copier, struct gm_copy *copy)
{
	struct gpumem_plan_step step;
	int rc;

	if (!copy->read || copy->length <= GM_STAGED_MAX || copy->why_not ||
	    !gm_plain_holds(&copier->plain, copy->host))
		return false;
	step = gm_copier_step(copier, GPUMEM_COPY_READ, copy->length);
	if (step.method != GPUMEM_COPY_COURIER)
		return false;
	copy->look_later = true;
	rc = gm_copy_courier(copier, copy, step.threads);
	copy->look_later = false;
	if (copy->pinned)
		gm_plain_forget(&copier->plain, copy->host);
	return !rc;
}

/* The plan's way, and where it cannot be taken the next best. */
static int gm_copy_planned(struct gm_copier *copier, struct gm_copy *copy)
{
	unsigned int flags = (copy->read ? GPUMEM_COPY_READ : 0) |
			     (copy->pinned ? GPUMEM_COPY_PINNED : 0);
	struct gpumem_plan_step step =
		gm_copier_step(copier, flags, copy->length);

	if (!gm_copy_by(copier, copy, &step))
		return 0;
	if (copy->lone && copy->length <= GM_LONE_CPU) {
		gm_copy_cpu(copy);
		return 0;
	}
	if (step.method == GPUMEM_COPY_COURIER) {
		step.method = GPUMEM_COPY_ENGINE;
		if ((copy->lone || copy->length >= GM_ENGINE_MIN) &&
		    !gm_copy_by(copier, copy, &step))
			return 0;
	}
	step.method = GPUMEM_COPY_THREADS;
	step.threads = copier->threads;
	return gm_copy_by(copier, copy, &step);
}

int gm_copy_run(struct gm_copy *copy, const struct gpumem_copy_options *options)
{
	struct gm_copier *copier = copy->buf->session->copier;
	struct gpumem_plan_step step = { 0 };

	copy->planned = options->method == GPUMEM_COPY_AUTO;
	gm_copy_look_at_gpu(copy);
	if (!(options->flags & GPUMEM_COPY_PAGEABLE)) {
		if (copy->planned && (gm_copy_again(copier, copy) ||
				      gm_copy_staged_again(copier, copy)))
			return 0;
		/* A short read comes through staging memory as fast in any case. */
		if (!copy->read || copy->length > GM_STAGED_MAX) {
			gm_copy_look_at_host(copy);
			if (copy->read && copy->pinned)
				gm_plain_forget(&copier->plain, copy->host);
			else if (copy->read)
				gm_plain_learn(&copier->plain, copy->host);
		}
	}
	if (copy->planned)
		return gm_copy_planned(copier, copy);
	step.method = options->method;
	step.threads = options->threads ? options->threads : copier->threads;
	return gm_copy_by(copier, copy, &step);
}
