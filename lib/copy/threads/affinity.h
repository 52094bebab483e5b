/* SPDX-License-Identifier: MIT */
/* Which CPUs a pool's threads run on. */
#ifndef GM_POOL_NODE_H
#define GM_POOL_NODE_H

#include <sched.h>
#include <stddef.h>

/* As many CPUs as the kernel is ever built for. */
#define GM_POOL_CPUS 8192

struct gm_pool_set {
	cpu_set_t words[GM_POOL_CPUS / CPU_SETSIZE];
};

/*
 * The CPUs that this process may use, on a NUMA node; all that it may use where
 * node is -1 or unknown, or the process may use none of its CPUs. Returns how
 * many; 1 with an empty set when the kernel does not tell.
 */
unsigned int gm_pool_node_set(int node, struct gm_pool_set *set);

/*
 * CPUs out of a list as sysfs writes it, "0-3,8,10-11", up to GM_POOL_CPUS.
 * Returns how many; 0 for what is no such list.
 */
unsigned int gm_pool_node_parse(const char *list, struct gm_pool_set *set);

#endif /* GM_POOL_NODE_H */
