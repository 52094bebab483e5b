// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

/* What gdr_get_info() of versions before 2.4 fills in. */
struct gdrapi_info_v1 {
	uint64_t va;
	uint64_t mapped_size;
	uint32_t page_size;
	uint64_t tm_cycles;
	uint32_t cycles_per_ms;
	unsigned mapped : 1;
	unsigned wc_mapping : 1;
};

/* Of a pin's mapping, or of the one that it will have. */
static gdr_mapping_type_t gdrapi_map_type(const struct gdrapi_pin *pin)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };

	if (gpumem_buf_get(pin->buf, &info))
		return GDR_MAPPING_TYPE_WC;
	if (info.flags & GPUMEM_BUF_DEVICE_MEMORY)
		return GDR_MAPPING_TYPE_DEVICE;
	return info.flags & GPUMEM_BUF_CACHED ? GDR_MAPPING_TYPE_CACHING
					      : GDR_MAPPING_TYPE_WC;
}

#undef gdr_get_info
int gdr_get_info(gdr_t g, gdr_mh_t handle, struct gdrapi_info_v1 *info);

static int gdrapi_info(struct gdr *g, gdr_mh_t handle, const char *call,
		       gdr_info_v2_t *info)
{
	struct gdrapi_pin *pin;
	int error = gdrapi_get(g, call);

	if (error)
		return error;
	error = gdrapi_pin_lock(g, handle, call, &pin);
	if (!error) {
		bool mapped = atomic_load(&pin->map);
		gdr_mapping_type_t type = gdrapi_map_type(pin);

		*info = (gdr_info_v2_t){
			.va = pin->va,
			.mapped_size = pin->mapped_size,
			.page_size = GPU_PAGE_SIZE,
			.mapped = mapped,
			.wc_mapping = mapped && type == GDR_MAPPING_TYPE_WC,
			.mapping_type = mapped ? type : GDR_MAPPING_TYPE_NONE,
		};
		gdrapi_pin_unlock(pin);
	}
	gdrapi_put(g);
	return error;
}

int gdr_get_info_v2(gdr_t g, gdr_mh_t handle, gdr_info_v2_t *info)
{
	if (!info)
		return gdrapi_error(EINVAL, "gdr_get_info: info is NULL");
	return gdrapi_info(g, handle, "gdr_get_info", info);
}

int gdr_get_info(gdr_t g, gdr_mh_t handle, struct gdrapi_info_v1 *info)
{
	gdr_info_v2_t found;
	int error;

	if (!info)
		return gdrapi_error(EINVAL, "gdr_get_info: info is NULL");
	error = gdrapi_info(g, handle, "gdr_get_info", &found);
	if (!error)
		*info = (struct gdrapi_info_v1){
			.va = found.va,
			.mapped_size = found.mapped_size,
			.page_size = found.page_size,
			.mapped = found.mapped,
			.wc_mapping = found.wc_mapping,
		};
	return error;
}

/* To pages of the host's, in which it maps. */
static size_t gdrapi_round(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) & ~(page - 1);
}

/* Bytes from va on that a mapping of the buffer shows; 0: not even va. */
static uint64_t gdrapi_map_room(const struct gdrapi_pin *pin,
				const struct gpumem_buf_info *info)
{
	uint64_t before = info->addr - pin->va;
	uint64_t room;

	if (info->addr_offset < before)
		return 0;
	room = info->page_count * info->page_size -
	       (info->addr_offset - before);
	return room < pin->mapped_size ? room : pin->mapped_size;
}

/* Locked. */
static int gdrapi_map(struct gdrapi_pin *pin, size_t size, void **va)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	void *cpu;
	int rc;

	if (!va)
		return gdrapi_error(EINVAL, "gdr_map: va is NULL");
	if (pin->addr != pin->va)
		return gdrapi_error(EINVAL,
				    "gdr_map: 0x%llx was pinned, which is not "
				    "at the start of a page of 64 KiB; pin "
				    "from such a one on",
				    (unsigned long long)pin->addr);
	rc = gpumem_buf_get(pin->buf, &info);
	if (!rc && (!size || size > pin->mapped_size ||
		    gdrapi_round(size) > gdrapi_map_room(pin, &info)))
		return gdrapi_error(
			EINVAL, "gdr_map: %zu bytes: the buffer has %llu", size,
			(unsigned long long)gdrapi_map_room(pin, &info));
	if (!rc)
		rc = gpumem_map(pin->buf, &cpu);
	if (rc)
		return gdrapi_error_of(rc, "gdr_map");
	gdrapi_pin_mapped(pin, (uintptr_t)cpu - (info.addr - pin->va),
			  gdrapi_round(size));
	*va = (char *)cpu - (info.addr - pin->va);
	gdrapi_log(GDRAPI_DEBUG, "gdr_map: 0x%llx at %p",
		   (unsigned long long)pin->va, *va);
	return 0;
}

static int gdrapi_map_check_flags(const struct gdrapi_pin *pin, int flags)
{
	static const char *const names[] = {
		[GDR_MAPPING_TYPE_WC] = "write-combined",
		[GDR_MAPPING_TYPE_CACHING] = "cached",
		[GDR_MAPPING_TYPE_DEVICE] = "of Device memory",
	};
	gdr_mapping_type_t type;

	if (flags < GDR_MAP_FLAG_DEFAULT ||
	    flags > GDR_MAP_FLAG_REQ_DEVICE_MAPPING)
		return gdrapi_error(EINVAL, "gdr_map: flags %d are unknown",
				    flags);
	if (flags == GDR_MAP_FLAG_DEFAULT)
		return 0;
	/* The flags are numbered as the types are. */
	type = gdrapi_map_type(pin);
	if (flags != (int)type)
		return gdrapi_error(EOPNOTSUPP,
				    "gdr_map: mappings are %s here; ask for "
				    "that, or for the default",
				    names[type]);
	return 0;
}

int gdr_map_v2(gdr_t g, gdr_mh_t handle, void **va, size_t size, int flags)
{
	struct gdrapi_pin *pin;
	int error = gdrapi_get(g, "gdr_map");

	if (error)
		return error;
	error = gdrapi_pin_lock(g, handle, "gdr_map", &pin);
	if (error)
		goto put;
	if (atomic_load(&pin->map))
		error = gdrapi_error(EAGAIN, "gdr_map: it is mapped already");
	else
		error = gdrapi_map_check_flags(pin, flags);
	if (!error)
		error = gdrapi_map(pin, size, va);
	gdrapi_pin_unlock(pin);
put:
	gdrapi_put(g);
	return error;
}

int gdr_map(gdr_t g, gdr_mh_t handle, void **va, size_t size)
{
	return gdr_map_v2(g, handle, va, size, GDR_MAP_FLAG_DEFAULT);
}

/*
 * Locked. The handle names the mapping; clients give its address, or like DPDK
 * the device address that was pinned.
 */
static int gdrapi_unmap(struct gdrapi_pin *pin, const void *va, size_t size)
{
	uintptr_t map = atomic_load(&pin->map);
	bool known = (uintptr_t)va == map || (uintptr_t)va == pin->addr;

	if (!map)
		return gdrapi_error(EINVAL, "gdr_unmap: it is not mapped");
	if (!known || !size || size > pin->mapped_size)
		return gdrapi_error(EINVAL,
				    "gdr_unmap: %zu bytes at %p: it is mapped "
				    "at %p",
				    size, va, (void *)map);
	gdrapi_pin_unmapped(pin);
	return gdrapi_error_of(gpumem_unmap(pin->buf), "gdr_unmap");
}

int gdr_unmap(gdr_t g, gdr_mh_t handle, void *va, size_t size)
{
	struct gdrapi_pin *pin;
	int error = gdrapi_get(g, "gdr_unmap");

	if (error)
		return error;
	error = gdrapi_pin_lock(g, handle, "gdr_unmap", &pin);
	if (!error) {
		error = gdrapi_unmap(pin, va, size);
		gdrapi_pin_unlock(pin);
	}
	gdrapi_put(g);
	return error;
}
