// SPDX-License-Identifier: MIT
#include "copy/sm/launch.h"

/*
 * A kernel and a cuCtxSynchronize() take 5 us at least (H200, 580.159.04): a read
 * that comes sooner did not wait for the GPU. It counts for so many.
 */
#define GM_SM_TIGHT_NS 2000u
#define GM_SM_TIGHT 16u

/* Reads in a row, at most, that a start has to wait for. */
#define GM_SM_REQUIRED_MAX 1024u

uint64_t gm_sm_launch_wanted(struct gm_sm_launch *launch, uint64_t gap_ns,
			     uint64_t idle_ns)
{
	const uint64_t most = GM_SM_LAUNCH_IDLE_MAX * idle_ns;

	if (gap_ns >= most) {
		launch->run = 0;
		return 0;
	}
	launch->run += gap_ns < GM_SM_TIGHT_NS ? GM_SM_TIGHT : 1;
	if (launch->run <= launch->required)
		return 0;
	launch->run = 0;
	if (2 * gap_ns <= idle_ns)
		return idle_ns;
	return 2 * gap_ns < most ? 2 * gap_ns : most;
}

void gm_sm_launch_served(struct gm_sm_launch *launch, uint64_t reads)
{
	if (reads >= GM_SM_LAUNCH_MANY)
		launch->required = 0;
	else if (reads >= GM_SM_LAUNCH_SOME)
		launch->required /= 2;
	if (reads > GM_SM_LAUNCH_FEW)
		return;
	launch->required = launch->required ? launch->required * 2
					    : GM_SM_TIGHT;
	if (launch->required > GM_SM_REQUIRED_MAX)
		launch->required = GM_SM_REQUIRED_MAX;
}
