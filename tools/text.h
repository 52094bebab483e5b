/* SPDX-License-Identifier: MIT */
/* Lines of text for people, wrapped where a terminal shows them. */
#ifndef GPUMEM_TOOL_TEXT_H
#define GPUMEM_TOOL_TEXT_H

#include <stdarg.h>
#include <stdio.h>

/*
 * Prints one line and ends it. On a terminal it is broken between words at the
 * terminal's width, 80 columns where that is unknown, and its further rows are
 * indented. Elsewhere it stays whole: programs that read it match whole lines.
 * The bytes of control characters, and those that are no UTF-8, are shown as \xNN.
 */
void text_line(FILE *out, unsigned int indent, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, but wrapped everywhere: at 80 columns where there is no terminal. */
void text_wrapped(FILE *out, unsigned int indent, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The nearest of some names to a word that is none of them. */
struct text_near {
	const char *word;
	const char *name; /* NULL: none is near */
	unsigned int distance;
};

/* Each name is tried once, the struct zeroed but for the word. */
void text_near_try(struct text_near *near, const char *name);

#endif /* GPUMEM_TOOL_TEXT_H */
