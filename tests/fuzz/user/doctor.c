// SPDX-License-Identifier: MIT
/*
 * Fuzzes gpumem doctor by the files of a machine. The input has a line
 * "= PATH" before the content of each file, or "> PATH" before where a link
 * leads. As text the output must be nothing that a terminal obeys; a first line
 * "json" asks for JSON, which must be valid.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "../../../lib/base/text.h"
#include "../../../tools/tool.h"
#include "check.h"

#define ROOT "/machine"
#define FILES 64
#define FD_FIRST 100000

static struct {
	char path[96]; /* below the root */
	const char *content;
	size_t length, at;
	bool link;
} file[FILES];
static unsigned int files;

static struct folder {
	struct dirent entry;
	char path[96];
	unsigned int next;
} folder;

/* Only while the command runs: libFuzzer itself opens files. */
static bool active;

static const char *below_root(const char *path)
{
	size_t length = strlen(ROOT);

	return active && !strncmp(path, ROOT, length) && path[length] == '/'
		       ? path + length
		       : NULL;
}

static int file_find(const char *path)
{
	for (unsigned int i = 0; i < files; i++)
		if (!strcmp(file[i].path, path))
			return (int)i;
	return -1;
}

/* A folder is whatever something is in. */
static bool folder_find(const char *path)
{
	size_t length = strlen(path);

	for (unsigned int i = 0; i < files; i++)
		if (!strncmp(file[i].path, path, length) &&
		    file[i].path[length] == '/')
			return true;
	return false;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *to, size_t room);
ssize_t __wrap_read(int fd, void *to, size_t room);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
ssize_t __real_readlink(const char *path, char *to, size_t room);
ssize_t __wrap_readlink(const char *path, char *to, size_t room);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);
int __real_closedir(DIR *dir);
int __wrap_closedir(DIR *dir);
void *__real_dlopen(const char *path, int flags);
void *__wrap_dlopen(const char *path, int flags);

int __wrap_open64(const char *path, int flags, ...)
{
	const char *name = below_root(path);
	va_list args;
	int mode, i;

	if (!name) {
		va_start(args, flags);
		mode = flags & O_CREAT ? va_arg(args, int) : 0;
		va_end(args);
		return __real_open64(path, flags, mode);
	}
	i = file_find(name);
	if (i < 0) {
		errno = ENOENT;
		return -1;
	}
	file[i].at = 0;
	return FD_FIRST + i;
}

ssize_t __wrap_read(int fd, void *to, size_t room)
{
	size_t left;

	if (fd < FD_FIRST)
		return __real_read(fd, to, room);
	fd -= FD_FIRST;
	left = file[fd].length - file[fd].at;
	if (room > left)
		room = left;
	memcpy(to, file[fd].content + file[fd].at, room);
	file[fd].at += room;
	return (ssize_t)room;
}

int __wrap_close(int fd)
{
	return fd < FD_FIRST ? __real_close(fd) : 0;
}

int __wrap_access(const char *path, int mode)
{
	const char *name = below_root(path);

	if (active && !strcmp(path, ROOT))
		return 0;
	if (!name)
		return __real_access(path, mode);
	if (file_find(name) >= 0 || folder_find(name))
		return 0;
	errno = ENOENT;
	return -1;
}

ssize_t __wrap_readlink(const char *path, char *to, size_t room)
{
	const char *name = below_root(path);
	int i;

	if (!name)
		return __real_readlink(path, to, room);
	i = file_find(name);
	if (i < 0 || !file[i].link) {
		errno = ENOENT;
		return -1;
	}
	if (room > file[i].length)
		room = file[i].length;
	memcpy(to, file[i].content, room);
	return (ssize_t)room;
}

DIR *__wrap_opendir(const char *path)
{
	const char *name = below_root(path);

	if (!name)
		return __real_opendir(path);
	if (!folder_find(name) || strlen(name) >= sizeof(folder.path))
		return NULL;
	strcpy(folder.path, name);
	folder.next = 0;
	folder.entry.d_name[0] = 0;
	return (DIR *)&folder;
}

/* A folder in it once for the files of it that follow one another. */
struct dirent *__wrap_readdir64(DIR *dir)
{
	size_t length = strlen(folder.path);

	if (dir != (DIR *)&folder)
		return __real_readdir64(dir);
	while (folder.next < files) {
		const char *path = file[folder.next++].path;

		if (strncmp(path, folder.path, length) || path[length] != '/')
			continue;
		path += length + 1;
		length = strcspn(path, "/");
		if (!strncmp(folder.entry.d_name, path, length) &&
		    !folder.entry.d_name[length]) {
			length = strlen(folder.path);
			continue;
		}
		snprintf(folder.entry.d_name, sizeof(folder.entry.d_name),
			 "%.*s", (int)length, path);
		return &folder.entry;
	}
	return NULL;
}

int __wrap_closedir(DIR *dir)
{
	return dir == (DIR *)&folder ? 0 : __real_closedir(dir);
}

void *__wrap_dlopen(const char *path, int flags)
{
	return path && below_root(path) ? NULL : __real_dlopen(path, flags);
}

/* Splits the input; returns whether it asks for JSON. */
static bool machine_read(const char *text, size_t size)
{
	bool json = size >= 5 && !memcmp(text, "json\n", 5);
	const char *end = text + size, *line = text, *next;

	files = 0;
	for (; line < end; line = next) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t length;

		next = stop ? stop + 1 : end;
		length = (size_t)((stop ? stop : end) - line);
		if (length < 3 || (line[0] != '=' && line[0] != '>') ||
		    line[1] != ' ') {
			if (files)
				file[files - 1].length =
					(size_t)(next -
						 file[files - 1].content);
			continue;
		}
		if (files == FILES || length - 2 >= sizeof(file[0].path))
			break;
		memset(&file[files], 0, sizeof(file[files]));
		memcpy(file[files].path, line + 2, length - 2);
		file[files].link = line[0] == '>';
		file[files++].content = next;
	}
	/* A link's target has no line end. */
	for (unsigned int i = 0; i < files; i++)
		if (file[i].link && file[i].length &&
		    file[i].content[file[i].length - 1] == '\n')
			file[i].length--;
	return json;
}

static void text_check(const char *text)
{
	while (*text) {
		size_t length = *text == '\n' ? 1 : gm_text_char(text);

		check(length);
		text += length;
	}
}

static void json_check(const char *text, size_t length)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	check(tokener);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT |
						JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, (int)length);
	check(object &&
	      json_tokener_get_error(tokener) == json_tokener_success);
	json_object_put(object);
	json_tokener_free(tokener);
}

/* Returns the output; the length in *length. */
static char *doctor_output(bool json, size_t *length)
{
	char *argv[] = { "doctor", json ? "--json" : NULL, NULL };
	FILE *out, *usual = stdout;
	char *text;

	out = open_memstream(&text, length);
	check(out);
	stdout = out;
	optind = 1;
	active = true;
	tool_doctor.run(json ? 2 : 1, argv);
	active = false;
	stdout = usual;
	check(!fclose(out));
	return text;
}

/* The files are those of the input, or all of this is for nothing. */
static void self_check(void)
{
	static const char text[] =
		"= /sys/bus/pci/devices/0000:3b:00.0/vendor\n0x10de\n"
		"= /sys/bus/pci/devices/0000:3b:00.0/class\n0x030200\n"
		"> /sys/bus/pci/devices/0000:3b:00.0/iommu_group\n../12\n";
	size_t length;
	char *out;

	check(!machine_read(text, strlen(text)));
	out = doctor_output(false, &length);
	check(strstr(out, "1 on the PCI bus, the first is 0000:3b:00.0"));
	check(strstr(out, "0000:3b:00.0: group 12,"));
	free(out);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	setenv("GPUMEM_DOCTOR_ROOT", ROOT, 1);
	unsetenv("GPUMEM_BACKEND");
	setenv("NVIDIA_VISIBLE_DEVICES", "all", 1);
	self_check();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool json = machine_read((const char *)data, size);
	size_t length;
	char *text = doctor_output(json, &length);

	check(strlen(text) == length);
	if (json)
		json_check(text, length);
	else
		text_check(text);
	free(text);
	return 0;
}
