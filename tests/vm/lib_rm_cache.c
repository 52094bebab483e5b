// SPDX-License-Identifier: MIT
/* What the rm backend keeps for reuse, over the emulated driver. */
#include <pthread.h>
#include <stdatomic.h>

#include "t_lib.h"

static struct gpumem *session;

static struct gpumem_stats stats(void)
{
	struct gpumem_stats s = { .size = sizeof(s) };

	t_lib_ok(gpumem_stats_get(session, &s), "gpumem_stats_get");
	return s;
}

static void *map(struct gpumem_buf *buf)
{
	void *cpu = NULL;

	t_lib_ok(gpumem_map(buf, &cpu), "gpumem_map");
	need(cpu, "no address");
	return cpu;
}

static void unpin(struct gpumem_buf *buf)
{
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
}

static void check_counts(uint64_t objects, uint64_t maps, const char *when)
{
	struct gpumem_emu_counters c = emu_counters();

	/* Beside the memory there is one device for the session. */
	check(c.rm_objects == objects + 1 && c.rm_maps == maps,
	      "%s: %llu objects and %llu mappings, not %llu and %llu", when,
	      (unsigned long long)c.rm_objects - 1,
	      (unsigned long long)c.rm_maps, (unsigned long long)objects,
	      (unsigned long long)maps);
}

static void check_word(uint64_t addr, uint32_t want, const char *what)
{
	uint32_t found = ~want;

	t_lib_to_host(&found, addr, sizeof(found));
	check(found == want, "%s: CUDA sees %#x, not %#x", what, found, want);
}

static void store(void *cpu, uint32_t value)
{
	*(volatile uint32_t *)cpu = value;
	__sync_synchronize();
}

/* Pinning again costs no object and no mapping. */
static void mode_again(void)
{
	uint64_t addr = t_lib_alloc(4 * MIB);
	struct gpumem_buf *a, *b;
	char *whole, *part;
	int i;

	for (i = 0; i < 100; i++) {
		a = t_lib_pin(session, addr, 2 * MIB, 0);
		store(map(a), 100 + i);
		check_word(addr, 100 + i, "pinned again");
		unpin(a);
		check_counts(1, 1, "kept");
	}
	check(stats().repins == 99 && stats().proofs == 1,
	      "%llu repins, %llu proofs", (unsigned long long)stats().repins,
	      (unsigned long long)stats().proofs);

	/* A part of what is mapped shares the mapping. */
	a = t_lib_pin(session, addr, 2 * MIB, 0);
	b = t_lib_pin(session, addr + MIB + 3, 5, 0);
	whole = map(a);
	part = map(b);
	check(part == whole + MIB + 3, "the part is mapped elsewhere");
	check_counts(1, 1, "shared");

	/* What reaches past it has a mapping of its own, */
	unpin(b);
	b = t_lib_pin(session, addr + MIB, 2 * MIB, 0);
	map(b);
	check_counts(1, 2, "past the mapping");
	unpin(b);
	unpin(a);
	/* and one for both once nobody uses them. */
	a = t_lib_pin(session, addr, 3 * MIB, 0);
	map(a);
	check_counts(1, 1, "grown");
	unpin(a);
	t_lib_free(addr);
}

/* Freed and allocated again at the same address: never the old memory. */
static void mode_reuse(void)
{
	uint64_t same = 0, last = 0, i;

	for (i = 0; i < 200; i++) {
		uint64_t addr = t_lib_alloc(2 * MIB);
		struct gpumem_buf *buf = t_lib_pin(session, addr, 2 * MIB, 0);

		same += addr == last;
		last = addr;
		store((char *)map(buf) + MIB, 0xC0DE0000 + i);
		check_word(addr + MIB, 0xC0DE0000 + i, "the new memory");
		if (i % 2) {
			unpin(buf);
			t_lib_free(addr);
		} else {
			t_lib_free(addr);
			unpin(buf);
			check_counts(0, 0, "freed before it was unpinned");
		}
	}
	printf("same address as before: %llu of 200\n",
	       (unsigned long long)same);
}

/* What was freed does not stay, whatever is pinned next and unpinned. */
static void mode_freed(void)
{
	uint64_t keeper = t_lib_alloc(2 * MIB), addr[8];
	int i;

	for (i = 0; i < 8; i++) {
		addr[i] = t_lib_alloc(2 * MIB);
		unpin(t_lib_pin(session, addr[i], MIB, 0));
	}
	check_counts(8, 8, "eight kept");
	for (i = 0; i < 8; i++)
		t_lib_free(addr[i]);
	unpin(t_lib_pin(session, keeper, MIB, 0));
	check_counts(1, 1, "after a pin of something new");

	unpin(t_lib_pin(session, addr[0] = t_lib_alloc(2 * MIB), MIB, 0));
	check_counts(2, 2, "two kept");
	t_lib_free(addr[0]);
	/* A pin out of the cache looks at one memory that is kept. */
	unpin(t_lib_pin(session, keeper, MIB, 0));
	check_counts(1, 1, "after a pin again");
	t_lib_free(keeper);
}

/*
 * A pin does not wait until the driver has taken back what was freed: the next
 * unpin does, unless it is much.
 */
static void mode_aside(void)
{
	uint64_t keeper = t_lib_alloc(2 * MIB), freed;
	struct gpumem_buf *buf;
	uint64_t released;

	freed = t_lib_alloc(2 * MIB);
	unpin(t_lib_pin(session, freed, MIB, 0));
	t_lib_free(freed);
	released = stats().release_ns;
	buf = t_lib_pin(session, keeper, MIB, 0);
	check_counts(2, 2, "set aside");
	check(stats().release_ns == released, "the pin waited");
	unpin(buf);
	check_counts(1, 1, "after the unpin");
	check(stats().release_ns > released, "the release took no time");

	/* The session does not end before it is given back. */
	freed = t_lib_alloc(2 * MIB);
	unpin(t_lib_pin(session, freed, MIB, 0));
	t_lib_free(freed);
	unpin(t_lib_pin(session, keeper, 2 * MIB, 0));
	t_lib_close(session);
	check(!emu_counters().rm_objects, "%llu objects outlive the session",
	      (unsigned long long)emu_counters().rm_objects);

	setenv("GPUMEM_RM_CACHE", "128", 1);
	session = t_lib_open("rm");
	unsetenv("GPUMEM_RM_CACHE");
	freed = t_lib_alloc(66 * MIB);
	unpin(t_lib_pin(session, freed, MIB, 0));
	t_lib_free(freed);
	buf = t_lib_pin(session, keeper, MIB, 0);
	check_counts(1, 1, "much is not set aside");
	unpin(buf);
	t_lib_free(keeper);
}

/* 64 MiB are kept for reuse whatever the GPU has. */
static void mode_large(void)
{
	uint64_t addr = t_lib_alloc(64 * MIB);
	int i;

	for (i = 0; i < 10; i++) {
		struct gpumem_buf *buf = t_lib_pin(session, addr, 64 * MIB, 0);

		store((char *)map(buf) + 64 * MIB - 4, 500 + i);
		check_word(addr + 64 * MIB - 4, 500 + i, "its end");
		unpin(buf);
		check_counts(1, 1, "64 MiB");
	}
	check(stats().repins == 9, "%llu repins",
	      (unsigned long long)stats().repins);
	t_lib_free(addr);
}

/* The bounds hold, and what CUDA lacks is given back. */
static void mode_bounds(void)
{
	struct gpumem_emu_counters c;
	uint64_t addr[48];
	int i;

	for (i = 0; i < 48; i++) {
		addr[i] = t_lib_alloc(2 * MIB);
		unpin(t_lib_pin(session, addr[i], 4096, 0));
		c = emu_counters();
		check(c.rm_objects - 1 <= 32 && c.rm_maps <= 32,
		      "%llu objects and %llu mappings are kept",
		      (unsigned long long)c.rm_objects - 1,
		      (unsigned long long)c.rm_maps);
	}
	for (i = 0; i < 48; i++)
		t_lib_free(addr[i]);
	/* Larger than the bound: nothing stays. */
	addr[0] = t_lib_alloc(66 * MIB);
	unpin(t_lib_pin(session, addr[0], 66 * MIB, 0));
	check_counts(0, 0, "a large one");
	t_lib_free(addr[0]);
}

static void mode_off(void)
{
	uint64_t addr;

	t_lib_close(session);
	setenv("GPUMEM_RM_CACHE", "0", 1);
	session = t_lib_open("rm");
	addr = t_lib_alloc(2 * MIB);
	unpin(t_lib_pin(session, addr, MIB, 0));
	check_counts(0, 0, "switched off");
	unpin(t_lib_pin(session, addr, MIB, 0));
	check(!stats().repins, "pinned out of a cache that is off");
	t_lib_free(addr);
	unsetenv("GPUMEM_RM_CACHE");
}

/* A child can end its copy; the parent's mapping and cache live on. */
static void mode_fork(void)
{
	uint64_t addr = t_lib_alloc(2 * MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr, MIB, 0);
	char *cpu = map(buf);
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		uint32_t value;

		if (!t_load(cpu, &value))
			_exit(1);
		if (gpumem_unpin(buf) != -EPERM)
			_exit(2);
		_exit(gpumem_close(session) ? 3 : 0);
	}
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	check(WIFEXITED(status) && !WEXITSTATUS(status), "the child: %#x",
	      (unsigned int)status);
	store(cpu, 0xF0F0);
	check_word(addr, 0xF0F0, "after the child's end");
	check_counts(1, 1, "after the child's end");
	unpin(buf);
	unpin(t_lib_pin(session, addr, MIB, 0));
	t_lib_free(addr);
}

/* The memory's context ends while it is pinned and mapped. */
static void mode_context(void)
{
	void *symbol[3] = {
		gpumem_cuda_symbol(session, "cuCtxCreate_v2"),
		gpumem_cuda_symbol(session, "cuCtxDestroy_v2"),
		gpumem_cuda_symbol(session, "cuCtxSetCurrent"),
	};
	int (*create)(void **, unsigned int, int);
	int (*destroy)(void *), (*current)(void *);
	struct gpumem_buf *buf;
	uint32_t value = 0;
	void *context;
	uint64_t addr;
	char *cpu;

	need(symbol[0] && symbol[1] && symbol[2], "libcuda lacks contexts");
	memcpy(&create, &symbol[0], sizeof(symbol[0]));
	memcpy(&destroy, &symbol[1], sizeof(symbol[1]));
	memcpy(&current, &symbol[2], sizeof(symbol[2]));
	need(!create(&context, 0, 0) && !current(context), "cuCtxCreate");
	addr = t_lib_alloc(2 * MIB);
	buf = t_lib_pin(session, addr, MIB, 0);
	cpu = map(buf);
	store(cpu, 0xC7C7);
	check(!destroy(context), "cuCtxDestroy");
	check(!t_load(cpu, &value) && value == 0xC7C7,
	      "after cuCtxDestroy: %#x", value);
	unpin(buf);
	check_counts(0, 0, "unpinned after its context's end");
	t_lib_error(gpumem_pin(session, addr, MIB, 0, &buf), EINVAL,
		    "no CUDA memory", "memory of the ended context");
}

/* A program that this one becomes gets none of the driver's descriptors. */
static void mode_exec(void)
{
	uint64_t addr = t_lib_alloc(2 * MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr, MIB, 0);
	int fd, found = 0;

	map(buf);
	for (fd = 0; fd < 256; fd++) {
		char path[64], target[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) < 0 ||
		    strncmp(target, "/dev/nvidia", 11) != 0)
			continue;
		found++;
		check(fcntl(fd, F_GETFD) & FD_CLOEXEC, "%s outlives exec",
		      target);
	}
	/* The control node and the GPU; the mapping has none any more. */
	check(found == 2, "%d descriptors of the driver, not 2", found);
	unpin(buf);
	t_lib_free(addr);
}

static uint64_t thread_addr[4];
static atomic_int thread_bad;

static void *thread_run(void *arg)
{
	uint64_t state = (uintptr_t)arg + 1;
	int i;

	for (i = 0; i < 500; i++) {
		uint64_t addr = thread_addr[t_random(&state) % 4];
		uint64_t offset = t_random(&state) % MIB;
		struct gpumem_buf *buf;
		void *cpu;

		if (gpumem_pin(session, addr + offset,
			       1 + t_random(&state) % MIB, 0, &buf) ||
		    gpumem_map(buf, &cpu)) {
			atomic_fetch_add(&thread_bad, 1);
			continue;
		}
		((volatile char *)cpu)[0] = (char)i;
		if (t_random(&state) % 2)
			gpumem_unmap(buf);
		if (gpumem_unpin(buf))
			atomic_fetch_add(&thread_bad, 1);
	}
	return NULL;
}

static void mode_threads(void)
{
	pthread_t thread[6];
	size_t i;

	for (i = 0; i < 4; i++)
		thread_addr[i] = t_lib_alloc(2 * MIB);
	for (i = 0; i < 6; i++)
		need(!pthread_create(&thread[i], NULL, thread_run, (void *)i),
		     "pthread_create");
	for (i = 0; i < 6; i++)
		pthread_join(thread[i], NULL);
	check(!thread_bad, "%d calls failed", thread_bad);
	for (i = 0; i < 4; i++)
		t_lib_free(thread_addr[i]);
}

static void in_session(void (*mode)(void))
{
	session = t_lib_open("rm");
	mode();
	t_lib_close(session);
}

#define MODE(name)                       \
	static void run_##name(void)     \
	{                                \
		in_session(mode_##name); \
	}
MODE(again)
MODE(reuse)
MODE(freed)
MODE(aside)
MODE(large)
MODE(bounds)
MODE(off)
MODE(fork)
MODE(context)
MODE(exec)
MODE(threads)

static const struct t_mode modes[] = {
	{ "again", run_again },	    { "reuse", run_reuse },
	{ "freed", run_freed },	    { "aside", run_aside },
	{ "large", run_large },	    { "bounds", run_bounds },
	{ "off", run_off },	    { "fork", run_fork },
	{ "context", run_context }, { "exec", run_exec },
	{ "threads", run_threads },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
