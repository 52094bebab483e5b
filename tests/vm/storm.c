// SPDX-License-Identifier: MIT
/*
 * kill -9 at random moments: processes that do everything there is to do are
 * killed in the middle of it, and nothing may be left of them.
 *
 * usage: vm-storm [KILLS [SEED]]; the seed that it prints replays its moments
 */
#include "t.h"

#include <stdatomic.h>
#include <sys/prctl.h>

/* A victim lives at most as long as so many steps take on this machine. */
#define LONGEST_STEPS 2
/* Victims that are watched to find that out. */
#define LIVES 12

/* What the victims got done before they died, in memory that outlives them. */
struct done {
	atomic_ulong pins, persistent, maps, dma_maps, exports, export_maps;
	atomic_ulong steps; /* that were done to their end */
	atomic_ulong victims; /* that did at least one */
};

static struct done *done;

/* The device that step_dma() maps for: bus << 8 | devfn; -1: none will do. */
static int peer = -1;

static void done_add(atomic_ulong *what)
{
	atomic_fetch_add(what, 1);
}

static int dma_map(int fd, uint32_t pin, int device, uint32_t *dma)
{
	struct gpumem_dma_map m = { .size = sizeof(m),
				    .pin = pin,
				    .bus = (uint8_t)(device >> 8),
				    .devfn = (uint8_t)device,
				    .device_fd = -1 };
	int r = t_ioctl(fd, GPUMEM_IOC_DMA_MAP, &m);

	*dma = m.dma;
	return r;
}

static void step_dma(int fd, uint32_t pin, uint64_t *state)
{
	struct gpumem_dma_unmap unmap = { .size = sizeof(unmap) };

	if (peer < 0 || dma_map(fd, pin, peer, &unmap.dma))
		return;
	done_add(&done->dma_maps);
	if (t_random(state) % 2)
		t_ioctl(fd, GPUMEM_IOC_DMA_UNMAP, &unmap);
}

static void step_export(int fd, uint32_t pin, uint64_t *state)
{
	struct gpumem_export e = { .size = sizeof(e),
				   .pin = pin,
				   .flags = O_RDWR | O_CLOEXEC };
	void *at;

	if (t_ioctl(fd, GPUMEM_IOC_EXPORT, &e))
		return;
	done_add(&done->exports);
	if (!t_map(e.fd, 0, e.dmabuf_size, &at)) {
		/* A revocation may have been first. */
		if (!t_store(at, 1))
			done_add(&done->export_maps);
		if (t_random(state) % 2)
			munmap(at, e.dmabuf_size);
	}
	if (t_random(state) % 2)
		close(e.fd);
}

static void step_new(int emu, int fd, uint64_t *state)
{
	uint64_t length = 1 + t_random(state) % (256 * KIB), pages[17], n = 17;
	uint64_t addr = emu_alloc(emu, 2 * MIB) + t_random(state) % MIB;
	struct gpumem_pin pin = { .size = sizeof(pin),
				  .addr = addr,
				  .length = length };
	struct gpumem_info info;
	void *at;

	if (t_random(state) % 4 == 0)
		pin.flags = GPUMEM_PIN_PERSISTENT;
	if (t_ioctl(fd, GPUMEM_IOC_PIN, &pin))
		_exit(1);
	done_add(&done->pins);
	if (pin.flags)
		done_add(&done->persistent);
	gm_info(fd, pin.pin, &info);
	gm_pages(fd, pin.pin, 0, pages, &n);
	if (!gm_map(fd, &pin, &at)) {
		memset(at, 0x5a, gm_bytes(&pin));
		done_add(&done->maps);
		if (t_random(state) % 2)
			munmap(at, gm_bytes(&pin));
	}
	if (t_random(state) % 2)
		step_dma(fd, pin.pin, state);
	if (t_random(state) % 2)
		step_export(fd, pin.pin, state);
	if (t_random(state) % 2)
		gm_unpin(fd, pin.pin);
	emu_free(emu, addr & ~(2 * MIB - 1));
}

static void step_seed(int emu, int fd, uint64_t *state)
{
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpudma_state_t *s;
	void *handle, *at;
	size_t i;

	if (seed_lock(fd, addr, MIB, &handle, NULL) ||
	    seed_state(fd, handle, 16, &s))
		_exit(1);
	done_add(&done->pins);
	for (i = 0; i < s->page_count; i++) {
		if (t_map(fd, s->pages[i], GPU_PAGE, &at))
			_exit(1);
		memset(at, 0x5a, GPU_PAGE);
		if (t_random(state) % 2)
			munmap(at, GPU_PAGE);
	}
	free(s);
	if (t_random(state) % 2)
		seed_unlock(fd, handle);
	emu_free(emu, addr);
}

/* Never returns. Every fourth victim has a child that holds its files. */
static void victim_run(uint64_t seed)
{
	uint64_t state = seed;
	int emu, fd, i;

	if (setpgid(0, 0))
		_exit(1);
	emu = emu_open();
	fd = gm_open();
	if (t_random(&state) % 4 == 0 && !fork())
		for (;;)
			pause();
	for (i = 0;; i++) {
		if (i)
			done_add(&done->steps);
		if (i == 1)
			done_add(&done->victims);
		if (t_random(&state) % 2)
			step_new(emu, fd, &state);
		else
			step_seed(emu, fd, &state);
		if (t_random(&state) % 8 == 0) {
			close(fd);
			fd = gm_open();
		}
	}
}

/* A device that reaches the emulated GPU's memory. */
static void peer_find(void)
{
	int emu = emu_open(), fd = gm_open(), device;
	uint32_t pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB).pin, dma;

	for (device = 0; device < 0x10000 && peer < 0; device++)
		if (!dma_map(fd, pin, device, &dma))
			peer = device;
	close(fd);
	close(emu);
}

static void done_check(bool root)
{
	printf("%lu pins (%lu persistent), %lu mappings, %lu DMA mappings, %lu dma-bufs (%lu mapped), %lu steps by %lu victims\n",
	       atomic_load(&done->pins), atomic_load(&done->persistent),
	       atomic_load(&done->maps), atomic_load(&done->dma_maps),
	       atomic_load(&done->exports), atomic_load(&done->export_maps),
	       atomic_load(&done->steps), atomic_load(&done->victims));
	check(atomic_load(&done->victims) && atomic_load(&done->persistent) &&
		      atomic_load(&done->maps) &&
		      atomic_load(&done->export_maps) &&
		      (!root || atomic_load(&done->dma_maps)),
	      "the victims died before they did anything");
}

/* How long one victim takes for LONGEST_STEPS steps, in milliseconds. */
static uint64_t life_of_one(uint64_t seed)
{
	uint64_t start = t_now_ms(), ms;
	pid_t pid;

	memset(done, 0, sizeof(*done));
	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		victim_run(seed);
	setpgid(pid, pid);
	while (atomic_load(&done->steps) < LONGEST_STEPS &&
	       t_now_ms() - start < 60000)
		t_sleep_us(1000);
	ms = t_now_ms() - start;
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	need(atomic_load(&done->steps) >= LONGEST_STEPS,
	     "a victim does nothing");
	return ms;
}

/*
 * How long a victim may live, in microseconds: the quickest of a few. The
 * first ones take up to thirty times as long: an emulated machine translates the
 * kernel's code as it comes by.
 */
static unsigned int life_measure(uint64_t seed)
{
	uint64_t best = UINT64_MAX, ms;
	int i;

	for (i = 0; i < LIVES; i++) {
		ms = life_of_one(seed + i);
		best = ms < best ? ms : best;
	}
	memset(done, 0, sizeof(*done));
	return (unsigned int)best * 1000 + 1;
}

int main(int argc, char **argv)
{
	unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 0) : 200, i;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	uint64_t state = seed;
	struct gpumem_emu_counters c;
	unsigned int life;
	int status;

	printf("%lu kills, seed %llu\n", kills, (unsigned long long)seed);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(done != MAP_FAILED, "mmap: %s", strerror(errno));
	t_signals_catch();
	/* Only who has CAP_SYS_RAWIO may map for a device just so. */
	if (!geteuid())
		peer_find();
	life = life_measure(seed);
	printf("a victim lives up to %u us\n", life);
	for (i = 0; i < kills; i++) {
		uint64_t one = state + i;
		pid_t pid;

		fflush(stdout);
		pid = fork();
		need(pid >= 0, "fork: %s", strerror(errno));
		if (!pid)
			victim_run(one);
		/* Both sides: the child may not have run yet. */
		setpgid(pid, pid);
		t_sleep_us(t_random(&state) % life);
		kill(-pid, SIGKILL);
		need(waitpid(pid, &status, 0) == pid, "waitpid: %s",
		     strerror(errno));
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		      "victim %lu ended by itself: status %#x", i,
		      (unsigned int)status);
		while (waitpid(-1, &status, 0) > 0)
			;
		/* Now and then, so that the culprit is found near its end. */
		if (i % 20 == 19)
			emu_check_nothing_pinned("in the storm");
	}
	emu_check_nothing_pinned("after the storm");
	c = emu_counters();
	check(!c.blocks && c.free_pages * GPU_PAGE == c.vram_bytes,
	      "%llu blocks are left, %llu of %llu bytes free",
	      (unsigned long long)c.blocks,
	      (unsigned long long)(c.free_pages * GPU_PAGE),
	      (unsigned long long)c.vram_bytes);
	done_check(!geteuid());
	return t_end();
}
