// SPDX-License-Identifier: MIT
/*
 * What a process may do with a mapping of a pin, and what becomes of it: the
 * rules that gpumem(4) gives.
 */
#include "mapped.h"

#define PARTS 16

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static void mapped_drop(struct mapped *m)
{
	munmap(m->at, MIB);
	close(m->fd);
	emu_check_nothing_pinned("in the end");
	close(m->emu);
}

static uint32_t mapped_count(const struct mapped *m)
{
	struct gpumem_info info;

	check_result(gm_info(m->fd, m->pin.pin, &info), 0, "INFO");
	return info.mapped;
}

static void bytes_check(const void *at, uint64_t offset, uint64_t bytes,
			const char *what)
{
	counter_check(at, bytes / 4, FIRST + (uint32_t)offset / 4, what);
}

/* Every page by itself; parts of the whole; what lies beside it. */
static void mode_parts(void)
{
	struct mapped m = mapped_make();
	uint64_t offset, length;
	void *at;

	for (length = PAGE; length <= MIB; length *= 4)
		for (offset = 0; offset + length <= MIB;
		     offset += MIB / PARTS) {
			if (!check(!t_map(m.fd, m.pin.mmap_offset + offset,
					  length, &at),
				   "mmap of %#llx bytes at %#llx",
				   (unsigned long long)length,
				   (unsigned long long)offset))
				continue;
			bytes_check(at, offset, length, "a part");
			munmap(at, length);
		}
	check_result(t_map(m.fd, m.pin.mmap_offset + MIB, PAGE, NULL), EPERM,
		     "mmap past the end");
	check_result(t_map(m.fd, m.pin.mmap_offset + PAGE, MIB, NULL), EPERM,
		     "mmap across the end");
	check_result(t_map(m.fd, m.pin.mmap_offset - PAGE, 2 * PAGE, NULL),
		     EPERM, "mmap across the start");
	check(mapped_count(&m) == 1, "%u mappings", mapped_count(&m));

	/* A hole, and the rest still works; then the rest goes, too. */
	check(!munmap(m.at + MIB / 4, MIB / 4), "munmap of a part");
	check(mapped_count(&m) == 2, "%u mappings with a hole",
	      mapped_count(&m));
	bytes_check(m.at, 0, MIB / 4, "before the hole");
	bytes_check(m.at + MIB / 2, MIB / 2, MIB / 2, "after the hole");
	check(t_load(m.at + MIB / 4, NULL) == SIGSEGV, "no SIGSEGV in a hole");
	check(!munmap(m.at, PAGE), "munmap of the first page");
	check(!munmap(m.at + MIB - PAGE, PAGE), "munmap of the last page");
	bytes_check(m.at + PAGE, PAGE, MIB / 4 - PAGE, "the rest");
	check(!munmap(m.at, MIB), "munmap of the rest");
	check(mapped_count(&m) == 0, "%u mappings of nothing",
	      mapped_count(&m));
	/* It can be mapped again, over something else, too. */
	at = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(at != MAP_FAILED, "mmap");
	check(mmap(at, MIB, PROT_READ, MAP_SHARED | MAP_FIXED, m.fd,
		   (off_t)m.pin.mmap_offset) == at,
	      "MAP_FIXED");
	bytes_check(at, 0, MIB, "MAP_FIXED");
	munmap(at, MIB);
	mapped_drop(&m);
}

static int remap(void *at, size_t from, size_t to, int flags, void **moved)
{
	void *p = mremap(at, from, to, flags, NULL);

	*moved = p;
	return p == MAP_FAILED ? errno : 0;
}

static void mode_mremap(void)
{
	struct mapped m = mapped_make();
	void *room = mmap(NULL, 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	char *to = (char *)room + MIB, *at;
	void *moved;

	need(room != MAP_FAILED, "mmap");
	/* Moved: data and rights follow. */
	at = mremap(m.at, MIB, MIB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	need(at == to, "mremap: %s", strerror(errno));
	check(t_load(m.at, NULL) == SIGSEGV, "the old place is still mapped");
	bytes_check(at, 0, MIB, "moved");
	check(!t_store(at, FIRST), "a store after moving");
	check(mapped_count(&m) == 1, "%u mappings after moving",
	      mapped_count(&m));
	/* A part moves away and the rest stays. */
	moved = mremap(at + MIB / 2, MIB / 4, MIB / 4,
		       MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * MIB);
	need(moved == to + 2 * MIB, "mremap of a part: %s", strerror(errno));
	bytes_check(moved, MIB / 2, MIB / 4, "a moved part");
	bytes_check(at, 0, MIB / 2, "the part before");
	bytes_check(at + 3 * (MIB / 4), 3 * (MIB / 4), MIB / 4,
		    "the part after");
	munmap(at + 3 * (MIB / 4), MIB / 4);
	/* Shrunk, and back is not possible. */
	check_result(remap(at, MIB / 2, MIB / 4, 0, &moved), 0, "shrinking");
	bytes_check(at, 0, MIB / 4, "shrunk");
	check_result(remap(at, MIB / 4, MIB / 2, MREMAP_MAYMOVE, &moved),
		     EFAULT, "growing");
	check_result(remap(at, MIB / 4, MIB / 2, 0, &moved), EFAULT,
		     "growing in place");
	/* A second mapping of the same. */
	check_result(remap(at, 0, MIB / 4, MREMAP_MAYMOVE, &moved), EFAULT,
		     "mremap with an old size of 0");
	check_result(remap(at, MIB / 4, MIB / 4,
			   MREMAP_MAYMOVE | MREMAP_DONTUNMAP, &moved),
		     EINVAL, "MREMAP_DONTUNMAP");
	bytes_check(at, 0, MIB / 4, "after what was refused");
	check_result(emu_free(m.emu, m.addr), 0, "freeing");
	check(t_load(at, NULL) == SIGBUS &&
		      t_load(to + 2 * MIB, NULL) == SIGBUS,
	      "no SIGBUS where it was moved to");
	munmap(room, 4 * MIB);
	m.at = room;
	mapped_drop(&m);
}

static void mode_mprotect(void)
{
	struct mapped m = mapped_make();
	uint32_t value;

	check(!mprotect(m.at, MIB, PROT_READ), "mprotect read-only");
	check(t_store(m.at, 1) == SIGSEGV, "a store while read-only");
	bytes_check(m.at, 0, MIB, "read-only");
	check(!mprotect(m.at + MIB / 2, PAGE, PROT_READ | PROT_WRITE),
	      "mprotect of one page");
	check(!t_store(m.at + MIB / 2, 5), "a store to that page");
	check(t_store(m.at + MIB / 2 + PAGE, 5) == SIGSEGV,
	      "a store to the next page");
	check(!t_store(m.at + MIB / 2, FIRST + MIB / 8), "a store");
	check(!mprotect(m.at, MIB, PROT_NONE), "mprotect none");
	check(t_load(m.at, NULL) == SIGSEGV, "a load with PROT_NONE");
	check(!mprotect(m.at, MIB, PROT_READ | PROT_WRITE), "mprotect back");
	check(!t_store(m.at, 77) && !t_load(m.at, &value) && value == 77,
	      "a store after mprotect back");
	check(!t_store(m.at, FIRST), "a store");
	bytes_check(m.at, 0, MIB, "after mprotect back");
	check(mprotect(m.at, MIB, PROT_READ | PROT_EXEC) && errno == EACCES,
	      "mprotect to executable: %s", strerror(errno));
	mapped_drop(&m);
}

/* A file opened for reading is one to read from. */
static void mode_readonly(void)
{
	int emu = emu_open();
	int fd = open(GPUMEM_DEVICE_NODE, O_RDONLY | O_CLOEXEC);
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin = gm_must_pin(fd, addr, MIB);
	uint32_t value = 0x77665544;
	void *at;

	check_result(emu_write(emu, addr + 8, &value, 4), 0, "writing");
	check_result(gm_map(fd, &pin, &at), EACCES, "a writable mmap");
	check_result(t_mmap(fd, pin.mmap_offset, MIB, PROT_READ, MAP_PRIVATE,
			    &at),
		     EINVAL, "a private mmap");
	need(!t_mmap(fd, pin.mmap_offset, MIB, PROT_READ, MAP_SHARED, &at),
	     "a read-only mmap");
	check(!t_load((char *)at + 8, &value) && value == 0x77665544,
	      "the data is %#x", value);
	check(t_store(at, 1) == SIGSEGV, "a store");
	check(mprotect(at, MIB, PROT_READ | PROT_WRITE) && errno == EACCES,
	      "mprotect to writable: %s", strerror(errno));
	munmap(at, MIB);
	close(fd);
	close(emu);
}

static void child_run(void *arg)
{
	struct mapped *m = arg;

	check(t_load(m->at, NULL) == SIGSEGV, "a child has the mapping");
	check(t_load(m->at + MIB - 4, NULL) == SIGSEGV, "a child has its end");
}

static void exec_run(void *arg)
{
	char *const argv[] = { "sleep", "0", NULL };

	(void)arg;
	execv("/bin/sleep", argv);
	check(false, "exec: %s", strerror(errno));
}

static void exec_owner_run(void *arg)
{
	struct mapped m = mapped_make();

	check(!fcntl(m.fd, F_SETFD, 0), "fcntl");
	exec_run(arg);
}

static void mode_fork(void)
{
	struct mapped m = mapped_make();

	t_child("a child", child_run, &m);
	check(mapped_count(&m) == 1, "%u mappings after a child",
	      mapped_count(&m));
	t_child("exec in a child", exec_run, NULL);
	bytes_check(m.at, 0, MIB, "after the children");
	mapped_drop(&m);
	/* The owner itself: the mapping goes, and the pin with the process. */
	t_child("exec with a mapping", exec_owner_run, NULL);
	emu_check_nothing_pinned("after exec");
}

struct advice {
	const char *name;
	int advice, want;
};

static void mode_madvise(void)
{
	static const struct advice some[] = {
		{ "NORMAL", MADV_NORMAL, 0 },
		{ "RANDOM", MADV_RANDOM, 0 },
		{ "SEQUENTIAL", MADV_SEQUENTIAL, 0 },
		{ "WILLNEED", MADV_WILLNEED, 0 },
		{ "DONTFORK", MADV_DONTFORK, 0 },
		/* It would give children the mapping. */
		{ "DOFORK", MADV_DOFORK, EINVAL },
		{ "DODUMP", MADV_DODUMP, EINVAL },
		{ "DONTDUMP", MADV_DONTDUMP, 0 },
		{ "FREE", MADV_FREE, EINVAL },
		{ "REMOVE", MADV_REMOVE, ENODEV },
		{ "DONTNEED", MADV_DONTNEED, EINVAL },
		{ "COLD", MADV_COLD, EINVAL },
		{ "PAGEOUT", MADV_PAGEOUT, EINVAL },
		{ "WIPEONFORK", MADV_WIPEONFORK, EINVAL },
		{ "POPULATE_READ", MADV_POPULATE_READ, EINVAL },
		{ "POPULATE_WRITE", MADV_POPULATE_WRITE, EINVAL },
		{ "HUGEPAGE", MADV_HUGEPAGE, 0 },
		{ "NOHUGEPAGE", MADV_NOHUGEPAGE, 0 },
		{ "HUGEPAGE again", MADV_HUGEPAGE, 0 },
	};
	struct mapped m = mapped_make();
	size_t i;

	for (i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		errno = 0;
		madvise(m.at, MIB, some[i].advice);
		check_result(errno, some[i].want, "MADV_%s", some[i].name);
		bytes_check(m.at, 0, MIB, some[i].name);
	}
	t_child("a child after all that", child_run, &m);
	check(mapped_count(&m) == 1, "%u mappings", mapped_count(&m));
	mapped_drop(&m);
}

static void mode_lock(void)
{
	struct mapped m = mapped_make();
	void *at;

	/* Device memory is not paged: there is nothing to lock. */
	check(!mlock(m.at, MIB), "mlock: %s", strerror(errno));
	bytes_check(m.at, 0, MIB, "locked");
	check(!munlock(m.at, MIB), "munlock: %s", strerror(errno));
	check(!mlockall(MCL_CURRENT | MCL_FUTURE), "mlockall: %s",
	      strerror(errno));
	check_result(t_mmap(m.fd, m.pin.mmap_offset, MIB,
			    PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_LOCKED | MAP_POPULATE, &at),
		     0, "MAP_LOCKED and MAP_POPULATE");
	bytes_check(at, 0, MIB, "MAP_LOCKED");
	check(!munlockall(), "munlockall: %s", strerror(errno));
	/* Nothing is cached: there is nothing to write back. */
	errno = 0;
	msync(at, MIB, MS_SYNC);
	check_result(errno, EINVAL, "msync");
	check_result(emu_free(m.emu, m.addr), 0, "freeing");
	check(t_load(at, NULL) == SIGBUS && t_load(m.at, NULL) == SIGBUS,
	      "no SIGBUS after freeing what was locked");
	munmap(at, MIB);
	mapped_drop(&m);
}

static const struct t_mode modes[] = {
	{ "parts", mode_parts },       { "mremap", mode_mremap },
	{ "mprotect", mode_mprotect }, { "readonly", mode_readonly },
	{ "fork", mode_fork },	       { "madvise", mode_madvise },
	{ "lock", mode_lock },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
