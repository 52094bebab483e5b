// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The address space that the mappings of all open files hang in. It belongs to
 * an inode of our own: a pin zaps its mappings after the last close too, and an
 * inode of the node held so long would outlive the file system that the node is
 * in, such as a container's /dev.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "gpumem_drv.h"

#define GPUMEM_SPACE_MAGIC 0x67706d6d

static struct vfsmount *gpumem_space_mount;
static int gpumem_space_mounts;
static struct inode *gpumem_space_inode;

static int gpumem_space_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, GPUMEM_SPACE_MAGIC) ? 0 : -ENOMEM;
}

/* No owner: the mount ends with the module and must not keep it. */
static struct file_system_type gpumem_space_type = {
	.name = "gpumem",
	.init_fs_context = gpumem_space_init_context,
	.kill_sb = kill_anon_super,
};

int gpumem_space_init(void)
{
	int rc;

	rc = simple_pin_fs(&gpumem_space_type, &gpumem_space_mount,
			   &gpumem_space_mounts);
	if (rc)
		return rc;
	gpumem_space_inode = alloc_anon_inode(gpumem_space_mount->mnt_sb);
	if (IS_ERR(gpumem_space_inode)) {
		simple_release_fs(&gpumem_space_mount, &gpumem_space_mounts);
		return PTR_ERR(gpumem_space_inode);
	}
	return 0;
}

void gpumem_space_exit(void)
{
	iput(gpumem_space_inode);
	simple_release_fs(&gpumem_space_mount, &gpumem_space_mounts);
}

struct address_space *gpumem_space(void)
{
	return gpumem_space_inode->i_mapping;
}
