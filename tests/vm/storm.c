// SPDX-License-Identifier: MIT
/*
 * kill -9 at random moments: processes that do everything there is to do are
 * killed in the middle of it, and nothing may be left of them.
 *
 * usage: vm-storm [KILLS [SEED]]; the seed that it prints replays its moments
 */
#include "t.h"

#include <sys/prctl.h>

/* What the victims got done before they died, in memory that outlives them. */
struct done {
	atomic_uint pins, persistent, maps, dma_maps, exports, export_maps;
};

static struct done *done;

/* The device that step_dma() maps for: bus << 8 | devfn; -1: none will do. */
static int peer = -1;

static void done_add(atomic_uint *what)
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
	int emu = emu_open(), fd = gm_open();

	if (t_random(&state) % 4 == 0 && !fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	for (;;) {
		if (t_random(&state) % 2)
			step_new(emu, fd, &state);
		else
			step_seed(emu, fd, &state);
		if (t_random(&state) % 8 == 0) {
			close(fd);
			fd = gm_open();
		}
		t_storm_round();
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
	need(peer >= 0, "no PCI device can be mapped for");
	close(fd);
	close(emu);
}

static void storm_run(unsigned long kills, uint64_t seed)
{
	const struct t_kind kinds[] = {
		{ "persistent pins", &done->persistent, 1 },
		{ "mappings", &done->maps, 1 },
		{ "mapped dma-bufs", &done->export_maps, 1 },
		{ "DMA mappings", &done->dma_maps, peer >= 0 },
	};
	const struct t_storm storm = { .kills = kills,
				       .seed = seed,
				       .victim = victim_run,
				       .kinds = kinds,
				       .count = sizeof(kinds) /
						sizeof(kinds[0]) };

	t_storm(&storm);
	printf("%u pins (%u persistent), %u mappings, %u DMA mappings, %u dma-bufs (%u mapped)\n",
	       done->pins, done->persistent, done->maps, done->dma_maps,
	       done->exports, done->export_maps);
}

int main(int argc, char **argv)
{
	unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 0) : 200;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	struct gpumem_emu_counters c;

	printf("%lu kills, seed %llu\n", kills, (unsigned long long)seed);
	done = t_shared(sizeof(*done));
	t_signals_catch();
	/* Only who has CAP_SYS_RAWIO may map for a device just so. */
	if (!geteuid())
		peer_find();
	storm_run(kills, seed);
	c = emu_counters();
	check(!c.blocks && c.free_pages * GPU_PAGE == c.vram_bytes,
	      "%llu blocks are left, %llu of %llu bytes free",
	      (unsigned long long)c.blocks,
	      (unsigned long long)(c.free_pages * GPU_PAGE),
	      (unsigned long long)c.vram_bytes);
	return t_end();
}
