// SPDX-License-Identifier: MIT
/*
 * What comes of a job, on its way out of the courier's staging memory into the
 * caller's.
 */
#include <string.h>

#include "copy/sm/private.h"
#include "cpu/cpu.h"
#include "copy/threads/pool.h"

/* Lines of the target that are asked for before they are written, in bytes. */
#define GM_COURIER_AHEAD ((size_t)128 << 10)
#define GM_COURIER_LINE 64u

/* Of a part that is shared, a thread takes so much at a time, at most. */
#define GM_COURIER_SHARED ((size_t)16 << 10)

/*
 * Asks for the lines that are written soon, while there is nothing to do but
 * wait: a part's first ones before the data come, the others as it goes on. A
 * part that is shared others write too, and they need them.
 */
static void gm_courier_prefetch(const struct gm_courier_part *part,
				size_t first, size_t length)
{
	if (first >= part->length || part->past_caches || part->shared)
		return;
	if (length > part->length - first)
		length = part->length - first;
	for (size_t at = 0; at < length; at += GM_COURIER_LINE)
		gm_cpu_prefetch_write(part->host + first + at);
}

/* What the chunk after one of so many bytes has. */
static size_t gm_courier_next(const struct gm_courier_part *part, size_t chunk)
{
	return part->how & GM_COURIER_WAVES
		       ? GM_COURIER_WAVE_NEXT(chunk, part->how)
		       : chunk;
}

/* Which chunk holds the byte that is so far from where the first one begins. */
static size_t gm_courier_chunk_of(const struct gm_courier_part *part, size_t at)
{
	size_t chunk = part->chunk, i = 0;

	if (!(part->how & GM_COURIER_WAVES))
		return at >> (part->how & GM_COURIER_CHUNK);
	for (; at >= chunk; i++) {
		at -= chunk;
		chunk = gm_courier_next(part, chunk);
	}
	return i;
}

static bool gm_courier_wait_chunk(const struct gm_courier_part *part,
				  size_t chunk)
{
	return gm_courier_wait_sign(part->courier,
				    gm_courier_chunk_sign(part->courier,
							  part->number, chunk));
}

/*
 * gm_pool_work: a part of a chunk, or of waves, which come one after the other,
 * of those that lie in [0, skew + length).
 */
static void gm_courier_drain(void *arg, size_t first, size_t length)
{
	struct gm_courier_part *part = arg;
	size_t low = first > part->skew ? first : part->skew;
	size_t high = first + length;
	char *to = part->host + (low - part->skew);

	if (part->late ||
	    !gm_courier_wait_chunk(part, gm_courier_chunk_of(part, high - 1))) {
		part->late = true;
		return;
	}
	if (!part->past_caches) {
		gm_cpu()->copy(to, part->stage + low, high - low);
		return;
	}
	gm_cpu()->drain(to, part->stage + low, high - low);
	gm_cpu_fence();
}

/* Tagged lines, as they come. False: they do not. */
static bool gm_courier_take_lines(const struct gm_courier_part *part, char *to,
				  size_t first, size_t count)
{
	while (count) {
		size_t some = gm_courier_untag(
			part->courier, part->number, to, first,
			count < GM_COURIER_LINES ? count : GM_COURIER_LINES);

		if (!some)
			return false;
		to += some * GM_COURIER_TAGGED_LINE;
		first += some;
		count -= some;
	}
	return true;
}

/* What comes tagged: the lines at its ends are not all the target's. */
static bool gm_courier_take_tagged(const struct gm_courier_part *part)
{
	const size_t skip = part->gpu % GM_COURIER_PIECE;
	const size_t end = skip + part->tagged;
	size_t lines = end / GM_COURIER_TAGGED_LINE, line = 0;
	char edge[GM_COURIER_TAGGED_LINE];
	char *to = part->host;

	if (skip) {
		size_t length = sizeof(edge) - skip;

		if (length > part->tagged)
			length = part->tagged;
		if (!gm_courier_take_lines(part, edge, 0, 1))
			return false;
		memcpy(to, edge + skip, length);
		to += length;
		line = 1;
	}
	if (lines > line) {
		if (!gm_courier_take_lines(part, to, line, lines - line))
			return false;
		to += (lines - line) * sizeof(edge);
		line = lines;
	}
	if (line * sizeof(edge) >= end)
		return true;
	if (!gm_courier_take_lines(part, edge, line, 1))
		return false;
	memcpy(to, edge, end - line * sizeof(edge));
	return true;
}

static void gm_courier_drain_all(struct gm_courier_part *part,
				 struct gm_pool *pool, unsigned int threads)
{
	const size_t end = part->skew + part->length;
	size_t chunk = part->chunk, next = 0, length;

	if (part->shared) {
		gm_pool_run(pool, threads, end,
			    part->chunk < GM_COURIER_SHARED ? part->chunk
							    : GM_COURIER_SHARED,
			    gm_courier_drain, part);
		return;
	}
	part->late = part->tagged && !gm_courier_take_tagged(part);
	for (size_t at = part->tagged; at < end; at += length) {
		while (next <= at) {
			next += chunk;
			chunk = gm_courier_next(part, chunk);
		}
		length = (next < end ? next : end) - at;
		gm_courier_prefetch(part, at + GM_COURIER_AHEAD, length);
		gm_courier_drain(part, at, length);
	}
}

int gm_courier_finish(struct gm_courier_part *part, bool staged,
		      struct gm_pool *pool, unsigned int threads)
{
	struct gm_courier *courier = part->courier;
	const size_t end = part->skew + part->length;
	int rc;

	if (staged)
		gm_courier_prefetch(part, 0, GM_COURIER_AHEAD);
	rc = gm_courier_wait(courier, part->number);
	if (rc)
		return rc;
	if (staged)
		gm_courier_drain_all(part, pool, threads);
	for (size_t at = 0; !staged && !part->late && at < end;
	     at += part->chunk)
		part->late = !gm_courier_wait_chunk(
			part, gm_courier_chunk_of(part, at));
	return part->late ? gm_courier_late(courier) : 0;
}
