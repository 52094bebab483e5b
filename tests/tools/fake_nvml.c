// SPDX-License-Identifier: MIT
/*
 * A stand-in for the driver's management library, for test_doctor.py: every
 * GPU has what the environment says, in MiB; what it does not say is not
 * supported.
 */
#include <stdlib.h>

#define NOT_SUPPORTED 3
#define API __attribute__((visibility("default")))

struct bytes {
	unsigned long long total, free, used;
};

struct confidential {
	unsigned int environment, feature, tools_mode;
};

API int nvmlInit_v2(void);
API int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **device);
API int nvmlDeviceGetMemoryInfo(void *device, struct bytes *bytes);
API int nvmlDeviceGetBAR1MemoryInfo(void *device, struct bytes *bytes);
API int nvmlDeviceGetMigMode(void *device, unsigned int *now,
			     unsigned int *pending);
API int nvmlSystemGetConfComputeState(struct confidential *state);

static int setting(const char *name, unsigned long long *value)
{
	const char *text = getenv(name);

	*value = text ? strtoull(text, NULL, 10) : 0;
	return text ? 0 : NOT_SUPPORTED;
}

int nvmlInit_v2(void)
{
	return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, void **device)
{
	static char one;

	*device = &one;
	return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, struct bytes *bytes)
{
	int rc = setting("FAKE_NVML_MEMORY", &bytes->total);

	bytes->total <<= 20;
	return rc;
}

int nvmlDeviceGetBAR1MemoryInfo(void *device, struct bytes *bytes)
{
	int rc = setting("FAKE_NVML_BAR1", &bytes->total);

	if (!rc)
		rc = setting("FAKE_NVML_BAR1_FREE", &bytes->free);
	bytes->total <<= 20;
	bytes->free <<= 20;
	bytes->used = bytes->total - bytes->free;
	return rc;
}

int nvmlDeviceGetMigMode(void *device, unsigned int *now, unsigned int *pending)
{
	unsigned long long on;
	int rc = setting("FAKE_NVML_MIG", &on);

	*now = on;
	*pending = on;
	return rc;
}

int nvmlSystemGetConfComputeState(struct confidential *state)
{
	unsigned long long on;
	int rc = setting("FAKE_NVML_CONFIDENTIAL", &on);

	state->environment = 0;
	state->feature = on;
	state->tools_mode = 0;
	return rc;
}
