/* SPDX-License-Identifier: MIT */
/*
 * What --json prints. A build without json-c has no reports:
 * report_available() is false, report_object() and report_list() give NULL, and
 * the other functions do nothing.
 */
#ifndef GPUMEM_TOOL_REPORT_H
#define GPUMEM_TOOL_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct report;

bool report_available(void);

struct report *report_object(void);
struct report *report_list(void);

/*
 * Puts a member into an object; with key NULL, appends to a list. A string that
 * is NULL becomes null; its bytes that are no UTF-8, 0x7f, and those of control
 * characters beyond ASCII become \xNN.
 */
void report_string(struct report *to, const char *key, const char *value);
void report_bool(struct report *to, const char *key, bool value);
/* GPUMEM_UNKNOWN becomes null. */
void report_number(struct report *to, const char *key, uint64_t value);
/* A string such as "0x7f0000000000"; GPUMEM_UNKNOWN becomes null. */
void report_address(struct report *to, const char *key, uint64_t value);
/* A string of eight digits, such as "0x0a000001". */
void report_word(struct report *to, const char *key, uint32_t value);
/* With three digits after the point. */
void report_real(struct report *to, const char *key, double value);
/* The member now belongs to the report it was put into. */
void report_member(struct report *to, const char *key, struct report *member);

/* Frees a report that was put into no other and is not to be printed. */
void report_drop(struct report *report);

/* To be written or dropped once more than otherwise. */
void report_keep(struct report *report);

/* Writes the report and frees it. */
void report_write(struct report *report, FILE *out);
/* The same to stdout. */
void report_print(struct report *report);

#endif /* GPUMEM_TOOL_REPORT_H */
