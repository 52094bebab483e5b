// SPDX-License-Identifier: MIT
/*
 * Threads that map DMA, ask for the addresses, unmap, unpin and free the same
 * pins at once.
 *
 * usage: vm-dma-races [MILLISECONDS [SEED]]
 */
#include "t_dma.h"

#include <pthread.h>

#define SLOTS 3
#define THREADS 6
#define BLOCK (2 * MIB)
#define IDS 8

/* What one thread made and any other may use, also after its end. */
static _Atomic uint64_t block[SLOTS];
static _Atomic uint32_t pin_id[SLOTS], dma_id[IDS];
static int emu, shared;
static struct t_peer peer;
static atomic_bool the_end;

enum { MAP, RUNS, UNMAP, UNPIN, CALLS };
static const char *const call_name[CALLS] = { "DMA_MAP", "DMA_RUNS",
					      "DMA_UNMAP", "UNPIN" };
static const char *const unknown_name[CALLS] = { "DMA_MAP of no pin",
						 "DMA_RUNS of no mapping",
						 "DMA_UNMAP of no mapping",
						 "UNPIN of no pin" };
static atomic_uint done[CALLS], unknown[CALLS], dead, frees;

/* Races end with success, "it is not there", or "its memory is gone". */
static void note(int call, int found)
{
	bool gone = found == ENODEV && (call == MAP || call == RUNS);

	if (!found)
		atomic_fetch_add(&done[call], 1);
	else if (found == ENOENT)
		atomic_fetch_add(&unknown[call], 1);
	else if (gone)
		atomic_fetch_add(&dead, 1);
	else
		check_result(found, 0, "%s", call_name[call]);
}

static void slot_fill(int i)
{
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin = gm_must_pin(shared, addr, BLOCK);

	atomic_store(&pin_id[i], pin.pin);
	atomic_store(&block[i], addr);
}

/* Frees a block under its pin, or the pin first; then there is a new one. */
static void slot_renew(int i, uint64_t *random)
{
	uint64_t addr = atomic_exchange(&block[i], 0);
	uint32_t pin = atomic_load(&pin_id[i]);

	if (!addr) {
		/* Another thread is about it. */
		t_sleep_us(200);
		return;
	}
	if (t_random(random) % 2)
		note(UNPIN, gm_unpin(shared, pin));
	check_result(emu_free(emu, addr), 0, "freeing");
	atomic_fetch_add(&frees, 1);
	note(UNPIN, gm_unpin(shared, pin));
	slot_fill(i);
}

static void use_map(int i, uint64_t *random)
{
	_Atomic uint32_t *place = &dma_id[t_random(random) % IDS];
	struct gpumem_dma_map map;
	uint32_t old;
	int r = gm_dma_map(shared, atomic_load(&pin_id[i]), &peer, &map);

	note(MAP, r);
	if (r == ENOENT)
		slot_renew(i, random);
	if (r)
		return;
	old = atomic_exchange(place, map.dma);
	if (old)
		note(UNMAP, gm_dma_unmap(shared, old));
}

/* An id that another thread may be ending. One that is gone is not used again. */
static void use_id(int call, uint64_t *random)
{
	_Atomic uint32_t *place = &dma_id[t_random(random) % IDS];
	struct gpumem_dma_run run[BLOCK / GPU_PAGE];
	uint64_t n = BLOCK / GPU_PAGE;
	uint32_t id = atomic_load(place);
	int r;

	if (!id)
		return;
	r = call == RUNS ? gm_dma_runs(shared, id, 0, run, &n)
			 : gm_dma_unmap(shared, id);
	note(call, r);
	if (r == ENOENT)
		atomic_compare_exchange_strong(place, &id, 0);
}

static void use_own_file(int i, uint64_t *random)
{
	uint64_t addr = atomic_load(&block[i]);
	struct gpumem_dma_map map;
	struct gpumem_pin pin;
	int fd = gm_open();

	if (addr && !gm_pin(fd, addr, BLOCK, &pin)) {
		note(MAP, gm_dma_map(fd, pin.pin, &peer, &map));
		if (t_random(random) % 2)
			note(MAP, gm_dma_map(fd, pin.pin, &peer, &map));
	}
	close(fd);
}

static void *racer_run(void *arg)
{
	uint64_t random = *(uint64_t *)arg;

	while (!atomic_load(&the_end)) {
		int i = (int)(t_random(&random) % SLOTS);

		switch (t_random(&random) % 16) {
		case 0:
			slot_renew(i, &random);
			break;
		case 1:
			if (t_random(&random) % 8 == 0)
				note(UNPIN,
				     gm_unpin(shared, atomic_load(&pin_id[i])));
			break;
		case 2:
		case 3:
			use_own_file(i, &random);
			break;
		case 4:
		case 5:
			use_id(UNMAP, &random);
			break;
		case 6:
		case 7:
		case 8:
			use_id(RUNS, &random);
			break;
		default:
			use_map(i, &random);
			break;
		}
	}
	return NULL;
}

static void races_wait(unsigned long ms)
{
	struct t_kind kinds[2 * CALLS + 2] = {
		{ "frees", &frees, 1 },
		{ "calls whose memory was gone", &dead, 1 },
	};
	size_t n = 2, i;

	for (i = 0; i < CALLS; i++) {
		kinds[n++] = (struct t_kind){ call_name[i], &done[i], 1 };
		kinds[n++] = (struct t_kind){ unknown_name[i], &unknown[i], 1 };
	}
	t_race(ms, kinds, n);
}

int main(int argc, char **argv)
{
	unsigned long ms = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	int board = t_board_open(), i;
	pthread_t threads[THREADS];
	uint64_t seeds[THREADS];

	printf("seed %llu\n", (unsigned long long)seed);
	peer = t_peer_of_board(board);
	close(board);
	emu = emu_open();
	shared = gm_open();
	for (i = 0; i < SLOTS; i++)
		slot_fill(i);
	for (i = 0; i < THREADS; i++) {
		seeds[i] = seed + (uint64_t)i;
		need(!pthread_create(&threads[i], NULL, racer_run, &seeds[i]),
		     "pthread_create");
	}
	races_wait(ms);
	atomic_store(&the_end, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < CALLS; i++)
		printf("%s: %u done, %u unknown\n", call_name[i], done[i],
		       unknown[i]);
	printf("%u frees, %u calls whose memory was gone\n", frees, dead);
	close(shared);
	close(emu);
	emu_check_nothing_pinned("after the races");
	check(!emu_counters().dma_maps, "DMA mappings are left");
	return t_end();
}
