// SPDX-License-Identifier: MIT
/*
 * kill -9 at random moments: processes that do everything there is to do are
 * killed in the middle of it, and nothing may be left of them.
 *
 * usage: vm-storm [KILLS [SEED]]; the seed that it prints replays its moments
 */
#include "t.h"

#include <sys/prctl.h>

#define LONGEST_US 30000

static void step_new(int emu, int fd, uint64_t *state)
{
	uint64_t length = 1 + t_random(state) % MIB, pages[17], n = 17;
	uint64_t addr = emu_alloc(emu, 2 * MIB) + t_random(state) % MIB;
	struct gpumem_pin pin = gm_must_pin(fd, addr, length);
	struct gpumem_info info;
	void *at;

	gm_info(fd, pin.pin, &info);
	gm_pages(fd, pin.pin, 0, pages, &n);
	if (!gm_map(fd, &pin, &at)) {
		memset(at, 0x5a, gm_bytes(&pin));
		if (t_random(state) % 2)
			munmap(at, gm_bytes(&pin));
	}
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

int main(int argc, char **argv)
{
	unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 0) : 200, i;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	uint64_t state = seed, callbacks = emu_counters().callbacks;
	struct gpumem_emu_counters c;
	int status;

	printf("%lu kills, seed %llu\n", kills, (unsigned long long)seed);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
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
		t_sleep_us(t_random(&state) % LONGEST_US);
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
	/* Otherwise the victims never got as far as to pin. */
	check(c.callbacks > callbacks, "no pin was revoked in the whole storm");
	return t_end();
}
