/* SPDX-License-Identifier: MIT */
/*
 * The inside of a courier: sm_copy.c cuts reads into jobs, drain.c drains
 * them, kernel_control.c deals with the kernel, create.c makes what all need.
 */
#ifndef GM_COURIER_IN_H
#define GM_COURIER_IN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy/sm/launch.h"
#include "copy/sm/sm_copy.h"
#include "abi/sm_copy.h"

#define GM_US 1000ull
#define GM_MS 1000000ull

/*
 * Of tagged lines so many are waited for at once, by the last one: to look at a
 * line before it is there, or to run ahead to it, makes it come late.
 */
#define GM_COURIER_LINES 64u

/* What the GPU stores at once, at a multiple of it. */
#define GM_COURIER_PIECE 16u

/* The staging memory of a slot; more than a job for its place in a page. */
#define GM_COURIER_STAGE (GM_COURIER_JOB + 4096)

/* Where the doorbell may be: so many bytes apart, in so many places. */
#define GM_COURIER_PLACE 4096u
#define GM_COURIER_PLACES 4u

struct gm_courier {
	struct gm_session *session;

	/* Made by gm_courier_load(). */
	struct gpumem_buf *bell_buf;
	char *bells; /* its mapping: GM_COURIER_PLACES places for a bell */
	uint64_t bells_gpu;
	struct gm_courier_bell *bell; /* at one of them */
	uint64_t bell_gpu;
	char *memory; /* pinned: the slots' stages, then the next two */
	uint64_t memory_gpu;
	struct gm_courier_flags *flags;
	char *tagged; /* GM_COURIER_TAGGED_ROOM for each slot */
	CUmodule module;
	CUfunction function;
	CUstream stream;
	/* The GPU may see the doorbell before what was stored earlier. */
	bool unordered;

	struct gm_courier_limits limits;
	unsigned int threads; /* of the block: whole groups */
	unsigned int chunk_max; /* longest chunk, a power of two */
	size_t waves_max; /* longest job that is done in waves */
	uint64_t patience_ns; /* without an answer */
	uint64_t busy_ns; /* until the kernel begins */
	uint64_t rest_ns; /* from one that did not, until another is started */

	void (*aside)(void *arg); /* for the next read, or NULL */
	void *aside_arg;
	struct gm_courier_watch *watch; /* of the read at work, or NULL */

	bool proven; /* a read brought what was expected */
	uint64_t number; /* the last job's */
	struct gm_courier_job jobs[GM_COURIER_SLOTS];
	uint64_t cleared[GM_COURIER_SLOTS]; /* see gm_courier_tag() */
	uint64_t start; /* the last start's number */
	uint64_t start_time;
	uint64_t first; /* the first job of that start */
	uint64_t paused; /* the last start that others got a turn after */
	uint64_t timed; /* the last start that known_ns is of */
	uint64_t known_ns; /* what a query takes whose answer CUDA knows; 0: unknown */
	uint64_t look_time; /* when the stream was asked last */
	struct gm_sm_launch launch;
	uint64_t judged; /* the last start that launch was told of, or never is */
	bool always; /* the next start is not to be judged */
	uint64_t wait_ns; /* for the next read, of the next start */
	unsigned int holds; /* calls at work that the kernel is to outlive */
	bool more; /* the last job said that more come */
	uint64_t empty; /* the last job, of no bytes, that nobody waited for; or 0 */
	bool given_up; /* the last start was cancelled before it began */
	unsigned int
		blocked; /* starts in a row that were over when CUDA returned */
	int dead; /* why it is not to be used again */
};

/* One job of a read. */
struct gm_courier_part {
	struct gm_courier *courier;
	uint64_t number;
	uint64_t gpu;
	char *host; /* where it goes; unused where the GPU writes there */
	const char *stage; /* where the first chunk begins */
	size_t skew; /* of the target from there */
	size_t length;
	size_t tagged; /* bytes that come tagged, of the first chunk or all */
	size_t chunk; /* the first; of waves the others are less */
	uint32_t how; /* of the job */
	bool past_caches;
	bool shared; /* several threads drain it */
	atomic_bool late; /* a chunk did not come */
};

/* The kernel's text, for the driver to compile. */
extern const char gm_courier_ptx[];

/* Makes all that session and the limits allow; -EOPNOTSUPP, -ENOMEM, ... */
int gm_courier_load(struct gm_courier *courier);

/* Undoes it, whole or in part. The kernel has ended. */
void gm_courier_unload(struct gm_courier *courier);

/*
 * Puts the bell where the GPU is the quickest to see it. Returns 0, or why a read
 * failed, which ends the search; after -EBUSY later ones may work.
 */
int gm_courier_place(struct gm_courier *courier);

/*
 * After a kernel that lived its whole life others get their turn: a call that
 * waits for the GPU to be idle must find it so. Reads wait meanwhile: by the
 * copy engine they take longer, where such calls keep CUDA busy. gap_ns: since the
 * last read; in_row: this thread has called nothing else since, so that a wait was
 * another's.
 */
void gm_courier_pause(struct gm_courier *courier, uint64_t gap_ns, bool in_row);

/* Whether the memory of the read at work is there; without a watch it is. */
bool gm_courier_alive(const struct gm_courier *courier);

/*
 * Starts the kernel and rings for a job; a later one that is out already is rung
 * for again. The last one has retired. -ESTALE: the memory is gone, and the job
 * will not be done.
 */
int gm_courier_launch(struct gm_courier *courier, uint64_t number);

/*
 * Lets a running kernel know of a job, after all that this thread stored into
 * GPU memory. If it retires just then the job is left to gm_courier_wait().
 */
void gm_courier_ring(struct gm_courier *courier, uint64_t number);

/* Makes a job of no bytes; how: 0, or GM_COURIER_MORE. */
void gm_courier_set_empty(struct gm_courier *courier, uint64_t number,
			  uint32_t how);

/*
 * Before a job: waits until the kernel has taken, or will not take, the one of no
 * bytes before it, whose slot the job's may be.
 */
void gm_courier_settle(struct gm_courier *courier);

/*
 * At the end of a call that counted as one of holds: lets the kernel go, where it
 * was told of more.
 */
void gm_courier_unhold(struct gm_courier *courier);

/* A word that shows that something is there: when it has this value there. */
struct gm_courier_sign {
	const uint64_t *word;
	uint64_t mask, value;
};

static inline bool gm_courier_seen(struct gm_courier_sign sign)
{
	return (__atomic_load_n(sign.word, __ATOMIC_ACQUIRE) & sign.mask) ==
	       sign.value;
}

/* Of a chunk of a job, and of the last word of a tagged line. */
struct gm_courier_sign gm_courier_chunk_sign(const struct gm_courier *courier,
					     uint64_t number, size_t chunk);
struct gm_courier_sign gm_courier_line_sign(const struct gm_courier *courier,
					    uint64_t number, size_t line);

/*
 * Until the job has begun to come: from then on all of it comes. Sees to it that
 * a kernel runs. -EBUSY: the GPU does not begin one.
 */
int gm_courier_wait(struct gm_courier *courier, uint64_t number);

/* For a sign of such a job; for any thread. False: it does not come. */
bool gm_courier_wait_sign(const struct gm_courier *courier,
			  struct gm_courier_sign sign);

/*
 * Takes the data out of so many of a job's tagged lines, from the first on, when
 * the last one is there. Returns how many were: 0 where they do not come.
 */
size_t gm_courier_untag(const struct gm_courier *courier, uint64_t number,
			char *to, size_t first, size_t count);

/*
 * Waits for a part and takes it to its place, with several threads where it is
 * shared; staged is false where the GPU writes it there itself. Returns 0, or
 * what gm_courier_wait() or gm_courier_late() do.
 */
int gm_courier_finish(struct gm_courier_part *part, bool staged,
		      struct gm_pool *pool, unsigned int threads);

/* The kernel that was started last has ended or will do nothing any more. */
bool gm_courier_retired(const struct gm_courier *courier);

/* Store the reason for -EBUSY, and for why a chunk did not come. */
int gm_courier_busy(void);
int gm_courier_late(struct gm_courier *courier);

#endif /* GM_COURIER_IN_H */
