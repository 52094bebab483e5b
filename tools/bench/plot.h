/* SPDX-License-Identifier: MIT */
/* Drawings by gnuplot: --plot FOLDER of the benches. */
#ifndef GPUMEM_TOOL_BENCH_PLOT_H
#define GPUMEM_TOOL_BENCH_PLOT_H

#include <stdio.h>

/*
 * Looks, before anything is measured, whether gnuplot draws PNG and SVG and
 * whether the files can be written; makes the folder. Returns 0 or TOOL_FAILED
 * after saying why not.
 */
int plot_check(const char *folder, const char *const *names, int count);

/* Creates a file in the folder. NULL, after saying why not. */
FILE *plot_create(const char *folder, const char *name);

/* Closes it. Returns 0, or TOOL_FAILED after saying what was lost. */
int plot_close(FILE *out, const char *folder, const char *name);

/*
 * Writes a script into the folder and runs gnuplot there. Returns 0 or
 * TOOL_FAILED after saying why not.
 */
int plot_draw(const char *folder, const char *name, const char *script);

#endif /* GPUMEM_TOOL_BENCH_PLOT_H */
