// SPDX-License-Identifier: MIT
/*
 * Copies and fills. The asynchronous ones are finished when they return, unless
 * they are delayed (late.c), and the variants for the per-thread default stream
 * are the same functions.
 */
#include <stdatomic.h>
#include <string.h>

#include "sim.h"

#define CHUNK 65536ull

#define PER_THREAD(name, suffix) SIM_ALIAS(name##suffix, name)

/*
 * Whether a copy may touch the whole range: allocations that lie side by side
 * by way of cuMemMap(), with access to each, or one other allocation.
 */
static bool dev_range(uint64_t addr, uint64_t size, int access)
{
	if (sim_managed_range(addr, size))
		return true;
	for (;;) {
		struct sim_alloc *alloc = sim_alloc_find(addr);
		bool allowed = false;
		uint64_t rest;

		if (!alloc)
			return false;
		for (int i = 0; i < SIM_MAX_GPUS; i++)
			allowed |= (alloc->access[i] & access) == access;
		rest = alloc->size - (addr - alloc->addr);
		if (alloc->kind != SIM_VMM)
			return size <= rest;
		if (!allowed)
			return false;
		if (size <= rest)
			return true;
		addr += rest;
		size -= rest;
	}
}

static bool dev_readable(uint64_t addr, uint64_t size)
{
	return dev_range(addr, size, CU_MEM_ACCESS_FLAGS_PROT_READ);
}

static bool dev_writable(uint64_t addr, uint64_t size)
{
	return dev_range(addr, size, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
}

/* The allocation at addr, and how much of size is in it. */
static struct sim_alloc *dev_part(uint64_t addr, uint64_t size, uint64_t *part)
{
	struct sim_alloc *alloc = sim_alloc_find(addr);

	if (alloc) {
		*part = alloc->size - (addr - alloc->addr);
		if (*part > size)
			*part = size;
	}
	return alloc;
}

/* Copies hold sim.lock for reading alone. */
static pthread_mutex_t written_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t uninitialised_reads;

static void note_written(struct sim_alloc *alloc, uint64_t low, uint64_t high)
{
	pthread_mutex_lock(&written_lock);
	if (low <= alloc->written_high && alloc->written_low <= high) {
		if (low < alloc->written_low)
			alloc->written_low = low;
		if (high > alloc->written_high)
			alloc->written_high = high;
	} else if (high - low > alloc->written_high - alloc->written_low) {
		alloc->written_low = low;
		alloc->written_high = high;
	}
	pthread_mutex_unlock(&written_lock);
}

static bool is_written(const struct sim_alloc *alloc, uint64_t low,
		       uint64_t high)
{
	bool written;

	pthread_mutex_lock(&written_lock);
	written = low >= alloc->written_low && high <= alloc->written_high;
	pthread_mutex_unlock(&written_lock);
	return written;
}

uint64_t sim_uninitialised_reads(void)
{
	return uninitialised_reads;
}

/* The caller has checked the range. */
static int dev_write(CUdeviceptr dst, const void *src, uint64_t size)
{
	while (size) {
		struct sim_alloc *alloc;
		uint64_t part;
		int err;

		alloc = dev_part(dst, size, &part);
		if (!alloc) {
			memmove((void *)(uintptr_t)dst, src, size);
			return 0;
		}
		err = sim.store->write(alloc->block, dst - alloc->block->addr,
				       src, part);
		if (err)
			return err;
		note_written(alloc, dst - alloc->addr,
			     dst - alloc->addr + part);
		dst += part;
		src = (const char *)src + part;
		size -= part;
	}
	return 0;
}

static int dev_read(void *dst, CUdeviceptr src, uint64_t size)
{
	while (size) {
		struct sim_alloc *alloc;
		uint64_t part;
		int err;

		alloc = dev_part(src, size, &part);
		if (!alloc) {
			memmove(dst, (const void *)(uintptr_t)src, size);
			return 0;
		}
		err = sim.store->read(alloc->block, src - alloc->block->addr,
				      dst, part);
		if (err)
			return err;
		dst = (char *)dst + part;
		src += part;
		size -= part;
	}
	return 0;
}

bool sim_device_read(void *dst, uint64_t addr, uint64_t length)
{
	return dev_readable(addr, length) && !dev_read(dst, addr, length);
}

bool sim_device_write(uint64_t addr, const void *src, uint64_t length)
{
	return dev_writable(addr, length) && !dev_write(addr, src, length);
}

bool sim_device_read_checked(void *dst, uint64_t addr, uint64_t length)
{
	const struct sim_alloc *alloc = sim_alloc_find(addr);

	if (alloc &&
	    !is_written(alloc, addr - alloc->addr, addr - alloc->addr + length))
		uninitialised_reads++;
	return sim_device_read(dst, addr, length);
}

static CUresult copy_dev_to_dev(CUdeviceptr dst, CUdeviceptr src, size_t size)
{
	char chunk[CHUNK];
	int err = 0;

	while (size && !err) {
		size_t part = size < CHUNK ? size : CHUNK;

		err = dev_read(chunk, src, part);
		if (!err)
			err = dev_write(dst, chunk, part);
		dst += part;
		src += part;
		size -= part;
	}
	return sim_result(err);
}

static _Atomic uint64_t copies, pageable_copies, failing_copies;

uint64_t sim_copies(void)
{
	return copies;
}

uint64_t sim_pageable_copies(void)
{
	return pageable_copies;
}

void gpumem_sim_fail_copies(uint64_t count)
{
	failing_copies = count;
}

static bool is_page_locked(const void *host, size_t size)
{
	const struct sim_host *h = sim_host_find((uintptr_t)host);

	return h && size <= h->size - ((uintptr_t)host - h->addr);
}

/* Counts a copy in a stream. Whether it fails. With sim.lock held. */
static bool copy_fails(const struct sim_work *work, CUstream stream)
{
	uint64_t left = failing_copies;

	if (!stream)
		return false;
	copies++;
	if (!is_page_locked(work->host, work->size))
		pageable_copies++;
	while (left &&
	       !atomic_compare_exchange_weak(&failing_copies, &left, left - 1))
		;
	return left;
}

static bool work_fits(const struct sim_work *work)
{
	if (!work->size)
		return true;
	if (work->kind == SIM_WORK_TO_HOST)
		return work->host && dev_readable(work->gpu, work->size);
	return work->host && dev_writable(work->gpu, work->size);
}

static int work_copy(const struct sim_work *work)
{
	if (!work->size)
		return 0;
	if (work->kind == SIM_WORK_TO_HOST)
		return dev_read(work->host, work->gpu, work->size);
	return dev_write(work->gpu, work->host, work->size);
}

/* One whose host memory is not page-locked is done at once, by a driver too. */
static CUresult copy(const struct sim_work *work, CUstream stream, bool wait)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);

	if (result)
		return result;
	if (!sim_stream_live(stream)) {
		result = CUDA_ERROR_INVALID_HANDLE;
	} else if (copy_fails(work, stream)) {
		result = CUDA_ERROR_UNKNOWN;
	} else if (!work_fits(work)) {
		result = CUDA_ERROR_INVALID_VALUE;
	} else if (wait || !is_page_locked(work->host, work->size) ||
		   !sim_late_add(ctx, stream, work)) {
		sim_late_do(ctx, stream);
		result = sim_result(work_copy(work));
	}
	sim_unlock();
	return result;
}

static CUresult copy_to_device(CUdeviceptr dst, const void *src, size_t size,
			       CUstream stream, bool wait)
{
	const struct sim_work work = { SIM_WORK_TO_DEVICE, dst, (void *)src,
				       size, 0 };

	return copy(&work, stream, wait);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t size,
			      CUstream stream)
{
	return copy_to_device(dst, src, size, stream, false);
}
PER_THREAD(cuMemcpyHtoDAsync_v2, _ptsz);

static CUresult copy_to_host(void *dst, CUdeviceptr src, size_t size,
			     CUstream stream, bool wait)
{
	const struct sim_work work = { SIM_WORK_TO_HOST, src, dst, size, 0 };

	return copy(&work, stream, wait);
}

CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t size,
			      CUstream stream)
{
	return copy_to_host(dst, src, size, stream, false);
}
PER_THREAD(cuMemcpyDtoHAsync_v2, _ptsz);

static atomic_int write_fault; /* see gpumem_sim_break_writes() */

void gpumem_sim_break_writes(int how)
{
	write_fault = how;
}

bool sim_streams_are_mute(bool synchronized)
{
	return write_fault == 3 || (write_fault == 4 && !synchronized);
}

static CUresult value_fits(CUdeviceptr addr, uint64_t size)
{
	if (write_fault && write_fault != 3)
		return write_fault == 1 ? CUDA_ERROR_NOT_SUPPORTED
					: CUDA_SUCCESS;
	return addr % size == 0 && (is_page_locked((void *)addr, size) ||
				    dev_writable(addr, size))
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_VALUE;
}

static int write_value(const struct sim_work *work)
{
	if (write_fault && write_fault != 3)
		return 0;
	if (!is_page_locked((void *)work->gpu, work->size))
		return dev_write(work->gpu, &work->value, work->size);
	__atomic_store_n((uint32_t *)work->gpu, work->value, __ATOMIC_RELEASE);
	return 0;
}

/* Behind what the stream was given before, at once where that is. */
CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr addr,
				 uint32_t value, unsigned int flags)
{
	const struct sim_work work = { SIM_WORK_VALUE, addr, NULL,
				       sizeof(value), value };
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);

	if (result)
		return result;
	if (!sim_stream_live(stream))
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (ctx->fault)
		result = ctx->fault;
	else if (flags & ~1u)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		result = value_fits(addr, work.size);
	if (!result && !sim_late_add(ctx, stream, &work)) {
		sim_late_do(ctx, stream);
		result = sim_result(write_value(&work));
	}
	sim_unlock();
	return result;
}
PER_THREAD(cuStreamWriteValue32_v2, _ptsz);

/* Memory may have gone meanwhile, unmapped; a driver's GPU meets that. */
CUresult sim_work_do(const struct sim_work *work)
{
	if (work->kind == SIM_WORK_VALUE)
		return value_fits(work->gpu, work->size) || write_value(work)
			       ? CUDA_ERROR_LAUNCH_FAILED
			       : CUDA_SUCCESS;
	return !work_fits(work) || work_copy(work) ? CUDA_ERROR_LAUNCH_FAILED
						   : CUDA_SUCCESS;
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t size,
			      CUstream stream)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);

	if (result)
		return result;
	if (!sim_stream_live(stream))
		result = CUDA_ERROR_INVALID_HANDLE;
	else if (size && (!dev_writable(dst, size) || !dev_readable(src, size)))
		result = CUDA_ERROR_INVALID_VALUE;
	else {
		sim_late_do(ctx, stream);
		result = copy_dev_to_dev(dst, src, size);
	}
	sim_unlock();
	return result;
}
PER_THREAD(cuMemcpyDtoDAsync_v2, _ptsz);

CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t size)
{
	return copy_to_device(dst, src, size, NULL, true);
}
PER_THREAD(cuMemcpyHtoD_v2, _ptds);

CUresult cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t size)
{
	return copy_to_host(dst, src, size, NULL, true);
}
PER_THREAD(cuMemcpyDtoH_v2, _ptds);

CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t size)
{
	return cuMemcpyDtoDAsync_v2(dst, src, size, NULL);
}
PER_THREAD(cuMemcpyDtoD_v2, _ptds);

/* With sim.lock held: memory that the CPU may touch. */
static bool host_range(uint64_t addr, size_t size)
{
	return addr && !sim_block_touches(addr, size) &&
	       sim_host_mapped(addr, size);
}

/* Each address may be one of the device or of the host. */
static CUresult copy_any(CUdeviceptr dst, CUdeviceptr src, size_t size)
{
	void *host_dst = (void *)(uintptr_t)dst;
	const void *host_src = (const void *)(uintptr_t)src;
	bool dev_dst, dev_src;

	if (!size)
		return CUDA_SUCCESS;
	dev_dst = dev_writable(dst, size);
	dev_src = dev_readable(src, size);
	if ((!dev_dst && !host_range(dst, size)) ||
	    (!dev_src && !host_range(src, size)))
		return CUDA_ERROR_INVALID_VALUE;
	if (dev_dst && dev_src)
		return copy_dev_to_dev(dst, src, size);
	if (dev_dst)
		return sim_result(dev_write(dst, host_src, size));
	if (dev_src)
		return sim_result(dev_read(host_dst, src, size));
	memmove(host_dst, host_src, size);
	return CUDA_SUCCESS;
}

CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t size,
		       CUstream stream)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);

	if (result)
		return result;
	if (sim_stream_live(stream)) {
		sim_late_do(ctx, stream);
		result = copy_any(dst, src, size);
	} else {
		result = CUDA_ERROR_INVALID_HANDLE;
	}
	sim_unlock();
	return result;
}
PER_THREAD(cuMemcpyAsync, _ptsz);

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t size)
{
	return cuMemcpyAsync(dst, src, size, NULL);
}
PER_THREAD(cuMemcpy, _ptds);

/* Writes count times the value, width bytes each. */
static CUresult fill(CUdeviceptr dst, const void *value, size_t width,
		     size_t count, CUstream stream)
{
	CUcontext ctx;
	CUresult result = sim_lock_read(&ctx);
	char chunk[CHUNK];
	int err = 0;
	size_t size;

	if (result)
		return result;
	result = CUDA_ERROR_INVALID_HANDLE;
	if (!sim_stream_live(stream))
		goto unlock;
	result = CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(width, count, &size) || dst % width ||
	    (size && !dev_writable(dst, size)))
		goto unlock;
	sim_late_do(ctx, stream);
	for (size_t at = 0; at < CHUNK && at < size; at += width)
		memcpy(chunk + at, value, width);
	while (size && !err) {
		size_t part = size < CHUNK ? size : CHUNK;

		err = dev_write(dst, chunk, part);
		dst += part;
		size -= part;
	}
	result = sim_result(err);
unlock:
	sim_unlock();
	return result;
}

CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char value, size_t count,
			 CUstream stream)
{
	return fill(dst, &value, sizeof(value), count, stream);
}
PER_THREAD(cuMemsetD8Async, _ptsz);

CUresult cuMemsetD16Async(CUdeviceptr dst, unsigned short value, size_t count,
			  CUstream stream)
{
	return fill(dst, &value, sizeof(value), count, stream);
}
PER_THREAD(cuMemsetD16Async, _ptsz);

CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned int value, size_t count,
			  CUstream stream)
{
	return fill(dst, &value, sizeof(value), count, stream);
}
PER_THREAD(cuMemsetD32Async, _ptsz);

CUresult cuMemsetD8_v2(CUdeviceptr dst, unsigned char value, size_t count)
{
	return cuMemsetD8Async(dst, value, count, NULL);
}
PER_THREAD(cuMemsetD8_v2, _ptds);

CUresult cuMemsetD16_v2(CUdeviceptr dst, unsigned short value, size_t count)
{
	return cuMemsetD16Async(dst, value, count, NULL);
}
PER_THREAD(cuMemsetD16_v2, _ptds);

CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned int value, size_t count)
{
	return cuMemsetD32Async(dst, value, count, NULL);
}
PER_THREAD(cuMemsetD32_v2, _ptds);
