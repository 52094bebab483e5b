// SPDX-License-Identifier: MIT
/* Random choices, damaged arguments, and the pools of things to use. */
#include "fuzz.h"

static struct fuzz_thing fuzz_pool[FUZZ_KIND_COUNT][FUZZ_POOL];
static atomic_flag fuzz_pool_lock = ATOMIC_FLAG_INIT;

#define FUZZ_FDS 1024
static bool fuzz_forbidden[FUZZ_FDS];

static void fuzz_pools_lock(void)
{
	while (atomic_flag_test_and_set_explicit(&fuzz_pool_lock,
						 memory_order_acquire))
		t_sleep_us(10);
}

void fuzz_pools_unlock(void)
{
	atomic_flag_clear_explicit(&fuzz_pool_lock, memory_order_release);
}

void fuzz_pools_reset(void)
{
	memset(fuzz_pool, 0, sizeof(fuzz_pool));
	fuzz_pools_unlock();
}

uint32_t fuzz_below(struct fuzz_ctx *c, uint32_t n)
{
	return t_random(&c->random) % n;
}

bool fuzz_chance(struct fuzz_ctx *c, uint32_t percent)
{
	return fuzz_below(c, 100) < percent;
}

uint64_t fuzz_interesting(struct fuzz_ctx *c)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		3,
		7,
		8,
		4095,
		4096,
		4097,
		65535,
		65536,
		65537,
		2 * MIB,
		INT32_MAX,
		1ull << 31,
		UINT32_MAX,
		1ull << 32,
		1ull << 42,
		(1ull << 42) + 1,
		1ull << 62,
		(1ull << 62) + (1ull << 42),
		INT64_MAX,
		1ull << 63,
		UINT64_MAX - 4095,
		UINT64_MAX - 1,
		UINT64_MAX,
		0xffff888000000000,
		NOWHERE,
	};
	uint64_t v = values[fuzz_below(c, sizeof(values) / sizeof(values[0]))];

	if (fuzz_chance(c, 20))
		v += fuzz_below(c, 9) - 4ull;
	if (fuzz_chance(c, 10))
		v = (uint64_t)t_random(&c->random) << 32 | t_random(&c->random);
	return v;
}

bool fuzz_mutate(struct fuzz_ctx *c, void *at, size_t size)
{
	unsigned char *p = at;
	uint32_t kind = fuzz_below(c, 100), n;
	uint64_t v;
	size_t where;

	if (kind < 75)
		return false;
	if (kind < 80) {
		/* Nothing but noise, its size often right. */
		uint32_t first = *(uint32_t *)at;

		for (where = 0; where < size; where++)
			p[where] = (unsigned char)t_random(&c->random);
		if (fuzz_chance(c, 80))
			*(uint32_t *)at = first;
		return true;
	}
	for (n = 1 + fuzz_below(c, 3); n; n--) {
		where = fuzz_below(c, (uint32_t)size);
		switch (fuzz_below(c, 4)) {
		case 0:
			p[where] ^= (unsigned char)(1u << fuzz_below(c, 8));
			break;
		case 1:
			p[where] = (unsigned char)t_random(&c->random);
			break;
		case 2:
			v = fuzz_interesting(c);
			where &= ~3ull;
			memcpy(p + where, &v, 4);
			break;
		default:
			v = fuzz_interesting(c);
			where &= ~7ull;
			memcpy(p + where, &v,
			       size - where < 8 ? size - where : 8);
			break;
		}
	}
	return true;
}

void *fuzz_pointer(struct fuzz_ctx *c, void *at)
{
	struct fuzz_thing map;

	if (fuzz_chance(c, 96))
		return at;
	switch (fuzz_below(c, 4)) {
	case 0:
		return NULL;
	case 1:
		return (void *)(uintptr_t)fuzz_interesting(c);
	default:
		/* In the memory that the call is about. */
		if (!fuzz_pick(c, FUZZ_MAPS, &map))
			return at;
		return (void *)(uintptr_t)(map.at +
					   8ull * fuzz_below(c, 16384));
	}
}

void fuzz_put(struct fuzz_ctx *c, enum fuzz_kind kind,
	      const struct fuzz_thing *thing)
{
	struct fuzz_thing *t = &fuzz_pool[kind][fuzz_below(c, FUZZ_POOL)];
	static atomic_ullong serial;
	struct fuzz_thing old;

	fuzz_pools_lock();
	old = *t;
	*t = *thing;
	t->used = true;
	t->serial = atomic_fetch_add(&serial, 1) + 1;
	fuzz_pools_unlock();
	if (old.used)
		fuzz_end(c, kind, &old);
}

static bool fuzz_find(struct fuzz_ctx *c, enum fuzz_kind kind,
		      struct fuzz_thing *thing, bool take)
{
	uint32_t first = fuzz_below(c, FUZZ_POOL), i;
	bool found = false;

	fuzz_pools_lock();
	for (i = 0; i < FUZZ_POOL && !found; i++) {
		struct fuzz_thing *t =
			&fuzz_pool[kind][(first + i) % FUZZ_POOL];

		found = t->used;
		if (!found)
			continue;
		*thing = *t;
		if (take)
			t->used = false;
	}
	fuzz_pools_unlock();
	return found;
}

bool fuzz_pick(struct fuzz_ctx *c, enum fuzz_kind kind,
	       struct fuzz_thing *thing)
{
	return fuzz_find(c, kind, thing, false);
}

bool fuzz_take(struct fuzz_ctx *c, enum fuzz_kind kind,
	       struct fuzz_thing *thing)
{
	return fuzz_find(c, kind, thing, true);
}

bool fuzz_still(enum fuzz_kind kind, const struct fuzz_thing *thing,
		void (*use)(void *), void *arg)
{
	bool found = false;
	int i;

	fuzz_pools_lock();
	for (i = 0; i < FUZZ_POOL && !found; i++)
		found = fuzz_pool[kind][i].used &&
			fuzz_pool[kind][i].serial == thing->serial;
	if (found && use)
		use(arg);
	fuzz_pools_unlock();
	return found;
}

/* The file has an owner now: this process. */
void fuzz_claimed(uint64_t file)
{
	int i;

	fuzz_pools_lock();
	for (i = 0; i < FUZZ_POOL; i++)
		if (fuzz_pool[FUZZ_FILES][i].id == file)
			fuzz_pool[FUZZ_FILES][i].claimed = true;
	fuzz_pools_unlock();
}

void fuzz_put_file(struct fuzz_ctx *c, int fd, bool foreign, bool claimed)
{
	static atomic_ullong serial;
	struct fuzz_thing file = { .fd = fd,
				   .foreign = foreign,
				   .claimed = claimed,
				   .id = atomic_fetch_add(&serial, 1) + 1 };

	fuzz_put(c, FUZZ_FILES, &file);
}

void fuzz_note_forbidden(void)
{
	int i;

	for (i = 0; i < FUZZ_POOL; i++) {
		struct fuzz_thing *t = &fuzz_pool[FUZZ_FILES][i];

		if (t->used)
			fuzz_set_forbidden(t->fd, t->claimed);
	}
}

void fuzz_set_forbidden(int fd, bool forbidden)
{
	if (fd >= 0 && fd < FUZZ_FDS)
		fuzz_forbidden[fd] = forbidden;
}

bool fuzz_is_forbidden(int fd)
{
	return fd >= 0 && fd < FUZZ_FDS && fuzz_forbidden[fd];
}

void fuzz_end(struct fuzz_ctx *c, enum fuzz_kind kind,
	      const struct fuzz_thing *thing)
{
	struct gpumem_dma_unmap unmap = { .size = sizeof(unmap),
					  .dma = (uint32_t)thing->id };

	switch (kind) {
	case FUZZ_FILES:
	case FUZZ_BUFS:
	case FUZZ_EVENTS:
		if (c->child)
			fuzz_set_forbidden(thing->fd, false);
		close(thing->fd);
		break;
	case FUZZ_BLOCKS:
		emu_free(c->emu, thing->at);
		break;
	case FUZZ_PINS:
		gm_unpin(thing->fd, (uint32_t)thing->id);
		break;
	case FUZZ_LOCKS:
		seed_unlock(thing->fd, (void *)(uintptr_t)thing->id);
		break;
	case FUZZ_DMAS:
		t_ioctl(thing->fd, GPUMEM_IOC_DMA_UNMAP, &unmap);
		break;
	case FUZZ_MAPS:
		munmap((void *)(uintptr_t)thing->at, thing->bytes);
		break;
	default:
		break;
	}
}
