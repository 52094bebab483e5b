// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * gpumem.ko: /dev/gpumem, its open files and the table of its calls.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compat.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "gpumem_drv.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

int gpumem_call_reply(struct gpumem_call *call)
{
	return copy_to_user(call->user, &call->args, call->size) ? -EFAULT : 0;
}

static void gpumem_file_free(struct kref *ref)
{
	struct gpumem_file *file = container_of(ref, struct gpumem_file, ref);

	xa_destroy(&file->pins);
	xa_destroy(&file->dmas);
	kfree(file);
}

void gpumem_file_put(struct gpumem_file *file)
{
	kref_put(&file->ref, gpumem_file_free);
}

static bool gpumem_file_is_mine(const struct gpumem_file *file)
{
	lockdep_assert_held(&file->lock);
	return file->owner == task_tgid_nr(current) &&
	       file->owner_start == current->group_leader->start_time;
}

bool gpumem_file_is_owner(struct gpumem_file *file)
{
	bool is;

	spin_lock(&file->lock);
	is = gpumem_file_is_mine(file);
	spin_unlock(&file->lock);
	return is;
}

/*
 * 0 if the calling process may use the file. The first process that makes a pin
 * through it owns it from then on: the driver knows pages by process, and a child
 * or a stranger with the descriptor shall not reach them.
 */
int gpumem_file_own(struct gpumem_file *file)
{
	bool may;

	spin_lock(&file->lock);
	may = !file->owner || gpumem_file_is_mine(file);
	spin_unlock(&file->lock);
	return may ? 0 : -EPERM;
}

/*
 * The same for a call that pins: 0; or 1, if no pin was made before and the caller
 * owns the file until gpumem_file_claim_end(). Meanwhile others who want to pin
 * wait, whether it will be theirs.
 */
int gpumem_file_claim(struct gpumem_file *file)
{
	bool owned;

	spin_lock(&file->lock);
	owned = file->owned;
	spin_unlock(&file->lock);
	if (owned)
		return gpumem_file_own(file);

	if (mutex_lock_killable(&file->claim))
		return -EINTR;
	spin_lock(&file->lock);
	owned = file->owned;
	if (!owned) {
		file->owner = task_tgid_nr(current);
		file->owner_start = current->group_leader->start_time;
	}
	spin_unlock(&file->lock);
	if (!owned)
		return 1;
	mutex_unlock(&file->claim);
	return gpumem_file_own(file);
}

/* Without a pin the file is nobody's again. */
void gpumem_file_claim_end(struct gpumem_file *file, bool pinned)
{
	spin_lock(&file->lock);
	file->owned = pinned;
	if (!pinned)
		file->owner = 0;
	spin_unlock(&file->lock);
	mutex_unlock(&file->claim);
}

static int gpumem_version_ioctl(struct gpumem_call *call)
{
	struct gpumem_version *v = &call->args.version;

	if (v->__reserved)
		return -EINVAL;
	v->abi = GPUMEM_ABI_VERSION;
	strscpy_pad(v->release, GPUMEM_RELEASE, sizeof(v->release));
	v->p2p_page_table = gpumem_p2p_version();
#ifdef GPUMEM_GPL
	v->features = GPUMEM_FEATURE_EVENTFD | GPUMEM_FEATURE_DMABUF;
#else
	v->features = 0;
#endif
	return gpumem_call_reply(call);
}

static int gpumem_pin_ioctl(struct gpumem_call *call)
{
	struct gpumem_pin *p = &call->args.pin;
	struct gpumem_pinned *pin;
	int rc;

	pin = gpumem_pin_create(call->file, p);
	if (IS_ERR(pin))
		return PTR_ERR(pin);
	rc = gpumem_pin_reserve(pin);
	if (rc)
		goto err_abort;

	p->pin = pin->id;
	p->page_size = 1U << pin->set.shift;
	p->page_count = pin->set.count;
	p->mmap_offset = gpumem_pin_mmap_offset(pin);
	p->addr_offset = pin->addr - pin->base;
	p->map_type = pin->set.map_type;
	rc = gpumem_call_reply(call);
	if (rc)
		goto err_abort;
	gpumem_pin_publish(pin);
	return 0;

err_abort:
	gpumem_pin_abort(pin);
	return rc;
}

static int gpumem_unpin_ioctl(struct gpumem_call *call)
{
	return gpumem_pin_remove(call->file, call->args.unpin.pin);
}

static int gpumem_info_ioctl(struct gpumem_call *call)
{
	struct gpumem_info *i = &call->args.info;
	struct gpumem_pinned *pin;

	pin = gpumem_pin_find(call->file, i->pin);
	if (!pin)
		return -ENOENT;
	i->flags = gpumem_pin_alive(pin) ? GPUMEM_PIN_REVOKED : 0;
	i->page_size = 1U << pin->set.shift;
	i->addr = pin->addr;
	i->length = pin->length;
	i->page_count = pin->set.count;
	i->mmap_offset = gpumem_pin_mmap_offset(pin);
	i->addr_offset = pin->addr - pin->base;
	i->mapped = atomic_read(&pin->maps);
	i->map_type = pin->set.map_type;
	gpumem_pin_put(pin);
	return gpumem_call_reply(call);
}

static int gpumem_pages_ioctl(struct gpumem_call *call)
{
	struct gpumem_pages *p = &call->args.pages;
	struct gpumem_pinned *pin;
	int rc;

	pin = gpumem_pin_find(call->file, p->pin);
	if (!pin)
		return -ENOENT;
	rc = gpumem_pin_alive(pin);
	if (rc)
		goto out_put;
	rc = -EINVAL;
	if (p->first >= pin->set.count)
		goto out_put;
	p->count = min(p->count, pin->set.count - p->first);
	rc = -EFAULT;
	if (copy_to_user(u64_to_user_ptr(p->pages), pin->set.addr + p->first,
			 p->count * sizeof(*pin->set.addr)))
		goto out_put;
	rc = gpumem_call_reply(call);
out_put:
	gpumem_pin_put(pin);
	return rc;
}

/**
 * struct gpumem_ioctl - an entry of the table of calls
 * @run:	does it
 * @size:	of its structure in this kernel
 * @first_size:	of its structure as first published
 * @anyone:	needs no ownership of the file
 * @claim:	makes the caller the file's owner if it has none and it succeeds
 */
struct gpumem_ioctl {
	int (*run)(struct gpumem_call *call);
	size_t size;
	size_t first_size;
	bool anyone;
	bool claim;
};

#define GPUMEM_IOCTL(cmd, fn, type, last, ...)           \
	[_IOC_NR(cmd) - _IOC_NR(GPUMEM_IOC_VERSION)] = { \
		.run = fn,                               \
		.size = sizeof(type),                    \
		.first_size = offsetofend(type, last),   \
		__VA_ARGS__                              \
	}

static const struct gpumem_ioctl gpumem_ioctls[] = {
	GPUMEM_IOCTL(GPUMEM_IOC_VERSION, gpumem_version_ioctl,
		     struct gpumem_version, features, .anyone = true),
	GPUMEM_IOCTL(GPUMEM_IOC_PIN, gpumem_pin_ioctl, struct gpumem_pin,
		     map_type, .claim = true),
	GPUMEM_IOCTL(GPUMEM_IOC_UNPIN, gpumem_unpin_ioctl, struct gpumem_unpin,
		     pin),
	GPUMEM_IOCTL(GPUMEM_IOC_INFO, gpumem_info_ioctl, struct gpumem_info,
		     map_type),
	GPUMEM_IOCTL(GPUMEM_IOC_PAGES, gpumem_pages_ioctl, struct gpumem_pages,
		     pages),
	GPUMEM_IOCTL(GPUMEM_IOC_DMA_MAP, gpumem_dma_map_ioctl,
		     struct gpumem_dma_map, __reserved),
	GPUMEM_IOCTL(GPUMEM_IOC_DMA_RUNS, gpumem_dma_runs_ioctl,
		     struct gpumem_dma_runs, runs),
	GPUMEM_IOCTL(GPUMEM_IOC_DMA_UNMAP, gpumem_dma_unmap_ioctl,
		     struct gpumem_dma_unmap, dma),
	GPUMEM_IOCTL(GPUMEM_IOC_EXPORT, gpumem_export_ioctl,
		     struct gpumem_export, __reserved),
};

static int gpumem_call_copy_run(struct gpumem_call *call,
				const struct gpumem_ioctl *op)
{
	u32 size;
	int rc;

	if (get_user(size, (u32 __user *)call->user))
		return -EFAULT;
	if (size < op->first_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	rc = copy_struct_from_user(&call->args, op->size, call->user, size);
	if (rc)
		return rc;
	call->size = min_t(size_t, size, op->size);
	return op->run(call);
}

static long gpumem_call_run(struct gpumem_file *file, unsigned int cmd,
			    void __user *user)
{
	unsigned int nr = _IOC_NR(cmd) - _IOC_NR(GPUMEM_IOC_VERSION);
	const struct gpumem_ioctl *op;
	struct gpumem_call call = { .file = file, .user = user };
	int claim = 0;
	int rc;

	if (cmd != _IO(GPUMEM_IOC_TYPE, _IOC_NR(cmd)) ||
	    nr >= ARRAY_SIZE(gpumem_ioctls))
		return -ENOTTY;
	op = &gpumem_ioctls[array_index_nospec(nr, ARRAY_SIZE(gpumem_ioctls))];
	if (op->claim)
		claim = gpumem_file_claim(file);
	else if (!op->anyone)
		claim = gpumem_file_own(file);
	if (claim < 0)
		return claim;
	rc = gpumem_call_copy_run(&call, op);
	if (claim)
		gpumem_file_claim_end(file, !rc);
	return rc;
}

static long gpumem_unlocked_ioctl(struct file *filp, unsigned int cmd,
				  unsigned long arg)
{
	long ret;

	if (gpumem_seed_ioctl(filp->private_data, cmd, arg, &ret))
		return ret;
	return gpumem_call_run(filp->private_data, cmd, (void __user *)arg);
}

#ifdef CONFIG_COMPAT
/* There is no 32-bit CUDA, and the original interface's structures have pointers. */
static long gpumem_compat_ioctl(struct file *filp, unsigned int cmd,
				unsigned long arg)
{
	return -EOPNOTSUPP;
}
#endif

static int gpumem_open(struct inode *inode, struct file *filp)
{
	struct gpumem_file *file;

#ifdef CONFIG_COMPAT
	if (in_compat_syscall()) {
		pr_info_ratelimited(
			"%s: a 32-bit program has no GPU memory, as there is no 32-bit CUDA\n",
			current->comm);
		return -EOPNOTSUPP;
	}
#endif
	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	kref_init(&file->ref);
	mutex_init(&file->claim);
	spin_lock_init(&file->lock);
	xa_init_flags(&file->pins, XA_FLAGS_ALLOC1);
	xa_init_flags(&file->dmas, XA_FLAGS_ALLOC1);
	filp->private_data = file;
	filp->f_mapping = gpumem_space();
	return nonseekable_open(inode, filp);
}

/*
 * The owner's exit ends its pins even if a child still has the descriptor: only
 * in the owner's context does the driver give the pages back. The exit of a thread
 * with a descriptor table of its own is not the process's.
 */
static int gpumem_flush(struct file *filp, fl_owner_t id)
{
	struct gpumem_file *file = filp->private_data;

	if (!atomic_read(&current->signal->live) && gpumem_file_is_owner(file))
		gpumem_pin_remove_all(file);
	return 0;
}

static int gpumem_release(struct inode *inode, struct file *filp)
{
	struct gpumem_file *file = filp->private_data;

	gpumem_pin_remove_all(file);
	gpumem_dma_forget(file, NULL);
	gpumem_file_put(file);
	return 0;
}

static const struct file_operations gpumem_fops = {
	.owner = THIS_MODULE,
	.open = gpumem_open,
	.flush = gpumem_flush,
	.release = gpumem_release,
	.unlocked_ioctl = gpumem_unlocked_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = gpumem_compat_ioctl,
#endif
	.mmap = gpumem_mmap,
#ifdef GPUMEM_HUGE_PFNMAP
	/* As a 2 MiB PTE needs: address and offset alike in their low bits. */
	.get_unmapped_area = thp_get_unmapped_area,
#endif
};

static struct miscdevice gpumem_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "gpumem",
	.fops = &gpumem_fops,
	.mode = 0600,
};

static int __init gpumem_init(void)
{
	int rc;

	gpumem_map_init();
	rc = gpumem_space_init();
	if (rc)
		return rc;
	rc = gpumem_proc_create();
	if (rc)
		goto err_space;
	rc = gpumem_peer_init();
	if (rc)
		goto err_proc;
	rc = misc_register(&gpumem_misc);
	if (rc)
		goto err_peer;
	return 0;

err_peer:
	gpumem_peer_exit();
err_proc:
	gpumem_proc_remove();
err_space:
	gpumem_space_exit();
	return rc;
}

static void __exit gpumem_exit(void)
{
	misc_deregister(&gpumem_misc);
	gpumem_p2p_drain();
	gpumem_peer_exit();
	gpumem_proc_remove();
	gpumem_space_exit();
}

module_init(gpumem_init);
module_exit(gpumem_exit);

MODULE_AUTHOR("gpumem developers");
MODULE_DESCRIPTION("Direct access to NVIDIA GPU memory");
MODULE_VERSION(GPUMEM_RELEASE);
MODULE_LICENSE("Dual MIT/GPL");
#ifdef GPUMEM_GPL
GPUMEM_IMPORT_DMA_BUF;
#endif
