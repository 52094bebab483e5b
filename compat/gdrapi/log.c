// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

static struct {
	pthread_once_t once;
	bool on;
	long level;
} gdrapi_logging = { .once = PTHREAD_ONCE_INIT, .level = GDRAPI_ERROR };

static void gdrapi_log_start(void)
{
	const char *level = secure_getenv("GDRCOPY_LOG_LEVEL");

	gdrapi_logging.on = secure_getenv("GDRCOPY_ENABLE_LOGGING");
	if (level)
		gdrapi_logging.level = strtol(level, NULL, 10);
}

static bool gdrapi_log_wanted(enum gdrapi_level level)
{
	pthread_once(&gdrapi_logging.once, gdrapi_log_start);
	return gdrapi_logging.on && (long)level >= gdrapi_logging.level;
}

static void gdrapi_log_args(enum gdrapi_level level, const char *format,
			    va_list args)
{
	static const char *const names[] = { "", "DBG:  ", "INFO: ", "WARN: ",
					     "ERR:  " };
	char text[1024];
	int cancel;

	/* In one piece, so that threads do not mix their lines. */
	vsnprintf(text, sizeof(text), format, args);
	/* Wherever it is called, it is no cancellation point. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fprintf(stderr, "%s%s\n", names[level], text);
	pthread_setcancelstate(cancel, NULL);
}

void gdrapi_log(enum gdrapi_level level, const char *format, ...)
{
	va_list args;

	if (!gdrapi_log_wanted(level))
		return;
	va_start(args, format);
	gdrapi_log_args(level, format, args);
	va_end(args);
}

int gdrapi_error(int error, const char *format, ...)
{
	va_list args;

	if (gdrapi_log_wanted(GDRAPI_ERROR)) {
		va_start(args, format);
		gdrapi_log_args(GDRAPI_ERROR, format, args);
		va_end(args);
	}
	return error;
}

/* What GDRCopy's module says in these cases. */
static int gdrapi_errno(int rc)
{
	switch (rc) {
	case -EPERM:
		return EACCES;
	case -EBADF:
	case -ERANGE:
	case -EXDEV:
	case -ENOENT:
		return EINVAL;
	case -ELIBACC:
		return ENODEV;
	default:
		return -rc;
	}
}

int gdrapi_error_of(int rc, const char *call)
{
	if (!rc)
		return 0;
	return gdrapi_error(gdrapi_errno(rc), "%s: %s", call,
			    gpumem_last_error());
}
