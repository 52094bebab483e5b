// SPDX-License-Identifier: MIT
/*
 * Device memory of the emulated GPU, through /dev/gpumem-emu. Copies are made
 * by its kernel module; closing the descriptor, as a dying process does, gives
 * everything back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpumem_emu.h"
#include "sim.h"

/* Where the kernel lists the PCI devices that the emulator has bound. */
#define DRIVER_DIR "/sys/bus/pci/drivers/gpumem-emu"

_Static_assert(GPUMEM_EMU_PAGE_SIZE == GPUMEM_SIM_PAGE_SIZE, "page sizes");

static int emu_fd = -1;

static int emu_call(unsigned long request, void *arg)
{
	while (ioctl(emu_fd, request, arg)) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int emu_open(unsigned int *gpus)
{
	*gpus = 1;
	emu_fd = open(GPUMEM_EMU_NODE, O_RDWR | O_CLOEXEC);
	return emu_fd < 0 ? -errno : 0;
}

static void emu_close(void)
{
	close(emu_fd);
	emu_fd = -1;
}

static int emu_pci(unsigned int gpu, struct sim_pci *pci)
{
	struct dirent *entry;
	int err = -ENODEV;
	DIR *dir;

	dir = opendir(DRIVER_DIR);
	if (!dir)
		return -errno;
	while (err && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, "%x:%x:%x", &pci->domain, &pci->bus,
			   &pci->device) == 3)
			err = 0;
	}
	closedir(dir);
	return err;
}

static int emu_usage(unsigned int gpu, struct sim_usage *usage)
{
	struct gpumem_emu_counters counters = { 0 };
	int err;

	err = emu_call(GPUMEM_EMU_IOC_COUNTERS, &counters);
	if (err)
		return err;
	usage->total = counters.vram_bytes;
	usage->used = counters.vram_bytes -
		      counters.free_pages * GPUMEM_EMU_PAGE_SIZE;
	usage->pinned = counters.pinned_pages * GPUMEM_EMU_PAGE_SIZE;
	return 0;
}

static int emu_alloc(struct sim_block *block)
{
	struct gpumem_emu_alloc alloc = { .length = block->length };
	int err;

	err = emu_call(GPUMEM_EMU_IOC_ALLOC, &alloc);
	if (err)
		return err;
	block->addr = alloc.addr;
	block->length = alloc.length;
	block->client = alloc.client;
	block->memory = alloc.memory;
	return 0;
}

static void emu_free(struct sim_block *block)
{
	struct gpumem_emu_free args = { .addr = block->addr };

	emu_call(GPUMEM_EMU_IOC_FREE, &args);
}

static int emu_reserve(uint64_t length, uint64_t align, uint64_t *addr)
{
	struct gpumem_emu_reserve args = { .length = length };
	int err;

	if (align > SIM_BLOCK_SIZE &&
	    __builtin_add_overflow(length, align, &args.length))
		return -ENOMEM;
	err = emu_call(GPUMEM_EMU_IOC_RESERVE, &args);
	if (!err)
		*addr = (args.addr + align - 1) & ~(align - 1);
	return err;
}

/* Its addresses are never given out again, so there is nothing to do. */
static void emu_unreserve(uint64_t addr, uint64_t length)
{
}

static int emu_view(struct sim_block *view, const struct sim_block *block)
{
	struct gpumem_emu_view args = {
		.addr = view->addr,
		.length = view->length,
		.block = block->addr,
	};

	return emu_call(GPUMEM_EMU_IOC_VIEW, &args);
}

static int emu_export(const struct sim_block *block, int *fd)
{
	struct gpumem_emu_export args = { .addr = block->addr };
	int err;

	err = emu_call(GPUMEM_EMU_IOC_EXPORT, &args);
	if (!err)
		*fd = args.fd;
	return err;
}

static int emu_import(struct sim_block *block, int fd)
{
	struct gpumem_emu_import args = { .fd = fd };
	int err;

	err = emu_call(GPUMEM_EMU_IOC_IMPORT, &args);
	if (err)
		return err == -EBADF ? -EINVAL : err;
	block->addr = args.addr;
	block->length = args.length;
	block->client = args.client;
	block->memory = args.memory;
	return 0;
}

static int emu_dmabuf(uint64_t addr, uint64_t length, int *fd)
{
	struct gpumem_emu_dmabuf args = { .addr = addr, .length = length };
	int err;

	err = emu_call(GPUMEM_EMU_IOC_DMABUF, &args);
	if (!err)
		*fd = args.fd;
	return err;
}

static int emu_copy(const struct sim_block *block, uint64_t offset,
		    const void *user, uint64_t length, uint32_t direction)
{
	struct gpumem_emu_copy copy = {
		.addr = block->addr + offset,
		.user = (uintptr_t)user,
		.length = length,
		.direction = direction,
	};

	return emu_call(GPUMEM_EMU_IOC_COPY, &copy);
}

static int emu_read(const struct sim_block *block, uint64_t offset, void *dst,
		    uint64_t length)
{
	return emu_copy(block, offset, dst, length, GPUMEM_EMU_TO_USER);
}

static int emu_write(const struct sim_block *block, uint64_t offset,
		     const void *src, uint64_t length)
{
	return emu_copy(block, offset, src, length, GPUMEM_EMU_FROM_USER);
}

static void emu_unpin(struct sim_pin *pin)
{
	struct gpumem_emu_drop drop = { .hold = pin->hold };

	emu_call(GPUMEM_EMU_IOC_DROP, &drop);
}

static int emu_pin(const struct sim_block *block, uint64_t offset,
		   struct sim_pin *pin)
{
	struct gpumem_emu_hold hold = {
		.addr = block->addr + offset,
		.length = pin->count * GPUMEM_EMU_PAGE_SIZE,
	};
	struct gpumem_emu_pages pages = {
		.addr = block->addr + offset,
		.count = pin->count,
		.pages = (uintptr_t)pin->pages,
	};
	int err;

	err = emu_call(GPUMEM_EMU_IOC_HOLD, &hold);
	if (err)
		return err;
	pin->hold = hold.hold;
	pin->mmap_offset = hold.mmap_offset;
	err = emu_call(GPUMEM_EMU_IOC_PAGES, &pages);
	if (err)
		emu_unpin(pin);
	return err;
}

static int emu_map(const struct sim_pin *pin, void **addr)
{
	uint64_t length = pin->count * GPUMEM_EMU_PAGE_SIZE;
	void *area;
	int err;

	area = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, emu_fd,
		    (off_t)pin->mmap_offset);
	if (area == MAP_FAILED)
		return -errno;
	if (madvise(area, length, MADV_DONTFORK)) {
		err = -errno;
		munmap(area, length);
		return err;
	}
	*addr = area;
	return 0;
}

const struct sim_store sim_store_emu = {
	.description = "emulated GPU of the test machine, simulated CUDA",
	.device_name = "gpumem emulated GPU",
	.uuid = "gpumem emulated",
	.emulated = true,
	.open = emu_open,
	.close = emu_close,
	.pci = emu_pci,
	.usage = emu_usage,
	.alloc = emu_alloc,
	.free = emu_free,
	/* Its blocks always have addresses; those of cuMemCreate() stay unused. */
	.create = emu_alloc,
	.reserve = emu_reserve,
	.unreserve = emu_unreserve,
	.view = emu_view,
	.export = emu_export,
	.import = emu_import,
	.dmabuf = emu_dmabuf,
	.read = emu_read,
	.write = emu_write,
	.pin = emu_pin,
	.unpin = emu_unpin,
	.map = emu_map,
};
