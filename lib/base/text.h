/* SPDX-License-Identifier: MIT */
/* Text that comes from outside, and how it is shown. */
#ifndef GM_TEXT_H
#define GM_TEXT_H

#include <stddef.h>

/*
 * Bytes of the UTF-8 character at text, which ends with a 0; 0: none begins
 * there, or it is a control character.
 */
size_t gm_text_char(const char *text);

/*
 * Copies a text as a terminal and a JSON file can take it: the bytes of control
 * characters, and those that are no UTF-8, as \xNN. Text that does not fit is cut
 * off between two characters.
 */
void gm_text_escape(char *to, size_t size, const char *from);

#endif /* GM_TEXT_H */
