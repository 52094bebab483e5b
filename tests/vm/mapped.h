/* SPDX-License-Identifier: MIT */
/* What the tests of mappings begin with: a pin of 1 MiB, mapped and filled. */
#ifndef GPUMEM_VM_MAPPED_H
#define GPUMEM_VM_MAPPED_H

#include "t.h"

#define FIRST 0x0A000000

struct mapped {
	int emu, fd;
	uint64_t addr;
	struct gpumem_pin pin;
	char *at;
};

static inline struct mapped mapped_make(void)
{
	struct mapped m = { .emu = emu_open(), .fd = gm_open() };
	void *at;

	m.addr = emu_alloc(m.emu, 2 * MIB);
	m.pin = gm_must_pin(m.fd, m.addr, MIB);
	need(!gm_map(m.fd, &m.pin, &at), "mmap");
	m.at = at;
	counter_fill(at, MIB / 4, FIRST);
	return m;
}

#endif /* GPUMEM_VM_MAPPED_H */
