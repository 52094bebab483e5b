// SPDX-License-Identifier: MIT
/*
 * Device memory in a memory file of this process. A page has as many references
 * as blocks (one at most) and pins hold it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim.h"

#define PAGE GPUMEM_SIM_PAGE_SIZE
#define DEFAULT_MB 1024ull
/* 1 TiB: page numbers stay well below 32 bits. */
#define MAX_MB (1ull << 20)
/* What reused memory is full of, so that a stale read does not look right. */
#define POISON 0xdb
/* A PCI domain that no machine is known to have. */
#define FAKE_DOMAIN 0xf510

static struct {
	int fd;
	uint32_t page_count;
	uint32_t free_count;
	uint64_t pinned; /* pages, once for each pin */
	uint32_t *free; /* stack of free pages */
	uint32_t *refs; /* by page */
	bool *dirty; /* by page: was in use before */
} mem = { .fd = -1 };

static int memory_size(uint64_t *bytes)
{
	const char *text = getenv("GPUMEM_SIM_MEMORY_MB");
	unsigned long long mb = DEFAULT_MB;
	char *end;

	if (text && *text) {
		errno = 0;
		mb = strtoull(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || errno || mb < 2 ||
		    mb > MAX_MB) {
			fprintf(stderr,
				"gpumem simulated CUDA: "
				"GPUMEM_SIM_MEMORY_MB=%s is no number of MiB "
				"from 2 to %llu\n",
				text, MAX_MB);
			return -EINVAL;
		}
	}
	*bytes = mb << 20;
	return 0;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * Orders the free pages so that two that are handed out one after the other lie
 * far apart: by a stride near the golden section that visits all of them.
 */
static void free_fill(void)
{
	uint32_t stride = (uint32_t)(mem.page_count * 0.618);
	uint32_t page = 0;

	while (gcd(mem.page_count, stride) != 1)
		stride++;
	for (uint32_t i = 0; i < mem.page_count; i++) {
		mem.free[i] = page;
		page = (uint32_t)(((uint64_t)page + stride) % mem.page_count);
	}
	mem.free_count = mem.page_count;
}

static int memfd_open(void)
{
	uint64_t bytes;
	int err;

	err = memory_size(&bytes);
	if (err)
		return err;
	mem.page_count = (uint32_t)(bytes / PAGE);
	mem.fd = memfd_create("gpumem-simulated-gpu", MFD_CLOEXEC);
	if (mem.fd < 0)
		return -errno;
	if (ftruncate(mem.fd, (off_t)bytes)) {
		err = -errno;
		goto close_fd;
	}
	err = -ENOMEM;
	mem.free = calloc(mem.page_count, sizeof(*mem.free));
	mem.refs = calloc(mem.page_count, sizeof(*mem.refs));
	mem.dirty = calloc(mem.page_count, sizeof(*mem.dirty));
	if (!mem.free || !mem.refs || !mem.dirty)
		goto free_tables;
	free_fill();
	return 0;

free_tables:
	free(mem.free);
	free(mem.refs);
	free(mem.dirty);
close_fd:
	close(mem.fd);
	mem.fd = -1;
	return err;
}

static int memfd_pci(struct sim_pci *pci)
{
	*pci = (struct sim_pci){ .domain = FAKE_DOMAIN };
	return 0;
}

static int memfd_usage(struct sim_usage *usage)
{
	usage->total = mem.page_count * PAGE;
	usage->used = (mem.page_count - mem.free_count) * PAGE;
	usage->pinned = mem.pinned * PAGE;
	return 0;
}

/* The file, whole transfers only. */
static int file_write(uint64_t offset, const void *src, uint64_t length)
{
	while (length) {
		ssize_t done = pwrite(mem.fd, src, length, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		src = (const char *)src + done;
		offset += (uint64_t)done;
		length -= (uint64_t)done;
	}
	return 0;
}

static int file_read(uint64_t offset, void *dst, uint64_t length)
{
	while (length) {
		ssize_t done = pread(mem.fd, dst, length, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		dst = (char *)dst + done;
		offset += (uint64_t)done;
		length -= (uint64_t)done;
	}
	return 0;
}

static void page_put(uint32_t page)
{
	if (--mem.refs[page])
		return;
	mem.dirty[page] = true;
	mem.free[mem.free_count++] = page;
}

static int page_get(uint32_t *page)
{
	char poison[4096];
	uint32_t top;

	top = mem.free[mem.free_count - 1];
	if (mem.dirty[top]) {
		memset(poison, POISON, sizeof(poison));
		for (uint64_t at = 0; at < PAGE; at += sizeof(poison)) {
			int err = file_write(top * PAGE + at, poison,
					     sizeof(poison));

			if (err)
				return err;
		}
	}
	mem.free_count--;
	mem.refs[top] = 1;
	*page = top;
	return 0;
}

/*
 * The device address is one that the process cannot use for anything else, as
 * with CUDA's unified addressing: reserved address space that faults.
 */
static int address_reserve(uint64_t length, uint64_t *addr)
{
	uint64_t room = length + SIM_BLOCK_SIZE;
	uint64_t start, head;
	char *area;

	area = mmap(NULL, room, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	start = ((uint64_t)(uintptr_t)area + SIM_BLOCK_SIZE - 1) &
		~(SIM_BLOCK_SIZE - 1);
	head = start - (uint64_t)(uintptr_t)area;
	if (head)
		munmap(area, head);
	munmap(area + head + length, room - head - length);
	*addr = start;
	return 0;
}

static void block_put(struct sim_block *block, uint64_t count)
{
	while (count)
		page_put(block->pages[--count]);
	free(block->pages);
	munmap((void *)(uintptr_t)block->addr, block->length);
}

static int memfd_alloc(struct sim_block *block)
{
	static uint32_t last_memory = 0x5c000000;
	uint64_t count = block->length / PAGE;
	int err;

	if (count > mem.free_count)
		return -ENOMEM;
	err = address_reserve(block->length, &block->addr);
	if (err)
		return err;
	block->pages = calloc(count, sizeof(*block->pages));
	if (!block->pages) {
		block_put(block, 0);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < count; i++) {
		err = page_get(&block->pages[i]);
		if (err) {
			block_put(block, i);
			return err;
		}
	}
	/* Of the form that RM gives, and known to no RM. */
	block->client = 0xc1d00000u | ((uint32_t)getpid() & 0xfffff);
	block->memory = ++last_memory;
	return 0;
}

static void memfd_free(struct sim_block *block)
{
	block_put(block, block->length / PAGE);
}

static int memfd_read(const struct sim_block *block, uint64_t offset, void *dst,
		      uint64_t length)
{
	while (length) {
		uint64_t in = offset % PAGE;
		uint64_t part = length < PAGE - in ? length : PAGE - in;
		int err = file_read(block->pages[offset / PAGE] * PAGE + in,
				    dst, part);

		if (err)
			return err;
		dst = (char *)dst + part;
		offset += part;
		length -= part;
	}
	return 0;
}

static int memfd_write(const struct sim_block *block, uint64_t offset,
		       const void *src, uint64_t length)
{
	while (length) {
		uint64_t in = offset % PAGE;
		uint64_t part = length < PAGE - in ? length : PAGE - in;
		int err = file_write(block->pages[offset / PAGE] * PAGE + in,
				     src, part);

		if (err)
			return err;
		src = (const char *)src + part;
		offset += part;
		length -= part;
	}
	return 0;
}

static int memfd_pin(const struct sim_block *block, uint64_t offset,
		     struct sim_pin *pin)
{
	for (uint64_t i = 0; i < pin->count; i++) {
		uint32_t page = block->pages[offset / PAGE + i];

		mem.refs[page]++;
		pin->pages[i] = GPUMEM_SIM_FAKE_PHYS + page * PAGE;
	}
	mem.pinned += pin->count;
	return 0;
}

static void memfd_unpin(struct sim_pin *pin)
{
	for (uint64_t i = 0; i < pin->count; i++)
		page_put((uint32_t)((pin->pages[i] - GPUMEM_SIM_FAKE_PHYS) /
				    PAGE));
	mem.pinned -= pin->count;
}

static int memfd_map(const struct sim_pin *pin, void **addr)
{
	uint64_t length = pin->count * PAGE;
	char *area;
	int err;

	area = mmap(NULL, length, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	for (uint64_t i = 0; i < pin->count; i++) {
		uint64_t offset = pin->pages[i] - GPUMEM_SIM_FAKE_PHYS;

		if (mmap(area + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, mem.fd,
			 (off_t)offset) == MAP_FAILED)
			goto unmap;
	}
	if (madvise(area, length, MADV_DONTFORK))
		goto unmap;
	*addr = area;
	return 0;

unmap:
	err = -errno;
	munmap(area, length);
	return err;
}

const struct sim_store sim_store_memfd = {
	.description = "simulated GPU, memory file in this process",
	.device_name = "gpumem simulated GPU",
	.uuid = "gpumem simulate",
	.open = memfd_open,
	.pci = memfd_pci,
	.usage = memfd_usage,
	.alloc = memfd_alloc,
	.free = memfd_free,
	.read = memfd_read,
	.write = memfd_write,
	.pin = memfd_pin,
	.unpin = memfd_unpin,
	.map = memfd_map,
};
