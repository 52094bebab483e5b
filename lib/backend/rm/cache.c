// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/backend.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/error.h"
#include "base/handle.h"
#include "backend/rm/cache.h"

static uint64_t gm_rm_cache_share(uint64_t bytes, unsigned int part)
{
	const uint64_t least = (uint64_t)GM_RM_IDLE_MIB << 20;

	return bytes != GPUMEM_UNKNOWN && bytes / part > least ? bytes / part
							       : least;
}

static void gm_rm_cache_set_limits(struct gm_rm_cache *cache)
{
	struct gm_session *session = cache->session;
	uint64_t mib = gm_env_number(GM_ENV_RM_CACHE, GPUMEM_UNKNOWN);
	size_t memory = 0;

	if (mib != GPUMEM_UNKNOWN) {
		cache->memory_limit = mib << 20;
		cache->bar1_limit = cache->memory_limit;
		return;
	}
	if (session->cuda.device_memory(&memory, session->device))
		memory = 0;
	cache->memory_limit = gm_rm_cache_share(memory, GM_RM_IDLE_MEMORY_PART);
	if (cache->memory_limit > (uint64_t)GM_RM_IDLE_MOST_MIB << 20)
		cache->memory_limit = (uint64_t)GM_RM_IDLE_MOST_MIB << 20;
	cache->bar1_limit = gm_rm_cache_share(gm_bar1_size(session->pci),
					      GM_RM_IDLE_BAR1_PART);
}

void gm_rm_cache_init(struct gm_rm_cache *cache, struct gm_rm *rm,
		      struct gm_session *session)
{
	*cache = (struct gm_rm_cache){ .rm = rm, .session = session };
	gm_rm_cache_set_limits(cache);
	TAILQ_INIT(&cache->idle_mems);
	TAILQ_INIT(&cache->idle_views);
	pthread_mutex_init(&cache->build, NULL);
	pthread_mutex_init(&cache->lock, NULL);
	gm_debug("rm: keeps %" PRIu64 " MiB of memory and %" PRIu64
		 " MiB of BAR1 for reuse",
		 cache->memory_limit >> 20, cache->bar1_limit >> 20);
}

static struct gm_rm_mem **gm_rm_bucket(struct gm_rm_cache *cache,
				       unsigned long long id)
{
	return &cache->bucket[id % GM_RM_BUCKETS];
}

/* Undoes one mapping that nobody can find any more. */
static void gm_rm_view_free(struct gm_rm_cache *cache, struct gm_rm_view *view)
{
	munmap(view->base, view->length);
	gm_rm_unmap(cache->rm, view->mem->memory, &view->map);
	free(view);
}

/* The same for a memory, its mappings first. */
static void gm_rm_mem_free(struct gm_rm_cache *cache, struct gm_rm_mem *mem)
{
	uint64_t start = gm_clock_ns();

	while (mem->views) {
		struct gm_rm_view *view = mem->views;

		mem->views = view->next;
		gm_rm_view_free(cache, view);
	}
	gm_rm_free(cache->rm, mem->memory);
	free(mem);
	gm_session_count(cache->session, GM_COUNT_RELEASE_NS,
			 gm_clock_ns() - start);
}

/* Under cache->lock, as all down to gm_rm_view_unlink(). */
static void gm_rm_view_list(struct gm_rm_cache *cache, struct gm_rm_view *view)
{
	TAILQ_INSERT_TAIL(&cache->idle_views, view, idle);
	cache->idle_count++;
}

static void gm_rm_view_unlist(struct gm_rm_cache *cache,
			      struct gm_rm_view *view)
{
	TAILQ_REMOVE(&cache->idle_views, view, idle);
	cache->idle_count--;
}

/* A view of a memory that has users. */
static void gm_rm_view_set_idle(struct gm_rm_cache *cache,
				struct gm_rm_view *view)
{
	gm_rm_view_list(cache, view);
	cache->idle_bar1 += view->length;
}

static void gm_rm_view_set_busy(struct gm_rm_cache *cache,
				struct gm_rm_view *view)
{
	gm_rm_view_unlist(cache, view);
	cache->idle_bar1 -= view->length;
}

/* The views of a memory without users are on no list of their own. */
static void gm_rm_mem_set_idle(struct gm_rm_cache *cache, struct gm_rm_mem *mem)
{
	for (struct gm_rm_view *v = mem->views; v; v = v->next)
		gm_rm_view_unlist(cache, v);
	TAILQ_INSERT_TAIL(&cache->idle_mems, mem, idle);
	cache->idle_memory += mem->place.block;
	cache->idle_count++;
}

static void gm_rm_mem_set_busy(struct gm_rm_cache *cache, struct gm_rm_mem *mem)
{
	if (cache->cursor == mem)
		cache->cursor = TAILQ_NEXT(mem, idle);
	TAILQ_REMOVE(&cache->idle_mems, mem, idle);
	cache->idle_memory -= mem->place.block;
	cache->idle_count--;
	for (struct gm_rm_view *v = mem->views; v; v = v->next)
		gm_rm_view_list(cache, v);
}

/* Takes a memory without users, and on no idle list, out of the cache. */
static void gm_rm_mem_unlink(struct gm_rm_cache *cache, struct gm_rm_mem *mem)
{
	struct gm_rm_mem **at = gm_rm_bucket(cache, mem->id);

	for (struct gm_rm_view *v = mem->views; v; v = v->next)
		gm_rm_view_set_busy(cache, v);
	gm_fork_block();
	while (*at != mem)
		at = &(*at)->next;
	*at = mem->next;
	gm_fork_allow();
}

/* Takes a view without users, on no idle list, from its memory. */
static void gm_rm_view_unlink(struct gm_rm_view *view)
{
	struct gm_rm_view **at = &view->mem->views;

	gm_fork_block();
	while (*at != view)
		at = &(*at)->next;
	*at = view->next;
	gm_fork_allow();
}

static void gm_rm_mem_drop_all(struct gm_rm_mem *mem)
{
	struct gm_rm_mem *next;

	for (; mem; mem = next) {
		struct gm_rm_view *view, *after;

		next = mem->next;
		for (view = mem->views; view; view = after) {
			after = view->next;
			free(view);
		}
		free(mem);
	}
}

void gm_rm_cache_drop(struct gm_rm_cache *cache)
{
	for (int i = 0; i < GM_RM_BUCKETS; i++)
		gm_rm_mem_drop_all(cache->bucket[i]);
	gm_rm_mem_drop_all(cache->dead);
}

/* The same, under cache->lock. */
static struct gm_rm_mem *gm_rm_cache_look_up(struct gm_rm_cache *cache,
					     unsigned long long id,
					     uint64_t addr, uint64_t length)
{
	struct gm_rm_mem *mem;

	for (mem = *gm_rm_bucket(cache, id); mem; mem = mem->next)
		if (mem->id == id && addr >= mem->addr &&
		    addr - mem->addr <= mem->length &&
		    length <= mem->length - (addr - mem->addr))
			break;
	if (mem && !mem->pins++)
		gm_rm_mem_set_busy(cache, mem);
	return mem;
}

struct gm_rm_mem *gm_rm_cache_find(struct gm_rm_cache *cache,
				   unsigned long long id, uint64_t addr,
				   uint64_t length)
{
	struct gm_rm_mem *mem;

	if (!id)
		return NULL;
	pthread_mutex_lock(&cache->lock);
	mem = gm_rm_cache_look_up(cache, id, addr, length);
	pthread_mutex_unlock(&cache->lock);
	return mem;
}

struct gm_rm_mem *gm_rm_cache_add(struct gm_rm_cache *cache,
				  struct gm_rm_mem *mem)
{
	struct gm_rm_mem **bucket = gm_rm_bucket(cache, mem->id);
	struct gm_rm_mem *there = NULL;

	pthread_mutex_lock(&cache->lock);
	if (mem->id)
		there = gm_rm_cache_look_up(cache, mem->id, mem->addr,
					    mem->length);
	if (!there) {
		mem->pins = 1;
		gm_fork_block();
		mem->next = *bucket;
		*bucket = mem;
		gm_fork_allow();
	}
	pthread_mutex_unlock(&cache->lock);
	if (!there)
		return mem;
	gm_rm_mem_free(cache, mem);
	return there;
}

/* Whether a memory's allocation is still there. */
static bool gm_rm_mem_lives(const struct gm_rm_cache *cache,
			    unsigned long long id, uint64_t addr)
{
	return id && gm_cuda_buffer_id(&cache->session->cuda, addr) == id;
}

bool gm_rm_cache_knows(struct gm_rm_cache *cache, uint32_t memory,
		       unsigned long long id, uint64_t *addr)
{
	unsigned long long known = 0;
	bool same = false;

	*addr = 0;
	gm_error_hush(true);
	pthread_mutex_lock(&cache->lock);
	for (int i = 0; i < GM_RM_BUCKETS && !same; i++)
		for (const struct gm_rm_mem *mem = cache->bucket[i];
		     mem && !same; mem = mem->next) {
			if (mem->id == id ||
			    gm_rm_are_same(cache->rm, mem->memory, memory,
					   &same))
				continue;
			known = mem->id;
			*addr = mem->addr;
		}
	pthread_mutex_unlock(&cache->lock);
	gm_error_hush(false);
	return same && gm_rm_mem_lives(cache, known, *addr);
}

bool gm_rm_cache_is_verified(struct gm_rm_cache *cache, struct gm_rm_mem *mem)
{
	bool verified;

	pthread_mutex_lock(&cache->lock);
	verified = mem->verified;
	pthread_mutex_unlock(&cache->lock);
	return verified;
}

void gm_rm_cache_verified(struct gm_rm_cache *cache, struct gm_rm_mem *mem)
{
	pthread_mutex_lock(&cache->lock);
	mem->verified = true;
	pthread_mutex_unlock(&cache->lock);
}

/* Takes the memory that was idle longest out of the cache, or NULL. */
static struct gm_rm_mem *gm_rm_cache_pop_mem(struct gm_rm_cache *cache)
{
	struct gm_rm_mem *mem = TAILQ_FIRST(&cache->idle_mems);

	if (mem) {
		gm_rm_mem_set_busy(cache, mem);
		gm_rm_mem_unlink(cache, mem);
	}
	return mem;
}

/* The same for a view; its memory, which has users, gets one more. */
static struct gm_rm_view *gm_rm_cache_pop_view(struct gm_rm_cache *cache)
{
	struct gm_rm_view *view = TAILQ_FIRST(&cache->idle_views);

	if (view) {
		gm_rm_view_set_busy(cache, view);
		gm_rm_view_unlink(view);
		view->mem->pins++;
	}
	return view;
}

static bool gm_rm_cache_is_over(const struct gm_rm_cache *cache,
				uint64_t memory, uint64_t bar1,
				unsigned int count)
{
	return cache->idle_memory > memory || cache->idle_bar1 > bar1 ||
	       cache->idle_count > count;
}

/* Lets go of what was idle longest until the bounds hold. */
static bool gm_rm_cache_trim(struct gm_rm_cache *cache, uint64_t memory,
			     uint64_t bar1, unsigned int count)
{
	bool trimmed = false;

	for (;;) {
		struct gm_rm_view *view = NULL;
		struct gm_rm_mem *mem = NULL;

		pthread_mutex_lock(&cache->lock);
		if (gm_rm_cache_is_over(cache, memory, bar1, count)) {
			mem = gm_rm_cache_pop_mem(cache);
			if (!mem)
				view = gm_rm_cache_pop_view(cache);
		}
		pthread_mutex_unlock(&cache->lock);
		if (mem) {
			gm_rm_mem_free(cache, mem);
		} else if (view) {
			mem = view->mem;
			gm_rm_view_free(cache, view);
			gm_rm_cache_put(cache, mem, true);
		} else {
			return trimmed;
		}
		trimmed = true;
	}
}

static void gm_rm_cache_trim_to_limits(struct gm_rm_cache *cache)
{
	gm_rm_cache_trim(cache, cache->memory_limit, cache->bar1_limit,
			 GM_RM_IDLE_COUNT);
}

/* Under cache->lock. */
static bool gm_rm_cache_is_full(const struct gm_rm_cache *cache)
{
	return gm_rm_cache_is_over(cache, cache->memory_limit,
				   cache->bar1_limit, GM_RM_IDLE_COUNT);
}

/* Takes one of those that were set aside, or NULL. */
static struct gm_rm_mem *gm_rm_cache_pop_dead(struct gm_rm_cache *cache)
{
	struct gm_rm_mem *mem;

	pthread_mutex_lock(&cache->lock);
	mem = cache->dead;
	if (mem) {
		gm_fork_block();
		cache->dead = mem->next;
		gm_fork_allow();
		cache->dead_memory -= mem->place.block;
	}
	pthread_mutex_unlock(&cache->lock);
	return mem;
}

static bool gm_rm_cache_bury_all(struct gm_rm_cache *cache)
{
	struct gm_rm_mem *mem;
	bool buried = false;

	while ((mem = gm_rm_cache_pop_dead(cache))) {
		gm_rm_mem_free(cache, mem);
		buried = true;
	}
	return buried;
}

void gm_rm_cache_bury(struct gm_rm_cache *cache)
{
	gm_rm_cache_bury_all(cache);
}

bool gm_rm_cache_flush(struct gm_rm_cache *cache)
{
	bool buried = gm_rm_cache_bury_all(cache);

	return gm_rm_cache_trim(cache, 0, 0, 0) || buried;
}

void gm_rm_cache_put(struct gm_rm_cache *cache, struct gm_rm_mem *mem,
		     bool keep)
{
	bool gone = false, full = false;

	pthread_mutex_lock(&cache->lock);
	if (!--mem->pins) {
		gone = !keep || !mem->id || !mem->verified ||
		       mem->place.block > cache->memory_limit;
		if (gone)
			gm_rm_mem_unlink(cache, mem);
		else
			gm_rm_mem_set_idle(cache, mem);
		full = gm_rm_cache_is_full(cache);
	}
	pthread_mutex_unlock(&cache->lock);
	if (gone)
		gm_rm_mem_free(cache, mem);
	if (full)
		gm_rm_cache_trim_to_limits(cache);
}

/* Sets an idle memory aside. Under cache->lock. */
static void gm_rm_mem_set_dead(struct gm_rm_cache *cache, struct gm_rm_mem *mem)
{
	gm_debug("rm: 0x%" PRIx64 " was freed: to be let go of", mem->addr);
	gm_rm_mem_set_busy(cache, mem);
	gm_rm_mem_unlink(cache, mem);
	gm_fork_block();
	mem->next = cache->dead;
	cache->dead = mem;
	gm_fork_allow();
	cache->dead_memory += mem->place.block;
}

/* The next of the memories without a user: its id and address, or false. */
static bool gm_rm_cache_next_idle(struct gm_rm_cache *cache,
				  unsigned long long *id, uint64_t *addr)
{
	struct gm_rm_mem *mem;

	pthread_mutex_lock(&cache->lock);
	mem = cache->cursor ? cache->cursor : TAILQ_FIRST(&cache->idle_mems);
	if (mem) {
		cache->cursor = TAILQ_NEXT(mem, idle);
		*id = mem->id;
		*addr = mem->addr;
	}
	pthread_mutex_unlock(&cache->lock);
	return mem;
}

/* Sets it aside, unless it has a user again. */
static void gm_rm_cache_gone(struct gm_rm_cache *cache, unsigned long long id,
			     uint64_t addr)
{
	struct gm_rm_mem *mem;
	bool many;

	pthread_mutex_lock(&cache->lock);
	mem = gm_rm_cache_look_up(cache, id, addr, 0);
	if (mem && !--mem->pins) {
		gm_rm_mem_set_idle(cache, mem);
		gm_rm_mem_set_dead(cache, mem);
	}
	many = cache->dead_memory > (uint64_t)GM_RM_DEAD_MIB << 20;
	pthread_mutex_unlock(&cache->lock);
	if (many)
		gm_rm_cache_bury(cache);
}

static unsigned int gm_rm_cache_idle_count(struct gm_rm_cache *cache)
{
	unsigned int count;

	pthread_mutex_lock(&cache->lock);
	count = cache->idle_count;
	pthread_mutex_unlock(&cache->lock);
	return count;
}

void gm_rm_cache_sweep(struct gm_rm_cache *cache, unsigned int most)
{
	unsigned long long id;
	uint64_t addr;

	if (most > 1) {
		const unsigned int count = gm_rm_cache_idle_count(cache);

		most = most < count ? most : count;
	}
	/* CUDA is asked without a lock: it may be at something long. */
	while (most-- && gm_rm_cache_next_idle(cache, &id, &addr))
		if (!gm_rm_mem_lives(cache, id, addr))
			gm_rm_cache_gone(cache, id, addr);
}

void gm_rm_cache_destroy(struct gm_rm_cache *cache)
{
	gm_rm_cache_flush(cache);
	pthread_mutex_destroy(&cache->lock);
	pthread_mutex_destroy(&cache->build);
}

/* Finds a view that covers the bytes, and counts its user. */
static struct gm_rm_view *gm_rm_view_find(struct gm_rm_cache *cache,
					  struct gm_rm_mem *mem,
					  uint64_t offset, uint64_t length)
{
	struct gm_rm_view *view;

	pthread_mutex_lock(&cache->lock);
	for (view = mem->views; view; view = view->next)
		if (view->offset <= offset &&
		    offset + length <= view->offset + view->length)
			break;
	if (view && !view->users++)
		gm_rm_view_set_busy(cache, view);
	pthread_mutex_unlock(&cache->lock);
	return view;
}

/*
 * Takes away the views without users that overlap the bytes or touch them, and
 * widens the bytes by theirs: BAR1 is then used once for all of them.
 */
static void gm_rm_view_absorb(struct gm_rm_cache *cache, struct gm_rm_mem *mem,
			      uint64_t *offset, uint64_t *length)
{
	struct gm_rm_view *view, *next, *gone = NULL;
	uint64_t end = *offset + *length;

	pthread_mutex_lock(&cache->lock);
	for (view = mem->views; view; view = next) {
		next = view->next;
		if (view->users || view->offset > end ||
		    view->offset + view->length < *offset)
			continue;
		if (view->offset < *offset)
			*offset = view->offset;
		if (view->offset + view->length > end)
			end = view->offset + view->length;
		gm_rm_view_set_busy(cache, view);
		gm_rm_view_unlink(view);
		view->next = gone;
		gone = view;
	}
	pthread_mutex_unlock(&cache->lock);
	*length = end - *offset;
	for (view = gone; view; view = next) {
		next = view->next;
		gm_rm_view_free(cache, view);
	}
}

/* Maps bytes of a memory into BAR1 and the process. */
static int gm_rm_view_map(struct gm_rm_cache *cache, struct gm_rm_view *view)
{
	uint64_t start = gm_clock_ns(), mapped;
	int rc;

	rc = gm_rm_map(cache->rm, view->mem->memory, view->offset, view->length,
		       &view->map);
	if (rc == -ENOMEM && gm_rm_cache_flush(cache))
		rc = gm_rm_map(cache->rm, view->mem->memory, view->offset,
			       view->length, &view->map);
	mapped = gm_clock_ns();
	gm_session_count(cache->session, GM_COUNT_BAR1_NS, mapped - start);
	if (rc)
		return rc;
	view->base = gm_backend_mmap(view->map.fd, view->length, 0);
	gm_rm_map_done(&view->map);
	if (!view->base) {
		rc = gm_rm_no_mmap(view->length);
		gm_rm_unmap(cache->rm, view->mem->memory, &view->map);
		return rc;
	}
	gm_session_count(cache->session, GM_COUNT_MMAP_NS,
			 gm_clock_ns() - mapped);
	gm_debug("rm: %" PRIu64 " bytes at BAR1 address 0x%" PRIx64
		 ": map %.1f us, mmap %.1f us",
		 view->length, view->map.linear, (mapped - start) / 1e3,
		 (gm_clock_ns() - mapped) / 1e3);
	return 0;
}

/* With cache->build held. */
static int gm_rm_view_new(struct gm_rm_cache *cache, struct gm_rm_mem *mem,
			  uint64_t offset, uint64_t length,
			  struct gm_rm_view **out)
{
	struct gm_rm_view *view = calloc(1, sizeof(*view));
	int rc;

	if (!view)
		return gm_error(-ENOMEM, "map: out of host memory; free some");
	gm_rm_view_absorb(cache, mem, &offset, &length);
	view->mem = mem;
	view->offset = offset;
	view->length = length;
	view->users = 1;
	rc = gm_rm_view_map(cache, view);
	if (rc) {
		free(view);
		return rc;
	}
	pthread_mutex_lock(&cache->lock);
	gm_fork_block();
	view->next = mem->views;
	mem->views = view;
	gm_fork_allow();
	pthread_mutex_unlock(&cache->lock);
	*out = view;
	return 0;
}

int gm_rm_view_get(struct gm_rm_cache *cache, struct gm_rm_mem *mem,
		   uint64_t offset, uint64_t length, struct gm_rm_view **view)
{
	int rc = 0;

	*view = gm_rm_view_find(cache, mem, offset, length);
	if (*view)
		return 0;
	pthread_mutex_lock(&cache->build);
	*view = gm_rm_view_find(cache, mem, offset, length);
	if (!*view)
		rc = gm_rm_view_new(cache, mem, offset, length, view);
	pthread_mutex_unlock(&cache->build);
	return rc;
}

void gm_rm_view_put(struct gm_rm_cache *cache, struct gm_rm_view *view)
{
	bool gone = false, full = false;

	pthread_mutex_lock(&cache->lock);
	if (!--view->users) {
		gone = view->length > cache->bar1_limit;
		if (gone)
			gm_rm_view_unlink(view);
		else
			gm_rm_view_set_idle(cache, view);
		full = gm_rm_cache_is_full(cache);
	}
	pthread_mutex_unlock(&cache->lock);
	if (gone)
		gm_rm_view_free(cache, view);
	if (full)
		gm_rm_cache_trim_to_limits(cache);
}
