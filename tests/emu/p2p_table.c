// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Page tables, as get_pages gives them to a peer.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "p2p_export.h"

#define TABLE_POISON 0x6b

static unsigned int p2p_version = NVIDIA_P2P_PAGE_TABLE_VERSION;
module_param(p2p_version, uint, 0644);
MODULE_PARM_DESC(p2p_version, "version that new page tables carry");

static const u8 gpu_uuid[NVIDIA_P2P_GPU_UUID_LEN] = "gpumem-emulated";

struct nvidia_p2p_page_table *emu_table_new(const struct emu_pin *pin)
{
	u64 pages = pin->length / EMU_PAGE, i;
	struct nvidia_p2p_page_table *table;
	struct nvidia_p2p_page *page;

	/* As in the driver, the UUID and the entries die with the table. */
	table = kzalloc(sizeof(*table) + sizeof(gpu_uuid), GFP_KERNEL_ACCOUNT);
	if (!table)
		return NULL;
	table->gpu_uuid = (u8 *)(table + 1);
	memcpy(table->gpu_uuid, gpu_uuid, sizeof(gpu_uuid));
	table->pages =
		kvcalloc(pages, sizeof(*table->pages), GFP_KERNEL_ACCOUNT);
	page = kvcalloc(pages, sizeof(*page), GFP_KERNEL_ACCOUNT);
	if (!table->pages || !page) {
		kvfree(page);
		kvfree(table->pages);
		kfree(table);
		return NULL;
	}

	for (i = 0; i < pages; i++) {
		page[i].physical_address = emu_pin_page(pin, i);
		table->pages[i] = &page[i];
	}
	table->version = READ_ONCE(p2p_version);
	table->page_size = NVIDIA_P2P_PAGE_SIZE_64KB;
	table->entries = pages;
	if (emu_pin_coherent() & EMU_COHERENT_FLAG)
		table->flags |= NVIDIA_P2P_PAGE_TABLE_FLAGS_CPU_CACHEABLE;
	return table;
}

void emu_table_free(struct nvidia_p2p_page_table *table, u64 pages)
{
	struct nvidia_p2p_page **list = table->pages;
	struct nvidia_p2p_page *page = list[0];

	memset(page, TABLE_POISON, pages * sizeof(*page));
	memset(list, TABLE_POISON, pages * sizeof(*list));
	memset(table, TABLE_POISON, sizeof(*table) + sizeof(gpu_uuid));
	kvfree(page);
	kvfree(list);
	kfree(table);
}
