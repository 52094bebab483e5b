// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "cpu.h"
#include "error.h"
#include "rm_mark.h"
#include "rm_proof.h"

/* Bytes compared, and distinct values among them that make it a proof. */
#define GM_PROOF_BYTES 64
#define GM_PROOF_DISTINCT 16

/* Looks at memory that keeps changing before it is given up. */
#define GM_PROOF_LOOKS 4

/* Bytes of the allocation that the mapping shows. */
struct gm_rm_window {
	uint64_t addr;
	char *cpu;
	size_t length;
};

unsigned long long gm_rm_buffer_id(const struct gm_cuda *cuda, uint64_t addr)
{
	unsigned long long id = 0;

	if (cuda->pointer_get(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, addr))
		return 0;
	return id;
}

static bool gm_rm_place_same(const struct gm_rm_place *a,
			     const struct gm_rm_place *b)
{
	return a->client == b->client && a->object == b->object &&
	       a->block == b->block && a->offset == b->offset;
}

bool gm_rm_proofs_have(struct gm_rm_proofs *proofs, unsigned long long id,
		       uint64_t addr, const struct gm_rm_place *place)
{
	const struct gm_rm_proven *entry = &proofs->proven[id % GM_RM_PROOFS];
	bool have;

	pthread_mutex_lock(&proofs->lock);
	have = id && entry->id == id && entry->addr == addr &&
	       gm_rm_place_same(&entry->place, place);
	pthread_mutex_unlock(&proofs->lock);
	return have;
}

void gm_rm_proofs_add(struct gm_rm_proofs *proofs, unsigned long long id,
		      uint64_t addr, const struct gm_rm_place *place)
{
	struct gm_rm_proven *entry = &proofs->proven[id % GM_RM_PROOFS];

	if (!id)
		return;
	pthread_mutex_lock(&proofs->lock);
	entry->id = id;
	entry->addr = addr;
	entry->place = *place;
	pthread_mutex_unlock(&proofs->lock);
}

/*
 * At most size bytes from the pinned start on; nearer to the allocation's start
 * where it has fewer after that.
 */
static struct gm_rm_window gm_rm_window(const struct gm_rm_suspect *suspect,
					size_t size)
{
	const struct gm_range *range = suspect->range;
	uint64_t low = range->alloc_addr;
	uint64_t high = range->alloc_addr + range->alloc_length;
	struct gm_rm_window window = { .addr = range->addr, .length = size };

	if (low < suspect->addr)
		low = suspect->addr;
	if (high > suspect->addr + suspect->length)
		high = suspect->addr + suspect->length;
	if (window.length > high - low)
		window.length = high - low;
	if (window.addr > high - window.length)
		window.addr = high - window.length;
	window.cpu = suspect->cpu + (window.addr - suspect->addr);
	return window;
}

static int gm_rm_copy_by_cuda(const struct gm_rm_suspect *suspect,
			      const struct gm_rm_window *window, void *bytes)
{
	return gm_rm_copy_out(suspect->cuda, suspect->stream, window->addr,
			      bytes, window->length);
}

static unsigned int gm_rm_distinct(const unsigned char *bytes, size_t length)
{
	bool seen[256] = { false };
	unsigned int distinct = 0;

	for (size_t i = 0; i < length; i++) {
		distinct += !seen[bytes[i]];
		seen[bytes[i]] = true;
	}
	return distinct;
}

static int gm_rm_wrong_memory(const struct gm_rm_suspect *suspect)
{
	return gm_error(-EPROTO,
			"rm: the mapping for 0x%" PRIx64 " shows other memory "
			"than CUDA's: this driver describes allocations in "
			"another way than this library knows; use backend "
			"kmod, and report the driver version",
			suspect->range->addr);
}

/* 1: what is there proves it; 0: it agrees but proves nothing. */
static int gm_rm_compare(const struct gm_rm_suspect *suspect)
{
	struct gm_rm_window window = gm_rm_window(suspect, GM_PROOF_BYTES);
	unsigned char before[GM_PROOF_BYTES], after[GM_PROOF_BYTES];
	unsigned char cuda[GM_PROOF_BYTES];
	bool steady = false;

	for (int look = 0; look < GM_PROOF_LOOKS; look++) {
		int rc;

		gm_cpu_read(before, window.cpu, window.length);
		rc = gm_rm_copy_by_cuda(suspect, &window, cuda);
		if (rc)
			return rc;
		if (!memcmp(before, cuda, window.length))
			return gm_rm_distinct(cuda, window.length) >=
			       GM_PROOF_DISTINCT;
		/* They may differ because the GPU writes there just now. */
		gm_cpu_read(after, window.cpu, window.length);
		steady = !memcmp(before, after, window.length);
	}
	if (steady)
		return gm_rm_wrong_memory(suspect);
	return gm_error(-EAGAIN,
			"rm: the memory at 0x%" PRIx64 " keeps changing, so "
			"the mapping cannot be proven; pin it before the GPU "
			"works on it",
			window.addr);
}

/* Writes through the mapping and waits until the bytes have arrived. */
static void gm_rm_write_through(const struct gm_rm_window *window,
				const void *bytes)
{
	unsigned char arrived[GM_RM_NONCE];

	gm_cpu_write(window->cpu, bytes, window->length);
	gm_cpu_read(arrived, window->cpu, window->length);
}

static int gm_rm_trial_write(const struct gm_rm_suspect *suspect)
{
	struct gm_rm_window window = gm_rm_window(suspect, GM_RM_NONCE);
	unsigned char original[GM_RM_NONCE];
	unsigned char nonce[GM_RM_NONCE];
	unsigned char cuda[GM_RM_NONCE];
	size_t proven = 0;
	int rc = 0;

	gm_cpu_read(original, window.cpu, window.length);
	/* A window of few bytes takes several writes. */
	while (!rc && proven < GM_RM_NONCE) {
		rc = gm_rm_random(nonce, window.length);
		if (rc)
			break;
		gm_rm_write_through(&window, nonce);
		rc = gm_rm_copy_by_cuda(suspect, &window, cuda);
		if (!rc && memcmp(nonce, cuda, window.length) != 0)
			rc = gm_rm_wrong_memory(suspect);
		proven += window.length;
	}
	gm_rm_write_through(&window, original);
	return rc;
}

int gm_rm_prove(struct gm_rm_suspect *suspect)
{
	uint64_t start = gm_clock_ns();
	const char *how = "bytes that are there";
	int rc;

	gm_rm_swap_begin();
	rc = gm_rm_compare(suspect);
	if (!rc && !suspect->may_write) {
		rc = gm_error(-EAGAIN,
			      "rm: what is at 0x%" PRIx64 " cannot prove the "
			      "mapping: too many bytes are alike; fill it with "
			      "data first, or pin without "
			      "GPUMEM_PIN_NO_TRIAL_WRITE",
			      suspect->range->addr);
	} else if (!rc) {
		how = "a trial write";
		suspect->wrote = true;
		rc = gm_rm_trial_write(suspect);
	}
	gm_rm_swap_end();
	gm_debug("rm: proof of 0x%" PRIx64 " by %s: %s, %.1f us",
		 suspect->range->addr, how, rc < 0 ? "failed" : "done",
		 (gm_clock_ns() - start) / 1e3);
	return rc < 0 ? rc : 0;
}
