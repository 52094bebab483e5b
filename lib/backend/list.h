/* SPDX-License-Identifier: MIT */
/* The backends, each in a file or a folder of its own. */
#ifndef GM_BACKEND_LIST_H
#define GM_BACKEND_LIST_H

#include "core/backend.h"

extern const struct gm_backend_ops gm_backend_kmod;
extern const struct gm_backend_ops gm_backend_dmabuf;
extern const struct gm_backend_ops gm_backend_rm;
extern const struct gm_backend_ops gm_backend_sim;

#endif /* GM_BACKEND_LIST_H */
