/* SPDX-License-Identifier: MIT */
/*
 * Copies through a mapping of GPU memory as libraries do it that leave the
 * choice of a way to their callers: one thread, one loop, chosen by what the
 * CPU can do. They are what gpumem is measured against.
 *
 * Single bytes, words and double words go in pieces of 1, 2, 4 and 8 bytes up
 * to the device address's next multiple of the loop's width, and again behind
 * the loop; on a mapping each such load takes a way to the GPU and back.
 */
#ifndef GPUMEM_TOOL_CLASSIC_H
#define GPUMEM_TOOL_CLASSIC_H

#include <stdbool.h>
#include <stddef.h>

struct classic {
	const char *name; /* such as "movdir64b" */
	/*
	 * To a mapping, or from it, any alignment and length. Stores are on
	 * their way when it returns, loads done.
	 */
	void (*copy)(void *dst, const void *src, size_t length);
};

/*
 * The ways to store, or to load, that this CPU can take, the one that is chosen
 * first; NULL past the last.
 */
const struct classic *classic_at(bool load, unsigned int index);

#endif /* GPUMEM_TOOL_CLASSIC_H */
