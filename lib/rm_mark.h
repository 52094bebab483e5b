/* SPDX-License-Identifier: MIT */
/*
 * Bytes of CUDA's memory that are random for a moment: whoever sees the same
 * ones looks at that memory. The program must not miss what it had there.
 */
#ifndef GM_RM_MARK_H
#define GM_RM_MARK_H

#include "cuda.h"

/* Random bytes that prove something when they are seen again. */
#define GM_RM_NONCE 16

struct gm_rm_mark {
	const struct gm_cuda *cuda;
	CUstream stream;
	uint64_t addr; /* GM_RM_NONCE bytes from here on */
	unsigned char bytes[GM_RM_NONCE]; /* what is there while it is set */
	unsigned char original[GM_RM_NONCE];
};

/*
 * Keep out whoever else in the process swaps bytes for a moment: two of them at
 * the same bytes would each put back what the other wrote.
 */
void gm_rm_swap_begin(void);
void gm_rm_swap_end(void);

/* At most 256 random bytes. */
int gm_rm_random(void *bytes, size_t length);

/* Copies a few bytes by CUDA, out of its memory, and waits. -EIO. */
int gm_rm_copy_out(const struct gm_cuda *cuda, CUstream stream, uint64_t addr,
		   void *bytes, size_t length);

/* Swaps the bytes, by CUDA. Where it fails they are what they were. */
int gm_rm_mark_set(struct gm_rm_mark *mark);

/* Other random bytes in the place of those of a mark that is set. */
int gm_rm_mark_change(struct gm_rm_mark *mark);

/* Puts back what was there. Must follow gm_rm_mark_set() that worked. */
int gm_rm_mark_clear(struct gm_rm_mark *mark);

#endif /* GM_RM_MARK_H */
