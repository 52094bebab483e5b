// SPDX-License-Identifier: MIT
/* DMA_MAP, DMA_RUNS and DMA_UNMAP, and the board that uses the addresses. */
#include <dirent.h>

#include "t_dma.h"

static int emu, fd, board;
static struct t_peer peer;

static void begin(void)
{
	emu = emu_open();
	fd = gm_open();
	board = t_board_open();
	peer = t_peer_of_board(board);
}

static void end(const char *what)
{
	struct gpumem_emu_counters c;

	close(fd);
	emu_check_nothing_pinned(what);
	c = emu_counters();
	check(!c.dma_maps, "%s: %llu DMA mappings are left", what,
	      (unsigned long long)c.dma_maps);
	close(emu);
	close(board);
}

static void check_dma_maps(uint64_t want, const char *when)
{
	uint64_t found = emu_counters().dma_maps;

	check(found == want, "%s: expected %llu DMA mappings, found %llu", when,
	      (unsigned long long)want, (unsigned long long)found);
}

/* The runs cover the pages in order, and no two of them could be one. */
static void check_runs(const struct gpumem_pin *pin,
		       const struct gpumem_dma_map *map, bool iommu)
{
	struct gpumem_dma_run *runs = gm_dma_all_runs(fd, map);
	uint64_t *pages = calloc(pin->page_count, sizeof(*pages));
	uint64_t n = pin->page_count, bytes = 0, page = 0, i, at, same = 0;

	need(pages && !gm_pages(fd, pin->pin, 0, pages, &n), "PAGES");
	check(map->page_size == GPU_PAGE, "page size %u", map->page_size);
	for (i = 0; i < map->run_count; i++) {
		check(runs[i].length && !(runs[i].length % map->page_size) &&
			      !(runs[i].addr % map->page_size),
		      "run %llu is %#llx, %#llx bytes", (unsigned long long)i,
		      (unsigned long long)runs[i].addr,
		      (unsigned long long)runs[i].length);
		check(!i || runs[i - 1].addr + runs[i - 1].length !=
				      runs[i].addr,
		      "runs %llu and its neighbour are one",
		      (unsigned long long)i);
		bytes += runs[i].length;
		for (at = 0; at < runs[i].length; at += GPU_PAGE, page++)
			same += page < n && pages[page] == runs[i].addr + at;
	}
	check(bytes == gm_bytes(pin), "the runs have %llu of %zu bytes",
	      (unsigned long long)bytes, gm_bytes(pin));
	if (iommu)
		check(!same, "%llu addresses behind the IOMMU are physical",
		      (unsigned long long)same);
	else
		check(same == n, "%llu of %llu addresses are the pages'",
		      (unsigned long long)same, (unsigned long long)n);
	free(pages);
	free(runs);
}

static bool iommu_is_on(void)
{
	DIR *dir = opendir("/sys/class/iommu");
	struct dirent *entry;
	bool on = false;

	while (dir && (entry = readdir(dir)))
		on |= entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return on;
}

static void runs_of(uint64_t offset, uint64_t length)
{
	uint64_t addr = emu_alloc(emu, 4 * MIB), i;
	struct gpumem_pin pin = gm_must_pin(fd, addr + offset, length);
	struct gpumem_dma_map map = gm_must_dma_map(fd, pin.pin, &peer);
	struct gpumem_dma_run *all = gm_dma_all_runs(fd, &map), some[3];
	uint64_t n;

	check_dma_maps(1, "while mapped");
	check_runs(&pin, &map, iommu_is_on());
	for (i = 0; i < map.run_count; i++) {
		n = 3;
		check_result(gm_dma_runs(fd, map.dma, i, some, &n), 0, "RUNS");
		check(n == (map.run_count - i < 3 ? map.run_count - i : 3) &&
			      !memcmp(some, all + i, n * sizeof(*all)),
		      "%llu runs from the %llu. on are others",
		      (unsigned long long)n, (unsigned long long)i);
	}
	n = 0;
	check_result(gm_dma_runs(fd, map.dma, 0, NULL, &n), 0, "RUNS of none");
	check(!n, "RUNS of none gave %llu", (unsigned long long)n);
	free(all);
	check_result(gm_dma_unmap(fd, map.dma), 0, "DMA_UNMAP");
	check_dma_maps(0, "after DMA_UNMAP");
	check_result(gm_dma_unmap(fd, map.dma), ENOENT, "the second DMA_UNMAP");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	emu_free(emu, addr);
}

static void mode_runs(void)
{
	begin();
	runs_of(0, 4 * MIB);
	runs_of(0, 1);
	runs_of(GPU_PAGE - 1, 2);
	runs_of(123457, 3 * MIB - 5);
	end("runs");
}

/* The board writes at odd places of a buffer, and nothing around them. */
static void mode_data(void)
{
	static const struct {
		uint64_t offset, length;
	} spots[] = { { 0, 2048 },
		      { 3 * GPU_PAGE - 1500, 3000 },
		      { 7 * GPU_PAGE + 4093, 7 },
		      { 2 * MIB - 2049, 2049 } };
	uint32_t *host = malloc(2 * MIB), *found = malloc(2 * MIB);
	uint8_t data[4096], back[4096];
	struct gpumem_dma_run *runs;
	struct gpumem_dma_map map;
	struct gpumem_pin pin;
	uint64_t addr, i, k, at, part;

	begin();
	need(host && found, "out of memory");
	addr = emu_alloc(emu, 2 * MIB);
	counter_fill(host, 2 * MIB / 4, 0x31000000);
	emu_write(emu, addr, host, 2 * MIB);
	pin = gm_must_pin(fd, addr, 2 * MIB);
	map = gm_must_dma_map(fd, pin.pin, &peer);
	runs = gm_dma_all_runs(fd, &map);
	for (i = 0; i < sizeof(spots) / sizeof(spots[0]); i++) {
		for (k = 0; k < spots[i].length; k++)
			data[k] = (uint8_t)(k * 7 + i + 1);
		memcpy((char *)host + spots[i].offset, data, spots[i].length);
		memset(back, 0, sizeof(back));
		/* Neighbouring pages need not have neighbouring addresses. */
		for (k = 0; k < spots[i].length; k += part) {
			at = spots[i].offset + k;
			part = GPU_PAGE - at % GPU_PAGE;
			if (part > spots[i].length - k)
				part = spots[i].length - k;
			at = gm_dma_at(runs, map.run_count, at);
			check_result(board_send(board, at, data + k, part), 0,
				     "the board writes");
			check_result(board_receive(board, at, back + k, part),
				     0, "the board reads");
		}
		check(!memcmp(back, data, spots[i].length),
		      "spot %llu: the board reads something else",
		      (unsigned long long)i);
	}
	emu_read(emu, addr, found, 2 * MIB);
	check(!memcmp(found, host, 2 * MIB), "the GPU sees something else");
	free(runs);
	free(host);
	free(found);
	end("data");
}

/* The host sees what the board wrote, in the video memory file. */
static void mode_host(void)
{
	struct t_peer gpu = t_peer_find(0x1af4, 0x1110);
	unsigned long long bar = 0;
	struct gpumem_dma_run *runs;
	struct gpumem_dma_map map;
	struct gpumem_pin pin;
	char path[64], command[128];
	uint64_t pages[32], n = 32, i;
	uint32_t data[512];
	FILE *f = fopen(t_peer_file(&gpu, "resource", path, sizeof(path)), "r");

	/* BAR2: the third line's first number. */
	need(f && fscanf(f, "%*s %*s %*s %*s %*s %*s %llx", &bar) == 1 && bar,
	     "reading %s", path);
	fclose(f);
	begin();
	pin = gm_must_pin(fd, emu_alloc(emu, 2 * MIB), 2 * MIB);
	need(!gm_pages(fd, pin.pin, 0, pages, &n) && n == 32, "PAGES");
	map = gm_must_dma_map(fd, pin.pin, &peer);
	runs = gm_dma_all_runs(fd, &map);
	for (i = 0; i < n; i += 13) {
		counter_fill(data, 512, 0x41000000 + (uint32_t)i * 512);
		check_result(board_send(board,
					gm_dma_at(runs, map.run_count,
						  i * GPU_PAGE + 2048),
					data, sizeof(data)),
			     0, "the board writes");
		snprintf(command, sizeof(command),
			 ". /cases/lib.sh; host counter %llu 512 %llu",
			 pages[i] - bar + 2048, 0x41000000ull + i * 512);
		fflush(stdout);
		check(!system(command), "the host does not see page %llu",
		      (unsigned long long)i);
	}
	check(system(command) == 0, "%s", command);
	/* The check can fail. */
	strcat(command, "1 >/dev/null");
	check(system(command), "the host sees anything");
	free(runs);
	end("host");
}

/* Every error of the contract that the caller's rights do not matter for. */
static void mode_errors(void)
{
	struct gpumem_dma_map map, saved;
	struct gpumem_dma_run run[64];
	struct gpumem_dma_runs args;
	struct gpumem_pin pin;
	struct t_peer nobody;
	uint64_t n = 64;
	int other = gm_open();
	void *locked = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin();
	pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	check_result(gm_dma_map(fd, 0, &peer, &map), ENOENT, "pin 0");
	check_result(gm_dma_map(fd, pin.pin + 1, &peer, &map), ENOENT,
		     "an unknown pin");
	check_result(gm_dma_map(fd, UINT32_MAX, &peer, &map), ENOENT,
		     "the last pin id");
	check_result(gm_dma_map(other, pin.pin, &peer, &map), ENOENT,
		     "another file's pin");

	nobody = peer;
	nobody.bus = 0xfe;
	check_result(gm_dma_map(fd, pin.pin, &nobody, &map), ENODEV,
		     "an absent bus");
	nobody = peer;
	nobody.domain = 1;
	check_result(gm_dma_map(fd, pin.pin, &nobody, &map), ENODEV,
		     "an absent domain");
	nobody.domain = UINT32_MAX;
	check_result(gm_dma_map(fd, pin.pin, &nobody, &map), ENODEV,
		     "the last domain");

	check_result(gm_dma_map_fd(fd, pin.pin, &peer, 1000, &map), EBADF,
		     "a closed descriptor");
	check_result(gm_dma_map_fd(fd, pin.pin, &peer, -2, &map), EBADF,
		     "descriptor -2");

	saved = (struct gpumem_dma_map){ .size = sizeof(saved),
					 .pin = pin.pin,
					 .domain = peer.domain,
					 .bus = peer.bus,
					 .devfn = peer.devfn,
					 .device_fd = -1 };
	map = saved;
	map.flags = 1;
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_MAP, &map), EINVAL, "flags");
	map = saved;
	map.__reserved0 = 1;
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_MAP, &map), EINVAL,
		     "the first reserved member");
	map = saved;
	map.__reserved = 1;
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_MAP, &map), EINVAL,
		     "the last reserved member");
	map = saved;
	map.size = sizeof(map) - 1;
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_MAP, &map), EINVAL,
		     "a short structure");
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_MAP, NULL), EFAULT, "NULL");
	/* A bridge. */
#ifdef __x86_64__
	nobody = t_peer_find(0x8086, 0x2918);
#else
	nobody = t_peer_find(0x1b36, 0x0008);
#endif
	check_result(gm_dma_map(fd, pin.pin, &nobody, &map), ENODEV,
		     "a device without a driver");
	check_dma_maps(0, "after refusals");

	/* The mapping is made, but the answer cannot be given. */
	need(locked != MAP_FAILED, "mmap: %s", strerror(errno));
	memcpy(locked, &saved, sizeof(saved));
	mprotect(locked, PAGE, PROT_READ);
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_MAP, locked), EFAULT,
		     "a structure that cannot be written");
	check_dma_maps(0, "after EFAULT");

	map = gm_must_dma_map(fd, pin.pin, &peer);
	check_result(gm_dma_runs(fd, map.dma + 1, 0, run, &n), ENOENT,
		     "RUNS of an unknown id");
	check_result(gm_dma_runs(fd, 0, 0, run, &n), ENOENT, "RUNS of 0");
	n = 64;
	check_result(gm_dma_runs(other, map.dma, 0, run, &n), ENOENT,
		     "RUNS of another file's");
	check_result(gm_dma_runs(fd, map.dma, map.run_count, run, &n), EINVAL,
		     "RUNS past the end");
	n = 64;
	check_result(gm_dma_runs(fd, map.dma, UINT64_MAX, run, &n), EINVAL,
		     "RUNS far past the end");
	n = UINT64_MAX;
	check_result(gm_dma_runs(fd, map.dma, map.run_count - 1, run, &n), 0,
		     "RUNS with much room");
	check(n == 1, "RUNS with much room gave %llu", (unsigned long long)n);
	n = 1;
	check_result(gm_dma_runs(fd, map.dma, 0, (void *)8, &n), EFAULT,
		     "RUNS to a wild address");
	check_result(gm_dma_runs(fd, map.dma, 0, locked, &n), EFAULT,
		     "RUNS to read-only memory");
	args = (struct gpumem_dma_runs){ .size = 8, .dma = map.dma };
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_RUNS, &args), EINVAL,
		     "RUNS: a short structure");
	check_result(gm_dma_unmap(fd, map.dma + 1), ENOENT,
		     "UNMAP of an unknown id");
	check_result(gm_dma_unmap(other, map.dma), ENOENT,
		     "UNMAP of another file's");
	check_dma_maps(1, "after all that");
	check_result(gm_dma_unmap(fd, map.dma), 0, "DMA_UNMAP");
	close(other);
	munmap(locked, PAGE);
	end("errors");
}

static void child_calls(void *arg)
{
	struct gpumem_dma_map *map = arg, mine;
	struct gpumem_dma_run run;
	uint64_t n = 1;

	check_result(gm_dma_map(fd, map->pin, &peer, &mine), EPERM,
		     "DMA_MAP in a child");
	check_result(gm_dma_runs(fd, map->dma, 0, &run, &n), EPERM,
		     "DMA_RUNS in a child");
	check_result(gm_dma_unmap(fd, map->dma), EPERM, "DMA_UNMAP in a child");
}

static void mode_child(void)
{
	struct gpumem_dma_map map;

	begin();
	map = gm_must_dma_map(fd, gm_must_pin(fd, emu_alloc(emu, MIB), MIB).pin,
			      &peer);
	t_child("a child", child_calls, &map);
	check_dma_maps(1, "after the child");
	end("child");
}

/* CUDA frees the memory: the mapping has ended when it has. */
static void mode_revoke(void)
{
	struct gpumem_dma_map map, again;
	struct gpumem_dma_run run;
	struct gpumem_pin pin;
	uint64_t addr, n = 1;
	int i;

	for (i = 0; i < 2; i++) {
		begin();
		addr = emu_alloc(emu, MIB);
		pin = gm_must_pin(fd, addr, MIB);
		map = gm_must_dma_map(fd, pin.pin, &peer);
		if (i)
			close(emu); /* the CUDA side goes away as a whole */
		else
			check_result(emu_free(emu, addr), 0, "freeing");
		check_dma_maps(0, "after freeing");
		check_result(gm_dma_runs(fd, map.dma, 0, &run, &n), ENODEV,
			     "RUNS");
		check_result(gm_dma_map(fd, pin.pin, &peer, &again), ENODEV,
			     "DMA_MAP");
		check_result(gm_dma_unmap(fd, map.dma), 0, "UNMAP");
		check_result(gm_dma_unmap(fd, map.dma), ENOENT,
			     "the second UNMAP");
		/* What was held for the board goes with the mapping. */
		emu_check_nothing_pinned("after UNMAP");
		check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
		if (i)
			emu = emu_open();
		end("revoke");
	}
}

/* A persistent pin: the board works on after cuMemFree(). */
static void mode_persistent(void)
{
	struct gpumem_pin pin = { .size = sizeof(pin),
				  .flags = GPUMEM_PIN_PERSISTENT,
				  .length = MIB };
	uint32_t data[256], back[256] = { 0 };
	struct gpumem_dma_run *runs;
	struct gpumem_dma_map map;
	int r;

	begin();
	pin.addr = emu_alloc(emu, MIB);
	r = t_ioctl(fd, GPUMEM_IOC_PIN, &pin);
	need(!r, "PIN: %s", strerror(r));
	map = gm_must_dma_map(fd, pin.pin, &peer);
	check_result(emu_free(emu, pin.addr), 0, "freeing");
	check_dma_maps(1, "after freeing");
	runs = gm_dma_all_runs(fd, &map);
	counter_fill(data, 256, 0x51000000);
	check_result(board_send(board, runs[0].addr, data, sizeof(data)), 0,
		     "the board writes");
	check_result(board_receive(board, runs[0].addr, back, sizeof(back)), 0,
		     "the board reads");
	counter_check(back, 256, 0x51000000, "after freeing");
	free(runs);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check_dma_maps(0, "after UNPIN");
	end("persistent");
}

/* UNPIN and close end mappings, with their ids. */
static void mode_end(void)
{
	struct gpumem_dma_map map, second;
	struct gpumem_pin pin, other;
	struct gpumem_dma_run run;
	uint64_t n = 1;

	begin();
	pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	other = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	map = gm_must_dma_map(fd, pin.pin, &peer);
	second = gm_must_dma_map(fd, other.pin, &peer);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check_dma_maps(1, "after UNPIN of one of two");
	check_result(gm_dma_runs(fd, map.dma, 0, &run, &n), ENOENT,
		     "RUNS after UNPIN");
	check_result(gm_dma_unmap(fd, map.dma), ENOENT, "UNMAP after UNPIN");
	n = 1;
	check_result(gm_dma_runs(fd, second.dma, 0, &run, &n), 0,
		     "RUNS of the other");
	close(fd);
	check_dma_maps(0, "after close");
	fd = gm_open();
	end("end");
}

/* Several devices on one pin; each has its mapping. */
static void mode_peers(void)
{
	int second_board = t_board_try_open(1);
	struct gpumem_dma_map first, second;
	struct gpumem_dma_run *runs;
	struct t_peer second_peer;
	struct gpumem_pin pin;
	uint32_t data[64], back[64] = { 0 };

	need(second_board >= 0, "the machine has no second board");
	second_peer = t_peer_of_board(second_board);
	begin();
	check(second_peer.devfn != peer.devfn, "both boards are %s", peer.name);
	pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	first = gm_must_dma_map(fd, pin.pin, &peer);
	second = gm_must_dma_map(fd, pin.pin, &second_peer);
	check_dma_maps(2, "two peers");
	check_runs(&pin, &first, iommu_is_on());
	check_runs(&pin, &second, iommu_is_on());

	/* One writes, and is cut off; the other reads what it wrote. */
	counter_fill(data, 64, 0x61000000);
	runs = gm_dma_all_runs(fd, &first);
	check_result(board_send(board, runs[0].addr, data, sizeof(data)), 0,
		     "the first board writes");
	free(runs);
	check_result(gm_dma_unmap(fd, first.dma), 0, "UNMAP");
	runs = gm_dma_all_runs(fd, &second);
	check_result(board_receive(second_board, runs[0].addr, back,
				   sizeof(back)),
		     0, "the second board reads");
	counter_check(back, 64, 0x61000000, "the second board");
	free(runs);
	close(second_board);
	end("peers");
}

/* Many mappings of one pin and of many, ended in another order. */
static void mode_many(void)
{
	enum { MANY = 300 };
	static struct gpumem_dma_map map[MANY];
	struct gpumem_pin pin[10];
	uint64_t addr;
	int i;

	begin();
	addr = emu_alloc(emu, 2 * MIB);
	for (i = 0; i < 10; i++)
		pin[i] = gm_must_pin(fd, addr + (uint64_t)i * GPU_PAGE, MIB);
	for (i = 0; i < MANY; i++)
		map[i] = gm_must_dma_map(fd, pin[i % 10].pin, &peer);
	check_dma_maps(MANY, "many");
	for (i = 0; i < MANY; i += 3)
		check_result(gm_dma_unmap(fd, map[i].dma), 0, "UNMAP");
	check_dma_maps(MANY - MANY / 3, "two thirds of many");
	check_result(gm_unpin(fd, pin[4].pin), 0, "UNPIN");
	check_dma_maps(MANY * 9 / 10 - MANY * 9 / 30, "without one pin");
	check_result(emu_free(emu, addr), 0, "freeing");
	check_dma_maps(0, "after freeing");
	for (i = 1; i < MANY; i += 3)
		check_result(gm_dma_unmap(fd, map[i].dma),
			     i % 10 == 4 ? ENOENT : 0, "UNMAP after freeing");
	end("many");
}

/* Ids do not come again soon. */
static void mode_stale(void)
{
	struct gpumem_dma_map first, next;
	struct gpumem_dma_run run;
	struct gpumem_pin pin;
	uint64_t n;
	int i;

	begin();
	pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	first = gm_must_dma_map(fd, pin.pin, &peer);
	check_result(gm_dma_unmap(fd, first.dma), 0, "UNMAP");
	for (i = 0; i < 100; i++) {
		next = gm_must_dma_map(fd, pin.pin, &peer);
		n = 1;
		check(next.dma != first.dma, "id %u again after %d mappings",
		      next.dma, i);
		check_result(gm_dma_runs(fd, first.dma, 0, &run, &n), ENOENT,
			     "RUNS of a stale id");
		check_result(gm_dma_unmap(fd, first.dma), ENOENT,
			     "UNMAP of a stale id");
		check_result(gm_dma_unmap(fd, next.dma), 0, "UNMAP");
	}
	end("stale");
}

static const struct t_mode modes[] = {
	{ "runs", mode_runs },
	{ "data", mode_data },
	{ "host", mode_host },
	{ "errors", mode_errors },
	{ "child", mode_child },
	{ "revoke", mode_revoke },
	{ "persistent", mode_persistent },
	{ "end", mode_end },
	{ "peers", mode_peers },
	{ "many", mode_many },
	{ "stale", mode_stale },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
