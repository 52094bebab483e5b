// SPDX-License-Identifier: MIT
/*
 * From an address to a pin. GDRCopy takes whole GPU pages of 64 KiB, whatever
 * lies in them; gpumem_pin() takes a range of one allocation, of which it then
 * maps whole pages too. So a part of the range is looked for that pins and
 * touches all of its pages.
 */
#include <errno.h>
#include <stdlib.h>

#include "private.h"

/* cuMemAlloc aligns to this at least. */
#define GDRAPI_ALIGN 512u

/* What is asked for, where, and how it was pinned. */
struct gdrapi_reach {
	struct gdr *gdr;
	uint32_t flags;
	uint64_t end; /* of the last page */
	const struct gdrapi_gpu *gpu;
	unsigned int pin_flags; /* GPUMEM_PIN_* of the last attempt */
};

static int gdrapi_pin_flags(struct gdrapi_reach *reach, uint64_t addr,
			    uint64_t length, unsigned int flags,
			    struct gpumem_buf **buf)
{
	reach->pin_flags = flags;
	return gpumem_pin(reach->gpu->session, addr, length, flags, buf);
}

/*
 * Pins, persistently where that can be had. Without a coherent link there is no
 * way but PCIe, so that it need not be forced.
 */
static int gdrapi_pin_range(struct gdrapi_reach *reach, uint64_t addr,
			    uint64_t length, struct gpumem_buf **buf)
{
	unsigned int flags = GPUMEM_PIN_PERSISTENT;
	int rc;

	if (reach->flags & GDR_PIN_FLAG_FORCE_PCIE)
		flags |= GPUMEM_PIN_FORCE_BAR1;
	rc = gdrapi_pin_flags(reach, addr, length, flags, buf);
	if (rc == -EOPNOTSUPP && flags & GPUMEM_PIN_FORCE_BAR1 &&
	    !reach->gpu->coherent) {
		flags &= ~GPUMEM_PIN_FORCE_BAR1;
		rc = gdrapi_pin_flags(reach, addr, length, flags, buf);
	}
	if (rc != -EOPNOTSUPP || flags & GPUMEM_PIN_FORCE_BAR1)
		return rc;
	rc = gdrapi_pin_flags(reach, addr, length, 0, buf);
	if (!rc && atomic_exchange(&reach->gdr->persistent, false))
		gdrapi_log(GDRAPI_WARN, "the driver has no persistent pins: "
					"mappings end with cuMemFree()");
	return rc;
}

/*
 * Replaces a buffer that ends at there by the longest one from addr on that can
 * be pinned in the same way and ends before or at most.
 */
static void gdrapi_lengthen(const struct gdrapi_reach *reach, uint64_t addr,
			    uint64_t there, uint64_t most,
			    struct gpumem_buf **buf)
{
	uint64_t not_there = most + 1;

	while (not_there - there > 1) {
		uint64_t middle = there + (not_there - there) / 2;
		struct gpumem_buf *longer;

		if (gpumem_pin(reach->gpu->session, addr, middle - addr,
			       reach->pin_flags, &longer)) {
			not_there = middle;
			continue;
		}
		there = middle;
		gpumem_unpin(*buf);
		*buf = longer;
	}
}

/*
 * Pins from addr on as much of the range as there is, but no less than up to
 * the first byte of its last page: copies reach what is pinned the fast way.
 */
static int gdrapi_pin_longest(struct gdrapi_reach *reach, uint64_t addr,
			      struct gpumem_buf **buf)
{
	uint64_t last_page = (reach->end - 1) & GPU_PAGE_MASK;
	uint64_t there = (addr > last_page ? addr : last_page) + 1;
	int rc = gdrapi_pin_range(reach, addr, there - addr, buf);

	if (!rc)
		gdrapi_lengthen(reach, addr, there, reach->end, buf);
	return rc;
}

/* Pins from addr on all of the range, or what there is of it. */
static int gdrapi_pin_first(struct gdrapi_reach *reach, uint64_t addr,
			    uint64_t size, struct gpumem_buf **buf)
{
	int rc = gdrapi_pin_range(reach, addr, reach->end - addr, buf);

	if (rc == -ERANGE && addr + size < reach->end)
		rc = gdrapi_pin_range(reach, addr, size, buf);
	if (rc == -ERANGE)
		rc = gdrapi_pin_longest(reach, addr, buf);
	return rc;
}

/*
 * GDRCopy's copies go through the mapping, where memory may be freed at any time.
 * One of CUDA's that meets that ends the context: none is made, unless the user
 * asks for them.
 */
static int gdrapi_engine_choose(struct gpumem *session)
{
	struct gpumem_copy_settings settings = { .size = sizeof(settings) };
	const char *wanted = secure_getenv("GPUMEM_COPY_ENGINE");
	int rc = gpumem_copy_settings_get(session, &settings);

	if (rc)
		return rc;
	if (wanted && *wanted)
		return 0;
	settings.copy_engine = 0;
	return gpumem_copy_settings_set(session, &settings);
}

static int gdrapi_gpu_open(struct gdrapi_gpu *gpu, int ordinal)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .device = ordinal };
	struct gpumem *session;
	int rc = gpumem_open(&options, &session);

	if (rc)
		return rc;
	rc = gdrapi_engine_choose(session);
	if (rc) {
		gpumem_close(session);
		return rc;
	}
	gpu->coherent = gdrapi_is_coherent(session, ordinal);
	gdrapi_log(GDRAPI_INFO, "GPU %d through backend %s", ordinal,
		   gpumem_backend_name(session));
	gpu->session = session;
	return 0;
}

/* The GPU that an address is on, opened if it was not; no other one is. */
static int gdrapi_gpu_of(struct gdrapi_reach *reach, uint64_t addr)
{
	struct gdrapi_gpu *gpu;
	int ordinal = -1;
	int rc = gpumem_device_of(addr, &ordinal);

	if (rc)
		return rc;
	if (ordinal >= GDRAPI_GPUS)
		return -ENODEV;
	gpu = &reach->gdr->gpus[ordinal];
	reach->gpu = gpu;
	if (gpu->session)
		return 0;
	/* It may wait for the GPU's kernels: no pin on another one waits with it. */
	pthread_mutex_lock(&gpu->opening);
	if (!gpu->session)
		rc = gdrapi_gpu_open(gpu, ordinal);
	pthread_mutex_unlock(&gpu->opening);
	return rc;
}

/* -EINVAL, -ERANGE: there is nothing to pin from there on. */
static int gdrapi_reach_at(struct gdrapi_reach *reach, uint64_t at,
			   uint64_t addr, uint64_t size,
			   struct gpumem_buf **buf)
{
	int rc = gdrapi_gpu_of(reach, at);

	if (rc)
		return rc;
	return at == addr ? gdrapi_pin_first(reach, addr, size, buf)
			  : gdrapi_pin_longest(reach, at, buf);
}

/*
 * Where nothing can be pinned from addr on, the caller may have rounded it down
 * out of its allocation, into another one's end or into a gap: it begins later
 * in the first page.
 */
static int gdrapi_reach_from(struct gdrapi_reach *reach, uint64_t addr,
			     uint64_t size, struct gpumem_buf **buf)
{
	bool rounded = addr % GPU_PAGE_SIZE == 0 && size % GPU_PAGE_SIZE == 0;
	uint64_t limit = rounded ? addr + GPU_PAGE_SIZE : addr;
	uint64_t at = addr;
	int rc;

	do {
		rc = gdrapi_reach_at(reach, at, addr, size, buf);
		if (rc != -ERANGE && rc != -EINVAL)
			return rc;
		at += GDRAPI_ALIGN;
	} while (at < limit);
	/* Once more for the reason that the caller's address is refused for. */
	return rounded ? gdrapi_reach_at(reach, addr, addr, size, buf) : rc;
}

int gdrapi_reach(struct gdr *g, uint64_t addr, uint64_t size, uint32_t flags,
		 struct gpumem_buf **buf)
{
	struct gdrapi_reach reach = {
		.gdr = g,
		.flags = flags,
		.end = (addr + size + GPU_PAGE_OFFSET) & GPU_PAGE_MASK,
	};

	return gdrapi_reach_from(&reach, addr, size, buf);
}
