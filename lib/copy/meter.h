/* SPDX-License-Identifier: MIT */
/*
 * How long reads take by the SM copy and otherwise, by their size, as the program
 * itself runs. Where the SM copy takes longer, as other processes share the GPU
 * or keep it busy, it is left alone for a while, each time for longer. Counts
 * may be lost where threads meet: they are means of many.
 */
#ifndef GM_COPY_METER_H
#define GM_COPY_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes by powers of two, from 2 KiB to 2 MiB; what is longer is in the last. */
#define GM_METER_SIZES 11

struct gm_meter_size {
	_Atomic uint64_t other_ns; /* mean; 0: unknown */
	_Atomic uint32_t others; /* times that it was told, up to four */
	/* Of the SM copy, since the last judgement. */
	_Atomic uint64_t sum_ns, time_ns; /* scaled, and as it passed */
	_Atomic uint32_t reads;
	_Atomic uint32_t worse; /* judgements in a row that said so */
	_Atomic uint32_t turn; /* reads asked for, see gm_meter_wants_sm() */
	_Atomic uint64_t rest_until;
	_Atomic uint64_t rest_ns;
};

struct gm_meter {
	struct gm_meter_size size[GM_METER_SIZES];
};

/*
 * Whether the next read of a length is for the SM copy. Now and then it is not,
 * so that the other time stays known.
 */
bool gm_meter_wants_sm(struct gm_meter *meter, size_t length, uint64_t now);

/* A read that took so long, by the SM copy or otherwise. */
void gm_meter_sm(struct gm_meter *meter, size_t length, uint64_t ns,
		 uint64_t now);
void gm_meter_other(struct gm_meter *meter, size_t length, uint64_t ns);

#endif /* GM_COPY_METER_H */
