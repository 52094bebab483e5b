/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
/*
 * The objects of gpumem.ko and who may touch them.
 *
 * Locks, outermost first:
 *   mmap_lock (the kernel's)
 *   gpumem_p2p_tables	in p2p.c, around the driver's calls that make or end a
 *			page table; never taken by what the driver calls
 *   the NVIDIA driver's locks, which it holds around gpumem_pin_revoke()
 *   gpumem_pinned.lock	state and table of one pin; PTEs of the pin are inserted
 *			under it for reading, and only while the pin is live
 *   i_mmap_rwsem	inside unmap_mapping_range(), taken with none of ours
 *   xa_lock		of gpumem_file.pins and of the windows
 *
 * The NVIDIA driver is never called with one of our other locks held, and user
 * memory is never touched with gpumem_pinned.lock held: a fault takes that lock
 * inside mmap_lock.
 *
 * No GPL-only kernel symbol is used, so that the module also loads beside the
 * proprietary flavour of the NVIDIA driver.
 */
#ifndef GPUMEM_DRV_H
#define GPUMEM_DRV_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>
#include <linux/gpumem.h>

#define GPUMEM_RELEASE "0.1.0"

/* GPU addresses are pinned in units of this, whatever the page size is. */
#define GPUMEM_GPU_PAGE_SIZE SZ_64K

struct nvidia_p2p_page_table;

/**
 * struct gpumem_file - one open file of /dev/gpumem
 * @ref:	one for the open file, one for each pin that exists
 * @inode:	the node it was opened by, whose mapping its VMAs hang in; held
 * @lock:	guards @owner and @owner_start
 * @owner:	process that owns the file, 0 while no pin was ever made
 * @owner_start: when that process started: a process id alone can come again
 * @pins:	id to struct gpumem_pinned; each entry holds a reference
 */
struct gpumem_file {
	struct kref ref;
	struct inode *inode;
	spinlock_t lock; /* owner, owner_start */
	pid_t owner;
	u64 owner_start;
	struct xarray pins;
};

enum gpumem_pin_state {
	GPUMEM_PIN_NEW, /* not pinned yet */
	GPUMEM_PIN_LIVE,
	GPUMEM_PIN_TAKEN, /* revoked by the driver, still in the table */
	GPUMEM_PIN_DEAD, /* unpinned */
};

/**
 * struct gpumem_pinned - a pinned range of GPU memory
 * @ref:	one for the table entry, one for each VMA, one for each call in
 *		progress, and one for the NVIDIA driver from get_pages until its
 *		callback has run or put_pages made sure that it never will
 * @file:	the file it belongs to; holds a reference
 * @id:		its key in @file->pins
 * @window:	its key in the table of all pins; the pin's mmap offsets start at
 *		gpumem_pin_mmap_offset(), which no other pin shares
 * @addr:	GPU address asked for
 * @length:	bytes asked for
 * @base:	@addr rounded down to GPUMEM_GPU_PAGE_SIZE
 * @size:	bytes pinned from @base on
 * @page_shift:	log2 of the page size; with @page_count and @pages constant from
 *		the moment the pin is live
 * @page_count:	number of @pages
 * @pages:	physical address of each page
 * @maps:	VMAs of the pin
 * @comm:	name of the owner's thread, for /proc/gpumem
 * @lock:	guards @state, @table, @called_back; see above
 * @state:	enum gpumem_pin_state
 * @table:	the driver's page table; NULL once it may be gone
 * @called_back: the driver's callback has started
 * @orphan:	unpinned in a process that cannot give the pages back: the
 *		driver's callback drops the module reference taken for it
 * @call_done:	the driver's callback has ended
 * @wc:		kernel mappings that reserve write-combining for @pages (x86)
 * @wc_count:	number of @wc
 */
struct gpumem_pinned {
	struct kref ref;
	struct gpumem_file *file;
	u32 id;
	u32 window;
	u64 addr;
	u64 length;
	u64 base;
	u64 size;
	u32 page_shift;
	u64 page_count;
	u64 *pages;
	atomic_t maps;
	char comm[TASK_COMM_LEN];

	struct rw_semaphore lock;
	enum gpumem_pin_state state;
	struct nvidia_p2p_page_table *table;
	bool called_back;
	bool orphan;
	struct completion call_done;
	void __iomem **wc;
	u64 wc_count;
};

/* main.c */
bool gpumem_file_is_owner(struct gpumem_file *file);
int gpumem_file_own(struct gpumem_file *file, bool claim);
void gpumem_file_put(struct gpumem_file *file);

/* pin.c */
struct gpumem_pinned *gpumem_pin_create(struct gpumem_file *file, u64 addr,
					u64 length);
int gpumem_pin_reserve(struct gpumem_pinned *pin);
void gpumem_pin_publish(struct gpumem_pinned *pin);
void gpumem_pin_abort(struct gpumem_pinned *pin);
struct gpumem_pinned *gpumem_pin_find(struct gpumem_file *file, u64 id);
struct gpumem_pinned *gpumem_pin_find_window(struct gpumem_file *file,
					     u64 window);
int gpumem_pin_remove(struct gpumem_file *file, u64 id);
void gpumem_pin_remove_all(struct gpumem_file *file);
void gpumem_pin_revoke(struct gpumem_pinned *pin);
int gpumem_pin_alive(struct gpumem_pinned *pin);
void gpumem_pin_get(struct gpumem_pinned *pin);
void gpumem_pin_put(struct gpumem_pinned *pin);
u64 gpumem_pin_mmap_offset(const struct gpumem_pinned *pin);
struct gpumem_pinned *gpumem_pin_next(unsigned long *window);

/* mmap.c */
int gpumem_mmap(struct file *filp, struct vm_area_struct *vma);
void gpumem_mmap_zap(struct gpumem_pinned *pin);
void gpumem_mmap_wc_release(struct gpumem_pinned *pin);

/* p2p.c: the only file that knows the NVIDIA driver */
int gpumem_p2p_get(struct gpumem_pinned *pin);
void gpumem_p2p_put(struct gpumem_pinned *pin,
		    struct nvidia_p2p_page_table *table);
u32 gpumem_p2p_version(void);

/* seed_abi.c */
bool gpumem_seed_ioctl(struct gpumem_file *file, unsigned int cmd,
		       unsigned long arg, long *ret);

/* proc.c */
int gpumem_proc_create(void);
void gpumem_proc_remove(void);

#endif /* GPUMEM_DRV_H */
