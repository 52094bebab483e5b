// SPDX-License-Identifier: MIT
/* The devices: those of the store that the process may see. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

#define COMPUTE_MAJOR 9
#define COMPUTE_MINOR 0
/* Higher numbers are attributes that CUDA 13.0 does not know. */
#define LAST_ATTRIBUTE 152

bool sim_device_valid(CUdevice dev)
{
	return dev >= 0 && dev < sim.device_count;
}

CUdevice sim_device_of(unsigned int gpu)
{
	for (int i = 0; i < sim.device_count; i++) {
		if (sim.gpu[i] == gpu)
			return i;
	}
	return -1;
}

void sim_gpu_uuid(unsigned int gpu, char uuid[16])
{
	memcpy(uuid, sim.store->uuid, 16);
	uuid[15] = (char)gpu;
}

/* Checks what all functions with a device and one result check. */
static CUresult device_check(const void *out, CUdevice dev)
{
	CUresult result = sim_ready();

	if (result)
		return result;
	if (!out)
		return CUDA_ERROR_INVALID_VALUE;
	return sim_device_valid(dev) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetCount(int *count)
{
	CUresult result = device_check(count, 0);

	if (!result)
		*count = sim.device_count;
	return result;
}

CUresult cuDeviceGet(CUdevice *dev, int ordinal)
{
	CUresult result = device_check(dev, ordinal);

	if (!result)
		*dev = ordinal;
	return result;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
	CUresult result = device_check(name, dev);

	if (result)
		return result;
	if (len < 1)
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(name, (size_t)len, "%s", sim.store->device_name);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
	CUresult result = device_check(uuid, dev);

	if (!result)
		sim_gpu_uuid(sim.gpu[dev], uuid->bytes);
	return result;
}
SIM_ALIAS(cuDeviceGetUuid, cuDeviceGetUuid_v2);

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
	CUresult result = device_check(major, dev);

	if (result)
		return result;
	if (!minor)
		return CUDA_ERROR_INVALID_VALUE;
	*major = COMPUTE_MAJOR;
	*minor = COMPUTE_MINOR;
	return CUDA_SUCCESS;
}

/* What is 0: not there, not supported. */
static int attribute_value(CUdevice_attribute attribute)
{
	switch (attribute) {
	case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
		return 1024;
	case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
		return 64;
	case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
	case CU_DEVICE_ATTRIBUTE_MAX_PITCH:
		return INT_MAX;
	case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
	case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
		return 65535;
	case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
		return 32;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
		return COMPUTE_MAJOR;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
		return COMPUTE_MINOR;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
	case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
	case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
	case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
	case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
	case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
	case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED:
	case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
		return 1;
	case CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED:
		return sim.store->emulated;
	case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS:
		return CU_FLUSH_GPU_DIRECT_RDMA_WRITES_OPTION_HOST;
	case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING:
		return CU_GPU_DIRECT_RDMA_WRITES_ORDERING_ALL_DEVICES;
	default:
		return 0;
	}
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute,
			      CUdevice dev)
{
	CUresult result = device_check(value, dev);
	struct sim_pci pci;

	if (result)
		return result;
	if ((int)attribute < 1 || attribute > LAST_ATTRIBUTE)
		return CUDA_ERROR_INVALID_VALUE;
	if (attribute != CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID &&
	    attribute != CU_DEVICE_ATTRIBUTE_PCI_BUS_ID &&
	    attribute != CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID) {
		*value = attribute_value(attribute);
		return CUDA_SUCCESS;
	}
	result = sim_result(sim.store->pci(sim.gpu[dev], &pci));
	if (result)
		return result;
	if (attribute == CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)
		*value = (int)pci.domain;
	else if (attribute == CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)
		*value = (int)pci.bus;
	else
		*value = (int)pci.device;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *id, int len, CUdevice dev)
{
	CUresult result = device_check(id, dev);
	struct sim_pci pci;
	char text[32];

	if (result)
		return result;
	if (len < 1)
		return CUDA_ERROR_INVALID_VALUE;
	result = sim_result(sim.store->pci(sim.gpu[dev], &pci));
	if (result)
		return result;
	snprintf(text, sizeof(text), "%04X:%02X:%02X.0", pci.domain, pci.bus,
		 pci.device);
	if ((size_t)len < strlen(text) + 1)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(id, text, strlen(text) + 1);
	return CUDA_SUCCESS;
}

/* Takes domain:bus:device.function, without the function or the domain too. */
CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *id)
{
	CUresult result = device_check(dev, 0);
	struct sim_pci pci, want = { 0 };

	if (result)
		return result;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	if (sscanf(id, "%x:%x:%x", &want.domain, &want.bus, &want.device) !=
	    3) {
		want.domain = 0;
		if (sscanf(id, "%x:%x", &want.bus, &want.device) != 2)
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (int i = 0; i < sim.device_count; i++) {
		result = sim_result(sim.store->pci(sim.gpu[i], &pci));
		if (result)
			return result;
		if (pci.domain == want.domain && pci.bus == want.bus &&
		    pci.device == want.device) {
			*dev = i;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
	CUresult result = device_check(bytes, dev);
	struct sim_usage usage;

	if (result)
		return result;
	pthread_rwlock_rdlock(&sim.lock);
	result = sim_result(sim.store->usage(sim.gpu[dev], &usage));
	sim_unlock();
	if (!result)
		*bytes = usage.total;
	return result;
}

CUresult cuDeviceCanAccessPeer(int *can, CUdevice dev, CUdevice peer)
{
	CUresult result = device_check(can, dev);

	if (result)
		return result;
	if (!sim_device_valid(peer))
		return CUDA_ERROR_INVALID_DEVICE;
	*can = 0;
	return CUDA_SUCCESS;
}
