// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rm_tape_in.h"

#define NAMES 96
#define HANDLE_WORDS 16

static struct tape_name names[NAMES];
static unsigned int name_count;

void tape_put(struct tape_text *text, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->at, text->left, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < text->left) {
		text->at += n;
		text->left -= (size_t)n;
	}
}

void tape_put_errno(struct tape_text *text, int err)
{
	if (err)
		tape_put(text, "-%s", strerrorname_np(err));
	else
		tape_put(text, "0");
}

int tape_wrong(const char *what, const char *text)
{
	fprintf(stderr, "rm_tape: %s: \"%s\"\n", what, text ? text : "");
	return -1;
}

struct tape_name *tape_name_find(enum tape_kind kind, const char *text)
{
	for (unsigned int i = 0; text && i < name_count; i++)
		if (names[i].kind == kind && !strcmp(names[i].text, text))
			return &names[i];
	return NULL;
}

/* The name, made new where there is none yet. */
struct tape_name *tape_name_make(enum tape_kind kind, const char *text)
{
	struct tape_name *name = tape_name_find(kind, text);

	if (!text || name)
		return name;
	if (name_count == NAMES || strlen(text) >= sizeof(name->text))
		return NULL;
	name = &names[name_count++];
	name->kind = kind;
	strcpy(name->text, text);
	return name;
}

int tape_name_set(const char *prefix, const char *suffix, uint64_t value)
{
	struct tape_name *name;
	char text[64];

	snprintf(text, sizeof(text), "%s%s", prefix, suffix);
	name = tape_name_make(TAPE_VALUE, text);
	if (!name)
		return tape_wrong("no room for a name", text);
	name->value = value;
	return 0;
}

/* NUMBER, $NAME, $NAME+NUMBER or fd:NAME */
int tape_value_read(const char *text, uint64_t *value)
{
	char word[64], *plus, *end;
	struct tape_name *name;
	uint64_t more = 0;

	if (!text || strlen(text) >= sizeof(word))
		return tape_wrong("no value", text);
	strcpy(word, text);
	if (!strncmp(word, "fd:", 3)) {
		name = tape_name_find(TAPE_DESCRIPTOR, word + 3);
		if (!name)
			return tape_wrong("no such descriptor", text);
		*value = name->value;
		return 0;
	}
	if (*word != '$') {
		*value = (uint64_t)strtoull(word, &end, 0);
		return *end || end == word ? tape_wrong("no number", text) : 0;
	}
	plus = strchr(word, '+');
	if (plus) {
		*plus = '\0';
		more = strtoull(plus + 1, NULL, 0);
	}
	name = tape_name_find(TAPE_VALUE, word + 1);
	if (!name)
		return tape_wrong("no such value", text);
	*value = name->value + more;
	return 0;
}

/* open FD nvidiactl|nvidia: of the GPU whose minor has the name "minor" */
static int step_open(char **next, struct tape_text *out)
{
	struct tape_name *name =
		tape_name_make(TAPE_DESCRIPTOR, strtok_r(NULL, " ", next));
	char *node = strtok_r(NULL, " ", next);
	uint64_t minor;
	char path[64];
	int fd;

	if (!name || !node)
		return tape_wrong("no name to open", node);
	snprintf(path, sizeof(path), "/dev/nvidiactl");
	if (strcmp(node, "nvidiactl") != 0) {
		if (tape_value_read("$minor", &minor))
			return -1;
		snprintf(path, sizeof(path), "/dev/nvidia%u",
			 (unsigned int)minor);
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	name->value = (uint64_t)(int64_t)fd;
	tape_put_errno(out, fd < 0 ? errno : 0);
	return 0;
}

/* close FD, or close $NAME: a descriptor that a call gave, if it gave one */
static int step_close(char **next, struct tape_text *out)
{
	char *text = strtok_r(NULL, " ", next);
	struct tape_name *name;
	uint64_t fd;
	int err = 0;

	if (text && *text == '$') {
		if (tape_value_read(text, &fd))
			return -1;
		if ((int)fd > 2)
			close((int)fd);
		tape_put(out, "0");
		return 0;
	}
	name = tape_name_find(TAPE_DESCRIPTOR, text);
	if (!name)
		return tape_wrong("no such descriptor", text);
	if ((int)name->value >= 0 && close((int)name->value))
		err = errno;
	name->value = (uint64_t)-1;
	tape_put_errno(out, err);
	return 0;
}

/* mmap NAME FD LENGTH OFFSET */
static int step_mmap(char **next, struct tape_text *out)
{
	struct tape_name *map =
		tape_name_make(TAPE_MAPPING, strtok_r(NULL, " ", next));
	struct tape_name *fd =
		tape_name_find(TAPE_DESCRIPTOR, strtok_r(NULL, " ", next));
	uint64_t length, offset;
	void *area;

	if (!map || map->map || !fd)
		return tape_wrong("a name of mmap", NULL);
	if (tape_value_read(strtok_r(NULL, " ", next), &length) ||
	    tape_value_read(strtok_r(NULL, " ", next), &offset))
		return -1;
	area = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED,
		    (int)fd->value, (off_t)offset);
	tape_put_errno(out, area == MAP_FAILED ? errno : 0);
	if (area == MAP_FAILED)
		return 0;
	map->map = area;
	map->value = length;
	return 0;
}

static int step_munmap(char **next, struct tape_text *out)
{
	struct tape_name *map =
		tape_name_find(TAPE_MAPPING, strtok_r(NULL, " ", next));

	if (!map)
		return tape_wrong("no such mapping", NULL);
	if (map->map)
		munmap(map->map, map->value);
	map->map = NULL;
	tape_put(out, "0");
	return 0;
}

/* look NAME AT BYTE: whether the mapping shows this byte 64 times from AT on */
static int step_look(char **next, struct tape_text *out)
{
	struct tape_name *map =
		tape_name_find(TAPE_MAPPING, strtok_r(NULL, " ", next));
	const volatile unsigned char *seen;
	uint64_t at, byte;
	bool same = true;

	if (tape_value_read(strtok_r(NULL, " ", next), &at) ||
	    tape_value_read(strtok_r(NULL, " ", next), &byte))
		return -1;
	if (!map || !map->map || at + 64 > map->value) {
		tape_put(out, "unmapped");
		return 0;
	}
	seen = (unsigned char *)map->map + at;
	for (int i = 0; i < 64; i++)
		same = same && seen[i] == byte;
	tape_put(out, same ? "shown" : "other");
	return 0;
}

static void put_cuda(struct tape_text *out, int result)
{
	tape_put(out, result ? "CUDA error %d" : "0", result);
}

/*
 * cuda-alloc NAME BYTES: gives $NAME_client, $NAME_object, $NAME_block (bytes)
 * and $NAME_offset; cuda-vmm NAME BYTES: gives fd:NAME; cuda-fill NAME BYTE
 * BYTES; cuda-free NAME.
 */
static int step_cuda(const char *verb, char **next, struct tape_text *out)
{
	char *text = strtok_r(NULL, " ", next);
	struct tape_name *name = tape_name_make(TAPE_MEMORY, text);
	uint32_t words[HANDLE_WORDS] = { 0 };
	struct tape_name *fd;
	uint64_t size = 0, byte = 0;
	int number = -1;

	if (!name)
		return tape_wrong("no name of CUDA memory", text);
	if (!strcmp(verb, "free")) {
		put_cuda(out, tape_cuda_free(&name->memory));
		return 0;
	}
	if (!strcmp(verb, "fill") &&
	    tape_value_read(strtok_r(NULL, " ", next), &byte))
		return -1;
	if (tape_value_read(strtok_r(NULL, " ", next), &size))
		return -1;
	if (!strcmp(verb, "fill")) {
		put_cuda(out, tape_cuda_fill(&name->memory, (unsigned char)byte,
					     size));
		return 0;
	}
	if (!strcmp(verb, "vmm")) {
		fd = tape_name_make(TAPE_DESCRIPTOR, text);
		if (!fd)
			return tape_wrong("no room for a name", text);
		put_cuda(out, tape_cuda_vmm(&name->memory, size, &number));
		fd->value = (uint64_t)(int64_t)number;
		return 0;
	}
	if (strcmp(verb, "alloc") != 0)
		return tape_wrong("no such step: cuda", verb);
	put_cuda(out, tape_cuda_alloc(&name->memory, size, words));
	return tape_name_set(text, "_client", words[12]) ||
	       tape_name_set(text, "_object", words[13]) ||
	       tape_name_set(text, "_block", (uint64_t)words[6] * 4096) ||
	       tape_name_set(text, "_offset", words[7]);
}

int tape_step(const char *step, char *result, size_t size)
{
	struct tape_text out = { result, size };
	char copy[TAPE_LINE], *next;
	char *verb;

	*result = '\0';
	if (strlen(step) >= sizeof(copy))
		return tape_wrong("too long a step", step);
	strcpy(copy, step);
	verb = strtok_r(copy, " ", &next);
	if (verb && !strcmp(verb, "note"))
		verb = strtok_r(NULL, " ", &next);
	if (!verb)
		return tape_wrong("no step", step);
	if (!strcmp(verb, "call") || !strcmp(verb, "child"))
		return tape_call(verb[1] == 'h', &next, &out);
	if (!strcmp(verb, "open"))
		return step_open(&next, &out);
	if (!strcmp(verb, "close"))
		return step_close(&next, &out);
	if (!strcmp(verb, "mmap"))
		return step_mmap(&next, &out);
	if (!strcmp(verb, "munmap"))
		return step_munmap(&next, &out);
	if (!strcmp(verb, "look"))
		return step_look(&next, &out);
	if (!strncmp(verb, "cuda-", 5))
		return step_cuda(verb + 5, &next, &out);
	return tape_wrong("no such step", step);
}

void tape_close(void)
{
	for (unsigned int i = 0; i < name_count; i++) {
		struct tape_name *name = &names[i];

		if (name->kind == TAPE_MAPPING && name->map)
			munmap(name->map, name->value);
		if (name->kind == TAPE_MEMORY &&
		    (name->memory.addr || name->memory.handle))
			tape_cuda_free(&name->memory);
	}
	/* After the mappings; a control node's takes its clients with it. */
	for (unsigned int i = 0; i < name_count; i++)
		if (names[i].kind == TAPE_DESCRIPTOR &&
		    (int)names[i].value >= 0)
			close((int)names[i].value);
	name_count = 0;
	memset(names, 0, sizeof(names));
}
