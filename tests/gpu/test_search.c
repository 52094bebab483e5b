// SPDX-License-Identifier: MIT
/*
 * Memory of cuMemCreate without a handle type, which backend rm searches for:
 * allocations that hold the same bytes are not taken for each other.
 */
#include <stdlib.h>

#include "gpu.h"
#include "vmm.h"

#define ALLOCATIONS 6
#define LENGTH (2ull << 20)

static struct {
	struct vmm vmm;
	uint64_t plain; /* of cuMemAlloc, in between */
	struct gpumem_buf *buf;
	void *cpu;
} memory[ALLOCATIONS];

static void shuffle(unsigned int *order, uint64_t *state)
{
	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		order[i] = i;
	for (unsigned int i = ALLOCATIONS - 1; i; i--) {
		unsigned int other = random_next(state) % (i + 1);
		unsigned int swapped = order[i];

		order[i] = order[other];
		order[other] = swapped;
	}
}

static enum outcome make_equal(unsigned int i)
{
	struct vmm *vmm = &memory[i].vmm;

	*vmm = (struct vmm){ .count = 1 };
	vmm->block[0].size = i % 2 ? 3 * LENGTH : LENGTH;
	vmm->block[0].device = gpu.device.ordinal;
	CHECK_CUDA(gpu.cuda.mem_alloc(&memory[i].plain, LENGTH));
	CHECK_CUDA(vmm_alloc(vmm, VMM_NO_HANDLE_TYPE));
	CHECK_CUDA(gpu.cuda.memset_d8(vmm->addr, 0x33, vmm->size));
	CHECK_CUDA(gpu.cuda.context_synchronize());
	return PASSED;
}

static enum outcome check_apart(uint64_t seed)
{
	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		pattern_store(memory[i].cpu, LENGTH, seed + i);
	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		CHECK_PASSED(pattern_check_gpu(memory[i].vmm.addr, LENGTH,
					       seed + i));
	return PASSED;
}

static enum outcome search_round(uint64_t *state)
{
	unsigned int order[ALLOCATIONS];

	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		CHECK_PASSED(make_equal(i));
	shuffle(order, state);
	for (unsigned int i = 0; i < ALLOCATIONS; i++) {
		unsigned int at = order[i];

		CHECK_OK(gpumem_pin(gpu.session, memory[at].vmm.addr, LENGTH, 0,
				    &memory[at].buf));
		CHECK_OK(gpumem_map(memory[at].buf, &memory[at].cpu));
	}
	/* The search left no trace, in what it found and in the others. */
	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		CHECK_PASSED(gpu_check_byte(memory[i].vmm.addr,
					    memory[i].vmm.size, 0x33));
	CHECK_PASSED(check_apart(random_next(state)));
	shuffle(order, state);
	for (unsigned int i = 0; i < ALLOCATIONS; i++) {
		CHECK_OK(gpumem_unpin(memory[order[i]].buf));
		CHECK_CUDA(vmm_free(&memory[order[i]].vmm));
		CHECK_CUDA(gpu.cuda.mem_free(memory[order[i]].plain));
	}
	return PASSED;
}

static enum outcome test_equal(void)
{
	uint64_t state = gpu.seed;

	if (vmm_open(gpu.session) || !vmm_granularity(gpu.device.ordinal))
		return test_skip("this CUDA has no cuMemCreate");
	for (int round = 0; round < 20; round++)
		CHECK_PASSED(search_round(&state));
	return PASSED;
}

const struct test search_tests[] = {
	{ "equal memory of cuMemCreate, no handle type", test_equal },
	{ 0 },
};
