// SPDX-License-Identifier: MIT
/*
 * Copies. What was pinned goes the fast way of libgpumem, which takes a buffer
 * and an offset and finds out by itself when the buffer is gone. What else lies
 * in the mapped pages is stored and loaded here.
 */
#include <errno.h>
#include <string.h>

#include "library.h"

/* A copy, and what a pin said of itself. */
struct gdrapi_copy {
	const char *call;
	gdr_mh_t handle;
	uintptr_t map_ptr; /* the caller's address in the mapping */
	void *host;
	size_t size;
	bool read;
};

static int gdrapi_copy_dead(const struct gdrapi_copy *copy)
{
	return gdrapi_error(EINVAL,
			    "%s: handle 0x%lx is not of a mapped buffer; was "
			    "it unmapped?",
			    copy->call, copy->handle.h);
}

static int gdrapi_copy_outside(const struct gdrapi_copy *copy)
{
	return gdrapi_error(EINVAL,
			    "%s: %zu bytes at %p are not in the buffer's "
			    "mapping",
			    copy->call, copy->size, (void *)copy->map_ptr);
}

/* Beside what was pinned; the lock keeps the mapping there. */
static int gdrapi_copy_slow(const struct gdrapi_copy *copy,
			    struct gdrapi_pin *pin, unsigned int stamp)
{
	uintptr_t offset;
	int error = 0;

	if (atomic_load(&pin->fork_generation) !=
	    atomic_load(&gdrapi_fork_generation))
		return gdrapi_error(EACCES,
				    "%s: the buffer was pinned by another "
				    "process; pin it in this one",
				    copy->call);
	pthread_rwlock_rdlock(&pin->lock);
	offset = copy->map_ptr - atomic_load(&pin->map);
	if (atomic_load(&pin->stamp) != stamp || !atomic_load(&pin->map)) {
		error = gdrapi_copy_dead(copy);
	} else if (offset > pin->map_size ||
		   copy->size > pin->map_size - offset) {
		error = gdrapi_copy_outside(copy);
	} else if (copy->read) {
		memcpy(copy->host, (void *)copy->map_ptr, copy->size);
	} else {
		memcpy((void *)copy->map_ptr, copy->host, copy->size);
		/* Empties the buffers in which stores are combined. */
		atomic_thread_fence(memory_order_seq_cst);
	}
	pthread_rwlock_unlock(&pin->lock);
	return error;
}

static inline int gdrapi_copy(const struct gdrapi_copy *copy)
{
	unsigned int stamp;
	struct gdrapi_pin *pin = gdrapi_pin_find(copy->handle, &stamp);
	struct gpumem_buf *buf;
	uintptr_t map, offset;
	size_t room, first, length;
	int rc;

	if (!pin ||
	    atomic_load_explicit(&pin->stamp, memory_order_acquire) != stamp)
		return gdrapi_copy_dead(copy);
	buf = atomic_load_explicit(&pin->buf, memory_order_relaxed);
	map = atomic_load_explicit(&pin->map, memory_order_relaxed);
	room = atomic_load_explicit(&pin->map_size, memory_order_relaxed);
	first = atomic_load_explicit(&pin->buf_offset, memory_order_relaxed);
	length = atomic_load_explicit(&pin->buf_size, memory_order_relaxed);
	/* Of this pin, unless that ended meanwhile. */
	atomic_thread_fence(memory_order_acquire);
	if (!map ||
	    atomic_load_explicit(&pin->stamp, memory_order_relaxed) != stamp)
		return gdrapi_copy_dead(copy);
	offset = copy->map_ptr - map;
	if (offset > room || copy->size > room - offset)
		return gdrapi_copy_outside(copy);
	if (offset < first || offset - first > length ||
	    copy->size > length - (offset - first))
		return gdrapi_copy_slow(copy, pin, stamp);
	rc = copy->read
		     ? gpumem_read(buf, offset - first, copy->host, copy->size)
		     : gpumem_write(buf, offset - first, copy->host,
				    copy->size);
	return rc ? gdrapi_error_of(rc, copy->call) : 0;
}

int gdr_copy_to_mapping(gdr_mh_t handle, void *map_d_ptr, const void *h_ptr,
			size_t size)
{
	const struct gdrapi_copy copy = {
		.call = "gdr_copy_to_mapping",
		.handle = handle,
		.map_ptr = (uintptr_t)map_d_ptr,
		.host = (void *)(uintptr_t)h_ptr,
		.size = size,
	};

	return gdrapi_copy(&copy);
}

int gdr_copy_from_mapping(gdr_mh_t handle, void *h_ptr, const void *map_d_ptr,
			  size_t size)
{
	const struct gdrapi_copy copy = {
		.call = "gdr_copy_from_mapping",
		.handle = handle,
		.map_ptr = (uintptr_t)map_d_ptr,
		.host = h_ptr,
		.size = size,
		.read = true,
	};

	return gdrapi_copy(&copy);
}
