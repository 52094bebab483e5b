/* SPDX-License-Identifier: MIT */
/*
 * The driver API functions that the simulated CUDA exports, under their exact
 * names in the binary interface. Where a function has several variants the
 * highest _vN is what cuda.h means by the plain name.
 */
#ifndef SIM_CUDA_API_H
#define SIM_CUDA_API_H

#include "abi/cuda.h"

/* A device address of the oldest variants. */
typedef unsigned int CUdeviceptr_v1;

#pragma GCC visibility push(default)

/* init.c, error.c, proc.c */
CUresult cuInit(unsigned int flags);
CUresult cuDriverGetVersion(int *version);
CUresult cuGetErrorString(CUresult error, const char **string);
CUresult cuGetErrorName(CUresult error, const char **name);
CUresult cuGetProcAddress(const char *symbol, void **fn, int version,
			  uint64_t flags);
CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int version,
			     uint64_t flags,
			     CUdriverProcAddressQueryResult *status);

/* device.c */
CUresult cuDeviceGet(CUdevice *dev, int ordinal);
CUresult cuDeviceGetCount(int *count);
CUresult cuDeviceGetName(char *name, int len, CUdevice dev);
CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice dev);
CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev);
CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev);
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute,
			      CUdevice dev);
CUresult cuDeviceGetPCIBusId(char *id, int len, CUdevice dev);
CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *id);
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev);
CUresult cuDeviceCanAccessPeer(int *can, CUdevice dev, CUdevice peer);

/* context.c */
CUresult cuCtxCreate(CUcontext *ctx, unsigned int flags, CUdevice dev);
CUresult cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice dev);
CUresult cuCtxCreate_v3(CUcontext *ctx, void *affinity, int affinity_count,
			unsigned int flags, CUdevice dev);
CUresult cuCtxCreate_v4(CUcontext *ctx, CUctxCreateParams *params,
			unsigned int flags, CUdevice dev);
CUresult cuCtxDestroy(CUcontext ctx);
CUresult cuCtxDestroy_v2(CUcontext ctx);
CUresult cuCtxPushCurrent(CUcontext ctx);
CUresult cuCtxPushCurrent_v2(CUcontext ctx);
CUresult cuCtxPopCurrent(CUcontext *ctx);
CUresult cuCtxPopCurrent_v2(CUcontext *ctx);
CUresult cuCtxSetCurrent(CUcontext ctx);
CUresult cuCtxGetCurrent(CUcontext *ctx);
CUresult cuCtxGetDevice(CUdevice *dev);
CUresult cuCtxGetDevice_v2(CUdevice *dev, CUcontext ctx);
CUresult cuCtxGetFlags(unsigned int *flags);
CUresult cuCtxGetId(CUcontext ctx, unsigned long long *id);
CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int *version);
CUresult cuCtxGetExecAffinity(CUexecAffinityParam *affinity, int type);
CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest);
CUresult cuCtxSynchronize(void);
CUresult cuCtxSynchronize_v2(CUcontext ctx);
CUresult cuFlushGPUDirectRDMAWrites(int target, int scope);

/* primary.c */
CUresult cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice dev);
CUresult cuDevicePrimaryCtxRelease(CUdevice dev);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev);
CUresult cuDevicePrimaryCtxReset(CUdevice dev);
CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev);
CUresult cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags);
CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags);
CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int *flags,
				    int *active);

/* memory.c */
CUresult cuMemAlloc_v2(CUdeviceptr *addr, size_t size);
CUresult cuMemAllocPitch_v2(CUdeviceptr *addr, size_t *pitch, size_t width,
			    size_t height, unsigned int element);
CUresult cuMemAllocManaged(CUdeviceptr *addr, size_t size, unsigned int flags);
CUresult cuMemFree_v2(CUdeviceptr addr);
CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size,
				 CUdeviceptr addr);
CUresult cuMemGetInfo_v2(size_t *unused, size_t *total);

/* pool.c */
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice dev);
CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev);
CUresult cuMemAllocAsync(CUdeviceptr *addr, size_t size, CUstream stream);
CUresult cuMemAllocFromPoolAsync(CUdeviceptr *addr, size_t size,
				 CUmemoryPool pool, CUstream stream);
CUresult cuMemFreeAsync(CUdeviceptr addr, CUstream stream);

/* vmm.c */
CUresult cuMemGetAllocationGranularity(size_t *size,
				       const CUmemAllocationProp *prop,
				       int option);
CUresult cuMemAddressReserve(CUdeviceptr *addr, size_t size, size_t align,
			     CUdeviceptr wanted, unsigned long long flags);
CUresult cuMemAddressFree(CUdeviceptr addr, size_t size);
CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
		     const CUmemAllocationProp *prop, unsigned long long flags);
CUresult cuMemRelease(CUmemGenericAllocationHandle handle);

/* vmm_map.c */
CUresult cuMemMap(CUdeviceptr addr, size_t size, size_t offset,
		  CUmemGenericAllocationHandle handle,
		  unsigned long long flags);
CUresult cuMemUnmap(CUdeviceptr addr, size_t size);
CUresult cuMemSetAccess(CUdeviceptr addr, size_t size,
			const CUmemAccessDesc *desc, size_t count);
CUresult cuMemGetAccess(unsigned long long *flags,
			const CUmemLocation *location, CUdeviceptr addr);

/* vmm_share.c */
CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle,
				     void *addr);
CUresult
cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
				       CUmemGenericAllocationHandle handle);
CUresult cuMemExportToShareableHandle(void *shareable,
				      CUmemGenericAllocationHandle handle,
				      int type, unsigned long long flags);
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle,
					void *shareable, int type);
CUresult cuMemGetHandleForAddressRange(void *handle, CUdeviceptr addr,
				       size_t size, int type,
				       unsigned long long flags);

/* host.c */
CUresult cuMemAllocHost(void **host, unsigned int size);
CUresult cuMemAllocHost_v2(void **host, size_t size);
CUresult cuMemHostAlloc(void **host, size_t size, unsigned int flags);
CUresult cuMemFreeHost(void *host);
CUresult cuMemHostRegister(void *host, size_t size, unsigned int flags);
CUresult cuMemHostRegister_v2(void *host, size_t size, unsigned int flags);
CUresult cuMemHostUnregister(void *host);
CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *addr, void *host,
				      unsigned int flags);
CUresult cuMemHostGetFlags(unsigned int *flags, void *host);

/* copy.c */
CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t size);
CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t size,
		       CUstream stream);
CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t size);
CUresult cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t size);
CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t size);
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t size,
			      CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t size,
			      CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t size,
			      CUstream stream);
CUresult cuMemsetD8_v2(CUdeviceptr dst, unsigned char value, size_t count);
CUresult cuMemsetD16_v2(CUdeviceptr dst, unsigned short value, size_t count);
CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned int value, size_t count);
CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char value, size_t count,
			 CUstream stream);
CUresult cuMemsetD16Async(CUdeviceptr dst, unsigned short value, size_t count,
			  CUstream stream);
CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned int value, size_t count,
			  CUstream stream);

/* pointer.c */
CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute,
			       CUdeviceptr addr);
CUresult cuPointerGetAttributes(unsigned int count,
				CUpointer_attribute *attributes, void **data,
				CUdeviceptr addr);
CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
			       CUdeviceptr addr);

/* ipc.c */
CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr addr);
CUresult cuIpcOpenMemHandle(CUdeviceptr *addr, CUipcMemHandle handle,
			    unsigned int flags);
CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *addr, CUipcMemHandle handle,
			       unsigned int flags);
CUresult cuIpcCloseMemHandle(CUdeviceptr addr);

/* stream.c */
CUresult cuStreamCreate(CUstream *stream, unsigned int flags);
CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned int flags,
				    int priority);
CUresult cuStreamDestroy(CUstream stream);
CUresult cuStreamDestroy_v2(CUstream stream);
CUresult cuStreamSynchronize(CUstream stream);
CUresult cuStreamQuery(CUstream stream);
CUresult cuStreamIsCapturing(CUstream stream, int *status);
CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr,
				 uint32_t value, unsigned int flags);
CUresult cuStreamGetFlags(CUstream stream, unsigned int *flags);
CUresult cuStreamGetPriority(CUstream stream, int *priority);
CUresult cuStreamGetCtx(CUstream stream, CUcontext *ctx);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);

/* kernel.c */
CUresult cuModuleLoadData(CUmodule *module, const void *image);
CUresult cuModuleUnload(CUmodule module);
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module,
			     const char *name);
CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x,
			unsigned int grid_y, unsigned int grid_z,
			unsigned int block_x, unsigned int block_y,
			unsigned int block_z, unsigned int shared_bytes,
			CUstream stream, void **parameters, void **extra);

/* event.c */
CUresult cuEventCreate(CUevent *event, unsigned int flags);
CUresult cuEventDestroy(CUevent event);
CUresult cuEventDestroy_v2(CUevent event);
CUresult cuEventRecord(CUevent event, CUstream stream);
CUresult cuEventQuery(CUevent event);
CUresult cuEventSynchronize(CUevent event);
CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end);
CUresult cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end);

/*
 * legacy.c: the variants of CUDA 2, whose device addresses and sizes have 32
 * bits. Programs reach them by asking dlsym() for the plain name.
 */
CUresult cuDeviceTotalMem(unsigned int *bytes, CUdevice dev);
CUresult cuMemAlloc(CUdeviceptr_v1 *addr, unsigned int size);
CUresult cuMemAllocPitch(CUdeviceptr_v1 *addr, unsigned int *pitch,
			 unsigned int width, unsigned int height,
			 unsigned int element);
CUresult cuMemFree(CUdeviceptr_v1 addr);
CUresult cuMemGetAddressRange(CUdeviceptr_v1 *base, unsigned int *size,
			      CUdeviceptr_v1 addr);
CUresult cuMemGetInfo(unsigned int *unused, unsigned int *total);
CUresult cuMemHostGetDevicePointer(CUdeviceptr_v1 *addr, void *host,
				   unsigned int flags);
CUresult cuMemcpyHtoD(CUdeviceptr_v1 dst, const void *src, unsigned int size);
CUresult cuMemcpyDtoH(void *dst, CUdeviceptr_v1 src, unsigned int size);
CUresult cuMemcpyDtoD(CUdeviceptr_v1 dst, CUdeviceptr_v1 src,
		      unsigned int size);
CUresult cuMemcpyHtoDAsync(CUdeviceptr_v1 dst, const void *src,
			   unsigned int size, CUstream stream);
CUresult cuMemcpyDtoHAsync(void *dst, CUdeviceptr_v1 src, unsigned int size,
			   CUstream stream);
CUresult cuMemcpyDtoDAsync(CUdeviceptr_v1 dst, CUdeviceptr_v1 src,
			   unsigned int size, CUstream stream);
CUresult cuMemsetD8(CUdeviceptr_v1 dst, unsigned char value,
		    unsigned int count);
CUresult cuMemsetD16(CUdeviceptr_v1 dst, unsigned short value,
		     unsigned int count);
CUresult cuMemsetD32(CUdeviceptr_v1 dst, unsigned int value,
		     unsigned int count);

#pragma GCC visibility pop

#endif /* SIM_CUDA_API_H */
