/* SPDX-License-Identifier: MIT */
/* The backends there are, and the choice of one by its name. */
#ifndef GM_BACKENDS_H
#define GM_BACKENDS_H

#include "backend/list.h"

/* The backend at an index, in the order in which they are tried, or NULL. */
const struct gm_backend_ops *gm_backend_at(unsigned int index);

/*
 * The backend of a name. -EINVAL with its reason when there is none.
 */
int gm_backend_find(const char *name, const struct gm_backend_ops **ops);

/* The name that the environment asks for, or NULL. */
const char *gm_backend_forced(void);

#endif /* GM_BACKENDS_H */
