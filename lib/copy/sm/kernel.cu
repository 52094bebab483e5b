// SPDX-License-Identifier: MIT
/*
 * The courier's kernel: one block. scripts/sm-kernel-ptx.sh compiles it, without
 * CUDA's headers, to the kernel.ptx beside it.
 *
 * The kernel lives long, so nothing that others write may come out of the L1
 * cache: every load of theirs is a relaxed one at system scope, which goes to
 * the point where all see the same.
 */
#include "abi/sm_copy.h"

#define DEVICE static __attribute__((device)) __inline__
#define SHARED __attribute__((shared))

#define PIECE 16u
/* Pieces that a thread has on their way at once. */
#define FLIGHT 8
#define FLIGHT_SHIFTED 4
#define FLIGHT_TAGGED 2
/* What a thread makes 16 tagged bytes of. */
#define TAGGED_PIECE 12u
/* Looks for a job between two looks at the time. */
#define LOOKS 4
#define WARP 32u

typedef uint64_t u64;
typedef uint32_t u32;

struct piece {
	u32 word[4];
};

DEVICE u64 time_ns(void)
{
	u64 ns;

	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns)::"memory");
	return ns;
}

/* All that this thread has seen or done before comes before what follows. */
DEVICE void fence(void)
{
	asm volatile("fence.acq_rel.sys;" ::: "memory");
}

DEVICE void store_word(u64 at, u64 value)
{
	asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value)
		     : "memory");
}

DEVICE u64 load_word(u64 at)
{
	u64 value;

	asm volatile("ld.relaxed.sys.global.u64 %0, [%1];"
		     : "=l"(value)
		     : "l"(at)
		     : "memory");
	return value;
}

DEVICE void load_part_if(u32 *part, u64 at, int wanted)
{
	asm volatile("{\n"
		     ".reg .pred go;\n"
		     "setp.ne.s32 go, %2, 0;\n"
		     "@go ld.relaxed.sys.global.u32 %0, [%1];\n"
		     "}"
		     : "+r"(*part)
		     : "l"(at), "r"(wanted)
		     : "memory");
}

/*
 * Each word is stored in one: a vector is as many accesses as it has elements, in
 * any order (PTX ISA 6.0 on, "Memory Consistency Model", "Vector Data-types").
 */
DEVICE void store_two_if(u64 at, u64 first, u64 second, int wanted)
{
	asm volatile("{\n"
		     ".reg .pred go;\n"
		     "setp.ne.s32 go, %3, 0;\n"
		     "@go st.relaxed.sys.global.v2.u64 [%0], {%1, %2};\n"
		     "}" ::"l"(at),
		     "l"(first), "l"(second), "r"(wanted)
		     : "memory");
}

DEVICE u32 load_byte(u64 at)
{
	u32 value;

	asm volatile("ld.relaxed.sys.global.u8 %0, [%1];"
		     : "=r"(value)
		     : "l"(at)
		     : "memory");
	return value;
}

DEVICE void store_byte(u64 at, u32 value)
{
	asm volatile("st.global.u8 [%0], %1;" ::"l"(at), "r"(value) : "memory");
}

DEVICE struct piece load_piece(u64 at)
{
	struct piece p;

	asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
		     : "=r"(p.word[0]), "=r"(p.word[1]), "=r"(p.word[2]),
		       "=r"(p.word[3])
		     : "l"(at)
		     : "memory");
	return p;
}

/*
 * The same under a condition. Branches would keep the loads of one thread from
 * being on their way together.
 */
DEVICE void load_piece_if(struct piece *p, u64 at, int wanted)
{
	asm volatile("{\n"
		     ".reg .pred go;\n"
		     "setp.ne.s32 go, %5, 0;\n"
		     "@go ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, "
		     "[%4];\n"
		     "}"
		     : "+r"(p->word[0]), "+r"(p->word[1]), "+r"(p->word[2]),
		       "+r"(p->word[3])
		     : "l"(at), "r"(wanted)
		     : "memory");
}

DEVICE void store_piece_if(u64 at, struct piece p, int wanted)
{
	asm volatile("{\n"
		     ".reg .pred go;\n"
		     "setp.ne.s32 go, %5, 0;\n"
		     "@go st.global.v4.u32 [%0], {%1, %2, %3, %4};\n"
		     "}" ::"l"(at),
		     "r"(p.word[0]), "r"(p.word[1]), "r"(p.word[2]),
		     "r"(p.word[3]), "r"(wanted)
		     : "memory");
}

/* to and end are multiples of 16; by is from - to, a multiple too. */
DEVICE void push_pieces(u64 to, u64 end, u64 by, u32 lane)
{
	const u64 step = GM_COURIER_PUSHERS * PIECE;

	for (u64 at = to + lane * PIECE; at < end; at += step * FLIGHT) {
		struct piece p[FLIGHT] = {};

#pragma unroll
		for (int i = 0; i < FLIGHT; i++)
			load_piece_if(&p[i], at + i * step + by,
				      at + i * step < end);
#pragma unroll
		for (int i = 0; i < FLIGHT; i++)
			store_piece_if(at + i * step, p[i],
				       at + i * step < end);
	}
}

/* The 16 bytes that begin `skip` bytes, 1 to 15, into the first of two. */
DEVICE struct piece join(struct piece first, struct piece second, u32 skip)
{
	u64 w[4] = {
		(u64)first.word[1] << 32 | first.word[0],
		(u64)first.word[3] << 32 | first.word[2],
		(u64)second.word[1] << 32 | second.word[0],
		(u64)second.word[3] << 32 | second.word[2],
	};
	int far = skip >= 8;
	u32 down = skip % 8 * 8;
	u64 a = far ? w[1] : w[0];
	u64 b = far ? w[2] : w[1];
	u64 c = far ? w[3] : w[2];
	struct piece p;

	/* In two steps: a shift by 64 is not defined. */
	a = a >> down | b << 1 << (63 - down);
	b = b >> down | c << 1 << (63 - down);
	p.word[0] = (u32)a;
	p.word[1] = (u32)(a >> 32);
	p.word[2] = (u32)b;
	p.word[3] = (u32)(b >> 32);
	return p;
}

/*
 * to and end are multiples of 16, by is not: each piece comes out of two, both
 * of which hold a byte of it.
 */
DEVICE void push_shifted(u64 to, u64 end, u64 by, u32 lane)
{
	const u64 step = GM_COURIER_PUSHERS * PIECE;
	const u32 skip = by % PIECE;

	by -= skip;
	for (u64 at = to + lane * PIECE; at < end;
	     at += step * FLIGHT_SHIFTED) {
		struct piece p[FLIGHT_SHIFTED] = {}, q[FLIGHT_SHIFTED] = {};

#pragma unroll
		for (int i = 0; i < FLIGHT_SHIFTED; i++) {
			u64 from = at + i * step + by;
			int wanted = at + i * step < end;

			load_piece_if(&p[i], from, wanted);
			load_piece_if(&q[i], from + PIECE, wanted);
		}
#pragma unroll
		for (int i = 0; i < FLIGHT_SHIFTED; i++)
			store_piece_if(at + i * step, join(p[i], q[i], skip),
				       at + i * step < end);
	}
}

/* Fewer bytes than there are threads in a group. */
DEVICE void push_bytes(u64 to, u64 end, u64 by, u32 lane)
{
	u64 at = to + lane;

	if (at < end)
		store_byte(at, load_byte(at + by));
}

DEVICE u64 least(u64 a, u64 b)
{
	return a < b ? a : b;
}

DEVICE u64 most(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* Exactly the bytes of [to, end). */
DEVICE void push_exactly(u64 to, u64 end, u64 by, u32 lane)
{
	u64 first = least((to + PIECE - 1) / PIECE * PIECE, end);
	u64 last = most(end / PIECE * PIECE, first);

	push_bytes(to, first, by, lane);
	push_bytes(last, end, by, lane);
	if (by % PIECE)
		push_shifted(first, last, by, lane);
	else
		push_pieces(first, last, by, lane);
}

/*
 * Chunk after chunk, each by one group. A warp of its own waits for the fence,
 * while the others push the group's next chunk: they meet again after that.
 */
DEVICE void push_job(const struct gm_courier_job *job, u64 number, u64 done)
{
	const u32 thread = __nvvm_read_ptx_sreg_tid_x();
	const u32 lane = thread % GM_COURIER_GROUP;
	const u32 group = thread / GM_COURIER_GROUP;
	const u32 groups = __nvvm_read_ptx_sreg_ntid_x() / GM_COURIER_GROUP;
	const u64 chunk = (u64)1 << (job->how & GM_COURIER_CHUNK);
	const u64 to = job->to;
	const u64 end = to + job->length;
	const u64 by = job->from - to;
	const u64 base = to / GM_COURIER_ALIGN * GM_COURIER_ALIGN;
	u32 i = group;

	for (u64 at = base + i * chunk; at < end; at += groups * chunk) {
		u64 low = most(at, to);
		u64 high = least(at + chunk, end);

		if (lane >= GM_COURIER_PUSHERS)
			;
		else if (job->how & GM_COURIER_WHOLE)
			push_pieces(low / PIECE * PIECE,
				    (high + PIECE - 1) / PIECE * PIECE, by,
				    lane);
		else
			push_exactly(low, high, by, lane);
		__nvvm_barrier_sync_cnt(1 + group, GM_COURIER_GROUP);
		if (lane == GM_COURIER_PUSHERS) {
			fence();
			store_word(done + i * sizeof(struct gm_courier_word),
				   number);
		}
		i += groups;
	}
}

/* The job's beginning. What a thread stores is there when it is seen. */
DEVICE void push_tagged(const struct gm_courier_job *job, u64 number, u64 to)
{
	const u32 threads = __nvvm_read_ptx_sreg_ntid_x();
	const u32 count = GM_COURIER_TAGGED(job->how) / TAGGED_PIECE;
	const u64 from = job->from / PIECE * PIECE;
	const u64 end = job->from + job->length;
	const u64 tag = number << (64 - GM_COURIER_TAG_BITS);
	u32 i = __nvvm_read_ptx_sreg_tid_x();

	for (; i < count; i += FLIGHT_TAGGED * threads) {
		u32 part[FLIGHT_TAGGED][3] = {};

#pragma unroll
		for (int k = 0; k < FLIGHT_TAGGED; k++) {
			u64 at = from + (i + k * threads) * TAGGED_PIECE;
			u64 last = i + k * threads < count ? end : 0;

#pragma unroll
			for (int j = 0; j < 3; j++)
				load_part_if(&part[k][j], at + 4 * j,
					     at + 4 * j < last);
		}
#pragma unroll
		for (int k = 0; k < FLIGHT_TAGGED; k++) {
			u64 middle = part[k][1], high = part[k][2];

			store_two_if(to + (i + k * threads) * PIECE,
				     tag | (middle & 0xffff) << 32 | part[k][0],
				     tag | high << 16 | middle >> 16,
				     i + k * threads < count);
		}
	}
}

/*
 * A fence waits for all that this SM has stored, whoever did: so that the first
 * chunk is told early, the next one's bytes are loaded meanwhile but not stored.
 */
DEVICE void push_waves(const struct gm_courier_job *job, u64 number, u64 done,
		       u64 tagged)
{
	const u32 thread = __nvvm_read_ptx_sreg_tid_x();
	const u32 pushers = __nvvm_read_ptx_sreg_ntid_x() - WARP;
	const u64 end = job->to + job->length;
	const u64 by = job->from - job->to;
	const u64 step = pushers * PIECE;
	u64 first = job->to / PIECE * PIECE;
	u64 to = job->to;
	u32 wave = GM_COURIER_WAVE_FIRST(job->how);

	if (GM_COURIER_TAGGED(job->how)) {
		push_tagged(job, number, tagged);
		first += GM_COURIER_TAGGED(job->how);
		if (first >= end)
			return;
	}
	while (to < end) {
		struct piece p[GM_COURIER_WAVE_FLIGHT] = {};
		u64 at = first + thread * PIECE;
		u64 last;

		to += wave;
		last = thread < pushers ? least(to, end) : 0;

#pragma unroll
		for (int i = 0; i < GM_COURIER_WAVE_FLIGHT; i++)
			load_piece_if(&p[i], at + i * step + by,
				      at + i * step < last);
		__nvvm_bar_sync(0);
#pragma unroll
		for (int i = 0; i < GM_COURIER_WAVE_FLIGHT; i++)
			store_piece_if(at + i * step, p[i],
				       at + i * step < last);
		__nvvm_bar_sync(0);
		if (thread == pushers) {
			fence();
			store_word(done, number);
		}
		/* A piece that lies in two waves is the first one's. */
		first = (to + PIECE - 1) / PIECE * PIECE;
		wave = GM_COURIER_WAVE_NEXT(wave, job->how);
		done += sizeof(struct gm_courier_word);
	}
}

/* Waits for a job; one with GM_COURIER_END when it is time to retire. */
DEVICE struct gm_courier_job next_job(const struct gm_courier_start *start,
				      u64 born, u64 number, u32 more)
{
	const u64 slot = start->bell +
			 number % GM_COURIER_SLOTS *
				 sizeof(((struct gm_courier_bell *)0)->slot[0]);
	struct gm_courier_job job = {};
	const u64 idle_since = time_ns();
	const u64 patience = more ? start->hold_ns : start->idle_ns;

	for (;;) {
		u64 now = time_ns();

		if (now - idle_since > patience) {
			job.how = GM_COURIER_END;
			return job;
		}
		if (!more && now - born > start->life_ns) {
			job.how = GM_COURIER_END | GM_COURIER_AGED;
			return job;
		}
		for (int i = 0; i < LOOKS; i++) {
			struct piece a = load_piece(slot);
			struct piece b = load_piece(slot + PIECE);

			if (a.word[3] != (u32)number ||
			    b.word[3] != (u32)number)
				continue;
			job.from = (u64)a.word[1] << 32 | a.word[0];
			job.length = a.word[2];
			job.to = (u64)b.word[1] << 32 | b.word[0];
			job.how = b.word[2];
			return job;
		}
	}
}

/*
 * The first job, unless the host gave it up. Either the host sees that the
 * kernel started or the kernel sees that it is cancelled: each writes before it
 * looks.
 */
DEVICE struct gm_courier_job first_job(const struct gm_courier_start *start)
{
	struct gm_courier_flags *flags =
		(struct gm_courier_flags *)start->flags;
	struct gm_courier_bell *bell = (struct gm_courier_bell *)start->bell;
	struct gm_courier_job job = start->job;

	store_word((u64)&flags->started.value, start->start);
	asm volatile("fence.sc.sys;" ::: "memory");
	if (load_word((u64)&bell->cancelled) == start->start)
		job.how = GM_COURIER_END;
	return job;
}

extern "C"
	__attribute__((global,
		       launch_bounds(GM_COURIER_GROUP *GM_COURIER_GROUPS))) void
	gpumem_courier(struct gm_courier_start start)
{
	/*
	 * Two, used in turn: a thread that is late still reads the last job
	 * while the next one comes in. None can be two behind.
	 */
	static SHARED struct gm_courier_job jobs[GM_COURIER_SLOTS];
	struct gm_courier_flags *flags = (struct gm_courier_flags *)start.flags;
	const int first = !__nvvm_read_ptx_sreg_tid_x();
	u64 number = start.number;
	u64 born = 0;

	if (first) {
		born = time_ns();
		jobs[number % GM_COURIER_SLOTS] = first_job(&start);
	}
	for (;;) {
		struct gm_courier_job job;

		__nvvm_bar_sync(0);
		job = jobs[number % GM_COURIER_SLOTS];
		if (job.how & GM_COURIER_END)
			break;
		if (!job.length) {
			if (first)
				store_word((u64)flags->done[number %
							    GM_COURIER_SLOTS],
					   number);
		} else if (job.how & GM_COURIER_WAVES)
			push_waves(&job, number,
				   (u64)flags->done[number % GM_COURIER_SLOTS],
				   start.tagged +
					   number % GM_COURIER_SLOTS *
						   GM_COURIER_TAGGED_ROOM);
		else
			push_job(&job, number,
				 (u64)flags->done[number % GM_COURIER_SLOTS]);
		number++;
		if (first)
			jobs[number % GM_COURIER_SLOTS] =
				next_job(&start, born, number,
					 job.how & GM_COURIER_MORE);
	}
	/* All threads came here through the barrier, with all that they did. */
	if (first) {
		if (jobs[number % GM_COURIER_SLOTS].how & GM_COURIER_AGED)
			store_word((u64)&flags->aged.value, start.start);
		fence();
		store_word((u64)&flags->retired.value, start.start);
	}
}
