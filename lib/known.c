// SPDX-License-Identifier: MIT
#include "known.h"

static bool gm_range_holds(const struct gm_known *known, unsigned int i,
			   uint64_t from, size_t length)
{
	uint64_t start = atomic_load_explicit(&known->range[i].start,
					      memory_order_relaxed);
	uint64_t size = atomic_load_explicit(&known->range[i].size,
					     memory_order_relaxed);

	/* What lies before the start is far behind it. */
	return from - start < size && length <= size - (from - start);
}

bool gm_known_holds(const struct gm_known *known, const void *host,
		    size_t length)
{
	for (unsigned int i = 0; i < GM_KNOWN; i++)
		if (gm_range_holds(known, i, (uintptr_t)host, length))
			return true;
	return false;
}

void gm_known_learn(struct gm_known *known, uint64_t start, size_t size)
{
	unsigned int i = atomic_fetch_add_explicit(&known->next, 1,
						   memory_order_relaxed) %
			 GM_KNOWN;

	atomic_store_explicit(&known->range[i].start, start,
			      memory_order_relaxed);
	atomic_store_explicit(&known->range[i].size, size,
			      memory_order_relaxed);
}

void gm_known_forget(struct gm_known *known, const void *host)
{
	for (unsigned int i = 0; i < GM_KNOWN; i++)
		if (gm_range_holds(known, i, (uintptr_t)host, 1))
			atomic_store_explicit(&known->range[i].size, 0,
					      memory_order_relaxed);
}

static uintptr_t gm_plain_piece(const void *host)
{
	return (uintptr_t)host >> GM_PLAIN_SHIFT;
}

bool gm_plain_holds(const struct gm_plain *plain, const void *host)
{
	const uintptr_t piece = gm_plain_piece(host);

	return atomic_load_explicit(&plain->piece[piece % GM_PLAIN],
				    memory_order_relaxed) == piece;
}

void gm_plain_learn(struct gm_plain *plain, const void *host)
{
	const uintptr_t piece = gm_plain_piece(host);

	atomic_store_explicit(&plain->piece[piece % GM_PLAIN], piece,
			      memory_order_relaxed);
}

void gm_plain_forget(struct gm_plain *plain, const void *host)
{
	const uintptr_t piece = gm_plain_piece(host);

	if (gm_plain_holds(plain, host))
		atomic_store_explicit(&plain->piece[piece % GM_PLAIN], 0,
				      memory_order_relaxed);
}
