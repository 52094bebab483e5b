/* SPDX-License-Identifier: MIT */
/* Addresses of PCI devices, and the right to use one. */
#ifndef GM_PCI_H
#define GM_PCI_H

#include <stddef.h>
#include <stdint.h>

#define GM_PCI_DEVICES "/sys/bus/pci/devices"

struct gm_pci {
	uint32_t domain;
	uint8_t bus;
	uint8_t devfn; /* slot << 3 | function */
};

/*
 * Takes "0000:3b:00.0", with 4 to 8 digits of domain, and "3b:00.0". Returns 0,
 * or -EINVAL and stores no reason.
 */
int gm_pci_parse(const char *text, struct gm_pci *pci);

/* As sysfs names the device. */
void gm_pci_format(const struct gm_pci *pci, char *text, size_t size);

/*
 * Opens, for writing, a file of the device's that only those may write who may
 * use the device. The name is sysfs's. Returns -1 where there is none.
 */
int gm_pci_open(const char *name);

#endif /* GM_PCI_H */
