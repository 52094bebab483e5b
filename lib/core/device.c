// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "abi/sim.h"
#include "base/error.h"
#include "base/handle.h"
#include "core/session.h"

/* Flags of a line of a PCI device's "resource" file. */
#define GM_RESOURCE_MEM 0x200ull

/* Standard BARs come first in that file; expansion ROM and others follow. */
#define GM_RESOURCE_BARS 6

/*
 * NVIDIA counts BARs by what they are for: BAR1 is the second that has memory,
 * whether the first takes one register or two.
 */
uint64_t gm_bar1_size(const char *pci)
{
	uint64_t start, end, flags;
	uint64_t size = GPUMEM_UNKNOWN;
	char path[128];
	FILE *file;
	int found = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", pci);
	file = fopen(path, "re");
	if (!file)
		return GPUMEM_UNKNOWN;
	for (int i = 0; i < GM_RESOURCE_BARS && found < 2; i++) {
		if (fscanf(file, "%" SCNx64 " %" SCNx64 " %" SCNx64, &start,
			   &end, &flags) != 3)
			break;
		if (flags & GM_RESOURCE_MEM && end > start && ++found == 2)
			size = end - start + 1;
	}
	fclose(file);
	return size;
}

/* The part of NVML that tells what is free of BAR1. */
struct gm_nvml_bar1 {
	unsigned long long total;
	unsigned long long free;
	unsigned long long used;
};

/*
 * Loaded and started once, and never stopped: NVML leaves a descriptor open for
 * each time that it is started.
 */
static struct {
	pthread_once_t once;
	bool ready;
	int (*find)(const char *pci, void **device);
	int (*bar1)(void *device, struct gm_nvml_bar1 *info);
} gm_nvml = { .once = PTHREAD_ONCE_INIT };

static void gm_nvml_start(void)
{
	int (*init)(void);
	void *lib;

	lib = dlopen("libnvidia-ml.so.1", RTLD_LAZY);
	if (!lib)
		return;
	*(void **)&init = dlsym(lib, "nvmlInit_v2");
	*(void **)&gm_nvml.find =
		dlsym(lib, "nvmlDeviceGetHandleByPciBusId_v2");
	*(void **)&gm_nvml.bar1 = dlsym(lib, "nvmlDeviceGetBAR1MemoryInfo");
	gm_nvml.ready = init && gm_nvml.find && gm_nvml.bar1 && !init();
}

void gm_bar1_get(const char *pci, uint64_t *size, uint64_t *bytes_free)
{
	struct gm_nvml_bar1 info = { 0 };
	void *device = NULL;

	*size = GPUMEM_UNKNOWN;
	*bytes_free = GPUMEM_UNKNOWN;
	if (!*pci)
		return;
	*size = gm_bar1_size(pci);
	pthread_once(&gm_nvml.once, gm_nvml_start);
	if (!gm_nvml.ready || gm_nvml.find(pci, &device) ||
	    gm_nvml.bar1(device, &info))
		return;
	*size = info.total;
	*bytes_free = info.free;
}

void gm_device_pci(const struct gm_cuda *cuda, CUdevice device, char *pci,
		   size_t size)
{
	char text[32] = "";

	*pci = '\0';
	if (!cuda->device_pci || cuda->device_pci(text, sizeof(text), device))
		return;
	for (char *c = text; *c; c++)
		if (*c >= 'A' && *c <= 'F')
			*c += 'a' - 'A';
	if (strlen(text) < size)
		memcpy(pci, text, strlen(text) + 1);
}

int gpumem_device_count(struct gpumem *handle, int *count)
{
	struct gm_session *session;
	CUresult result;
	int rc;

	rc = gm_session_get(handle, "device_count", &session);
	if (rc)
		return rc;
	if (!count) {
		rc = gm_error(-EINVAL, "device_count: count is NULL; pass "
				       "where the number goes");
	} else {
		result = session->cuda.device_count(count);
		if (result) {
			gm_cuda_error(&session->cuda, result, "device_count",
				      "look for an earlier CUDA error");
			rc = -EIO;
		}
	}
	gm_handle_put(handle);
	return rc;
}

static CUresult gm_device_read(struct gm_session *session, int ordinal,
			       struct gpumem_device *device)
{
	const struct gm_cuda *cuda = &session->cuda;
	size_t memory = 0;
	CUdevice dev;
	CUresult result;

	result = cuda->device(&dev, ordinal);
	if (!result)
		result = cuda->device_name(device->name, sizeof(device->name),
					   dev);
	if (!result)
		result = cuda->device_memory(&memory, dev);
	if (!result)
		result = cuda->device_attribute(
			&device->compute_major,
			CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev);
	if (!result)
		result = cuda->device_attribute(
			&device->compute_minor,
			CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, dev);
	if (result)
		return result;
	device->name[sizeof(device->name) - 1] = '\0';
	device->memory = memory;
	gm_device_pci(cuda, dev, device->pci, sizeof(device->pci));
	return CUDA_SUCCESS;
}

static void gm_device_read_bar1(struct gm_session *session,
				struct gpumem_device *device)
{
	struct gpumem_sim_info info;

	if (session->cuda.simulated && !session->cuda.sim.get_info(&info)) {
		device->bar1_size = info.bar1_size;
		device->bar1_free = info.bar1_free;
		return;
	}
	gm_bar1_get(device->pci, &device->bar1_size, &device->bar1_free);
}

static int gm_device_get(struct gm_session *session, int ordinal,
			 struct gpumem_device *device)
{
	struct gpumem_device found = { .size = sizeof(found) };
	CUresult result;
	int count = 0;

	if (!device)
		return gm_error(-EINVAL, "device_get: device is NULL; pass a "
					 "struct gpumem_device");
	if (device->size != sizeof(*device))
		return gm_error(-EINVAL,
				"device_get: size is %zu: this library knows "
				"%zu; set it to sizeof(struct gpumem_device)",
				device->size, sizeof(*device));
	if (ordinal == -1)
		ordinal = session->ordinal;
	result = session->cuda.device_count(&count);
	if (!result && (ordinal < 0 || ordinal >= count))
		return gm_error(-ENOENT,
				"device_get: there is no GPU %d: CUDA sees "
				"%d, counted from 0; -1 is the session's",
				ordinal, count);
	if (!result)
		result = gm_device_read(session, ordinal, &found);
	if (result) {
		gm_cuda_error(&session->cuda, result, "device_get",
			      "look for an earlier CUDA error");
		return -EIO;
	}
	found.ordinal = ordinal;
	if (session->cuda.simulated)
		found.flags |= GPUMEM_DEVICE_SIMULATED;
	gm_device_read_bar1(session, &found);
	*device = found;
	return 0;
}

int gpumem_device_get(struct gpumem *handle, int ordinal,
		      struct gpumem_device *device)
{
	struct gm_session *session;
	int rc;

	rc = gm_session_get(handle, "device_get", &session);
	if (rc)
		return rc;
	rc = gm_device_get(session, ordinal, device);
	gm_handle_put(handle);
	return rc;
}
