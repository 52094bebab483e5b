/* SPDX-License-Identifier: MIT */
/**
 * @file gpumem.h
 * libgpumem: direct CPU access to NVIDIA GPU memory.
 *
 * A session (struct gpumem) is one GPU reached through one backend. A buffer
 * (struct gpumem_buf) is a range of GPU memory pinned through a session: it can
 * be mapped into the CPU's address space, described, read and written. A DMA
 * mapping (struct gpumem_dma) makes a buffer reachable for one PCI device.
 *
 * They are handles, not pointers to memory: a handle that was closed, unpinned,
 * unmapped or never given out makes a call fail with -EBADF, it does not crash.
 *
 * The library loads libcuda.so.1 at run time: programs need no CUDA toolkit to
 * build.
 *
 * Unless a function says otherwise it returns 0 or a negative errno, may be
 * called from any thread at any time, and on failure changes nothing and leaves
 * the reason in gpumem_last_error(). A thread that is cancelled (pthread_cancel)
 * ends before a call did anything, or after it: calls are cancellation points at
 * their beginning alone, and short copies are none. A signal handler must not
 * leave a call by longjmp(): the buffer would stay in use.
 *
 * Errors that any call taking a handle or a pointer may return, beside its own:
 *   -EBADF   the handle is not live
 *   -EINVAL  a pointer that must be given is NULL, a flag is unknown, or a
 *            structure's size member, which the caller sets to the structure's
 *            size, is none that this library knows
 *   -ENOMEM  out of host memory
 *   -EPERM   the session was opened by another process (this is a forked child)
 */
#ifndef GPUMEM_H
#define GPUMEM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SIZEOF_POINTER__) && __SIZEOF_POINTER__ < 8
#error "gpumem is for 64-bit programs: there is no 32-bit CUDA"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * The version of this header; gpumem_version() gives the library's. A program runs
 * with every later library of the soname that it was linked with.
 */
#define GPUMEM_VERSION_MAJOR 0
#define GPUMEM_VERSION_MINOR 1
#define GPUMEM_VERSION_PATCH 0

/** @name Handles */

/** An open GPU. */
struct gpumem;

/** A pinned range of GPU memory. */
struct gpumem_buf;

/** A buffer's addresses for one PCI device. */
struct gpumem_dma;

/** A value that could not be found out. */
#define GPUMEM_UNKNOWN UINT64_MAX

/** @name Sessions */

/** What gpumem_open() is asked for. Zero, but for size, means the defaults. */
struct gpumem_options {
	size_t size; /**< sizeof(struct gpumem_options) */
	/**
	 * "kmod", "dmabuf", "rm" or "sim"; NULL: GPUMEM_BACKEND from the
	 * environment, otherwise the first that works here
	 */
	const char *backend;
	int device; /**< CUDA ordinal of the GPU, from 0 */
	unsigned int flags; /**< must be 0 */
	/**
	 * which GPU, instead of device, which is 0 then: its PCI address,
	 * "0000:3b:00.0" or "3b:00.0", or its UUID, "GPU-..." as nvidia-smi -L
	 * prints it; NULL: device tells. A program built before this member
	 * was there passes the size without it.
	 */
	const char *device_id;
};

/**
 * Opens a GPU.
 *
 * Loads libcuda.so.1 (the simulated one for the sim backend), initialises CUDA
 * and retains the primary context of the GPU until gpumem_close(). Also makes
 * ready what large copies need, for which CUDA would wait until the program's
 * kernels in the null stream have ended. Where one runs there, that is left for
 * a copy after its end, and until then copies go through the mapping, which is
 * slower: open before you start kernels that wait for the CPU. For kernels in
 * other streams CUDA waits as well, and a line on standard error says so after
 * two seconds; with GPUMEM_COURIER=0 it does not (seen with driver 580.159.04).
 *
 * Without a choice the backends are tried in this order, each on a little memory
 * of its own:
 *   kmod    through the kernel module of gpumem(4), where the driver pins memory
 *           of this GPU: of GeForce it pins none. When CUDA frees the memory,
 *           mappings of it raise SIGBUS.
 *   rm      through the stock NVIDIA driver; needs neither a module nor root. It
 *           pins memory of cuMemAlloc, offsets into it included, and memory of
 *           cuMemCreate, also across several such allocations mapped side by
 *           side. Freed memory stays allocated, and mapped, until it is unpinned.
 *   dmabuf  through CUDA's dma-bufs, on drivers that let the CPU map them. A range
 *           over several allocations is refused where the driver maps the first
 *           of them alone.
 *   sim     a simulated GPU in this process, for tests. It is tried only where the
 *           machine has no NVIDIA GPU at all.
 *
 * GPUs that CUDA_VISIBLE_DEVICES hides do not exist here either. A process may open
 * any number of sessions, on the same GPU and on several.
 *
 * @param options  what to open; NULL for the defaults
 * @param session  receives the handle
 * @return 0, or
 *   -ENODEV      no backend works here, or the one asked for does not; the
 *                message says why and what to do
 *   -ENOENT      CUDA sees no such GPU
 *   -EINVAL      the backend's name is unknown, device_id is neither a PCI
 *                address nor a UUID, both device and device_id are given, or
 *                a GPUMEM_* variable (gpumem(3), ENVIRONMENT) has a value that
 *                it does not take; the message names it. An empty one counts as
 *                not set
 *   -ELIBACC     libcuda.so.1 cannot be loaded or lacks a function
 *   -EACCES      a device node exists but this user may not open it
 *   -ENOMEM      out of host memory; rm: the GPU has no 2 MiB to verify with how
 *                the driver describes memory
 *   -EOPNOTSUPP  rm: the GPU is partitioned (MIG)
 *   -EPROTO      rm: the driver describes memory in a way that is not known
 *   -EIO         CUDA or the driver reported an error
 */
int gpumem_open(const struct gpumem_options *options, struct gpumem **session);

/**
 * Closes a session: unmaps and unpins all its buffers, whose handles are dead
 * from then on. Waits for calls on them in other threads. In a forked child
 * only the child's copy is dropped; the parent's session lives on. Once the
 * program has reset the GPU's primary context (cudaDeviceReset) this is what is
 * left to do with a session: pins then give -EIO.
 *
 * @param session  the session
 */
int gpumem_close(struct gpumem *session);

/**
 * The backend a session uses: "kmod", "dmabuf", "rm" or "sim".
 *
 * @param session  the session
 * @return a string that lives as long as the library, or NULL (-EBADF)
 */
const char *gpumem_backend_name(struct gpumem *session);

/**
 * Looks a function up in the libcuda that the session uses. A program that takes
 * CUDA from there, and no other way, runs on the simulated GPU unchanged.
 *
 * @param session  the session
 * @param name     the exported name, such as "cuMemcpyDtoH_v2"
 * @return its address, or NULL when libcuda has no such function
 */
void *gpumem_cuda_symbol(struct gpumem *session, const char *name);

/** @name GPUs and backends */

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

/**
 * Finds out which GPU the memory at an address is on: the one to open before
 * gpumem_pin(). Needs no session, and no current context in the thread.
 *
 * Makes no context, on no GPU, and does not start CUDA: before the program has,
 * no address is one of CUDA's. The libcuda that is asked is the one that
 * gpumem_open() without a choice of a backend loads, which is loaded where that
 * has not been done, and stays so.
 *
 * @param addr     device address (CUdeviceptr) of any byte of the memory
 * @param ordinal  receives the CUDA ordinal, as gpumem_options.device takes it
 * @return 0, or
 *   -EINVAL   the address is no device memory of this process (wrong, freed,
 *             host or managed memory; a forked child's CUDA has none), CUDA
 *             was not started in it, or GPUMEM_BACKEND names no backend
 *   -ELIBACC  libcuda.so.1 cannot be loaded or lacks a function
 */
int gpumem_device_of(uint64_t addr, int *ordinal);

/** A backend and whether it can be used on this machine, by this user. */
struct gpumem_backend {
	size_t size; /**< in: sizeof(struct gpumem_backend) */
	const char *name; /**< "kmod", "dmabuf", "rm", "sim" */
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

/** @name Buffers */

/*
 * The first three have the values that linux/gpumem.h gives them, so that one
 * file can include both headers.
 */

/**
 * The memory stays allocated for the pin, even after cuMemFree, until
 * gpumem_unpin(): with the kmod backend the pin is never revoked. The pins of
 * the other backends are of this kind with or without the flag.
 */
#define GPUMEM_PIN_PERSISTENT (1U << 0)
/**
 * kmod: use BAR1 also where the CPU reaches the memory over a coherent link.
 * Goes with GPUMEM_PIN_PERSISTENT only.
 */
#define GPUMEM_PIN_FORCE_BAR1 (1U << 1)
/** kmod: gpumem_pin_options.event_fd is given; for gpumem_pin_with() alone. */
#define GPUMEM_PIN_EVENTFD (1U << 2)
/** No pin writes the memory: takes back GPUMEM_PIN_VERIFY_WRITE, nothing else. */
#define GPUMEM_PIN_NO_TRIAL_WRITE (1U << 16)
/**
 * rm: the pin may write the memory for a moment. Only memory of cuMemCreate that
 * cannot be exported needs that, and only where CUDA's records do not name its
 * object (another libcuda, another malloc() than glibc's, no process_vm_readv())
 * and its size and contents do not tell it from other memory: CUDA then puts random
 * bytes in the place of the last 16 of the range, twice, looks which memory shows
 * them, and puts back what was there. Without the flag such a pin fails with
 * -EOPNOTSUPP. What the GPU or another process writes there
 * meanwhile is lost, and what they read there is wrong: give the flag for memory
 * that nothing works on. Other memory is never written, with this flag or without.
 */
#define GPUMEM_PIN_VERIFY_WRITE (1U << 17)

/**
 * Pins a range of GPU memory that the caller allocated with CUDA.
 *
 * CUDA's own synchronous copies and fills of the allocation are complete from
 * then on when they return, so that the mapping and other devices see what they
 * wrote: a new pin sets CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, as GPUDirect RDMA
 * asks for. Without it cuMemcpyDtoD, cuMemset and the like return while the GPU
 * is still at work, which is faster. It stays set until the memory is freed: an
 * allocation may be pinned several times, and the program may have set it.
 *
 * @param session  the session; the memory must be on its GPU
 * @param addr     device address (CUdeviceptr) of the first byte, any alignment
 * @param length   bytes, at least 1; the range must lie in one allocation, or,
 *                 with the rm and dmabuf backends, in allocations of cuMemCreate
 *                 that cuMemMap put side by side
 * @param flags    GPUMEM_PIN_*
 * @param buf      receives the handle
 * @return 0, or
 *   -EINVAL      the address is no device memory of this process (wrong, freed,
 *                host or managed memory), or length is 0
 *   -ERANGE      the range runs past the end of the allocation
 *   -EXDEV       the memory is on another GPU than the session's
 *   -EOPNOTSUPP  this kind of memory cannot be pinned by this backend, or the
 *                backend or the driver does not have what a flag asks for
 *   -ENOMEM      out of host memory or of BAR1 space
 *   -EDQUOT      kmod: this user has pinned as much as the module's user_limit
 *                allows
 *   -EPROTO      the driver does not behave as the backend knows it
 *   -EIO         CUDA or the driver reported an error
 *   -ENODEV      the GPU or the memory went away
 */
int gpumem_pin(struct gpumem *session, uint64_t addr, uint64_t length,
	       unsigned int flags, struct gpumem_buf **buf);

/** How gpumem_pin_with() pins. Zero, but for size, means as gpumem_pin(). */
struct gpumem_pin_options {
	size_t size; /**< sizeof(struct gpumem_pin_options) */
	unsigned int flags; /**< GPUMEM_PIN_* */
	/**
	 * with GPUMEM_PIN_EVENTFD: an eventfd that is signalled once when the
	 * driver takes the memory back; otherwise 0 or -1
	 */
	int event_fd;
};

/**
 * Pins as gpumem_pin() does, with all there is to choose.
 *
 * The eventfd stays the caller's, who may close it at any time; the pin keeps
 * its own reference. It is signalled after the CPU's mappings and the DMA
 * mappings of the memory have ended.
 *
 * @param session  the session; the memory must be on its GPU
 * @param addr     device address (CUdeviceptr) of the first byte, any alignment
 * @param length   bytes, at least 1; the range as gpumem_pin() has it
 * @param options  how; NULL for the defaults
 * @param buf      receives the handle
 * @return 0, an error of gpumem_pin(), or
 *   -EBADF       event_fd is no eventfd
 *   -EOPNOTSUPP  rm, dmabuf, sim: GPUMEM_PIN_EVENTFD, for their pins are never
 *                revoked
 */
int gpumem_pin_with(struct gpumem *session, uint64_t addr, uint64_t length,
		    const struct gpumem_pin_options *options,
		    struct gpumem_buf **buf);

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
 * Unpins a buffer: its mapping and its DMA mappings go away, whoever still uses
 * them, and its handle and theirs are dead. Waits for calls on them in other
 * threads. Stop the devices that work on the memory first.
 *
 * @param buf  the buffer
 */
int gpumem_unpin(struct gpumem_buf *buf);

/**
 * Maps a buffer into the CPU's address space, write-combined: stores are fast
 * and may reach the GPU in any order, loads are slow. On some machines it is of another
 * kind: see GPUMEM_BUF_DEVICE_MEMORY and GPUMEM_BUF_CACHED.
 *
 * Each gpumem_map() wants one gpumem_unmap(); further calls return the same
 * address. The mapping is not inherited by fork().
 *
 * On x86 streaming loads (MOVNTDQA) of less than a line of 64 bytes may leave
 * the rest of it in the CPU, where a later one, also of gpumem_read(), finds it:
 * put an MFENCE behind them (Intel SDM volume 2, MOVNTDQA).
 *
 * If CUDA frees the memory while it is mapped, then with the kmod backend an
 * access raises SIGBUS from then on; with the other backends the mapping
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
 * kmod: mapped as Device memory, as in arm64 virtual machines. Through gpumem_map() use
 * words that are aligned to their size: all others raise SIGBUS, and so do memcpy() and
 * memset(). The library's copies are right there.
 */
#define GPUMEM_BUF_DEVICE_MEMORY (1u << 3)
/** kmod: mapped cached, over the GPU's coherent link to the CPU. */
#define GPUMEM_BUF_CACHED (1u << 4)

/**
 * Describes a buffer.
 *
 * @param buf   the buffer
 * @param info  receives the description; its size member must be set
 */
int gpumem_buf_get(struct gpumem_buf *buf, struct gpumem_buf_info *info);

/**
 * Gives the physical (BAR1) addresses of a buffer's pages, as the CPU sees
 * them: for a PCI device behind an IOMMU they are not the right addresses, see
 * gpumem_dma_map(). The pages need not be contiguous.
 *
 * With the rm backend the addresses exist only while the buffer is mapped
 * (-ENOTCONN otherwise), and the driver tells that of a mapping's first page
 * alone: the others are GPUMEM_UNKNOWN, and so is the first of a buffer that
 * shares the mapping of another one that begins elsewhere. The dmabuf backend
 * knows none (-EOPNOTSUPP).
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

/** @name Other devices */

/**
 * Maps a buffer for one PCI device, which can then read and write the GPU's
 * memory by itself, with an IOMMU in between or not. Needs the kmod backend.
 *
 * Only for a device that the caller controls anyway: for root (CAP_SYS_RAWIO),
 * or for a user who may write the device's file config or resourceN below
 * /sys/bus/pci/devices.
 *
 * Ends with gpumem_dma_unmap(), gpumem_unpin() or gpumem_close(), or when the
 * memory is freed and the pin is not persistent. A device that still works on
 * it then is stopped by the IOMMU, if there is one; the memory is not given to
 * anyone else before the mapping has ended.
 *
 * @param buf    the buffer
 * @param peer   the device: "0000:3b:00.0", or "3b:00.0" in domain 0
 * @param flags  must be 0
 * @param dma    receives the handle
 * @return 0, or
 *   -EINVAL      peer is no PCI address, or the driver refused the device
 *   -ENODEV      there is no such device, it has no driver, or the memory was
 *                freed
 *   -EACCES      this user may not use the device
 *   -EBUSY       vfio-pci drives the device: give VFIO_IOMMU_MAP_DMA the
 *                address of gpumem_map() instead (not with iommufd, see
 *                gpumem(4))
 *   -EDQUOT      this user has pinned as much as the module's user_limit allows,
 *                against which the mapping counts like a pin
 *   -EREMOTEIO   a port between the device and the GPU redirects requests to the
 *                host bridge (ACS), and there is no IOMMU to send them back down;
 *                gpumem_last_error() names the port
 *   -EIO         the device cannot address the memory (has its driver set the
 *                DMA mask?), or the driver reported an error
 *   -EOPNOTSUPP  the backend cannot do this, the driver cannot hold this memory
 *                for a device, the GPU has a coherent CPU link (pin with
 *                GPUMEM_PIN_FORCE_BAR1), or a host bridge moves addresses and no
 *                IOMMU translates
 */
int gpumem_dma_map(struct gpumem_buf *buf, const char *peer, unsigned int flags,
		   struct gpumem_dma **dma);

/** The kernel module does not know the way, or is older than this library. */
#define GPUMEM_PATH_UNKNOWN 0
/** The PCI Express switch that device and GPU are below hands requests over. */
#define GPUMEM_PATH_SWITCH 1
/**
 * Requests go through the host bridge, at physical addresses. Whether it hands them
 * from one of its ports to another, and how fast, is up to the platform.
 */
#define GPUMEM_PATH_HOST 2
/** Requests go through the host bridge, whose IOMMU translates. */
#define GPUMEM_PATH_IOMMU 3

/** What is known of a DMA mapping. */
struct gpumem_dma_info {
	size_t size; /**< in: sizeof(struct gpumem_dma_info) */
	uint64_t page_size; /**< bytes in a page of the mapping */
	uint64_t run_count; /**< runs that gpumem_dma_runs() gives */
	/** bytes from the first run's start to the buffer's first byte */
	uint64_t addr_offset;
	uint64_t length; /**< bytes in the buffer */
	char peer[24]; /**< the device, "0000:3b:00.0" */
	unsigned int path; /**< GPUMEM_PATH_*: how requests come to the GPU */
	/**
	 * GPUMEM_PATH_SWITCH: the switch's upstream port. GPUMEM_PATH_HOST: the port
	 * that redirects to the host bridge what a switch could hand over. Otherwise
	 * "".
	 */
	char port[24];
};

/**
 * Describes a DMA mapping.
 *
 * @param dma   the mapping
 * @param info  receives the description; its size member must be set
 */
int gpumem_dma_get(struct gpumem_dma *dma, struct gpumem_dma_info *info);

/** Contiguous DMA addresses. */
struct gpumem_run {
	uint64_t addr; /**< the first one, as the device must use it */
	uint64_t length; /**< bytes */
};

/**
 * Gives the addresses of a DMA mapping as runs of contiguous ones, one after
 * the other as the buffer's pages follow each other. They cover whole pages:
 * the buffer begins gpumem_dma_info.addr_offset bytes after the start of the
 * first run, and may end before the last run does.
 *
 * @param dma    the mapping
 * @param first  index of the first run wanted
 * @param runs   receives the runs
 * @param count  in: room in runs; out: runs written
 * @return 0, or
 *   -ERANGE  first is not below the mapping's run count
 *   -ENODEV  the memory was freed: the addresses lead nowhere any more
 */
int gpumem_dma_runs(struct gpumem_dma *dma, uint64_t first,
		    struct gpumem_run *runs, size_t *count);

/**
 * Ends a DMA mapping; its handle is dead. Waits for calls on it in other
 * threads. Stop the device first.
 *
 * @param dma  the mapping
 */
int gpumem_dma_unmap(struct gpumem_dma *dma);

/** CPU mappings of the dma-buf may read only. */
#define GPUMEM_EXPORT_READ_ONLY (1U << 0)
/**
 * Importers are to reach the memory by PCIe, through BAR1, also where the GPU has
 * another link to the CPU (NVLink-C2C, as on GH200 and GB200). With the rm and
 * dmabuf backends it takes a driver that knows it
 * (CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE, CUDA 12.8); with the kmod backend
 * it holds for what was pinned with GPUMEM_PIN_FORCE_BAR1, and anywhere without
 * such a link.
 */
#define GPUMEM_EXPORT_PCIE (1U << 1)

/** A dma-buf of a buffer, as its importers want it described. */
struct gpumem_dmabuf {
	size_t size; /**< in: sizeof(struct gpumem_dmabuf) */
	int fd; /**< the descriptor */
	uint64_t offset; /**< bytes into the dma-buf at which the buffer begins */
	uint64_t length; /**< bytes of the buffer */
	uint64_t dmabuf_size; /**< bytes of the dma-buf: whole pages */
};

/**
 * Makes a dma-buf of a buffer, for other drivers to import. The descriptor is
 * close-on-exec and the caller's to close; any process may use it. For RDMA:
 *
 *	ibv_reg_dmabuf_mr(pd, d.offset, d.length, iova, d.fd, access)
 *
 * where iova and d.offset are the same within a page.
 *
 * With the kmod backend the module makes it. After gpumem_unpin(), or when the
 * memory is freed, it shows nothing any more: its importers are told to let go
 * and its CPU mappings raise SIGBUS. An importer that cannot be told so, as a
 * network card whose driver pins what it imports (but since Linux 7.1 some can be),
 * may use the dma-buf of a buffer pinned with GPUMEM_PIN_PERSISTENT only: otherwise
 * it is refused with EOPNOTSUPP, and the kernel's log says so. One that needs struct
 * pages, as most drivers for cameras and screens, is always refused.
 *
 * With the rm and dmabuf backends CUDA makes it, where the driver has that,
 * whether or not the memory can be mapped. It lives on after gpumem_unpin() and
 * holds the memory by itself.
 *
 * @param buf    the buffer
 * @param flags  GPUMEM_EXPORT_*
 * @param dmabuf receives the dma-buf; unchanged after an error
 * @return 0, or
 *   -EINVAL      dmabuf is NULL or of another size, or an unknown flag
 *   -ENODEV      the memory was freed
 *   -EMFILE      this process has too many open files
 *   -ENFILE      the machine has too many open files
 *   -EDQUOT      kmod: this user has pinned as much as the module's user_limit
 *                allows, against which the dma-buf counts like a pin
 *   -EIO         the driver reported an error
 *   -EOPNOTSUPP  the backend cannot do this, the module was built without
 *                dma-buf, or the driver cannot hold this memory for one
 */
int gpumem_export_dmabuf(struct gpumem_buf *buf, unsigned int flags,
			 struct gpumem_dmabuf *dmabuf);

/**
 * @name Copies
 * With the rm and dmabuf backends the memory may be freed (cuMemFree) during a call,
 * which survives it. As with CUDA's own copies, it is not to be freed while other
 * copies of it are being started: CUDA may lose the context, unless the copy engine
 * is off, see gpumem_copy_settings.copy_engine.
 */

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
 * @return as gpumem_write(), or -ETIMEDOUT when the GPU does not answer for
 *         seconds, as under a debugger, and may still write to dst, which is
 *         pinned memory: dst is not to be used then
 */
int gpumem_read(struct gpumem_buf *buf, uint64_t offset, void *dst,
		size_t length);

/**
 * Copies from the buffer as gpumem_read() does, but does not wait for what this
 * thread loaded before: short reads of different lines, called in a row, are
 * under way together. In return the data may be older than such a load: behind
 * a flag that says that they are there read with gpumem_read() or
 * gpumem_consume(). They were in the GPU's memory not long before the call, a
 * few microseconds; two such reads of one place may come in the other order,
 * but not of an aligned word of 1, 2, 4 or 8 bytes. A thread sees what it wrote
 * itself.
 *
 * This differs from gpumem_read() on arm64, and on Intel's Sapphire and Emerald
 * Rapids, where each such load was seen to go to the GPU; on other CPUs an older
 * one's data could come again, and it is gpumem_read(). So are long reads.
 *
 * @param buf     the buffer
 * @param offset  bytes from the start of the buffer
 * @param dst     host memory
 * @param length  bytes; 0 does nothing
 * @return as gpumem_write()
 */
int gpumem_read_unordered(struct gpumem_buf *buf, uint64_t offset, void *dst,
			  size_t length);

/**
 * @name Copies in a chosen way
 * gpumem_write() and gpumem_read() choose the way by length, direction and kind of
 * host memory, from a plan that `gpumem tune` measured on this machine, or else from
 * a built-in one. Where that way cannot be taken they take another one.
 */

/** The library chooses. */
#define GPUMEM_COPY_AUTO 0u
/** The calling thread stores into the mapping, or loads from it. */
#define GPUMEM_COPY_CPU 1u
/** The same by several threads. */
#define GPUMEM_COPY_THREADS 2u
/** Reads: a kernel on the GPU pushes the data. */
#define GPUMEM_COPY_COURIER 3u
/** The GPU's copy engine. */
#define GPUMEM_COPY_ENGINE 4u

/** From the GPU to the host; without it, to the GPU. */
#define GPUMEM_COPY_READ (1u << 0)
/** The host memory is pinned by CUDA (cuMemHostAlloc, cuMemHostRegister). */
#define GPUMEM_COPY_PINNED (1u << 1)
/** It is not, so that the library need not ask CUDA. */
#define GPUMEM_COPY_PAGEABLE (1u << 2)

/** How one copy is done. Zero, but for size, means as gpumem_write(). */
struct gpumem_copy_options {
	size_t size; /**< sizeof(struct gpumem_copy_options) */
	unsigned int method; /**< GPUMEM_COPY_AUTO ... _ENGINE */
	unsigned int flags; /**< GPUMEM_COPY_PINNED or _PAGEABLE */
	unsigned int threads; /**< with _THREADS and more; 0: as configured */
	unsigned int reserved; /**< must be 0 */
};

/**
 * Copies as gpumem_write() does, in a way that the caller chooses.
 *
 * @param buf      the buffer
 * @param offset   bytes from the start of the buffer
 * @param src      host memory
 * @param length   bytes; 0 does nothing
 * @param options  how; NULL for the defaults
 * @return as gpumem_write(), or -EOPNOTSUPP where that way cannot be taken
 *         here: the message says why; -EBUSY where the GPU has no room for the
 *         courier now
 */
int gpumem_write_with(struct gpumem_buf *buf, uint64_t offset, const void *src,
		      size_t length, const struct gpumem_copy_options *options);

/**
 * Copies as gpumem_read() does, in a way that the caller chooses.
 *
 * @param buf      the buffer
 * @param offset   bytes from the start of the buffer
 * @param dst      host memory
 * @param length   bytes; 0 does nothing
 * @param options  how; NULL for the defaults
 * @return as gpumem_write_with()
 */
int gpumem_read_with(struct gpumem_buf *buf, uint64_t offset, void *dst,
		     size_t length, const struct gpumem_copy_options *options);

/** @name Copies of many pieces */

/** A piece of a batch. */
struct gpumem_piece {
	uint64_t offset; /**< bytes from the start of the buffer */
	void *host; /**< host memory; only read by gpumem_writev() */
	size_t length; /**< bytes; 0 does nothing */
};

/**
 * Copies many pieces from host memory into a buffer, which costs less than as
 * many calls. All pieces are checked before the first is copied. Where pieces
 * overlap it is not defined which one stays.
 *
 * @param buf     the buffer
 * @param pieces  the pieces
 * @param count   how many
 * @return as gpumem_write()
 */
int gpumem_writev(struct gpumem_buf *buf, const struct gpumem_piece *pieces,
		  size_t count);

/**
 * Copies many pieces from a buffer into host memory.
 *
 * @param buf     the buffer
 * @param pieces  the pieces
 * @param count   how many
 * @return as gpumem_read()
 */
int gpumem_readv(struct gpumem_buf *buf, const struct gpumem_piece *pieces,
		 size_t count);

/** A rectangle: rows of bytes, some distance apart. */
struct gpumem_rect {
	uint64_t offset; /**< of the first row's first byte in the buffer */
	uint64_t pitch; /**< bytes from row to row in the buffer */
	uint64_t host_pitch; /**< bytes from row to row in host memory */
	uint64_t width; /**< bytes of a row; at most either pitch */
	uint64_t height; /**< rows */
};

/**
 * Copies a rectangle from host memory into a buffer.
 *
 * @param buf   the buffer
 * @param rect  the rectangle
 * @param src   host memory of the first row
 * @return as gpumem_write(), or -EINVAL when a row is longer than a pitch
 */
int gpumem_write_2d(struct gpumem_buf *buf, const struct gpumem_rect *rect,
		    const void *src);

/**
 * Copies a rectangle from a buffer into host memory.
 *
 * @param buf   the buffer
 * @param rect  the rectangle
 * @param dst   host memory of the first row
 * @return as gpumem_read(), or -EINVAL when a row is longer than a pitch
 */
int gpumem_read_2d(struct gpumem_buf *buf, const struct gpumem_rect *rect,
		   void *dst);

/** @name Order */

/**
 * Stores a 4- or 8-byte value that a running kernel polls, by one store, after
 * everything that this thread wrote before through any mapping or gpumem_write.
 * The kernel must read it volatile or relaxed, and acquire before it uses data
 * that was written before (__threadfence_system() or ld.acquire.sys).
 *
 * @param buf     the buffer
 * @param offset  bytes from the start of the buffer; a multiple of width
 * @param value   what to store
 * @param width   bytes: 4 or 8
 * @return as gpumem_write(), or -EINVAL for a wrong width or a device address
 *         that is no multiple of it
 */
int gpumem_doorbell(struct gpumem_buf *buf, uint64_t offset, uint64_t value,
		    unsigned int width);

/**
 * Publishes data to a running kernel: writes it, then a 4-byte flag that the
 * kernel polls. A kernel that sees the flag and acquires, as for
 * gpumem_doorbell(), sees the data.
 *
 * @param buf          the buffer
 * @param offset       where the data goes, in bytes
 * @param data         host memory
 * @param length       bytes
 * @param flag_offset  where the flag is, in bytes: outside the data, and a
 *                     device address that is a multiple of 4
 * @param flag         what to store there
 * @return as gpumem_doorbell()
 */
int gpumem_publish(struct gpumem_buf *buf, uint64_t offset, const void *data,
		   size_t length, uint64_t flag_offset, uint32_t flag);

/**
 * Waits until a 4-byte flag that a running kernel sets has a value, and then
 * reads data that the kernel wrote before it (with __threadfence_system() or a
 * release at system scope in between).
 *
 * Polls without a pause, over the bus.
 *
 * @param buf          the buffer
 * @param flag_offset  where the flag is, in bytes; its device address is a
 *                     multiple of 4
 * @param flag         the value to wait for
 * @param timeout_us   how long to wait, in microseconds; 0: look once
 * @param offset       where the data is, in bytes
 * @param data         host memory
 * @param length       bytes; 0: the flag alone
 * @return as gpumem_doorbell(), or -ETIMEDOUT when the flag did not come
 */
int gpumem_consume(struct gpumem_buf *buf, uint64_t flag_offset, uint32_t flag,
		   uint64_t timeout_us, uint64_t offset, void *data,
		   size_t length);

/** @name How copies are done */

/** How a session copies. */
struct gpumem_copy_settings {
	size_t size; /**< sizeof(struct gpumem_copy_settings) */
	/**
	 * threads for a large copy, the caller included; GPUMEM_THREADS from
	 * the environment, otherwise the number of CPUs that the process may use,
	 * at most 8. 1: the caller alone
	 */
	unsigned int threads;
	/**
	 * 1: reads may start a kernel on the GPU; 0: never. GPUMEM_COURIER from
	 * the environment, otherwise 1; 0 with CUDA_LAUNCH_BLOCKING, and where
	 * launches turn out to wait for their kernels' ends none is started.
	 */
	unsigned int courier;
	/**
	 * that kernel ends after so many microseconds without work (10), or up to
	 * six times as many where reads come regularly at longer intervals. A
	 * cuCtxSynchronize after a read waits so long for it: so reads that come
	 * one by one start none, and where it ends in vain it is started more and
	 * more rarely
	 */
	unsigned int courier_idle_us;
	/**
	 * it ends after so many microseconds even with work (500), but not
	 * before the end of the gpumem_read() in hand, and no other begins in
	 * the 60 us after that. cuCtxSynchronize, cuMemAlloc and cuMemFree of
	 * other threads wait so long when they meet one, and may meet several
	 * in one call: ten lives (5 ms) are the bound that `gpumem bench stall`
	 * compares the worst with. Where they meet one again and again while a
	 * thread reads without a pause none is started for 50 ms, then longer
	 */
	unsigned int courier_life_us;
	/**
	 * 1: copies may be the GPU's copy engine's; 0: never.
	 * GPUMEM_COPY_ENGINE from the environment, otherwise 1. Without it memory
	 * may be freed (cuMemFree) while copies of it are being started, as
	 * GDRCopy allows: no copy is one of CUDA's, and cuMemFree waits for the
	 * kernel that reads. It is not to be freed while it is being pinned: a
	 * pin compares a few bytes by CUDA. Reads are then that kernel's from 6
	 * KiB on, the first after a pause too, and writes go through the
	 * mapping. So do reads of memory of cuMemCreate, for cuMemUnmap waits
	 * for no kernel
	 */
	unsigned int copy_engine;
};

/**
 * Tells how a session copies.
 *
 * @param session   the session
 * @param settings  receives the settings; its size member must be set
 */
int gpumem_copy_settings_get(struct gpumem *session,
			     struct gpumem_copy_settings *settings);

/**
 * Changes how a session copies, from its next copy on. Waits for a copy that the
 * copy engine is at.
 *
 * @param session   the session
 * @param settings  the settings, all of them
 * @return 0, or -EINVAL when a value is out of its range: threads 1 to 64,
 *         courier and copy_engine 0 or 1, idle 10 to 10000 us, life 100 to
 *         10000 us
 */
int gpumem_copy_settings_set(struct gpumem *session,
			     const struct gpumem_copy_settings *settings);

/**
 * Makes ready what is not yet: the helping threads, which the first large copy
 * would start, and the courier, where gpumem_open() could not have it or it was
 * switched on since.
 *
 * @param session  the session
 * @return 0; -EOPNOTSUPP when a part cannot be had here, with which and why:
 *         copies work without it; -EBUSY when a kernel runs in the null stream;
 *         -ENOMEM
 */
int gpumem_copy_prepare(struct gpumem *session);

/**
 * @name The plan
 * The plan is a list of steps, for each direction and kind of host memory one or
 * more, the last of which has no end. gpumem(1) measures one and stores it: `gpumem
 * tune`.
 */

/** One step of the plan: what copies up to some length do. */
struct gpumem_plan_step {
	unsigned int flags; /**< GPUMEM_COPY_READ, _PINNED or neither */
	unsigned int method; /**< GPUMEM_COPY_CPU ... _ENGINE */
	unsigned int threads; /**< the most threads that work, 1 or more */
	unsigned int reserved; /**< 0 */
	uint64_t up_to; /**< longest copy, in bytes; UINT64_MAX: no end */
};

/** How a copy would be done, see gpumem_copy_explain(). */
struct gpumem_copy_plan {
	size_t size; /**< in: sizeof(struct gpumem_copy_plan) */
	unsigned int method; /**< GPUMEM_COPY_CPU ... _ENGINE */
	unsigned int threads; /**< the most threads that work */
	unsigned int measured; /**< 1: from `gpumem tune`; 0: built in */
	unsigned int reserved; /**< 0 */
	char text[232]; /**< one line for people: how, and why so */
};

/**
 * Explains how the session would copy.
 *
 * @param session  the session
 * @param length   bytes
 * @param flags    GPUMEM_COPY_READ, GPUMEM_COPY_PINNED or neither
 * @param plan     receives the answer; its size member must be set
 */
int gpumem_copy_explain(struct gpumem *session, uint64_t length,
			unsigned int flags, struct gpumem_copy_plan *plan);

/**
 * Gives the whole plan of a session, by direction, kind of memory and length.
 *
 * @param session  the session
 * @param steps    receives the steps
 * @param count    in: room in steps; out: how many there are
 * @return 0, or -ENOSPC when there are more
 */
int gpumem_plan_get(struct gpumem *session, struct gpumem_plan_step *steps,
		    size_t *count);

/**
 * Store the plan for later sessions on this GPU model and CPU model. The built-in
 * one is stored by removing the file.
 */
#define GPUMEM_PLAN_SAVE (1u << 0)

/**
 * Changes the plan of a session.
 *
 * @param session  the session
 * @param steps    the steps; for a direction and kind of memory that has one,
 *                 they replace the old ones and the last has no end
 * @param count    how many; 0 with NULL: the built-in plan
 * @param flags    GPUMEM_PLAN_SAVE or 0
 * @return 0, -EINVAL for steps that are no plan, or the error of writing the
 *         file, after which nothing has changed
 */
int gpumem_plan_set(struct gpumem *session,
		    const struct gpumem_plan_step *steps, size_t count,
		    unsigned int flags);

/**
 * The file where a session's plan is stored.
 *
 * @param session  the session
 * @param path     receives the path
 * @param size     bytes of room
 * @return 0, -ENOENT where neither XDG_CACHE_HOME nor HOME is set, or -ENOSPC
 */
int gpumem_plan_path(struct gpumem *session, char *path, size_t size);

/** @name Statistics */

/**
 * What a session has done since it was opened. Members that end in _ns are times in
 * nanoseconds; those from find_ns on are of the other steps of the rm backend.
 */
struct gpumem_stats {
	size_t size; /**< in: sizeof(struct gpumem_stats) */
	uint64_t pins; /**< pins made */
	uint64_t repins; /**< of these, out of the rm backend's cache */
	uint64_t proofs; /**< rm: mappings proven to show the right memory */
	uint64_t trial_writes; /**< pins that wrote: see GPUMEM_PIN_VERIFY_WRITE */
	uint64_t proof_ns; /**< time that the proofs took */
	uint64_t find_ns; /**< CUDA was asked which allocation it is */
	uint64_t handle_ns; /**< CUDA gave a handle of the allocation */
	uint64_t import_ns; /**< the driver gave its memory for the handle */
	uint64_t bar1_ns; /**< the driver mapped memory into BAR1 */
	uint64_t mmap_ns; /**< the kernel mapped BAR1 into the process */
	uint64_t release_ns; /**< mappings and memory were given back */
};

/**
 * Tells what a session has done.
 *
 * @param session  the session
 * @param stats    receives the counts; its size member must be set
 */
int gpumem_stats_get(struct gpumem *session, struct gpumem_stats *stats);

/** @name Reasons and versions */

/**
 * The reason why this thread's last call failed: one line that says what went
 * wrong, why, and what to do. To be asked for directly after a call that failed:
 * one that works may leave the reason of what it tried on the way. It is UTF-8;
 * other bytes of a path or a name in it, and control characters, are given as
 * \xNN.
 *
 * @return a string that lives until this thread's next call; "" when none has
 *         failed
 */
const char *gpumem_last_error(void);

/**
 * The library's version, such as "0.1.0". It may differ from the header's.
 *
 * @return a string that lives as long as the library
 */
const char *gpumem_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* GPUMEM_H */
