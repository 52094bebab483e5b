/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Shared by the files that make up the nvidia_p2p_* exports.
 */
#ifndef EMU_P2P_EXPORT_H
#define EMU_P2P_EXPORT_H

#include "nv-p2p.h"
#include "p2p.h"

/* p2p_table.c */
struct nvidia_p2p_page_table *emu_table_new(const struct emu_pin *pin);
/* Overwrites all of it first, so that a use after this shows. */
void emu_table_free(struct nvidia_p2p_page_table *table, u64 pages);

/*
 * p2p_dma.c: unmaps and frees the DMA mappings of a pin, and says how many
 * there were.
 */
unsigned int emu_dma_free_all(struct emu_pin *pin);

#endif /* EMU_P2P_EXPORT_H */
