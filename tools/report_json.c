// SPDX-License-Identifier: MIT
/* Reports through json-c. A struct report is a struct json_object. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#include <gpumem.h>

#include "../lib/base/text.h"
#include "report.h"

static void put(struct report *to, const char *key, struct json_object *value)
{
	struct json_object *parent = (struct json_object *)to;

	if (key)
		json_object_object_add(parent, key, value);
	else
		json_object_array_add(parent, value);
}

bool report_available(void)
{
	return true;
}

struct report *report_object(void)
{
	return (struct report *)json_object_new_object();
}

struct report *report_list(void)
{
	return (struct report *)json_object_new_array();
}

/*
 * json-c writes bytes as they come. It escapes the control characters of ASCII
 * itself; the rest of what is no text is shown as in lines for people.
 */
static struct json_object *string_new(const char *value)
{
	struct json_object *object = NULL;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	while (*value) {
		size_t bytes = gm_text_char(value);

		if (!bytes && (unsigned char)*value < ' ')
			bytes = 1;
		if (bytes)
			fwrite(value, 1, bytes, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*value);
		value += bytes + !bytes;
	}
	if (!fclose(out))
		object = json_object_new_string_len(text, (int)length);
	free(text);
	return object;
}

void report_string(struct report *to, const char *key, const char *value)
{
	put(to, key, value ? string_new(value) : NULL);
}

void report_bool(struct report *to, const char *key, bool value)
{
	put(to, key, json_object_new_boolean(value));
}

void report_number(struct report *to, const char *key, uint64_t value)
{
	put(to, key,
	    value == GPUMEM_UNKNOWN ? NULL : json_object_new_uint64(value));
}

void report_address(struct report *to, const char *key, uint64_t value)
{
	char text[24];

	if (value == GPUMEM_UNKNOWN) {
		put(to, key, NULL);
		return;
	}
	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	report_string(to, key, text);
}

void report_word(struct report *to, const char *key, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%08" PRIx32, value);
	report_string(to, key, text);
}

void report_real(struct report *to, const char *key, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%.3f", value);
	put(to, key, json_object_new_double_s(value, text));
}

void report_member(struct report *to, const char *key, struct report *member)
{
	put(to, key, (struct json_object *)member);
}

void report_keep(struct report *report)
{
	json_object_get((struct json_object *)report);
}

void report_drop(struct report *report)
{
	json_object_put((struct json_object *)report);
}

void report_write(struct report *report, FILE *out)
{
	struct json_object *object = (struct json_object *)report;

	fprintf(out, "%s\n",
		json_object_to_json_string_ext(object,
					       JSON_C_TO_STRING_PRETTY));
	json_object_put(object);
}

void report_print(struct report *report)
{
	report_write(report, stdout);
}
