// SPDX-License-Identifier: MIT
/* The new interface where it works. */
#include "t.h"

static void mode_version(void)
{
	struct gpumem_version v = { .size = sizeof(v) };
	int fd = gm_open();

	memset(v.release, 0xff, sizeof(v.release));
	check_result(t_ioctl(fd, GPUMEM_IOC_VERSION, &v), 0, "VERSION");
	check(v.abi == GPUMEM_ABI_VERSION, "VERSION: abi is %u", v.abi);
	check(memchr(v.release, 0, sizeof(v.release)) && v.release[0],
	      "VERSION: release is no string");
	check(v.p2p_page_table >> 16 >= 1, "VERSION: p2p_page_table is %#x",
	      v.p2p_page_table);
	close(fd);
}

/* One pin of a range: everything that the calls say of it agrees. */
static void describe(int emu, int fd, uint64_t base, uint64_t offset,
		     uint64_t length)
{
	uint64_t addr = base + offset, skip = addr % GPU_PAGE, i, n, room;
	uint64_t want = (skip + length + GPU_PAGE - 1) / GPU_PAGE;
	uint64_t *pages = calloc(want + 1, 8), *truth = calloc(want, 8);
	struct gpumem_pin pin = gm_must_pin(fd, addr, length);
	struct gpumem_emu_pages real = { .addr = addr - skip,
					 .count = want,
					 .pages = (uintptr_t)truth };
	char what[80];
	struct gpumem_info info;

	snprintf(what, sizeof(what), "%llu bytes at offset %llu",
		 (unsigned long long)length, (unsigned long long)offset);
	need(pages && truth, "out of memory");
	check(pin.page_size == GPU_PAGE, "%s: page size %u", what,
	      pin.page_size);
	check(pin.page_count == want, "%s: expected %llu pages, found %llu",
	      what, (unsigned long long)want,
	      (unsigned long long)pin.page_count);
	check(pin.addr_offset == skip,
	      "%s: expected addr_offset %llu, found %llu", what,
	      (unsigned long long)skip, (unsigned long long)pin.addr_offset);
	check(pin.addr == addr && pin.length == length,
	      "%s: PIN changed what it was given", what);
	check(pin.map_type == GPUMEM_MAP_WRITE_COMBINED,
	      "%s: mapped as type %u, expected write-combined", what,
	      pin.map_type);
	check(!(pin.mmap_offset % PAGE), "%s: mmap_offset %#llx", what,
	      (unsigned long long)pin.mmap_offset);

	check_result(gm_info(fd, pin.pin, &info), 0, "%s: INFO", what);
	check(info.flags == 0 && info.page_size == pin.page_size &&
		      info.addr == addr && info.length == length &&
		      info.page_count == want &&
		      info.mmap_offset == pin.mmap_offset &&
		      info.addr_offset == skip && info.mapped == 0 &&
		      info.map_type == pin.map_type,
	      "%s: INFO and PIN differ", what);

	check_result(t_ioctl(emu, GPUMEM_EMU_IOC_PAGES, &real), 0,
		     "%s: the GPU's own page list", what);
	room = want + 1;
	check_result(gm_pages(fd, pin.pin, 0, pages, &room), 0, "%s: PAGES",
		     what);
	check(room == want, "%s: expected %llu entries, found %llu", what,
	      (unsigned long long)want, (unsigned long long)room);
	check(!pages[want], "%s: PAGES wrote past its count", what);
	for (i = 0; i < want; i++)
		if (!check(pages[i] == truth[i],
			   "%s: page %llu: expected %#llx, found %#llx", what,
			   (unsigned long long)i, (unsigned long long)truth[i],
			   (unsigned long long)pages[i]))
			break;
	/* Asking for one page at a time gives the same. */
	for (i = 0; i < want; i += 1 + want / 7) {
		uint64_t one = 0;

		n = 1;
		check_result(gm_pages(fd, pin.pin, i, &one, &n), 0,
			     "%s: PAGES of page %llu", what,
			     (unsigned long long)i);
		check(n == 1 && one == truth[i],
		      "%s: page %llu alone: %llu entries, %#llx", what,
		      (unsigned long long)i, (unsigned long long)n,
		      (unsigned long long)one);
	}
	check_result(gm_unpin(fd, pin.pin), 0, "%s: UNPIN", what);
	free(pages);
	free(truth);
}

static void mode_sizes(void)
{
	static const uint64_t sizes[] = { 1,	    2,	  3,	   4095,
					  4096,	    4097, 65535,   65536,
					  65537,    MIB,  MIB + 1, 16 * MIB,
					  256 * MIB };
	static const uint64_t offsets[] = { 0, 1, 511, 4096, 65535, 65536 };
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, 258 * MIB);
	size_t i, k;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (k = 0; k < sizeof(offsets) / sizeof(offsets[0]); k++)
			describe(emu, fd, addr, offsets[k], sizes[i]);
	emu_check_nothing_pinned("after all sizes");
	close(fd);
	close(emu);
}

/* The whole of a buffer through one mapping, seen by CUDA, and back. */
static void transfer(int emu, int fd, uint64_t base, uint64_t offset,
		     uint64_t length)
{
	struct gpumem_pin pin = gm_must_pin(fd, base + offset, length);
	size_t bytes = gm_bytes(&pin), words = bytes / 4;
	uint64_t first = base + offset - pin.addr_offset;
	uint32_t *host = malloc(bytes), value = 0;
	void *at;
	int r;

	need(host, "out of memory");
	r = gm_map(fd, &pin, &at);
	need(!r, "mmap of %zu bytes: %s", bytes, strerror(r));
	counter_fill(at, words, 0x0A000000);
	memset(host, 0, bytes);
	check_result(emu_read(emu, first, host, bytes), 0, "reading by CUDA");
	counter_check(host, words, 0x0A000000, "as CUDA sees the CPU's stores");

	counter_fill(host, words, 0x55000000);
	check_result(emu_write(emu, first, host, bytes), 0, "writing by CUDA");
	if (bytes <= MIB)
		counter_check(at, words, 0x55000000,
			      "as the CPU sees what CUDA wrote");
	check(!t_load((char *)at + bytes - 4, &value) &&
		      value == 0x55000000 + words - 1,
	      "the last word of %zu bytes is %#x", bytes, value);
	munmap(at, bytes);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	free(host);
}

static void mode_data(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, 66 * MIB);

	transfer(emu, fd, addr, 0, 1);
	transfer(emu, fd, addr, 65535, 2);
	transfer(emu, fd, addr, 12345, MIB - 12345);
	transfer(emu, fd, addr, 511, 2 * MIB);
	transfer(emu, fd, addr, 0, 64 * MIB);
	close(fd);
	close(emu);
}

static void mode_data_256m(void)
{
	int emu = emu_open(), fd = gm_open();

	transfer(emu, fd, emu_alloc(emu, 256 * MIB), 0, 256 * MIB);
	close(fd);
	close(emu);
}

/* Any part of a pin can be mapped, several times over. */
static void mode_parts(void)
{
	const struct {
		uint64_t offset, length;
	} parts[] = {
		{ 0, PAGE },
		{ PAGE, PAGE },
		{ GPU_PAGE - PAGE, 2 * PAGE },
		{ 3 * GPU_PAGE + PAGE, 5 * GPU_PAGE },
		{ 16 * GPU_PAGE - PAGE, PAGE },
		{ 0, 16 * GPU_PAGE },
	};
	enum { PARTS = sizeof(parts) / sizeof(parts[0]) };
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin = gm_must_pin(fd, addr, MIB);
	uint32_t *host = malloc(MIB), value = 0;
	struct gpumem_info info;
	void *at[PARTS];
	size_t i;

	need(host, "out of memory");
	counter_fill(host, MIB / 4, 0);
	check_result(emu_write(emu, addr, host, MIB), 0, "writing by CUDA");
	for (i = 0; i < PARTS; i++) {
		uint64_t last = parts[i].length - 4;
		int r = t_map(fd, pin.mmap_offset + parts[i].offset,
			      parts[i].length, &at[i]);

		need(!r, "mmap of part %zu: %s", i, strerror(r));
		check(!t_load(at[i], &value) && value == parts[i].offset / 4,
		      "part %zu: first word %#x", i, value);
		check(!t_load((char *)at[i] + last, &value) &&
			      value == (parts[i].offset + last) / 4,
		      "part %zu: last word %#x", i, value);
		check_result(gm_info(fd, pin.pin, &info), 0, "INFO");
		check(info.mapped == i + 1, "%zu mappings, INFO says %u", i + 1,
		      info.mapped);
	}
	/* A store through one mapping is seen through another. */
	check(!t_store(at[1], 0xfeedface) &&
		      !t_load((char *)at[5] + PAGE, &value) &&
		      value == 0xfeedface,
	      "two mappings of one page differ");
	for (i = 0; i < PARTS; i++)
		munmap(at[i], parts[i].length);
	check_result(gm_info(fd, pin.pin, &info), 0, "INFO");
	check(!info.mapped, "no mapping is left, INFO says %u", info.mapped);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	free(host);
	close(fd);
	close(emu);
}

#define MANY 300

/* Many pins of one file; closing it releases what was not unpinned. */
static void mode_many(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, 2 * MIB);
	struct gpumem_pin pins[MANY];
	size_t i, k;

	for (i = 0; i < MANY; i++) {
		pins[i] = gm_must_pin(fd, addr + i * 4096, 4096);
		for (k = 0; k < i; k++)
			if (!check(pins[i].pin != pins[k].pin &&
					   pins[i].mmap_offset !=
						   pins[k].mmap_offset,
				   "pins %zu and %zu have one id", k, i))
				break;
	}
	check(emu_counters().pins == MANY, "%d pins, the GPU counts %llu", MANY,
	      (unsigned long long)emu_counters().pins);
	for (i = 0; i < MANY; i += 2)
		check_result(gm_unpin(fd, pins[i].pin), 0, "UNPIN %zu", i);
	for (i = 0; i < MANY; i += 2)
		check_result(gm_unpin(fd, pins[i].pin), ENOENT,
			     "the second UNPIN of %zu", i);
	close(fd);
	emu_check_nothing_pinned("after close");
	close(emu);
}

static const struct t_mode modes[] = {
	{ "version", mode_version }, { "sizes", mode_sizes },
	{ "data", mode_data },	     { "data-256m", mode_data_256m },
	{ "parts", mode_parts },     { "many", mode_many },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
