// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Gives a PCI port the Access Control Services that QEMU's switches lack: the
 * capability in its configuration space, whose control register keeps what is written
 * and does nothing.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#include "emu.h"

/* Behind Advanced Error Reporting, the last of a QEMU port's capabilities. */
#define ACS_AT 0x200
#define ACS_SIZE 8
#define ACS_BITS \
	(PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)
/* The upper bits of a capability's header: where the next one is. */
#define AER_NEXT (PCI_CFG_SPACE_SIZE + 3)
#define PORTS_MAX 2

static DEFINE_MUTEX(acs_lock);
/* Read with the PCI core's lock of the bus held, where it calls us. */
static struct {
	struct pci_dev *pdev;
	u8 capability[ACS_SIZE];
} acs_ports[PORTS_MAX];
static unsigned int acs_count;
static struct pci_bus *acs_bus;
static struct pci_ops *acs_below; /* what the bus has otherwise */

/* The byte of a port's configuration space that is ours, or NULL. */
static u8 *acs_byte(unsigned int devfn, int where)
{
	static u8 next = ACS_AT >> 4;
	unsigned int i;

	for (i = 0; i < acs_count; i++) {
		if (acs_ports[i].pdev->devfn != devfn)
			continue;
		if (where == AER_NEXT)
			return &next;
		if (where >= ACS_AT && where < ACS_AT + ACS_SIZE)
			return &acs_ports[i].capability[where - ACS_AT];
	}
	return NULL;
}

static int acs_read(struct pci_bus *bus, unsigned int devfn, int where,
		    int size, u32 *value)
{
	int ret = acs_below->read(bus, devfn, where, size, value);
	const u8 *byte;
	int i;

	for (i = 0; !ret && i < size; i++) {
		byte = acs_byte(devfn, where + i);
		if (byte)
			*value = (*value & ~(0xffU << 8 * i)) | *byte << 8 * i;
	}
	return ret;
}

static int acs_write(struct pci_bus *bus, unsigned int devfn, int where,
		     int size, u32 value)
{
	int i;

	if (!acs_byte(devfn, where) || where == AER_NEXT)
		return acs_below->write(bus, devfn, where, size, value);
	for (i = 0; i < size; i++)
		if (where + i >= ACS_AT + PCI_ACS_CTRL)
			*acs_byte(devfn, where + i) = value >> 8 * i;
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops acs_ops = {
	.read = acs_read,
	.write = acs_write,
};

void emu_acs_exit(void)
{
	mutex_lock(&acs_lock);
	if (acs_bus)
		pci_bus_set_ops(acs_bus, acs_below);
	acs_bus = NULL;
	while (acs_count) {
		acs_count--;
		acs_ports[acs_count].pdev->acs_cap = 0;
		pci_dev_put(acs_ports[acs_count].pdev);
	}
	mutex_unlock(&acs_lock);
}

static int acs_add(struct pci_dev *pdev, u16 control)
{
	const u32 header = PCI_EXT_CAP_ID_ACS | 1 << 16;
	const u16 can = ACS_BITS;
	u8 *capability = acs_ports[acs_count].capability;

	if (acs_count == PORTS_MAX || (acs_bus && acs_bus != pdev->bus) ||
	    pdev->acs_cap)
		return -EBUSY;
	memcpy(capability, &header, sizeof(header));
	memcpy(capability + PCI_ACS_CAP, &can, sizeof(can));
	memcpy(capability + PCI_ACS_CTRL, &control, sizeof(control));
	acs_ports[acs_count++].pdev = pdev;
	if (!acs_bus) {
		acs_bus = pdev->bus;
		acs_below = acs_bus->ops;
		pci_bus_set_ops(acs_bus, &acs_ops);
	}
	/* The kernel looks for it only when the port is found. */
	pdev->acs_cap = ACS_AT;
	return 0;
}

static int acs_set(const char *value, const struct kernel_param *param)
{
	unsigned int domain, bus, slot, function, control;
	struct pci_dev *pdev;
	int ret;

	if (sscanf(value, "%x:%x:%x.%x=%x", &domain, &bus, &slot, &function,
		   &control) != 5) {
		emu_acs_exit();
		return 0;
	}
	pdev = pci_get_domain_bus_and_slot(domain, bus,
					   PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;
	mutex_lock(&acs_lock);
	ret = acs_add(pdev, control);
	mutex_unlock(&acs_lock);
	if (ret)
		pci_dev_put(pdev);
	return ret;
}

static const struct kernel_param_ops acs_param_ops = { .set = acs_set };
module_param_cb(acs, &acs_param_ops, NULL, 0200);
MODULE_PARM_DESC(
	acs,
	"PORT=CONTROL: the PCI port 0000:03:00.0 has ACS, its control register that hexadecimal value; -: none has it any more");
