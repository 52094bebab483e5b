// SPDX-License-Identifier: MIT
/*
 * kill -9 at random moments of processes that map DMA, free the memory under it
 * and let the board work: nothing may be left of them.
 *
 * usage: vm-dma-storm [KILLS [SEED]]; the seed that it prints replays its
 * moments
 */
#include "t_dma.h"

#define LONGEST_US 30000

static struct t_peer peer;

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
		emu_free(emu, addr);
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
	}
}

/*
 * How long a victim may live, in microseconds: long enough for some to free
 * memory that is pinned, however slow the machine is.
 */
static unsigned int life_measure(uint64_t seed)
{
	uint64_t start = t_now_ms(), callbacks = emu_counters().callbacks, ms;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		victim_run(seed);
	while (emu_counters().callbacks == callbacks &&
	       t_now_ms() - start < 60000)
		t_sleep_us(1000);
	ms = t_now_ms() - start;
	kill(pid, SIGKILL);
	need(waitpid(pid, NULL, 0) == pid, "waitpid: %s", strerror(errno));
	return ms * 1000 > LONGEST_US ? (unsigned int)ms * 1000 : LONGEST_US;
}

int main(int argc, char **argv)
{
	unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 0) : 200, i;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	uint64_t state = seed, callbacks = emu_counters().callbacks;
	struct gpumem_emu_counters c;
	int board = t_board_open(), status;
	unsigned int life;

	peer = t_peer_of_board(board);
	close(board);
	printf("%lu kills, seed %llu\n", kills, (unsigned long long)seed);
	life = life_measure(seed);
	printf("a victim lives up to %u us\n", life);
	callbacks = emu_counters().callbacks;
	for (i = 0; i < kills; i++) {
		uint64_t one = state + i;
		pid_t pid;

		fflush(stdout);
		pid = fork();
		need(pid >= 0, "fork: %s", strerror(errno));
		if (!pid)
			victim_run(one);
		t_sleep_us(t_random(&state) % life);
		kill(pid, SIGKILL);
		need(waitpid(pid, &status, 0) == pid, "waitpid: %s",
		     strerror(errno));
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		      "victim %lu ended by itself: status %#x", i,
		      (unsigned int)status);
		if (i % 20 == 19)
			emu_check_nothing_pinned("in the storm");
	}
	emu_check_nothing_pinned("after the storm");
	c = emu_counters();
	check(!c.dma_maps && !c.blocks,
	      "%llu DMA mappings, %llu blocks are left",
	      (unsigned long long)c.dma_maps, (unsigned long long)c.blocks);
	/* Otherwise the victims never got as far as to pin. */
	check(c.callbacks > callbacks, "no pin was revoked in the whole storm");
	return t_end();
}
