// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "core/device_select.h"
#include "core/session.h"

/* Reads 32 hexadecimal digits, with dashes anywhere between bytes. */
static bool gm_uuid_parse(const char *text, CUuuid *uuid)
{
	for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
		unsigned int byte;

		while (*text == '-')
			text++;
		if (!isxdigit((unsigned char)text[0]) ||
		    !isxdigit((unsigned char)text[1]) ||
		    sscanf(text, "%2x", &byte) != 1)
			return false;
		uuid->bytes[i] = (char)byte;
		text += 2;
	}
	return !*text;
}

static bool gm_pci_parse(const char *text, char *pci, size_t size)
{
	unsigned int domain = 0, bus, slot, function;
	int end = 0;

	if (sscanf(text, "%x:%x:%x.%x%n", &domain, &bus, &slot, &function,
		   &end) != 4 ||
	    text[end]) {
		domain = 0;
		end = 0;
		if (sscanf(text, "%x:%x.%x%n", &bus, &slot, &function, &end) !=
			    3 ||
		    text[end])
			return false;
	}
	if (domain > 0xffff || bus > 0xff || slot > 0x1f || function > 7)
		return false;
	snprintf(pci, size, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff,
		 slot & 0x1f, function & 7);
	return true;
}

int gm_wanted_set(struct gm_wanted *wanted, int ordinal, const char *id)
{
	*wanted = (struct gm_wanted){ .ordinal = ordinal, .id = id };
	if (!id)
		return 0;
	if (ordinal)
		return gm_error(-EINVAL,
				"open: both device %d and device_id %.60s are "
				"given; set device to 0, or device_id to NULL",
				ordinal, id);
	wanted->by_uuid = !strncmp(id, "GPU-", 4) || !strncmp(id, "MIG-", 4);
	if (wanted->by_uuid
		    ? gm_uuid_parse(id + 4, &wanted->uuid)
		    : gm_pci_parse(id, wanted->pci, sizeof(wanted->pci)))
		return 0;
	return gm_error(-EINVAL,
			"open: device_id \"%.60s\" is neither a PCI address "
			"(0000:3b:00.0) nor a UUID (GPU-...); nvidia-smi -L "
			"and gpumem info print them",
			id);
}

static bool gm_select_is(const struct gm_cuda *cuda,
			 const struct gm_wanted *wanted, CUdevice device)
{
	char pci[16];
	CUuuid uuid;

	if (wanted->by_uuid)
		return cuda->device_uuid && !cuda->device_uuid(&uuid, device) &&
		       !memcmp(&uuid, &wanted->uuid, sizeof(uuid));
	gm_device_pci(cuda, device, pci, sizeof(pci));
	return !strcmp(pci, wanted->pci);
}

static int gm_select_by_id(const struct gm_cuda *cuda,
			   const struct gm_wanted *wanted, int count,
			   int *ordinal, CUdevice *device)
{
	for (int i = 0; i < count; i++) {
		if (!cuda->device(device, i) &&
		    gm_select_is(cuda, wanted, *device)) {
			*ordinal = i;
			return 0;
		}
	}
	return gm_error(-ENOENT,
			"open: none of the GPUs that CUDA sees (%d) is %.60s; "
			"check it with nvidia-smi -L, and "
			"CUDA_VISIBLE_DEVICES, which hides GPUs",
			count, wanted->id);
}

int gm_select(const struct gm_cuda *cuda, const struct gm_wanted *wanted,
	      int *ordinal, CUdevice *device)
{
	CUresult result;
	int count = 0;

	result = cuda->device_count(&count);
	if (result)
		return gm_cuda_error(cuda, result, "open: count the GPUs",
				     "look for an earlier CUDA error");
	if (wanted->id)
		return gm_select_by_id(cuda, wanted, count, ordinal, device);
	if (wanted->ordinal < 0 || wanted->ordinal >= count)
		return gm_error(-ENOENT,
				"open: there is no GPU %d: CUDA sees %d, "
				"counted from 0; gpumem info lists them",
				wanted->ordinal, count);
	*ordinal = wanted->ordinal;
	result = cuda->device(device, wanted->ordinal);
	if (result)
		return gm_cuda_error(cuda, result, "open: find the GPU",
				     "look for an earlier CUDA error");
	return 0;
}
