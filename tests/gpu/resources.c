// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "resources.h"

struct nvml_bytes {
	unsigned long long total, free, used;
};

/* NVML keeps a descriptor open from its start on: it is started once. */
static struct {
	bool tried;
	void *device;
	int (*bar1)(void *device, struct nvml_bytes *bytes);
} nvml;

static void nvml_symbol(void *lib, const char *name, void *function)
{
	*(void **)function = dlsym(lib, name);
}

static void nvml_start(void)
{
	void *lib = dlopen("libnvidia-ml.so.1", RTLD_LAZY);
	int (*find)(const char *pci, void **device);
	int (*init)(void);

	nvml.tried = true;
	if (!lib)
		return;
	nvml_symbol(lib, "nvmlInit_v2", &init);
	nvml_symbol(lib, "nvmlDeviceGetHandleByPciBusId_v2", &find);
	nvml_symbol(lib, "nvmlDeviceGetBAR1MemoryInfo", &nvml.bar1);
	if (!init || !find || !nvml.bar1 || init() ||
	    find(gpu.device.pci, &nvml.device))
		nvml.device = NULL;
}

static enum outcome bar1_used(uint64_t *used)
{
	struct gpumem_device device = { .size = sizeof(device) };
	struct nvml_bytes bytes;

	*used = GPUMEM_UNKNOWN;
	if (gpu.device.flags & GPUMEM_DEVICE_SIMULATED) {
		CHECK_OK(gpumem_device_get(gpu.session, -1, &device));
		if (device.bar1_free != GPUMEM_UNKNOWN)
			*used = device.bar1_size - device.bar1_free;
		return PASSED;
	}
	if (!nvml.tried)
		nvml_start();
	if (nvml.device && !nvml.bar1(nvml.device, &bytes))
		*used = bytes.used;
	return PASSED;
}

static uint64_t descriptor_count(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!directory)
		return 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static enum outcome mapping_count(uint64_t *count)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];

	CHECK(file);
	*count = 0;
	while (fgets(line, sizeof(line), file))
		*count += strstr(line, "/dev/nvidia") ||
			  strstr(line, "/dev/gpumem") ||
			  strstr(line, "gpumem-simulated-gpu");
	fclose(file);
	return PASSED;
}

static enum outcome host_bytes(uint64_t *bytes)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[512];
	uint64_t kib;

	CHECK(file);
	*bytes = 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1)
			*bytes = kib * 1024;
	fclose(file);
	CHECK(*bytes);
	return PASSED;
}

/* More than there is makes the library look for what it can give back. */
enum outcome resources_flush(void)
{
	struct gpumem_buf *buf;

	CHECK_GIVES(-ENOMEM,
		    gpumem_alloc(gpu.session, 2 * gpu.device.memory, 0, &buf));
	return PASSED;
}

enum outcome resources_get(struct resources *now)
{
	int (*memory)(size_t *, size_t *) = gpu_symbol("cuMemGetInfo_v2");
	size_t unused = 0, total;

	CHECK_CUDA(gpu.cuda.context_synchronize());
	CHECK_PASSED(bar1_used(&now->bar1_used));
	if (memory)
		CHECK_CUDA(memory(&unused, &total));
	now->memory_free = unused;
	malloc_trim(0);
	CHECK_PASSED(host_bytes(&now->host));
	CHECK_PASSED(mapping_count(&now->mappings));
	now->descriptors = descriptor_count();
	CHECK(now->descriptors);
	return PASSED;
}

static enum outcome same(const char *what, uint64_t before, uint64_t after)
{
	if (before == after)
		return PASSED;
	return test_fail(__FILE__, __LINE__,
			 "%s: %" PRIu64 " before, %" PRIu64 " after", what,
			 before, after);
}

enum outcome resources_compare(const struct resources *before,
			       const struct resources *after, uint64_t slack)
{
	CHECK_PASSED(
		same("descriptors", before->descriptors, after->descriptors));
	CHECK_PASSED(same("mappings of GPU memory", before->mappings,
			  after->mappings));
	CHECK_PASSED(same("bytes of BAR1 in use", before->bar1_used,
			  after->bar1_used));
	CHECK_PASSED(same("bytes of GPU memory free", before->memory_free,
			  after->memory_free));
	if (after->host > before->host + slack)
		return test_fail(__FILE__, __LINE__,
				 "host memory grew from %" PRIu64
				 " bytes to %" PRIu64 ", by more than %" PRIu64,
				 before->host, after->host, slack);
	return PASSED;
}

void resources_print(const char *when, const struct resources *now)
{
	char bar1[32] = "unknown";

	if (now->bar1_used != GPUMEM_UNKNOWN)
		snprintf(bar1, sizeof(bar1), "%" PRIu64, now->bar1_used);
	printf("# %s: %" PRIu64 " descriptors, %" PRIu64
	       " mappings of GPU memory, BAR1 used %s, GPU memory free %" PRIu64
	       ", VmRSS %" PRIu64 "\n",
	       when, now->descriptors, now->mappings, bar1, now->memory_free,
	       now->host);
	fflush(stdout);
}
