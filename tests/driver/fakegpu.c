// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * A PCI device with an NVIDIA GPU's identity and nothing behind it, so that
 * NVIDIA's driver loads and probes where there is no GPU.
 *
 * Its bus is made in software, as drivers/pci/controller/vmd.c makes one; the
 * window for its BARs is BAR2 of QEMU's ivshmem-plain, which is RAM. A register
 * therefore keeps what was written and does nothing: the GPU cannot be
 * initialised, which needs its firmware to answer.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/sizes.h>

/* docs/specs/ivshmem-spec in QEMU's source. */
#define IVSHMEM_DEVICE 0x1110
#define IVSHMEM_BAR 2

#define FAKEGPU_DOMAIN 1
#define FAKEGPU_BUS 0x17

/* H100 SXM5 80GB, a 3D controller; the list of GPUs in the driver's README. */
#define FAKEGPU_DEVICE 0x2330
#define FAKEGPU_SUBSYSTEM 0x16c1
#define FAKEGPU_REVISION 0xa1

/*
 * The GPU's identity, by which the driver chooses its code; dev_boot.h among the
 * register headers of NVIDIA's open driver. Architecture 0x18, implementation 0
 * is GH100; the revision is A1.
 */
#define NV_PMC_BOOT_0 0x000
#define NV_PMC_BOOT_0_GH100 0x180000a1
#define NV_PMC_BOOT_42 0xa00
#define NV_PMC_BOOT_42_GH100 0x180a1000

/* Where the capabilities lie in the configuration space. */
#define CAP_PM 0x60
#define CAP_EXP 0x78

static uint memory = 256;
module_param(memory, uint, 0444);
MODULE_PARM_DESC(memory, "MiB of video memory that BAR1 shows, a power of 2");

/* Registers, video memory (BAR1 in NVIDIA's count) and instance memory. */
static u32 fakegpu_bar_size[] = { SZ_16M, SZ_256M, SZ_32M };
#define FAKEGPU_BAR1 1

struct fakegpu {
	struct pci_sysdata sysdata;
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	u8 writable[PCI_CFG_SPACE_EXP_SIZE]; /* bits that a write changes */
	struct resource window;
	struct resource numbers; /* of buses */
	struct pci_bus *bus;
	struct notifier_block notifier;
	int irq;
};

static struct fakegpu *fakegpu_of(struct pci_bus *bus)
{
	struct pci_sysdata *sysdata = bus->sysdata;

	return container_of(sysdata, struct fakegpu, sysdata);
}

static int fakegpu_config_read(struct pci_bus *bus, unsigned int devfn,
			       int where, int size, u32 *value)
{
	struct fakegpu *gpu = fakegpu_of(bus);

	if (bus->number != FAKEGPU_BUS || devfn) {
		PCI_SET_ERROR_RESPONSE(value);
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	*value = 0;
	memcpy(value, &gpu->config[where], size);
	return PCIBIOS_SUCCESSFUL;
}

static int fakegpu_config_write(struct pci_bus *bus, unsigned int devfn,
				int where, int size, u32 value)
{
	struct fakegpu *gpu = fakegpu_of(bus);
	const u8 *from = (const u8 *)&value;
	int i;

	if (bus->number != FAKEGPU_BUS || devfn)
		return PCIBIOS_DEVICE_NOT_FOUND;
	for (i = 0; i < size; i++) {
		u8 mask = gpu->writable[where + i];
		u8 *at = &gpu->config[where + i];

		*at = (*at & ~mask) | (from[i] & mask);
	}
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops fakegpu_ops = {
	.read = fakegpu_config_read,
	.write = fakegpu_config_write,
};

static void fakegpu_set16(struct fakegpu *gpu, int where, u16 value,
			  u16 writable)
{
	memcpy(&gpu->config[where], &value, sizeof(value));
	memcpy(&gpu->writable[where], &writable, sizeof(writable));
}

static void fakegpu_set32(struct fakegpu *gpu, int where, u32 value,
			  u32 writable)
{
	memcpy(&gpu->config[where], &value, sizeof(value));
	memcpy(&gpu->writable[where], &writable, sizeof(writable));
}

/*
 * The configuration space of a PCI Express endpoint: PCI Express Base
 * Specification, chapter 7. It has no interrupt pin: the kernel then leaves the
 * device's interrupt as fakegpu_notify() sets it.
 */
static void fakegpu_config_init(struct fakegpu *gpu)
{
	int i;

	fakegpu_set16(gpu, PCI_VENDOR_ID, PCI_VENDOR_ID_NVIDIA, 0);
	fakegpu_set16(gpu, PCI_DEVICE_ID, FAKEGPU_DEVICE, 0);
	fakegpu_set16(gpu, PCI_COMMAND, 0,
		      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			      PCI_COMMAND_INTX_DISABLE);
	fakegpu_set16(gpu, PCI_STATUS, PCI_STATUS_CAP_LIST, 0);
	fakegpu_set32(gpu, PCI_CLASS_REVISION,
		      PCI_CLASS_DISPLAY_3D << 16 | FAKEGPU_REVISION, 0);
	fakegpu_set16(gpu, PCI_CACHE_LINE_SIZE, 0, 0xffff);
	for (i = 0; i < ARRAY_SIZE(fakegpu_bar_size); i++) {
		int bar = PCI_BASE_ADDRESS_0 + 8 * i;

		fakegpu_set32(gpu, bar,
			      PCI_BASE_ADDRESS_MEM_TYPE_64 |
				      PCI_BASE_ADDRESS_MEM_PREFETCH,
			      ~(fakegpu_bar_size[i] - 1));
		fakegpu_set32(gpu, bar + 4, 0, ~0U);
	}
	fakegpu_set16(gpu, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID_NVIDIA, 0);
	fakegpu_set16(gpu, PCI_SUBSYSTEM_ID, FAKEGPU_SUBSYSTEM, 0);
	fakegpu_set16(gpu, PCI_CAPABILITY_LIST, CAP_PM, 0);
	gpu->writable[PCI_INTERRUPT_LINE] = 0xff;

	fakegpu_set16(gpu, CAP_PM, CAP_EXP << 8 | PCI_CAP_ID_PM, 0);
	fakegpu_set16(gpu, CAP_PM + PCI_PM_PMC, 3, 0); /* version 1.2 */
	fakegpu_set16(gpu, CAP_PM + PCI_PM_CTRL, 0, PCI_PM_CTRL_STATE_MASK);

	fakegpu_set16(gpu, CAP_EXP, PCI_CAP_ID_EXP, 0);
	fakegpu_set16(gpu, CAP_EXP + PCI_EXP_FLAGS, 2, 0);
	fakegpu_set32(gpu, CAP_EXP + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER, 0);
	fakegpu_set16(gpu, CAP_EXP + PCI_EXP_DEVCTL, 0, 0xffff);
	/* 32 GT/s, 16 lanes. */
	fakegpu_set32(gpu, CAP_EXP + PCI_EXP_LNKCAP, 16 << 4 | 5, 0);
	fakegpu_set16(gpu, CAP_EXP + PCI_EXP_LNKCTL, 0, 0xffff);
	fakegpu_set16(gpu, CAP_EXP + PCI_EXP_LNKSTA, 16 << 4 | 5, 0);
}

/*
 * A driver is about to probe the device, of the first scan of the bus or of one
 * after it was removed: its BARs are assigned, its registers may lie elsewhere
 * than before, and the interrupt is not known.
 */
static int fakegpu_notify(struct notifier_block *notifier, unsigned long event,
			  void *data)
{
	struct fakegpu *gpu = container_of(notifier, struct fakegpu, notifier);
	struct pci_dev *pdev = to_pci_dev(data);
	void __iomem *registers;

	if (event != BUS_NOTIFY_BIND_DRIVER || pdev->bus != gpu->bus)
		return NOTIFY_DONE;
	pdev->irq = gpu->irq;
	registers = ioremap(pci_resource_start(pdev, 0), PAGE_SIZE);
	if (!registers) {
		pci_err(pdev, "no memory to map the registers\n");
		return NOTIFY_DONE;
	}
	writel(NV_PMC_BOOT_0_GH100, registers + NV_PMC_BOOT_0);
	writel(NV_PMC_BOOT_42_GH100, registers + NV_PMC_BOOT_42);
	iounmap(registers);
	return NOTIFY_OK;
}

/* An interrupt that a driver can request and that never comes. */
static int fakegpu_irq_alloc(void)
{
	int irq = irq_alloc_desc(NUMA_NO_NODE);

	if (irq < 0)
		return irq;
	irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
	irq_clear_status_flags(irq, IRQ_NOREQUEST);
	return irq;
}

static int fakegpu_bus_add(struct fakegpu *gpu, struct device *parent)
{
	LIST_HEAD(resources);

	pci_lock_rescan_remove();
	pci_add_resource(&resources, &gpu->numbers);
	pci_add_resource(&resources, &gpu->window);
	gpu->bus = pci_create_root_bus(parent, FAKEGPU_BUS, &fakegpu_ops,
				       &gpu->sysdata, &resources);
	if (!gpu->bus) {
		pci_free_resource_list(&resources);
		pci_unlock_rescan_remove();
		return -ENODEV;
	}
	pci_scan_child_bus(gpu->bus);
	pci_assign_unassigned_bus_resources(gpu->bus);
	pci_bus_add_devices(gpu->bus);
	pci_unlock_rescan_remove();
	return 0;
}

static int fakegpu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct resource *bar = &pdev->resource[IVSHMEM_BAR];
	struct fakegpu *gpu;
	int ret;

	if (!is_power_of_2(memory) || memory > SZ_2G / SZ_1M)
		return -EINVAL;
	fakegpu_bar_size[FAKEGPU_BAR1] = memory * SZ_1M;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	gpu = devm_kzalloc(&pdev->dev, sizeof(*gpu), GFP_KERNEL);
	if (!gpu)
		return -ENOMEM;
	fakegpu_config_init(gpu);
	gpu->sysdata.domain = FAKEGPU_DOMAIN;
	gpu->sysdata.node = NUMA_NO_NODE;
	gpu->window = (struct resource){
		.name = "fakegpu memory",
		.start = bar->start,
		.end = bar->end,
		.flags = IORESOURCE_MEM | IORESOURCE_MEM_64 |
			 IORESOURCE_PREFETCH,
	};
	gpu->numbers = (struct resource){
		.name = "fakegpu bus",
		.start = FAKEGPU_BUS,
		.end = FAKEGPU_BUS,
		.flags = IORESOURCE_BUS | IORESOURCE_PCI_FIXED,
	};
	ret = request_resource(bar, &gpu->window);
	if (ret)
		return ret;
	gpu->irq = fakegpu_irq_alloc();
	if (gpu->irq < 0) {
		ret = gpu->irq;
		goto err_window;
	}
	gpu->notifier.notifier_call = fakegpu_notify;
	ret = bus_register_notifier(&pci_bus_type, &gpu->notifier);
	if (ret)
		goto err_irq;
	ret = fakegpu_bus_add(gpu, &pdev->dev);
	if (ret)
		goto err_notifier;
	pci_set_drvdata(pdev, gpu);
	return 0;

err_notifier:
	bus_unregister_notifier(&pci_bus_type, &gpu->notifier);
err_irq:
	irq_free_desc(gpu->irq);
err_window:
	release_resource(&gpu->window);
	return ret;
}

static void fakegpu_remove(struct pci_dev *pdev)
{
	struct fakegpu *gpu = pci_get_drvdata(pdev);

	pci_lock_rescan_remove();
	pci_stop_root_bus(gpu->bus);
	pci_remove_root_bus(gpu->bus);
	pci_unlock_rescan_remove();
	bus_unregister_notifier(&pci_bus_type, &gpu->notifier);
	irq_free_desc(gpu->irq);
	release_resource(&gpu->window);
}

static const struct pci_device_id fakegpu_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, IVSHMEM_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, fakegpu_ids);

static struct pci_driver fakegpu_driver = {
	.name = "fakegpu",
	.id_table = fakegpu_ids,
	.probe = fakegpu_probe,
	.remove = fakegpu_remove,
};
module_pci_driver(fakegpu_driver);

MODULE_DESCRIPTION("A PCI device with an NVIDIA GPU's identity");
MODULE_LICENSE("Dual MIT/GPL");
