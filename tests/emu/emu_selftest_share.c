// SPDX-License-Identifier: MIT
/*
 * Self-test of the emulated GPU: descriptors of memory, views, dma-bufs, and the
 * layouts of other drivers. Needs gpumem_emu.ko loaded and nothing else using
 * it; root, for the module's parameters.
 *
 * usage: emu_selftest_share [NAME...]
 */
#include "emu_selftest.h"
#include "rm_abi.h"

#define PARAMETERS "/sys/module/gpumem_emu/parameters/"

static bool parameter_set(const char *name, const char *value)
{
	char path[128];
	FILE *file;
	bool done;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	file = fopen(path, "w");
	if (!file)
		return false;
	done = fputs(value, file) >= 0;
	return !fclose(file) && done;
}

static int rm_call(int fd, unsigned int nr, void *arg, size_t size)
{
	return ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, RM_IOC_MAGIC, nr, size),
		     arg);
}

static int export_fd(int cuda, uint64_t addr)
{
	struct gpumem_emu_export arg = { .addr = addr };

	return ioctl(cuda, GPUMEM_EMU_IOC_EXPORT, &arg) ? -1 : arg.fd;
}

static int dmabuf_fd(int cuda, uint64_t addr, uint64_t length)
{
	struct gpumem_emu_dmabuf arg = { .addr = addr, .length = length };

	return ioctl(cuda, GPUMEM_EMU_IOC_DMABUF, &arg) ? -1 : arg.fd;
}

static int import(int cuda, int fd, struct gpumem_emu_import *arg)
{
	*arg = (struct gpumem_emu_import){ .fd = fd };
	return ioctl(cuda, GPUMEM_EMU_IOC_IMPORT, arg);
}

/* The memory lives as long as the descriptor, or what was made of it. */
static void test_export(void)
{
	struct gpumem_emu_import in;
	struct gpumem_emu_alloc block;
	uint8_t bytes[1000];
	int cuda = emu_open();
	int other = emu_open();
	int fd;

	CHECK(!emu_alloc(cuda, 2 * MIB, &block));
	fill(bytes, sizeof(bytes), 3);
	CHECK(!emu_write(cuda, block.addr + 70000, bytes, sizeof(bytes)));
	CHECK(export_fd(cuda, block.addr + PAGE) == -1 && errno == EINVAL);
	CHECK(export_fd(other, block.addr) == -1 && errno == EINVAL);
	fd = export_fd(cuda, block.addr);
	CHECK(fd >= 0 && counters().exports == 1);
	CHECK(!emu_free(cuda, block.addr));
	CHECK(counters().free_pages ==
	      counters().vram_bytes / PAGE - 2 * MIB / PAGE);
	CHECK_ERR(import(other, cuda, &in), EINVAL);
	CHECK_ERR(import(other, -1, &in), EBADF);
	CHECK(!import(other, fd, &in));
	CHECK(in.length == 2 * MIB && in.addr != block.addr);
	close(fd);
	CHECK(counters().exports == 0);
	memset(bytes, 0, sizeof(bytes));
	CHECK(!emu_read(other, in.addr + 70000, bytes, sizeof(bytes)));
	CHECK(filled(bytes, sizeof(bytes), 3));
	close(cuda);
	close(other);
}

/* Two blocks, seen the other way round at reserved addresses. */
static void test_view(void)
{
	struct gpumem_emu_reserve reserve = { .length = 4 * MIB };
	struct gpumem_emu_view view = { .length = 2 * MIB };
	struct gpumem_emu_alloc block[2];
	uint64_t page[2][2];
	uint8_t bytes[512];
	int cuda = emu_open();

	CHECK(!ioctl(cuda, GPUMEM_EMU_IOC_RESERVE, &reserve));
	for (int i = 0; i < 2; i++) {
		CHECK(!emu_alloc(cuda, 2 * MIB, &block[i]));
		view.addr = reserve.addr + 2 * MIB * (uint64_t)!i;
		view.block = block[i].addr;
		CHECK(!ioctl(cuda, GPUMEM_EMU_IOC_VIEW, &view));
		CHECK_ERR(ioctl(cuda, GPUMEM_EMU_IOC_VIEW, &view), EINVAL);
		CHECK(!emu_pages(cuda, view.addr + PAGE, 1, &page[i][0]));
		CHECK(!emu_pages(cuda, block[i].addr + PAGE, 1, &page[i][1]));
		CHECK(page[i][0] == page[i][1]);
	}
	view.addr = reserve.addr + reserve.length;
	CHECK_ERR(ioctl(cuda, GPUMEM_EMU_IOC_VIEW, &view), EINVAL);
	CHECK(export_fd(cuda, reserve.addr) == -1 && errno == EINVAL);

	/* A view shows the memory when the block has gone. */
	fill(bytes, sizeof(bytes), 8);
	CHECK(!emu_write(cuda, reserve.addr + 5, bytes, sizeof(bytes)));
	CHECK(!emu_free(cuda, block[1].addr));
	memset(bytes, 0, sizeof(bytes));
	CHECK(!emu_read(cuda, reserve.addr + 5, bytes, sizeof(bytes)));
	CHECK(filled(bytes, sizeof(bytes), 8));
	CHECK(!emu_free(cuda, reserve.addr));
	CHECK_ERR(emu_read(cuda, reserve.addr, bytes, 1), EINVAL);
	close(cuda);
}

static void test_dmabuf(void)
{
	struct gpumem_emu_alloc block;
	uint64_t length = 3 * PAGE;
	int cuda = emu_open();
	uint8_t *map, *bytes;
	int fd;

	bytes = malloc(length);
	CHECK(bytes && !emu_alloc(cuda, 2 * MIB, &block));
	fill(bytes, length, 9);
	CHECK(!emu_write(cuda, block.addr + HOST_PAGE, bytes, length));
	CHECK(dmabuf_fd(cuda, block.addr + 1, 4096) == -1 && errno == EINVAL);
	CHECK(dmabuf_fd(cuda, block.addr, 2 * MIB + HOST_PAGE) == -1);
	fd = dmabuf_fd(cuda, block.addr + HOST_PAGE, length);
	CHECK(fd >= 0 && counters().exports == 1);
	CHECK(lseek(fd, 0, SEEK_END) == (off_t)length);

	/* ENOTSUPP, which has no name in user space. */
	CHECK_ERR((intptr_t)mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0),
		  524);
	CHECK(parameter_set("dmabuf_mmap", "1"));
	map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(parameter_set("dmabuf_mmap", "0"));
	CHECK(map != MAP_FAILED && filled(map, length, 9));
	fill(map, length, 10);
	CHECK(!emu_read(cuda, block.addr + HOST_PAGE, bytes, length));
	CHECK(filled(bytes, length, 10));
	CHECK(!emu_free(cuda, block.addr));
	CHECK(filled(map, length, 10));
	munmap(map, length);
	close(fd);
	close(cuda);
	free(bytes);
}

/* RM_ALLOC and EXPORT_TO_DMABUF as a driver of this version lays them out. */
static void version_try(const char *version, unsigned int alloc_status,
			size_t dmabuf_size)
{
	uint32_t words[8] = { [3] = RM_CLASS_CLIENT, [6] = 0xee, [7] = 0xee };
	struct rm_version answer = { .cmd = RM_VERSION_QUERY };
	uint8_t dmabuf[RM_DMABUF_SIZE] = { 0 };
	int ctl, gpu;

	CHECK(parameter_set("rm_version", version));
	ctl = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
	gpu = open("/dev/nvidia0", O_RDWR | O_CLOEXEC);
	CHECK(!rm_call(ctl, RM_ESC_CHECK_VERSION_STR, &answer, sizeof(answer)));
	CHECK(!strncmp(answer.string, version, strlen(answer.string)));
	CHECK(answer.reply == 1 && strlen(answer.string) > 4);
	words[alloc_status == 24 ? 7 : 6] = 0;
	CHECK(!rm_call(ctl, RM_ESC_ALLOC, words, sizeof(words)));
	CHECK(words[2] >> 20 == 0xc1d && !words[6] && !words[7]);
	for (size_t size = 2592; size <= RM_DMABUF_SIZE; size += 8) {
		int ret = rm_call(gpu, RM_ESC_EXPORT_TO_DMABUF, dmabuf, size);
		uint32_t status;

		CHECK(!ret == (size == dmabuf_size));
		memcpy(&status, dmabuf + dmabuf_size - 8, sizeof(status));
		CHECK(ret || status == RM_ERR_NOT_SUPPORTED);
	}
	close(gpu);
	close(ctl);
}

static void test_versions(void)
{
	char before[64] = "";
	FILE *file = fopen(PARAMETERS "rm_version", "r");

	CHECK(file && fgets(before, sizeof(before), file));
	fclose(file);
	version_try("470.256.02\n", 24, RM_DMABUF_SIZE_OLD);
	if (!why[0])
		version_try("515.105.01", 24, RM_DMABUF_SIZE_OLD);
	if (!why[0])
		version_try("525.147.05", 24, RM_DMABUF_SIZE_OLD);
	if (!why[0])
		version_try("535.43.02", 28, RM_DMABUF_SIZE_OLD);
	if (!why[0])
		version_try("570.86.15", 28, RM_DMABUF_SIZE);
	if (!why[0])
		version_try("620.10\n", 28, RM_DMABUF_SIZE);
	CHECK(parameter_set("rm_version", before) || why[0]);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "share-export", test_export },
		{ "share-view", test_view },
		{ "share-dmabuf", test_dmabuf },
		{ "share-versions", test_versions },
	};

	(void)argc;
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argv + 1);
}
