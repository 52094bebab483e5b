// SPDX-License-Identifier: MIT
/* Operations on mappings. */
#include "fuzz.h"

/* A range of whole pages of a mapping, most often all of it. */
static void fuzz_part(struct fuzz_ctx *c, uint64_t bytes, uint64_t *at,
		      uint64_t *length)
{
	uint32_t pages = (uint32_t)(bytes / PAGE);

	*at = 0;
	*length = bytes;
	if (pages < 2 || fuzz_chance(c, 50))
		return;
	*at = PAGE * fuzz_below(c, pages);
	*length = PAGE * (1 + fuzz_below(c, pages - (uint32_t)(*at / PAGE)));
}

static void fuzz_map_at(struct fuzz_ctx *c, enum fuzz_op op,
			const struct fuzz_thing *what, uint64_t first,
			uint64_t bytes)
{
	int prot = fuzz_chance(c, 80) ? PROT_READ | PROT_WRITE
				      : (int)fuzz_below(c, 8);
	int flags = fuzz_chance(c, 95) ? MAP_SHARED : MAP_PRIVATE;
	struct fuzz_thing map = { .foreign = what->foreign };
	bool bent = false;
	uint32_t before = fuzz_proc_before();
	uint64_t at;
	void *p;
	int r;

	fuzz_part(c, bytes, &at, &map.bytes);
	at += first;
	if (fuzz_chance(c, 5)) {
		bent = true;
		if (fuzz_chance(c, 50))
			at += PAGE * fuzz_below(c, 1024);
		else
			at = fuzz_interesting(c) & ~(PAGE - 1);
		if (fuzz_chance(c, 30))
			map.bytes += fuzz_below(c, 2 * MIB);
	}
	r = t_mmap(what->fd, at, map.bytes, prot, flags, &p);
	if (r == EIO && fuzz_proc_since(c, before, what->fd))
		r = EBADF;
	fuzz_file_result(c, op, what->fd, r);
	if (r)
		return;
	map.at = (uintptr_t)p;
	map.bytes = (map.bytes + PAGE - 1) & ~(PAGE - 1);
	map.foreign |= bent;
	/* id: bytes from a GPU page's first byte to the mapping's. */
	map.id = at % GPU_PAGE;
	fuzz_put(c, FUZZ_MAPS, &map);
}

void fuzz_mmap(struct fuzz_ctx *c)
{
	struct fuzz_thing pin;

	if (fuzz_pick(c, FUZZ_PINS, &pin))
		fuzz_map_at(c, FUZZ_MMAP, &pin, pin.at, pin.bytes);
}

void fuzz_mmap_phys(struct fuzz_ctx *c)
{
	struct fuzz_thing phys;

	if (fuzz_pick(c, FUZZ_PHYS, &phys))
		fuzz_map_at(c, FUZZ_MMAP_PHYS, &phys, phys.at, phys.bytes);
}

void fuzz_mmap_buf(struct fuzz_ctx *c)
{
	struct fuzz_thing buf;

	if (fuzz_pick(c, FUZZ_BUFS, &buf))
		fuzz_map_at(c, FUZZ_MMAP_BUF, &buf, 0, buf.bytes);
}

/* Puts back what is left of a mapping around a part that went. */
static void fuzz_put_rest(struct fuzz_ctx *c, const struct fuzz_thing *map,
			  uint64_t at, uint64_t length)
{
	struct fuzz_thing rest = *map;

	rest.bytes = at;
	if (rest.bytes)
		fuzz_put(c, FUZZ_MAPS, &rest);
	rest.at = map->at + at + length;
	rest.id = (map->id + at + length) % GPU_PAGE;
	rest.bytes = map->bytes - at - length;
	if (rest.bytes)
		fuzz_put(c, FUZZ_MAPS, &rest);
}

void fuzz_munmap(struct fuzz_ctx *c)
{
	struct fuzz_thing map;
	uint64_t at, length;
	int r;

	if (!fuzz_take(c, FUZZ_MAPS, &map))
		return;
	fuzz_part(c, map.bytes, &at, &length);
	r = munmap((void *)(uintptr_t)(map.at + at), length) ? errno : 0;
	if (r)
		fuzz_put(c, FUZZ_MAPS, &map);
	else
		fuzz_put_rest(c, &map, at, length);
	fuzz_result(c, FUZZ_MUNMAP, r);
}

void fuzz_mremap(struct fuzz_ctx *c)
{
	struct fuzz_thing map, moved;
	uint64_t at, length, to;
	void *p;

	if (!fuzz_take(c, FUZZ_MAPS, &map))
		return;
	fuzz_part(c, map.bytes, &at, &length);
	to = length;
	if (fuzz_chance(c, 40))
		to = PAGE * (1 + fuzz_below(c, (uint32_t)(length / PAGE) + 4));
	p = mremap((void *)(uintptr_t)(map.at + at), length, to,
		   fuzz_chance(c, 70) ? MREMAP_MAYMOVE : 0);
	fuzz_result(c, FUZZ_MREMAP, p == MAP_FAILED ? errno : 0);
	if (p == MAP_FAILED) {
		fuzz_put(c, FUZZ_MAPS, &map);
		return;
	}
	moved = map;
	moved.id = (map.id + at) % GPU_PAGE;
	moved.at = (uintptr_t)p;
	moved.bytes = to;
	fuzz_put(c, FUZZ_MAPS, &moved);
	fuzz_put_rest(c, &map, at, length);
}

void fuzz_mprotect(struct fuzz_ctx *c)
{
	struct fuzz_thing map;
	uint64_t at, length;
	int r;

	if (!fuzz_pick(c, FUZZ_MAPS, &map))
		return;
	fuzz_part(c, map.bytes, &at, &length);
	r = mprotect((void *)(uintptr_t)(map.at + at), length,
		     (int)fuzz_below(c, 8))
		    ? errno
		    : 0;
	fuzz_result(c, FUZZ_MPROTECT, r);
}

void fuzz_madvise(struct fuzz_ctx *c)
{
	static const int advice[] = {
		MADV_NORMAL,	 MADV_DONTNEED,	     MADV_WILLNEED,
		MADV_FREE,	 MADV_REMOVE,	     MADV_DOFORK,
		MADV_DONTFORK,	 MADV_MERGEABLE,     MADV_HUGEPAGE,
		MADV_COLD,	 MADV_PAGEOUT,	     MADV_DODUMP,
		MADV_WIPEONFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	};
	struct fuzz_thing map;
	uint64_t at, length;
	void *p;
	int r;

	if (!fuzz_pick(c, FUZZ_MAPS, &map))
		return;
	fuzz_part(c, map.bytes, &at, &length);
	p = (void *)(uintptr_t)(map.at + at);
	if (fuzz_chance(c, 80))
		r = madvise(p, length,
			    advice[fuzz_below(c, sizeof(advice) /
							 sizeof(advice[0]))]);
	else if (fuzz_chance(c, 50))
		r = mlock(p, length);
	else
		r = msync(p, length, MS_SYNC);
	fuzz_result(c, FUZZ_MADVISE, r ? errno : 0);
}

/* Where in the mapping: a GPU page's first word most often. */
static uint64_t fuzz_word(struct fuzz_ctx *c, const struct fuzz_thing *map,
			  bool *first)
{
	uint64_t at = 4 * fuzz_below(c, (uint32_t)(map->bytes / 4));

	*first = fuzz_chance(c, 80);
	if (*first)
		at = (at + map->id) / GPU_PAGE * GPU_PAGE;
	if (*first && at < map->id)
		at += GPU_PAGE;
	at -= *first ? map->id : 0;
	*first = *first && at < map->bytes;
	return map->at + at % map->bytes;
}

/*
 * A mapping that was unmapped meanwhile may have made room for a foreign one:
 * what was seen there counts only if the mapping is still in its pool, which it
 * leaves before it is unmapped.
 */
static void fuzz_see(struct fuzz_ctx *c, const struct fuzz_thing *map,
		     uint64_t at, uint32_t mark)
{
	uint32_t again = 0;
	int signal;

	/* Anything else a call was made to write there. */
	if (map->foreign || c->child || mark == c->mark ||
	    (mark != FUZZ_SCRUB && (mark & FUZZ_MARK_MASK) != FUZZ_MARK) ||
	    !fuzz_still(FUZZ_MAPS, map, NULL, NULL))
		return;
	signal = t_load((void *)(uintptr_t)at, &again);
	fuzz_wrong(
		c,
		"%#llx in a mapping of %llu bytes at %#llx shows %#x, not mark %#x; then %#x, signal %d",
		(unsigned long long)at, (unsigned long long)map->bytes,
		(unsigned long long)map->at, mark, c->mark, again, signal);
}

void fuzz_load(struct fuzz_ctx *c)
{
	struct fuzz_thing map;
	uint32_t mark;
	bool first;
	uint64_t at;

	if (!fuzz_pick(c, FUZZ_MAPS, &map))
		return;
	at = fuzz_word(c, &map, &first);
	if (t_load((void *)(uintptr_t)at, &mark)) {
		atomic_fetch_add(&fuzz_shared->faults, 1);
		fuzz_result(c, FUZZ_LOAD, EFAULT);
		return;
	}
	if (first)
		fuzz_see(c, &map, at, mark);
	fuzz_result(c, FUZZ_LOAD, 0);
}

struct fuzz_put_mark {
	volatile void *at;
	uint32_t mark;
	int signal;
};

static void fuzz_put_mark(void *arg)
{
	struct fuzz_put_mark *p = arg;

	p->signal = t_store(p->at, p->mark);
}

/* Stores 0, which no one minds, or a mark where only we can see it. */
void fuzz_store(struct fuzz_ctx *c)
{
	struct fuzz_put_mark put = { .mark = c->mark };
	struct fuzz_thing map;
	bool first;

	if (!fuzz_pick(c, FUZZ_MAPS, &map))
		return;
	put.at = (void *)(uintptr_t)fuzz_word(c, &map, &first);
	if (!first || map.foreign || c->child) {
		put.mark = 0;
		fuzz_put_mark(&put);
	} else if (!fuzz_still(FUZZ_MAPS, &map, fuzz_put_mark, &put)) {
		return;
	}
	if (put.signal)
		atomic_fetch_add(&fuzz_shared->faults, 1);
	fuzz_result(c, FUZZ_STORE, put.signal ? EFAULT : 0);
}

/* As a debugger does, or a system call that is given the mapping. */
void fuzz_peek(struct fuzz_ctx *c)
{
	struct fuzz_thing map;
	uint64_t at, length;
	ssize_t n;
	int fd;

	if (!fuzz_pick(c, FUZZ_MAPS, &map))
		return;
	fuzz_part(c, map.bytes, &at, &length);
	if (fuzz_chance(c, 30)) {
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		n = write(fd, (void *)(uintptr_t)(map.at + at), length);
	} else {
		fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
		if (length > sizeof(c->room))
			length = sizeof(c->room);
		n = pread(fd, c->room, length, (off_t)(map.at + at));
	}
	fuzz_result(c, FUZZ_PEEK, n < 0 ? errno : 0);
	close(fd);
}
