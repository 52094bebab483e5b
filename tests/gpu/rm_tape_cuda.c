// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../abi/cuda.h"
#include "rm_tape.h"

/* CUmemAllocationProp, as far as it is needed here: 32 bytes in all. */
struct vmm_prop {
	int type; /* 1: pinned */
	int handle_types; /* 1: POSIX file descriptor */
	int location_type; /* 1: device */
	int location_id;
	void *win32;
	unsigned char flags[8];
};

static struct {
	CUdevice device;
	int simulated;
	int (*get_name)(char *name, int size, CUdevice device);
	int (*get_pci)(char *pci, int size, CUdevice device);
	int (*alloc)(CUdeviceptr *addr, size_t size);
	int (*free)(CUdeviceptr addr);
	int (*memset)(CUdeviceptr addr, unsigned char byte, size_t size);
	int (*synchronize)(void);
	int (*ipc)(CUipcMemHandle *handle, CUdeviceptr addr);
	int (*create)(unsigned long long *handle, size_t size,
		      const struct vmm_prop *prop, unsigned long long flags);
	int (*release)(unsigned long long handle);
	int (*export)(void *fd, unsigned long long handle, int type,
		      unsigned long long flags);
} cuda;

static int complain(const char *what, int result)
{
	fprintf(stderr, "rm_tape: %s gives CUDA error %d\n", what, result);
	return -EIO;
}

int tape_cuda_open(void)
{
	int (*init)(unsigned int flags);
	int (*retain)(CUcontext * context, CUdevice device);
	int (*set)(CUcontext context);
	CUcontext context;
	int result;
	void *lib;

	lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		fprintf(stderr, "rm_tape: %s\n", dlerror());
		return -ENODEV;
	}
	cuda.simulated = dlsym(lib, "gpumem_sim_description") != NULL;
	init = dlsym(lib, "cuInit");
	retain = dlsym(lib, "cuDevicePrimaryCtxRetain");
	set = dlsym(lib, "cuCtxSetCurrent");
	cuda.get_name = dlsym(lib, "cuDeviceGetName");
	cuda.get_pci = dlsym(lib, "cuDeviceGetPCIBusId");
	cuda.alloc = dlsym(lib, "cuMemAlloc_v2");
	cuda.free = dlsym(lib, "cuMemFree_v2");
	cuda.memset = dlsym(lib, "cuMemsetD8_v2");
	cuda.synchronize = dlsym(lib, "cuCtxSynchronize");
	cuda.ipc = dlsym(lib, "cuIpcGetMemHandle");
	cuda.create = dlsym(lib, "cuMemCreate");
	cuda.release = dlsym(lib, "cuMemRelease");
	cuda.export = dlsym(lib, "cuMemExportToShareableHandle");
	if (!init || !retain || !set || !cuda.get_name || !cuda.get_pci ||
	    !cuda.alloc || !cuda.free || !cuda.memset || !cuda.synchronize ||
	    !cuda.ipc || !cuda.create || !cuda.release || !cuda.export) {
		fprintf(stderr, "rm_tape: libcuda.so.1 lacks a function\n");
		return -ENODEV;
	}
	result = init(0);
	if (result)
		return complain("cuInit", result);
	result = retain(&context, cuda.device);
	if (result)
		return complain("cuDevicePrimaryCtxRetain", result);
	result = set(context);
	return result ? complain("cuCtxSetCurrent", result) : 0;
}

int tape_cuda_simulated(void)
{
	return cuda.simulated;
}

void tape_cuda_device(char *name, size_t name_size, char *pci, size_t pci_size)
{
	*name = '\0';
	*pci = '\0';
	cuda.get_name(name, (int)name_size, cuda.device);
	cuda.get_pci(pci, (int)pci_size, cuda.device);
}

int tape_cuda_alloc(struct tape_cuda_memory *memory, uint64_t size,
		    uint32_t *words)
{
	CUipcMemHandle handle;
	CUdeviceptr addr;
	int result;

	result = cuda.alloc(&addr, size);
	if (result)
		return result;
	memory->addr = addr;
	result = cuda.ipc(&handle, addr);
	if (!result)
		memcpy(words, handle.reserved, sizeof(handle.reserved));
	return result;
}

int tape_cuda_vmm(struct tape_cuda_memory *memory, uint64_t size, int *fd)
{
	struct vmm_prop prop = {
		.type = 1,
		.handle_types = 1,
		.location_type = 1,
		.location_id = cuda.device,
	};
	int result;

	result = cuda.create(&memory->handle, size, &prop, 0);
	if (result)
		return result;
	return cuda.export(fd, memory->handle, 1, 0);
}

int tape_cuda_fill(const struct tape_cuda_memory *memory, unsigned char byte,
		   uint64_t size)
{
	int result = cuda.memset(memory->addr, byte, size);

	return result ? result : cuda.synchronize();
}

int tape_cuda_free(struct tape_cuda_memory *memory)
{
	int result = memory->addr ? cuda.free(memory->addr)
				  : cuda.release(memory->handle);

	*memory = (struct tape_cuda_memory){ 0 };
	return result;
}
