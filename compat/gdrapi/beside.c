// SPDX-License-Identifier: MIT
/*
 * What lies in a pin's pages beside the part that was pinned: allocations that
 * share a page of 64 KiB with it. They are pinned too when a copy meets them,
 * so that it goes the fast ways of libgpumem.
 *
 * A mapping shows pages of memory, whatever CUDA makes of them later, and a
 * device address means what CUDA says now. Both are the same while the
 * allocation that the pin was made for exists: a part of it is in every page.
 */
#include <errno.h>
#include <stdlib.h>

#include "library.h"

#define GDRAPI_PARTS 16u

/* Copies that are let pass after attempts to pin in vain, at most. */
#define GDRAPI_PAUSE_MAX 4095u

/* A buffer, and the device addresses that it covers. */
struct gdrapi_part {
	struct gpumem_buf *buf;
	uint64_t addr;
	uint64_t end;
};

/* With beside_lock. A part stays as it is while the pin lives. */
struct gdrapi_beside {
	unsigned int count;
	unsigned int pause; /* how many copies to let pass, the next time */
	unsigned int skip; /* how many are left of the last time */
	struct gdrapi_part parts[GDRAPI_PARTS];
};

/* What was pinned first. */
static struct gdrapi_part gdrapi_part_first(const struct gdrapi_pin *pin)
{
	uint64_t addr = pin->va + atomic_load(&pin->buf_offset);

	return (struct gdrapi_part){
		.buf = atomic_load(&pin->buf),
		.addr = addr,
		.end = addr + atomic_load(&pin->buf_size),
	};
}

/* The better of two, each of which may have no part in it: what ends later. */
static void gdrapi_part_choose(struct gdrapi_part *best,
			       const struct gdrapi_part *part, uint64_t addr)
{
	if (addr >= part->addr && addr < part->end && part->end > best->end)
		*best = *part;
}

/* The part that covers most from addr on; without a buffer: there is none. */
static struct gdrapi_part gdrapi_part_find(const struct gdrapi_pin *pin,
					   uint64_t addr)
{
	const struct gdrapi_beside *beside = pin->beside;
	struct gdrapi_part first = gdrapi_part_first(pin);
	struct gdrapi_part best = { .addr = addr, .end = addr };

	gdrapi_part_choose(&best, &first, addr);
	for (unsigned int i = 0; beside && i < beside->count; i++)
		gdrapi_part_choose(&best, &beside->parts[i], addr);
	return best;
}

/* Where the next part begins behind addr, at most end. */
static uint64_t gdrapi_part_next(const struct gdrapi_pin *pin, uint64_t addr,
				 uint64_t end)
{
	const struct gdrapi_beside *beside = pin->beside;
	uint64_t first = gdrapi_part_first(pin).addr;

	if (first > addr && first < end)
		end = first;
	for (unsigned int i = 0; beside && i < beside->count; i++) {
		uint64_t start = beside->parts[i].addr;

		if (start > addr && start < end)
			end = start;
	}
	return end;
}

/*
 * Pins from addr on up to last; or what there is, if that is as much as up to
 * end; or less, unless all of that is wanted.
 */
static int gdrapi_part_pin(const struct gdrapi_source *source, uint64_t addr,
			   uint64_t end, uint64_t last, bool all,
			   struct gpumem_buf **buf)
{
	struct gpumem *session = source->gpu->session;
	unsigned int flags = source->flags;
	int rc = gpumem_pin(session, addr, last - addr, flags, buf);

	if (rc != -ERANGE)
		return rc;
	rc = gpumem_pin(session, addr, end - addr, flags, buf);
	if (!rc)
		gdrapi_lengthen(source, addr, end, last - 1, buf);
	if (rc != -ERANGE || all)
		return rc;
	rc = gpumem_pin(session, addr, 1, flags, buf);
	if (!rc)
		gdrapi_lengthen(source, addr, addr + 1, end - 1, buf);
	return rc;
}

/* Whether addresses in the pin's pages still mean what the mapping shows. */
static bool gdrapi_part_is_shown(const struct gdrapi_pin *pin)
{
	uint64_t addr = pin->va + atomic_load(&pin->buf_offset);

	return pin->source.memory_id &&
	       gdrapi_memory_id(pin->source.gpu, addr) == pin->source.memory_id;
}

/* Makes a part. A negative errno; 1: addresses mean something else by now. */
static int gdrapi_part_make(struct gdrapi_pin *pin, uint64_t addr, uint64_t end,
			    bool all, struct gdrapi_part *part)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	void *cpu;
	int rc;

	rc = gdrapi_part_pin(&pin->source, addr, end,
			     pin->va + pin->mapped_size, all, &part->buf);
	if (rc)
		return rc;
	/* Or each copy would map it. */
	rc = gpumem_map(part->buf, &cpu);
	if (!rc)
		rc = gpumem_buf_get(part->buf, &info);
	/* If it is so now, it was when the part was pinned. */
	if (!rc && !gdrapi_part_is_shown(pin))
		rc = 1;
	if (rc) {
		gpumem_unpin(part->buf);
		return rc;
	}
	part->addr = addr;
	part->end = addr + info.length;
	return 0;
}

/* Whether it is to be tried to make a part. */
static bool gdrapi_beside_may_make(struct gdrapi_pin *pin)
{
	struct gdrapi_beside *beside = pin->beside;

	/* A pin has CUDA compare a few bytes, of memory that may be freed now. */
	if (!pin->source.gpu->engine)
		return false;
	if (!beside)
		beside = pin->beside = calloc(1, sizeof(*beside));
	if (!beside || beside->count == GDRAPI_PARTS)
		return false;
	if (!beside->skip)
		return true;
	beside->skip--;
	return false;
}

/*
 * Makes a part and adds it. Where that fails, the longer it has failed the more
 * copies pass before the next attempt: one can take longer than a copy.
 */
static void gdrapi_beside_make(struct gdrapi_pin *pin, uint64_t addr,
			       uint64_t end, bool all)
{
	struct gdrapi_beside *beside = pin->beside;
	struct gdrapi_part *part = &beside->parts[beside->count];

	if (gdrapi_part_make(pin, addr, end, all, part)) {
		beside->pause = beside->pause * 2 + 1;
		if (beside->pause > GDRAPI_PAUSE_MAX)
			beside->pause = GDRAPI_PAUSE_MAX;
		beside->skip = beside->pause;
		return;
	}
	beside->pause = 0;
	beside->count++;
	gdrapi_log(GDRAPI_DEBUG, "a copy: 0x%llx: %llu bytes pinned too",
		   (unsigned long long)part->addr,
		   (unsigned long long)(part->end - part->addr));
}

struct gdrapi_piece gdrapi_beside_find(struct gdrapi_pin *pin, uint64_t addr,
				       uint64_t size)
{
	uint64_t end = addr + size;
	struct gdrapi_part part;

	pthread_mutex_lock(&pin->beside_lock);
	part = gdrapi_part_find(pin, addr);
	if (part.end < end && gdrapi_beside_may_make(pin)) {
		gdrapi_beside_make(pin, addr, end, part.buf);
		part = gdrapi_part_find(pin, addr);
	}
	if (!part.buf)
		part.end = gdrapi_part_next(pin, addr, end);
	pthread_mutex_unlock(&pin->beside_lock);
	return (struct gdrapi_piece){
		.buf = part.buf,
		.offset = addr - part.addr,
		.size = (part.end < end ? part.end : end) - addr,
	};
}

void gdrapi_beside_end(struct gdrapi_pin *pin)
{
	struct gdrapi_beside *beside = pin->beside;

	for (unsigned int i = 0; beside && i < beside->count; i++)
		gpumem_unpin(beside->parts[i].buf);
	gdrapi_beside_drop(pin);
}

void gdrapi_beside_drop(struct gdrapi_pin *pin)
{
	free(pin->beside);
	pin->beside = NULL;
}
