/* SPDX-License-Identifier: MIT */
/* libcuda.so.1, loaded at run time and never linked. */
#ifndef GM_CUDA_H
#define GM_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/cuda.h"

struct gpumem_sim_info;

/* Functions that the library cannot do without: member, exported name, type */
#define GM_CUDA_REQUIRED(F)                                                  \
	F(init, "cuInit", (unsigned int flags))                              \
	F(device_count, "cuDeviceGetCount", (int *count))                    \
	F(device, "cuDeviceGet", (CUdevice * device, int ordinal))           \
	F(device_name, "cuDeviceGetName",                                    \
	  (char *name, int size, CUdevice dev))                              \
	F(device_memory, "cuDeviceTotalMem_v2",                              \
	  (size_t * bytes, CUdevice dev))                                    \
	F(device_attribute, "cuDeviceGetAttribute",                          \
	  (int *value, CUdevice_attribute attribute, CUdevice dev))          \
	F(error_name, "cuGetErrorName", (CUresult error, const char **text)) \
	F(error_string, "cuGetErrorString",                                  \
	  (CUresult error, const char **text))                               \
	F(primary_retain, "cuDevicePrimaryCtxRetain",                        \
	  (CUcontext * context, CUdevice dev))                               \
	F(primary_release, "cuDevicePrimaryCtxRelease_v2", (CUdevice dev))   \
	F(ctx_current, "cuCtxGetCurrent", (CUcontext * context))             \
	F(ctx_push, "cuCtxPushCurrent_v2", (CUcontext context))              \
	F(ctx_pop, "cuCtxPopCurrent_v2", (CUcontext * context))              \
	F(alloc, "cuMemAlloc_v2", (CUdeviceptr * addr, size_t bytes))        \
	F(free, "cuMemFree_v2", (CUdeviceptr addr))                          \
	F(address_range, "cuMemGetAddressRange_v2",                          \
	  (CUdeviceptr * base, size_t * size, CUdeviceptr addr))             \
	F(pointer_get, "cuPointerGetAttribute",                              \
	  (void *data, CUpointer_attribute attribute, CUdeviceptr addr))     \
	F(pointer_set, "cuPointerSetAttribute",                              \
	  (const void *data, CUpointer_attribute attribute, CUdeviceptr addr))

/* Functions that one backend needs, or that only add information. */
#define GM_CUDA_OPTIONAL(F)                                                    \
	F(device_pci, "cuDeviceGetPCIBusId",                                   \
	  (char *address, int size, CUdevice dev))                             \
	F(ipc_handle, "cuIpcGetMemHandle",                                     \
	  (CUipcMemHandle * handle, CUdeviceptr addr))                         \
	F(stream_create, "cuStreamCreate",                                     \
	  (CUstream * stream, unsigned int flags))                             \
	F(stream_destroy, "cuStreamDestroy_v2", (CUstream stream))             \
	F(stream_synchronize, "cuStreamSynchronize", (CUstream stream))        \
	F(copy_to_host, "cuMemcpyDtoHAsync_v2",                                \
	  (void *host, CUdeviceptr addr, size_t bytes, CUstream stream))       \
	F(copy_to_device, "cuMemcpyHtoDAsync_v2",                              \
	  (CUdeviceptr addr, const void *host, size_t bytes, CUstream stream)) \
	F(host_alloc, "cuMemHostAlloc",                                        \
	  (void **host, size_t bytes, unsigned int flags))                     \
	F(host_free, "cuMemFreeHost", (void *host))                            \
	F(host_register, "cuMemHostRegister_v2",                               \
	  (void *host, size_t bytes, unsigned int flags))                      \
	F(host_unregister, "cuMemHostUnregister", (void *host))                \
	F(host_address, "cuMemHostGetDevicePointer_v2",                        \
	  (CUdeviceptr * addr, void *host, unsigned int flags))                \
	F(stream_create_priority, "cuStreamCreateWithPriority",                \
	  (CUstream * stream, unsigned int flags, int priority))               \
	F(stream_query, "cuStreamQuery", (CUstream stream))                    \
	F(stream_write, "cuStreamWriteValue32_v2",                             \
	  (CUstream stream, CUdeviceptr addr, uint32_t value,                  \
	   unsigned int flags))                                                \
	F(module_load, "cuModuleLoadData",                                     \
	  (CUmodule * module, const void *image))                              \
	F(module_unload, "cuModuleUnload", (CUmodule module))                  \
	F(module_function, "cuModuleGetFunction",                              \
	  (CUfunction * function, CUmodule module, const char *name))          \
	F(launch, "cuLaunchKernel",                                            \
	  (CUfunction function, unsigned int grid_x, unsigned int grid_y,      \
	   unsigned int grid_z, unsigned int block_x, unsigned int block_y,    \
	   unsigned int block_z, unsigned int shared_bytes, CUstream stream,   \
	   void **parameters, void **extra))                                   \
	F(pointer_get_all, "cuPointerGetAttributes",                           \
	  (unsigned int count, CUpointer_attribute *attributes, void **values, \
	   CUdeviceptr addr))                                                  \
	F(capture_mode, "cuThreadExchangeStreamCaptureMode", (int *mode))      \
	F(device_uuid, "cuDeviceGetUuid_v2", (CUuuid * uuid, CUdevice dev))    \
	F(vmm_retain, "cuMemRetainAllocationHandle",                           \
	  (CUmemGenericAllocationHandle * handle, void *addr))                 \
	F(vmm_release, "cuMemRelease", (CUmemGenericAllocationHandle handle))  \
	F(vmm_export, "cuMemExportToShareableHandle",                          \
	  (void *shared, CUmemGenericAllocationHandle handle, int type,        \
	   unsigned long long flags))                                          \
	F(vmm_create, "cuMemCreate",                                           \
	  (CUmemGenericAllocationHandle * handle, size_t bytes,                \
	   const CUmemAllocationProp *prop, unsigned long long flags))         \
	F(vmm_reserve, "cuMemAddressReserve",                                  \
	  (CUdeviceptr * addr, size_t bytes, size_t alignment,                 \
	   CUdeviceptr wanted, unsigned long long flags))                      \
	F(vmm_unreserve, "cuMemAddressFree", (CUdeviceptr addr, size_t bytes)) \
	F(vmm_map, "cuMemMap",                                                 \
	  (CUdeviceptr addr, size_t bytes, size_t offset,                      \
	   CUmemGenericAllocationHandle handle, unsigned long long flags))     \
	F(vmm_unmap, "cuMemUnmap", (CUdeviceptr addr, size_t bytes))           \
	F(vmm_access, "cuMemSetAccess",                                        \
	  (CUdeviceptr addr, size_t bytes, const CUmemAccessDesc *access,      \
	   size_t count))                                                      \
	F(stream_capturing, "cuStreamIsCapturing",                             \
	  (CUstream stream, int *status))                                      \
	F(ctx_id, "cuCtxGetId", (CUcontext context, unsigned long long *id))   \
	F(range_handle, "cuMemGetHandleForAddressRange",                       \
	  (void *handle, CUdeviceptr addr, size_t bytes, int type,             \
	   unsigned long long flags))

/* What a simulated libcuda exports beside: see abi/sim.h. */
struct gm_cuda_sim {
	const char *(*description)(void);
	int (*get_info)(struct gpumem_sim_info *info);
	int (*pin)(uint64_t addr, uint64_t length, uint64_t *pin);
	int (*unpin)(uint64_t pin);
	int (*map)(uint64_t pin, void **addr, uint64_t *length);
	int (*unmap)(uint64_t pin, void *addr, uint64_t length);
	int (*pages)(uint64_t pin, uint64_t first, uint64_t *pages,
		     size_t count);
};

struct gm_cuda {
	void *lib;
	bool simulated; /* sim's functions are there */
	struct gm_cuda_sim sim;
#define GM_CUDA_MEMBER(member, name, args) CUresult(*member) args;
	GM_CUDA_REQUIRED(GM_CUDA_MEMBER)
	GM_CUDA_OPTIONAL(GM_CUDA_MEMBER)
#undef GM_CUDA_MEMBER
};

/*
 * Loads the libcuda of the machine: GPUMEM_LIBCUDA, else libcuda.so.1. It stays
 * loaded. -ELIBACC with its reason.
 */
int gm_cuda_load(struct gm_cuda *cuda);

/*
 * Loads libcuda from one path, or takes lib where it is not NULL. fix: what to do
 * where that fails.
 */
int gm_cuda_load_from(struct gm_cuda *cuda, const char *path, void *lib,
		      const char *fix);

/*
 * Whether gm_cuda_load() would find a libcuda: 0, or -ELIBACC with why in
 * reason.
 */
int gm_cuda_probe(char *reason, size_t size);

/* Lets go of the library. */
void gm_cuda_unload(struct gm_cuda *cuda);

/*
 * Stores the reason for a failed CUDA call: "what: NAME (text); hint", and
 * returns the errno that fits.
 */
int gm_cuda_error(const struct gm_cuda *cuda, CUresult result, const char *what,
		  const char *hint);

/* CUDA's id of the allocation at an address, never given out again, or 0. */
unsigned long long gm_cuda_buffer_id(const struct gm_cuda *cuda,
				     CUdeviceptr addr);

/* What gm_cuda_enter() changed in the thread. */
struct gm_cuda_scope {
	const struct gm_cuda *cuda;
	int capture_mode;
	bool pushed; /* the context was not the thread's already */
};

/*
 * Makes a context current in this thread until gm_cuda_leave(), which leaves
 * the thread as it was. In between, calls do not disturb a stream capture of
 * the program. 0, or a negative errno with its reason.
 */
int gm_cuda_enter(struct gm_cuda_scope *scope, const struct gm_cuda *cuda,
		  CUcontext context);
void gm_cuda_leave(struct gm_cuda_scope *scope);

#endif /* GM_CUDA_H */
