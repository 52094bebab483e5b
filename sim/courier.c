// SPDX-License-Identifier: MIT
/*
 * What the library's courier does on a GPU, done by a thread: see
 * lib/copy/sm/kernel.cu, and abi/sm_copy.h for what the two sides agree on.
 */
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "abi/sm_copy.h"
#include "kernel.h"

#define PIECE 16u
#define PART 4096u
#define FAR_NS 50000000ull

static _Atomic uint64_t jobs, staged_jobs;

uint64_t sim_courier_jobs(void)
{
	return jobs;
}

uint64_t sim_courier_staged_jobs(void)
{
	return staged_jobs;
}

/* [low, high) of the target; what is read lies in whole pieces if that is so */
static CUresult push_range(const struct sim_kernel *kernel, uint64_t low,
			   uint64_t high, uint64_t by)
{
	unsigned char bytes[PART];
	CUresult result = CUDA_SUCCESS;

	while (low < high && !result) {
		uint64_t part = high - low < PART ? high - low : PART;

		result = sim_kernel_read(kernel, bytes, low + by, part);
		if (!result)
			result = sim_kernel_write(kernel, low, bytes, part);
		low += part;
	}
	return result;
}

/*
 * The bytes beside the range, up to whole pieces, which the GPU writes with
 * what lies beside the source: here with what cannot be taken for that.
 */
static CUresult push_beside(const struct sim_kernel *kernel, uint64_t low,
			    uint64_t high)
{
	static const unsigned char beside[PIECE] = {
		0xbe, 0xbe, 0xbe, 0xbe, 0xbe, 0xbe, 0xbe, 0xbe,
		0xbe, 0xbe, 0xbe, 0xbe, 0xbe, 0xbe, 0xbe, 0xbe,
	};
	CUresult result = CUDA_SUCCESS;

	if (low % PIECE)
		result = sim_kernel_write(kernel, low - low % PIECE, beside,
					  low % PIECE);
	if (!result && high % PIECE)
		result = sim_kernel_write(kernel, high, beside,
					  PIECE - high % PIECE);
	return result;
}

static uint64_t whole_pieces(uint64_t at)
{
	return (at + PIECE - 1) / PIECE * PIECE;
}

/* The words of a line, for what of the job lies in it. */
static void tag_line(uint64_t words[8], const unsigned char *bytes,
		     uint64_t number)
{
	for (int i = 0; i < 8; i++) {
		words[i] = number << (64 - GM_COURIER_TAG_BITS);
		for (int k = 0; k < 6; k++)
			words[i] |= (uint64_t)bytes[6 * i + k] << 8 * k;
	}
}

/* The last line first: nobody may rely on any order. */
static CUresult push_tagged(const struct sim_kernel *kernel,
			    const struct gm_courier_job *job, uint64_t number)
{
	const struct gm_courier_start *start = kernel->parameter;
	const uint64_t from = job->from / PIECE * PIECE;
	const uint64_t end = whole_pieces(job->from + job->length);
	const uint64_t to = start->tagged +
			    number % GM_COURIER_SLOTS * GM_COURIER_TAGGED_ROOM;
	uint64_t line =
		GM_COURIER_TAGGED_COUNT(job->how) * GM_COURIER_GROUP_LINES;
	CUresult result = CUDA_SUCCESS;

	while (line-- && !result) {
		unsigned char bytes[GM_COURIER_TAGGED_LINE] = { 0 };
		uint64_t at = from + line * sizeof(bytes), words[8];

		if (at < end)
			result = sim_kernel_read(kernel, bytes, at,
						 end - at < sizeof(bytes)
							 ? end - at
							 : sizeof(bytes));
		tag_line(words, bytes, number);
		if (!result)
			result = sim_kernel_write_words(kernel, to + line * 64,
							words, 8);
	}
	return result;
}

static CUresult push_job(const struct sim_kernel *kernel,
			 const struct gm_courier_job *job, uint64_t number,
			 uint64_t done)
{
	const bool waves = job->how & GM_COURIER_WAVES;
	const uint64_t to = job->to, end = to + job->length;
	uint64_t chunk = waves ? GM_COURIER_WAVE_FIRST(job->how)
			       : 1ull << (job->how & GM_COURIER_CHUNK);
	uint64_t at = to - (waves ? 0 : to % GM_COURIER_ALIGN);
	uint64_t untagged = 0;
	CUresult result = CUDA_SUCCESS;

	jobs++;
	staged_jobs += !!(job->how & GM_COURIER_WHOLE);
	if (waves && GM_COURIER_TAGGED_COUNT(job->how)) {
		result = push_tagged(kernel, job, number);
		untagged = to - to % PIECE + GM_COURIER_TAGGED(job->how);
	}
	while (at < end && untagged < end && !result) {
		uint64_t low = at > to ? whole_pieces(at) : to;
		uint64_t high = whole_pieces(at + chunk);

		if (high > end)
			high = end;
		if (low < untagged)
			low = untagged;
		if (low < high && job->how & GM_COURIER_WHOLE)
			result = push_beside(kernel, low, high);
		if (!result)
			result = push_range(kernel, low, high, job->from - to);
		if (!result)
			result = sim_kernel_signal(kernel, done, number);
		done += sizeof(struct gm_courier_word);
		at += chunk;
		if (waves)
			chunk = GM_COURIER_WAVE_NEXT(chunk, job->how);
	}
	return result;
}

/*
 * A job whose number is there is whole only if a second look shows the same:
 * reading is not as one step here.
 */
static CUresult look(const struct sim_kernel *kernel, uint64_t slot,
		     uint64_t number, struct gm_courier_job *job, bool *there)
{
	struct gm_courier_job again;
	CUresult result;

	*there = false;
	result = sim_kernel_read(kernel, job, slot, sizeof(*job));
	if (result || job->number != (uint32_t)number ||
	    job->number_again != (uint32_t)number)
		return result;
	result = sim_kernel_read(kernel, &again, slot, sizeof(again));
	*there = !result && !memcmp(job, &again, sizeof(again));
	return result;
}

static CUresult next_job(const struct sim_kernel *kernel, uint64_t born,
			 uint64_t number, struct gm_courier_job *job)
{
	const bool more = job->how & GM_COURIER_MORE;
	const struct gm_courier_start *start = kernel->parameter;
	const uint64_t slot =
		start->bell + offsetof(struct gm_courier_bell, slot) +
		number % GM_COURIER_SLOTS *
			sizeof(((struct gm_courier_bell *)0)->slot[0]);
	const uint64_t idle_since = sim_clock_ns();
	bool there = false;
	CUresult result;

	for (;;) {
		uint64_t now = sim_clock_ns();

		if (now - idle_since >
		    (more ? start->hold_ns : start->idle_ns)) {
			job->how = GM_COURIER_END;
			return CUDA_SUCCESS;
		}
		if (!more && now - born > start->life_ns) {
			job->how = GM_COURIER_END | GM_COURIER_AGED;
			return CUDA_SUCCESS;
		}
		result = look(kernel, slot, number, job, &there);
		if (result || there)
			return result;
		sched_yield();
	}
}

static CUresult first_job(const struct sim_kernel *kernel,
			  struct gm_courier_job *job)
{
	const struct gm_courier_start *start = kernel->parameter;
	uint64_t cancelled = 0;
	CUresult result;

	*job = start->job;
	result = sim_kernel_signal(
		kernel,
		start->flags + offsetof(struct gm_courier_flags, started),
		start->start);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!result)
		result = sim_kernel_read(
			kernel, &cancelled,
			start->bell +
				offsetof(struct gm_courier_bell, cancelled),
			sizeof(cancelled));
	if (cancelled == start->start)
		job->how = GM_COURIER_END;
	return result;
}

/*
 * Of tests: all but one page of 64 KiB, each of 4 KiB, are far from where the
 * kernel runs, so that a bell there is seen late: later than where it is near,
 * by the clock of the test.
 */
static void far_delay(const struct gm_courier_start *start)
{
	const char *text = getenv("GPUMEM_SIM_NEAR_PAGE");

	if (text && strtoul(text, NULL, 10) != start->bell / 4096 % 16)
		sim_clock_wait(FAR_NS);
}

static CUresult ring_answer(const struct sim_kernel *kernel,
			    const struct gm_courier_job *job, uint64_t number)
{
	const struct gm_courier_start *start = kernel->parameter;
	const uint64_t done =
		start->flags + offsetof(struct gm_courier_flags, done) +
		number % GM_COURIER_SLOTS *
			sizeof(((struct gm_courier_flags *)0)->done[0]);

	/* A kernel may be started without a job, or kept without one. */
	if (!job->length)
		return sim_kernel_signal(kernel, done, number);
	far_delay(start);
	return push_job(kernel, job, number, done);
}

static CUresult courier_run(struct sim_kernel *kernel)
{
	const struct gm_courier_start *start = kernel->parameter;
	const uint64_t born = sim_clock_ns();
	uint64_t number = start->number;
	struct gm_courier_job job;
	CUresult result;

	if (kernel->threads % GM_COURIER_GROUP)
		return CUDA_ERROR_LAUNCH_FAILED;
	result = first_job(kernel, &job);
	while (!result && !(job.how & GM_COURIER_END)) {
		result = ring_answer(kernel, &job, number);
		number++;
		if (!result)
			result = next_job(kernel, born, number, &job);
	}
	if (!result && job.how & GM_COURIER_AGED)
		result = sim_kernel_signal(
			kernel,
			start->flags + offsetof(struct gm_courier_flags, aged),
			start->start);
	if (result)
		return result;
	return sim_kernel_signal(
		kernel,
		start->flags + offsetof(struct gm_courier_flags, retired),
		start->start);
}

const struct sim_program sim_courier = {
	.name = GM_COURIER_KERNEL,
	.parameter_size = sizeof(struct gm_courier_start),
	.run = courier_run,
};
