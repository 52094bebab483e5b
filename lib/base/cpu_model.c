// SPDX-License-Identifier: MIT
/* This machine's CPU. */
#include <stdio.h>
#include <string.h>

#include "base/cpu_model.h"

#if defined(__x86_64__)
#define GM_CPU_KIND "x86-64"
#elif defined(__aarch64__)
#define GM_CPU_KIND "arm64"
#else
#define GM_CPU_KIND "cpu"
#endif

/* The value in a line "name : value", without the newline; NULL: another name. */
static const char *gm_cpu_value(char *line, const char *name)
{
	char *value = strchr(line, ':');

	if (strncmp(line, name, strlen(name)) != 0 || !value)
		return NULL;
	value[strcspn(value, "\n")] = 0;
	return value + 1 + strspn(value + 1, " \t");
}

void gm_cpu_model(char *model, size_t size)
{
	FILE *in = fopen("/proc/cpuinfo", "re");
	char line[256], maker[32] = "";

	snprintf(model, size, "%s", GM_CPU_KIND);
	if (!in)
		return;
	while (fgets(line, sizeof(line), in)) {
		const char *value = gm_cpu_value(line, "model name");

		if (value) {
			snprintf(model, size, "%s", value);
			break;
		}
		value = gm_cpu_value(line, "CPU implementer");
		if (value)
			snprintf(maker, sizeof(maker), "%s", value);
		value = gm_cpu_value(line, "CPU part");
		if (value) {
			snprintf(model, size, GM_CPU_KIND " %s %s", maker,
				 value);
			break;
		}
	}
	fclose(in);
}
