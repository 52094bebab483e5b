// SPDX-License-Identifier: MIT
/*
 * The way between a PCI device and the GPU: what DMA_MAP, an importer of a dma-buf
 * and the library say of it.
 *
 *   vm-dma-path switch|host|iommu|blocked PEER [PORT]
 *
 * The test importer drives PEER, for which dma-bufs are attached. PORT is the one that
 * must be told; without it none may be.
 */
#include "t_dma.h"
#include "t_dmabuf.h"
#include "t_lib.h"

#define P2P (IMPORTER_DYNAMIC | IMPORTER_PEER2PEER)

static struct t_peer peer, port;
static const char *port_name;
static uint8_t kind;

static void reply_check(const struct gpumem_dma_map *map)
{
	check(map->path == kind, "the path is %u instead of %u", map->path,
	      kind);
	check(map->port_domain == port.domain && map->port_bus == port.bus &&
		      map->port_devfn == port.devfn,
	      "the port is %04x:%02x:%02x.%x instead of \"%s\"",
	      map->port_domain, map->port_bus, map->port_devfn >> 3,
	      map->port_devfn & 7, port_name);
}

static void module_check(int want)
{
	int emu = emu_open(), fd = gm_open(), imp = imp_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin = gm_must_pin(fd, addr, MIB);
	int dmabuf = gm_must_export(fd, &pin);
	struct gpumem_dma_map map;

	check_result(gm_dma_map(fd, pin.pin, &peer, &map), want, "DMA_MAP");
	reply_check(&map);
	check(!want == !!map.dma, "DMA_MAP gave the id %u", map.dma);
	/* The reply may be what the next call is made with. */
	check_result(t_ioctl(fd, GPUMEM_IOC_DMA_MAP, &map), want,
		     "DMA_MAP again");
	reply_check(&map);
	check_result(imp_attach(imp, dmabuf, P2P), 0, "attaching");
	check_result(imp_map(imp), want, "importing");
	close(imp);
	close(dmabuf);
	close(fd);
	emu_check_nothing_pinned("after the module");
	close(emu);
}

static void library_check(int want)
{
	struct gpumem_dma_info info = { .size = sizeof(info) };
	struct gpumem *session = t_lib_open("kmod");
	struct gpumem_dma *dma = NULL;
	struct gpumem_buf *buf;
	int r;

	t_lib_ok(gpumem_alloc(session, MIB, 0, &buf), "gpumem_alloc");
	r = gpumem_dma_map(buf, peer.name, 0, &dma);
	if (want) {
		t_lib_error(r, want, port_name, "the port");
		t_lib_error(r, want, "turn the IOMMU on", "one way out");
		t_lib_error(r, want, "setpci -s", "the other way out");
		check(!dma, "a failed call set the handle");
	} else {
		t_lib_ok(r, "gpumem_dma_map");
		t_lib_ok(gpumem_dma_get(dma, &info), "gpumem_dma_get");
		check(info.path == kind && !strcmp(info.port, port_name),
		      "the library says path %u, port \"%s\"", info.path,
		      info.port);
	}
	t_lib_close(session);
}

static void both_check(uint8_t path, int want)
{
	kind = path;
	module_check(want);
	library_check(want);
}

static void mode_switch(void)
{
	both_check(GPUMEM_DMA_PATH_SWITCH, 0);
}

static void mode_host(void)
{
	both_check(GPUMEM_DMA_PATH_HOST, 0);
}

static void mode_iommu(void)
{
	both_check(GPUMEM_DMA_PATH_IOMMU, 0);
}

static void mode_blocked(void)
{
	both_check(GPUMEM_DMA_PATH_BLOCKED, EREMOTEIO);
}

static void mode_unknown(void)
{
	both_check(GPUMEM_DMA_PATH_UNKNOWN, 0);
}

static const struct t_mode modes[] = {
	{ "unknown", mode_unknown }, { "switch", mode_switch },
	{ "host", mode_host },	     { "iommu", mode_iommu },
	{ "blocked", mode_blocked },
};

int main(int argc, char **argv)
{
	int r;

	need(argc > 2, "usage: vm-dma-path MODE PEER [PORT]");
	peer = t_peer_parse(argv[2]);
	port_name = argc > 3 ? argv[3] : "";
	if (*port_name)
		port = t_peer_parse(port_name);
	r = t_main(2, argv, modes, sizeof(modes) / sizeof(modes[0]));
	return r ? r : t_end();
}
