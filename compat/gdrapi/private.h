/* SPDX-License-Identifier: MIT */
/* What stands behind the handles of gdrapi.h. */
#ifndef GDRAPI_LIBRARY_H
#define GDRAPI_LIBRARY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <gpumem.h>

#include "gdrapi.h"

/* More GPUs than any machine has. */
#define GDRAPI_GPUS 64

/* Whether no CPU of this kind has a coherent link to a GPU. */
#ifndef GDRAPI_ONLY_PCIE
#ifdef __x86_64__
#define GDRAPI_ONLY_PCIE 1
#else
#define GDRAPI_ONLY_PCIE 0
#endif
#endif

/* A GPU, opened. */
struct gdrapi_gpu {
	struct gpumem *_Atomic session; /* NULL: not open; stays once it is */
	bool coherent; /* it has a coherent link to the CPU, beside PCIe */
	pthread_mutex_t opening; /* one thread does, others of this GPU wait */
};

/*
 * Programs that know GDRCopy from inside take fd out of it and read up to 48
 * bytes. It is never freed, so that a handle that is dead can be told.
 */
struct gdr {
	int fd; /* nothing behind it: they pass it on, and get nowhere with it */
	unsigned int fork_generation; /* of the process that opened it */
	atomic_bool persistent; /* all pins so far were */

	struct gdr *next; /* gdrapi_lock */
	unsigned int users; /* gdrapi_lock: calls at work */

	struct gdrapi_gpu gpus[GDRAPI_GPUS]; /* by CUDA's ordinal */
};

/*
 * A pinned buffer. The stamp tells which of the handles that the slot has had
 * is alive; a copy reads the other atomic members between two looks at it.
 * They and the plain ones change under lock alone.
 */
struct gdrapi_pin {
	_Alignas(128) atomic_uint stamp;
	atomic_uint fork_generation;
	struct gpumem_buf *_Atomic buf;
	/* CPU address of buf, and its bytes that are mapped; 0 while unmapped. */
	_Atomic uintptr_t quick_map;
	atomic_size_t quick_size;
	_Atomic uintptr_t map; /* CPU address of va, 0 while unmapped */
	atomic_size_t map_size; /* bytes mapped from there on */
	/* Bytes from va to what buf begins with, and the bytes of buf. */
	atomic_size_t buf_offset;
	atomic_size_t buf_size;

	pthread_rwlock_t lock;
	struct gdr *_Atomic gdr;
	uint64_t addr; /* as the caller gave it */
	uint64_t va;
	uint64_t mapped_size;
	struct gdrapi_pin *next; /* gdrapi_lock: of the free ones */
};

/* Taken before any lock of a struct gdr or of a pin, or alone. */
extern pthread_mutex_t gdrapi_lock;

/* Changes in every forked child. */
extern atomic_uint gdrapi_fork_generation;

/*
 * Prepares the table of handles and for fork(), once. False when there is no
 * memory.
 */
bool gdrapi_start(void);

/*
 * Between the two the calling thread is not cancelled: it holds locks, or is
 * counted. They do not nest. To block is a cancellation point.
 */
void gdrapi_cancel_block(void);
void gdrapi_cancel_allow(void);

/*
 * Counts a call on g, until gdrapi_put(), with cancellation blocked meanwhile.
 * EINVAL: not open; EACCES: the parent's.
 */
int gdrapi_get(struct gdr *g, const char *call);
void gdrapi_put(struct gdr *g);

/* A slot for a new pin of g, under no handle yet; NULL: all are taken. */
struct gdrapi_pin *gdrapi_pin_new(struct gdr *g);
/* Makes it known and returns its handle. */
gdr_mh_t gdrapi_pin_publish(struct gdrapi_pin *pin);
/* Gives a slot back, which is under no handle any more. */
void gdrapi_pin_free(struct gdrapi_pin *pin);

/* Of the table of handles, see handle.c. */
#define GDRAPI_SLOTS (1u << 17)
#define GDRAPI_TURNS (1u << 8)
#define GDRAPI_STEP 8u

/* Of a stamp; the turn is above it. */
#define GDRAPI_ALIVE 1u

/* Where the table is; fixed once there is a handle. */
extern struct gdrapi_places {
	uintptr_t region; /* 0: no memory */
	struct gdrapi_pin *slots;
} gdrapi_places __attribute__((visibility("hidden")));

/* The slot of a handle, and what its stamp is while that lives; or NULL. */
static inline struct gdrapi_pin *gdrapi_pin_find(gdr_mh_t handle,
						 unsigned int *stamp)
{
	size_t offset = handle.h - gdrapi_places.region;
	size_t number = offset / GDRAPI_STEP;

	if (offset % GDRAPI_STEP || !gdrapi_places.region ||
	    number >= (size_t)GDRAPI_SLOTS * GDRAPI_TURNS)
		return NULL;
	*stamp = (unsigned int)(number / GDRAPI_SLOTS) * 2 | GDRAPI_ALIVE;
	return &gdrapi_places.slots[number % GDRAPI_SLOTS];
}

/*
 * Finds a pin of g and locks it. EINVAL: there is none; EACCES: the parent's.
 */
int gdrapi_pin_lock(struct gdr *g, gdr_mh_t handle, const char *call,
		    struct gdrapi_pin **pin);
void gdrapi_pin_unlock(struct gdrapi_pin *pin);

/* Sets where va is mapped, and how many bytes from there on. */
void gdrapi_pin_mapped(struct gdrapi_pin *pin, uintptr_t map, size_t size);
/* It is not any more. */
void gdrapi_pin_unmapped(struct gdrapi_pin *pin);

/* Ends the handle of a locked pin, and returns its buffer. */
struct gpumem_buf *gdrapi_pin_end(struct gdrapi_pin *pin);

/* Unpins all that is pinned through g. */
void gdrapi_pin_end_all(struct gdr *g);
/* In a forked child: forgets it. */
void gdrapi_pin_drop_all(struct gdr *g);

/*
 * Pins what is pinned of [addr, addr + size), see there. Returns a negative
 * errno.
 */
int gdrapi_reach(struct gdr *g, uint64_t addr, uint64_t size, uint32_t flags,
		 struct gpumem_buf **buf);

/* Of an open GPU; true where CUDA does not tell. */
bool gdrapi_is_coherent(struct gpumem *session, int ordinal);

enum gdrapi_level {
	GDRAPI_DEBUG = 1,
	GDRAPI_INFO,
	GDRAPI_WARN,
	GDRAPI_ERROR,
};

void gdrapi_log(enum gdrapi_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Logs an error and returns it. */
int gdrapi_error(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same for a call of libgpumem that returned rc. */
int gdrapi_error_of(int rc, const char *call);

#endif /* GDRAPI_LIBRARY_H */
