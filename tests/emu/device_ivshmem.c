// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The device of the emulator alone: an ivshmem-plain PCI device, whose BAR2 is the
 * video memory.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/module.h>

#include "emu.h"

#define EMU_BAR 2

static int emu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	if (emu_gpu.pdev) {
		pci_err(pdev,
			"one emulated GPU is all there can be: ignored\n");
		return -EBUSY;
	}
	ret = pci_enable_device_mem(pdev);
	if (ret)
		return ret;
	ret = pci_request_region(pdev, EMU_BAR, "gpumem-emu");
	if (ret)
		goto err_disable;
	ret = emu_gpu_start(pdev, EMU_BAR);
	if (ret)
		goto err_region;
	ret = emu_rm_init();
	if (ret)
		goto err_gpu;
	return 0;

err_gpu:
	emu_gpu_drain();
	emu_gpu_stop();
err_region:
	pci_release_region(pdev, EMU_BAR);
err_disable:
	pci_disable_device(pdev);
	return ret;
}

static void emu_remove(struct pci_dev *pdev)
{
	emu_gpu_drain();
	emu_rm_exit();
	emu_gpu_stop();
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
