// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Clients and objects: what the handles of the stock driver's interface name.
 * All under emu_lock. A handle is not given out again soon after it was freed,
 * so that a stale one is seen as such.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "emu.h"

#define CLIENT_LIMIT XA_LIMIT(0xc1d00001, 0xc1dfffff)
/* The driver's own choice of handles differs by who asks; so does this one. */
#define CUDA_LIMIT XA_LIMIT(0x5c000001, 0x5cffffff)
#define RM_LIMIT XA_LIMIT(0xcaf00001, 0xcaffffff)

static DEFINE_XARRAY_ALLOC(clients);
static u32 client_next;
static u32 object_next;

void emu_clients_exit(void)
{
	xa_destroy(&clients);
}

bool emu_owner_is_current(const struct pid *owner)
{
	return task_tgid(current) == owner;
}

struct emu_client *emu_client_new(struct file *file)
{
	struct emu_client *client;
	int ret;

	lockdep_assert_held(&emu_lock);
	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return ERR_PTR(-ENOMEM);
	xa_init_flags(&client->objects, XA_FLAGS_ALLOC);
	INIT_LIST_HEAD(&client->of_file);
	client->file = file;
	ret = xa_alloc_cyclic(&clients, &client->handle, client, CLIENT_LIMIT,
			      &client_next, GFP_KERNEL_ACCOUNT);
	if (ret < 0) {
		kfree(client);
		return ERR_PTR(-ENOMEM);
	}
	client->owner = get_pid(task_tgid(current));
	if (file)
		emu_count(EMU_RM_CLIENTS, 1);
	return client;
}

void emu_client_free(struct emu_client *client)
{
	struct emu_object *object;
	unsigned long handle;

	lockdep_assert_held(&emu_lock);
	xa_for_each(&client->objects, handle, object)
		emu_object_free(client, object);
	xa_destroy(&client->objects);
	xa_erase(&clients, client->handle);
	list_del(&client->of_file);
	if (client->file)
		emu_count(EMU_RM_CLIENTS, -1);
	put_pid(client->owner);
	kfree(client);
}

struct emu_client *emu_client_find(u32 handle)
{
	lockdep_assert_held(&emu_lock);
	return xa_load(&clients, handle);
}

struct emu_object *emu_object_new(struct emu_client *client, u32 handle,
				  u32 parent, u32 class, struct emu_mem *mem)
{
	struct emu_object *object;
	int ret;

	lockdep_assert_held(&emu_lock);
	if (handle && handle == client->handle)
		return ERR_PTR(-EBUSY);
	object = kzalloc(sizeof(*object), GFP_KERNEL_ACCOUNT);
	if (!object)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&object->maps);
	object->handle = handle;
	object->parent = parent;
	object->class = class;
	if (handle)
		ret = xa_insert(&client->objects, handle, object,
				GFP_KERNEL_ACCOUNT);
	else
		ret = xa_alloc_cyclic(&client->objects, &object->handle, object,
				      client->file ? RM_LIMIT : CUDA_LIMIT,
				      &object_next, GFP_KERNEL_ACCOUNT);
	if (ret < 0) {
		kfree(object);
		return ERR_PTR(ret);
	}
	if (mem)
		object->mem = emu_mem_get(mem);
	if (client->file)
		emu_count(EMU_RM_OBJECTS, 1);
	return object;
}

struct emu_object *emu_object_find(struct emu_client *client, u32 handle)
{
	lockdep_assert_held(&emu_lock);
	return xa_load(&client->objects, handle);
}

/* Objects are two deep at most: only a device has children. */
void emu_object_free(struct emu_client *client, struct emu_object *object)
{
	struct emu_object *child;
	unsigned long handle;

	lockdep_assert_held(&emu_lock);
	if (object->class == RM_CLASS_DEVICE)
		xa_for_each(&client->objects, handle, child)
			if (child->parent == object->handle)
				emu_object_free(client, child);
	emu_maps_free(object);
	xa_erase(&client->objects, object->handle);
	if (client->file)
		emu_count(EMU_RM_OBJECTS, -1);
	emu_mem_put(object->mem);
	kfree(object);
}
