/* SPDX-License-Identifier: MIT */
/*
 * The part of the CUDA driver API that the command and the GPU tests use, taken
 * from the libcuda of a gpumem session. Results are CUresult values: 0 is
 * success.
 */
#ifndef GPUMEM_TOOL_CUDA_H
#define GPUMEM_TOOL_CUDA_H

#include <stddef.h>
#include <stdint.h>

#include <gpumem.h>

/* From the CUDA driver API. */
#define CUDA_ERROR_OUT_OF_MEMORY 2
#define CUDA_ERROR_NOT_SUPPORTED 801
#define CUDA_POINTER_ATTRIBUTE_SYNC_MEMOPS 6

struct cuda {
	int (*device_get)(int *device, int ordinal);
	int (*context_retain)(void **context, int device);
	int (*context_release)(int device);
	int (*context_set_current)(void *context);
	int (*context_synchronize)(void);
	int (*mem_alloc)(uint64_t *addr, size_t length);
	int (*mem_free)(uint64_t addr);
	int (*memset_d8)(uint64_t addr, unsigned char value, size_t length);
	int (*copy_to_gpu)(uint64_t dst, const void *src, size_t length);
	int (*copy_from_gpu)(void *dst, uint64_t src, size_t length);
	int (*pointer_set)(const void *value, int attribute, uint64_t addr);
	int (*error_name)(int result, const char **name);
	int (*error_string)(int result, const char **string);
	int device;
	void *context;
	char why[160]; /* why cuda_open() failed */
};

/*
 * Finds the functions, retains the GPU's primary context and makes it the
 * calling thread's. Returns 0, or -1 with the reason in cuda->why.
 */
int cuda_open(struct cuda *cuda, struct gpumem *session, int ordinal);

/* Releases the context. Nothing to do after a failed cuda_open(). */
void cuda_close(struct cuda *cuda);

/* "CUDA_ERROR_OUT_OF_MEMORY (out of memory)", in text. */
const char *cuda_error(const struct cuda *cuda, int result, char *text,
		       size_t room);

#endif /* GPUMEM_TOOL_CUDA_H */
