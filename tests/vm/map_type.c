// SPDX-License-Identifier: MIT
/*
 * The kinds of memory that a mapping can be: what PIN, INFO and the library tell of
 * them, and that copies are right in each. The parameter map_device makes it Device
 * memory, of the module and of the emulated GPU, whose mappings are backend rm's; the
 * emulated GPU's parameter coherent makes it cached.
 *
 *   vm-map-type told|device|device-rm|cached
 */
#include <gdrapi.h>

#include "t_lib.h"

#define MAP_DEVICE "/sys/module/gpumem/parameters/map_device"
#define EMU_MAP_DEVICE "/sys/module/gpumem_emu/parameters/map_device"
#define COHERENT "/sys/module/gpumem_emu/parameters/coherent"
/* Of each start and end in a cache line, and across the next ones. */
#define STARTS 65
#define LENGTHS 200

static void told_check(int fd, uint64_t addr, uint32_t want, const char *what)
{
	struct gpumem_pin pin = gm_must_pin(fd, addr, MIB);
	struct gpumem_info info;

	check(pin.map_type == want, "%s: PIN tells %u, expected %u", what,
	      pin.map_type, want);
	/* What a pin has, it keeps. */
	t_file_write(MAP_DEVICE, want == GPUMEM_MAP_DEVICE ? "0" : "1");
	check_result(gm_info(fd, pin.pin, &info), 0, "%s: INFO", what);
	check(info.map_type == want, "%s: INFO tells %u, expected %u", what,
	      info.map_type, want);
	check_result(gm_unpin(fd, pin.pin), 0, "%s: UNPIN", what);
}

static void told_flags(unsigned int flag, const char *what)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr, MIB, 0);

	t_lib_ok(gpumem_buf_get(buf, &info), "gpumem_buf_get");
	check((info.flags & (GPUMEM_BUF_DEVICE_MEMORY | GPUMEM_BUF_CACHED)) ==
		      flag,
	      "%s: the library tells flags %#x", what, info.flags);
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_lib_free(addr);
	t_lib_close(session);
}

static void mode_told(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);

	t_file_write(MAP_DEVICE, "0");
	told_check(fd, addr, GPUMEM_MAP_WRITE_COMBINED, "write-combined");
	t_file_write(MAP_DEVICE, "1");
	told_check(fd, addr, GPUMEM_MAP_DEVICE, "Device");
	close(fd);
	close(emu);
	t_file_write(MAP_DEVICE, "0");
	told_flags(0, "write-combined");
	t_file_write(MAP_DEVICE, "1");
	told_flags(GPUMEM_BUF_DEVICE_MEMORY, "Device");
}

/* The library's copies at every start and end: right, and without a fault. */
static void copies_check(struct gpumem_buf *buf, uint64_t addr)
{
	uint8_t host[LENGTHS], back[LENGTHS];
	size_t start, length;

	for (start = 0; start < STARTS; start++) {
		for (length = 0; length < LENGTHS; length++) {
			memset(host, (int)(start + length) | 1, length);
			memset(back, 0, length);
			t_lib_ok(gpumem_write(buf, start, host, length),
				 "gpumem_write");
			t_lib_ok(gpumem_read(buf, start, back, length),
				 "gpumem_read");
			if (!check(!memcmp(host, back, length),
				   "%zu bytes at %zu: other data", length,
				   start))
				return;
		}
	}
	t_lib_to_host(back, addr + start - 1, length - 1);
	check(!memcmp(host, back, length - 1), "CUDA sees other data");
}

static void copies_large(struct gpumem_buf *buf, uint64_t addr)
{
	size_t words = (MIB - 16) / 4;
	uint32_t *host = malloc(MIB), *back = malloc(MIB);

	need(host && back, "out of memory");
	counter_fill(host, words, 77);
	t_lib_ok(gpumem_write(buf, 3, host, words * 4), "gpumem_write");
	t_lib_ok(gpumem_read(buf, 3, back, words * 4), "gpumem_read");
	counter_check(back, words, 77, "read");
	t_lib_to_host(back, addr + 3, words * 4);
	counter_check(back, words, 77, "CUDA");
	free(host);
	free(back);
}

#define BLOCKS 16
#define BLOCK 8000

/* Two blocks that lie in one page of the GPU's: 0, and another one beside it. */
static void blocks_make(uint64_t *block)
{
	for (int i = 0; i < BLOCKS; i++)
		block[i] = t_lib_alloc(BLOCK);
	for (int i = 1; i < BLOCKS; i++) {
		uint64_t first = block[i - 1];

		if (block[i] / GPU_PAGE != first / GPU_PAGE ||
		    block[i] % GPU_PAGE + BLOCK > GPU_PAGE)
			continue;
		block[i - 1] = block[0];
		block[0] = first;
		first = block[i];
		block[i] = block[1];
		block[1] = first;
		return;
	}
	need(false, "no two blocks of CUDA's lie in one page");
}

/* By libgdrapi's own stores and loads: at is mapped, but not pinned. */
static void gdrapi_copies(gdr_mh_t mh, char *at, uint64_t addr)
{
	uint8_t host[LENGTHS], back[LENGTHS];

	for (size_t start = 0; start < 17; start++) {
		for (size_t length = 1; length < LENGTHS; length++) {
			memset(host, (int)(start + length) | 1, length);
			memset(back, 0, length);
			check_result(gdr_copy_to_mapping(mh, at + start, host,
							 length),
				     0, "gdr_copy_to_mapping");
			check_result(gdr_copy_from_mapping(mh, back, at + start,
							   length),
				     0, "gdr_copy_from_mapping");
			if (!check(!memcmp(host, back, length),
				   "gdrapi: %zu bytes at %zu: other data",
				   length, start))
				return;
		}
	}
	t_lib_to_host(back, addr + 16, LENGTHS - 1);
	check(!memcmp(host, back, LENGTHS - 1), "CUDA sees other data");
}

static void gdrapi_check(bool told)
{
	uint64_t block[BLOCKS], start;
	gdr_t g = gdr_open();
	gdr_info_t info;
	gdr_mh_t mh;
	void *map;

	need(g, "gdr_open");
	blocks_make(block);
	start = block[0] & ~(GPU_PAGE - 1);
	need(!gdr_pin_buffer(g, start, GPU_PAGE, 0, 0, &mh),
	     "gdr_pin_buffer: %s", gpumem_last_error());
	if (told)
		check_result(gdr_map_v2(g, mh, &map, GPU_PAGE,
					GDR_MAP_FLAG_REQ_WC_MAPPING),
			     EOPNOTSUPP, "a write-combined mapping");
	need(!gdr_map_v2(g, mh, &map, GPU_PAGE,
			 told ? GDR_MAP_FLAG_REQ_DEVICE_MAPPING
			      : GDR_MAP_FLAG_DEFAULT),
	     "gdr_map: %s", gpumem_last_error());
	check_result(gdr_get_info(g, mh, &info), 0, "gdr_get_info");
	check(!told || (info.mapping_type == GDR_MAPPING_TYPE_DEVICE &&
			!info.wc_mapping),
	      "the mapping is of type %d", (int)info.mapping_type);
	for (int i = 0; i < 2; i++)
		gdrapi_copies(mh, (char *)map + (block[i] - start), block[i]);
	check_result(gdr_unmap(g, mh, map, GPU_PAGE), 0, "gdr_unmap");
	check_result(gdr_unpin_buffer(g, mh), 0, "gdr_unpin_buffer");
	check_result(gdr_close(g), 0, "gdr_close");
	for (int i = 0; i < BLOCKS; i++)
		t_lib_free(block[i]);
}

/* An access that Device memory alone refuses. */
static void unaligned_check(char *at, int want, const char *what)
{
#ifdef __aarch64__
	uint32_t value;

	check_result(t_load(at + 1, &value), want, "%s: an unaligned load",
		     what);
	check_result(t_store(at + 2, 1), want, "%s: an unaligned store", what);
#endif
	check_result(t_load(at + 4, NULL), 0, "%s: an aligned load", what);
	check_result(t_store(at + 4, 1), 0, "%s: an aligned store", what);
}

/* Mappings of a backend, first as they are and then of Device memory. */
static void device_check(const char *backend, const char *switched)
{
	struct gpumem *session = t_lib_open(backend);
	uint64_t addr = t_lib_alloc(MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr, MIB, 0);
	void *at;

	need(!gpumem_map(buf, &at), "gpumem_map: %s", gpumem_last_error());
	unaligned_check(at, 0, "write-combined");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_lib_close(session);

	t_file_write(switched, "1");
	session = t_lib_open(backend);
	buf = t_lib_pin(session, addr, MIB, 0);
	need(!gpumem_map(buf, &at), "gpumem_map: %s", gpumem_last_error());
	unaligned_check(at, SIGBUS, "Device");
	copies_check(buf, addr);
	copies_large(buf, addr);
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	setenv("GPUMEM_BACKEND", backend, 1);
	gdrapi_check(!strcmp(backend, "kmod"));
	t_lib_free(addr);
	t_lib_close(session);
}

static void mode_device(void)
{
	t_file_write(MAP_DEVICE, "0");
	device_check("kmod", MAP_DEVICE);
}

static void mode_device_rm(void)
{
	device_check("rm", EMU_MAP_DEVICE);
}

/* The same words through the mapping and through /proc/self/mem. */
static void mem_check(const char *at, const char *what)
{
	int mem = t_open("/proc/self/mem");
	uint32_t seen, there = 0;

	need(!t_load(at, &seen), "%s: a load", what);
	check(pread(mem, &there, sizeof(there), (off_t)(uintptr_t)at) ==
		      sizeof(there),
	      "%s: /proc/self/mem: %s", what, strerror(errno));
	check(there == seen, "%s: /proc/self/mem has %#x, the mapping %#x",
	      what, there, seen);
	close(mem);
}

static void cached_map(int fd, uint64_t addr, const char *coherent)
{
	struct gpumem_pin pin;
	void *at;

	t_file_write(COHERENT, coherent);
	pin = gm_must_pin(fd, addr, MIB);
	check(pin.map_type == GPUMEM_MAP_CACHED, "coherent=%s: type %u",
	      coherent, pin.map_type);
	need(!gm_map(fd, &pin, &at), "mmap");
	mem_check(at, coherent);
	munmap(at, gm_bytes(&pin));
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	t_file_write(COHERENT, "0");
}

/* The kernel warns where its own memory is mapped in another way than it has it. */
static void mode_cached(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	uint32_t word = 0x600df00d;

	check_result(emu_write(emu, addr, &word, 4), 0, "writing by CUDA");
	cached_map(fd, addr, "1");
	cached_map(fd, addr, "2");
	cached_map(fd, addr, "3");
	close(fd);
	close(emu);
	t_file_write(COHERENT, "1");
	told_flags(GPUMEM_BUF_CACHED, "cached");
}

static const struct t_mode modes[] = {
	{ "told", mode_told },
	{ "device", mode_device },
	{ "device-rm", mode_device_rm },
	{ "cached", mode_cached },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
