// SPDX-License-Identifier: MIT
/*
 * Through the stock NVIDIA driver's own device nodes: see rm.h. The memory that
 * a CUDA pointer means is found by way of its IPC handle and then proven.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "error.h"
#include "rm.h"
#include "rm_proof.h"

#define GM_GPU_PAGE 65536ull
#define GM_CPU_PAGE 4096ull

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

struct gm_rm_session {
	struct gm_rm rm;
	CUstream stream; /* of the primary context, for proofs */
	struct gm_rm_proofs proofs;
};

struct gm_rm_buf {
	uint32_t memory; /* our handle, which holds the memory */
	uint64_t offset; /* of the first page in the memory object */
	uint64_t length; /* bytes that a mapping covers */
	struct gm_rm_map map; /* fd -1: none */
};

static int gm_rmb_probe(char *reason, size_t size)
{
	struct gm_rm_version version;
	char why[232];
	int rc;

	rc = gm_rm_probe(&version, reason, size);
	if (rc)
		return rc;
	rc = gm_cuda_probe(why, sizeof(why));
	if (rc)
		snprintf(reason, size, "%s", why);
	else
		snprintf(reason, size,
			 "NVIDIA driver %.60s through " GM_RM_CONTROL_NODE,
			 version.text);
	return rc;
}

static int gm_rmb_check_functions(const struct gm_cuda *cuda)
{
	if (cuda->device_pci && cuda->ipc_handle && cuda->stream_create &&
	    cuda->stream_destroy && cuda->stream_synchronize &&
	    cuda->copy_to_host)
		return 0;
	return gm_error(-ELIBACC,
			"open: libcuda lacks a function that backend rm needs "
			"(cuIpcGetMemHandle, cuDeviceGetPCIBusId or streams); "
			"install a newer NVIDIA driver");
}

/*
 * A stream for proofs in the current context. It does not wait for the
 * program's own work: that may never end.
 */
static int gm_rmb_stream_new(const struct gm_cuda *cuda, CUstream *stream)
{
	CUresult result = cuda->stream_create(stream, CU_STREAM_NON_BLOCKING);

	if (!result)
		return 0;
	return gm_cuda_error(cuda, result, "rm: make a stream",
			     "look for an earlier CUDA error");
}

static int gm_rmb_open_stream(struct gm_session *session, CUstream *stream)
{
	struct gm_cuda_scope scope;
	int rc;

	rc = gm_cuda_enter(&scope, &session->cuda, session->context);
	if (rc)
		return rc;
	rc = gm_rmb_stream_new(&session->cuda, stream);
	gm_cuda_leave(&scope);
	return rc;
}

static void gm_rmb_close_stream(struct gm_session *session, CUstream stream)
{
	struct gm_cuda_scope scope;

	if (gm_cuda_enter(&scope, &session->cuda, session->context))
		return;
	session->cuda.stream_destroy(stream);
	gm_cuda_leave(&scope);
}

static int gm_rmb_open(struct gm_session *session)
{
	struct gm_rm_session *own;
	int rc;

	rc = gm_backend_check_cuda(session);
	if (!rc)
		rc = gm_rmb_check_functions(&session->cuda);
	if (rc)
		return rc;
	own = calloc(1, sizeof(*own));
	if (!own)
		return gm_error(-ENOMEM, "open: out of host memory; free some");
	pthread_mutex_init(&own->proofs.lock, NULL);
	rc = gm_rmb_open_stream(session, &own->stream);
	if (rc)
		goto free_own;
	rc = gm_rm_open(&own->rm, session->pci);
	if (rc)
		goto close_stream;
	session->backend = own;
	return 0;

close_stream:
	gm_rmb_close_stream(session, own->stream);
free_own:
	pthread_mutex_destroy(&own->proofs.lock);
	free(own);
	return rc;
}

static void gm_rmb_close(struct gm_session *session)
{
	struct gm_rm_session *own = session->backend;

	gm_rmb_close_stream(session, own->stream);
	gm_rm_close(&own->rm);
	pthread_mutex_destroy(&own->proofs.lock);
	free(own);
}

static void gm_rmb_drop(struct gm_session *session)
{
	struct gm_rm_session *own = session->backend;

	gm_rm_drop(&own->rm);
	free(own);
}

/* Why CUDA gives no IPC handle for device memory. */
static int gm_rmb_no_handle(const struct gm_cuda *cuda, CUresult result,
			    const struct gm_range *range)
{
	void *pool = NULL;

	if (result != CUDA_ERROR_INVALID_VALUE &&
	    result != CUDA_ERROR_NOT_SUPPORTED)
		return gm_cuda_error(cuda, result, "rm: cuIpcGetMemHandle",
				     "look for an earlier CUDA error");
	if (cuda->pointer_get(&pool, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE,
			      range->addr))
		pool = NULL;
	return gm_error(-EOPNOTSUPP,
			"pin 0x%" PRIx64 ": backend rm cannot pin %s; use "
			"memory from cuMemAlloc, or backend kmod",
			range->addr,
			pool ? "memory of a pool (cuMemAllocAsync)"
			     : "memory that has no CUDA IPC handle, as that "
			       "of cuMemCreate");
}

static int gm_rmb_bad_handle(const struct gm_range *range, const char *what,
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
static int gm_rmb_locate(const struct gm_cuda *cuda,
			 const struct gm_range *range,
			 struct gm_rm_place *place)
{
	uint32_t words[GM_IPC_WORDS];
	CUipcMemHandle handle;
	CUresult result;
	uint64_t size;

	result = cuda->ipc_handle(&handle, range->alloc_addr);
	if (result)
		return gm_rmb_no_handle(cuda, result, range);
	memcpy(words, &handle, sizeof(words));
	size = (uint64_t)words[GM_IPC_SIZE_HIGH] << 32 | words[GM_IPC_SIZE_LOW];
	place->client = words[GM_IPC_CLIENT];
	place->object = words[GM_IPC_OBJECT];
	place->block = (uint64_t)words[GM_IPC_BLOCK_PAGES] * GM_CPU_PAGE;
	place->offset = words[GM_IPC_OFFSET];
	gm_debug("rm: IPC handle of 0x%" PRIx64 ": size %" PRIu64
		 ", block %" PRIu64 ", offset %" PRIu64
		 ", client 0x%x, object 0x%x",
		 range->alloc_addr, size, place->block, place->offset,
		 place->client, place->object);
	if (size != range->alloc_length)
		return gm_rmb_bad_handle(range, "the size", size,
					 range->alloc_length);
	if (place->offset > place->block || size > place->block - place->offset)
		return gm_rmb_bad_handle(range, "the block's size",
					 place->block, place->offset + size);
	if ((place->client & GM_RM_CLIENT_MASK) != GM_RM_CLIENT_FORM)
		return gm_rmb_bad_handle(range, "the client", place->client,
					 GM_RM_CLIENT_FORM);
	if (!place->object)
		return gm_rmb_bad_handle(range, "the object", 0, 1);
	return 0;
}

/*
 * The pages that the range touches, as the block has them: whole GPU pages, or
 * CPU pages should the block not begin with a GPU page.
 */
static void gm_rmb_lay_out(struct gm_buf *buf, const struct gm_range *range,
			   const struct gm_rm_place *place)
{
	struct gm_rm_buf *own = buf->backend;
	uint64_t start = place->offset + (range->addr - range->alloc_addr);
	uint64_t end = start + range->length;
	uint64_t block = range->alloc_addr - place->offset;

	buf->page_size = block % GM_GPU_PAGE ? GM_CPU_PAGE : GM_GPU_PAGE;
	buf->addr_offset = start % buf->page_size;
	own->offset = start - buf->addr_offset;
	buf->page_count = (end - own->offset - 1) / buf->page_size + 1;
	own->length = buf->page_count * buf->page_size;
	if (own->length > place->block - own->offset)
		own->length = place->block - own->offset;
}

static void gm_rmb_unmap(struct gm_buf *buf)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;
	int fd = own->map.fd;

	munmap(buf->base, own->length);
	buf->base = NULL;
	gm_rm_unmap(&session->rm, own->memory, &own->map);
	/* A child that is forked now must not close it again. */
	own->map.fd = -1;
	close(fd);
}

static int gm_rmb_map(struct gm_buf *buf)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;
	uint64_t start = gm_now();
	struct gm_rm_map map;
	uint64_t mapped;
	int rc;

	rc = gm_rm_map(&session->rm, own->memory, own->offset, own->length,
		       &map);
	if (rc)
		return rc;
	mapped = gm_now();
	buf->base = gm_backend_mmap(map.fd, own->length, 0);
	if (!buf->base) {
		rc = errno == ENOMEM ? -ENOMEM : -EIO;
		gm_error(rc,
			 "map 0x%" PRIx64 ": mmap of %" PRIu64
			 " bytes of GPU memory: %s; %s",
			 buf->addr, own->length, strerror(errno),
			 rc == -ENOMEM ? "unmap other buffers" : "see dmesg");
		gm_rm_unmap(&session->rm, own->memory, &map);
		close(map.fd);
		return rc;
	}
	own->map = map;
	gm_debug("rm: %" PRIu64 " bytes at BAR1 address 0x%" PRIx64
		 ": map %.1f us, mmap %.1f us",
		 own->length, map.linear, (mapped - start) / 1e3,
		 (gm_now() - mapped) / 1e3);
	return 0;
}

static int gm_rmb_prove(struct gm_buf *buf, const struct gm_range *range,
			bool may_write)
{
	struct gm_session *session = buf->session;
	struct gm_rm_session *rm = session->backend;
	struct gm_rm_buf *own = buf->backend;
	struct gm_rm_suspect suspect = {
		.cuda = &session->cuda,
		.stream = rm->stream,
		.range = range,
		.cpu = buf->base,
		.addr = range->addr - buf->addr_offset,
		.length = own->length,
		.may_write = may_write,
	};
	bool other = range->context != session->context;
	int rc = 0;

	if (other)
		rc = gm_rmb_stream_new(suspect.cuda, &suspect.stream);
	if (rc)
		return rc;
	rc = gm_rm_prove(&suspect);
	if (other)
		session->cuda.stream_destroy(suspect.stream);
	return rc;
}

/*
 * Leaves the buffer mapped when it had to be proven: the first map then costs
 * nothing.
 */
static int gm_rmb_ensure_proof(struct gm_buf *buf, const struct gm_range *range,
			       const struct gm_rm_place *place,
			       unsigned int flags)
{
	struct gm_rm_session *session = buf->session->backend;
	unsigned long long id;
	int rc;

	id = gm_rm_buffer_id(&buf->session->cuda, range->addr);
	if (gm_rm_proofs_have(&session->proofs, id, range->alloc_addr, place)) {
		gm_debug("rm: 0x%" PRIx64 " was proven before (buffer %llu)",
			 range->addr, id);
		return 0;
	}
	rc = gm_rmb_map(buf);
	if (rc)
		return rc;
	rc = gm_rmb_prove(buf, range, !(flags & GPUMEM_PIN_NO_TRIAL_WRITE));
	if (rc) {
		gm_rmb_unmap(buf);
		return rc;
	}
	gm_rm_proofs_add(&session->proofs, id, range->alloc_addr, place);
	return 0;
}

static int gm_rmb_pin(struct gm_buf *buf, const struct gm_range *range,
		      unsigned int flags)
{
	struct gm_rm_session *session = buf->session->backend;
	uint64_t start = gm_now(), located, duplicated;
	struct gm_rm_place place = { 0 };
	struct gm_rm_buf *own;
	int rc;

	rc = gm_rmb_locate(&buf->session->cuda, range, &place);
	if (rc)
		return rc;
	located = gm_now();
	own = calloc(1, sizeof(*own));
	if (!own)
		return gm_error(-ENOMEM, "pin: out of host memory; free some");
	own->map.fd = -1;
	rc = gm_rm_dup(&session->rm, place.client, place.object, &own->memory);
	if (rc)
		goto free_own;
	duplicated = gm_now();
	buf->backend = own;
	gm_rmb_lay_out(buf, range, &place);
	rc = gm_rmb_ensure_proof(buf, range, &place, flags);
	if (rc)
		goto free_memory;
	gm_debug("rm: pinned 0x%" PRIx64 " + %" PRIu64
		 ": IPC handle %.1f us, duplicate %.1f us, in all %.1f us",
		 range->addr, range->length, (located - start) / 1e3,
		 (duplicated - located) / 1e3, (gm_now() - start) / 1e3);
	return 0;

free_memory:
	gm_rm_free(&session->rm, own->memory);
free_own:
	buf->backend = NULL;
	free(own);
	return rc;
}

static void gm_rmb_unpin(struct gm_buf *buf)
{
	struct gm_rm_session *session = buf->session->backend;
	struct gm_rm_buf *own = buf->backend;
	struct gm_rm_map map = own->map;

	/* The mapping's descriptor is closed last, after the memory. */
	if (buf->base) {
		munmap(buf->base, own->length);
		buf->base = NULL;
		gm_rm_unmap(&session->rm, own->memory, &map);
	}
	gm_rm_free(&session->rm, own->memory);
	if (map.fd >= 0)
		close(map.fd);
	free(own);
}

static void gm_rmb_drop_buf(struct gm_buf *buf)
{
	struct gm_rm_buf *own = buf->backend;

	if (own->map.fd >= 0)
		close(own->map.fd);
	free(own);
}

/*
 * The driver tells where a mapping's first page is. The others need not follow
 * it, and /proc/self/pagemap shows nothing of mappings of device memory, to
 * root neither.
 */
static int gm_rmb_pages(struct gm_buf *buf, uint64_t first, uint64_t *pages,
			size_t count)
{
	const struct gm_rm_buf *own = buf->backend;

	if (!buf->maps)
		return gm_error(-ENOTCONN,
				"pages: backend rm knows addresses only while "
				"the buffer is mapped; call gpumem_map() "
				"first");
	for (size_t i = 0; i < count; i++)
		pages[i] = GPUMEM_UNKNOWN;
	if (!first)
		pages[0] = own->map.linear;
	return 0;
}

const struct gm_backend_ops gm_backend_rm = {
	.name = "rm",
	.probe = gm_rmb_probe,
	.load_cuda = gm_cuda_load,
	.open = gm_rmb_open,
	.close = gm_rmb_close,
	.drop = gm_rmb_drop,
	.pin = gm_rmb_pin,
	.unpin = gm_rmb_unpin,
	.drop_buf = gm_rmb_drop_buf,
	.map = gm_rmb_map,
	.unmap = gm_rmb_unmap,
	.alive = gm_backend_no_alive,
	.pages = gm_rmb_pages,
};
