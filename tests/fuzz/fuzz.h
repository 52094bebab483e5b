/* SPDX-License-Identifier: MIT */
/*
 * The fuzzer of /dev/gpumem. Worker processes of two threads each do random
 * operations on what they share: open files, pins, mappings, DMA mappings,
 * dma-bufs, memory of the emulated GPU. The main process replaces workers that
 * ended or that it killed, and watches that things move on.
 *
 * What the fuzzer itself finds wrong: an errno that the interface does not
 * have, a forked child that got at its parent's pins, and a mapping that shows
 * another process's memory: every worker marks the first word of each of its
 * GPU pages, and no mapping of its own pins may ever show another mark. What the
 * kernel finds wrong is in its log.
 *
 * A worker allocates nothing from the C library: whatever is mapped after a
 * fuzzed munmap() is a fuzzed mapping too.
 */
#ifndef GPUMEM_FUZZ_H
#define GPUMEM_FUZZ_H

#include "../vm/t.h"

#define FUZZ_WORKERS 3
#define FUZZ_THREADS 2
#define FUZZ_PEERS 16

/* Marks of GPU pages: FUZZ_MARK | the worker's life, or 0. */
#define FUZZ_MARK 0xa5000000u
#define FUZZ_MARK_MASK 0xff000000u
/* What the emulated GPU overwrites freed memory with. */
#define FUZZ_SCRUB 0xdbdbdbdbu

#define FUZZ_OPS(X)                     \
	X(OPEN, fuzz_open, 3)           \
	X(CLOSE, fuzz_close, 2)         \
	X(DUP, fuzz_dup, 1)             \
	X(ALLOC, fuzz_alloc, 4)         \
	X(FREE, fuzz_free, 3)           \
	X(COPY, fuzz_copy, 2)           \
	X(VERSION, fuzz_version, 3)     \
	X(PIN, fuzz_pin, 14)            \
	X(UNPIN, fuzz_unpin, 5)         \
	X(INFO, fuzz_info, 8)           \
	X(PAGES, fuzz_pages, 8)         \
	X(LOCK, fuzz_lock, 6)           \
	X(UNLOCK, fuzz_unlock, 3)       \
	X(STATE, fuzz_state, 8)         \
	X(DMA_MAP, fuzz_dma_map, 8)     \
	X(DMA_RUNS, fuzz_dma_runs, 8)   \
	X(DMA_UNMAP, fuzz_dma_unmap, 3) \
	X(EXPORT, fuzz_export, 5)       \
	X(MMAP, fuzz_mmap, 12)          \
	X(MMAP_PHYS, fuzz_mmap_phys, 5) \
	X(MMAP_BUF, fuzz_mmap_buf, 4)   \
	X(BUF_CLOSE, fuzz_buf_close, 3) \
	X(BUF_SYNC, fuzz_buf_sync, 1)   \
	X(MUNMAP, fuzz_munmap, 5)       \
	X(MREMAP, fuzz_mremap, 3)       \
	X(MPROTECT, fuzz_mprotect, 3)   \
	X(MADVISE, fuzz_madvise, 3)     \
	X(LOAD, fuzz_load, 30)          \
	X(STORE, fuzz_store, 20)        \
	X(PEEK, fuzz_peek, 2)           \
	X(EVENT, fuzz_event, 2)         \
	X(FORK, fuzz_fork, 1)           \
	X(SEND, fuzz_send, 2)           \
	X(RECEIVE, fuzz_receive, 2)     \
	X(RAW, fuzz_raw, 10)            \
	X(PROC, fuzz_proc, 1)

enum fuzz_op {
#define FUZZ_ENUM(name, fn, weight) FUZZ_##name,
	FUZZ_OPS(FUZZ_ENUM)
#undef FUZZ_ENUM
		FUZZ_OP_COUNT
};

/* What all processes share. */
struct fuzz_shared {
	atomic_ullong done;
	atomic_ullong limit;
	atomic_ullong tried[FUZZ_OP_COUNT];
	atomic_ullong good[FUZZ_OP_COUNT];
	atomic_ullong faults; /* accesses that raised a signal */
	atomic_ullong wrong; /* findings */
	atomic_ullong revoked; /* calls that said ENODEV */
	atomic_int now[FUZZ_WORKERS][FUZZ_THREADS]; /* op + 1, 0: none */
	uint32_t peers; /* PCI devices to map for */
	uint16_t peer[FUZZ_PEERS]; /* bus << 8 | devfn */
	int peer_fd[FUZZ_PEERS]; /* its configuration space, or -1 */
	int socks[FUZZ_WORKERS][2]; /* worker i receives at [0] */
	bool verbose;
};

extern struct fuzz_shared *fuzz_shared;

/*
 * Pools of things, sloppy on purpose: an entry may be used by one thread while
 * another ends it. lock guards the words only.
 */
#define FUZZ_POOL 24

struct fuzz_thing {
	int fd; /* file it belongs to, or that it is */
	bool used;
	bool foreign; /* came from another process, or may lead to its memory */
	bool claimed; /* a file: this process has pinned through it */
	uint64_t id; /* of a file: a number that no other file had */
	uint64_t at; /* address, offset or physical address */
	uint64_t bytes;
	uint64_t serial; /* no other thing of this process has it */
};

enum fuzz_kind {
	FUZZ_FILES,
	FUZZ_BLOCKS,
	FUZZ_PINS,
	FUZZ_LOCKS,
	FUZZ_PHYS,
	FUZZ_DMAS,
	FUZZ_BUFS,
	FUZZ_MAPS,
	FUZZ_EVENTS,
	FUZZ_KIND_COUNT
};

/* One thread of a worker. */
struct fuzz_ctx {
	uint64_t random;
	int worker;
	int thread;
	bool child; /* of a worker: its files belong to the parent */
	int emu;
	uint32_t mark;
	unsigned char buf[8192] __attribute__((aligned(16)));
	uint64_t room[4096];
};

uint32_t fuzz_below(struct fuzz_ctx *c, uint32_t n);
bool fuzz_chance(struct fuzz_ctx *c, uint32_t percent);
uint64_t fuzz_interesting(struct fuzz_ctx *c);
/* Damages a structure now and then; false if it stayed as it was. */
bool fuzz_mutate(struct fuzz_ctx *c, void *at, size_t size);
/* Where a call shall find its structure: mostly at. */
void *fuzz_pointer(struct fuzz_ctx *c, void *at);

void fuzz_pools_reset(void);
void fuzz_pools_unlock(void);
/* Puts a thing in; what had to make room for it is ended. */
void fuzz_put(struct fuzz_ctx *c, enum fuzz_kind kind,
	      const struct fuzz_thing *thing);
/* A copy of a random one; false if there is none. */
bool fuzz_pick(struct fuzz_ctx *c, enum fuzz_kind kind,
	       struct fuzz_thing *thing);
/* The same, taken out. */
bool fuzz_take(struct fuzz_ctx *c, enum fuzz_kind kind,
	       struct fuzz_thing *thing);
void fuzz_claimed(uint64_t file);
/* In a forked child: notes which files it must not get at. */
void fuzz_note_forbidden(void);
void fuzz_set_forbidden(int fd, bool forbidden);
bool fuzz_is_forbidden(int fd);
/* A new file of this process. */
void fuzz_put_file(struct fuzz_ctx *c, int fd, bool foreign, bool claimed);
/*
 * Runs use, if it is given, while the thing stays in its pool; false if it is
 * no longer there.
 */
bool fuzz_still(enum fuzz_kind kind, const struct fuzz_thing *thing,
		void (*use)(void *), void *arg);
void fuzz_end(struct fuzz_ctx *c, enum fuzz_kind kind,
	      const struct fuzz_thing *thing);

/* Counts a result; complains if it is an errno that the call cannot have. */
void fuzz_result(struct fuzz_ctx *c, enum fuzz_op op, int result);
/* The same for a call on a file, which may be forbidden to a child. */
void fuzz_file_result(struct fuzz_ctx *c, enum fuzz_op op, int fd, int result);
/* Was a file of /proc open in this process at any time after _before()? */
uint32_t fuzz_proc_before(void);
bool fuzz_proc_since(const struct fuzz_ctx *c, uint32_t before, int fd);
void fuzz_wrong(struct fuzz_ctx *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void fuzz_step(struct fuzz_ctx *c);
void fuzz_worker(int worker, uint64_t seed, uint32_t life);
const char *fuzz_op_name(int op);

#define FUZZ_DECLARE(name, fn, weight) void fn(struct fuzz_ctx *c);
FUZZ_OPS(FUZZ_DECLARE)
#undef FUZZ_DECLARE

#endif /* GPUMEM_FUZZ_H */
