/* SPDX-License-Identifier: MIT */
/*
 * Short copies. What they need of a buffer stands in its handle's slot, in one
 * cache line, and they do not count their use of it (see base/hazptr.h): between the
 * fence of one write and the store of the next each instruction is felt.
 */
#ifndef GM_QUICK_H
#define GM_QUICK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hazptr.h"

struct gm_copier;

/* Bits 0..23 of a handle are its slot. */
#define GM_SLOT_BITS 24
#define GM_SLOTS_MAX (1u << GM_SLOT_BITS)

struct gm_quick {
	/* The handle while copies may go this way, otherwise NULL. */
	_Atomic(const void *) handle;
	/* Fixed while handle is not NULL. */
	char *map; /* CPU address of the buffer's first byte */
	uint64_t length;
	const struct gm_copier *copier;
};

/* What a handle names; handle.c knows what the rest is. */
struct gm_slot {
	_Alignas(64) struct gm_quick quick;
	_Atomic uint64_t state; /* its generation is never 0 */
	/* What follows is fixed while the slot is live. */
	void *object;
	unsigned int fork_generation; /* of the process that made the handle */
	uint32_t next_free; /* the table's lock: the next free slot */
};

/* Slots never move. Each block is as large as all before it together. */
#define GM_BLOCK_FIRST 64u
extern struct gm_slot gm_slots_first[GM_BLOCK_FIRST]
	__attribute__((visibility("hidden")));

/* The slot of an index past the first block, or NULL where there is none. */
const struct gm_slot *gm_slot_far(uint32_t index);

/* The slot that a handle may name, if it lies in the first block, or NULL. */
static inline const struct gm_slot *gm_slot_near(const void *handle)
{
	uint32_t index = (uintptr_t)handle & (GM_SLOTS_MAX - 1);

	return index < GM_BLOCK_FIRST ? &gm_slots_first[index] : NULL;
}

/* The same wherever it lies. */
static inline const struct gm_slot *gm_slot_any(const void *handle)
{
	const struct gm_slot *slot = gm_slot_near(handle);

	return slot ? slot
		    : gm_slot_far((uintptr_t)handle & (GM_SLOTS_MAX - 1));
}

/*
 * Begins a short copy, in a slot that may be NULL: what it needs, until
 * gm_guard_end(mine). NULL where it must go the long way, by gm_handle_get(),
 * which tells why. In between nothing that can wait for gm_handle_end_quick() is
 * done, and no other copy begun.
 */
static inline const struct gm_quick *gm_quick_begin(struct gm_guard *mine,
						    const struct gm_slot *slot,
						    const void *handle)
{
	if (!mine || !slot || !handle)
		return NULL;
	gm_guard_begin(mine, handle);
	if (atomic_load_explicit(&slot->quick.handle, memory_order_acquire) ==
	    handle)
		return &slot->quick;
	gm_guard_end(mine);
	return NULL;
}

#endif /* GM_QUICK_H */
