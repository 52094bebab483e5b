// SPDX-License-Identifier: MIT
/* The backends there are, in the order in which they are tried. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "base/cancel.h"
#include "base/error.h"
#include "base/text.h"

static const struct gm_backend_ops *const gm_backends[] = {
	&gm_backend_kmod,
	&gm_backend_rm,
	/* After rm: to try it allocates, and cuMemFree() waits for kernels. */
	&gm_backend_dmabuf,
	&gm_backend_sim,
};

#define GM_BACKENDS (sizeof(gm_backends) / sizeof(gm_backends[0]))

const struct gm_backend_ops *gm_backend_at(unsigned int index)
{
	return index < GM_BACKENDS ? gm_backends[index] : NULL;
}

int gm_backend_find(const char *name, const struct gm_backend_ops **ops)
{
	for (size_t i = 0; i < GM_BACKENDS; i++) {
		if (!strcmp(gm_backends[i]->name, name)) {
			*ops = gm_backends[i];
			return 0;
		}
	}
	return gm_error(-EINVAL,
			"open: there is no backend \"%.40s\"; choose kmod, "
			"rm, dmabuf or sim, or let the library choose",
			name);
}

const char *gm_backend_forced(void)
{
	const char *name = secure_getenv("GPUMEM_BACKEND");

	return name && *name ? name : NULL;
}

int gpumem_backend_get(unsigned int index, struct gpumem_backend *backend)
{
	const struct gm_backend_ops *ops = gm_backend_at(index);
	char reason[sizeof(backend->reason)] = "";

	if (!backend)
		return gm_error(-EINVAL,
				"backend_get: backend is NULL; pass a struct "
				"gpumem_backend");
	if (backend->size != sizeof(*backend))
		return gm_error(-EINVAL,
				"backend_get: size is %zu: this library knows "
				"%zu; set it to sizeof(struct gpumem_backend)",
				backend->size, sizeof(*backend));
	if (!ops)
		return gm_error(-ENOENT,
				"backend_get: there is no backend %u: there "
				"are %zu; stop at this error",
				index, GM_BACKENDS);
	memset(backend->reason, 0, sizeof(backend->reason));
	backend->name = ops->name;
	gm_cancel_point();
	gm_cancel_block();
	backend->status = ops->probe(reason, sizeof(reason));
	gm_cancel_allow();
	gm_text_escape(backend->reason, sizeof(backend->reason), reason);
	return 0;
}
