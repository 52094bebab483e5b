// SPDX-License-Identifier: MIT
/* Through gpumem.ko's /dev/gpumem. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/gpumem.h>

#include "backend/list.h"
#include "backend/kmod.h"
#include "base/error.h"

static int gm_kmod_fd(struct gm_buf *buf)
{
	struct gm_kmod *kmod = buf->session->backend;

	return kmod->fd;
}

/* Opens the node and checks who answers there. */
static int gm_kmod_open_node(struct gm_kmod *kmod, char *reason, size_t size)
{
	struct gpumem_version version = { .size = sizeof(version) };
	char hint[GM_HINT_LENGTH];
	int fd, rc;

	fd = open(GPUMEM_DEVICE_NODE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		if (rc == -ENOENT || rc == -ENXIO || rc == -ENODEV) {
			gm_backend_module_hint(hint, sizeof(hint));
			snprintf(reason, size,
				 GPUMEM_DEVICE_NODE " is not there; %s", hint);
		} else if (rc == -EACCES || rc == -EPERM) {
			gm_backend_access_hint(GPUMEM_DEVICE_NODE, hint,
					       sizeof(hint));
			snprintf(reason, size,
				 GPUMEM_DEVICE_NODE
				 ": this user may not open it; %s",
				 hint);
		} else {
			snprintf(reason, size,
				 GPUMEM_DEVICE_NODE ": %s; see dmesg",
				 strerror(-rc));
		}
		if (rc == -EACCES || rc == -EPERM)
			return -EACCES;
		return -ENODEV;
	}
	if (ioctl(fd, GPUMEM_IOC_VERSION, &version)) {
		snprintf(reason, size,
			 GPUMEM_DEVICE_NODE
			 " does not answer as gpumem.ko: %s; reload the "
			 "module that comes with this library",
			 strerror(errno));
		close(fd);
		return -ENODEV;
	}
	if (version.abi != GPUMEM_ABI_VERSION) {
		snprintf(reason, size,
			 "gpumem.ko %.31s speaks ABI %u, this library %u; "
			 "install both of one release",
			 (const char *)version.release, version.abi,
			 (unsigned int)GPUMEM_ABI_VERSION);
		close(fd);
		return -ENODEV;
	}
	snprintf(reason, size, "gpumem.ko %.31s through " GPUMEM_DEVICE_NODE,
		 (const char *)version.release);
	kmod->fd = fd;
	kmod->features = version.features;
	return 0;
}

static int gm_kmod_probe(char *reason, size_t size)
{
	struct gm_kmod kmod;
	char why[232];
	int rc;

	rc = gm_kmod_open_node(&kmod, reason, size);
	if (rc)
		return rc;
	close(kmod.fd);
	rc = gm_cuda_probe(why, sizeof(why));
	if (rc)
		snprintf(reason, size, "%s", why);
	else
		snprintf(reason + strlen(reason), size - strlen(reason),
			 "; whether the driver pins a GPU's memory for it is "
			 "tried when one is opened");
	return rc;
}

static void gm_kmod_unpin_id(int fd, uint32_t id)
{
	struct gpumem_unpin unpin = { .size = sizeof(unpin), .pin = id };

	if (ioctl(fd, GPUMEM_IOC_UNPIN, &unpin))
		gm_debug("kmod: unpin %u: %s", id, strerror(errno));
}

/*
 * The driver pins no memory of some GPUs, of GeForce none at all, which it says
 * only when it is asked to. What comes of a limit or of a busy moment is no such
 * answer.
 */
static int gm_kmod_try(const struct gm_session *session)
{
	const struct gm_kmod *kmod = session->backend;
	struct gpumem_pin request = {
		.size = sizeof(request),
		.addr = session->own,
		.length = GM_OWN_BYTES,
	};

	if (!ioctl(kmod->fd, GPUMEM_IOC_PIN, &request)) {
		gm_kmod_unpin_id(kmod->fd, request.pin);
		return 0;
	}
	if (errno == EPROTO)
		return gm_error(-EOPNOTSUPP,
				"open: gpumem.ko was built for another NVIDIA "
				"driver; rebuild it for the one that is "
				"loaded, or use backend rm");
	if (errno == EINVAL || errno == EOPNOTSUPP || errno == EIO)
		return gm_error(-EOPNOTSUPP,
				"open: the driver pins no memory of this GPU "
				"for gpumem.ko (%s), as with GeForce; use "
				"backend rm",
				strerror(errno));
	gm_debug("kmod: a trial pin: %s", strerror(errno));
	return 0;
}

/* The kernel frees what the file held, but not at a forked child's close. */
static void gm_kmod_close(struct gm_session *session)
{
	struct gm_kmod *kmod = session->backend;

	close(kmod->fd);
	free(kmod);
}

static int gm_kmod_open(struct gm_session *session)
{
	struct gm_kmod *kmod;
	char reason[232];
	int rc;

	rc = gm_backend_check_cuda(session);
	if (rc)
		return rc;
	kmod = malloc(sizeof(*kmod));
	if (!kmod)
		return gm_error(-ENOMEM, "open: out of host memory; free some");
	rc = gm_kmod_open_node(kmod, reason, sizeof(reason));
	if (rc) {
		free(kmod);
		return gm_error(rc, "open: %s", reason);
	}
	session->backend = kmod;
	/* Where there is no memory to try it with it may work all the same. */
	rc = gm_session_need_own(session) ? 0 : gm_kmod_try(session);
	if (rc)
		gm_kmod_close(session);
	return rc;
}

static int gm_kmod_pin_error(int err, const struct gm_range *range,
			     unsigned int flags)
{
	const char *why;
	int rc = -err;

	switch (err) {
	case EINVAL:
		why = "the driver does not know the range as one allocation "
		      "of this process; pass live memory from cuMemAlloc";
		break;
	case EOVERFLOW:
		why = "the range is longer than a pin can be; pin it in parts";
		rc = -ERANGE;
		break;
	case ENOMEM:
		why = "out of kernel memory or of BAR1 space; unpin other "
		      "buffers, or pin less";
		break;
	case ENOSPC:
		why = "this session holds as many pins as it can; unpin some, "
		      "or open another session";
		rc = -ENOMEM;
		break;
	case EDQUOT:
		why = GM_KMOD_OVER_LIMIT;
		break;
	case EBADF:
		why = "event_fd is no eventfd; make one with eventfd()";
		break;
	case EOPNOTSUPP:
		if (flags & GPUMEM_PIN_FORCE_BAR1) {
			why = "the driver cannot pin this memory, or has no "
			      "way to force BAR1 (which came with release "
			      "570); leave GPUMEM_PIN_FORCE_BAR1 away";
			break;
		}
		why = "the driver cannot pin this memory on this GPU; use "
		      "memory from cuMemAlloc and a GPU with GPUDirect RDMA";
		break;
	case EPERM:
		why = "another process owns the session's " GPUMEM_DEVICE_NODE
		      "; open a session in this process";
		break;
	case EBUSY:
		why = "the driver is busy with this memory; try again";
		rc = -EIO;
		break;
	case ENODEV:
		why = "the GPU is gone; see dmesg";
		break;
	case EPROTO:
		why = "gpumem.ko was built for another NVIDIA driver; rebuild "
		      "it for the one that is loaded";
		break;
	default:
		why = "see dmesg";
		rc = -EIO;
		break;
	}
	return gm_error(rc, "pin 0x%" PRIx64 " + %" PRIu64 ": %s (%s)",
			range->addr, range->length, why, strerror(err));
}

static unsigned int gm_kmod_map_flags(uint32_t map_type)
{
	switch (map_type) {
	case GPUMEM_MAP_DEVICE:
		return GPUMEM_BUF_DEVICE_MEMORY;
	case GPUMEM_MAP_CACHED:
		return GPUMEM_BUF_CACHED;
	default:
		return 0;
	}
}

static int gm_kmod_pin(struct gm_buf *buf, const struct gm_range *range,
		       const struct gpumem_pin_options *options)
{
	const struct gm_kmod *kmod = buf->session->backend;
	struct gpumem_pin request = {
		.size = sizeof(request),
		/* The same values in both interfaces; this one is not its. */
		.flags = options->flags &
			 ~(GPUMEM_PIN_NO_TRIAL_WRITE | GPUMEM_PIN_VERIFY_WRITE),
		.addr = range->addr,
		.length = range->length,
	};
	struct gm_kmod_pin *pin;

	if (options->flags & GPUMEM_PIN_EVENTFD) {
		if (!(kmod->features & GPUMEM_FEATURE_EVENTFD))
			return gm_error(-EOPNOTSUPP,
					"pin: this gpumem.ko was built without "
					"eventfds, as it must be beside the "
					"proprietary flavour of the NVIDIA "
					"driver; leave GPUMEM_PIN_EVENTFD "
					"away and watch gpumem_buf_get()");
		request.event_fd = options->event_fd;
	}
	pin = malloc(sizeof(*pin));
	if (!pin)
		return gm_error(-ENOMEM, "pin: out of host memory; free some");
	if (ioctl(gm_kmod_fd(buf), GPUMEM_IOC_PIN, &request)) {
		free(pin);
		return gm_kmod_pin_error(errno, range, options->flags);
	}
	pin->id = request.pin;
	pin->mmap_offset = request.mmap_offset;
	buf->backend = pin;
	buf->page_size = request.page_size;
	buf->page_count = request.page_count;
	buf->addr_offset = request.addr_offset;
	buf->map_flags = gm_kmod_map_flags(request.map_type);
	gm_debug("kmod: pin %u: %" PRIu64 " pages of %u bytes", request.pin,
		 (uint64_t)request.page_count, request.page_size);
	return 0;
}

static uint64_t gm_kmod_length(const struct gm_buf *buf)
{
	return buf->page_size * buf->page_count;
}

static void gm_kmod_unmap(struct gm_buf *buf)
{
	munmap(buf->base, gm_kmod_length(buf));
	buf->base = NULL;
}

static void gm_kmod_drop_buf(struct gm_buf *buf)
{
	free(buf->backend);
}

static void gm_kmod_unpin(struct gm_buf *buf)
{
	struct gm_kmod_pin *pin = buf->backend;

	if (buf->base)
		gm_kmod_unmap(buf);
	gm_kmod_unpin_id(gm_kmod_fd(buf), pin->id);
	free(pin);
}

static int gm_kmod_map(struct gm_buf *buf)
{
	struct gm_kmod_pin *pin = buf->backend;

	buf->base = gm_backend_mmap(gm_kmod_fd(buf), gm_kmod_length(buf),
				    pin->mmap_offset);
	if (buf->base)
		return 0;
	if (errno == ENODEV)
		return gm_buf_revoked(buf);
	if (errno == ENOMEM)
		return gm_error(-ENOMEM,
				"map 0x%" PRIx64 ": out of address space or "
				"kernel memory; unmap other buffers",
				buf->addr);
	return gm_error(-EIO,
			"map 0x%" PRIx64 ": mmap of " GPUMEM_DEVICE_NODE
			": %s; see dmesg",
			buf->addr, strerror(errno));
}

static int gm_kmod_alive(struct gm_buf *buf)
{
	struct gm_kmod_pin *pin = buf->backend;
	struct gpumem_info info = { .size = sizeof(info), .pin = pin->id };

	if (ioctl(gm_kmod_fd(buf), GPUMEM_IOC_INFO, &info))
		return -EIO;
	return info.flags & GPUMEM_PIN_REVOKED ? -ENODEV : 0;
}

static int gm_kmod_pages(struct gm_buf *buf, uint64_t first, uint64_t *pages,
			 size_t count)
{
	struct gm_kmod_pin *pin = buf->backend;

	/* The kernel may write fewer than it is asked for. */
	while (count) {
		struct gpumem_pages request = {
			.size = sizeof(request),
			.pin = pin->id,
			.first = first,
			.count = count,
			.pages = (uintptr_t)pages,
		};

		if (ioctl(gm_kmod_fd(buf), GPUMEM_IOC_PAGES, &request)) {
			if (errno == ENODEV)
				return gm_buf_revoked(buf);
			return gm_error(-EIO,
					"pages: ask gpumem.ko: %s; see dmesg",
					strerror(errno));
		}
		if (!request.count || request.count > count)
			return gm_error(-EIO,
					"pages: gpumem.ko gave %" PRIu64
					" of %zu addresses; reload the module "
					"that comes with this library",
					(uint64_t)request.count, count);
		first += request.count;
		pages += request.count;
		count -= request.count;
	}
	return 0;
}

const struct gm_backend_ops gm_backend_kmod = {
	.name = "kmod",
	.probe = gm_kmod_probe,
	.load_cuda = gm_cuda_load,
	.open = gm_kmod_open,
	.close = gm_kmod_close,
	.drop = gm_kmod_close,
	.pin = gm_kmod_pin,
	.repin = gm_backend_no_repin,
	.unpin = gm_kmod_unpin,
	.drop_buf = gm_kmod_drop_buf,
	.map = gm_kmod_map,
	.unmap = gm_kmod_unmap,
	.alive = gm_kmod_alive,
	.pages = gm_kmod_pages,
	.dma_map = gm_kmod_dma_map,
	.dma_unmap = gm_kmod_dma_unmap,
	.dma_runs = gm_kmod_dma_runs,
	.export_dmabuf = gm_kmod_export_dmabuf,
	.flush = gm_backend_no_flush,
};
