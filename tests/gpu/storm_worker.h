/* SPDX-License-Identifier: MIT */
/* The storm itself: threads that run random sequences, and what they did. */
#ifndef GPUMEM_TEST_STORM_WORKER_H
#define GPUMEM_TEST_STORM_WORKER_H

#include "storm.h"

/* Ranges that a thread holds at once. */
#define STORM_SLOTS 4
#define STORM_THREADS_MAX 64
/* By size: below 4 KiB, 64 KiB, 1 MiB, 16 MiB, and the rest. */
#define STORM_CLASSES 5

struct storm_options {
	uint64_t threads;
	uint64_t max; /* bytes of the largest range */
	uint64_t seconds; /* then it ends early; 0: it does not */
};

struct storm_tally {
	uint64_t sequences[STORM_KINDS][STORM_CLASSES];
	uint64_t verified, stored, written, read; /* bytes */
	uint64_t failed;
};

/*
 * `count` sequences in all; *sum receives what they did. A sequence that fails
 * is named on standard output and the others go on, up to a bound.
 */
enum outcome storm_run(const struct storm_options *options, uint64_t count,
		       uint64_t seed, struct storm_tally *sum);

uint64_t storm_tally_total(const struct storm_tally *sum);
void storm_tally_print(const struct storm_tally *sum);

/* In seconds. */
uint64_t storm_now(void);

#endif /* GPUMEM_TEST_STORM_WORKER_H */
