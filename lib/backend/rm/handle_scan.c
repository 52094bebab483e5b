// SPDX-License-Identifier: MIT
/*
 * The object behind memory that no call names. CUDA numbers the memory objects of
 * its client one after the other, so that all of them are around one that is
 * known. Each is duplicated; those of another size, those that show other bytes
 * than CUDA reads, and those that are other memory of the session fall out.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/rm/backend.h"
#include "base/clock.h"
#include "base/page.h"
#include "cpu/cpu.h"
#include "base/error.h"

#define GM_SCAN_PAGE gm_page_size()

/* Handles without an object in a row, after which there are none. */
#define GM_SCAN_GAP 4096u

/* Handles of one client begin alike. */
#define GM_SCAN_FORM 0xff000000u

/* Pages compared of each object. */
#define GM_SCAN_PAGES 4u

struct gm_rm_candidate {
	uint32_t object; /* CUDA's handle */
	uint32_t memory; /* ours; 0: fallen out */
};

struct gm_rm_scan {
	struct gm_session *session;
	struct gm_rm_session *own;
	const struct gm_range *range;
	uint32_t client;
	unsigned int objects; /* looked at */
	bool lacked; /* BAR1 or descriptors, for some */
	unsigned int left; /* candidates that have not fallen out */
	unsigned int count;
	struct gm_rm_candidate *candidates;
};

static void gm_rm_scan_drop(struct gm_rm_scan *scan,
			    struct gm_rm_candidate *candidate)
{
	gm_rm_free(&scan->own->rm, candidate->memory);
	candidate->memory = 0;
	scan->left--;
}

static int gm_rm_scan_add(struct gm_rm_scan *scan, uint32_t object,
			  uint32_t memory)
{
	struct gm_rm_candidate *grown;

	grown = realloc(scan->candidates, (scan->count + 1) * sizeof(*grown));
	if (!grown)
		return gm_error(-ENOMEM, "pin: out of host memory; free some");
	scan->candidates = grown;
	grown[scan->count++] = (struct gm_rm_candidate){ object, memory };
	scan->left++;
	return 0;
}

/* Duplicates an object. A negative errno, or whether there is one. */
static int gm_rm_scan_try(struct gm_rm_scan *scan, uint32_t object)
{
	struct gm_rm *rm = &scan->own->rm;
	uint64_t bytes = 0;
	uint32_t memory;
	int rc;

	gm_error_hush(true);
	rc = gm_rm_dup(rm, scan->client, object, &memory);
	if (rc) {
		gm_error_hush(false);
		scan->lacked |= rc == -ENOMEM;
		return 0;
	}
	scan->objects++;
	rc = gm_rm_size(rm, memory, &bytes);
	gm_error_hush(false);
	scan->lacked |= rc == -ENOMEM;
	/* It may be mapped in part, from its start. */
	if (!rc && bytes >= scan->range->alloc_length)
		rc = gm_rm_scan_add(scan, object, memory);
	else
		rc = -ENOENT;
	if (rc)
		gm_rm_free(rm, memory);
	return rc == -ENOMEM ? rc : 1;
}

/* All objects around a known one, in one direction. */
static int gm_rm_scan_side(struct gm_rm_scan *scan, uint32_t from, int step)
{
	const uint32_t form = from & GM_SCAN_FORM;
	unsigned int missed = 0;
	uint32_t object = from;
	int rc = 0;

	while (missed < GM_SCAN_GAP) {
		object += step;
		if ((object & GM_SCAN_FORM) != form)
			break;
		rc = gm_rm_scan_try(scan, object);
		if (rc < 0)
			return rc;
		missed = rc ? 0 : missed + 1;
	}
	return 0;
}

/* A page of a memory object, to be read. */
struct gm_rm_page {
	uint32_t memory;
	struct gm_rm_map map;
	char *cpu;
};

static int gm_rm_page_map(struct gm_rm *rm, uint32_t memory, uint64_t offset,
			  struct gm_rm_page *page)
{
	int rc;

	page->memory = memory;
	rc = gm_rm_map(rm, memory, offset, GM_SCAN_PAGE, &page->map);
	if (rc)
		return rc;
	page->cpu = gm_backend_mmap_read(page->map.fd, GM_SCAN_PAGE);
	gm_rm_map_done(&page->map);
	if (page->cpu)
		return 0;
	rc = gm_rm_no_mmap(GM_SCAN_PAGE);
	gm_rm_unmap(rm, memory, &page->map);
	return rc;
}

static void gm_rm_page_unmap(struct gm_rm *rm, struct gm_rm_page *page)
{
	munmap(page->cpu, GM_SCAN_PAGE);
	gm_rm_unmap(rm, page->memory, &page->map);
}

static int gm_rm_scan_compare_page(struct gm_rm_scan *scan, uint32_t memory,
				   uint64_t offset)
{
	struct gm_rm_page page;
	struct gm_verify_view view = {
		.addr = scan->range->alloc_addr + offset,
		.length = GM_SCAN_PAGE,
	};
	int rc;

	/* What cannot be mapped at all is CUDA's own, of another kind. */
	rc = gm_rm_page_map(&scan->own->rm, memory, offset, &page);
	if (rc)
		return rc == -ENOMEM || rc == -ENODEV || rc == -EACCES
			       ? -ENOMEM
			       : -EPROTO;
	view.cpu = page.cpu;
	rc = gm_verify_compare(&scan->own->verifier, &view);
	gm_rm_page_unmap(&scan->own->rm, &page);
	return rc;
}

/* Pages from the first to the last. */
static int gm_rm_scan_compare_pages(struct gm_rm_scan *scan, uint32_t memory)
{
	const uint64_t pages = scan->range->alloc_length / GM_SCAN_PAGE;
	int rc = 0;

	for (uint64_t i = 0; i < GM_SCAN_PAGES && !rc; i++)
		rc = gm_rm_scan_compare_page(
			scan, memory,
			(pages - 1) * i / (GM_SCAN_PAGES - 1) * GM_SCAN_PAGE);
	return rc;
}

static int gm_rm_scan_unreadable(const struct gm_rm_scan *scan, int rc)
{
	return gm_error(rc,
			"pin 0x%" PRIx64 ": this memory of cuMemCreate cannot "
			"be exported, and to find it CUDA and the CPU have to "
			"read it, which failed; let this GPU read it "
			"(cuMemSetAccess), and look for an earlier CUDA error",
			scan->range->addr);
}

/*
 * Whether a candidate shows what CUDA reads. An error of CUDA's ends the scan:
 * it says nothing of the candidate.
 */
static int gm_rm_scan_compare(struct gm_rm_scan *scan,
			      struct gm_rm_candidate *candidate)
{
	int rc;

	gm_error_hush(true);
	rc = gm_rm_scan_compare_pages(scan, candidate->memory);
	if (rc == -ENOMEM && scan->session->ops->flush(scan->session))
		rc = gm_rm_scan_compare_pages(scan, candidate->memory);
	gm_error_hush(false);
	if (rc == -EPROTO)
		gm_rm_scan_drop(scan, candidate);
	scan->lacked |= rc == -ENOMEM;
	if (rc == -EPROTO || rc == -ENOMEM)
		return 0;
	return rc ? gm_rm_scan_unreadable(scan, rc) : 0;
}

bool gm_rm_is_same_vmm(const struct gm_cuda *cuda, uint64_t a, uint64_t b)
{
	CUmemGenericAllocationHandle one, other;
	bool same = false;

	if (cuda->vmm_retain(&one, (void *)a))
		return false;
	if (!cuda->vmm_retain(&other, (void *)b)) {
		same = one == other;
		cuda->vmm_release(other);
	}
	cuda->vmm_release(one);
	return same;
}

/* The object of a known allocation is this one, mapped once more, or another. */
static void gm_rm_scan_exclude(struct gm_rm_scan *scan,
			       struct gm_rm_candidate *candidate,
			       unsigned long long id)
{
	uint64_t addr;

	if (gm_rm_cache_knows(&scan->own->cache, candidate->memory, id,
			      &addr) &&
	    !gm_rm_is_same_vmm(&scan->session->cuda, scan->range->addr, addr))
		gm_rm_scan_drop(scan, candidate);
}

/* Bytes that are written tell more than what is known of other memory. */
static int gm_rm_scan_all(struct gm_rm_scan *scan, bool may_write)
{
	const struct gm_rm_place *known = &scan->own->scratch.known;
	unsigned long long id =
		gm_cuda_buffer_id(&scan->session->cuda, scan->range->addr);
	int rc;

	scan->client = known->client;
	rc = gm_rm_scan_side(scan, known->object, 1);
	if (!rc)
		rc = gm_rm_scan_side(scan, known->object, -1);
	for (unsigned int i = 0; i < scan->count && !rc; i++) {
		struct gm_rm_candidate *candidate = &scan->candidates[i];

		rc = gm_rm_scan_compare(scan, candidate);
		if (!rc && candidate->memory && !may_write)
			gm_rm_scan_exclude(scan, candidate, id);
	}
	return rc;
}

/* Bytes that CUDA puts into the memory for a moment. */
struct gm_rm_nonce {
	uint64_t addr;
	unsigned char original[GM_VERIFY_NONCE];
	unsigned char bytes[GM_VERIFY_NONCE];
};

/* The last bytes up to the range's end that lie in one page. */
static uint64_t gm_rm_nonce_place(const struct gm_range *range)
{
	const uint64_t end = range->addr + range->length;
	const uint64_t page = (end - 1) & ~(GM_SCAN_PAGE - 1);

	if (end - page >= GM_VERIFY_NONCE)
		return end - GM_VERIFY_NONCE;
	return page == range->alloc_addr ? page : page - GM_VERIFY_NONCE;
}

/* Drops the candidates that do not show the bytes. */
static int gm_rm_scan_match(struct gm_rm_scan *scan,
			    const struct gm_rm_nonce *nonce)
{
	struct gm_rm *rm = &scan->own->rm;
	const uint64_t offset = nonce->addr - scan->range->alloc_addr;
	int rc = 0;

	for (unsigned int i = 0; i < scan->count && !rc; i++) {
		struct gm_rm_candidate *candidate = &scan->candidates[i];
		unsigned char seen[GM_VERIFY_NONCE];
		struct gm_rm_page page;

		if (!candidate->memory)
			continue;
		rc = gm_rm_page_map(rm, candidate->memory,
				    offset & ~(GM_SCAN_PAGE - 1), &page);
		if (rc)
			break;
		gm_cpu_read(seen, page.cpu + offset % GM_SCAN_PAGE,
			    sizeof(seen));
		gm_rm_page_unmap(rm, &page);
		if (memcmp(seen, nonce->bytes, sizeof(seen)) != 0)
			gm_rm_scan_drop(scan, candidate);
	}
	return rc;
}

/* Other bytes, and who shows them. */
static int gm_rm_scan_change(struct gm_rm_scan *scan, struct gm_rm_nonce *nonce)
{
	struct gm_verifier *verifier = &scan->own->verifier;
	int rc;

	rc = gm_verify_random(nonce->bytes, sizeof(nonce->bytes));
	if (!rc)
		rc = gm_verify_put(verifier, nonce->addr, nonce->bytes,
				   sizeof(nonce->bytes));
	return rc ? rc : gm_rm_scan_match(scan, nonce);
}

/*
 * Two threads that do this at the same bytes would each put back what the other
 * wrote.
 */
static int gm_rm_scan_write(struct gm_rm_scan *scan)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct gm_rm_nonce nonce = { .addr = gm_rm_nonce_place(scan->range) };
	struct gm_verifier *verifier = &scan->own->verifier;
	int rc, back;

	pthread_mutex_lock(&lock);
	rc = gm_verify_get(verifier, nonce.addr, nonce.original,
			   sizeof(nonce.original));
	if (!rc) {
		gm_session_count(scan->session, GM_COUNT_TRIAL_WRITES, 1);
		rc = gm_rm_scan_change(scan, &nonce);
		if (!rc && scan->left)
			rc = gm_rm_scan_change(scan, &nonce);
		/* Also where CUDA said that it failed: it may have written. */
		back = gm_verify_put(verifier, nonce.addr, nonce.original,
				     sizeof(nonce.original));
		rc = rc ? rc : back;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

static int gm_rm_scan_none(const struct gm_rm_scan *scan)
{
	return gm_error(-EOPNOTSUPP,
			"pin 0x%" PRIx64 ": this memory of cuMemCreate cannot "
			"be exported, and backend rm found it in none of %u "
			"memory objects of this process; create it with "
			"requestedHandleTypes = "
			"CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, or use "
			"backend kmod",
			scan->range->addr, scan->objects);
}

/* More than one is left, or one that could not be looked at. */
static int gm_rm_scan_several(const struct gm_rm_scan *scan)
{
	if (scan->lacked)
		return gm_error(-ENOMEM,
				"pin 0x%" PRIx64 ": this memory of cuMemCreate "
				"cannot be exported, and to look for it there "
				"is not enough BAR1, or there are too few "
				"descriptors; unpin other buffers, or raise "
				"ulimit -n",
				scan->range->addr);
	return gm_error(-EOPNOTSUPP,
			"pin 0x%" PRIx64 ": this memory of cuMemCreate cannot "
			"be exported, and %u memory objects of this process "
			"have its size and its contents; create it with "
			"requestedHandleTypes = "
			"CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, fill it "
			"with data of its own first, or, where nothing works "
			"on it yet, pin with GPUMEM_PIN_VERIFY_WRITE",
			scan->range->addr, scan->left);
}

int gm_rm_take_scan(struct gm_session *session, const struct gm_range *range,
		    bool may_write, struct gm_rm_place *place, uint32_t *memory)
{
	struct gm_rm_scan scan = {
		.session = session,
		.own = session->backend,
		.range = range,
	};
	const uint64_t start = gm_clock_ns();
	int rc = gm_rm_scan_all(&scan, may_write);

	if (!rc && scan.left && !scan.lacked && may_write)
		rc = gm_rm_scan_write(&scan);
	gm_debug("rm: scan for 0x%" PRIx64 " of %u memory objects: %u have its "
		 "size, %u are left, %.1f us",
		 range->addr, scan.objects, scan.count, scan.left,
		 (gm_clock_ns() - start) / 1e3);
	if (!rc && !scan.left)
		rc = gm_rm_scan_none(&scan);
	else if (!rc && (scan.left > 1 || scan.lacked))
		rc = gm_rm_scan_several(&scan);
	for (unsigned int i = 0; i < scan.count; i++) {
		struct gm_rm_candidate *candidate = &scan.candidates[i];

		if (!candidate->memory)
			continue;
		if (rc) {
			gm_rm_scan_drop(&scan, candidate);
			continue;
		}
		*memory = candidate->memory;
		*place = (struct gm_rm_place){
			.client = scan.client,
			.object = candidate->object,
			.block = range->alloc_length,
		};
	}
	free(scan.candidates);
	return rc;
}
