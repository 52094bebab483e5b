/* SPDX-License-Identifier: ((GPL-2.0-only WITH Linux-syscall-note) OR MIT) */
/*
 * /dev/fpga-dmaN: the contract between the board's driver and its programs.
 *
 * The driver believes the addresses that it is given: who may use the node may
 * make the board read and write whatever its IOMMU domain holds, and without an
 * IOMMU all of the machine's memory. Opening it therefore wants CAP_SYS_RAWIO.
 *
 * Calls from several threads take turns. A call that a signal interrupts returns
 * EINTR with the bytes moved so far in @done. When a call has returned,
 * whatever it returned, the board is not touching the memory any more.
 *
 * Errors that any call may return:
 *   EINVAL	a length is 0, an address and its length pass the end of what 64
 *		bits can say, a direction is unknown, or a reserved member is not
 *		zero
 *   EFAULT	user memory cannot be read or written
 *   EINTR	a signal came
 *   EIO	the board does not answer; it was switched off
 *   ENODEV	the board is gone
 *   ENOTTY	the command is unknown
 */
#ifndef FPGA_DMA_H
#define FPGA_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Of the first board. */
#define FPGA_DMA_NODE "/dev/fpga-dma0"

/**
 * struct fpga_dma_info - FPGA_DMA_IOC_INFO: which PCI device the board is
 * @domain:	out: PCI domain
 * @bus:	out: PCI bus
 * @devfn:	out: PCI slot << 3 | function
 * @__reserved:	out: 0
 */
struct fpga_dma_info {
	__u32 domain;
	__u8 bus;
	__u8 devfn;
	__u16 __reserved;
};

/* The board writes into the memory at @addr what the program has at @data. */
#define FPGA_DMA_TO_MEMORY 0
/* The board reads the memory at @addr; the program finds it at @data. */
#define FPGA_DMA_FROM_MEMORY 1

/**
 * struct fpga_dma_transfer - FPGA_DMA_IOC_TRANSFER: between memory and program
 * @addr:	in: DMA address, as the board must use it
 * @data:	in: address of @length bytes of the program: they stand for what
 *		a real board captures or consumes
 * @length:	in: bytes, at least 1
 * @done:	out: bytes moved, also when the call fails
 * @direction:	in: FPGA_DMA_TO_MEMORY or FPGA_DMA_FROM_MEMORY
 * @__reserved:	must be zero
 */
struct fpga_dma_transfer {
	__aligned_u64 addr;
	__aligned_u64 data;
	__aligned_u64 length;
	__aligned_u64 done;
	__u32 direction;
	__u32 __reserved;
};

/**
 * struct fpga_dma_copy - FPGA_DMA_IOC_COPY: from memory to memory
 * @from:	in: DMA address that the board reads
 * @to:		in: DMA address that the board writes
 * @length:	in: bytes, at least 1
 * @done:	out: bytes copied, also when the call fails
 */
struct fpga_dma_copy {
	__aligned_u64 from;
	__aligned_u64 to;
	__aligned_u64 length;
	__aligned_u64 done;
};

#define FPGA_DMA_IOC_INFO _IOR('F', 1, struct fpga_dma_info)
#define FPGA_DMA_IOC_TRANSFER _IOWR('F', 2, struct fpga_dma_transfer)
#define FPGA_DMA_IOC_COPY _IOWR('F', 3, struct fpga_dma_copy)

#endif /* FPGA_DMA_H */
