/* SPDX-License-Identifier: MIT */
/* GDRCopy's own copies, for gdrcopy_speed.c to compare with. */
#ifndef GDRCOPY_THEIRS_H
#define GDRCOPY_THEIRS_H

#include <stddef.h>

/*
 * Looks at the CPU as GDRCopy does. It says on standard error what it found, and
 * later, once, which of its routines a copy takes.
 */
void theirs_start(void);

/* gdr_copy_to_mapping() and _from_mapping() of a write-combined mapping. */
int theirs_copy_to(void *map, const void *host, size_t size);
int theirs_copy_from(void *host, const void *map, size_t size);
/* The same and a load fence, which GDRCopy 2.6 leaves to its callers. */
int theirs_copy_from_fenced(void *host, const void *map, size_t size);

#endif /* GDRCOPY_THEIRS_H */
