/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
/*
 * Shared by the files that make up the nvidia_p2p_* exports.
 */
#ifndef EMU_P2P_H
#define EMU_P2P_H

#include "emu.h"
#include "nv-p2p.h"

/* What get_pages made. On the list of pins, under emu_lock. */
struct emu_pin {
	struct list_head all;
	struct emu_block *block; /* NULL: freed, the pin is persistent */
	struct emu_mem *mem;
	struct pid *owner;
	u64 addr;
	u64 length;
	void (*callback)(void *data); /* NULL: the pin is persistent */
	void *data;
	struct nvidia_p2p_page_table *table;
};

/* p2p_table.c */
struct nvidia_p2p_page_table *emu_table_new(struct emu_mem *mem, u64 at,
					    u64 pages);
/* Overwrites all of it first, so that a use after this shows. */
void emu_table_free(struct nvidia_p2p_page_table *table, u64 pages);

/*
 * p2p_dma.c: unmaps and frees the DMA mappings of a pin, and says how many
 * there were.
 */
unsigned int emu_dma_free_all(struct emu_pin *pin);

/* p2p.c: by the table's address alone; the table is not touched. */
struct emu_pin *emu_pin_find(const struct nvidia_p2p_page_table *table);
/*
 * True, and counted as a violation: the caller is inside a free callback, or told
 * that a device is drained, where the driver would wait for a lock that it holds.
 */
bool emu_pin_in_callback(const char *call);

#endif /* EMU_P2P_H */
