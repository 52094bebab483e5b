// SPDX-License-Identifier: MIT
/*
 * The checks of tests/unit/cpu_check.h on ordinary memory, for machines and
 * emulators that have nothing but the C library. Exits 0 or 1.
 *
 *   cpu_alone [STEP]
 *
 * STEP: of one side's alignments every how many are tried; 1 unless given.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cpu_check.h"

int main(int argc, char **argv)
{
	static char map[100032] __attribute__((aligned(64)));
	const struct gm_cpu *cpu;
	int bad = 0;

	if (argc > 1 && atoi(argv[1]) > 0)
		cpu_check_step = atoi(argv[1]);
	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++) {
		for (const struct cpu_check *check = cpu_checks; check->name;
		     check++) {
			bool good = check->run(cpu);

			printf("%s - %s %s%s%s\n", good ? "ok" : "not ok",
			       cpu->name, check->name, good ? "" : ": ",
			       good ? "" : cpu_check_why);
			bad += !good;
		}
		if (!cpu_check_map(cpu, map, 100001, 200)) {
			printf("not ok - %s map: %s\n", cpu->name,
			       cpu_check_why);
			bad++;
		}
	}
	return bad ? 1 : 0;
}
