// SPDX-License-Identifier: MIT
/*
 * Through the dma-buf that CUDA makes of its memory, and a plain mmap() of it.
 * Many drivers make the dma-buf and refuse the mmap(): open tries.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/list.h"
#include "backend/verify.h"
#include "backend/dmabuf.h"
#include "base/page.h"
#include "base/error.h"
#include "core/pointer.h"

#define GM_DMABUF_PAGE 65536ull
#define GM_HOST_PAGE gm_page_size()

struct gm_dmabuf_buf {
	int fd;
	uint64_t length; /* bytes in the dma-buf */
};

static CUresult gm_dmabuf_get(const struct gm_cuda *cuda, uint64_t addr,
			      uint64_t length, unsigned long long flags,
			      int *fd)
{
	CUresult result;

	*fd = -1;
	result = cuda->range_handle(fd, addr, length,
				    CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, flags);
	if (!result)
		fcntl(*fd, F_SETFD, FD_CLOEXEC);
	return result;
}

/*
 * A dma-buf of a buffer's pages. Where an allocation ends inside its last GPU
 * page CUDA may insist on the host page that it ends in.
 */
static int gm_dmabuf_of(struct gm_buf *buf, const char *call,
			unsigned long long flags, int *fd, uint64_t *length)
{
	const struct gm_cuda *cuda = &buf->session->cuda;
	uint64_t start = buf->addr - buf->addr_offset;
	uint64_t bytes = buf->addr_offset + buf->length;
	struct gm_cuda_scope scope;
	CUresult result;
	int rc;

	if (!cuda->range_handle)
		return gm_error(-EOPNOTSUPP,
				"%s: libcuda has no "
				"cuMemGetHandleForAddressRange; install a "
				"newer NVIDIA driver (515 or later)",
				call);
	rc = gm_cuda_enter(&scope, cuda, buf->session->context);
	if (rc)
		return rc;
	*length = buf->page_count * buf->page_size;
	result = gm_dmabuf_get(cuda, start, *length, flags, fd);
	if (result == CUDA_ERROR_INVALID_VALUE) {
		*length = (bytes + GM_HOST_PAGE - 1) & ~(GM_HOST_PAGE - 1);
		result = gm_dmabuf_get(cuda, start, *length, flags, fd);
	}
	gm_cuda_leave(&scope);
	if (!result)
		return 0;
	rc = gm_cuda_error(cuda, result, call,
			   flags ? "CUDA makes no dma-buf for PCIe of this "
				   "memory: leave GPUMEM_EXPORT_PCIE away, or "
				   "use a driver from 570 on"
				 : "CUDA makes no dma-buf of this memory: it "
				   "needs the open kernel modules, and memory "
				   "of cuMemAlloc or cuMemCreate whose pages "
				   "are its own");
	return result == CUDA_ERROR_NOT_SUPPORTED ||
			       result == CUDA_ERROR_INVALID_VALUE
		       ? -EOPNOTSUPP
		       : rc;
}

int gm_dmabuf_export(struct gm_buf *buf, unsigned int flags,
		     struct gpumem_dmabuf *dmabuf)
{
	if (flags & GPUMEM_EXPORT_READ_ONLY)
		return gm_error(-EOPNOTSUPP,
				"export_dmabuf: CUDA makes dma-bufs that can "
				"be written only; leave "
				"GPUMEM_EXPORT_READ_ONLY away, or use backend "
				"kmod");
	return gm_dmabuf_of(
		buf, "export_dmabuf",
		flags & GPUMEM_EXPORT_PCIE
			? CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE
			: 0,
		&dmabuf->fd, &dmabuf->dmabuf_size);
}

static int gm_dmabuf_probe(char *reason, size_t size)
{
	char hint[GM_HINT_LENGTH];
	int rc;

	if (access("/dev/nvidiactl", F_OK)) {
		rc = errno;
		gm_backend_driver_hint(hint, sizeof(hint));
		snprintf(reason, size,
			 "/dev/nvidiactl: %s: no NVIDIA driver is loaded; %s",
			 strerror(rc), hint);
		return -ENODEV;
	}
	rc = gm_cuda_probe(reason, size);
	if (!rc)
		snprintf(reason, size,
			 "CUDA's dma-bufs; whether this driver lets them be "
			 "mapped is tried when a GPU is opened");
	return rc;
}

/*
 * Whether a mapping of the session's own memory shows what CUDA sees. What it is
 * found out with stays until close: to end it waits for the program's kernels
 * (cuMemFreeHost; H200, 580.159.04).
 */
static int gm_dmabuf_try_mapped(struct gm_session *session, char *cpu)
{
	const struct gm_verify_view view = { .addr = session->own,
					     .cpu = cpu,
					     .length = GM_OWN_BYTES };
	struct gm_verifier *verifier = malloc(sizeof(*verifier));
	int rc;

	if (!verifier)
		return gm_error(-ENOMEM, "open: out of host memory; free some");
	rc = gm_verifier_open(verifier, &session->cuda, session->context);
	if (!rc) {
		rc = gm_verify_own(verifier, &view);
		if (rc)
			gm_verifier_close(verifier);
	}
	if (rc)
		free(verifier);
	else
		session->backend = verifier;
	return rc;
}

static int gm_dmabuf_try_map(struct gm_session *session, int fd)
{
	char *cpu = gm_backend_mmap(fd, GM_OWN_BYTES, 0);
	int rc;

	if (!cpu) {
		/* ENOTSUPP, which the driver answers, has no text. */
		rc = errno;
		return gm_error(-EOPNOTSUPP,
				"open: this driver makes dma-bufs but does not "
				"let them be mapped (mmap: %s); use backend rm",
				rc == 524 ? "not supported" : strerror(rc));
	}
	rc = gm_dmabuf_try_mapped(session, cpu);
	munmap(cpu, GM_OWN_BYTES);
	return rc;
}

static int gm_dmabuf_try(struct gm_session *session)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_cuda_scope scope;
	CUresult result;
	int fd, rc;

	rc = gm_session_need_own(session);
	if (!rc)
		rc = gm_cuda_enter(&scope, cuda, session->context);
	if (rc)
		return rc;
	result = gm_dmabuf_get(cuda, session->own, GM_OWN_BYTES, 0, &fd);
	gm_cuda_leave(&scope);
	if (result) {
		gm_cuda_error(cuda, result, "open: try a dma-buf",
			      "this driver makes none; use backend rm");
		return -EOPNOTSUPP;
	}
	rc = gm_dmabuf_try_map(session, fd);
	close(fd);
	return rc;
}

static void gm_dmabuf_drop(struct gm_session *session)
{
	free(session->backend);
}

static void gm_dmabuf_close(struct gm_session *session)
{
	if (!gm_session_is_reset(session))
		gm_verifier_close(session->backend);
	gm_dmabuf_drop(session);
}

static int gm_dmabuf_open(struct gm_session *session)
{
	const struct gm_cuda *cuda = &session->cuda;
	int rc;

	rc = gm_backend_check_cuda(session);
	if (rc)
		return rc;
	if (!cuda->range_handle || !cuda->stream_create ||
	    !cuda->stream_destroy || !cuda->stream_synchronize ||
	    !cuda->copy_to_host || !cuda->copy_to_device)
		return gm_error(-ELIBACC,
				"open: libcuda lacks a function that backend "
				"dmabuf needs (cuMemGetHandleForAddressRange "
				"or streams); install a newer NVIDIA driver");
	return gm_dmabuf_try(session);
}

/*
 * Whether a byte can be read at all: the kernel says so of a copy out of it, where
 * the program would die.
 */
static bool gm_dmabuf_is_there(const char *at, const int ends[2])
{
	char byte;

	return write(ends[1], at, 1) == 1 && read(ends[0], &byte, 1) == 1;
}

/* One object of a range, whose mapping begins at cpu. */
static int gm_dmabuf_verify_part(struct gm_buf *buf,
				 const struct gm_range *part, char *cpu,
				 const int ends[2])
{
	const struct gm_verify_view view = { .addr = part->addr,
					     .cpu = cpu,
					     .length = part->length };

	if (!gm_dmabuf_is_there(cpu, ends) ||
	    !gm_dmabuf_is_there(cpu + part->length - 1, ends))
		return gm_error(-EOPNOTSUPP,
				"pin 0x%" PRIx64 " + %" PRIu64
				": of a range over several allocations this "
				"driver maps the first alone; pin each of them "
				"by itself, or use backend rm",
				buf->addr, buf->length);
	return gm_verify_compare(buf->session->backend, &view);
}

/*
 * A range over several allocations: the driver's mmap() of such a dma-buf says
 * that it succeeded and maps the first alone (nv-dmabuf.c, 595 and 610).
 */
static int gm_dmabuf_verify(struct gm_buf *buf, const struct gm_range *range)
{
	struct gm_dmabuf_buf *own = buf->backend;
	uint64_t done = 0;
	char *base;
	int ends[2];
	int rc = 0;

	base = gm_backend_mmap(own->fd, own->length, 0);
	if (!base)
		return gm_error(-EIO,
				"pin 0x%" PRIx64 ": mmap of a dma-buf of "
				"%" PRIu64 " bytes: %s; use backend rm",
				buf->addr, own->length, strerror(errno));
	if (pipe2(ends, O_CLOEXEC)) {
		rc = gm_error(-ENOMEM,
			      "pin: no pipe to look at a mapping with: %s; "
			      "close some descriptors, or raise ulimit -n",
			      strerror(errno));
		munmap(base, own->length);
		return rc;
	}
	while (!rc && done < range->length) {
		struct gm_range part;

		rc = gm_range_part(&buf->session->cuda, range,
				   range->addr + done, &part);
		if (!rc)
			rc = gm_dmabuf_verify_part(
				buf, &part, base + buf->addr_offset + done,
				ends);
		done += part.length;
	}
	close(ends[0]);
	close(ends[1]);
	munmap(base, own->length);
	return rc;
}

static void gm_dmabuf_drop_buf(struct gm_buf *buf)
{
	struct gm_dmabuf_buf *own = buf->backend;

	close(own->fd);
	free(own);
}

/* In pages of a size. */
static int gm_dmabuf_pin_as(struct gm_buf *buf, const struct gm_range *range,
			    uint64_t page_size, struct gm_dmabuf_buf *own)
{
	buf->page_size = page_size;
	buf->addr_offset = range->addr % page_size;
	buf->page_count =
		(buf->addr_offset + range->length - 1) / page_size + 1;
	return gm_dmabuf_of(buf, "pin", 0, &own->fd, &own->length);
}

static int gm_dmabuf_pin(struct gm_buf *buf, const struct gm_range *range,
			 const struct gpumem_pin_options *options)
{
	struct gm_dmabuf_buf *own;
	int rc;

	rc = gm_backend_check_pin(buf, options);
	if (rc)
		return rc;
	own = calloc(1, sizeof(*own));
	if (!own)
		return gm_error(-ENOMEM, "pin: out of host memory; free some");
	/* A page of the GPU's, unless the allocation begins inside one. */
	rc = gm_dmabuf_pin_as(buf, range,
			      range->alloc_addr % GM_DMABUF_PAGE
				      ? GM_HOST_PAGE
				      : GM_DMABUF_PAGE,
			      own);
	/* Or ends inside one, where CUDA insists on that. */
	if (!rc && own->length < buf->page_count * buf->page_size) {
		close(own->fd);
		rc = gm_dmabuf_pin_as(buf, range, GM_HOST_PAGE, own);
	}
	if (rc) {
		free(own);
		return rc;
	}
	buf->backend = own;
	if (range->addr + range->length <=
	    range->alloc_addr + range->alloc_length)
		return 0;
	rc = gm_dmabuf_verify(buf, range);
	if (rc)
		gm_dmabuf_drop_buf(buf);
	return rc;
}

static void gm_dmabuf_unmap(struct gm_buf *buf)
{
	struct gm_dmabuf_buf *own = buf->backend;

	munmap(buf->base, own->length);
	buf->base = NULL;
}

static int gm_dmabuf_map(struct gm_buf *buf)
{
	struct gm_dmabuf_buf *own = buf->backend;
	int rc;

	buf->base = gm_backend_mmap(own->fd, own->length, 0);
	if (buf->base)
		return 0;
	rc = errno == ENOMEM ? -ENOMEM : -EIO;
	return gm_error(rc,
			"map 0x%" PRIx64 ": mmap of a dma-buf of %" PRIu64
			" bytes: %s; unmap other buffers, or use backend rm",
			buf->addr, own->length, strerror(errno));
}

static void gm_dmabuf_unpin(struct gm_buf *buf)
{
	if (buf->base)
		gm_dmabuf_unmap(buf);
	gm_dmabuf_drop_buf(buf);
}

static int gm_dmabuf_pages(struct gm_buf *buf, uint64_t first, uint64_t *pages,
			   size_t count)
{
	return gm_error(-EOPNOTSUPP,
			"pages: a dma-buf does not tell physical addresses; "
			"use backend kmod");
}

const struct gm_backend_ops gm_backend_dmabuf = {
	.name = "dmabuf",
	.spans = true,
	.probe = gm_dmabuf_probe,
	.load_cuda = gm_cuda_load,
	.open = gm_dmabuf_open,
	.close = gm_dmabuf_close,
	.drop = gm_dmabuf_drop,
	.pin = gm_dmabuf_pin,
	.repin = gm_backend_no_repin,
	.unpin = gm_dmabuf_unpin,
	.drop_buf = gm_dmabuf_drop_buf,
	.map = gm_dmabuf_map,
	.unmap = gm_dmabuf_unmap,
	.alive = gm_backend_no_alive,
	.pages = gm_dmabuf_pages,
	.dma_map = gm_backend_no_dma_map,
	.dma_unmap = gm_backend_no_dma_unmap,
	.dma_runs = gm_backend_no_dma_runs,
	.export_dmabuf = gm_dmabuf_export,
	.flush = gm_backend_no_flush,
};
