// SPDX-License-Identifier: MIT
/* gdr_get_attribute(), and which GPUs have a coherent link to the CPU. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

/*
 * CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES: the GPU uses
 * the CPU's page tables, over a link that is coherent both ways.
 */
#define GDRAPI_CUDA_HOST_PAGE_TABLES 100

/* The first driver release in which gpumem.ko can force BAR1. */
#define GDRAPI_FORCE_DRIVER 570

bool gdrapi_is_coherent(struct gpumem *session, int ordinal)
{
	int (*device_attribute)(int *value, int attribute, int device);
	int (*device_get)(int *device, int ordinal);
	int value = 0, device = 0;

	if (GDRAPI_ONLY_PCIE)
		return false;
	*(void **)&device_get = gpumem_cuda_symbol(session, "cuDeviceGet");
	*(void **)&device_attribute =
		gpumem_cuda_symbol(session, "cuDeviceGetAttribute");
	return !device_get || !device_attribute ||
	       device_get(&device, ordinal) ||
	       device_attribute(&value, GDRAPI_CUDA_HOST_PAGE_TABLES, device) ||
	       value;
}

/* A GPU that is open, or NULL. The first that has such a link, if one has. */
static const struct gdrapi_gpu *gdrapi_gpu_any(struct gdr *g)
{
	const struct gdrapi_gpu *found = NULL;

	for (unsigned int i = 0; i < GDRAPI_GPUS; i++) {
		const struct gdrapi_gpu *gpu = &g->gpus[i];

		if (gpu->session && (!found || gpu->coherent))
			found = gpu;
		if (found && found->coherent)
			break;
	}
	return found;
}

/* Through which backend buffers are pinned; NULL: a pin will tell. */
static const char *gdrapi_backend(const struct gdrapi_gpu *gpu)
{
	const char *forced = secure_getenv("GPUMEM_BACKEND");

	if (gpu)
		return gpumem_backend_name(gpu->session);
	return forced && *forced ? forced : NULL;
}

static bool gdrapi_is_kmod(const char *backend)
{
	struct gpumem_backend first = { .size = sizeof(first) };

	if (!backend && !gpumem_backend_get(0, &first) && !first.status)
		backend = first.name;
	return backend && !strcmp(backend, "kmod");
}

static bool gdrapi_driver_can_force(void)
{
	FILE *file = fopen("/sys/module/nvidia/version", "re");
	int release = 0;

	if (!file)
		return false;
	if (fscanf(file, "%d", &release) != 1)
		release = 0;
	fclose(file);
	return release >= GDRAPI_FORCE_DRIVER;
}

/*
 * Whether a pin through PCIe works, with which clients ask for no other where it
 * fails. Without a coherent link every pin is one; with it, gpumem.ko alone makes
 * one. Before a GPU is open it is not known whether there is such a link.
 */
static bool gdrapi_can_force(struct gdr *g)
{
	const struct gdrapi_gpu *gpu;

	if (GDRAPI_ONLY_PCIE)
		return true;
	gpu = gdrapi_gpu_any(g);
	if (gpu && !gpu->coherent)
		return true;
	return gdrapi_is_kmod(gdrapi_backend(gpu)) && gdrapi_driver_can_force();
}

static bool gdrapi_maps_dmabufs(struct gdr *g)
{
	const char *backend = gdrapi_backend(gdrapi_gpu_any(g));

	return backend && !strcmp(backend, "dmabuf");
}

static int gdrapi_attribute(struct gdr *g, gdr_attr_t attr, int *v)
{
	switch (attr) {
	case GDR_ATTR_USE_PERSISTENT_MAPPING:
		*v = atomic_load(&g->persistent);
		return 0;
	case GDR_ATTR_SUPPORT_PIN_FLAG_FORCE_PCIE:
		*v = gdrapi_can_force(g);
		return 0;
	case GDR_ATTR_USING_DMA_BUF_MMAP:
		*v = gdrapi_maps_dmabufs(g);
		return 0;
	case GDR_ATTR_VMA_INHERITED_ON_FORK:
		*v = 0;
		return 0;
	default:
		return gdrapi_error(EINVAL,
				    "gdr_get_attribute: there is no attribute "
				    "%d",
				    (int)attr);
	}
}

int gdr_get_attribute(gdr_t g, gdr_attr_t attr, int *v)
{
	int error = gdrapi_get(g, "gdr_get_attribute");

	if (error)
		return error;
	error = v ? gdrapi_attribute(g, attr, v)
		  : gdrapi_error(EINVAL, "gdr_get_attribute: v is NULL");
	gdrapi_put(g);
	return error;
}
