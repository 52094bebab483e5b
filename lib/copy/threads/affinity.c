// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy/threads/pool.h"
#include "copy/threads/affinity.h"

#define GM_SET_SIZE sizeof(struct gm_pool_set)

unsigned int gm_pool_node_parse(const char *list, struct gm_pool_set *set)
{
	CPU_ZERO_S(GM_SET_SIZE, set->words);
	while (*list >= '0' && *list <= '9') {
		unsigned long first, last;
		char *end;

		first = strtoul(list, &end, 10);
		last = first;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last && first < GM_POOL_CPUS; first++)
			CPU_SET_S(first, GM_SET_SIZE, set->words);
		list = end;
		if (*list == ',')
			list++;
	}
	if (*list && *list != '\n')
		return 0;
	return CPU_COUNT_S(GM_SET_SIZE, set->words);
}

static unsigned int gm_pool_node_read(int node, struct gm_pool_set *set)
{
	unsigned int count = 0;
	size_t size = 0;
	char path[64];
	char *list = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
		 node);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (getline(&list, &size, file) > 0)
		count = gm_pool_node_parse(list, set);
	free(list);
	fclose(file);
	return count;
}

unsigned int gm_pool_node_set(int node, struct gm_pool_set *set)
{
	struct gm_pool_set of_node, both;
	unsigned int count;

	/*
	 * The main thread's: what the process was started with. The calling
	 * thread may have tied itself to one CPU, which is no place for others.
	 */
	CPU_ZERO_S(GM_SET_SIZE, set->words);
	if (sched_getaffinity(getpid(), GM_SET_SIZE, set->words))
		return 1;
	if (node >= 0 && gm_pool_node_read(node, &of_node)) {
		CPU_AND_S(GM_SET_SIZE, both.words, set->words, of_node.words);
		if (CPU_COUNT_S(GM_SET_SIZE, both.words))
			*set = both;
	}
	count = CPU_COUNT_S(GM_SET_SIZE, set->words);
	return count ? count : 1;
}

unsigned int gm_pool_cpus(int node)
{
	struct gm_pool_set set;

	return gm_pool_node_set(node, &set);
}
