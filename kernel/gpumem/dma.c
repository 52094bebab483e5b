// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * A pin's addresses for one PCI device. The mapping is made of memory held for
 * it alone: the driver cannot take that back while it is mapped.
 */
#include <linux/atomic.h>
#include <linux/dma-mapping.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "gpumem_drv.h"
#include "trace.h"

/* All that are mapped, for when a driver leaves its device. */
static LIST_HEAD(gpumem_dma_mapped);
static DEFINE_SPINLOCK(gpumem_dma_mapped_lock);

static atomic_t gpumem_dma_count;
module_param_named(dma_maps, gpumem_dma_count.counter, int, 0444);
MODULE_PARM_DESC(dma_maps, "DMA mappings that there are (to be read)");

static void gpumem_dma_free(struct kref *ref)
{
	struct gpumem_dma *dma = container_of(ref, struct gpumem_dma, ref);

	if (dma->hold)
		gpumem_hold_put(dma->hold);
	pci_dev_put(dma->peer);
	gpumem_pin_put(dma->pin);
	kvfree(dma->runs);
	kvfree(dma->maps);
	kfree(dma);
}

static void gpumem_dma_free_work(struct work_struct *work)
{
	gpumem_dma_free(&container_of(work, struct gpumem_dma, free_work)->ref);
}

/* Where the driver's locks may be held, inside which no page is put. */
static void gpumem_dma_free_later(struct kref *ref)
{
	struct gpumem_dma *dma = container_of(ref, struct gpumem_dma, ref);

	INIT_WORK(&dma->free_work, gpumem_dma_free_work);
	gpumem_peer_queue(&dma->free_work);
}

static void gpumem_dma_put(struct gpumem_dma *dma)
{
	kref_put(&dma->ref, gpumem_dma_free);
}

/* Undoes the first count mappings. */
static void gpumem_dma_unmap(struct gpumem_dma *dma, u64 count)
{
	while (count--) {
		dma_unmap_resource(&dma->peer->dev, dma->maps[count].addr,
				   dma->maps[count].length, DMA_BIDIRECTIONAL,
				   DMA_ATTR_SKIP_CPU_SYNC);
		cond_resched();
	}
}

/*
 * By the kernel's own means. The NVIDIA driver's gives the device physical
 * addresses behind an IOMMU since 6.12, and takes its locks, inside which we
 * may be told that a device goes away.
 */
static int gpumem_dma_map(struct gpumem_dma *dma)
{
	const struct gpumem_page_set *set = &dma->hold->set;
	struct device *dev = &dma->peer->dev;
	u64 page = 0, i, length;
	dma_addr_t addr;

	for (i = 0; i < dma->map_count; i++) {
		length = gpumem_set_run(set, page, U64_MAX) << set->shift;
		addr = dma_map_resource(dev, set->addr[page], length,
					DMA_BIDIRECTIONAL,
					DMA_ATTR_SKIP_CPU_SYNC);
		if (dma_mapping_error(dev, addr)) {
			gpumem_dma_unmap(dma, i);
			return -EIO;
		}
		dma->maps[i].addr = addr;
		dma->maps[i].length = length;
		page += length >> set->shift;
		cond_resched();
	}
	return 0;
}

/* Neighbours may have got addresses that follow each other. */
static void gpumem_dma_merge(struct gpumem_dma *dma)
{
	struct gpumem_dma_run *last = NULL;
	u64 i;

	for (i = 0; i < dma->map_count; i++) {
		const struct gpumem_dma_run *map = &dma->maps[i];

		if (last && map->addr == last->addr + last->length) {
			last->length += map->length;
			continue;
		}
		last = &dma->runs[dma->run_count++];
		*last = *map;
	}
}

/* Room for its addresses. */
static int gpumem_dma_prepare(struct gpumem_dma *dma)
{
	const struct gpumem_page_set *set = &dma->hold->set;
	u64 page;

	for (page = 0; page < set->count;
	     page += gpumem_set_run(set, page, U64_MAX))
		dma->map_count++;
	dma->maps = kvcalloc(dma->map_count, sizeof(*dma->maps),
			     GFP_KERNEL_ACCOUNT);
	dma->runs = kvcalloc(dma->map_count, sizeof(*dma->runs),
			     GFP_KERNEL_ACCOUNT);
	return dma->maps && dma->runs ? 0 : -ENOMEM;
}

/* With the device held. */
static int gpumem_dma_begin(struct gpumem_dma *dma)
{
	int rc;

	rc = gpumem_peer_check(&dma->peer->dev, &dma->hold->set, &dma->path);
	if (!rc)
		rc = gpumem_dma_map(dma);
	if (rc)
		return rc;
	gpumem_dma_merge(dma);
	atomic_inc(&gpumem_dma_count);
	spin_lock(&gpumem_dma_mapped_lock);
	list_add_tail(&dma->mapped, &gpumem_dma_mapped);
	spin_unlock(&gpumem_dma_mapped_lock);
	trace_gpumem_dma_map(dma, pci_name(dma->peer));
	return 0;
}

/*
 * The device loses the addresses. Allowed inside the driver's callback. Whoever
 * waits for it may free it when this returns.
 */
static void gpumem_dma_end(struct gpumem_dma *dma)
{
	trace_gpumem_dma_unmap(dma, pci_name(dma->peer));
	gpumem_dma_unmap(dma, dma->map_count);
	atomic_dec(&gpumem_dma_count);
	spin_lock(&gpumem_dma_mapped_lock);
	list_del_init(&dma->mapped);
	spin_unlock(&gpumem_dma_mapped_lock);
	complete_all(&dma->end_done);
}

/* Hangs the mapping on its pin, unless that or the device is gone. */
static int gpumem_dma_attach(struct gpumem_dma *dma)
{
	struct gpumem_pinned *pin = dma->pin;
	int rc = -ENODEV;

	down_write(&pin->lock);
	if (pin->state == GPUMEM_PIN_LIVE && !dma->ended) {
		list_add_tail(&dma->of_pin, &pin->dmas);
		rc = 0;
	}
	up_write(&pin->lock);
	return rc;
}

/* Ends it, or waits until whoever does so is done. */
static void gpumem_dma_detach(struct gpumem_dma *dma)
{
	struct gpumem_pinned *pin = dma->pin;
	bool mine;

	down_write(&pin->lock);
	mine = !dma->ended;
	if (mine) {
		dma->ended = true;
		list_del_init(&dma->of_pin);
	}
	up_write(&pin->lock);
	if (mine)
		gpumem_dma_end(dma);
	else
		wait_for_completion(&dma->end_done);
}

/* Drops the table entries of the pin's mappings, of all pins if it is NULL. */
void gpumem_dma_forget(struct gpumem_file *file,
		       const struct gpumem_pinned *pin)
{
	struct gpumem_dma *dma;
	unsigned long id;

	xa_for_each(&file->dmas, id, dma) {
		xa_lock(&file->dmas);
		dma = xa_load(&file->dmas, id);
		if (dma && (!pin || dma->pin == pin))
			__xa_erase(&file->dmas, id);
		else
			dma = NULL;
		xa_unlock(&file->dmas);
		if (dma) {
			gpumem_dma_detach(dma);
			gpumem_dma_put(dma);
		}
	}
}

/*
 * Ends all mappings of a pin that is not live any more; their ids stay. Allowed
 * inside the driver's callback.
 */
void gpumem_dma_end_all(struct gpumem_pinned *pin)
{
	struct gpumem_dma *dma, *next;
	LIST_HEAD(gone);

	down_write(&pin->lock);
	list_for_each_entry(dma, &pin->dmas, of_pin)
		dma->ended = true;
	list_splice_init(&pin->dmas, &gone);
	up_write(&pin->lock);

	list_for_each_entry_safe(dma, next, &gone, of_pin) {
		list_del_init(&dma->of_pin);
		gpumem_dma_end(dma);
	}
}

/* A mapping for the device, out of the list and with a reference, or NULL. */
static struct gpumem_dma *gpumem_dma_find_peer(const struct pci_dev *peer)
{
	struct gpumem_dma *dma, *found = NULL;

	spin_lock(&gpumem_dma_mapped_lock);
	list_for_each_entry(dma, &gpumem_dma_mapped, mapped) {
		if (dma->peer != peer)
			continue;
		kref_get(&dma->ref);
		list_del_init(&dma->mapped);
		found = dma;
		break;
	}
	spin_unlock(&gpumem_dma_mapped_lock);
	return found;
}

/*
 * Ends all mappings for a device; their ids stay. May be called with the NVIDIA
 * driver's locks held.
 */
void gpumem_dma_end_peer(const struct pci_dev *peer)
{
	struct gpumem_dma *dma;

	while ((dma = gpumem_dma_find_peer(peer))) {
		gpumem_dma_detach(dma);
		kref_put(&dma->ref, gpumem_dma_free_later);
	}
}

/* Drops the mapping's table entry, unless somebody has. */
static void gpumem_dma_forget_one(struct gpumem_file *file,
				  struct gpumem_dma *dma)
{
	bool mine;

	xa_lock(&file->dmas);
	mine = xa_load(&file->dmas, dma->id) == dma;
	if (mine)
		__xa_erase(&file->dmas, dma->id);
	xa_unlock(&file->dmas);
	if (mine) {
		gpumem_dma_detach(dma);
		gpumem_dma_put(dma);
	}
}

static void gpumem_dma_tell_path(struct gpumem_dma_map *args,
				 const struct gpumem_path *path)
{
	args->path = path->kind;
	args->port_domain = path->domain;
	args->port_bus = path->bus;
	args->port_devfn = path->devfn;
}

int gpumem_dma_map_ioctl(struct gpumem_call *call)
{
	struct gpumem_dma_map *args = &call->args.dma_map;
	struct gpumem_dma *dma;
	int rc;

	if (args->flags || args->__reserved0 || args->__reserved)
		return -EINVAL;
	dma = kzalloc(sizeof(*dma), GFP_KERNEL_ACCOUNT);
	if (!dma)
		return -ENOMEM;
	kref_init(&dma->ref);
	INIT_LIST_HEAD(&dma->of_pin);
	INIT_LIST_HEAD(&dma->mapped);
	init_completion(&dma->end_done);
	dma->pin = gpumem_pin_find(call->file, args->pin);
	if (!dma->pin) {
		kfree(dma);
		return -ENOENT;
	}
	dma->peer = gpumem_peer_get(args);
	if (IS_ERR(dma->peer)) {
		rc = PTR_ERR(dma->peer);
		dma->peer = NULL;
		goto err_put;
	}
	dma->hold = gpumem_hold_of(dma->pin);
	if (IS_ERR(dma->hold)) {
		rc = PTR_ERR(dma->hold);
		dma->hold = NULL;
		/* The range was whole when it was pinned. */
		if (rc == -EINVAL && gpumem_pin_alive(dma->pin))
			rc = -ENODEV;
		goto err_put;
	}
	rc = gpumem_dma_prepare(dma);
	if (!rc)
		rc = gpumem_peer_hold(dma->peer);
	if (rc)
		goto err_put;
	rc = gpumem_dma_begin(dma);
	gpumem_peer_release(dma->peer);
	gpumem_dma_tell_path(args, &dma->path);
	/* A refusal says where. */
	if (rc == -EREMOTEIO && gpumem_call_reply(call))
		rc = -EFAULT;
	if (rc)
		goto err_put;
	rc = xa_alloc_cyclic(&call->file->dmas, &dma->id, NULL, xa_limit_31b,
			     &call->file->next_dma, GFP_KERNEL_ACCOUNT);
	if (rc < 0) {
		rc = rc == -EBUSY ? -ENOSPC : rc;
		goto err_end;
	}
	args->dma = dma->id;
	args->page_size = 1U << dma->hold->set.shift;
	args->run_count = dma->run_count;
	rc = gpumem_call_reply(call);
	if (rc)
		goto err_erase;
	rc = gpumem_dma_attach(dma);
	if (rc)
		goto err_erase;
	kref_get(&dma->ref);
	/* Into a reserved entry: needs no memory. */
	xa_store(&call->file->dmas, dma->id, dma, GFP_KERNEL_ACCOUNT);
	/* If the pin has ended since, its end has not found the entry. */
	rc = gpumem_pin_alive(dma->pin);
	if (rc)
		gpumem_dma_forget_one(call->file, dma);
	gpumem_dma_put(dma);
	return rc;

err_erase:
	xa_erase(&call->file->dmas, dma->id);
err_end:
	gpumem_dma_detach(dma);
err_put:
	gpumem_dma_put(dma);
	return rc;
}

static struct gpumem_dma *gpumem_dma_find(struct gpumem_file *file, u32 id)
{
	struct gpumem_dma *dma;

	xa_lock(&file->dmas);
	dma = xa_load(&file->dmas, id);
	if (dma)
		kref_get(&dma->ref);
	xa_unlock(&file->dmas);
	return dma;
}

/* 0, or -ENODEV when the pin or the device is gone. */
static int gpumem_dma_alive(struct gpumem_dma *dma)
{
	bool ended;

	down_read(&dma->pin->lock);
	ended = dma->ended;
	up_read(&dma->pin->lock);
	return ended ? -ENODEV : gpumem_pin_alive(dma->pin);
}

int gpumem_dma_runs_ioctl(struct gpumem_call *call)
{
	struct gpumem_dma_runs *args = &call->args.dma_runs;
	struct gpumem_dma *dma;
	int rc;

	dma = gpumem_dma_find(call->file, args->dma);
	if (!dma)
		return -ENOENT;
	rc = gpumem_dma_alive(dma);
	if (rc)
		goto out_put;
	rc = -EINVAL;
	if (args->first >= dma->run_count)
		goto out_put;
	args->count = min(args->count, dma->run_count - args->first);
	rc = -EFAULT;
	if (copy_to_user(u64_to_user_ptr(args->runs), dma->runs + args->first,
			 args->count * sizeof(*dma->runs)))
		goto out_put;
	rc = gpumem_call_reply(call);
out_put:
	gpumem_dma_put(dma);
	return rc;
}

int gpumem_dma_unmap_ioctl(struct gpumem_call *call)
{
	struct gpumem_dma *dma;

	xa_lock(&call->file->dmas);
	dma = xa_load(&call->file->dmas, call->args.dma_unmap.dma);
	if (dma)
		__xa_erase(&call->file->dmas, call->args.dma_unmap.dma);
	xa_unlock(&call->file->dmas);
	if (!dma)
		return -ENOENT;
	gpumem_dma_detach(dma);
	gpumem_dma_put(dma);
	return 0;
}
