// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The emulated GPU over a BAR: device_ivshmem.c, or device_nvidia.c, says of which
 * device.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/completion.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/refcount.h>

#include "emu.h"
#include "emu_compat.h"

struct emu_gpu emu_gpu;
/* The driver lock: see emu.h. */
DEFINE_MUTEX(emu_lock);

/* The bound device holds one; the last one completes emu_idle. */
static refcount_t emu_users = REFCOUNT_INIT(0);
static DECLARE_COMPLETION(emu_idle);

/*
 * The bus that the CPU's bridge is above. The software bus of tests/driver's GPU has
 * a PCI device above it.
 */
static struct pci_bus *bus_root(struct pci_bus *bus)
{
	struct device *above;

	for (;;) {
		while (bus->parent)
			bus = bus->parent;
		above = bus->bridge->parent;
		if (!above || !dev_is_pci(above))
			return bus;
		bus = to_pci_dev(above)->bus;
	}
}

/*
 * The host bridge above the device has its memory at other bus addresses, as far as
 * the kernel knows.
 */
static int bus_offset_set(const char *value, const struct kernel_param *param)
{
	struct resource_entry *window;
	struct pci_bus *bus;
	u64 offset;
	int ret;

	ret = kstrtou64(value, 0, &offset);
	if (ret)
		return ret;
	if (!emu_gpu.pdev)
		return -ENODEV;
	bus = bus_root(emu_gpu.pdev->bus);
	ret = -ENODEV;
	resource_list_for_each_entry(window,
				     &to_pci_host_bridge(bus->bridge)->windows)
		if (resource_type(window->res) == IORESOURCE_MEM &&
		    resource_contains(window->res,
				      &emu_gpu.pdev->resource[emu_gpu.bar])) {
			window->offset = offset;
			ret = 0;
		}
	return ret;
}

static const struct kernel_param_ops bus_offset_ops = { .set = bus_offset_set };
module_param_cb(bus_offset, &bus_offset_ops, NULL, 0200);
MODULE_PARM_DESC(
	bus_offset,
	"CPU address of the device's memory less its bus address, as its host bridge says");

bool emu_user_get(void)
{
	return refcount_inc_not_zero(&emu_users);
}

void emu_user_put(void)
{
	if (refcount_dec_and_test(&emu_users))
		complete(&emu_idle);
}

static int emu_nodes_init(void)
{
	int ret;

	ret = emu_proc_init();
	if (ret)
		return ret;
	ret = emu_control_init();
	if (ret)
		emu_proc_exit();
	return ret;
}

int emu_gpu_start(struct pci_dev *pdev, int bar)
{
	u64 size = pci_resource_len(pdev, bar);
	int ret;

	if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM) ||
	    size < EMU_BLOCK_ALIGN) {
		pci_err(pdev,
			"BAR%d is no video memory: it has to have at least 2 MiB\n",
			bar);
		return -ENODEV;
	}
	emu_gpu.base = pci_resource_start(pdev, bar);
	emu_gpu.size = size;
	emu_gpu.bar = bar;
	emu_gpu.vram = ioremap_wc(emu_gpu.base, size);
	if (!emu_gpu.vram)
		return -ENOMEM;
	ret = emu_vram_init();
	if (ret)
		goto err_unmap;

	emu_gpu.pdev = pdev;
	reinit_completion(&emu_idle);
	refcount_set(&emu_users, 1);
	ret = emu_nodes_init();
	if (ret)
		goto err_users;

	pci_info(pdev, "emulated GPU, %llu MiB of video memory at %pa\n",
		 size >> 20, &emu_gpu.base);
	return 0;

err_users:
	emu_gpu_drain();
	emu_gpu.pdev = NULL;
	emu_vram_exit();
err_unmap:
	iounmap(emu_gpu.vram);
	return ret;
}

void emu_gpu_drain(void)
{
	emu_user_put();
	wait_for_completion(&emu_idle);
}

void emu_gpu_stop(void)
{
	emu_acs_exit();
	emu_control_exit();
	emu_proc_exit();
	emu_gpu.pdev = NULL;
	emu_holds_exit();
	emu_clients_exit();
	emu_vram_exit();
	iounmap(emu_gpu.vram);
}

MODULE_DESCRIPTION("Emulated NVIDIA GPU for testing gpumem");
MODULE_LICENSE("Dual MIT/GPL");
EMU_IMPORT_DMA_BUF;
