// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * RM_MAP_MEMORY, RM_UNMAP_MEMORY and the mmap() that shows a mapping.
 *
 * RM's side, an emu_map, belongs to the memory object and ends with
 * RM_UNMAP_MEMORY or with the object. The file's side, an emu_view, is made
 * once for each open file and ends with the file: as in the driver, what has
 * been mapped stays mapped when RM's side ends. The view holds the page set, so
 * that here it can never show memory that somebody else got.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "emu.h"
#include "emu_compat.h"

struct emu_map {
	struct list_head of_object;
	u64 linear;
	u64 length; /* BAR1 space taken */
};

struct emu_view {
	struct emu_mem *mem;
	u64 at; /* of the first CPU page in mem */
	u64 length; /* whole CPU pages */
	bool read_only;
};

static void map_free(struct emu_map *map)
{
	list_del(&map->of_object);
	emu_bar1_give(map->length);
	emu_count(EMU_RM_MAPS, -1);
	kfree(map);
}

void emu_maps_free(struct emu_object *object)
{
	struct emu_map *map, *next;

	lockdep_assert_held(&emu_lock);
	list_for_each_entry_safe(map, next, &object->maps, of_object)
		map_free(map);
}

void emu_view_free(struct emu_view *view)
{
	if (!view)
		return;
	emu_mem_put(view->mem);
	kfree(view);
}

/* The memory object that a call names, or NULL and why. */
static struct emu_object *memory_find(struct file *file, u32 client_handle,
				      u32 device, u32 memory, u32 *status)
{
	struct emu_client *client = emu_rm_client(file, client_handle);
	struct emu_object *object;

	*status = RM_ERR_OBJECT_NOT_FOUND;
	if (!client) {
		*status = emu_rm_no_client(client_handle);
		return NULL;
	}
	object = emu_object_find(client, device);
	if (!object)
		return NULL;
	if (object->class != RM_CLASS_DEVICE &&
	    object->class != RM_CLASS_SUBDEVICE) {
		*status = RM_ERR_INVALID_OBJECT_HANDLE;
		return NULL;
	}
	object = emu_object_find(client, memory);
	if (!object)
		return NULL;
	if (object->class != RM_CLASS_MEMORY) {
		*status = RM_ERR_INVALID_OBJECT_PARENT;
		return NULL;
	}
	return object;
}

/* Whether a mapping can be made on the file. */
static u32 target_check(const struct file *file, const struct file *target)
{
	const struct emu_rm_file *rm;

	if (!target || target->f_op != &emu_rm_fops)
		return RM_ERR_INVALID_ARGUMENT;
	rm = target->private_data;
	/* One that is registered nowhere will do. */
	if (rm->ctl || (rm->ctl_file && rm->ctl_file != file))
		return RM_ERR_INVALID_ARGUMENT;
	return rm->view ? RM_ERR_STATE_IN_USE : RM_OK;
}

static u32 map_memory(struct file *file, struct rm_map_memory *arg,
		      struct file *target)
{
	struct emu_object *object;
	struct emu_rm_file *rm;
	struct emu_view *view;
	struct emu_map *map;
	u64 size, end;
	u32 status;

	lockdep_assert_held(&emu_lock);
	arg->flags &= ~RM_MAP_CACHING_MASK;
	arg->flags |= RM_MAP_CACHING_DEFAULT;
	object = memory_find(file, arg->client, arg->device, arg->memory,
			     &status);
	if (!object)
		return status;
	size = object->mem->pages * EMU_PAGE;
	if (arg->offset >= size)
		return RM_ERR_INVALID_BASE;
	if (!arg->length ||
	    check_add_overflow((u64)arg->offset, (u64)arg->length, &end) ||
	    end > size)
		return RM_ERR_INVALID_LIMIT;

	/*
	 * The driver maps first and looks at the file then: where it undoes the
	 * mapping again, the address has been told.
	 */
	arg->linear = emu_gpu.base + emu_mem_offset(object->mem, arg->offset);
	arg->flags |= RM_MAP_CACHING_UNCACHED_WEAK;
	status = target_check(file, target);
	if (status != RM_OK)
		return status;
	rm = target->private_data;

	view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);
	map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	status = RM_ERR_NO_MEMORY;
	if (!view || !map)
		goto err;
	view->at = round_down((u64)arg->offset, PAGE_SIZE);
	view->length = round_up(end, PAGE_SIZE) - view->at;
	view->read_only = (arg->flags & RM_MAP_ACCESS_MASK) == RM_MAP_READ_ONLY;
	status = RM_ERR_INSUFFICIENT_RESOURCES;
	if (!emu_bar1_take(view->length))
		goto err;
	view->mem = emu_mem_get(object->mem);
	map->length = view->length;
	map->linear = arg->linear;
	list_add_tail(&map->of_object, &object->maps);
	emu_count(EMU_RM_MAPS, 1);
	/* Pairs with the load in emu_rm_mmap(). */
	smp_store_release(&rm->view, view);
	return RM_OK;

err:
	kfree(map);
	kfree(view);
	return status;
}

int emu_rm_map_memory(struct file *file, void *data)
{
	struct rm_map_memory *arg = data;
	struct file *target = fget(arg->fd);

	mutex_lock(&emu_lock);
	arg->status = map_memory(file, arg, target);
	mutex_unlock(&emu_lock);
	if (target)
		fput(target);
	return 0;
}

static u32 unmap_memory(struct file *file, struct rm_unmap_memory *arg)
{
	struct emu_object *object;
	struct emu_map *map;
	u32 status;

	object = memory_find(file, arg->client, arg->device, arg->memory,
			     &status);
	if (!object)
		return status;
	list_for_each_entry(map, &object->maps, of_object) {
		if (map->linear != arg->linear)
			continue;
		map_free(map);
		return RM_OK;
	}
	return RM_ERR_OBJECT_NOT_FOUND;
}

int emu_rm_unmap_memory(struct file *file, void *data)
{
	struct rm_unmap_memory *arg = data;

	mutex_lock(&emu_lock);
	arg->status = unmap_memory(file, arg);
	mutex_unlock(&emu_lock);
	return 0;
}

static vm_fault_t view_fault(struct vm_fault *vmf)
{
	struct emu_view *view = vmf->vma->vm_private_data;
	u64 at = (u64)vmf->pgoff << PAGE_SHIFT;

	if (at >= view->length)
		return VM_FAULT_SIGBUS;
	return emu_mem_fault(view->mem, view->at + at, vmf);
}

static const struct vm_operations_struct view_vm_ops = {
	.fault = view_fault,
};

/* The view lives as long as the file, and the file as long as the vma. */
int emu_rm_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct emu_rm_file *rm = file->private_data;
	/* Pairs with the store in map_memory(). */
	struct emu_view *view = smp_load_acquire(&rm->view);
	int ret;

	if (!view || vma->vm_pgoff)
		return -EINVAL;
	if (vma->vm_end - vma->vm_start != view->length)
		return -ENXIO;
	ret = emu_vma_prepare(vma);
	if (ret)
		return ret;
	if (view->read_only)
		emu_vm_flags_clear(vma, VM_WRITE | VM_MAYWRITE);
	vma->vm_private_data = view;
	vma->vm_ops = &view_vm_ops;
	return 0;
}
