// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * HOLDs: page sets that outlive their block, and the mappings of /dev/gpumem-emu
 * that show them. A HOLD keeps the whole page set of its block.
 */
#include <linux/slab.h>

#include "emu.h"
#include "emu_compat.h"

/* mmap offset: the id, then the byte in the HOLD. */
#define HOLD_SHIFT 40
#define HOLD_PGSHIFT (HOLD_SHIFT - PAGE_SHIFT)
#define HOLD_LIMIT XA_LIMIT(1, (1U << 22) - 1)

struct emu_hold {
	u32 id;
	struct emu_context *context;
	struct emu_mem *mem;
	u64 at; /* of the first byte in mem */
	u64 length;
	struct list_head of_context;
};

static DEFINE_MUTEX(hold_lock);
static DEFINE_XARRAY_ALLOC(holds);
static u32 hold_next;

void emu_holds_exit(void)
{
	xa_destroy(&holds);
}

int emu_hold_new(struct emu_context *context, struct gpumem_emu_hold *arg)
{
	struct emu_hold *hold;
	int ret;

	if (!arg->length || arg->addr % EMU_PAGE || arg->length % EMU_PAGE)
		return -EINVAL;
	hold = kzalloc(sizeof(*hold), GFP_KERNEL_ACCOUNT);
	if (!hold)
		return -ENOMEM;
	hold->mem = emu_block_mem(context, arg->addr, arg->length, &hold->at);
	if (!hold->mem) {
		kfree(hold);
		return -EINVAL;
	}
	hold->context = context;
	hold->length = arg->length;

	mutex_lock(&hold_lock);
	ret = xa_alloc_cyclic(&holds, &hold->id, hold, HOLD_LIMIT, &hold_next,
			      GFP_KERNEL_ACCOUNT);
	if (ret >= 0) {
		list_add_tail(&hold->of_context, &context->holds);
		emu_count(EMU_HOLDS, 1);
		arg->hold = hold->id;
		arg->mmap_offset = (u64)hold->id << HOLD_SHIFT;
	}
	mutex_unlock(&hold_lock);
	if (ret < 0) {
		emu_mem_put(hold->mem);
		kfree(hold);
		return -ENOMEM;
	}
	return 0;
}

static void hold_unlink(struct emu_hold *hold)
{
	lockdep_assert_held(&hold_lock);
	xa_erase(&holds, hold->id);
	list_del(&hold->of_context);
}

/*
 * After hold_unlink() no fault can insert a page of the HOLD, so once the range
 * is unmapped nothing shows it.
 */
static void hold_free(struct emu_hold *hold)
{
	unmap_mapping_range(hold->context->mapping,
			    (loff_t)hold->id << HOLD_SHIFT, hold->length, 1);
	emu_mem_put(hold->mem);
	kfree(hold);
	emu_count(EMU_HOLDS, -1);
}

static struct emu_hold *hold_find(struct emu_context *context, u64 id)
{
	struct emu_hold *hold;

	lockdep_assert_held(&hold_lock);
	hold = id <= HOLD_LIMIT.max ? xa_load(&holds, id) : NULL;
	return hold && hold->context == context ? hold : NULL;
}

int emu_hold_drop(struct emu_context *context, u64 id)
{
	struct emu_hold *hold;

	mutex_lock(&hold_lock);
	hold = hold_find(context, id);
	if (hold)
		hold_unlink(hold);
	mutex_unlock(&hold_lock);
	if (!hold)
		return -EINVAL;
	hold_free(hold);
	return 0;
}

/* At the end of the file: no other call can be on its way. */
void emu_hold_drop_all(struct emu_context *context)
{
	struct emu_hold *hold, *next;

	list_for_each_entry_safe(hold, next, &context->holds, of_context) {
		mutex_lock(&hold_lock);
		hold_unlink(hold);
		mutex_unlock(&hold_lock);
		hold_free(hold);
	}
}

static vm_fault_t hold_fault(struct vm_fault *vmf)
{
	struct emu_context *context = vmf->vma->vm_private_data;
	u64 at = (u64)(vmf->pgoff & ((1UL << HOLD_PGSHIFT) - 1)) << PAGE_SHIFT;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	struct emu_hold *hold;

	mutex_lock(&hold_lock);
	hold = hold_find(context, vmf->pgoff >> HOLD_PGSHIFT);
	if (hold && at < hold->length)
		ret = emu_mem_fault(hold->mem, hold->at + at, vmf);
	mutex_unlock(&hold_lock);
	return ret;
}

static const struct vm_operations_struct hold_vm_ops = {
	.fault = hold_fault,
};

int emu_hold_mmap(struct emu_context *context, struct vm_area_struct *vma)
{
	u64 at = (u64)(vma->vm_pgoff & ((1UL << HOLD_PGSHIFT) - 1))
		 << PAGE_SHIFT;
	u64 length = vma->vm_end - vma->vm_start;
	struct emu_hold *hold;
	bool inside;
	int ret;

	mutex_lock(&hold_lock);
	hold = hold_find(context, vma->vm_pgoff >> HOLD_PGSHIFT);
	inside = hold && at < hold->length && length <= hold->length - at;
	mutex_unlock(&hold_lock);
	if (!inside)
		return -EINVAL;
	ret = emu_vma_prepare(vma);
	if (ret)
		return ret;
	/* A pin is its process's own: a forked child does not see it. */
	emu_vm_flags_set(vma, VM_DONTCOPY);
	vma->vm_private_data = context;
	vma->vm_ops = &hold_vm_ops;
	return 0;
}
