// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * DMA mappings: the addresses at which another PCI device reaches pinned pages, or
 * not: as in the driver, a device that has no DMA operations of its own gets
 * physical addresses. Since Linux 6.12 that is so behind an IOMMU too.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "p2p_export.h"

#define DMA_POISON 0x6b

static int fail_dma_map;
module_param(fail_dma_map, int, 0644);
MODULE_PARM_DESC(fail_dma_map,
		 "errno that every dma_map_pages returns (0: it works)");

struct emu_dma {
	struct list_head all;
	struct emu_pin *pin;
	struct pci_dev *peer;
	u32 entries; /* the peer's view below is not trusted */
	u64 *addresses;
	struct nvidia_p2p_dma_mapping *mapping;
};

/* Taken under emu_lock, or alone by a callback that holds that already. */
static DEFINE_MUTEX(dma_lock);
static LIST_HEAD(dma_maps);

static void dma_unmap_first(struct emu_dma *dma, u32 count)
{
	if (!get_dma_ops(&dma->peer->dev))
		return;
	while (count--)
		dma_unmap_resource(&dma->peer->dev, dma->addresses[count],
				   EMU_PAGE, DMA_BIDIRECTIONAL, 0);
}

static int dma_map_all(struct emu_dma *dma)
{
	const struct nvidia_p2p_page_table *table = dma->pin->table;
	dma_addr_t addr;
	u32 i;

	for (i = 0; i < dma->entries; i++) {
		dma->addresses[i] = table->pages[i]->physical_address;
		if (!get_dma_ops(&dma->peer->dev))
			continue;
		addr = dma_map_resource(&dma->peer->dev,
					table->pages[i]->physical_address,
					EMU_PAGE, DMA_BIDIRECTIONAL, 0);
		if (dma_mapping_error(&dma->peer->dev, addr)) {
			dma_unmap_first(dma, i);
			return -EIO;
		}
		dma->addresses[i] = addr;
	}
	return 0;
}

static void dma_free(struct emu_dma *dma)
{
	dma_unmap_first(dma, dma->entries);
	memset(dma->addresses, DMA_POISON,
	       dma->entries * sizeof(*dma->addresses));
	kvfree(dma->addresses);
	memset(dma->mapping, DMA_POISON, sizeof(*dma->mapping));
	kfree(dma->mapping);
	pci_dev_put(dma->peer);
	kfree(dma);
	emu_count(EMU_DMA_MAPS, -1);
}

unsigned int emu_dma_free_all(struct emu_pin *pin)
{
	struct emu_dma *dma, *next;
	unsigned int count = 0;

	lockdep_assert_held(&emu_lock);
	mutex_lock(&dma_lock);
	list_for_each_entry_safe(dma, next, &dma_maps, all) {
		if (dma->pin != pin)
			continue;
		list_del(&dma->all);
		dma_free(dma);
		count++;
	}
	mutex_unlock(&dma_lock);
	return count;
}

static struct emu_dma *dma_new(struct pci_dev *peer, struct emu_pin *pin)
{
	u32 entries = pin->length / EMU_PAGE;
	struct emu_dma *dma;

	dma = kzalloc(sizeof(*dma), GFP_KERNEL_ACCOUNT);
	if (!dma)
		return NULL;
	dma->mapping = kzalloc(sizeof(*dma->mapping), GFP_KERNEL_ACCOUNT);
	dma->addresses =
		kvcalloc(entries, sizeof(*dma->addresses), GFP_KERNEL_ACCOUNT);
	if (!dma->mapping || !dma->addresses) {
		kvfree(dma->addresses);
		kfree(dma->mapping);
		kfree(dma);
		return NULL;
	}
	dma->pin = pin;
	dma->peer = pci_dev_get(peer);
	dma->entries = entries;
	*dma->mapping = (struct nvidia_p2p_dma_mapping){
		.version = NVIDIA_P2P_DMA_MAPPING_VERSION,
		.page_size_type = NVIDIA_P2P_PAGE_SIZE_64KB,
		.entries = entries,
		.dma_addresses = dma->addresses,
		.pci_dev = peer,
	};
	return dma;
}

int nvidia_p2p_dma_map_pages(struct pci_dev *peer,
			     struct nvidia_p2p_page_table *page_table,
			     struct nvidia_p2p_dma_mapping **dma_mapping)
{
	int fail = READ_ONCE(fail_dma_map);
	struct emu_pin *pin;
	struct emu_dma *dma;
	int ret;

	if (!peer || !page_table || !dma_mapping)
		return -EINVAL;
	*dma_mapping = NULL;
	if (emu_pin_in_callback("dma_map_pages"))
		return -EDEADLK;
	if (fail)
		return -abs(fail);

	mutex_lock(&emu_lock);
	pin = emu_pin_find(page_table);
	if (!pin) {
		emu_violation("an unknown page table is DMA-mapped");
		ret = -EINVAL;
		goto out;
	}
	dma = dma_new(peer, pin);
	if (!dma) {
		ret = -ENOMEM;
		goto out;
	}
	emu_count(EMU_DMA_MAPS, 1);
	ret = dma_map_all(dma);
	if (ret) {
		dma->entries = 0;
		dma_free(dma);
		goto out;
	}
	mutex_lock(&dma_lock);
	list_add_tail(&dma->all, &dma_maps);
	mutex_unlock(&dma_lock);
	*dma_mapping = dma->mapping;
out:
	mutex_unlock(&emu_lock);
	return ret;
}
EXPORT_SYMBOL(nvidia_p2p_dma_map_pages);

int nvidia_p2p_dma_unmap_pages(struct pci_dev *peer,
			       struct nvidia_p2p_page_table *page_table,
			       struct nvidia_p2p_dma_mapping *dma_mapping)
{
	struct emu_dma *dma;
	bool found = false;

	if (!peer || !page_table || !dma_mapping)
		return -EINVAL;

	mutex_lock(&dma_lock);
	list_for_each_entry(dma, &dma_maps, all) {
		if (dma->mapping != dma_mapping)
			continue;
		found = true;
		if (dma->peer != peer)
			emu_violation("a DMA unmap names another device");
		if (dma->pin->table != page_table)
			emu_violation("a DMA unmap names another pin");
		list_del(&dma->all);
		dma_free(dma);
		break;
	}
	mutex_unlock(&dma_lock);
	if (!found)
		emu_violation("an unknown DMA mapping is undone (too late?)");
	return 0;
}
EXPORT_SYMBOL(nvidia_p2p_dma_unmap_pages);

int nvidia_p2p_free_dma_mapping(struct nvidia_p2p_dma_mapping *dma_mapping)
{
	return 0;
}
EXPORT_SYMBOL(nvidia_p2p_free_dma_mapping);
