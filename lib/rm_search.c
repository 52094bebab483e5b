// SPDX-License-Identifier: MIT
/*
 * The object behind memory that no call names. CUDA gives the memory objects of
 * its client handles in ascending order, so that it is near an object that is
 * known. Each one there is duplicated and one page of it mapped; the one that
 * shows random bytes which CUDA put into the memory, twice, is it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "backend_rm.h"
#include "base/clock.h"
#include "base/page.h"
#include "cpu.h"
#include "error.h"
#include "rm_mark.h"
#include "rm_take.h"

#define GM_SEARCH_PAGE gm_page_size()

/* Handles tried each way, and misses in a row after which nothing is above. */
#define GM_SEARCH_REACH 4096u
#define GM_SEARCH_GAP 1024u

/* Handles of objects that CUDA numbers one after the other begin alike. */
#define GM_SEARCH_FORM 0xff000000u

/*
 * Objects looked at with one mark. The mark is then there for some copies only,
 * however many objects there are.
 */
#define GM_SEARCH_BATCH 16u

/* Samples: one that costs little, and one that CUDA makes a new object for. */
#define GM_SEARCH_SMALL 4096u
#define GM_SEARCH_LARGE (2u << 20)

/* An object that may be the one. */
struct gm_rm_candidate {
	uint32_t object; /* CUDA's handle */
	uint32_t memory; /* ours */
	struct gm_rm_map map;
	char *page; /* would show the mark */
	bool shown;
};

struct gm_rm_search {
	struct gm_session *session;
	struct gm_rm *rm;
	const struct gm_range *range;
	struct gm_rm_mark mark;
	uint32_t client;
	uint32_t low, high; /* handles tried */
	unsigned int objects; /* of memory, looked at */
	bool lacked; /* BAR1 or descriptors, for some */
	bool found;
	uint32_t object, memory; /* what was found */
	unsigned int count, most;
	struct gm_rm_candidate candidates[GM_SEARCH_BATCH];
};

/*
 * The last bytes of the range, so that objects which are too small cannot be
 * mapped there; within one page.
 */
static uint64_t gm_rm_search_place(const struct gm_range *range)
{
	uint64_t end = range->addr + range->length;
	uint64_t page = (end - 1) & ~(GM_SEARCH_PAGE - 1);

	if (end - page >= GM_RM_NONCE)
		return end - GM_RM_NONCE;
	return page == range->alloc_addr ? page : page - GM_RM_NONCE;
}

static int gm_rm_candidate_map(struct gm_rm_search *search,
			       struct gm_rm_candidate *candidate)
{
	/* The object's first byte is the allocation's: see gm_rm_take_vmm(). */
	uint64_t offset = (search->mark.addr - search->range->alloc_addr) &
			  ~(GM_SEARCH_PAGE - 1);
	int rc;

	rc = gm_rm_map(search->rm, candidate->memory, offset, GM_SEARCH_PAGE,
		       &candidate->map);
	if (rc)
		return rc;
	candidate->page =
		gm_backend_mmap_read(candidate->map.fd, GM_SEARCH_PAGE);
	gm_rm_map_done(&candidate->map);
	if (candidate->page)
		return 0;
	rc = -errno;
	gm_rm_unmap(search->rm, candidate->memory, &candidate->map);
	return rc;
}

static void gm_rm_candidate_unmap(struct gm_rm_search *search,
				  struct gm_rm_candidate *candidate)
{
	munmap(candidate->page, GM_SEARCH_PAGE);
	gm_rm_unmap(search->rm, candidate->memory, &candidate->map);
}

/* Drops those that do not show the mark; how many still do. */
static unsigned int gm_rm_search_compare(struct gm_rm_search *search)
{
	const struct gm_rm_mark *mark = &search->mark;
	unsigned int left = 0;

	for (unsigned int i = 0; i < search->count; i++) {
		struct gm_rm_candidate *candidate = &search->candidates[i];
		unsigned char bytes[GM_RM_NONCE];

		if (!candidate->shown)
			continue;
		gm_cpu_read(bytes,
			    candidate->page + mark->addr % GM_SEARCH_PAGE,
			    sizeof(bytes));
		candidate->shown = !memcmp(bytes, mark->bytes, sizeof(bytes));
		left += candidate->shown;
	}
	return left;
}

/* Whether one of the batch is it; lets go of the others. */
static int gm_rm_search_look(struct gm_rm_search *search)
{
	unsigned int left = 0;
	int rc, cleared;

	if (!search->count)
		return 0;
	rc = gm_rm_mark_set(&search->mark);
	if (!rc) {
		left = gm_rm_search_compare(search);
		if (left)
			rc = gm_rm_mark_change(&search->mark);
		if (left && !rc)
			left = gm_rm_search_compare(search);
		cleared = gm_rm_mark_clear(&search->mark);
		if (!rc)
			rc = cleared;
	}
	for (unsigned int i = 0; i < search->count; i++) {
		struct gm_rm_candidate *candidate = &search->candidates[i];

		gm_rm_candidate_unmap(search, candidate);
		if (rc || !left || search->found || !candidate->shown) {
			gm_rm_free(search->rm, candidate->memory);
			continue;
		}
		search->found = true;
		search->object = candidate->object;
		search->memory = candidate->memory;
	}
	search->objects += search->count;
	search->count = 0;
	/* The next object is often it, so the first looks are at few. */
	if (search->most < GM_SEARCH_BATCH)
		search->most *= 2;
	return rc;
}

/* Takes an object into the batch. A negative errno, or whether there is one. */
static int gm_rm_search_try(struct gm_rm_search *search, uint32_t object)
{
	struct gm_rm_candidate *candidate = &search->candidates[search->count];
	int rc;

	*candidate =
		(struct gm_rm_candidate){ .object = object, .shown = true };
	gm_error_hush(true);
	rc = gm_rm_dup(search->rm, search->client, object, &candidate->memory);
	if (rc) {
		gm_error_hush(false);
		return 0;
	}
	rc = gm_rm_candidate_map(search, candidate);
	if (rc == -ENOMEM && search->session->ops->flush(search->session))
		rc = gm_rm_candidate_map(search, candidate);
	gm_error_hush(false);
	if (rc) {
		search->lacked |= rc == -ENOMEM;
		gm_rm_free(search->rm, candidate->memory);
		return 1;
	}
	rc = ++search->count == search->most ? gm_rm_search_look(search) : 0;
	return rc ? rc : 1;
}

/* Looks around an object, near before far. */
static int gm_rm_search_around(struct gm_rm_search *search, uint32_t client,
			       uint32_t object)
{
	const uint32_t base = object & GM_SEARCH_FORM;
	unsigned int missed = 0;
	int rc = 0;

	search->client = client;
	search->low = search->high = object;
	search->most = 1;
	for (uint32_t d = 0; d <= GM_SEARCH_REACH && !search->found; d++) {
		if (missed < GM_SEARCH_GAP &&
		    object + d - base < ~GM_SEARCH_FORM) {
			search->high = object + d;
			rc = gm_rm_search_try(search, search->high);
			missed = rc ? 0 : missed + 1;
		}
		if (rc >= 0 && !search->found && d && d < object - base) {
			search->low = object - d;
			rc = gm_rm_search_try(search, search->low);
		}
		if (rc < 0)
			break;
	}
	if (rc >= 0)
		rc = gm_rm_search_look(search);
	return rc;
}

/* Where nothing is known to begin at, or not what is needed: asks CUDA. */
static int gm_rm_search_afresh(struct gm_rm_search *search, size_t bytes)
{
	struct gm_rm_place sample;
	int rc;

	rc = gm_rm_ipc_sample(search->session, bytes, &sample);
	if (rc)
		return rc == -EOPNOTSUPP ? 0 : rc;
	if (sample.client == search->client && sample.object >= search->low &&
	    sample.object <= search->high)
		return 0;
	return gm_rm_search_around(search, sample.client, sample.object);
}

static int gm_rm_search_run(struct gm_rm_search *search)
{
	const struct gm_rm *rm = search->rm;
	int rc;

	if (rm->seen_object)
		rc = gm_rm_search_around(search, rm->seen_client,
					 rm->seen_object);
	else
		rc = gm_rm_search_afresh(search, GM_SEARCH_SMALL);
	/* Newer memory may be far above what is known. */
	if (!rc && !search->found)
		rc = gm_rm_search_afresh(search, GM_SEARCH_LARGE);
	return rc;
}

static int gm_rm_search_none(const struct gm_rm_search *search)
{
	uint64_t addr = search->range->addr;

	if (search->lacked)
		return gm_error(-ENOMEM,
				"pin 0x%" PRIx64 ": this memory of cuMemCreate "
				"cannot be exported, and for a search there is "
				"not enough BAR1, or there are too few "
				"descriptors; unpin other buffers, or raise "
				"ulimit -n",
				addr);
	return gm_error(-EOPNOTSUPP,
			"pin 0x%" PRIx64 ": this memory of cuMemCreate cannot "
			"be exported, and backend rm found it in none of %u "
			"memory objects of this process; create it with "
			"requestedHandleTypes = "
			"CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, or use "
			"backend kmod",
			addr, search->objects);
}

int gm_rm_take_search(struct gm_session *session, struct gm_rm *rm,
		      const struct gm_range *range, struct gm_rm_place *place,
		      uint32_t *memory)
{
	struct gm_rm_search search = {
		.session = session,
		.rm = rm,
		.range = range,
		.mark = { .cuda = &session->cuda,
			  .addr = gm_rm_search_place(range) },
	};
	uint64_t start = gm_clock_ns();
	int rc;

	if (!session->cuda.copy_to_device)
		return gm_rm_search_none(&search);
	rc = gm_rmb_stream_get(session, range->context, &search.mark.stream);
	if (rc)
		return rc;
	rc = gm_rm_search_run(&search);
	gm_rmb_stream_put(session, range->context, search.mark.stream);
	gm_debug("rm: search for 0x%" PRIx64 " among %u memory objects: %s, "
		 "%.1f us",
		 range->addr, search.objects,
		 search.found ? "found" : "not found",
		 (gm_clock_ns() - start) / 1e3);
	if (rc)
		return rc;
	if (!search.found)
		return gm_rm_search_none(&search);
	rm->seen_client = search.client;
	rm->seen_object = search.object;
	*place = (struct gm_rm_place){
		.client = search.client,
		.object = search.object,
		.block = range->alloc_length,
	};
	*memory = search.memory;
	return 0;
}
