// SPDX-License-Identifier: MIT
/* Several simulated GPUs, and which of them a process sees. */
#include "sim_test.h"

static void three_gpus(void)
{
	setenv("GPUMEM_SIM_GPUS", "3", 1);
	unsetenv("CUDA_VISIBLE_DEVICES");
}

/* Each is another device, with its own memory. */
static void child_three(void)
{
	char pci[3][16] = { "" };
	CUcontext ctx[3];
	CUdeviceptr addr[3];
	CUuuid uuid[3];
	size_t left, total;
	int count, ordinal;
	unsigned int word;
	CUdevice dev;

	three_gpus();
	CHILD_CHECK(!cuInit(0));
	CHILD_CHECK(!cuDeviceGetCount(&count) && count == 3);
	for (int i = 0; i < 3; i++) {
		CHILD_CHECK(!cuDeviceGetPCIBusId(pci[i], 16, i));
		CHILD_CHECK(!cuDeviceGetUuid_v2(&uuid[i], i));
		CHILD_CHECK(!cuDeviceGetByPCIBusId(&dev, pci[i]) && dev == i);
		CHILD_CHECK(!cuDevicePrimaryCtxRetain(&ctx[i], i));
		CHILD_CHECK(!cuCtxSetCurrent(ctx[i]));
		CHILD_CHECK(!cuCtxGetDevice(&dev) && dev == i);
		CHILD_CHECK(!cuMemAlloc_v2(&addr[i], MIB));
		CHILD_CHECK(!cuMemGetInfo_v2(&left, &total));
		CHILD_CHECK(total - left == 2 * MIB);
		CHILD_CHECK(!cuMemsetD32_v2(addr[i], 100 + (unsigned int)i,
					    MIB / 4));
		CHILD_CHECK(!cuPointerGetAttribute(
				    &ordinal,
				    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
				    addr[i]) &&
			    ordinal == i);
	}
	CHILD_CHECK(strcmp(pci[0], pci[1]) && strcmp(pci[1], pci[2]));
	CHILD_CHECK(memcmp(&uuid[0], &uuid[1], sizeof(uuid[0])));
	CHILD_CHECK(cuDeviceGet(&dev, 3) == CUDA_ERROR_INVALID_DEVICE);

	/* From any context. */
	for (unsigned int i = 0; i < 3; i++) {
		CHILD_CHECK(!cuMemcpyDtoH_v2(&word, addr[i] + 4, 4));
		CHILD_CHECK(word == 100 + i);
	}
	CHILD_CHECK(!cuMemcpyDtoD_v2(addr[0], addr[2], MIB));
	CHILD_CHECK(!cuMemcpyDtoH_v2(&word, addr[0], 4) && word == 102);
}

static void test_three(void **state)
{
	run_in_child(child_three);
}

/* A pin shows the memory of its own GPU. */
static void child_pins(void)
{
	CUcontext ctx[2];
	CUdeviceptr addr[2];
	uint64_t pin[2], length, page[2];
	void *map[2];

	three_gpus();
	CHILD_CHECK(!cuInit(0));
	for (unsigned int i = 0; i < 2; i++) {
		CHILD_CHECK(!cuDevicePrimaryCtxRetain(&ctx[i], (int)i + 1));
		CHILD_CHECK(!cuCtxSetCurrent(ctx[i]));
		CHILD_CHECK(!cuMemAlloc_v2(&addr[i], 2 * MIB));
		CHILD_CHECK(!cuMemsetD8_v2(addr[i], (unsigned char)(50 + i),
					   2 * MIB));
		CHILD_CHECK(!gpumem_sim_pin(addr[i], 2 * MIB, &pin[i]));
		CHILD_CHECK(!gpumem_sim_map(pin[i], &map[i], &length));
		CHILD_CHECK(!gpumem_sim_pages(pin[i], 0, &page[i], 1));
	}
	CHILD_CHECK(page[0] != page[1]);
	for (unsigned int i = 0; i < 2; i++) {
		CHILD_CHECK(*(unsigned char *)map[i] == 50 + i);
		CHILD_CHECK(!gpumem_sim_unmap(pin[i], map[i], length));
		CHILD_CHECK(!gpumem_sim_unpin(pin[i]));
		CHILD_CHECK(!cuMemFree_v2(addr[i]));
	}
}

static void test_pins(void **state)
{
	run_in_child(child_pins);
}

static int visible(const char *list)
{
	int count = 0;

	three_gpus();
	setenv("CUDA_VISIBLE_DEVICES", list, 1);
	if (cuInit(0))
		return 0;
	return cuDeviceGetCount(&count) ? -1 : count;
}

static void child_order(void)
{
	char pci[16];
	CUdevice dev;

	CHILD_CHECK(visible("2,0") == 2);
	CHILD_CHECK(!cuDeviceGetPCIBusId(pci, sizeof(pci), 0));
	CHILD_CHECK(!strcmp(pci, "F510:02:00.0"));
	CHILD_CHECK(!cuDeviceGetPCIBusId(pci, sizeof(pci), 1));
	CHILD_CHECK(!strcmp(pci, "F510:00:00.0"));
	CHILD_CHECK(cuDeviceGetByPCIBusId(&dev, "F510:01:00.0") ==
		    CUDA_ERROR_INVALID_DEVICE);
}

static void child_uuid(void)
{
	char pci[16];

	/* "gpumem simulate" and the GPU's number */
	CHILD_CHECK(visible("GPU-6770756d-656d-2073-696d-756c61746501") == 1);
	CHILD_CHECK(!cuDeviceGetPCIBusId(pci, sizeof(pci), 0));
	CHILD_CHECK(!strcmp(pci, "F510:01:00.0"));
}

static void child_none(void)
{
	int before = dup(STDERR_FILENO), after;

	close(before);
	CHILD_CHECK(visible("") == 0);
	CHILD_CHECK(visible("") == 0);
	/* A start that failed keeps no memory file open. */
	after = dup(STDERR_FILENO);
	CHILD_CHECK(before >= 0 && after == before);
	close(after);
	CHILD_CHECK(visible("1") == 1);
}

static void child_stops(void)
{
	CHILD_CHECK(visible("1,9,0") == 1);
}

static void child_twice(void)
{
	CHILD_CHECK(visible("1,1") == 0);
}

static void child_ambiguous(void)
{
	CHILD_CHECK(visible("GPU-6770") == 0);
}

static void test_visible(void **state)
{
	run_in_child(child_order);
	run_in_child(child_uuid);
	run_in_child(child_none);
	run_in_child(child_stops);
	run_in_child(child_twice);
	run_in_child(child_ambiguous);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_visible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
