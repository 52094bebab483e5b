// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Blocks: what cuMemAlloc gives, a range of device addresses over a page set;
 * and views, what cuMemMap gives, which show part of a block elsewhere.
 */
#include <linux/overflow.h>
#include <linux/slab.h>

#include "emu.h"

/*
 * Device addresses rise and are never used again, so an address names one
 * block for the life of the module. Blocks touch each other: running past the
 * end of one lands in the next.
 */
#define VA_FIRST 0x700000000000ULL
#define VA_END 0x7e0000000000ULL

/* Addresses at which views may be. */
struct emu_reserve {
	u64 addr;
	u64 length;
	struct list_head of_context;
};

/* emu_lock */
static LIST_HEAD(blocks);
static u64 va_next = VA_FIRST;

/* Takes addresses; 0: there are no more. */
static u64 va_take(u64 bytes)
{
	u64 addr = va_next;

	lockdep_assert_held(&emu_lock);
	if (bytes > VA_END - va_next)
		return 0;
	va_next += bytes;
	return addr;
}

static int length_round(u64 length, u64 *bytes)
{
	if (!length)
		return -EINVAL;
	if (check_add_overflow(length, EMU_BLOCK_ALIGN - 1, bytes))
		return -ENOMEM;
	*bytes -= *bytes % EMU_BLOCK_ALIGN;
	return 0;
}

static void block_add(struct emu_block *block, struct emu_context *context)
{
	block->context = context;
	list_add_tail(&block->of_context, &context->blocks);
	list_add_tail(&block->all, &blocks);
	emu_count(EMU_BLOCKS, 1);
}

struct emu_block *emu_block_over(struct emu_context *context,
				 struct emu_mem *mem)
{
	struct emu_block *block;
	int ret;

	lockdep_assert_held(&emu_lock);
	block = kzalloc(sizeof(*block), GFP_KERNEL_ACCOUNT);
	if (!block)
		return ERR_PTR(-ENOMEM);
	block->object = emu_object_new(context->client, 0,
				       context->client->handle, RM_CLASS_MEMORY,
				       mem);
	if (IS_ERR(block->object)) {
		ret = PTR_ERR(block->object);
		goto err_block;
	}
	block->length = mem->pages * EMU_PAGE;
	block->addr = va_take(block->length);
	ret = -ENOMEM;
	if (!block->addr)
		goto err_object;
	block->mem = emu_mem_get(mem);
	block_add(block, context);
	return block;

err_object:
	emu_object_free(context->client, block->object);
err_block:
	kfree(block);
	return ERR_PTR(ret);
}

struct emu_block *emu_block_new(struct emu_context *context, u64 length)
{
	struct emu_block *block;
	struct emu_mem *mem;
	u64 bytes;
	int ret;

	ret = length_round(length, &bytes);
	if (ret)
		return ERR_PTR(ret);
	mem = emu_mem_alloc(bytes / EMU_PAGE);
	if (IS_ERR(mem))
		return ERR_CAST(mem);
	block = emu_block_over(context, mem);
	emu_mem_put(mem);
	return block;
}

int emu_reserve_new(struct emu_context *context, struct gpumem_emu_reserve *arg)
{
	struct emu_reserve *reserve;
	u64 bytes;
	int ret;

	lockdep_assert_held(&emu_lock);
	ret = length_round(arg->length, &bytes);
	if (ret)
		return ret;
	reserve = kzalloc(sizeof(*reserve), GFP_KERNEL_ACCOUNT);
	if (!reserve)
		return -ENOMEM;
	reserve->addr = va_take(bytes);
	if (!reserve->addr) {
		kfree(reserve);
		return -ENOMEM;
	}
	reserve->length = bytes;
	list_add(&reserve->of_context, &context->reserves);
	arg->addr = reserve->addr;
	arg->length = bytes;
	return 0;
}

void emu_reserves_free(struct emu_context *context)
{
	struct emu_reserve *reserve, *next;

	lockdep_assert_held(&emu_lock);
	list_for_each_entry_safe(reserve, next, &context->reserves, of_context)
		kfree(reserve);
	INIT_LIST_HEAD(&context->reserves);
}

/* Whether the range is reserved and nothing is shown in it. */
static bool reserve_free(struct emu_context *context, u64 addr, u64 length)
{
	struct emu_reserve *reserve;
	struct emu_block *block;
	bool inside = false;

	list_for_each_entry(reserve, &context->reserves, of_context)
		inside |= addr >= reserve->addr &&
			  addr - reserve->addr < reserve->length &&
			  length <= reserve->length - (addr - reserve->addr);
	if (!inside)
		return false;
	list_for_each_entry(block, &context->blocks, of_context)
		if (addr < block->addr + block->length &&
		    block->addr < addr + length)
			return false;
	return true;
}

int emu_view_new(struct emu_context *context, const struct gpumem_emu_view *arg)
{
	struct emu_block *block, *view;

	lockdep_assert_held(&emu_lock);
	if (!arg->length || arg->addr % EMU_BLOCK_ALIGN ||
	    arg->length % EMU_BLOCK_ALIGN || arg->block % EMU_BLOCK_ALIGN ||
	    !reserve_free(context, arg->addr, arg->length))
		return -EINVAL;
	block = emu_block_find(arg->block, arg->length);
	if (!block || block->context != context)
		return -EINVAL;
	view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);
	if (!view)
		return -ENOMEM;
	view->addr = arg->addr;
	view->length = arg->length;
	view->mem = emu_mem_get(block->mem);
	view->at = block->at + (arg->block - block->addr);
	block_add(view, context);
	return 0;
}

void emu_block_free(struct emu_block *block)
{
	lockdep_assert_held(&emu_lock);
	/* First out of reach, then revoked: no pin can be made in between. */
	list_del(&block->all);
	list_del(&block->of_context);
	emu_pins_revoke(block);
	if (block->object)
		emu_object_free(block->context->client, block->object);
	emu_mem_put(block->mem);
	kfree(block);
	emu_count(EMU_BLOCKS, -1);
}

struct emu_block *emu_block_find(u64 addr, u64 length)
{
	struct emu_block *block;

	lockdep_assert_held(&emu_lock);
	list_for_each_entry(block, &blocks, all) {
		u64 at = addr - block->addr;

		if (addr >= block->addr && at < block->length)
			return length <= block->length - at ? block : NULL;
	}
	return NULL;
}

struct emu_mem *emu_block_mem_part(struct emu_context *context, u64 addr,
				   u64 *length, u64 *at)
{
	struct emu_block *block;
	struct emu_mem *mem = NULL;

	mutex_lock(&emu_lock);
	block = emu_block_find(addr, 1);
	if (block && block->context == context) {
		*at = block->at + (addr - block->addr);
		*length = min(*length, block->length - (addr - block->addr));
		mem = emu_mem_get(block->mem);
	}
	mutex_unlock(&emu_lock);
	return mem;
}

struct emu_mem *emu_block_mem(struct emu_context *context, u64 addr, u64 length,
			      u64 *at)
{
	u64 there = length;
	struct emu_mem *mem = emu_block_mem_part(context, addr, &there, at);

	if (!mem || there == length)
		return mem;
	emu_mem_put(mem);
	return NULL;
}
