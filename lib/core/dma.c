// SPDX-License-Identifier: MIT
/* Buffers mapped for PCI devices. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/backend.h"
#include "base/cancel.h"
#include "base/error.h"
#include "base/handle.h"
#include "base/pci.h"

static struct gm_dma *gm_dma_new(struct gm_buf *buf)
{
	struct gm_dma *dma = calloc(1, sizeof(*dma));

	if (!dma) {
		gm_error(-ENOMEM, "dma_map: out of host memory; free some");
		return NULL;
	}
	dma->buf = buf;
	return dma;
}

static void gm_dma_link(struct gm_dma *dma)
{
	struct gm_buf *buf = dma->buf;

	pthread_mutex_lock(&buf->lock);
	dma->next = buf->dmas;
	if (dma->next)
		dma->next->previous = dma;
	buf->dmas = dma;
	pthread_mutex_unlock(&buf->lock);
}

/* The buffer may be gone when this returns. */
static void gm_dma_unlink(struct gm_dma *dma)
{
	struct gm_buf *buf = dma->buf;

	pthread_mutex_lock(&buf->lock);
	if (dma->next)
		dma->next->previous = dma->previous;
	if (dma->previous)
		dma->previous->next = dma->next;
	else
		buf->dmas = dma->next;
	pthread_cond_broadcast(&buf->dma_removed);
	pthread_mutex_unlock(&buf->lock);
}

/* Ends a mapping whose handle is dead. Frees it. */
static void gm_dma_destroy(struct gm_dma *dma)
{
	dma->buf->session->ops->dma_unmap(dma);
	gm_dma_unlink(dma);
	free(dma);
}

void gm_dma_end_all(struct gm_buf *buf)
{
	pthread_mutex_lock(&buf->lock);
	while (buf->dmas) {
		struct gpumem_dma *handle = buf->dmas->handle;
		void *dma;
		int rc;

		pthread_mutex_unlock(&buf->lock);
		rc = gm_handle_kill(GM_KIND_DMA, handle, NULL, &dma);
		if (!rc)
			gm_dma_destroy(dma);
		pthread_mutex_lock(&buf->lock);
		if (rc && buf->dmas && buf->dmas->handle == handle)
			pthread_cond_wait(&buf->dma_removed, &buf->lock);
	}
	pthread_mutex_unlock(&buf->lock);
}

static int gm_dma_is_of(void *object, void *session)
{
	struct gm_dma *dma = object;

	return dma->buf->session == session;
}

void gm_dma_drop_all(const struct gm_session *session)
{
	struct gpumem_dma *handle;
	void *dma;

	while ((handle = gm_handle_find(GM_KIND_DMA, gm_dma_is_of,
					(void *)session))) {
		if (!gm_handle_drop(GM_KIND_DMA, handle, "close", &dma))
			free(dma);
	}
}

static int gm_dma_map(struct gm_buf *buf, const struct gm_pci *peer,
		      struct gpumem_dma **handle)
{
	struct gm_dma *dma = gm_dma_new(buf);
	int rc;

	if (!dma)
		return -ENOMEM;
	gm_pci_format(peer, dma->peer, sizeof(dma->peer));
	rc = buf->session->ops->dma_map(dma);
	if (rc)
		goto free_dma;
	/* Linked first, as a buffer is: see gm_buf_pin(). */
	gm_dma_link(dma);
	dma->handle = gm_handle_new(GM_KIND_DMA, dma);
	if (!dma->handle) {
		rc = gm_error(-ENOMEM,
			      "dma_map: out of host memory; free some");
		goto unmap;
	}
	*handle = dma->handle;
	return 0;

unmap:
	gm_dma_unlink(dma);
	buf->session->ops->dma_unmap(dma);
free_dma:
	free(dma);
	return rc;
}

int gpumem_dma_map(struct gpumem_buf *handle, const char *peer,
		   unsigned int flags, struct gpumem_dma **dma)
{
	struct gm_pci address;
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "dma_map", &buf);
	if (rc)
		return rc;
	if (!peer || !dma)
		rc = gm_error(-EINVAL, "dma_map: %s is NULL; pass %s",
			      peer ? "dma" : "peer",
			      peer ? "where the handle goes"
				   : "a PCI address such as \"0000:3b:00.0\"");
	else if (flags)
		rc = gm_error(-EINVAL,
			      "dma_map: flags is 0x%x: no flag is known; set "
			      "it to 0",
			      flags);
	else if (gm_pci_parse(peer, &address))
		rc = gm_error(-EINVAL,
			      "dma_map: \"%.40s\" is no PCI address; give one "
			      "such as \"0000:3b:00.0\" or \"3b:00.0\", as "
			      "lspci -D shows it",
			      peer);
	else
		rc = gm_dma_map(buf, &address, dma);
	gm_handle_put(handle);
	return rc;
}

int gpumem_dma_get(struct gpumem_dma *handle, struct gpumem_dma_info *info)
{
	struct gm_dma *dma;
	void *object;
	int rc;

	rc = gm_handle_get(GM_KIND_DMA, handle, "dma_get", &object);
	if (rc)
		return rc;
	dma = object;
	if (!info) {
		rc = gm_error(-EINVAL, "dma_get: info is NULL; pass a struct "
				       "gpumem_dma_info");
	} else if (info->size != sizeof(*info)) {
		rc = gm_error(-EINVAL,
			      "dma_get: size is %zu: this library knows %zu; "
			      "set it to sizeof(struct gpumem_dma_info)",
			      info->size, sizeof(*info));
	} else {
		*info = (struct gpumem_dma_info){
			.size = sizeof(*info),
			.page_size = dma->page_size,
			.run_count = dma->run_count,
			.addr_offset = dma->buf->addr_offset,
			.length = dma->buf->length,
			.path = dma->path,
		};
		snprintf(info->peer, sizeof(info->peer), "%s", dma->peer);
		snprintf(info->port, sizeof(info->port), "%s", dma->port);
	}
	gm_handle_put(handle);
	return rc;
}

static int gm_dma_runs(struct gm_dma *dma, uint64_t first,
		       struct gpumem_run *runs, size_t *count)
{
	size_t room;
	int rc = 0;

	if (!runs || !count)
		return gm_error(-EINVAL,
				"dma_runs: %s is NULL; pass an array and the "
				"number of its entries",
				runs ? "count" : "runs");
	if (first >= dma->run_count)
		return gm_error(-ERANGE,
				"dma_runs: there is no run %" PRIu64
				": the mapping has %" PRIu64
				"; start below that",
				first, dma->run_count);
	room = *count;
	if (room > dma->run_count - first)
		room = dma->run_count - first;
	if (room)
		rc = dma->buf->session->ops->dma_runs(dma, first, runs, room);
	if (!rc)
		*count = room;
	return rc;
}

int gpumem_dma_runs(struct gpumem_dma *handle, uint64_t first,
		    struct gpumem_run *runs, size_t *count)
{
	void *dma;
	int rc;

	rc = gm_handle_get(GM_KIND_DMA, handle, "dma_runs", &dma);
	if (rc)
		return rc;
	rc = gm_dma_runs(dma, first, runs, count);
	gm_handle_put(handle);
	return rc;
}

int gpumem_dma_unmap(struct gpumem_dma *handle)
{
	void *dma;
	int rc;

	gm_cancel_point();
	gm_cancel_block();
	rc = gm_handle_kill(GM_KIND_DMA, handle, "dma_unmap", &dma);
	if (!rc)
		gm_dma_destroy(dma);
	gm_cancel_allow();
	return rc;
}
