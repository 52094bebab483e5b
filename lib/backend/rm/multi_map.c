// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "core/backend.h"
#include "base/error.h"
#include "backend/rm/multi_map.h"

static uint64_t gm_rm_span_length(const struct gm_rm_part *parts, size_t count)
{
	uint64_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += parts[i].length;
	return length;
}

/* Maps one part in its place in the reserved addresses. */
static int gm_rm_part_map(struct gm_rm_cache *cache, struct gm_rm_part *part,
			  char *place)
{
	uint32_t memory = part->mem->memory;
	struct gm_rm_map map;
	int rc;

	rc = gm_rm_map(cache->rm, memory, part->offset, part->length, &map);
	if (rc == -ENOMEM && gm_rm_cache_flush(cache))
		rc = gm_rm_map(cache->rm, memory, part->offset, part->length,
			       &map);
	if (rc)
		return rc;
	if (!gm_backend_mmap_over(place, map.fd, part->length))
		rc = gm_rm_no_mmap(part->length);
	gm_rm_map_done(&map);
	if (rc) {
		gm_rm_unmap(cache->rm, memory, &map);
		return rc;
	}
	part->map = map;
	part->mapped = true;
	return 0;
}

/* Undoes the RM side of those parts that have one, after munmap. */
static void gm_rm_span_unmap_rm(struct gm_rm_cache *cache,
				struct gm_rm_part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (parts[i].mapped)
			gm_rm_unmap(cache->rm, parts[i].mem->memory,
				    &parts[i].map);
		parts[i].mapped = false;
	}
}

int gm_rm_span_map(struct gm_rm_cache *cache, struct gm_rm_part *parts,
		   size_t count, char **base)
{
	uint64_t length = gm_rm_span_length(parts, count), at = 0;
	char *place;
	int rc = 0;

	place = mmap(NULL, length, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (place == MAP_FAILED)
		return gm_rm_no_mmap(length);
	for (size_t i = 0; i < count && !rc; i++) {
		rc = gm_rm_part_map(cache, &parts[i], place + at);
		at += parts[i].length;
	}
	if (rc) {
		munmap(place, length);
		gm_rm_span_unmap_rm(cache, parts, count);
		return rc;
	}
	gm_debug("rm: %zu parts mapped side by side, %" PRIu64 " bytes", count,
		 length);
	*base = place;
	return 0;
}

void gm_rm_span_unmap(struct gm_rm_cache *cache, struct gm_rm_part *parts,
		      size_t count, char *base)
{
	munmap(base, gm_rm_span_length(parts, count));
	gm_rm_span_unmap_rm(cache, parts, count);
}
