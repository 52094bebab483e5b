// SPDX-License-Identifier: MIT
/*
 * Memory of cuMemCreate without a handle type, which backend rm finds in CUDA's
 * records, or looks for among all memory of its size: then what holds the same bytes
 * is refused, or told apart by writing to it where that is allowed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static enum outcome make(unsigned int i, unsigned char byte)
{
	struct vmm *vmm = &memory[i].vmm;

	*vmm = (struct vmm){ .count = 1 };
	vmm->block[0].size = i % 2 ? 3 * LENGTH : LENGTH;
	vmm->block[0].device = gpu.device.ordinal;
	CHECK_CUDA(gpu.cuda.mem_alloc(&memory[i].plain, LENGTH));
	CHECK_CUDA(vmm_alloc(vmm, VMM_NO_HANDLE_TYPE));
	CHECK_CUDA(gpu.cuda.memset_d8(vmm->addr, byte, vmm->size));
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

static enum outcome pin(unsigned int i, unsigned int flags)
{
	CHECK_OK(gpumem_pin(gpu.session, memory[i].vmm.addr, LENGTH, flags,
			    &memory[i].buf));
	CHECK_OK(gpumem_map(memory[i].buf, &memory[i].cpu));
	return PASSED;
}

/* All but what a pin of one says: each still holds its byte. */
static enum outcome check_untouched(unsigned char first, unsigned char step)
{
	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		CHECK_PASSED(gpu_check_byte(memory[i].vmm.addr,
					    memory[i].vmm.size,
					    first + i * step));
	return PASSED;
}

static enum outcome round_of(uint64_t *state, unsigned char step,
			     unsigned int flags)
{
	unsigned int order[ALLOCATIONS];

	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		CHECK_PASSED(make(i, 0x33 + i * step));
	shuffle(order, state);
	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		CHECK_PASSED(pin(order[i], flags));
	/* No trace is left, in what was found and in the others. */
	CHECK_PASSED(check_untouched(0x33, step));
	CHECK_PASSED(check_apart(random_next(state)));
	shuffle(order, state);
	for (unsigned int i = 0; i < ALLOCATIONS; i++) {
		CHECK_OK(gpumem_unpin(memory[order[i]].buf));
		CHECK_CUDA(vmm_free(&memory[order[i]].vmm));
		CHECK_CUDA(gpu.cuda.mem_free(memory[order[i]].plain));
	}
	return PASSED;
}

static uint64_t trial_writes(void)
{
	struct gpumem_stats stats = { .size = sizeof(stats) };

	return gpumem_stats_get(gpu.session, &stats) ? 0 : stats.trial_writes;
}

static bool has_vmm(void)
{
	return !vmm_open(gpu.session) && vmm_granularity(gpu.device.ordinal);
}

static enum outcome test_distinct(void)
{
	const uint64_t wrote = trial_writes();
	uint64_t state = gpu.seed;

	if (!has_vmm())
		return test_skip("this CUDA has no cuMemCreate");
	for (int round = 0; round < 10; round++)
		CHECK_PASSED(round_of(&state, 1, 0));
	CHECK(trial_writes() == wrote);
	return PASSED;
}

/*
 * Whether CUDA's records name the object: then memory that holds the same bytes as
 * other memory is pinned. Otherwise it is refused, with what to do.
 */
static enum outcome look_for_record(bool *has)
{
	struct gpumem_buf *buf;
	int rc;

	for (unsigned int i = 0; i < ALLOCATIONS; i++)
		CHECK_PASSED(make(i, 0x44));
	rc = gpumem_pin(gpu.session, memory[0].vmm.addr, LENGTH, 0, &buf);
	*has = !rc;
	if (rc) {
		/* Drivers whose records name no objects: none is known. */
		CHECK(getenv("GPUMEM_TEST_NO_RECORDS"));
		CHECK(rc == -EOPNOTSUPP);
		CHECK(strstr(gpumem_last_error(), "GPUMEM_PIN_VERIFY_WRITE"));
	} else {
		CHECK_OK(gpumem_unpin(buf));
	}
	CHECK_PASSED(check_untouched(0x44, 0));
	for (unsigned int i = 0; i < ALLOCATIONS; i++) {
		CHECK_CUDA(vmm_free(&memory[i].vmm));
		CHECK_CUDA(gpu.cuda.mem_free(memory[i].plain));
	}
	return PASSED;
}

static enum outcome test_equal(void)
{
	const uint64_t wrote = trial_writes();
	uint64_t state = gpu.seed;
	bool has;

	if (!has_vmm())
		return test_skip("this CUDA has no cuMemCreate");
	CHECK_PASSED(look_for_record(&has));
	for (int round = 0; round < 10; round++)
		CHECK_PASSED(
			round_of(&state, 0, has ? 0 : GPUMEM_PIN_VERIFY_WRITE));
	CHECK(!has || trial_writes() == wrote);
	return PASSED;
}

const struct test search_tests[] = {
	{ "memory of cuMemCreate, no handle type", test_distinct },
	{ "equal memory of cuMemCreate, no handle type", test_equal },
	{ 0 },
};
