// SPDX-License-Identifier: MIT
#include "copy/sm/launch.h"

/* A read so soon after the last one counts for so many. */
#define GM_SM_TIGHT 16u

/* Reads in a row, at most, that a start has to wait for. */
#define GM_SM_REQUIRED_MAX 1024u

uint64_t gm_sm_launch_wanted(struct gm_sm_launch *launch, uint64_t gap_ns,
			     uint64_t idle_ns, uint64_t now)
{
	const uint64_t most = GM_SM_LAUNCH_IDLE_MAX * idle_ns;

	if (gap_ns >= most || gm_sm_launch_rests(launch, now)) {
		launch->run = 0;
		return 0;
	}
	launch->run += gap_ns < GM_SM_LAUNCH_TIGHT_NS ? GM_SM_TIGHT : 1;
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

void gm_sm_launch_pause(struct gm_sm_launch *launch, bool awaited, uint64_t now)
{
	launch->awaited = (uint8_t)(launch->awaited << 1 | awaited);
	if (!launch->awaited)
		launch->rest_ns = 0;
	/* Two of them, the last one included. */
	if (!awaited || !(launch->awaited & (launch->awaited - 1)))
		return;
	launch->rest_ns *= 2;
	if (launch->rest_ns < GM_SM_LAUNCH_REST_MIN)
		launch->rest_ns = GM_SM_LAUNCH_REST_MIN;
	if (launch->rest_ns > GM_SM_LAUNCH_REST_MAX)
		launch->rest_ns = GM_SM_LAUNCH_REST_MAX;
	launch->rest_until = now + launch->rest_ns;
}
