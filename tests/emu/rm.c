// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * /dev/nvidiactl and /dev/nvidia0: the nodes, and which call goes where.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/cdev.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "emu.h"
#include "emu_compat.h"

static_assert(sizeof(struct rm_alloc) == 32);
static_assert(offsetof(struct rm_alloc, params_size) == 24);
static_assert(sizeof(struct rm_device_params) == 56);
static_assert(offsetof(struct rm_device_params, va_mode) == 48);
static_assert(sizeof(struct rm_control) == 32);
static_assert(sizeof(struct rm_gpu_id_info) == 32);
static_assert(sizeof(struct rm_map_memory) == 56);
static_assert(offsetof(struct rm_map_memory, fd) == 48);
static_assert(sizeof(struct rm_unmap_memory) == 32);
static_assert(sizeof(struct rm_dup_object) == 28);
static_assert(sizeof(struct rm_free) == 16);
static_assert(sizeof(struct rm_card_info) == 72);
static_assert(offsetof(struct rm_card_info, gpu_id) == 16);
static_assert(offsetof(struct rm_card_info, fb_size) == 48);
static_assert(offsetof(struct rm_card_info, name) == 60);
static_assert(sizeof(struct rm_version) == 72);
static_assert(sizeof(struct rm_import) == 652);
static_assert(offsetof(struct rm_import, num) == 648);

static bool rm_lost;
module_param(rm_lost, bool, 0644);
MODULE_PARM_DESC(rm_lost,
		 "answer that the GPU is lost; only frees and unmaps are done");

/* What the driver takes at most. */
#define RM_MAX_SIZE 16384

static struct class *rm_class;
static struct cdev rm_cdev;

#define DEV_CTL MKDEV(RM_MAJOR, RM_MINOR_CTL)
#define DEV_GPU MKDEV(RM_MAJOR, 0)

static int rm_open(struct inode *inode, struct file *file)
{
	unsigned int minor = iminor(inode);
	struct emu_rm_file *rm;

	if (minor != RM_MINOR_CTL && minor != MINOR(DEV_GPU))
		return -ENODEV;
	if (!emu_user_get())
		return -ENODEV;
	rm = kzalloc(sizeof(*rm), GFP_KERNEL_ACCOUNT);
	if (!rm) {
		emu_user_put();
		return -ENOMEM;
	}
	rm->ctl = minor == RM_MINOR_CTL;
	INIT_LIST_HEAD(&rm->clients);
	file->private_data = rm;
	return 0;
}

static int rm_release(struct inode *inode, struct file *file)
{
	struct emu_rm_file *rm = file->private_data;
	struct emu_client *client, *next;

	mutex_lock(&emu_lock);
	list_for_each_entry_safe(client, next, &rm->clients, of_file)
		emu_client_free(client);
	mutex_unlock(&emu_lock);
	emu_view_free(rm->view);
	if (rm->ctl_file)
		fput(rm->ctl_file);
	kfree(rm);
	emu_user_put();
	return 0;
}

static int rm_register_fd(struct file *file, void *data)
{
	struct emu_rm_file *rm = file->private_data;
	struct rm_register_fd *arg = data;
	struct file *ctl = fget(arg->ctl_fd);
	int ret = -EINVAL;

	if (!ctl)
		return -EINVAL;
	mutex_lock(&emu_lock);
	if (ctl->f_op == &emu_rm_fops &&
	    ((struct emu_rm_file *)ctl->private_data)->ctl && !rm->ctl_file) {
		/*
		 * As the driver does, until this file is released; a control
		 * file gains nothing by it, and two could hold each other.
		 */
		if (!rm->ctl)
			rm->ctl_file = get_file(ctl);
		ret = 0;
	}
	mutex_unlock(&emu_lock);
	fput(ctl);
	return ret;
}

static long rm_card_info(void __user *user, size_t size)
{
	struct pci_dev *pdev = emu_gpu.pdev;
	struct rm_card_info info = {
		.valid = 1,
		.domain = pci_domain_nr(pdev->bus),
		.bus = pdev->bus->number,
		.slot = PCI_SLOT(pdev->devfn),
		.vendor_id = pdev->vendor,
		.device_id = pdev->device,
		.gpu_id = emu_rm_gpu_id(),
		.irq = pdev->irq,
		.reg_address = pci_resource_start(pdev, 0),
		.reg_size = pci_resource_len(pdev, 0),
		.fb_address = emu_gpu.base,
		.fb_size = emu_gpu.size,
		.minor = MINOR(DEV_GPU),
	};

	if (size < sizeof(info))
		return -EINVAL;
	if (copy_to_user(user, &info, sizeof(info)) ||
	    clear_user(user + sizeof(info), size - sizeof(info)))
		return -EFAULT;
	return 0;
}

static long rm_export_to_dmabuf(void __user *user, size_t size)
{
	u32 status = RM_ERR_NOT_SUPPORTED;
	struct emu_rm_layout layout;

	emu_rm_layout_get(&layout);
	if (size != layout.dmabuf_size)
		return -EINVAL;
	if (copy_to_user(user + layout.dmabuf_status, &status, sizeof(status)))
		return -EFAULT;
	return 0;
}

/*
 * Before RM_ALLOC had a size of its parameters, its status was in that place,
 * and the bytes that followed were nobody's.
 */
static int rm_alloc_call(struct file *file, void *data)
{
	struct rm_alloc *arg = data;
	struct emu_rm_layout layout;
	u32 last = arg->status;
	int ret;

	emu_rm_layout_get(&layout);
	if (layout.alloc_status == offsetof(struct rm_alloc, status))
		return emu_rm_alloc(file, data);
	arg->params_size = 0;
	ret = emu_rm_alloc(file, data);
	arg->params_size = arg->status;
	arg->status = last;
	return ret;
}

/* Which node a call is for; the driver refuses it on the other. */
enum rm_node { RM_ON_CTL, RM_ON_GPU, RM_ON_BOTH };

static const struct rm_call {
	unsigned int nr;
	size_t size;
	enum rm_node node;
	int (*call)(struct file *file, void *data);
} rm_calls[] = {
	{ RM_ESC_FREE, sizeof(struct rm_free), RM_ON_CTL, emu_rm_free },
	{ RM_ESC_CONTROL, sizeof(struct rm_control), RM_ON_CTL,
	  emu_rm_control },
	{ RM_ESC_ALLOC, sizeof(struct rm_alloc), RM_ON_CTL, rm_alloc_call },
	{ RM_ESC_DUP_OBJECT, sizeof(struct rm_dup_object), RM_ON_CTL,
	  emu_rm_dup_object },
	{ RM_ESC_MAP_MEMORY, sizeof(struct rm_map_memory), RM_ON_CTL,
	  emu_rm_map_memory },
	{ RM_ESC_UNMAP_MEMORY, sizeof(struct rm_unmap_memory), RM_ON_CTL,
	  emu_rm_unmap_memory },
	{ RM_ESC_REGISTER_FD, sizeof(struct rm_register_fd), RM_ON_BOTH,
	  rm_register_fd },
	{ RM_ESC_CHECK_VERSION_STR, sizeof(struct rm_version), RM_ON_BOTH,
	  emu_rm_check_version },
};

union rm_data {
	struct rm_alloc alloc;
	struct rm_control control;
	struct rm_map_memory map;
	struct rm_unmap_memory unmap;
	struct rm_dup_object dup;
	struct rm_free free;
	struct rm_register_fd register_fd;
	struct rm_version version;
};

/* Answers that the GPU is gone, where the call would have it do something. */
static bool rm_refuse_lost(unsigned int nr, union rm_data *data)
{
	struct emu_rm_layout layout;

	if (!rm_lost)
		return false;
	switch (nr) {
	case RM_ESC_ALLOC:
		emu_rm_layout_get(&layout);
		if (layout.alloc_status == offsetof(struct rm_alloc, status))
			data->alloc.status = RM_ERR_GPU_IS_LOST;
		else
			data->alloc.params_size = RM_ERR_GPU_IS_LOST;
		return true;
	case RM_ESC_CONTROL:
		data->control.status = RM_ERR_GPU_IS_LOST;
		return true;
	case RM_ESC_MAP_MEMORY:
		data->map.status = RM_ERR_GPU_IS_LOST;
		return true;
	case RM_ESC_DUP_OBJECT:
		data->dup.status = RM_ERR_GPU_IS_LOST;
		return true;
	default:
		return false;
	}
}

static long rm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct emu_rm_file *rm = file->private_data;
	void __user *user = (void __user *)arg;
	const struct rm_call *call = NULL;
	size_t size = _IOC_SIZE(cmd);
	union rm_data data = {};
	size_t i;
	int ret;

	if (_IOC_TYPE(cmd) != RM_IOC_MAGIC || size > RM_MAX_SIZE)
		return -EINVAL;
	if (_IOC_NR(cmd) == RM_ESC_CARD_INFO)
		return rm_card_info(user, size);
	if (_IOC_NR(cmd) == RM_ESC_EXPORT_TO_DMABUF && !rm->ctl)
		return rm_export_to_dmabuf(user, size);

	for (i = 0; i < ARRAY_SIZE(rm_calls) && !call; i++)
		if (rm_calls[i].nr == _IOC_NR(cmd))
			call = &rm_calls[i];
	if (!call || call->size != size ||
	    call->node == (rm->ctl ? RM_ON_GPU : RM_ON_CTL))
		return -EINVAL;
	if (copy_from_user(&data, user, size))
		return -EFAULT;
	ret = rm_refuse_lost(_IOC_NR(cmd), &data) ? 0 : call->call(file, &data);
	/* The driver copies back whatever came of it. */
	if (copy_to_user(user, &data, size))
		return -EFAULT;
	return ret;
}

const struct file_operations emu_rm_fops = {
	.owner = THIS_MODULE,
	.open = rm_open,
	.release = rm_release,
	.unlocked_ioctl = rm_ioctl,
	.mmap = emu_rm_mmap,
	.llseek = noop_llseek,
};

static char *rm_devnode(EMU_DEVNODE_DEVICE *dev, umode_t *mode)
{
	if (mode)
		*mode = 0666;
	return NULL;
}

int emu_rm_init(void)
{
	struct device *device;
	int ret;

	/* All 256 minors: nobody else can answer for this major meanwhile. */
	ret = register_chrdev_region(DEV_GPU, RM_MINOR_CTL + 1, "nvidia");
	if (ret) {
		pr_err("character major %d is taken (%d): unload the NVIDIA driver first\n",
		       RM_MAJOR, ret);
		return ret;
	}
	cdev_init(&rm_cdev, &emu_rm_fops);
	rm_cdev.owner = THIS_MODULE;
	ret = cdev_add(&rm_cdev, DEV_GPU, RM_MINOR_CTL + 1);
	if (ret)
		goto err_region;
	rm_class = emu_class_create("gpumem-emu-rm");
	if (IS_ERR(rm_class)) {
		ret = PTR_ERR(rm_class);
		goto err_cdev;
	}
	rm_class->devnode = rm_devnode;
	device = device_create(rm_class, &emu_gpu.pdev->dev, DEV_CTL, NULL,
			       "nvidiactl");
	if (IS_ERR(device)) {
		ret = PTR_ERR(device);
		goto err_class;
	}
	device = device_create(rm_class, &emu_gpu.pdev->dev, DEV_GPU, NULL,
			       "nvidia0");
	if (IS_ERR(device)) {
		ret = PTR_ERR(device);
		goto err_ctl;
	}
	return 0;

err_ctl:
	device_destroy(rm_class, DEV_CTL);
err_class:
	class_destroy(rm_class);
err_cdev:
	cdev_del(&rm_cdev);
err_region:
	unregister_chrdev_region(DEV_GPU, RM_MINOR_CTL + 1);
	return ret;
}

void emu_rm_exit(void)
{
	device_destroy(rm_class, DEV_GPU);
	device_destroy(rm_class, DEV_CTL);
	class_destroy(rm_class);
	cdev_del(&rm_cdev);
	unregister_chrdev_region(DEV_GPU, RM_MINOR_CTL + 1);
}
