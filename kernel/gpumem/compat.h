/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
/* Every difference between kernel versions, and nothing else. */
#ifndef GPUMEM_COMPAT_H
#define GPUMEM_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

/* Since 6.3 vm_flags changes only through helpers. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set,
				vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

/* pgprot_writecombine() is GPL-only on x86. */
static inline pgprot_t gpumem_pgprot_wc(pgprot_t prot)
{
#ifdef CONFIG_X86
	unsigned long bits = pgprot_val(prot) & ~_PAGE_CACHE_MASK;

	return __pgprot(bits | cachemode2protval(_PAGE_CACHE_MODE_WC));
#else
	return pgprot_writecombine(prot);
#endif
}

#endif /* GPUMEM_COMPAT_H */
