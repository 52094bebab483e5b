/* SPDX-License-Identifier: MIT */
/*
 * The job that `gpumem demo` does: a running counter goes into GPU memory
 * through the CPU's mapping and comes back through CUDA.
 */
#ifndef GPUMEM_TOOL_DEMO_JOB_H
#define GPUMEM_TOOL_DEMO_JOB_H

#include "cuda.h"
#include "stats.h"
#include "tool.h"

#define DEMO_FIRST_WORD 0x0a000000u
#define DEMO_WORDS_SHOWN 16
#define DEMO_WRONG_SHOWN 32

struct demo_wrong {
	uint64_t index;
	uint32_t expected, found;
};

/* Microseconds that each step took, once. */
struct demo_times {
	double open, alloc, pin, map, write, verify, unmap, unpin, free;
};

struct demo_job {
	/* What is asked for. */
	uint64_t size; /* bytes that are pinned */
	uint64_t offset; /* bytes allocated before them */
	bool corrupt; /* words corrupt_first to corrupt_last on purpose */
	uint64_t corrupt_first, corrupt_last;

	/* What it works with. */
	struct gpumem *session;
	struct cuda cuda;
	uint64_t base; /* the allocation; 0: none */
	struct gpumem_buf *buf; /* NULL: not pinned */
	char *cpu; /* NULL: not mapped */

	/* What it found. */
	struct gpumem_buf_info info;
	uint32_t words[DEMO_WORDS_SHOWN];
	uint64_t wrong_count;
	struct demo_wrong wrong[DEMO_WRONG_SHOWN];
	struct demo_times us;
	struct stats later; /* pin + map, again and again */
};

/* Words in the job; the last one may be cut off by the end of the buffer. */
static inline uint64_t demo_word_count(const struct demo_job *job)
{
	return job->size / 4 + (job->size % 4 != 0);
}

static inline uint32_t demo_word(uint64_t index)
{
	return DEMO_FIRST_WORD + (uint32_t)index;
}

/*
 * The steps, in order. Each returns 0 or an exit code after saying what failed;
 * demo_job_end() undoes what was done, whatever was done, and may be called
 * again.
 */
int demo_job_begin(struct demo_job *job, int ordinal); /* alloc, pin, map */
int demo_job_write(struct demo_job *job);
int demo_job_verify(struct demo_job *job);
int demo_job_release(struct demo_job *job); /* unmap, unpin */
int demo_job_repeat(struct demo_job *job); /* pin + map the same again */
int demo_job_end(struct demo_job *job);

#endif /* GPUMEM_TOOL_DEMO_JOB_H */
