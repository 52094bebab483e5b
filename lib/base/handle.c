// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/tsan.h"
#include "base/cancel.h"
#include "base/error.h"
#include "base/hazptr.h"
#include "base/handle.h"
#include "base/handle_slot.h"

/*
 * Bits of a handle: kind 56..63, generation 24..55, slot 0..23. The kind makes
 * it an address that no user-space object can have.
 */
#define GM_NONE UINT32_MAX

_Static_assert(sizeof(void *) == 8, "handles need 64 bits");

/*
 * A slot's state, one word, so that a call finds its object and is counted
 * without a lock: generation 32..63, kind 24..31, then GM_SLOT_LIVE,
 * GM_SLOT_ENDING and the users, which are gm_handle_get() not put yet. Users
 * are counted only while the slot is live and does not end.
 */
#define GM_SLOT_LIVE (1ull << 23)
#define GM_SLOT_ENDING (1ull << 22) /* gm_handle_kill() waits for the users */
#define GM_SLOT_USERS (GM_SLOT_ENDING - 1)

_Static_assert(sizeof(struct gm_slot) == 64, "a slot is a cache line");

#define GM_BLOCKS 19u

/*
 * Locks of the library, in the order in which they may be taken:
 *   copier's locks  what a session copies with, each while a copy uses it
 *   session->lock   a session's list of buffers
 *   buf->lock       a buffer's mapping, its counts and its DMA mappings
 *   rm's build lock makes an allocation or a mapping of the rm backend once
 *   rm's cache lock the rm backend's allocations, mappings and proofs
 *   gm_fork_lock    held across steps that fork() must not cut in two
 *   gm_table_lock   the table below; nothing is taken under it
 * fork() takes the last two, so that a child finds the table whole. A child
 * touches none of the others: they may be held for ever there. All threads of
 * the program share them, so that who holds one gets the priority of who waits.
 */
static pthread_mutex_t gm_fork_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gm_table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gm_table_idle = PTHREAD_COND_INITIALIZER;
struct gm_slot gm_slots_first[GM_BLOCK_FIRST];
static struct gm_slot *_Atomic gm_blocks[GM_BLOCKS];
static _Atomic uint32_t gm_slot_count; /* written under gm_table_lock */
static uint32_t gm_slot_free = GM_NONE; /* gm_table_lock */
static unsigned int gm_generation = 1; /* written by a forked child alone */

/* The slot of an index below gm_slot_count. */
static struct gm_slot *gm_slot_at(uint32_t index)
{
	uint32_t in_first = index / GM_BLOCK_FIRST;
	unsigned int block = in_first ? 32 - __builtin_clz(in_first) : 0;
	uint32_t start = block ? GM_BLOCK_FIRST << (block - 1) : 0;

	return atomic_load_explicit(&gm_blocks[block], memory_order_relaxed) +
	       (index - start);
}

const struct gm_slot *gm_slot_far(uint32_t index)
{
	/* Acquires the block that the slot is in. */
	if (index >= atomic_load_explicit(&gm_slot_count, memory_order_acquire))
		return NULL;
	return gm_slot_at(index);
}

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

/* Where the kernel has no priority inheritance it stays as it is. */
static void gm_lock_inherit(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	if (pthread_mutexattr_init(&attr))
		return;
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (pthread_mutex_init(lock, &attr))
		pthread_mutex_init(lock, NULL);
	pthread_mutexattr_destroy(&attr);
}

/* Nobody holds them, or in a forked child nobody who is there. */
static void gm_locks_init(void)
{
	gm_lock_inherit(&gm_fork_lock);
	gm_lock_inherit(&gm_table_lock);
}

static void gm_fork_child(void)
{
	pthread_cond_init(&gm_table_idle, NULL);
	gm_generation++;
	for (uint32_t i = 0; i < gm_slot_count; i++) {
		struct gm_quick *quick = &gm_slot_at(i)->quick;

		/* A page that is not written stays the parent's. */
		if (quick->handle)
			quick->handle = NULL;
	}
	/* They are the parent's thread's, and not this one's to unlock. */
	gm_tsan_forget(&gm_table_lock);
	gm_tsan_forget(&gm_fork_lock);
	gm_locks_init();
}

__attribute__((constructor)) static void gm_fork_watch(void)
{
	gm_locks_init();
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

static uint64_t gm_slot_state(enum gm_kind kind, uint32_t generation)
{
	return (uint64_t)generation << 32 | (uint64_t)kind << 24 | GM_SLOT_LIVE;
}

/* The slot that a handle names, whether live or not, or NULL. */
static struct gm_slot *gm_slot_of(enum gm_kind kind, const void *handle)
{
	uint64_t value = (uintptr_t)handle;
	uint32_t index = value & (GM_SLOTS_MAX - 1);

	/* Acquires the block that the slot is in. */
	if (value >> 56 != kind ||
	    index >= atomic_load_explicit(&gm_slot_count, memory_order_acquire))
		return NULL;
	return gm_slot_at(index);
}

/* The state, without its users, that makes a handle good. */
static uint64_t gm_handle_state(enum gm_kind kind, const void *handle)
{
	return gm_slot_state(kind,
			     (uint32_t)((uintptr_t)handle >> GM_SLOT_BITS));
}

/* Adds a block. Under gm_table_lock. */
static int gm_table_grow(void)
{
	uint32_t count = gm_slot_count;
	uint32_t more = count ? count : GM_BLOCK_FIRST;
	struct gm_slot *slots;
	unsigned int block;
	void *memory;

	if (count + more > GM_SLOTS_MAX)
		return -ENOMEM;
	if (!count)
		slots = gm_slots_first;
	else if (!posix_memalign(&memory, sizeof(*slots),
				 more * sizeof(*slots)))
		slots = memset(memory, 0, more * sizeof(*slots));
	else
		return -ENOMEM;
	for (uint32_t i = 0; i < more; i++) {
		atomic_init(&slots[i].state, 1ull << 32);
		slots[i].next_free = i + 1 < more ? count + i + 1 : GM_NONE;
	}
	for (block = 0; gm_blocks[block];)
		block++;
	atomic_store_explicit(&gm_blocks[block], slots, memory_order_relaxed);
	gm_slot_free = count;
	atomic_store_explicit(&gm_slot_count, count + more,
			      memory_order_release);
	return 0;
}

/* Frees a slot that nobody uses. Under gm_table_lock. */
static void gm_slot_release(struct gm_slot *slot, const void *handle)
{
	uint32_t generation = (uint32_t)((uintptr_t)handle >> GM_SLOT_BITS) + 1;

	slot->next_free = gm_slot_free;
	gm_slot_free = (uintptr_t)handle & (GM_SLOTS_MAX - 1);
	atomic_store_explicit(&slot->state,
			      (uint64_t)(generation ? generation : 1) << 32,
			      memory_order_relaxed);
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
	uint32_t generation;

	pthread_mutex_lock(&gm_table_lock);
	if (gm_slot_free != GM_NONE || !gm_table_grow()) {
		uint32_t index = gm_slot_free;

		slot = gm_slot_at(index);
		gm_slot_free = slot->next_free;
		generation = (uint32_t)(slot->state >> 32);
		slot->object = object;
		slot->fork_generation = gm_generation;
		atomic_store_explicit(&slot->state,
				      gm_slot_state(kind, generation),
				      memory_order_release);
		handle = gm_handle_value(kind, generation, index);
	}
	pthread_mutex_unlock(&gm_table_lock);
	return handle;
}

int gm_handle_get(enum gm_kind kind, const void *handle, const char *call,
		  void **object)
{
	struct gm_slot *slot = gm_slot_of(kind, handle);
	uint64_t good = gm_handle_state(kind, handle), state;

	gm_cancel_point();
	if (!slot)
		return gm_handle_bad(kind, handle, call);
	state = atomic_load_explicit(&slot->state, memory_order_relaxed);
	do {
		if ((state & ~GM_SLOT_USERS) != good)
			return gm_handle_bad(kind, handle, call);
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->state, &state, state + 1, memory_order_acquire,
		memory_order_relaxed));
	gm_cancel_block();
	if (slot->fork_generation != gm_generation) {
		gm_handle_put(handle);
		return gm_handle_foreign(kind, call);
	}
	*object = slot->object;
	return 0;
}

void gm_handle_put(const void *handle)
{
	struct gm_slot *slot =
		gm_slot_at((uintptr_t)handle & (GM_SLOTS_MAX - 1));
	uint64_t state = atomic_fetch_sub_explicit(&slot->state, 1,
						   memory_order_release);

	if (state & GM_SLOT_ENDING && (state & GM_SLOT_USERS) == 1) {
		/* The waiter holds the lock between its look and its sleep. */
		pthread_mutex_lock(&gm_table_lock);
		pthread_cond_broadcast(&gm_table_idle);
		pthread_mutex_unlock(&gm_table_lock);
	}
	gm_cancel_allow();
}

void gm_handle_allow_quick(const void *handle, char *map, uint64_t length,
			   const struct gm_copier *copier)
{
	struct gm_quick *quick =
		&gm_slot_at((uintptr_t)handle & (GM_SLOTS_MAX - 1))->quick;

	gm_guard_make();
	if (!gm_guard_mine ||
	    atomic_load_explicit(&quick->handle, memory_order_relaxed))
		return;
	quick->map = map;
	quick->length = length;
	quick->copier = copier;
	/*
	 * The caller is counted until later: who ends the handle waits for it,
	 * and so sees this.
	 */
	atomic_store_explicit(&quick->handle, handle, memory_order_release);
}

void gm_handle_end_quick(const void *handle)
{
	struct gm_quick *quick =
		&gm_slot_at((uintptr_t)handle & (GM_SLOTS_MAX - 1))->quick;

	if (atomic_exchange(&quick->handle, NULL))
		gm_guard_wait(handle);
}

int gm_handle_kill(enum gm_kind kind, const void *handle, const char *call,
		   void **object)
{
	struct gm_slot *slot = gm_slot_of(kind, handle);
	uint64_t good = gm_handle_state(kind, handle);

	pthread_mutex_lock(&gm_table_lock);
	if (!slot || (slot->state & ~GM_SLOT_USERS) != good) {
		pthread_mutex_unlock(&gm_table_lock);
		return gm_handle_bad(kind, handle, call);
	}
	if (slot->fork_generation != gm_generation) {
		pthread_mutex_unlock(&gm_table_lock);
		return gm_handle_foreign(kind, call);
	}
	atomic_fetch_or(&slot->state, GM_SLOT_ENDING);
	while (atomic_load_explicit(&slot->state, memory_order_acquire) &
	       GM_SLOT_USERS)
		pthread_cond_wait(&gm_table_idle, &gm_table_lock);
	pthread_mutex_unlock(&gm_table_lock);
	/* Nobody else ends it, and others need the table meanwhile. */
	gm_handle_end_quick(handle);
	pthread_mutex_lock(&gm_table_lock);
	*object = slot->object;
	gm_slot_release(slot, handle);
	pthread_mutex_unlock(&gm_table_lock);
	return 0;
}

int gm_handle_drop(enum gm_kind kind, const void *handle, const char *call,
		   void **object)
{
	struct gm_slot *slot = gm_slot_of(kind, handle);
	uint64_t good = gm_handle_state(kind, handle);
	bool live;

	pthread_mutex_lock(&gm_table_lock);
	live = slot && (slot->state & ~GM_SLOT_USERS) == good;
	if (live) {
		*object = slot->object;
		gm_slot_release(slot, handle);
	}
	pthread_mutex_unlock(&gm_table_lock);
	return live ? 0 : gm_handle_bad(kind, handle, call);
}

void *gm_handle_find(enum gm_kind kind, int (*match)(void *object, void *arg),
		     void *arg)
{
	void *handle = NULL;

	pthread_mutex_lock(&gm_table_lock);
	for (uint32_t i = 0; i < gm_slot_count && !handle; i++) {
		struct gm_slot *slot = gm_slot_at(i);
		uint32_t generation = (uint32_t)(slot->state >> 32);

		if ((slot->state & ~GM_SLOT_USERS) ==
			    gm_slot_state(kind, generation) &&
		    match(slot->object, arg))
			handle = gm_handle_value(kind, generation, i);
	}
	pthread_mutex_unlock(&gm_table_lock);
	return handle;
}
