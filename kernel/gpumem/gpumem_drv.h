/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * The objects of gpumem.ko and who may touch them.
 *
 * Locks, outermost first:
 *   gpumem_file.claim	while the first pin through a file is made
 *   mmap_lock (the kernel's)
 *   gpumem_user.turn	in user.c, while the driver is asked for pages
 *   gpumem_p2p_tables	in p2p.c, around the driver's calls that make a page
 *			table, or end one that it can take back; never taken by
 *			what the driver calls
 *   the NVIDIA driver's locks, which it holds around gpumem_pin_revoke(), and
 *			when it takes a PCI device out
 *   device lock	the kernel's, of a PCI device: while a DMA mapping is made for
 *			it, and while its mappings are ended because its driver
 *			leaves
 *   gpumem_pinned.exports_lock	the dma-bufs of one pin; held while they are moved away
 *			from their importers
 *   dma_resv		of a dma-buf; see dmabuf.c
 *   gpumem_pinned.lock	state, table and DMA mappings of one pin; PTEs of the pin are
 *			inserted under it for reading, and only while the pin is
 *			live
 *   i_mmap_rwsem	inside unmap_mapping_range(), taken with no lock inside
 *			dma_resv held
 *   xa_lock		of gpumem_file.pins, gpumem_file.dmas and the windows
 *   gpumem_dma_mapped_lock	in dma.c, the list of all DMA mappings
 *
 * The NVIDIA driver is never called with one of our other locks held, and user
 * memory is never touched with gpumem_pinned.lock held: a fault takes that lock
 * inside mmap_lock.
 *
 * GPL-only kernel symbols are used only where GPUMEM_GPL is defined (Kbuild), so
 * that without it the module also loads beside the proprietary flavour of the
 * NVIDIA driver.
 */
#ifndef GPUMEM_DRV_H
#define GPUMEM_DRV_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/gpumem.h>

#define GPUMEM_RELEASE "0.1.0"

struct gpumem_call;
struct gpumem_user;

/* GPU addresses are pinned in units of this, whatever the page size is. */
#define GPUMEM_GPU_PAGE_SIZE SZ_64K

struct device;
struct eventfd_ctx;
struct nvidia_p2p_page_table;
struct pci_dev;

/**
 * struct gpumem_file - one open file of /dev/gpumem
 * @ref:	one for the open file, one for each pin that exists
 * @claim:	held by who makes the first pin
 * @lock:	guards @owner, @owner_start and @owned
 * @owner:	process that owns the file, or tries to; 0 while no pin was ever made
 * @owner_start: when that process started: a process id alone can come again
 * @owned:	a pin was made: @owner stays
 * @pins:	id to struct gpumem_pinned; each entry holds a reference
 * @dmas:	id to struct gpumem_dma; each entry holds a reference
 * @next_pin:	where the search for an id goes on, so that one does not soon come
 *		again; under the xa_lock of @pins
 * @next_dma:	likewise, of @dmas
 */
struct gpumem_file {
	struct kref ref;
	struct mutex claim; /* the first pin */
	spinlock_t lock; /* owner, owner_start, owned */
	pid_t owner;
	u64 owner_start;
	bool owned;
	struct xarray pins;
	struct xarray dmas;
	u32 next_pin;
	u32 next_dma;
};

/**
 * struct gpumem_page_set - pages of GPU memory, as the driver gave them
 * @shift:	log2 of the page size
 * @ram:	they are the kernel's memory (a GPU with a coherent CPU link)
 * @map_type:	GPUMEM_MAP_*
 * @count:	number of @addr
 * @addr:	physical (BAR1) address of each page
 */
struct gpumem_page_set {
	u32 shift;
	bool ram;
	u32 map_type;
	u64 count;
	u64 *addr;
};

/**
 * struct gpumem_wc_run - pages that are reserved as write-combined
 * @start:	physical address
 * @size:	bytes; 0 if the reservation failed
 */
struct gpumem_wc_run {
	phys_addr_t start;
	u64 size;
};

/**
 * struct gpumem_hold - GPU memory that the driver keeps until we say otherwise
 * @ref:	references
 * @base:	GPU address
 * @size:	bytes
 * @user:	whom they are charged to
 * @table:	the driver's page table, of the persistent kind
 * @set:	its pages
 *
 * What a device or an importer may still use: a pin's own table goes with the
 * driver's callback, at a moment that no lock of ours can delay. The last
 * reference is never dropped inside that callback, where the driver could not
 * take the memory back: a struct gpumem_dma or a dma-buf keeps one to its end.
 */
struct gpumem_hold {
	struct kref ref;
	u64 base;
	u64 size;
	struct gpumem_user *user;
	struct nvidia_p2p_page_table *table;
	struct gpumem_page_set set;
};

/**
 * struct gpumem_path - the way between a device and the GPU
 * @kind:	GPUMEM_DMA_PATH_*
 * @domain:	PCI address of the port that @kind is about, or zero
 * @bus:	likewise
 * @devfn:	likewise
 */
struct gpumem_path {
	u8 kind;
	u8 bus;
	u8 devfn;
	u32 domain;
};

/**
 * struct gpumem_dma - a pin mapped for one PCI device
 * @ref:	one for the table entry, one for each call in progress
 * @id:		its key in gpumem_file.dmas
 * @pin:	the pin; holds a reference
 * @of_pin:	in gpumem_pinned.dmas
 * @mapped:	in the list of all that are mapped
 * @ended:	it is undone, or whoever set this is undoing it; under
 *		gpumem_pinned.lock
 * @end_done:	it is undone
 * @peer:	the device; holds a reference
 * @path:	how it comes to the memory
 * @hold:	the memory that is mapped
 * @maps:	what was mapped, one for each run of pages
 * @map_count:	number of @maps
 * @runs:	its addresses, merged
 * @run_count:	number of @runs
 * @free_work:	frees it where that cannot be done at once
 */
struct gpumem_dma {
	struct kref ref;
	u32 id;
	struct gpumem_pinned *pin;
	struct list_head of_pin;
	struct list_head mapped;
	bool ended;
	struct completion end_done;
	struct pci_dev *peer;
	struct gpumem_path path;
	struct gpumem_hold *hold;
	struct gpumem_dma_run *maps;
	u64 map_count;
	struct gpumem_dma_run *runs;
	u64 run_count;
	struct work_struct free_work;
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
 * @set:	its pages; constant from the moment the pin is live
 * @flags:	GPUMEM_PIN_* that it was made with
 * @user:	whom its bytes are charged to
 * @window_user: whose pins it counts among, to its last reference
 * @uid:	effective user id of its maker
 * @maps:	VMAs of the pin
 * @number:	what the driver knows it by; never used again
 * @comm:	name of the owner's thread, for /proc/gpumem
 * @event:	signalled when the driver takes the memory back, or NULL
 * @exports_lock: guards @exports
 * @exports:	dma-bufs of the pin
 * @lock:	guards @state, @table, @hold, @called_back, @orphan, @dmas, @wc; see above
 * @state:	enum gpumem_pin_state
 * @table:	the driver's page table; NULL once it may be gone
 * @hold:	of a persistent pin, instead of @table; NULL once unpinned
 * @called_back: the driver's callback has started
 * @orphan:	unpinned in a process that cannot give the pages back: the
 *		driver's callback drops the module reference taken for it
 * @call_done:	the driver's callback has ended
 * @dmas:	its DMA mappings
 * @wc:		reservations of write-combining for its pages (x86)
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
	struct gpumem_page_set set;
	u32 flags;
	struct gpumem_user *user;
	struct gpumem_user *window_user;
	kuid_t uid;
	atomic_t maps;
	unsigned long number;
	char comm[TASK_COMM_LEN];
	struct eventfd_ctx *event;

	struct mutex exports_lock; /* exports */
	struct list_head exports;

	struct rw_semaphore lock;
	enum gpumem_pin_state state;
	struct nvidia_p2p_page_table *table;
	struct gpumem_hold *hold;
	bool called_back;
	bool orphan;
	struct completion call_done;
	struct list_head dmas;
	struct gpumem_wc_run *wc;
	u64 wc_count;
};

union gpumem_args {
	struct gpumem_version version;
	struct gpumem_pin pin;
	struct gpumem_unpin unpin;
	struct gpumem_info info;
	struct gpumem_pages pages;
	struct gpumem_dma_map dma_map;
	struct gpumem_dma_runs dma_runs;
	struct gpumem_dma_unmap dma_unmap;
	struct gpumem_export export;
};

/**
 * struct gpumem_call - one ioctl in progress
 * @file:	the file it came through
 * @user:	the caller's structure
 * @size:	bytes of it to give back: the smaller of the caller's size and ours
 * @args:	a copy of it, members that the caller does not know being zero
 */
struct gpumem_call {
	struct gpumem_file *file;
	void __user *user;
	size_t size;
	union gpumem_args args;
};

/* main.c */
int gpumem_call_reply(struct gpumem_call *call);
bool gpumem_file_is_owner(struct gpumem_file *file);
int gpumem_file_own(struct gpumem_file *file);
int gpumem_file_claim(struct gpumem_file *file);
void gpumem_file_claim_end(struct gpumem_file *file, bool pinned);
void gpumem_file_put(struct gpumem_file *file);

/* space.c: the address space that mappings of the node hang in */
int gpumem_space_init(void);
void gpumem_space_exit(void);
struct address_space *gpumem_space(void);

/* pin.c */
struct gpumem_pinned *gpumem_pin_create(struct gpumem_file *file,
					const struct gpumem_pin *args);
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
u64 gpumem_pin_bytes(const struct gpumem_pinned *pin);
struct gpumem_pinned *gpumem_pin_next(unsigned long *window);

/* hold.c */
struct gpumem_hold *gpumem_hold_new(u64 base, u64 size, u32 flags);
struct gpumem_hold *gpumem_hold_of(struct gpumem_pinned *pin);
void gpumem_hold_get(struct gpumem_hold *hold);
void gpumem_hold_put(struct gpumem_hold *hold);
u64 gpumem_set_run(const struct gpumem_page_set *set, u64 first, u64 most);

/* user.c: the limits on what a user pins */
struct gpumem_user *gpumem_user_charge(u64 bytes);
void gpumem_user_uncharge(struct gpumem_user *user, u64 bytes);
struct gpumem_user *gpumem_user_take_window(void);
void gpumem_user_give_window(struct gpumem_user *user);
int gpumem_user_begin(struct gpumem_user *user);
void gpumem_user_end(struct gpumem_user *user);

/* event.c: the eventfd of a pin */
int gpumem_event_get(struct gpumem_pinned *pin, int fd);
void gpumem_event_signal(struct gpumem_pinned *pin);
void gpumem_event_put(struct gpumem_pinned *pin);

/* peer_device.c: the PCI devices that memory is mapped for */
int gpumem_peer_init(void);
void gpumem_peer_exit(void);
struct pci_dev *gpumem_peer_get(const struct gpumem_dma_map *args);
int gpumem_peer_check(struct device *dev, const struct gpumem_page_set *set,
		      struct gpumem_path *path);
int gpumem_peer_hold(struct pci_dev *peer);
void gpumem_peer_release(struct pci_dev *peer);
void gpumem_peer_queue(struct work_struct *work);

/* path.c */
int gpumem_path_find(struct device *dev, u64 addr, bool direct,
		     struct gpumem_path *path);

/* dma.c */
int gpumem_dma_map_ioctl(struct gpumem_call *call);
int gpumem_dma_runs_ioctl(struct gpumem_call *call);
int gpumem_dma_unmap_ioctl(struct gpumem_call *call);
void gpumem_dma_end_all(struct gpumem_pinned *pin);
void gpumem_dma_end_peer(const struct pci_dev *peer);
void gpumem_dma_forget(struct gpumem_file *file,
		       const struct gpumem_pinned *pin);

/* dmabuf.c */
int gpumem_export_ioctl(struct gpumem_call *call);
void gpumem_export_revoke_all(struct gpumem_pinned *pin);

/* mmap.c */
int gpumem_mmap(struct file *filp, struct vm_area_struct *vma);
int gpumem_mmap_export(struct gpumem_pinned *pin, struct vm_area_struct *vma);
void gpumem_mmap_zap(struct gpumem_pinned *pin);
void gpumem_mmap_wc_release(struct gpumem_pinned *pin);

/* map_type.c: write-combined, Device or cached */
void gpumem_map_init(void);
u32 gpumem_map_choose(const struct gpumem_page_set *set);
pgprot_t gpumem_map_pgprot(const struct gpumem_page_set *set, pgprot_t prot);
void __iomem *gpumem_map_page(const struct gpumem_page_set *set, u64 phys);
void gpumem_map_page_end(const struct gpumem_page_set *set, void __iomem *page);

/* p2p.c: the only file that knows the NVIDIA driver */
int gpumem_p2p_get(struct gpumem_pinned *pin);
void gpumem_p2p_put(struct gpumem_pinned *pin,
		    struct nvidia_p2p_page_table *table);
int gpumem_p2p_hold(struct gpumem_hold *hold, u32 flags);
void gpumem_p2p_unhold(struct gpumem_hold *hold);
u32 gpumem_p2p_version(void);
struct pci_dev *gpumem_p2p_gpu(u64 addr);
void gpumem_p2p_drain(void);

/* legacy_abi.c */
bool gpumem_seed_ioctl(struct gpumem_file *file, unsigned int cmd,
		       unsigned long arg, long *ret);

/* proc.c */
int gpumem_proc_create(void);
void gpumem_proc_remove(void);

#endif /* GPUMEM_DRV_H */
