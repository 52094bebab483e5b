/* SPDX-License-Identifier: MIT */
/* The reason of a thread's last failing call, and the debug log. */
#ifndef GM_ERROR_H
#define GM_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Stores the reason of a failure, of the form "what: why; do this", for
 * gpumem_last_error() of this thread. Returns err, a negative errno, so that a
 * function can end with it.
 */
int gm_error(int err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * While hushed, this thread's gm_error() stores and logs nothing: for tries of
 * which most fail.
 */
void gm_error_hush(bool hush);

/* The reason stored last by this thread, or "". */
const char *gm_error_text(void);

/* The same without the "what: " that it begins with, to go behind another. */
const char *gm_error_reason(void);

/* One line on standard error, in any case: for what a program cannot know. */
void gm_warn(const char *text);

/* True with GPUMEM_LOG=debug in the environment. */
bool gm_debug_on(void);

/* One line on standard error with GPUMEM_LOG=debug, nothing otherwise. */
void gm_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* GM_ERROR_H */
