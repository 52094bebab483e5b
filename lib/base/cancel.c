// SPDX-License-Identifier: MIT
/* Keeps pthread_cancel() out of the library. */
#include <pthread.h>

#include "base/cancel.h"

static _Thread_local struct {
	unsigned int depth;
	int before; /* the state that the outermost block found */
} gm_cancel __attribute__((tls_model("initial-exec")));

void gm_cancel_point(void)
{
	if (!gm_cancel.depth)
		pthread_testcancel();
}

void gm_cancel_block(void)
{
	if (!gm_cancel.depth++)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE,
				       &gm_cancel.before);
}

void gm_cancel_allow(void)
{
	if (!--gm_cancel.depth)
		pthread_setcancelstate(gm_cancel.before, NULL);
}
