// SPDX-License-Identifier: MIT
/*
 * gpumem_write() and gpumem_read(). Small copies do not look at more than their
 * length; for the others dispatch.c finds a way.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/backend.h"
#include "copy/context.h"
#include "copy/copy.h"
#include "copy/dispatch.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "base/hazptr.h"
#include "base/handle.h"
#include "base/handle_slot.h"

int gm_copy_check(struct gm_buf *buf, const char *call, uint64_t offset,
		  const void *host, size_t length)
{
	if (!host && length)
		return gm_error(-EINVAL,
				"%s: the host address is NULL; pass memory "
				"of %zu bytes",
				call, length);
	if (offset > buf->length || length > buf->length - offset)
		return gm_error(-ERANGE,
				"%s: %zu bytes at %" PRIu64 " pass the end of "
				"the buffer, which has %" PRIu64 "; copy less",
				call, length, offset, buf->length);
	return 0;
}

/* The buffer is in use, the arguments are checked. */
static int gm_copy_start(struct gm_copy *copy, uint64_t offset,
			 const struct gpumem_copy_options *options)
{
	struct gm_buf *buf = copy->buf;

	copy->map = buf->base + buf->addr_offset + offset;
	copy->gpu = buf->addr + offset;
	return gm_copy_run(copy, options);
}

static const struct gpumem_copy_options gm_copy_standard = {
	.size = sizeof(gm_copy_standard)
};

int gm_copy_held(struct gm_buf *buf, const char *call, uint64_t offset,
		 void *host, size_t length, bool read)
{
	const struct gm_copier *copier = buf->session->copier;
	struct gm_copy copy = { .buf = buf,
				.call = call,
				.host = host,
				.length = length,
				.read = read };

	if (length > (read ? copier->read_small : copier->write_small))
		return gm_copy_start(&copy, offset, &gm_copy_standard);
	copy.map = buf->base + buf->addr_offset + offset;
	if (read)
		gm_cpu()->load(host, copy.map, length);
	else
		gm_cpu()->store(copy.map, host, length);
	return 0;
}

static int gm_options_check(const char *call,
			    const struct gpumem_copy_options *options)
{
	if (options->size != sizeof(*options))
		return gm_error(-EINVAL,
				"%s: options->size is %zu: this library knows "
				"%zu; set it to sizeof(struct "
				"gpumem_copy_options)",
				call, options->size, sizeof(*options));
	if (options->method > GPUMEM_COPY_ENGINE || options->reserved ||
	    options->threads > GM_POOL_MAX ||
	    options->flags & ~(GPUMEM_COPY_PINNED | GPUMEM_COPY_PAGEABLE) ||
	    options->flags == (GPUMEM_COPY_PINNED | GPUMEM_COPY_PAGEABLE))
		return gm_error(-EINVAL,
				"%s: options: method %u, flags 0x%x, threads "
				"%u, reserved %u; a method is GPUMEM_COPY_AUTO "
				"to _ENGINE, flags are _PINNED or _PAGEABLE, "
				"threads at most %u, reserved 0",
				call, options->method, options->flags,
				options->threads, options->reserved,
				GM_POOL_MAX);
	return 0;
}

/* All copies but the small ones. */
static int gm_copy_large(struct gm_copy *copy, uint64_t offset,
			 const struct gpumem_copy_options *options)
{
	int rc;

	if (!options)
		options = &gm_copy_standard;
	rc = gm_options_check(copy->call, options);
	if (!rc)
		rc = gm_copy_check(copy->buf, copy->call, offset, copy->host,
				   copy->length);
	if (rc || !copy->length)
		return rc;
	rc = gm_buf_use(copy->buf, copy->call);
	if (rc)
		return rc;
	rc = gm_copy_start(copy, offset, options);
	gm_buf_unuse(copy->buf);
	return rc;
}

static int gm_copy_with(struct gpumem_buf *handle, uint64_t offset,
			struct gm_copy *copy,
			const struct gpumem_copy_options *options)
{
	void *object;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, copy->call, &object);
	if (rc)
		return rc;
	copy->buf = object;
	rc = gm_copy_large(copy, offset, options);
	gm_handle_put(handle);
	return rc;
}

int gpumem_write_with(struct gpumem_buf *handle, uint64_t offset,
		      const void *src, size_t length,
		      const struct gpumem_copy_options *options)
{
	struct gm_copy copy = { .call = "write",
				.host = (char *)(uintptr_t)src,
				.length = length };

	return gm_copy_with(handle, offset, &copy, options);
}

int gpumem_read_with(struct gpumem_buf *handle, uint64_t offset, void *dst,
		     size_t length, const struct gpumem_copy_options *options)
{
	struct gm_copy copy = {
		.call = "read", .host = dst, .length = length, .read = true
	};

	return gm_copy_with(handle, offset, &copy, options);
}

static int gm_copy_small(struct gm_buf *buf, const char *call, uint64_t offset,
			 void *host, size_t length, bool read)
{
	char *map;
	int rc;

	rc = gm_copy_check(buf, call, offset, host, length);
	if (rc || !length)
		return rc;
	rc = gm_buf_use(buf, call);
	if (rc)
		return rc;
	map = buf->base + buf->addr_offset + offset;
	if (read)
		gm_cpu_read(host, map, length);
	else
		gm_cpu_write(map, host, length);
	gm_buf_unuse(buf);
	gm_buf_allow_quick(buf);
	return 0;
}

static int gm_copy_counted(struct gpumem_buf *handle, uint64_t offset,
			   void *host, size_t length, bool read)
{
	struct gm_copy copy = { .call = read ? "read" : "write",
				.host = host,
				.length = length,
				.read = read };
	const struct gm_copier *copier;
	void *object;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, copy.call, &object);
	if (rc)
		return rc;
	copy.buf = object;
	copier = copy.buf->session->copier;
	if (length > (read ? copier->read_small : copier->write_small))
		rc = gm_copy_large(&copy, offset, NULL);
	else
		rc = gm_copy_small(copy.buf, copy.call, offset, host, length,
				   read);
	gm_handle_put(handle);
	return rc;
}

/* The mapping's byte for a short copy that is right in every way, or NULL. */
static inline char *gm_quick_at(const struct gm_quick *quick, uint64_t offset,
				const void *host, size_t length, size_t small)
{
	if (length > small || !host || offset > quick->length ||
	    length > quick->length - offset)
		return NULL;
	return quick->map + offset;
}

enum gm_copy_act { GM_COPY_WRITE, GM_COPY_READ, GM_COPY_READ_UNORDERED };

/* By the routines of this CPU, which end the use. */
static inline int gm_copy_quick(enum gm_copy_act act, char *map, void *host,
				size_t length, struct gm_guard *mine)
{
	const struct gm_cpu *cpu = gm_cpu_again();

	if (act == GM_COPY_WRITE)
		return cpu->write(map, host, length, &mine->handle);
	return act == GM_COPY_READ
		       ? cpu->read(host, map, length, &mine->handle)
		       : cpu->read_unordered(host, map, length, &mine->handle);
}

/*
 * A copy of any length. Who inlines this calls no other function but at its end:
 * so a word is written without a register saved.
 */
static inline __attribute__((always_inline)) int
gm_copy_any(const struct gm_slot *slot, struct gpumem_buf *handle,
	    uint64_t offset, void *host, size_t length, enum gm_copy_act act)
{
	struct gm_guard *mine = gm_guard_mine;
	const struct gm_quick *quick = gm_quick_begin(mine, slot, handle);
	const bool read = act != GM_COPY_WRITE;
	char *map;

	if (quick) {
		map = gm_quick_at(quick, offset, host, length,
				  read ? quick->copier->read_small
				       : quick->copier->write_small);
		if (map && !read && gm_cpu_store_word(map, host, length)) {
			gm_cpu_fence();
			gm_guard_end(mine);
			return 0;
		}
		if (map)
			return gm_copy_quick(act, map, host, length, mine);
		gm_guard_end(mine);
	}
	return gm_copy_counted(handle, offset, host, length, read);
}

static __attribute__((noinline)) int gm_copy_far(struct gpumem_buf *handle,
						 uint64_t offset, void *host,
						 size_t length,
						 enum gm_copy_act act)
{
	return gm_copy_any(gm_slot_any(handle), handle, offset, host, length,
			   act);
}

static inline __attribute__((always_inline)) int
gm_copy_near(struct gpumem_buf *handle, uint64_t offset, void *host,
	     size_t length, enum gm_copy_act act)
{
	const struct gm_slot *slot = gm_slot_near(handle);

	return slot ? gm_copy_any(slot, handle, offset, host, length, act)
		    : gm_copy_far(handle, offset, host, length, act);
}

int gpumem_write(struct gpumem_buf *handle, uint64_t offset, const void *src,
		 size_t length)
{
	return gm_copy_near(handle, offset, (void *)(uintptr_t)src, length,
			    GM_COPY_WRITE);
}

int gpumem_read(struct gpumem_buf *handle, uint64_t offset, void *dst,
		size_t length)
{
	return gm_copy_near(handle, offset, dst, length, GM_COPY_READ);
}

int gpumem_read_unordered(struct gpumem_buf *handle, uint64_t offset, void *dst,
			  size_t length)
{
	return gm_copy_near(handle, offset, dst, length,
			    GM_COPY_READ_UNORDERED);
}
