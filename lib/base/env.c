// SPDX-License-Identifier: MIT
/* Settings in the environment: their values, and which are refused. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/sim.h"
#include "base/env.h"
#include "base/error.h"

struct gm_env_range {
	const char *name;
	uint64_t low, high;
};

/* The first of them in the order of enum gm_env; the simulated CUDA's follow. */
static const struct gm_env_range gm_env_ranges[] = {
	[GM_ENV_THREADS] = { "GPUMEM_THREADS", 1, GM_ENV_THREADS_MAX },
	[GM_ENV_COURIER] = { "GPUMEM_COURIER", 0, 1 },
	[GM_ENV_COPY_ENGINE] = { "GPUMEM_COPY_ENGINE", 0, 1 },
	[GM_ENV_RM_CACHE] = { "GPUMEM_RM_CACHE", 0, UINT64_MAX >> 20 },
	[GM_ENV_QUIET] = { "GPUMEM_QUIET", 0, 1 },
	{ "GPUMEM_SIM_GPUS", 1, GPUMEM_SIM_GPUS_MAX },
	{ "GPUMEM_SIM_MEMORY_MB", GPUMEM_SIM_MB_MIN, GPUMEM_SIM_MB_MAX },
};

static const struct {
	const char *name;
	const char *words[2];
} gm_env_words[] = {
	{ "GPUMEM_LOG", { "debug" } },
	{ "GPUMEM_SIM_DEVICE", { "memfd", "emulated" } },
};

#define GM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *gm_env_get(const char *name)
{
	const char *text = secure_getenv(name);

	return text && *text ? text : NULL;
}

/* Digits alone, which strtoull() does not insist on. */
static int gm_env_parse(const struct gm_env_range *range, const char *text,
			uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return *end || errno || *number < range->low || *number > range->high
		       ? -EINVAL
		       : 0;
}

uint64_t gm_env_number(enum gm_env variable, uint64_t standard)
{
	const struct gm_env_range *range = &gm_env_ranges[variable];
	const char *text = gm_env_get(range->name);
	uint64_t number;

	return !text || gm_env_parse(range, text, &number) ? standard : number;
}

int gm_env_refuse(const char *name, const char *text, const char *takes)
{
	return gm_error(-EINVAL,
			"open: %s in the environment is \"%.60s\": it takes "
			"%s; correct it, or unset it",
			name, text, takes);
}

static int gm_env_check_numbers(void)
{
	for (size_t i = 0; i < GM_COUNT(gm_env_ranges); i++) {
		const struct gm_env_range *range = &gm_env_ranges[i];
		const char *text = gm_env_get(range->name);
		char takes[80];
		uint64_t number;

		if (!text || !gm_env_parse(range, text, &number))
			continue;
		snprintf(takes, sizeof(takes),
			 "a whole number from %" PRIu64 " to %" PRIu64,
			 range->low, range->high);
		return gm_env_refuse(range->name, text, takes);
	}
	return 0;
}

static int gm_env_check_words(void)
{
	for (size_t i = 0; i < GM_COUNT(gm_env_words); i++) {
		const char *const *words = gm_env_words[i].words;
		const char *text = gm_env_get(gm_env_words[i].name);
		char takes[40];

		if (!text || !strcmp(text, words[0]) ||
		    (words[1] && !strcmp(text, words[1])))
			continue;
		snprintf(takes, sizeof(takes), "%s%s%s", words[0],
			 words[1] ? " or " : "", words[1] ? words[1] : "");
		return gm_env_refuse(gm_env_words[i].name, text, takes);
	}
	return 0;
}

int gm_env_check(void)
{
	int rc = gm_env_check_numbers();

	return rc ? rc : gm_env_check_words();
}
