/* SPDX-License-Identifier: MIT */
/* The library's one clock. A test that links the library's objects has its own. */
#ifndef GM_CLOCK_H
#define GM_CLOCK_H

#include <stdint.h>

/* Monotonic time in nanoseconds. */
uint64_t gm_clock_ns(void);

/* Returns when so many nanoseconds have passed; keeps the CPU meanwhile. */
void gm_clock_spin(uint64_t ns);

#endif /* GM_CLOCK_H */
