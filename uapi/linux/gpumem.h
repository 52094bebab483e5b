/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * /dev/gpumem: the contract between gpumem.ko and user space.
 *
 * Every ioctl takes a pointer to a structure whose first member is its size in
 * bytes, set by the caller to sizeof(the structure). A kernel that knows a
 * longer structure treats the missing tail as zero; a kernel that knows a
 * shorter one accepts the call only if the unknown tail is zero. Reserved
 * members must be zero.
 *
 * A pin belongs to the open file it was made through, and an open file belongs
 * to the process that made the first pin through it. Pins of other files do not
 * exist as far as this file is concerned.
 *
 * Errors that any call may return:
 *   ENOTTY     the command number is unknown
 *   EINVAL     size is below the structure's first published size, or a
 *              reserved member or an unknown flag is not zero
 *   E2BIG      size is larger than this kernel's structure and the tail that
 *              this kernel does not know is not zero
 *   EFAULT     the structure, or memory it points to, cannot be read or written
 *   EPERM      another process owns this open file (a forked child, or a
 *              process that was sent the descriptor)
 *   ENOMEM     the kernel is out of memory
 */
#ifndef _UAPI_LINUX_GPUMEM_H
#define _UAPI_LINUX_GPUMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define GPUMEM_DEVICE_NODE "/dev/gpumem"
#define GPUMEM_PROC_NODE "/proc/gpumem"

/* Raised when a change would break a program; added calls and members do not. */
#define GPUMEM_ABI_VERSION 1

#define GPUMEM_IOC_TYPE 'g'
#define GPUMEM_IOC_VERSION _IO(GPUMEM_IOC_TYPE, 0x40)
#define GPUMEM_IOC_PIN _IO(GPUMEM_IOC_TYPE, 0x41)
#define GPUMEM_IOC_UNPIN _IO(GPUMEM_IOC_TYPE, 0x42)
#define GPUMEM_IOC_INFO _IO(GPUMEM_IOC_TYPE, 0x43)
#define GPUMEM_IOC_PAGES _IO(GPUMEM_IOC_TYPE, 0x44)

/**
 * struct gpumem_version - GPUMEM_IOC_VERSION: what this kernel module is
 * @size:	in: sizeof(struct gpumem_version)
 * @abi:	out: GPUMEM_ABI_VERSION of the module
 * @release:	out: the module's release, a NUL-terminated string
 * @p2p_page_table: out: newest nv-p2p page table version the module was built
 *		for, as the NVIDIA driver numbers it (0x00MMmmmm)
 * @__reserved:	must be zero
 *
 * Allowed to every process that holds the file.
 */
struct gpumem_version {
	__u32 size;
	__u32 abi;
	__u8 release[32];
	__u32 p2p_page_table;
	__u32 __reserved;
};

/**
 * struct gpumem_pin - GPUMEM_IOC_PIN: pin a range of GPU memory
 * @size:	in: sizeof(struct gpumem_pin)
 * @flags:	in: must be zero
 * @addr:	in: GPU virtual address of the first byte (a CUdeviceptr), of any
 *		alignment
 * @length:	in: bytes, at least 1; [addr, addr + length) must lie in one
 *		allocation of the calling process
 * @pin:	out: id of the pin, never 0, valid for this open file only
 * @page_size:	out: bytes in one GPU page: 4096, 65536 or 131072
 * @page_count:	out: pages pinned: addr is rounded down and addr + length up to
 *		whole pages
 * @mmap_offset: out: offset to give to mmap() for the first byte of the first
 *		page; the pages follow each other in the mapping whatever their
 *		physical addresses
 * @addr_offset: out: bytes from the first page's first byte to @addr
 * @__reserved:	must be zero
 *
 * The pin stays until UNPIN, until the file is closed, or until the driver
 * takes the memory back (cuMemFree, the owner's exit): see GPUMEM_PIN_REVOKED.
 *
 * Errors:
 *   EINVAL	length is 0, or the range is not in one allocation of this
 *		process on a GPU (wrong or freed address, past the end)
 *   EOVERFLOW	addr + length does not fit in 64 bits, or the range has more
 *		pages than a pin can have (GPUMEM_PIN_MAX_LENGTH)
 *   ENOMEM	out of kernel memory or of BAR1 space
 *   ENOSPC	this file holds as many pins as it can
 *   EOPNOTSUPP	the driver says that this GPU or memory cannot be pinned
 *   EBUSY, ENODEV, EIO	from the driver: busy, GPU gone, GPU error
 *   EPROTO	the loaded NVIDIA driver speaks another page table version
 */
struct gpumem_pin {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 length;
	__u32 pin;
	__u32 page_size;
	__aligned_u64 page_count;
	__aligned_u64 mmap_offset;
	__aligned_u64 addr_offset;
	__aligned_u64 __reserved;
};

/* Longest range that one pin can cover, in bytes. */
#define GPUMEM_PIN_MAX_LENGTH (1ULL << 42)

/**
 * struct gpumem_unpin - GPUMEM_IOC_UNPIN: release a pin
 * @size:	in: sizeof(struct gpumem_unpin)
 * @pin:	in: id of the pin
 *
 * Mappings of the pin lose their pages: a later access raises SIGBUS.
 *
 * Errors:
 *   ENOENT	this file has no such pin (never had, or unpinned before)
 */
struct gpumem_unpin {
	__u32 size;
	__u32 pin;
};

/* The driver took the memory back; only UNPIN and INFO are left. */
#define GPUMEM_PIN_REVOKED (1U << 0)

/**
 * struct gpumem_info - GPUMEM_IOC_INFO: describe a pin
 * @size:	in: sizeof(struct gpumem_info)
 * @pin:	in: id of the pin
 * @flags:	out: GPUMEM_PIN_REVOKED
 * @page_size:	out: bytes in one GPU page
 * @addr:	out: GPU virtual address that was pinned
 * @length:	out: bytes that were pinned
 * @page_count:	out: pages pinned
 * @mmap_offset: out: as in struct gpumem_pin
 * @addr_offset: out: as in struct gpumem_pin
 * @mapped:	out: user mappings of the pin that exist now
 * @__reserved:	must be zero
 *
 * Errors:
 *   ENOENT	this file has no such pin
 */
struct gpumem_info {
	__u32 size;
	__u32 pin;
	__u32 flags;
	__u32 page_size;
	__aligned_u64 addr;
	__aligned_u64 length;
	__aligned_u64 page_count;
	__aligned_u64 mmap_offset;
	__aligned_u64 addr_offset;
	__u32 mapped;
	__u32 __reserved;
};

/**
 * struct gpumem_pages - GPUMEM_IOC_PAGES: physical addresses of a pin's pages
 * @size:	in: sizeof(struct gpumem_pages)
 * @pin:	in: id of the pin
 * @first:	in: index of the first page wanted
 * @count:	in: entries that @pages can take; out: entries written
 * @pages:	in: address of an array of @count __u64 that receives the physical
 *		(BAR1) address of each page; the pages need not be contiguous
 *
 * These are CPU physical addresses. A PCI device behind an IOMMU cannot use
 * them.
 *
 * Errors:
 *   ENOENT	this file has no such pin
 *   EINVAL	first is not below the pin's page count
 *   ENODEV	the pin was revoked
 */
struct gpumem_pages {
	__u32 size;
	__u32 pin;
	__aligned_u64 first;
	__aligned_u64 count;
	__aligned_u64 pages;
};

/*
 * mmap(addr, length, prot, MAP_SHARED, fd, mmap_offset + k):
 * k and length in multiples of the CPU's page size, within the pin's pages.
 * The mapping is write-combined, is not inherited by fork(), cannot grow and
 * cannot be executed. It holds the open file, not the pin: after UNPIN or a
 * revocation an access raises SIGBUS.
 *
 * Errors:
 *   EINVAL	MAP_PRIVATE, or length 0
 *   EPERM	the range is not wholly inside one live pin of this file, another
 *		process owns the file, or PROT_EXEC
 *   ENODEV	the pin was revoked
 */

#endif /* _UAPI_LINUX_GPUMEM_H */
