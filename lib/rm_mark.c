// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "rm_mark.h"

static pthread_mutex_t gm_rm_swap_lock = PTHREAD_MUTEX_INITIALIZER;

void gm_rm_swap_begin(void)
{
	pthread_mutex_lock(&gm_rm_swap_lock);
}

void gm_rm_swap_end(void)
{
	pthread_mutex_unlock(&gm_rm_swap_lock);
}

int gm_rm_random(void *bytes, size_t length)
{
	if (getrandom(bytes, length, 0) == (ssize_t)length)
		return 0;
	return gm_error(-EIO, "rm: no random numbers from the kernel: %s",
			strerror(errno));
}

int gm_rm_copy_out(const struct gm_cuda *cuda, CUstream stream, uint64_t addr,
		   void *bytes, size_t length)
{
	CUresult result = cuda->copy_to_host(bytes, addr, length, stream);

	if (!result)
		result = cuda->stream_synchronize(stream);
	if (!result)
		return 0;
	gm_cuda_error(cuda, result, "rm: copy a few bytes to prove the mapping",
		      "look for an earlier CUDA error");
	return -EIO;
}

static int gm_rm_mark_write(const struct gm_rm_mark *mark, const void *bytes)
{
	const struct gm_cuda *cuda = mark->cuda;
	CUresult result;

	result = cuda->copy_to_device(mark->addr, bytes, GM_RM_NONCE,
				      mark->stream);
	if (!result)
		result = cuda->stream_synchronize(mark->stream);
	if (!result)
		return 0;
	gm_cuda_error(cuda, result, "rm: swap a few bytes to find the memory",
		      "let this GPU write there (cuMemSetAccess), and look for "
		      "an earlier CUDA error");
	return -EIO;
}

int gm_rm_mark_change(struct gm_rm_mark *mark)
{
	int rc = gm_rm_random(mark->bytes, GM_RM_NONCE);

	return rc ? rc : gm_rm_mark_write(mark, mark->bytes);
}

int gm_rm_mark_set(struct gm_rm_mark *mark)
{
	int rc;

	gm_rm_swap_begin();
	rc = gm_rm_copy_out(mark->cuda, mark->stream, mark->addr,
			    mark->original, GM_RM_NONCE);
	if (rc) {
		gm_rm_swap_end();
		return rc;
	}
	rc = gm_rm_mark_change(mark);
	if (rc) {
		/* It may have been written all the same. */
		gm_error_hush(true);
		gm_rm_mark_clear(mark);
		gm_error_hush(false);
	}
	return rc;
}

int gm_rm_mark_clear(struct gm_rm_mark *mark)
{
	int rc = gm_rm_mark_write(mark, mark->original);

	gm_rm_swap_end();
	return rc;
}
