// SPDX-License-Identifier: MIT
/*
 * Self-test of the emulated GPU, the CUDA side: /dev/gpumem-emu. Needs
 * gpumem_emu.ko loaded and nothing else using it. Prints "ok NAME" or "not ok
 * NAME: why" for each test and a count; exits with 0 if all passed.
 *
 * usage: emu_selftest [NAME...]
 */
#include "emu_selftest.h"

static void test_alloc(void)
{
	struct gpumem_emu_alloc a, b;
	uint64_t pages = counters().free_pages;
	int fd = emu_open();

	CHECK(fd >= 0);
	CHECK(emu_alloc(fd, 1, &a) == 0);
	CHECK(a.length == 2 * MIB && a.addr % (2 * MIB) == 0);
	CHECK(a.client >> 20 == 0xc1d && a.memory);
	CHECK(emu_alloc(fd, 2 * MIB + 1, &b) == 0);
	CHECK(b.length == 4 * MIB && b.client == a.client);
	CHECK(b.memory != a.memory);
	CHECK(counters().blocks == 2);
	CHECK(counters().free_pages == pages - 6 * MIB / PAGE);
	CHECK(emu_free(fd, a.addr) == 0);
	CHECK(emu_alloc(fd, 1, &b) == 0 && b.addr != a.addr);
	close(fd);
}

static void test_alloc_errors(void)
{
	struct gpumem_emu_alloc a, b;
	uint64_t all = counters().vram_bytes;
	int other = emu_open();
	int fd = emu_open();

	CHECK_ERR(emu_alloc(fd, 0, &a), EINVAL);
	CHECK_ERR(emu_alloc(fd, all + 1, &a), ENOMEM);
	CHECK_ERR(emu_alloc(fd, UINT64_MAX, &a), ENOMEM);
	CHECK_ERR(emu_alloc(fd, UINT64_MAX / 2, &a), ENOMEM);
	CHECK(emu_alloc(fd, all, &a) == 0);
	CHECK_ERR(emu_alloc(fd, 1, &b), ENOMEM);
	CHECK_ERR(emu_free(fd, a.addr + PAGE), EINVAL);
	CHECK_ERR(emu_free(fd, 0), EINVAL);
	CHECK_ERR(emu_free(other, a.addr), EINVAL);
	CHECK(emu_free(fd, a.addr) == 0);
	CHECK_ERR(emu_free(fd, a.addr), EINVAL);
	CHECK_ERR(ioctl(fd, _IO('E', 99)), ENOTTY);
	CHECK_ERR(ioctl(fd, _IOWR('E', 1, char[8]), &a), ENOTTY);
	CHECK_ERR(ioctl(fd, GPUMEM_EMU_IOC_ALLOC, 8), EFAULT);
	close(fd);
	close(other);
}

/* The caller can read the argument's page but not write to it. */
static void test_alloc_undone(void)
{
	struct gpumem_emu_alloc *arg;
	int fd = emu_open();

	arg = mmap(NULL, HOST_PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	arg->length = 1;
	mprotect(arg, HOST_PAGE, PROT_READ);
	CHECK_ERR(ioctl(fd, GPUMEM_EMU_IOC_ALLOC, arg), EFAULT);
	CHECK(counters().blocks == 0);
	munmap(arg, HOST_PAGE);
	close(fd);
}

static void test_scatter(void)
{
	struct gpumem_emu_counters c = counters();
	uint64_t count = c.vram_bytes / PAGE;
	uint64_t *pages = calloc(count, sizeof(*pages));
	uint8_t *seen = calloc(count, 1);
	struct gpumem_emu_alloc a;
	uint64_t low = UINT64_MAX;
	int fd = emu_open();

	CHECK(emu_alloc(fd, c.vram_bytes, &a) == 0);
	CHECK(emu_pages(fd, a.addr, count, pages) == 0);
	for (uint64_t i = 0; i < count; i++)
		low = pages[i] < low ? pages[i] : low;
	for (uint64_t i = 0; i < count; i++) {
		CHECK(pages[i] % PAGE == 0);
		CHECK((pages[i] - low) / PAGE < count);
		CHECK(!seen[(pages[i] - low) / PAGE]++);
		CHECK(!i || (pages[i] != pages[i - 1] + PAGE &&
			     pages[i] + PAGE != pages[i - 1]));
	}
	CHECK_ERR(emu_pages(fd, a.addr, count + 1, pages), EINVAL);
	CHECK_ERR(emu_pages(fd, a.addr, UINT64_MAX / PAGE + 2, pages), EINVAL);
	CHECK_ERR(emu_pages(fd, a.addr, 0, pages), EINVAL);
	CHECK_ERR(emu_pages(fd, a.addr + 4096, 1, pages), EINVAL);
	CHECK_ERR(emu_pages(fd, a.addr, 1, (void *)8), EFAULT);
	close(fd);

	/* With every other block of a full memory free, it still scatters. */
	fd = emu_open();
	for (uint64_t got = 0; got < c.vram_bytes; got += 2 * MIB) {
		CHECK(emu_alloc(fd, 1, &a) == 0);
		CHECK(emu_pages(fd, a.addr, 32, pages) == 0);
		for (int i = 1; i < 32; i++)
			CHECK(pages[i] != pages[i - 1] + PAGE);
	}
	close(fd);
	free(seen);
	free(pages);
}

static void test_copy(void)
{
	static uint8_t out[300001], in[300001];
	struct gpumem_emu_alloc a;
	int fd = emu_open();

	CHECK(emu_alloc(fd, 2 * MIB, &a) == 0);
	memset(in, 0xff, sizeof(in));
	CHECK(emu_write(fd, a.addr, in, sizeof(in)) == 0);
	fill(out, sizeof(out), 1);
	CHECK(emu_write(fd, a.addr + 65533, out, 200003) == 0);
	CHECK(emu_read(fd, a.addr + 65533, in, 200003) == 0);
	CHECK(filled(in, 200003, 1));
	CHECK(emu_read(fd, a.addr + 65532, in, 200005) == 0);
	CHECK(in[0] == 0xff && in[200004] == 0xff);
	CHECK(emu_read(fd, a.addr, in, 0) == 0);
	CHECK(emu_read(fd, a.addr + 2 * MIB - 1, in, 1) == 0);
	close(fd);
}

static void test_copy_errors(void)
{
	struct gpumem_emu_copy bad = { .direction = 2 };
	struct gpumem_emu_alloc a, b;
	int other = emu_open();
	int fd = emu_open();
	uint8_t byte;

	CHECK(emu_alloc(fd, 2 * MIB, &a) == 0);
	CHECK(emu_alloc(fd, 2 * MIB, &b) == 0);
	bad.addr = a.addr;
	CHECK_ERR(ioctl(fd, GPUMEM_EMU_IOC_COPY, &bad), EINVAL);
	bad.direction = 0;
	bad.reserved = 1;
	CHECK_ERR(ioctl(fd, GPUMEM_EMU_IOC_COPY, &bad), EINVAL);
	CHECK_ERR(emu_read(fd, a.addr, &byte, 2 * MIB + 1), EINVAL);
	CHECK_ERR(emu_read(fd, a.addr + 1, &byte, UINT64_MAX), EINVAL);
	CHECK_ERR(emu_read(fd, a.addr - 1, &byte, 1), EINVAL);
	CHECK_ERR(emu_read(fd, b.addr + 2 * MIB, &byte, 1), EINVAL);
	CHECK_ERR(emu_read(other, a.addr, &byte, 1), EINVAL);
	CHECK_ERR(emu_read(fd, a.addr, (void *)8, 1), EFAULT);
	CHECK_ERR(emu_write(fd, a.addr, (void *)8, 1), EFAULT);
	CHECK(emu_free(fd, a.addr) == 0);
	CHECK_ERR(emu_read(fd, a.addr, &byte, 1), EINVAL);
	close(fd);
	close(other);
}

static void test_hold(void)
{
	static uint8_t bytes[3 * 65536];
	struct gpumem_emu_alloc a;
	struct gpumem_emu_hold h;
	volatile uint8_t *map;
	int fd = emu_open();

	CHECK(emu_alloc(fd, 2 * MIB, &a) == 0);
	CHECK(emu_hold(fd, a.addr + 2 * PAGE, 3 * PAGE, &h) == 0);
	CHECK(h.hold && counters().holds == 1);
	map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   h.mmap_offset);
	CHECK(map != MAP_FAILED);
	fill(bytes, sizeof(bytes), 2);
	CHECK(emu_write(fd, a.addr + 2 * PAGE, bytes, sizeof(bytes)) == 0);
	CHECK(filled(map, sizeof(bytes), 2));
	fill((uint8_t *)map, sizeof(bytes), 3);
	CHECK(emu_read(fd, a.addr + 2 * PAGE, bytes, sizeof(bytes)) == 0);
	CHECK(filled(bytes, sizeof(bytes), 3));

	CHECK(emu_free(fd, a.addr) == 0);
	CHECK(filled(map, sizeof(bytes), 3));
	CHECK(counters().blocks == 0);
	CHECK(counters().free_pages < counters().vram_bytes / PAGE);
	CHECK(emu_drop(fd, h.hold) == 0);
	CHECK(touch(map) == SIGBUS);
	CHECK(at_rest());
	CHECK_ERR(emu_drop(fd, h.hold), EINVAL);
	munmap((void *)map, 3 * PAGE);
	close(fd);
}

struct held {
	int fd;
	struct gpumem_emu_alloc block;
	struct gpumem_emu_hold hold;
	void *map;
};

/* What a forked child may do with its parent's file: count. */
static bool child_is_refused(void *data)
{
	struct held *held = data;
	struct gpumem_emu_counters c;
	struct gpumem_emu_alloc a;
	struct gpumem_emu_hold h;
	uint64_t page;

	return emu_alloc(held->fd, 1, &a) == -1 && errno == EPERM &&
	       emu_free(held->fd, held->block.addr) == -1 && errno == EPERM &&
	       emu_read(held->fd, held->block.addr, &page, 8) == -1 &&
	       errno == EPERM &&
	       emu_pages(held->fd, held->block.addr, 1, &page) == -1 &&
	       errno == EPERM &&
	       emu_hold(held->fd, held->block.addr, PAGE, &h) == -1 &&
	       errno == EPERM && emu_drop(held->fd, held->hold.hold) == -1 &&
	       errno == EPERM &&
	       mmap(NULL, PAGE, PROT_READ, MAP_SHARED, held->fd,
		    held->hold.mmap_offset) == MAP_FAILED &&
	       errno == EPERM && touch(held->map) == SIGSEGV &&
	       ioctl(held->fd, GPUMEM_EMU_IOC_COUNTERS, &c) == 0 &&
	       c.blocks == 1;
}

static void test_hold_errors(void)
{
	struct held held = { .fd = emu_open() };
	struct gpumem_emu_hold h;
	int other = emu_open();
	off_t offset;

	CHECK(emu_alloc(held.fd, 2 * MIB, &held.block) == 0);
	CHECK_ERR(emu_hold(held.fd, held.block.addr, 0, &h), EINVAL);
	CHECK_ERR(emu_hold(held.fd, held.block.addr, 4096, &h), EINVAL);
	CHECK_ERR(emu_hold(held.fd, held.block.addr + 4096, PAGE, &h), EINVAL);
	CHECK_ERR(emu_hold(held.fd, held.block.addr, 2 * MIB + PAGE, &h),
		  EINVAL);
	CHECK_ERR(emu_hold(other, held.block.addr, PAGE, &h), EINVAL);
	CHECK(emu_hold(held.fd, held.block.addr, 2 * PAGE, &held.hold) == 0);
	CHECK_ERR(emu_drop(other, held.hold.hold), EINVAL);
	CHECK_ERR(emu_drop(held.fd, held.hold.hold + (1ULL << 32)), EINVAL);
	CHECK_ERR(emu_drop(held.fd, 0), EINVAL);

	offset = held.hold.mmap_offset;
	CHECK(mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, held.fd, offset) ==
	      MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, held.fd,
		   offset + 2 * PAGE) == MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other, offset) ==
	      MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, held.fd, 0) ==
	      MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, held.fd,
		   offset) == MAP_FAILED);
	held.map = mmap(NULL, HOST_PAGE, PROT_READ, MAP_SHARED, held.fd,
			offset + 2 * PAGE - HOST_PAGE);
	CHECK(held.map != MAP_FAILED && touch(held.map) == 0);
	CHECK(in_child(child_is_refused, &held));
	CHECK(counters().blocks == 1 && counters().holds == 1);
	munmap(held.map, HOST_PAGE);
	close(held.fd);
	close(other);
}

/* Each of several processes sees its own bytes, whatever the others do. */
static bool child_churn(void *data)
{
	unsigned int seed = (unsigned int)getpid();
	static uint8_t bytes[100000];
	struct gpumem_emu_alloc a;
	int fd = emu_open();

	(void)data;
	for (int i = 0; i < 20; i++) {
		if (emu_alloc(fd, 4 * MIB, &a))
			return false;
		fill(bytes, sizeof(bytes), seed + i);
		if (emu_write(fd, a.addr + MIB + i, bytes, sizeof(bytes)))
			return false;
		memset(bytes, 0, sizeof(bytes));
		if (emu_read(fd, a.addr + MIB + i, bytes, sizeof(bytes)) ||
		    !filled(bytes, sizeof(bytes), seed + i))
			return false;
		if (i % 2 && emu_free(fd, a.addr))
			return false;
	}
	return true;
}

static void test_processes(void)
{
	int status, failed = 0;

	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			_exit(child_churn(NULL) ? 0 : 1);
	for (int i = 0; i < 3; i++) {
		wait(&status);
		failed += status != 0;
	}
	CHECK(failed == 0);
}

static void killed_step(void)
{
	struct gpumem_emu_alloc a;
	struct gpumem_emu_hold h;
	static uint8_t bytes[100000];
	int fd;

	fd = emu_open();
	emu_alloc(fd, 6 * MIB, &a);
	emu_hold(fd, a.addr, PAGE, &h);
	emu_write(fd, a.addr, bytes, sizeof(bytes));
	touch(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, h.mmap_offset));
	emu_free(fd, a.addr);
	emu_drop(fd, h.hold);
	close(fd);
}

static void test_kill(void)
{
	for (int i = 0; i < 50; i++) {
		CHECK(kill_child(killed_step, i));
		CHECK(at_rest());
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "alloc", test_alloc },
		{ "alloc-errors", test_alloc_errors },
		{ "alloc-undone", test_alloc_undone },
		{ "scatter", test_scatter },
		{ "copy", test_copy },
		{ "copy-errors", test_copy_errors },
		{ "hold", test_hold },
		{ "hold-errors", test_hold_errors },
		{ "processes", test_processes },
		{ "kill", test_kill },
	};

	(void)argc;
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argv + 1);
}
