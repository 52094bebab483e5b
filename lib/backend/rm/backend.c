// SPDX-License-Identifier: MIT
/*
 * Through the stock NVIDIA driver's own device nodes: see rm.h. The memory that
 * a CUDA pointer means is found by way of its IPC handle, of a descriptor of it
 * or of a scan, then proven, and kept for the next pin: see rm_cache.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/list.h"
#include "backend/dmabuf.h"
#include "backend/rm/backend.h"
#include "base/clock.h"
#include "base/page.h"
#include "base/error.h"
#include "core/pointer.h"
#include "backend/rm/import.h"

#define GM_GPU_PAGE 65536ull
#define GM_CPU_PAGE gm_page_size()

static int gm_rmb_probe(char *reason, size_t size)
{
	struct gm_rm_version version;
	char why[232];
	int rc;

	rc = gm_rm_probe(&version, reason, size);
	if (rc)
		return rc;
	rc = gm_cuda_probe(why, sizeof(why));
	if (rc)
		snprintf(reason, size, "%s", why);
	else
		snprintf(
			reason, size,
			"NVIDIA driver %.60s through " GM_RM_CONTROL_NODE "%s",
			version.text,
			gm_rm_version_known(&version)
				? ""
				: " (newer than this library: every mapping is "
				  "verified before it is used)");
	return rc;
}

static int gm_rmb_check_functions(const struct gm_cuda *cuda)
{
	if (cuda->device_pci && cuda->ipc_handle && cuda->stream_create &&
	    cuda->stream_destroy && cuda->stream_synchronize &&
	    cuda->copy_to_host && cuda->copy_to_device)
		return 0;
	return gm_error(-ELIBACC,
			"open: libcuda lacks a function that backend rm needs "
			"(cuIpcGetMemHandle, cuDeviceGetPCIBusId or streams); "
			"install a newer NVIDIA driver");
}

/* RM gives an instance's memory to those alone that subscribe to it. */
static int gm_rmb_check_mig(const struct gm_session *session)
{
	char name[96] = "";

	if (session->cuda.device_name(name, sizeof(name), session->device) ||
	    !strstr(name, " MIG "))
		return 0;
	return gm_error(-EOPNOTSUPP,
			"open: GPU %d is an instance of a partitioned GPU "
			"(%.60s), whose memory backend rm cannot reach; use "
			"backend kmod, or turn MIG off (nvidia-smi -mig 0)",
			session->ordinal, name);
}

static int gm_rmb_open(struct gm_session *session)
{
	struct gm_rm_session *own;
	int rc;

	rc = gm_backend_check_cuda(session);
	if (!rc)
		rc = gm_rmb_check_functions(&session->cuda);
	if (!rc)
		rc = gm_rmb_check_mig(session);
	if (rc)
		return rc;
	own = calloc(1, sizeof(*own));
	if (!own)
		return gm_error(-ENOMEM, "open: out of host memory; free some");
	rc = gm_verifier_open(&own->verifier, &session->cuda, session->context);
	if (rc)
		goto free_own;
	rc = gm_rm_open(&own->rm, session->pci);
	if (rc)
		goto close_verifier;
	gm_rm_cache_init(&own->cache, &own->rm, session);
	session->backend = own;
	rc = gm_rm_scratch_verify(session);
	if (rc)
		goto close_rm;
	return 0;

close_rm:
	session->backend = NULL;
	gm_rm_cache_destroy(&own->cache);
	gm_rm_close(&own->rm);
close_verifier:
	gm_verifier_close(&own->verifier);
free_own:
	free(own);
	return rc;
}

static void gm_rmb_close(struct gm_session *session)
{
	struct gm_rm_session *own = session->backend;

	gm_rm_cache_destroy(&own->cache);
	gm_rm_scratch_free(session);
	if (!gm_session_is_reset(session))
		gm_verifier_close(&own->verifier);
	gm_rm_close(&own->rm);
	free(own);
}

static void gm_rmb_drop(struct gm_session *session)
{
	struct gm_rm_session *own = session->backend;

	gm_rm_cache_drop(&own->cache);
	gm_rm_scratch_drop(&own->scratch);
	gm_rm_drop(&own->rm);
	free(own);
}

/*
 * Gets hold of an allocation, with no user counted yet. Its id was asked for
 * before, so that an id never stands for later memory.
 */
static int gm_rmb_take(struct gm_session *session, const struct gm_range *part,
		       unsigned long long id, bool may_write,
		       struct gm_rm_mem **out)
{
	uint64_t start = gm_clock_ns();
	struct gm_rm_mem *mem;
	int rc;

	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return gm_error(-ENOMEM, "pin: out of host memory; free some");
	mem->addr = part->alloc_addr;
	mem->length = part->alloc_length;
	mem->id = id;
	rc = gm_rm_take(session, part, may_write, &mem->place, &mem->memory);
	if (rc) {
		free(mem);
		return rc;
	}
	gm_debug("rm: got hold of 0x%" PRIx64 " + %" PRIu64
		 " (buffer %llu) in %.1f us",
		 mem->addr, mem->length, mem->id,
		 (gm_clock_ns() - start) / 1e3);
	*out = mem;
	return 0;
}

/* The allocation that a part lies in, with its user counted. */
static int gm_rmb_mem_get(struct gm_session *session,
			  const struct gm_range *part, unsigned long long id,
			  bool may_write, struct gm_rm_mem **mem)
{
	struct gm_rm_session *own = session->backend;
	int rc;

	*mem = gm_rm_cache_find(&own->cache, id, part->addr, part->length);
	if (*mem)
		return 0;
	gm_rm_cache_sweep(&own->cache, GM_RM_IDLE_COUNT);
	rc = gm_rmb_take(session, part, id, may_write, mem);
	if (!rc)
		*mem = gm_rm_cache_add(&own->cache, *mem);
	return rc;
}

static void gm_rmb_put_parts(struct gm_buf *buf)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;

	for (size_t i = 0; i < own->count; i++) {
		struct gm_rm_mem *mem = own->parts[i].mem;
		/* What was freed meanwhile is given back now. */
		bool keep = !buf->owned && session->cache.memory_limit &&
			    mem->id &&
			    gm_cuda_buffer_id(&buf->session->cuda, mem->addr) ==
				    mem->id;

		gm_rm_cache_put(&session->cache, mem, keep);
	}
	free(own);
	buf->backend = NULL;
}

/*
 * The pages that the range touches, as the memory has them: whole GPU pages, or
 * CPU pages should the memory not begin with a GPU page.
 */
static void gm_rmb_lay_out(struct gm_buf *buf)
{
	struct gm_rm_buf *own = buf->backend;
	const struct gm_rm_mem *mem = own->parts[0].mem;
	uint64_t left = buf->length, pages;

	buf->page_size = (mem->addr - mem->place.offset) % GM_GPU_PAGE
				 ? GM_CPU_PAGE
				 : GM_GPU_PAGE;
	buf->addr_offset =
		(mem->place.offset + (buf->addr - mem->addr)) % buf->page_size;
	left += buf->addr_offset;
	pages = (left - 1) / buf->page_size + 1;
	buf->page_count = pages;
	for (size_t i = 0; i < own->count; i++) {
		struct gm_rm_part *part = &own->parts[i];
		uint64_t end;

		mem = part->mem;
		part->offset = mem->place.offset;
		/* Of several each may be mapped in part: the next one follows. */
		end = own->count > 1 ? part->offset + mem->length
				     : mem->place.block;
		if (!i)
			part->offset +=
				buf->addr - mem->addr - buf->addr_offset;
		part->length = pages * buf->page_size;
		if (part->length > end - part->offset)
			part->length = end - part->offset;
		pages -= part->length / buf->page_size;
	}
}

void gm_rmb_unmap(struct gm_buf *buf)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;

	if (own->count == 1)
		gm_rm_view_put(&session->cache, own->view);
	else
		gm_rm_span_unmap(&session->cache, own->parts, own->count,
				 buf->base);
	own->view = NULL;
	buf->base = NULL;
}

int gm_rmb_map(struct gm_buf *buf)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;
	struct gm_rm_part *part = own->parts;
	int rc;

	if (own->count > 1)
		return gm_rm_span_map(&session->cache, own->parts, own->count,
				      &buf->base);
	rc = gm_rm_view_get(&session->cache, part->mem, part->offset,
			    part->length, &own->view);
	if (!rc)
		buf->base =
			own->view->base + (part->offset - own->view->offset);
	return rc;
}

/* Room for the parts of a buffer. */
static struct gm_rm_buf *gm_rmb_buf_grow(struct gm_rm_buf *own, size_t count)
{
	struct gm_rm_buf *grown;

	grown = realloc(own, sizeof(*own) + count * sizeof(own->parts[0]));
	if (!grown) {
		gm_error(-ENOMEM, "pin: out of host memory; free some");
		return NULL;
	}
	if (!own)
		*grown = (struct gm_rm_buf){ 0 };
	return grown;
}

/* Counts the buffer as a user of each allocation of its range. */
static int gm_rmb_get_parts(struct gm_buf *buf, const struct gm_range *range,
			    bool may_write)
{
	const struct gm_cuda *cuda = &buf->session->cuda;
	uint64_t addr = range->addr, left = range->length;
	unsigned long long id = buf->memory_id;

	while (left) {
		struct gm_rm_buf *own = buf->backend;
		struct gm_range part;
		struct gm_rm_mem *mem;
		int rc;

		rc = gm_range_part(cuda, range, addr, &part);
		if (rc)
			return rc;
		if (addr != buf->addr)
			id = gm_cuda_buffer_id(cuda, addr);
		own = gm_rmb_buf_grow(own, own ? own->count + 1 : 1);
		if (!own)
			return -ENOMEM;
		buf->backend = own;
		rc = gm_rmb_mem_get(buf->session, &part, id, may_write, &mem);
		if (rc)
			return rc;
		own->parts[own->count++] = (struct gm_rm_part){ .mem = mem };
		addr += part.length;
		left -= part.length;
	}
	return 0;
}

static bool gm_rmb_may_write(unsigned int flags)
{
	return flags & GPUMEM_PIN_VERIFY_WRITE &&
	       !(flags & GPUMEM_PIN_NO_TRIAL_WRITE);
}

static int gm_rmb_pin(struct gm_buf *buf, const struct gm_range *range,
		      const struct gpumem_pin_options *options)
{
	uint64_t start = gm_clock_ns();
	int rc;

	rc = gm_backend_check_pin(buf, options);
	if (!rc)
		rc = gm_rmb_get_parts(buf, range,
				      gm_rmb_may_write(options->flags));
	if (!rc) {
		gm_rmb_lay_out(buf);
		rc = gm_rmb_ensure_verified(buf, range);
	}
	if (rc) {
		if (buf->backend)
			gm_rmb_put_parts(buf);
		return rc;
	}
	gm_debug("rm: pinned 0x%" PRIx64 " + %" PRIu64 " in %.1f us",
		 range->addr, range->length, (gm_clock_ns() - start) / 1e3);
	return 0;
}

/* CUDA's buffer id tells that the memory is what was pinned before. */
static int gm_rmb_repin(struct gm_buf *buf,
			const struct gpumem_pin_options *options)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_mem *mem;
	struct gm_rm_buf *own;

	if (buf->owned || gm_backend_check_pin(buf, options))
		return -ENOENT;
	mem = gm_rm_cache_find(&session->cache, buf->memory_id, buf->addr,
			       buf->length);
	if (!mem)
		return -ENOENT;
	own = gm_rm_cache_is_verified(&session->cache, mem)
		      ? gm_rmb_buf_grow(NULL, 1)
		      : NULL;
	if (!own) {
		gm_rm_cache_put(&session->cache, mem, true);
		return -ENOENT;
	}
	own->count = 1;
	own->parts[0] = (struct gm_rm_part){ .mem = mem };
	buf->backend = own;
	gm_rmb_lay_out(buf);
	gm_rm_cache_sweep(&session->cache, 1);
	gm_session_count(buf->session, GM_COUNT_REPINS, 1);
	return 0;
}

static void gm_rmb_unpin(struct gm_buf *buf)
{
	struct gm_rm_session *session = buf->session->backend;

	if (buf->base)
		gm_rmb_unmap(buf);
	gm_rmb_put_parts(buf);
	gm_rm_cache_bury(&session->cache);
}

static void gm_rmb_drop_buf(struct gm_buf *buf)
{
	free(buf->backend);
}

static bool gm_rmb_flush(struct gm_session *session)
{
	struct gm_rm_session *own = session->backend;

	return gm_rm_cache_flush(&own->cache);
}

/*
 * The driver tells where a mapping's first page is. The others need not follow
 * it, and /proc/self/pagemap shows nothing of mappings of device memory, to
 * root neither.
 */
static int gm_rmb_pages(struct gm_buf *buf, uint64_t first, uint64_t *pages,
			size_t count)
{
	const struct gm_rm_buf *own = buf->backend;
	uint64_t page = 0;

	if (!buf->maps)
		return gm_error(-ENOTCONN,
				"pages: backend rm knows addresses only while "
				"the buffer is mapped; call gpumem_map() "
				"first");
	for (size_t i = 0; i < count; i++)
		pages[i] = GPUMEM_UNKNOWN;
	for (size_t i = 0; i < own->count; i++) {
		const struct gm_rm_part *part = &own->parts[i];
		const struct gm_rm_map *map = &part->map;

		if (own->view)
			map = &own->view->map;
		if (page >= first && page - first < count &&
		    (!own->view || own->view->offset == part->offset))
			pages[page - first] = map->linear;
		page += part->length / buf->page_size;
	}
	return 0;
}

const struct gm_backend_ops gm_backend_rm = {
	.name = "rm",
	.spans = true,
	.probe = gm_rmb_probe,
	.load_cuda = gm_cuda_load,
	.open = gm_rmb_open,
	.close = gm_rmb_close,
	.drop = gm_rmb_drop,
	.pin = gm_rmb_pin,
	.repin = gm_rmb_repin,
	.unpin = gm_rmb_unpin,
	.drop_buf = gm_rmb_drop_buf,
	.map = gm_rmb_map,
	.unmap = gm_rmb_unmap,
	.alive = gm_backend_no_alive,
	.pages = gm_rmb_pages,
	.dma_map = gm_backend_no_dma_map,
	.dma_unmap = gm_backend_no_dma_unmap,
	.dma_runs = gm_backend_no_dma_runs,
	.export_dmabuf = gm_dmabuf_export,
	.flush = gm_rmb_flush,
};
