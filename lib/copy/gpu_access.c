// SPDX-License-Identifier: MIT
/*
 * Whether the GPU itself may be told to copy a buffer's memory. A kernel that
 * touches an address that is not there, or not its context's, ends the context
 * and with it the program.
 */
#include "copy/context.h"
#include "copy/copy.h"
#include "base/error.h"

/* gm_buf.reach; 0: not looked at yet. */
enum gm_reach {
	GM_REACH_YES = 1,
	GM_REACH_NO_CONTEXT, /* it outlives the session's own context */
	GM_REACH_NO_ID,
	GM_REACH_SPAN,
	GM_REACH_CONTEXT,
	GM_REACH_UNKNOWN,
};

static const char *const gm_reach_text[] = {
	[GM_REACH_NO_ID] = "CUDA gives no identity of the memory, so that it "
			   "cannot be seen to be freed",
	[GM_REACH_SPAN] = "the buffer lies in several allocations",
	[GM_REACH_CONTEXT] = "the memory belongs to another context than the "
			     "GPU's primary one",
	[GM_REACH_UNKNOWN] = "CUDA does not tell about the memory any more",
};

static const char gm_reach_unmapped[] =
	"without the copy engine memory may be taken away during a copy, and "
	"CUDA does not wait to unmap this kind of memory (cuMemCreate)";
static const char gm_reach_reset[] = "the GPU's primary context was reset";

static enum gm_reach gm_reach_find(struct gm_buf *buf)
{
	struct gm_session *session = buf->session;
	const struct gm_cuda *cuda = &session->cuda;
	enum gm_reach reach = GM_REACH_UNKNOWN;
	struct gm_cuda_scope scope;
	CUcontext context = NULL;
	CUdeviceptr start;
	size_t size;

	if (!buf->memory_id)
		return GM_REACH_NO_ID;
	if (gm_cuda_enter(&scope, cuda, session->context))
		return GM_REACH_UNKNOWN;
	if (cuda->pointer_get(&context, CU_POINTER_ATTRIBUTE_CONTEXT,
			      buf->addr) ||
	    cuda->address_range(&start, &size, buf->addr))
		goto leave;
	if (buf->addr < start || buf->addr - start > size ||
	    buf->length > size - (buf->addr - start))
		reach = GM_REACH_SPAN;
	else if (context && context != session->context)
		reach = GM_REACH_CONTEXT;
	else
		reach = context ? GM_REACH_YES : GM_REACH_NO_CONTEXT;
leave:
	gm_cuda_leave(&scope);
	return reach;
}

const char *gm_buf_gpu_reach(struct gm_buf *buf)
{
	int reach = atomic_load_explicit(&buf->reach, memory_order_relaxed);

	if (!reach) {
		reach = gm_reach_find(buf);
		/* What CUDA could not tell now it may tell the next time. */
		if (reach != GM_REACH_UNKNOWN)
			atomic_store_explicit(&buf->reach, reach,
					      memory_order_relaxed);
	}
	if (reach == GM_REACH_NO_CONTEXT) {
		if (gm_session_is_reset(buf->session))
			return gm_reach_reset;
		/* cuMemUnmap() waits for no kernel (H200, 580.159.04). */
		if (!buf->session->copier->engine_on)
			return gm_reach_unmapped;
	}
	return gm_reach_text[reach];
}
