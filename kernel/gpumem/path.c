// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The way between a PCI device and the GPU: whether a switch hands the device's
 * requests over, or they go through the host bridge.
 *
 * The kernel's pci_p2pdma_distance() is GPL-only, off in many kernels, and takes host
 * bridges that are not in its list for dead ends; this tells what is known, and refuses
 * the one case in which nothing says that they arrive.
 */
#include <linux/device.h>
#include <linux/pci.h>

#include "gpumem_drv.h"

/*
 * The bits of ACS that decide (PCI Express Base Specification, 6.12): those by which
 * the device's side redirects requests, or lets only some of its neighbours have
 * them, and by which the GPU's side redirects the answers to reads. Upstream
 * Forwarding is about what comes back to the port that it came from, Source
 * Validation and Translation Blocking about requests that no honest device makes.
 */
#define GPUMEM_ACS_REQUESTS (PCI_ACS_RR | PCI_ACS_EC)
#define GPUMEM_ACS_ANSWERS PCI_ACS_CR

/* The lowest bridge that both are below, or NULL. */
static struct pci_dev *gpumem_path_common(struct pci_dev *one,
					  struct pci_dev *other)
{
	struct pci_dev *up, *at;

	for (up = pci_upstream_bridge(one); up; up = pci_upstream_bridge(up))
		for (at = pci_upstream_bridge(other); at;
		     at = pci_upstream_bridge(at))
			if (at == up)
				return up;
	return NULL;
}

/*
 * The first bridge above the device, below top, that has one of the bits set. *hidden:
 * one of them does not say, as it is asleep, or gone.
 */
static struct pci_dev *gpumem_path_acs(struct pci_dev *pdev,
				       const struct pci_dev *top, u16 bits,
				       bool *hidden)
{
	struct pci_dev *up;
	u16 control;

	for (up = pci_upstream_bridge(pdev); up && up != top;
	     up = pci_upstream_bridge(up)) {
		if (!up->acs_cap)
			continue;
		if (pci_read_config_word(up, up->acs_cap + PCI_ACS_CTRL,
					 &control) ||
		    control == (u16)~0)
			*hidden = true;
		else if (control & bits)
			return up;
	}
	return NULL;
}

static void gpumem_path_set(struct gpumem_path *path, u8 kind,
			    const struct pci_dev *port)
{
	path->kind = kind;
	path->domain = port ? pci_domain_nr(port->bus) : 0;
	path->bus = port ? port->bus->number : 0;
	path->devfn = port ? port->devfn : 0;
}

static int gpumem_path_between(struct pci_dev *peer, struct pci_dev *gpu,
			       struct gpumem_path *path)
{
	struct pci_dev *top, *port;
	bool hidden = false;

	top = gpumem_path_common(peer, gpu);
	if (!top) {
		gpumem_path_set(path, GPUMEM_DMA_PATH_HOST, NULL);
		return 0;
	}
	port = gpumem_path_acs(peer, top, GPUMEM_ACS_REQUESTS, &hidden);
	if (!port)
		port = gpumem_path_acs(gpu, top, GPUMEM_ACS_ANSWERS, &hidden);
	/* Functions of one device, or devices below one root port, are no switch's. */
	if (!port && (hidden || pci_pcie_type(top) != PCI_EXP_TYPE_UPSTREAM)) {
		gpumem_path_set(path, GPUMEM_DMA_PATH_UNKNOWN, NULL);
		return 0;
	}
	if (!port) {
		gpumem_path_set(path, GPUMEM_DMA_PATH_SWITCH, top);
		return 0;
	}
	/* An IOMMU that passes all through sends it on as well. */
	if (device_iommu_mapped(&peer->dev)) {
		gpumem_path_set(path, GPUMEM_DMA_PATH_HOST, port);
		return 0;
	}
	gpumem_path_set(path, GPUMEM_DMA_PATH_BLOCKED, port);
	dev_notice_ratelimited(
		&peer->dev,
		"gpumem: the GPU %s is out of reach: %s redirects to the host bridge (ACS), and there is no IOMMU; turn the IOMMU on, or the redirection off: setpci -s %s ECAP_ACS+6.w=0:2c\n",
		pci_name(gpu), pci_name(port), pci_name(port));
	return -EREMOTEIO;
}

/*
 * How the device's requests come to the GPU's memory at a physical address; direct:
 * it uses that address itself. 0, or -EREMOTEIO where they may not come. Bridges stay
 * as long as the devices below them, of which both are held here.
 */
int gpumem_path_find(struct device *dev, u64 addr, bool direct,
		     struct gpumem_path *path)
{
	struct pci_dev *gpu;
	int rc;

	/* No switch has an IOMMU's addresses for its own. */
	gpumem_path_set(
		path, direct ? GPUMEM_DMA_PATH_UNKNOWN : GPUMEM_DMA_PATH_IOMMU,
		NULL);
	if (!direct || !dev_is_pci(dev))
		return 0;
	gpu = gpumem_p2p_gpu(addr);
	if (!gpu)
		return 0;
	rc = gpumem_path_between(to_pci_dev(dev), gpu, path);
	pci_dev_put(gpu);
	return rc;
}
