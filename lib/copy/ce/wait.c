// SPDX-License-Identifier: MIT
/* The quicker of two ways to see that a copy by the copy engine has ended. */
#include "copy/ce/wait.h"

#define GM_CE_WAIT_SHORTEST 12 /* a power of two */

/* Of so many copies so few are waited for in the other way, but not the first ones. */
#define GM_CE_WAIT_TURN 256u
#define GM_CE_WAIT_FIRST 16u
#define GM_CE_WAIT_LOOKS 4u

/* Of so many copies the quickest one is the mean: others waited for what CUDA made. */
#define GM_CE_WAIT_NEW 4u

/* What a copy may add to the mean at most, in means: it may have been preempted. */
#define GM_CE_WAIT_CLIP 4u
#define GM_CE_WAIT_WEIGHT 16u

static struct gm_ce_wait_size *gm_ce_wait_at(struct gm_ce_wait *wait,
					     size_t length)
{
	unsigned int power = 0;

	while (length >> (GM_CE_WAIT_SHORTEST + power + 1) &&
	       power < GM_CE_WAIT_SIZES - 1)
		power++;
	return &wait->size[power];
}

bool gm_ce_wait_by_flag(struct gm_ce_wait *wait, size_t length)
{
	struct gm_ce_wait_size *at = gm_ce_wait_at(wait, length);
	const uint32_t turn = at->turn++ % GM_CE_WAIT_TURN;
	const bool quicker = !at->count[0] || at->mean_ns[1] <= at->mean_ns[0];

	return turn >= GM_CE_WAIT_FIRST &&
			       turn < GM_CE_WAIT_FIRST + GM_CE_WAIT_LOOKS
		       ? !quicker
		       : quicker;
}

void gm_ce_wait_took(struct gm_ce_wait *wait, size_t length, bool by_flag,
		     uint64_t ns)
{
	struct gm_ce_wait_size *at = gm_ce_wait_at(wait, length);
	uint64_t *mean = &at->mean_ns[by_flag];

	if (at->count[by_flag] < GM_CE_WAIT_NEW) {
		if (!at->count[by_flag]++ || ns < *mean)
			*mean = ns;
		return;
	}
	if (ns > GM_CE_WAIT_CLIP * *mean)
		ns = GM_CE_WAIT_CLIP * *mean;
	*mean = *mean - *mean / GM_CE_WAIT_WEIGHT + ns / GM_CE_WAIT_WEIGHT;
}
