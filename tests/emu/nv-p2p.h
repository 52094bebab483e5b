/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * The part of the NVIDIA driver's nv-p2p interface that gpumem.ko uses, laid
 * out as the driver lays it out (page table version 2.0, DMA mapping version
 * 2.3), so that a module built against this header loads against the emulator
 * and has the same view of the structures as one built against the driver's
 * own. The emulator exports the functions.
 */
#ifndef _NV_P2P_H_
#define _NV_P2P_H_

#include <linux/kernel.h>
#include <linux/types.h>

struct pci_dev;

/*
 * A version is 0xMMMMmmmm. A structure can be used by code that was built for
 * version v if its major number is v's and its minor number is not below v's.
 */
#define NVIDIA_P2P_MAJOR_VERSION(v) upper_16_bits(v)
#define NVIDIA_P2P_MINOR_VERSION(v) lower_16_bits(v)
static inline bool nvidia_p2p_version_fits(u32 version, u32 v)
{
	return NVIDIA_P2P_MAJOR_VERSION(version) ==
		       NVIDIA_P2P_MAJOR_VERSION(v) &&
	       NVIDIA_P2P_MINOR_VERSION(version) >= NVIDIA_P2P_MINOR_VERSION(v);
}

#define NVIDIA_P2P_VERSION_COMPATIBLE(p, v) \
	nvidia_p2p_version_fits((p)->version, v)

#define NVIDIA_P2P_PAGE_TABLE_VERSION 0x00020000
#define NVIDIA_P2P_PAGE_TABLE_VERSION_COMPATIBLE(p) \
	NVIDIA_P2P_VERSION_COMPATIBLE(p, NVIDIA_P2P_PAGE_TABLE_VERSION)

#define NVIDIA_P2P_DMA_MAPPING_VERSION 0x00020003
#define NVIDIA_P2P_DMA_MAPPING_VERSION_COMPATIBLE(p) \
	NVIDIA_P2P_VERSION_COMPATIBLE(p, NVIDIA_P2P_DMA_MAPPING_VERSION)

/* The persistent calls exist. */
#define NVIDIA_P2P_CAP_GET_PAGES_PERSISTENT_API

#define NVIDIA_P2P_GPU_UUID_LEN 16

/* Not in the driver's: the device whose BAR is the emulated GPU's memory. */
#define NVIDIA_P2P_EMULATED_VENDOR 0x1af4
#define NVIDIA_P2P_EMULATED_DEVICE 0x1110

/* flags of struct nvidia_p2p_page_table */
#define NVIDIA_P2P_PAGE_TABLE_FLAGS_CPU_CACHEABLE 0x1

enum nvidia_p2p_page_size_type {
	NVIDIA_P2P_PAGE_SIZE_4KB = 0,
	NVIDIA_P2P_PAGE_SIZE_64KB,
	NVIDIA_P2P_PAGE_SIZE_128KB,
	NVIDIA_P2P_PAGE_SIZE_COUNT
};

struct nvidia_p2p_page {
	u64 physical_address;
	union nvidia_p2p_request_registers {
		struct {
			u32 wreqmb_h;
			u32 rreqmb_h;
			u32 rreqmb_0;
			u32 reserved[3];
		} fermi;
	} registers;
};

struct nvidia_p2p_page_table {
	u32 version;
	u32 page_size; /* enum nvidia_p2p_page_size_type */
	struct nvidia_p2p_page **pages;
	u32 entries;
	u8 *gpu_uuid;
	u32 flags; /* not before version 2.0 */
};

struct nvidia_p2p_dma_mapping {
	u32 version;
	enum nvidia_p2p_page_size_type page_size_type;
	u32 entries;
	u64 *dma_addresses;
	void *private;
	struct pci_dev *pci_dev;
};

/*
 * Pins [virtual_address, virtual_address + length), both multiples of 64 KiB
 * and all in one allocation of the calling process. p2p_token and va_space are
 * 0. free_callback is called once if the memory goes away before put_pages; the
 * page table is gone when it returns. It runs under the driver's locks: no
 * get_pages, put_pages or dma_map_pages inside it.
 *
 * -EINVAL: no callback, misaligned, or not in one allocation of this process;
 * -ENOMEM: no memory or no BAR1 space; -ENOTSUPP, -EBUSY, -ENODEV, -EIO. After any
 * of these *page_table points at what is not there. Memory is allocated for the
 * whole length before the range is looked for.
 */
int nvidia_p2p_get_pages(u64 p2p_token, u32 va_space, u64 virtual_address,
			 u64 length, struct nvidia_p2p_page_table **page_table,
			 void (*free_callback)(void *data), void *data);

/*
 * Releases what get_pages pinned. A table that the driver took back already
 * gives 0, and so does a call from another process, or from one that no RM client
 * has registered at that moment, which releases nothing: free_callback still comes.
 */
int nvidia_p2p_put_pages(u64 p2p_token, u32 va_space, u64 virtual_address,
			 struct nvidia_p2p_page_table *page_table);

/* As get_pages, without a callback: the memory stays until it is put. */
int nvidia_p2p_get_pages_persistent(u64 virtual_address, u64 length,
				    struct nvidia_p2p_page_table **page_table,
				    u32 flags);
int nvidia_p2p_put_pages_persistent(u64 virtual_address,
				    struct nvidia_p2p_page_table *page_table,
				    u32 flags);

/* Addresses at which peer reaches the pages, one for each. */
int nvidia_p2p_dma_map_pages(struct pci_dev *peer,
			     struct nvidia_p2p_page_table *page_table,
			     struct nvidia_p2p_dma_mapping **dma_mapping);

/* Before put_pages; allowed inside the free callback. */
int nvidia_p2p_dma_unmap_pages(struct pci_dev *peer,
			       struct nvidia_p2p_page_table *page_table,
			       struct nvidia_p2p_dma_mapping *dma_mapping);

/* These do nothing: the driver frees both itself. */
int nvidia_p2p_free_page_table(struct nvidia_p2p_page_table *page_table);
int nvidia_p2p_free_dma_mapping(struct nvidia_p2p_dma_mapping *dma_mapping);

#endif /* _NV_P2P_H_ */
