// SPDX-License-Identifier: MIT
/* Through gpumem.ko: addresses for PCI devices, and dma-bufs. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/gpumem.h>

#include "core/backend.h"
#include "backend/kmod.h"
#include "base/error.h"
#include "base/pci.h"

_Static_assert(sizeof(struct gpumem_run) == sizeof(struct gpumem_dma_run) &&
		       offsetof(struct gpumem_run, length) ==
			       offsetof(struct gpumem_dma_run, length),
	       "the kernel fills in the caller's runs");

_Static_assert(GPUMEM_PATH_UNKNOWN == GPUMEM_DMA_PATH_UNKNOWN &&
		       GPUMEM_PATH_SWITCH == GPUMEM_DMA_PATH_SWITCH &&
		       GPUMEM_PATH_HOST == GPUMEM_DMA_PATH_HOST &&
		       GPUMEM_PATH_IOMMU == GPUMEM_DMA_PATH_IOMMU,
	       "gpumem.h tells paths as the kernel does");

/* The port that the path is about, or "". */
static void gm_kmod_port(const struct gpumem_dma_map *reply, char *text,
			 size_t size)
{
	const struct gm_pci port = {
		.domain = reply->port_domain,
		.bus = reply->port_bus,
		.devfn = reply->port_devfn,
	};

	text[0] = '\0';
	if (port.domain || port.bus || port.devfn)
		gm_pci_format(&port, text, size);
}

static int gm_kmod_dma_blocked(const struct gm_dma *dma,
			       const struct gpumem_dma_map *reply)
{
	char port[24];

	gm_kmod_port(reply, port, sizeof(port));
	return gm_error(
		-EREMOTEIO,
		"dma_map %s: the device does not reach the GPU: the PCI "
		"port %s between them redirects requests to the host "
		"bridge (ACS), and there is no IOMMU to send them back "
		"down; turn the IOMMU on, or the redirection off: "
		"setpci -s %s ECAP_ACS+6.w=0:2c",
		dma->peer, port, port);
}

static int gm_kmod_dma_error(int err, const struct gm_dma *dma)
{
	const char *why;
	int rc = -err;

	switch (err) {
	case EACCES:
		return gm_error(-EACCES,
				"dma_map %s: this user may not use the device; "
				"run as root, or let a udev rule give the user "
				"write access to " GM_PCI_DEVICES
				"/%s/config or a resource file beside it",
				dma->peer, dma->peer);
	case ENODEV:
		why = "there is no such PCI device, or it has no driver; lspci "
		      "-Dk shows those that there are";
		break;
	case EBUSY:
		why = "vfio-pci drives the device: its addresses are VFIO's "
		      "to give; map the buffer with gpumem_map() and pass "
		      "the address to VFIO_IOMMU_MAP_DMA (not with iommufd)";
		break;
	case EIO:
		why = "the device cannot address the memory; have the "
		      "device's driver set a DMA mask of 64 bits "
		      "(dma_set_mask_and_coherent), and see dmesg";
		break;
	case EOPNOTSUPP:
		why = "the NVIDIA driver cannot hold this memory for a "
		      "device, the GPU has a coherent link to the CPU (pin "
		      "with GPUMEM_PIN_FORCE_BAR1), or a host bridge moves "
		      "addresses (turn the IOMMU on)";
		break;
	case ENOTTY:
		why = "the gpumem.ko that is loaded cannot do this; load the "
		      "one that comes with this library";
		rc = -EOPNOTSUPP;
		break;
	case EDQUOT:
		why = GM_KMOD_OVER_LIMIT;
		break;
	case EINVAL:
		why = "the NVIDIA driver refused to hold the memory; see dmesg";
		break;
	case ENOMEM:
		why = "out of kernel memory; free some";
		break;
	case ENOSPC:
		why = "this session holds as many mappings as it can; unmap "
		      "some";
		rc = -ENOMEM;
		break;
	default:
		why = "see dmesg";
		rc = -EIO;
		break;
	}
	return gm_error(rc, "dma_map %s: %s (%s)", dma->peer, why,
			strerror(err));
}

/* Whether the driver took the memory back. */
static bool gm_kmod_is_revoked(struct gm_buf *buf)
{
	return buf->session->ops->alive(buf) == -ENODEV;
}

int gm_kmod_dma_map(struct gm_dma *dma)
{
	const struct gm_kmod *kmod = dma->buf->session->backend;
	const struct gm_kmod_pin *pin = dma->buf->backend;
	struct gpumem_dma_map request = {
		.size = sizeof(request),
		.pin = pin->id,
	};
	struct gm_pci peer;
	int rc;

	/* The name is gm_pci_format()'s. */
	gm_pci_parse(dma->peer, &peer);
	request.domain = peer.domain;
	request.bus = peer.bus;
	request.devfn = peer.devfn;
	/* Without a file of the device the module asks for CAP_SYS_RAWIO. */
	request.device_fd = gm_pci_open(dma->peer);
	rc = ioctl(kmod->fd, GPUMEM_IOC_DMA_MAP, &request) ? errno : 0;
	if (request.device_fd >= 0)
		close(request.device_fd);
	if (rc == ENODEV && gm_kmod_is_revoked(dma->buf))
		return gm_buf_revoked(dma->buf);
	if (rc == EREMOTEIO)
		return gm_kmod_dma_blocked(dma, &request);
	if (rc)
		return gm_kmod_dma_error(rc, dma);
	dma->path = request.path;
	gm_kmod_port(&request, dma->port, sizeof(dma->port));
	dma->id = request.dma;
	dma->page_size = request.page_size;
	dma->run_count = request.run_count;
	gm_debug("kmod: DMA mapping %u for %s: %" PRIu64 " runs", dma->id,
		 dma->peer, dma->run_count);
	return 0;
}

void gm_kmod_dma_unmap(struct gm_dma *dma)
{
	const struct gm_kmod *kmod = dma->buf->session->backend;
	struct gpumem_dma_unmap request = {
		.size = sizeof(request),
		.dma = dma->id,
	};

	if (ioctl(kmod->fd, GPUMEM_IOC_DMA_UNMAP, &request))
		gm_debug("kmod: DMA unmap %u: %s", dma->id, strerror(errno));
}

int gm_kmod_dma_runs(struct gm_dma *dma, uint64_t first,
		     struct gpumem_run *runs, size_t count)
{
	const struct gm_kmod *kmod = dma->buf->session->backend;

	/* The kernel may write fewer than it is asked for. */
	while (count) {
		struct gpumem_dma_runs request = {
			.size = sizeof(request),
			.dma = dma->id,
			.first = first,
			.count = count,
			.runs = (uintptr_t)runs,
		};

		if (ioctl(kmod->fd, GPUMEM_IOC_DMA_RUNS, &request)) {
			if (errno == ENODEV && gm_kmod_is_revoked(dma->buf))
				return gm_buf_revoked(dma->buf);
			if (errno == ENODEV)
				return gm_error(-ENODEV,
						"dma_runs: the device %s was "
						"taken out, or lost its "
						"driver, and the mapping ended "
						"with that; unmap it",
						dma->peer);
			return gm_error(-EIO,
					"dma_runs: ask gpumem.ko: %s; see "
					"dmesg",
					strerror(errno));
		}
		if (!request.count || request.count > count)
			return gm_error(-EIO,
					"dma_runs: gpumem.ko gave %" PRIu64
					" of %zu runs; reload the module that "
					"comes with this library",
					(uint64_t)request.count, count);
		first += request.count;
		runs += request.count;
		count -= request.count;
	}
	return 0;
}

static int gm_kmod_export_error(int err, struct gm_buf *buf)
{
	const char *why;
	int rc = -err;

	switch (err) {
	case ENODEV:
		return gm_buf_revoked(buf);
	case EOPNOTSUPP:
		why = "the NVIDIA driver cannot hold this memory for a "
		      "dma-buf; use memory from cuMemAlloc";
		break;
	case EMFILE:
		why = "this process has too many open files; close some, or "
		      "raise ulimit -n";
		break;
	case ENFILE:
		why = "the machine has too many open files; close some";
		break;
	case EDQUOT:
		why = GM_KMOD_OVER_LIMIT;
		break;
	case ENOMEM:
		why = "out of kernel memory; free some";
		break;
	default:
		why = "see dmesg";
		rc = -EIO;
		break;
	}
	return gm_error(rc, "export_dmabuf 0x%" PRIx64 ": %s (%s)", buf->addr,
			why, strerror(err));
}

int gm_kmod_export_dmabuf(struct gm_buf *buf, unsigned int flags,
			  struct gpumem_dmabuf *dmabuf)
{
	const struct gm_kmod *kmod = buf->session->backend;
	const struct gm_kmod_pin *pin = buf->backend;
	struct gpumem_export request = {
		.size = sizeof(request),
		.pin = pin->id,
		.flags = O_CLOEXEC |
			 (flags & GPUMEM_EXPORT_READ_ONLY ? O_RDONLY : O_RDWR),
	};

	if (!(kmod->features & GPUMEM_FEATURE_DMABUF))
		return gm_error(-EOPNOTSUPP,
				"export_dmabuf: this gpumem.ko was built "
				"without dma-buf, as it must be beside the "
				"proprietary flavour of the NVIDIA driver; use "
				"the open flavour and a gpumem.ko built for "
				"it");
	if (ioctl(kmod->fd, GPUMEM_IOC_EXPORT, &request))
		return gm_kmod_export_error(errno, buf);
	dmabuf->fd = request.fd;
	dmabuf->dmabuf_size = request.dmabuf_size;
	return 0;
}
