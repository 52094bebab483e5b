/* SPDX-License-Identifier: ((GPL-2.0-only WITH Linux-syscall-note) OR MIT) */
/*
 * /dev/gpumem-emu: the "CUDA side" of the emulated GPU, for the stand-in
 * libcuda.so.1 and for tests. What is written here reaches video memory through
 * the kernel module's own mapping of the BAR, never through the mapping that a
 * test examines.
 *
 * Opening the node stands for a process's connection to the GPU: it belongs to
 * the process that opened it, and closing its last descriptor frees everything
 * that was allocated through it, as the driver does when a CUDA process dies.
 * Every call but COUNTERS, and mmap(), is -EPERM in any other process.
 */
#ifndef GPUMEM_EMU_H
#define GPUMEM_EMU_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define GPUMEM_EMU_NODE "/dev/gpumem-emu"
/* Text, a line "name value" for each member of struct gpumem_emu_counters. */
#define GPUMEM_EMU_PROC "/proc/gpumem-emu"

#define GPUMEM_EMU_PAGE_SIZE 65536

/*
 * ALLOC: a block of video memory (what RM calls a memory object). length is
 * rounded up to 2 MiB. Its pages are scattered over video memory on purpose,
 * unless the module parameter contiguous is set.
 * The address is unique among all live and recently freed blocks of the
 * machine and aligned to 2 MiB. client and memory are the RM handles under
 * which the block can be duplicated (RM_DUP_OBJECT). -ENOMEM: no pages left.
 */
struct gpumem_emu_alloc {
	__aligned_u64 length; /* in: bytes; out: bytes rounded up */
	__aligned_u64 addr; /* out: device address */
	__u32 client; /* out: hClient, of the form 0xc1dxxxxx */
	__u32 memory; /* out: hMemory */
};

/*
 * FREE: gives the block at addr back. Pins on it are revoked first, each with
 * one call of its free callback. Its pages return to the pool once no duplicate
 * (RM) holds them. -EINVAL: no block of this file starts there.
 */
struct gpumem_emu_free {
	__aligned_u64 addr;
};

/*
 * COPY: between video memory and user memory. -EINVAL: the range is not in one
 * live block of this file.
 */
#define GPUMEM_EMU_TO_USER 0
#define GPUMEM_EMU_FROM_USER 1
struct gpumem_emu_copy {
	__aligned_u64 addr; /* in: device address, any alignment */
	__aligned_u64 user; /* in: user address */
	__aligned_u64 length; /* in: bytes */
	__u32 direction; /* in: GPUMEM_EMU_TO_USER or _FROM_USER */
	__u32 reserved;
};

/* PAGES: physical addresses of the 64 KiB pages of a block of this file. */
struct gpumem_emu_pages {
	__aligned_u64 addr; /* in: device address, 64 KiB aligned */
	__aligned_u64 count; /* in: pages, all in one block */
	__aligned_u64 pages; /* in: user address of count __u64 */
};

/*
 * HOLD / DROP: keep the pages of a range of one of this file's blocks (and the
 * rest of that block with them) allocated after FREE, until DROP or close; for
 * the sim backend's pins. mmap() of the node at offset mmap_offset shows them in
 * order, write-combined, while held; after DROP an access raises SIGBUS. A
 * forked child does not inherit the mapping. -EINVAL: not aligned, or not in
 * one live block; DROP of an id that this file does not hold.
 */
struct gpumem_emu_hold {
	__aligned_u64 addr; /* in: device address, 64 KiB aligned */
	__aligned_u64 length; /* in: bytes, multiple of 64 KiB */
	__aligned_u64 hold; /* out: id, never 0 */
	__aligned_u64 mmap_offset; /* out */
};

struct gpumem_emu_drop {
	__aligned_u64 hold; /* in */
};

/*
 * EXPORT: a descriptor of a block, as cuMemExportToShareableHandle() gives it:
 * it holds the pages, and whoever has it may import them, through RM or here.
 * -EINVAL: no block of this file starts there, or it is a VIEW.
 */
struct gpumem_emu_export {
	__aligned_u64 addr; /* in: of a block */
	__s32 fd; /* out */
	__u32 reserved;
};

/*
 * IMPORT: a new block over the memory of such a descriptor. -EBADF: no such
 * descriptor; -EINVAL: one of another kind.
 */
struct gpumem_emu_import {
	__s32 fd; /* in */
	__u32 reserved;
	__aligned_u64 length; /* out: as ALLOC's */
	__aligned_u64 addr; /* out */
	__u32 client; /* out */
	__u32 memory; /* out */
};

/*
 * RESERVE: device addresses with nothing behind them, until the file is closed.
 * VIEW: shows part of a block a second time, at reserved addresses. What is
 * seen there is a block as any other (FREE takes it away, pins on it are
 * revoked then), but for ALLOC's handles, which stay those of the block, and
 * stays when the block goes. -EINVAL: not all reserved, something is there
 * already, or not in one block.
 */
struct gpumem_emu_reserve {
	__aligned_u64 length; /* in: bytes; out: rounded up to 2 MiB */
	__aligned_u64 addr; /* out: aligned to 2 MiB */
};

struct gpumem_emu_view {
	__aligned_u64 addr; /* in: of the view, 2 MiB aligned */
	__aligned_u64 length; /* in: multiple of 2 MiB */
	__aligned_u64 block; /* in: address of what it shows, 2 MiB aligned */
};

/*
 * DMABUF: a dma-buf of a range, as cuMemGetHandleForAddressRange() gives it: it
 * holds the pages. mmap() of it works, or is refused with ENOTSUPP, as the
 * module parameter dmabuf_mmap says: 1: of a range over several blocks it maps the
 * first alone, as the driver does (nv-dmabuf.c, 595 and 610). -EINVAL: not whole
 * pages, not all in blocks that follow each other, or in more than 8.
 */
struct gpumem_emu_dmabuf {
	__aligned_u64 addr; /* in: of a CPU page */
	__aligned_u64 length; /* in: bytes, whole CPU pages */
	__s32 fd; /* out */
	__u32 reserved;
};

struct gpumem_emu_counters {
	__aligned_u64 vram_bytes; /* video memory in all */
	__aligned_u64 free_pages; /* 64 KiB pages not allocated */
	__aligned_u64 blocks; /* blocks alive */
	__aligned_u64 pins; /* nvidia_p2p page tables alive */
	__aligned_u64 pinned_pages; /* pages in them */
	__aligned_u64 dma_maps; /* nvidia_p2p DMA mappings alive */
	__aligned_u64 callbacks; /* free callbacks made since loading */
	__aligned_u64 holds; /* HOLDs alive */
	__aligned_u64 rm_clients; /* RM root clients alive */
	__aligned_u64 rm_objects; /* RM devices and duplicates alive */
	__aligned_u64 rm_maps; /* RM_MAP_MEMORY mappings alive */
	/*
	 * contract breaches by a peer, each logged with pr_warn: put_pages of an
	 * unknown table, dma_unmap after put, ...
	 */
	__aligned_u64 violations;
	__aligned_u64 exports; /* descriptors of EXPORT and DMABUF alive */
};

#define GPUMEM_EMU_IOC_ALLOC _IOWR('E', 1, struct gpumem_emu_alloc)
#define GPUMEM_EMU_IOC_FREE _IOW('E', 2, struct gpumem_emu_free)
#define GPUMEM_EMU_IOC_COPY _IOW('E', 3, struct gpumem_emu_copy)
#define GPUMEM_EMU_IOC_PAGES _IOW('E', 4, struct gpumem_emu_pages)
#define GPUMEM_EMU_IOC_HOLD _IOWR('E', 5, struct gpumem_emu_hold)
#define GPUMEM_EMU_IOC_DROP _IOW('E', 6, struct gpumem_emu_drop)
#define GPUMEM_EMU_IOC_COUNTERS _IOR('E', 7, struct gpumem_emu_counters)

#define GPUMEM_EMU_IOC_EXPORT _IOWR('E', 8, struct gpumem_emu_export)
#define GPUMEM_EMU_IOC_IMPORT _IOWR('E', 9, struct gpumem_emu_import)
#define GPUMEM_EMU_IOC_RESERVE _IOWR('E', 10, struct gpumem_emu_reserve)
#define GPUMEM_EMU_IOC_VIEW _IOW('E', 11, struct gpumem_emu_view)
#define GPUMEM_EMU_IOC_DMABUF _IOWR('E', 12, struct gpumem_emu_dmabuf)

#endif /* GPUMEM_EMU_H */
