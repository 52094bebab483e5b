// SPDX-License-Identifier: MIT
/* Steps that are calls of the driver. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rm_tape_in.h"

#define FIELDS 64
#define ARG_SIZE 16384
#define CARD_INFO 200
#define CARD_SIZE 72u

/* A structure of a call, before and after. */
struct tape_block {
	unsigned char *bytes; /* shared with a child */
	unsigned char before[ARG_SIZE];
	bool told[ARG_SIZE]; /* bytes that a field of the result covers */
	size_t size;
	const char *fields[FIELDS]; /* of the result */
	unsigned int field_count;
};

/* AT:BYTES and what follows */
static int place_read(const char *text, const struct tape_block *block,
		      size_t *at, size_t *length, const char **rest)
{
	char *end;

	*at = strtoul(text, &end, 0);
	if (*end != ':')
		return tape_wrong("no field", text);
	*length = strtoul(end + 1, &end, 0);
	if (!*length || *at >= block->size || *length > block->size - *at)
		return tape_wrong("a field outside its structure", text);
	*rest = end;
	return 0;
}

static int field_in(struct tape_block *block, const char *text)
{
	size_t at = 0, length = 0;
	const char *rest = text;
	uint64_t value;

	if (place_read(text, block, &at, &length, &rest))
		return -1;
	if (*rest != '=' || length > 8)
		return tape_wrong("no field to set", text);
	if (tape_value_read(rest + 1, &value))
		return -1;
	memcpy(block->bytes + at, &value, length);
	return 0;
}

static bool all_zero(const unsigned char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i])
			return false;
	return true;
}

/*
 * AT:BYTES	the value
 * AT:BYTES=$N	names the value N
 * AT:BYTES*	whether it was filled, and not with zeros
 * AT:BYTES?	whether it was written
 */
static int field_out(struct tape_block *block, const char *text,
		     struct tape_text *out)
{
	const unsigned char *now;
	size_t at = 0, length = 0;
	const char *rest = text;
	uint64_t value = 0;
	bool same;

	if (place_read(text, block, &at, &length, &rest))
		return -1;
	now = block->bytes + at;
	same = !memcmp(now, block->before + at, length);
	memset(block->told + at, 1, length);
	memcpy(&value, now, length < 8 ? length : 8);
	tape_put(out, " %zu:%zu=", at, length);
	if (*rest == '=') {
		if (rest[1] != '$' || tape_name_set(rest + 2, "", value))
			return tape_wrong("no name for a field", text);
		tape_put(out, "%s",
			 same			 ? "same"
			 : all_zero(now, length) ? "zero"
						 : rest + 1);
	} else if (*rest == '*') {
		tape_put(out, "%s",
			 same			 ? "same"
			 : all_zero(now, length) ? "zero"
						 : "filled");
	} else if (*rest == '?') {
		tape_put(out, same ? "same" : "written");
	} else if (*rest || length > 8) {
		return tape_wrong("no field to show", text);
	} else {
		tape_put(out, "0x%llx", (unsigned long long)value);
	}
	return 0;
}

/* What was written that no field of the result covers. */
static void put_others(const struct tape_block *block, struct tape_text *out)
{
	for (size_t i = 0; i < block->size; i++) {
		size_t first = i;

		while (i < block->size && !block->told[i] &&
		       block->bytes[i] != block->before[i])
			i++;
		if (i > first)
			tape_put(out, " also=%zu:%zu", first, i - first);
	}
}

static int block_show(struct tape_block *block, struct tape_text *out)
{
	memset(block->told, 0, sizeof(block->told));
	for (unsigned int i = 0; i < block->field_count; i++)
		if (field_out(block, block->fields[i], out))
			return -1;
	put_others(block, out);
	return 0;
}

/* SIZE [fill BYTE] [in FIELD=TAPE_VALUE...] [out FIELD...], up to another word */
static int block_read(struct tape_block *block, char **next, char **word)
{
	bool in = false;
	uint64_t value;
	char *w;

	if (tape_value_read(strtok_r(NULL, " ", next), &value) || !value ||
	    value > ARG_SIZE)
		return tape_wrong("no size", NULL);
	block->size = (size_t)value;
	block->field_count = 0;
	memset(block->bytes, 0, ARG_SIZE);
	for (w = strtok_r(NULL, " ", next); w; w = strtok_r(NULL, " ", next)) {
		if (!strcmp(w, "fill")) {
			if (tape_value_read(strtok_r(NULL, " ", next), &value))
				return -1;
			memset(block->bytes, (int)value, block->size);
		} else if (!strcmp(w, "in") || !strcmp(w, "out")) {
			in = *w == 'i';
		} else if (*w < '0' || *w > '9') {
			break;
		} else if (in) {
			if (field_in(block, w))
				return -1;
		} else if (block->field_count == FIELDS) {
			return tape_wrong("too many fields", w);
		} else {
			block->fields[block->field_count++] = w;
		}
	}
	*word = w;
	return 0;
}

/* Puts the entry of CUDA's GPU first, so that the others do not matter. */
static void card_first(struct tape_block *block)
{
	unsigned int domain, bus, slot;
	char name[128], pci[32];

	tape_cuda_device(name, sizeof(name), pci, sizeof(pci));
	if (sscanf(pci, "%x:%x:%x", &domain, &bus, &slot) != 3)
		return;
	for (size_t at = 0; at + CARD_SIZE <= block->size; at += CARD_SIZE) {
		unsigned char *card = block->bytes + at;
		unsigned char copy[CARD_SIZE];

		if (card[0] == 1 && !memcmp(card + 4, &domain, 4) &&
		    card[8] == bus && card[9] == slot) {
			memcpy(copy, card, CARD_SIZE);
			memcpy(card, block->bytes, CARD_SIZE);
			memcpy(block->bytes, copy, CARD_SIZE);
			return;
		}
	}
}

static int call_once(int fd, unsigned int nr, const struct tape_block *arg)
{
	unsigned long request;

	request = _IOC(_IOC_READ | _IOC_WRITE, 'F', nr, arg->size);
	while (ioctl(fd, request, arg->bytes)) {
		if (errno != EINTR && errno != EAGAIN)
			return errno;
	}
	return 0;
}

static int call_in_child(int fd, unsigned int nr, const struct tape_block *arg)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(call_once(fd, nr, arg));
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
}

static int block_prepare(struct tape_block *block)
{
	if (block->bytes)
		return 0;
	block->bytes = mmap(NULL, ARG_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (block->bytes != MAP_FAILED)
		return 0;
	block->bytes = NULL;
	return tape_wrong("out of memory", NULL);
}

/* call|child LABEL FD NR <block> [params AT <block>] */
int tape_call(bool child, char **next, struct tape_text *out)
{
	static struct tape_block arg, params;
	char *label = strtok_r(NULL, " ", next);
	struct tape_name *fd =
		tape_name_find(TAPE_DESCRIPTOR, strtok_r(NULL, " ", next));
	uint64_t nr, at = 0, pointer;
	char *word;
	int err;

	if (!label || !fd)
		return tape_wrong("no such descriptor in call", label);
	if (block_prepare(&arg) || block_prepare(&params) ||
	    tape_value_read(strtok_r(NULL, " ", next), &nr) ||
	    block_read(&arg, next, &word))
		return -1;
	params.size = 0;
	params.field_count = 0;
	if (word) {
		if (strcmp(word, "params") != 0 ||
		    tape_value_read(strtok_r(NULL, " ", next), &at) ||
		    at + 8 > arg.size || block_read(&params, next, &word) ||
		    word)
			return tape_wrong("what is this in call", label);
		pointer = (uintptr_t)params.bytes;
		memcpy(arg.bytes + at, &pointer, sizeof(pointer));
	}
	memcpy(arg.before, arg.bytes, ARG_SIZE);
	memcpy(params.before, params.bytes, ARG_SIZE);
	err = child ? call_in_child((int)fd->value, (unsigned int)nr, &arg)
		    : call_once((int)fd->value, (unsigned int)nr, &arg);
	if (nr == CARD_INFO && !err)
		card_first(&arg);
	tape_put_errno(out, err);
	if (block_show(&arg, out))
		return -1;
	if (params.size)
		tape_put(out, " params");
	return block_show(&params, out);
}
