// SPDX-License-Identifier: MIT
/* Wrapped lines, and names that a misspelt word may stand for. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/base/text.h"
#include "text.h"

#define WIDTH_UNKNOWN 80
#define WIDTH_LEAST 20
/* Longer words are near to no name. */
#define NEAR_MAX 32

/* Columns of the terminal that out is; 0 where it is none. */
static unsigned int text_width(FILE *out)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	unsigned long width = 0;

	if (!isatty(fileno(out)))
		return 0;
	if (!ioctl(fileno(out), TIOCGWINSZ, &size))
		width = size.ws_col;
	if (!width && columns)
		width = strtoul(columns, NULL, 10);
	return width >= WIDTH_LEAST && width < 10000 ? width : WIDTH_UNKNOWN;
}

/* Of "\xNN". */
#define ESCAPED 4

/* Columns of a word as text_word() prints it. */
static unsigned int word_columns(const char *word, size_t length)
{
	unsigned int columns = 0;

	while (length) {
		size_t bytes = gm_text_char(word);

		columns += bytes ? 1 : ESCAPED;
		bytes += !bytes;
		word += bytes;
		length -= bytes;
	}
	return columns;
}

static void text_word(FILE *out, const char *word, size_t length)
{
	while (length) {
		size_t bytes = gm_text_char(word);

		if (bytes)
			fwrite(word, 1, bytes, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*word);
		bytes += !bytes;
		word += bytes;
		length -= bytes;
	}
}

/* A width of 0 leaves the line whole. */
static void text_wrap(FILE *out, unsigned int width, unsigned int indent,
		      const char *text)
{
	unsigned int column = 0;

	if (indent > width / 2)
		indent = 2;
	while (*text) {
		size_t gap = strspn(text, " ");
		size_t length = strcspn(text + gap, " ");
		unsigned int word = word_columns(text + gap, length);

		if (width && column > indent && column + gap + word > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else {
			fprintf(out, "%*s", (int)gap, "");
			column += gap;
		}
		text_word(out, text + gap, length);
		column += word;
		text += gap + length;
	}
	putc('\n', out);
}

static void text_print(FILE *out, unsigned int width, unsigned int indent,
		       const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0) {
		fprintf(out, "%s\n", format);
		return;
	}
	text_wrap(out, width, indent, text);
	free(text);
}

void text_line(FILE *out, unsigned int indent, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_print(out, text_width(out), indent, format, args);
	va_end(args);
}

void text_wrapped(FILE *out, unsigned int indent, const char *format, ...)
{
	unsigned int width = text_width(out);
	va_list args;

	va_start(args, format);
	text_print(out, width ? width : WIDTH_UNKNOWN, indent, format, args);
	va_end(args);
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/*
 * Letters to add, take away, change, or swap with the next one, to make one
 * word of the other.
 */
static unsigned int text_distance(const char *a, const char *b)
{
	unsigned int rows[3][NEAR_MAX + 1];
	unsigned int *before = rows[0], *last = rows[1], *row = rows[2];
	size_t length_a = strlen(a), length_b = strlen(b);

	if (length_a > NEAR_MAX || length_b > NEAR_MAX)
		return NEAR_MAX;
	for (size_t k = 0; k <= length_b; k++)
		last[k] = k;
	for (size_t i = 1; i <= length_a; i++) {
		unsigned int *next = before;

		row[0] = i;
		for (size_t k = 1; k <= length_b; k++) {
			row[k] = least(least(last[k], row[k - 1]) + 1,
				       last[k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
			    a[i - 2] == b[k - 1])
				row[k] = least(row[k], before[k - 2] + 1);
		}
		before = last;
		last = row;
		row = next;
	}
	return last[length_b];
}

void text_near_try(struct text_near *near, const char *name)
{
	size_t length = strlen(near->word);
	unsigned int distance;

	/* A beginning is the nearest; the limit keeps short words apart. */
	if (length > 1 && !strncmp(near->word, name, length))
		distance = 0;
	else
		distance = text_distance(near->word, name);
	if (distance > length / 3 || (near->name && distance >= near->distance))
		return;
	near->name = name;
	near->distance = distance;
}
