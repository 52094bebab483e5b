/* SPDX-License-Identifier: MIT */
/* The variables of the environment that take a number or a word. */
#ifndef GM_ENV_H
#define GM_ENV_H

#include <stdint.h>

enum gm_env {
	GM_ENV_THREADS,
	GM_ENV_COURIER,
	GM_ENV_COPY_ENGINE,
	GM_ENV_RM_CACHE, /* MiB */
	GM_ENV_QUIET,
	GM_ENV_NUMBERS,
};

/* The most threads of a copy, the caller included. */
#define GM_ENV_THREADS_MAX 64

/* A variable's value; NULL where it is not set, or empty. */
const char *gm_env_get(const char *name);

/* -EINVAL, with the reason: its value, and what it takes. */
int gm_env_refuse(const char *name, const char *text, const char *takes);

/* Its number; standard where it is not set, is empty, or was refused. */
uint64_t gm_env_number(enum gm_env variable, uint64_t standard);

/*
 * Whether every variable of these has a value that it takes, or none: what nobody
 * reads would be passed over in silence. 0, or -EINVAL with a reason that names the
 * variable, its value, and what it takes.
 */
int gm_env_check(void);

#endif /* GM_ENV_H */
