/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Pins: p2p.c, and the one of p2p_export.c and p2p_shim.c that is built.
 */
#ifndef EMU_P2P_H
#define EMU_P2P_H

#include "emu.h"

/* What get_pages made. On the list of pins, under emu_lock. */
struct emu_pin {
	struct list_head all;
	struct emu_block *block; /* NULL: freed, the pin is persistent */
	struct emu_mem *mem;
	u64 at; /* of the first byte in mem */
	struct pid *owner;
	u64 addr;
	u64 length;
	bool persistent;
	/* NULL: persistent, or the driver has not said it yet */
	void (*callback)(void *data);
	void *data;
	const void *table; /* the page table's address, by which it is put */
};

#define EMU_COHERENT_FLAG 1
/* The module parameter coherent. */
unsigned int emu_pin_coherent(void);

/*
 * First in each get_pages, without a lock: waits where the test wants it to. An
 * errno: the call shall fail with it.
 */
int emu_pin_begin(void);
/* The block of the calling process that has all of the range, or NULL. */
struct emu_block *emu_pin_block(u64 addr, u64 length);
/* A pin that is on no list yet. ERR_PTR: -EINVAL no such memory, -ENOMEM. */
struct emu_pin *emu_pin_new(u64 addr, u64 length);
void emu_pin_add(struct emu_pin *pin, const void *table);
/* Frees a pin that is on no list. */
void emu_pin_cancel(struct emu_pin *pin);
/* Physical address of page i. */
u64 emu_pin_page(const struct emu_pin *pin, u64 i);
/* By the table's address alone; the table is not touched. */
struct emu_pin *emu_pin_find(const void *table);
/*
 * 0: released. -ENOENT: the driver finds nothing, and calls that success. -EINVAL:
 * a breach of the contract, which is counted.
 */
int emu_pin_put(u64 addr, const void *table, bool persistent);
/*
 * True, and counted as a violation: the caller is inside a free callback, or told
 * that a device is drained, where the driver would wait for a lock that it holds.
 */
bool emu_pin_in_callback(const char *call);

/*
 * p2p_export.c, p2p_shim.c: frees what hangs on a pin that goes, and says how many
 * DMA mappings there were.
 */
unsigned int emu_pin_release(struct emu_pin *pin);

/* p2p_shim.c: where NVIDIA's driver asks. */
int emu_shim_init(void);
void emu_shim_exit(void);

#endif /* EMU_P2P_H */
