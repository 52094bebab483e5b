/* SPDX-License-Identifier: MIT */
#ifndef GPUMEM_RM_STEPS_H
#define GPUMEM_RM_STEPS_H

/* What is recorded, in order; "# ..." is a title. Ends with NULL. */
extern const char *const rm_steps[];

#endif /* GPUMEM_RM_STEPS_H */
