/* SPDX-License-Identifier: MIT */
/**
 * @file gpumem.h
 * libgpumem: direct CPU access to NVIDIA GPU memory.
 *
 * A session (struct gpumem) is one GPU reached through one backend. A buffer
 * (struct gpumem_buf) is a range of GPU memory pinned through a session: it can
 * be mapped into the CPU's address space, described, read and written.
 *
 * Both are handles, not pointers to memory: a handle that was closed, unpinned
 * or never given out makes a call fail with -EBADF, it does not crash.
 *
 * Unless a function says otherwise it returns 0 or a negative errno, may be
 * called from any thread at any time, and on failure changes nothing and leaves
 * the reason in gpumem_last_error().
 *
 * Errors that any call taking a handle or a pointer may return, beside its own:
 *   -EBADF   the handle is not live
 *   -EINVAL  a pointer that must be given is NULL, a flag is unknown, or a
 *            structure's size member is none that this library knows
 *   -ENOMEM  out of host memory
 *   -EPERM   the session was opened by another process (this is a forked child)
 */
#ifndef GPUMEM_H
#define GPUMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GPUMEM_VERSION_MAJOR 0
#define GPUMEM_VERSION_MINOR 1
#define GPUMEM_VERSION_PATCH 0

/** An open GPU. */
struct gpumem;

/** A pinned range of GPU memory. */
struct gpumem_buf;

/** A value that could not be found out. */
#define GPUMEM_UNKNOWN UINT64_MAX

/** What gpumem_open() is asked for. Zero, but for size, means the defaults. */
struct gpumem_options {
	size_t size; /**< sizeof(struct gpumem_options) */
	/**
	 * "kmod", "rm" or "sim"; NULL: GPUMEM_BACKEND from the environment,
	 * otherwise the first that works here
	 */
	const char *backend;
	int device; /**< CUDA ordinal of the GPU, from 0 */
	unsigned int flags; /**< must be 0 */
};

/**
 * Opens a GPU.
 *
 * Loads libcuda.so.1 (the simulated one for the sim backend), initialises CUDA
 * and retains the primary context of the GPU until gpumem_close().
 *
 * Without a choice the backends are tried in the order kmod, rm, sim; sim only
 * where the machine has no NVIDIA GPU at all.
 *
 * @param options  what to open; NULL for the defaults
 * @param session  receives the handle
 * @return 0, or
 *   -ENODEV      no backend works here, or the one asked for does not; the
 *                message says why and what to do
 *   -ENOENT      there is no GPU of that ordinal
 *   -EINVAL      the backend's name is unknown
 *   -ELIBACC     libcuda.so.1 cannot be loaded or lacks a function
 *   -EACCES      a device node exists but this user may not open it
 *   -EIO         CUDA or the driver reported an error
 */
int gpumem_open(const struct gpumem_options *options, struct gpumem **session);

/**
 * Closes a session: unmaps and unpins all its buffers, whose handles are dead
 * from then on. Waits for calls on them in other threads. In a forked child
 * only the child's copy is dropped; the parent's session lives on.
 *
 * @param session  the session
 */
int gpumem_close(struct gpumem *session);

/**
 * The backend a session uses: "kmod", "rm" or "sim".
 *
 * @param session  the session
 * @return a string that lives as long as the library, or NULL (-EBADF)
 */
const char *gpumem_backend_name(struct gpumem *session);

/**
 * Looks a function up in the libcuda that the session uses, for programs that
 * load CUDA no other way (and so run on the simulated GPU unchanged).
 *
 * @param session  the session
 * @param name     the exported name, such as "cuMemcpyDtoH_v2"
 * @return its address, or NULL when libcuda has no such function
 */
void *gpumem_cuda_symbol(struct gpumem *session, const char *name);

/** The memory is that of a simulated or emulated GPU. */
#define GPUMEM_DEVICE_SIMULATED (1u << 0)

/** A GPU. */
struct gpumem_device {
	size_t size; /**< in: sizeof(struct gpumem_device) */
	int ordinal; /**< CUDA ordinal */
	unsigned int flags; /**< GPUMEM_DEVICE_* */
	char name[96]; /**< CUDA's name for it */
	char pci[16]; /**< "0000:3b:00.0", or "" when it has none */
	int compute_major; /**< compute capability */
	int compute_minor; /**< compute capability */
	uint64_t memory; /**< bytes of GPU memory */
	uint64_t bar1_size; /**< bytes of BAR1, or GPUMEM_UNKNOWN */
	uint64_t bar1_free; /**< bytes of BAR1 not in use, or GPUMEM_UNKNOWN */
};

/**
 * Counts the GPUs that the session's libcuda sees.
 *
 * @param session  the session
 * @param count    receives the number
 * @return 0, or -EIO for an error from CUDA
 */
int gpumem_device_count(struct gpumem *session, int *count);

/**
 * Describes a GPU.
 *
 * @param session  the session
 * @param ordinal  CUDA ordinal; -1 for the session's own
 * @param device   receives the description; its size member must be set
 * @return 0, -ENOENT when there is no such GPU, or -EIO for an error from CUDA
 */
int gpumem_device_get(struct gpumem *session, int ordinal,
		      struct gpumem_device *device);

/** A backend and whether it can be used on this machine, by this user. */
struct gpumem_backend {
	size_t size; /**< in: sizeof(struct gpumem_backend) */
	const char *name; /**< "kmod", "rm", "sim" */
	int status; /**< 0: usable; otherwise a negative errno */
	/** one line: how it works here, or why not and what to do about it */
	char reason[232];
};

/**
 * Describes one backend, in the order in which they are tried. Needs no
 * session and initialises no CUDA.
 *
 * @param index    0 for the first
 * @param backend  receives the description; its size member must be set
 * @return 0, or -ENOENT past the last one
 */
int gpumem_backend_get(unsigned int index, struct gpumem_backend *backend);

/**
 * The pin may not be proven by a trial write. The rm backend proves that it
 * found the right memory; where what is there cannot prove it (all bytes
 * alike) it swaps the first 16 bytes for a moment. With this flag it then
 * refuses with -EAGAIN instead.
 */
#define GPUMEM_PIN_NO_TRIAL_WRITE (1u << 0)

/**
 * Pins a range of GPU memory that the caller allocated with CUDA.
 *
 * @param session  the session; the memory must be on its GPU
 * @param addr     device address (CUdeviceptr) of the first byte, any alignment
 * @param length   bytes, at least 1; the range must lie in one allocation
 * @param flags    GPUMEM_PIN_*
 * @param buf      receives the handle
 * @return 0, or
 *   -EINVAL      the address is no device memory of this process (wrong, freed,
 *                host or managed memory), or length is 0
 *   -ERANGE      the range runs past the end of the allocation
 *   -EXDEV       the memory is on another GPU than the session's
 *   -EOPNOTSUPP  this kind of memory cannot be pinned by this backend
 *   -ENOMEM      out of host memory or of BAR1 space
 *   -EPROTO      the driver does not behave as the backend knows it
 *   -EAGAIN      see GPUMEM_PIN_NO_TRIAL_WRITE
 *   -EIO         CUDA or the driver reported an error
 *   -ENODEV      the GPU or the memory went away
 */
int gpumem_pin(struct gpumem *session, uint64_t addr, uint64_t length,
	       unsigned int flags, struct gpumem_buf **buf);

/**
 * Allocates GPU memory in the GPU's primary context and pins it. gpumem_unpin()
 * frees it.
 *
 * @param session  the session
 * @param length   bytes, at least 1
 * @param flags    GPUMEM_PIN_*
 * @param buf      receives the handle
 * @return as gpumem_pin(); -ENOMEM also when the GPU has too little memory
 */
int gpumem_alloc(struct gpumem *session, uint64_t length, unsigned int flags,
		 struct gpumem_buf **buf);

/**
 * Unpins a buffer: its mapping goes away, whoever still uses it, and its handle
 * is dead. Waits for calls on it in other threads.
 *
 * @param buf  the buffer
 */
int gpumem_unpin(struct gpumem_buf *buf);

/**
 * Maps a buffer into the CPU's address space, write-combined: stores are fast
 * and may reach the GPU in any order, loads are slow.
 *
 * Each gpumem_map() wants one gpumem_unmap(); further calls return the same
 * address. The mapping is not inherited by fork().
 *
 * If CUDA frees the memory while it is mapped, then with the kmod backend an
 * access raises SIGBUS from then on; with the rm and sim backends the mapping
 * keeps showing the old memory, which stays allocated until gpumem_unpin().
 *
 * @param buf   the buffer
 * @param addr  receives the CPU address of the very byte that was pinned
 * @return 0, or
 *   -ENODEV  the memory was freed
 *   -ENOMEM  out of address space or of BAR1 space
 *   -EIO     the driver reported an error
 */
int gpumem_map(struct gpumem_buf *buf, void **addr);

/**
 * Undoes one gpumem_map().
 *
 * @param buf  the buffer
 * @return 0, or -EINVAL when it is not mapped
 */
int gpumem_unmap(struct gpumem_buf *buf);

/** What is known of a buffer. */
struct gpumem_buf_info {
	size_t size; /**< in: sizeof(struct gpumem_buf_info) */
	uint64_t addr; /**< device address of the first byte */
	uint64_t length; /**< bytes pinned */
	uint64_t page_size; /**< bytes in a page of gpumem_pages() */
	uint64_t page_count; /**< pages that the range touches */
	uint64_t addr_offset; /**< bytes from the first page's start to addr */
	void *cpu; /**< CPU address of addr, or NULL while unmapped */
	unsigned int maps; /**< gpumem_map() calls not undone yet */
	unsigned int flags; /**< GPUMEM_BUF_* */
};

/** The memory was freed (kmod backend); only gpumem_unpin() is left. */
#define GPUMEM_BUF_REVOKED (1u << 0)
/** The memory came from gpumem_alloc(). */
#define GPUMEM_BUF_OWNED (1u << 1)
/** The addresses that gpumem_pages() gives are simulated: they lead nowhere. */
#define GPUMEM_BUF_SIMULATED_PAGES (1u << 2)

/**
 * Describes a buffer.
 *
 * @param buf   the buffer
 * @param info  receives the description; its size member must be set
 */
int gpumem_buf_get(struct gpumem_buf *buf, struct gpumem_buf_info *info);

/**
 * Gives the physical (BAR1) addresses of a buffer's pages, as the CPU sees
 * them: for a PCI device behind an IOMMU they are not the right addresses. The
 * pages need not be contiguous.
 *
 * With the rm backend the addresses exist only while the buffer is mapped
 * (-ENOTCONN otherwise), and the driver tells that of the first page alone: the
 * others are GPUMEM_UNKNOWN.
 *
 * @param buf    the buffer
 * @param first  index of the first page wanted
 * @param pages  receives the addresses
 * @param count  in: room in pages; out: addresses written
 * @return 0, or
 *   -ERANGE   first is not below the buffer's page count
 *   -ENOTCONN rm: the buffer is not mapped
 *   -ENODEV   the memory was freed
 */
int gpumem_pages(struct gpumem_buf *buf, uint64_t first, uint64_t *pages,
		 size_t *count);

/**
 * Copies from host memory into the buffer. On return the data is on its way:
 * the GPU sees it in any kernel started afterwards. Maps the buffer for the
 * time of the call if it is not mapped.
 *
 * @param buf     the buffer
 * @param offset  bytes from the start of the buffer
 * @param src     host memory
 * @param length  bytes; 0 does nothing
 * @return 0, -ERANGE when offset + length passes the end, -ENODEV when the
 *         memory was freed, or as gpumem_map()
 */
int gpumem_write(struct gpumem_buf *buf, uint64_t offset, const void *src,
		 size_t length);

/**
 * Copies from the buffer into host memory. Maps the buffer for the time of the
 * call if it is not mapped.
 *
 * @param buf     the buffer
 * @param offset  bytes from the start of the buffer
 * @param dst     host memory
 * @param length  bytes; 0 does nothing
 * @return as gpumem_write()
 */
int gpumem_read(struct gpumem_buf *buf, uint64_t offset, void *dst,
		size_t length);

/**
 * The reason why this thread's last failing call failed: one line that says
 * what went wrong, why, and what to do.
 *
 * @return a string that lives until this thread's next failing call; "" when
 *         none has failed
 */
const char *gpumem_last_error(void);

/**
 * The library's version, such as "0.1.0". It may differ from the header's.
 *
 * @return a string that lives as long as the library
 */
const char *gpumem_version(void);

#ifdef __cplusplus
}
#endif

#endif /* GPUMEM_H */
