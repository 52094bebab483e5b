// SPDX-License-Identifier: MIT
/*
 * gpumem_dma_*() through the kernel module, with QEMU's edu device as the peer.
 *
 *   vm-lib-dma MODE PEER [NODE]
 *
 * NODE is the board driver's, which moves data at the addresses given.
 */
#include "t_lib.h"

#include <pthread.h>

#include "../../examples/fpga-dma/driver/fpga_dma.h"

static const char *peer;
static const char *node;

static struct gpumem_dma_info dma_info(struct gpumem_dma *dma)
{
	struct gpumem_dma_info info = { .size = sizeof(info) };

	t_lib_ok(gpumem_dma_get(dma, &info), "gpumem_dma_get");
	return info;
}

/* The DMA address of a byte of the buffer. */
static uint64_t run_find(const struct gpumem_run *runs, uint64_t offset)
{
	while (offset >= runs->length)
		offset -= runs++->length;
	return runs->addr + offset;
}

/*
 * The board writes to the buffer; CUDA and the CPU must see it. A few bytes: it
 * is slow.
 */
static void board_write(int fd, struct gpumem_buf *buf, uint64_t addr,
			uint64_t offset, uint64_t dma)
{
	uint8_t want = (uint8_t)(offset ^ offset >> 8 ^ 0x5a), found = 0;
	struct fpga_dma_transfer move = {
		.addr = dma,
		.data = (uintptr_t)&want,
		.length = 1,
		.direction = FPGA_DMA_TO_MEMORY,
	};

	check_result(t_ioctl(fd, FPGA_DMA_IOC_TRANSFER, &move), 0,
		     "the board's transfer");
	t_lib_to_host(&found, addr + offset, 1);
	check(found == want, "at %llu CUDA sees %#x instead of %#x",
	      (unsigned long long)offset, found, want);
	found = (uint8_t)~want;
	t_lib_ok(gpumem_read(buf, offset, &found, 1), "gpumem_read");
	check(found == want, "at %llu the CPU sees %#x instead of %#x",
	      (unsigned long long)offset, found, want);
}

static void board_check(struct gpumem_buf *buf, uint64_t addr, uint64_t length,
			const struct gpumem_run *runs, uint64_t skip)
{
	const uint64_t at[] = { 0, length / 3, length / 2, length - 1 };
	int fd = t_open(node);
	size_t i;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		board_write(fd, buf, addr, at[i], run_find(runs, skip + at[i]));
	close(fd);
}

/* Runs are asked for in twos; they cover the pages, one after the other. */
static void runs_check(struct gpumem_buf *buf, struct gpumem_dma *dma,
		       uint64_t addr, uint64_t length)
{
	struct gpumem_dma_info info = dma_info(dma);
	struct gpumem_buf_info about = { .size = sizeof(about) };
	struct gpumem_run *runs = calloc(info.run_count + 1, sizeof(*runs));
	uint64_t i, sum = 0;
	size_t count;

	t_lib_ok(gpumem_buf_get(buf, &about), "gpumem_buf_get");
	check(!strcmp(info.peer, peer), "the peer is %s", info.peer);
	check(info.length == length && info.addr_offset == about.addr_offset,
	      "length %llu, offset %llu", (unsigned long long)info.length,
	      (unsigned long long)info.addr_offset);
	need(runs && info.run_count, "%llu runs",
	     (unsigned long long)info.run_count);
	for (i = 0; i < info.run_count; i += count) {
		count = 2;
		need(!gpumem_dma_runs(dma, i, runs + i, &count) && count,
		     "gpumem_dma_runs: %s", gpumem_last_error());
		check(count == (info.run_count - i < 2 ? 1 : 2),
		      "%zu runs from %llu on", count, (unsigned long long)i);
	}
	for (i = 0; i < info.run_count; i++) {
		check(runs[i].length && !(runs[i].length % info.page_size),
		      "run %llu has %llu bytes", (unsigned long long)i,
		      (unsigned long long)runs[i].length);
		check(!i || runs[i].addr !=
				      runs[i - 1].addr + runs[i - 1].length,
		      "run %llu could be one with its neighbour",
		      (unsigned long long)i);
		sum += runs[i].length;
	}
	check(sum == about.page_count * about.page_size, "%llu bytes in all",
	      (unsigned long long)sum);
	if (node)
		board_check(buf, addr, length, runs, info.addr_offset);
	free(runs);
}

static void mode_map(void)
{
	static const struct {
		uint64_t offset, length;
	} cases[] = { { 0, 1 },
		      { 0, MIB },
		      { 12345, 3 * MIB },
		      { 65535, 2 },
		      { 4 * MIB - 1, 1 } };
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(4 * MIB);
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t at = addr + cases[i].offset;
		struct gpumem_buf *buf =
			t_lib_pin(session, at, cases[i].length, 0);
		/* Both spellings of the address. */
		struct gpumem_dma *dma =
			t_lib_dma_map(buf, i % 2 ? peer + 5 : peer);

		runs_check(buf, dma, at, cases[i].length);
		check(emu_counters().dma_maps == 1, "%llu mappings",
		      (unsigned long long)emu_counters().dma_maps);
		t_lib_ok(gpumem_dma_unmap(dma), "gpumem_dma_unmap");
		check(!emu_counters().dma_maps, "a mapping is left");
		t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	}
	t_lib_free(addr);
	t_lib_close(session);
}

static void dead_check(struct gpumem_dma *dma, const char *when)
{
	struct gpumem_dma_info info = { .size = sizeof(info) };
	struct gpumem_run run;
	size_t count = 1;

	t_lib_error(gpumem_dma_get(dma, &info), EBADF, "DMA mapping", when);
	t_lib_error(gpumem_dma_runs(dma, 0, &run, &count), EBADF, "unmapped",
		    when);
	t_lib_error(gpumem_dma_unmap(dma), EBADF, "unmapped", when);
}

static void mode_ends(void)
{
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(2 * MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr, MIB, 0);
	struct gpumem_dma *dma[3];
	struct gpumem_run run;
	size_t count = 1;
	int i;

	for (i = 0; i < 3; i++)
		dma[i] = t_lib_dma_map(buf, peer);
	t_lib_error(gpumem_dma_runs(dma[0], 1ull << 40, &run, &count), ERANGE,
		    "there is no run", "a run past the last");
	count = 0;
	t_lib_ok(gpumem_dma_runs(dma[0], 0, &run, &count), "no room");
	check(!count, "%zu runs in no room", count);
	t_lib_ok(gpumem_dma_unmap(dma[1]), "gpumem_dma_unmap");
	dead_check(dma[1], "after unmap");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	dead_check(dma[0], "after unpin");
	dead_check(dma[2], "after unpin");
	check(!emu_counters().dma_maps, "a mapping is left after unpin");

	buf = t_lib_pin(session, addr, MIB, 0);
	dma[0] = t_lib_dma_map(buf, peer);
	t_lib_free(addr);
	t_lib_close(session);
	dead_check(dma[0], "after close");
	check(!emu_counters().dma_maps, "a mapping is left after close");
}

static void mode_errors(void)
{
	struct gpumem *session = t_lib_open("kmod");
	struct gpumem_buf *buf;
	struct gpumem_dma *dma = NULL;

	t_lib_ok(gpumem_alloc(session, MIB, 0, &buf), "gpumem_alloc");
	t_lib_error(gpumem_dma_map(buf, "0000:7f:1f.7", 0, &dma), ENODEV,
		    "no such PCI device", "no device there");
	t_lib_error(gpumem_dma_map(buf, "7fffffff:00:00.0", 0, &dma), ENODEV,
		    "no such PCI device", "no such domain");
	t_lib_error(gpumem_dma_map(buf, "ffffffff:00:00.0", 0, &dma), ENODEV,
		    "no such PCI device", "a domain past what there can be");
	t_lib_error(gpumem_dma_map(buf, "edu", 0, &dma), EINVAL,
		    "is no PCI address", "a name");
	t_lib_error(gpumem_dma_map(buf, peer, 1, &dma), EINVAL, "flags",
		    "a flag");
	check(!dma, "a failed call set the handle");
	t_lib_close(session);
}

static void refused(int want, const char *text)
{
	struct gpumem *session = t_lib_open("kmod");
	struct gpumem_dma *dma = NULL;
	struct gpumem_buf *buf;

	t_lib_ok(gpumem_alloc(session, MIB, 0, &buf), "gpumem_alloc");
	t_lib_error(gpumem_dma_map(buf, peer, 0, &dma), want, text,
		    "a device that cannot be");
	check(!dma, "a failed call set the handle");
	t_lib_close(session);
}

/* The case has given the device such a driver, or such a mask. */
static void mode_vfio(void)
{
	refused(EBUSY, "vfio-pci drives the device");
}

static void mode_mask(void)
{
	refused(EIO, "DMA mask of 64 bits");
}

/* The memory is freed under the mapping. */
static void mode_freed(void)
{
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(2 * MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr, MIB, 0);
	struct gpumem_dma *dma = t_lib_dma_map(buf, peer), *other;
	struct gpumem_run run;
	size_t count = 1;

	t_lib_free(addr);
	check(!emu_counters().dma_maps, "the mapping outlived the memory");
	t_lib_error(gpumem_dma_runs(dma, 0, &run, &count), ENODEV, "was freed",
		    "runs of freed memory");
	t_lib_error(gpumem_dma_map(buf, peer, 0, &other), ENODEV, "was freed",
		    "mapping freed memory");
	dma_info(dma);
	t_lib_ok(gpumem_dma_unmap(dma), "gpumem_dma_unmap");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_lib_close(session);
}

static void sysfs_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, "1", 1) == 1, "writing %s: %s", path,
	     strerror(errno));
	close(fd);
}

/* The device is taken out under the mapping; the memory stays. */
static void mode_unplugged(void)
{
	struct gpumem *session = t_lib_open("kmod");
	struct gpumem_buf *buf =
		t_lib_pin(session, t_lib_alloc(2 * MIB), MIB, 0);
	struct gpumem_dma *dma = t_lib_dma_map(buf, peer);
	struct gpumem_run run;
	size_t count = 1;
	char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", peer);
	sysfs_write(path);
	t_lib_error(gpumem_dma_runs(dma, 0, &run, &count), ENODEV,
		    "was taken out", "runs for a device that is gone");
	t_lib_ok(gpumem_dma_unmap(dma), "gpumem_dma_unmap");
	sysfs_write("/sys/bus/pci/rescan");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_lib_close(session);
}

/* Without a file of the device, and (argument) with one. */
static void user_map(int want)
{
	struct gpumem *session = t_lib_open("kmod");
	struct gpumem_dma *dma;
	struct gpumem_buf *buf;
	int r;

	t_lib_ok(gpumem_alloc(session, MIB, 0, &buf), "gpumem_alloc");
	r = gpumem_dma_map(buf, peer, 0, &dma);
	if (want)
		t_lib_error(r, want, "udev", "a user without the device");
	else
		t_lib_ok(r, "a user with the device");
	t_lib_close(session);
}

static void mode_stranger(void)
{
	user_map(EACCES);
}

static void mode_owner(void)
{
	user_map(0);
}

struct child {
	struct gpumem *session;
	struct gpumem_buf *buf;
	struct gpumem_dma *dma;
};

static void child_run(void *arg)
{
	struct child *c = arg;
	struct gpumem_dma_info info = { .size = sizeof(info) };
	struct gpumem_dma *dma;
	struct gpumem_run run;
	size_t count = 1;
	struct gpumem_dmabuf dmabuf = { .size = sizeof(dmabuf) };

	t_lib_error(gpumem_dma_map(c->buf, peer, 0, &dma), EPERM, "parent",
		    "dma_map in a child");
	t_lib_error(gpumem_dma_get(c->dma, &info), EPERM, "parent",
		    "dma_get in a child");
	t_lib_error(gpumem_dma_runs(c->dma, 0, &run, &count), EPERM, "parent",
		    "dma_runs in a child");
	t_lib_error(gpumem_dma_unmap(c->dma), EPERM, "parent",
		    "dma_unmap in a child");
	t_lib_error(gpumem_export_dmabuf(c->buf, 0, &dmabuf), EPERM, "parent",
		    "export_dmabuf in a child");
	t_lib_ok(gpumem_close(c->session), "close in a child");
	dead_check(c->dma, "in a child after close");
}

static void mode_fork(void)
{
	struct child c = { .session = t_lib_open("kmod") };

	t_lib_ok(gpumem_alloc(c.session, MIB, 0, &c.buf), "gpumem_alloc");
	c.dma = t_lib_dma_map(c.buf, peer);
	t_child("the child", child_run, &c);
	check(emu_counters().dma_maps == 1, "the child ended its parent's");
	dma_info(c.dma);
	t_lib_close(c.session);
}

struct race {
	struct gpumem *session;
	uint64_t addr;
	_Atomic(struct gpumem_buf *) buf;
	atomic_bool stop;
	atomic_uint maps;
};

/* Whatever the other threads do, an error is one that is documented. */
static void *race_map(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		struct gpumem_dma_info info = { .size = sizeof(info) };
		struct gpumem_dma *dma;
		struct gpumem_run run;
		size_t count = 1;
		int r = gpumem_dma_map(atomic_load(&race->buf), peer, 0, &dma);

		check(!r || r == -EBADF, "dma_map: %s", gpumem_last_error());
		if (r)
			continue;
		atomic_fetch_add(&race->maps, 1);
		r = gpumem_dma_get(dma, &info);
		check(!r || r == -EBADF, "dma_get: %s", gpumem_last_error());
		r = gpumem_dma_runs(dma, 0, &run, &count);
		check(!r || r == -EBADF, "dma_runs: %s", gpumem_last_error());
		r = gpumem_dma_unmap(dma);
		check(!r || r == -EBADF, "dma_unmap: %s", gpumem_last_error());
	}
	return NULL;
}

static void mode_threads(void)
{
	struct race race = { .session = t_lib_open("kmod") };
	const struct t_kind kind = { "mappings", &race.maps, 20 };
	pthread_t thread[3];
	uint64_t end;
	int i;

	race.addr = t_lib_alloc(2 * MIB);
	race.buf = t_lib_pin(race.session, race.addr, MIB, 0);
	for (i = 0; i < 3; i++)
		need(!pthread_create(&thread[i], NULL, race_map, &race),
		     "pthread_create");
	end = t_now_ms() + 2000;
	for (; t_now_ms() < end || t_missing(&kind, 1); t_sleep_us(500)) {
		t_lib_ok(gpumem_unpin(race.buf), "gpumem_unpin");
		race.buf = t_lib_pin(race.session, race.addr, MIB, 0);
	}
	t_lib_close(race.session);
	atomic_store(&race.stop, true);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	check(!emu_counters().dma_maps, "a mapping is left");
	printf("%u mappings\n", race.maps);
}

static const struct t_mode modes[] = {
	{ "map", mode_map },
	{ "ends", mode_ends },
	{ "errors", mode_errors },
	{ "freed", mode_freed },
	{ "unplugged", mode_unplugged },
	{ "fork", mode_fork },
	{ "threads", mode_threads },
	{ "stranger", mode_stranger },
	{ "owner", mode_owner },
	{ "vfio", mode_vfio },
	{ "mask", mode_mask },
};

int main(int argc, char **argv)
{
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: %s MODE PEER [NODE]\n", argv[0]);
		return 2;
	}
	peer = argv[2];
	node = argv[3];
	r = t_main(2, argv, modes, sizeof(modes) / sizeof(modes[0]));
	if (r)
		return r;
	emu_check_nothing_pinned("at the end");
	return t_end();
}
