// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "backend/rm/import.h"

#define GM_IPC_PAGE 4096ull

/* CUDA's clients have handles of this form. */
#define GM_RM_CLIENT_MASK 0xfff00000u
#define GM_RM_CLIENT_FORM 0xc1d00000u

/* Of the IPC handle's 16 words. */
enum gm_ipc_word {
	GM_IPC_SIZE_LOW = 4,
	GM_IPC_SIZE_HIGH = 5,
	GM_IPC_BLOCK_PAGES = 6, /* of 4 KiB */
	GM_IPC_OFFSET = 7, /* of the allocation in the block */
	GM_IPC_CLIENT = 12,
	GM_IPC_OBJECT = 13,
	GM_IPC_WORDS = CU_IPC_HANDLE_SIZE / 4,
};

/* Why CUDA gives no IPC handle for device memory. */
static int gm_rm_ipc_none(const struct gm_cuda *cuda, CUresult result,
			  const struct gm_range *range)
{
	if (result != CUDA_ERROR_INVALID_VALUE &&
	    result != CUDA_ERROR_NOT_SUPPORTED)
		return gm_cuda_error(cuda, result, "rm: cuIpcGetMemHandle",
				     "look for an earlier CUDA error");
	return gm_error(-EOPNOTSUPP,
			"pin 0x%" PRIx64 ": backend rm cannot pin %s; use "
			"memory from cuMemAlloc, or backend kmod",
			range->addr,
			range->kind == GM_MEMORY_POOL
				? "memory of a pool (cuMemAllocAsync)"
				: "memory that has no CUDA IPC handle");
}

static int gm_rm_ipc_bad(const struct gm_range *range, const char *what,
			 uint64_t found, uint64_t wanted)
{
	return gm_error(-EPROTO,
			"rm: the IPC handle of 0x%" PRIx64 " does not read as "
			"this library knows it: %s is 0x%" PRIx64
			", expected 0x%" PRIx64 "; use backend kmod, and "
			"report the driver version",
			range->alloc_addr, what, found, wanted);
}

/* Reads the allocation's place out of its IPC handle, and checks it. */
static int gm_rm_ipc_read(const struct gm_range *range,
			  const CUipcMemHandle *handle,
			  struct gm_rm_place *place)
{
	uint32_t words[GM_IPC_WORDS];
	uint64_t size;

	memcpy(words, handle, sizeof(words));
	size = (uint64_t)words[GM_IPC_SIZE_HIGH] << 32 | words[GM_IPC_SIZE_LOW];
	place->client = words[GM_IPC_CLIENT];
	place->object = words[GM_IPC_OBJECT];
	place->block = (uint64_t)words[GM_IPC_BLOCK_PAGES] * GM_IPC_PAGE;
	place->offset = words[GM_IPC_OFFSET];
	gm_debug("rm: IPC handle of 0x%" PRIx64 ": size %" PRIu64
		 ", block %" PRIu64 ", offset %" PRIu64
		 ", client 0x%x, object 0x%x",
		 range->alloc_addr, size, place->block, place->offset,
		 place->client, place->object);
	if (size != range->alloc_length)
		return gm_rm_ipc_bad(range, "the size", size,
				     range->alloc_length);
	if (place->offset > place->block || size > place->block - place->offset)
		return gm_rm_ipc_bad(range, "the block's size", place->block,
				     place->offset + size);
	if ((place->client & GM_RM_CLIENT_MASK) != GM_RM_CLIENT_FORM)
		return gm_rm_ipc_bad(range, "the client", place->client,
				     GM_RM_CLIENT_FORM);
	if (!place->object)
		return gm_rm_ipc_bad(range, "the object", 0, 1);
	return 0;
}

int gm_rm_take_alloc(struct gm_session *session, struct gm_rm *rm,
		     const struct gm_range *range, struct gm_rm_place *place,
		     uint32_t *memory)
{
	const struct gm_cuda *cuda = &session->cuda;
	uint64_t start = gm_clock_ns(), given;
	CUipcMemHandle handle;
	CUresult result;
	int rc;

	result = cuda->ipc_handle(&handle, range->alloc_addr);
	if (result)
		return gm_rm_ipc_none(cuda, result, range);
	rc = gm_rm_ipc_read(range, &handle, place);
	if (rc)
		return rc;
	given = gm_clock_ns();
	rc = gm_rm_dup(rm, place->client, place->object, memory);
	gm_session_count(session, GM_COUNT_HANDLE_NS, given - start);
	gm_session_count(session, GM_COUNT_IMPORT_NS, gm_clock_ns() - given);
	return rc;
}
