// SPDX-License-Identifier: MIT
/* CUDA frees memory that is pinned and mapped. */
#include "t.h"

struct held {
	int emu, fd;
	uint64_t addr, callbacks;
	struct gpumem_pin pin;
	char *at;
};

static struct held held_make(void)
{
	struct held h = { .emu = emu_open(), .fd = gm_open() };
	void *at;
	int r;

	h.addr = emu_alloc(h.emu, MIB);
	h.pin = gm_must_pin(h.fd, h.addr, MIB);
	r = gm_map(h.fd, &h.pin, &at);
	need(!r, "mmap: %s", strerror(r));
	h.at = at;
	counter_fill(at, MIB / 4, 0x0A000000);
	h.callbacks = emu_counters().callbacks;
	return h;
}

static void held_free(struct held *h)
{
	check_result(emu_free(h->emu, h->addr), 0, "freeing pinned memory");
	check(emu_counters().callbacks == h->callbacks + 1,
	      "one pin was revoked by %llu callbacks",
	      (unsigned long long)(emu_counters().callbacks - h->callbacks));
}

static void held_drop(struct held *h)
{
	check_result(gm_unpin(h->fd, h->pin.pin), 0, "UNPIN after revocation");
	check_result(gm_unpin(h->fd, h->pin.pin), ENOENT, "the second UNPIN");
	emu_check_nothing_pinned("after UNPIN");
	close(h->fd);
	close(h->emu);
}

static void check_dead(const void *at, size_t bytes, const char *what)
{
	const size_t step = PAGE < GPU_PAGE ? GPU_PAGE - PAGE : GPU_PAGE;
	size_t i;

	for (i = 0; i < bytes; i += step) {
		const char *p = (const char *)at + i;

		check(t_load(p, NULL) == SIGBUS, "%s: a load at %zu: no SIGBUS",
		      what, i);
		check(t_store((void *)(uintptr_t)p, 1) == SIGBUS,
		      "%s: a store at %zu: no SIGBUS", what, i);
	}
}

static void mode_calls(void)
{
	struct held h = held_make();
	struct gpumem_info info;
	uint64_t page, n = 1;

	check(emu_counters().pins == 1 && emu_counters().pinned_pages == 16,
	      "the GPU counts %llu pins",
	      (unsigned long long)emu_counters().pins);
	held_free(&h);
	check(!emu_counters().pins, "the GPU counts %llu pins after freeing",
	      (unsigned long long)emu_counters().pins);
	check_dead(h.at, MIB, "after freeing");
	check_result(gm_info(h.fd, h.pin.pin, &info), 0, "INFO");
	check(info.flags == GPUMEM_PIN_REVOKED, "INFO: flags %#x", info.flags);
	check(info.addr == h.addr && info.length == MIB &&
		      info.page_count == 16 && info.mapped == 1,
	      "INFO of a revoked pin: address %#llx, %u mappings",
	      (unsigned long long)info.addr, info.mapped);
	check_result(gm_pages(h.fd, h.pin.pin, 0, &page, &n), ENODEV, "PAGES");
	check_result(t_map(h.fd, h.pin.mmap_offset, PAGE, NULL), ENODEV,
		     "mmap");
	munmap(h.at, MIB);
	held_drop(&h);
}

/* Many pins on one block, of two files; all die with it. */
static void mode_many(void)
{
	enum { MANY = 40 };
	int emu = emu_open(), fd = gm_open(), other = gm_open();
	uint64_t addr = emu_alloc(emu, 2 * MIB), spare = emu_alloc(emu, MIB);
	struct gpumem_pin pin[MANY], alive = gm_must_pin(fd, spare, MIB);
	uint64_t before = emu_counters().callbacks;
	struct gpumem_info info;
	void *at[MANY], *live;
	int i, r;

	r = gm_map(fd, &alive, &live);
	need(!r, "mmap: %s", strerror(r));
	for (i = 0; i < MANY; i++) {
		int f = i % 2 ? other : fd;

		pin[i] = gm_must_pin(f, addr + (uint64_t)i * 40000, 100000);
		r = gm_map(f, &pin[i], &at[i]);
		need(!r, "mmap: %s", strerror(r));
		/* Half of them have no page inserted yet. */
		if (i % 4 < 2)
			check(!t_store(at[i], 1), "a store to pin %d", i);
	}
	check_result(emu_free(emu, addr), 0, "freeing");
	check(emu_counters().callbacks == before + MANY,
	      "%d pins were revoked by %llu callbacks", MANY,
	      (unsigned long long)(emu_counters().callbacks - before));
	for (i = 0; i < MANY; i++) {
		int f = i % 2 ? other : fd;

		check_dead(at[i], gm_bytes(&pin[i]), "one of many");
		check_result(gm_info(f, pin[i].pin, &info), 0, "INFO");
		check(info.flags == GPUMEM_PIN_REVOKED, "pin %d: flags %#x", i,
		      info.flags);
		if (i % 3)
			check_result(gm_unpin(f, pin[i].pin), 0, "UNPIN");
		munmap(at[i], gm_bytes(&pin[i]));
	}
	check(!t_store(live, 1), "a pin on another block was hurt");
	check_result(gm_info(fd, alive.pin, &info), 0, "INFO");
	check(!info.flags, "a pin on another block has flags %#x", info.flags);
	munmap(live, MIB);
	close(fd);
	close(other);
	emu_check_nothing_pinned("after close");
	close(emu);
}

/* The CUDA side goes away as a whole. */
static void mode_close(void)
{
	struct held h = held_make();
	struct gpumem_info info;

	close(h.emu);
	check(emu_counters().callbacks == h.callbacks + 1,
	      "closing CUDA's side made %llu callbacks",
	      (unsigned long long)(emu_counters().callbacks - h.callbacks));
	check_dead(h.at, MIB, "after closing");
	check_result(gm_info(h.fd, h.pin.pin, &info), 0, "INFO");
	check(info.flags == GPUMEM_PIN_REVOKED, "INFO: flags %#x", info.flags);
	munmap(h.at, MIB);
	h.emu = emu_open();
	held_drop(&h);
}

/* A mapping with a hole in it. */
static void mode_munmap_part(void)
{
	struct held h = held_make();
	struct gpumem_info info;
	uint32_t value = 0;

	munmap(h.at + 4 * GPU_PAGE + PAGE, 3 * GPU_PAGE);
	check_result(gm_info(h.fd, h.pin.pin, &info), 0, "INFO");
	check(info.mapped == 2, "a mapping cut in two counts %u", info.mapped);
	check(!t_load(h.at + 8 * GPU_PAGE, &value) &&
		      value == 0x0A000000 + 8 * GPU_PAGE / 4,
	      "behind the hole: %#x", value);
	held_free(&h);
	check_dead(h.at, 4 * GPU_PAGE + PAGE, "before the hole");
	check_dead(h.at + 7 * GPU_PAGE + PAGE, 8 * GPU_PAGE, "behind the hole");
	check(t_load(h.at + 5 * GPU_PAGE, NULL) == SIGSEGV, "in the hole");
	munmap(h.at, MIB);
	check_result(gm_info(h.fd, h.pin.pin, &info), 0, "INFO");
	check(!info.mapped, "no mapping counts %u", info.mapped);
	held_drop(&h);
}

/* A mapping that was moved: the pages must go there too, and die there. */
static void mode_mremap(void)
{
	struct held h = held_make();
	struct gpumem_info info;
	uint32_t value = 0;
	char *to =
		mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at;

	need(to != MAP_FAILED, "mmap: %s", strerror(errno));
	at = mremap(h.at, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	need(at != MAP_FAILED, "mremap: %s", strerror(errno));
	check_result(gm_info(h.fd, h.pin.pin, &info), 0, "INFO");
	check(info.mapped == 1, "a moved mapping counts %u", info.mapped);
	check(!t_load(at + 9 * GPU_PAGE, &value) &&
		      value == 0x0A000000 + 9 * GPU_PAGE / 4,
	      "in the moved mapping: %#x", value);
	check(t_load(h.at, NULL) == SIGSEGV, "the old place");
	/* The second half moves once more; the first shrinks. */
	to = mremap(at + MIB / 2, MIB / 2, MIB / 2,
		    MREMAP_MAYMOVE | MREMAP_FIXED, h.at);
	need(to != MAP_FAILED, "mremap: %s", strerror(errno));
	check(mremap(at, MIB / 2, MIB / 4, 0) == at,
	      "mremap to a smaller size");
	check(!t_load(to + GPU_PAGE, &value) &&
		      value == 0x0A000000 + 9 * GPU_PAGE / 4,
	      "in the half moved twice: %#x", value);
	held_free(&h);
	check_dead(at, MIB / 4, "the moved mapping");
	check_dead(to, MIB / 2, "the half moved twice");
	munmap(at, MIB / 4);
	munmap(to, MIB / 2);
	held_drop(&h);
}

static void mode_mprotect(void)
{
	struct held h = held_make();
	char *middle = h.at + 4 * GPU_PAGE;
	uint32_t value = 0;

	check(!mprotect(middle, GPU_PAGE, PROT_NONE), "mprotect: %s",
	      strerror(errno));
	check(t_load(middle, NULL) == SIGSEGV, "a load of PROT_NONE");
	check(!mprotect(middle, GPU_PAGE, PROT_READ), "mprotect: %s",
	      strerror(errno));
	check(!t_load(middle, &value) && value == 0x0A000000 + 4 * GPU_PAGE / 4,
	      "after mprotect: %#x", value);
	check(t_store(middle, 1) == SIGSEGV, "a store to PROT_READ");
	held_free(&h);
	check(t_load(middle, NULL) == SIGBUS, "the read-only part: no SIGBUS");
	check(!mprotect(middle, GPU_PAGE, PROT_READ | PROT_WRITE),
	      "mprotect after revocation: %s", strerror(errno));
	check_dead(h.at, MIB, "after mprotect");
	munmap(h.at, MIB);
	held_drop(&h);
}

static void mode_madvise(void)
{
	struct held h = held_make();
	uint32_t value = 0;
	int r = madvise(h.at, MIB, MADV_DONTNEED) ? errno : 0;

	/* The kernel may refuse it for a mapping of a device. */
	check(!r || r == EINVAL, "MADV_DONTNEED: %s", strerror(r));
	check(!t_load(h.at + GPU_PAGE, &value) &&
		      value == 0x0A000000 + GPU_PAGE / 4,
	      "after MADV_DONTNEED: %#x", value);
	/* A child must not get the mapping by asking for it either. */
	check(madvise(h.at, MIB, MADV_DOFORK) && errno == EINVAL,
	      "MADV_DOFORK: expected EINVAL, found %s", strerror(errno));
	madvise(h.at, MIB, MADV_DONTNEED);
	held_free(&h);
	check_dead(h.at, MIB, "after MADV_DONTNEED");
	munmap(h.at, MIB);
	held_drop(&h);
}

/* Unmapped first, then freed; and unpinned while mapped, then freed. */
static void mode_order(void)
{
	struct held h = held_make();

	munmap(h.at, MIB);
	held_free(&h);
	held_drop(&h);

	h = held_make();
	check_result(gm_unpin(h.fd, h.pin.pin), 0, "UNPIN while mapped");
	emu_check_nothing_pinned("after UNPIN while mapped");
	check_dead(h.at, MIB, "after UNPIN");
	check_result(emu_free(h.emu, h.addr), 0, "freeing");
	check(emu_counters().callbacks == h.callbacks,
	      "a callback came for a pin that was released");
	check_dead(h.at, MIB, "after UNPIN and freeing");
	munmap(h.at, MIB);
	close(h.fd);
	close(h.emu);

	/* The file is closed; the mapping keeps it, and the pin, alive. */
	h = held_make();
	close(h.fd);
	check(!t_store(h.at, 1), "a store after close of the file");
	held_free(&h);
	check_dead(h.at, MIB, "after close and freeing");
	munmap(h.at, MIB);
	emu_check_nothing_pinned("after close, freeing and munmap");
	close(h.emu);

	h = held_make();
	close(h.fd);
	munmap(h.at, MIB);
	emu_check_nothing_pinned("after close and munmap");
	close(h.emu);
}

/* The memory is someone else's a moment later: nobody sees it through us. */
static void mode_reuse(void)
{
	int i;

	for (i = 0; i < 20; i++) {
		struct held h = held_make();
		uint32_t *host = malloc(2 * MIB), got = 0;
		uint64_t next;
		int other = emu_open();

		need(host, "out of memory");
		held_free(&h);
		counter_fill(host, 2 * MIB / 4, 0x77000000);
		next = emu_alloc(other, 2 * MIB);
		emu_write(other, next, host, 2 * MIB);
		check(t_store(h.at, 0xbad) == SIGBUS, "a store: no SIGBUS");
		check(t_load(h.at + 5 * GPU_PAGE, &got) == SIGBUS,
		      "a load gave %#x: no SIGBUS", got);
		emu_read(other, next, host, 2 * MIB);
		counter_check(host, 2 * MIB / 4, 0x77000000, "the next owner");
		free(host);
		close(other);
		munmap(h.at, MIB);
		close(h.fd);
		close(h.emu);
	}
}

static const struct t_mode modes[] = {
	{ "calls", mode_calls },     { "many", mode_many },
	{ "close", mode_close },     { "munmap-part", mode_munmap_part },
	{ "mremap", mode_mremap },   { "mprotect", mode_mprotect },
	{ "madvise", mode_madvise }, { "order", mode_order },
	{ "reuse", mode_reuse },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
