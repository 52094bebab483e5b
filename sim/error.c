// SPDX-License-Identifier: MIT
/* Names and descriptions of the results that abi/cuda.h has. */
#include "sim.h"

#define SIM_ERROR(c, s)                                \
	{                                              \
		.code = (c), .name = #c, .string = (s) \
	}

static const struct sim_error {
	CUresult code;
	const char *name;
	const char *string;
} errors[] = {
	SIM_ERROR(CUDA_SUCCESS, "no error"),
	SIM_ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
	SIM_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
	SIM_ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
	SIM_ERROR(CUDA_ERROR_DEINITIALIZED, "driver shutting down"),
	SIM_ERROR(CUDA_ERROR_STUB_LIBRARY, "CUDA driver is a stub library"),
	SIM_ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE,
		  "device is busy or unavailable"),
	SIM_ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
	SIM_ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
	SIM_ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
	SIM_ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
	SIM_ERROR(CUDA_ERROR_MAP_FAILED, "mapping of buffer object failed"),
	SIM_ERROR(CUDA_ERROR_UNMAP_FAILED, "unmapping of buffer object failed"),
	SIM_ERROR(CUDA_ERROR_ALREADY_MAPPED, "resource already mapped"),
	SIM_ERROR(CUDA_ERROR_NOT_MAPPED, "resource not mapped"),
	SIM_ERROR(CUDA_ERROR_ECC_UNCORRECTABLE,
		  "uncorrectable ECC error encountered"),
	SIM_ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT,
		  "limit is not supported on this device"),
	SIM_ERROR(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY,
		  "execution affinity is not supported"),
	SIM_ERROR(CUDA_ERROR_OPERATING_SYSTEM,
		  "call to the operating system failed"),
	SIM_ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
	SIM_ERROR(CUDA_ERROR_ILLEGAL_STATE,
		  "not possible in the present state"),
	SIM_ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
	SIM_ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
	SIM_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS,
		  "an illegal memory access was encountered"),
	SIM_ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE,
		  "the primary context is active"),
	SIM_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
	SIM_ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
		  "memory is already registered"),
	SIM_ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
		  "memory is not registered"),
	SIM_ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
	SIM_ERROR(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
	SIM_ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
	SIM_ERROR(CUDA_ERROR_SYSTEM_NOT_READY, "system not yet initialized"),
	SIM_ERROR(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
		  "the driver's parts do not fit together"),
	SIM_ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
};

static const struct sim_error *error_find(CUresult code)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].code == code)
			return &errors[i];
	}
	return NULL;
}

CUresult cuGetErrorString(CUresult error, const char **string)
{
	const struct sim_error *e = error_find(error);

	if (!string)
		return CUDA_ERROR_INVALID_VALUE;
	*string = e ? e->string : NULL;
	return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
	const struct sim_error *e = error_find(error);

	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = e ? e->name : NULL;
	return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
