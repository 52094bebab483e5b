/* SPDX-License-Identifier: MIT */
/*
 * Inside the simulated CUDA: one GPU whose memory comes from a store, and no
 * engine that runs kernels. Every operation is finished when its call returns,
 * so streams and events only keep books.
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
#include "gpumem_sim.h"
#pragma GCC visibility pop

#define SIM_DRIVER_VERSION 13000
#define SIM_BLOCK_SIZE (2ull << 20)
/* Allocations below this share blocks. */
#define SIM_SHARED_LIMIT (1ull << 20)
/* Allocations start at multiples of this. */
#define SIM_ALLOC_ALIGN 512ull

/* A block of device memory: what RM calls a memory object. */
struct sim_block {
	uint64_t addr; /* device address */
	uint64_t length; /* bytes, a multiple of SIM_BLOCK_SIZE */
	uint32_t client; /* RM handles under which it is known */
	uint32_t memory;
	uint32_t *pages; /* the memory file's pages; NULL: emulated GPU */
	bool shared; /* small allocations are carved from it */
	struct sim_alloc *first; /* by offset */
	struct sim_block *next;
};

/* What one cuMemAlloc() gave. */
struct sim_alloc {
	uint64_t addr;
	uint64_t size; /* bytes, as asked for */
	uint64_t id; /* never used twice */
	unsigned int sync_memops;
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
	char uuid[16];
	bool emulated;
	int (*open)(void);
	int (*pci)(struct sim_pci *pci);
	int (*usage)(struct sim_usage *usage);
	/* block->length is set; fills in the rest that is the store's. */
	int (*alloc)(struct sim_block *block);
	void (*free)(struct sim_block *block);
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
	unsigned int flags;
	unsigned int refs; /* of the primary context */
	struct CUctx_st *next;
};

struct sim {
	pthread_rwlock_t lock;
	const struct sim_store *store; /* set once, by cuInit() */
	struct CUctx_st primary;
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
/* store.c: never NULL; on failure NULL and a line on stderr. */
const struct sim_store *sim_store_open(void);

/* device.c */
bool sim_device_valid(CUdevice dev);

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

/* memory.c; with sim.lock held */
struct sim_alloc *sim_alloc_find(uint64_t addr);
/* The live allocation that holds all of [addr, addr + length), or NULL. */
struct sim_alloc *sim_alloc_range(uint64_t addr, uint64_t length);
bool sim_block_touches(uint64_t addr, uint64_t length);
void sim_memory_clear(CUcontext ctx);

/* host.c; with sim.lock held */
struct sim_host {
	uintptr_t addr;
	size_t size;
	unsigned int flags;
	bool registered; /* the caller's memory */
	uint64_t id;
	CUcontext ctx;
	struct sim_host *next;
};
struct sim_host *sim_host_find(uint64_t addr);
bool sim_host_mapped(uint64_t addr, size_t size);
void sim_host_clear(CUcontext ctx);

/* stream.c, event.c; with sim.lock held */
bool sim_stream_live(CUstream stream);
void sim_stream_clear(CUcontext ctx);
bool sim_event_live(CUevent event);
void sim_event_clear(CUcontext ctx);

#endif /* SIM_H */
