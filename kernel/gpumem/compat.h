/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* Every difference between kernel versions, and nothing else. */
#ifndef GPUMEM_COMPAT_H
#define GPUMEM_COMPAT_H

#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/iommu-dma.h>
#endif

/*
 * Flags of a VMA that mmap() is still making: nobody else sees it, so it needs no
 * lock. Since 6.3 they change only through helpers, and the one that locks is
 * GPL-only since 6.15.
 */
static inline void gpumem_vm_flags_mod(struct vm_area_struct *vma,
				       vm_flags_t set, vm_flags_t clear)
{
	vm_flags_t flags = (vma->vm_flags | set) & ~clear;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	vma->vm_flags = flags;
#else
	vm_flags_init(vma, flags);
#endif
}

/*
 * True if the kernel gives the device physical addresses: there is no IOMMU, or it
 * passes everything through (iommu=pt). With CONFIG_DMA_OPS_BYPASS the kernel
 * decides that anew for each mapping. Since 6.12 the common IOMMU code has no
 * operations of the device's own.
 */
static inline bool gpumem_dma_is_direct(struct device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	if (use_dma_iommu(dev))
		return false;
#endif
	return IS_ENABLED(CONFIG_DMA_OPS_BYPASS) || !get_dma_ops(dev);
}

#ifdef GPUMEM_GPL
#include <linux/dma-buf.h>
#include <linux/eventfd.h>

/* Since 6.8 an eventfd is signalled by one. */
static inline void gpumem_eventfd_signal(struct eventfd_ctx *event)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(event, 1);
#else
	eventfd_signal(event);
#endif
}

/* Since 6.10 a trace string's source is given once, where it is declared. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define gpumem_assign_str(dst, src) __assign_str(dst, src)
#else
#define gpumem_assign_str(dst, src) __assign_str(dst)
#endif

/* Since 6.13 a namespace is a string. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define GPUMEM_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#else
#define GPUMEM_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#endif

/* 7.1 renamed dma_buf_move_notify(), and move_notify of an importer with it. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define dma_buf_invalidate_mappings(dmabuf) dma_buf_move_notify(dmabuf)
#endif

/*
 * Up to 7.0, without CONFIG_DMABUF_MOVE_NOTIFY, the core calls pin() for every
 * mapping that a dynamic importer makes, but move_notify still reaches it.
 */
static inline bool gpumem_pin_is_map(const struct dma_buf_attachment *attach)
{
	return LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0) &&
	       !IS_ENABLED(CONFIG_DMABUF_MOVE_NOTIFY) && attach->importer_ops;
}

/*
 * Since 7.1 an importer that pins may all the same be told to let go, and some can;
 * before, one that pins counts on not being told.
 */
static inline bool gpumem_attach_revocable(struct dma_buf_attachment *attach)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
	return dma_buf_attach_revocable(attach);
#else
	return false;
#endif
}

/* Since 7.1 a dynamic importer need not be able to be told at all. */
static inline bool gpumem_attach_deaf(struct dma_buf_attachment *attach)
{
	return LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0) &&
	       !gpumem_attach_revocable(attach);
}
#endif

/*
 * Large PTEs of memory without struct pages are safe (from get_user_pages())
 * since 6.12, on architectures that say so; their insertion is GPL-only.
 */
#if defined(GPUMEM_GPL) && defined(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP) && \
	LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define GPUMEM_HUGE_PFNMAP
#include <linux/huge_mm.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#endif

/* Since 6.17 page frame numbers have no type of their own. */
static inline vm_fault_t gpumem_insert_pmd(struct vm_fault *vmf,
					   unsigned long pfn)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV),
				  vmf->flags & FAULT_FLAG_WRITE);
#else
	return vmf_insert_pfn_pmd(vmf, pfn, vmf->flags & FAULT_FLAG_WRITE);
#endif
}
#endif

/*
 * Where memory is encrypted (SME, SEV, TDX) that of a device is not: the CPU is to
 * leave it alone. What tells so is GPL-only.
 */
static inline pgprot_t gpumem_pgprot_device(pgprot_t prot)
{
#ifdef GPUMEM_GPL
	return pgprot_decrypted(prot);
#else
	return prot;
#endif
}

/* pgprot_writecombine() is GPL-only on x86. */
static inline pgprot_t gpumem_pgprot_wc(pgprot_t prot)
{
	prot = gpumem_pgprot_device(prot);
#ifdef CONFIG_X86
	return __pgprot((pgprot_val(prot) & ~_PAGE_CACHE_MASK) |
			cachemode2protval(_PAGE_CACHE_MODE_WC));
#else
	return pgprot_writecombine(prot);
#endif
}

#endif /* GPUMEM_COMPAT_H */
