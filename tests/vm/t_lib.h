/* SPDX-License-Identifier: MIT */
/* A session of the library, and its CUDA, for the test programs that use it. */
#ifndef GPUMEM_VM_T_LIB_H
#define GPUMEM_VM_T_LIB_H

#include <gpumem.h>

#include "t.h"

/* Opens a session and makes the GPU's context this thread's. */
struct gpumem *t_lib_open(const char *backend);
void t_lib_close(struct gpumem *session);

/* CUDA's memory, of the session opened last. */
uint64_t t_lib_alloc(size_t length);
void t_lib_free(uint64_t addr);
void t_lib_to_host(void *to, uint64_t addr, size_t length);

/* Calls that must succeed: the program stops where they do not. */
struct gpumem_buf *t_lib_pin(struct gpumem *session, uint64_t addr,
			     uint64_t length, unsigned int flags);
struct gpumem_dma *t_lib_dma_map(struct gpumem_buf *buf, const char *peer);

/*
 * Checks that a library call succeeded, or (want is an errno) that it failed
 * with a reason in which text is found.
 */
void t_lib_ok(int found, const char *what);
void t_lib_error(int found, int want, const char *text, const char *what);

#endif /* GPUMEM_VM_T_LIB_H */
