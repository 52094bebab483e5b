// SPDX-License-Identifier: MIT
/*
 * Memory taken back at random moments while threads map, touch, DMA-map, export,
 * unpin and close the pin of it. A round is one pin; it counts if its memory was
 * taken back while it was pinned.
 *
 * usage: vm-revocations [REVOCATIONS [SEED]]
 */
#include "../vm/t.h"

#include <pthread.h>

#define BYTES MIB
#define LONGEST_US 2000

/* The round in progress. */
struct round {
	int fd;
	uint64_t addr;
	struct gpumem_pin pin;
	void *at; /* mapped before the race */
	bool unpin, close; /* what else shall end the pin */
	bool closed; /* it did, and unmapped at */
};

struct racer {
	const char *name;
	/* One try; 0 or an errno, negative for a signal. */
	int (*run)(uint64_t *state);
	int allowed[6];
	atomic_uint good, refused, signals;
};

static struct round round_now;
static atomic_bool over, ended;
static pthread_barrier_t start, stop;
static int peer = -1;
static uint64_t seed;

static int dma_map(int device, uint32_t *dma)
{
	struct gpumem_dma_map m = { .size = sizeof(m),
				    .pin = round_now.pin.pin,
				    .bus = (uint8_t)(device >> 8),
				    .devfn = (uint8_t)device,
				    .device_fd = -1 };
	int r = t_ioctl(round_now.fd, GPUMEM_IOC_DMA_MAP, &m);

	*dma = m.dma;
	return r;
}

static int race_mmap(uint64_t *state)
{
	void *at;
	int r = t_map(round_now.fd, round_now.pin.mmap_offset, BYTES, &at);

	if (r)
		return r;
	r = t_store((char *)at + t_random(state) % BYTES / PAGE * PAGE, 1);
	munmap(at, BYTES);
	return -r;
}

static int race_fault(uint64_t *state)
{
	return -t_load((char *)round_now.at +
			       t_random(state) % BYTES / PAGE * PAGE,
		       NULL);
}

static int race_dma(uint64_t *state)
{
	struct gpumem_dma_unmap unmap = { .size = sizeof(unmap) };
	struct gpumem_dma_run run;
	struct gpumem_dma_runs runs = { .size = sizeof(runs),
					.count = 1,
					.runs = (uintptr_t)&run };
	int r = dma_map(peer, &unmap.dma);

	if (r)
		return r;
	runs.dma = unmap.dma;
	if (t_random(state) % 2)
		r = t_ioctl(round_now.fd, GPUMEM_IOC_DMA_RUNS, &runs);
	if (t_random(state) % 4)
		t_ioctl(round_now.fd, GPUMEM_IOC_DMA_UNMAP, &unmap);
	return r;
}

static int race_export(uint64_t *state)
{
	struct gpumem_export e = { .size = sizeof(e),
				   .pin = round_now.pin.pin,
				   .flags = O_RDWR | O_CLOEXEC };
	int r = t_ioctl(round_now.fd, GPUMEM_IOC_EXPORT, &e);
	void *at;

	if (r)
		return r;
	r = t_map(e.fd, 0, BYTES, &at);
	if (!r) {
		r = -t_load((char *)at + t_random(state) % BYTES / PAGE * PAGE,
			    NULL);
		munmap(at, BYTES);
	}
	close(e.fd);
	return r;
}

static int race_end(uint64_t *state)
{
	if (atomic_load(&ended))
		return ENOENT;
	t_sleep_us(t_random(state) % LONGEST_US);
	if (round_now.unpin)
		gm_unpin(round_now.fd, round_now.pin.pin);
	/* A mapping holds the file. The number leads to another from here on. */
	if (round_now.close) {
		round_now.closed = true;
		munmap(round_now.at, BYTES);
		dup2(0, round_now.fd);
	}
	atomic_store(&ended, true);
	return 0;
}

/* After a close the number leads to a file that is none of ours. */
static struct racer racers[] = {
	{ .name = "mmap",
	  .run = race_mmap,
	  .allowed = { ENODEV, EPERM, EACCES } },
	{ .name = "fault", .run = race_fault },
	{ .name = "dma",
	  .run = race_dma,
	  .allowed = { ENODEV, ENOENT, ENOTTY } },
	{ .name = "export",
	  .run = race_export,
	  .allowed = { ENODEV, ENOENT, ENOTTY } },
	{ .name = "unpin or close", .run = race_end, .allowed = { ENOENT } },
};

#define RACERS (sizeof(racers) / sizeof(racers[0]))

static void racer_result(struct racer *r, int result)
{
	size_t i;

	if (!result) {
		atomic_fetch_add(&r->good, 1);
		return;
	}
	if (result == -SIGBUS || (result == -SIGSEGV && round_now.close)) {
		atomic_fetch_add(&r->signals, 1);
		return;
	}
	atomic_fetch_add(&r->refused, 1);
	for (i = 0; i < sizeof(r->allowed) / sizeof(r->allowed[0]); i++)
		if (result > 0 && r->allowed[i] == result)
			return;
	check(false, "%s: %s (%d) in a race with a revocation", r->name,
	      result > 0 ? strerrorname_np(result) : "a signal", result);
}

static void *racer_thread(void *arg)
{
	struct racer *r = arg;
	uint64_t state = seed + (uint64_t)(r - racers);

	for (;;) {
		pthread_barrier_wait(&start);
		if (atomic_load(&over))
			return NULL;
		do
			racer_result(r, r->run(&state));
		while (!atomic_load(&ended));
		pthread_barrier_wait(&stop);
	}
}

static void peer_find(int emu)
{
	uint32_t dma;
	int device;

	round_now.fd = gm_open();
	round_now.pin = gm_must_pin(round_now.fd, emu_alloc(emu, MIB), MIB);
	for (device = 0; device < 0x10000 && peer < 0; device++)
		if (!dma_map(device, &dma))
			peer = device;
	close(round_now.fd);
	need(peer >= 0, "no PCI device can be mapped for");
}

static void round_begin(int emu, uint64_t *state)
{
	struct round *r = &round_now;
	uint32_t kind = t_random(state) % 8;
	int error;

	r->fd = gm_open();
	r->addr = emu_alloc(emu, BYTES);
	r->pin = gm_must_pin(r->fd, r->addr, BYTES);
	r->unpin = kind == 0;
	r->close = kind == 1;
	r->closed = false;
	error = gm_map(r->fd, &r->pin, &r->at);
	need(!error, "mmap: %s", strerror(error));
	atomic_store(&ended, !(r->unpin || r->close));
}

/* Takes the memory back; true if it was pinned at that moment. */
static bool round_revoke(int emu, uint64_t *state)
{
	uint64_t before = emu_counters().callbacks;
	int r;

	t_sleep_us(t_random(state) % LONGEST_US);
	r = emu_free(emu, round_now.addr);
	check_result(r, 0, "freeing");
	atomic_store(&ended, true);
	return emu_counters().callbacks != before;
}

static void round_end(bool revoked)
{
	struct gpumem_info info;
	uint32_t dma;
	void *at;
	int r;

	if (!round_now.closed) {
		check(t_load(round_now.at, NULL) == SIGBUS,
		      "memory that was taken back is still mapped");
		r = gm_info(round_now.fd, round_now.pin.pin, &info);
		if (!round_now.unpin)
			check(!r && revoked && info.flags == GPUMEM_PIN_REVOKED,
			      "INFO: %s, revoked %d, flags %#x", strerror(r),
			      revoked, info.flags);
		check(dma_map(peer, &dma), "DMA_MAP of memory taken back");
		check(t_map(round_now.fd, round_now.pin.mmap_offset, BYTES,
			    &at),
		      "mmap of memory taken back");
		munmap(round_now.at, BYTES);
	}
	close(round_now.fd);
}

int main(int argc, char **argv)
{
	unsigned long want = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000;
	unsigned long revoked = 0, rounds = 0;
	struct gpumem_emu_counters before, after;
	struct t_kind kinds[RACERS];
	pthread_t threads[RACERS];
	uint64_t state;
	int emu;
	size_t i;

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	state = ~seed;
	printf("%lu revocations, seed %llu\n", want, (unsigned long long)seed);
	t_signals_catch();
	emu = emu_open();
	peer_find(emu);
	before = emu_counters();
	pthread_barrier_init(&start, NULL, RACERS + 1);
	pthread_barrier_init(&stop, NULL, RACERS + 1);
	for (i = 0; i < RACERS; i++) {
		kinds[i] =
			(struct t_kind){ racers[i].name, &racers[i].good, 1 };
		need(!pthread_create(&threads[i], NULL, racer_thread,
				     &racers[i]),
		     "pthread_create");
	}
	while (revoked < want || t_missing(kinds, RACERS)) {
		bool was;

		round_begin(emu, &state);
		pthread_barrier_wait(&start);
		was = round_revoke(emu, &state);
		pthread_barrier_wait(&stop);
		round_end(was);
		revoked += was;
		rounds++;
	}
	atomic_store(&over, true);
	pthread_barrier_wait(&start);
	for (i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
		printf("%s: %u successes, %u errors, %u signals\n",
		       racers[i].name, racers[i].good, racers[i].refused,
		       racers[i].signals);
	}
	close(emu);
	emu_check_nothing_pinned("after the revocations");
	after = emu_counters();
	check(!after.dma_maps, "%llu DMA mappings are left",
	      (unsigned long long)after.dma_maps);
	check(after.violations == before.violations,
	      "%llu breaches of the driver's contract",
	      (unsigned long long)(after.violations - before.violations));
	printf("%lu revocations in %lu rounds\n", revoked, rounds);
	return t_end();
}
