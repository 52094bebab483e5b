// SPDX-License-Identifier: MIT
/* What the CPU writes through a mapping the GPU sees, and the other way. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fresh.h"
#include "gpu.h"

#define MIB (1ull << 20)
#define BLOCK (2 * MIB) /* what CUDA cuts small allocations out of */
#define BLANK 0x5a

/* Bytes around the pinned range that nothing may change. */
#define GUARD 4096

#define FRESH_ROWS 300u
#define OWN_ROUNDS 20000u

/*
 * One buffer of `length` bytes, `offset` bytes into its allocation: both
 * directions, through the mapping and through gpumem_write() and _read(), and
 * the guards on both sides.
 */
static enum outcome check_buffer(uint64_t base, uint64_t offset,
				 uint64_t length)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	uint64_t addr = base + offset;
	struct gpumem_buf *buf;
	void *cpu, *host;
	int error;

	CHECK_CUDA(gpu.cuda.memset_d8(base, BLANK, offset + length + GUARD));
	CHECK_CUDA(gpu.cuda.context_synchronize());
	CHECK_OK(gpumem_pin(gpu.session, addr, length, 0, &buf));
	CHECK_PASSED(gpu_check_byte(base, offset + length + GUARD, BLANK));
	CHECK_OK(gpumem_map(buf, &cpu));
	CHECK_OK(gpumem_buf_get(buf, &info));
	CHECK(info.cpu == cpu && info.addr == addr && info.length == length);

	pattern_store(cpu, length, 1);
	CHECK_PASSED(pattern_check_gpu(addr, length, 1));
	CHECK_PASSED(gpu_check_byte(base, offset, BLANK));
	CHECK_PASSED(gpu_check_byte(addr + length, GUARD, BLANK));

	CHECK_PASSED(pattern_copy_to_gpu(addr, length, 2));
	/* Loads through the mapping are slow: the ends are enough of them. */
	if (length <= 256 * 1024) {
		CHECK_PASSED(pattern_check(cpu, length, 2));
	} else {
		host = malloc(length);
		CHECK(host);
		error = gpumem_read(buf, 0, host, 64 * 1024);
		if (!error && pattern_check(host, 64 * 1024, 2) != PASSED)
			error = 1;
		free(host);
		CHECK_OK(error);
	}
	CHECK_OK(gpumem_unmap(buf));
	CHECK_OK(gpumem_unpin(buf));
	return PASSED;
}

static enum outcome check_size(uint64_t length, uint64_t offset)
{
	enum outcome outcome;
	uint64_t base;

	CHECK_CUDA(gpu.cuda.mem_alloc(&base, offset + length + GUARD));
	outcome = check_buffer(base, offset, length);
	gpu.cuda.mem_free(base);
	return outcome;
}

static enum outcome test_sizes(void)
{
	static const uint64_t sizes[] = {
		1,     2,     3,       4095,	4096,	 4097,	      65535,
		65536, 65537, 1000003, 1 * MIB, 2 * MIB, 2 * MIB + 1, 16 * MIB,
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		CHECK_PASSED(check_size(sizes[i], 0));
	return PASSED;
}

static enum outcome test_offsets(void)
{
	static const uint64_t offsets[] = {
		1, 3, 255, 4095, 4096, 65535, 65537, 1000003, 2 * MIB - 1,
	};

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		CHECK_PASSED(check_size(1, offsets[i]));
		CHECK_PASSED(check_size(4097, offsets[i]));
		CHECK_PASSED(check_size(1 * MIB + 1, offsets[i]));
	}
	return PASSED;
}

/* gpumem_write() and gpumem_read(), on a buffer that nobody mapped. */
static enum outcome check_unmapped(struct gpumem_buf *buf, uint64_t addr,
				   char *host)
{
	for (int i = 0; i < 5000; i++)
		host[i] = pattern_byte(3, i);
	CHECK_OK(gpumem_write(buf, 11, host, 5000));
	CHECK_PASSED(pattern_check_gpu(addr + 11, 5000, 3));
	CHECK_PASSED(pattern_copy_to_gpu(addr + 7, 5000, 4));
	CHECK_OK(gpumem_read(buf, 7, host, 5000));
	CHECK_PASSED(pattern_check(host, 5000, 4));
	CHECK_OK(gpumem_write(buf, 8000, host, 0));
	CHECK_GIVES(-ERANGE, gpumem_write(buf, 7999, host, 2));
	CHECK_GIVES(-ERANGE, gpumem_read(buf, UINT64_MAX, host, 2));
	CHECK_GIVES(-EINVAL, gpumem_unmap(buf));
	return PASSED;
}

static enum outcome test_read_write(void)
{
	struct gpumem_buf *buf;
	enum outcome outcome;
	char host[5000];
	uint64_t base;

	CHECK_CUDA(gpu.cuda.mem_alloc(&base, 10000));
	CHECK_OK(gpumem_pin(gpu.session, base + 1, 8000, 0, &buf));
	outcome = check_unmapped(buf, base + 1, host);
	CHECK_OK(gpumem_unpin(buf));
	CHECK_CUDA(gpu.cuda.mem_free(base));
	return outcome;
}

static int fresh_write(void *buf, void *host, size_t size)
{
	return gpumem_write(buf, 0, host, size);
}

static int fresh_read(void *buf, void *host, size_t size)
{
	return gpumem_read(buf, 0, host, size);
}

static int fresh_read_unordered(void *buf, void *host, size_t size)
{
	return gpumem_read_unordered(buf, 0, host, size);
}

/* The fence that its caller needs behind what told of the data. */
static int fresh_read_fenced(void *buf, void *host, size_t size)
{
	atomic_thread_fence(memory_order_seq_cst);
	return gpumem_read_unordered(buf, 0, host, size);
}

/* Through the mapping up to 2.5 KiB, by the courier where there is one. */
static enum outcome check_fresh(struct gpumem_buf *buf, const char *name,
				fresh_copy read, bool ordered)
{
	static const size_t sizes[] = {
		8, 12, 16, 32, 64, 100, 512, 2048, 4096
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fresh fresh = { .write = fresh_write,
				       .read = read,
				       .arg = buf,
				       .size = sizes[i],
				       .rows = FRESH_ROWS };

		CHECK(!fresh_run(&fresh));
		/* What is no word may. */
		bool back = fresh.back && (ordered || sizes[i] <= 8);

		if (back || (ordered && fresh.stale))
			return test_fail(__FILE__, __LINE__,
					 "%s: of %u reads of %zu bytes %u "
					 "brought less than was written "
					 "before, and %u less than the one "
					 "before",
					 name, fresh.reads, sizes[i],
					 fresh.stale, fresh.back);
		if (fresh.back || fresh.stale)
			printf("# %s, %zu bytes, as they may: of %u reads %u "
			       "brought less than was written before, %u less "
			       "than the one before\n",
			       name, sizes[i], fresh.reads, fresh.stale,
			       fresh.back);
	}
	return PASSED;
}

/* A thread sees what it wrote itself. */
static enum outcome check_own(struct gpumem_buf *buf)
{
	for (uint64_t value = 1; value <= OWN_ROUNDS; value++) {
		uint64_t seen = 0;

		CHECK_OK(gpumem_write(buf, 8, &value, sizeof(value)));
		CHECK_OK(gpumem_read_unordered(buf, 8, &seen, sizeof(seen)));
		CHECK(seen == value);
	}
	return PASSED;
}

static enum outcome test_fresh(void)
{
	struct gpumem_buf *buf;
	enum outcome outcome;
	void *cpu;

	CHECK_OK(gpumem_alloc(gpu.session, FRESH_MAX, 0, &buf));
	CHECK_OK(gpumem_map(buf, &cpu));
	outcome = check_fresh(buf, "gpumem_read", fresh_read, true);
	if (outcome == PASSED)
		outcome = check_fresh(buf, "unordered behind a fence",
				      fresh_read_fenced, true);
	if (outcome == PASSED)
		outcome = check_fresh(buf, "gpumem_read_unordered",
				      fresh_read_unordered, false);
	if (outcome == PASSED)
		outcome = check_own(buf);
	CHECK_OK(gpumem_unpin(buf));
	return outcome;
}

/* gpumem_alloc(): the library's own memory, by CUDA's eyes too. */
static enum outcome test_alloc(void)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf;
	void *cpu;

	CHECK_OK(gpumem_alloc(gpu.session, 100001, 0, &buf));
	CHECK_OK(gpumem_buf_get(buf, &info));
	CHECK(info.flags & GPUMEM_BUF_OWNED);
	CHECK_OK(gpumem_map(buf, &cpu));
	pattern_store(cpu, 100001, 5);
	CHECK_PASSED(pattern_check_gpu(info.addr, 100001, 5));
	CHECK_OK(gpumem_unpin(buf));
	return PASSED;
}

/* Two small allocations that CUDA cut out of one block; *pair receives them. */
static enum outcome find_neighbours(uint64_t *addr, int *count, int *pair)
{
	for (int i = 0; i < 64; i++) {
		CHECK_CUDA(gpu.cuda.mem_alloc(&addr[i], 4096));
		(*count)++;
		for (int j = 0; j < i; j++) {
			if (addr[i] / BLOCK == addr[j] / BLOCK) {
				pair[0] = j;
				pair[1] = i;
				return PASSED;
			}
		}
	}
	return test_skip("64 allocations of 4 KiB share no block of 2 MiB");
}

static enum outcome check_pair(const uint64_t *addr)
{
	struct gpumem_buf *buf[2];
	void *cpu[2];

	for (int i = 0; i < 2; i++) {
		CHECK_OK(gpumem_pin(gpu.session, addr[i], 4096, 0, &buf[i]));
		CHECK_OK(gpumem_map(buf[i], &cpu[i]));
	}
	for (int i = 0; i < 2; i++)
		pattern_store(cpu[i], 4096, 10 + i);
	for (int i = 0; i < 2; i++) {
		CHECK_PASSED(pattern_check_gpu(addr[i], 4096, 10 + i));
		CHECK_PASSED(pattern_check(cpu[i], 4096, 10 + i));
	}
	CHECK_OK(gpumem_unpin(buf[0]));
	CHECK_PASSED(pattern_check(cpu[1], 4096, 11));
	CHECK_OK(gpumem_unpin(buf[1]));
	return PASSED;
}

static enum outcome test_sub_allocations(void)
{
	uint64_t addr[64], two[2];
	enum outcome outcome;
	int count = 0, pair[2] = { 0 };

	outcome = find_neighbours(addr, &count, pair);
	if (outcome == PASSED) {
		two[0] = addr[pair[0]];
		two[1] = addr[pair[1]];
		outcome = check_pair(two);
	}
	while (count)
		gpu.cuda.mem_free(addr[--count]);
	return outcome;
}

static enum outcome test_two_buffers(void)
{
	enum outcome outcome;
	uint64_t addr[2];

	CHECK_CUDA(gpu.cuda.mem_alloc(&addr[0], 8 * MIB));
	CHECK_CUDA(gpu.cuda.mem_alloc(&addr[1], 8 * MIB));
	outcome = check_pair(addr);
	CHECK_CUDA(gpu.cuda.mem_free(addr[0]));
	CHECK_CUDA(gpu.cuda.mem_free(addr[1]));
	return outcome;
}

/* Both ways, by the way that the library chooses. */
static enum outcome check_there_and_back(struct gpumem_buf *buf, uint64_t addr,
					 void *host, uint64_t length,
					 uint64_t seed)
{
	pattern_store(host, length, seed);
	CHECK_OK(gpumem_write(buf, 0, host, length));
	CHECK_PASSED(pattern_check_gpu(addr, length, seed));
	CHECK_PASSED(pattern_copy_to_gpu(addr, length, seed + 1));
	CHECK_OK(gpumem_read(buf, 0, host, length));
	return pattern_check(host, length, seed + 1);
}

/*
 * Long copies of pinned memory begin on the guess that it is still pinned: they
 * are right where it is not, where other memory is there now, and where that is
 * pinned in its turn.
 */
static enum outcome check_pinned_no_longer(struct gpumem_buf *buf,
					   uint64_t addr, uint64_t length)
{
	int (*host_register)(void *host, size_t size, unsigned int flags) =
		gpu_symbol("cuMemHostRegister_v2");
	int (*host_unregister)(void *host) = gpu_symbol("cuMemHostUnregister");
	char *host = mmap(NULL, length, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(host != MAP_FAILED && host_register && host_unregister);
	for (uint64_t round = 0; round < 5; round++) {
		CHECK_CUDA(host_register(host, length, 0));
		for (uint64_t i = 0; i < 3; i++)
			CHECK_PASSED(check_there_and_back(buf, addr, host,
							  length, 10 * i));
		CHECK_CUDA(host_unregister(host));
		if (round % 2)
			CHECK(mmap(host, length, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
				   0) == host);
		if (round == 3)
			continue;
		for (uint64_t i = 0; i < 3; i++)
			CHECK_PASSED(check_there_and_back(buf, addr, host,
							  length, 100 * i));
	}
	munmap(host, length);
	return PASSED;
}

static enum outcome test_pinned_no_longer(void)
{
	struct gpumem_buf *buf;
	enum outcome outcome;
	uint64_t addr;

	CHECK_CUDA(gpu.cuda.mem_alloc(&addr, 4 * MIB));
	CHECK_OK(gpumem_pin(gpu.session, addr, 4 * MIB, 0, &buf));
	outcome = check_pinned_no_longer(buf, addr, 4 * MIB);
	CHECK_OK(gpumem_unpin(buf));
	CHECK_CUDA(gpu.cuda.mem_free(addr));
	return outcome;
}

const struct test copy_tests[] = {
	{ "sizes from 1 byte to 16 MiB", test_sizes },
	{ "odd offsets into an allocation", test_offsets },
	{ "gpumem_write and gpumem_read", test_read_write },
	{ "reads while another thread writes", test_fresh },
	{ "gpumem_alloc", test_alloc },
	{ "sub-allocations of one block", test_sub_allocations },
	{ "two buffers at once", test_two_buffers },
	{ "host memory that is pinned no longer", test_pinned_no_longer },
	{ 0 },
};
