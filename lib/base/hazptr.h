/* SPDX-License-Identifier: MIT */
/*
 * Short uses of a handle that are not counted.
 *
 * To count a user takes a locked instruction, and on x86 that waits until the
 * CPU's write-combining buffers are empty: half as long again as a small write
 * itself. So a thread that uses a handle for a moment only writes down which,
 * in a place of its own, and whoever ends the handle makes all threads pass a
 * memory barrier (membarrier(2), Linux 4.14) and then looks at their places.
 */
#ifndef GM_GUARD_H
#define GM_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct gm_guard {
	_Atomic(const void *) handle; /* in use by the thread, or NULL */
	atomic_bool taken; /* a thread has it */
	struct gm_guard *next; /* fixed */
	char rest[64 - 3 * sizeof(void *)];
};

extern _Thread_local struct gm_guard *gm_guard_mine
	__attribute__((tls_model("initial-exec")));

/* Before the first guard; whether there can be any. */
bool gm_guard_setup(void);

/* Gives the calling thread its place, in gm_guard_mine, or leaves it NULL. */
void gm_guard_make(void);

/* Returns when no thread uses the handle that it began to use before. */
void gm_guard_wait(const void *handle);

/*
 * mine is gm_guard_mine, which is not NULL. What is loaded afterwards is newer
 * than this, for those who call gm_guard_wait().
 */
static inline void gm_guard_begin(struct gm_guard *mine, const void *handle)
{
	atomic_store_explicit(&mine->handle, handle, memory_order_relaxed);
	/* For the compiler; membarrier() does it for the CPU. */
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void gm_guard_end(struct gm_guard *mine)
{
	atomic_store_explicit(&mine->handle, NULL, memory_order_release);
}

#endif /* GM_GUARD_H */
