/* SPDX-License-Identifier: MIT */
/*
 * What /dev/nvidiactl and /dev/nvidia<minor> take, from driver 515 on:
 * ioctl(fd, _IOWR('F', nr, size), structure). Where a structure has a status,
 * a failing call returns 0 and sets that. Handles are 32-bit numbers.
 */
#ifndef GM_RM_ABI_H
#define GM_RM_ABI_H

#include <stddef.h>
#include <stdint.h>

enum gm_rm_nr {
	GM_RM_NR_FREE = 0x29,
	GM_RM_NR_CONTROL = 0x2a,
	GM_RM_NR_ALLOC = 0x2b,
	GM_RM_NR_DUP_OBJECT = 0x34,
	GM_RM_NR_MAP_MEMORY = 0x4e,
	GM_RM_NR_UNMAP_MEMORY = 0x4f,
	GM_RM_NR_CARD_INFO = 200,
	GM_RM_NR_REGISTER_FD = 201, /* int32_t: the control descriptor */
	GM_RM_NR_CHECK_VERSION = 210,
};

enum gm_rm_class {
	GM_RM_CLASS_ROOT = 0x41,
	GM_RM_CLASS_DEVICE = 0x80,
};

enum gm_rm_command {
	GM_RM_GPU_GET_ID_INFO_V2 = 0x205,
	/* NV0000_CTRL_CMD_CLIENT_OBJECTS_ARE_DUPLICATES, on the client */
	GM_RM_ARE_DUPLICATES = 0xd07,
	GM_RM_IMPORT_OBJECTS_FROM_FD = 0x3d0c,
	/* NV0041_CTRL_CMD_GET_SURFACE_INFO, on a memory object */
	GM_RM_GET_SURFACE_INFO = 0x410110,
};

/* Of GM_RM_GET_SURFACE_INFO: the object's size, in units of 4 KiB. */
#define GM_RM_SURFACE_PHYS_SIZE 7
#define GM_RM_SURFACE_UNIT 4096ull

/* Of an imported object's types. */
#define GM_RM_IMPORT_VIDEO_MEMORY 1

#define GM_RM_VERSION_QUERY '2'
#define GM_RM_CARDS 32

#define GM_AT(type, member, place)                               \
	_Static_assert(offsetof(struct type, member) == (place), \
		       #type "." #member)
#define GM_SIZE(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)

/* Before 535.43.02 there is no params_size, and status stands in its place. */
struct gm_rm_alloc_args {
	uint32_t root;
	uint32_t parent;
	uint32_t object; /* 0: the driver chooses the new handle */
	uint32_t class;
	uint64_t params;
	uint32_t params_size;
	uint32_t status;
};
GM_SIZE(gm_rm_alloc_args, 32);
GM_AT(gm_rm_alloc_args, params, 16);
GM_AT(gm_rm_alloc_args, params_size, 24);
GM_AT(gm_rm_alloc_args, status, 28);

struct gm_rm_control_args {
	uint32_t client;
	uint32_t object;
	uint32_t command;
	uint32_t flags;
	uint64_t params;
	uint32_t params_size;
	uint32_t status;
};
GM_SIZE(gm_rm_control_args, 32);
GM_AT(gm_rm_control_args, params, 16);
GM_AT(gm_rm_control_args, params_size, 24);
GM_AT(gm_rm_control_args, status, 28);

struct gm_rm_map_args {
	uint32_t client;
	uint32_t device;
	uint32_t memory;
	uint32_t pad0;
	uint64_t offset;
	uint64_t length;
	uint64_t linear;
	uint32_t status;
	uint32_t flags;
	int32_t fd;
	uint32_t pad1;
};
GM_SIZE(gm_rm_map_args, 56);
GM_AT(gm_rm_map_args, offset, 16);
GM_AT(gm_rm_map_args, length, 24);
GM_AT(gm_rm_map_args, linear, 32);
GM_AT(gm_rm_map_args, status, 40);
GM_AT(gm_rm_map_args, flags, 44);
GM_AT(gm_rm_map_args, fd, 48);

struct gm_rm_unmap_args {
	uint32_t client;
	uint32_t device;
	uint32_t memory;
	uint32_t pad0;
	uint64_t linear;
	uint32_t status;
	uint32_t flags;
};
GM_SIZE(gm_rm_unmap_args, 32);
GM_AT(gm_rm_unmap_args, linear, 16);
GM_AT(gm_rm_unmap_args, status, 24);

struct gm_rm_dup_args {
	uint32_t client;
	uint32_t parent;
	uint32_t object; /* 0: the driver chooses the new handle */
	uint32_t client_source;
	uint32_t object_source;
	uint32_t flags;
	uint32_t status;
};
GM_SIZE(gm_rm_dup_args, 28);
GM_AT(gm_rm_dup_args, client_source, 12);
GM_AT(gm_rm_dup_args, object_source, 16);
GM_AT(gm_rm_dup_args, status, 24);

struct gm_rm_free_args {
	uint32_t root;
	uint32_t parent;
	uint32_t object;
	uint32_t status;
};
GM_SIZE(gm_rm_free_args, 16);
GM_AT(gm_rm_free_args, status, 12);

struct gm_rm_card {
	uint8_t valid;
	uint8_t pad0[3];
	uint32_t domain;
	uint8_t bus;
	uint8_t slot;
	uint8_t function; /* never filled */
	uint8_t pad1;
	uint16_t vendor;
	uint16_t device;
	uint32_t gpu_id;
	uint16_t irq;
	uint16_t pad2;
	uint64_t registers[2];
	uint64_t framebuffer[2];
	uint32_t minor;
	uint8_t name[10];
	uint8_t pad3[2];
};
GM_SIZE(gm_rm_card, 72);
GM_AT(gm_rm_card, domain, 4);
GM_AT(gm_rm_card, bus, 8);
GM_AT(gm_rm_card, slot, 9);
GM_AT(gm_rm_card, vendor, 12);
GM_AT(gm_rm_card, gpu_id, 16);
GM_AT(gm_rm_card, registers, 24);
GM_AT(gm_rm_card, framebuffer, 40);
GM_AT(gm_rm_card, minor, 56);
GM_AT(gm_rm_card, name, 60);

struct gm_rm_device_params {
	uint32_t device_id; /* the GPU's device instance */
	uint32_t client_share;
	uint32_t target_client;
	uint32_t target_device;
	uint32_t flags;
	uint32_t pad0;
	uint64_t va_size;
	uint64_t va_start;
	uint64_t va_limit;
	uint32_t va_mode;
	uint32_t pad1;
};
GM_SIZE(gm_rm_device_params, 56);
GM_AT(gm_rm_device_params, va_size, 24);
GM_AT(gm_rm_device_params, va_mode, 48);

struct gm_rm_gpu_id_info {
	uint32_t gpu_id;
	uint32_t flags;
	uint32_t device_instance;
	uint32_t subdevice_instance;
	uint32_t rest[4];
};
GM_SIZE(gm_rm_gpu_id_info, 32);
GM_AT(gm_rm_gpu_id_info, device_instance, 8);

struct gm_rm_import_params {
	int32_t fd;
	uint32_t parent;
	uint32_t objects[128]; /* 0: the driver chooses the new handle */
	uint8_t types[128];
	uint16_t count;
	uint16_t index;
};
GM_SIZE(gm_rm_import_params, 652);
GM_AT(gm_rm_import_params, objects, 8);
GM_AT(gm_rm_import_params, types, 520);
GM_AT(gm_rm_import_params, count, 648);

struct gm_rm_surface_item {
	uint32_t index;
	uint32_t data;
};
GM_SIZE(gm_rm_surface_item, 8);

struct gm_rm_surface_params {
	uint32_t count;
	uint32_t pad0;
	uint64_t items;
};
GM_SIZE(gm_rm_surface_params, 16);
GM_AT(gm_rm_surface_params, items, 8);

struct gm_rm_duplicates_params {
	uint32_t object1;
	uint32_t object2;
	uint32_t same;
};
GM_SIZE(gm_rm_duplicates_params, 12);

struct gm_rm_version_args {
	uint32_t command;
	uint32_t reply;
	char string[64];
};
GM_SIZE(gm_rm_version_args, 72);
GM_AT(gm_rm_version_args, string, 8);

#undef GM_AT
#undef GM_SIZE

#endif /* GM_RM_ABI_H */
