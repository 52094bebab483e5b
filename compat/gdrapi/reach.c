// SPDX-License-Identifier: MIT
/*
 * From an address to a pin. GDRCopy takes whole GPU pages of 64 KiB, whatever
 * lies in them; gpumem_pin() takes a range of one allocation, of which it then
 * maps whole pages too. So a part of the range is looked for that pins and
 * touches all of its pages.
 */
#include <errno.h>

#include "library.h"

/* cuMemAlloc aligns to this at least. */
#define GDRAPI_ALIGN 512u

/* CU_POINTER_ATTRIBUTE_MEMORY_TYPE and _BUFFER_ID */
#define GDRAPI_CUDA_MEMORY_TYPE 2
#define GDRAPI_CUDA_BUFFER_ID 7

/* CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES */
#define GDRAPI_CUDA_HOST_PAGE_TABLES 100

/* What is asked for, where, and how it was pinned. */
struct gdrapi_reach {
	struct gdr *gdr;
	uint32_t flags;
	uint64_t end; /* of the last page */
	struct gdrapi_source source;
};

uint64_t gdrapi_memory_id(const struct gdrapi_gpu *gpu, uint64_t addr)
{
	uint64_t id = 0;

	if (!gpu->pointer_get ||
	    gpu->pointer_get(&id, GDRAPI_CUDA_BUFFER_ID, addr))
		return 0;
	return id;
}

/* Whether there may be something of CUDA's at an address. */
static bool gdrapi_is_memory(const struct gdrapi_gpu *gpu, uint64_t addr)
{
	unsigned int type;

	return !gpu->pointer_get ||
	       !gpu->pointer_get(&type, GDRAPI_CUDA_MEMORY_TYPE, addr);
}

static int gdrapi_pin_flags(struct gdrapi_source *source, uint64_t addr,
			    uint64_t length, unsigned int flags,
			    struct gpumem_buf **buf)
{
	source->flags = flags;
	return gpumem_pin(source->gpu->session, addr, length, flags, buf);
}

/*
 * Pins, persistently where that can be had. Without a coherent link there is no
 * way but PCIe, so that it need not be forced.
 */
static int gdrapi_pin_range(struct gdrapi_reach *reach, uint64_t addr,
			    uint64_t length, struct gpumem_buf **buf)
{
	struct gdrapi_source *source = &reach->source;
	unsigned int flags = GPUMEM_PIN_PERSISTENT;
	int rc;

	if (reach->flags & GDR_PIN_FLAG_FORCE_PCIE)
		flags |= GPUMEM_PIN_FORCE_BAR1;
	/* Asked for before, so that it never stands for later memory. */
	source->memory_id = gdrapi_memory_id(source->gpu, addr);
	rc = gdrapi_pin_flags(source, addr, length, flags, buf);
	if (rc == -EOPNOTSUPP && flags & GPUMEM_PIN_FORCE_BAR1 &&
	    !source->gpu->coherent) {
		flags &= ~GPUMEM_PIN_FORCE_BAR1;
		rc = gdrapi_pin_flags(source, addr, length, flags, buf);
	}
	if (rc != -EOPNOTSUPP || flags & GPUMEM_PIN_FORCE_BAR1)
		return rc;
	rc = gdrapi_pin_flags(source, addr, length, 0, buf);
	if (!rc && atomic_exchange(&reach->gdr->persistent, false))
		gdrapi_log(GDRAPI_WARN, "the driver has no persistent pins: "
					"mappings end with cuMemFree()");
	return rc;
}

/* Where two of the answers are errors, the one that says more. */
static int gdrapi_worse(int one, int other)
{
	return one == -EINVAL || one == -ERANGE ? other : one;
}

void gdrapi_lengthen(const struct gdrapi_source *source, uint64_t addr,
		     uint64_t there, uint64_t most, struct gpumem_buf **buf)
{
	uint64_t not_there = most + 1;

	while (not_there - there > 1) {
		uint64_t middle = there + (not_there - there) / 2;
		struct gpumem_buf *longer;

		if (gpumem_pin(source->gpu->session, addr, middle - addr,
			       source->flags, &longer)) {
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
		gdrapi_lengthen(&reach->source, addr, there, reach->end, buf);
	return rc;
}

/* Pins through one session. -EXDEV: the memory is on another GPU. */
static int gdrapi_reach_on(struct gdrapi_reach *reach, uint64_t addr,
			   uint64_t size, struct gpumem_buf **buf)
{
	uint64_t page_end = (addr & GPU_PAGE_MASK) + GPU_PAGE_SIZE;
	uint64_t limit = page_end < reach->end ? page_end : reach->end;
	int first;
	int rc;

	rc = gdrapi_pin_range(reach, addr, reach->end - addr, buf);
	if (rc == -ERANGE && addr + size < reach->end)
		rc = gdrapi_pin_range(reach, addr, size, buf);
	if (rc == -ERANGE)
		rc = gdrapi_pin_longest(reach, addr, buf);
	if (rc != -ERANGE && rc != -EINVAL)
		return rc;
	/*
	 * The caller rounded it down out of its allocation, into another one's
	 * end or into a gap: it begins later in the first page.
	 */
	if (addr % GPU_PAGE_SIZE || size % GPU_PAGE_SIZE)
		return rc;
	first = rc;
	for (uint64_t at = addr + GDRAPI_ALIGN; at < limit;
	     at += GDRAPI_ALIGN) {
		if (!gdrapi_is_memory(reach->source.gpu, at))
			continue;
		rc = gdrapi_pin_longest(reach, at, buf);
		if (rc != -ERANGE && rc != -EINVAL)
			return gdrapi_worse(first, rc);
	}
	return first;
}

/* A GPU that walks the CPU's page tables does so over a coherent link. */
static bool gdrapi_is_coherent(const struct gdrapi_gpu *gpu, int ordinal)
{
	int (*find)(int *device, int ordinal);
	int (*get)(int *value, int attribute, int device);
	int device, value;

	*(void **)&find = gpumem_cuda_symbol(gpu->session, "cuDeviceGet");
	*(void **)&get =
		gpumem_cuda_symbol(gpu->session, "cuDeviceGetAttribute");
	return find && get && !find(&device, ordinal) &&
	       !get(&value, GDRAPI_CUDA_HOST_PAGE_TABLES, device) && value;
}

static int gdrapi_gpu_open(struct gdrapi_gpu *gpu, int ordinal)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .device = ordinal };
	int rc = gpumem_open(&options, &gpu->session);

	if (rc) {
		gpu->session = NULL;
		return rc;
	}
	*(void **)&gpu->pointer_get =
		gpumem_cuda_symbol(gpu->session, "cuPointerGetAttribute");
	gpu->coherent = gdrapi_is_coherent(gpu, ordinal);
	gdrapi_log(GDRAPI_INFO, "GPU %d through backend %s", ordinal,
		   gpumem_backend_name(gpu->session));
	return 0;
}

/*
 * Tries the GPUs that are not open yet. One that does not have the memory is
 * closed again, so that no context stays on it.
 */
static int gdrapi_reach_new(struct gdrapi_reach *reach, uint64_t addr,
			    uint64_t size, struct gpumem_buf **buf)
{
	int failed = 0;
	int count = 1;

	for (int i = 0; i < count && i < GDRAPI_GPUS; i++) {
		struct gdrapi_gpu *gpu = &reach->gdr->gpus[i];
		int rc;

		if (gpu->session) {
			gpumem_device_count(gpu->session, &count);
			continue;
		}
		rc = gdrapi_gpu_open(gpu, i);
		if (rc == -ENODEV || rc == -ELIBACC || rc == -ENOENT)
			return failed ? failed : rc;
		if (rc) {
			failed = failed ? failed : rc;
			count += count == i + 1;
			continue;
		}
		gpumem_device_count(gpu->session, &count);
		reach->source.gpu = gpu;
		rc = gdrapi_reach_on(reach, addr, size, buf);
		if (rc != -EXDEV)
			return rc;
		gpumem_close(gpu->session);
		gpu->session = NULL;
	}
	return failed ? failed : -EXDEV;
}

int gdrapi_reach(struct gdr *g, uint64_t addr, uint64_t size, uint32_t flags,
		 struct gdrapi_source *source, struct gpumem_buf **buf)
{
	struct gdrapi_reach reach = {
		.gdr = g,
		.flags = flags,
		.end = (addr + size + GPU_PAGE_OFFSET) & GPU_PAGE_MASK,
	};
	int rc = -EXDEV;

	pthread_mutex_lock(&g->lock);
	for (unsigned int i = 0; i < GDRAPI_GPUS && rc == -EXDEV; i++) {
		reach.source.gpu = &g->gpus[i];
		if (g->gpus[i].session)
			rc = gdrapi_reach_on(&reach, addr, size, buf);
	}
	if (rc == -EXDEV)
		rc = gdrapi_reach_new(&reach, addr, size, buf);
	pthread_mutex_unlock(&g->lock);
	*source = reach.source;
	return rc;
}
