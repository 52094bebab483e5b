/* SPDX-License-Identifier: MIT */
/*
 * The table behind the library's handles.
 *
 * A handle is a value, not an address: the kind of object, the slot in the
 * table and the slot's generation. A value that was never given out, or whose
 * object is gone, is recognised and refused.
 */
#ifndef GM_HANDLE_H
#define GM_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

struct gm_copier;

enum gm_kind {
	GM_KIND_SESSION = 0x5e,
	GM_KIND_BUFFER = 0x6b,
	GM_KIND_DMA = 0x7d,
};

/*
 * Puts an object into the table. Returns its handle, or NULL when there is no
 * memory. The object can be found by other threads from then on.
 */
void *gm_handle_new(enum gm_kind kind, void *object);

/*
 * Finds an object and counts its user, so that gm_handle_kill() waits.
 * -EBADF: the handle is not live; -EPERM: it belongs to the parent process;
 * both with their reason stored, which begins with call. A NULL call stores no
 * -EBADF. Until gm_handle_put(), by the same thread, that is not cancelled.
 */
int gm_handle_get(enum gm_kind kind, const void *handle, const char *call,
		  void **object);

/* Undoes one gm_handle_get(). */
void gm_handle_put(const void *handle);

/*
 * From now on short copies through the handle, which the caller has got, go by
 * gm_quick_begin(), in the calling thread and in others that called this once.
 * Nothing where there is no way for that. Under a lock that gm_handle_end_quick()
 * is called with, too.
 */
void gm_handle_allow_quick(const void *handle, char *map, uint64_t length,
			   const struct gm_copier *copier);

/* Ends that, and waits for those who began so before. */
void gm_handle_end_quick(const void *handle);

/*
 * Ends a handle: no one finds it from now on. Returns when its users have put
 * it. Of several callers one gets the object, the others -EBADF. In a forked
 * child -EPERM; the handle can be dropped there. The caller keeps itself from
 * being cancelled until it is done with the object.
 */
int gm_handle_kill(enum gm_kind kind, const void *handle, const char *call,
		   void **object);

/*
 * In a forked child: ends a handle of the parent there. Waits for no one, the
 * users were threads of the parent. -EBADF: not live, or the parent was ending
 * it when it forked.
 */
int gm_handle_drop(enum gm_kind kind, const void *handle, const char *call,
		   void **object);

/*
 * A handle of that kind for which match returns non-zero, or NULL. match is
 * called under the table's lock. Handles that are being ended are passed over.
 */
void *gm_handle_find(enum gm_kind kind, int (*match)(void *object, void *arg),
		     void *arg);

/*
 * Keeps fork() out between the two calls, for steps after which a child would
 * inherit what it must not.
 */
void gm_fork_block(void);
void gm_fork_allow(void);

/* Changes in every forked child. */
unsigned int gm_fork_generation(void);

#endif /* GM_HANDLE_H */
