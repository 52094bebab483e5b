// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * A pin as a dma-buf, for importers in other drivers.
 *
 * The pages behind it are held for the dma-buf (see struct gpumem_hold), by it
 * and by every mapping that an importer has made, so revocation never pulls
 * memory from under a device: importers are told to let go (move_notify), new
 * mappings fail, and the memory goes back when the last importer has unmapped,
 * the dma-buf is closed and its fences have signalled.
 *
 * What is exported is MMIO: there are no struct pages, and only importers that say
 * that they can do without (allow_peer2peer) attach; static ones cannot say so.
 *
 * Order: the driver's locks, gpumem_pinned.exports_lock, dma_resv. The calls
 * that importers make come with dma_resv held; they take none of our locks and
 * do not call the driver.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/module.h>

#include "compat.h"
#include "gpumem_drv.h"

#ifdef GPUMEM_GPL
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

/* A scatterlist entry's length is 32 bits. */
#define GPUMEM_SG_MAX SZ_1G

/**
 * struct gpumem_exported - a dma-buf of a pin
 * @dmabuf:	the dma-buf. Its file may be gone: the release is the dentry's, and
 *		a descriptor opened with O_PATH keeps that alone
 * @inode:	what its CPU mappings hang in; holds a reference. Of dma-buf's own
 *		mount, which never ends
 * @pin:	the pin; holds a reference
 * @of_pin:	in gpumem_pinned.exports; under gpumem_pinned.exports_lock
 * @hold:	the memory
 * @revoked:	the pin has ended; under the dma-buf's dma_resv
 */
struct gpumem_exported {
	struct dma_buf *dmabuf;
	struct inode *inode;
	struct gpumem_pinned *pin;
	struct list_head of_pin;
	struct gpumem_hold *hold;
	bool revoked;
};

/* What an importer has mapped: its table and the memory it leads to. */
struct gpumem_mapped {
	struct sg_table sgt;
	struct gpumem_hold *hold;
};

/* Bytes from the page on that are contiguous, at most GPUMEM_SG_MAX. */
static u64 gpumem_export_run(const struct gpumem_page_set *set, u64 page)
{
	return gpumem_set_run(set, page, GPUMEM_SG_MAX >> set->shift)
	       << set->shift;
}

static void gpumem_export_unmap_sg(struct device *dev, struct sg_table *sgt,
				   unsigned int count,
				   enum dma_data_direction dir)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (i >= count)
			break;
		dma_unmap_resource(dev, sg_dma_address(sg), sg_dma_len(sg), dir,
				   DMA_ATTR_SKIP_CPU_SYNC);
	}
}

static int gpumem_export_map_sg(struct device *dev, struct sg_table *sgt,
				const struct gpumem_page_set *set,
				enum dma_data_direction dir)
{
	struct gpumem_path path = { 0 };
	struct scatterlist *sg;
	unsigned int i;
	u64 page = 0;
	int rc;

	rc = gpumem_peer_check(dev, set, &path);
	if (rc)
		return rc;
	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 length = gpumem_export_run(set, page);
		dma_addr_t addr;

		addr = dma_map_resource(dev, set->addr[page], length, dir,
					DMA_ATTR_SKIP_CPU_SYNC);
		if (dma_mapping_error(dev, addr)) {
			gpumem_export_unmap_sg(dev, sgt, i, dir);
			return -EIO;
		}
		/* These are no struct pages: only the DMA side is filled in. */
		sg_set_page(sg, NULL, length, 0);
		sg_dma_address(sg) = addr;
		sg_dma_len(sg) = length;
		page += length >> set->shift;
	}
	return 0;
}

static struct sg_table *gpumem_export_map(struct dma_buf_attachment *attach,
					  enum dma_data_direction dir)
{
	struct gpumem_exported *ex = attach->dmabuf->priv;
	const struct gpumem_page_set *set = &ex->hold->set;
	struct gpumem_mapped *mapped;
	unsigned int runs = 0;
	u64 page;
	int rc;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (ex->revoked)
		return ERR_PTR(-ENODEV);
	mapped = kzalloc(sizeof(*mapped), GFP_KERNEL);
	if (!mapped)
		return ERR_PTR(-ENOMEM);
	for (page = 0; page < set->count;
	     page += gpumem_export_run(set, page) >> set->shift)
		runs++;
	rc = sg_alloc_table(&mapped->sgt, runs, GFP_KERNEL);
	if (rc)
		goto err_free;
	rc = gpumem_export_map_sg(attach->dev, &mapped->sgt, set, dir);
	if (rc)
		goto err_table;
	gpumem_hold_get(ex->hold);
	mapped->hold = ex->hold;
	return &mapped->sgt;

err_table:
	sg_free_table(&mapped->sgt);
err_free:
	kfree(mapped);
	return ERR_PTR(rc);
}

static void gpumem_export_unmap(struct dma_buf_attachment *attach,
				struct sg_table *sgt,
				enum dma_data_direction dir)
{
	struct gpumem_mapped *mapped =
		container_of(sgt, struct gpumem_mapped, sgt);

	gpumem_export_unmap_sg(attach->dev, sgt, sgt->nents, dir);
	sg_free_table(sgt);
	/* The dma-buf has a reference too: this is never the last. */
	gpumem_hold_put(mapped->hold);
	kfree(mapped);
}

static int gpumem_export_refuse(struct dma_buf_attachment *attach,
				const char *why)
{
	dev_notice_ratelimited(attach->dev, "gpumem: the driver %s\n", why);
	return -EOPNOTSUPP;
}

/* Whether the importer may use the memory though it cannot be told to let go. */
static int gpumem_export_keep(struct dma_buf_attachment *attach)
{
	const struct gpumem_exported *ex = attach->dmabuf->priv;

	if (ex->pin->flags & GPUMEM_PIN_PERSISTENT)
		return 0;
	return gpumem_export_refuse(
		attach,
		"cannot let go of GPU memory that is freed; pin it with GPUMEM_PIN_PERSISTENT");
}

static int gpumem_export_attach(struct dma_buf *dmabuf,
				struct dma_buf_attachment *attach)
{
	const struct gpumem_exported *ex = dmabuf->priv;

	/* No device could map it: see gpumem_peer_check(). */
	if (ex->hold->set.ram)
		return -EOPNOTSUPP;
	/* Others look for struct pages. */
	if (!attach->peer2peer)
		return gpumem_export_refuse(
			attach,
			"needs page structures, which GPU memory has not (allow_peer2peer)");
	return gpumem_attach_deaf(attach) ? gpumem_export_keep(attach) : 0;
}

/*
 * An importer wants the memory to stay where it is. It never moves; but it is freed,
 * and a pin that is not persistent has to be let go of then.
 */
static int gpumem_export_pin(struct dma_buf_attachment *attach)
{
	const struct gpumem_exported *ex = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (ex->revoked)
		return -ENODEV;
	if (gpumem_pin_is_map(attach) || gpumem_attach_revocable(attach))
		return 0;
	return gpumem_export_keep(attach);
}

static void gpumem_export_unpin(struct dma_buf_attachment *attach)
{
}

static int gpumem_export_mmap(struct dma_buf *dmabuf,
			      struct vm_area_struct *vma)
{
	struct gpumem_exported *ex = dmabuf->priv;

	return gpumem_mmap_export(ex->pin, vma);
}

static void gpumem_export_release(struct dma_buf *dmabuf)
{
	struct gpumem_exported *ex = dmabuf->priv;

	mutex_lock(&ex->pin->exports_lock);
	list_del(&ex->of_pin);
	mutex_unlock(&ex->pin->exports_lock);
	iput(ex->inode);
	/* Until they signal, devices use what importers have unmapped already. */
	dma_resv_wait_timeout(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	gpumem_hold_put(ex->hold);
	gpumem_pin_put(ex->pin);
	kfree(ex);
}

static const struct dma_buf_ops gpumem_export_ops = {
	.attach = gpumem_export_attach,
	.pin = gpumem_export_pin,
	.unpin = gpumem_export_unpin,
	.map_dma_buf = gpumem_export_map,
	.unmap_dma_buf = gpumem_export_unmap,
	.mmap = gpumem_export_mmap,
	.release = gpumem_export_release,
};

/*
 * The pin has ended: importers let go, CPU mappings lose their pages, and
 * neither comes back. Also called inside the driver's callback.
 */
void gpumem_export_revoke_all(struct gpumem_pinned *pin)
{
	struct gpumem_exported *ex;

	mutex_lock(&pin->exports_lock);
	list_for_each_entry(ex, &pin->exports, of_pin) {
		/* Its release waits for exports_lock, so the dma-buf is there. */
		dma_resv_lock(ex->dmabuf->resv, NULL);
		if (!ex->revoked) {
			ex->revoked = true;
			dma_buf_invalidate_mappings(ex->dmabuf);
		}
		dma_resv_unlock(ex->dmabuf->resv);
		unmap_mapping_range(ex->inode->i_mapping, 0,
				    gpumem_pin_bytes(pin), 1);
	}
	mutex_unlock(&pin->exports_lock);
}

/* The pin's dma-buf; takes over the reference to the pin, also when it fails. */
static struct dma_buf *gpumem_export_create(struct gpumem_pinned *pin,
					    int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct gpumem_exported *ex;
	int rc = -ENOMEM;

	ex = kzalloc(sizeof(*ex), GFP_KERNEL_ACCOUNT);
	if (!ex)
		goto err_pin;
	ex->pin = pin;
	ex->hold = gpumem_hold_of(pin);
	if (IS_ERR(ex->hold)) {
		rc = PTR_ERR(ex->hold);
		/* The range was whole when it was pinned. */
		if (rc == -EINVAL && gpumem_pin_alive(pin))
			rc = -ENODEV;
		goto err_free;
	}
	info.ops = &gpumem_export_ops;
	info.size = gpumem_pin_bytes(pin);
	info.flags = flags;
	info.priv = ex;

	ex->dmabuf = dma_buf_export(&info);
	if (IS_ERR(ex->dmabuf)) {
		rc = PTR_ERR(ex->dmabuf);
		goto err_hold;
	}
	ex->inode = file_inode(ex->dmabuf->file);
	ihold(ex->inode);
	/* Revocation finds it from here on, or we see that it has been. */
	mutex_lock(&pin->exports_lock);
	list_add_tail(&ex->of_pin, &pin->exports);
	rc = gpumem_pin_alive(pin);
	mutex_unlock(&pin->exports_lock);
	if (rc) {
		dma_buf_put(ex->dmabuf);
		return ERR_PTR(rc);
	}
	return ex->dmabuf;

err_hold:
	gpumem_hold_put(ex->hold);
err_free:
	kfree(ex);
err_pin:
	gpumem_pin_put(pin);
	return ERR_PTR(rc);
}

int gpumem_export_ioctl(struct gpumem_call *call)
{
	struct gpumem_export *args = &call->args.export;
	struct gpumem_pinned *pin;
	struct dma_buf *dmabuf;
	int fd, rc;

	if (args->flags & ~(O_CLOEXEC | O_ACCMODE) || args->__reserved ||
	    (args->flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	pin = gpumem_pin_find(call->file, args->pin);
	if (!pin)
		return -ENOENT;
	rc = gpumem_pin_alive(pin);
	if (rc) {
		gpumem_pin_put(pin);
		return rc;
	}
	args->dmabuf_size = gpumem_pin_bytes(pin);
	dmabuf = gpumem_export_create(pin, args->flags & O_ACCMODE);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = get_unused_fd_flags(args->flags & O_CLOEXEC);
	if (fd < 0) {
		dma_buf_put(dmabuf);
		return fd;
	}
	args->fd = fd;
	rc = gpumem_call_reply(call);
	if (rc) {
		put_unused_fd(fd);
		dma_buf_put(dmabuf);
		return rc;
	}
	fd_install(fd, dmabuf->file);
	return 0;
}
#else
int gpumem_export_ioctl(struct gpumem_call *call)
{
	return -EOPNOTSUPP;
}

void gpumem_export_revoke_all(struct gpumem_pinned *pin)
{
}
#endif
