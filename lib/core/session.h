/* SPDX-License-Identifier: MIT */
/* What stands behind the handles of include/gpumem.h. */
#ifndef GM_SESSION_H
#define GM_SESSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <gpumem.h>

#include "cuda/cuda.h"

struct gm_backend_ops;
struct gm_copier;

/* What gpumem_stats_get() tells. */
enum gm_count {
	GM_COUNT_PINS,
	GM_COUNT_REPINS,
	GM_COUNT_PROOFS,
	GM_COUNT_TRIAL_WRITES,
	GM_COUNT_PROOF_NS,
	GM_COUNT_FIND_NS,
	GM_COUNT_HANDLE_NS,
	GM_COUNT_IMPORT_NS,
	GM_COUNT_BAR1_NS,
	GM_COUNT_MMAP_NS,
	GM_COUNT_RELEASE_NS,
	GM_COUNTS,
};

/* Device memory of a session's own. */
#define GM_OWN_BYTES (2u << 20)

/* A GPU through a backend. All but the locked members are fixed at open. */
struct gm_session {
	const struct gm_backend_ops *ops;
	void *backend; /* the backend's own */
	struct gm_cuda cuda;
	CUdevice device;
	int ordinal;
	CUcontext context; /* the primary context, retained */
	unsigned long long context_id; /* CUDA's, 0 where it has none */
	/*
	 * GM_OWN_BYTES of device memory, for backends to try themselves on, see
	 * gm_session_need_own(), and CUDA's BUFFER_ID of it, which tells that the
	 * context was not reset; 0: none.
	 */
	CUdeviceptr own;
	uint64_t own_id;
	char pci[16]; /* "0000:3b:00.0", or "" */
	struct gpumem *handle;
	atomic_uint refs; /* the open session and each of its buffers */
	atomic_ullong counts[GM_COUNTS];
	struct gm_copier *copier; /* what it copies with */

	pthread_mutex_t lock; /* guards the list */
	pthread_cond_t removed; /* with lock: a buffer left the list */
	struct gm_buf *buffers;
};

/* A pinned range. All but the locked members are fixed when it is pinned. */
struct gm_buf {
	struct gm_session *session;
	struct gpumem_buf *handle;
	struct gm_buf *next; /* session->lock */
	struct gm_buf *previous; /* session->lock */
	uint64_t addr;
	uint64_t length;
	bool owned; /* gpumem_unpin() frees the memory */
	uint64_t memory_id; /* CUDA's BUFFER_ID of addr, 0 where it has none */

	/* Set by the backend's pin. */
	void *backend; /* the backend's own; guarded by lock once pinned */
	uint64_t page_size;
	uint64_t page_count;
	uint64_t addr_offset;
	bool simulated_pages;
	unsigned int map_flags; /* GPUMEM_BUF_DEVICE_MEMORY, _CACHED */

	/* GM_BUF_* and the copies at work; who is counted may use base. */
	atomic_uint use;
	atomic_int reach; /* what gm_buf_gpu_reach() found, see there */

	pthread_mutex_t lock; /* guards what follows */
	char *base; /* CPU address of the first page, or NULL */
	unsigned int maps; /* gpumem_map() not undone */
	struct gm_dma *dmas;
	pthread_cond_t dma_removed; /* with lock: one left the list */
};

/* gm_buf.use: there is a mapping; the last copy is to undo it. */
#define GM_BUF_MAPPED (1u << 31)
#define GM_BUF_UNMAP (1u << 30)
#define GM_BUF_COPIES (GM_BUF_UNMAP - 1)

/* A buffer mapped for a PCI device. All but the list is fixed when mapped. */
struct gm_dma {
	struct gm_buf *buf; /* lives until its list of these is empty */
	struct gpumem_dma *handle;
	struct gm_dma *next; /* buf->lock */
	struct gm_dma *previous; /* buf->lock */
	char peer[24]; /* "0000:3b:00.0" */

	/* Set by the backend's dma_map. */
	uint32_t id;
	uint64_t page_size;
	uint64_t run_count;
	unsigned int path; /* GPUMEM_PATH_* */
	char port[24]; /* that the path is about, or "" */
};

enum gm_memory {
	GM_MEMORY_ALLOC, /* cuMemAlloc */
	GM_MEMORY_VMM, /* cuMemCreate and cuMemMap */
	GM_MEMORY_POOL, /* cuMemAllocAsync */
};

/* A range to be pinned, and the allocation that it begins in. */
struct gm_range {
	uint64_t addr;
	/* with backends that can, on into allocations mapped side by side */
	uint64_t length;
	uint64_t alloc_addr;
	uint64_t alloc_length;
	enum gm_memory kind;
	CUcontext context; /* that the allocation belongs to */
};

/* Counts a user of the session that stands behind a handle, see handle.h. */
int gm_session_get(struct gpumem *handle, const char *call,
		   struct gm_session **session);

static inline void gm_session_count(struct gm_session *session,
				    enum gm_count count,
				    unsigned long long more)
{
	atomic_fetch_add_explicit(&session->counts[count], more,
				  memory_order_relaxed);
}

/*
 * Whether the program has reset the context since (cudaDeviceReset): what was
 * made in it, streams and the like, is then gone, and to use or destroy it could
 * crash in libcuda. Stores no reason.
 */
bool gm_session_is_reset(const struct gm_session *session);

/*
 * In open: allocates session->own, if it is not there. It stays until the session
 * ends, whichever backend is tried next: cuMemFree() waits for the program's
 * kernels, cuMemAlloc() does not (H200, 580.159.04).
 */
int gm_session_need_own(struct gm_session *session);
void gm_session_free_own(struct gm_session *session);

/* Without CUDA; counted once. NULL with the reason stored: out of memory. */
struct gm_session *gm_session_new(const struct gm_backend_ops *ops);

/* Drops one of session->refs; the last one frees the memory. */
void gm_session_unref(struct gm_session *session);

/*
 * Unpins a buffer whose handle is dead and takes it off its session's list.
 * Frees it.
 */
void gm_buf_destroy(struct gm_buf *buf);

/* In a forked child: frees the child's copy of a buffer. */
void gm_buf_drop(struct gm_buf *buf);

/*
 * Ends the DMA mappings of a buffer whose handle is dead, and waits for those
 * that other threads are ending.
 */
void gm_dma_end_all(struct gm_buf *buf);

/* In a forked child: frees the child's copies of the session's DMA mappings. */
void gm_dma_drop_all(const struct gm_session *session);

/* Stores the reason for -ENODEV, and returns that: the memory was freed. */
int gm_buf_revoked(const struct gm_buf *buf);

/* A GPU's PCI address as sysfs spells it, or "". */
void gm_device_pci(const struct gm_cuda *cuda, CUdevice device, char *pci,
		   size_t size);

/* BAR1 of the GPU at a PCI address, as the kernel tells; or GPUMEM_UNKNOWN. */
uint64_t gm_bar1_size(const char *pci);

/* The same, asking NVML; GPUMEM_UNKNOWN for what is not known. */
void gm_bar1_get(const char *pci, uint64_t *size, uint64_t *bytes_free);

#endif /* GM_SESSION_H */
