// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gpumem.h>

#include "error.h"

#define GM_ERROR_LENGTH 1024

static __thread char gm_error_buffer[GM_ERROR_LENGTH];
static __thread bool gm_error_hushed;

void gm_error_hush(bool hush)
{
	gm_error_hushed = hush;
}

int gm_error(int err, const char *fmt, ...)
{
	char text[GM_ERROR_LENGTH];
	va_list args;

	if (gm_error_hushed)
		return err;
	/* By way of text: the arguments may point into the old reason. */
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(gm_error_buffer, text, sizeof(text));
	gm_debug("error %d: %s", err, text);
	return err;
}

const char *gm_error_text(void)
{
	return gm_error_buffer;
}

const char *gm_error_reason(void)
{
	size_t what = strspn(gm_error_buffer, "abcdefghijklmnopqrstuvwxyz_");

	return what && !strncmp(gm_error_buffer + what, ": ", 2)
		       ? gm_error_buffer + what + 2
		       : gm_error_buffer;
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

void gm_debug(const char *fmt, ...)
{
	char text[GM_ERROR_LENGTH];
	va_list args;

	if (!gm_debug_on())
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(stderr, "gpumem: %s\n", text);
}

const char *gpumem_last_error(void)
{
	return gm_error_text();
}
