// SPDX-License-Identifier: MIT
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "demo_job.h"

/* What is in the memory before the counter goes in: nothing like it. */
#define BLANK_BYTE 0xa5

/* Bytes that come back from the GPU at a time; a multiple of 4. */
#define CHUNK (4u << 20)

/* Later pin + map pairs: this many, or as many as fit in the time. */
#define REPEATS 20
#define REPEAT_US 1e6

static int cuda_failed(const struct demo_job *job, const char *what, int result)
{
	char text[128];

	tool_error("%s: %s", what,
		   cuda_error(&job->cuda, result, text, sizeof(text)));
	return TOOL_FAILED;
}

static int demo_job_alloc(struct demo_job *job)
{
	unsigned int on = 1;
	double start = tool_now();
	int result = job->cuda.mem_alloc(&job->base, job->offset + job->size);

	job->us.alloc = tool_now() - start;
	if (result == CUDA_ERROR_OUT_OF_MEMORY) {
		job->base = 0;
		tool_error("the GPU has no %llu bytes of memory free; give a "
			   "smaller --size",
			   (unsigned long long)job->offset + job->size);
		return TOOL_FAILED;
	}
	if (result) {
		job->base = 0;
		return cuda_failed(job, "cuMemAlloc", result);
	}
	/* Copies of this memory are complete when they return. */
	result = job->cuda.pointer_set(&on, CUDA_POINTER_ATTRIBUTE_SYNC_MEMOPS,
				       job->base);
	if (result)
		return cuda_failed(job, "setting SYNC_MEMOPS", result);
	return 0;
}

static int demo_job_pin(struct demo_job *job)
{
	void *cpu;
	double start = tool_now();

	if (gpumem_pin(job->session, job->base + job->offset, job->size, 0,
		       &job->buf)) {
		job->buf = NULL;
		return tool_gpumem_error("pinning %llu bytes",
					 (unsigned long long)job->size);
	}
	job->us.pin = tool_now() - start;
	start = tool_now();
	if (gpumem_map(job->buf, &cpu))
		return tool_gpumem_error("mapping %llu bytes",
					 (unsigned long long)job->size);
	job->us.map = tool_now() - start;
	job->cpu = cpu;
	job->info.size = sizeof(job->info);
	if (gpumem_buf_get(job->buf, &job->info))
		return tool_gpumem_error("describing the buffer");
	return 0;
}

int demo_job_begin(struct demo_job *job, int ordinal)
{
	int result, status;

	if (cuda_open(&job->cuda, job->session, ordinal)) {
		tool_error("%s", job->cuda.why);
		return TOOL_FAILED;
	}
	status = demo_job_alloc(job);
	if (status)
		return status;
	status = demo_job_pin(job);
	if (status)
		return status;
	/* What an earlier run left there would pass for this one's counter. */
	result = job->cuda.memset_d8(job->base, BLANK_BYTE,
				     job->offset + job->size);
	if (!result)
		result = job->cuda.context_synchronize();
	if (result)
		return cuda_failed(job, "cuMemsetD8", result);
	return 0;
}

/* Bytes of a word that lie inside the buffer: 4, or less at the end. */
static size_t word_bytes(const struct demo_job *job, uint64_t index)
{
	uint64_t left = job->size - index * 4;

	return left < 4 ? left : 4;
}

/* Through CUDA, so that the mapping under test is not what breaks it. */
static int demo_job_corrupt(struct demo_job *job)
{
	for (uint64_t i = job->corrupt_first; i <= job->corrupt_last; i++) {
		uint32_t word = ~demo_word(i);
		int result =
			job->cuda.copy_to_gpu(job->base + job->offset + i * 4,
					      &word, word_bytes(job, i));

		if (result)
			return cuda_failed(job, "cuMemcpyHtoD", result);
	}
	return 0;
}

/*
 * By aligned stores alone: where the mapping is of Device memory all others fault.
 */
static void demo_word_store(char *to, uint32_t word, size_t length)
{
	char bytes[sizeof(word)];

	if (length == sizeof(word) && !((uintptr_t)to % sizeof(word))) {
		*(volatile uint32_t __attribute__((may_alias)) *)to = word;
		return;
	}
	memcpy(bytes, &word, sizeof(bytes));
	for (size_t i = 0; i < length; i++)
		*(volatile char *)(to + i) = bytes[i];
}

int demo_job_write(struct demo_job *job)
{
	uint64_t whole = job->size / 4;
	double start = tool_now();

	for (uint64_t i = 0; i < whole; i++)
		demo_word_store(job->cpu + i * 4, demo_word(i), 4);
	demo_word_store(job->cpu + whole * 4, demo_word(whole), job->size % 4);
	/* The write-combining buffers must be empty before the GPU looks. */
	atomic_thread_fence(memory_order_seq_cst);
	job->us.write = tool_now() - start;
	return job->corrupt ? demo_job_corrupt(job) : 0;
}

static void demo_job_compare(struct demo_job *job, const char *bytes,
			     uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		size_t length = word_bytes(job, i);
		uint32_t expected = 0, found = 0, word = demo_word(i);

		memcpy(&expected, &word, length);
		memcpy(&found, bytes + (i - first) * 4, length);
		if (i < DEMO_WORDS_SHOWN)
			job->words[i] = found;
		if (found == expected)
			continue;
		if (job->wrong_count < DEMO_WRONG_SHOWN)
			job->wrong[job->wrong_count] =
				(struct demo_wrong){ i, expected, found };
		job->wrong_count++;
	}
}

int demo_job_verify(struct demo_job *job)
{
	uint64_t done, length;
	double start = tool_now();
	char *bytes = malloc(CHUNK);
	int result;

	if (!bytes) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	for (done = 0; done < job->size; done += length) {
		length = job->size - done < CHUNK ? job->size - done : CHUNK;
		result = job->cuda.copy_from_gpu(
			bytes, job->base + job->offset + done, length);
		if (result) {
			free(bytes);
			return cuda_failed(job, "cuMemcpyDtoH", result);
		}
		demo_job_compare(job, bytes, done / 4, (length + 3) / 4);
	}
	free(bytes);
	job->us.verify = tool_now() - start;
	return 0;
}

int demo_job_release(struct demo_job *job)
{
	double start = tool_now();

	job->cpu = NULL;
	if (gpumem_unmap(job->buf))
		return tool_gpumem_error("unmapping");
	job->us.unmap = tool_now() - start;
	start = tool_now();
	if (gpumem_unpin(job->buf))
		return tool_gpumem_error("unpinning");
	job->us.unpin = tool_now() - start;
	job->buf = NULL;
	return 0;
}

int demo_job_repeat(struct demo_job *job)
{
	double begin = tool_now();

	for (int i = 0; i < REPEATS && tool_now() - begin < REPEAT_US; i++) {
		struct gpumem_buf *buf;
		void *cpu;
		double start = tool_now();

		if (gpumem_pin(job->session, job->base + job->offset, job->size,
			       0, &buf))
			return tool_gpumem_error("pinning again");
		if (gpumem_map(buf, &cpu)) {
			tool_gpumem_error("mapping again");
			gpumem_unpin(buf);
			return TOOL_FAILED;
		}
		stats_add(&job->later, tool_now() - start);
		if (gpumem_unpin(buf))
			return tool_gpumem_error("unpinning again");
	}
	return 0;
}

int demo_job_end(struct demo_job *job)
{
	int result = 0;
	double start;

	if (job->buf)
		gpumem_unpin(job->buf);
	job->buf = NULL;
	job->cpu = NULL;
	if (job->base) {
		start = tool_now();
		result = job->cuda.mem_free(job->base);
		job->us.free = tool_now() - start;
		job->base = 0;
	}
	if (job->cuda.context)
		cuda_close(&job->cuda);
	job->cuda.context = NULL;
	return result ? cuda_failed(job, "cuMemFree", result) : 0;
}
