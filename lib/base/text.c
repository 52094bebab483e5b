// SPDX-License-Identifier: MIT
/* Text that comes from outside, and how it is shown. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/*
 * The second byte tells a form that is too long, a surrogate, a number that is too
 * large, and a control character.
 */
size_t gm_text_char(const char *from)
{
	static const struct {
		unsigned char first, last; /* of the first byte */
		unsigned char low, high; /* of the second */
		size_t length;
	} forms[] = {
		{ 0xc2, 0xc2, 0xa0, 0xbf, 2 }, { 0xc3, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *text = (const unsigned char *)from;

	if (text[0] >= 0x20 && text[0] < 0x7f)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t length = 2;

		if (text[0] < forms[i].first || text[0] > forms[i].last ||
		    text[1] < forms[i].low || text[1] > forms[i].high)
			continue;
		while (length < forms[i].length &&
		       (text[length] & 0xc0) == 0x80)
			length++;
		return length == forms[i].length ? length : 0;
	}
	return 0;
}

void gm_text_escape(char *to, size_t size, const char *from)
{
	size_t used = 0;

	while (*from) {
		size_t length = gm_text_char(from);
		size_t room = length ? length : sizeof("\\xNN") - 1;

		if (room >= size - used)
			break;
		if (length)
			memcpy(to + used, from, length);
		else
			snprintf(to + used, size - used, "\\x%02x",
				 (unsigned char)*from);
		used += room;
		from += length ? length : 1;
	}
	to[used] = '\0';
}
