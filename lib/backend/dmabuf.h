/* SPDX-License-Identifier: MIT */
/* CUDA's own dma-bufs. */
#ifndef GM_BACKEND_DMABUF_H
#define GM_BACKEND_DMABUF_H

#include "core/session.h"

/*
 * A dma-buf of the buffer's whole pages, made by CUDA, close-on-exec. It holds
 * the memory by itself. -EOPNOTSUPP with its reason where there is none.
 */
int gm_dmabuf_export(struct gm_buf *buf, unsigned int flags,
		     struct gpumem_dmabuf *dmabuf);

#endif /* GM_BACKEND_DMABUF_H */
