// SPDX-License-Identifier: MIT
/*
 * CUDA_VISIBLE_DEVICES: a list of ordinals or of "GPU-" and the beginning of a
 * UUID. It ends at the first entry that names no GPU; naming one twice, or with
 * a beginning that several have, leaves none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* As nvidia-smi writes it: GPU-8-4-4-4-12 digits. */
static void uuid_text(unsigned int gpu, char text[48])
{
	static const char dash_after[16] = {
		[3] = 1, [5] = 1, [7] = 1, [9] = 1
	};
	char uuid[16];
	int at;

	sim_gpu_uuid(gpu, uuid);
	at = snprintf(text, 48, "GPU-");
	for (int i = 0; i < 16; i++)
		at += snprintf(text + at, 48 - (size_t)at, "%02x%s",
			       (unsigned char)uuid[i],
			       dash_after[i] ? "-" : "");
}

/* The GPU that an entry names, gpus if none, -1 if several. */
static int entry_gpu(const char *entry, unsigned int gpus)
{
	int found = (int)gpus;
	unsigned long ordinal;
	char text[48], *end;

	if (*entry >= '0' && *entry <= '9') {
		ordinal = strtoul(entry, &end, 10);
		return *end || ordinal >= gpus ? (int)gpus : (int)ordinal;
	}
	if (strncmp(entry, "GPU-", 4) != 0)
		return (int)gpus;
	for (unsigned int gpu = 0; gpu < gpus; gpu++) {
		uuid_text(gpu, text);
		if (strncmp(text, entry, strlen(entry)) != 0)
			continue;
		if (found != (int)gpus)
			return -1;
		found = (int)gpu;
	}
	return found;
}

/* How many of the list's GPUs are visible. */
static int list_read(char *list, unsigned int gpus)
{
	char *entry, *next;
	int count = 0;

	for (entry = strtok_r(list, ",", &next); entry;
	     entry = strtok_r(NULL, ",", &next)) {
		int gpu = entry_gpu(entry + strspn(entry, " "), gpus);

		if (gpu < 0)
			return 0;
		if (gpu == (int)gpus)
			break;
		for (int i = 0; i < count; i++) {
			if (sim.gpu[i] == (unsigned int)gpu)
				return 0;
		}
		sim.gpu[count++] = (unsigned int)gpu;
	}
	return count;
}

void sim_visible_choose(unsigned int gpus)
{
	const char *text = getenv("CUDA_VISIBLE_DEVICES");
	char *list;

	if (!text) {
		for (unsigned int i = 0; i < gpus; i++)
			sim.gpu[i] = i;
		sim.device_count = (int)gpus;
		return;
	}
	list = strdup(text);
	sim.device_count = list ? list_read(list, gpus) : 0;
	free(list);
}
