/* SPDX-License-Identifier: MIT */
/* What the files of the sandbox test share. */
#ifndef GPUMEM_SANDBOX_H
#define GPUMEM_SANDBOX_H

#include <sys/types.h>

#include "sandbox_calls.h"

enum sandbox_mode {
	SANDBOX_KILL, /* a call that is not on the list ends the process */
	SANDBOX_LEARN, /* it is reported and done */
	SANDBOX_COUNT, /* every call is counted, by step */
};

/* A step of the program, told to the tracer by a call that does nothing. */
void sandbox_step(const char *name);

/* Puts the filter on this thread and those that it starts. */
void sandbox_filter(enum sandbox_mode mode, enum sandbox_after after);

/* Follows a stopped child to its end; returns its wait status. */
int sandbox_trace(pid_t child, enum sandbox_mode mode);

/* The name of a call, or NULL. */
const char *sandbox_name(int nr);

#endif /* GPUMEM_SANDBOX_H */
