/* SPDX-License-Identifier: MIT */
/*
 * Whether reads bring what was in the memory when they began, or what the CPU
 * kept of an earlier one: one thread writes rising numbers to the first 8 bytes
 * and tells of each once its write has returned, another reads. A number below
 * the one that was told of before the read began is stale: on the bus the read
 * follows the write.
 */
#ifndef GPUMEM_TEST_FRESH_H
#define GPUMEM_TEST_FRESH_H

#include <stddef.h>
#include <stdint.h>

/* A copy of size bytes, 0 when it was made. */
typedef int (*fresh_copy)(void *arg, void *host, size_t size);

struct fresh {
	fresh_copy write; /* of 8 bytes, from the host to the memory's start */
	fresh_copy read; /* of size bytes, from the memory's start */
	void *arg;
	size_t size; /* 8 to FRESH_MAX */
	unsigned int rows; /* of reads */

	/* What was seen. */
	unsigned int reads;
	unsigned int stale;
	unsigned int back; /* reads that brought less than the one before */
	/*
	 * Reads that brought the number of the one before. A bus read takes as
	 * long as several writes: this is for a writer that was interrupted.
	 */
	unsigned int again;
};

#define FRESH_MAX 4096u

/* 0, or -1: a copy failed or no thread could be had. */
int fresh_run(struct fresh *fresh);

#endif /* GPUMEM_TEST_FRESH_H */
