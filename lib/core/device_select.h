/* SPDX-License-Identifier: MIT */
/* Which of the GPUs that CUDA sees is meant. */
#ifndef GM_SELECT_H
#define GM_SELECT_H

#include <stdbool.h>

#include "cuda/cuda.h"

struct gm_wanted {
	int ordinal;
	const char *id; /* NULL: the ordinal tells */
	bool by_uuid;
	CUuuid uuid;
	char pci[16]; /* "0000:3b:00.0" */
};

/* Reads what the caller asks for. -EINVAL with its reason. */
int gm_wanted_set(struct gm_wanted *wanted, int ordinal, const char *id);

/* Finds that GPU. -ENOENT with its reason where CUDA does not see it. */
int gm_select(const struct gm_cuda *cuda, const struct gm_wanted *wanted,
	      int *ordinal, CUdevice *device);

#endif /* GM_SELECT_H */
