/* SPDX-License-Identifier: MIT */
/*
 * Inside the simulated CUDA: GPUs whose memory comes from a store, and no
 * engine that runs kernels: a thread stands for the one kernel there is, see
 * kernel.c. Every other operation is finished when its call returns, or at the
 * first question for it (gpumem_sim_delay_copies()), so streams and events only
 * keep books.
 *
 * sim.lock guards everything in here. Copies and queries hold it for reading,
 * all that changes a table holds it for writing. The stacks of current contexts
 * belong to their threads and need no lock.
 */
#ifndef SIM_H
#define SIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cuda_api.h"

#pragma GCC visibility push(default)
#include "abi/sim.h"
#pragma GCC visibility pop

#define SIM_DRIVER_VERSION 13000
#define SIM_MAX_GPUS GPUMEM_SIM_GPUS_MAX
#define SIM_BLOCK_SIZE (2ull << 20)
/* Allocations below this share blocks. */
#define SIM_SHARED_LIMIT (1ull << 20)
/* Allocations start at multiples of this. */
#define SIM_ALLOC_ALIGN 512ull

/*
 * A block of device memory: what RM calls a memory object; or a view, which
 * shows part of one at addresses that were reserved before.
 */
struct sim_block {
	uint64_t addr; /* device address; cuMemCreate()'s is not used */
	uint64_t length; /* bytes, a multiple of SIM_BLOCK_SIZE */
	uint32_t client; /* RM handles under which it is known */
	uint32_t memory;
	uint32_t *pages; /* the memory file's pages; NULL: emulated GPU */
	unsigned int gpu; /* whose memory it is */
	bool view;
	bool shared; /* small allocations are carved from it */
	bool pool; /* for cuMemAllocAsync() */
	struct sim_alloc *first; /* by offset */
	struct sim_block *next;
};

enum sim_kind {
	SIM_PLAIN, /* cuMemAlloc() */
	SIM_POOL, /* cuMemAllocAsync() */
	SIM_VMM, /* cuMemMap() */
};

/* What one call allocated or mapped. */
struct sim_alloc {
	enum sim_kind kind;
	struct sim_phys *phys; /* SIM_VMM: what is mapped */
	CUmemoryPool pool; /* SIM_POOL: its pool */
	unsigned char access[SIM_MAX_GPUS]; /* SIM_VMM: by device ordinal */
	uint64_t addr;
	uint64_t size; /* bytes, as asked for */
	uint64_t id; /* never used twice */
	unsigned int sync_memops;
	/* Bytes that copies and fills have written; the longest such run. */
	uint64_t written_low, written_high;
	CUcontext ctx;
	struct sim_block *block;
	struct sim_alloc *next; /* in the block */
};

struct sim_map {
	void *addr;
	struct sim_map *next;
};

/* Pages that stay allocated whatever becomes of their block. */
struct sim_pin {
	uint64_t id; /* never 0 */
	unsigned int gpu;
	uint64_t count; /* pages */
	uint64_t *pages; /* physical addresses */
	uint64_t hold; /* the emulated GPU's id and mmap offset */
	uint64_t mmap_offset;
	struct sim_map *maps;
	struct sim_pin *next;
};

struct sim_pci {
	unsigned int domain;
	unsigned int bus;
	unsigned int device;
};

struct sim_usage {
	uint64_t total; /* bytes of video memory */
	uint64_t used;
	uint64_t pinned; /* bytes of BAR1 that pins take */
};

/*
 * Where device memory comes from. All return 0 or a negative errno. read() and
 * write() are the GPU's own way to its memory, never through a mapping that
 * map() made; the caller has checked their ranges.
 */
struct sim_store {
	const char *description;
	const char *device_name;
	char uuid[16]; /* of the first GPU; the others' last byte differs */
	bool emulated;
	/* Sets the number of GPUs there are, SIM_MAX_GPUS at most. */
	int (*open)(unsigned int *gpus);
	/* While nothing is allocated. */
	void (*close)(void);
	int (*pci)(unsigned int gpu, struct sim_pci *pci);
	int (*usage)(unsigned int gpu, struct sim_usage *usage);
	/* block->length and gpu are set; fills in the rest that is its own. */
	int (*alloc)(struct sim_block *block);
	void (*free)(struct sim_block *block);
	/* Like alloc, without addresses of its own. */
	int (*create)(struct sim_block *block);
	int (*reserve)(uint64_t length, uint64_t align, uint64_t *addr);
	void (*unreserve)(uint64_t addr, uint64_t length);
	/* view->addr, length and gpu are set; shows the start of a block. */
	int (*view)(struct sim_block *view, const struct sim_block *block);
	int (*export)(const struct sim_block *block, int *fd);
	/* -EINVAL: no such descriptor. */
	int (*import)(struct sim_block *block, int fd);
	/*
	 * Of a range over blocks side by side. -EOPNOTSUPP: there are no
	 * dma-bufs.
	 */
	int (*dmabuf)(uint64_t addr, uint64_t length, int *fd);
	int (*read)(const struct sim_block *block, uint64_t offset, void *dst,
		    uint64_t length);
	int (*write)(const struct sim_block *block, uint64_t offset,
		     const void *src, uint64_t length);
	/* pin->count and pin->pages are set; fills the latter. */
	int (*pin)(const struct sim_block *block, uint64_t offset,
		   struct sim_pin *pin);
	void (*unpin)(struct sim_pin *pin);
	int (*map)(const struct sim_pin *pin, void **addr);
};

extern const struct sim_store sim_store_memfd;
extern const struct sim_store sim_store_emu;

struct CUctx_st {
	uint64_t id; /* never used twice */
	CUdevice dev;
	unsigned int flags;
	unsigned int refs; /* of the primary context */
	bool reset; /* the same: not retained since it was */
	/* What a kernel or a copy did wrong: all fails from then on. */
	_Atomic CUresult fault;
	struct CUctx_st *next;
};

struct sim {
	pthread_rwlock_t lock;
	const struct sim_store *store; /* set once, by cuInit() */
	/* What CUDA_VISIBLE_DEVICES leaves: the store's GPU by ordinal. */
	unsigned int gpu[SIM_MAX_GPUS];
	int device_count;
	struct CUctx_st primary[SIM_MAX_GPUS];
	struct CUctx_st *contexts; /* those of cuCtxCreate() */
	uint64_t last_id; /* of contexts, allocations and pins */
};

extern struct sim sim;

/* An export that is another name of a function in the same file. */
#define SIM_ALIAS(name, target)        \
	extern __typeof__(target) name \
		__attribute__((alias(#target), visibility("default")))

/* init.c */
CUresult sim_ready(void);
int sim_ready_errno(void);
CUresult sim_result(int err);
/* store.c: on failure NULL and a line on stderr. */
const struct sim_store *sim_store_open(unsigned int *gpus);

/* device.c */
bool sim_device_valid(CUdevice dev);
/* The ordinal of a store's GPU, or -1 where it is not visible. */
CUdevice sim_device_of(unsigned int gpu);
void sim_gpu_uuid(unsigned int gpu, char uuid[16]);

/* visible.c: CUDA_VISIBLE_DEVICES, of so many GPUs. */
void sim_visible_choose(unsigned int gpus);

/*
 * context.c. The lock functions take sim.lock when CUDA is initialised and this
 * thread has a live current context; otherwise they hold nothing on return.
 */
CUresult sim_lock_read(CUcontext *ctx);
CUresult sim_lock_write(CUcontext *ctx);
void sim_unlock(void);
/* With sim.lock held: whether the handle is that of a live context. */
bool sim_ctx_live(CUcontext ctx);
/* With sim.lock held: frees all that was made in the context. */
void sim_ctx_clear(CUcontext ctx);
/*
 * With sim.lock held: a handle whose context has ended, which is not freed; and
 * a look at one that is not live: a driver follows it into freed memory, so that
 * the process ends here as well.
 */
void sim_dead_add(const void *handle);
void sim_dead_check(const void *handle);

/* memory.c; with sim.lock held */
struct sim_alloc *sim_alloc_find(uint64_t addr);
/* The live allocation that holds all of [addr, addr + length), or NULL. */
struct sim_alloc *sim_alloc_range(uint64_t addr, uint64_t length);
/*
 * Without sim.lock: waits for the kernels of the context that made the memory
 * at an address, as a driver does before it frees that. The memory's context
 * counts, and there need be no current one.
 */
CUresult sim_memory_wait(uint64_t addr);
/* The RM handle of another block as large, if there is one; for tests. */
uint32_t sim_block_other(const struct sim_block *block);
bool sim_block_touches(uint64_t addr, uint64_t length);
/* Whether blocks of the GPU, side by side, hold the whole range. */
bool sim_blocks_cover(uint64_t addr, uint64_t length, unsigned int gpu);
void sim_memory_clear(CUcontext ctx);
CUresult sim_memory_alloc(CUcontext ctx, CUmemoryPool pool, size_t size,
			  CUdeviceptr *addr);
/* Adds a view that is filled in, and what it holds. False: out of memory. */
bool sim_memory_add(struct sim_block *view, struct sim_alloc *alloc);
void sim_memory_remove(struct sim_alloc *alloc);

/* pool.c; whether the handle is one */
bool sim_pool_valid(CUmemoryPool pool);

/* vmm.c; with sim.lock held */
struct sim_phys {
	CUmemGenericAllocationHandle handle;
	unsigned int refs; /* of the handle */
	unsigned int views;
	CUmemAllocationProp prop;
	struct sim_block block;
	uint64_t *record; /* as libcuda's: see vmm.c */
	struct sim_phys *next;
};
struct sim_phys *sim_phys_find(CUmemGenericAllocationHandle handle);
/* By the RM handle of its memory. */
const struct sim_block *sim_phys_block(uint32_t memory);
/* NULL: out of memory. Not known before sim_phys_add(). */
struct sim_phys *sim_phys_new(const CUmemAllocationProp *prop);
void sim_phys_add(struct sim_phys *phys);
/* One that was not added. */
void sim_phys_drop(struct sim_phys *phys);
/* Without handle and without views it goes. */
void sim_phys_put(struct sim_phys *phys);
/* The store's GPU, or -1 where the properties are not those of memory here. */
int sim_prop_gpu(const CUmemAllocationProp *prop);

/* host.c; with sim.lock held */
struct sim_host {
	uintptr_t addr;
	size_t size;
	unsigned int flags;
	bool registered; /* the caller's memory */
	bool managed; /* cuMemAllocManaged() */
	uint64_t id;
	unsigned int sync_memops;
	CUcontext ctx;
	struct sim_host *next;
};
struct sim_host *sim_host_find(uint64_t addr);
/* The managed memory that holds all of [addr, addr + length), or NULL. */
struct sim_host *sim_managed_range(uint64_t addr, uint64_t length);
CUresult sim_managed_free(uint64_t addr);
bool sim_host_mapped(uint64_t addr, size_t size);
void sim_host_clear(CUcontext ctx);

/* copy.c; with sim.lock held. False: not all of it is device memory. */
bool sim_device_read(void *dst, uint64_t addr, uint64_t length);
bool sim_device_write(uint64_t addr, const void *src, uint64_t length);
uint64_t sim_uninitialised_reads(void);
/* An asynchronous copy, or a value that a stream writes. */
enum sim_work_kind { SIM_WORK_TO_DEVICE, SIM_WORK_TO_HOST, SIM_WORK_VALUE };
struct sim_work {
	enum sim_work_kind kind;
	CUdeviceptr gpu;
	void *host;
	uint64_t size; /* bytes; of a value its own */
	uint32_t value;
};
/* An error is one that ends the context. */
CUresult sim_work_do(const struct sim_work *work);

/*
 * late.c; with sim.lock held. Where copies are delayed, work is kept until it is
 * done by the other calls: before what comes after it in the order of the streams,
 * or all of the context's; whether there was any. False of the first: not kept.
 */
bool sim_late_add(CUcontext ctx, CUstream stream, const struct sim_work *work);
bool sim_late_do(CUcontext ctx, CUstream stream);
void sim_late_do_all(CUcontext ctx);
void sim_late_clear(CUcontext ctx);

/* The same for a kernel's read, which is counted where it finds such. */
bool sim_device_read_checked(void *dst, uint64_t addr, uint64_t length);
/* See gpumem_sim_info; with or without the lock. */
uint64_t sim_copies(void);
uint64_t sim_pageable_copies(void);

/* courier.c; the same. */
uint64_t sim_courier_jobs(void);
uint64_t sim_courier_staged_jobs(void);

/*
 * kernel.c. Those that wait are called without sim.lock: kernels need it. On a
 * GPU, what waits for the device waits for them.
 */
void sim_kernel_wait(CUcontext ctx);
/* For those of the current context, if there is one. */
CUresult sim_kernel_wait_current(void);
/* The same in the null stream alone: what many calls of CUDA's wait for. */
CUresult sim_null_stream_wait_current(void);
void sim_stream_wait(CUcontext ctx, CUstream stream);
bool sim_stream_runs(CUcontext ctx, CUstream stream);
/* With sim.lock held. */
void sim_module_clear(CUcontext ctx);

/* clock.c; with or without the lock */
uint64_t sim_clock_ns(void);
void sim_clock_wait(uint64_t ns);

/* stream.c, event.c; with sim.lock held */
bool sim_stream_live(CUstream stream);
/* Whether it waits for the null stream, and that for it. */
bool sim_stream_blocks(CUstream stream);
/* copy.c; see gpumem_sim_break_writes() */
bool sim_streams_are_mute(bool synchronized);
void sim_stream_clear(CUcontext ctx);
bool sim_event_live(CUevent event);
/* Has done what its stream was given before it; whether there was any left. */
bool sim_event_do(CUevent event);
void sim_event_clear(CUcontext ctx);

#endif /* SIM_H */
