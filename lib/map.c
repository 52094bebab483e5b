// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>

#include "backend.h"
#include "error.h"
#include "handle.h"

int gm_buf_revoked(const struct gm_buf *buf)
{
	return gm_error(-ENODEV,
			"0x%" PRIx64 ": the memory was freed while it was "
			"pinned; unpin the buffer",
			buf->addr);
}

static int gm_buf_check_alive(struct gm_buf *buf)
{
	int rc = buf->session->ops->alive(buf);

	if (!rc || rc == -EOPNOTSUPP)
		return 0;
	if (rc == -ENODEV)
		return gm_buf_revoked(buf);
	return gm_error(rc,
			"0x%" PRIx64 ": the kernel does not tell whether the "
			"memory is still there; see dmesg",
			buf->addr);
}

/* Under buf->lock. */
static int gm_buf_need_map(struct gm_buf *buf)
{
	return buf->base ? 0 : buf->session->ops->map(buf);
}

/* Gives the mapping back once nobody uses it. Under buf->lock. */
static void gm_buf_unmap_unused(struct gm_buf *buf)
{
	if (buf->base && !buf->maps && !buf->copies)
		buf->session->ops->unmap(buf);
}

static int gm_buf_map(struct gm_buf *buf, void **addr)
{
	int rc;

	if (!addr)
		return gm_error(-EINVAL, "map: addr is NULL; pass where the "
					 "address goes");
	rc = gm_buf_check_alive(buf);
	if (rc)
		return rc;
	pthread_mutex_lock(&buf->lock);
	if (buf->maps == UINT32_MAX)
		rc = gm_error(-ENOMEM,
			      "map: the buffer is mapped %u times; "
			      "call gpumem_unmap() once for each map",
			      buf->maps);
	else
		rc = gm_buf_need_map(buf);
	if (!rc) {
		buf->maps++;
		*addr = buf->base + buf->addr_offset;
	}
	pthread_mutex_unlock(&buf->lock);
	return rc;
}

int gpumem_map(struct gpumem_buf *handle, void **addr)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "map", &buf);
	if (rc)
		return rc;
	rc = gm_buf_map(buf, addr);
	gm_handle_put(handle);
	return rc;
}

int gpumem_unmap(struct gpumem_buf *handle)
{
	struct gm_buf *buf;
	void *object;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "unmap", &object);
	if (rc)
		return rc;
	buf = object;
	pthread_mutex_lock(&buf->lock);
	if (buf->maps) {
		buf->maps--;
		gm_buf_unmap_unused(buf);
	} else {
		rc = gm_error(-EINVAL, "unmap: the buffer is not mapped; call "
				       "it once for each gpumem_map()");
	}
	pthread_mutex_unlock(&buf->lock);
	gm_handle_put(handle);
	return rc;
}

/*
 * Checks a copy's arguments and, where there is a byte to copy, holds the
 * mapping until gm_copy_end().
 */
static int gm_copy_begin(struct gm_buf *buf, const char *call, uint64_t offset,
			 const void *host, size_t length)
{
	int rc;

	if (!host && length)
		return gm_error(-EINVAL,
				"%s: the host address is NULL; pass memory "
				"of %zu bytes",
				call, length);
	if (offset > buf->length || length > buf->length - offset)
		return gm_error(-ERANGE,
				"%s: %zu bytes at %" PRIu64 " pass the end of "
				"the buffer, which has %" PRIu64 "; copy less",
				call, length, offset, buf->length);
	rc = gm_buf_check_alive(buf);
	if (rc || !length)
		return rc;
	pthread_mutex_lock(&buf->lock);
	rc = gm_buf_need_map(buf);
	if (!rc)
		buf->copies++;
	pthread_mutex_unlock(&buf->lock);
	return rc;
}

static void gm_copy_end(struct gm_buf *buf)
{
	pthread_mutex_lock(&buf->lock);
	buf->copies--;
	gm_buf_unmap_unused(buf);
	pthread_mutex_unlock(&buf->lock);
}

int gpumem_write(struct gpumem_buf *handle, uint64_t offset, const void *src,
		 size_t length)
{
	struct gm_buf *buf;
	void *object;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "write", &object);
	if (rc)
		return rc;
	buf = object;
	rc = gm_copy_begin(buf, "write", offset, src, length);
	if (!rc && length) {
		gm_copy_to_gpu(buf->base + buf->addr_offset + offset, src,
			       length);
		gm_copy_end(buf);
	}
	gm_handle_put(handle);
	return rc;
}

int gpumem_read(struct gpumem_buf *handle, uint64_t offset, void *dst,
		size_t length)
{
	struct gm_buf *buf;
	void *object;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "read", &object);
	if (rc)
		return rc;
	buf = object;
	rc = gm_copy_begin(buf, "read", offset, dst, length);
	if (!rc && length) {
		gm_copy_from_gpu(dst, buf->base + buf->addr_offset + offset,
				 length);
		gm_copy_end(buf);
	}
	gm_handle_put(handle);
	return rc;
}
