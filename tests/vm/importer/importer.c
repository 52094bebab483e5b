// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* A test importer of dma-bufs: see importer.h. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include "importer.h"

#define IMPORTER_VENDOR 0x1234
#define IMPORTER_DEVICE 0x11e8

/* 7.1 renamed move_notify, and always has it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
#define IMPORTER_OP_MOVE invalidate_mappings
#define IMPORTER_MOVE_NOTIFY true
#define IMPORTER_REVOCABLE true
#else
#define IMPORTER_OP_MOVE move_notify
#define IMPORTER_MOVE_NOTIFY IS_ENABLED(CONFIG_DMABUF_MOVE_NOTIFY)
#define IMPORTER_REVOCABLE false
#endif

static uint mask = 64;
module_param(mask, uint, 0444);
MODULE_PARM_DESC(mask, "bits of the devices' DMA masks");

static bool managed;
module_param(managed, bool, 0444);
MODULE_PARM_DESC(
	managed,
	"drive the devices as vfio-pci does, managing DMA (default: no driver)");

static bool drive;
module_param(drive, bool, 0444);
MODULE_PARM_DESC(drive, "drive the devices (default: no driver)");

static bool stay;
module_param(stay, bool, 0644);
MODULE_PARM_DESC(stay, "the driver does not leave a device while this is set");

static char *peer;
module_param(peer, charp, 0444);
MODULE_PARM_DESC(peer,
		 "device that dma-bufs are attached for (default: the first)");

static struct pci_dev *importer_peer;

/**
 * struct importer - an open file
 * @lock:	one call at a time; guards what move_notify does not touch
 * @attach:	the attachment, or NULL
 * @lazy:	move_notify leaves the mapping alone
 * @pinned:	dma_buf_pin() succeeded
 * @sgt:	the mapping, or NULL; under the dma-buf's dma_resv
 * @runs:	addresses of the latest mapping
 * @count:	number of @runs
 * @notified:	calls of move_notify
 * @fence:	of what the device does with the memory, or NULL
 */
struct importer {
	struct mutex lock; /* attach, pinned, runs, fence */
	struct dma_buf_attachment *attach;
	bool lazy;
	bool pinned;
	struct sg_table *sgt;
	struct importer_run *runs;
	u32 count;
	atomic_t notified;
	struct dma_fence *fence;
};

static DEFINE_SPINLOCK(importer_fence_lock);

static const char *importer_fence_name(struct dma_fence *fence)
{
	return KBUILD_MODNAME;
}

static const struct dma_fence_ops importer_fence_ops = {
	.get_driver_name = importer_fence_name,
	.get_timeline_name = importer_fence_name,
};

static void importer_unmap_locked(struct importer *imp,
				  struct dma_buf_attachment *attach)
{
	dma_resv_assert_held(attach->dmabuf->resv);
	if (imp->sgt)
		dma_buf_unmap_attachment(attach, imp->sgt, DMA_BIDIRECTIONAL);
	imp->sgt = NULL;
}

static void importer_move_notify(struct dma_buf_attachment *attach)
{
	struct importer *imp = attach->importer_priv;

	atomic_inc(&imp->notified);
	if (!imp->lazy)
		importer_unmap_locked(imp, attach);
}

static const struct dma_buf_attach_ops importer_ops = {
	.IMPORTER_OP_MOVE = importer_move_notify,
};

static const struct dma_buf_attach_ops importer_p2p_ops = {
	.allow_peer2peer = true,
	.IMPORTER_OP_MOVE = importer_move_notify,
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
static const struct dma_buf_attach_ops importer_deaf_ops = {
	.allow_peer2peer = true,
};
#endif

static const struct dma_buf_attach_ops *importer_ops_of(u32 flags)
{
	if (!(flags & IMPORTER_DYNAMIC))
		return NULL;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
	if (flags & IMPORTER_DEAF)
		return &importer_deaf_ops;
#endif
	return flags & IMPORTER_PEER2PEER ? &importer_p2p_ops : &importer_ops;
}

static int importer_attach(struct importer *imp,
			   const struct importer_attach *args)
{
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;

	if (imp->attach)
		return -EBUSY;
	dmabuf = dma_buf_get(args->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	imp->lazy = args->flags & IMPORTER_LAZY;
	attach = dma_buf_dynamic_attach(dmabuf, &importer_peer->dev,
					importer_ops_of(args->flags), imp);
	if (IS_ERR(attach)) {
		dma_buf_put(dmabuf);
		return PTR_ERR(attach);
	}
	imp->attach = attach;
	return 0;
}

static int importer_map_locked(struct importer *imp)
{
	struct importer_run *runs;
	struct scatterlist *sg;
	struct sg_table *sgt;
	unsigned int i;

	if (imp->sgt)
		return -EBUSY;
	sgt = dma_buf_map_attachment(imp->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	imp->sgt = sgt;
	runs = kvcalloc(sgt->nents, sizeof(*runs), GFP_KERNEL);
	if (!runs) {
		importer_unmap_locked(imp, imp->attach);
		return -ENOMEM;
	}
	for (i = 0, sg = sgt->sgl; i < sgt->nents; i++, sg = sg_next(sg)) {
		runs[i].addr = sg_dma_address(sg);
		runs[i].length = sg_dma_len(sg);
	}
	kvfree(imp->runs);
	imp->runs = runs;
	imp->count = sgt->nents;
	return 0;
}

static int importer_unmap(struct importer *imp)
{
	int rc = imp->sgt ? 0 : -ENOTCONN;

	importer_unmap_locked(imp, imp->attach);
	return rc;
}

static int importer_pin(struct importer *imp)
{
	int rc;

	if (imp->pinned)
		return -EBUSY;
	rc = dma_buf_pin(imp->attach);
	imp->pinned = !rc;
	return rc;
}

static int importer_unpin(struct importer *imp)
{
	if (!imp->pinned)
		return -ENOTCONN;
	dma_buf_unpin(imp->attach);
	imp->pinned = false;
	return 0;
}

/* The device is at work until importer_signal(). */
static int importer_fence(struct importer *imp)
{
	struct dma_resv *resv = imp->attach->dmabuf->resv;
	int rc;

	if (imp->fence)
		return -EBUSY;
	rc = dma_resv_reserve_fences(resv, 1);
	if (rc)
		return rc;
	imp->fence = kzalloc(sizeof(*imp->fence), GFP_KERNEL);
	if (!imp->fence)
		return -ENOMEM;
	dma_fence_init(imp->fence, &importer_fence_ops, &importer_fence_lock,
		       dma_fence_context_alloc(1), 1);
	dma_resv_add_fence(resv, imp->fence, DMA_RESV_USAGE_BOOKKEEP);
	return 0;
}

static int importer_signal(struct importer *imp)
{
	if (!imp->fence)
		return -ENOTCONN;
	dma_fence_signal(imp->fence);
	dma_fence_put(imp->fence);
	imp->fence = NULL;
	return 0;
}

/* The calls that the attachment's lock is for. */
static int importer_step(struct importer *imp, unsigned int cmd)
{
	struct dma_resv *resv;
	int rc = -ENOTTY;

	if (!imp->attach)
		return -ENOTCONN;
	resv = imp->attach->dmabuf->resv;
	dma_resv_lock(resv, NULL);
	switch (cmd) {
	case IMPORTER_IOC_MAP:
		rc = importer_map_locked(imp);
		break;
	case IMPORTER_IOC_UNMAP:
		rc = importer_unmap(imp);
		break;
	case IMPORTER_IOC_PIN:
		/* Only a dynamic importer can ask for it. */
		rc = imp->attach->importer_ops ? importer_pin(imp) : -EINVAL;
		break;
	case IMPORTER_IOC_UNPIN:
		rc = importer_unpin(imp);
		break;
	case IMPORTER_IOC_FENCE:
		rc = importer_fence(imp);
		break;
	}
	dma_resv_unlock(resv);
	return rc;
}

static int importer_detach(struct importer *imp)
{
	struct dma_buf *dmabuf;

	if (!imp->attach)
		return -ENOTCONN;
	dmabuf = imp->attach->dmabuf;
	dma_resv_lock(dmabuf->resv, NULL);
	importer_unmap_locked(imp, imp->attach);
	importer_unpin(imp);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, imp->attach);
	dma_buf_put(dmabuf);
	imp->attach = NULL;
	return 0;
}

static int importer_runs(struct importer *imp, void __user *user)
{
	struct importer_runs args;
	u32 room;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	room = min(args.count, imp->count);
	args.count = imp->count;
	if (copy_to_user(u64_to_user_ptr(args.runs), imp->runs,
			 room * sizeof(*imp->runs)) ||
	    copy_to_user(user, &args, sizeof(args)))
		return -EFAULT;
	return 0;
}

/* The bus address of an offset of the mapping: the CPU's, without an IOMMU. */
static phys_addr_t importer_at(const struct importer *imp, u64 offset)
{
	u32 i;

	for (i = 0; i < imp->count; i++) {
		if (offset < imp->runs[i].length)
			return imp->runs[i].addr + offset;
		offset -= imp->runs[i].length;
	}
	return 0;
}

static int importer_word(struct importer *imp, void __user *user, bool write)
{
	struct importer_word args;
	void __iomem *word;
	phys_addr_t at;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (!imp->sgt)
		return -ENOTCONN;
	at = importer_at(imp, args.offset);
	if (!at || args.offset % sizeof(args.value))
		return -EINVAL;
	word = ioremap_wc(at, sizeof(args.value));
	if (!word)
		return -ENOMEM;
	if (write)
		iowrite32(args.value, word);
	else
		args.value = ioread32(word);
	iounmap(word);
	return copy_to_user(user, &args, sizeof(args)) ? -EFAULT : 0;
}

static int importer_state(struct importer *imp, void __user *user)
{
	struct importer_state state = {
		.attached = !!imp->attach,
		.mapped = !!READ_ONCE(imp->sgt),
		.notified = atomic_read(&imp->notified),
		.moves = IMPORTER_MOVE_NOTIFY,
		.revocable = IMPORTER_REVOCABLE,
	};

	return copy_to_user(user, &state, sizeof(state)) ? -EFAULT : 0;
}

static long importer_run(struct importer *imp, unsigned int cmd,
			 void __user *user)
{
	struct importer_attach attach;

	switch (cmd) {
	case IMPORTER_IOC_ATTACH:
		if (copy_from_user(&attach, user, sizeof(attach)))
			return -EFAULT;
		return importer_attach(imp, &attach);
	case IMPORTER_IOC_DETACH:
		return importer_detach(imp);
	case IMPORTER_IOC_SIGNAL:
		return importer_signal(imp);
	case IMPORTER_IOC_RUNS:
		return importer_runs(imp, user);
	case IMPORTER_IOC_READ:
		return importer_word(imp, user, false);
	case IMPORTER_IOC_WRITE:
		return importer_word(imp, user, true);
	case IMPORTER_IOC_STATE:
		return importer_state(imp, user);
	default:
		return importer_step(imp, cmd);
	}
}

static long importer_ioctl(struct file *filp, unsigned int cmd,
			   unsigned long arg)
{
	struct importer *imp = filp->private_data;
	long rc;

	mutex_lock(&imp->lock);
	rc = importer_run(imp, cmd, (void __user *)arg);
	mutex_unlock(&imp->lock);
	return rc;
}

static int importer_open(struct inode *inode, struct file *filp)
{
	struct importer *imp = kzalloc(sizeof(*imp), GFP_KERNEL_ACCOUNT);

	if (!imp)
		return -ENOMEM;
	mutex_init(&imp->lock);
	filp->private_data = imp;
	return nonseekable_open(inode, filp);
}

static int importer_release(struct inode *inode, struct file *filp)
{
	struct importer *imp = filp->private_data;

	importer_signal(imp);
	importer_detach(imp);
	kvfree(imp->runs);
	kfree(imp);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "gpumem-importer",
	.fops = &importer_fops,
	.mode = 0666,
};

static int importer_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(mask));
}

static void importer_remove(struct pci_dev *pdev)
{
	while (READ_ONCE(stay))
		msleep(20);
}

static const struct pci_device_id importer_ids[] = {
	{ PCI_DEVICE(IMPORTER_VENDOR, IMPORTER_DEVICE) },
	{}
};

static struct pci_driver importer_driver = {
	.name = "importer",
	.id_table = importer_ids,
	.probe = importer_probe,
	.remove = importer_remove,
};

static int importer_masks_set(void)
{
	struct pci_dev *each = NULL;
	int rc = 0;

	while (!rc &&
	       (each = pci_get_device(IMPORTER_VENDOR, IMPORTER_DEVICE, each)))
		rc = dma_set_mask_and_coherent(&each->dev, DMA_BIT_MASK(mask));
	pci_dev_put(each);
	return rc;
}

static int importer_start(void)
{
	int rc;

	rc = importer_masks_set();
	if (rc)
		return rc;
	rc = misc_register(&importer_misc);
	if (rc || !(managed || drive))
		return rc;
	importer_driver.driver_managed_dma = managed;
	rc = pci_register_driver(&importer_driver);
	if (rc)
		misc_deregister(&importer_misc);
	return rc;
}

static int __init importer_init(void)
{
	int rc;

	do
		importer_peer = pci_get_device(IMPORTER_VENDOR, IMPORTER_DEVICE,
					       importer_peer);
	while (importer_peer && peer && strcmp(pci_name(importer_peer), peer));
	if (!importer_peer) {
		pr_err("no edu device: start QEMU with -device edu,dma_mask=0xffffffffffffffff\n");
		return -ENODEV;
	}
	rc = importer_start();
	if (rc)
		pci_dev_put(importer_peer);
	return rc;
}

static void __exit importer_exit(void)
{
	if (managed || drive)
		pci_unregister_driver(&importer_driver);
	misc_deregister(&importer_misc);
	pci_dev_put(importer_peer);
}

module_init(importer_init);
module_exit(importer_exit);

MODULE_AUTHOR("gpumem developers");
MODULE_DESCRIPTION("Test importer of dma-bufs");
MODULE_LICENSE("Dual MIT/GPL");
/* MODULE_IMPORT_NS() takes a string since 6.13 and a name before. */
MODULE_INFO(import_ns, "DMA_BUF");
