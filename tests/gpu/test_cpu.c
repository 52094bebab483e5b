// SPDX-License-Identifier: MIT
/*
 * Every copy routine that this CPU can run: on ordinary memory, where all
 * alignments are tried, and on mapped GPU memory, read back by the routine
 * itself and by CUDA. Exits as test_gpu does.
 *
 *   test_cpu [--backend NAME] [--seed N]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/cpu_check.h"
#include "gpu.h"

#define LENGTH ((size_t)1 << 20)
#define ROUNDS 2000

static int bad;

static void report(const struct gm_cpu *cpu, const char *name, bool good,
		   const char *why)
{
	printf("%s - %s %s%s%s\n", good ? "ok" : "not ok", cpu->name, name,
	       good ? "" : ": ", good ? "" : why);
	fflush(stdout);
	bad += !good;
}

/* Stores at random places; CUDA finds there what was stored, and no more. */
static enum outcome check_by_cuda(const struct gm_cpu *cpu, char *map,
				  uint64_t addr, uint8_t *shadow, uint8_t *seen)
{
	uint64_t state = gpu.seed;

	for (size_t i = 0; i < LENGTH; i++)
		shadow[i] = pattern_byte(gpu.seed, i);
	CHECK_CUDA(gpu.cuda.copy_to_gpu(addr, shadow, LENGTH));
	CHECK_CUDA(gpu.cuda.context_synchronize());
	for (int round = 0; round < ROUNDS; round++) {
		size_t most = random_next(&state) % 8 ? 300 : LENGTH / 16;
		size_t length = random_next(&state) % (most + 1);
		size_t at = random_next(&state) % (LENGTH - length + 1);
		size_t from = random_next(&state) % (LENGTH - length + 1);

		/* seen holds other bytes than those that lie there. */
		memset(seen + from, round, length);
		cpu->store(map + at, seen + from, length);
		memcpy(shadow + at, seen + from, length);
	}
	gm_cpu_fence();
	CHECK_CUDA(gpu.cuda.copy_from_gpu(seen, addr, LENGTH));
	for (size_t i = 0; i < LENGTH; i++) {
		if (seen[i] != shadow[i])
			return test_fail(__FILE__, __LINE__,
					 "CUDA reads %02x, not %02x, at %zu",
					 seen[i], shadow[i], i);
	}
	return PASSED;
}

static enum outcome on_gpu_memory(void)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	uint8_t *shadow = malloc(LENGTH), *seen = calloc(1, LENGTH);
	const struct gm_cpu *cpu;
	struct gpumem_buf *buf;
	void *map;

	CHECK(shadow && seen);
	CHECK_OK(gpumem_alloc(gpu.session, LENGTH, 0, &buf));
	CHECK_OK(gpumem_map(buf, &map));
	CHECK_OK(gpumem_buf_get(buf, &info));
	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++) {
		/* Without streaming loads a MiB takes long. */
		size_t size = strcmp(cpu->name, "sse2") ? 100001 : 5001;

		report(cpu, "on GPU memory",
		       cpu_check_map(cpu, map, size, ROUNDS), cpu_check_why);
		report(cpu, "on GPU memory, by CUDA",
		       check_by_cuda(cpu, map, info.addr, shadow, seen) ==
			       PASSED,
		       test_why);
	}
	CHECK_OK(gpumem_unpin(buf));
	free(shadow);
	free(seen);
	return PASSED;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	const char *backend = NULL;
	const struct gm_cpu *cpu;
	int option, status;

	gpu.seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'b')
			backend = optarg;
		else if (option == 's' && strtoull(optarg, NULL, 0))
			gpu.seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	status = gpu_open(backend);
	if (status)
		return status;
	for (unsigned int i = 0; (cpu = gm_cpu_at(i)); i++) {
		for (const struct cpu_check *check = cpu_checks; check->name;
		     check++)
			report(cpu, check->name, check->run(cpu),
			       cpu_check_why);
	}
	if (on_gpu_memory() != PASSED) {
		printf("not ok - GPU memory: %s\n", test_why);
		bad++;
	}
	cuda_close(&gpu.cuda);
	if (gpumem_close(gpu.session)) {
		printf("not ok - close: %s\n", gpumem_last_error());
		bad++;
	}
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
