// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The PCI devices that memory is mapped for: who may name one, what it can reach,
 * and what becomes of its mappings when its driver leaves.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "compat.h"
#include "gpumem_drv.h"

static bool gpumem_peer_name_is(struct dentry *dentry, const char *name)
{
	bool is;

	spin_lock(&dentry->d_lock);
	is = !strcmp(dentry->d_name.name, name);
	spin_unlock(&dentry->d_lock);
	return is;
}

/* True for config, resource and resourceN. */
static bool gpumem_peer_is_device_file(struct dentry *dentry)
{
	bool is;

	spin_lock(&dentry->d_lock);
	is = !strcmp(dentry->d_name.name, "config") ||
	     !strncmp(dentry->d_name.name, "resource", strlen("resource"));
	spin_unlock(&dentry->d_lock);
	return is;
}

/*
 * The names are the dentries' own, in sysfs itself: no mount or link that the
 * caller made changes them.
 */
static bool gpumem_peer_proves(const struct file *file, struct pci_dev *peer)
{
	struct dentry *dentry = file->f_path.dentry;
	struct dentry *parent;
	bool proves;

	if (dentry->d_sb->s_magic != SYSFS_MAGIC ||
	    !(file->f_mode & FMODE_WRITE))
		return false;
	parent = dget_parent(dentry);
	proves = gpumem_peer_is_device_file(dentry) &&
		 gpumem_peer_name_is(parent, pci_name(peer));
	dput(parent);
	return proves;
}

static int gpumem_peer_may(struct pci_dev *peer, int fd)
{
	struct file *file;
	bool proves;

	if (fd == -1)
		return capable(CAP_SYS_RAWIO) ? 0 : -EACCES;
	file = fget(fd);
	if (!file)
		return -EBADF;
	proves = gpumem_peer_proves(file, peer);
	fput(file);
	return proves ? 0 : -EACCES;
}

/* The device that the caller names, with a reference, if the caller may. */
struct pci_dev *gpumem_peer_get(const struct gpumem_dma_map *args)
{
	struct pci_dev *peer;
	int rc;

	if (args->domain > INT_MAX)
		return ERR_PTR(-ENODEV);
	peer = pci_get_domain_bus_and_slot(args->domain, args->bus,
					   args->devfn);
	if (!peer)
		return ERR_PTR(-ENODEV);
	rc = gpumem_peer_may(peer, args->device_fd);
	if (rc) {
		pci_dev_put(peer);
		return ERR_PTR(rc);
	}
	return peer;
}

/* True if a host bridge turns the addresses of its devices into others. */
static bool gpumem_peer_dma_moves(const struct device *dev)
{
	const struct bus_dma_region *map = dev->dma_range_map;

	for (; map && map->size; map++)
		if (map->cpu_start != map->dma_start)
			return true;
	return false;
}

/*
 * True if what the CPU has at an address is at another on the device's bus, or
 * something else is there.
 */
static bool gpumem_peer_bus_moves(struct pci_dev *peer, u64 first, u64 last)
{
	struct resource res = {
		.start = first,
		.end = last,
		.flags = IORESOURCE_MEM,
	};
	struct pci_bus_region region;

	pcibios_resource_to_bus(peer->bus, &region, &res);
	if (region.start != first)
		return true;
	pcibios_bus_to_resource(peer->bus, &res, &region);
	return res.start != first;
}

/*
 * Whether the device can be told where the pages are. Where no IOMMU translates it
 * gets the CPU's addresses, which it has to reach and which have to mean the same
 * on its bus: behind a host bridge that moves them the right address depends on the
 * bridges on the way. The kernel does not look at either, or warns in its log. Nor
 * does it look at the way to the GPU, which is told in path.
 *
 * Pages of the kernel's own memory are no registers, as which dma_map_resource()
 * would map them.
 */
int gpumem_peer_check(struct device *dev, const struct gpumem_page_set *set,
		      struct gpumem_path *path)
{
	u64 page, first = U64_MAX, last = 0;
	bool direct = gpumem_dma_is_direct(dev);

	if (set->ram)
		return -EOPNOTSUPP;
	if (!direct)
		return gpumem_path_find(dev, set->addr[0], direct, path);
	if (gpumem_peer_dma_moves(dev))
		return -EOPNOTSUPP;
	for (page = 0; page < set->count; page++) {
		first = min(first, set->addr[page]);
		last = max(last, set->addr[page]);
		cond_resched();
	}
	last += (1ULL << set->shift) - 1;
	/* All pages are of one BAR, which lies in one of the bridge's windows. */
	if (dev_is_pci(dev) &&
	    gpumem_peer_bus_moves(to_pci_dev(dev), first, last))
		return -EOPNOTSUPP;
	if (last > min_not_zero(dma_get_mask(dev), dev->bus_dma_limit))
		return -EIO;
	return gpumem_path_find(dev, set->addr[0], direct, path);
}

/*
 * The device with its lock held, if a driver has it: 0, -ENODEV, or -EBUSY for a
 * driver that manages DMA itself (vfio-pci and its variants) and gives its device
 * a domain of its own making.
 *
 * The kernel holds that lock while a driver begins, and from before it says that a
 * driver leaves until the driver has left. So nothing is mapped for a device
 * without a driver, whose DMA the kernel need not have set up, and what is mapped
 * is found by the notifier below. The NVIDIA driver takes devices out with its own
 * locks held, so it is never called with this one held, and no memory is allocated
 * that might wait for it. A driver may leave slowly: the wait ends with the caller.
 */
int gpumem_peer_hold(struct pci_dev *peer)
{
	int rc = 0;

	if (mutex_lock_killable(&peer->dev.mutex))
		return -EINTR;
	if (!peer->dev.driver)
		rc = -ENODEV;
	else if (to_pci_driver(peer->dev.driver)->driver_managed_dma)
		rc = -EBUSY;
	if (rc)
		device_unlock(&peer->dev);
	return rc;
}

void gpumem_peer_release(struct pci_dev *peer)
{
	device_unlock(&peer->dev);
}

#ifdef GPUMEM_GPL
static struct workqueue_struct *gpumem_peer_work;

void gpumem_peer_queue(struct work_struct *work)
{
	queue_work(gpumem_peer_work, work);
}

/*
 * A driver is about to leave its device. Later would be too late: without a driver
 * the kernel may have taken down the device's DMA (arm64 before 6.10 does, and the
 * IOMMU's mappings then stay), and it may get another IOMMU domain or be taken out.
 * Until the driver has stopped the device, what the device may still write to is
 * held by the mapping that has ended.
 */
static int gpumem_peer_changed(struct notifier_block *nb, unsigned long action,
			       void *data)
{
	struct device *dev = data;

	if (action != BUS_NOTIFY_UNBIND_DRIVER)
		return NOTIFY_DONE;
	gpumem_dma_end_peer(to_pci_dev(dev));
	return NOTIFY_OK;
}

static struct notifier_block gpumem_peer_notifier = {
	.notifier_call = gpumem_peer_changed,
};

int gpumem_peer_init(void)
{
	int rc;

	gpumem_peer_work = alloc_workqueue("gpumem", WQ_UNBOUND, 0);
	if (!gpumem_peer_work)
		return -ENOMEM;
	rc = bus_register_notifier(&pci_bus_type, &gpumem_peer_notifier);
	if (rc)
		destroy_workqueue(gpumem_peer_work);
	return rc;
}

void gpumem_peer_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &gpumem_peer_notifier);
	destroy_workqueue(gpumem_peer_work);
}
#else
/* Nothing calls it where no notifier is. */
void gpumem_peer_queue(struct work_struct *work)
{
}

int gpumem_peer_init(void)
{
	return 0;
}

void gpumem_peer_exit(void)
{
}
#endif
