// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * /proc/gpumem-emu and the counters behind it.
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "emu.h"

atomic64_t emu_counts[EMU_COUNTS];

/* Where a count goes in struct gpumem_emu_counters. */
#define COUNT(what, member) \
	[what] = offsetof(struct gpumem_emu_counters, member) / sizeof(u64)

static const size_t count_place[EMU_COUNTS] = {
	COUNT(EMU_BLOCKS, blocks),
	COUNT(EMU_PINS, pins),
	COUNT(EMU_PINNED_PAGES, pinned_pages),
	COUNT(EMU_DMA_MAPS, dma_maps),
	COUNT(EMU_CALLBACKS, callbacks),
	COUNT(EMU_HOLDS, holds),
	COUNT(EMU_RM_CLIENTS, rm_clients),
	COUNT(EMU_RM_OBJECTS, rm_objects),
	COUNT(EMU_RM_MAPS, rm_maps),
	COUNT(EMU_VIOLATIONS, violations),
	COUNT(EMU_EXPORTS, exports),
};

/* In the order of the members. */
static const char *const counter_names[] = {
	"vram_bytes", "free_pages", "blocks",  "pins",	     "pinned_pages",
	"dma_maps",   "callbacks",  "holds",   "rm_clients", "rm_objects",
	"rm_maps",    "violations", "exports",
};

static_assert(ARRAY_SIZE(counter_names) ==
	      sizeof(struct gpumem_emu_counters) / sizeof(u64));

void emu_counters_read(struct gpumem_emu_counters *counters)
{
	u64 *member = (u64 *)counters;
	size_t i;

	counters->vram_bytes = emu_gpu.size;
	counters->free_pages = emu_vram_free_pages();
	for (i = 0; i < EMU_COUNTS; i++)
		member[count_place[i]] = atomic64_read(&emu_counts[i]);
}

static int proc_show(struct seq_file *seq, void *unused)
{
	struct gpumem_emu_counters counters;
	const u64 *member = (const u64 *)&counters;
	size_t i;

	emu_counters_read(&counters);
	for (i = 0; i < ARRAY_SIZE(counter_names); i++)
		seq_printf(seq, "%s %llu\n", counter_names[i], member[i]);
	return 0;
}

int emu_proc_init(void)
{
	if (!proc_create_single("gpumem-emu", 0444, NULL, proc_show))
		return -ENOMEM;
	return 0;
}

void emu_proc_exit(void)
{
	remove_proc_entry("gpumem-emu", NULL);
}
