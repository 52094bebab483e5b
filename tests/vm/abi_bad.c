// SPDX-License-Identifier: MIT
/* The new interface: what it refuses, with which errno, leaving nothing. */
#include "t.h"

/* The calls with a structure that is right, for a pin that exists. */
struct call {
	const char *name;
	unsigned long nr;
	size_t size; /* of the first published structure */
	size_t reserved[3]; /* where what must be zero lies, or 0 */
	int valid; /* what the call gives when nothing is wrong with it */
};

#define RESERVED(type, member) offsetof(struct type, member)

static const struct call calls[] = {
	{ "VERSION",
	  GPUMEM_IOC_VERSION,
	  sizeof(struct gpumem_version),
	  { RESERVED(gpumem_version, __reserved) },
	  0 },
	{ "PIN", GPUMEM_IOC_PIN, sizeof(struct gpumem_pin), { 0 }, 0 },
	{ "UNPIN", GPUMEM_IOC_UNPIN, sizeof(struct gpumem_unpin), { 0 }, 0 },
	{ "INFO", GPUMEM_IOC_INFO, sizeof(struct gpumem_info), { 0 }, 0 },
	{ "PAGES", GPUMEM_IOC_PAGES, sizeof(struct gpumem_pages), { 0 }, 0 },
	/* For a device and a mapping that do not exist. */
	{ "DMA_MAP",
	  GPUMEM_IOC_DMA_MAP,
	  sizeof(struct gpumem_dma_map),
	  { RESERVED(gpumem_dma_map, flags),
	    RESERVED(gpumem_dma_map, __reserved0),
	    RESERVED(gpumem_dma_map, __reserved) },
	  ENODEV },
	{ "DMA_RUNS",
	  GPUMEM_IOC_DMA_RUNS,
	  sizeof(struct gpumem_dma_runs),
	  { 0 },
	  ENOENT },
	{ "DMA_UNMAP",
	  GPUMEM_IOC_DMA_UNMAP,
	  sizeof(struct gpumem_dma_unmap),
	  { 0 },
	  ENOENT },
	{ "EXPORT",
	  GPUMEM_IOC_EXPORT,
	  sizeof(struct gpumem_export),
	  { RESERVED(gpumem_export, __reserved) },
	  0 },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))
/* Whole pages of each size that a kernel can have. */
#define ROOM 65536

/* Fills buf with a valid call; UNPIN gets a pin of its own. */
static void call_fill(const struct call *call, void *buf, int fd, uint64_t addr,
		      uint32_t pin)
{
	static uint64_t page;
	struct gpumem_pin *p = buf;
	struct gpumem_pages *g = buf;
	struct gpumem_dma_map *d = buf;
	struct gpumem_dma_runs *r = buf;
	struct gpumem_export *e = buf;

	memset(buf, 0, ROOM);
	*(uint32_t *)buf = (uint32_t)call->size;
	if (call->nr == GPUMEM_IOC_PIN) {
		p->addr = addr;
		p->length = MIB;
	} else if (call->nr == GPUMEM_IOC_UNPIN) {
		((struct gpumem_unpin *)buf)->pin =
			gm_must_pin(fd, addr, MIB).pin;
	} else if (call->nr == GPUMEM_IOC_INFO) {
		((struct gpumem_info *)buf)->pin = pin;
	} else if (call->nr == GPUMEM_IOC_PAGES) {
		g->pin = pin;
		g->count = 1;
		g->pages = (uintptr_t)&page;
	} else if (call->nr == GPUMEM_IOC_DMA_MAP) {
		d->pin = pin;
		d->bus = 0xfe;
		d->device_fd = -1;
	} else if (call->nr == GPUMEM_IOC_DMA_RUNS) {
		r->dma = 0x7fffffff;
	} else if (call->nr == GPUMEM_IOC_DMA_UNMAP) {
		((struct gpumem_dma_unmap *)buf)->dma = 0x7fffffff;
	} else if (call->nr == GPUMEM_IOC_EXPORT) {
		e->pin = pin;
		e->flags = O_RDWR | O_CLOEXEC;
	}
}

/* Undoes what a call that succeeded has made, or one that failed has left. */
static void call_undo(const struct call *call, void *buf, int fd, int result)
{
	if (call->nr == GPUMEM_IOC_PIN && !result)
		check_result(gm_unpin(fd, ((struct gpumem_pin *)buf)->pin), 0,
			     "UNPIN of what PIN made");
	if (call->nr == GPUMEM_IOC_UNPIN && result)
		check_result(gm_unpin(fd, ((struct gpumem_unpin *)buf)->pin), 0,
			     "the pin after an UNPIN that failed");
	if (call->nr == GPUMEM_IOC_EXPORT && !result)
		close(((struct gpumem_export *)buf)->fd);
}

static void mode_structs(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	uint32_t pin = gm_must_pin(fd, addr, MIB).pin;
	char *buf = calloc(1, ROOM);
	size_t i, k;
	int r;

	need(buf, "out of memory");
	for (i = 0; i < CALLS; i++) {
		const struct call *c = &calls[i];
		const struct {
			const char *what;
			size_t size, dirt;
			int want;
		} cases[] = {
			{ "its own size", c->size, 0, c->valid },
			{ "8 zero bytes more", c->size + 8, 0, c->valid },
			{ "zeros up to 4096", 4096, 0, c->valid },
			{ "a non-zero byte behind", c->size + 8, c->size,
			  E2BIG },
			{ "a non-zero last byte behind", c->size + 64,
			  c->size + 63, E2BIG },
			{ "one byte too few", c->size - 1, 0, EINVAL },
			{ "four bytes too few", c->size - 4, 0, EINVAL },
			{ "size 4", 4, 0, EINVAL },
			{ "size 0", 0, 0, EINVAL },
			{ "a dirty reserved member", c->size, c->reserved[0],
			  EINVAL },
			{ "a dirty second one", c->size, c->reserved[1],
			  EINVAL },
			{ "a dirty third one", c->size, c->reserved[2],
			  EINVAL },
		};

		for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
			if (cases[k].want == EINVAL && !cases[k].dirt &&
			    cases[k].size == c->size)
				continue; /* nothing reserved in this one */
			call_fill(c, buf, fd, addr, pin);
			*(uint32_t *)buf = (uint32_t)cases[k].size;
			if (cases[k].dirt)
				buf[cases[k].dirt] = 1;
			r = t_ioctl(fd, c->nr, buf);
			check_result(r, cases[k].want, "%s with %s", c->name,
				     cases[k].what);
			call_undo(c, buf, fd, r);
		}
		/*
		 * A size beyond what the program has ever mapped: the zeros end
		 * somewhere.
		 */
		call_fill(c, buf, fd, addr, pin);
		*(uint32_t *)buf = UINT32_MAX;
		r = t_ioctl(fd, c->nr, buf);
		check(r == E2BIG || r == EFAULT,
		      "%s of size 2^32-1: expected E2BIG or EFAULT, found %s",
		      c->name, strerror(r));
		call_undo(c, buf, fd, r);
	}
	for (i = 0; i < 32; i++) {
		/* Of those that exist, one goes alone and one wants a file. */
		const int want = i == 0 ? 0 : i == 2 ? EBADF : EINVAL;

		call_fill(&calls[1], buf, fd, addr, pin);
		((struct gpumem_pin *)buf)->flags = 1u << i;
		if (i == 2)
			((struct gpumem_pin *)buf)->event_fd = fd;
		r = t_ioctl(fd, GPUMEM_IOC_PIN, buf);
		check_result(r, want, "PIN with flag %zu", i);
		call_undo(&calls[1], buf, fd, r);
	}
	call_fill(&calls[1], buf, fd, addr, pin);
	((struct gpumem_pin *)buf)->event_fd = fd;
	check_result(t_ioctl(fd, GPUMEM_IOC_PIN, buf), EINVAL,
		     "PIN with an event_fd and no flag for it");
	check_result(gm_unpin(fd, pin), 0, "UNPIN");
	emu_check_nothing_pinned("after malformed calls");
	free(buf);
	close(fd);
	close(emu);
}

/* Every call with its structure at a place that cannot be read or written. */
static void mode_pointers(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	uint32_t pin = gm_must_pin(fd, addr, MIB).pin;
	char *at = mmap(NULL, 3 * ROOM, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *bad[] = { NULL,
			(void *)1,
			(void *)0xffff888000000000,
			(void *)0xffffffff81000000,
			(void *)-4096l,
			(void *)0x7fffffffffff,
			NULL };
	uint64_t before, n;
	size_t i, k;
	int r;

	need(at != MAP_FAILED, "mmap: %s", strerror(errno));
	munmap(at + 2 * ROOM, ROOM);
	bad[6] = at + 2 * ROOM;
	before = emu_counters().pins;
	for (i = 0; i < CALLS; i++) {
		const struct call *c = &calls[i];

		for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
			check_result(t_ioctl(fd, c->nr, bad[k]), EFAULT,
				     "%s with its structure at %p", c->name,
				     bad[k]);
		/* The structure's tail is not mapped. */
		call_fill(c, at, fd, addr, pin);
		memcpy(at + 2 * ROOM - 4, at, 4);
		r = t_ioctl(fd, c->nr, at + 2 * ROOM - 4);
		check_result(r, EFAULT, "%s with its structure cut", c->name);
		call_undo(c, at, fd, r);
		/*
		 * It can be read, not written. UNPIN writes nothing, nor does a
		 * call that fails.
		 */
		call_fill(c, at, fd, addr, pin);
		mprotect(at, ROOM, PROT_READ);
		r = t_ioctl(fd, c->nr, at);
		if (c->nr != GPUMEM_IOC_UNPIN)
			check_result(r, c->valid ? c->valid : EFAULT,
				     "%s with a read-only structure", c->name);
		mprotect(at, ROOM, PROT_READ | PROT_WRITE);
		call_undo(c, at, fd, r);
		check(emu_counters().pins == before,
		      "%s: %llu pins, %llu before", c->name,
		      (unsigned long long)emu_counters().pins,
		      (unsigned long long)before);
	}
	for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		n = 16;
		check_result(gm_pages(fd, pin, 0, bad[k], &n), EFAULT,
			     "PAGES to %p", bad[k]);
	}
	n = 16;
	check_result(gm_pages(fd, pin, 0, (void *)(at + 2 * ROOM - 64), &n),
		     EFAULT, "PAGES to memory that ends half-way");
	check_result(gm_unpin(fd, pin), 0, "UNPIN");
	emu_check_nothing_pinned("after bad pointers");
	munmap(at, 2 * ROOM);
	close(fd);
	close(emu);
}

static void mode_ids(void)
{
	static const uint32_t garbage[] = { 0,	    2,		7,
					    1000,   0x7fffffff, 0x80000000,
					    0xffff, UINT32_MAX };
	static const unsigned int unknown[] = { 0,    1,    9,	  13,
						0x3f, 0x7f, 0x80, 0xff };
	int emu = emu_open(), fd = gm_open(), other = gm_open();
	uint64_t addr = emu_alloc(emu, MIB), page, n;
	uint32_t pin = gm_must_pin(fd, addr, MIB).pin;
	struct gpumem_info info;
	size_t i;

	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		if (garbage[i] == pin)
			continue;
		n = 1;
		check_result(gm_info(fd, garbage[i], &info), ENOENT,
			     "INFO of pin %#x", garbage[i]);
		check_result(gm_pages(fd, garbage[i], 0, &page, &n), ENOENT,
			     "PAGES of pin %#x", garbage[i]);
		check_result(gm_unpin(fd, garbage[i]), ENOENT,
			     "UNPIN of pin %#x", garbage[i]);
	}
	n = 1;
	check_result(gm_info(other, pin, &info), ENOENT,
		     "INFO of another file's pin");
	check_result(gm_pages(other, pin, 0, &page, &n), ENOENT,
		     "PAGES of another file's pin");
	check_result(gm_unpin(other, pin), ENOENT,
		     "UNPIN of another file's pin");

	n = 1;
	check_result(gm_pages(fd, pin, 16, &page, &n), EINVAL,
		     "PAGES from one past the last page");
	n = 1;
	check_result(gm_pages(fd, pin, UINT64_MAX, &page, &n), EINVAL,
		     "PAGES from page 2^64-1");
	n = 0;
	check_result(gm_pages(fd, pin, 0, NULL, &n), 0, "PAGES of no page");
	check(n == 0, "PAGES of no page gave %llu", (unsigned long long)n);

	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		check_result(t_ioctl(fd, _IO('g', unknown[i]), &info), ENOTTY,
			     "command 'g' %#x", unknown[i]);
	check_result(t_ioctl(fd, _IO('h', 0x41), &info), ENOTTY,
		     "PIN of another type letter");
	check_result(t_ioctl(fd, _IOWR('g', 0x41, struct gpumem_pin), &info),
		     ENOTTY, "PIN with a size in its number");
	check_result(t_ioctl(fd, 0x5401 /* TCGETS */, &info), ENOTTY,
		     "a terminal's command");

	check_result(gm_unpin(fd, pin), 0, "UNPIN");
	n = 1;
	check_result(gm_unpin(fd, pin), ENOENT, "the second UNPIN");
	check_result(gm_info(fd, pin, &info), ENOENT, "INFO after UNPIN");
	check_result(gm_pages(fd, pin, 0, &page, &n), ENOENT,
		     "PAGES after UNPIN");
	check(read(fd, &page, 8) < 0 && write(fd, &page, 8) < 0,
	      "read() or write() of the node succeeded");
	close(fd);
	close(other);
	close(emu);
}

/* A stale id, handle or offset must not lead to what was pinned since. */
static void mode_stale(void)
{
	int emu = emu_open(), fd = gm_open(), i;
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin first = gm_must_pin(fd, addr, MIB), next;
	struct gpumem_info info;
	void *stale, *handle;

	check_result(gm_unpin(fd, first.pin), 0, "UNPIN");
	for (i = 0; i < 1000; i++) {
		next = gm_must_pin(fd, addr, MIB);
		check(next.pin != first.pin, "id %u again after %d pins",
		      next.pin, i);
		check(next.mmap_offset != first.mmap_offset,
		      "offset %#llx again after %d pins",
		      (unsigned long long)next.mmap_offset, i);
		check_result(gm_info(fd, first.pin, &info), ENOENT,
			     "INFO of a stale id");
		check_result(t_map(fd, first.mmap_offset, PAGE, NULL), EPERM,
			     "mmap at a stale offset");
		check_result(gm_unpin(fd, first.pin), ENOENT,
			     "UNPIN of a stale id");
		check_result(gm_unpin(fd, next.pin), 0, "UNPIN");
	}
	need(!seed_lock(fd, addr, MIB, &stale, NULL) &&
		     !seed_unlock(fd, stale) &&
		     !seed_lock(fd, addr, MIB, &handle, NULL),
	     "LOCK and UNLOCK");
	check(handle != stale, "handle %p again", handle);
	check_result(seed_unlock(fd, stale), ENOENT,
		     "UNLOCK of a stale handle");
	check_result(seed_unlock(fd, handle), 0, "UNLOCK");
	close(fd);
	close(emu);
}

static void mode_ranges(void)
{
	int emu = emu_open(), fd = gm_open(), stranger = emu_open();
	uint64_t addr = emu_alloc(emu, 2 * MIB), freed = emu_alloc(emu, MIB);
	uint64_t host = 0;
	const struct {
		const char *what;
		uint64_t addr, length;
		int want;
	} cases[] = {
		{ "0 bytes", addr, 0, EINVAL },
		{ "address 0", 0, 1, EINVAL },
		{ "no GPU memory", NOWHERE, 4096, EINVAL },
		{ "host memory", (uintptr_t)&host, 8, EINVAL },
		{ "a kernel address", 0xffff888000000000, 4096, EINVAL },
		{ "one byte past the end", addr, 2 * MIB + 1, EINVAL },
		{ "the last byte and one more", addr + 2 * MIB - 1, 2, EINVAL },
		{ "the first byte past the end", addr + 2 * MIB, 1, EINVAL },
		{ "one byte before", addr - 1, 2, EINVAL },
		{ "2^42 bytes", addr, 1ull << 42, EINVAL },
		{ "2^42 + 1 bytes", addr, (1ull << 42) + 1, EOVERFLOW },
		{ "2^63 bytes", addr, 1ull << 63, EOVERFLOW },
		{ "a sum of 2^64", addr, -addr, EOVERFLOW },
		{ "a sum past 2^64", addr, UINT64_MAX, EOVERFLOW },
		{ "the last byte of all", UINT64_MAX, 1, EOVERFLOW },
		{ "freed memory", freed, MIB, EINVAL },
		{ "the second page of freed memory", freed + GPU_PAGE, 1,
		  EINVAL },
	};
	struct gpumem_pin pin;
	size_t i;

	check_result(emu_free(emu, freed), 0, "freeing");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_result(gm_pin(fd, cases[i].addr, cases[i].length, &pin),
			     cases[i].want, "PIN of %s", cases[i].what);
		check(!pin.pin && !pin.mmap_offset && !pin.page_count,
		      "PIN of %s failed and gave an answer", cases[i].what);
	}
	emu_check_nothing_pinned("after bad ranges");
	check_result(gm_pin(fd, addr + 2 * MIB - 1, 1, &pin), 0,
		     "PIN of the last byte");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	close(stranger);
	close(fd);
	close(emu);
}

static void mode_mmap(void)
{
	int emu = emu_open(), fd = gm_open(), other = gm_open();
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	struct gpumem_pin theirs = gm_must_pin(other, emu_alloc(emu, MIB), MIB);
	const uint64_t at = pin.mmap_offset;
	const struct {
		const char *what;
		uint64_t offset, length;
		int prot, flags, want;
	} cases[] = {
		{ "MAP_PRIVATE", at, MIB, 3, MAP_PRIVATE, EINVAL },
		{ "MAP_PRIVATE, read only", at, MIB, 1, MAP_PRIVATE, EINVAL },
		{ "PROT_EXEC", at, MIB, 7, MAP_SHARED, EPERM },
		{ "length 0", at, 0, 3, MAP_SHARED, EINVAL },
		{ "an offset of 1 more", at + 1, PAGE, 3, MAP_SHARED, EINVAL },
		{ "an offset of 2048 more", at + 2048, PAGE, 3, MAP_SHARED,
		  EINVAL },
		{ "a page more", at, MIB + PAGE, 3, MAP_SHARED, EPERM },
		{ "a byte more", at, MIB + 1, 3, MAP_SHARED, EPERM },
		{ "the last page and the next", at + MIB - PAGE, 2 * PAGE, 3,
		  MAP_SHARED, EPERM },
		{ "the page behind", at + MIB, PAGE, 3, MAP_SHARED, EPERM },
		{ "the page before", at - PAGE, PAGE, 3, MAP_SHARED, EPERM },
		{ "a page before and the first", at - PAGE, 2 * PAGE, 3,
		  MAP_SHARED, EPERM },
		{ "2^41 bytes", at, 1ull << 41, 3, MAP_SHARED, EPERM },
		{ "another file's offset", theirs.mmap_offset, PAGE, 3,
		  MAP_SHARED, EPERM },
		{ "offset 0", 0, PAGE, 3, MAP_SHARED, EPERM },
		{ "an offset that nobody has", at + (1ull << 50), PAGE, 3,
		  MAP_SHARED, EPERM },
		{ "the largest offset", ~(2 * PAGE - 1), PAGE, 3, MAP_SHARED,
		  EPERM },
		{ "read only", at, MIB, 1, MAP_SHARED, 0 },
		{ "write only", at, MIB, 2, MAP_SHARED, 0 },
		{ "no access", at, MIB, 0, MAP_SHARED, 0 },
		{ "all of it", at, MIB, 3, MAP_SHARED, 0 },
		{ "part of a page", at, 100, 3, MAP_SHARED, 0 },
	};
	size_t i;
	void *p;
	int r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_result(t_mmap(fd, cases[i].offset, cases[i].length,
				    cases[i].prot, cases[i].flags, NULL),
			     cases[i].want, "mmap: %s", cases[i].what);
	r = t_mmap(fd, at, MIB, PROT_READ, MAP_SHARED, &p);
	need(!r, "mmap: %s", strerror(r));
	check(t_store(p, 1) == SIGSEGV, "a store to a read-only mapping");
	check(mprotect(p, MIB, PROT_READ | PROT_EXEC) && errno == EACCES,
	      "mprotect to PROT_EXEC: expected EACCES, found %s",
	      strerror(errno));
	check(mremap(p, MIB, MIB + PAGE, MREMAP_MAYMOVE) == MAP_FAILED,
	      "mremap to a larger size succeeded");
	check(!mprotect(p, MIB, PROT_READ | PROT_WRITE) && !t_store(p, 1),
	      "a store after mprotect to writable");
	munmap(p, MIB);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check_result(t_map(fd, at, PAGE, NULL), EPERM, "mmap after UNPIN");
	check_result(gm_unpin(other, theirs.pin), 0, "UNPIN");

	close(fd);
	fd = open(GPUMEM_DEVICE_NODE, O_RDONLY | O_CLOEXEC);
	need(fd >= 0, "opening the node read-only: %s", strerror(errno));
	pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	check_result(t_map(fd, pin.mmap_offset, PAGE, NULL), EACCES,
		     "a writable mmap of a file opened read-only");
	check_result(t_mmap(fd, pin.mmap_offset, PAGE, PROT_READ, MAP_SHARED,
			    NULL),
		     0, "a read-only mmap of a file opened read-only");
	close(fd);
	close(other);
	close(emu);
}

#ifdef __x86_64__
/*
 * As a 32-bit program makes it; pointers lie below 4 GiB. Returns 0 or the errno,
 * in errno; a kernel without such calls ends the program by SIGSEGV.
 */
static int call_32bit(int nr, uintptr_t a, uintptr_t b, uintptr_t c)
{
	int ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return ret < 0 ? -ret : 0;
}

#define OPEN_32BIT 5
#define GETPID_32BIT 20
#define IOCTL_32BIT 54

static void mode_compat(void)
{
	struct gpumem_version *version;
	char *low;
	int fd = gm_open();

	low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	need(low != MAP_FAILED, "mmap: %s", strerror(errno));
	check(!call_32bit(GETPID_32BIT, 0, 0, 0), "no 32-bit calls here");
	strcpy(low, GPUMEM_DEVICE_NODE);
	check_result(call_32bit(OPEN_32BIT, (uintptr_t)low, O_RDWR, 0),
		     EOPNOTSUPP, "a 32-bit open");
	version = (struct gpumem_version *)low;
	*version = (struct gpumem_version){ .size = sizeof(*version) };
	check_result(call_32bit(IOCTL_32BIT, (uintptr_t)fd, GPUMEM_IOC_VERSION,
				(uintptr_t)version),
		     EOPNOTSUPP, "a 32-bit ioctl");
	check(!version->release[0], "a version was told");
	close(fd);
}
#endif

static const struct t_mode modes[] = {
	{ "structs", mode_structs }, { "pointers", mode_pointers },
	{ "ids", mode_ids },	     { "stale", mode_stale },
	{ "ranges", mode_ranges },   { "mmap", mode_mmap },
#ifdef __x86_64__
	{ "compat", mode_compat },
#endif
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
