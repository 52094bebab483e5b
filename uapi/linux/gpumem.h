/* SPDX-License-Identifier: ((GPL-2.0-only WITH Linux-syscall-note) OR MIT) */
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
 * to the process that made the first pin through it; one that tries and fails
 * does not own it. Pins of other files do not exist as far as this file is
 * concerned.
 *
 * Ids and mmap offsets are handed out in turn: one that has ended does not come
 * again before all others have.
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
#define GPUMEM_IOC_DMA_MAP _IO(GPUMEM_IOC_TYPE, 0x45)
#define GPUMEM_IOC_DMA_RUNS _IO(GPUMEM_IOC_TYPE, 0x46)
#define GPUMEM_IOC_DMA_UNMAP _IO(GPUMEM_IOC_TYPE, 0x47)
#define GPUMEM_IOC_EXPORT _IO(GPUMEM_IOC_TYPE, 0x48)

/**
 * struct gpumem_version - GPUMEM_IOC_VERSION: what this kernel module is
 * @size:	in: sizeof(struct gpumem_version)
 * @abi:	out: GPUMEM_ABI_VERSION of the module
 * @release:	out: the module's release, a NUL-terminated string
 * @features:	out: GPUMEM_FEATURE_* that this module was built with
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
	__aligned_u64 features;
};

/*
 * These need kernel functions that only modules beside the open flavour of the
 * NVIDIA driver may use; without them the calls are EOPNOTSUPP.
 */
#define GPUMEM_FEATURE_EVENTFD (1ULL << 0) /* gpumem_pin.event_fd */
#define GPUMEM_FEATURE_DMABUF (1ULL << 1) /* GPUMEM_IOC_EXPORT */

/**
 * struct gpumem_pin - GPUMEM_IOC_PIN: pin a range of GPU memory
 * @size:	in: sizeof(struct gpumem_pin)
 * @flags:	in: GPUMEM_PIN_PERSISTENT, GPUMEM_PIN_FORCE_BAR1, GPUMEM_PIN_EVENTFD
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
 * @event_fd:	in: with GPUMEM_PIN_EVENTFD, an eventfd that is signalled once when
 *		the pin is revoked; otherwise must be zero
 * @map_type:	out: GPUMEM_MAP_*: how the CPU maps the pages
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
 *   ENOSPC	the machine or this file holds as many pins as it can
 *   EDQUOT	this user has pinned as much as the module parameter user_limit
 *		allows, or has as many pins as user_pins allows; a pin counts
 *		until its last mapping and dma-buf are gone too
 *   EBADF	event_fd is no eventfd
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
	__s32 event_fd;
	__u32 map_type;
};

/*
 * What kind of memory a mapping is to the CPU, the same for each mapping of a pin.
 * NVIDIA's driver maps the memory in the same way.
 *
 * Device memory is what is left where write-combining does not work: on arm64, in
 * virtual machines, on BlueField-3 and on the first revision of Ampere Altra. There a
 * load or store that is not aligned to its size raises SIGBUS, and so do memset() and
 * memcpy() of the C library: use aligned words, or libgpumem's copies.
 *
 * Cached is the memory of a GPU with a coherent CPU link, which the kernel has mapped
 * cached too. With GPUMEM_PIN_FORCE_BAR1 it is mapped through BAR1 instead.
 */
#define GPUMEM_MAP_WRITE_COMBINED 0
#define GPUMEM_MAP_DEVICE 1
#define GPUMEM_MAP_CACHED 2

/*
 * The driver keeps the memory for this pin, even after cuMemFree, until UNPIN
 * or close: the pin is never revoked.
 */
#define GPUMEM_PIN_PERSISTENT (1U << 0)

/*
 * On a system with a coherent CPU link: use BAR1 all the same. Goes with
 * GPUMEM_PIN_PERSISTENT only. Where the driver has no such link or is older than
 * 570 the call is EOPNOTSUPP.
 */
#define GPUMEM_PIN_FORCE_BAR1 (1U << 1)

/* @event_fd is given. */
#define GPUMEM_PIN_EVENTFD (1U << 2)

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
 * @map_type:	out: as in struct gpumem_pin
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
	__u32 map_type;
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
 * These are CPU physical addresses. A PCI device behind an IOMMU, or behind a host
 * bridge that moves addresses, cannot use them.
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

/**
 * struct gpumem_dma_map - GPUMEM_IOC_DMA_MAP: let a PCI device reach a pin
 * @size:	in: sizeof(struct gpumem_dma_map)
 * @pin:	in: id of the pin
 * @flags:	in: must be zero
 * @domain:	in: PCI domain of the device
 * @bus:	in: PCI bus of the device
 * @devfn:	in: PCI slot of the device << 3 | function
 * @device_fd:	in: open descriptor that proves that the caller may use the
 *		device (see below), or -1
 * @dma:	out: id of the mapping, never 0, valid for this open file only
 * @page_size:	out: bytes in one page of the mapping
 * @run_count:	out: runs of contiguous addresses, for GPUMEM_IOC_DMA_RUNS
 * @port_domain: out: PCI domain of the port that @path is about
 * @port_bus:	out: PCI bus of that port
 * @port_devfn:	out: slot and function of that port, as @devfn
 * @path:	out: GPUMEM_DMA_PATH_*: the way of the device's requests to the GPU; 0
 *		from modules that do not tell
 * @__reserved:	must be zero
 *
 * The mapping is correct with an IOMMU in between. It covers the pin's whole
 * pages: @addr_offset of struct gpumem_pin says where the caller's first byte
 * lies. It ends with DMA_UNMAP, UNPIN, close, or when the pin is revoked; the
 * caller stops the device first. The GPU memory under it is not given to anyone
 * else before the mapping has ended.
 *
 * It also ends when the device's driver is about to leave it, or the device to be
 * taken out: DMA_RUNS is ENODEV then. A module without GPUMEM_FEATURE_DMABUF is not
 * told of either: there the caller unmaps first. A device without a driver is not
 * mapped for.
 *
 * A device that can do DMA can reach whatever its IOMMU domain allows, so only
 * those may map for it who control it anyway: a caller with CAP_SYS_RAWIO, or
 * one who can open for writing the device's sysfs file config, resource or
 * resourceN, and passes that descriptor as @device_fd.
 *
 * For a device that vfio-pci drives, hand the mmap()ed pin to VFIO instead
 * (VFIO_IOMMU_MAP_DMA): its domain is VFIO's, not the kernel's. VFIO's type 1
 * driver looks at the mapping once and is never told that a pin has ended: after
 * a revocation the device goes on reaching physical addresses that may be somebody
 * else's by then. So use a GPUMEM_PIN_PERSISTENT pin, which no cuMemFree revokes,
 * and VFIO_IOMMU_UNMAP_DMA before UNPIN, close and exit.
 *
 * Errors:
 *   ENOENT	this file has no such pin
 *   ENODEV	there is no such PCI device, it has no driver, or the pin was
 *		revoked
 *   EACCES	the caller may not use the device: see @device_fd
 *   EBADF	device_fd is no open descriptor
 *   EBUSY	vfio-pci drives the device
 *   EOPNOTSUPP	the driver cannot hold this memory for a device; the memory is
 *		the kernel's, of a GPU with a coherent CPU link (pin it with
 *		GPUMEM_PIN_FORCE_BAR1); or a host bridge shows it at other
 *		addresses than the CPU's, and no IOMMU translates
 *   EINVAL	the driver refused to hold it
 *   EREMOTEIO	the device's requests, or the GPU's answers, may not arrive:
 *		@path is GPUMEM_DMA_PATH_BLOCKED and @port_* say where. They
 *		go to the host bridge, and no IOMMU is there to send them back
 *   EIO	the device cannot address the memory: has its driver set the
 *		DMA mask? (No IOMMU translates for it: there is none, or
 *		iommu=pt.)
 *   ENOSPC	this file holds as many mappings as it can
 *   EDQUOT	the mapping counts against this user's limit like a pin
 */
struct gpumem_dma_map {
	__u32 size;
	__u32 pin;
	__u32 flags;
	__u32 domain;
	__u8 bus;
	__u8 devfn;
	__u16 __reserved0;
	__s32 device_fd;
	__u32 dma;
	__u32 page_size;
	__aligned_u64 run_count;
	__u32 port_domain;
	__u8 port_bus;
	__u8 port_devfn;
	__u8 path;
	__u8 __reserved;
};

/*
 * The way between a device and the GPU, as far as the kernel can see: whether a
 * host bridge hands requests from one of its ports to another is up to the platform,
 * and nothing tells. ACS is the Access Control Services of PCI Express, by which a
 * port sends up what it could hand to its neighbour.
 */
/* the GPU is not found on the PCI bus, or a bridge between does not say */
#define GPUMEM_DMA_PATH_UNKNOWN 0
/* The switch that both are below hands it over; @port_*: its upstream port. */
#define GPUMEM_DMA_PATH_SWITCH 1
/*
 * Through the host bridge, at physical addresses. @port_*: the port that redirects
 * there what a switch could hand over, or all zero.
 */
#define GPUMEM_DMA_PATH_HOST 2
/* Through the host bridge, whose IOMMU translates; @port_* are zero. */
#define GPUMEM_DMA_PATH_IOMMU 3
/*
 * Refused: @port_*, a port below the switch that both are below, redirects to the
 * host bridge, and the device has no IOMMU there that would send it back down.
 */
#define GPUMEM_DMA_PATH_BLOCKED 4

/**
 * struct gpumem_dma_run - a run of contiguous DMA addresses
 * @addr:	first DMA address, as the device must use it
 * @length:	bytes
 */
struct gpumem_dma_run {
	__aligned_u64 addr;
	__aligned_u64 length;
};

/**
 * struct gpumem_dma_runs - GPUMEM_IOC_DMA_RUNS: the addresses of a DMA mapping
 * @size:	in: sizeof(struct gpumem_dma_runs)
 * @dma:	in: id of the mapping
 * @first:	in: index of the first run wanted
 * @count:	in: entries that @runs can take; out: entries written
 * @runs:	in: address of an array of @count struct gpumem_dma_run
 *
 * Errors:
 *   ENOENT	this file has no such mapping
 *   EINVAL	first is not below the mapping's run count
 *   ENODEV	the pin was revoked, or the device or its driver is gone; the
 *		addresses lead nowhere any more
 */
struct gpumem_dma_runs {
	__u32 size;
	__u32 dma;
	__aligned_u64 first;
	__aligned_u64 count;
	__aligned_u64 runs;
};

/**
 * struct gpumem_dma_unmap - GPUMEM_IOC_DMA_UNMAP: end a DMA mapping
 * @size:	in: sizeof(struct gpumem_dma_unmap)
 * @dma:	in: id of the mapping
 *
 * Errors:
 *   ENOENT	this file has no such mapping
 */
struct gpumem_dma_unmap {
	__u32 size;
	__u32 dma;
};

/**
 * struct gpumem_export - GPUMEM_IOC_EXPORT: a dma-buf of a pin's pages
 * @size:	in: sizeof(struct gpumem_export)
 * @pin:	in: id of the pin
 * @flags:	in: O_CLOEXEC and O_RDWR, O_RDONLY or O_WRONLY, as fcntl.h has them
 * @fd:		out: the dma-buf's descriptor
 * @dmabuf_size: out: bytes in it: the pin's whole pages
 * @__reserved:	must be zero
 *
 * Any process may use the descriptor. It stays valid when the pin ends, but
 * shows nothing then: UNPIN, close and revocation move it away from its
 * importers (move_notify), zap its CPU mappings (SIGBUS) and make new ones fail
 * with ENODEV. The GPU memory is not given to anyone else while an importer
 * still has it mapped, or a fence of the dma-buf has not signalled.
 *
 * There are no struct pages behind it: an importer that does not say that it can do
 * without (allow_peer2peer; static importers cannot say so) gets EOPNOTSUPP. So does
 * one that pins (dma_buf_pin()) what is no persistent pin's, unless it can be told to
 * let go all the same: since Linux 7.1, with invalidate_mappings. So does one without
 * that, pinning or not, and every importer of memory that DMA_MAP refuses in this way.
 * Where DMA_MAP would say EREMOTEIO an importer gets that as it attaches or maps.
 *
 * Errors:
 *   ENOENT	this file has no such pin
 *   ENODEV	the pin was revoked
 *   EINVAL	unknown flags
 *   EOPNOTSUPP	this module was built without dma-buf, or the driver cannot
 *		hold this memory for a dma-buf
 *   EDQUOT	the dma-buf counts against this user's limit like a pin
 *   EMFILE, ENFILE too many open files
 */
struct gpumem_export {
	__u32 size;
	__u32 pin;
	__u32 flags;
	__s32 fd;
	__aligned_u64 dmabuf_size;
	__aligned_u64 __reserved;
};

/*
 * mmap(addr, length, prot, MAP_SHARED, fd, mmap_offset + k):
 * k and length in multiples of the CPU's page size, within the pin's pages.
 * The mapping is of the pin's map_type, is not inherited by fork(), cannot grow and
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
