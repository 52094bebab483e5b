/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * gpumem-emu: an emulated NVIDIA GPU for tests. A PCI device's BAR is its video
 * memory. It comes in two builds of the same blocks, pins, owners and counters:
 *
 *   alone		device_ivshmem.c, p2p_export.c: it is the driver too, exports
 *			nvidia_p2p_* and has the driver's nodes;
 *   EMU_NVIDIA=y	device_nvidia.c, p2p_shim.c: NVIDIA's driver exports
 *			nvidia_p2p_*, and asks it where it would ask its resource
 *			manager (tests/driver/rm_shim.h).
 *
 * Locks, outermost first:
 *   emu_lock	the "driver lock". Blocks, clients, objects, maps and pins. The
 *		free callbacks of nvidia_p2p_get_pages() run under it, as they
 *		run under the NVIDIA driver's own, so that lockdep sees a peer's
 *		inversions. Never held over an access to user memory, and never
 *		taken under mmap_lock.
 *   dma_lock	(p2p_dma.c) DMA mappings; taken alone in dma_unmap_pages(), which
 *		a callback may call.
 *   pool_lock	(vram.c) which pages are free.
 *   hold_lock	(hold.c) HOLDs; taken under mmap_lock by page faults.
 */
#ifndef EMU_H
#define EMU_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pid.h>
#include <linux/sizes.h>
#include <linux/xarray.h>

#include "gpumem_emu.h"
#include "rm_abi.h"

#define EMU_PAGE ((u64)GPUMEM_EMU_PAGE_SIZE)
#define EMU_BLOCK_ALIGN ((u64)SZ_2M)

/* main.c; device_ivshmem.c or device_nvidia.c calls it */
struct emu_gpu {
	struct pci_dev *pdev; /* NULL: none */
	int bar; /* of pdev, that is video memory */
	phys_addr_t base; /* CPU physical address of video memory */
	u64 size;
	void __iomem *vram; /* write-combined */
};

extern struct emu_gpu emu_gpu;
extern struct mutex emu_lock;

/*
 * Who uses the device: an open file or a page set. Unbinding waits for the
 * last. False: the device is going away.
 */
bool emu_user_get(void);
void emu_user_put(void);

int emu_gpu_start(struct pci_dev *pdev, int bar);
/* First waits for the last user, with all else as it was; then takes it down. */
void emu_gpu_drain(void);
void emu_gpu_stop(void);

/* acs.c: takes away what it gave to PCI ports. */
void emu_acs_exit(void);

/* proc.c: what struct gpumem_emu_counters counts */
enum emu_count {
	EMU_BLOCKS,
	EMU_PINS,
	EMU_PINNED_PAGES,
	EMU_DMA_MAPS,
	EMU_CALLBACKS,
	EMU_HOLDS,
	EMU_RM_CLIENTS,
	EMU_RM_OBJECTS,
	EMU_RM_MAPS,
	EMU_VIOLATIONS,
	EMU_EXPORTS,
	EMU_COUNTS
};

extern atomic64_t emu_counts[EMU_COUNTS];

static inline void emu_count(enum emu_count what, s64 by)
{
	atomic64_add(by, &emu_counts[what]);
}

/* A peer module broke the contract of nv-p2p.h. */
#define emu_violation(fmt, ...)                                       \
	do {                                                          \
		emu_count(EMU_VIOLATIONS, 1);                         \
		pr_warn("contract breach: " fmt "\n", ##__VA_ARGS__); \
	} while (0)

void emu_counters_read(struct gpumem_emu_counters *counters);
int emu_proc_init(void);
void emu_proc_exit(void);

/*
 * vram.c: a page set, the pages behind a block in the order in which the block
 * shows them. A block, a pin, a duplicate, a HOLD or a mapping each hold one
 * reference; the last one gives the pages back to the pool.
 */
struct emu_mem {
	struct kref ref;
	u64 pages;
	u32 index[]; /* of the page in video memory */
};

int emu_vram_init(void);
void emu_vram_exit(void);
u64 emu_vram_free_pages(void);
/* ERR_PTR(-ENOMEM): no pages left. */
struct emu_mem *emu_mem_alloc(u64 pages);
struct emu_mem *emu_mem_get(struct emu_mem *mem);
void emu_mem_put(struct emu_mem *mem);
/* Byte at of the set, as an offset into video memory. */
u64 emu_mem_offset(const struct emu_mem *mem, u64 at);
/* The caller has checked that [at, at + length) is inside the set. */
int emu_mem_copy(struct emu_mem *mem, u64 at, void __user *user, u64 length,
		 bool to_user);
/* Shows the set from byte at on at vmf->address, and its neighbours. */
vm_fault_t emu_mem_fault(struct emu_mem *mem, u64 at, struct vm_fault *vmf);
/* For every mapping of video memory. -EINVAL: a private writable one. */
int emu_vma_prepare(struct vm_area_struct *vma);

/*
 * client.c: what an RM handle names. A client of the CUDA side has no file: its
 * objects can be duplicated but no RM call goes through it.
 */
struct emu_client {
	u32 handle;
	struct pid *owner;
	struct file *file; /* nvidiactl file it was made through, or NULL */
	struct xarray objects;
	struct list_head of_file;
};

struct emu_object {
	u32 handle;
	u32 parent;
	u32 class;
	struct emu_mem *mem; /* memory objects only */
	struct list_head maps;
};

void emu_clients_exit(void);
struct emu_client *emu_client_new(struct file *file);
void emu_client_free(struct emu_client *client);
struct emu_client *emu_client_find(u32 handle);
/*
 * handle 0: any. Takes its own reference of mem. ERR_PTR: -EBUSY the handle is
 * taken, -ENOMEM.
 */
struct emu_object *emu_object_new(struct emu_client *client, u32 handle,
				  u32 parent, u32 class, struct emu_mem *mem);
struct emu_object *emu_object_find(struct emu_client *client, u32 handle);
/* With its children and its mappings. */
void emu_object_free(struct emu_client *client, struct emu_object *object);
/* True: the caller is a thread of this process. */
bool emu_owner_is_current(const struct pid *owner);

/* block.c: an allocation of the CUDA side */
struct emu_context {
	struct pid *owner;
	struct emu_client *client;
	struct list_head blocks;
	struct list_head reserves; /* emu_lock */
	struct list_head holds; /* hold_lock */
	struct address_space *mapping;
};

struct emu_block {
	u64 addr;
	u64 length;
	struct emu_mem *mem;
	u64 at; /* of the first byte in mem */
	struct emu_object *object; /* NULL: a view */
	struct emu_context *context;
	struct list_head of_context;
	struct list_head all;
};

struct emu_block *emu_block_new(struct emu_context *context, u64 length);
/* Over pages that exist already; takes its own reference. */
struct emu_block *emu_block_over(struct emu_context *context,
				 struct emu_mem *mem);
void emu_block_free(struct emu_block *block);
int emu_reserve_new(struct emu_context *context,
		    struct gpumem_emu_reserve *arg);
void emu_reserves_free(struct emu_context *context);
int emu_view_new(struct emu_context *context,
		 const struct gpumem_emu_view *arg);
/* The live block that holds all of [addr, addr + length), or NULL. */
struct emu_block *emu_block_find(u64 addr, u64 length);
/* The same, as a new reference to its pages; at is addr's place in them. */
struct emu_mem *emu_block_mem(struct emu_context *context, u64 addr, u64 length,
			      u64 *at);
/* The same for what one block has of it; stores how much that is. */
struct emu_mem *emu_block_mem_part(struct emu_context *context, u64 addr,
				   u64 *length, u64 *at);

/* hold.c */
int emu_hold_new(struct emu_context *context, struct gpumem_emu_hold *arg);
int emu_hold_drop(struct emu_context *context, u64 id);
void emu_hold_drop_all(struct emu_context *context);
int emu_hold_mmap(struct emu_context *context, struct vm_area_struct *vma);
void emu_holds_exit(void);

/* share.c: descriptors that hold memory, and dma-bufs of it */
int emu_export_new(struct emu_mem *mem);
/* A reference, -EBADF or -EINVAL. */
struct emu_mem *emu_export_mem(int fd);
/* Of blocks side by side. */
int emu_dmabuf_new(struct emu_context *context, u64 addr, u64 length);

/* control.c: /dev/gpumem-emu */
int emu_control_init(void);
void emu_control_exit(void);

/* rm.c: /dev/nvidiactl and /dev/nvidia0 */
struct emu_view;
struct emu_rm_file {
	bool ctl;
	struct list_head clients; /* emu_lock; nvidiactl only */
	struct file *ctl_file; /* emu_lock; set once by REGISTER_FD */
	struct emu_view *view; /* set once by MAP_MEMORY, read without a lock */
};

extern const struct file_operations emu_rm_fops;
int emu_rm_init(void);
void emu_rm_exit(void);

/*
 * rm_object.c, rm_map.c: the calls. Each returns an errno for what the driver
 * refuses outright and puts everything else into the argument's status.
 */
int emu_rm_alloc(struct file *file, void *arg);
int emu_rm_free(struct file *file, void *arg);
int emu_rm_control(struct file *file, void *arg);
int emu_rm_dup_object(struct file *file, void *arg);
int emu_rm_map_memory(struct file *file, void *arg);
int emu_rm_unmap_memory(struct file *file, void *arg);
/* rm_version.c: which driver's layouts are spoken. */
struct emu_rm_layout {
	u32 alloc_status; /* place of RM_ALLOC's status */
	u32 dmabuf_size;
	u32 dmabuf_status;
};

void emu_rm_layout_get(struct emu_rm_layout *layout);
int emu_rm_check_version(struct file *file, void *arg);

/*
 * The client if it was made through this file, or NULL. A forked child has the
 * file, and so the client.
 */
struct emu_client *emu_rm_client(struct file *file, u32 handle);
/* The status where there is none. */
u32 emu_rm_no_client(u32 handle);
u32 emu_rm_gpu_id(void);
int emu_rm_mmap(struct file *file, struct vm_area_struct *vma);
u32 emu_rm_import(struct file *file, struct rm_control *arg);
void emu_view_free(struct emu_view *view);
void emu_maps_free(struct emu_object *object);

/* vram.c: BAR1 space. False: not enough left. Under emu_lock. */
bool emu_bar1_take(u64 bytes);
void emu_bar1_give(u64 bytes);

/* p2p.c: revokes the pins of a block, under emu_lock. */
void emu_pins_revoke(struct emu_block *block);

#endif /* EMU_H */
