// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/*
 * Blocks: what cuMemAlloc gives, a range of device addresses over a page set.
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

/* emu_lock */
static LIST_HEAD(blocks);
static u64 va_next = VA_FIRST;

struct emu_block *emu_block_new(struct emu_context *context, u64 length)
{
	struct emu_block *block;
	u64 bytes;
	int ret;

	lockdep_assert_held(&emu_lock);
	if (!length)
		return ERR_PTR(-EINVAL);
	if (check_add_overflow(length, EMU_BLOCK_ALIGN - 1, &bytes))
		return ERR_PTR(-ENOMEM);
	bytes -= bytes % EMU_BLOCK_ALIGN;
	if (bytes > VA_END - va_next)
		return ERR_PTR(-ENOMEM);

	block = kzalloc(sizeof(*block), GFP_KERNEL_ACCOUNT);
	if (!block)
		return ERR_PTR(-ENOMEM);
	block->mem = emu_mem_alloc(bytes / EMU_PAGE);
	if (IS_ERR(block->mem)) {
		ret = PTR_ERR(block->mem);
		goto err_block;
	}
	block->object = emu_object_new(context->client, 0,
				       context->client->handle, RM_CLASS_MEMORY,
				       block->mem);
	if (IS_ERR(block->object)) {
		ret = PTR_ERR(block->object);
		goto err_mem;
	}

	block->addr = va_next;
	block->length = bytes;
	block->context = context;
	va_next += bytes;
	list_add_tail(&block->of_context, &context->blocks);
	list_add_tail(&block->all, &blocks);
	emu_count(EMU_BLOCKS, 1);
	return block;

err_mem:
	emu_mem_put(block->mem);
err_block:
	kfree(block);
	return ERR_PTR(ret);
}

void emu_block_free(struct emu_block *block)
{
	lockdep_assert_held(&emu_lock);
	/* First out of reach, then revoked: no pin can be made in between. */
	list_del(&block->all);
	list_del(&block->of_context);
	emu_pins_revoke(block);
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

struct emu_mem *emu_block_mem(struct emu_context *context, u64 addr, u64 length,
			      u64 *at)
{
	struct emu_block *block;
	struct emu_mem *mem = NULL;

	mutex_lock(&emu_lock);
	block = emu_block_find(addr, length);
	if (block && block->context == context) {
		*at = addr - block->addr;
		mem = emu_mem_get(block->mem);
	}
	mutex_unlock(&emu_lock);
	return mem;
}
