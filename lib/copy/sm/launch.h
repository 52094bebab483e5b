/* SPDX-License-Identifier: MIT */
/*
 * Whether a read that finds no SM copy running is to start it. A start is late,
 * and what waits for the GPU to be idle then waits for the kernel's idle timeout:
 * it pays only where more reads come before that. How soon the last one came
 * tells whether they may; how many earlier starts served, whether they do.
 */
#ifndef GM_SM_LAUNCH_H
#define GM_SM_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

struct gm_sm_launch {
	uint32_t run; /* reads in a row, see gm_sm_launch_wanted() */
	uint32_t required; /* of these before the next start */
	uint8_t awaited; /* a bit each of the last pauses */
	uint64_t rest_until, rest_ns;
};

/*
 * What a start that served so few reads has won does not make up for what it cost;
 * from the second figure on it does, from the third on it surely will again.
 */
#define GM_SM_LAUNCH_FEW 2u
#define GM_SM_LAUNCH_SOME 4u
#define GM_SM_LAUNCH_MANY 16u

/*
 * A kernel and a cuCtxSynchronize() take 5 us at least (H200, 580.159.04): between
 * two reads that are closer the thread did not wait for the GPU.
 */
#define GM_SM_LAUNCH_TIGHT_NS 2000u

/* A kernel waits for the next read for up to so many idle timeouts. */
#define GM_SM_LAUNCH_IDLE_MAX 6u

/*
 * For each read that finds no kernel: 0, or for how long the kernel that it starts
 * is to wait for the next one. gap_ns: from the end of the last read, of any that
 * the SM copy could do; idle_ns: the idle timeout, which is made longer where
 * reads come at longer intervals. A read that comes later than the longest is
 * part of no row. One that comes so soon that nothing can have waited for the GPU
 * in between counts for several. now: none is to be started during a rest.
 */
uint64_t gm_sm_launch_wanted(struct gm_sm_launch *launch, uint64_t gap_ns,
			     uint64_t idle_ns, uint64_t now);

/* For each start, once its kernel has retired: how many reads it served. */
void gm_sm_launch_served(struct gm_sm_launch *launch, uint64_t reads);

/* Without starts, after a kernel that others waited for, in ns: each twice the last. */
#define GM_SM_LAUNCH_REST_MIN 50000000ull
#define GM_SM_LAUNCH_REST_MAX 1000000000ull

/*
 * After a kernel that lived its whole life, and the pause behind it: whether another
 * thread has waited for its end. Where that is so again within eight of them none is
 * started for a while.
 */
void gm_sm_launch_pause(struct gm_sm_launch *launch, bool awaited,
			uint64_t now);

static inline bool gm_sm_launch_rests(const struct gm_sm_launch *launch,
				      uint64_t now)
{
	return now < launch->rest_until;
}

#endif /* GM_SM_LAUNCH_H */
