// SPDX-License-Identifier: MIT
/* gpumem bench loops: memory of one way to copy, and whether reads are right. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/loops.h"

/* What neighbouring words differ by: odd, so that 2^32 of them all differ. */
#define WORD_STEP 0x9e3779b1u
#define SAMPLE_WORDS 1024u
#define OWN_BLOCK ((uint64_t)2 << 20)

/* Word `index` of a side. */
static uint32_t word_at(uint32_t first, uint64_t index)
{
	return first + (uint32_t)index * WORD_STEP;
}

void loop_words_fill(uint32_t *words, uint64_t length, uint32_t first)
{
	for (uint64_t i = 0; i < length / sizeof(*words); i++)
		words[i] = word_at(first, i);
}

/* No branch, so that the compiler can take several words at once. */
static bool words_right(const uint32_t *words, uint64_t count, uint32_t first)
{
	uint32_t wrong = 0;

	for (uint64_t i = 0; i < count; i++)
		wrong |= words[i] ^ word_at(first, i);
	return !wrong;
}

static int side_failed(const struct loop_side *side, const char *what,
		       int result)
{
	if (side->buf)
		return tool_gpumem_error("gpumem_%s", what);
	return bench_cuda_failed(&side->loops->gpu,
				 !strcmp(what, "read") ? "cuMemcpyDtoH"
						       : "cuMemcpyHtoD",
				 result);
}

static int side_wrong(const struct loop_side *side, uint64_t offset,
		      uint32_t seen, uint32_t wanted)
{
	static const char *const names[] = { "gpumem", "gpumem without SM copy",
					     "cuMemcpy" };

	tool_error("%s, %s: the word at offset %" PRIu64
		   " came back as 0x%08" PRIx32 " and not 0x%08" PRIx32,
		   side->loops->now, names[side->way], offset, seen, wanted);
	return TOOL_MISMATCH;
}

static int check_word(const struct loop_side *side, uint64_t offset,
		      const uint32_t *words, uint64_t i)
{
	uint32_t wanted = word_at(side->first, offset / sizeof(*words) + i);

	if (words[i] == wanted)
		return 0;
	return side_wrong(side, offset + i * sizeof(*words), words[i], wanted);
}

int loop_side_check(const struct loop_side *side, uint64_t offset,
		    const void *host, uint64_t length)
{
	const uint32_t *words = host;
	uint64_t count = length / sizeof(*words);
	int status = 0;

	if (words_right(words, count,
			word_at(side->first, offset / sizeof(*words))))
		return 0;
	for (uint64_t i = 0; i < count && !status; i++)
		status = check_word(side, offset, words, i);
	return status;
}

int loop_side_sample(const struct loop_side *side, uint64_t offset,
		     const void *host, uint64_t length)
{
	uint64_t count = length / sizeof(uint32_t);
	int status = check_word(side, offset, host, count - 1);

	for (uint64_t i = 0; i < count && !status; i += SAMPLE_WORDS)
		status = check_word(side, offset, host, i);
	return status;
}

/* The words as they are in the beginning. */
static int side_fill(struct loop_side *side)
{
	uint32_t *words = malloc(side->length);
	int result;

	if (!words) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	side->first = 1;
	loop_words_fill(words, side->length, side->first);
	result = side->loops->gpu.cuda.copy_to_gpu(side->addr, words,
						   side->length);
	free(words);
	if (result)
		return bench_cuda_failed(&side->loops->gpu, "cuMemcpyHtoD",
					 result);
	return loop_side_step(side);
}

/*
 * In a block of CUDA's of its own, at its start: where memory lies among pages makes 4%
 * of a read of 4 KiB through the mapping.
 */
static uint64_t side_room(const struct loop_side *side)
{
	return side->length < OWN_BLOCK ? OWN_BLOCK : side->length;
}

static int side_pin(struct loop_side *side, struct gpumem *session)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	void *cpu;

	if (gpumem_alloc(session, side_room(side), 0, &side->buf)) {
		side->buf = NULL;
		return tool_gpumem_error("allocating %" PRIu64 " bytes",
					 side_room(side));
	}
	if (gpumem_map(side->buf, &cpu) || gpumem_buf_get(side->buf, &info))
		return tool_gpumem_error("mapping %" PRIu64 " bytes",
					 side_room(side));
	side->addr = info.addr;
	return 0;
}

static int side_alloc(struct loop_side *side)
{
	int result =
		side->loops->gpu.cuda.mem_alloc(&side->addr, side_room(side));

	if (!result)
		return 0;
	side->addr = 0;
	return bench_cuda_failed(&side->loops->gpu, "cuMemAlloc", result);
}

int loop_side_open(struct loops *loops, int way, uint64_t length,
		   struct loop_side *side)
{
	int status;

	memset(side, 0, sizeof(*side));
	side->loops = loops;
	side->way = way;
	side->length = length;
	if (way == LOOP_CUDA)
		status = side_alloc(side);
	else
		status = side_pin(side, way == LOOP_GPUMEM ? loops->gpu.session
							   : loops->without);
	if (!status)
		status = side_fill(side);
	if (status)
		loop_side_close(side);
	return status;
}

void loop_side_close(struct loop_side *side)
{
	if (side->buf)
		gpumem_unpin(side->buf);
	else if (side->addr)
		side->loops->gpu.cuda.mem_free(side->addr);
	side->buf = NULL;
	side->addr = 0;
}

int loop_sides_open(struct loops *loops, uint64_t length,
		    struct loop_side *sides)
{
	int status = 0;

	memset(sides, 0, LOOP_COPIES * sizeof(*sides));
	for (int i = 0; i < LOOP_COPIES && !status; i++)
		status = loop_side_open(loops, i, length, &sides[i]);
	if (status)
		loop_sides_close(sides);
	return status;
}

void loop_sides_close(struct loop_side *sides)
{
	for (int i = 0; i < LOOP_COPIES; i++)
		loop_side_close(&sides[i]);
}

int loop_side_step(struct loop_side *side)
{
	side->first++;
	return loops_step(side->loops, side->addr,
			  side->length / sizeof(uint32_t), NULL);
}

int loop_side_read(struct loop_side *side, uint64_t offset, void *host,
		   uint64_t length)
{
	const struct cuda *cuda = &side->loops->gpu.cuda;
	int result = side->buf ? gpumem_read(side->buf, offset, host, length)
			       : cuda->copy_from_gpu(host, side->addr + offset,
						     length);

	return result ? side_failed(side, "read", result) : 0;
}

int loop_side_read_async(struct loop_side *side, void *host, uint64_t length)
{
	const struct loops_cuda *cuda = &side->loops->cuda;
	int result = cuda->copy_from_gpu_async(host, side->addr, length, NULL);

	if (!result)
		return 0;
	return bench_cuda_failed(&side->loops->gpu, "cuMemcpyDtoHAsync",
				 result);
}

int loop_side_write(struct loop_side *side, const void *host, uint64_t length,
		    uint32_t first)
{
	const struct cuda *cuda = &side->loops->gpu.cuda;
	int result = side->buf ? gpumem_write(side->buf, 0, host, length)
			       : cuda->copy_to_gpu(side->addr, host, length);

	side->first = first;
	return result ? side_failed(side, "write", result) : 0;
}

int loop_side_next(struct loop_side *side, void *host, uint64_t length,
		   double *us)
{
	uint64_t offset = side->reads++ % 2 * LOOP_SHIFT;
	double start = tool_now();
	int status = loop_side_read(side, offset, host, length);

	*us += tool_now() - start;
	return status ? status : loop_side_check(side, offset, host, length);
}
