// SPDX-License-Identifier: MIT
/*
 * The table behind gdr_mh_t.
 *
 * Programs that know GDRCopy from inside read up to 104 bytes where h points.
 * So h points into a region that is reserved and never written, and how far
 * into it is the handle: the number of the slot, and how often that was used
 * before. Slots are used again in turn, the one that is free for longest first.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "private.h"

#define GDRAPI_READABLE 4096u
#define GDRAPI_REGION \
	((size_t)GDRAPI_SLOTS * GDRAPI_TURNS * GDRAPI_STEP + GDRAPI_READABLE)
/* So many are free before one is used again. */
#define GDRAPI_FREE_MIN 1024u

struct gdrapi_places gdrapi_places;

static struct {
	pthread_once_t once;
	/* With gdrapi_lock. */
	unsigned int used; /* slots that were ever used */
	unsigned int free;
	struct gdrapi_pin *first; /* of the free ones */
	struct gdrapi_pin *last;
} gdrapi_table = { .once = PTHREAD_ONCE_INIT };

pthread_mutex_t gdrapi_lock = PTHREAD_MUTEX_INITIALIZER;
atomic_uint gdrapi_fork_generation;

static void gdrapi_fork_prepare(void)
{
	pthread_mutex_lock(&gdrapi_lock);
}

static void gdrapi_fork_parent(void)
{
	pthread_mutex_unlock(&gdrapi_lock);
}

static void gdrapi_fork_child(void)
{
	atomic_fetch_add(&gdrapi_fork_generation, 1);
	pthread_mutex_unlock(&gdrapi_lock);
}

static void *gdrapi_reserve(size_t size, int protection)
{
	void *at = mmap(NULL, size, protection,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void gdrapi_table_start(void)
{
	void *region = gdrapi_reserve(GDRAPI_REGION, PROT_READ);

	if (!region)
		return;
	gdrapi_places.slots =
		gdrapi_reserve(GDRAPI_SLOTS * sizeof(struct gdrapi_pin),
			       PROT_READ | PROT_WRITE);
	if (!gdrapi_places.slots ||
	    pthread_atfork(gdrapi_fork_prepare, gdrapi_fork_parent,
			   gdrapi_fork_child)) {
		munmap(region, GDRAPI_REGION);
		return;
	}
	gdrapi_places.region = (uintptr_t)region;
}

bool gdrapi_start(void)
{
	pthread_once(&gdrapi_table.once, gdrapi_table_start);
	return gdrapi_places.region;
}

static struct gdrapi_pin *gdrapi_slot_take(void)
{
	struct gdrapi_pin *pin = gdrapi_table.first;

	if (gdrapi_table.free <= GDRAPI_FREE_MIN &&
	    gdrapi_table.used < GDRAPI_SLOTS) {
		pin = &gdrapi_places.slots[gdrapi_table.used++];
		pthread_rwlock_init(&pin->lock, NULL);
		return pin;
	}
	if (pin) {
		gdrapi_table.first = pin->next;
		gdrapi_table.free--;
	}
	return pin;
}

void gdrapi_pin_mapped(struct gdrapi_pin *pin, uintptr_t map, size_t size)
{
	size_t first = atomic_load(&pin->buf_offset);
	size_t length = atomic_load(&pin->buf_size);

	atomic_store(&pin->map_size, size);
	if (first < size) {
		size -= first;
		atomic_store(&pin->quick_size, length < size ? length : size);
		atomic_store(&pin->quick_map, map + first);
	}
	atomic_store(&pin->map, map);
}

void gdrapi_pin_unmapped(struct gdrapi_pin *pin)
{
	atomic_store(&pin->map, 0);
	atomic_store(&pin->quick_size, 0);
	atomic_store(&pin->quick_map, 0);
}

struct gdrapi_pin *gdrapi_pin_new(struct gdr *g)
{
	unsigned int generation = atomic_load(&gdrapi_fork_generation);
	struct gdrapi_pin *pin;

	pthread_mutex_lock(&gdrapi_lock);
	pin = gdrapi_slot_take();
	pthread_mutex_unlock(&gdrapi_lock);
	if (!pin)
		return NULL;
	/* A thread of the parent may have held it. */
	if (atomic_load(&pin->fork_generation) != generation)
		pthread_rwlock_init(&pin->lock, NULL);
	pin->gdr = g;
	gdrapi_pin_unmapped(pin);
	atomic_store(&pin->fork_generation, generation);
	return pin;
}

gdr_mh_t gdrapi_pin_publish(struct gdrapi_pin *pin)
{
	size_t slot = (size_t)(pin - gdrapi_places.slots);
	unsigned int stamp = atomic_load(&pin->stamp);
	size_t number = (size_t)(stamp / 2) * GDRAPI_SLOTS + slot;

	atomic_store_explicit(&pin->stamp, stamp | GDRAPI_ALIVE,
			      memory_order_release);
	return (gdr_mh_t){ gdrapi_places.region + number * GDRAPI_STEP };
}

void gdrapi_pin_free(struct gdrapi_pin *pin)
{
	pthread_mutex_lock(&gdrapi_lock);
	pin->next = NULL;
	if (gdrapi_table.free++)
		gdrapi_table.last->next = pin;
	else
		gdrapi_table.first = pin;
	gdrapi_table.last = pin;
	pthread_mutex_unlock(&gdrapi_lock);
}

int gdrapi_pin_lock(struct gdr *g, gdr_mh_t handle, const char *call,
		    struct gdrapi_pin **locked)
{
	unsigned int stamp;
	struct gdrapi_pin *pin = gdrapi_pin_find(handle, &stamp);

	/* First without the lock, which may never have been initialised. */
	if (!pin || atomic_load(&pin->stamp) != stamp)
		goto unknown;
	if (atomic_load(&pin->fork_generation) !=
	    atomic_load(&gdrapi_fork_generation))
		return gdrapi_error(EACCES,
				    "%s: the buffer was pinned by another "
				    "process; pin it in this one",
				    call);
	pthread_rwlock_wrlock(&pin->lock);
	if (atomic_load(&pin->stamp) == stamp && pin->gdr == g) {
		*locked = pin;
		return 0;
	}
	pthread_rwlock_unlock(&pin->lock);
unknown:
	return gdrapi_error(EINVAL,
			    "%s: handle 0x%lx is not of a pinned buffer of "
			    "this gdr_t; was it unpinned?",
			    call, handle.h);
}

void gdrapi_pin_unlock(struct gdrapi_pin *pin)
{
	pthread_rwlock_unlock(&pin->lock);
}

static void gdrapi_pin_kill(struct gdrapi_pin *pin)
{
	unsigned int turn = (atomic_load(&pin->stamp) / 2 + 1) % GDRAPI_TURNS;

	atomic_store(&pin->stamp, turn * 2);
}

struct gpumem_buf *gdrapi_pin_end(struct gdrapi_pin *pin)
{
	gdrapi_pin_kill(pin);
	gdrapi_pin_unmapped(pin);
	pin->gdr = NULL;
	return atomic_load(&pin->buf);
}

/* How many slots there may be pins in. */
static unsigned int gdrapi_slots_used(void)
{
	unsigned int used;

	pthread_mutex_lock(&gdrapi_lock);
	used = gdrapi_table.used;
	pthread_mutex_unlock(&gdrapi_lock);
	return used;
}

void gdrapi_pin_end_all(struct gdr *g)
{
	unsigned int used = gdrapi_slots_used();

	for (unsigned int i = 0; i < used; i++) {
		struct gdrapi_pin *pin = &gdrapi_places.slots[i];
		struct gpumem_buf *buf;

		/* No call on g is at work: what is its own stays so. */
		if (!(atomic_load(&pin->stamp) & GDRAPI_ALIVE) || pin->gdr != g)
			continue;
		pthread_rwlock_wrlock(&pin->lock);
		buf = gdrapi_pin_end(pin);
		pthread_rwlock_unlock(&pin->lock);
		gpumem_unpin(buf);
		gdrapi_pin_free(pin);
	}
}

void gdrapi_pin_drop_all(struct gdr *g)
{
	unsigned int used = gdrapi_slots_used();

	for (unsigned int i = 0; i < used; i++) {
		struct gdrapi_pin *pin = &gdrapi_places.slots[i];

		if (!(atomic_load(&pin->stamp) & GDRAPI_ALIVE) || pin->gdr != g)
			continue;
		gdrapi_pin_kill(pin);
		pin->gdr = NULL;
		gdrapi_pin_free(pin);
	}
}
