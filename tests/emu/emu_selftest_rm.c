// SPDX-License-Identifier: MIT
/*
 * Self-test of the emulated GPU, the stock driver's side: /dev/nvidiactl and
 * /dev/nvidia0. Needs gpumem_emu.ko loaded and nothing else using it. Prints
 * "ok NAME" or "not ok NAME: why" for each test and a count; exits with 0 if
 * all passed.
 *
 * usage: emu_selftest_rm [NAME...]
 */
#include "emu_selftest.h"
#include "rm_abi.h"

#define BAR1_PARAM "/sys/module/gpumem_emu/parameters/bar1_size"

/* A block of the CUDA side, and a client with a duplicate of it. */
struct rm {
	int cuda;
	int ctl;
	struct gpumem_emu_alloc block;
	uint32_t client;
	uint32_t device;
	uint32_t memory;
};

static int rm_call(int fd, unsigned int nr, void *arg, size_t size)
{
	return ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, RM_IOC_MAGIC, nr, size),
		     arg);
}

#define RM_CALL(fd, nr, arg) rm_call(fd, nr, arg, sizeof(*(arg)))
/* The status of a call, or -1 if the ioctl failed. */
#define RM_STATUS(fd, nr, arg) (RM_CALL(fd, nr, arg) ? -1 : (int)(arg)->status)

static int rm_alloc(int ctl, uint32_t root, uint32_t parent, uint32_t class,
		    void *params, uint32_t size, uint32_t *object)
{
	struct rm_alloc arg = { .root = root,
				.parent = parent,
				.object = *object,
				.class = class,
				.params = (uintptr_t)params,
				.params_size = size };
	int status = RM_STATUS(ctl, RM_ESC_ALLOC, &arg);

	*object = arg.object;
	return status;
}

static int rm_dup(struct rm *rm, uint32_t client_src, uint32_t object_src,
		  uint32_t *object)
{
	struct rm_dup_object arg = { .client = rm->client,
				     .parent = rm->device,
				     .object = *object,
				     .client_src = client_src,
				     .object_src = object_src };
	int status = RM_STATUS(rm->ctl, RM_ESC_DUP_OBJECT, &arg);

	*object = arg.object;
	return status;
}

static int rm_free(struct rm *rm, uint32_t object)
{
	struct rm_free arg = { .root = rm->client,
			       .parent = rm->device,
			       .object = object };

	return RM_STATUS(rm->ctl, RM_ESC_FREE, &arg);
}

static int rm_register(int fd, int ctl)
{
	struct rm_register_fd arg = { .ctl_fd = ctl };

	return RM_CALL(fd, RM_ESC_REGISTER_FD, &arg);
}

/* A descriptor that a mapping can be made on. */
static int rm_fd(struct rm *rm)
{
	int fd = open("/dev/nvidia0", O_RDWR | O_CLOEXEC);

	rm_register(fd, rm->ctl);
	return fd;
}

static int rm_map(struct rm *rm, int fd, uint64_t offset, uint64_t length,
		  uint64_t *linear)
{
	struct rm_map_memory arg = { .client = rm->client,
				     .device = rm->device,
				     .memory = rm->memory,
				     .offset = offset,
				     .length = length,
				     .fd = fd };
	int status = RM_STATUS(rm->ctl, RM_ESC_MAP_MEMORY, &arg);

	*linear = arg.linear;
	return status;
}

static int rm_unmap(struct rm *rm, uint64_t linear)
{
	struct rm_unmap_memory arg = { .client = rm->client,
				       .device = rm->device,
				       .memory = rm->memory,
				       .linear = linear };

	return RM_STATUS(rm->ctl, RM_ESC_UNMAP_MEMORY, &arg);
}

static bool rm_start(struct rm *rm, uint64_t length)
{
	struct rm_device_params params = {};

	memset(rm, 0, sizeof(*rm));
	rm->cuda = emu_open();
	rm->ctl = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
	if (emu_alloc(rm->cuda, length, &rm->block) ||
	    rm_alloc(rm->ctl, 0, 0, RM_CLASS_CLIENT, NULL, 0, &rm->client))
		return false;
	params.client_share = rm->client;
	return !rm_alloc(rm->ctl, rm->client, rm->client, RM_CLASS_DEVICE,
			 &params, sizeof(params), &rm->device) &&
	       !rm_dup(rm, rm->block.client, rm->block.memory, &rm->memory);
}

static void rm_stop(struct rm *rm)
{
	close(rm->ctl);
	close(rm->cuda);
}

static void test_card(void)
{
	int ctl = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
	struct rm_card_info cards[32];
	struct rm_version version = { .cmd = RM_VERSION_QUERY };
	struct rm_gpu_id_info id = {};
	struct rm_control arg = { .cmd = RM_CONTROL_GPU_GET_ID_INFO_V2,
				  .params = (uintptr_t)&id,
				  .params_size = sizeof(id) };
	uint32_t client = 0;

	CHECK(ctl >= 0);
	memset(cards, 0xff, sizeof(cards));
	CHECK(RM_CALL(ctl, RM_ESC_CARD_INFO, &cards) == 0);
	CHECK(cards[0].valid == 1 && cards[1].valid == 0);
	CHECK(cards[0].minor == 0 && cards[0].gpu_id);
	CHECK(cards[0].fb_size == counters().vram_bytes);
	CHECK_ERR(rm_call(ctl, RM_ESC_CARD_INFO, cards, 8), EINVAL);

	CHECK(RM_CALL(ctl, RM_ESC_CHECK_VERSION_STR, &version) == 0);
	CHECK(version.reply == 1 && strchr(version.string, '.'));
	version.cmd = RM_VERSION_STRICT;
	CHECK(RM_CALL(ctl, RM_ESC_CHECK_VERSION_STR, &version) == 0);
	strcpy(version.string, "1.2.3");
	CHECK_ERR(RM_CALL(ctl, RM_ESC_CHECK_VERSION_STR, &version), EINVAL);
	CHECK(version.reply == 0);

	CHECK(rm_alloc(ctl, 0, 0, RM_CLASS_CLIENT, NULL, 0, &client) == 0);
	CHECK(client >> 20 == 0xc1d);
	arg.client = client;
	arg.object = client;
	id.gpu_id = cards[0].gpu_id;
	CHECK(RM_STATUS(ctl, RM_ESC_CONTROL, &arg) == 0);
	CHECK(id.gpu_id == cards[0].gpu_id && id.device_instance == 0);
	id.gpu_id++;
	CHECK(RM_STATUS(ctl, RM_ESC_CONTROL, &arg) == RM_ERR_INVALID_ARGUMENT);
	arg.params_size--;
	CHECK(RM_STATUS(ctl, RM_ESC_CONTROL, &arg) == RM_ERR_INVALID_ARGUMENT);
	arg.params_size++;
	arg.params = 8;
	CHECK(RM_STATUS(ctl, RM_ESC_CONTROL, &arg) == RM_ERR_INVALID_POINTER);
	arg.cmd = 0x2fe;
	CHECK(RM_STATUS(ctl, RM_ESC_CONTROL, &arg) == RM_ERR_NOT_SUPPORTED);
	arg.object++;
	CHECK(RM_STATUS(ctl, RM_ESC_CONTROL, &arg) == RM_ERR_OBJECT_NOT_FOUND);
	arg.client++;
	CHECK(RM_STATUS(ctl, RM_ESC_CONTROL, &arg) == RM_ERR_INVALID_CLIENT);
	close(ctl);
}

/* What the driver refuses with an errno. */
static void test_refusals(void)
{
	int ctl = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
	int dev = open("/dev/nvidia0", O_RDWR | O_CLOEXEC);
	static uint8_t dmabuf[RM_DMABUF_SIZE];
	struct rm_alloc alloc = { .class = RM_CLASS_CLIENT };
	uint32_t status;

	CHECK_ERR(RM_CALL(dev, RM_ESC_ALLOC, &alloc), EINVAL);
	CHECK_ERR(rm_call(ctl, RM_ESC_ALLOC, &alloc, 24), EINVAL);
	CHECK_ERR(rm_call(ctl, 0x01, &alloc, 32), EINVAL);
	CHECK_ERR(ioctl(ctl, _IOWR('G', RM_ESC_ALLOC, alloc), &alloc), EINVAL);
	CHECK_ERR(rm_call(ctl, RM_ESC_ALLOC, (void *)8, 32), EFAULT);
	CHECK_ERR(rm_register(dev, -1), EINVAL);
	CHECK_ERR(rm_register(dev, dev), EINVAL);
	CHECK_ERR(rm_register(dev, 0), EINVAL);
	CHECK(rm_register(dev, ctl) == 0);
	CHECK_ERR(rm_register(dev, ctl), EINVAL);
	CHECK(RM_CALL(dev, RM_ESC_EXPORT_TO_DMABUF, &dmabuf) == 0);
	memcpy(&status, dmabuf + RM_DMABUF_STATUS, sizeof(status));
	CHECK(status == RM_ERR_NOT_SUPPORTED);
	CHECK_ERR(RM_CALL(ctl, RM_ESC_EXPORT_TO_DMABUF, &dmabuf), EINVAL);
	close(dev);
	close(ctl);
}

/* One range: what each side writes, the other reads. */
static void map_range(struct rm *rm, uint64_t offset, uint64_t length)
{
	uint64_t skip = offset % HOST_PAGE;
	uint64_t size = (skip + length + HOST_PAGE - 1) & ~(HOST_PAGE - 1);
	uint8_t *bytes = malloc(length);
	uint64_t linear, page;
	int fd = rm_fd(rm);
	uint8_t *map;

	CHECK(rm_map(rm, fd, offset, length, &linear) == 0);
	CHECK(emu_pages(rm->cuda, rm->block.addr + (offset & ~(PAGE - 1)), 1,
			&page) == 0);
	CHECK(linear == page + offset % PAGE);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);

	fill(bytes, length, 5);
	CHECK(emu_write(rm->cuda, rm->block.addr + offset, bytes, length) == 0);
	CHECK(filled(map + skip, length, 5));
	fill(map + skip, length, 6);
	memset(bytes, 0, length);
	CHECK(emu_read(rm->cuda, rm->block.addr + offset, bytes, length) == 0);
	CHECK(filled(bytes, length, 6));

	munmap(map, size);
	CHECK(rm_unmap(rm, linear) == 0);
	CHECK(rm_unmap(rm, linear) == RM_ERR_OBJECT_NOT_FOUND);
	close(fd);
	free(bytes);
}

static void test_map(void)
{
	static const uint64_t ranges[][2] = {
		{ 0, 1 },	{ 0, 65536 },	    { 4095, 2 },
		{ 65535, 2 },	{ 70000, 300000 },  { 4 * MIB - 1, 1 },
		{ 0, 4 * MIB }, { 131072, 131072 },
	};
	struct rm rm;

	CHECK(rm_start(&rm, 4 * MIB));
	CHECK(counters().rm_clients == 1 && counters().rm_objects == 2);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		map_range(&rm, ranges[i][0], ranges[i][1]);
		if (why[0])
			return;
	}
	CHECK(counters().rm_maps == 0);
	CHECK(rm_free(&rm, rm.memory) == 0);
	CHECK(rm_free(&rm, rm.memory) == 0);
	CHECK(rm_free(&rm, rm.client) == 0);
	CHECK(counters().rm_clients == 0 && counters().rm_objects == 0);
	CHECK(rm_free(&rm, rm.client) == RM_ERR_INVALID_OBJECT_HANDLE);
	rm_stop(&rm);
}

static void test_map_errors(void)
{
	uint64_t linear;
	uint32_t good;
	struct rm rm;
	int fd, bare;

	CHECK(rm_start(&rm, 2 * MIB));
	fd = rm_fd(&rm);
	bare = open("/dev/nvidia0", O_RDWR | O_CLOEXEC);
	CHECK_ERR((intptr_t)mmap(NULL, HOST_PAGE, PROT_READ, MAP_SHARED, fd, 0),
		  EINVAL);
	CHECK(rm_map(&rm, fd, 2 * MIB, 1, &linear) == RM_ERR_INVALID_BASE);
	CHECK(rm_map(&rm, fd, 0, 0, &linear) == RM_ERR_INVALID_LIMIT);
	CHECK(rm_map(&rm, fd, 1, 2 * MIB, &linear) == RM_ERR_INVALID_LIMIT);
	CHECK(rm_map(&rm, fd, 1, UINT64_MAX, &linear) == RM_ERR_INVALID_LIMIT);
	CHECK(rm_map(&rm, rm.ctl, 0, 4096, &linear) == RM_ERR_INVALID_ARGUMENT);
	CHECK(rm_map(&rm, -1, 0, 4096, &linear) == RM_ERR_INVALID_ARGUMENT);
	CHECK(rm_map(&rm, 0, 0, 4096, &linear) == RM_ERR_INVALID_ARGUMENT);
	good = rm.memory;
	rm.memory = rm.device;
	CHECK(rm_map(&rm, fd, 0, 4096, &linear) ==
	      RM_ERR_INVALID_OBJECT_PARENT);
	rm.memory = good;
	good = rm.device;
	rm.device = rm.memory;
	CHECK(rm_map(&rm, fd, 0, 4096, &linear) ==
	      RM_ERR_INVALID_OBJECT_HANDLE);
	rm.device = good;
	CHECK(counters().rm_maps == 0);

	CHECK(rm_map(&rm, fd, 0, 2 * HOST_PAGE, &linear) == 0);
	CHECK(rm_map(&rm, fd, 0, 2 * HOST_PAGE, &linear) ==
	      RM_ERR_STATE_IN_USE);
	CHECK_ERR((intptr_t)mmap(NULL, HOST_PAGE, PROT_READ, MAP_SHARED, fd, 0),
		  ENXIO);
	CHECK_ERR((intptr_t)mmap(NULL, 2 * HOST_PAGE, PROT_READ, MAP_SHARED, fd,
				 HOST_PAGE),
		  EINVAL);
	CHECK_ERR((intptr_t)mmap(NULL, 2 * HOST_PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE, fd, 0),
		  EINVAL);
	CHECK(rm_unmap(&rm, linear + HOST_PAGE) == RM_ERR_OBJECT_NOT_FOUND);
	/* A descriptor need not be registered. */
	CHECK(rm_map(&rm, bare, 0, 4096, &linear) == 0);
	close(fd);
	close(bare);
	rm_stop(&rm);
}

static void test_alloc_errors(void)
{
	struct rm_device_params params = { .device_id = 1 };
	uint32_t object = 0, taken;
	struct rm rm;

	CHECK(rm_start(&rm, 1));
	CHECK(rm_alloc(rm.ctl, rm.client, rm.client, RM_CLASS_DEVICE, &params,
		       sizeof(params), &object) == RM_ERR_INVALID_CLASS);
	object = 0;
	params.device_id = 0;
	CHECK(rm_alloc(rm.ctl, rm.client, rm.client, RM_CLASS_DEVICE, &params,
		       57, &object) == RM_ERR_INVALID_PARAM_STRUCT);
	CHECK(rm_alloc(rm.ctl, rm.client, rm.client, RM_CLASS_DEVICE, NULL, 0,
		       &object) == RM_ERR_INVALID_POINTER);
	CHECK(rm_alloc(rm.ctl, rm.client, rm.device, RM_CLASS_DEVICE, &params,
		       sizeof(params),
		       &object) == RM_ERR_INVALID_OBJECT_PARENT);
	CHECK(rm_alloc(rm.ctl, 1, 1, RM_CLASS_DEVICE, &params, sizeof(params),
		       &object) == RM_ERR_INVALID_OBJECT_HANDLE);
	CHECK(rm_alloc(rm.ctl, rm.client, rm.device, 0x1234, NULL, 0,
		       &object) == RM_ERR_INVALID_CLASS);
	CHECK(rm_alloc(rm.ctl, rm.client, rm.device, RM_CLASS_SUBDEVICE, NULL,
		       0, &object) == 0);
	taken = object;
	CHECK(rm_alloc(rm.ctl, rm.client, rm.device, RM_CLASS_SUBDEVICE, NULL,
		       0, &taken) == RM_ERR_INSERT_DUPLICATE_NAME);

	taken = 0;
	CHECK(rm_dup(&rm, 0xc1d00000, 1, &taken) ==
	      RM_ERR_INVALID_OBJECT_HANDLE);
	CHECK(rm_dup(&rm, rm.block.client, rm.block.memory + 1, &taken) ==
	      RM_ERR_OBJECT_NOT_FOUND);
	CHECK(rm_dup(&rm, rm.client, rm.device, &taken) ==
	      RM_ERR_NOT_SUPPORTED);
	taken = rm.memory;
	CHECK(rm_dup(&rm, rm.block.client, rm.block.memory, &taken) ==
	      RM_ERR_INSERT_DUPLICATE_NAME);
	taken = 0x12345;
	CHECK(rm_dup(&rm, rm.client, rm.memory, &taken) == 0);
	CHECK(taken == 0x12345);
	CHECK(emu_free(rm.cuda, rm.block.addr) == 0);
	taken = 0;
	CHECK(rm_dup(&rm, rm.block.client, rm.block.memory, &taken) ==
	      RM_ERR_OBJECT_NOT_FOUND);
	CHECK(rm_free(&rm, rm.device) == 0);
	CHECK(counters().rm_objects == 0 && counters().rm_clients == 1);
	rm_stop(&rm);
}

static bool child_reads(void *map)
{
	return filled(map, PAGE, 7);
}

/* A mapping shows its memory until the last trace of it is gone. */
static void test_outlive(void)
{
	static uint8_t bytes[65536];
	uint64_t linear;
	struct rm rm;
	uint8_t *map;
	int fd;

	CHECK(rm_start(&rm, 2 * MIB));
	fd = rm_fd(&rm);
	CHECK(rm_map(&rm, fd, PAGE, PAGE, &linear) == 0);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	fill(bytes, PAGE, 7);
	CHECK(emu_write(rm.cuda, rm.block.addr + PAGE, bytes, PAGE) == 0);
	CHECK(emu_free(rm.cuda, rm.block.addr) == 0);
	CHECK(filled(map, PAGE, 7) && in_child(child_reads, map));
	CHECK(rm_free(&rm, rm.memory) == 0);
	CHECK(counters().rm_maps == 0);
	close(fd);
	rm_stop(&rm);
	CHECK(filled(map, PAGE, 7));
	CHECK(counters().free_pages == counters().vram_bytes / PAGE - 32);
	munmap(map, PAGE);
	CHECK(at_rest());
}

/* Through the parent's file; but not with its own client at that memory. */
static bool child_uses(void *data)
{
	struct rm *parent = data;
	uint32_t object = 0;
	uint64_t linear;
	int fd = rm_fd(parent);
	struct rm own;

	return rm_map(parent, fd, 0, 4096, &linear) == 0 &&
	       rm_unmap(parent, linear) == 0 && rm_start(&own, 1) &&
	       rm_dup(&own, parent->block.client, parent->block.memory,
		      &object) == RM_ERR_INSUFFICIENT_PERMISSIONS &&
	       rm_dup(&own, parent->client, parent->memory, &object) ==
		       RM_ERR_INSUFFICIENT_PERMISSIONS;
}

static void test_process(void)
{
	uint64_t linear;
	struct rm rm, other;
	int ctl, fd;

	CHECK(rm_start(&rm, 1));
	CHECK(in_child(child_uses, &rm));
	CHECK(counters().rm_clients == 1 && counters().rm_objects == 2);

	/* Not through another nvidiactl file of the same process either. */
	CHECK(rm_start(&other, 1));
	ctl = rm.ctl;
	rm.ctl = other.ctl;
	fd = rm_fd(&rm);
	CHECK(rm_map(&rm, fd, 0, 1, &linear) == RM_ERR_INVALID_CLIENT);
	/* Nor on a descriptor that is registered to another one. */
	rm.ctl = ctl;
	CHECK(rm_map(&rm, fd, 0, 1, &linear) == RM_ERR_INVALID_ARGUMENT);
	close(fd);
	rm_stop(&other);
	rm_stop(&rm);
}

static bool param_write(const char *value)
{
	int fd = open(BAR1_PARAM, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(value);
	bool ok = fd >= 0 && write(fd, value, length) == (ssize_t)length;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Needs root, to make BAR1 small. */
static void test_bar1(void)
{
	uint64_t first, second;
	struct rm rm;
	int a, b;

	CHECK(rm_start(&rm, 4 * MIB));
	a = rm_fd(&rm);
	b = rm_fd(&rm);
	CHECK(param_write("3145728"));
	CHECK(rm_map(&rm, a, 0, 2 * MIB, &first) == 0);
	CHECK(rm_map(&rm, b, 0, 2 * MIB, &second) ==
	      RM_ERR_INSUFFICIENT_RESOURCES);
	CHECK(rm_map(&rm, b, HOST_PAGE, 1 * MIB, &second) == 0);
	CHECK(rm_unmap(&rm, first) == 0);
	CHECK(param_write("0"));
	close(a);
	close(b);
	rm_stop(&rm);
}

static void killed_step(void)
{
	uint64_t linear;
	struct rm rm;
	void *map;
	int fd;

	rm_start(&rm, 2 * MIB);
	fd = rm_fd(&rm);
	rm_map(&rm, fd, 0, PAGE, &linear);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED) {
		touch(map);
		munmap(map, PAGE);
	}
	close(fd);
	rm_stop(&rm);
}

static void test_kill(void)
{
	for (int i = 0; i < 50; i++) {
		CHECK(kill_child(killed_step, i));
		CHECK(at_rest());
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "rm-card", test_card },
		{ "rm-refusals", test_refusals },
		{ "rm-map", test_map },
		{ "rm-map-errors", test_map_errors },
		{ "rm-alloc-errors", test_alloc_errors },
		{ "rm-outlive", test_outlive },
		{ "rm-process", test_process },
		{ "rm-bar1", test_bar1 },
		{ "rm-kill", test_kill },
	};

	(void)argc;
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argv + 1);
}
