/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Every difference between the kernels that the emulator builds for, and
 * nothing else.
 */
#ifndef EMU_COMPAT_H
#define EMU_COMPAT_H

#include <linux/device.h>
#include <linux/mm.h>
#include <linux/version.h>

/* 6.2: the device that a class's devnode callback gets became const. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define EMU_DEVNODE_DEVICE const struct device
#else
#define EMU_DEVNODE_DEVICE struct device
#endif

/* 6.3: vm_flags became read-only, with functions to change them. */
static inline void emu_vm_flags_set(struct vm_area_struct *vma,
				    unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

static inline void emu_vm_flags_clear(struct vm_area_struct *vma,
				      unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* 7.3 knows is_cow_mapping() by other names. */
static inline bool emu_vma_is_cow(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

/* 6.13: a namespace is a string. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define EMU_IMPORT_DMA_BUF MODULE_IMPORT_NS("DMA_BUF")
#else
#define EMU_IMPORT_DMA_BUF MODULE_IMPORT_NS(DMA_BUF)
#endif

/* 6.4: class_create() lost its module. */
static inline struct class *emu_class_create(const char *name)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return class_create(name);
#else
	return class_create(THIS_MODULE, name);
#endif
}

#endif /* EMU_COMPAT_H */
