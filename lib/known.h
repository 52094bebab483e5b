/* SPDX-License-Identifier: MIT */
/*
 * What host memory was when it was last looked at: guesses, which who uses them
 * checks. From any thread, without locks: a range of which one half is old is a
 * bad guess, no more.
 */
#ifndef GM_KNOWN_H
#define GM_KNOWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Double buffers both ways. */
#define GM_KNOWN 4u

/* Ranges that were CUDA's pinned memory. */
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

/* Of 64 KiB each, and as many as some buffers have that are read in slices. */
#define GM_PLAIN_SHIFT 16
#define GM_PLAIN 64u

/* Pieces of the address space where it was not pinned. */
struct gm_plain {
	_Atomic uintptr_t piece[GM_PLAIN]; /* 0 is none: no program has that */
};

/* Whether the memory at an address is of such a piece. */
bool gm_plain_holds(const struct gm_plain *plain, const void *host);

/* Takes the place of another piece. */
void gm_plain_learn(struct gm_plain *plain, const void *host);

/* Its piece, if that is there. */
void gm_plain_forget(struct gm_plain *plain, const void *host);

#endif /* GM_KNOWN_H */
