// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "error.h"
#include "handle.h"

/*
 * Bits of a handle: kind 56..63, generation 24..55, slot 0..23. The kind makes
 * it an address that no user-space object can have.
 */
#define GM_SLOT_BITS 24
#define GM_SLOTS_MAX (1u << GM_SLOT_BITS)
#define GM_NONE UINT32_MAX

_Static_assert(sizeof(void *) == 8, "handles need 64 bits");

struct gm_slot {
	void *object; /* NULL: the slot is free */
	uint32_t generation; /* of the object in the slot, never 0 */
	uint32_t next_free; /* free: the next free slot or GM_NONE */
	unsigned int users; /* gm_handle_get() not put yet */
	unsigned int fork_generation; /* of the process that made the handle */
	unsigned char kind;
	bool ending; /* gm_handle_kill() waits for the users */
};

/*
 * Locks of the library, in the order in which they may be taken:
 *   session->lock   a session's list of buffers
 *   buf->lock       a buffer's mapping, its counts and its DMA mappings
 *   rm's build lock makes an allocation or a mapping of the rm backend once
 *   rm's cache lock the rm backend's allocations, mappings and proofs
 *   gm_fork_lock    held across steps that fork() must not cut in two
 *   gm_table_lock   the table below; nothing is taken under it
 * fork() takes the last two, so that a child finds the table whole. A child
 * touches none of the others: they may be held for ever there.
 */
static pthread_mutex_t gm_fork_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gm_table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gm_table_idle = PTHREAD_COND_INITIALIZER;
static struct gm_slot *gm_slots; /* gm_table_lock */
static uint32_t gm_slot_count; /* gm_table_lock */
static uint32_t gm_slot_free = GM_NONE; /* gm_table_lock */
static unsigned int gm_generation = 1; /* written by a forked child alone */

static void gm_fork_prepare(void)
{
	pthread_mutex_lock(&gm_fork_lock);
	pthread_mutex_lock(&gm_table_lock);
}

static void gm_fork_parent(void)
{
	pthread_mutex_unlock(&gm_table_lock);
	pthread_mutex_unlock(&gm_fork_lock);
}

static void gm_fork_child(void)
{
	pthread_mutex_init(&gm_fork_lock, NULL);
	pthread_mutex_init(&gm_table_lock, NULL);
	pthread_cond_init(&gm_table_idle, NULL);
	gm_generation++;
}

__attribute__((constructor)) static void gm_fork_watch(void)
{
	pthread_atfork(gm_fork_prepare, gm_fork_parent, gm_fork_child);
}

void gm_fork_block(void)
{
	pthread_mutex_lock(&gm_fork_lock);
}

void gm_fork_allow(void)
{
	pthread_mutex_unlock(&gm_fork_lock);
}

unsigned int gm_fork_generation(void)
{
	return gm_generation;
}

static void *gm_handle_value(enum gm_kind kind, uint32_t generation,
			     uint32_t slot)
{
	return (void *)((uint64_t)kind << 56 |
			(uint64_t)generation << GM_SLOT_BITS | slot);
}

/* The slot of a live handle, or NULL. Under gm_table_lock. */
static struct gm_slot *gm_slot_of(enum gm_kind kind, const void *handle)
{
	uint64_t value = (uintptr_t)handle;
	uint32_t index = value & (GM_SLOTS_MAX - 1);
	struct gm_slot *slot;

	if (value >> 56 != kind || index >= gm_slot_count)
		return NULL;
	slot = &gm_slots[index];
	if (!slot->object || slot->kind != kind || slot->ending ||
	    slot->generation != (uint32_t)(value >> GM_SLOT_BITS))
		return NULL;
	return slot;
}

static int gm_table_grow(void)
{
	uint32_t count = gm_slot_count ? gm_slot_count * 2 : 64;
	struct gm_slot *slots;

	if (count > GM_SLOTS_MAX)
		return -ENOMEM;
	slots = realloc(gm_slots, count * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = gm_slot_count; i < count; i++)
		slots[i] = (struct gm_slot){
			.generation = 1,
			.next_free = i + 1 < count ? i + 1 : GM_NONE,
		};
	gm_slot_free = gm_slot_count;
	gm_slots = slots;
	gm_slot_count = count;
	return 0;
}

/* Frees a slot. Under gm_table_lock. */
static void gm_slot_release(struct gm_slot *slot)
{
	slot->object = NULL;
	slot->ending = false;
	slot->users = 0;
	if (!++slot->generation)
		slot->generation = 1;
	slot->next_free = gm_slot_free;
	gm_slot_free = slot - gm_slots;
}

static const char *gm_kind_name(enum gm_kind kind)
{
	switch (kind) {
	case GM_KIND_SESSION:
		return "session";
	case GM_KIND_BUFFER:
		return "buffer";
	default:
		return "DMA mapping";
	}
}

/* What ended a handle, and until when it may be used. */
static const char *gm_kind_end(enum gm_kind kind)
{
	switch (kind) {
	case GM_KIND_SESSION:
		return "closed";
	case GM_KIND_BUFFER:
		return "unpinned";
	default:
		return "unmapped or its buffer unpinned";
	}
}

static int gm_handle_bad(enum gm_kind kind, const void *handle,
			 const char *call)
{
	if (!call)
		return -EBADF;
	return gm_error(-EBADF,
			"%s: %p is no live %s handle: it was %s before or "
			"never given out; use a handle only until it is %s",
			call, handle, gm_kind_name(kind), gm_kind_end(kind),
			gm_kind_end(kind));
}

static int gm_handle_foreign(enum gm_kind kind, const char *call)
{
	return gm_error(-EPERM,
			"%s: the %s belongs to the parent process: CUDA and "
			"pinned memory do not survive fork(); open a session "
			"in this process, or close the inherited one",
			call, gm_kind_name(kind));
}

void *gm_handle_new(enum gm_kind kind, void *object)
{
	void *handle = NULL;
	struct gm_slot *slot;

	pthread_mutex_lock(&gm_table_lock);
	if (gm_slot_free != GM_NONE || !gm_table_grow()) {
		slot = &gm_slots[gm_slot_free];
		gm_slot_free = slot->next_free;
		slot->object = object;
		slot->kind = kind;
		slot->fork_generation = gm_generation;
		handle = gm_handle_value(kind, slot->generation,
					 slot - gm_slots);
	}
	pthread_mutex_unlock(&gm_table_lock);
	return handle;
}

int gm_handle_get(enum gm_kind kind, const void *handle, const char *call,
		  void **object)
{
	struct gm_slot *slot;
	int rc = 0;

	pthread_mutex_lock(&gm_table_lock);
	slot = gm_slot_of(kind, handle);
	if (!slot) {
		rc = -EBADF;
	} else if (slot->fork_generation != gm_generation) {
		rc = -EPERM;
	} else {
		slot->users++;
		*object = slot->object;
	}
	pthread_mutex_unlock(&gm_table_lock);
	if (rc == -EBADF)
		return gm_handle_bad(kind, handle, call);
	if (rc)
		return gm_handle_foreign(kind, call);
	return 0;
}

void gm_handle_put(const void *handle)
{
	uint32_t index = (uintptr_t)handle & (GM_SLOTS_MAX - 1);
	struct gm_slot *slot;

	pthread_mutex_lock(&gm_table_lock);
	slot = &gm_slots[index];
	if (!--slot->users && slot->ending)
		pthread_cond_broadcast(&gm_table_idle);
	pthread_mutex_unlock(&gm_table_lock);
}

int gm_handle_kill(enum gm_kind kind, const void *handle, const char *call,
		   void **object)
{
	struct gm_slot *slot;
	uint32_t index;

	pthread_mutex_lock(&gm_table_lock);
	slot = gm_slot_of(kind, handle);
	if (!slot) {
		pthread_mutex_unlock(&gm_table_lock);
		return gm_handle_bad(kind, handle, call);
	}
	if (slot->fork_generation != gm_generation) {
		pthread_mutex_unlock(&gm_table_lock);
		return gm_handle_foreign(kind, call);
	}
	slot->ending = true;
	index = slot - gm_slots;
	/* The table may move while this thread waits. */
	while (gm_slots[index].users)
		pthread_cond_wait(&gm_table_idle, &gm_table_lock);
	slot = &gm_slots[index];
	*object = slot->object;
	gm_slot_release(slot);
	pthread_mutex_unlock(&gm_table_lock);
	return 0;
}

int gm_handle_drop(enum gm_kind kind, const void *handle, const char *call,
		   void **object)
{
	struct gm_slot *slot;

	pthread_mutex_lock(&gm_table_lock);
	slot = gm_slot_of(kind, handle);
	if (slot) {
		*object = slot->object;
		gm_slot_release(slot);
	}
	pthread_mutex_unlock(&gm_table_lock);
	return slot ? 0 : gm_handle_bad(kind, handle, call);
}

void *gm_handle_find(enum gm_kind kind, int (*match)(void *object, void *arg),
		     void *arg)
{
	void *handle = NULL;

	pthread_mutex_lock(&gm_table_lock);
	for (uint32_t i = 0; i < gm_slot_count && !handle; i++) {
		struct gm_slot *slot = &gm_slots[i];

		if (slot->object && slot->kind == kind && !slot->ending &&
		    match(slot->object, arg))
			handle = gm_handle_value(kind, slot->generation, i);
	}
	pthread_mutex_unlock(&gm_table_lock);
	return handle;
}
