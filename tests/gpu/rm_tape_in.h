/* SPDX-License-Identifier: MIT */
/* What rm_tape.c and rm_tape_call.c share. */
#ifndef GPUMEM_RM_TAPE_IN_H
#define GPUMEM_RM_TAPE_IN_H

#include <stdbool.h>

#include "rm_tape.h"

enum tape_kind { TAPE_VALUE, TAPE_DESCRIPTOR, TAPE_MAPPING, TAPE_MEMORY };

/* What a step gave a name to. */
struct tape_name {
	enum tape_kind kind;
	char text[32];
	uint64_t value; /* a mapping: its length; a descriptor: itself */
	void *map;
	struct tape_cuda_memory memory;
};

struct tape_text {
	char *at;
	size_t left;
};

/* Adds to a result; what has no room is left out. */
void tape_put(struct tape_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* "0" or "-ENAME" */
void tape_put_errno(struct tape_text *text, int err);
/* Says on stderr what is wrong with a step; -1. */
int tape_wrong(const char *what, const char *text);

struct tape_name *tape_name_find(enum tape_kind kind, const char *text);
/* The name, made where there is none yet; NULL: no room for it. */
struct tape_name *tape_name_make(enum tape_kind kind, const char *text);
/* Gives the value the name prefix and suffix make. */
int tape_name_set(const char *prefix, const char *suffix, uint64_t value);
/* NUMBER, $NAME, $NAME+NUMBER or fd:NAME */
int tape_value_read(const char *text, uint64_t *value);

int tape_call(bool child, char **next, struct tape_text *out);

#endif /* GPUMEM_RM_TAPE_IN_H */
