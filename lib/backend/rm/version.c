// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "backend/rm/version.h"

/* Oldest first. */
static const struct gm_rm_layout gm_rm_layouts[] = {
	{ 515, 0, 0, .alloc_params_size = false },
	{ 535, 43, 2, .alloc_params_size = true },
};

#define GM_RM_NEWEST_MAJOR 620

int gm_rm_version_parse(const char *text, struct gm_rm_version *version)
{
	*version = (struct gm_rm_version){ 0 };
	snprintf(version->text, sizeof(version->text), "%.63s", text);
	return sscanf(version->text, "%u.%u.%u", &version->major,
		      &version->minor, &version->patch) < 2
		       ? -EPROTO
		       : 0;
}

static bool gm_rm_version_reaches(const struct gm_rm_version *version,
				  const struct gm_rm_layout *layout)
{
	if (version->major != layout->major)
		return version->major > layout->major;
	if (version->minor != layout->minor)
		return version->minor > layout->minor;
	return version->patch >= layout->patch;
}

const struct gm_rm_layout *
gm_rm_version_layout(const struct gm_rm_version *version)
{
	const struct gm_rm_layout *found = NULL;

	for (size_t i = 0; i < sizeof(gm_rm_layouts) / sizeof(gm_rm_layouts[0]);
	     i++)
		if (gm_rm_version_reaches(version, &gm_rm_layouts[i]))
			found = &gm_rm_layouts[i];
	return found;
}

bool gm_rm_version_known(const struct gm_rm_version *version)
{
	return version->major <= GM_RM_NEWEST_MAJOR;
}
