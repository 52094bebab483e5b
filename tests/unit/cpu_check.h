/* SPDX-License-Identifier: MIT */
/*
 * Checks of the copy routines of lib/cpu/cpu.h, for the unit tests and for machines
 * that have nothing but a compiler.
 */
#ifndef GPUMEM_CPU_CHECK_H
#define GPUMEM_CPU_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/cpu/cpu.h"

struct cpu_check {
	const char *name;
	/* False with the reason in cpu_check_why. */
	bool (*run)(const struct gm_cpu *cpu);
};

extern char cpu_check_why[256];

/* Past the last one: a NULL name. */
extern const struct cpu_check cpu_checks[];

/* Of the host's 128 alignments every how many are tried; 1 unless set. */
extern unsigned int cpu_check_step;

/*
 * Copies of random places, lengths and alignments into and out of `size` bytes
 * of mapped memory, which must then hold what was stored and nothing else.
 */
bool cpu_check_map(const struct gm_cpu *cpu, char *map, size_t size,
		   unsigned int rounds);

#endif /* GPUMEM_CPU_CHECK_H */
