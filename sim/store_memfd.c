// SPDX-License-Identifier: MIT
/*
 * Device memory in memory files of this process, one for each GPU. A page has
 * as many references as blocks, views and pins hold it.
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
/* What reused memory is full of, so that a stale read does not look right. */
#define POISON 0xdb
/* A PCI domain that no machine is known to have. */
#define FAKE_DOMAIN 0xf510

/* The addresses of each GPU's pages are this far from the one before. */
#define FAKE_PHYS_STEP (1ull << 40)

struct memory {
	int fd;
	uint32_t page_count;
	uint32_t free_count;
	uint64_t pinned; /* pages, once for each pin */
	uint32_t *free; /* stack of free pages */
	uint32_t *refs; /* by page */
	bool *dirty; /* by page: was in use before */
};

static struct memory memory[SIM_MAX_GPUS];

/* A number from low to high in the environment, or the one that is there. */
static int setting(const char *name, unsigned long long low,
		   unsigned long long high, unsigned long long *value)
{
	const char *text = getenv(name);
	unsigned long long read;
	char *end;

	if (!text || !*text)
		return 0;
	errno = 0;
	read = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || read < low ||
	    read > high) {
		fprintf(stderr,
			"gpumem simulated CUDA: %s=%s is no number from %llu "
			"to %llu\n",
			name, text, low, high);
		return -EINVAL;
	}
	*value = read;
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
static void free_fill(struct memory *mem)
{
	uint32_t stride = (uint32_t)(mem->page_count * 0.618);
	uint32_t page = 0;

	while (gcd(mem->page_count, stride) != 1)
		stride++;
	for (uint32_t i = 0; i < mem->page_count; i++) {
		mem->free[i] = page;
		page = (uint32_t)(((uint64_t)page + stride) % mem->page_count);
	}
	mem->free_count = mem->page_count;
}

static void memory_close(struct memory *mem)
{
	free(mem->free);
	free(mem->refs);
	free(mem->dirty);
	close(mem->fd);
	*mem = (struct memory){ .fd = -1 };
}

static int memory_open(struct memory *mem, uint64_t bytes)
{
	int err;

	mem->page_count = (uint32_t)(bytes / PAGE);
	mem->fd = memfd_create("gpumem-simulated-gpu", MFD_CLOEXEC);
	if (mem->fd < 0)
		return -errno;
	mem->free = calloc(mem->page_count, sizeof(*mem->free));
	mem->refs = calloc(mem->page_count, sizeof(*mem->refs));
	mem->dirty = calloc(mem->page_count, sizeof(*mem->dirty));
	err = -ENOMEM;
	if (mem->free && mem->refs && mem->dirty)
		err = ftruncate(mem->fd, (off_t)bytes) ? -errno : 0;
	if (err)
		memory_close(mem);
	else
		free_fill(mem);
	return err;
}

static void memfd_close(void)
{
	for (unsigned int i = 0; i < SIM_MAX_GPUS; i++) {
		if (memory[i].refs)
			memory_close(&memory[i]);
	}
}

static int memfd_open(unsigned int *gpus)
{
	unsigned long long mb = DEFAULT_MB, count = 1;
	int err;

	err = setting("GPUMEM_SIM_MEMORY_MB", GPUMEM_SIM_MB_MIN,
		      GPUMEM_SIM_MB_MAX, &mb);
	if (!err)
		err = setting("GPUMEM_SIM_GPUS", 1, SIM_MAX_GPUS, &count);
	for (unsigned int i = 0; i < count && !err; i++)
		err = memory_open(&memory[i], mb << 20);
	if (err) {
		memfd_close();
		return err;
	}
	*gpus = (unsigned int)count;
	return 0;
}

static int memfd_pci(unsigned int gpu, struct sim_pci *pci)
{
	*pci = (struct sim_pci){ .domain = FAKE_DOMAIN, .bus = gpu };
	return 0;
}

static int memfd_usage(unsigned int gpu, struct sim_usage *usage)
{
	const struct memory *mem = &memory[gpu];

	usage->total = mem->page_count * PAGE;
	usage->used = (mem->page_count - mem->free_count) * PAGE;
	usage->pinned = mem->pinned * PAGE;
	return 0;
}

/* The file, whole transfers only. */
static int file_write(const struct memory *mem, uint64_t offset,
		      const void *src, uint64_t length)
{
	while (length) {
		ssize_t done = pwrite(mem->fd, src, length, (off_t)offset);

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

static int file_read(const struct memory *mem, uint64_t offset, void *dst,
		     uint64_t length)
{
	while (length) {
		ssize_t done = pread(mem->fd, dst, length, (off_t)offset);

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

static void page_put(struct memory *mem, uint32_t page)
{
	if (--mem->refs[page])
		return;
	mem->dirty[page] = true;
	mem->free[mem->free_count++] = page;
}

static int page_get(struct memory *mem, uint32_t *page)
{
	char poison[4096];
	uint32_t top;

	top = mem->free[mem->free_count - 1];
	if (mem->dirty[top]) {
		memset(poison, POISON, sizeof(poison));
		for (uint64_t at = 0; at < PAGE; at += sizeof(poison)) {
			int err = file_write(mem, top * PAGE + at, poison,
					     sizeof(poison));

			if (err)
				return err;
		}
	}
	mem->free_count--;
	mem->refs[top] = 1;
	*page = top;
	return 0;
}

/*
 * The device address is one that the process cannot use for anything else, as
 * with CUDA's unified addressing: reserved address space that faults.
 */
static int address_reserve(uint64_t length, uint64_t align, uint64_t *addr)
{
	uint64_t room = length + align;
	uint64_t start, head;
	char *area;

	area = mmap(NULL, room, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	start = ((uint64_t)(uintptr_t)area + align - 1) & ~(align - 1);
	head = start - (uint64_t)(uintptr_t)area;
	if (head)
		munmap(area, head);
	munmap(area + head + length, room - head - length);
	*addr = start;
	return 0;
}

/* A block that has addresses of its own gives them back. */
static void block_put(struct sim_block *block, uint64_t count)
{
	while (count)
		page_put(&memory[block->gpu], block->pages[--count]);
	free(block->pages);
	if (block->addr && !block->view)
		munmap((void *)(uintptr_t)block->addr, block->length);
}

static int memfd_create_block(struct sim_block *block)
{
	static uint32_t last_memory = 0x5c000000;
	struct memory *mem = &memory[block->gpu];
	uint64_t count = block->length / PAGE;
	int err;

	if (count > mem->free_count)
		return -ENOMEM;
	block->pages = calloc(count, sizeof(*block->pages));
	if (!block->pages)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++) {
		err = page_get(mem, &block->pages[i]);
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

static int memfd_alloc(struct sim_block *block)
{
	uint64_t addr = 0;
	int err;

	err = address_reserve(block->length, SIM_BLOCK_SIZE, &addr);
	if (err)
		return err;
	err = memfd_create_block(block);
	if (err)
		munmap((void *)(uintptr_t)addr, block->length);
	else
		block->addr = addr;
	return err;
}

static void memfd_free(struct sim_block *block)
{
	block_put(block, block->length / PAGE);
}

static void memfd_unreserve(uint64_t addr, uint64_t length)
{
	munmap((void *)(uintptr_t)addr, length);
}

/* Another holder of all of a block's pages. */
static int memfd_view(struct sim_block *view, const struct sim_block *block)
{
	uint64_t count = view->length / PAGE;

	view->pages = calloc(count, sizeof(*view->pages));
	if (!view->pages)
		return -ENOMEM;
	for (uint64_t i = 0; i < count; i++) {
		view->pages[i] = block->pages[i];
		memory[block->gpu].refs[view->pages[i]]++;
	}
	view->memory = block->memory;
	return 0;
}

static int memfd_read(const struct sim_block *block, uint64_t offset, void *dst,
		      uint64_t length)
{
	while (length) {
		uint64_t in = offset % PAGE;
		uint64_t part = length < PAGE - in ? length : PAGE - in;
		int err = file_read(&memory[block->gpu],
				    block->pages[offset / PAGE] * PAGE + in,
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
		int err = file_write(&memory[block->gpu],
				     block->pages[offset / PAGE] * PAGE + in,
				     src, part);

		if (err)
			return err;
		src = (const char *)src + part;
		offset += part;
		length -= part;
	}
	return 0;
}

static uint64_t phys_base(unsigned int gpu)
{
	return GPUMEM_SIM_FAKE_PHYS + gpu * FAKE_PHYS_STEP;
}

static int memfd_pin(const struct sim_block *block, uint64_t offset,
		     struct sim_pin *pin)
{
	struct memory *mem = &memory[pin->gpu];

	for (uint64_t i = 0; i < pin->count; i++) {
		uint32_t page = block->pages[offset / PAGE + i];

		mem->refs[page]++;
		pin->pages[i] = phys_base(pin->gpu) + page * PAGE;
	}
	mem->pinned += pin->count;
	return 0;
}

static void memfd_unpin(struct sim_pin *pin)
{
	struct memory *mem = &memory[pin->gpu];

	for (uint64_t i = 0; i < pin->count; i++)
		page_put(mem, (uint32_t)((pin->pages[i] - phys_base(pin->gpu)) /
					 PAGE));
	mem->pinned -= pin->count;
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
		uint64_t offset = pin->pages[i] - phys_base(pin->gpu);

		if (mmap(area + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, memory[pin->gpu].fd,
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

/*
 * A descriptor names the memory: importing works while the memory is there, in
 * the process that exported it.
 */
struct share {
	char magic[16];
	pid_t pid;
	uint32_t memory;
};

static const char share_magic[16] = "gpumem-sim-vmm1";

static int memfd_export(const struct sim_block *block, int *fd)
{
	struct share share = { .pid = getpid(), .memory = block->memory };
	int file;

	memcpy(share.magic, share_magic, sizeof(share.magic));
	file = memfd_create("gpumem-simulated-allocation", MFD_CLOEXEC);
	if (file < 0)
		return -errno;
	if (pwrite(file, &share, sizeof(share), 0) != sizeof(share)) {
		close(file);
		return -ENOMEM;
	}
	*fd = file;
	return 0;
}

static int memfd_import(struct sim_block *block, int fd)
{
	const struct sim_block *from;
	struct share share;

	if (pread(fd, &share, sizeof(share), 0) != sizeof(share) ||
	    memcmp(share.magic, share_magic, sizeof(share.magic)) != 0 ||
	    share.pid != getpid())
		return -EINVAL;
	from = sim_phys_block(share.memory);
	if (!from)
		return -EINVAL;
	block->length = from->length;
	block->gpu = from->gpu;
	block->client = from->client;
	return memfd_view(block, from);
}

/* Memory files have nothing that a device could reach. */
static int memfd_dmabuf(uint64_t addr, uint64_t length, int *fd)
{
	return -EOPNOTSUPP;
}

const struct sim_store sim_store_memfd = {
	.description = "simulated GPU, memory file in this process",
	.device_name = "gpumem simulated GPU",
	.uuid = "gpumem simulate",
	.open = memfd_open,
	.close = memfd_close,
	.pci = memfd_pci,
	.usage = memfd_usage,
	.alloc = memfd_alloc,
	.free = memfd_free,
	.create = memfd_create_block,
	.reserve = address_reserve,
	.unreserve = memfd_unreserve,
	.view = memfd_view,
	.export = memfd_export,
	.import = memfd_import,
	.dmabuf = memfd_dmabuf,
	.read = memfd_read,
	.write = memfd_write,
	.pin = memfd_pin,
	.unpin = memfd_unpin,
	.map = memfd_map,
};
