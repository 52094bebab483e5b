// SPDX-License-Identifier: MIT
/*
 * What the courier needs: its kernel, a stream, a doorbell in device memory
 * that is mapped, and pinned host memory.
 *
 * The host memory is this library's own and only registered with CUDA: so it is
 * still there when the program resets the GPU's context. No forked child
 * inherits it: the copy on write would part the parent from the pages that the
 * GPU writes.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/notice.h"
#include "copy/sm/private.h"
#include "base/error.h"
#include "base/handle.h"

#define GM_COURIER_NOTICE_NS (2000 * GM_MS)
#define GM_HUGE ((size_t)2 << 20)
#define GM_COURIER_STAGES (GM_COURIER_SLOTS * GM_COURIER_STAGE)
/* Whole pages, of 64 KiB too. */
#define GM_COURIER_MEMORY                                       \
	((GM_COURIER_STAGES + sizeof(struct gm_courier_flags) + \
	  GM_COURIER_SLOTS * GM_COURIER_TAGGED_ROOM + 65535) &  \
	 ~(size_t)65535)
#define GM_COURIER_BELL_ROOM 65536u

_Static_assert(GM_COURIER_BELL_ROOM <= GM_COURIER_MEMORY, "as many zeroes");
_Static_assert(GM_COURIER_MEMORY <= (size_t)4 << 20, "pinned memory is dear");
_Static_assert(sizeof(struct gm_courier_job) == 32, "one store32()");
_Static_assert(sizeof(struct gm_courier_flags) % 64 == 0, "whole lines");
_Static_assert(sizeof(struct gm_courier_bell) == 192, "whole lines");
_Static_assert(GM_COURIER_PLACES *GM_COURIER_PLACE <= GM_COURIER_BELL_ROOM,
	       "all places in one page");

/* The highest; the driver brings it into its range. */
#define GM_STREAM_PRIORITY (-1000)

/* What could not be had, and why CUDA says so. */
static int gm_courier_refused(const struct gm_courier *courier, CUresult result,
			      const char *what, const char *hint)
{
	int rc = gm_cuda_error(&courier->session->cuda, result, what, hint);

	return rc == -EIO ? -EOPNOTSUPP : rc;
}

static int gm_courier_check(const struct gm_cuda *cuda)
{
	if (cuda->module_load && cuda->module_unload && cuda->module_function &&
	    cuda->launch && cuda->host_register && cuda->host_unregister &&
	    cuda->host_address && cuda->stream_query &&
	    cuda->stream_synchronize && cuda->copy_to_device &&
	    cuda->stream_create_priority && cuda->stream_destroy)
		return 0;
	return gm_error(-EOPNOTSUPP,
			"courier: this libcuda cannot start kernels; use a "
			"newer driver");
}

/* Huge pages where they are to be had: the GPU finds its way sooner. */
static int gm_courier_map(struct gm_courier *courier)
{
	const size_t room = GM_COURIER_MEMORY + GM_HUGE;
	size_t before, after;
	char *area;

	gm_fork_block();
	area = mmap(NULL, room, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area != MAP_FAILED && madvise(area, room, MADV_DONTFORK)) {
		munmap(area, room);
		area = MAP_FAILED;
	}
	gm_fork_allow();
	if (area == MAP_FAILED)
		return gm_error(-ENOMEM, "courier: out of host memory; free "
					 "some");
	before = -(uintptr_t)area & (GM_HUGE - 1);
	after = GM_HUGE - before;
	if (before)
		munmap(area, before);
	munmap(area + before + GM_COURIER_MEMORY, after);
	courier->memory = area + before;
	courier->flags = (struct gm_courier_flags *)(courier->memory +
						     GM_COURIER_STAGES);
	courier->tagged = (char *)(courier->flags + 1);
	madvise(courier->memory, GM_COURIER_MEMORY, MADV_HUGEPAGE);
	return 0;
}

static int gm_courier_pin(struct gm_courier *courier)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	CUdeviceptr addr = 0;
	CUresult result;
	int rc;

	rc = gm_courier_map(courier);
	if (rc)
		return rc;
	result = cuda->host_register(courier->memory, GM_COURIER_MEMORY,
				     CU_MEMHOSTREGISTER_PORTABLE |
					     CU_MEMHOSTREGISTER_DEVICEMAP);
	if (result) {
		munmap(courier->memory, GM_COURIER_MEMORY);
		courier->memory = NULL;
		return gm_courier_refused(courier, result,
					  "courier: pin host memory",
					  "see whether RLIMIT_MEMLOCK or the "
					  "container's limits are too low");
	}
	result = cuda->host_address(&addr, courier->memory, 0);
	courier->memory_gpu = addr;
	return result ? gm_courier_refused(courier, result,
					   "courier: pinned memory's address",
					   "the GPU cannot reach host memory")
		      : 0;
}

/*
 * CUDA loads it when the kernels that run have ended, in whatever stream (H200,
 * 580.159.04): one that waits for this thread waits for ever.
 */
static CUresult gm_courier_load_module(struct gm_courier *courier)
{
	struct gm_notice notice;
	CUresult result;

	gm_notice_begin(&notice, GM_COURIER_NOTICE_NS, gm_warn,
			"open: CUDA loads the kernel that reads are done by, "
			"and has waited for 2 s until the kernels that run "
			"have ended; open before you start them, or set "
			"GPUMEM_COURIER=0");
	result = courier->session->cuda.module_load(&courier->module,
						    gm_courier_ptx);
	gm_notice_end(&notice);
	return result;
}

static int gm_courier_load_kernel(struct gm_courier *courier)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	CUresult result;

	result = gm_courier_load_module(courier);
	if (result)
		return gm_courier_refused(courier, result,
					  "courier: load its kernel",
					  "it needs a GPU from Volta on, and "
					  "the driver's PTX compiler");
	result = cuda->module_function(&courier->function, courier->module,
				       GM_COURIER_KERNEL);
	if (result)
		return gm_courier_refused(courier, result,
					  "courier: find its kernel",
					  "reinstall gpumem");
	result = cuda->stream_create_priority(
		&courier->stream, CU_STREAM_NON_BLOCKING, GM_STREAM_PRIORITY);
	if (result) {
		courier->stream = NULL;
		return gm_courier_refused(courier, result,
					  "courier: make a stream",
					  "look for an earlier CUDA error");
	}
	return 0;
}

/*
 * No bell rings yet: zeroes, by a copy of CUDA's own, as its checker takes memory
 * for uninitialised that the CPU alone has written. The pinned memory is new, and
 * all zeroes.
 */
static int gm_courier_silence(struct gm_courier *courier)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	struct gm_cuda_scope scope;
	CUresult result;
	int rc;

	rc = gm_cuda_enter(&scope, cuda, courier->session->context);
	if (rc)
		return rc;
	result = cuda->copy_to_device(courier->bells_gpu, courier->memory,
				      GM_COURIER_BELL_ROOM, courier->stream);
	if (!result)
		result = cuda->stream_synchronize(courier->stream);
	gm_cuda_leave(&scope);
	return result ? gm_courier_refused(courier, result,
					   "courier: clear its doorbell",
					   "look for an earlier CUDA error")
		      : 0;
}

static int gm_courier_alloc_bell(struct gm_courier *courier)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	void *addr = NULL;
	int rc;

	rc = gpumem_alloc(courier->session->handle, GM_COURIER_BELL_ROOM, 0,
			  &courier->bell_buf);
	if (rc) {
		courier->bell_buf = NULL;
		return rc;
	}
	rc = gpumem_map(courier->bell_buf, &addr);
	if (!rc)
		rc = gpumem_buf_get(courier->bell_buf, &info);
	if (rc)
		return rc;
	courier->bells = addr;
	courier->bells_gpu = info.addr;
	courier->bell = addr;
	courier->bell_gpu = info.addr;
	if (((uintptr_t)addr | info.addr) % sizeof(struct gm_courier_word))
		return gm_error(-EOPNOTSUPP,
				"courier: the GPU's memory is allocated at odd "
				"addresses; switch the courier off");
	return gm_courier_silence(courier);
}

static int gm_courier_load_cuda(struct gm_courier *courier)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	struct gm_cuda_scope scope;
	int ordering = 0;
	int rc;

	rc = gm_cuda_enter(&scope, cuda, courier->session->context);
	if (rc)
		return rc;
	rc = gm_courier_load_kernel(courier);
	if (!rc)
		rc = gm_courier_pin(courier);
	gm_cuda_leave(&scope);
	if (cuda->device_attribute(
		    &ordering,
		    CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WRITES_ORDERING,
		    courier->session->device))
		ordering = CU_GPU_DIRECT_RDMA_WRITES_ORDERING_NONE;
	courier->unordered = ordering ==
			     CU_GPU_DIRECT_RDMA_WRITES_ORDERING_NONE;
	return rc;
}

int gm_courier_load(struct gm_courier *courier)
{
	int rc;

	rc = gm_courier_check(&courier->session->cuda);
	if (!rc)
		rc = gm_courier_load_cuda(courier);
	if (!rc)
		rc = gm_courier_alloc_bell(courier);
	if (rc)
		gm_courier_unload(courier);
	return rc;
}

void gm_courier_unload(struct gm_courier *courier)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	struct gm_cuda_scope scope;

	/* Without the context CUDA's own part is gone already. */
	if (!gm_session_is_reset(courier->session) &&
	    !gm_cuda_enter(&scope, cuda, courier->session->context)) {
		if (courier->stream)
			cuda->stream_destroy(courier->stream);
		if (courier->module)
			cuda->module_unload(courier->module);
		if (courier->memory)
			cuda->host_unregister(courier->memory);
		gm_cuda_leave(&scope);
	}
	if (courier->memory)
		munmap(courier->memory, GM_COURIER_MEMORY);
	if (courier->bell_buf)
		gpumem_unpin(courier->bell_buf);
}
