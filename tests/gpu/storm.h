/* SPDX-License-Identifier: MIT */
/* What storm_memory.c and test_storm.c share. */
#ifndef GPUMEM_TEST_STORM_H
#define GPUMEM_TEST_STORM_H

#include "gpu.h"
#include "vmm.h"

enum storm_kind {
	STORM_ALLOC, /* cuMemAlloc in the primary context, as cudaMalloc does */
	STORM_OFFSET, /* a part of such an allocation */
	STORM_CONTEXT, /* cuMemAlloc in a context that is not the primary one */
	STORM_VMM, /* a part of one allocation of cuMemCreate */
	STORM_SPAN, /* a range over several of them */
	STORM_OWN, /* gpumem_alloc() */
	STORM_KINDS
};

extern const char *const storm_kind_names[STORM_KINDS];

/* A range of GPU memory and what it lies in. */
struct storm_memory {
	enum storm_kind kind;
	uint64_t addr, length;
	uint64_t base; /* what cuMemFree() takes; 0: nothing */
	struct vmm vmm; /* count 0: nothing */
	struct gpumem_buf *buf; /* the pin; NULL: none */
};

/* Which kinds can be had here: those that cannot are done as STORM_OFFSET. */
enum outcome storm_memory_open(void);
void storm_memory_close(void);
bool storm_kind_is_here(enum storm_kind kind);

/* A kind and, log-uniformly from 1 to `max`, a length. */
void storm_memory_choose(struct storm_memory *memory, uint64_t max,
			 uint64_t *random);

/* Allocates and pins. On failure storm_memory_free() is still to be called. */
enum outcome storm_memory_alloc(struct storm_memory *memory, uint64_t *random);

/* Unpins and frees, in either order. */
enum outcome storm_memory_free(struct storm_memory *memory, uint64_t *random);

/* Makes the context that the memory is used in the thread's. */
enum outcome storm_memory_enter(const struct storm_memory *memory);

#endif /* GPUMEM_TEST_STORM_H */
