// SPDX-License-Identifier: MIT
/*
 * The allocator. As CUDA does, small allocations are carved from blocks of
 * 2 MiB and large ones take whole blocks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define PITCH_ALIGN 512ull

static struct sim_block *blocks;

/* All allocations, by address. */
static struct {
	struct sim_alloc **v;
	size_t count;
	size_t room;
} allocs;

/* Index of the first allocation above addr. */
static size_t alloc_above(uint64_t addr)
{
	size_t low = 0, high = allocs.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (allocs.v[middle]->addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct sim_alloc *sim_alloc_find(uint64_t addr)
{
	size_t above = alloc_above(addr);
	struct sim_alloc *alloc;

	if (!above)
		return NULL;
	alloc = allocs.v[above - 1];
	return addr - alloc->addr < alloc->size ? alloc : NULL;
}

struct sim_alloc *sim_alloc_range(uint64_t addr, uint64_t length)
{
	struct sim_alloc *alloc = sim_alloc_find(addr);

	if (!alloc || length > alloc->size - (addr - alloc->addr))
		return NULL;
	return alloc;
}

bool sim_block_touches(uint64_t addr, uint64_t length)
{
	struct sim_block *b;

	for (b = blocks; b; b = b->next) {
		if (addr < b->addr + b->length && b->addr - addr < length)
			return true;
		if (addr >= b->addr && addr - b->addr < b->length)
			return true;
	}
	return false;
}

bool sim_blocks_cover(uint64_t addr, uint64_t length, unsigned int gpu)
{
	while (length) {
		struct sim_block *b = blocks;
		uint64_t there;

		while (b && (b->gpu != gpu || addr < b->addr ||
			     addr - b->addr >= b->length))
			b = b->next;
		if (!b)
			return false;
		there = b->length - (addr - b->addr);
		if (there >= length)
			return true;
		addr += there;
		length -= there;
	}
	return true;
}

uint32_t sim_block_other(const struct sim_block *block)
{
	struct sim_block *b;

	for (b = blocks; b; b = b->next) {
		if (b != block && !b->view && b->gpu == block->gpu &&
		    b->length == block->length)
			return b->memory;
	}
	return block->memory;
}

static bool table_grow(void)
{
	size_t room = allocs.room ? allocs.room * 2 : 64;
	struct sim_alloc **v;

	if (allocs.count < allocs.room)
		return true;
	v = realloc(allocs.v, room * sizeof(struct sim_alloc *));
	if (!v)
		return false;
	allocs.v = v;
	allocs.room = room;
	return true;
}

/* Whether an allocation may be carved from the block. */
static bool block_suits(const struct sim_block *block,
			const struct sim_alloc *alloc)
{
	return block->shared && block->gpu == sim.gpu[alloc->ctx->dev] &&
	       block->pool == (alloc->kind == SIM_POOL);
}

static void table_insert(struct sim_alloc *alloc)
{
	size_t above = alloc_above(alloc->addr);

	memmove(&allocs.v[above + 1], &allocs.v[above],
		(allocs.count - above) * sizeof(struct sim_alloc *));
	allocs.v[above] = alloc;
	allocs.count++;
}

static int block_create(const struct sim_alloc *alloc, bool shared,
			struct sim_block **out)
{
	uint64_t size = alloc->size;
	struct sim_block *b;
	int err;

	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->length = (size + SIM_BLOCK_SIZE - 1) & ~(SIM_BLOCK_SIZE - 1);
	b->gpu = sim.gpu[alloc->ctx->dev];
	b->pool = alloc->kind == SIM_POOL;
	b->shared = shared;
	err = sim.store->alloc(b);
	if (err) {
		free(b);
		return err;
	}
	b->next = blocks;
	blocks = b;
	*out = b;
	return 0;
}

static void block_destroy(struct sim_block *block)
{
	struct sim_block **at;

	for (at = &blocks; *at != block; at = &(*at)->next)
		;
	*at = block->next;
	sim.store->free(block);
	free(block);
}

/* The link after which an allocation of that size fits, or NULL. */
static struct sim_alloc **block_gap(struct sim_block *block, uint64_t size,
				    uint64_t *addr)
{
	struct sim_alloc **at = &block->first;
	uint64_t end;

	*addr = block->addr;
	for (; *at; at = &(*at)->next) {
		if ((*at)->addr - *addr >= size)
			return at;
		end = (*at)->addr + (*at)->size;
		*addr = (end + SIM_ALLOC_ALIGN - 1) & ~(SIM_ALLOC_ALIGN - 1);
	}
	end = block->addr + block->length;
	return *addr <= end && end - *addr >= size ? at : NULL;
}

static int place(struct sim_alloc *alloc)
{
	bool shared = alloc->size < SIM_SHARED_LIMIT;
	struct sim_alloc **at = NULL;
	struct sim_block *b = NULL;
	int err;

	if (shared) {
		for (b = blocks; b; b = b->next) {
			if (!block_suits(b, alloc))
				continue;
			at = block_gap(b, alloc->size, &alloc->addr);
			if (at)
				break;
		}
	}
	if (!b) {
		err = block_create(alloc, shared, &b);
		if (err)
			return err;
		at = &b->first;
		alloc->addr = b->addr;
	}
	alloc->block = b;
	alloc->next = *at;
	*at = alloc;

	table_insert(alloc);
	return 0;
}

void sim_memory_remove(struct sim_alloc *alloc)
{
	struct sim_block *b = alloc->block;
	size_t index = alloc_above(alloc->addr) - 1;
	struct sim_alloc **at;

	allocs.count--;
	memmove(&allocs.v[index], &allocs.v[index + 1],
		(allocs.count - index) * sizeof(struct sim_alloc *));
	for (at = &b->first; *at != alloc; at = &(*at)->next)
		;
	*at = alloc->next;
	free(alloc);
	if (!b->first)
		block_destroy(b);
}

bool sim_memory_add(struct sim_block *view, struct sim_alloc *alloc)
{
	if (!table_grow())
		return false;
	view->next = blocks;
	blocks = view;
	view->first = alloc;
	alloc->block = view;
	alloc->addr = view->addr;
	alloc->size = view->length;
	alloc->id = ++sim.last_id;
	table_insert(alloc);
	return true;
}

/* What is mapped belongs to no context. */
void sim_memory_clear(CUcontext ctx)
{
	for (size_t i = allocs.count; i-- > 0;) {
		if (allocs.v[i]->ctx == ctx)
			sim_memory_remove(allocs.v[i]);
	}
}

/* With sim.lock held for writing. */
CUresult sim_memory_alloc(CUcontext ctx, CUmemoryPool pool, size_t size,
			  CUdeviceptr *addr)
{
	struct sim_alloc *alloc;
	struct sim_usage usage;
	int err;

	err = sim.store->usage(sim.gpu[ctx->dev], &usage);
	if (err)
		return sim_result(err);
	/* Also keeps the rounding below from overflowing. */
	if (size > usage.total)
		return CUDA_ERROR_OUT_OF_MEMORY;
	alloc = calloc(1, sizeof(*alloc));
	if (!alloc)
		return CUDA_ERROR_OUT_OF_MEMORY;
	alloc->kind = pool ? SIM_POOL : SIM_PLAIN;
	alloc->pool = pool;
	alloc->size = size;
	alloc->ctx = ctx;
	err = table_grow() ? place(alloc) : -ENOMEM;
	if (err) {
		free(alloc);
		return sim_result(err);
	}
	alloc->id = ++sim.last_id;
	*addr = alloc->addr;
	return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *addr, size_t size)
{
	CUcontext ctx;
	CUresult result = sim_null_stream_wait_current();

	if (!result)
		result = sim_lock_write(&ctx);
	if (result)
		return result;
	result = addr && size ? sim_memory_alloc(ctx, NULL, size, addr)
			      : CUDA_ERROR_INVALID_VALUE;
	sim_unlock();
	return result;
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *addr, size_t *pitch, size_t width,
			    size_t height, unsigned int element)
{
	CUresult result = sim_ready();
	size_t row, size;

	if (result)
		return result;
	if (!pitch || (element != 4 && element != 8 && element != 16) ||
	    __builtin_add_overflow(width, PITCH_ALIGN - 1, &row))
		return CUDA_ERROR_INVALID_VALUE;
	row &= ~(PITCH_ALIGN - 1);
	if (__builtin_mul_overflow(row, height, &size))
		return CUDA_ERROR_INVALID_VALUE;
	result = cuMemAlloc_v2(addr, size);
	if (!result)
		*pitch = row;
	return result;
}

CUresult sim_memory_wait(uint64_t addr)
{
	CUresult result = sim_ready();
	const struct sim_alloc *alloc;
	const struct sim_host *host;
	CUcontext ctx = NULL;

	if (result)
		return result;
	pthread_rwlock_rdlock(&sim.lock);
	alloc = sim_alloc_find(addr);
	host = alloc ? NULL : sim_host_find(addr);
	if (alloc || host)
		ctx = alloc ? alloc->ctx : host->ctx;
	sim_unlock();
	/* Memory that is mapped belongs to none. */
	if (ctx)
		sim_kernel_wait(ctx);
	return CUDA_SUCCESS;
}

/* There need be no current context, and no memory at 0. */
CUresult cuMemFree_v2(CUdeviceptr addr)
{
	CUresult result = sim_memory_wait(addr);
	struct sim_alloc *alloc;

	if (result || !addr)
		return result;
	pthread_rwlock_wrlock(&sim.lock);
	alloc = sim_alloc_find(addr);
	if (!alloc)
		result = sim_managed_free(addr);
	else if (alloc->addr == addr && alloc->kind != SIM_VMM)
		sim_memory_remove(alloc);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	sim_unlock();
	return result;
}

/*
 * Gives what was asked for, not the block that holds it; of mapped memory, the
 * one mapping that the address is in.
 */
CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size,
				 CUdeviceptr addr)
{
	CUresult result = sim_lock_read(NULL);
	struct sim_alloc *alloc;
	struct sim_host *host;

	if (result)
		return result;
	alloc = sim_alloc_find(addr);
	host = alloc ? NULL : sim_managed_range(addr, 1);
	if (!alloc && !host)
		result = CUDA_ERROR_NOT_FOUND;
	if (!result && base)
		*base = alloc ? alloc->addr : host->addr;
	if (!result && size)
		*size = alloc ? alloc->size : host->size;
	sim_unlock();
	return result;
}

CUresult cuMemGetInfo_v2(size_t *unused, size_t *total)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);
	struct sim_usage usage;

	if (result)
		return result;
	result = CUDA_ERROR_INVALID_VALUE;
	if (unused && total)
		result =
			sim_result(sim.store->usage(sim.gpu[ctx->dev], &usage));
	sim_unlock();
	if (result)
		return result;
	*unused = usage.total - usage.used;
	*total = usage.total;
	return CUDA_SUCCESS;
}
