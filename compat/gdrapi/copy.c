// SPDX-License-Identifier: MIT
/*
 * Copies. A read has no fence but where its caller asks for one, as GDRCopy has
 * it. What was pinned goes the fast way of libgpumem, which takes a buffer
 * and an offset and finds out by itself when the buffer is gone. What else lies
 * in the mapped pages is stored and loaded here.
 */
#include <errno.h>
#include <string.h>
#include <sys/types.h>
#ifdef __x86_64__
#include <smmintrin.h>
#endif

#include "private.h"

/* A copy, and what a pin said of itself. */
struct gdrapi_copy {
	const char *call;
	gdr_mh_t handle;
	uintptr_t map_ptr; /* the caller's address in the mapping */
	void *host;
	size_t size;
	bool read;
};

/*
 * What the fences of libgpumem do, which has none for a caller. Stores to
 * write-combined memory wait in the CPU's buffers, and a streaming load may take
 * what an earlier one left there: MFENCE alone ends that.
 */
#ifdef __x86_64__
static void gdrapi_store_fence(void)
{
	_mm_sfence();
}

static void gdrapi_load_fence(void)
{
	_mm_mfence();
}

/* The same where libgpumem loads, before and after. */
static void gdrapi_copies_fence(void)
{
	_mm_lfence();
}
#elif defined(__aarch64__)
static void gdrapi_store_fence(void)
{
	__asm__ volatile("dsb st" ::: "memory");
}

static void gdrapi_load_fence(void)
{
	__asm__ volatile("dmb oshld" ::: "memory");
}

static void gdrapi_copies_fence(void)
{
	gdrapi_load_fence();
}
#else
static void gdrapi_store_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static void gdrapi_load_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static void gdrapi_copies_fence(void)
{
	gdrapi_load_fence();
}
#endif

static int gdrapi_copy_dead(const struct gdrapi_copy *copy)
{
	return gdrapi_error(EINVAL,
			    "%s: handle 0x%lx is not of a mapped buffer; was "
			    "it unmapped?",
			    copy->call, copy->handle.h);
}

static bool gdrapi_copy_is_foreign(const struct gdrapi_pin *pin)
{
	return atomic_load(&pin->fork_generation) !=
	       atomic_load(&gdrapi_fork_generation);
}

static int gdrapi_copy_foreign(const struct gdrapi_copy *copy)
{
	return gdrapi_error(EACCES,
			    "%s: the buffer was pinned by another process; pin "
			    "it in this one",
			    copy->call);
}

static int gdrapi_copy_outside(const struct gdrapi_copy *copy)
{
	return gdrapi_error(EINVAL,
			    "%s: %zu bytes at %p are not in the buffer's "
			    "mapping",
			    copy->call, copy->size, (void *)copy->map_ptr);
}

#ifdef __x86_64__
#define GDRAPI_LINE 64u

/*
 * The line at from, which begins there, in one bus read. What another thread writes
 * beside the bytes that are meant is read with them, and not used.
 */
__attribute__((target("sse4.1"), no_sanitize("thread"))) static void
gdrapi_line(char *to, const char *from)
{
	__m128i *line = (__m128i *)(uintptr_t)from;

	for (size_t i = 0; i < GDRAPI_LINE / sizeof(*line); i++)
		_mm_storeu_si128((__m128i *)to + i,
				 _mm_stream_load_si128(line + i));
}

/* By whole lines, which never leave the range's pages; a word by one load. */
static void gdrapi_load(char *to, const char *from, size_t size)
{
	if (size <= sizeof(uint64_t) || !__builtin_cpu_supports("sse4.1")) {
		memcpy(to, from, size);
		return;
	}
	/* No line may come out of what an earlier copy loaded. */
	gdrapi_load_fence();
	while (size) {
		size_t skip = (uintptr_t)from % GDRAPI_LINE;
		size_t take = GDRAPI_LINE - skip;
		char line[GDRAPI_LINE];

		if (take > size)
			take = size;
		if (take == GDRAPI_LINE) {
			gdrapi_line(to, from);
		} else {
			gdrapi_line(line, from - skip);
			memcpy(to, line + skip, take);
		}
		to += take;
		from += take;
		size -= take;
	}
	/* And none that follows out of what this one did. */
	gdrapi_load_fence();
}

static void gdrapi_store(char *to, const char *from, size_t size)
{
	memcpy(to, from, size);
}
#else
typedef uint16_t __attribute__((may_alias)) gdrapi_u16;
typedef uint32_t __attribute__((may_alias)) gdrapi_u32;
typedef uint64_t __attribute__((may_alias)) gdrapi_u64;

/* The largest word that is aligned at a place in the mapping. */
static size_t gdrapi_step(const char *map, size_t size)
{
	size_t step = sizeof(gdrapi_u64);

	while ((uintptr_t)map % step || step > size)
		step /= 2;
	return step;
}

#define GDRAPI_LOAD(type, to, from)                           \
	do {                                                  \
		type value_ = *(const volatile type *)(from); \
		memcpy(to, &value_, sizeof(value_));          \
	} while (0)

#define GDRAPI_STORE(type, to, from)                   \
	do {                                           \
		type value_;                           \
		memcpy(&value_, from, sizeof(value_)); \
		*(volatile type *)(to) = value_;       \
	} while (0)

/*
 * By words that are aligned in the mapping: where it is of Device memory all other
 * accesses fault. The host's side may lie anywhere.
 */
static void gdrapi_load(char *to, const char *from, size_t size)
{
	size_t step;

	for (; size; to += step, from += step, size -= step) {
		step = gdrapi_step(from, size);
		if (step == sizeof(gdrapi_u64))
			GDRAPI_LOAD(gdrapi_u64, to, from);
		else if (step == sizeof(gdrapi_u32))
			GDRAPI_LOAD(gdrapi_u32, to, from);
		else if (step == sizeof(gdrapi_u16))
			GDRAPI_LOAD(gdrapi_u16, to, from);
		else
			GDRAPI_LOAD(char, to, from);
	}
}

static void gdrapi_store(char *to, const char *from, size_t size)
{
	size_t step;

	for (; size; to += step, from += step, size -= step) {
		step = gdrapi_step(to, size);
		if (step == sizeof(gdrapi_u64))
			GDRAPI_STORE(gdrapi_u64, to, from);
		else if (step == sizeof(gdrapi_u32))
			GDRAPI_STORE(gdrapi_u32, to, from);
		else if (step == sizeof(gdrapi_u16))
			GDRAPI_STORE(gdrapi_u16, to, from);
		else
			GDRAPI_STORE(char, to, from);
	}
}
#endif

/* Through the mapping, which the pin's lock keeps there. */
static void gdrapi_copy_mapped(void *map, char *host, size_t size, bool read)
{
	if (read) {
		gdrapi_load(host, map, size);
		return;
	}
	gdrapi_store(map, host, size);
	gdrapi_store_fence();
}

/*
 * From offset in the mapping on, as far as what was pinned goes, or what lies in
 * front of it or behind it: so much is copied. Or a negative errno.
 */
static ssize_t gdrapi_copy_piece(const struct gdrapi_copy *copy,
				 const struct gdrapi_pin *pin, size_t offset,
				 char *host, size_t left)
{
	struct gpumem_buf *buf = atomic_load(&pin->buf);
	size_t begin = atomic_load(&pin->buf_offset);
	size_t end = begin + atomic_load(&pin->buf_size);
	size_t size = left;
	int rc = 0;

	if (offset < end) {
		size_t room = (offset < begin ? begin : end) - offset;

		size = left < room ? left : room;
	}
	if (offset < begin || offset >= end)
		gdrapi_copy_mapped((char *)atomic_load(&pin->map) + offset,
				   host, size, copy->read);
	else if (copy->read)
		rc = gpumem_read_unordered(buf, offset - begin, host, size);
	else
		rc = gpumem_write(buf, offset - begin, host, size);
	return rc ? rc : (ssize_t)size;
}

/* A copy that is not, or not all, in what was pinned: in three pieces at most. */
static int gdrapi_copy_pieces(const struct gdrapi_copy *copy,
			      const struct gdrapi_pin *pin, size_t offset)
{
	for (size_t done = 0; done < copy->size;) {
		ssize_t some = gdrapi_copy_piece(copy, pin, offset + done,
						 (char *)copy->host + done,
						 copy->size - done);

		if (some < 0)
			return gdrapi_error_of((int)some, copy->call);
		done += (size_t)some;
	}
	return 0;
}

/* Not, or not all, in what was pinned; the lock keeps all of the pin there. */
static int gdrapi_copy_beside(const struct gdrapi_copy *copy,
			      struct gdrapi_pin *pin, unsigned int stamp)
{
	uintptr_t offset;
	int error;

	if (gdrapi_copy_is_foreign(pin))
		return gdrapi_copy_foreign(copy);
	gdrapi_cancel_block();
	pthread_rwlock_rdlock(&pin->lock);
	offset = copy->map_ptr - atomic_load(&pin->map);
	if (atomic_load(&pin->stamp) != stamp || !atomic_load(&pin->map))
		error = gdrapi_copy_dead(copy);
	else if (offset > pin->map_size || copy->size > pin->map_size - offset)
		error = gdrapi_copy_outside(copy);
	else if (!copy->host && copy->size)
		error = gdrapi_error(EINVAL,
				     "%s: the host address is NULL; pass "
				     "memory of %zu bytes",
				     copy->call, copy->size);
	else
		error = gdrapi_copy_pieces(copy, pin, offset);
	pthread_rwlock_unlock(&pin->lock);
	gdrapi_cancel_allow();
	return error;
}

/* All copies but the quick ones. */
static __attribute__((noinline)) int
gdrapi_copy_slow(const char *call, gdr_mh_t handle, uintptr_t map_ptr,
		 void *host, size_t size, bool read)
{
	const struct gdrapi_copy copy = {
		.call = call,
		.handle = handle,
		.map_ptr = map_ptr,
		.host = host,
		.size = size,
		.read = read,
	};
	unsigned int stamp;
	struct gdrapi_pin *pin = gdrapi_pin_find(handle, &stamp);

	if (!pin || atomic_load(&pin->stamp) != stamp ||
	    !atomic_load(&pin->map))
		return gdrapi_copy_dead(&copy);
	return gdrapi_copy_beside(&copy, pin, stamp);
}

/*
 * Copies that are right and in what was pinned, by libgpumem; all others,
 * and empty ones, the slow way. What is found is of the handle's pin, unless
 * that ends meanwhile: then buf is dead, and libgpumem says so.
 */
static inline __attribute__((always_inline)) int
gdrapi_copy(const char *call, gdr_mh_t handle, uintptr_t map_ptr, void *host,
	    size_t size, bool read)
{
	unsigned int stamp;
	struct gdrapi_pin *pin = gdrapi_pin_find(handle, &stamp);

	if (pin &&
	    atomic_load_explicit(&pin->stamp, memory_order_acquire) == stamp) {
		struct gpumem_buf *buf =
			atomic_load_explicit(&pin->buf, memory_order_relaxed);
		uintptr_t offset =
			map_ptr - atomic_load_explicit(&pin->quick_map,
						       memory_order_relaxed);
		size_t room = atomic_load_explicit(&pin->quick_size,
						   memory_order_relaxed);

		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&pin->stamp, memory_order_relaxed) ==
			    stamp &&
		    offset < room && size <= room - offset) {
			int rc = read ? gpumem_read_unordered(buf, offset, host,
							      size)
				      : gpumem_write(buf, offset, host, size);

			return rc ? gdrapi_error_of(rc, call) : 0;
		}
	}
	return gdrapi_copy_slow(call, handle, map_ptr, host, size, read);
}

static inline int gdrapi_copy_to(const char *call, gdr_mh_t handle,
				 void *map_d_ptr, const void *h_ptr,
				 size_t size)
{
	return gdrapi_copy(call, handle, (uintptr_t)map_d_ptr,
			   (void *)(uintptr_t)h_ptr, size, false);
}

static inline int gdrapi_copy_from(const char *call, gdr_mh_t handle,
				   void *h_ptr, const void *map_d_ptr,
				   size_t size)
{
	return gdrapi_copy(call, handle, (uintptr_t)map_d_ptr, h_ptr, size,
			   true);
}

int gdr_copy_to_mapping(gdr_mh_t handle, void *map_d_ptr, const void *h_ptr,
			size_t size)
{
	return gdrapi_copy_to("gdr_copy_to_mapping", handle, map_d_ptr, h_ptr,
			      size);
}

int gdr_copy_from_mapping(gdr_mh_t handle, void *h_ptr, const void *map_d_ptr,
			  size_t size)
{
	return gdrapi_copy_from("gdr_copy_from_mapping", handle, h_ptr,
				map_d_ptr, size);
}

/* Every way to write ends with the fence, so that no flag matters. */
int gdr_copy_to_mapping_v2(gdr_mh_t handle, void *map_d_ptr, const void *h_ptr,
			   size_t size, uint32_t flags)
{
	(void)flags;
	return gdrapi_copy_to("gdr_copy_to_mapping_v2", handle, map_d_ptr,
			      h_ptr, size);
}

/*
 * What is read is in host memory, for all to see, without a write fence too. The
 * other fence keeps later loads behind this copy.
 */
int gdr_copy_from_mapping_v2(gdr_mh_t handle, void *h_ptr,
			     const void *map_d_ptr, size_t size, uint32_t flags)
{
	int error = gdrapi_copy_from("gdr_copy_from_mapping_v2", handle, h_ptr,
				     map_d_ptr, size);

	if (flags & GDR_COPY_FLAG_READ_FENCE)
		gdrapi_copies_fence();
	return error;
}

int gdr_copy_fence(gdr_mh_t handle, uint32_t flags)
{
	const struct gdrapi_copy copy = { .call = "gdr_copy_fence",
					  .handle = handle };
	unsigned int stamp;
	struct gdrapi_pin *pin = gdrapi_pin_find(handle, &stamp);

	if (!pin || atomic_load(&pin->stamp) != stamp ||
	    !atomic_load(&pin->map))
		return gdrapi_copy_dead(&copy);
	if (gdrapi_copy_is_foreign(pin))
		return gdrapi_copy_foreign(&copy);
	if (flags & GDR_COPY_FLAG_READ_FENCE)
		gdrapi_load_fence();
	if (flags & GDR_COPY_FLAG_WRITE_FENCE)
		gdrapi_store_fence();
	return 0;
}
