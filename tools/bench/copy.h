/* SPDX-License-Identifier: MIT */
/* gpumem bench copy: what is measured, and what is made of it. */
#ifndef GPUMEM_TOOL_BENCH_COPY_H
#define GPUMEM_TOOL_BENCH_COPY_H

#include "bench/bench.h"
#include "stats.h"
#include "bench/method.h"

#define COPY_SIZES_MAX 64
#define COPY_ALIGNS_MAX 8
#define COPY_WAYS_MAX 16
/* Device addresses of the 64-byte copies: every place in a line. */
#define COPY_PLACES 64

/* One size, direction, kind of host memory and alignment. */
struct copy_cell {
	uint64_t length;
	bool read, pinned;
	unsigned int align; /* of the device address, past a page's start */
	int count[COPY_WAYS_MAX]; /* samples; 0: that way cannot be taken */
	struct spread spread[COPY_WAYS_MAX];
	/*
	 * The first way's median once more, from turns of its own: how far apart
	 * in a run what is the same may be.
	 */
	double again;
};

struct bench_copy {
	struct bench_gpu gpu;

	/* What is asked for. */
	uint64_t min, max; /* powers of two between, without sizes */
	uint64_t size[COPY_SIZES_MAX];
	int size_count;
	bool ranged; /* the sizes come from min and max */
	unsigned int align[COPY_ALIGNS_MAX];
	int align_count;
	bool direction[2]; /* writes, reads */
	bool host[2]; /* pageable, pinned */
	bool direction_given, host_given;
	bool method[GPUMEM_COPY_ENGINE + 1];
	bool all_classic;
	int time, pause; /* milliseconds for each row; microseconds */
	struct way_limits limits;
	bool tuned; /* the library's plan is one of gpumem tune */
	const char *save; /* a file for the JSON object, or NULL */
	const char *plot; /* a folder, or NULL */
	bool replot;
	bool targets; /* the project's own are compared too */
	/*
	 * The ways of writes and of reads: gpumem is the first, its peers
	 * follow, then gpumem's single methods.
	 */
	struct way way[2][COPY_WAYS_MAX];
	int peer_count[2], way_count[2];

	/* What it found. */
	struct copy_cell *cell;
	int cell_count;
	/* medians of 64 bytes by the device address in a line; 0: none */
	double place[2][COPY_PLACES];
	/* why a way was not taken; of writes, of reads */
	char missing[2][COPY_WAYS_MAX][232];
};

/*
 * Measures all that is asked for, printing rows unless JSON is wanted. Returns 0
 * or an exit code after saying why.
 */
int copy_measure(struct bench_copy *copy);

/* The best peer of a cell, an index of its ways; -1: there is none. */
int copy_best_peer(const struct bench_copy *copy, const struct copy_cell *cell);

/*
 * Of all cells, in hundredths: how far the first way's median is from its other
 * one, at most and in the middle. False where there is no cell.
 */
bool copy_apart(const struct bench_copy *copy, double *most, double *middle);

/* GB/s of a median; 0 for no time. */
double copy_rate(uint64_t length, double us);

/* Table: a header for the cell that begins a group, and a row. */
void copy_print_header(const struct bench_copy *copy,
		       const struct copy_cell *cell);
void copy_print_row(const struct bench_copy *copy,
		    const struct copy_cell *cell);
void copy_print_end(const struct bench_copy *copy);
/* As JSON to out; then out is to be looked at for errors. */
void copy_report(const struct bench_copy *copy, FILE *out);

/* A target of the project's own, and whether the figures meet it: --targets. */
struct copy_target {
	char name[112];
	bool measured; /* otherwise nothing of it was in the run */
	bool met;
	char detail[160];
};

/* Gives them one after the other; false past the last. */
bool copy_target_get(const struct bench_copy *copy, unsigned int index,
		     struct copy_target *target);

/*
 * Makes the folder, and looks whether gnuplot and the files in the folder can be
 * had, before anything is measured. Returns 0 or an exit code after saying why
 * not.
 */
int copy_plot_check(const char *folder);

/*
 * Writes the figures into the folder, and with gnuplot PNG and SVG of them.
 * copy_replot() draws what an earlier run left there. Return 0 or an exit code
 * after saying why.
 */
int copy_plot(const struct bench_copy *copy);
int copy_replot(const char *folder);

#endif /* GPUMEM_TOOL_BENCH_COPY_H */
