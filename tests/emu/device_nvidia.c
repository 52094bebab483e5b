// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The device below NVIDIA's driver: the GPU that the driver has (in the test VM
 * tests/driver/fakegpu.c's), whose BAR1 is the video memory. The driver's own nodes
 * stay the driver's.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/module.h>

#include "emu.h"
#include "p2p.h"

/* BAR1 in NVIDIA's count: each of the GPU's BARs has 64 bits. */
#define EMU_BAR 2

static int __init emu_init(void)
{
	struct pci_dev *pdev;
	int ret;

	pdev = pci_get_device(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID, NULL);
	if (!pdev) {
		pr_err("no device of NVIDIA's on the PCI bus: load fakegpu.ko first\n");
		return -ENODEV;
	}
	ret = emu_gpu_start(pdev, EMU_BAR);
	if (ret)
		goto err_device;
	ret = emu_shim_init();
	if (ret)
		goto err_gpu;
	return 0;

err_gpu:
	emu_gpu_drain();
	emu_gpu_stop();
err_device:
	pci_dev_put(pdev);
	return ret;
}

module_init(emu_init);

static void __exit emu_exit(void)
{
	struct pci_dev *pdev = emu_gpu.pdev;

	emu_gpu_drain();
	emu_shim_exit();
	emu_gpu_stop();
	pci_dev_put(pdev);
}
module_exit(emu_exit);
