// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Driver of a PCI board with a DMA engine: QEMU's "edu" device, which stands for
 * an FPGA board. It knows nothing of GPUs: it is given DMA addresses that
 * gpumem made for this board.
 *
 * The engine moves up to 2 KiB at a time between the board's own memory and a
 * DMA address, and interrupts when it is done.
 */
#include <linux/bits.h>
#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "fpga_dma.h"

#define FPGA_REG_ID 0x00
#define FPGA_REG_IRQ_STATUS 0x24
#define FPGA_REG_IRQ_ACK 0x64
#define FPGA_REG_SOURCE 0x80
#define FPGA_REG_DESTINATION 0x88
#define FPGA_REG_COUNT 0x90
#define FPGA_REG_COMMAND 0x98

#define FPGA_ID 0xed
#define FPGA_COMMAND_START BIT(0)
#define FPGA_COMMAND_TO_MEMORY BIT(1)
#define FPGA_COMMAND_IRQ BIT(2)
#define FPGA_IRQ_DMA BIT(8)

/* The board's own memory, as its engine addresses it. */
#define FPGA_MEMORY 0x40000
/*
 * It has 4 KiB; but QEMU 7.2 takes a transfer that reaches the last byte for one
 * past the end, and stops the machine.
 */
#define FPGA_PIECE SZ_2K
#define FPGA_TIMEOUT (10 * HZ)

/**
 * struct fpga - a board
 * @ref:	one while the driver is bound, one for each open file
 * @index:	its number among the boards
 * @name:	of its node
 * @misc:	its node
 * @pdev:	its PCI device
 * @lock:	guards all below: one piece at a time
 * @regs:	BAR0; NULL once the board is gone
 * @broken:	it did not answer, and may not use the bus any more
 * @piece:	FPGA_PIECE bytes that the CPU and the board both reach
 * @piece_dma:	the board's address of @piece
 * @irq_done:	the engine has interrupted
 */
struct fpga {
	struct kref ref;
	int index;
	char name[24];
	struct miscdevice misc;
	struct pci_dev *pdev;
	struct mutex lock; /* regs, broken, piece, the engine */
	void __iomem *regs;
	bool broken;
	void *piece;
	dma_addr_t piece_dma;
	struct completion irq_done;
};

static DEFINE_IDA(fpga_ida);

static void fpga_free(struct kref *ref)
{
	struct fpga *fpga = container_of(ref, struct fpga, ref);

	mutex_destroy(&fpga->lock);
	kfree(fpga);
}

static irqreturn_t fpga_irq(int irq, void *data)
{
	struct fpga *fpga = data;
	u32 status = readl(fpga->regs + FPGA_REG_IRQ_STATUS);

	if (!status)
		return IRQ_NONE;
	writel(status, fpga->regs + FPGA_REG_IRQ_ACK);
	if (status & FPGA_IRQ_DMA)
		complete(&fpga->irq_done);
	return IRQ_HANDLED;
}

/*
 * Moves one piece between the board's memory and a DMA address, and returns when
 * the engine has stopped: nobody may give memory back under a running engine, so
 * no signal ends this wait.
 */
static int fpga_move(struct fpga *fpga, u64 addr, u32 length, bool to_memory)
{
	u32 command = FPGA_COMMAND_START | FPGA_COMMAND_IRQ;

	lockdep_assert_held(&fpga->lock);
	if (to_memory)
		command |= FPGA_COMMAND_TO_MEMORY;
	reinit_completion(&fpga->irq_done);
	writeq(to_memory ? FPGA_MEMORY : addr, fpga->regs + FPGA_REG_SOURCE);
	writeq(to_memory ? addr : FPGA_MEMORY,
	       fpga->regs + FPGA_REG_DESTINATION);
	writeq(length, fpga->regs + FPGA_REG_COUNT);
	writeq(command, fpga->regs + FPGA_REG_COMMAND);
	if (wait_for_completion_timeout(&fpga->irq_done, FPGA_TIMEOUT))
		return 0;
	pci_clear_master(fpga->pdev);
	fpga->broken = true;
	dev_err(&fpga->pdev->dev,
		"the DMA engine did not finish: the board is switched off\n");
	return -EIO;
}

/* 0 if the next piece may be moved. */
static int fpga_ready(struct fpga *fpga)
{
	lockdep_assert_held(&fpga->lock);
	if (!fpga->regs)
		return -ENODEV;
	if (fpga->broken)
		return -EIO;
	/* Not ERESTARTSYS: what was moved needs not be moved again. */
	return signal_pending(current) ? -EINTR : 0;
}

static int fpga_transfer_piece(struct fpga *fpga,
			       const struct fpga_dma_transfer *t, u32 length)
{
	u64 addr = t->addr + t->done;
	void __user *data = u64_to_user_ptr(t->data + t->done);
	int rc;

	if (t->direction == FPGA_DMA_TO_MEMORY) {
		if (copy_from_user(fpga->piece, data, length))
			return -EFAULT;
		rc = fpga_move(fpga, fpga->piece_dma, length, false);
		return rc ? rc : fpga_move(fpga, addr, length, true);
	}
	rc = fpga_move(fpga, addr, length, false);
	if (rc)
		return rc;
	rc = fpga_move(fpga, fpga->piece_dma, length, true);
	if (rc)
		return rc;
	return copy_to_user(data, fpga->piece, length) ? -EFAULT : 0;
}

static bool fpga_range_is_wild(u64 addr, u64 length)
{
	u64 last;

	return !length || check_add_overflow(addr, length - 1, &last);
}

static int fpga_transfer(struct fpga *fpga, struct fpga_dma_transfer *t)
{
	u32 length;
	int rc = 0;

	if (t->__reserved || t->direction > FPGA_DMA_FROM_MEMORY ||
	    fpga_range_is_wild(t->addr, t->length) ||
	    fpga_range_is_wild(t->data, t->length))
		return -EINVAL;
	for (t->done = 0; t->done < t->length; t->done += length) {
		length = min_t(u64, t->length - t->done, FPGA_PIECE);
		if (mutex_lock_interruptible(&fpga->lock))
			return -EINTR;
		rc = fpga_ready(fpga);
		if (!rc)
			rc = fpga_transfer_piece(fpga, t, length);
		mutex_unlock(&fpga->lock);
		if (rc)
			break;
	}
	return rc;
}

static int fpga_copy(struct fpga *fpga, struct fpga_dma_copy *c)
{
	u32 length;
	int rc = 0;

	if (fpga_range_is_wild(c->from, c->length) ||
	    fpga_range_is_wild(c->to, c->length))
		return -EINVAL;
	for (c->done = 0; c->done < c->length; c->done += length) {
		length = min_t(u64, c->length - c->done, FPGA_PIECE);
		if (mutex_lock_interruptible(&fpga->lock))
			return -EINTR;
		rc = fpga_ready(fpga);
		if (!rc)
			rc = fpga_move(fpga, c->from + c->done, length, false);
		if (!rc)
			rc = fpga_move(fpga, c->to + c->done, length, true);
		mutex_unlock(&fpga->lock);
		if (rc)
			break;
	}
	return rc;
}

static int fpga_info(struct fpga *fpga, struct fpga_dma_info *info)
{
	int rc = -ENODEV;

	mutex_lock(&fpga->lock);
	if (fpga->regs) {
		info->domain = pci_domain_nr(fpga->pdev->bus);
		info->bus = fpga->pdev->bus->number;
		info->devfn = fpga->pdev->devfn;
		rc = 0;
	}
	mutex_unlock(&fpga->lock);
	return rc;
}

static long fpga_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct fpga *fpga = filp->private_data;
	void __user *user = (void __user *)arg;
	union {
		struct fpga_dma_info info;
		struct fpga_dma_transfer transfer;
		struct fpga_dma_copy copy;
	} u = {};
	int rc;

	if (cmd == FPGA_DMA_IOC_INFO) {
		rc = fpga_info(fpga, &u.info);
		if (rc)
			return rc;
		return copy_to_user(user, &u.info, sizeof(u.info)) ? -EFAULT
								   : 0;
	}
	if (cmd != FPGA_DMA_IOC_TRANSFER && cmd != FPGA_DMA_IOC_COPY)
		return -ENOTTY;
	if (copy_from_user(&u, user, _IOC_SIZE(cmd)))
		return -EFAULT;
	rc = cmd == FPGA_DMA_IOC_COPY ? fpga_copy(fpga, &u.copy)
				      : fpga_transfer(fpga, &u.transfer);
	/* Also with an error: the program learns how far it got. */
	if (rc != -EINVAL && copy_to_user(user, &u, _IOC_SIZE(cmd)))
		return -EFAULT;
	return rc;
}

static int fpga_open(struct inode *inode, struct file *filp)
{
	struct fpga *fpga = container_of(filp->private_data, struct fpga, misc);

	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	/* The misc device's own lock keeps fpga_remove() away. */
	kref_get(&fpga->ref);
	filp->private_data = fpga;
	return nonseekable_open(inode, filp);
}

static int fpga_release(struct inode *inode, struct file *filp)
{
	struct fpga *fpga = filp->private_data;

	kref_put(&fpga->ref, fpga_free);
	return 0;
}

static const struct file_operations fpga_fops = {
	.owner = THIS_MODULE,
	.open = fpga_open,
	.release = fpga_release,
	.unlocked_ioctl = fpga_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static int fpga_start(struct fpga *fpga)
{
	struct pci_dev *pdev = fpga->pdev;
	int rc;

	/*
	 * GPU memory lies high in the address space: without a mask that reaches
	 * it, gpumem cannot map it for the board.
	 */
	rc = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (rc)
		return rc;
	if ((readl(fpga->regs + FPGA_REG_ID) & 0xff) != FPGA_ID)
		return -ENODEV;
	fpga->piece = dma_alloc_coherent(&pdev->dev, FPGA_PIECE,
					 &fpga->piece_dma, GFP_KERNEL);
	if (!fpga->piece)
		return -ENOMEM;
	rc = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES);
	if (rc < 0)
		goto err_piece;
	rc = request_irq(pci_irq_vector(pdev, 0), fpga_irq, IRQF_SHARED,
			 "fpga-dma", fpga);
	if (rc)
		goto err_vectors;
	pci_set_master(pdev);
	return 0;

err_vectors:
	pci_free_irq_vectors(pdev);
err_piece:
	dma_free_coherent(&pdev->dev, FPGA_PIECE, fpga->piece, fpga->piece_dma);
	return rc;
}

static void fpga_stop(struct fpga *fpga)
{
	struct pci_dev *pdev = fpga->pdev;

	pci_clear_master(pdev);
	free_irq(pci_irq_vector(pdev, 0), fpga);
	pci_free_irq_vectors(pdev);
	dma_free_coherent(&pdev->dev, FPGA_PIECE, fpga->piece, fpga->piece_dma);
}

static int fpga_map(struct fpga *fpga)
{
	struct pci_dev *pdev = fpga->pdev;
	int rc;

	rc = pci_enable_device(pdev);
	if (rc)
		return rc;
	rc = pci_request_region(pdev, 0, "fpga-dma");
	if (rc)
		goto err_disable;
	rc = -ENOMEM;
	fpga->regs = pci_iomap(pdev, 0, 0);
	if (!fpga->regs)
		goto err_release;
	return 0;

err_release:
	pci_release_region(pdev, 0);
err_disable:
	pci_disable_device(pdev);
	return rc;
}

static void fpga_unmap(struct fpga *fpga)
{
	struct pci_dev *pdev = fpga->pdev;

	pci_iounmap(pdev, fpga->regs);
	fpga->regs = NULL;
	pci_release_region(pdev, 0);
	pci_disable_device(pdev);
}

static int fpga_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct fpga *fpga;
	int rc;

	fpga = kzalloc(sizeof(*fpga), GFP_KERNEL);
	if (!fpga)
		return -ENOMEM;
	kref_init(&fpga->ref);
	mutex_init(&fpga->lock);
	init_completion(&fpga->irq_done);
	fpga->pdev = pdev;
	fpga->misc.minor = MISC_DYNAMIC_MINOR;
	fpga->misc.name = fpga->name;
	fpga->misc.fops = &fpga_fops;
	fpga->misc.mode = 0600;
	fpga->misc.parent = &fpga->pdev->dev;
	rc = ida_alloc(&fpga_ida, GFP_KERNEL);
	if (rc < 0)
		goto err_put;
	fpga->index = rc;
	snprintf(fpga->name, sizeof(fpga->name), "fpga-dma%d", fpga->index);
	rc = fpga_map(fpga);
	if (rc)
		goto err_index;
	rc = fpga_start(fpga);
	if (rc)
		goto err_unmap;
	rc = misc_register(&fpga->misc);
	if (rc)
		goto err_stop;
	pci_set_drvdata(pdev, fpga);
	return 0;

err_stop:
	fpga_stop(fpga);
err_unmap:
	fpga_unmap(fpga);
err_index:
	ida_free(&fpga_ida, fpga->index);
err_put:
	kref_put(&fpga->ref, fpga_free);
	return rc;
}

static void fpga_remove(struct pci_dev *pdev)
{
	struct fpga *fpga = pci_get_drvdata(pdev);

	misc_deregister(&fpga->misc);
	/* Waits for the piece on its way; open files get ENODEV from here on. */
	mutex_lock(&fpga->lock);
	fpga_stop(fpga);
	fpga_unmap(fpga);
	mutex_unlock(&fpga->lock);
	ida_free(&fpga_ida, fpga->index);
	kref_put(&fpga->ref, fpga_free);
}

static const struct pci_device_id fpga_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) }, /* QEMU's edu */
	{}
};
MODULE_DEVICE_TABLE(pci, fpga_ids);

static struct pci_driver fpga_driver = {
	.name = "fpga_dma",
	.id_table = fpga_ids,
	.probe = fpga_probe,
	.remove = fpga_remove,
};
module_pci_driver(fpga_driver);

MODULE_AUTHOR("gpumem developers");
MODULE_DESCRIPTION(
	"Example: a PCI board that moves data into and out of GPU memory");
MODULE_LICENSE("Dual MIT/GPL");
