// SPDX-License-Identifier: MIT
/* cuGetProcAddress(): every export, by name and by CUDA version. */
#include <string.h>

#include "sim.h"

extern __typeof__(cuMemAllocAsync) cuMemAllocAsync_ptsz;
extern __typeof__(cuMemAllocFromPoolAsync) cuMemAllocFromPoolAsync_ptsz;
extern __typeof__(cuMemFreeAsync) cuMemFreeAsync_ptsz;
extern __typeof__(cuMemcpy) cuMemcpy_ptds;
extern __typeof__(cuMemcpyAsync) cuMemcpyAsync_ptsz;
extern __typeof__(cuMemcpyDtoD_v2) cuMemcpyDtoD_v2_ptds;
extern __typeof__(cuMemcpyDtoDAsync_v2) cuMemcpyDtoDAsync_v2_ptsz;
extern __typeof__(cuMemcpyDtoH_v2) cuMemcpyDtoH_v2_ptds;
extern __typeof__(cuMemcpyDtoHAsync_v2) cuMemcpyDtoHAsync_v2_ptsz;
extern __typeof__(cuMemcpyHtoD_v2) cuMemcpyHtoD_v2_ptds;
extern __typeof__(cuMemcpyHtoDAsync_v2) cuMemcpyHtoDAsync_v2_ptsz;
extern __typeof__(cuMemsetD16_v2) cuMemsetD16_v2_ptds;
extern __typeof__(cuMemsetD16Async) cuMemsetD16Async_ptsz;
extern __typeof__(cuMemsetD32_v2) cuMemsetD32_v2_ptds;
extern __typeof__(cuMemsetD32Async) cuMemsetD32Async_ptsz;
extern __typeof__(cuMemsetD8_v2) cuMemsetD8_v2_ptds;
extern __typeof__(cuMemsetD8Async) cuMemsetD8Async_ptsz;
extern __typeof__(cuEventRecord) cuEventRecord_ptsz;
extern __typeof__(cuLaunchKernel) cuLaunchKernel_ptsz;
extern __typeof__(cuStreamGetCtx) cuStreamGetCtx_ptsz;
extern __typeof__(cuStreamGetFlags) cuStreamGetFlags_ptsz;
extern __typeof__(cuStreamGetPriority) cuStreamGetPriority_ptsz;
extern __typeof__(cuStreamQuery) cuStreamQuery_ptsz;
extern __typeof__(cuStreamSynchronize) cuStreamSynchronize_ptsz;
extern __typeof__(cuStreamWaitEvent) cuStreamWaitEvent_ptsz;
extern __typeof__(cuStreamWriteValue32_v2) cuStreamWriteValue32_v2_ptsz;

struct sim_fn {
	const char *base; /* the name in cuda.h */
	const char *name; /* the exported one */
	int since; /* CUDA version that brought this variant */
	bool per_thread; /* for the per-thread default stream */
	void *fn;
};

#define SIM_FN(n, v, f)                                         \
	{                                                       \
		.base = #n, .name = #f, .since = (v), .fn = (f) \
	}
#define SIM_FN_PER_THREAD(n, v, f)                                        \
	{                                                                 \
		.base = #n, .name = #f, .since = (v), .per_thread = true, \
		.fn = (f)                                                 \
	}

/* Of one base name: in the order of their versions, per-thread ones last. */
static const struct sim_fn functions[] = {
	SIM_FN(cuCtxCreate, 2000, cuCtxCreate),
	SIM_FN(cuCtxCreate, 3020, cuCtxCreate_v2),
	SIM_FN(cuCtxCreate, 11040, cuCtxCreate_v3),
	SIM_FN(cuCtxCreate, 12050, cuCtxCreate_v4),
	SIM_FN(cuCtxDestroy, 2000, cuCtxDestroy),
	SIM_FN(cuCtxDestroy, 4000, cuCtxDestroy_v2),
	SIM_FN(cuCtxGetApiVersion, 3020, cuCtxGetApiVersion),
	SIM_FN(cuCtxGetCurrent, 4000, cuCtxGetCurrent),
	SIM_FN(cuCtxGetDevice, 2000, cuCtxGetDevice),
	SIM_FN(cuCtxGetDevice, 13000, cuCtxGetDevice_v2),
	SIM_FN(cuCtxGetExecAffinity, 11040, cuCtxGetExecAffinity),
	SIM_FN(cuCtxGetFlags, 7000, cuCtxGetFlags),
	SIM_FN(cuCtxGetId, 12000, cuCtxGetId),
	SIM_FN(cuCtxGetStreamPriorityRange, 5050, cuCtxGetStreamPriorityRange),
	SIM_FN(cuCtxPopCurrent, 2000, cuCtxPopCurrent),
	SIM_FN(cuCtxPopCurrent, 4000, cuCtxPopCurrent_v2),
	SIM_FN(cuCtxPushCurrent, 2000, cuCtxPushCurrent),
	SIM_FN(cuCtxPushCurrent, 4000, cuCtxPushCurrent_v2),
	SIM_FN(cuCtxSetCurrent, 4000, cuCtxSetCurrent),
	SIM_FN(cuCtxSynchronize, 2000, cuCtxSynchronize),
	SIM_FN(cuCtxSynchronize, 13000, cuCtxSynchronize_v2),
	SIM_FN(cuDeviceCanAccessPeer, 4000, cuDeviceCanAccessPeer),
	SIM_FN(cuDeviceComputeCapability, 2000, cuDeviceComputeCapability),
	SIM_FN(cuDeviceGet, 2000, cuDeviceGet),
	SIM_FN(cuDeviceGetAttribute, 2000, cuDeviceGetAttribute),
	SIM_FN(cuDeviceGetByPCIBusId, 4010, cuDeviceGetByPCIBusId),
	SIM_FN(cuDeviceGetCount, 2000, cuDeviceGetCount),
	SIM_FN(cuDeviceGetDefaultMemPool, 11020, cuDeviceGetDefaultMemPool),
	SIM_FN(cuDeviceGetMemPool, 11020, cuDeviceGetMemPool),
	SIM_FN(cuDeviceGetName, 2000, cuDeviceGetName),
	SIM_FN(cuDeviceGetPCIBusId, 4010, cuDeviceGetPCIBusId),
	SIM_FN(cuDeviceGetUuid, 9020, cuDeviceGetUuid),
	SIM_FN(cuDeviceGetUuid, 11040, cuDeviceGetUuid_v2),
	SIM_FN(cuDevicePrimaryCtxGetState, 7000, cuDevicePrimaryCtxGetState),
	SIM_FN(cuDevicePrimaryCtxRelease, 7000, cuDevicePrimaryCtxRelease),
	SIM_FN(cuDevicePrimaryCtxRelease, 11000, cuDevicePrimaryCtxRelease_v2),
	SIM_FN(cuDevicePrimaryCtxReset, 7000, cuDevicePrimaryCtxReset),
	SIM_FN(cuDevicePrimaryCtxReset, 11000, cuDevicePrimaryCtxReset_v2),
	SIM_FN(cuDevicePrimaryCtxRetain, 7000, cuDevicePrimaryCtxRetain),
	SIM_FN(cuDevicePrimaryCtxSetFlags, 7000, cuDevicePrimaryCtxSetFlags),
	SIM_FN(cuDevicePrimaryCtxSetFlags, 11000,
	       cuDevicePrimaryCtxSetFlags_v2),
	SIM_FN(cuDeviceTotalMem, 2000, cuDeviceTotalMem),
	SIM_FN(cuDeviceTotalMem, 3020, cuDeviceTotalMem_v2),
	SIM_FN(cuDriverGetVersion, 2020, cuDriverGetVersion),
	SIM_FN(cuEventCreate, 2000, cuEventCreate),
	SIM_FN(cuEventDestroy, 2000, cuEventDestroy),
	SIM_FN(cuEventDestroy, 4000, cuEventDestroy_v2),
	SIM_FN(cuEventElapsedTime, 2000, cuEventElapsedTime),
	SIM_FN(cuEventElapsedTime, 12080, cuEventElapsedTime_v2),
	SIM_FN(cuEventQuery, 2000, cuEventQuery),
	SIM_FN(cuEventRecord, 2000, cuEventRecord),
	SIM_FN_PER_THREAD(cuEventRecord, 7000, cuEventRecord_ptsz),
	SIM_FN(cuEventSynchronize, 2000, cuEventSynchronize),
	SIM_FN(cuFlushGPUDirectRDMAWrites, 11030, cuFlushGPUDirectRDMAWrites),
	SIM_FN(cuGetErrorName, 6000, cuGetErrorName),
	SIM_FN(cuGetErrorString, 6000, cuGetErrorString),
	SIM_FN(cuGetProcAddress, 11030, cuGetProcAddress),
	SIM_FN(cuGetProcAddress, 12000, cuGetProcAddress_v2),
	SIM_FN(cuInit, 2000, cuInit),
	SIM_FN(cuIpcCloseMemHandle, 4010, cuIpcCloseMemHandle),
	SIM_FN(cuIpcGetMemHandle, 4010, cuIpcGetMemHandle),
	SIM_FN(cuIpcOpenMemHandle, 4010, cuIpcOpenMemHandle),
	SIM_FN(cuIpcOpenMemHandle, 11000, cuIpcOpenMemHandle_v2),
	SIM_FN(cuLaunchKernel, 4000, cuLaunchKernel),
	SIM_FN_PER_THREAD(cuLaunchKernel, 7000, cuLaunchKernel_ptsz),
	SIM_FN(cuMemAddressFree, 10020, cuMemAddressFree),
	SIM_FN(cuMemAddressReserve, 10020, cuMemAddressReserve),
	SIM_FN(cuMemAlloc, 2000, cuMemAlloc),
	SIM_FN(cuMemAlloc, 3020, cuMemAlloc_v2),
	SIM_FN(cuMemAllocAsync, 11020, cuMemAllocAsync),
	SIM_FN_PER_THREAD(cuMemAllocAsync, 11020, cuMemAllocAsync_ptsz),
	SIM_FN(cuMemAllocFromPoolAsync, 11020, cuMemAllocFromPoolAsync),
	SIM_FN_PER_THREAD(cuMemAllocFromPoolAsync, 11020,
			  cuMemAllocFromPoolAsync_ptsz),
	SIM_FN(cuMemAllocHost, 2000, cuMemAllocHost),
	SIM_FN(cuMemAllocHost, 3020, cuMemAllocHost_v2),
	SIM_FN(cuMemAllocManaged, 6000, cuMemAllocManaged),
	SIM_FN(cuMemAllocPitch, 2000, cuMemAllocPitch),
	SIM_FN(cuMemAllocPitch, 3020, cuMemAllocPitch_v2),
	SIM_FN(cuMemCreate, 10020, cuMemCreate),
	SIM_FN(cuMemExportToShareableHandle, 10020,
	       cuMemExportToShareableHandle),
	SIM_FN(cuMemFree, 2000, cuMemFree),
	SIM_FN(cuMemFree, 3020, cuMemFree_v2),
	SIM_FN(cuMemFreeAsync, 11020, cuMemFreeAsync),
	SIM_FN_PER_THREAD(cuMemFreeAsync, 11020, cuMemFreeAsync_ptsz),
	SIM_FN(cuMemFreeHost, 2000, cuMemFreeHost),
	SIM_FN(cuMemGetAccess, 10020, cuMemGetAccess),
	SIM_FN(cuMemGetAddressRange, 2000, cuMemGetAddressRange),
	SIM_FN(cuMemGetAddressRange, 3020, cuMemGetAddressRange_v2),
	SIM_FN(cuMemGetAllocationGranularity, 10020,
	       cuMemGetAllocationGranularity),
	SIM_FN(cuMemGetAllocationPropertiesFromHandle, 10020,
	       cuMemGetAllocationPropertiesFromHandle),
	SIM_FN(cuMemGetHandleForAddressRange, 11070,
	       cuMemGetHandleForAddressRange),
	SIM_FN(cuMemGetInfo, 2000, cuMemGetInfo),
	SIM_FN(cuMemGetInfo, 3020, cuMemGetInfo_v2),
	SIM_FN(cuMemHostAlloc, 2020, cuMemHostAlloc),
	SIM_FN(cuMemHostGetDevicePointer, 2020, cuMemHostGetDevicePointer),
	SIM_FN(cuMemHostGetDevicePointer, 3020, cuMemHostGetDevicePointer_v2),
	SIM_FN(cuMemHostGetFlags, 2030, cuMemHostGetFlags),
	SIM_FN(cuMemHostRegister, 4000, cuMemHostRegister),
	SIM_FN(cuMemHostRegister, 6050, cuMemHostRegister_v2),
	SIM_FN(cuMemHostUnregister, 4000, cuMemHostUnregister),
	SIM_FN(cuMemImportFromShareableHandle, 10020,
	       cuMemImportFromShareableHandle),
	SIM_FN(cuMemMap, 10020, cuMemMap),
	SIM_FN(cuMemRelease, 10020, cuMemRelease),
	SIM_FN(cuMemRetainAllocationHandle, 11000, cuMemRetainAllocationHandle),
	SIM_FN(cuMemSetAccess, 10020, cuMemSetAccess),
	SIM_FN(cuMemUnmap, 10020, cuMemUnmap),
	SIM_FN(cuMemcpy, 4000, cuMemcpy),
	SIM_FN_PER_THREAD(cuMemcpy, 7000, cuMemcpy_ptds),
	SIM_FN(cuMemcpyAsync, 4000, cuMemcpyAsync),
	SIM_FN_PER_THREAD(cuMemcpyAsync, 7000, cuMemcpyAsync_ptsz),
	SIM_FN(cuMemcpyDtoD, 2000, cuMemcpyDtoD),
	SIM_FN(cuMemcpyDtoD, 3020, cuMemcpyDtoD_v2),
	SIM_FN_PER_THREAD(cuMemcpyDtoD, 7000, cuMemcpyDtoD_v2_ptds),
	SIM_FN(cuMemcpyDtoDAsync, 3000, cuMemcpyDtoDAsync),
	SIM_FN(cuMemcpyDtoDAsync, 3020, cuMemcpyDtoDAsync_v2),
	SIM_FN_PER_THREAD(cuMemcpyDtoDAsync, 7000, cuMemcpyDtoDAsync_v2_ptsz),
	SIM_FN(cuMemcpyDtoH, 2000, cuMemcpyDtoH),
	SIM_FN(cuMemcpyDtoH, 3020, cuMemcpyDtoH_v2),
	SIM_FN_PER_THREAD(cuMemcpyDtoH, 7000, cuMemcpyDtoH_v2_ptds),
	SIM_FN(cuMemcpyDtoHAsync, 2000, cuMemcpyDtoHAsync),
	SIM_FN(cuMemcpyDtoHAsync, 3020, cuMemcpyDtoHAsync_v2),
	SIM_FN_PER_THREAD(cuMemcpyDtoHAsync, 7000, cuMemcpyDtoHAsync_v2_ptsz),
	SIM_FN(cuMemcpyHtoD, 2000, cuMemcpyHtoD),
	SIM_FN(cuMemcpyHtoD, 3020, cuMemcpyHtoD_v2),
	SIM_FN_PER_THREAD(cuMemcpyHtoD, 7000, cuMemcpyHtoD_v2_ptds),
	SIM_FN(cuMemcpyHtoDAsync, 2000, cuMemcpyHtoDAsync),
	SIM_FN(cuMemcpyHtoDAsync, 3020, cuMemcpyHtoDAsync_v2),
	SIM_FN_PER_THREAD(cuMemcpyHtoDAsync, 7000, cuMemcpyHtoDAsync_v2_ptsz),
	SIM_FN(cuMemsetD16, 2000, cuMemsetD16),
	SIM_FN(cuMemsetD16, 3020, cuMemsetD16_v2),
	SIM_FN_PER_THREAD(cuMemsetD16, 7000, cuMemsetD16_v2_ptds),
	SIM_FN(cuMemsetD16Async, 3020, cuMemsetD16Async),
	SIM_FN_PER_THREAD(cuMemsetD16Async, 7000, cuMemsetD16Async_ptsz),
	SIM_FN(cuMemsetD32, 2000, cuMemsetD32),
	SIM_FN(cuMemsetD32, 3020, cuMemsetD32_v2),
	SIM_FN_PER_THREAD(cuMemsetD32, 7000, cuMemsetD32_v2_ptds),
	SIM_FN(cuMemsetD32Async, 3020, cuMemsetD32Async),
	SIM_FN_PER_THREAD(cuMemsetD32Async, 7000, cuMemsetD32Async_ptsz),
	SIM_FN(cuMemsetD8, 2000, cuMemsetD8),
	SIM_FN(cuMemsetD8, 3020, cuMemsetD8_v2),
	SIM_FN_PER_THREAD(cuMemsetD8, 7000, cuMemsetD8_v2_ptds),
	SIM_FN(cuMemsetD8Async, 3020, cuMemsetD8Async),
	SIM_FN_PER_THREAD(cuMemsetD8Async, 7000, cuMemsetD8Async_ptsz),
	SIM_FN(cuModuleGetFunction, 2000, cuModuleGetFunction),
	SIM_FN(cuModuleLoadData, 2000, cuModuleLoadData),
	SIM_FN(cuModuleUnload, 2000, cuModuleUnload),
	SIM_FN(cuPointerGetAttribute, 4000, cuPointerGetAttribute),
	SIM_FN(cuPointerGetAttributes, 7000, cuPointerGetAttributes),
	SIM_FN(cuPointerSetAttribute, 6000, cuPointerSetAttribute),
	SIM_FN(cuStreamCreate, 2000, cuStreamCreate),
	SIM_FN(cuStreamCreateWithPriority, 5050, cuStreamCreateWithPriority),
	SIM_FN(cuStreamDestroy, 2000, cuStreamDestroy),
	SIM_FN(cuStreamDestroy, 4000, cuStreamDestroy_v2),
	SIM_FN(cuStreamGetCtx, 9020, cuStreamGetCtx),
	SIM_FN_PER_THREAD(cuStreamGetCtx, 9020, cuStreamGetCtx_ptsz),
	SIM_FN(cuStreamGetFlags, 5050, cuStreamGetFlags),
	SIM_FN_PER_THREAD(cuStreamGetFlags, 7000, cuStreamGetFlags_ptsz),
	SIM_FN(cuStreamGetPriority, 5050, cuStreamGetPriority),
	SIM_FN_PER_THREAD(cuStreamGetPriority, 7000, cuStreamGetPriority_ptsz),
	SIM_FN(cuStreamQuery, 2000, cuStreamQuery),
	SIM_FN(cuStreamIsCapturing, 10000, cuStreamIsCapturing),
	SIM_FN_PER_THREAD(cuStreamQuery, 7000, cuStreamQuery_ptsz),
	SIM_FN(cuStreamSynchronize, 2000, cuStreamSynchronize),
	SIM_FN_PER_THREAD(cuStreamSynchronize, 7000, cuStreamSynchronize_ptsz),
	SIM_FN(cuStreamWaitEvent, 3020, cuStreamWaitEvent),
	SIM_FN_PER_THREAD(cuStreamWaitEvent, 7000, cuStreamWaitEvent_ptsz),
	SIM_FN(cuStreamWriteValue32, 11070, cuStreamWriteValue32_v2),
	SIM_FN_PER_THREAD(cuStreamWriteValue32, 11070,
			  cuStreamWriteValue32_v2_ptsz),
};

#define FUNCTION_COUNT (sizeof(functions) / sizeof(functions[0]))

/*
 * The newest variant of the base name that the version has, or the very export
 * that is named. *known: there is such a name, in whatever version.
 */
static const struct sim_fn *fn_find(const char *symbol, int version,
				    bool per_thread, bool *known)
{
	const struct sim_fn *found = NULL;

	*known = false;
	for (size_t i = 0; i < FUNCTION_COUNT; i++) {
		const struct sim_fn *f = &functions[i];
		bool by_base = !strcmp(symbol, f->base);

		if (by_base ? f->per_thread && !per_thread
			    : strcmp(symbol, f->name) != 0)
			continue;
		*known = true;
		if (f->since <= version)
			found = f;
	}
	return found;
}

static CUresult fn_get(const char *symbol, void **fn, int version,
		       uint64_t flags, CUdriverProcAddressQueryResult *status)
{
	const struct sim_fn *found;
	bool known;

	if (!symbol || !fn || version > SIM_DRIVER_VERSION ||
	    flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM)
		return CUDA_ERROR_INVALID_VALUE;
	found = fn_find(symbol, version,
			flags == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM,
			&known);
	*fn = found ? found->fn : NULL;
	if (found)
		*status = CU_GET_PROC_ADDRESS_SUCCESS;
	else if (known)
		*status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
	else
		*status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
	return CUDA_SUCCESS;
}

/* Without a status, only this variant reports what is not there as an error. */
CUresult cuGetProcAddress(const char *symbol, void **fn, int version,
			  uint64_t flags)
{
	CUdriverProcAddressQueryResult status;
	CUresult result = fn_get(symbol, fn, version, flags, &status);

	if (!result && status != CU_GET_PROC_ADDRESS_SUCCESS)
		result = CUDA_ERROR_NOT_FOUND;
	return result;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **fn, int version,
			     uint64_t flags,
			     CUdriverProcAddressQueryResult *status)
{
	CUdriverProcAddressQueryResult ignored;

	return fn_get(symbol, fn, version, flags, status ? status : &ignored);
}
