/* SPDX-License-Identifier: MIT */
/* A copy that is too long to be done at once. */
#ifndef GM_COPY_WAY_H
#define GM_COPY_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/session.h"

/* A read that goes without the courier: up to this by the CPU, then the engine. */
#define GM_ISOLATED_CPU ((size_t)6 << 10)

/* A copy whose arguments are checked and whose buffer is mapped. */
struct gm_copy {
	struct gm_buf *buf;
	const char *call;
	char *map; /* CPU address of the GPU's side */
	uint64_t gpu; /* device address of it */
	char *host;
	size_t length;
	bool read;

	/* Found out where it matters. */
	bool pinned; /* host is CUDA's pinned memory */
	uint64_t host_gpu; /* what the GPU calls host then, or 0 */
	const char *why_not; /* the GPU may not touch the memory, and why */
	bool looked; /* at host: pinned is found out */
	bool look_later; /* at host, while the GPU is at work */
	bool contended; /* other threads keep CUDA busy */
	/* gm_clock_ns() from which on the GPU has been at it, 0: the mapping is. */
	uint64_t gpu_since;
	uint64_t look_ns; /* what the look at host took */
	bool stuck; /* a kernel that does not answer may still write to host */
};

/*
 * Copies, by options that are checked: by their method, which fails where it is
 * not to be had, or as the plan says, which does not.
 */
int gm_copy_run(struct gm_copy *copy,
		const struct gpumem_copy_options *options);

#endif /* GM_COPY_WAY_H */
