// SPDX-License-Identifier: MIT
/*
 * What a PCI device can reach, and what happens when it or its driver goes away.
 *
 *   vm-dma-peer refused|physical|translated PEER
 *   vm-dma-peer unplug|race|drain PEER
 *   vm-dma-peer unbind
 *   vm-dma-peer leaving PEER
 *
 * But for unbind the test importer drives PEER.
 */
#include "t_dma.h"

#include <pthread.h>

#define RESCAN "/sys/bus/pci/rescan"
#define DRIVER "/sys/bus/pci/drivers/fpga_dma/"
#define IMPORTER "/sys/bus/pci/drivers/importer/"
#define STAY "/sys/module/importer/parameters/stay"
#define THREADS 3
#define PLUGS 10
/* Calls that must meet the device each time before it goes, and miss it after. */
#define CALLS 100

static int emu, fd;
static struct t_peer peer;

static void peer_remove(void)
{
	char path[96];

	t_file_write(t_peer_file(&peer, "remove", path, sizeof(path)), "1");
}

static void check_dma_maps(uint64_t want, const char *when)
{
	uint64_t found = emu_counters().dma_maps;

	check(found == want, "%s: expected %llu DMA mappings, found %llu", when,
	      (unsigned long long)want, (unsigned long long)found);
}

static void mode_refused(void)
{
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	struct gpumem_dma_map map;

	check_result(gm_dma_map(fd, pin.pin, &peer, &map), EIO,
		     "a device that does not reach the memory");
	check_dma_maps(0, "after a refusal");
}

static void addresses_check(bool physical)
{
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	struct gpumem_dma_map map = gm_must_dma_map(fd, pin.pin, &peer);
	struct gpumem_dma_run *runs = gm_dma_all_runs(fd, &map);
	uint64_t pages[16], n = 16, i, same = 0;

	need(!gm_pages(fd, pin.pin, 0, pages, &n) && n == 16, "PAGES");
	for (i = 0; i < n; i++)
		same += pages[i] ==
			gm_dma_at(runs, map.run_count, i * GPU_PAGE);
	check(same == (physical ? n : 0), "%llu of %llu addresses are physical",
	      (unsigned long long)same, (unsigned long long)n);
	free(runs);
}

static void mode_physical(void)
{
	addresses_check(true);
}

static void mode_translated(void)
{
	addresses_check(false);
}

/* The mappings are over, the pins are not. */
static void check_ended(const struct gpumem_pin *pin,
			const struct gpumem_dma_map *map)
{
	struct gpumem_dma_run run;
	struct gpumem_info info;
	uint64_t n = 1, page;

	check_result(gm_dma_runs(fd, map->dma, 0, &run, &n), ENODEV, "RUNS");
	check_result(gm_info(fd, pin->pin, &info), 0, "INFO");
	check(!info.flags, "the pin was revoked");
	n = 1;
	check_result(gm_pages(fd, pin->pin, 0, &page, &n), 0, "PAGES");
}

/* The device is taken out under two mappings, and comes back. */
static void mode_unplug(void)
{
	struct gpumem_pin first = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	struct gpumem_pin second = { .size = sizeof(second),
				     .flags = GPUMEM_PIN_PERSISTENT,
				     .addr = emu_alloc(emu, MIB),
				     .length = MIB };
	struct gpumem_dma_map map[2], more;

	need(!t_ioctl(fd, GPUMEM_IOC_PIN, &second), "PIN");
	map[0] = gm_must_dma_map(fd, first.pin, &peer);
	map[1] = gm_must_dma_map(fd, second.pin, &peer);
	check_dma_maps(2, "while mapped");
	peer_remove();
	check_dma_maps(0, "without the device");
	check_ended(&first, &map[0]);
	check_ended(&second, &map[1]);
	check_result(gm_dma_map(fd, first.pin, &peer, &more), ENODEV,
		     "DMA_MAP without the device");
	t_file_write(RESCAN, "1");
	/* Another device, though at the same place. */
	check_ended(&first, &map[0]);
	check_result(gm_dma_unmap(fd, map[0].dma), 0, "UNMAP");
	check_result(gm_dma_unmap(fd, map[0].dma), ENOENT, "the second UNMAP");
	check_result(gm_unpin(fd, second.pin), 0, "UNPIN");
	check_result(gm_dma_unmap(fd, map[1].dma), ENOENT, "UNMAP after UNPIN");
	check_dma_maps(0, "in the end");
}

static void board_check(int board, const struct gpumem_dma_map *map)
{
	struct gpumem_dma_run *runs = gm_dma_all_runs(fd, map);
	uint32_t data[64], back[64] = { 0 };

	counter_fill(data, 64, 0x7b000000);
	check_result(board_send(board, runs[0].addr, data, sizeof(data)), 0,
		     "the board writes");
	check_result(board_receive(board, runs[0].addr, back, sizeof(back)), 0,
		     "the board reads");
	counter_check(back, 64, 0x7b000000, "what the board wrote");
	free(runs);
}

static bool board_opens(void *board)
{
	return (*(int *)board = t_board_try_open(0)) >= 0;
}

/* The board's driver leaves it, and comes back. */
static void mode_unbind(void)
{
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	int board = t_board_open();
	struct gpumem_dma_map map;

	peer = t_peer_of_board(board);
	map = gm_must_dma_map(fd, pin.pin, &peer);
	board_check(board, &map);
	t_file_write(DRIVER "unbind", peer.name);
	close(board);
	check_dma_maps(0, "without a driver");
	check_ended(&pin, &map);
	check_result(gm_dma_unmap(fd, map.dma), 0, "UNMAP");
	check_result(gm_dma_map(fd, pin.pin, &peer, &map), ENODEV,
		     "DMA_MAP for a device without a driver");

	t_file_write(DRIVER "bind", peer.name);
	need(t_wait(board_opens, &board), "the board does not come back");
	map = gm_must_dma_map(fd, pin.pin, &peer);
	board_check(board, &map);
	close(board);
}

static bool nothing_mapped(void *arg)
{
	(void)arg;
	return !emu_counters().dma_maps;
}

static void leave_run(void *arg)
{
	(void)arg;
	t_file_write(IMPORTER "unbind", peer.name);
}

static void late_run(void *asks)
{
	int cuda = emu_open(), file = gm_open();
	struct gpumem_pin pin = gm_must_pin(file, emu_alloc(cuda, MIB), MIB);
	struct gpumem_dma_map map;

	atomic_fetch_add((atomic_int *)asks, 1);
	check_result(gm_dma_map(file, pin.pin, &peer, &map), ENODEV,
		     "DMA_MAP while the driver leaves");
}

static bool both_ask(void *asks)
{
	return atomic_load((atomic_int *)asks) == 2;
}

/*
 * The device's driver takes its time to leave: the mapping has ended by then, and
 * no other is made. Who asks for one waits, and can be killed.
 */
static void mode_leaving(void)
{
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	struct gpumem_dma_map map = gm_must_dma_map(fd, pin.pin, &peer);
	atomic_int *asks = t_shared(sizeof(*asks));
	pid_t leaver, late[2];

	t_file_write(STAY, "1");
	leaver = t_fork(leave_run, NULL);
	need(t_wait(nothing_mapped, NULL), "mapped while the driver leaves");
	check(!waitpid(leaver, NULL, WNOHANG), "the driver has left");
	check_ended(&pin, &map);
	late[0] = t_fork(late_run, asks);
	late[1] = t_fork(late_run, asks);
	need(t_wait(both_ask, asks), "nobody asks");
	need(t_wait_asleep(late[0]) && t_wait_asleep(late[1]),
	     "DMA_MAP does not wait for the driver");
	check(t_kill(late[0]), "who waits for the driver cannot be killed");
	check_dma_maps(0, "while the driver leaves");
	t_file_write(STAY, "0");
	t_join("the driver's end", leaver);
	t_join("the late one", late[1]);
	munmap(asks, sizeof(*asks));

	t_file_write(IMPORTER "bind", peer.name);
	check_result(gm_dma_map(fd, pin.pin, &peer, &map), 0,
		     "DMA_MAP with the driver back");
}

static atomic_bool the_end;
static atomic_uint mapped, gone;

static uint32_t race_flags;

static void *race_run(void *arg)
{
	struct gpumem_pin pin = { .size = sizeof(pin),
				  .flags = race_flags,
				  .addr = emu_alloc(emu, MIB),
				  .length = MIB };
	struct gpumem_dma_map map;
	struct gpumem_dma_run run;
	uint64_t n;
	int r;

	(void)arg;
	need(!t_ioctl(fd, GPUMEM_IOC_PIN, &pin), "PIN");
	while (!atomic_load(&the_end)) {
		r = gm_dma_map(fd, pin.pin, &peer, &map);
		atomic_fetch_add(!r ? &mapped : &gone, 1);
		check(!r || r == ENODEV, "DMA_MAP: %s", strerror(r));
		if (r)
			continue;
		n = 1;
		r = gm_dma_runs(fd, map.dma, 0, &run, &n);
		check(!r || r == ENODEV, "RUNS: %s", strerror(r));
		check_result(gm_dma_unmap(fd, map.dma), 0, "UNMAP");
	}
	return NULL;
}

/* Calls that had met the device, and missed it, when it was last plugged in. */
struct since {
	unsigned int met, gone;
};

static bool device_met(void *since)
{
	return mapped >= ((struct since *)since)->met + CALLS;
}

static bool device_missed(void *since)
{
	return gone >= ((struct since *)since)->gone + CALLS;
}

/* The device goes by leave(), and comes again, while threads map for it. */
static void race(void (*leave)(void))
{
	pthread_t thread[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		need(!pthread_create(&thread[i], NULL, race_run, NULL),
		     "pthread_create");
	for (i = 0; i < PLUGS; i++) {
		struct since since = { mapped, gone };

		need(t_wait(device_met, &since), "nobody met the device");
		leave();
		need(t_wait(device_missed, &since),
		     "nobody missed the device, or the calls hang");
		t_file_write(RESCAN, "1");
	}
	atomic_store(&the_end, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	printf("%u mappings, %u without the device\n", mapped, gone);
	check_dma_maps(0, "after the race");
}

static void mode_race(void)
{
	race(peer_remove);
}

#define DRAIN "/sys/module/gpumem_emu/parameters/drain"

static void peer_drain(void)
{
	t_file_write(DRAIN, peer.name);
}

/*
 * The driver takes the device out, its lock held, while threads map for it. Their
 * pins are persistent: DMA_MAP has nothing else to ask the driver for.
 */
static void mode_drain(void)
{
	uint64_t violations = emu_counters().violations;

	race_flags = GPUMEM_PIN_PERSISTENT;
	race(peer_drain);
	check(emu_counters().violations == violations,
	      "the driver was called in a drain");
}

static const struct t_mode modes[] = {
	{ "refused", mode_refused },	   { "physical", mode_physical },
	{ "translated", mode_translated }, { "unplug", mode_unplug },
	{ "drain", mode_drain },	   { "race", mode_race },
	{ "unbind", mode_unbind },	   { "leaving", mode_leaving },
};

int main(int argc, char **argv)
{
	int r;

	need(argc > 1, "usage: vm-dma-peer MODE [PEER]");
	if (argc > 2)
		peer = t_peer_parse(argv[2]);
	emu = emu_open();
	fd = gm_open();
	r = t_main(2, argv, modes, sizeof(modes) / sizeof(modes[0]));
	close(fd);
	close(emu);
	emu_check_nothing_pinned("in the end");
	return r ? r : t_end();
}
