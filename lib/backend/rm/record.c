// SPDX-License-Identifier: MIT
/*
 * The object behind memory of cuMemCreate that cannot be exported, out of CUDA's
 * own records. A CUmemGenericAllocationHandle is the address of a record, which
 * points to another one that points back, and in that stands RM's handle of the
 * object (seen with 580.159.04, with and without a handle type, of 2 to 64 MiB).
 *
 * At which places, each session finds out on scratch memory whose object it has by a
 * descriptor, and then verifies on more of it, without a handle type, both ways
 * through a mapping. A place counts only inside of a record, whose size glibc's
 * malloc() keeps in front of it: what lies behind may be anything, also a record of
 * other memory. What looks otherwise than glibc's memory is no record, so that under
 * another malloc(), as with libraries that keep no such records, nothing is found.
 *
 * A pin looks whether the scratch memory's record still names its own object, whether
 * the object that it finds is large enough and none that the session knows as other
 * memory, and at its contents.
 */
#include <inttypes.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/rm/backend.h"
#include "base/error.h"

/* How much of a record is looked at. */
#define GM_RECORD_WORDS 256u

/* In front of glibc's memory: its size, with this word, and three flags. */
#define GM_CHUNK_FLAGS 7u
#define GM_CHUNK_IN_USE_BEFORE 1u /* what lies before it */
#define GM_CHUNK_MMAPPED 2u
#define GM_CHUNK_MIN 32u
#define GM_CHUNK_MAX 65536u

/* Handles of one client begin alike. */
#define GM_RECORD_FORM 0xff000000u

struct gm_record {
	unsigned int count;
	union {
		uint64_t word[GM_RECORD_WORDS];
		uint32_t half[2 * GM_RECORD_WORDS];
	};
};

/*
 * Reads without a fault, whatever an address means. The calling thread is named:
 * the process's first one may have ended.
 */
static bool gm_record_copy(void *to, uint64_t addr, size_t bytes)
{
	const struct iovec into = { to, bytes };
	const struct iovec from = { (void *)(uintptr_t)addr, bytes };

	return process_vm_readv((pid_t)syscall(SYS_gettid), &into, 1, &from, 1,
				0) == (ssize_t)bytes;
}

/* The size of glibc's memory at an address, with the word before it; 0: it is none. */
static uint64_t gm_record_chunk(uint64_t addr)
{
	uint64_t head, next, size;

	if (!addr || addr % (2 * sizeof(uint64_t)) ||
	    !gm_record_copy(&head, addr - sizeof(head), sizeof(head)))
		return 0;
	size = head & ~(uint64_t)GM_CHUNK_FLAGS;
	if (head & GM_CHUNK_MMAPPED || size < GM_CHUNK_MIN ||
	    size >= GM_CHUNK_MAX || size % (2 * sizeof(uint64_t)) ||
	    !gm_record_copy(&next, addr - sizeof(next) + size, sizeof(next)))
		return 0;
	/* What follows says that this is in use. */
	if (!(next & GM_CHUNK_IN_USE_BEFORE) || next & GM_CHUNK_MMAPPED ||
	    (next & ~(uint64_t)GM_CHUNK_FLAGS) < 2 * sizeof(uint64_t))
		return 0;
	return size;
}

/* False where there is no record. */
static bool gm_record_read(struct gm_record *record, uint64_t addr)
{
	const uint64_t size = gm_record_chunk(addr);

	if (!size)
		return false;
	record->count = (unsigned int)(size / sizeof(uint64_t)) - 1;
	if (record->count > GM_RECORD_WORDS)
		record->count = GM_RECORD_WORDS;
	return gm_record_copy(record->word, addr,
			      record->count * sizeof(uint64_t));
}

/* Whether a word is CUDA's handle of the object that memory is ours of. */
static bool gm_record_names(struct gm_rm_session *own, uint32_t word,
			    uint32_t memory)
{
	const struct gm_rm_place *known = &own->scratch.known;
	bool same = false;
	uint32_t other;

	if ((word ^ known->object) & GM_RECORD_FORM)
		return false;
	gm_error_hush(true);
	if (!gm_rm_dup(&own->rm, known->client, word, &other)) {
		if (gm_rm_are_same(&own->rm, memory, other, &same))
			same = false;
		gm_rm_free(&own->rm, other);
	}
	gm_error_hush(false);
	return same;
}

/* The first word of a record that is a value, or count. */
static unsigned int gm_record_word(const struct gm_record *record,
				   uint64_t value)
{
	unsigned int i = 0;

	while (i < record->count && record->word[i] != value)
		i++;
	return i;
}

/* Looks for the handle in a record that points back to the one at addr. */
static bool gm_record_find_in(struct gm_rm_session *own, uint64_t addr,
			      uint64_t object, uint32_t memory)
{
	struct gm_rm_record_places *places = &own->scratch.record;
	struct gm_record record;

	if (object == addr || !gm_record_read(&record, object))
		return false;
	places->up = gm_record_word(&record, addr);
	if (places->up == record.count)
		return false;
	for (unsigned int i = 0; i < 2 * record.count; i++)
		if (gm_record_names(own, record.half[i], memory)) {
			places->object = i;
			places->scratch = record.half[i];
			return true;
		}
	return false;
}

static bool gm_record_find(struct gm_rm_session *own, uint64_t addr,
			   uint32_t memory)
{
	struct gm_rm_record_places *places = &own->scratch.record;
	struct gm_record record;

	if (!gm_record_read(&record, addr))
		return false;
	for (unsigned int i = 0; i < record.count; i++) {
		places->down = i;
		if (gm_record_find_in(own, addr, record.word[i], memory))
			return true;
	}
	return false;
}

void gm_rm_record_find(struct gm_rm_session *own,
		       CUmemGenericAllocationHandle handle, uint32_t memory)
{
	struct gm_rm_record_places *places = &own->scratch.record;

	places->known = gm_record_find(own, handle, memory);
	if (places->known)
		gm_debug("rm: CUDA's records: word %u points down, %u up, half "
			 "word %u names the object",
			 places->down, places->up, places->object);
	else
		gm_debug("rm: CUDA's records name no objects");
}

/* The object that a record names; 0: none. */
static uint32_t gm_record_object(const struct gm_rm_record_places *places,
				 uint64_t addr)
{
	struct gm_record record;

	if (!gm_record_read(&record, addr) || places->down >= record.count ||
	    record.word[places->down] == addr ||
	    !gm_record_read(&record, record.word[places->down]) ||
	    places->up >= record.count || record.word[places->up] != addr ||
	    places->object >= 2 * record.count)
		return 0;
	return record.half[places->object];
}

/* A handle of our own to an object of at least a size. */
static bool gm_record_dup(struct gm_rm_session *own, uint32_t object,
			  uint64_t length, uint32_t *memory)
{
	uint64_t bytes = 0;
	int rc;

	gm_error_hush(true);
	rc = gm_rm_dup(&own->rm, own->scratch.known.client, object, memory);
	if (!rc) {
		rc = gm_rm_size(&own->rm, *memory, &bytes);
		if (rc || bytes < length)
			gm_rm_free(&own->rm, *memory);
	}
	gm_error_hush(false);
	return !rc && bytes >= length;
}

/* Whether the object is none that the session knows as another allocation. */
static bool gm_record_is_free(struct gm_session *session,
			      const struct gm_range *range, uint32_t memory)
{
	struct gm_rm_session *own = session->backend;
	unsigned long long id = gm_cuda_buffer_id(&session->cuda, range->addr);
	uint64_t addr;

	return !gm_rm_cache_knows(&own->cache, memory, id, &addr) ||
	       gm_rm_is_same_vmm(&session->cuda, range->addr, addr);
}

bool gm_rm_take_record(struct gm_session *session, const struct gm_range *range,
		       CUmemGenericAllocationHandle handle,
		       struct gm_rm_place *place, uint32_t *memory)
{
	struct gm_rm_session *own = session->backend;
	const struct gm_rm_scratch *scratch = &own->scratch;
	uint32_t object;

	if (!scratch->record.known)
		return false;
	object = gm_record_object(&scratch->record, handle);
	if (!object || object == scratch->record.scratch ||
	    gm_record_object(&scratch->record, scratch->handle) !=
		    scratch->record.scratch ||
	    !gm_record_dup(own, object, range->alloc_length, memory))
		return false;
	if (!gm_record_is_free(session, range, *memory)) {
		gm_rm_free(&own->rm, *memory);
		return false;
	}
	gm_debug("rm: CUDA's record of 0x%" PRIx64 " names object 0x%x",
		 range->alloc_addr, object);
	/* It may be mapped in part, from its start. */
	*place = (struct gm_rm_place){
		.client = scratch->known.client,
		.object = object,
		.block = range->alloc_length,
	};
	return true;
}
