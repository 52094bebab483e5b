/* SPDX-License-Identifier: MIT */
/*
 * The allocations that the rm backend has got hold of, and their mappings, so
 * that pinning one again or another part of it costs no call of the driver.
 *
 * A memory (struct gm_rm_mem) is one CUDA allocation, known by CUDA's buffer
 * id, which is never given out twice: memory that was freed and allocated again
 * at the same address has another id and is not found here. Pins count as its
 * users. A view is a mapping of a part of it; pins that it covers share it.
 *
 * What has no user is kept for reuse, within bounds. It holds video memory even
 * after cuMemFree(), so each pin looks whether one kept memory still exists,
 * each look that misses looks at all, and a memory that was freed before its
 * last unpin is not kept. To let go of one takes the driver as long as to get
 * hold of one, so that a pin only sets it aside, within another bound, and the
 * next unpin lets go of it.
 */
#ifndef GM_RM_CACHE_H
#define GM_RM_CACHE_H

#include <pthread.h>
#include <sys/queue.h>

#include "backend/rm/ioctl.h"
#include "backend/rm/import.h"

/*
 * What is kept without a user, at most: these parts of the GPU's memory and of
 * BAR1, but not less than so many MiB of each, and of memory not more than so
 * many: what was freed in the meantime is let go of in a pin, which takes 4 us
 * a MiB. GPUMEM_RM_CACHE tells other MiB.
 */
#define GM_RM_IDLE_MEMORY_PART 32
#define GM_RM_IDLE_BAR1_PART 8
#define GM_RM_IDLE_MIB 64
#define GM_RM_IDLE_MOST_MIB 512
#define GM_RM_IDLE_COUNT 32

/* What is set aside at most: more is let go of at once. */
#define GM_RM_DEAD_MIB 64

#define GM_RM_BUCKETS 64

struct gm_rm_cache;

struct gm_rm_view {
	struct gm_rm_mem *mem;
	struct gm_rm_view *next; /* of the memory's */
	TAILQ_ENTRY(gm_rm_view) idle;
	unsigned int users;
	char *base;
	uint64_t offset; /* of base in the memory object */
	uint64_t length;
	struct gm_rm_map map;
};

struct gm_rm_mem {
	struct gm_rm_mem *next; /* of its bucket */
	TAILQ_ENTRY(gm_rm_mem) idle;
	struct gm_rm_view *views;
	unsigned int pins;
	bool verified;

	/* Fixed once it is in the cache. */
	unsigned long long id; /* CUDA's; 0: unknown, and never found */
	uint64_t addr; /* of the allocation */
	uint64_t length;
	uint32_t memory; /* our RM handle, which holds the memory */
	struct gm_rm_place place;
};

struct gm_rm_cache {
	struct gm_rm *rm;
	struct gm_session *session;
	/* Of what has no user, in bytes; 0: keep nothing. */
	uint64_t memory_limit;
	uint64_t bar1_limit;

	/* Held while a view is made, so that it is made once. */
	pthread_mutex_t build;

	/*
	 * Guards what follows, and all that is not fixed in memories and views.
	 * Buckets and lists of views change with fork() kept out.
	 */
	pthread_mutex_t lock;
	struct gm_rm_mem *bucket[GM_RM_BUCKETS];
	/* Without a user, longest first. */
	TAILQ_HEAD(, gm_rm_mem) idle_mems;
	TAILQ_HEAD(, gm_rm_view) idle_views; /* of memories that have users */
	struct gm_rm_mem *cursor; /* the next of idle_mems to look at */
	unsigned int idle_count; /* entries of both lists */
	uint64_t idle_memory; /* bytes of the memories without a user */
	uint64_t idle_bar1; /* bytes of all views without a user */
	struct gm_rm_mem *dead; /* freed by CUDA, set aside, in no bucket */
	uint64_t dead_memory;
};

void gm_rm_cache_init(struct gm_rm_cache *cache, struct gm_rm *rm,
		      struct gm_session *session);
/* Frees all; nothing has a user. */
void gm_rm_cache_destroy(struct gm_rm_cache *cache);
/* In a forked child: frees memory of the process. */
void gm_rm_cache_drop(struct gm_rm_cache *cache);

/* The memory of an id, with its user counted, if it covers the range. */
struct gm_rm_mem *gm_rm_cache_find(struct gm_rm_cache *cache,
				   unsigned long long id, uint64_t addr,
				   uint64_t length);

/*
 * Adds a new memory, which has one user; or frees it, where another thread has
 * added the same meanwhile, whose users are then one more. Returns what is there.
 */
struct gm_rm_mem *gm_rm_cache_add(struct gm_rm_cache *cache,
				  struct gm_rm_mem *mem);

/* Whether a mapping of a memory was seen to show what CUDA means by it. */
bool gm_rm_cache_is_verified(struct gm_rm_cache *cache, struct gm_rm_mem *mem);
void gm_rm_cache_verified(struct gm_rm_cache *cache, struct gm_rm_mem *mem);

/*
 * Whether one of our handles is to a memory that is here for an allocation which
 * is still there, other than that of an id; stores that one's address.
 */
bool gm_rm_cache_knows(struct gm_rm_cache *cache, uint32_t memory,
		       unsigned long long id, uint64_t *addr);

/* Ends the use of a memory; it is kept only if keep. */
void gm_rm_cache_put(struct gm_rm_cache *cache, struct gm_rm_mem *mem,
		     bool keep);

/* Lets go of what was set aside. */
void gm_rm_cache_bury(struct gm_rm_cache *cache);

/*
 * Looks at so many kept memories and sets those aside whose allocation is gone.
 */
void gm_rm_cache_sweep(struct gm_rm_cache *cache, unsigned int most);

/* Lets go of all that has no user; false: there was nothing. */
bool gm_rm_cache_flush(struct gm_rm_cache *cache);

/*
 * A mapping of a memory that has a user which covers the bytes, with its user
 * counted.
 */
int gm_rm_view_get(struct gm_rm_cache *cache, struct gm_rm_mem *mem,
		   uint64_t offset, uint64_t length, struct gm_rm_view **view);

/* Ends the use of a mapping; its memory still has a user. */
void gm_rm_view_put(struct gm_rm_cache *cache, struct gm_rm_view *view);

#endif /* GM_RM_CACHE_H */
