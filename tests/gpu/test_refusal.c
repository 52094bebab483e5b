// SPDX-License-Identifier: MIT
/* What cannot be pinned is refused, with the documented error and a reason. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gpu.h"

#define LENGTH 65536

/* gpumem_pin() gives this error, says why, and hands out nothing. */
static enum outcome check_refused(uint64_t addr, uint64_t length,
				  unsigned int flags, int error)
{
	struct gpumem_buf *buf = NULL;

	CHECK_GIVES(error, gpumem_pin(gpu.session, addr, length, flags, &buf));
	CHECK(gpumem_last_error()[0]);
	CHECK(!buf);
	return PASSED;
}

static enum outcome test_wrong_ranges(void)
{
	uint64_t addr;

	CHECK_CUDA(gpu.cuda.mem_alloc(&addr, LENGTH));
	CHECK_PASSED(check_refused(addr, 0, 0, -EINVAL));
	CHECK_PASSED(check_refused(addr, 1, 1u << 31, -EINVAL));
	CHECK_PASSED(check_refused(0, 1, 0, -EINVAL));
	CHECK_PASSED(check_refused(0xdead0000beefull << 12, 1, 0, -EINVAL));
	CHECK_PASSED(check_refused(addr, LENGTH + 1, 0, -ERANGE));
	CHECK_PASSED(check_refused(addr + LENGTH - 1, 2, 0, -ERANGE));
	CHECK_PASSED(check_refused(addr, 1ull << 50, 0, -ERANGE));
	CHECK_PASSED(check_refused(addr, UINT64_MAX, 0, -ERANGE));
	CHECK_CUDA(gpu.cuda.mem_free(addr));
	CHECK_PASSED(check_refused(addr, LENGTH, 0, -EINVAL));
	return PASSED;
}

static enum outcome test_host_memory(void)
{
	void *pageable = malloc(LENGTH);
	enum outcome outcome;

	CHECK(pageable);
	outcome = check_refused((uintptr_t)pageable, LENGTH, 0, -EINVAL);
	free(pageable);
	return outcome;
}

static enum outcome test_pinned_host_memory(void)
{
	int (*alloc)(void **, size_t, unsigned int) =
		gpu_symbol("cuMemHostAlloc");
	int (*release)(void *) = gpu_symbol("cuMemFreeHost");
	enum outcome outcome;
	void *host;

	if (!alloc || !release)
		return test_skip("libcuda has no cuMemHostAlloc");
	CHECK_CUDA(alloc(&host, LENGTH, 0));
	outcome = check_refused((uintptr_t)host, LENGTH, 0, -EINVAL);
	CHECK_CUDA(release(host));
	return outcome;
}

static enum outcome test_managed_memory(void)
{
	int (*alloc)(uint64_t *, size_t, unsigned int) =
		gpu_symbol("cuMemAllocManaged");
	enum outcome outcome;
	uint64_t addr;
	int result;

	if (!alloc)
		return test_skip("libcuda has no cuMemAllocManaged");
	result = alloc(&addr, LENGTH, 1); /* CU_MEM_ATTACH_GLOBAL */
	if (result == CUDA_ERROR_NOT_SUPPORTED)
		return test_skip("this GPU has no managed memory");
	CHECK_CUDA(result);
	outcome = check_refused(addr, LENGTH, 0, -EINVAL);
	CHECK_CUDA(gpu.cuda.mem_free(addr));
	return outcome;
}

/*
 * Memory of a stream's pool has no IPC handle, so rm cannot pin it; other
 * backends may pin it, and must then show the right bytes.
 */
static enum outcome test_async_memory(void)
{
	int (*alloc)(uint64_t *, size_t, void *) =
		gpu_symbol("cuMemAllocAsync");
	struct gpumem_buf *buf;
	enum outcome outcome = PASSED;
	uint64_t addr;
	void *cpu;
	int result;

	if (!alloc)
		return test_skip("libcuda has no cuMemAllocAsync");
	result = alloc(&addr, LENGTH, NULL);
	if (result == CUDA_ERROR_NOT_SUPPORTED)
		return test_skip("this GPU has no memory pools");
	CHECK_CUDA(result);
	CHECK_CUDA(gpu.cuda.context_synchronize());
	if (!strcmp(gpu.backend, "rm")) {
		outcome = check_refused(addr, LENGTH, 0, -EOPNOTSUPP);
	} else if (!gpumem_pin(gpu.session, addr, LENGTH, 0, &buf)) {
		CHECK_OK(gpumem_map(buf, &cpu));
		pattern_store(cpu, LENGTH, 1);
		outcome = pattern_check_gpu(addr, LENGTH, 1);
		CHECK_OK(gpumem_unpin(buf));
	}
	CHECK_CUDA(gpu.cuda.mem_free(addr));
	return outcome;
}

/* Pinned with no flag: whatever it holds, nothing is written. */
static enum outcome check_untouched(uint64_t addr)
{
	struct gpumem_stats before = { .size = sizeof(before) };
	struct gpumem_stats after = before;
	struct gpumem_buf *buf;

	CHECK_CUDA(gpu.cuda.memset_d8(addr, 0, LENGTH));
	CHECK_CUDA(gpu.cuda.context_synchronize());
	CHECK_OK(gpumem_stats_get(gpu.session, &before));
	CHECK_OK(gpumem_pin(gpu.session, addr, LENGTH, 0, &buf));
	CHECK_PASSED(gpu_check_byte(addr, LENGTH, 0));
	CHECK_OK(gpumem_unpin(buf));
	CHECK_PASSED(pattern_copy_to_gpu(addr, LENGTH, 7));
	/* The flag of earlier versions is taken still. */
	CHECK_OK(gpumem_pin(gpu.session, addr, LENGTH,
			    GPUMEM_PIN_NO_TRIAL_WRITE, &buf));
	CHECK_PASSED(pattern_check_gpu(addr, LENGTH, 7));
	CHECK_OK(gpumem_unpin(buf));
	CHECK_OK(gpumem_stats_get(gpu.session, &after));
	CHECK(after.trial_writes == before.trial_writes);
	return PASSED;
}

static enum outcome test_no_write(void)
{
	enum outcome outcome;
	uint64_t addr;

	CHECK_CUDA(gpu.cuda.mem_alloc(&addr, LENGTH));
	outcome = check_untouched(addr);
	CHECK_CUDA(gpu.cuda.mem_free(addr));
	return outcome;
}

static enum outcome test_wrong_open(void)
{
	struct gpumem_options options = { .size = sizeof(options) };
	struct gpumem *session = NULL;

	options.backend = "nonesuch";
	CHECK_GIVES(-EINVAL, gpumem_open(&options, &session));
	CHECK(gpumem_last_error()[0]);
	options.backend = gpu.backend;
	options.device = 99;
	CHECK_GIVES(-ENOENT, gpumem_open(&options, &session));
	CHECK(gpumem_last_error()[0]);
	options.device = -1;
	CHECK(gpumem_open(&options, &session) < 0);
	CHECK(!session);
	return PASSED;
}

const struct test refusal_tests[] = {
	{ "wrong, freed and overlong ranges", test_wrong_ranges },
	{ "host memory", test_host_memory },
	{ "page-locked host memory", test_pinned_host_memory },
	{ "managed memory", test_managed_memory },
	{ "memory of cuMemAllocAsync", test_async_memory },
	{ "pins write nothing", test_no_write },
	{ "unknown backend and GPU", test_wrong_open },
	{ 0 },
};
