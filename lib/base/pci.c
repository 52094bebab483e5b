// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/pci.h"

static int gm_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Takes at most most digits and returns how many; *end is behind them. */
static int gm_hex(const char *text, int most, uint32_t *value, const char **end)
{
	int n = 0;

	*value = 0;
	while (n < most && gm_hex_digit(text[n]) >= 0)
		*value = *value << 4 | (uint32_t)gm_hex_digit(text[n++]);
	*end = text + n;
	return n;
}

/* "3b:00.0" */
static int gm_pci_parse_slot(const char *text, struct gm_pci *pci)
{
	uint32_t bus, slot, function;

	if (gm_hex(text, 2, &bus, &text) != 2 || *text++ != ':' ||
	    gm_hex(text, 2, &slot, &text) != 2 || *text++ != '.' ||
	    gm_hex(text, 1, &function, &text) != 1 || *text)
		return -EINVAL;
	if (slot > 0x1f || function > 7)
		return -EINVAL;
	pci->bus = bus;
	pci->devfn = slot << 3 | function;
	return 0;
}

int gm_pci_parse(const char *text, struct gm_pci *pci)
{
	const char *end;

	if (gm_hex(text, 8, &pci->domain, &end) >= 4 && *end == ':')
		return gm_pci_parse_slot(end + 1, pci);
	pci->domain = 0;
	return gm_pci_parse_slot(text, pci);
}

void gm_pci_format(const struct gm_pci *pci, char *text, size_t size)
{
	snprintf(text, size, "%04x:%02x:%02x.%x", pci->domain, pci->bus,
		 pci->devfn >> 3, pci->devfn & 7);
}

int gm_pci_open(const char *name)
{
	static const char *const files[] = { "config",	  "resource0",
					     "resource1", "resource2",
					     "resource3", "resource4",
					     "resource5" };
	char path[128];
	int fd;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), GM_PCI_DEVICES "/%s/%s", name,
			 files[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}
