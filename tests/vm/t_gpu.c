// SPDX-License-Identifier: MIT
/* The emulated GPU's CUDA side and the two interfaces of /dev/gpumem. */
#include "t.h"

int emu_open(void)
{
	return t_open(GPUMEM_EMU_NODE);
}

int emu_try_alloc(int fd, uint64_t length, uint64_t *addr)
{
	struct gpumem_emu_alloc a = { .length = length };
	int r = t_ioctl(fd, GPUMEM_EMU_IOC_ALLOC, &a);

	*addr = a.addr;
	return r;
}

uint64_t emu_alloc(int fd, uint64_t length)
{
	uint64_t addr;
	int r = emu_try_alloc(fd, length, &addr);

	need(!r, "allocating %llu bytes of GPU memory: %s",
	     (unsigned long long)length, strerror(r));
	return addr;
}

int emu_free(int fd, uint64_t addr)
{
	struct gpumem_emu_free f = { .addr = addr };

	return t_ioctl(fd, GPUMEM_EMU_IOC_FREE, &f);
}

static int emu_copy(int fd, uint64_t addr, const void *user, size_t length,
		    uint32_t direction)
{
	struct gpumem_emu_copy c = { .addr = addr,
				     .user = (uintptr_t)user,
				     .length = length,
				     .direction = direction };

	return t_ioctl(fd, GPUMEM_EMU_IOC_COPY, &c);
}

int emu_read(int fd, uint64_t addr, void *to, size_t length)
{
	return emu_copy(fd, addr, to, length, GPUMEM_EMU_TO_USER);
}

int emu_write(int fd, uint64_t addr, const void *from, size_t length)
{
	return emu_copy(fd, addr, from, length, GPUMEM_EMU_FROM_USER);
}

/* gpumem.ko maps by itself: the emulated GPU does not know. */
static uint64_t dma_maps(void)
{
	FILE *f = fopen("/sys/module/gpumem/parameters/dma_maps", "r");
	unsigned long long count = 0;

	if (!f)
		return 0;
	need(fscanf(f, "%llu", &count) == 1, "reading dma_maps");
	fclose(f);
	return count;
}

struct gpumem_emu_counters emu_counters(void)
{
	struct gpumem_emu_counters c;
	int fd = emu_open();
	int r = t_ioctl(fd, GPUMEM_EMU_IOC_COUNTERS, &c);

	need(!r, "reading the emulated GPU's counters: %s", strerror(r));
	close(fd);
	c.dma_maps += dma_maps();
	return c;
}

static bool nothing_pinned(void *counters)
{
	struct gpumem_emu_counters *c = counters;

	*c = emu_counters();
	return !c->pins && !c->pinned_pages;
}

bool emu_check_nothing_pinned(const char *when)
{
	struct gpumem_emu_counters c;
	/* The last close of a file may still be under way in the kernel. */
	bool ok = t_wait(nothing_pinned, &c);

	return check(ok,
		     "%s: expected nothing pinned, found %llu pins, %llu pages",
		     when, (unsigned long long)c.pins,
		     (unsigned long long)c.pinned_pages);
}

int gm_open(void)
{
	return t_open(GPUMEM_DEVICE_NODE);
}

int gm_pin(int fd, uint64_t addr, uint64_t length, struct gpumem_pin *pin)
{
	memset(pin, 0, sizeof(*pin));
	pin->size = sizeof(*pin);
	pin->addr = addr;
	pin->length = length;
	return t_ioctl(fd, GPUMEM_IOC_PIN, pin);
}

struct gpumem_pin gm_must_pin(int fd, uint64_t addr, uint64_t length)
{
	struct gpumem_pin pin;
	int r = gm_pin(fd, addr, length, &pin);

	need(!r, "pinning %llu bytes at %#llx: %s", (unsigned long long)length,
	     (unsigned long long)addr, strerror(r));
	need(pin.pin && pin.page_size && pin.page_count,
	     "PIN gave pin %u, page size %u, %llu pages", pin.pin,
	     pin.page_size, (unsigned long long)pin.page_count);
	return pin;
}

int gm_unpin(int fd, uint32_t pin)
{
	struct gpumem_unpin u = { .size = sizeof(u), .pin = pin };

	return t_ioctl(fd, GPUMEM_IOC_UNPIN, &u);
}

int gm_info(int fd, uint32_t pin, struct gpumem_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->pin = pin;
	return t_ioctl(fd, GPUMEM_IOC_INFO, info);
}

int gm_pages(int fd, uint32_t pin, uint64_t first, uint64_t *pages,
	     uint64_t *count)
{
	struct gpumem_pages p = { .size = sizeof(p),
				  .pin = pin,
				  .first = first,
				  .count = *count,
				  .pages = (uintptr_t)pages };
	int r = t_ioctl(fd, GPUMEM_IOC_PAGES, &p);

	*count = p.count;
	return r;
}

size_t gm_bytes(const struct gpumem_pin *pin)
{
	return (size_t)(pin->page_count * pin->page_size);
}

int gm_map(int fd, const struct gpumem_pin *pin, void **at)
{
	return t_map(fd, pin->mmap_offset, gm_bytes(pin), at);
}

int seed_lock(int fd, uint64_t addr, uint64_t size, void **handle,
	      size_t *page_count)
{
	struct gpudma_lock_t l = { .addr = addr, .size = size };
	int r = t_ioctl(fd, IOCTL_GPUMEM_LOCK, &l);

	*handle = l.handle;
	if (page_count)
		*page_count = l.page_count;
	return r;
}

int seed_state(int fd, void *handle, size_t room, struct gpudma_state_t **out)
{
	struct gpudma_state_t *s =
		calloc(1, sizeof(*s) + room * sizeof(uint64_t));
	int r;

	need(s, "out of memory");
	s->handle = handle;
	s->page_count = room;
	r = t_ioctl(fd, IOCTL_GPUMEM_STATE, s);
	if (out)
		*out = s;
	else
		free(s);
	return r;
}

int seed_unlock(int fd, void *handle)
{
	struct gpudma_unlock_t u = { .handle = handle };

	return t_ioctl(fd, IOCTL_GPUMEM_UNLOCK, &u);
}
