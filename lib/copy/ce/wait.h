/* SPDX-License-Identifier: MIT */
/*
 * How the end of a copy by the copy engine is waited for: by a word that the stream
 * writes behind it, or by cuStreamSynchronize(). The word is seen 0.6 us sooner where
 * one process uses the GPU, and up to 6 us later where four do (H200, 580.159.04): so
 * both are timed as the program runs, by the length of the copies.
 */
#ifndef GM_CE_WAIT_H
#define GM_CE_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lengths by powers of two, from 4 KiB to 1 MiB; what is beyond is in the outermost. */
#define GM_CE_WAIT_SIZES 9u

struct gm_ce_wait_size {
	uint64_t mean_ns[2]; /* of whole copies; by flag: [1] */
	uint32_t count[2];
	uint32_t turn;
};

/* All zeroes at first. */
struct gm_ce_wait {
	struct gm_ce_wait_size size[GM_CE_WAIT_SIZES];
};

/* Whether the end of the next copy of length bytes is to be seen by the flag. */
bool gm_ce_wait_by_flag(struct gm_ce_wait *wait, size_t length);

/* A copy took so long, from its start until its end was seen in that way. */
void gm_ce_wait_took(struct gm_ce_wait *wait, size_t length, bool by_flag,
		     uint64_t ns);

#endif /* GM_CE_WAIT_H */
