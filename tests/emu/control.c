// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * /dev/gpumem-emu, the CUDA side: see gpumem_emu.h.
 */
#include <linux/fdtable.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "emu.h"

static int control_open(struct inode *inode, struct file *file)
{
	struct emu_context *context;
	int ret;

	if (!emu_user_get())
		return -ENODEV;
	context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);
	if (!context) {
		ret = -ENOMEM;
		goto err_user;
	}
	INIT_LIST_HEAD(&context->blocks);
	INIT_LIST_HEAD(&context->reserves);
	INIT_LIST_HEAD(&context->holds);
	context->mapping = file->f_mapping;

	mutex_lock(&emu_lock);
	context->client = emu_client_new(NULL);
	mutex_unlock(&emu_lock);
	if (IS_ERR(context->client)) {
		ret = PTR_ERR(context->client);
		goto err_context;
	}
	context->owner = get_pid(task_tgid(current));
	file->private_data = context;
	return 0;

err_context:
	kfree(context);
err_user:
	emu_user_put();
	return ret;
}

/* Also the owner's death: everything that it allocated goes. */
static int control_release(struct inode *inode, struct file *file)
{
	struct emu_context *context = file->private_data;
	struct emu_block *block, *next;

	emu_hold_drop_all(context);
	mutex_lock(&emu_lock);
	list_for_each_entry_safe(block, next, &context->blocks, of_context)
		emu_block_free(block);
	emu_reserves_free(context);
	emu_client_free(context->client);
	mutex_unlock(&emu_lock);
	put_pid(context->owner);
	kfree(context);
	emu_user_put();
	return 0;
}

static int control_alloc(struct emu_context *context, void *data)
{
	struct gpumem_emu_alloc *arg = data;
	struct emu_block *block;
	int ret = 0;

	mutex_lock(&emu_lock);
	block = emu_block_new(context, arg->length);
	if (IS_ERR(block)) {
		ret = PTR_ERR(block);
	} else {
		arg->length = block->length;
		arg->addr = block->addr;
		arg->client = context->client->handle;
		arg->memory = block->object->handle;
	}
	mutex_unlock(&emu_lock);
	return ret;
}

static int control_free(struct emu_context *context, void *data)
{
	struct gpumem_emu_free *arg = data;
	struct emu_block *block;
	int ret = -EINVAL;

	mutex_lock(&emu_lock);
	block = emu_block_find(arg->addr, 1);
	if (block && block->context == context && block->addr == arg->addr) {
		emu_block_free(block);
		ret = 0;
	}
	mutex_unlock(&emu_lock);
	return ret;
}

static int control_copy(struct emu_context *context, void *data)
{
	struct gpumem_emu_copy *arg = data;
	struct emu_mem *mem;
	u64 at;
	int ret;

	if (arg->reserved || (arg->direction != GPUMEM_EMU_TO_USER &&
			      arg->direction != GPUMEM_EMU_FROM_USER))
		return -EINVAL;
	mem = emu_block_mem(context, arg->addr, arg->length, &at);
	if (!mem)
		return -EINVAL;
	ret = emu_mem_copy(mem, at, u64_to_user_ptr(arg->user), arg->length,
			   arg->direction == GPUMEM_EMU_TO_USER);
	emu_mem_put(mem);
	return ret;
}

static int control_pages(struct emu_context *context, void *data)
{
	struct gpumem_emu_pages *arg = data;
	u64 __user *user = u64_to_user_ptr(arg->pages);
	struct emu_mem *mem;
	u64 bytes, at, i;
	int ret = 0;

	if (!arg->count || arg->addr % EMU_PAGE ||
	    check_mul_overflow((u64)arg->count, EMU_PAGE, &bytes))
		return -EINVAL;
	mem = emu_block_mem(context, arg->addr, bytes, &at);
	if (!mem)
		return -EINVAL;
	for (i = 0; i < arg->count && !ret; i++)
		ret = put_user(emu_gpu.base +
				       emu_mem_offset(mem, at + i * EMU_PAGE),
			       user + i);
	emu_mem_put(mem);
	return ret;
}

static int control_hold(struct emu_context *context, void *data)
{
	return emu_hold_new(context, data);
}

static int control_drop(struct emu_context *context, void *data)
{
	struct gpumem_emu_drop *arg = data;

	return emu_hold_drop(context, arg->hold);
}

static int control_counters(struct emu_context *context, void *data)
{
	emu_counters_read(data);
	return 0;
}

static int control_export(struct emu_context *context, void *data)
{
	struct gpumem_emu_export *arg = data;
	struct emu_mem *mem = NULL;
	struct emu_block *block;
	int fd;

	mutex_lock(&emu_lock);
	block = emu_block_find(arg->addr, 1);
	if (block && block->context == context && block->addr == arg->addr &&
	    block->object)
		mem = emu_mem_get(block->mem);
	mutex_unlock(&emu_lock);
	if (!mem)
		return -EINVAL;
	fd = emu_export_new(mem);
	emu_mem_put(mem);
	arg->fd = fd;
	return min(fd, 0);
}

static int control_import(struct emu_context *context, void *data)
{
	struct gpumem_emu_import *arg = data;
	struct emu_mem *mem = emu_export_mem(arg->fd);
	struct emu_block *block;

	if (IS_ERR(mem))
		return PTR_ERR(mem);
	mutex_lock(&emu_lock);
	block = emu_block_over(context, mem);
	if (!IS_ERR(block)) {
		arg->length = block->length;
		arg->addr = block->addr;
		arg->client = context->client->handle;
		arg->memory = block->object->handle;
	}
	mutex_unlock(&emu_lock);
	emu_mem_put(mem);
	return PTR_ERR_OR_ZERO(block);
}

static int control_reserve(struct emu_context *context, void *data)
{
	int ret;

	mutex_lock(&emu_lock);
	ret = emu_reserve_new(context, data);
	mutex_unlock(&emu_lock);
	return ret;
}

static int control_view(struct emu_context *context, void *data)
{
	int ret;

	mutex_lock(&emu_lock);
	ret = emu_view_new(context, data);
	mutex_unlock(&emu_lock);
	return ret;
}

static int control_dmabuf(struct emu_context *context, void *data)
{
	struct gpumem_emu_dmabuf *arg = data;

	if (!arg->length || !PAGE_ALIGNED(arg->addr) ||
	    !PAGE_ALIGNED(arg->length))
		return -EINVAL;
	arg->fd = emu_dmabuf_new(context, arg->addr, arg->length);
	return min(arg->fd, 0);
}

static const struct control_call {
	unsigned int cmd;
	int (*call)(struct emu_context *context, void *data);
} control_calls[] = {
	{ GPUMEM_EMU_IOC_ALLOC, control_alloc },
	{ GPUMEM_EMU_IOC_FREE, control_free },
	{ GPUMEM_EMU_IOC_COPY, control_copy },
	{ GPUMEM_EMU_IOC_PAGES, control_pages },
	{ GPUMEM_EMU_IOC_HOLD, control_hold },
	{ GPUMEM_EMU_IOC_DROP, control_drop },
	{ GPUMEM_EMU_IOC_COUNTERS, control_counters },
	{ GPUMEM_EMU_IOC_EXPORT, control_export },
	{ GPUMEM_EMU_IOC_IMPORT, control_import },
	{ GPUMEM_EMU_IOC_RESERVE, control_reserve },
	{ GPUMEM_EMU_IOC_VIEW, control_view },
	{ GPUMEM_EMU_IOC_DMABUF, control_dmabuf },
};

union control_data {
	struct gpumem_emu_alloc alloc;
	struct gpumem_emu_free free;
	struct gpumem_emu_copy copy;
	struct gpumem_emu_pages pages;
	struct gpumem_emu_hold hold;
	struct gpumem_emu_drop drop;
	struct gpumem_emu_counters counters;
	struct gpumem_emu_export export;
	struct gpumem_emu_import import;
	struct gpumem_emu_reserve reserve;
	struct gpumem_emu_view view;
	struct gpumem_emu_dmabuf dmabuf;
};

/* What a call made is undone if the caller cannot be told of it. */
static void control_undo(struct emu_context *context, unsigned int cmd,
			 union control_data *data)
{
	struct gpumem_emu_free block = { .addr = data->alloc.addr };
	struct gpumem_emu_free import = { .addr = data->import.addr };

	if (cmd == GPUMEM_EMU_IOC_ALLOC)
		control_free(context, &block);
	else if (cmd == GPUMEM_EMU_IOC_IMPORT)
		control_free(context, &import);
	else if (cmd == GPUMEM_EMU_IOC_EXPORT)
		close_fd(data->export.fd);
	else if (cmd == GPUMEM_EMU_IOC_DMABUF)
		close_fd(data->dmabuf.fd);
	else if (cmd == GPUMEM_EMU_IOC_HOLD)
		emu_hold_drop(context, data->hold.hold);
}

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long user)
{
	struct emu_context *context = file->private_data;
	const struct control_call *call = NULL;
	union control_data data = {};
	size_t size = _IOC_SIZE(cmd);
	size_t i;
	int ret;

	/* cmd carries direction and size: a match fixes both. */
	for (i = 0; i < ARRAY_SIZE(control_calls) && !call; i++)
		if (control_calls[i].cmd == cmd)
			call = &control_calls[i];
	if (!call)
		return -ENOTTY;
	if (cmd != GPUMEM_EMU_IOC_COUNTERS &&
	    !emu_owner_is_current(context->owner))
		return -EPERM;

	if ((_IOC_DIR(cmd) & _IOC_WRITE) &&
	    copy_from_user(&data, (void __user *)user, size))
		return -EFAULT;
	ret = call->call(context, &data);
	if (ret)
		return ret;
	if ((_IOC_DIR(cmd) & _IOC_READ) &&
	    copy_to_user((void __user *)user, &data, size)) {
		control_undo(context, cmd, &data);
		return -EFAULT;
	}
	return 0;
}

static int control_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct emu_context *context = file->private_data;

	if (!emu_owner_is_current(context->owner))
		return -EPERM;
	return emu_hold_mmap(context, vma);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.unlocked_ioctl = control_ioctl,
	.mmap = control_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice control_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "gpumem-emu",
	.fops = &control_fops,
	.mode = 0666,
};

int emu_control_init(void)
{
	return misc_register(&control_device);
}

void emu_control_exit(void)
{
	misc_deregister(&control_device);
}
