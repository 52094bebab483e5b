// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * How the CPU maps GPU memory. NVIDIA's driver maps it too, for CUDA: both are to map
 * it in the same way.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dmi.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>

#include "compat.h"
#include "gpumem_drv.h"

static int map_device = -1;
module_param(map_device, int, 0644);
MODULE_PARM_DESC(
	map_device,
	"new pins are mapped as Device memory: 1: yes, 0: no, write-combined; -1: where NVIDIA's driver does so");

/* Found at the start: NVIDIA's driver maps no GPU memory write-combined here. */
static bool gpumem_map_no_wc;

#ifdef CONFIG_ARM64
#define GPUMEM_BRIDGE_ANY_REVISION 0xff

/*
 * What driver 595.45.04 turns write-combining off for (its chipset_info.c): BlueField-3,
 * and the first revision of Ampere Altra.
 */
static const struct {
	u16 vendor;
	u16 device;
	u8 last_revision;
} gpumem_map_bridges[] = {
	{ PCI_VENDOR_ID_MELLANOX, 0xa2da, GPUMEM_BRIDGE_ANY_REVISION },
	{ PCI_VENDOR_ID_MELLANOX, 0xa2db, GPUMEM_BRIDGE_ANY_REVISION },
	{ PCI_VENDOR_ID_AMPERE, 0xe000, 0 },
	{ PCI_VENDOR_ID_AMPERE, 0xe00d, 0 },
	{ PCI_VENDOR_ID_AMPERE, 0xe00e, 0 },
	{ PCI_VENDOR_ID_AMPERE, 0xe010, 0 },
	{ PCI_VENDOR_ID_AMPERE, 0xe100, 0 },
	{ PCI_VENDOR_ID_AMPERE, 0xe110, 0 },
};

static bool gpumem_map_is_bad_bridge(void)
{
	struct pci_dev *pdev;
	bool bad;
	int i;

	for (i = 0; i < ARRAY_SIZE(gpumem_map_bridges); i++) {
		pdev = pci_get_device(gpumem_map_bridges[i].vendor,
				      gpumem_map_bridges[i].device, NULL);
		if (!pdev)
			continue;
		bad = pdev->revision <= gpumem_map_bridges[i].last_revision;
		pci_dev_put(pdev);
		if (bad)
			return true;
	}
	return false;
}

#ifdef GPUMEM_GPL
/* SMBIOS, BIOS information: the second byte of the characteristics' extension. */
#define GPUMEM_SMBIOS_BIOS 0
#define GPUMEM_SMBIOS_EXTENSION2 0x13
#define GPUMEM_SMBIOS_IS_VM BIT(4)

static void gpumem_map_look(const struct dmi_header *header, void *data)
{
	const u8 *bytes = (const u8 *)header;
	bool *is_guest = data;

	if (header->type == GPUMEM_SMBIOS_BIOS &&
	    header->length > GPUMEM_SMBIOS_EXTENSION2 &&
	    bytes[GPUMEM_SMBIOS_EXTENSION2] & GPUMEM_SMBIOS_IS_VM)
		*is_guest = true;
}

/* As that driver finds it out (its hypervisor.c). */
static bool gpumem_map_is_guest(void)
{
	bool is_guest = false;

	dmi_walk(gpumem_map_look, &is_guest);
	return is_guest;
}
#else
/* What walks SMBIOS is GPL-only. A guest's kernel does not run as a hypervisor. */
static bool gpumem_map_is_guest(void)
{
	return !is_kernel_in_hyp_mode();
}
#endif

void gpumem_map_init(void)
{
	gpumem_map_no_wc = gpumem_map_is_guest() || gpumem_map_is_bad_bridge();
	if (gpumem_map_no_wc)
		pr_info("GPU memory is mapped as Device memory: this machine has no write-combining for it\n");
}
#else
void gpumem_map_init(void)
{
}
#endif

/* GPUMEM_MAP_* of pages that are pinned now. */
u32 gpumem_map_choose(const struct gpumem_page_set *set)
{
	int device = READ_ONCE(map_device);

	if (set->ram)
		return GPUMEM_MAP_CACHED;
	if (device < 0 ? gpumem_map_no_wc : device)
		return GPUMEM_MAP_DEVICE;
	return GPUMEM_MAP_WRITE_COMBINED;
}

/* NVIDIA's driver has pgprot_noncached() where it has no write-combining. */
pgprot_t gpumem_map_pgprot(const struct gpumem_page_set *set, pgprot_t prot)
{
	switch (set->map_type) {
	case GPUMEM_MAP_CACHED:
		return prot;
	case GPUMEM_MAP_DEVICE:
		return pgprot_noncached(gpumem_pgprot_device(prot));
	default:
		return gpumem_pgprot_wc(prot);
	}
}

/* A page for the kernel itself, in the same way; NULL without memory. */
void __iomem *gpumem_map_page(const struct gpumem_page_set *set, u64 phys)
{
	switch (set->map_type) {
	case GPUMEM_MAP_CACHED:
		return (void __force __iomem *)memremap(phys, PAGE_SIZE,
							MEMREMAP_WB);
	case GPUMEM_MAP_DEVICE:
		return ioremap(phys, PAGE_SIZE);
	default:
		return ioremap_wc(phys, PAGE_SIZE);
	}
}

void gpumem_map_page_end(const struct gpumem_page_set *set, void __iomem *page)
{
	if (set->map_type == GPUMEM_MAP_CACHED)
		memunmap((void __force *)page);
	else
		iounmap(page);
}
