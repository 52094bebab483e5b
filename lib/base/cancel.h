/* SPDX-License-Identifier: MIT */
/*
 * A thread that is cancelled inside the library would leave locks held and
 * handles counted for ever. So a public call is a cancellation point, if at all,
 * at its beginning alone, where it holds nothing of the kind.
 */
#ifndef GM_CANCEL_H
#define GM_CANCEL_H

/* The beginning of a call. Nothing between a block and its allow. */
void gm_cancel_point(void);

/*
 * Between the two the calling thread is not cancelled; they nest. A request
 * that comes meanwhile is heeded at the thread's next cancellation point.
 */
void gm_cancel_block(void);
void gm_cancel_allow(void);

#endif /* GM_CANCEL_H */
