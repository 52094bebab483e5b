// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Control IMPORT_OBJECTS_FROM_FD: a memory object from a descriptor. The
 * descriptors of the emulated CUDA hold one object each.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "emu.h"

static u32 import_object(struct file *file, u32 client_handle,
			 struct rm_import *params, struct emu_mem *mem)
{
	struct emu_client *client;
	struct emu_object *object;

	lockdep_assert_held(&emu_lock);
	/* The client may have gone while the parameters were read. */
	client = emu_rm_client(file, client_handle);
	if (!client)
		return RM_ERR_INVALID_CLIENT;
	object = emu_object_find(client, params->parent);
	if (!object)
		return RM_ERR_OBJECT_NOT_FOUND;
	if (object->class != RM_CLASS_DEVICE)
		return RM_ERR_INVALID_OBJECT_PARENT;
	object = emu_object_new(client, params->objects[0], params->parent,
				RM_CLASS_MEMORY, mem);
	if (IS_ERR(object))
		return PTR_ERR(object) == -EBUSY ? RM_ERR_INSERT_DUPLICATE_NAME
						 : RM_ERR_NO_MEMORY;
	params->objects[0] = object->handle;
	return RM_OK;
}

static u32 import(struct file *file, struct rm_control *arg,
		  struct rm_import *params)
{
	void __user *user = u64_to_user_ptr(arg->params);
	struct emu_mem *mem;
	u32 status;

	if (copy_from_user(params, user, sizeof(*params)))
		return RM_ERR_INVALID_POINTER;
	mem = emu_export_mem(params->fd);
	if (IS_ERR(mem))
		return RM_ERR_INVALID_PARAMETER;
	status = RM_OK;
	if (!params->num)
		goto out;
	/* Past the one object that there is. */
	status = RM_ERR_OUT_OF_RANGE;
	if (params->num > 1 || params->index)
		goto out;

	mutex_lock(&emu_lock);
	status = import_object(file, arg->client, params, mem);
	mutex_unlock(&emu_lock);
	params->types[0] = RM_IMPORT_VIDEO_MEMORY;
	if (status == RM_OK && copy_to_user(user, params, sizeof(*params)))
		status = RM_ERR_INVALID_POINTER;
out:
	emu_mem_put(mem);
	return status;
}

u32 emu_rm_import(struct file *file, struct rm_control *arg)
{
	struct rm_import *params;
	u32 status;

	if (arg->object != arg->client)
		return RM_ERR_INVALID_OBJECT_HANDLE;
	if (arg->params_size != sizeof(*params))
		return RM_ERR_INVALID_ARGUMENT;
	params = kzalloc(sizeof(*params), GFP_KERNEL_ACCOUNT);
	if (!params)
		return RM_ERR_NO_MEMORY;
	status = import(file, arg, params);
	kfree(params);
	return status;
}
