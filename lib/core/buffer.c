// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend.h"
#include "base/clock.h"
#include "base/cancel.h"
#include "base/error.h"
#include "base/handle.h"
#include "core/pointer.h"

static struct gm_buf *gm_buf_new(struct gm_session *session, uint64_t addr,
				 uint64_t length)
{
	struct gm_buf *buf = calloc(1, sizeof(*buf));

	if (!buf) {
		gm_error(-ENOMEM, "pin: out of host memory; free some");
		return NULL;
	}
	buf->session = session;
	buf->addr = addr;
	buf->length = length;
	pthread_mutex_init(&buf->lock, NULL);
	pthread_cond_init(&buf->dma_removed, NULL);
	atomic_fetch_add(&session->refs, 1);
	return buf;
}

static void gm_buf_free(struct gm_buf *buf)
{
	gm_session_unref(buf->session);
	pthread_cond_destroy(&buf->dma_removed);
	pthread_mutex_destroy(&buf->lock);
	free(buf);
}

static void gm_buf_link(struct gm_buf *buf)
{
	struct gm_session *session = buf->session;

	pthread_mutex_lock(&session->lock);
	buf->next = session->buffers;
	if (buf->next)
		buf->next->previous = buf;
	session->buffers = buf;
	pthread_mutex_unlock(&session->lock);
}

static void gm_buf_unlink(struct gm_buf *buf)
{
	struct gm_session *session = buf->session;

	pthread_mutex_lock(&session->lock);
	if (buf->next)
		buf->next->previous = buf->previous;
	if (buf->previous)
		buf->previous->next = buf->next;
	else
		session->buffers = buf->next;
	pthread_cond_broadcast(&session->removed);
	pthread_mutex_unlock(&session->lock);
}

/* After a reset of the context the address may be the program's. */
static void gm_buf_free_memory(struct gm_session *session, uint64_t addr)
{
	struct gm_cuda_scope scope;
	CUresult result;

	if (gm_session_is_reset(session) ||
	    gm_cuda_enter(&scope, &session->cuda, session->context))
		return;
	result = session->cuda.free(addr);
	if (result)
		gm_debug("free 0x%" PRIx64 ": CUDA error %d", addr,
			 (int)result);
	gm_cuda_leave(&scope);
}

void gm_buf_destroy(struct gm_buf *buf)
{
	gm_dma_end_all(buf);
	buf->session->ops->unpin(buf);
	if (buf->owned)
		gm_buf_free_memory(buf->session, buf->addr);
	gm_buf_unlink(buf);
	gm_buf_free(buf);
}

void gm_buf_drop(struct gm_buf *buf)
{
	buf->session->ops->drop_buf(buf);
	free(buf);
}

/* Asks that CUDA's own synchronous copies be complete when they return. */
static void gm_buf_sync_memops(struct gm_session *session, uint64_t addr)
{
	unsigned int on = 1;
	CUresult result;

	result = session->cuda.pointer_set(
		&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, addr);
	/* Memory that does not know the attribute can be pinned too. */
	if (result)
		gm_debug("pin 0x%" PRIx64 ": SYNC_MEMOPS: CUDA error %d", addr,
			 (int)result);
}

/* Looks at the memory and pins it, in its context. */
static int gm_buf_pin_new(struct gm_buf *buf,
			  const struct gpumem_pin_options *options)
{
	struct gm_session *session = buf->session;
	struct gm_cuda_scope scope;
	uint64_t start = gm_clock_ns();
	struct gm_range range;
	int rc;

	if (gm_session_is_reset(session))
		return gm_error(-EIO,
				"pin 0x%" PRIx64 ": the GPU's primary context "
				"was reset (cudaDeviceReset) after the session "
				"was opened; close it and open another",
				buf->addr);
	rc = gm_range_find(session, buf->addr, buf->length, &range);
	gm_session_count(session, GM_COUNT_FIND_NS, gm_clock_ns() - start);
	if (rc)
		return rc;
	rc = gm_cuda_enter(&scope, &session->cuda, range.context);
	if (rc)
		return rc;
	gm_buf_sync_memops(session, buf->addr);
	rc = session->ops->pin(buf, &range, options);
	gm_cuda_leave(&scope);
	return rc;
}

/* Pins for gpumem_pin_with() and gpumem_alloc(), which hold the session. */
static int gm_buf_pin(struct gm_session *session, uint64_t addr,
		      uint64_t length, const struct gpumem_pin_options *options,
		      bool owned, struct gpumem_buf **handle)
{
	struct gm_buf *buf;
	int rc;

	buf = gm_buf_new(session, addr, length);
	if (!buf)
		return -ENOMEM;
	buf->owned = owned;
	/*
	 * Costs as little as a read of memory, and needs no context. Asked
	 * before all else, so that an id never stands for later memory.
	 */
	buf->memory_id = gm_cuda_buffer_id(&session->cuda, addr);
	rc = session->ops->repin(buf, options);
	if (rc == -ENOENT)
		rc = gm_buf_pin_new(buf, options);
	if (rc)
		goto free_buf;
	/*
	 * Linked before it can be found, so that whoever ends the handle finds
	 * the buffer on the list.
	 */
	gm_buf_link(buf);
	buf->handle = gm_handle_new(GM_KIND_BUFFER, buf);
	if (!buf->handle) {
		rc = gm_error(-ENOMEM, "pin: out of host memory; free some");
		goto unpin;
	}
	gm_session_count(session, GM_COUNT_PINS, 1);
	*handle = buf->handle;
	return 0;

unpin:
	gm_buf_unlink(buf);
	session->ops->unpin(buf);
free_buf:
	gm_buf_free(buf);
	return rc;
}

static int gm_pin_check(const char *call, uint64_t length,
			const struct gpumem_pin_options *options,
			struct gpumem_buf **buf)
{
	const unsigned int known = GPUMEM_PIN_PERSISTENT |
				   GPUMEM_PIN_FORCE_BAR1 | GPUMEM_PIN_EVENTFD |
				   GPUMEM_PIN_NO_TRIAL_WRITE |
				   GPUMEM_PIN_VERIFY_WRITE;
	unsigned int flags = options->flags;

	if (!buf)
		return gm_error(-EINVAL,
				"%s: buf is NULL; pass where the handle goes",
				call);
	if (flags & ~known)
		return gm_error(-EINVAL,
				"%s: flags 0x%x are unknown; use GPUMEM_PIN_* "
				"alone",
				call, flags & ~known);
	if (flags & GPUMEM_PIN_FORCE_BAR1 && !(flags & GPUMEM_PIN_PERSISTENT))
		return gm_error(-EINVAL,
				"%s: GPUMEM_PIN_FORCE_BAR1 goes with "
				"GPUMEM_PIN_PERSISTENT only; give both",
				call);
	if (!length)
		return gm_error(-EINVAL,
				"%s: length is 0: there is nothing to pin; "
				"ask for at least 1 byte",
				call);
	return 0;
}

/* For the calls that take flags and nowhere an eventfd. */
static int gm_pin_check_flags(const char *call, uint64_t length,
			      const struct gpumem_pin_options *options,
			      struct gpumem_buf **buf)
{
	if (options->flags & GPUMEM_PIN_EVENTFD)
		return gm_error(-EINVAL,
				"%s: GPUMEM_PIN_EVENTFD needs an eventfd; use "
				"gpumem_pin_with()",
				call);
	return gm_pin_check(call, length, options, buf);
}

static int gm_pin_check_options(const struct gpumem_pin_options *options)
{
	if (options->size != sizeof(*options))
		return gm_error(-EINVAL,
				"pin_with: options->size is %zu: this library "
				"knows %zu; set it to sizeof(struct "
				"gpumem_pin_options)",
				options->size, sizeof(*options));
	if (!(options->flags & GPUMEM_PIN_EVENTFD) && options->event_fd &&
	    options->event_fd != -1)
		return gm_error(-EINVAL,
				"pin_with: event_fd is %d without "
				"GPUMEM_PIN_EVENTFD; set the flag, or "
				"event_fd to -1",
				options->event_fd);
	return 0;
}

int gpumem_pin(struct gpumem *handle, uint64_t addr, uint64_t length,
	       unsigned int flags, struct gpumem_buf **buf)
{
	const struct gpumem_pin_options options = { .flags = flags };
	struct gm_session *session;
	int rc;

	rc = gm_session_get(handle, "pin", &session);
	if (rc)
		return rc;
	rc = gm_pin_check_flags("pin", length, &options, buf);
	if (!rc)
		rc = gm_buf_pin(session, addr, length, &options, false, buf);
	gm_handle_put(handle);
	return rc;
}

int gpumem_pin_with(struct gpumem *handle, uint64_t addr, uint64_t length,
		    const struct gpumem_pin_options *options,
		    struct gpumem_buf **buf)
{
	const struct gpumem_pin_options defaults = { .size = sizeof(defaults) };
	struct gm_session *session;
	int rc;

	if (!options)
		options = &defaults;
	rc = gm_session_get(handle, "pin_with", &session);
	if (rc)
		return rc;
	rc = gm_pin_check_options(options);
	if (!rc)
		rc = gm_pin_check("pin_with", length, options, buf);
	if (!rc)
		rc = gm_buf_pin(session, addr, length, options, false, buf);
	gm_handle_put(handle);
	return rc;
}

static int gm_buf_alloc(struct gm_session *session, uint64_t length,
			const struct gpumem_pin_options *options,
			struct gpumem_buf **buf)
{
	struct gm_cuda_scope scope;
	CUdeviceptr addr = 0;
	CUresult result;
	int rc;

	rc = gm_cuda_enter(&scope, &session->cuda, session->context);
	if (rc)
		return rc;
	result = session->cuda.alloc(&addr, length);
	if (result == CUDA_ERROR_OUT_OF_MEMORY && session->ops->flush(session))
		result = session->cuda.alloc(&addr, length);
	gm_cuda_leave(&scope);
	if (result)
		return gm_cuda_error(&session->cuda, result, "alloc",
				     "ask for less, or free some first");
	rc = gm_buf_pin(session, addr, length, options, true, buf);
	if (rc)
		gm_buf_free_memory(session, addr);
	return rc;
}

int gpumem_alloc(struct gpumem *handle, uint64_t length, unsigned int flags,
		 struct gpumem_buf **buf)
{
	const struct gpumem_pin_options options = { .flags = flags };
	struct gm_session *session;
	int rc;

	rc = gm_session_get(handle, "alloc", &session);
	if (rc)
		return rc;
	rc = gm_pin_check_flags("alloc", length, &options, buf);
	if (!rc)
		rc = gm_buf_alloc(session, length, &options, buf);
	gm_handle_put(handle);
	return rc;
}

int gpumem_unpin(struct gpumem_buf *handle)
{
	void *buf;
	int rc;

	gm_cancel_point();
	gm_cancel_block();
	rc = gm_handle_kill(GM_KIND_BUFFER, handle, "unpin", &buf);
	if (!rc)
		gm_buf_destroy(buf);
	gm_cancel_allow();
	return rc;
}

static void gm_buf_describe(struct gm_buf *buf, struct gpumem_buf_info *info)
{
	unsigned int flags = buf->map_flags;

	if (buf->session->ops->alive(buf) == -ENODEV)
		flags |= GPUMEM_BUF_REVOKED;
	if (buf->owned)
		flags |= GPUMEM_BUF_OWNED;
	if (buf->simulated_pages)
		flags |= GPUMEM_BUF_SIMULATED_PAGES;
	pthread_mutex_lock(&buf->lock);
	*info = (struct gpumem_buf_info){
		.size = sizeof(*info),
		.addr = buf->addr,
		.length = buf->length,
		.page_size = buf->page_size,
		.page_count = buf->page_count,
		.addr_offset = buf->addr_offset,
		.cpu = buf->maps ? buf->base + buf->addr_offset : NULL,
		.maps = buf->maps,
		.flags = flags,
	};
	pthread_mutex_unlock(&buf->lock);
}

int gpumem_buf_get(struct gpumem_buf *handle, struct gpumem_buf_info *info)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "buf_get", &buf);
	if (rc)
		return rc;
	if (!info)
		rc = gm_error(-EINVAL, "buf_get: info is NULL; pass a struct "
				       "gpumem_buf_info");
	else if (info->size != sizeof(*info))
		rc = gm_error(-EINVAL,
			      "buf_get: size is %zu: this library knows %zu; "
			      "set it to sizeof(struct gpumem_buf_info)",
			      info->size, sizeof(*info));
	else
		gm_buf_describe(buf, info);
	gm_handle_put(handle);
	return rc;
}

static int gm_buf_pages(struct gm_buf *buf, uint64_t first, uint64_t *pages,
			size_t *count)
{
	size_t room;
	int rc;

	if (!pages || !count)
		return gm_error(-EINVAL,
				"pages: %s is NULL; pass an array and "
				"the number of its entries",
				pages ? "count" : "pages");
	if (first >= buf->page_count)
		return gm_error(-ERANGE,
				"pages: there is no page %" PRIu64
				": the buffer has %" PRIu64
				"; start below that",
				first, buf->page_count);
	room = *count;
	if (room > buf->page_count - first)
		room = buf->page_count - first;
	pthread_mutex_lock(&buf->lock);
	rc = room ? buf->session->ops->pages(buf, first, pages, room) : 0;
	pthread_mutex_unlock(&buf->lock);
	if (!rc)
		*count = room;
	return rc;
}

int gpumem_pages(struct gpumem_buf *handle, uint64_t first, uint64_t *pages,
		 size_t *count)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "pages", &buf);
	if (rc)
		return rc;
	rc = gm_buf_pages(buf, first, pages, count);
	gm_handle_put(handle);
	return rc;
}

static int gm_buf_export(struct gm_buf *buf, unsigned int flags,
			 struct gpumem_dmabuf *dmabuf)
{
	const unsigned int unknown =
		flags & ~(GPUMEM_EXPORT_READ_ONLY | GPUMEM_EXPORT_PCIE);
	struct gpumem_dmabuf made = {
		.size = sizeof(made),
		.fd = -1,
		.offset = buf->addr_offset,
		.length = buf->length,
		.dmabuf_size = buf->page_count * buf->page_size,
	};
	int rc;

	if (!dmabuf)
		return gm_error(-EINVAL, "export_dmabuf: dmabuf is NULL; pass "
					 "a struct gpumem_dmabuf");
	if (dmabuf->size != sizeof(*dmabuf))
		return gm_error(-EINVAL,
				"export_dmabuf: size is %zu: this library "
				"knows %zu; set it to sizeof(struct "
				"gpumem_dmabuf)",
				dmabuf->size, sizeof(*dmabuf));
	if (unknown)
		return gm_error(-EINVAL,
				"export_dmabuf: flags 0x%x are unknown; use "
				"GPUMEM_EXPORT_* alone",
				unknown);
	rc = buf->session->ops->export_dmabuf(buf, flags, &made);
	if (!rc)
		*dmabuf = made;
	return rc;
}

int gpumem_export_dmabuf(struct gpumem_buf *handle, unsigned int flags,
			 struct gpumem_dmabuf *dmabuf)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "export_dmabuf", &buf);
	if (rc)
		return rc;
	rc = gm_buf_export(buf, flags, dmabuf);
	gm_handle_put(handle);
	return rc;
}
