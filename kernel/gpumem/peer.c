// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/*
 * The PCI devices that memory is mapped for: who may name one, what it can reach,
 * and what becomes of its mappings when it goes away.
 */
#include <linux/capability.h>
#include <linux/device.h>
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

/*
 * A driver that manages DMA itself (vfio-pci and its variants) gives its device a
 * domain of its own making.
 */
static bool gpumem_peer_is_vfio(struct pci_dev *peer)
{
	bool is;

	device_lock(&peer->dev);
	is = peer->dev.driver &&
	     to_pci_driver(peer->dev.driver)->driver_managed_dma;
	device_unlock(&peer->dev);
	return is;
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
	if (!rc && gpumem_peer_is_vfio(peer))
		rc = -EBUSY;
	if (rc) {
		pci_dev_put(peer);
		return ERR_PTR(rc);
	}
	return peer;
}

/*
 * Where nothing translates, the device must reach the pages where they are. The
 * kernel would refuse too, but with a warning in its log.
 */
bool gpumem_peer_reaches(struct device *dev, const struct gpumem_page_set *set)
{
	u64 last = 0;
	u64 i;

	if (!gpumem_dma_is_direct(dev))
		return true;
	for (i = 0; i < set->count; i++)
		last = max(last, set->addr[i]);
	return last + BIT_ULL(set->shift) - 1 <=
	       min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
}

/*
 * Nothing is mapped for a device between our notifier, which is the first to
 * hear that it is gone, and the moment when it cannot be found any more. The
 * notifier may run with the NVIDIA driver's locks held (it takes devices out by
 * itself), so the driver is never called with this held.
 */
static DEFINE_MUTEX(gpumem_peers_lock);

/*
 * -ENODEV if the device is not there any more, or not yet; otherwise it stays for
 * a while.
 */
int gpumem_peer_hold(struct pci_dev *peer)
{
	struct pci_dev *found;

	mutex_lock(&gpumem_peers_lock);
	found = pci_get_domain_bus_and_slot(pci_domain_nr(peer->bus),
					    peer->bus->number, peer->devfn);
	pci_dev_put(found);
	if (found == peer && gpumem_pci_is_added(peer))
		return 0;
	mutex_unlock(&gpumem_peers_lock);
	return -ENODEV;
}

void gpumem_peer_release(void)
{
	mutex_unlock(&gpumem_peers_lock);
}

#ifdef GPUMEM_GPL
static struct workqueue_struct *gpumem_peer_work;

void gpumem_peer_queue(struct work_struct *work)
{
	queue_work(gpumem_peer_work, work);
}

/*
 * A driver that has left its device has stopped it, and a device without a driver
 * may get another IOMMU domain or be taken out.
 */
static int gpumem_peer_changed(struct notifier_block *nb, unsigned long action,
			       void *data)
{
	struct device *dev = data;

	if (action != BUS_NOTIFY_UNBOUND_DRIVER &&
	    action != BUS_NOTIFY_REMOVED_DEVICE)
		return NOTIFY_DONE;
	mutex_lock(&gpumem_peers_lock);
	gpumem_dma_end_peer(to_pci_dev(dev));
	mutex_unlock(&gpumem_peers_lock);
	return NOTIFY_OK;
}

static struct notifier_block gpumem_peer_notifier = {
	.notifier_call = gpumem_peer_changed,
	/* Before the IOMMU's own, which takes the device's domain away. */
	.priority = INT_MAX,
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
