/* SPDX-License-Identifier: MIT */
/*
 * The ranges of host memory that were CUDA's pinned memory when it was last
 * looked at: a guess, which who uses it checks. From any thread, without locks:
 * a range of which one half is old is a bad guess, no more.
 */
#ifndef GM_KNOWN_H
#define GM_KNOWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Double buffers both ways. */
#define GM_KNOWN 4u

struct gm_known {
	struct {
		_Atomic uint64_t start;
		_Atomic uint64_t size;
	} range[GM_KNOWN];
	atomic_uint next;
};

/* Whether a known range holds so many bytes, more than none, from there on. */
bool gm_known_holds(const struct gm_known *known, const void *host,
		    size_t length);

/* Takes the place of the range that was learnt GM_KNOWN times ago. */
void gm_known_learn(struct gm_known *known, uint64_t start, size_t size);

/* Forgets the ranges that hold the address. */
void gm_known_forget(struct gm_known *known, const void *host);

#endif /* GM_KNOWN_H */
