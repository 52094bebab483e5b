// SPDX-License-Identifier: MIT
/* mmap() by physical address: only what this file has locked now. */
#include "t.h"

struct locked {
	int fd;
	void *handle;
	struct gpudma_state_t *state;
};

static struct locked locked_make(int fd, uint64_t addr, uint64_t size)
{
	struct locked l = { .fd = fd };
	size_t pages;
	int r = seed_lock(fd, addr, size, &l.handle, &pages);

	need(!r, "LOCK: %s", strerror(r));
	r = seed_state(fd, l.handle, pages, &l.state);
	need(!r, "STATE: %s", strerror(r));
	return l;
}

static void locked_drop(struct locked *l)
{
	check_result(seed_unlock(l->fd, l->handle), 0, "UNLOCK");
	free(l->state);
}

struct foreign {
	uint64_t page;
	int go, done;
};

/* Another process holds a page of its own while its parent looks at it. */
static void foreign_run(void *arg)
{
	struct foreign *f = arg;
	int emu = emu_open(), fd = gm_open();
	struct locked l = locked_make(fd, emu_alloc(emu, MIB), MIB);
	char byte;

	if (write(f->go, &l.state->pages[0], 8) != 8 ||
	    read(f->done, &byte, 1) != 1)
		_exit(1);
	locked_drop(&l);
}

static void mode_outside(void)
{
	const uint64_t ram[] = { 0, PAGE, 0x100000, 0x2000000, 0x40000000 };
	int emu = emu_open(), fd = gm_open(), second = gm_open();
	struct locked mine = locked_make(fd, emu_alloc(emu, MIB), MIB);
	struct locked other = locked_make(second, emu_alloc(emu, MIB), MIB);
	uint64_t page = mine.state->pages[0], theirs;
	int go[2], done[2];
	struct foreign f;
	pid_t pid;
	size_t i;

	need(!pipe(go) && !pipe(done), "pipe: %s", strerror(errno));
	f.go = go[1];
	f.done = done[0];
	pid = t_fork(foreign_run, &f);
	close(go[1]);
	need(read(go[0], &theirs, 8) == 8, "the other process told no page");

	check_result(t_map(fd, theirs, PAGE, NULL), EPERM,
		     "mmap of another process's page");
	check_result(t_map(fd, other.state->pages[0], PAGE, NULL), EPERM,
		     "mmap of another file's page");
	for (i = 0; i < sizeof(ram) / sizeof(ram[0]); i++)
		check_result(t_map(fd, ram[i], PAGE, NULL), EPERM,
			     "mmap of physical address %#llx",
			     (unsigned long long)ram[i]);
	/* The last offset that mmap() itself lets through. */
	check_result(t_map(fd, INT64_MAX & ~(PAGE - 1) & ~PAGE, PAGE, NULL),
		     EPERM, "mmap at the end of all offsets");
	check_result(t_map(fd, page + 1, PAGE, NULL), EINVAL,
		     "mmap at an unaligned offset");
	check_result(t_map(fd, page, 0, NULL), EINVAL, "mmap of 0 bytes");
	check_result(t_map(fd, page + GPU_PAGE - PAGE, 2 * PAGE, NULL), EPERM,
		     "mmap from the last 4 KiB of a page to past it");
	check_result(t_mmap(fd, page, PAGE, PROT_READ, MAP_PRIVATE, NULL),
		     EINVAL, "mmap MAP_PRIVATE");
	check_result(t_mmap(fd, page, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED,
			    NULL),
		     EPERM, "mmap PROT_EXEC");
	for (i = 0; i < 16; i++)
		check_result(t_map(fd, mine.state->pages[i], GPU_PAGE, NULL), 0,
			     "mmap of page %zu of one's own", i);
	check_result(t_map(fd, page + GPU_PAGE - PAGE, PAGE, NULL), 0,
		     "mmap of the last of the kernel's pages inside a page");

	need(write(done[1], "", 1) == 1, "write: %s", strerror(errno));
	t_join("the other process", pid);
	locked_drop(&mine);
	check_result(t_map(fd, page, PAGE, NULL), EPERM, "mmap after UNLOCK");
	locked_drop(&other);
	close(fd);
	close(second);
	close(emu);
}

/* After UNLOCK the mapping stays but leads nowhere. */
static void mode_after(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct locked l = locked_make(fd, addr, MIB);
	uint32_t value = 0;
	void *at;
	int r;

	r = t_map(fd, l.state->pages[3], GPU_PAGE, &at);
	need(!r, "mmap: %s", strerror(r));
	counter_fill(at, GPU_PAGE / 4, 0x0A000000);
	check(!t_load((char *)at + 4, &value) && value == 0x0A000001,
	      "word 1 is %#x", value);
	check_result(emu_read(emu, addr + 3 * GPU_PAGE + 4, &value, 4), 0,
		     "reading by CUDA");
	check(value == 0x0A000001, "CUDA reads %#x", value);
	locked_drop(&l);
	check(t_load(at, NULL) == SIGBUS, "a load after UNLOCK: no SIGBUS");
	check(t_store(at, 0) == SIGBUS, "a store after UNLOCK: no SIGBUS");
	munmap(at, GPU_PAGE);

	/* The same when CUDA frees the memory, and STATE says so. */
	l = locked_make(fd, addr, MIB);
	r = t_map(fd, l.state->pages[0], GPU_PAGE, &at);
	need(!r, "mmap: %s", strerror(r));
	check(!t_store(at, 1), "a store before the memory is freed");
	check_result(emu_free(emu, addr), 0, "freeing");
	check(t_load(at, NULL) == SIGBUS, "a load after freeing: no SIGBUS");
	check_result(seed_state(fd, l.handle, 16, NULL), ENODEV,
		     "STATE after freeing");
	check_result(t_map(fd, l.state->pages[0], PAGE, NULL), EPERM,
		     "mmap after freeing");
	locked_drop(&l);
	munmap(at, GPU_PAGE);
	close(fd);
	close(emu);
}

#define PINS 24

/*
 * Pages of two pins that happen to be neighbours in physical memory cannot be
 * mapped by one call; neither can a locked page and one that is not.
 */
static void mode_neighbours(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t phys[PINS * 32];
	bool across = false, past = false;
	struct locked pins[PINS];
	size_t i, k, n = PINS * 32;

	for (i = 0; i < PINS; i++) {
		pins[i] = locked_make(fd, emu_alloc(emu, 2 * MIB), 2 * MIB);
		memcpy(&phys[i * 32], pins[i].state->pages, 32 * 8);
	}
	for (i = 0; i < n; i++) {
		for (k = 0; k < n; k++)
			if (phys[k] == phys[i] + GPU_PAGE)
				break;
		if (k == n && !past) {
			past = true;
			check_result(t_map(fd, phys[i], 2 * GPU_PAGE, NULL),
				     EPERM, "mmap one page past a locked one");
		} else if (k < n && k / 32 != i / 32 && !across) {
			across = true;
			check_result(t_map(fd, phys[i], 2 * GPU_PAGE, NULL),
				     EPERM, "mmap of neighbours of two pins");
		}
	}
	check(across && past, "%zu pages had no neighbours to try", n);
	for (i = 0; i < PINS; i++)
		locked_drop(&pins[i]);
	close(fd);
	close(emu);
}

static const struct t_mode modes[] = {
	{ "outside", mode_outside },
	{ "after", mode_after },
	{ "neighbours", mode_neighbours },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
