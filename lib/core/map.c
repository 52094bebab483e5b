// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>

#include "core/backend.h"
#include "core/map.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "base/hazptr.h"
#include "base/handle.h"

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

/*
 * Sees to the mapping, which nobody gives back before GM_BUF_UNMAP. A backend
 * may have made it to pin. Locked.
 */
static int gm_buf_need_map(struct gm_buf *buf)
{
	int rc = buf->base ? 0 : buf->session->ops->map(buf);

	if (!rc)
		atomic_fetch_or_explicit(&buf->use, GM_BUF_MAPPED,
					 memory_order_release);
	return rc;
}

/*
 * Gives the mapping back if nobody uses it, or lets the last copy do so. Under
 * buf->lock.
 */
static void gm_buf_unmap_unused(struct gm_buf *buf)
{
	unsigned int idle = GM_BUF_MAPPED | GM_BUF_UNMAP;

	if (!buf->base || buf->maps)
		return;
	atomic_fetch_or(&buf->use, GM_BUF_UNMAP);
	if (!atomic_compare_exchange_strong(&buf->use, &idle, 0))
		return;
	gm_handle_end_quick(buf->handle);
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
		atomic_fetch_and(&buf->use, ~GM_BUF_UNMAP);
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

int gm_buf_use(struct gm_buf *buf, const char *call)
{
	unsigned int use =
		atomic_load_explicit(&buf->use, memory_order_relaxed);
	int rc = gm_buf_check_alive(buf);

	if (rc)
		return rc;
	while (use & GM_BUF_MAPPED)
		if (atomic_compare_exchange_weak_explicit(
			    &buf->use, &use, use + 1, memory_order_acquire,
			    memory_order_relaxed))
			return 0;
	pthread_mutex_lock(&buf->lock);
	rc = gm_buf_need_map(buf);
	if (!rc)
		atomic_fetch_add(&buf->use, 1);
	/* For this copy alone, unless gpumem_map() comes in between. */
	if (!rc && !buf->maps)
		atomic_fetch_or(&buf->use, GM_BUF_UNMAP);
	pthread_mutex_unlock(&buf->lock);
	if (rc)
		gm_debug("%s: no mapping: %s", call, gm_error_text());
	return rc;
}

void gm_buf_allow_quick(struct gm_buf *buf)
{
	unsigned int use;

	/* Whether memory is still there only the kernel knows there. */
	if (buf->session->ops->alive != gm_backend_no_alive ||
	    !gm_guard_setup())
		return;
	/* The quick way does not ask whether they are chosen. */
	(void)gm_cpu();
	pthread_mutex_lock(&buf->lock);
	use = atomic_load_explicit(&buf->use, memory_order_relaxed);
	if ((use & (GM_BUF_MAPPED | GM_BUF_UNMAP)) == GM_BUF_MAPPED)
		gm_handle_allow_quick(buf->handle, buf->base + buf->addr_offset,
				      buf->length, buf->session->copier);
	pthread_mutex_unlock(&buf->lock);
}

void gm_buf_unuse(struct gm_buf *buf)
{
	unsigned int use =
		atomic_fetch_sub_explicit(&buf->use, 1, memory_order_release);

	if (!(use & GM_BUF_UNMAP) || (use & GM_BUF_COPIES) != 1)
		return;
	pthread_mutex_lock(&buf->lock);
	gm_buf_unmap_unused(buf);
	pthread_mutex_unlock(&buf->lock);
}
