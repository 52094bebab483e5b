// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * RM_ALLOC, RM_FREE, RM_CONTROL and RM_DUP_OBJECT.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "emu.h"

/* The one emulated GPU is device instance 0. */
#define DEVICE_INSTANCE 0

u32 emu_rm_gpu_id(void)
{
	struct pci_dev *pdev = emu_gpu.pdev;

	return pci_domain_nr(pdev->bus) << 16 | pdev->bus->number << 8 |
	       PCI_SLOT(pdev->devfn);
}

struct emu_client *emu_rm_client(struct file *file, u32 handle)
{
	struct emu_client *client = emu_client_find(handle);

	return client && client->file == file ? client : NULL;
}

u32 emu_rm_no_client(u32 handle)
{
	return emu_client_find(handle) ? RM_ERR_INVALID_CLIENT
				       : RM_ERR_INVALID_OBJECT_HANDLE;
}

static u32 status_of(long err)
{
	return err == -EBUSY ? RM_ERR_INSERT_DUPLICATE_NAME : RM_ERR_NO_MEMORY;
}

static u32 alloc_client(struct file *file, struct rm_alloc *arg)
{
	struct emu_rm_file *rm = file->private_data;
	struct emu_client *client;

	if (arg->root || arg->object)
		return RM_ERR_INVALID_OBJECT_NEW;
	client = emu_client_new(file);
	if (IS_ERR(client))
		return RM_ERR_NO_MEMORY;
	list_add_tail(&client->of_file, &rm->clients);
	arg->object = client->handle;
	return RM_OK;
}

static u32 alloc_child(struct file *file, struct rm_alloc *arg, u32 parent)
{
	struct emu_client *client = emu_rm_client(file, arg->root);
	struct emu_object *object;

	if (!client)
		return emu_rm_no_client(arg->root);
	if (parent == RM_CLASS_CLIENT) {
		if (arg->parent != arg->root)
			return emu_object_find(client, arg->parent)
				       ? RM_ERR_INVALID_OBJECT_PARENT
				       : RM_ERR_OBJECT_NOT_FOUND;
	} else {
		object = emu_object_find(client, arg->parent);
		if (!object)
			return RM_ERR_OBJECT_NOT_FOUND;
		if (object->class != parent)
			return RM_ERR_INVALID_OBJECT_PARENT;
	}
	object = emu_object_new(client, arg->object, arg->parent, arg->class,
				NULL);
	if (IS_ERR(object))
		return status_of(PTR_ERR(object));
	arg->object = object->handle;
	return RM_OK;
}

/*
 * Reads a call's own parameters; size 0 stands for "not told". The driver takes
 * less than all of them.
 */
static u32 params_read(void *params, u32 size, u64 user, u32 told)
{
	if (told > size)
		return RM_ERR_INVALID_PARAM_STRUCT;
	if (told) {
		memset(params, 0, size);
		size = told;
	}
	if (copy_from_user(params, u64_to_user_ptr(user), size))
		return RM_ERR_INVALID_POINTER;
	return RM_OK;
}

/* Looked at before the parameters are. */
static u32 alloc_client_check(struct file *file, u32 handle)
{
	u32 status = RM_OK;

	mutex_lock(&emu_lock);
	if (!emu_rm_client(file, handle))
		status = emu_rm_no_client(handle);
	mutex_unlock(&emu_lock);
	return status;
}

static u32 alloc_device(struct file *file, struct rm_alloc *arg)
{
	struct rm_device_params params;
	struct emu_client *client;
	u32 status;

	status = alloc_client_check(file, arg->root);
	if (status == RM_OK)
		status = params_read(&params, sizeof(params), arg->params,
				     arg->params_size);
	if (status != RM_OK)
		return status;
	if (params.client_share && params.client_share != arg->root)
		return RM_ERR_INVALID_ARGUMENT;

	mutex_lock(&emu_lock);
	status = alloc_child(file, arg, RM_CLASS_CLIENT);
	/* The driver, too, tells the handle that it had chosen by then. */
	if (status == RM_OK && params.device_id != DEVICE_INSTANCE) {
		client = emu_rm_client(file, arg->root);
		emu_object_free(client, emu_object_find(client, arg->object));
		status = RM_ERR_INVALID_CLASS;
	}
	mutex_unlock(&emu_lock);
	return status;
}

static u32 alloc_subdevice(struct file *file, struct rm_alloc *arg)
{
	u32 instance = 0;
	u32 status;

	/* Without parameters: the first subdevice, of one. */
	if (arg->params) {
		status = params_read(&instance, sizeof(instance), arg->params,
				     arg->params_size);
		if (status != RM_OK)
			return status;
	}
	if (instance)
		return RM_ERR_INVALID_ARGUMENT;
	mutex_lock(&emu_lock);
	status = alloc_child(file, arg, RM_CLASS_DEVICE);
	mutex_unlock(&emu_lock);
	return status;
}

int emu_rm_alloc(struct file *file, void *data)
{
	struct rm_alloc *arg = data;

	switch (arg->class) {
	case RM_CLASS_CLIENT:
		mutex_lock(&emu_lock);
		arg->status = alloc_client(file, arg);
		mutex_unlock(&emu_lock);
		break;
	case RM_CLASS_DEVICE:
		arg->status = alloc_device(file, arg);
		break;
	case RM_CLASS_SUBDEVICE:
		arg->status = alloc_subdevice(file, arg);
		break;
	default:
		arg->status = RM_ERR_INVALID_CLASS;
	}
	return 0;
}

int emu_rm_free(struct file *file, void *data)
{
	struct rm_free *arg = data;
	struct emu_client *client;
	struct emu_object *object;

	mutex_lock(&emu_lock);
	arg->status = RM_OK;
	client = emu_rm_client(file, arg->root);
	if (!client) {
		arg->status = emu_rm_no_client(arg->root);
	} else if (arg->object == arg->root) {
		emu_client_free(client);
	} else {
		/* What is not there needs no freeing, whatever its parent. */
		object = emu_object_find(client, arg->object);
		if (object)
			emu_object_free(client, object);
	}
	mutex_unlock(&emu_lock);
	return 0;
}

static u32 control_gpu_id_info(struct rm_control *arg)
{
	void __user *user = u64_to_user_ptr(arg->params);
	struct rm_gpu_id_info info;

	if (arg->object != arg->client)
		return RM_ERR_INVALID_OBJECT_HANDLE;
	if (arg->params_size != sizeof(info))
		return RM_ERR_INVALID_ARGUMENT;
	if (copy_from_user(&info, user, sizeof(info)))
		return RM_ERR_INVALID_POINTER;
	if (info.gpu_id != emu_rm_gpu_id())
		return RM_ERR_INVALID_ARGUMENT;
	info = (struct rm_gpu_id_info){
		.gpu_id = info.gpu_id,
		.flags = 1,
		.device_instance = DEVICE_INSTANCE,
		.sli_status = RM_ERR_NOT_SUPPORTED,
		.board_id = info.gpu_id,
		.numa_id = -1,
	};
	if (copy_to_user(user, &info, sizeof(info)))
		return RM_ERR_INVALID_POINTER;
	return RM_OK;
}

/* Of a memory object, its size is all that this one tells. */
static u32 control_surface_info(struct file *file, struct rm_control *arg)
{
	struct rm_surface_item item;
	struct rm_surface_info info;
	struct emu_client *client;
	struct emu_object *object;
	u32 status = RM_OK;
	u64 pages = 0;
	u32 i;

	if (arg->params_size != sizeof(info))
		return RM_ERR_INVALID_ARGUMENT;
	if (copy_from_user(&info, u64_to_user_ptr(arg->params), sizeof(info)))
		return RM_ERR_INVALID_POINTER;
	if (!info.count || info.count > RM_SURFACE_ITEMS)
		return RM_ERR_INVALID_ARGUMENT;
	mutex_lock(&emu_lock);
	client = emu_rm_client(file, arg->client);
	object = client ? emu_object_find(client, arg->object) : NULL;
	if (object && object->class == RM_CLASS_MEMORY)
		pages = object->mem->pages;
	else
		status = RM_ERR_NOT_SUPPORTED;
	mutex_unlock(&emu_lock);

	for (i = 0; i < info.count && status == RM_OK; i++) {
		void __user *user =
			u64_to_user_ptr(info.items) + i * sizeof(item);

		if (copy_from_user(&item, user, sizeof(item)))
			return RM_ERR_INVALID_POINTER;
		if (item.index != RM_SURFACE_PHYS_SIZE)
			return RM_ERR_INVALID_ARGUMENT;
		item.data = pages * (EMU_PAGE / 4096);
		if (copy_to_user(user, &item, sizeof(item)))
			return RM_ERR_INVALID_POINTER;
	}
	return status;
}

static u32 control_duplicates(struct file *file, struct rm_control *arg)
{
	void __user *user = u64_to_user_ptr(arg->params);
	struct emu_object *object1, *object2;
	struct rm_duplicates params;
	struct emu_client *client;
	u32 status = RM_OK;

	if (arg->object != arg->client)
		return RM_ERR_INVALID_OBJECT_HANDLE;
	if (arg->params_size != sizeof(params))
		return RM_ERR_INVALID_ARGUMENT;
	if (copy_from_user(&params, user, sizeof(params)))
		return RM_ERR_INVALID_POINTER;
	mutex_lock(&emu_lock);
	client = emu_rm_client(file, arg->client);
	object1 = client ? emu_object_find(client, params.object1) : NULL;
	object2 = client ? emu_object_find(client, params.object2) : NULL;
	if (!object1 || !object2)
		status = RM_ERR_OBJECT_NOT_FOUND;
	else
		params.same = object1->class == object2->class &&
			      object1->mem == object2->mem;
	mutex_unlock(&emu_lock);
	if (status == RM_OK && copy_to_user(user, &params, sizeof(params)))
		status = RM_ERR_INVALID_POINTER;
	return status;
}

int emu_rm_control(struct file *file, void *data)
{
	struct rm_control *arg = data;
	struct emu_client *client;
	u32 status = RM_OK;

	mutex_lock(&emu_lock);
	client = emu_rm_client(file, arg->client);
	if (!client)
		status = RM_ERR_INVALID_CLIENT;
	else if (arg->object != arg->client &&
		 !emu_object_find(client, arg->object))
		status = RM_ERR_OBJECT_NOT_FOUND;
	mutex_unlock(&emu_lock);

	if (status != RM_OK)
		arg->status = status;
	else if (arg->cmd == RM_CONTROL_GPU_GET_ID_INFO_V2)
		arg->status = control_gpu_id_info(arg);
	else if (arg->cmd == RM_CONTROL_IMPORT_OBJECTS_FROM_FD)
		arg->status = emu_rm_import(file, arg);
	else if (arg->cmd == RM_CONTROL_GET_SURFACE_INFO)
		arg->status = control_surface_info(file, arg);
	else if (arg->cmd == RM_CONTROL_OBJECTS_ARE_DUPLICATES)
		arg->status = control_duplicates(file, arg);
	else
		arg->status = RM_ERR_NOT_SUPPORTED;
	return 0;
}

static u32 dup_object(struct file *file, struct rm_dup_object *arg)
{
	struct emu_client *client = emu_rm_client(file, arg->client);
	struct emu_client *from = emu_client_find(arg->client_src);
	struct emu_object *parent, *object;

	if (!client)
		return emu_rm_no_client(arg->client);
	if (!from)
		return RM_ERR_INVALID_OBJECT_HANDLE;
	if (arg->parent == arg->client)
		return RM_ERR_INVALID_OBJECT_PARENT;
	parent = emu_object_find(client, arg->parent);
	if (!parent)
		return RM_ERR_OBJECT_NOT_FOUND;
	if (parent->class != RM_CLASS_DEVICE)
		return RM_ERR_INVALID_OBJECT_PARENT;
	/* Between clients that one process made; who calls does not matter. */
	if (from->owner != client->owner)
		return RM_ERR_INSUFFICIENT_PERMISSIONS;
	object = emu_object_find(from, arg->object_src);
	if (!object)
		return RM_ERR_OBJECT_NOT_FOUND;
	if (object->class != RM_CLASS_MEMORY)
		return RM_ERR_NOT_SUPPORTED;
	object = emu_object_new(client, arg->object, arg->parent,
				RM_CLASS_MEMORY, object->mem);
	if (IS_ERR(object))
		return status_of(PTR_ERR(object));
	arg->object = object->handle;
	return RM_OK;
}

int emu_rm_dup_object(struct file *file, void *data)
{
	struct rm_dup_object *arg = data;

	mutex_lock(&emu_lock);
	arg->status = dup_object(file, arg);
	mutex_unlock(&emu_lock);
	return 0;
}
