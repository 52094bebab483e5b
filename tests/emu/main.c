// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/*
 * The device: an ivshmem-plain PCI device, whose BAR2 is the video memory.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/completion.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/refcount.h>

#include "emu.h"
#include "emu_compat.h"

#define EMU_BAR 2

struct emu_gpu emu_gpu;
/* The driver lock: see emu.h. */
DEFINE_MUTEX(emu_lock);

/* The bound device holds one; the last one completes emu_idle. */
static refcount_t emu_users = REFCOUNT_INIT(0);
static DECLARE_COMPLETION(emu_idle);

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
	for (bus = emu_gpu.pdev->bus; bus->parent; bus = bus->parent)
		;
	ret = -ENODEV;
	resource_list_for_each_entry(window,
				     &to_pci_host_bridge(bus->bridge)->windows)
		if (resource_type(window->res) == IORESOURCE_MEM &&
		    resource_contains(window->res,
				      &emu_gpu.pdev->resource[EMU_BAR])) {
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
	ret = emu_rm_init();
	if (ret)
		goto err_proc;
	ret = emu_control_init();
	if (ret)
		goto err_rm;
	return 0;

err_rm:
	emu_rm_exit();
err_proc:
	emu_proc_exit();
	return ret;
}

static void emu_nodes_exit(void)
{
	emu_control_exit();
	emu_rm_exit();
	emu_proc_exit();
}

static int emu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	u64 size = pci_resource_len(pdev, EMU_BAR);
	int ret;

	if (emu_gpu.pdev) {
		pci_err(pdev,
			"one emulated GPU is all there can be: ignored\n");
		return -EBUSY;
	}
	if (!(pci_resource_flags(pdev, EMU_BAR) & IORESOURCE_MEM) ||
	    size < EMU_BLOCK_ALIGN) {
		pci_err(pdev,
			"BAR%d is no video memory: give the memory backend at least 2 MiB\n",
			EMU_BAR);
		return -ENODEV;
	}

	ret = pci_enable_device_mem(pdev);
	if (ret)
		return ret;
	ret = pci_request_region(pdev, EMU_BAR, "gpumem-emu");
	if (ret)
		goto err_disable;

	emu_gpu.base = pci_resource_start(pdev, EMU_BAR);
	emu_gpu.size = size;
	emu_gpu.vram = ioremap_wc(emu_gpu.base, size);
	if (!emu_gpu.vram) {
		ret = -ENOMEM;
		goto err_region;
	}
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
	emu_user_put();
	wait_for_completion(&emu_idle);
	emu_gpu.pdev = NULL;
	emu_vram_exit();
err_unmap:
	iounmap(emu_gpu.vram);
err_region:
	pci_release_region(pdev, EMU_BAR);
err_disable:
	pci_disable_device(pdev);
	return ret;
}

static void emu_remove(struct pci_dev *pdev)
{
	emu_user_put();
	wait_for_completion(&emu_idle);
	emu_nodes_exit();
	emu_gpu.pdev = NULL;
	emu_holds_exit();
	emu_clients_exit();
	emu_vram_exit();
	iounmap(emu_gpu.vram);
	pci_release_region(pdev, EMU_BAR);
	pci_disable_device(pdev);
}

static const struct pci_device_id emu_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },
	{}
};
MODULE_DEVICE_TABLE(pci, emu_ids);

static struct pci_driver emu_driver = {
	.name = "gpumem-emu",
	.id_table = emu_ids,
	.probe = emu_probe,
	.remove = emu_remove,
	.driver = {
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
		.suppress_bind_attrs = true,
	},
};

static int __init emu_init(void)
{
	int ret;

	ret = pci_register_driver(&emu_driver);
	if (ret)
		return ret;
	if (!emu_gpu.pdev) {
		pr_err("no usable ivshmem device (PCI 1af4:1110): start QEMU with -object memory-backend-file,id=vram,share=on,mem-path=FILE,size=256M -device ivshmem-plain,memdev=vram\n");
		pci_unregister_driver(&emu_driver);
		return -ENODEV;
	}
	return 0;
}
module_init(emu_init);

static void __exit emu_exit(void)
{
	pci_unregister_driver(&emu_driver);
}
module_exit(emu_exit);

MODULE_DESCRIPTION("Emulated NVIDIA GPU for testing gpumem");
MODULE_LICENSE("Dual MIT/GPL");
EMU_IMPORT_DMA_BUF;
