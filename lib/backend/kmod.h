/* SPDX-License-Identifier: MIT */
/* What the files of the kmod backend share. */
#ifndef GM_BACKEND_KMOD_H
#define GM_BACKEND_KMOD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/session.h"

struct gm_kmod {
	int fd;
	uint64_t features; /* GPUMEM_FEATURE_* of the module */
};

struct gm_kmod_pin {
	uint32_t id;
	uint64_t mmap_offset;
};

/* Why -EDQUOT. */
#define GM_KMOD_OVER_LIMIT                                        \
	"this user has pinned as much as gpumem.ko's parameters " \
	"user_limit (bytes) and user_pins allow; unpin other "    \
	"buffers, have root raise them, or run with CAP_IPC_LOCK"

/* kmod_dma.c: operations of struct gm_backend_ops. */
int gm_kmod_dma_map(struct gm_dma *dma);
void gm_kmod_dma_unmap(struct gm_dma *dma);
int gm_kmod_dma_runs(struct gm_dma *dma, uint64_t first,
		     struct gpumem_run *runs, size_t count);
int gm_kmod_export_dmabuf(struct gm_buf *buf, unsigned int flags,
			  struct gpumem_dmabuf *dmabuf);

#endif /* GM_BACKEND_KMOD_H */
