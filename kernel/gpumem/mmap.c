// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * User mappings of a pin. mmap() inserts nothing: the VMA becomes visible to
 * unmap_mapping_range() only after mmap() has returned, so pages inserted there
 * could outlive a revocation. The fault handler inserts them, under the pin's
 * lock and only while the pin is live; revocation changes the state under that
 * lock and then zaps.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "compat.h"
#include "gpumem_drv.h"
#include "trace.h"

/* Pages inserted around a fault: with pages of 4 KiB, one page table's worth. */
#define GPUMEM_FAULT_AROUND SZ_2M

static u64 gpumem_mmap_phys(const struct gpumem_pinned *pin, u64 offset)
{
	u64 page = offset >> pin->set.shift;

	return pin->set.addr[page] + (offset & (BIT_ULL(pin->set.shift) - 1));
}

/* Offset in the pin of an address in a VMA of the device node or of a dma-buf. */
static u64 gpumem_mmap_offset(const struct vm_area_struct *vma,
			      unsigned long addr)
{
	u64 offset =
		((u64)vma->vm_pgoff << PAGE_SHIFT) + (addr - vma->vm_start);

	return offset & (GPUMEM_PIN_MAX_LENGTH - 1);
}

static vm_fault_t gpumem_mmap_insert(struct vm_area_struct *vma,
				     const struct gpumem_pinned *pin,
				     unsigned long addr)
{
	u64 offset = gpumem_mmap_offset(vma, addr);

	return vmf_insert_pfn(vma, addr,
			      PHYS_PFN(gpumem_mmap_phys(pin, offset)));
}

static vm_fault_t gpumem_mmap_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct gpumem_pinned *pin = vma->vm_private_data;
	unsigned long addr, end;
	vm_fault_t ret;

	down_read(&pin->lock);
	if (pin->state != GPUMEM_PIN_LIVE) {
		up_read(&pin->lock);
		return VM_FAULT_SIGBUS;
	}
	ret = gpumem_mmap_insert(vma, pin, vmf->address & PAGE_MASK);
	if (ret == VM_FAULT_NOPAGE) {
		addr = max(vma->vm_start,
			   ALIGN_DOWN(vmf->address, GPUMEM_FAULT_AROUND));
		end = min(vma->vm_end,
			  ALIGN_DOWN(vmf->address, GPUMEM_FAULT_AROUND) +
				  GPUMEM_FAULT_AROUND);
		for (; addr < end; addr += PAGE_SIZE)
			if (gpumem_mmap_insert(vma, pin, addr) !=
			    VM_FAULT_NOPAGE)
				break;
	}
	up_read(&pin->lock);
	return ret;
}

static void gpumem_mmap_open(struct vm_area_struct *vma)
{
	struct gpumem_pinned *pin = vma->vm_private_data;

	gpumem_pin_get(pin);
	atomic_inc(&pin->maps);
}

static void gpumem_mmap_close(struct vm_area_struct *vma)
{
	struct gpumem_pinned *pin = vma->vm_private_data;

	atomic_dec(&pin->maps);
	gpumem_pin_put(pin);
}

/*
 * ptrace() and /proc/PID/mem. The kernel's own helper is GPL-only and knows
 * nothing of revocation.
 */
static int gpumem_mmap_access(struct vm_area_struct *vma, unsigned long addr,
			      void *buf, int len, int write)
{
	struct gpumem_pinned *pin = vma->vm_private_data;
	unsigned long in_page = offset_in_page(addr);
	void __iomem *page;
	u64 phys;
	int rc = -EIO;

	/* The caller has not looked: a debugger may do what the process may. */
	if (!(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EIO;
	len = min_t(unsigned long, len, PAGE_SIZE - in_page);
	down_read(&pin->lock);
	if (pin->state != GPUMEM_PIN_LIVE)
		goto out_unlock;
	phys = gpumem_mmap_phys(pin, gpumem_mmap_offset(vma, addr - in_page));
	page = gpumem_map_page(&pin->set, phys);
	if (!page)
		goto out_unlock;
	if (write)
		memcpy_toio(page + in_page, buf, len);
	else
		memcpy_fromio(buf, page + in_page, len);
	gpumem_map_page_end(&pin->set, page);
	rc = len;
out_unlock:
	up_read(&pin->lock);
	return rc;
}

#ifdef GPUMEM_HUGE_PFNMAP
/* One entry for 2 MiB, where VMA, pin and physical addresses are all aligned. */
static vm_fault_t gpumem_mmap_huge_fault(struct vm_fault *vmf,
					 unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct gpumem_pinned *pin = vma->vm_private_data;
	unsigned long addr = vmf->address & PMD_MASK;
	vm_fault_t ret = VM_FAULT_FALLBACK;
	u64 offset, phys, i;

	if (order != PMD_ORDER || addr < vma->vm_start ||
	    addr + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	down_read(&pin->lock);
	if (pin->state != GPUMEM_PIN_LIVE) {
		ret = VM_FAULT_SIGBUS;
		goto out_unlock;
	}
	offset = gpumem_mmap_offset(vma, addr);
	phys = gpumem_mmap_phys(pin, offset);
	if (!IS_ALIGNED(phys, PMD_SIZE))
		goto out_unlock;
	for (i = PAGE_SIZE; i < PMD_SIZE; i += BIT_ULL(pin->set.shift))
		if (gpumem_mmap_phys(pin, offset + i) != phys + i)
			goto out_unlock;
	ret = gpumem_insert_pmd(vmf, PHYS_PFN(phys));
out_unlock:
	up_read(&pin->lock);
	return ret;
}
#endif

static const struct vm_operations_struct gpumem_mmap_ops = {
	.open = gpumem_mmap_open,
	.close = gpumem_mmap_close,
	.fault = gpumem_mmap_fault,
	.access = gpumem_mmap_access,
#ifdef GPUMEM_HUGE_PFNMAP
	.huge_fault = gpumem_mmap_huge_fault,
#endif
};

/* Takes every user mapping's pages away; they can come back only by a fault. */
void gpumem_mmap_zap(struct gpumem_pinned *pin)
{
	if (pin->window)
		unmap_mapping_range(gpumem_space(), gpumem_pin_mmap_offset(pin),
				    gpumem_pin_bytes(pin), 1);
}

/*
 * x86 gives a PFN the memory type that is reserved for its physical address,
 * not the one that the VMA asks for, and with none reserved it is uncached. Where
 * someone else holds another type the mapping works, with theirs.
 *
 * One for each run of pages: one for all between the first and the last would
 * reserve what is not ours. It ends with the pin, not with its last VMA: the
 * pages are the next owner's then.
 */
#ifdef CONFIG_X86
static void gpumem_mmap_wc_free(struct gpumem_wc_run *wc, u64 count)
{
	u64 i;

	for (i = 0; i < count; i++) {
		if (wc[i].size)
			arch_io_free_memtype_wc(wc[i].start, wc[i].size);
		cond_resched();
	}
	kvfree(wc);
}

static int gpumem_mmap_wc_reserve(struct gpumem_pinned *pin)
{
	const struct gpumem_page_set *set = &pin->set;
	struct gpumem_wc_run *wc;
	u64 page, runs = 0, n = 0;
	bool mine;

	down_read(&pin->lock);
	mine = !pin->wc;
	up_read(&pin->lock);
	if (!mine)
		return 0;

	for (page = 0; page < set->count;
	     page += gpumem_set_run(set, page, U64_MAX))
		runs++;
	wc = kvcalloc(runs, sizeof(*wc), GFP_KERNEL_ACCOUNT);
	if (!wc)
		return -ENOMEM;
	for (page = 0; page < set->count;
	     page += gpumem_set_run(set, page, U64_MAX)) {
		wc[n].start = set->addr[page];
		wc[n].size = gpumem_set_run(set, page, U64_MAX) << set->shift;
		if (arch_io_reserve_memtype_wc(wc[n].start, wc[n].size))
			wc[n].size = 0;
		n++;
		cond_resched();
	}

	down_write(&pin->lock);
	mine = !pin->wc && pin->state == GPUMEM_PIN_LIVE;
	if (mine) {
		pin->wc = wc;
		pin->wc_count = runs;
	}
	up_write(&pin->lock);
	if (!mine)
		gpumem_mmap_wc_free(wc, runs);
	return 0;
}

/* Once the pin is not live any more, and its mappings show nothing. */
void gpumem_mmap_wc_release(struct gpumem_pinned *pin)
{
	struct gpumem_wc_run *wc;
	u64 count;

	down_write(&pin->lock);
	wc = pin->wc;
	count = pin->wc_count;
	pin->wc = NULL;
	pin->wc_count = 0;
	up_write(&pin->lock);
	gpumem_mmap_wc_free(wc, count);
}
#else
static int gpumem_mmap_wc_reserve(struct gpumem_pinned *pin)
{
	return 0;
}

void gpumem_mmap_wc_release(struct gpumem_pinned *pin)
{
}
#endif

/*
 * The original interface: the offset is a physical address. The pages must
 * follow each other in one live pin of this file; *offset becomes their offset
 * in that pin.
 */
static struct gpumem_pinned *gpumem_mmap_find_phys(struct gpumem_file *file,
						   u64 phys, u64 length,
						   u64 *offset)
{
	struct gpumem_pinned *pin;
	unsigned long id = 0;

	for (;;) {
		u64 i, size, run;

		xa_lock(&file->pins);
		pin = xa_find(&file->pins, &id, ULONG_MAX, XA_PRESENT);
		if (pin)
			kref_get(&pin->ref);
		xa_unlock(&file->pins);
		if (!pin)
			return NULL;
		size = BIT_ULL(pin->set.shift);
		for (i = 0; !gpumem_pin_alive(pin) && i < pin->set.count; i++) {
			if (phys < pin->set.addr[i] ||
			    phys - pin->set.addr[i] >= size)
				continue;
			*offset = (i << pin->set.shift) +
				  (phys - pin->set.addr[i]);
			run = pin->set.addr[i] + size - phys;
			for (i++;
			     run < length && i < pin->set.count &&
			     pin->set.addr[i] == pin->set.addr[i - 1] + size;
			     i++)
				run += size;
			if (run >= length)
				return pin;
			break;
		}
		gpumem_pin_put(pin);
		id++;
	}
}

static struct gpumem_pinned *
gpumem_mmap_find(struct gpumem_file *file, u64 start, u64 length, u64 *offset)
{
	struct gpumem_pinned *pin;
	u64 end;

	if (check_add_overflow(start, length, &end))
		return NULL;
	pin = gpumem_pin_find_window(file, start);
	if (!pin)
		return gpumem_mmap_find_phys(file, start, length, offset);
	*offset = start - gpumem_pin_mmap_offset(pin);
	if (end - gpumem_pin_mmap_offset(pin) <= pin->set.count
							 << pin->set.shift)
		return pin;
	gpumem_pin_put(pin);
	return NULL;
}

/* The same for the device node and dma-bufs; takes over a reference to the pin. */
static int gpumem_mmap_setup(struct gpumem_pinned *pin,
			     struct vm_area_struct *vma, u64 offset)
{
	int rc;

	rc = gpumem_pin_alive(pin);
	if (!rc && pin->set.map_type == GPUMEM_MAP_WRITE_COMBINED)
		rc = gpumem_mmap_wc_reserve(pin);
	if (rc) {
		gpumem_pin_put(pin);
		return rc;
	}
	vma->vm_page_prot = gpumem_map_pgprot(&pin->set, vma->vm_page_prot);
	gpumem_vm_flags_mod(vma,
			    VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND |
				    VM_DONTDUMP,
			    VM_MAYEXEC);
	vma->vm_private_data = pin;
	vma->vm_ops = &gpumem_mmap_ops;
	atomic_inc(&pin->maps);
	trace_gpumem_map(pin, offset, vma->vm_end - vma->vm_start);
	return 0;
}

static int gpumem_mmap_check(const struct vm_area_struct *vma)
{
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL; /* MAP_PRIVATE */
	return vma->vm_flags & VM_EXEC ? -EPERM : 0;
}

int gpumem_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct gpumem_file *file = filp->private_data;
	struct gpumem_pinned *pin;
	u64 offset;
	int rc;

	rc = gpumem_file_own(file);
	if (!rc)
		rc = gpumem_mmap_check(vma);
	if (rc)
		return rc;
	pin = gpumem_mmap_find(file, (u64)vma->vm_pgoff << PAGE_SHIFT,
			       vma->vm_end - vma->vm_start, &offset);
	if (!pin)
		return -EPERM;
	/* The original interface's offsets become the pin's own. */
	vma->vm_pgoff = (gpumem_pin_mmap_offset(pin) + offset) >> PAGE_SHIFT;
	return gpumem_mmap_setup(pin, vma, offset);
}

/* mmap() of a dma-buf, which has checked the range against its size. */
int gpumem_mmap_export(struct gpumem_pinned *pin, struct vm_area_struct *vma)
{
	int rc;

	rc = gpumem_mmap_check(vma);
	if (rc)
		return rc;
	gpumem_pin_get(pin);
	return gpumem_mmap_setup(pin, vma, (u64)vma->vm_pgoff << PAGE_SHIFT);
}
