// SPDX-License-Identifier: MIT
#include "t_dma.h"

#include <dirent.h>

#define PCI_DEVICES "/sys/bus/pci/devices"

static void peer_name(struct t_peer *peer)
{
	snprintf(peer->name, sizeof(peer->name), "%04x:%02x:%02x.%x",
		 (uint16_t)peer->domain, peer->bus, peer->devfn >> 3,
		 peer->devfn & 7);
}

struct t_peer t_peer_of_board(int board)
{
	struct fpga_dma_info info = { 0 };
	struct t_peer peer;
	int r = t_ioctl(board, FPGA_DMA_IOC_INFO, &info);

	need(!r, "asking the board for its PCI address: %s", strerror(r));
	peer.domain = info.domain;
	peer.bus = info.bus;
	peer.devfn = info.devfn;
	peer_name(&peer);
	return peer;
}

static unsigned int peer_number(const char *name, const char *file)
{
	char path[288], text[16] = "";
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", name, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return (unsigned int)strtoul(text, NULL, 0);
}

struct t_peer t_peer_find(unsigned int vendor, unsigned int device)
{
	DIR *dir = opendir(PCI_DEVICES);
	struct t_peer peer = { 0 };
	unsigned int domain, bus, slot, function;
	bool found = false;
	struct dirent *e;

	need(dir, "opendir %s: %s", PCI_DEVICES, strerror(errno));
	while (!found && (e = readdir(dir)))
		found = sscanf(e->d_name, "%x:%x:%x.%x", &domain, &bus, &slot,
			       &function) == 4 &&
			peer_number(e->d_name, "vendor") == vendor &&
			peer_number(e->d_name, "device") == device;
	closedir(dir);
	need(found, "this machine has no PCI device %04x:%04x", vendor, device);
	peer.domain = domain;
	peer.bus = (uint8_t)bus;
	peer.devfn = (uint8_t)(slot << 3 | function);
	peer_name(&peer);
	return peer;
}

struct t_peer t_peer_parse(const char *name)
{
	unsigned int domain, bus, slot, function;
	struct t_peer peer = { 0 };

	need(sscanf(name, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4,
	     "%s is no PCI address", name);
	peer.domain = domain;
	peer.bus = (uint8_t)bus;
	peer.devfn = (uint8_t)(slot << 3 | function);
	peer_name(&peer);
	return peer;
}

const char *t_peer_file(const struct t_peer *peer, const char *file, char *path,
			size_t size)
{
	snprintf(path, size, PCI_DEVICES "/%s/%s", peer->name, file);
	return path;
}

int t_board_try_open(int n)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/fpga-dma%d", n);
	return open(path, O_RDWR | O_CLOEXEC);
}

int t_board_open(void)
{
	return t_open(FPGA_DMA_NODE);
}

int gm_dma_map_fd(int fd, uint32_t pin, const struct t_peer *peer,
		  int device_fd, struct gpumem_dma_map *map)
{
	memset(map, 0, sizeof(*map));
	map->size = sizeof(*map);
	map->pin = pin;
	map->domain = peer->domain;
	map->bus = peer->bus;
	map->devfn = peer->devfn;
	map->device_fd = device_fd;
	return t_ioctl(fd, GPUMEM_IOC_DMA_MAP, map);
}

int gm_dma_map(int fd, uint32_t pin, const struct t_peer *peer,
	       struct gpumem_dma_map *map)
{
	return gm_dma_map_fd(fd, pin, peer, -1, map);
}

struct gpumem_dma_map gm_must_dma_map(int fd, uint32_t pin,
				      const struct t_peer *peer)
{
	struct gpumem_dma_map map;
	int r = gm_dma_map(fd, pin, peer, &map);

	need(!r, "DMA_MAP of pin %u for %s: %s", pin, peer->name, strerror(r));
	need(map.dma && map.page_size && map.run_count,
	     "DMA_MAP gave id %u, page size %u, %llu runs", map.dma,
	     map.page_size, (unsigned long long)map.run_count);
	return map;
}

int gm_dma_runs(int fd, uint32_t dma, uint64_t first,
		struct gpumem_dma_run *runs, uint64_t *count)
{
	struct gpumem_dma_runs args = { .size = sizeof(args),
					.dma = dma,
					.first = first,
					.count = *count,
					.runs = (uintptr_t)runs };
	int r = t_ioctl(fd, GPUMEM_IOC_DMA_RUNS, &args);

	*count = args.count;
	return r;
}

int gm_dma_unmap(int fd, uint32_t dma)
{
	struct gpumem_dma_unmap args = { .size = sizeof(args), .dma = dma };

	return t_ioctl(fd, GPUMEM_IOC_DMA_UNMAP, &args);
}

struct gpumem_dma_run *gm_dma_all_runs(int fd, const struct gpumem_dma_map *map)
{
	struct gpumem_dma_run *runs = calloc(map->run_count, sizeof(*runs));
	uint64_t n = map->run_count;
	int r;

	need(runs, "out of memory");
	r = gm_dma_runs(fd, map->dma, 0, runs, &n);
	need(!r && n == map->run_count, "DMA_RUNS: %s, %llu of %llu runs",
	     strerror(r), (unsigned long long)n,
	     (unsigned long long)map->run_count);
	return runs;
}

uint64_t gm_dma_at(const struct gpumem_dma_run *runs, uint64_t count,
		   uint64_t offset)
{
	uint64_t i;

	for (i = 0; i < count; i++) {
		if (offset < runs[i].length)
			return runs[i].addr + offset;
		offset -= runs[i].length;
	}
	need(false, "an offset lies %llu bytes behind the mapping",
	     (unsigned long long)offset);
	return 0;
}

static int board_transfer(int board, uint64_t addr, const void *data,
			  uint64_t length, uint32_t direction)
{
	struct fpga_dma_transfer t = { .addr = addr,
				       .data = (uintptr_t)data,
				       .length = length,
				       .direction = direction };
	int r = t_ioctl(board, FPGA_DMA_IOC_TRANSFER, &t);

	check(r || t.done == length, "the board moved %llu of %llu bytes",
	      (unsigned long long)t.done, (unsigned long long)length);
	return r;
}

int board_send(int board, uint64_t addr, const void *data, uint64_t length)
{
	return board_transfer(board, addr, data, length, FPGA_DMA_TO_MEMORY);
}

int board_receive(int board, uint64_t addr, void *data, uint64_t length)
{
	return board_transfer(board, addr, data, length, FPGA_DMA_FROM_MEMORY);
}
