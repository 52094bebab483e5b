// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpumem.h>

#include "base/text.h"
#include "base/error.h"

#define GM_ERROR_LENGTH 1024

/*
 * Thread-local data come out of a small reserve where a program loads the
 * library at run time, so that the text is elsewhere; see check_tls.sh.
 */
static _Thread_local char *gm_error_buffer; /* GM_ERROR_LENGTH, or NULL */
static _Thread_local const char *gm_error_last; /* NULL: no failure yet */
static _Thread_local bool gm_error_hushed;

static pthread_once_t gm_error_once = PTHREAD_ONCE_INIT;
static pthread_key_t gm_error_key;
static bool gm_error_has_key;

/* The thread ends. */
static void gm_error_free(void *buffer)
{
	gm_error_buffer = NULL;
	gm_error_last = NULL;
	free(buffer);
}

static void gm_error_start(void)
{
	gm_error_has_key = !pthread_key_create(&gm_error_key, gm_error_free);
}

/* The thread's room for a reason, or NULL. */
static char *gm_error_room(void)
{
	char *buffer = gm_error_buffer;

	if (buffer)
		return buffer;
	pthread_once(&gm_error_once, gm_error_start);
	buffer = gm_error_has_key ? malloc(GM_ERROR_LENGTH) : NULL;
	if (buffer && pthread_setspecific(gm_error_key, buffer)) {
		free(buffer);
		buffer = NULL;
	}
	gm_error_buffer = buffer;
	return buffer;
}

void gm_error_hush(bool hush)
{
	gm_error_hushed = hush;
}

int gm_error(int err, const char *fmt, ...)
{
	char text[GM_ERROR_LENGTH];
	char *buffer;
	va_list args;

	if (gm_error_hushed)
		return err;
	/* By way of text: the arguments may point into the old reason. */
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	buffer = gm_error_room();
	if (buffer)
		gm_text_escape(buffer, GM_ERROR_LENGTH, text);
	gm_error_last = buffer ? buffer
			       : "error: there is no host memory for its "
				 "reason; free some";
	gm_debug("error %d: %s", err, text);
	return err;
}

const char *gm_error_text(void)
{
	return gm_error_last ? gm_error_last : "";
}

const char *gm_error_reason(void)
{
	const char *text = gm_error_text();
	size_t what = strspn(text, "abcdefghijklmnopqrstuvwxyz_");

	return what && !strncmp(text + what, ": ", 2) ? text + what + 2 : text;
}

bool gm_debug_on(void)
{
	/* 0: not looked yet; the environment is read once. */
	static atomic_int state;
	int now = atomic_load_explicit(&state, memory_order_relaxed);

	if (!now) {
		const char *level = secure_getenv("GPUMEM_LOG");

		now = level && !strcmp(level, "debug") ? 2 : 1;
		atomic_store_explicit(&state, now, memory_order_relaxed);
	}
	return now == 2;
}

void gm_warn(const char *text)
{
	char plain[GM_ERROR_LENGTH];
	int cancel;

	gm_text_escape(plain, sizeof(plain), text);
	/* Calls are no cancellation point here: see cancel.h. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fprintf(stderr, "gpumem: %s\n", plain);
	pthread_setcancelstate(cancel, NULL);
}

void gm_debug(const char *fmt, ...)
{
	char text[GM_ERROR_LENGTH];
	va_list args;

	if (!gm_debug_on())
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	gm_warn(text);
}

const char *gpumem_last_error(void)
{
	return gm_error_text();
}
