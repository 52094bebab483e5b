// SPDX-License-Identifier: MIT
/*
 * Behind an IOMMU the board reaches what was mapped for it and nothing else: not
 * a physical address, and not an address whose mapping has ended in any way.
 */
#include "t_dma.h"

#define WORDS 512
#define BEFORE 0x71000000
#define AFTER 0x72000000

static int emu, fd, board;
static struct t_peer peer;
static uint32_t words[WORDS];

/* Memory of ours with a physical address that we know. */
static uint32_t *ram_get(uint64_t *phys)
{
	uint32_t *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	need(at != MAP_FAILED, "mmap: %s", strerror(errno));
	counter_fill(at, WORDS, BEFORE);
	need(pread(map, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)) == 8 &&
		     entry >> 63,
	     "pagemap: %s", strerror(errno));
	close(map);
	*phys = (entry & ((1ull << 55) - 1)) * PAGE;
	return at;
}

/* The board tries: it cannot tell, but nothing happens. */
static void board_tries(uint64_t addr)
{
	counter_fill(words, WORDS, AFTER);
	check_result(board_send(board, addr, words, sizeof(words)), 0,
		     "the board's write");
}

static void gpu_check(int cuda, uint64_t addr, uint32_t first, const char *what)
{
	memset(words, 0, sizeof(words));
	check_result(emu_read(cuda, addr, words, sizeof(words)), 0, "reading");
	counter_check(words, WORDS, first, what);
}

/* Of memory that was BEFORE before; addr is good when it is called. */
static void check_reads_nothing(uint64_t addr, const char *what)
{
	size_t i;

	memset(words, 0, sizeof(words));
	check_result(board_receive(board, addr, words, sizeof(words)), 0,
		     "the board's read");
	for (i = 0; i < WORDS; i++)
		if (!check(words[i] != BEFORE + i,
			   "%s: the board read word %zu", what, i))
			return;
}

static uint64_t block_make(void)
{
	uint64_t addr = emu_alloc(emu, 2 * MIB);

	counter_fill(words, WORDS, BEFORE);
	emu_write(emu, addr, words, sizeof(words));
	return addr;
}

static void unmapped(void)
{
	uint64_t addr = block_make(), page, phys, n = 1;
	struct gpumem_pin pin = gm_must_pin(fd, addr, MIB);
	uint32_t *ram = ram_get(&phys);

	need(!gm_pages(fd, pin.pin, 0, &page, &n), "PAGES");
	board_tries(page);
	gpu_check(emu, addr, BEFORE, "GPU memory at its physical address");
	board_tries(phys);
	counter_check(ram, WORDS, BEFORE, "RAM at its physical address");
	check_reads_nothing(page, "GPU memory");
	check_reads_nothing(phys, "RAM");
	munmap(ram, PAGE);
	gm_unpin(fd, pin.pin);
	emu_free(emu, addr);
}

enum { BY_UNMAP, BY_UNPIN, BY_FREE, BY_CLOSE, WAYS };

/*
 * A mapping that worked ends. A second, persistent pin on another file keeps the
 * memory and shows it.
 */
static void ended(int way)
{
	static const char *const name[WAYS] = { "after DMA_UNMAP",
						"after UNPIN",
						"after cuMemFree",
						"after close" };
	struct gpumem_pin keep = { .size = sizeof(keep),
				   .flags = GPUMEM_PIN_PERSISTENT,
				   .length = 2 * MIB };
	int file = gm_open(), keeper = gm_open(), r;
	uint64_t addr = block_make(), good;
	struct gpumem_pin pin = gm_must_pin(file, addr, MIB);
	struct gpumem_dma_map map = gm_must_dma_map(file, pin.pin, &peer);
	struct gpumem_dma_run *runs = gm_dma_all_runs(file, &map);
	void *at;

	keep.addr = addr;
	r = t_ioctl(keeper, GPUMEM_IOC_PIN, &keep);
	need(!r, "PIN: %s", strerror(r));
	r = gm_map(keeper, &keep, &at);
	need(!r, "mmap: %s", strerror(r));
	good = runs[0].addr;
	free(runs);

	board_tries(good);
	counter_check(at, WORDS, AFTER, "while mapped");
	counter_fill(at, WORDS, BEFORE);
	if (way == BY_UNMAP)
		check_result(gm_dma_unmap(file, map.dma), 0, "DMA_UNMAP");
	else if (way == BY_UNPIN)
		check_result(gm_unpin(file, pin.pin), 0, "UNPIN");
	else if (way == BY_FREE)
		check_result(emu_free(emu, addr), 0, "freeing");
	else
		close(file);
	board_tries(good);
	counter_check(at, WORDS, BEFORE, name[way]);
	check_reads_nothing(good, name[way]);
	munmap(at, 2 * MIB);
	close(keeper);
	if (way != BY_CLOSE)
		close(file);
	if (way != BY_FREE)
		emu_free(emu, addr);
}

/* What is mapped for one board is not mapped for another. */
static void other_board(void)
{
	uint64_t addr = block_make();
	struct gpumem_pin pin = gm_must_pin(fd, addr, MIB);
	int second = t_board_try_open(1), first = board;
	struct t_peer second_peer;
	struct gpumem_dma_map map;
	struct gpumem_dma_run *runs;

	need(second >= 0, "the machine has no second board");
	second_peer = t_peer_of_board(second);
	map = gm_must_dma_map(fd, pin.pin, &second_peer);
	runs = gm_dma_all_runs(fd, &map);
	board_tries(runs[0].addr);
	gpu_check(emu, addr, BEFORE, "by the board that it is not mapped for");
	board = second;
	board_tries(runs[0].addr);
	gpu_check(emu, addr, AFTER, "by the board that it is mapped for");
	board = first;
	free(runs);
	close(second);
	gm_unpin(fd, pin.pin);
	emu_free(emu, addr);
}

int main(void)
{
	int way;

	emu = emu_open();
	fd = gm_open();
	board = t_board_open();
	peer = t_peer_of_board(board);
	unmapped();
	for (way = 0; way < WAYS; way++)
		ended(way);
	other_board();
	close(fd);
	emu_check_nothing_pinned("in the end");
	return t_end();
}
