// SPDX-License-Identifier: MIT
#include "t_vmm.h"

#define VMM_PINNED 1

struct vmm_cuda vmm_cuda;

static void find(struct gpumem *session, const char *name, void *function)
{
	void *found = gpumem_cuda_symbol(session, name);

	need(found, "libcuda lacks %s", name);
	memcpy(function, &found, sizeof(found));
}

struct gpumem *vmm_session_open(const char *backend)
{
	struct gpumem *session = t_lib_open(backend);

	find(session, "cuMemCreate", &vmm_cuda.create);
	find(session, "cuMemRelease", &vmm_cuda.release);
	find(session, "cuMemAddressReserve", &vmm_cuda.reserve);
	find(session, "cuMemMap", &vmm_cuda.map);
	find(session, "cuMemUnmap", &vmm_cuda.unmap);
	find(session, "cuMemSetAccess", &vmm_cuda.access);
	find(session, "cuMemAllocManaged", &vmm_cuda.managed);
	find(session, "cuMemAllocAsync", &vmm_cuda.pool);
	find(session, "cuMemFreeAsync", &vmm_cuda.pool_free);
	find(session, "cuCtxSynchronize", &vmm_cuda.synchronize);
	find(session, "cuMemcpyHtoD_v2", &vmm_cuda.to_device);
	find(session, "cuMemExportToShareableHandle", &vmm_cuda.give);
	find(session, "cuMemImportFromShareableHandle", &vmm_cuda.take);
	return session;
}

unsigned long long vmm_create(size_t length, int handle_types)
{
	struct vmm_prop prop = { .type = VMM_PINNED,
				 .handle_types = handle_types,
				 .location_type = VMM_DEVICE };
	unsigned long long handle = 0;
	int r = vmm_cuda.create(&handle, length, &prop, 0);

	need(!r, "cuMemCreate: CUDA error %d", r);
	return handle;
}

uint64_t vmm_reserve(size_t length)
{
	uint64_t addr = 0;
	int r = vmm_cuda.reserve(&addr, length, 0, 0, 0);

	need(!r, "cuMemAddressReserve: CUDA error %d", r);
	return addr;
}

void vmm_map(uint64_t addr, size_t length, unsigned long long handle)
{
	struct vmm_access access = { VMM_DEVICE, 0, VMM_READ_WRITE };
	int r = vmm_cuda.map(addr, length, 0, handle, 0);

	need(!r, "cuMemMap: CUDA error %d", r);
	r = vmm_cuda.access(addr, length, &access, 1);
	need(!r, "cuMemSetAccess: CUDA error %d", r);
}
