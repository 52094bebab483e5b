// SPDX-License-Identifier: MIT
/*
 * GPU memory that no device can be given, and that says so: the kernel's own, of a
 * GPU with a coherent CPU link, and what lies behind a host bridge that moves
 * addresses, where no IOMMU translates.
 *
 *   vm-dma-memory coherent|moved|moved-iommu PEER
 *
 * The test importer drives PEER.
 */
#include "t_dma.h"
#include "t_dmabuf.h"

#define COHERENT "/sys/module/gpumem_emu/parameters/coherent"
#define BUS_OFFSET "/sys/module/gpumem_emu/parameters/bus_offset"
#define P2P (IMPORTER_DYNAMIC | IMPORTER_PEER2PEER)

static int emu, fd;
static uint64_t addr;
static struct t_peer peer;

/* DMA_MAP and both halves of an import: what they answer. */
static void answers_check(uint32_t flags, int map_answer, int attach_answer,
			  int import_answer, const char *when)
{
	struct gpumem_pin pin = gm_must_pin_flags(fd, addr, MIB, flags);
	int dmabuf = gm_must_export(fd, &pin), imp = imp_open(), r;
	struct gpumem_dma_map map;

	check_result(gm_dma_map(fd, pin.pin, &peer, &map), map_answer,
		     "%s: DMA_MAP", when);
	r = imp_attach(imp, dmabuf, P2P);
	check_result(r, attach_answer, "%s: attaching", when);
	if (!r)
		check_result(imp_map(imp), import_answer, "%s: importing",
			     when);
	close(imp);
	check(emu_counters().dma_maps == !map_answer, "%s: %llu DMA mappings",
	      when, (unsigned long long)emu_counters().dma_maps);
	close(dmabuf);
	check_result(gm_unpin(fd, pin.pin), 0, "%s: UNPIN", when);
	emu_check_nothing_pinned(when);
}

static void answers_both(int map_answer, int attach_answer, int import_answer,
			 const char *when)
{
	answers_check(0, map_answer, attach_answer, import_answer, when);
	answers_check(GPUMEM_PIN_PERSISTENT, map_answer, attach_answer,
		      import_answer, when);
}

static void mode_coherent(void)
{
	answers_both(0, 0, 0, "before");
	t_file_write(COHERENT, "1");
	answers_both(EOPNOTSUPP, EOPNOTSUPP, 0, "the driver says cacheable");
	t_file_write(COHERENT, "2");
	answers_both(EOPNOTSUPP, EOPNOTSUPP, 0, "the kernel's memory");
	t_file_write(COHERENT, "3");
	answers_both(EOPNOTSUPP, EOPNOTSUPP, 0, "both");
	t_file_write(COHERENT, "0");
	answers_both(0, 0, 0, "after");
}

static void moved_check(int want)
{
	t_file_write(BUS_OFFSET, "0x10000000000");
	answers_both(want, 0, want, "lower on the bus");
	t_file_write(BUS_OFFSET, "0xfffffff000000000");
	answers_both(want, 0, want, "higher on the bus");
	t_file_write(BUS_OFFSET, "0");
	answers_both(0, 0, 0, "at its place");
}

static void mode_moved(void)
{
	moved_check(EOPNOTSUPP);
}

static void mode_moved_iommu(void)
{
	moved_check(0);
}

static const struct t_mode modes[] = {
	{ "coherent", mode_coherent },
	{ "moved", mode_moved },
	{ "moved-iommu", mode_moved_iommu },
};

int main(int argc, char **argv)
{
	int r;

	need(argc == 3, "usage: vm-dma-memory MODE PEER");
	peer = t_peer_parse(argv[2]);
	emu = emu_open();
	fd = gm_open();
	addr = emu_alloc(emu, MIB);
	r = t_main(2, argv, modes, sizeof(modes) / sizeof(modes[0]));
	close(fd);
	close(emu);
	emu_check_nothing_pinned("in the end");
	return r ? r : t_end();
}
