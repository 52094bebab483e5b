// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "cuda.h"

static const struct {
	const char *name;
	size_t member;
} functions[] = {
	{ "cuDeviceGet", offsetof(struct cuda, device_get) },
	{ "cuDevicePrimaryCtxRetain", offsetof(struct cuda, context_retain) },
	{ "cuDevicePrimaryCtxRelease_v2",
	  offsetof(struct cuda, context_release) },
	{ "cuCtxSetCurrent", offsetof(struct cuda, context_set_current) },
	{ "cuCtxSynchronize", offsetof(struct cuda, context_synchronize) },
	{ "cuMemAlloc_v2", offsetof(struct cuda, mem_alloc) },
	{ "cuMemFree_v2", offsetof(struct cuda, mem_free) },
	{ "cuMemsetD8_v2", offsetof(struct cuda, memset_d8) },
	{ "cuMemcpyHtoD_v2", offsetof(struct cuda, copy_to_gpu) },
	{ "cuMemcpyDtoH_v2", offsetof(struct cuda, copy_from_gpu) },
	{ "cuPointerSetAttribute", offsetof(struct cuda, pointer_set) },
	{ "cuGetErrorName", offsetof(struct cuda, error_name) },
	{ "cuGetErrorString", offsetof(struct cuda, error_string) },
};

static int cuda_find(struct cuda *cuda, struct gpumem *session)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *symbol = gpumem_cuda_symbol(session, functions[i].name);

		if (!symbol) {
			snprintf(cuda->why, sizeof(cuda->why),
				 "libcuda has no %s; a newer NVIDIA driver has",
				 functions[i].name);
			return -1;
		}
		/* POSIX has void * hold functions; ISO C has no cast for it. */
		memcpy((char *)cuda + functions[i].member, &symbol,
		       sizeof(symbol));
	}
	return 0;
}

int cuda_open(struct cuda *cuda, struct gpumem *session, int ordinal)
{
	const char *what;
	char text[96];
	int result;

	memset(cuda, 0, sizeof(*cuda));
	if (cuda_find(cuda, session))
		return -1;
	what = "cuDeviceGet";
	result = cuda->device_get(&cuda->device, ordinal);
	if (result)
		goto failed;
	what = "cuDevicePrimaryCtxRetain";
	result = cuda->context_retain(&cuda->context, cuda->device);
	if (result)
		goto failed;
	what = "cuCtxSetCurrent";
	result = cuda->context_set_current(cuda->context);
	if (result)
		goto release;
	return 0;
release:
	cuda->context_release(cuda->device);
failed:
	snprintf(cuda->why, sizeof(cuda->why), "%s: %s", what,
		 cuda_error(cuda, result, text, sizeof(text)));
	return -1;
}

void cuda_close(struct cuda *cuda)
{
	cuda->context_set_current(NULL);
	cuda->context_release(cuda->device);
}

const char *cuda_error(const struct cuda *cuda, int result, char *text,
		       size_t room)
{
	const char *name, *string;

	if (cuda->error_name(result, &name) ||
	    cuda->error_string(result, &string))
		snprintf(text, room, "CUDA error %d", result);
	else
		snprintf(text, room, "%s (%s)", name, string);
	return text;
}
