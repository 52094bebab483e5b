// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Video memory: a pool of 64 KiB pages, page sets taken from it, and the ways
 * to reach their bytes.
 */
#include <linux/bitmap.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "emu.h"
#include "emu_compat.h"

/* What a page that nobody owns is filled with, so that a stale view shows. */
#define EMU_SCRUB 0xdb

#define CPU_PAGES_IN_PAGE (EMU_PAGE >> PAGE_SHIFT)

static bool map_device;
module_param(map_device, bool, 0644);
MODULE_PARM_DESC(
	map_device,
	"new mappings of the driver's are Device memory, as on arm64 in a virtual machine");

static unsigned long long bar1_size;
module_param(bar1_size, ullong, 0644);
MODULE_PARM_DESC(bar1_size,
		 "bytes of BAR1 for pins and RM maps (0: as much as needed)");

static bool contiguous;
module_param(contiguous, bool, 0644);
MODULE_PARM_DESC(contiguous,
		 "new blocks are one run of video memory, aligned to 2 MiB");

static DEFINE_MUTEX(pool_lock);
static unsigned long *pool_used; /* a bit a page */
static u64 pool_pages;
static u64 pool_free;
static struct rnd_state pool_rnd;

/* emu_lock */
static u64 bar1_used;

int emu_vram_init(void)
{
	pool_pages = emu_gpu.size / EMU_PAGE;
	pool_free = pool_pages;
	pool_used = bitmap_zalloc(pool_pages, GFP_KERNEL);
	if (!pool_used)
		return -ENOMEM;
	/* The same order at every start: a failing test fails again. */
	prandom_seed_state(&pool_rnd, 0x67707565);
	bar1_used = 0;
	return 0;
}

void emu_vram_exit(void)
{
	bitmap_free(pool_used);
	pool_used = NULL;
}

u64 emu_vram_free_pages(void)
{
	u64 pages;

	mutex_lock(&pool_lock);
	pages = pool_free;
	mutex_unlock(&pool_lock);
	return pages;
}

static u32 pool_below(u32 limit)
{
	lockdep_assert_held(&pool_lock);
	return reciprocal_scale(prandom_u32_state(&pool_rnd), limit);
}

static void pool_shuffle(u32 *index, u32 count)
{
	u32 i, other;

	for (i = count; i > 1; i--) {
		other = pool_below(i);
		swap(index[i - 1], index[other]);
	}
}

/* A random choice of count free pages, in rising order. */
static void pool_choose(u32 *index, u32 count)
{
	u64 left = pool_free;
	u32 got = 0;
	u32 page;

	for (page = 0; got < count; page++) {
		page = find_next_zero_bit(pool_used, pool_pages, page);
		if (pool_below(left--) < count - got)
			index[got++] = page;
	}
}

/*
 * Puts a rising list of an even number of pages, four or more, into an order in
 * which no two that follow each other are neighbours in video memory. The
 * shuffled lower half and the shuffled upper half alternate. Only the highest of
 * the lower half and the lowest of the upper half can be neighbours: those two
 * go to the two ends.
 */
static void pool_scatter(u32 *index, const u32 *rising, u32 count, u32 *work)
{
	u32 half = count / 2;
	u32 *low = work;
	u32 *high = work + half;
	u32 i;

	memcpy(work, rising, count * sizeof(*work));
	swap(low[0], low[half - 1]);
	pool_shuffle(low + 1, half - 1);
	swap(high[0], high[half - 1]);
	pool_shuffle(high, half - 1);
	for (i = 0; i < half; i++) {
		index[2 * i] = low[i];
		index[2 * i + 1] = high[i];
	}
}

/* The pages of a new block, in its order. False: there is no such run. */
static bool pool_take(u32 *index, u32 count, u32 *work)
{
	const unsigned long align = EMU_BLOCK_ALIGN / EMU_PAGE;
	unsigned long first;
	u32 i;

	lockdep_assert_held(&pool_lock);
	if (READ_ONCE(contiguous)) {
		first = bitmap_find_next_zero_area(pool_used, pool_pages, 0,
						   count, align - 1);
		if (first >= pool_pages)
			return false;
		for (i = 0; i < count; i++)
			index[i] = first + i;
	} else {
		pool_choose(work, count);
		pool_scatter(index, work, count, work + count);
	}
	for (i = 0; i < count; i++)
		__set_bit(index[i], pool_used);
	pool_free -= count;
	return true;
}

struct emu_mem *emu_mem_alloc(u64 pages)
{
	struct emu_mem *mem = ERR_PTR(-ENOMEM);
	u32 *work;

	if (WARN_ON_ONCE(pages < 4 || pages % 2))
		return ERR_PTR(-EINVAL);
	if (pages > pool_pages)
		return ERR_PTR(-ENOMEM);
	work = kvmalloc_array(pages, 2 * sizeof(*work), GFP_KERNEL_ACCOUNT);
	if (!work)
		return ERR_PTR(-ENOMEM);

	mutex_lock(&pool_lock);
	if (pages > pool_free)
		goto out;
	mem = kvzalloc(struct_size(mem, index, pages), GFP_KERNEL_ACCOUNT);
	if (!mem || !emu_user_get()) {
		kvfree(mem);
		mem = ERR_PTR(-ENOMEM);
		goto out;
	}
	if (!pool_take(mem->index, pages, work)) {
		emu_user_put();
		kvfree(mem);
		mem = ERR_PTR(-ENOMEM);
		goto out;
	}
	kref_init(&mem->ref);
	mem->pages = pages;
out:
	mutex_unlock(&pool_lock);
	kvfree(work);
	return mem;
}

static void emu_mem_release(struct kref *ref)
{
	struct emu_mem *mem = container_of(ref, struct emu_mem, ref);
	u64 i;

	for (i = 0; i < mem->pages; i++) {
		memset_io(emu_gpu.vram + mem->index[i] * EMU_PAGE, EMU_SCRUB,
			  EMU_PAGE);
		cond_resched();
	}
	mutex_lock(&pool_lock);
	for (i = 0; i < mem->pages; i++)
		WARN_ON_ONCE(!__test_and_clear_bit(mem->index[i], pool_used));
	pool_free += mem->pages;
	mutex_unlock(&pool_lock);
	kvfree(mem);
	emu_user_put();
}

struct emu_mem *emu_mem_get(struct emu_mem *mem)
{
	kref_get(&mem->ref);
	return mem;
}

void emu_mem_put(struct emu_mem *mem)
{
	if (mem)
		kref_put(&mem->ref, emu_mem_release);
}

u64 emu_mem_offset(const struct emu_mem *mem, u64 at)
{
	return mem->index[at / EMU_PAGE] * EMU_PAGE + at % EMU_PAGE;
}

int emu_mem_copy(struct emu_mem *mem, u64 at, void __user *user, u64 length,
		 bool to_user)
{
	void *bounce;
	int ret = 0;

	bounce = kvmalloc(EMU_PAGE, GFP_KERNEL_ACCOUNT);
	if (!bounce)
		return -ENOMEM;

	while (length) {
		u64 part = min(length, EMU_PAGE - at % EMU_PAGE);
		void __iomem *vram = emu_gpu.vram + emu_mem_offset(mem, at);

		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		ret = -EFAULT;
		if (to_user) {
			memcpy_fromio(bounce, vram, part);
			if (copy_to_user(user, bounce, part))
				break;
		} else {
			if (copy_from_user(bounce, user, part))
				break;
			memcpy_toio(vram, bounce, part);
		}
		ret = 0;
		at += part;
		user += part;
		length -= part;
		cond_resched();
	}
	/* Write-combined stores must be in video memory when the call ends. */
	wmb();
	kvfree(bounce);
	return ret;
}

vm_fault_t emu_mem_fault(struct emu_mem *mem, u64 at, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	u64 page = (emu_gpu.base + emu_mem_offset(mem, at)) >> PAGE_SHIFT;
	unsigned long in_page = (at % EMU_PAGE) >> PAGE_SHIFT;
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long back = (addr - vma->vm_start) >> PAGE_SHIFT;
	unsigned long ahead = (vma->vm_end - addr) >> PAGE_SHIFT;
	unsigned long first = in_page - min(in_page, back);
	unsigned long end =
		min((unsigned long)CPU_PAGES_IN_PAGE, in_page + ahead);
	vm_fault_t ret;
	unsigned long i;

	ret = vmf_insert_pfn(vma, addr, page);
	if (ret != VM_FAULT_NOPAGE)
		return ret;

	for (i = first; i < end; i++) {
		long step = (long)i - (long)in_page;

		if (vmf_insert_pfn(vma, addr + step * (long)PAGE_SIZE,
				   page + step) != VM_FAULT_NOPAGE)
			break;
	}
	return VM_FAULT_NOPAGE;
}

int emu_vma_prepare(struct vm_area_struct *vma)
{
	if (emu_vma_is_cow(vma))
		return -EINVAL;
	emu_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = READ_ONCE(map_device)
				    ? pgprot_noncached(vma->vm_page_prot)
				    : pgprot_writecombine(vma->vm_page_prot);
	return 0;
}

bool emu_bar1_take(u64 bytes)
{
	u64 limit = READ_ONCE(bar1_size);
	u64 sum;

	lockdep_assert_held(&emu_lock);
	if (check_add_overflow(bar1_used, bytes, &sum))
		return false;
	if (limit && sum > limit)
		return false;
	bar1_used = sum;
	return true;
}

void emu_bar1_give(u64 bytes)
{
	lockdep_assert_held(&emu_lock);
	bar1_used -= bytes;
}
