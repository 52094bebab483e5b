/* SPDX-License-Identifier: MIT */
/* What differs from one release of the stock NVIDIA driver to another. */
#ifndef GM_RM_VERSION_H
#define GM_RM_VERSION_H

#include <stdbool.h>

struct gm_rm_version {
	unsigned int major, minor, patch;
	char text[64];
};

/* How a release lays its calls out where that ever changed. */
struct gm_rm_layout {
	unsigned int major, minor, patch; /* the first release of this kind */
	/*
	 * RM_ALLOC takes the size of the class's parameters; otherwise the
	 * call's status stands in that place.
	 */
	bool alloc_params_size;
};

/* Reads "580.159.04" and the like. -EPROTO; stores no reason. */
int gm_rm_version_parse(const char *text, struct gm_rm_version *version);

/* NULL: the release is older than all that are known. */
const struct gm_rm_layout *
gm_rm_version_layout(const struct gm_rm_version *version);

/* False for a release newer than those whose layouts were read. */
bool gm_rm_version_known(const struct gm_rm_version *version);

#endif /* GM_RM_VERSION_H */
