// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "backend/verify.h"
#include "cpu/cpu.h"
#include "base/error.h"

/* Looks at memory that seems to differ before that is believed. */
#define GM_VERIFY_LOOKS 4

/*
 * The landing has room for so many looks at once; where it is full a look's
 * copies go through memory that is not pinned, which takes CUDA longer.
 */
#define GM_VERIFY_SLOTS 8
#define GM_VERIFY_SLOT (GM_VERIFY_PLACES * GM_VERIFY_BYTES)

/* The places of one look, and what is there. */
struct gm_verify_look {
	unsigned int count;
	size_t length; /* of each */
	uint64_t at[GM_VERIFY_PLACES]; /* in the view */
	unsigned char before[GM_VERIFY_PLACES][GM_VERIFY_BYTES];
	unsigned char cuda[GM_VERIFY_PLACES][GM_VERIFY_BYTES];
};

static int gm_verify_error(const struct gm_verifier *verifier, CUresult result)
{
	gm_cuda_error(verifier->cuda, result,
		      "verify a mapping: copy a few bytes",
		      "let this GPU read there (cuMemSetAccess), and look for "
		      "an earlier CUDA error");
	return -EIO;
}

int gm_verifier_open(struct gm_verifier *verifier, const struct gm_cuda *cuda,
		     CUcontext context)
{
	struct gm_cuda_scope scope;
	void *landing = NULL;
	CUresult result;
	int rc;

	*verifier = (struct gm_verifier){ .cuda = cuda, .context = context };
	rc = gm_cuda_enter(&scope, cuda, context);
	if (rc)
		return rc;
	result = cuda->stream_create(&verifier->stream, CU_STREAM_NON_BLOCKING);
	if (result)
		rc = gm_cuda_error(cuda, result, "open: make a stream",
				   "look for an earlier CUDA error");
	else if (cuda->host_alloc && cuda->host_free &&
		 !cuda->host_alloc(&landing, GM_VERIFY_SLOTS * GM_VERIFY_SLOT,
				   CU_MEMHOSTALLOC_PORTABLE))
		verifier->landing = landing;
	gm_cuda_leave(&scope);
	return rc;
}

void gm_verifier_close(struct gm_verifier *verifier)
{
	const struct gm_cuda *cuda = verifier->cuda;
	struct gm_cuda_scope scope;

	if (gm_cuda_enter(&scope, cuda, verifier->context))
		return;
	cuda->stream_destroy(verifier->stream);
	if (verifier->landing)
		cuda->host_free(verifier->landing);
	gm_cuda_leave(&scope);
}

int gm_verify_random(void *bytes, size_t length)
{
	if (getrandom(bytes, length, 0) == (ssize_t)length)
		return 0;
	return gm_error(-EIO, "verify: no random numbers from the kernel: %s",
			strerror(errno));
}

/* Room in pinned memory, or NULL. */
static unsigned char *gm_verify_slot_get(struct gm_verifier *verifier)
{
	uint32_t taken = atomic_load(&verifier->taken);

	while (verifier->landing && taken != (1u << GM_VERIFY_SLOTS) - 1) {
		const unsigned int slot = __builtin_ctz(~taken);

		if (atomic_compare_exchange_weak(&verifier->taken, &taken,
						 taken | 1u << slot))
			return verifier->landing + slot * GM_VERIFY_SLOT;
	}
	return NULL;
}

static void gm_verify_slot_put(struct gm_verifier *verifier,
			       const unsigned char *room)
{
	if (room)
		atomic_fetch_and(
			&verifier->taken,
			~(1u << (room - verifier->landing) / GM_VERIFY_SLOT));
}

/* What CUDA reads at the places of a look. */
static int gm_verify_fetch(struct gm_verifier *verifier,
			   const struct gm_verify_view *view,
			   struct gm_verify_look *look)
{
	const struct gm_cuda *cuda = verifier->cuda;
	unsigned char *room = gm_verify_slot_get(verifier);
	unsigned char *to = room ? room : look->cuda[0];
	struct gm_cuda_scope scope;
	CUresult result = CUDA_SUCCESS, synced;
	int rc;

	rc = gm_cuda_enter(&scope, cuda, verifier->context);
	if (!rc) {
		for (unsigned int i = 0; i < look->count && !result; i++)
			result = cuda->copy_to_host(to + i * GM_VERIFY_BYTES,
						    view->addr + look->at[i],
						    look->length,
						    verifier->stream);
		/* Those that began are to have ended. */
		synced = cuda->stream_synchronize(verifier->stream);
		if (!result)
			result = synced;
		gm_cuda_leave(&scope);
		if (result)
			rc = gm_verify_error(verifier, result);
	}
	if (!rc && room)
		memcpy(look->cuda, room, sizeof(look->cuda));
	gm_verify_slot_put(verifier, room);
	return rc;
}

/* From the view's start to its end. */
static void gm_verify_places(const struct gm_verify_view *view,
			     struct gm_verify_look *look)
{
	uint64_t span;

	look->length = view->length < GM_VERIFY_BYTES ? view->length
						      : GM_VERIFY_BYTES;
	span = view->length - look->length;
	look->count = 1;
	if (span)
		look->count = span < GM_VERIFY_PLACES * GM_VERIFY_BYTES
				      ? 2
				      : GM_VERIFY_PLACES;
	for (unsigned int i = 0; i < look->count; i++)
		look->at[i] = i ? span / (look->count - 1) * i : 0;
	if (look->count > 1)
		look->at[look->count - 1] = span;
}

/* Whether a place differs and did not change meanwhile. */
static bool gm_verify_differs(const struct gm_verify_view *view,
			      const struct gm_verify_look *look, unsigned int i)
{
	unsigned char after[GM_VERIFY_BYTES];

	if (!memcmp(look->before[i], look->cuda[i], look->length))
		return false;
	gm_cpu_read(after, view->cpu + look->at[i], look->length);
	return !memcmp(look->before[i], after, look->length);
}

/* One look. A negative errno, or whether some place differs. */
static int gm_verify_look(struct gm_verifier *verifier,
			  const struct gm_verify_view *view,
			  struct gm_verify_look *look)
{
	bool differs = false;
	int rc;

	for (unsigned int i = 0; i < look->count; i++)
		gm_cpu_read(look->before[i], view->cpu + look->at[i],
			    look->length);
	rc = gm_verify_fetch(verifier, view, look);
	for (unsigned int i = 0; i < look->count && !rc; i++)
		differs |= gm_verify_differs(view, look, i);
	return rc ? rc : differs;
}

static int gm_verify_wrong(const struct gm_verify_view *view)
{
	return gm_error(-EPROTO,
			"verify: the mapping for 0x%" PRIx64 " shows other "
			"memory than CUDA's: this driver describes allocations "
			"in another way than this library knows; use backend "
			"kmod, and report the driver version",
			view->addr);
}

int gm_verify_compare(struct gm_verifier *verifier,
		      const struct gm_verify_view *view)
{
	struct gm_verify_look look;
	int differs = 1;

	gm_verify_places(view, &look);
	for (int i = 0; i < GM_VERIFY_LOOKS && differs > 0; i++)
		differs = gm_verify_look(verifier, view, &look);
	return differs > 0 ? gm_verify_wrong(view) : differs;
}

/* Out of the GPU's memory where `out` is given, else into it from `in`. */
static int gm_verify_copy(struct gm_verifier *verifier, uint64_t addr,
			  void *out, const void *in, size_t length)
{
	const struct gm_cuda *cuda = verifier->cuda;
	struct gm_cuda_scope scope;
	CUresult result;
	int rc;

	rc = gm_cuda_enter(&scope, cuda, verifier->context);
	if (rc)
		return rc;
	result = out ? cuda->copy_to_host(out, addr, length, verifier->stream)
		     : cuda->copy_to_device(addr, in, length, verifier->stream);
	if (!result)
		result = cuda->stream_synchronize(verifier->stream);
	gm_cuda_leave(&scope);
	return result ? gm_verify_error(verifier, result) : 0;
}

int gm_verify_get(struct gm_verifier *verifier, uint64_t addr, void *bytes,
		  size_t length)
{
	return gm_verify_copy(verifier, addr, bytes, NULL, length);
}

int gm_verify_put(struct gm_verifier *verifier, uint64_t addr,
		  const void *bytes, size_t length)
{
	return gm_verify_copy(verifier, addr, NULL, bytes, length);
}

/* Both ways at one place of the library's own memory. */
static int gm_verify_own_place(struct gm_verifier *verifier,
			       const struct gm_verify_view *view, uint64_t at)
{
	unsigned char wrote[2][GM_VERIFY_NONCE], seen[GM_VERIFY_NONCE];
	int rc;

	rc = gm_verify_random(wrote, sizeof(wrote));
	/* CUDA's checkers want to see it write before it reads. */
	if (!rc)
		rc = gm_verify_put(verifier, view->addr + at, wrote[0],
				   sizeof(wrote[0]));
	if (rc)
		return rc;
	gm_cpu_read(seen, view->cpu + at, sizeof(seen));
	if (memcmp(seen, wrote[0], sizeof(seen)) != 0)
		return gm_verify_wrong(view);
	gm_cpu_write(view->cpu + at, wrote[1], sizeof(wrote[1]));
	/* The read waits until the bytes have arrived. */
	gm_cpu_read(seen, view->cpu + at, sizeof(seen));
	rc = gm_verify_get(verifier, view->addr + at, seen, sizeof(seen));
	if (!rc && memcmp(seen, wrote[1], sizeof(seen)) != 0)
		rc = gm_verify_wrong(view);
	return rc;
}

int gm_verify_own(struct gm_verifier *verifier,
		  const struct gm_verify_view *view)
{
	int rc = gm_verify_own_place(verifier, view, 0);

	if (!rc)
		rc = gm_verify_own_place(verifier, view,
					 view->length - GM_VERIFY_NONCE);
	return rc;
}
