/* SPDX-License-Identifier: ((GPL-2.0-only WITH Linux-syscall-note) OR MIT) */
/*
 * The original interface of /dev/gpumem (2017), kept so that programs written
 * for it build and run unchanged. New programs use <linux/gpumem.h>.
 *
 * 64-bit only. All three calls return 0 or set errno:
 *   ENOENT	the handle is not a live handle of this open file
 *   EINVAL	LOCK: size is 0, or the range is not GPU memory of this process
 *   ENOSPC	STATE: page_count is smaller than the number of pages locked;
 *		page_count then holds the number needed and pages is untouched
 *   ENODEV	STATE: the memory was freed while it was locked
 *   EPERM	another process owns this open file
 *   and the errors of GPUMEM_IOC_PIN in <linux/gpumem.h>.
 *
 * mmap() takes the physical address of a page, as STATE gave it, as its offset.
 * The whole range must lie inside pages that this open file has locked now; a
 * range of several pages must follow one lock's pages in their order. Anything
 * else is EPERM.
 */
#ifndef GPUMEMIOCTL_H
#define GPUMEMIOCTL_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/ioctl.h>
#else
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#endif

#define GPUMEM_DRIVER_NAME "gpumem"

#define IOCTL_GPUMEM_LOCK _IO('g', 10)
#define IOCTL_GPUMEM_UNLOCK _IO('g', 11)
#define IOCTL_GPUMEM_STATE _IO('g', 12)

/* LOCK: addr is rounded down to 64 KiB; handle and page_count are returned. */
struct gpudma_lock_t {
	void *handle;
	uint64_t addr;
	uint64_t size;
	size_t page_count;
};

struct gpudma_unlock_t {
	void *handle;
};

/*
 * STATE: page_count is the room in pages[] on the way in and the number of
 * pages locked on the way out. The caller allocates
 * sizeof(struct gpudma_state_t) + page_count * sizeof(uint64_t) bytes.
 */
struct gpudma_state_t {
	void *handle;
	size_t page_count;
	size_t page_size;
	uint64_t pages[1];
};

#endif /* GPUMEMIOCTL_H */
