/* SPDX-License-Identifier: MIT */
/* gpumem bench pingpong: what is measured, and where. */
#ifndef GPUMEM_TOOL_BENCH_PINGPONG_H
#define GPUMEM_TOOL_BENCH_PINGPONG_H

#include "bench/bench.h"
#include "bench/echo_kernel.h"
#include "stats.h"
#include "bench/method.h"

#define PINGPONG_SIZES_MAX 32

/* Words that are tried, so far apart that many an address bit differs. */
#define PLACES 64u
#define PLACE (17u * 4096u)

struct pingpong {
	struct bench_gpu gpu;
	int rounds;
	uint64_t size[PINGPONG_SIZES_MAX];
	int size_count;
	struct kernel kernel;
	struct bench_memory memory;
	struct bench_host host;
	/* What the trials found, in microseconds there and back. */
	double place_us;
	struct stats tried; /* medians of some of them */
	unsigned int tries;
	int cpu; /* where this thread runs */
	int sms_tried, cpus_tried;
	const struct classic *classic;
	struct report *rows;
};

/* What one act is done to. */
struct ping {
	struct pingpong *pingpong;
	uint64_t length; /* bytes written, the word included if it is their end */
	uint64_t base; /* where they begin in the memory */
	uint64_t word; /* offset from there of the word that the kernel polls */
	double spread_us; /* the rounds are spread over so long, or 0 */
};

/* The word, as the GPU calls it. */
uint64_t ping_word(const struct ping *ping);

/* A plain store to the word, and a fence. */
void ping_store(const struct ping *ping, uint32_t value);

/* Puts the ping's base at the quickest of the places for its word. */
int ping_place(struct ping *ping);

/*
 * Finds the multiprocessor, this thread's CPU and the line for the answer that
 * are the quickest, and stays with them.
 */
int pingpong_place(struct pingpong *pingpong);

#endif /* GPUMEM_TOOL_BENCH_PINGPONG_H */
