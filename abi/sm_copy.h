/* SPDX-License-Identifier: MIT */
/*
 * What the host, the kernel (kernel.cu) and the simulated GPU agree on. C and
 * CUDA.
 *
 * A job copies a range of device memory to a range of host memory that the GPU
 * can write, in chunks that begin at multiples of the chunk's size from the
 * last multiple of GM_COURIER_ALIGN at or before the target, or, in waves, each
 * where the one before it ends. After a chunk its
 * flag is set to the job's number. Jobs are numbered in a row and done in that
 * order. A kernel takes its first one, any number, as its parameter and waits
 * for each further one in one of two slots in device memory, which the host
 * writes through its mapping. A job is taken at once or not at all: a kernel
 * that says that it has retired has set all flags of those that it took.
 */
#ifndef GM_COURIER_ABI_H
#define GM_COURIER_ABI_H

#include <stdint.h>

#define GM_COURIER_KERNEL "gpumem_courier"

/*
 * Threads that do a chunk: those that push it and a warp that says so. A block
 * has up to GM_COURIER_GROUPS such groups.
 */
#define GM_COURIER_PUSHERS 128
#define GM_COURIER_GROUP (GM_COURIER_PUSHERS + 32)
#define GM_COURIER_GROUPS 4

#define GM_COURIER_ALIGN 128
#define GM_COURIER_CHUNKS 65 /* of one job, at most */
#define GM_COURIER_SLOTS 2

/* In how: the power of two of the chunk's size; of waves the first one's KiB. */
#define GM_COURIER_CHUNK 0xffu
/*
 * Source and target are equally far from a multiple of 16, and what lies beside
 * the target in the same 16 bytes may be overwritten.
 */
#define GM_COURIER_WHOLE 0x100u
/* Never set by the host: it is time to retire, and why. */
#define GM_COURIER_END 0x200u
#define GM_COURIER_AGED 0x800u
/*
 * More jobs are coming: the kernel waits for the next one whatever its age, and
 * for start.hold_ns before it takes it for lost. A job of no bytes does nothing
 * but say so, or that none is coming; its first flag is set.
 */
#define GM_COURIER_MORE 0x1000u
/*
 * With GM_COURIER_WHOLE: the chunks begin at the target itself, and all threads
 * do one after the other, which is told before the next one is stored. What lies
 * beside a chunk in 16 bytes of the next one's comes with it. A block of n
 * threads does up to GM_COURIER_WAVE(n) bytes in one.
 */
#define GM_COURIER_WAVES 0x400u
#define GM_COURIER_WAVE_FLIGHT 8
#define GM_COURIER_WAVE(n) (((n)-33u) * 16u * GM_COURIER_WAVE_FLIGHT)
#define GM_COURIER_WAVE_UNIT 1024u
#define GM_COURIER_WAVE_LEAST 4096u
/* The first wave in bytes, and how much shorter each of the others is. */
#define GM_COURIER_WAVE_FIRST(how) \
	(((how)&GM_COURIER_CHUNK) * GM_COURIER_WAVE_UNIT)
#define GM_COURIER_WAVE_LESS(how) (((how) >> 16 & 0xffu) * GM_COURIER_WAVE_UNIT)
/* The wave after one of so many bytes. */
#define GM_COURIER_WAVE_NEXT(wave, how)                              \
	((wave) >= GM_COURIER_WAVE_LESS(how) + GM_COURIER_WAVE_LEAST \
		 ? (wave)-GM_COURIER_WAVE_LESS(how)                  \
		 : (wave))

/*
 * The beginning of a job in waves may come tagged, before these: for it the host
 * waits for no fence. In each 8 bytes, which are stored in one, are 6 of the
 * source's, from the last multiple of 16 at or before job.from on, and above
 * them the lower bits of the job's number. In lines of 64 bytes, some of which
 * make a group; behind the job's end they hold zeros. The first wave is then
 * what is left of it where the last group ends, at a multiple of 16.
 */
#define GM_COURIER_TAG_BITS 16
#define GM_COURIER_TAGGED_LINE 48u /* of the source, in a line */
#define GM_COURIER_GROUP_LINES 4u
#define GM_COURIER_TAGGED_GROUP \
	(GM_COURIER_TAGGED_LINE * GM_COURIER_GROUP_LINES)
#define GM_COURIER_TAGGED_GROUPS 128u /* at most */
/* A slot's lines, in bytes. */
#define GM_COURIER_TAGGED_ROOM \
	(GM_COURIER_TAGGED_GROUPS * GM_COURIER_GROUP_LINES * 64u)
/* How many groups; and what of the source they hold. */
#define GM_COURIER_TAGGED_COUNT(how) ((how) >> 24)
#define GM_COURIER_TAGGED(how) \
	(GM_COURIER_TAGGED_COUNT(how) * GM_COURIER_TAGGED_GROUP)

/* Each half carries the number's lower bits: it may arrive alone. */
struct gm_courier_job {
	uint64_t from;
	uint32_t length;
	uint32_t number;
	uint64_t to; /* as the GPU calls it */
	uint32_t how;
	uint32_t number_again;
};

/* Device memory that the host writes. Job n comes in slot n % 2. */
struct gm_courier_bell {
	struct {
		struct gm_courier_job job;
		uint32_t rest[8];
	} slot[GM_COURIER_SLOTS];
	/* The start that is to end without its job, where it has not begun. */
	uint64_t cancelled;
	uint64_t rest[7];
};

/* A line of its own. */
struct gm_courier_word {
	uint64_t value;
	uint64_t rest[7];
};

/* Pinned host memory that the GPU writes. */
struct gm_courier_flags {
	/*
	 * The last start of the kernel that began: it will do its job unless it
	 * finds itself cancelled, at which it looks after it wrote this.
	 */
	struct gm_courier_word started;
	/* The last one that ended; it writes nothing after this. */
	struct gm_courier_word retired;
	/* Before that: the last one that ended by its age, with work to do. */
	struct gm_courier_word aged;
	/* By the job's slot: the job that the chunk was copied for. */
	struct gm_courier_word done[GM_COURIER_SLOTS][GM_COURIER_CHUNKS];
};

/* The kernel's parameter. */
struct gm_courier_start {
	struct gm_courier_job job; /* the first */
	uint64_t number; /* of it, in full */
	uint64_t start; /* counts the starts of the kernel, from 1 */
	uint64_t bell; /* device address of struct gm_courier_bell */
	uint64_t flags; /* what the GPU calls struct gm_courier_flags */
	uint64_t tagged; /* the same of GM_COURIER_TAGGED_ROOM for each slot */
	uint64_t idle_ns;
	uint64_t life_ns;
	uint64_t hold_ns;
};

#endif /* GM_COURIER_ABI_H */
