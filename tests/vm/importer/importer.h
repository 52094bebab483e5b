/* SPDX-License-Identifier: ((GPL-2.0-only WITH Linux-syscall-note) OR MIT) */
/*
 * /dev/gpumem-importer: what another driver does with a dma-buf, step by step,
 * for the tests. An open file is one importer with at most one attachment, for
 * QEMU's edu device; closing it lets go of everything. Errors are those of the
 * kernel's dma-buf functions, but: EBUSY, it is attached or mapped already;
 * ENOTCONN, it is not.
 */
#ifndef GPUMEM_IMPORTER_H
#define GPUMEM_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define IMPORTER_NODE "/dev/gpumem-importer"

/* Has move_notify; without it the importer is a static one. */
#define IMPORTER_DYNAMIC 0x1
/* A dynamic one that can do without struct pages. */
#define IMPORTER_PEER2PEER 0x2
/* move_notify only counts, and unmaps nothing. */
#define IMPORTER_LAZY 0x4
/* A dynamic, peer-to-peer one without move_notify: where the kernel is revocable. */
#define IMPORTER_DEAF 0x8

struct importer_attach {
	__s32 fd; /* in: the dma-buf */
	__u32 flags; /* in: IMPORTER_* */
};

struct importer_run {
	__aligned_u64 addr; /* DMA address */
	__aligned_u64 length;
};

/* The addresses that the latest MAP gave; also after it was unmapped. */
struct importer_runs {
	__aligned_u64 runs; /* in: user address of count entries */
	__u32 count; /* in: room; out: entries that there are */
	__u32 reserved;
};

/* A word at an offset of what is mapped now; only without an IOMMU. */
struct importer_word {
	__aligned_u64 offset;
	__u32 value; /* READ: out, WRITE: in */
	__u32 reserved;
};

struct importer_state {
	__u32 attached;
	__u32 mapped;
	__u32 notified; /* calls of move_notify since the file was opened */
	__u32 moves; /* the kernel tells importers to let go */
	__u32 revocable; /* those that pin too (7.1) */
};

#define IMPORTER_IOC_ATTACH _IOW('I', 1, struct importer_attach)
#define IMPORTER_IOC_DETACH _IO('I', 2)
#define IMPORTER_IOC_MAP _IO('I', 3)
#define IMPORTER_IOC_UNMAP _IO('I', 4)
#define IMPORTER_IOC_PIN _IO('I', 5)
#define IMPORTER_IOC_UNPIN _IO('I', 6)
#define IMPORTER_IOC_RUNS _IOWR('I', 7, struct importer_runs)
#define IMPORTER_IOC_READ _IOWR('I', 8, struct importer_word)
#define IMPORTER_IOC_WRITE _IOW('I', 9, struct importer_word)
#define IMPORTER_IOC_STATE _IOR('I', 10, struct importer_state)
/* The device works on the memory, and has done so: a fence of the dma-buf. */
#define IMPORTER_IOC_FENCE _IO('I', 11)
#define IMPORTER_IOC_SIGNAL _IO('I', 12)

#endif /* GPUMEM_IMPORTER_H */
