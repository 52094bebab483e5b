// SPDX-License-Identifier: MIT
/*
 * How long the memory behind a dma-buf lives, and what kill -9 and races make of
 * it.
 *
 * usage: vm-dmabuf-life MODE [SEED]; the seed that it prints replays it
 */
#include "t_dmabuf.h"

#include <pthread.h>
#include <sys/socket.h>

#define P2P (IMPORTER_DYNAMIC | IMPORTER_PEER2PEER)
#define LAZY (P2P | IMPORTER_LAZY)
#define BLOCK (2 * MIB)
#define KILLS 100
#define RACE_MS 5000

static uint64_t seed;

/* All free video memory is another process's, full of other bytes. */
static void grab_run(void *arg)
{
	int emu = emu_open();
	uint64_t addr, at;
	char *host = malloc(MIB);

	(void)arg;
	need(host, "out of memory");
	memset(host, 0xee, MIB);
	while (!emu_try_alloc(emu, BLOCK, &addr))
		for (at = 0; at < BLOCK; at += MIB)
			check_result(emu_write(emu, addr + at, host, MIB), 0,
				     "writing");
	free(host);
	close(emu);
}

/* An importer holds the memory; nobody else gets it until it lets go. */
static void mode_reuse(void)
{
	uint64_t free_pages = emu_counters().free_pages, addr, i;
	int emu = emu_open(), fd = gm_open(), dmabuf, imp;
	struct gpumem_pin pin;
	uint32_t value;

	/* Leaves little enough for the other process to take it all. */
	emu_alloc(emu, (free_pages - 256) * GPU_PAGE);
	addr = emu_alloc(emu, BLOCK);
	pin = gm_must_pin(fd, addr, BLOCK);
	dmabuf = gm_must_export(fd, &pin);
	imp = imp_must_map(dmabuf, LAZY);
	for (i = 0; i < BLOCK; i += GPU_PAGE)
		check_result(imp_write(imp, i, (uint32_t)i + 7), 0,
			     "a DMA write");
	check_result(emu_free(emu, addr), 0, "freeing");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	close(dmabuf);
	t_child("another process", grab_run, NULL);
	for (i = 0; i < BLOCK; i += GPU_PAGE) {
		check_result(imp_read(imp, i, &value), 0, "a DMA read");
		if (!check(value == (uint32_t)i + 7,
			   "another process got an importer's memory: %#x",
			   value))
			break;
	}
	check(emu_counters().free_pages == 256 - BLOCK / GPU_PAGE,
	      "%llu pages are free under a mapping",
	      (unsigned long long)emu_counters().free_pages);
	/* It cannot come back once let go. */
	check_result(imp_unmap(imp), 0, "unmapping");
	check_result(imp_map(imp), ENODEV, "mapping again");
	check_result(imp_detach(imp), 0, "detaching");
	emu_check_free_pages(256, "after the importer let go");
	close(imp);
	close(fd);
	close(emu);
	emu_check_free_pages(free_pages, "in the end");
}

/* An importer that pins keeps a persistent pin's memory through everything. */
static void mode_pinned(void)
{
	uint64_t free_pages = emu_counters().free_pages;
	int emu = emu_open(), fd = gm_open(), dmabuf, imp;
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin =
		gm_must_pin_flags(fd, addr, BLOCK, GPUMEM_PIN_PERSISTENT);
	uint32_t value;

	dmabuf = gm_must_export(fd, &pin);
	imp = imp_open();
	check_result(imp_attach(imp, dmabuf, LAZY), 0, "attaching");
	check_result(imp_pin(imp), 0, "pinning");
	check_result(imp_map(imp), 0, "mapping");
	close(dmabuf);
	check_result(imp_write(imp, BLOCK - 4, 0x5151), 0, "a DMA write");
	check_result(emu_free(emu, addr), 0, "freeing");
	check_result(imp_read(imp, BLOCK - 4, &value), 0, "a DMA read");
	check(value == 0x5151, "after freeing the device reads %#x", value);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	close(fd);
	close(emu);
	check_result(imp_read(imp, BLOCK - 4, &value), 0, "a DMA read");
	check(value == 0x5151, "after UNPIN the device reads %#x", value);
	check(emu_counters().free_pages == free_pages - BLOCK / GPU_PAGE,
	      "the memory is free under a pinned mapping");
	check_result(imp_detach(imp), 0, "detaching");
	emu_check_nothing_pinned("after detaching");
	emu_check_free_pages(free_pages, "after detaching");
	close(imp);
}

static void detach_run(void *imp)
{
	check_result(imp_detach(*(int *)imp), 0, "detaching");
}

static bool pages_are_free(void *want)
{
	return emu_counters().free_pages == *(uint64_t *)want;
}

/* The importer has let go before its device has: the memory waits for the fence. */
static void mode_fence(void)
{
	uint64_t free_pages = emu_counters().free_pages;
	uint64_t left = free_pages - BLOCK / GPU_PAGE;
	int emu = emu_open(), fd = gm_open(), dmabuf, imp;
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK);
	pid_t pid;

	dmabuf = gm_must_export(fd, &pin);
	imp = imp_must_map(dmabuf, P2P);
	check_result(imp_fence(imp), 0, "a fence");
	close(dmabuf);
	check_result(emu_free(emu, addr), 0, "freeing");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check(!imp_state(imp).mapped, "the importer did not let go");
	/* The last of the dma-buf. */
	pid = t_fork(detach_run, &imp);
	check(t_wait_asleep(pid), "the end of the dma-buf does not wait");
	t_sleep_us(100000);
	check(t_wait_asleep(pid), "the end of the dma-buf waits for a moment");
	check(emu_counters().free_pages == left,
	      "%llu pages are free instead of %llu before the fence signals",
	      (unsigned long long)emu_counters().free_pages,
	      (unsigned long long)left);
	check_result(imp_signal(imp), 0, "signalling");
	t_join("the one that detaches", pid);
	check(t_wait(pages_are_free, &free_pages), "the memory is not free");
	close(imp);
	close(fd);
	close(emu);
	emu_check_nothing_pinned("in the end");
}

struct parent {
	int to_child[2], importer;
};

/* Exports, hands the dma-buf on and dies. */
static void exporter_run(void *arg)
{
	struct parent *p = arg;
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, BLOCK), BLOCK);
	int dmabuf = gm_must_export(fd, &pin);

	/* The attachment is the parent's, through the file it opened. */
	check_result(imp_attach(p->importer, dmabuf, LAZY), 0, "attaching");
	check_result(imp_map(p->importer), 0, "mapping");
	check_result(imp_write(p->importer, 0, 0x7171), 0, "a DMA write");
	check_result(t_fd_send(p->to_child[1], dmabuf), 0, "sending");
	raise(SIGKILL);
}

/* The dma-buf outlives pin, file and process. */
static void mode_outlive(void)
{
	uint64_t free_pages = emu_counters().free_pages;
	struct parent p = { .importer = imp_open() };
	int dmabuf, status;
	uint32_t value;
	void *at;
	pid_t pid;

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, p.to_child), "socketpair");
	pid = t_fork(exporter_run, &p);
	dmabuf = t_fd_receive(p.to_child[0]);
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "the exporter ended by itself: %#x", (unsigned int)status);
	check(lseek(dmabuf, 0, SEEK_END) == (off_t)BLOCK, "lseek");
	check(imp_state(p.importer).notified == 1, "%u calls of move_notify",
	      imp_state(p.importer).notified);
	check_result(imp_read(p.importer, 0, &value), 0, "a DMA read");
	check(value == 0x7171, "after its death the device reads %#x", value);
	check_result(t_map(dmabuf, 0, PAGE, &at), ENODEV, "mmap");
	check_result(imp_unmap(p.importer), 0, "unmapping");
	check_result(imp_map(p.importer), ENODEV, "mapping");
	close(p.importer);
	/* Descriptors still on their way count too. */
	check_result(t_fd_send(p.to_child[1], dmabuf), 0, "sending");
	close(dmabuf);
	close(p.to_child[0]);
	close(p.to_child[1]);
	emu_check_nothing_pinned("after the last descriptor");
	emu_check_free_pages(free_pages, "after the last descriptor");
}

/* Pins whose memory the victims freed, in memory that they share. */
static atomic_uint *revoked;

/* Everything there is to do with a dma-buf, until killed. */
static void victim_run(uint64_t state)
{
	int emu = emu_open(), fd = gm_open();

	for (;;) {
		uint32_t flags = t_random(&state) % 2 ? GPUMEM_PIN_PERSISTENT
						      : 0;
		uint64_t addr = emu_alloc(emu, BLOCK);
		struct gpumem_pin pin =
			gm_must_pin_flags(fd, addr, BLOCK, flags);
		int dmabuf = gm_must_export(fd, &pin);
		int imp = imp_open();
		bool pinned = true;
		void *at;

		check_result(
			imp_attach(imp, dmabuf,
				   P2P | t_random(&state) % 2 * IMPORTER_LAZY),
			0, "attaching");
		if (flags && t_random(&state) % 2)
			check_result(imp_pin(imp), 0, "pinning");
		check_result(imp_map(imp), 0, "mapping");
		if (!t_map(dmabuf, 0, BLOCK, &at)) {
			memset(at, 0x5a, BLOCK / 8);
			munmap(at, BLOCK);
		}
		if (t_random(&state) % 2)
			close(dmabuf), dmabuf = -1;
		if (t_random(&state) % 2)
			pinned = gm_unpin(fd, pin.pin) != 0;
		if (t_random(&state) % 8 == 0) {
			pinned = false;
			close(fd);
			fd = gm_open();
		}
		emu_free(emu, addr);
		atomic_fetch_add(revoked, pinned && !flags);
		if (t_random(&state) % 2)
			imp_detach(imp);
		close(imp);
		close(dmabuf);
		t_storm_round();
	}
}

static void mode_kill(void)
{
	uint64_t free_pages = emu_counters().free_pages;
	struct t_kind kind = { .name = "pins revoked", .least = 1 };
	const struct t_storm storm = { .kills = KILLS,
				       .seed = seed,
				       .victim = victim_run,
				       .kinds = &kind,
				       .count = 1 };

	kind.count = revoked = t_shared(sizeof(*revoked));
	t_storm(&storm);
	emu_check_free_pages(free_pages, "after the kills");
}

/* A pin that threads export, import and map while others end it. */
static struct {
	int emu, fd;
	_Atomic uint64_t addr;
	_Atomic uint32_t pin;
	atomic_bool the_end;
	atomic_uint ends, exports, refused, maps, signals;
} race;

static void race_check(int found, const char *what, int a, int b)
{
	check(!found || found == a || found == b, "%s: %s", what,
	      strerror(found));
}

static void race_import(int dmabuf, uint64_t *random)
{
	int imp = imp_open(), i, r;
	uint32_t value;

	r = imp_attach(imp, dmabuf, t_random(random) % 2 ? LAZY : P2P);
	race_check(r, "attaching", 0, 0);
	for (i = t_random(random) % 4; !r && i >= 0; i--) {
		r = imp_map(imp);
		race_check(r, "mapping", ENODEV, 0);
		if (r)
			break;
		atomic_fetch_add(&race.maps, 1);
		/* ENOTCONN: move_notify came first. */
		race_check(imp_read(imp, 0, &value), "a DMA read", ENOTCONN, 0);
		race_check(imp_unmap(imp), "unmapping", ENOTCONN, 0);
	}
	close(imp);
}

static void *race_export(void *arg)
{
	uint64_t random = *(uint64_t *)arg;
	void *at;

	while (!atomic_load(&race.the_end)) {
		int dmabuf, r = gm_export(race.fd, race.pin, O_RDWR, &dmabuf);

		race_check(r, "EXPORT", ENOENT, ENODEV);
		if (r) {
			atomic_fetch_add(&race.refused, 1);
			t_sleep_us(50);
			continue;
		}
		atomic_fetch_add(&race.exports, 1);
		if (t_random(&random) % 2)
			race_import(dmabuf, &random);
		r = t_map(dmabuf, 0, BLOCK, &at);
		race_check(r, "mmap", ENODEV, 0);
		if (t_random(&random) % 2) {
			close(dmabuf);
			dmabuf = -1;
		}
		if (!r) {
			for (int i = t_random(&random) % 8; i >= 0; i--)
				if (t_store((char *)at + i * GPU_PAGE, 1))
					atomic_fetch_add(&race.signals, 1);
			munmap(at, BLOCK);
		}
		close(dmabuf);
	}
	return NULL;
}

static void *race_end(void *arg)
{
	uint64_t random = *(uint64_t *)arg;

	while (!atomic_load(&race.the_end)) {
		struct gpumem_pin pin;
		uint64_t addr;

		if (emu_try_alloc(race.emu, BLOCK, &addr))
			continue;
		if (gm_pin_flags(race.fd, addr, BLOCK, 0, 0, &pin)) {
			emu_free(race.emu, addr);
			continue;
		}
		race.pin = pin.pin;
		t_sleep_us(t_random(&random) % 3000);
		/* The id is the next one's as soon as it is unpinned. */
		if (t_random(&random) % 2) {
			check_result(gm_unpin(race.fd, pin.pin), 0, "UNPIN");
			check_result(emu_free(race.emu, addr), 0, "freeing");
		} else {
			check_result(emu_free(race.emu, addr), 0, "freeing");
			check_result(gm_unpin(race.fd, pin.pin), 0, "UNPIN");
		}
		atomic_fetch_add(&race.ends, 1);
	}
	return NULL;
}

static void mode_races(void)
{
	static const struct t_kind kinds[] = {
		{ "pins ended", &race.ends, 1 },
		{ "exports", &race.exports, 1 },
		{ "exports refused", &race.refused, 1 },
		{ "maps", &race.maps, 1 },
		{ "signals", &race.signals, 1 },
	};
	uint64_t free_pages = emu_counters().free_pages, seeds[5];
	pthread_t threads[5];
	int i;

	race.emu = emu_open();
	race.fd = gm_open();
	for (i = 0; i < 5; i++) {
		seeds[i] = seed + (uint64_t)i;
		need(!pthread_create(&threads[i], NULL,
				     i < 2 ? race_end : race_export, &seeds[i]),
		     "pthread_create");
	}
	t_race(RACE_MS, kinds, sizeof(kinds) / sizeof(kinds[0]));
	atomic_store(&race.the_end, true);
	for (i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	printf("%u pins ended, %u exports, %u refused, %u maps, %u signals\n",
	       race.ends, race.exports, race.refused, race.maps, race.signals);
	close(race.fd);
	close(race.emu);
	emu_check_nothing_pinned("after the races");
	emu_check_free_pages(free_pages, "after the races");
}

static const struct t_mode modes[] = {
	{ "reuse", mode_reuse }, { "pinned", mode_pinned },
	{ "fence", mode_fence }, { "outlive", mode_outlive },
	{ "kill", mode_kill },	 { "races", mode_races },
};

int main(int argc, char **argv)
{
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	printf("seed %llu\n", (unsigned long long)seed);
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
