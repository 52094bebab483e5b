/* SPDX-License-Identifier: MIT */
/*
 * gpumem bench loops: the loops that programs run, each with gpumem, with gpumem
 * that never starts the SM copy, and with cuMemcpy.
 */
#ifndef GPUMEM_TOOL_BENCH_LOOPS_H
#define GPUMEM_TOOL_BENCH_LOOPS_H

#include "bench/bench.h"
#include "bench/ratio.h"

#define LOOPS_SIZES_MAX 16
#define LOOPS_BLOCKS_MIN 9
#define LOOPS_BLOCKS_MAX 101

/* Ways to copy; each has memory of its own. */
enum { LOOP_GPUMEM, LOOP_WITHOUT, LOOP_CUDA, LOOP_COPIES };

/* Ways beside these that a loop shows for information. */
#define LOOP_ALSO_MAX 2
#define LOOP_WAYS_MAX (LOOP_COPIES + LOOP_ALSO_MAX)
/* Times that one block gives: of a read and of a thread beside it, say. */
#define LOOP_FIGURES_MAX 2

/* Between the places of reads that follow each other: none sees old data. */
#define LOOP_SHIFT 256u

struct loops;
struct loop_cell;

struct loop_kernel {
	void *module, *function;
};

/* What CUDA has beside struct cuda. */
struct loops_cuda {
	int (*launch)(void *function, unsigned int grid_x, unsigned int grid_y,
		      unsigned int grid_z, unsigned int block_x,
		      unsigned int block_y, unsigned int block_z,
		      unsigned int shared, void *stream, void **parameters,
		      void **extra);
	int (*module_load)(void **module, const void *image);
	int (*module_unload)(void *module);
	int (*module_function)(void **function, void *module, const char *name);
	int (*stream_create)(void **stream, unsigned int flags);
	int (*stream_destroy)(void *stream);
	int (*stream_synchronize)(void *stream);
	int (*event_create)(void **event, unsigned int flags);
	int (*event_destroy)(void *event);
	int (*event_record)(void *event, void *stream);
	int (*event_synchronize)(void *event);
	int (*copy_from_gpu_async)(void *dst, uint64_t src, size_t length,
				   void *stream);
	int (*memset_d32)(uint64_t addr, unsigned int value, size_t count);
	struct loop_kernel step, product;
};

/* One of the loops; the table is in loops.c. */
struct loop {
	const char *name, *summary;
	int (*run)(struct loops *loops);
};

/* A row, for the end and for the plot. */
struct loop_row {
	const char *loop, *what;
	uint64_t bytes;
	bool pinned;
	bool joined; /* with the loop's other times in one drawing */
	int processes; /* 0: this one alone */
	double us[LOOP_COPIES]; /* medians; 0: not measured */
	struct ratio to_cuda, to_without;
};

struct loops {
	struct bench_gpu gpu;
	struct gpumem *without; /* a session whose reads start no kernel */
	struct loops_cuda cuda;

	/* What is asked for. */
	uint32_t chosen; /* a bit for each loop; 0: all */
	uint64_t size[LOOPS_SIZES_MAX];
	int size_count; /* 0: each loop has its own sizes */
	uint64_t large; /* the long read of head-of-line */
	int time, blocks; /* milliseconds of a block; blocks of each way */
	bool list;
	bool worker; /* this is a process that another one's bench started */
	const char *plot; /* a folder, or NULL */
	const char *save; /* a file for the JSON object, or NULL */

	/* What it found. */
	struct report *rows; /* NULL: only printed */
	struct loop_row *row;
	int row_count;
	const char *now; /* the loop that is being measured */
	char missing[96]; /* why there is no CUDA graph; "": there is one */
};

/* loops_side.c: memory of one way to copy, and what its words are. */
struct loop_side {
	struct loops *loops;
	int way; /* LOOP_GPUMEM, _WITHOUT or _CUDA */
	struct gpumem_buf *buf; /* NULL: CUDA's own */
	uint64_t addr, length;
	/* Word i is first + i times an odd number. */
	uint32_t first;
	uint64_t reads;
};

/*
 * These return 0, or an exit code after saying why. Lengths and offsets are
 * multiples of 4. No memory that gpumem pinned is CUDA's side: a pin makes
 * CUDA's asynchronous copies of it wait.
 */
int loop_side_open(struct loops *loops, int way, uint64_t length,
		   struct loop_side *side);
void loop_side_close(struct loop_side *side);
/* All ways, into an array of LOOP_COPIES; closes those of an array of zeros. */
int loop_sides_open(struct loops *loops, uint64_t length,
		    struct loop_side *sides);
void loop_sides_close(struct loop_side *sides);

/* Launches the kernel that adds 1 to each word, in the null stream. */
int loop_side_step(struct loop_side *side);
int loop_side_read(struct loop_side *side, uint64_t offset, void *host,
		   uint64_t length);
/* cuMemcpyDtoHAsync, which cuStreamSynchronize is to follow. */
int loop_side_read_async(struct loop_side *side, void *host, uint64_t length);
int loop_side_write(struct loop_side *side, const void *host, uint64_t length,
		    uint32_t first);
/* What a read from there has to give: TOOL_MISMATCH after saying what it did. */
int loop_side_check(const struct loop_side *side, uint64_t offset,
		    const void *host, uint64_t length);
/* The same of every 1024th word and the last. */
int loop_side_sample(const struct loop_side *side, uint64_t offset,
		     const void *host, uint64_t length);
void loop_words_fill(uint32_t *words, uint64_t length, uint32_t first);

/*
 * A read that follows others, timed and checked: its time is added to *us. It is
 * not of the place where the one before was.
 */
int loop_side_next(struct loop_side *side, void *host, uint64_t length,
		   double *us);

/* loops_cell.c: one size of a loop, measured in alternating blocks. */
typedef int loop_block_fn(struct loop_cell *cell, int way, double *us);
typedef int loop_once_fn(struct loop_cell *cell, int way, double *us);

struct loop_cell {
	struct loops *loops;
	const char *loop; /* its name */
	const char *what[LOOP_FIGURES_MAX]; /* what a time is of */
	uint64_t bytes[LOOP_FIGURES_MAX];
	/* The time is of work that does not stop: shown per second too. */
	bool per_second[LOOP_FIGURES_MAX];
	int figures;
	bool joined; /* the figures are points of one drawing */
	bool pinned;
	int processes;
	double time_us; /* of a block */
	/* Further ways, after LOOP_CUDA, for information. */
	const char *also[LOOP_ALSO_MAX];
	int also_count;
	/* Does one block; puts a time, or nothing, for each figure. */
	loop_block_fn *block;
	loop_once_fn *once; /* of loop_repeat() */
	struct loop_side side[LOOP_COPIES];
	struct bench_host host;
	void *work; /* the loop's own */
};

/* "gpumem", "gpumem without SM copy", "cuMemcpy" or one of the cell's own. */
const char *loop_way_name(const struct loop_cell *cell, int way);

/* A cell of one figure and a loop_once_fn, in the loops' time. */
struct loop_cell loop_cell(struct loops *loops, const char *loop,
			   const char *what, uint64_t bytes);

/* Makes and frees the memory, for bytes[0]; closes one of zeros too. */
int loop_cell_open(struct loop_cell *cell);
void loop_cell_close(struct loop_cell *cell);

/* Measures all blocks and reports a row a figure. */
int loop_cell_measure(struct loop_cell *cell);

/* The three of them. */
int loop_cell_run(struct loop_cell *cell);

/*
 * A block: the cell's `once` until the time is over, which adds what it takes to
 * a time; *us receives the mean. Two of them come first and do not count.
 */
int loop_repeat(struct loop_cell *cell, int way, double *us);

/* A block in which nobody reads: there is no time of a read. */
void loop_idle(const struct loop_cell *cell, double *us);

/* The cell's next read, alone: a loop_once_fn. */
int loop_read_once(struct loop_cell *cell, int way, double *us);

/* The sizes asked for, or the loop's own, of which 0 ends the list. */
int loop_sizes(const struct loops *loops, const uint64_t *own, uint64_t *sizes);

/* loops_kernel.c */
int loops_cuda_open(struct loops *loops);
void loops_cuda_close(struct loops *loops);
int loops_step(struct loops *loops, uint64_t addr, uint32_t words,
	       void *stream);
int loops_product(struct loops *loops, const uint64_t *matrices, uint32_t n,
		  void *stream);

/* loops_graph.c: the step and a copy of its result as one CUDA graph. */
struct loop_graph {
	void *stream, *graph, *exec;
	int (*launch)(void *exec, void *stream);
	int (*exec_destroy)(void *exec);
	int (*graph_destroy)(void *graph);
};

/* False, with the reason in loops->missing, where it cannot be had. */
bool loop_graph_open(struct loop_side *side, void *host, uint64_t length,
		     struct loop_graph *graph);
void loop_graph_close(struct loops *loops, struct loop_graph *graph);
/* Runs it and waits for its end. */
int loop_graph_run(struct loop_side *side, struct loop_graph *graph);

/* The loops. */
int loop_sync_run(struct loops *loops);
int loop_write_run(struct loops *loops);
int loop_beside_run(struct loops *loops);
int loop_processes_run(struct loops *loops);
int loop_busy_run(struct loops *loops);
int loop_head_run(struct loops *loops);

/* loops_worker.c: what a process of loop_processes_run() does. */
int loops_worker_run(struct loops *loops);

/* loops_print.c */
void loops_print_header(void);
/* Prints and reports a row, and keeps it; stats has a series for each way. */
int loops_row(const struct loop_cell *cell, int figure,
	      const struct stats *stats);
void loops_print_end(const struct loops *loops);

/* loops_plot.c */
int loops_plot_check(const char *folder);
int loops_plot(const struct loops *loops);

#endif /* GPUMEM_TOOL_BENCH_LOOPS_H */
