/* SPDX-License-Identifier: MIT */
/*
 * Ways to copy between the host and a GPU: gpumem's, CUDA's and the classic
 * ones. Verified, and measured in turns, so that what drifts on the machine
 * hits all alike.
 */
#ifndef GPUMEM_TOOL_WAY_H
#define GPUMEM_TOOL_WAY_H

#include "bench/bench.h"
#include "bench/baseline.h"
#include "stats.h"

enum way_kind {
	WAY_GPUMEM, /* gpumem_write_with(), or gpumem_write() */
	WAY_PLAN, /* gpumem_write() after a plan that knows one way alone */
	WAY_CUDA,
	WAY_CLASSIC,
};

struct way {
	enum way_kind kind;
	char name[32];
	/* GPUMEM_COPY_*; _AUTO is gpumem_write(), gpumem_read(). */
	unsigned int method;
	unsigned int threads; /* 0: as configured; WAY_PLAN: 1 or more */
	const struct classic *classic; /* WAY_CLASSIC */
};

/* One copy. */
struct way_job {
	struct bench_gpu *gpu;
	const struct bench_memory *memory;
	const struct bench_host *host;
	bool read; /* from the GPU */
	uint64_t offset; /* in the GPU memory, behind the guard */
	uint64_t length;
};

/* How long the ways are measured. */
struct way_limits {
	double time_us; /* no new round after so long */
	int rounds; /* but not before so many */
	/*
	 * 0: a turn is one call that does not count and then calls that follow
	 * each other, their mean is the sample. Otherwise a turn is a pause of
	 * so long, awake, and one call.
	 */
	double pause_us;
	/* the rounds are spread over so long, where they take less; 0: not */
	double spread_us;
	/* a way slower than the best by this factor gets no turn; 0: all do */
	double drop;
};

struct way_result {
	int error; /* 0, or a negative errno; then there are no samples */
	char why[232]; /* why it failed */
	struct stats stats; /* microseconds a copy */
};

/*
 * A way by its name: "gpumem", "cpu", "threads", "courier", "engine",
 * "cuMemcpy". Returns false for another.
 */
bool way_named(const char *name, struct way *way);

/* A classic way; its name is "classic-" and the routine's. */
void way_classic(const struct classic *classic, struct way *way);

/*
 * Does the copy so many times in a row; a WAY_PLAN's plan is the session's then.
 * Returns 0, or a negative errno with the reason in why.
 */
int way_copies(const struct way *way, const struct way_job *job, int count,
	       char *why, size_t room);

/* The same once. */
int way_copy(const struct way *way, const struct way_job *job, char *why,
	     size_t room);

/*
 * Copies and looks at every byte that was copied, and at those around it. check
 * is host memory as large as the job's. Returns 0, TOOL_MISMATCH after saying
 * which byte is wrong, or TOOL_FAILED after saying why; a way that cannot be
 * taken here is no failure.
 */
int way_verify(const struct way *way, const struct way_job *job,
	       const struct bench_host *check);

/* Measures all ways. */
void way_measure(const struct way *ways, unsigned int count,
		 const struct way_job *job, const struct way_limits *limits,
		 struct way_result *results);

#endif /* GPUMEM_TOOL_WAY_H */
