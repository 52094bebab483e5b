// SPDX-License-Identifier: MIT
/* Many pieces in one call: lists of them, and rectangles. */
#include <errno.h>
#include <inttypes.h>

#include "copy/context.h"
#include "copy/copy.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "base/handle.h"

static int gm_pieces_check(struct gm_buf *buf, const char *call,
			   const struct gpumem_piece *pieces, size_t count)
{
	if (!pieces && count)
		return gm_error(-EINVAL, "%s: pieces is NULL; pass %zu of them",
				call, count);
	for (size_t i = 0; i < count; i++) {
		int rc = gm_copy_check(buf, call, pieces[i].offset,
				       pieces[i].host, pieces[i].length);

		if (rc)
			return rc;
	}
	return 0;
}

static int gm_pieces_copy(struct gm_buf *buf, const char *call,
			  const struct gpumem_piece *pieces, size_t count,
			  bool read)
{
	int rc = gm_pieces_check(buf, call, pieces, count);

	if (rc || !count)
		return rc;
	rc = gm_buf_use(buf, call);
	if (rc)
		return rc;
	if (read)
		gm_cpu_load_fence();
	for (size_t i = 0; i < count && !rc; i++)
		if (pieces[i].length)
			rc = gm_copy_held(buf, call, pieces[i].offset,
					  pieces[i].host, pieces[i].length,
					  read);
	if (!read)
		gm_cpu_fence();
	gm_buf_unuse(buf);
	return rc;
}

int gpumem_writev(struct gpumem_buf *handle, const struct gpumem_piece *pieces,
		  size_t count)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "writev", &buf);
	if (rc)
		return rc;
	rc = gm_pieces_copy(buf, "writev", pieces, count, false);
	gm_handle_put(handle);
	return rc;
}

int gpumem_readv(struct gpumem_buf *handle, const struct gpumem_piece *pieces,
		 size_t count)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "readv", &buf);
	if (rc)
		return rc;
	rc = gm_pieces_copy(buf, "readv", pieces, count, true);
	gm_handle_put(handle);
	return rc;
}

/* Rows, for several threads. */
struct gm_rows {
	const struct gpumem_rect *rect;
	char *map; /* of the first row */
	char *host;
	bool read;
};

static void gm_rows_copy(void *arg, size_t first, size_t count)
{
	const struct gm_rows *rows = arg;
	const struct gpumem_rect *rect = rows->rect;
	const struct gm_cpu *cpu = gm_cpu();

	if (rows->read)
		gm_cpu_load_fence();
	for (size_t i = first; i < first + count; i++) {
		char *map = rows->map + i * rect->pitch;
		char *host = rows->host + i * rect->host_pitch;

		if (rows->read)
			cpu->load(host, map, rect->width);
		else
			cpu->store(map, host, rect->width);
	}
	if (!rows->read)
		gm_cpu_fence();
}

/* By the mapping: the rows are short. */
static void gm_rect_rows(struct gm_buf *buf, const struct gpumem_rect *rect,
			 void *host, bool read)
{
	struct gm_copier *copier = buf->session->copier;
	struct gm_rows rows = {
		.rect = rect,
		.map = buf->base + buf->addr_offset + rect->offset,
		.host = host,
		.read = read,
	};
	uint64_t bytes = rect->width * rect->height;
	unsigned int threads = copier->threads;
	struct gm_pool *pool = NULL;
	size_t piece;

	if (bytes > (read ? copier->read_small : copier->write_small))
		pool = gm_copier_pool(copier);
	if (!pool) {
		gm_rows_copy(&rows, 0, rect->height);
		return;
	}
	piece = rect->height / threads / 4;
	gm_pool_run(pool, threads, rect->height, piece ? piece : 1,
		    gm_rows_copy, &rows);
}

static int gm_rect_check(struct gm_buf *buf, const char *call,
			 const struct gpumem_rect *rect, const void *host)
{
	uint64_t span;

	if (!rect)
		return gm_error(-EINVAL,
				"%s: rect is NULL; pass a struct gpumem_rect",
				call);
	if (!rect->width || !rect->height)
		return 0;
	if (rect->height > 1 &&
	    (rect->width > rect->pitch || rect->width > rect->host_pitch))
		return gm_error(-EINVAL,
				"%s: rows of %" PRIu64 " bytes are longer than "
				"the pitch, %" PRIu64 " in the buffer and "
				"%" PRIu64 " in host memory; make rows not "
				"overlap",
				call, rect->width, rect->pitch,
				rect->host_pitch);
	if (__builtin_mul_overflow(rect->pitch, rect->height - 1, &span) ||
	    __builtin_add_overflow(span, rect->width, &span))
		span = UINT64_MAX;
	return gm_copy_check(buf, call, rect->offset, host, span);
}

static int gm_rect_copy(struct gm_buf *buf, const char *call,
			const struct gpumem_rect *rect, void *host, bool read)
{
	size_t small = read ? buf->session->copier->read_small
			    : buf->session->copier->write_small;
	int rc;

	rc = gm_rect_check(buf, call, rect, host);
	if (rc || !rect->width || !rect->height)
		return rc;
	rc = gm_buf_use(buf, call);
	if (rc)
		return rc;
	if (rect->height == 1 ||
	    (rect->width == rect->pitch && rect->width == rect->host_pitch)) {
		gm_cpu_load_fence();
		rc = gm_copy_held(buf, call, rect->offset, host,
				  rect->width * rect->height, read);
		gm_cpu_fence();
	} else if (rect->width <= small) {
		gm_rect_rows(buf, rect, host, read);
	} else {
		for (uint64_t i = 0; i < rect->height && !rc; i++)
			rc = gm_copy_held(buf, call,
					  rect->offset + i * rect->pitch,
					  (char *)host + i * rect->host_pitch,
					  rect->width, read);
	}
	gm_buf_unuse(buf);
	return rc;
}

int gpumem_write_2d(struct gpumem_buf *handle, const struct gpumem_rect *rect,
		    const void *src)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "write_2d", &buf);
	if (rc)
		return rc;
	rc = gm_rect_copy(buf, "write_2d", rect, (void *)(uintptr_t)src, false);
	gm_handle_put(handle);
	return rc;
}

int gpumem_read_2d(struct gpumem_buf *handle, const struct gpumem_rect *rect,
		   void *dst)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "read_2d", &buf);
	if (rc)
		return rc;
	rc = gm_rect_copy(buf, "read_2d", rect, dst, true);
	gm_handle_put(handle);
	return rc;
}
