// SPDX-License-Identifier: MIT
/* Chooses the copy routines for this CPU. */
#include <stdlib.h>

#include "cpu/arch.h"
#include "base/error.h"

const struct gm_cpu *gm_cpu_at(unsigned int index)
{
	for (const struct gm_cpu_entry *entry = gm_cpu_entries; entry->cpu;
	     entry++) {
		if (entry->runs() && !index--)
			return entry->cpu;
	}
	return NULL;
}

_Atomic(const struct gm_cpu *) gm_cpu_chosen;

static const struct gm_cpu *gm_cpu_wanted(void)
{
	const char *name = secure_getenv("GPUMEM_CPU");
	const struct gm_cpu *best = gm_cpu_at(0);
	const struct gm_cpu *cpu;

	if (!name || !*name)
		return best;
	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++) {
		if (!strcmp(cpu->name, name))
			return cpu;
	}
	gm_debug("GPUMEM_CPU=%s: this CPU cannot run that; using %s", name,
		 best->name);
	return best;
}

/* Threads that come at once choose the same. */
const struct gm_cpu *gm_cpu_choose(void)
{
	const struct gm_cpu *cpu = gm_cpu_wanted();

	atomic_store_explicit(&gm_cpu_chosen, cpu, memory_order_relaxed);
	return cpu;
}
