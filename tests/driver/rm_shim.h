/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * What NVIDIA's driver asks its resource manager (RM) about memory that others pin,
 * for a module that answers in RM's place: rm_shim.c, in a nvidia.ko that
 * scripts/nvidia-hybrid.sh links. All above, nv-p2p.c first, is NVIDIA's own.
 */
#ifndef RM_SHIM_H
#define RM_SHIM_H

#include <linux/types.h>

struct module;
struct pci_dev;

/* RM's page size for peers, as log2. */
#define RM_SHIM_PAGE_SHIFT 16

/*
 * Each call returns 0 or an errno, and may sleep. table is the address of the
 * driver's page table, by which it names a pin; nothing is read there.
 */
struct rm_shim_ops {
	/* The GPU, from the registration on. */
	struct pci_dev *gpu;

	/* Pins the calling process's memory, and fills in a page's address each. */
	int (*get_pages)(u64 addr, u64 length, const void *table, u64 *pages);
	/* From here on callback(data) is called when the memory goes. */
	int (*callback_set)(const void *table, void (*callback)(void *data),
			    void *data);
	/* -ENOENT: there is no such pin of the calling process. */
	int (*put_pages)(u64 addr, const void *table);

	/* Whether the calling process has this memory. */
	int (*look)(u64 addr, u64 length);
	int (*get_pages_persistent)(u64 addr, u64 length, const void *table,
				    u64 *pages);
	int (*put_pages_persistent)(const void *table);
};

/* -EBUSY: another module answers. Without any, no process has memory. */
int rm_shim_register(const struct rm_shim_ops *ops);
/* Waits for the calls that are under way. */
void rm_shim_unregister(const struct rm_shim_ops *ops);

#endif /* RM_SHIM_H */
