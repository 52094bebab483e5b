/* SPDX-License-Identifier: MIT */
/**
 * @file gdrapi.h
 * GDRCopy's programming interface, version 2.6 (its tag v2.6), over libgpumem:
 * names, layouts and values are those that programs built for GDRCopy use. In
 * addition there are the copies with flags, gdr_copy_fence() and
 * GDR_ATTR_VMA_INHERITED_ON_FORK, which that tag does not have.
 *
 * Functions that return int return 0 or a positive errno:
 *   EINVAL      an unknown or dead handle, a NULL pointer, an unknown flag, no
 *               device memory, or as the function says
 *   EACCES      the handle belongs to another process (this is a forked child)
 *   ENOMEM      out of host memory or of BAR1 space
 *   ENODEV      no way to the GPU's memory works here, or the memory was freed
 *   EOPNOTSUPP  this kind of memory or of mapping cannot be had here
 *   EIO         CUDA or the driver reported an error
 *
 * Any thread may use any handle. The environment:
 *   GDRCOPY_ENABLE_LOGGING  set to anything: messages go to standard error
 *   GDRCOPY_LOG_LEVEL       1 debug, 2 info, 3 warnings, 4 errors (the default)
 *   GPUMEM_BACKEND          the way to the GPU's memory, see gpumem(3)
 */
#ifndef GPUMEM_GDRAPI_H
#define GPUMEM_GDRAPI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAJOR_VERSION_SHIFT 16
#define MINOR_VERSION_MASK (((uint32_t)1 << MAJOR_VERSION_SHIFT) - 1)

#define GDR_API_MAJOR_VERSION 2
#define GDR_API_MINOR_VERSION 6
#define GDR_API_VERSION \
	((GDR_API_MAJOR_VERSION << MAJOR_VERSION_SHIFT) | GDR_API_MINOR_VERSION)

#define MINIMUM_GDRDRV_MAJOR_VERSION 2
#define MINIMUM_GDRDRV_MINOR_VERSION 0
#define MINIMUM_GDRDRV_VERSION                                   \
	((MINIMUM_GDRDRV_MAJOR_VERSION << MAJOR_VERSION_SHIFT) | \
	 MINIMUM_GDRDRV_MINOR_VERSION)

#define GDR_FLAG_SET(flags, flag) ((flags) | (flag))
#define GDR_FLAG_UNSET(flags, flag) ((flags) & ~(flag))

/** What pins are rounded out to. */
#define GPU_PAGE_SHIFT 16
#define GPU_PAGE_SIZE (1UL << GPU_PAGE_SHIFT)
#define GPU_PAGE_OFFSET (GPU_PAGE_SIZE - 1)
#define GPU_PAGE_MASK (~GPU_PAGE_OFFSET)

/** The library, opened. Its first member is a file descriptor. */
struct gdr;
typedef struct gdr *gdr_t;

/** A pinned buffer. h is never 0 for one. */
typedef struct gdr_mh_s {
	unsigned long h;
} gdr_mh_t;

typedef enum gdr_mapping_type {
	GDR_MAPPING_TYPE_NONE = 0, /**< not mapped */
	GDR_MAPPING_TYPE_WC = 1, /**< write-combined */
	GDR_MAPPING_TYPE_CACHING = 2,
	GDR_MAPPING_TYPE_DEVICE = 3,
	GDR_MAPPING_TYPE_MAX
} gdr_mapping_type_t;

typedef enum gdr_pin_flags {
	GDR_PIN_FLAG_DEFAULT = 0,
	/** through PCIe also where the CPU has a coherent link to the GPU */
	GDR_PIN_FLAG_FORCE_PCIE = 1
} gdr_pin_flags_t;

typedef enum gdr_map_flags {
	GDR_MAP_FLAG_DEFAULT = 0,
	GDR_MAP_FLAG_REQ_WC_MAPPING = 1,
	GDR_MAP_FLAG_REQ_CACHE_MAPPING = 2,
	GDR_MAP_FLAG_REQ_DEVICE_MAPPING = 3
} gdr_map_flags_t;

typedef enum gdr_copy_flags {
	/**
	 * Ends a copy: whatever it stored is on its way before anything that
	 * this thread stores later.
	 */
	GDR_COPY_FLAG_WRITE_FENCE = 1u << 0,
	/** Begins a read: it gets nothing older than what was loaded before. */
	GDR_COPY_FLAG_READ_FENCE = 1u << 1,
	/* Which instructions may copy. They are known, and change nothing. */
	GDR_COPY_FLAG_USE_AVX = 1u << 2,
	GDR_COPY_FLAG_USE_AVX2 = 1u << 3,
	GDR_COPY_FLAG_USE_AVX512 = 1u << 4,
	GDR_COPY_FLAG_USE_SSE = 1u << 5,
	GDR_COPY_FLAG_USE_SSE4_1 = 1u << 6,
	GDR_COPY_FLAG_USE_MOVDIR64B = 1u << 7,
	GDR_COPY_FLAG_USE_NEON = 1u << 8,
	GDR_COPY_FLAG_USE_LS64 = 1u << 9,
	/** all of those for x86 */
	GDR_DEFAULT_X86_FLAGS = 0xfcu,
	/** all of those for ARM */
	GDR_DEFAULT_ARM_FLAGS = 0x300u,
	/** as the calls without flags: with the write fence alone */
	GDR_COPY_FLAG_DEFAULT = GDR_COPY_FLAG_WRITE_FENCE |
				GDR_DEFAULT_X86_FLAGS | GDR_DEFAULT_ARM_FLAGS
} gdr_copy_flags_t;

typedef enum gdr_attr {
	/** 1: the memory stays there after cuMemFree() until it is unpinned */
	GDR_ATTR_USE_PERSISTENT_MAPPING = 1,
	/**
	 * 1: pins with GDR_PIN_FLAG_FORCE_PCIE work; on x86 they all do.
	 * Elsewhere it can become 1 with the first pin, which tells whether
	 * the GPU has a coherent link
	 */
	GDR_ATTR_SUPPORT_PIN_FLAG_FORCE_PCIE = 2,
	/**
	 * 1: buffers are mapped by mmap() of CUDA's dma-bufs (backend dmabuf),
	 * which the first pin tells where GPUMEM_BACKEND does not. The rules
	 * are those of GDRCopy's module all the same
	 */
	GDR_ATTR_USING_DMA_BUF_MMAP = 3,
	/** 1: a forked child has its parent's mappings; always 0 */
	GDR_ATTR_VMA_INHERITED_ON_FORK = 4,
	GDR_ATTR_MAX
} gdr_attr_t;

typedef struct gdr_info_v2 {
	uint64_t va; /**< the address pinned, rounded down to GPU_PAGE_SIZE */
	uint64_t mapped_size; /**< bytes from va on, whole pages */
	uint32_t page_size; /**< GPU_PAGE_SIZE */
	uint64_t tm_cycles; /**< 0 */
	uint32_t cycles_per_ms; /**< 0 */
	unsigned mapped : 1; /**< gdr_map() was called */
	unsigned wc_mapping : 1; /**< and the mapping is write-combined */
	gdr_mapping_type_t mapping_type;
} gdr_info_v2_t;

typedef gdr_info_v2_t gdr_info_t;

/**
 * Opens the library. Touches no GPU and does not start CUDA; the GPU of a
 * buffer is opened when the first one on it is pinned, any number of GPUs
 * through one handle.
 *
 * @return the handle, or NULL where no way to a GPU's memory works here
 */
gdr_t gdr_open(void);

/**
 * Unmaps and unpins all that is left and closes the library. In a forked child
 * only the child's copy is dropped.
 */
int gdr_close(gdr_t g);

/**
 * Pins device memory, rounded out to whole pages of GPU_PAGE_SIZE.
 *
 * @param g          the library
 * @param addr       device address; gdr_map() wants one at a page's start
 * @param size       bytes, at least 1
 * @param p2p_token  not looked at
 * @param va_space   not looked at
 * @param handle     receives the handle
 */
int gdr_pin_buffer(gdr_t g, unsigned long addr, size_t size, uint64_t p2p_token,
		   uint32_t va_space, gdr_mh_t *handle);

/** The same with flags, gdr_pin_flags_t. */
int gdr_pin_buffer_v2(gdr_t g, unsigned long addr, size_t size, uint32_t flags,
		      gdr_mh_t *handle);

/** Unpins a buffer, and unmaps it where that was not done. */
int gdr_unpin_buffer(gdr_t g, gdr_mh_t handle);

/** Tells whether the memory of a pin that is not persistent was freed. */
int gdr_get_callback_flag(gdr_t g, gdr_mh_t handle, int *flag);

/** Describes a pinned buffer. */
int gdr_get_info_v2(gdr_t g, gdr_mh_t handle, gdr_info_v2_t *info);

/* The library also has gdr_get_info of old, without mapping_type. */
#define gdr_get_info gdr_get_info_v2

/**
 * Maps a pinned buffer.
 *
 * @param g       the library
 * @param handle  the buffer
 * @param va      receives the CPU address of gdr_info_t.va
 * @param size    bytes, at most gdr_info_t.mapped_size
 * @return EAGAIN when it is mapped already; EINVAL also when the address that
 *         was pinned is not at a page's start, or size is 0 or too large
 */
int gdr_map(gdr_t g, gdr_mh_t handle, void **va, size_t size);

/**
 * The same, of a kind that the caller chooses: gdr_map_flags_t.
 *
 * @return as gdr_map(), or EOPNOTSUPP for a kind other than write-combined
 */
int gdr_map_v2(gdr_t g, gdr_mh_t handle, void **va, size_t size, int flags);

/**
 * Unmaps a buffer, all of it.
 *
 * @return EINVAL also when it is not mapped, va is neither what gdr_map() gave
 *         nor the device address that was pinned, or size is 0 or larger than
 *         gdr_info_t.mapped_size
 */
int gdr_unmap(gdr_t g, gdr_mh_t handle, void *va, size_t size);

/**
 * Copies from host memory into a mapped buffer. On return the data is on its
 * way to the GPU.
 *
 * @param handle     the buffer
 * @param map_d_ptr  an address inside its mapping, with size bytes behind it
 * @param h_ptr      host memory
 * @param size       bytes
 */
int gdr_copy_to_mapping(gdr_mh_t handle, void *map_d_ptr, const void *h_ptr,
			size_t size);

/**
 * Copies from a mapped buffer into host memory. Without a fence: what it brings
 * may be older than what the calling thread loaded before, such as a flag, and
 * short copies in a row are under way together. gdr_copy_fence() in between
 * orders them.
 *
 * @param handle     the buffer
 * @param h_ptr      host memory
 * @param map_d_ptr  an address inside its mapping, with size bytes behind it
 * @param size       bytes
 */
int gdr_copy_from_mapping(gdr_mh_t handle, void *h_ptr, const void *map_d_ptr,
			  size_t size);

/**
 * Copies with flags, gdr_copy_flags_t; bits beyond them mean nothing. A write
 * ends with its fence here also where the flags leave that out.
 */
int gdr_copy_to_mapping_v2(gdr_mh_t handle, void *map_d_ptr, const void *h_ptr,
			   size_t size, uint32_t flags);

/**
 * The same from a mapped buffer; GDR_COPY_FLAG_READ_FENCE as by gdr_copy_fence()
 * behind it.
 */
int gdr_copy_from_mapping_v2(gdr_mh_t handle, void *h_ptr,
			     const void *map_d_ptr, size_t size,
			     uint32_t flags);

/**
 * Only fences, for what the calling thread itself copies, stores and loads:
 * with GDR_COPY_FLAG_WRITE_FENCE what it stored before is on its way before
 * what it stores afterwards, with GDR_COPY_FLAG_READ_FENCE what it loads
 * afterwards is not older than what it loaded before. Other bits do nothing.
 *
 * @param handle  a mapped buffer
 * @param flags   gdr_copy_flags_t
 */
int gdr_copy_fence(gdr_mh_t handle, uint32_t flags);

/** The version of the interface: 2.6. */
void gdr_runtime_get_version(int *major, int *minor);

/** The version of the kernel module whose rules hold here: 2.6. */
int gdr_driver_get_version(gdr_t g, int *major, int *minor);

/** One of gdr_attr_t. */
int gdr_get_attribute(gdr_t g, gdr_attr_t attr, int *v);

/** A mapping type in words. */
int gdr_get_mapping_type_string(gdr_mapping_type_t mapping_type,
				const char **pstr);

#ifdef __cplusplus
}
#endif

#endif /* GPUMEM_GDRAPI_H */
