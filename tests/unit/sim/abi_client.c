// SPDX-License-Identifier: MIT
/* A program of CUDA's own header, as users write it, on the simulation. */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi_client.h"

#define SIZE 100000

#define CU(call)                                                  \
	do {                                                      \
		CUresult result = (call);                         \
		const char *text = "?";                           \
                                                                  \
		if (result) {                                     \
			cuGetErrorName(result, &text);            \
			fprintf(stderr, "%s: %s\n", #call, text); \
			return -1;                                \
		}                                                 \
	} while (0)

static int copy_there_and_back(CUdeviceptr addr, CUstream stream)
{
	static unsigned char in[SIZE], out[SIZE];

	for (int i = 0; i < SIZE; i++)
		in[i] = (unsigned char)(i * 13);
	CU(cuMemcpyHtoD(addr, in, SIZE));
	CU(cuMemcpyDtoH(out, addr, SIZE));
	if (memcmp(in, out, SIZE))
		return -1;
	CU(cuMemsetD8(addr, 7, SIZE));
	CU(cuMemcpyDtoHAsync(out, addr, SIZE, stream));
	CU(cuStreamSynchronize(stream));
	return out[SIZE - 1] == 7 ? 0 : -1;
}

int abi_client_run(void)
{
	CUdriverProcAddressQueryResult status;
	unsigned int one = 1;
	CUipcMemHandle handle;
	CUdeviceptr addr, base;
	size_t size, total;
	char name[64];
	CUstream stream;
	CUcontext ctx;
	CUdevice dev;
	void *fn;
	float ms;
	CUevent event;

	CU(cuInit(0));
	CU(cuDeviceGet(&dev, 0));
	CU(cuDeviceGetName(name, sizeof(name), dev));
	CU(cuDeviceTotalMem(&total, dev));
	CU(cuCtxCreate(&ctx, NULL, 0, dev));
	CU(cuMemAlloc(&addr, SIZE));
	CU(cuPointerSetAttribute(&one, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, addr));
	CU(cuMemGetAddressRange(&base, &size, addr + 5));
	if (base != addr || size != SIZE)
		return -1;
	CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	CU(cuEventCreate(&event, CU_EVENT_DEFAULT));
	CU(cuEventRecord(event, stream));
	CU(cuEventElapsedTime(&ms, event, event));
	if (copy_there_and_back(addr, stream))
		return -1;
	CU(cuIpcGetMemHandle(&handle, addr));
	if (cuIpcOpenMemHandle(&base, handle, 1) != CUDA_ERROR_NOT_SUPPORTED)
		return -1;
	CU(cuGetProcAddress("cuMemFree", &fn, CUDA_VERSION, 0, &status));
	if (fn != (void *)cuMemFree)
		return -1;
	CU(cuMemFree(addr));
	CU(cuCtxDestroy(ctx));
	return 0;
}
