/* SPDX-License-Identifier: MIT */
/* This machine's CPU. */
#ifndef GM_CPU_MODEL_H
#define GM_CPU_MODEL_H

#include <stddef.h>

/*
 * The CPU's model, one line, as /proc/cpuinfo has it: its name or, on arm64, the
 * numbers of its maker and its kind; the architecture where there is neither.
 */
void gm_cpu_model(char *model, size_t size);

#endif /* GM_CPU_MODEL_H */
