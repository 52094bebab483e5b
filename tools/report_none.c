// SPDX-License-Identifier: MIT
/* Reports where json-c was not there at build time: none. */
#include <stddef.h>

#include "report.h"

bool report_available(void)
{
	return false;
}

struct report *report_object(void)
{
	return NULL;
}

struct report *report_list(void)
{
	return NULL;
}

void report_string(struct report *to, const char *key, const char *value)
{
}

void report_bool(struct report *to, const char *key, bool value)
{
}

void report_number(struct report *to, const char *key, uint64_t value)
{
}

void report_address(struct report *to, const char *key, uint64_t value)
{
}

void report_word(struct report *to, const char *key, uint32_t value)
{
}

void report_real(struct report *to, const char *key, double value)
{
}

void report_member(struct report *to, const char *key, struct report *member)
{
}

void report_keep(struct report *report)
{
}

void report_drop(struct report *report)
{
}

void report_write(struct report *report, FILE *out)
{
}

void report_print(struct report *report)
{
}
