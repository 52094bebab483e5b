// SPDX-License-Identifier: MIT
/*
 * Threads that map, touch, unmap, unpin, free and ask about the same pins at
 * once, while another process watches that memory which was given back, and is
 * now its own, is not written any more.
 *
 * usage: vm-races [MILLISECONDS [SEED]]
 */
#include "t.h"

#include <pthread.h>

#define SLOTS 3
#define THREADS 6
#define BLOCK (2 * MIB)
#define POISON 0xdeadbeef
#define CALM 0x600d600d

enum { EMPTY, BUSY, LIVE };

/* A block and its pin. Others may use what they read here after its death. */
struct slot {
	atomic_int state;
	_Atomic uint64_t addr, offset;
	_Atomic uint32_t pin;
};

static struct slot slots[SLOTS];
static int emu, shared;
static atomic_bool the_end;
static atomic_uint stores, signals, maps, maps_refused, frees, unpins, closes;
/* Blocks that the watcher had, in memory that it shares. */
static atomic_uint *watched;

/* One of the results that a race may end with. */
static void check_one_of(int found, const char *what, int a, int b, int c)
{
	check(found == a || found == b || found == c,
	      "%s: expected %s, %s or %s, found %s (%d)", what, strerror(a),
	      strerror(b), strerror(c), strerror(found), found);
}

static void slot_fill(struct slot *s)
{
	int want = EMPTY;
	struct gpumem_pin pin;
	uint64_t addr;

	if (!atomic_compare_exchange_strong(&s->state, &want, BUSY))
		return;
	/* Others hold on to what was freed for a moment. */
	if (emu_try_alloc(emu, BLOCK, &addr)) {
		atomic_store(&s->state, EMPTY);
		return;
	}
	s->addr = addr;
	pin = gm_must_pin(shared, s->addr, BLOCK);
	s->offset = pin.mmap_offset;
	s->pin = pin.pin;
	atomic_store(&s->state, LIVE);
}

/* Frees the memory and unpins; the other threads go on using the pin. */
static void slot_empty(struct slot *s, bool unpin_first)
{
	int want = LIVE;

	if (!atomic_compare_exchange_strong(&s->state, &want, BUSY))
		return;
	/* Another thread may have unpinned it already. */
	if (unpin_first)
		check_one_of(gm_unpin(shared, s->pin), "UNPIN", 0, ENOENT, 0);
	check_result(emu_free(emu, s->addr), 0, "freeing");
	atomic_fetch_add(&frees, 1);
	if (!unpin_first)
		check_one_of(gm_unpin(shared, s->pin), "UNPIN after freeing", 0,
			     ENOENT, 0);
	atomic_store(&s->state, EMPTY);
}

static void touch(void *at, size_t bytes, uint64_t *random)
{
	int i;

	for (i = 0; i < 6; i++) {
		uint64_t page = t_random(random) % (bytes / PAGE);
		int signal = t_store((char *)at + page * PAGE, POISON);

		check(!signal || signal == SIGBUS, "a store: signal %d",
		      signal);
		atomic_fetch_add(signal ? &signals : &stores, 1);
	}
}

static void use_mapping(struct slot *s, uint64_t *random)
{
	void *at;
	int r = t_map(shared, s->offset, BLOCK, &at), i;

	check_one_of(r, "mmap", 0, EPERM, ENODEV);
	if (r) {
		atomic_fetch_add(&maps_refused, 1);
		return;
	}
	atomic_fetch_add(&maps, 1);
	for (i = t_random(random) % 4; i >= 0; i--) {
		touch(at, BLOCK, random);
		/* Long enough for the memory to get another owner. */
		if (t_random(random) % 2)
			t_sleep_us(t_random(random) % 4000);
		if (t_random(random) % 4 == 0)
			madvise(at, BLOCK, MADV_DONTNEED);
	}
	munmap(at, BLOCK);
}

static void use_calls(struct slot *s)
{
	uint64_t pages[32], n = 32;
	struct gpumem_info info;

	check_one_of(gm_info(shared, s->pin, &info), "INFO", 0, ENOENT, 0);
	check_one_of(gm_pages(shared, s->pin, 0, pages, &n), "PAGES", 0, ENOENT,
		     ENODEV);
}

/* A file of its own on the same memory, closed while that is being freed. */
static void use_own_file(struct slot *s, uint64_t *random)
{
	struct gpumem_pin pin;
	int fd = gm_open();
	void *at;
	/* ENODEV: freed while PIN was under way. */
	int r = gm_pin(fd, s->addr, BLOCK, &pin);

	check_one_of(r, "PIN of memory being freed", 0, EINVAL, ENODEV);
	if (!r) {
		r = gm_map(fd, &pin, &at);
		check_one_of(r, "mmap in an own file", 0, ENODEV, 0);
		if (!r)
			touch(at, BLOCK, random);
		close(fd);
		if (!r) {
			touch(at, BLOCK, random);
			munmap(at, BLOCK);
		}
		atomic_fetch_add(&closes, 1);
	} else {
		close(fd);
	}
}

static void *racer_run(void *arg)
{
	uint64_t random = *(uint64_t *)arg;

	while (!atomic_load(&the_end)) {
		struct slot *s = &slots[t_random(&random) % SLOTS];

		switch (t_random(&random) % 16) {
		case 0:
		case 1:
			slot_empty(s, t_random(&random) % 2);
			/* fall through */
		case 2:
		case 3:
			slot_fill(s);
			break;
		case 4:
			check_one_of(gm_unpin(shared, s->pin), "a stray UNPIN",
				     0, ENOENT, 0);
			atomic_fetch_add(&unpins, 1);
			break;
		case 5:
		case 6:
			use_calls(s);
			break;
		case 7:
		case 8:
			use_own_file(s, &random);
			break;
		default:
			use_mapping(s, &random);
			break;
		}
	}
	return NULL;
}

/* Takes the pages that the racers give back and looks whether they change. */
static void watcher_run(void *arg)
{
	int end = *(int *)arg, own = emu_open();
	uint32_t *host = malloc(BLOCK);
	uint64_t addr;
	size_t i;
	char byte;

	need(host, "out of memory");
	fcntl(end, F_SETFL, O_NONBLOCK);
	while (read(end, &byte, 1) < 0) {
		if (emu_try_alloc(own, BLOCK, &addr)) {
			t_sleep_us(100);
			continue;
		}
		for (i = 0; i < BLOCK / 4; i++)
			host[i] = CALM;
		check_result(emu_write(own, addr, host, BLOCK), 0, "writing");
		t_sleep_us(3000);
		check_result(emu_read(own, addr, host, BLOCK), 0, "reading");
		for (i = 0; i < BLOCK / 4; i++)
			if (!check(host[i] == CALM,
				   "another process's memory was written: word "
				   "%zu is %#x",
				   i, host[i]))
				_exit(1);
		check_result(emu_free(own, addr), 0, "freeing");
		atomic_fetch_add(watched, 1);
	}
}

/*
 * Takes all video memory but a few blocks, so that what the racers free is soon
 * the watcher's.
 */
static void ballast_take(int fd)
{
	uint64_t left = emu_counters().free_pages * GPU_PAGE, addr;

	if (left > (SLOTS + 1) * BLOCK)
		emu_alloc(fd, left - (SLOTS + 1) * BLOCK);
	need(!emu_try_alloc(fd, BLOCK, &addr) && !emu_free(fd, addr),
	     "no video memory is left for the races");
}

static void races_wait(unsigned long ms)
{
	const struct t_kind kinds[] = {
		{ "frees", &frees, 1 },
		{ "stray unpins", &unpins, 1 },
		{ "maps", &maps, 1 },
		{ "maps refused", &maps_refused, 1 },
		{ "closes", &closes, 1 },
		{ "stores", &stores, 1 },
		{ "signals", &signals, 1 },
		{ "blocks watched", watched, 10 },
	};

	t_race(ms, kinds, sizeof(kinds) / sizeof(kinds[0]));
}

int main(int argc, char **argv)
{
	unsigned long ms = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	pthread_t threads[THREADS];
	uint64_t seeds[THREADS];
	int end[2];
	size_t i;
	pid_t pid;

	printf("seed %llu\n", (unsigned long long)seed);
	t_signals_catch();
	need(!pipe(end), "pipe: %s", strerror(errno));
	watched = t_shared(sizeof(*watched));
	emu = emu_open();
	ballast_take(emu);
	pid = t_fork(watcher_run, &end[0]);
	shared = gm_open();
	for (i = 0; i < SLOTS; i++)
		slot_fill(&slots[i]);
	for (i = 0; i < THREADS; i++) {
		seeds[i] = seed + i;
		need(!pthread_create(&threads[i], NULL, racer_run, &seeds[i]),
		     "pthread_create");
	}
	races_wait(ms);
	atomic_store(&the_end, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	need(write(end[1], "", 1) == 1, "write: %s", strerror(errno));
	t_join("the watcher", pid);
	printf("%u frees, %u stray unpins, %u maps, %u maps refused, %u closes, "
	       "%u stores, %u signals, %u blocks watched\n",
	       frees, unpins, maps, maps_refused, closes, stores, signals,
	       *watched);
	close(shared);
	close(emu);
	emu_check_nothing_pinned("after the races");
	return t_end();
}
