// SPDX-License-Identifier: MIT
/*
 * kill -9 at random moments of processes that map DMA, free the memory under it
 * and let the board work: nothing may be left of them.
 *
 * usage: vm-dma-storm [KILLS [SEED]]; the seed that it prints replays its
 * moments
 */
#include "t_dma.h"

static struct t_peer peer;
/* Pins whose memory the victims freed, in memory that they share. */
static atomic_uint *revoked;

static void step(int emu, int fd, uint64_t *state)
{
	uint64_t addr = emu_alloc(emu, 2 * MIB), n;
	struct gpumem_dma_map map[4];
	struct gpumem_dma_run run[32];
	struct gpumem_pin pin;
	uint32_t i;

	pin = gm_must_pin(fd, addr + t_random(state) % MIB, MIB);
	for (i = 0; i < 4; i++) {
		map[i] = gm_must_dma_map(fd, pin.pin, &peer);
		n = 32;
		gm_dma_runs(fd, map[i].dma, 0, run, &n);
	}
	for (i = 0; i < 4; i++)
		if (t_random(state) % 2)
			gm_dma_unmap(fd, map[i].dma);
	if (t_random(state) % 2)
		atomic_fetch_add(revoked, !emu_free(emu, addr));
	if (t_random(state) % 2)
		gm_unpin(fd, pin.pin);
	emu_free(emu, addr);
}

/* The board is working when its program dies. */
static void board_step(int emu, int fd, uint64_t *state)
{
	struct gpumem_pin pin =
		gm_must_pin(fd, emu_alloc(emu, 2 * MIB), 2 * MIB);
	struct gpumem_dma_map map = gm_must_dma_map(fd, pin.pin, &peer);
	struct gpumem_dma_run *runs = gm_dma_all_runs(fd, &map);
	int board = t_board_open();
	char data[2048] = { 0 };

	board_send(board, runs[0].addr, data, sizeof(data));
	board_receive(board, runs[0].addr, data, sizeof(data));
	close(board);
	free(runs);
	gm_unpin(fd, pin.pin);
}

static void victim_run(uint64_t seed)
{
	uint64_t state = seed;
	int emu = emu_open(), fd = gm_open();

	for (;;) {
		if (t_random(&state) % 8)
			step(emu, fd, &state);
		else
			board_step(emu, fd, &state);
		if (t_random(&state) % 8 == 0) {
			close(fd);
			fd = gm_open();
		}
		t_storm_round();
	}
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	struct t_kind kind = { .name = "pins revoked", .least = 1 };
	const struct t_storm storm = {
		.kills = argc > 1 ? strtoul(argv[1], NULL, 0) : 200,
		.seed = seed,
		.victim = victim_run,
		.kinds = &kind,
		.count = 1,
	};
	int board = t_board_open();
	struct gpumem_emu_counters c;

	printf("seed %llu\n", (unsigned long long)seed);
	kind.count = revoked = t_shared(sizeof(*revoked));
	peer = t_peer_of_board(board);
	close(board);
	t_storm(&storm);
	c = emu_counters();
	check(!c.dma_maps && !c.blocks,
	      "%llu DMA mappings, %llu blocks are left",
	      (unsigned long long)c.dma_maps, (unsigned long long)c.blocks);
	return t_end();
}
