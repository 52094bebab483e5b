/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * The stock driver's user interface (RM) as far as the emulator answers it, in
 * the layout of the R580 drivers. Written so that user space can include it.
 */
#ifndef EMU_RM_ABI_H
#define EMU_RM_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define RM_MAJOR 195
#define RM_MINOR_CTL 255

#define RM_IOC_MAGIC 'F'
#define RM_ESC_FREE 0x29
#define RM_ESC_CONTROL 0x2a
#define RM_ESC_ALLOC 0x2b
#define RM_ESC_DUP_OBJECT 0x34
#define RM_ESC_MAP_MEMORY 0x4e
#define RM_ESC_UNMAP_MEMORY 0x4f
#define RM_ESC_CARD_INFO 200
#define RM_ESC_REGISTER_FD 201
#define RM_ESC_CHECK_VERSION_STR 210
#define RM_ESC_EXPORT_TO_DMABUF 217

#define RM_CLASS_CLIENT 0x0041
#define RM_CLASS_MEMORY 0x0040
#define RM_CLASS_DEVICE 0x0080
#define RM_CLASS_SUBDEVICE 0x2080

#define RM_CONTROL_GPU_GET_ID_INFO_V2 0x205
#define RM_CONTROL_OBJECTS_ARE_DUPLICATES 0xd07
#define RM_CONTROL_IMPORT_OBJECTS_FROM_FD 0x3d0c
#define RM_CONTROL_GET_SURFACE_INFO 0x410110

enum rm_status {
	RM_OK = 0x00,
	RM_ERR_GPU_IS_LOST = 0x0f,
	RM_ERR_INSERT_DUPLICATE_NAME = 0x19,
	RM_ERR_INSUFFICIENT_RESOURCES = 0x1a,
	RM_ERR_INSUFFICIENT_PERMISSIONS = 0x1b,
	RM_ERR_INVALID_ARGUMENT = 0x1f,
	RM_ERR_INVALID_BASE = 0x20,
	RM_ERR_INVALID_CLASS = 0x22,
	RM_ERR_INVALID_CLIENT = 0x23,
	RM_ERR_INVALID_DEVICE = 0x26,
	RM_ERR_INVALID_LIMIT = 0x2e,
	RM_ERR_INVALID_OBJECT_HANDLE = 0x33,
	RM_ERR_INVALID_OBJECT_NEW = 0x34,
	RM_ERR_INVALID_OBJECT_PARENT = 0x36,
	RM_ERR_INVALID_PARAM_STRUCT = 0x3a,
	RM_ERR_INVALID_PARAMETER = 0x3b,
	RM_ERR_INVALID_POINTER = 0x3d,
	RM_ERR_NO_MEMORY = 0x51,
	RM_ERR_NOT_SUPPORTED = 0x56,
	RM_ERR_OBJECT_NOT_FOUND = 0x57,
	RM_ERR_OUT_OF_RANGE = 0x5b,
	RM_ERR_STATE_IN_USE = 0x63,
};

struct rm_alloc {
	__u32 root;
	__u32 parent;
	__u32 object; /* in: 0 or the handle wanted; out: the handle */
	__u32 class;
	__aligned_u64 params;
	__u32 params_size; /* 0: not told */
	__u32 status;
};

struct rm_device_params {
	__u32 device_id; /* device instance */
	__u32 client_share;
	__u32 target_client;
	__u32 target_device;
	__u32 flags;
	__u32 pad;
	__aligned_u64 va_size;
	__aligned_u64 va_start;
	__aligned_u64 va_limit;
	__u32 va_mode;
	__u32 pad2;
};

struct rm_control {
	__u32 client;
	__u32 object;
	__u32 cmd;
	__u32 flags;
	__aligned_u64 params;
	__u32 params_size;
	__u32 status;
};

struct rm_gpu_id_info {
	__u32 gpu_id; /* in */
	__u32 flags;
	__u32 device_instance;
	__u32 subdevice_instance;
	__u32 sli_status;
	__u32 board_id;
	__u32 gpu_instance;
	__s32 numa_id;
};

/* Bits 0 and 1 of flags: 0 read and write, 1 read only, 2 write only. */
#define RM_MAP_ACCESS_MASK 0x3
#define RM_MAP_READ_ONLY 0x1
/* Bits 23 to 25 of flags, out: how the CPU caches it. */
#define RM_MAP_CACHING_MASK (7u << 23)
#define RM_MAP_CACHING_DEFAULT (6u << 23)
#define RM_MAP_CACHING_UNCACHED_WEAK (7u << 23)
struct rm_map_memory {
	__u32 client;
	__u32 device;
	__u32 memory;
	__u32 pad;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 linear; /* out: physical address of the first byte */
	__u32 status;
	__u32 flags;
	__s32 fd;
	__u32 pad2;
};

struct rm_unmap_memory {
	__u32 client;
	__u32 device;
	__u32 memory;
	__u32 pad;
	__aligned_u64 linear;
	__u32 status;
	__u32 flags;
};

struct rm_dup_object {
	__u32 client;
	__u32 parent;
	__u32 object; /* in: 0 or the handle wanted; out: the handle */
	__u32 client_src;
	__u32 object_src;
	__u32 flags;
	__u32 status;
};

struct rm_free {
	__u32 root;
	__u32 parent;
	__u32 object;
	__u32 status;
};

struct rm_card_info {
	__u8 valid;
	__u8 pad[3];
	__u32 domain;
	__u8 bus;
	__u8 slot;
	__u8 function; /* never filled in */
	__u8 pad2;
	__u16 vendor_id;
	__u16 device_id;
	__u32 gpu_id;
	__u16 irq;
	__u16 pad3;
	__aligned_u64 reg_address;
	__aligned_u64 reg_size;
	__aligned_u64 fb_address;
	__aligned_u64 fb_size;
	__u32 minor;
	__u8 name[10];
	__u8 pad4[2];
};

struct rm_register_fd {
	__s32 ctl_fd;
};

#define RM_VERSION_STRICT 0
#define RM_VERSION_RELAXED '1'
#define RM_VERSION_QUERY '2'
struct rm_version {
	__u32 cmd;
	__u32 reply; /* out: 1 the version is the driver's */
	char string[64];
};

#define RM_IMPORT_OBJECTS 128
#define RM_IMPORT_NONE 0
#define RM_IMPORT_VIDEO_MEMORY 1
struct rm_import {
	__s32 fd;
	__u32 parent;
	__u32 objects[RM_IMPORT_OBJECTS]; /* in: 0 or the handle wanted */
	__u8 types[RM_IMPORT_OBJECTS]; /* out */
	__u16 num;
	__u16 index; /* of the first among those of the descriptor */
};

/* RM_CONTROL_GET_SURFACE_INFO: the size of the object, in units of 4 KiB. */
#define RM_SURFACE_PHYS_SIZE 7
#define RM_SURFACE_ITEMS 8
struct rm_surface_item {
	__u32 index; /* in */
	__u32 data; /* out */
};

struct rm_surface_info {
	__u32 count;
	__u32 pad0;
	__u64 items;
};

/* RM_CONTROL_OBJECTS_ARE_DUPLICATES */
struct rm_duplicates {
	__u32 object1;
	__u32 object2;
	__u32 same; /* out */
};

/* EXPORT_TO_DMABUF, before 570.86.15 and from it on. */
#define RM_DMABUF_SIZE_OLD 2600
#define RM_DMABUF_STATUS_OLD 2592
#define RM_DMABUF_SIZE 2608
#define RM_DMABUF_STATUS 2600

#endif /* EMU_RM_ABI_H */
