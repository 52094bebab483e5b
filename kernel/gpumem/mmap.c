// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/*
 * User mappings of a pin. mmap() inserts nothing: the VMA becomes visible to
 * unmap_mapping_range() only after mmap() has returned, so pages inserted there
 * could outlive a revocation. The fault handler inserts them, under the pin's
 * lock and only while the pin is live; revocation changes the state under that
 * lock and then zaps.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "compat.h"
#include "gpumem_drv.h"

/* Pages inserted around a fault: one page table's worth. */
#define GPUMEM_FAULT_AROUND PMD_SIZE

static u64 gpumem_mmap_phys(const struct gpumem_pinned *pin, u64 offset)
{
	u64 page = offset >> pin->page_shift;

	return pin->pages[page] + (offset & (BIT_ULL(pin->page_shift) - 1));
}

static vm_fault_t gpumem_mmap_insert(struct vm_area_struct *vma,
				     const struct gpumem_pinned *pin,
				     unsigned long addr)
{
	u64 offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) -
		     gpumem_pin_mmap_offset(pin) + (addr - vma->vm_start);

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

static const struct vm_operations_struct gpumem_mmap_ops = {
	.open = gpumem_mmap_open,
	.close = gpumem_mmap_close,
	.fault = gpumem_mmap_fault,
};

/* Takes every user mapping's pages away; they can come back only by a fault. */
void gpumem_mmap_zap(struct gpumem_pinned *pin)
{
	if (pin->window)
		unmap_mapping_range(pin->file->inode->i_mapping,
				    gpumem_pin_mmap_offset(pin),
				    pin->page_count << pin->page_shift, 1);
}

/*
 * x86 gives a PFN the memory type that is reserved for its physical address,
 * not the one that the VMA asks for, and with none reserved it is uncached. A
 * write-combined kernel mapping of the pages is the reservation that a module
 * may make. Where someone else holds another type the mapping works, with
 * theirs.
 */
#ifdef CONFIG_X86
static u64 gpumem_mmap_run(const struct gpumem_pinned *pin, u64 first)
{
	u64 n = 1;

	while (first + n < pin->page_count &&
	       pin->pages[first + n] ==
		       pin->pages[first] + (n << pin->page_shift))
		n++;
	return n;
}

static int gpumem_mmap_wc_reserve(struct gpumem_pinned *pin)
{
	void __iomem **wc;
	u64 i, runs = 0, n = 0;
	bool mine;

	down_read(&pin->lock);
	mine = !pin->wc;
	up_read(&pin->lock);
	if (!mine)
		return 0;

	for (i = 0; i < pin->page_count; i += gpumem_mmap_run(pin, i))
		runs++;
	wc = kvcalloc(runs, sizeof(*wc), GFP_KERNEL_ACCOUNT);
	if (!wc)
		return -ENOMEM;
	for (i = 0; i < pin->page_count; i += gpumem_mmap_run(pin, i))
		wc[n++] = ioremap_wc(pin->pages[i], gpumem_mmap_run(pin, i)
							    << pin->page_shift);

	down_write(&pin->lock);
	mine = !pin->wc && pin->state == GPUMEM_PIN_LIVE;
	if (mine) {
		pin->wc = wc;
		pin->wc_count = runs;
	}
	up_write(&pin->lock);
	if (!mine) {
		for (i = 0; i < runs; i++)
			if (wc[i])
				iounmap(wc[i]);
		kvfree(wc);
	}
	return 0;
}

void gpumem_mmap_wc_release(struct gpumem_pinned *pin)
{
	u64 i;

	for (i = 0; i < pin->wc_count; i++)
		if (pin->wc[i])
			iounmap(pin->wc[i]);
	kvfree(pin->wc);
	pin->wc = NULL;
	pin->wc_count = 0;
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
		size = BIT_ULL(pin->page_shift);
		for (i = 0; !gpumem_pin_alive(pin) && i < pin->page_count;
		     i++) {
			if (phys < pin->pages[i] ||
			    phys - pin->pages[i] >= size)
				continue;
			*offset =
				(i << pin->page_shift) + (phys - pin->pages[i]);
			run = pin->pages[i] + size - phys;
			for (i++; run < length && i < pin->page_count &&
				  pin->pages[i] == pin->pages[i - 1] + size;
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
	if (end - gpumem_pin_mmap_offset(pin) <= pin->page_count
							 << pin->page_shift)
		return pin;
	gpumem_pin_put(pin);
	return NULL;
}

int gpumem_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct gpumem_file *file = filp->private_data;
	struct gpumem_pinned *pin;
	u64 offset;
	int rc;

	rc = gpumem_file_own(file, false);
	if (rc)
		return rc;
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		return -EINVAL; /* MAP_PRIVATE */
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	pin = gpumem_mmap_find(file, (u64)vma->vm_pgoff << PAGE_SHIFT,
			       vma->vm_end - vma->vm_start, &offset);
	if (!pin)
		return -EPERM;
	rc = gpumem_pin_alive(pin);
	if (!rc)
		rc = gpumem_mmap_wc_reserve(pin);
	if (rc) {
		gpumem_pin_put(pin);
		return rc;
	}

	vma->vm_pgoff = (gpumem_pin_mmap_offset(pin) + offset) >> PAGE_SHIFT;
	vma->vm_page_prot = gpumem_pgprot_wc(vma->vm_page_prot);
	vm_flags_mod(vma,
		     VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND |
			     VM_DONTDUMP,
		     VM_MAYEXEC);
	vma->vm_private_data = pin;
	vma->vm_ops = &gpumem_mmap_ops;
	atomic_inc(&pin->maps);
	return 0;
}
