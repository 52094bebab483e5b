// SPDX-License-Identifier: MIT
/*
 * gpumem doctor: what NVML, the driver's management library, tells. It does
 * without CUDA, and so also where no GPU can be opened.
 */
#include <dlfcn.h>

#include "doctor/doctor.h"

/* What nvmlDeviceGetMemoryInfo() and nvmlDeviceGetBAR1MemoryInfo() fill in. */
struct nvml_bytes {
	unsigned long long total;
	unsigned long long free;
	unsigned long long used;
};

/* What nvmlSystemGetConfComputeState() fills in. */
struct nvml_confidential {
	unsigned int environment;
	unsigned int feature;
	unsigned int tools_mode;
};

void doctor_find_nvml(struct doctor *doctor)
{
	int (*init)(void);
	void *lib;

	if (!doctor->driver)
		return;
	lib = doctor_library(doctor, "libnvidia-ml.so.1");
	if (!lib)
		return;
	*(void **)&init = dlsym(lib, "nvmlInit_v2");
	if (init && !init())
		doctor->nvml = lib;
}

static void *nvml_find(const struct doctor *doctor, const char *pci)
{
	int (*find)(const char *pci, void **device);
	void *device;

	if (!doctor->nvml)
		return NULL;
	*(void **)&find =
		dlsym(doctor->nvml, "nvmlDeviceGetHandleByPciBusId_v2");
	return find && !find(pci, &device) ? device : NULL;
}

static bool nvml_bytes_get(const struct doctor *doctor, const char *pci,
			   const char *function, struct nvml_bytes *bytes)
{
	int (*get)(void *device, struct nvml_bytes *bytes);
	void *device = nvml_find(doctor, pci);

	if (!device)
		return false;
	*(void **)&get = dlsym(doctor->nvml, function);
	return get && !get(device, bytes);
}

bool doctor_nvml_memory(const struct doctor *doctor, const char *pci,
			uint64_t *bytes)
{
	struct nvml_bytes info;

	if (!nvml_bytes_get(doctor, pci, "nvmlDeviceGetMemoryInfo", &info))
		return false;
	*bytes = info.total;
	return true;
}

bool doctor_nvml_bar1(const struct doctor *doctor, const char *pci,
		      uint64_t *size, uint64_t *bytes_free)
{
	struct nvml_bytes info;

	if (!nvml_bytes_get(doctor, pci, "nvmlDeviceGetBAR1MemoryInfo", &info))
		return false;
	*size = info.total;
	*bytes_free = info.free;
	return true;
}

bool doctor_nvml_mig(const struct doctor *doctor, const char *pci, bool *on)
{
	int (*get)(void *device, unsigned int *now, unsigned int *pending);
	void *device = nvml_find(doctor, pci);
	unsigned int now, pending;

	if (!device)
		return false;
	*(void **)&get = dlsym(doctor->nvml, "nvmlDeviceGetMigMode");
	if (!get || get(device, &now, &pending))
		return false;
	*on = now;
	return true;
}

bool doctor_nvml_confidential(const struct doctor *doctor, bool *on)
{
	struct nvml_confidential state = { 0 };
	int (*get)(struct nvml_confidential * state);

	if (!doctor->nvml)
		return false;
	*(void **)&get = dlsym(doctor->nvml, "nvmlSystemGetConfComputeState");
	if (!get || get(&state))
		return false;
	*on = state.feature;
	return true;
}
