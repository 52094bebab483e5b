// SPDX-License-Identifier: MIT
/* What the original interface refuses, and with which errno. */
#include "t.h"

static void mode_handles(void)
{
	static const uintptr_t garbage[] = { 0,
					     1,
					     2,
					     UINTPTR_MAX,
					     0xffff888000000000,
					     0xffffffff81000000,
					     0x7fffffff,
					     0x100000001,
					     0x80000000 };
	int emu = emu_open(), fd = gm_open(), other = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin;
	void *handle, *mine;
	size_t i, pages;
	int r;

	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		void *h = (void *)garbage[i];

		check_result(seed_state(fd, h, 16, NULL), ENOENT,
			     "STATE of handle %p of an empty file", h);
		check_result(seed_unlock(fd, h), ENOENT,
			     "UNLOCK of handle %p of an empty file", h);
	}
	r = seed_lock(fd, addr, MIB, &handle, &pages);
	need(!r, "LOCK: %s", strerror(r));
	check(handle && pages == 16, "LOCK gave %p, %zu pages", handle, pages);
	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		void *h = (void *)garbage[i];

		if (h == handle)
			continue;
		check_result(seed_state(fd, h, 16, NULL), ENOENT,
			     "STATE of handle %p", h);
		check_result(seed_unlock(fd, h), ENOENT, "UNLOCK of handle %p",
			     h);
	}
	/* Another file's handle: with nothing of its own, and with a pin. */
	check_result(seed_state(other, handle, 16, NULL), ENOENT,
		     "STATE of another file's handle");
	check_result(seed_unlock(other, handle), ENOENT,
		     "UNLOCK of another file's handle");
	check_result(seed_lock(other, addr, MIB, &mine, NULL), 0,
		     "LOCK of the same memory by another file");
	check_result(seed_unlock(other, mine), 0, "UNLOCK of the other file");
	check_result(seed_unlock(other, handle), ENOENT,
		     "UNLOCK of another file's handle after one's own");
	/* The handle has 64 bits: one more is not the same handle. */
	mine = (void *)((uintptr_t)handle | 1ull << 40);
	check_result(seed_unlock(fd, mine), ENOENT, "UNLOCK of handle %p",
		     mine);
	check_result(seed_unlock(fd, handle), 0, "UNLOCK");
	check_result(seed_unlock(fd, handle), ENOENT, "the second UNLOCK");
	check_result(seed_state(fd, handle, 16, NULL), ENOENT,
		     "STATE after UNLOCK");
	check_result(gm_pin(fd, addr, 1, &pin), 0, "PIN after all that");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	close(fd);
	close(other);
	close(emu);
}

static void mode_state_room(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpudma_state_t *s;
	void *handle;
	size_t room, i;
	int r = seed_lock(fd, addr, MIB, &handle, NULL);

	need(!r, "LOCK: %s", strerror(r));
	for (room = 0; room < 16; room += 5) {
		size_t bytes = sizeof(*s) + 16 * sizeof(uint64_t);

		s = malloc(bytes);
		need(s, "out of memory");
		memset(s, 0x5a, bytes);
		s->handle = handle;
		s->page_count = room;
		check_result(t_ioctl(fd, IOCTL_GPUMEM_STATE, s), ENOSPC,
			     "STATE with room for %zu of 16 pages", room);
		check(s->page_count == 16,
		      "STATE with room for %zu: expected page_count 16, found %zu",
		      room, s->page_count);
		for (i = 0; i < 16; i++)
			check(s->pages[i] == 0x5a5a5a5a5a5a5a5a,
			      "STATE with room for %zu wrote pages[%zu]", room,
			      i);
		free(s);
	}
	check_result(seed_state(fd, handle, 16, NULL), 0,
		     "STATE with just enough room");
	check_result(seed_state(fd, handle, 100, &s), 0,
		     "STATE with room to spare");
	check(s->page_count == 16 && s->page_size == 65536,
	      "STATE gave %zu pages of %zu", s->page_count, s->page_size);
	check(!s->pages[16], "STATE wrote past the last page");
	free(s);
	check_result(seed_unlock(fd, handle), 0, "UNLOCK");
	close(fd);
	close(emu);
}

static void mode_addresses(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, 2 * MIB), freed = emu_alloc(emu, MIB);
	struct gpudma_state_t *one, *two;
	struct gpudma_lock_t l;
	void *handle, *again;
	size_t pages;

	check_result(seed_lock(fd, addr, 0, &handle, NULL), EINVAL,
		     "LOCK of 0 bytes");
	check_result(seed_lock(fd, NOWHERE, 1, &handle, NULL), EINVAL,
		     "LOCK of no GPU memory");
	check_result(seed_lock(fd, 0, 4096, &handle, NULL), EINVAL,
		     "LOCK of address 0");
	check_result(seed_lock(fd, (uintptr_t)&l, 8, &handle, NULL), EINVAL,
		     "LOCK of host memory");
	check_result(seed_lock(fd, addr, 2 * MIB + 1, &handle, NULL), EINVAL,
		     "LOCK past the allocation");
	check_result(seed_lock(fd, UINT64_MAX - 4095, 8192, &handle, NULL),
		     EOVERFLOW, "LOCK of a range that wraps");
	check_result(seed_lock(fd, addr, UINT64_MAX, &handle, NULL), EOVERFLOW,
		     "LOCK of all bytes there are");
	check_result(emu_free(emu, freed), 0, "freeing");
	check_result(seed_lock(fd, freed, MIB, &handle, NULL), EINVAL,
		     "LOCK of freed memory");
	check_result(t_ioctl(fd, IOCTL_GPUMEM_LOCK, NULL), EFAULT,
		     "LOCK of NULL");
	check_result(t_ioctl(fd, IOCTL_GPUMEM_STATE, (void *)-4096l), EFAULT,
		     "STATE of a kernel address");
	check_result(t_ioctl(fd, IOCTL_GPUMEM_UNLOCK, NULL), EFAULT,
		     "UNLOCK of NULL");
	emu_check_nothing_pinned("after the refused calls");

	/* An address inside a page counts from the start of its page. */
	check_result(seed_lock(fd, addr + 65536, 65536, &handle, &pages), 0,
		     "LOCK of the second page");
	check(pages == 1, "LOCK of the second page: %zu pages", pages);
	check_result(seed_lock(fd, addr + 65536 + 12345, 100, &again, &pages),
		     0, "LOCK of an unaligned address");
	check(pages == 1, "LOCK of an unaligned address: %zu pages", pages);
	check_result(seed_state(fd, handle, 1, &one), 0, "STATE");
	check_result(seed_state(fd, again, 1, &two), 0, "STATE, unaligned");
	check(one->pages[0] == two->pages[0],
	      "the unaligned address leads to page %#llx, not %#llx",
	      (unsigned long long)two->pages[0],
	      (unsigned long long)one->pages[0]);
	free(one);
	free(two);
	check_result(seed_unlock(fd, again), 0, "UNLOCK, unaligned");
	check_result(seed_lock(fd, addr + 65535, 2, &again, &pages), 0,
		     "LOCK of two bytes in two pages");
	check(pages == 2, "two bytes in two pages: %zu pages", pages);
	check_result(seed_unlock(fd, again), 0, "UNLOCK, two pages");
	check_result(seed_unlock(fd, handle), 0, "UNLOCK");
	close(fd);
	close(emu);
}

/* The answer cannot be written: the pin must not stay. */
static void mode_pointers(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpudma_lock_t *ro;
	struct gpudma_state_t *s;
	void *handle, *at;
	int r;

	at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(at != MAP_FAILED, "mmap: %s", strerror(errno));
	ro = at;
	ro->addr = addr;
	ro->size = MIB;
	mprotect(at, PAGE, PROT_READ);
	check_result(t_ioctl(fd, IOCTL_GPUMEM_LOCK, ro), EFAULT,
		     "LOCK with a read-only structure");
	emu_check_nothing_pinned("after a LOCK that could not answer");
	mprotect(at, PAGE, PROT_READ | PROT_WRITE);

	r = seed_lock(fd, addr, MIB, &handle, NULL);
	need(!r, "LOCK: %s", strerror(r));
	/* The header lies in the first page, pages[] in the unmapped second. */
	munmap((char *)at + PAGE, PAGE);
	s = (void *)((char *)at + PAGE -
		     offsetof(struct gpudma_state_t, pages));
	s->handle = handle;
	s->page_count = 16;
	check_result(t_ioctl(fd, IOCTL_GPUMEM_STATE, s), EFAULT,
		     "STATE whose pages[] is not mapped");
	/* The most absurd room there is must not be multiplied blindly. */
	s->handle = handle;
	s->page_count = SIZE_MAX;
	check_result(t_ioctl(fd, IOCTL_GPUMEM_STATE, s), EFAULT,
		     "STATE with room SIZE_MAX and no pages[]");
	check_result(seed_unlock(fd, handle), 0, "UNLOCK");
	munmap(at, PAGE);
	close(fd);
	close(emu);
}

static const struct t_mode modes[] = {
	{ "handles", mode_handles },
	{ "room", mode_state_room },
	{ "addresses", mode_addresses },
	{ "pointers", mode_pointers },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
