// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Which driver the emulator speaks as.
 *
 * Two layouts changed. RM_ALLOC: from 535.43.02 on a size of the parameters
 * stands where the status was, at 24, and the status follows it; the structure
 * has a 64-bit pointer, so it was of 32 bytes before, too. EXPORT_TO_DMABUF:
 * from 570.86.15 on a mapping type stands before the handles, which moves all
 * that follows by 4 bytes, or by 8 once there are 64-bit members. Sizes follow
 * from the members' order in NVIDIA's published modules and gVisor's tables.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "emu.h"

#define ALLOC_STATUS_OLD 24

static char rm_version[sizeof_field(struct rm_version, string)] = "580.159.04";
module_param_string(rm_version, rm_version, sizeof(rm_version), 0644);
MODULE_PARM_DESC(rm_version,
		 "driver version that the RM nodes answer with, in its layouts");

/* Members that are not there count as 0. */
static u32 version_number(u32 major, u32 minor, u32 patch)
{
	return major << 16 | minor << 8 | patch;
}

void emu_rm_layout_get(struct emu_rm_layout *layout)
{
	u32 major = 0, minor = 0, patch = 0;
	u32 version;

	kernel_param_lock(THIS_MODULE);
	/* A version of other than numbers is taken for a new one. */
	if (sscanf(rm_version, "%u.%u.%u", &major, &minor, &patch) < 1)
		major = U16_MAX;
	kernel_param_unlock(THIS_MODULE);

	version = version_number(major, minor, patch);
	*layout = (struct emu_rm_layout){
		.alloc_status = offsetof(struct rm_alloc, status),
		.dmabuf_size = RM_DMABUF_SIZE,
		.dmabuf_status = RM_DMABUF_STATUS,
	};
	if (version < version_number(570, 86, 15)) {
		layout->dmabuf_size = RM_DMABUF_SIZE_OLD;
		layout->dmabuf_status = RM_DMABUF_STATUS_OLD;
	}
	if (version < version_number(535, 43, 2))
		layout->alloc_status = ALLOC_STATUS_OLD;
}

int emu_rm_check_version(struct file *file, void *data)
{
	struct rm_version *arg = data;
	char version[sizeof(rm_version)];

	kernel_param_lock(THIS_MODULE);
	strscpy_pad(version, rm_version, sizeof(version));
	kernel_param_unlock(THIS_MODULE);
	/* Written to sysfs with a newline, as often as not. */
	version[strcspn(version, "\n")] = '\0';

	arg->string[sizeof(arg->string) - 1] = '\0';
	if (arg->cmd == RM_VERSION_QUERY) {
		memcpy(arg->string, version, sizeof(arg->string));
		arg->reply = 1;
	} else {
		arg->reply = !strcmp(arg->string, version);
	}
	return arg->reply || arg->cmd != RM_VERSION_STRICT ? 0 : -EINVAL;
}
