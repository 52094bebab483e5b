// SPDX-License-Identifier: MIT
/* gpumem doctor: reading the machine's files, below a root that tests choose. */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor/doctor.h"

/* False if it is too long. */
static bool path_make(const struct doctor *doctor, char path[PATH_MAX],
		      const char *format, va_list args)
{
	size_t head = strlen(doctor->root);
	int n;

	if (head >= PATH_MAX)
		return false;
	memcpy(path, doctor->root, head + 1);
	n = vsnprintf(path + head, PATH_MAX - head, format, args);
	return n >= 0 && (size_t)n < PATH_MAX - head;
}

bool doctor_exists(const struct doctor *doctor, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	bool fits;

	va_start(args, format);
	fits = path_make(doctor, path, format, args);
	va_end(args);
	return fits && !access(path, F_OK);
}

static size_t file_read_bytes(const char *path, char *bytes, size_t room)
{
	size_t length = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	while (length < room) {
		n = read(fd, bytes + length, room - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		length += n;
	}
	close(fd);
	return length;
}

static bool file_read(const char *path, char *text, size_t room)
{
	size_t length = file_read_bytes(path, text, room - 1);

	while (length && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
	return length > 0;
}

bool doctor_read(const struct doctor *doctor, char *text, size_t room,
		 const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	bool fits;

	va_start(args, format);
	fits = path_make(doctor, path, format, args);
	va_end(args);
	text[0] = '\0';
	return fits && file_read(path, text, room);
}

size_t doctor_read_bytes(const struct doctor *doctor, void *bytes, size_t room,
			 const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	bool fits;

	va_start(args, format);
	fits = path_make(doctor, path, format, args);
	va_end(args);
	return fits ? file_read_bytes(path, bytes, room) : 0;
}

bool doctor_read_number(const struct doctor *doctor, int base, uint64_t *value,
			const char *format, ...)
{
	char path[PATH_MAX], text[64], *end;
	va_list args;
	bool fits;

	va_start(args, format);
	fits = path_make(doctor, path, format, args);
	va_end(args);
	if (!fits || !file_read(path, text, sizeof(text)) ||
	    !isxdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*value = strtoull(text, &end, base);
	return !*end && !errno;
}

bool doctor_link(const struct doctor *doctor, char *target, size_t room,
		 const char *format, ...)
{
	char path[PATH_MAX];
	ssize_t length = -1;
	va_list args;

	va_start(args, format);
	if (path_make(doctor, path, format, args))
		length = readlink(path, target, room - 1);
	va_end(args);
	target[length < 0 ? 0 : length] = '\0';
	return length > 0;
}

void doctor_link_name(const struct doctor *doctor, char *name, size_t room,
		      const char *format, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t length = -1;
	va_list args;

	va_start(args, format);
	if (path_make(doctor, path, format, args))
		length = readlink(path, target, sizeof(target) - 1);
	va_end(args);
	target[length < 0 ? 0 : length] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, room, "%s", slash ? slash + 1 : target);
}

static int path_open(const struct doctor *doctor, char path[PATH_MAX],
		     const char *format, ...)
{
	va_list args;
	bool fits;

	va_start(args, format);
	fits = path_make(doctor, path, format, args);
	va_end(args);
	return fits ? 0 : -ENAMETOOLONG;
}

int doctor_try(const struct doctor *doctor, const char *path)
{
	char whole[PATH_MAX];
	int fd, rc = path_open(doctor, whole, "%s", path);
	int flags = O_RDWR | O_CLOEXEC;
	struct stat st;

	if (rc)
		return rc;
	/*
	 * A FIFO in a node's place would hang. For a node that is a device, driver
	 * 550 answers O_NONBLOCK before it has tried to initialise the GPU.
	 */
	if (stat(whole, &st) || !S_ISCHR(st.st_mode))
		flags |= O_NONBLOCK;
	fd = open(whole, flags);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

DIR *doctor_dir(const struct doctor *doctor, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	bool fits;

	va_start(args, format);
	fits = path_make(doctor, path, format, args);
	va_end(args);
	return fits ? opendir(path) : NULL;
}

bool doctor_module_installed(const struct doctor *doctor, const char *name)
{
	static const char *const folders[] = { "updates/dkms", "updates",
					       "extra" };
	static const char *const ends[] = { "", ".xz", ".zst", ".gz" };
	struct utsname kernel;

	for (int i = 0; i < 12 && !uname(&kernel); i++) {
		if (doctor_exists(doctor, "/lib/modules/%s/%s/%s.ko%s",
				  kernel.release, folders[i / 4], name,
				  ends[i % 4]))
			return true;
	}
	return false;
}

void doctor_mend_access(const struct doctor *doctor, const char *path,
			struct doctor_finding *finding)
{
	struct group group, *found = NULL;
	char whole[PATH_MAX], names[1024];
	struct stat st;

	if (path_open(doctor, whole, "%s", path) || stat(whole, &st))
		return;
	if ((st.st_mode & 0060) == 0060 && st.st_gid &&
	    !getgrgid_r(st.st_gid, &group, names, sizeof(names), &found) &&
	    found)
		doctor_fix(finding,
			   "sudo usermod -aG %s $USER, then log in again",
			   found->gr_name);
	else if (!strcmp(path, "/dev/gpumem"))
		doctor_fix(finding,
			   "sudo groupadd -rf gpumem; sudo chgrp gpumem %s; "
			   "sudo chmod 0660 %s; sudo usermod -aG gpumem "
			   "$USER, then log in again; gpumem's udev rule "
			   "(make install-module) does so at each boot",
			   path, path);
	else if (!strncmp(path, "/dev/nvidia", 11))
		doctor_fix(finding,
			   "the driver's options NVreg_DeviceFileGID and "
			   "NVreg_DeviceFileMode=0660 let a group in; see "
			   "which are set: grep -r NVreg_DeviceFile "
			   "/etc/modprobe.d");
	else
		doctor_fix(finding,
			   "with a group that you are in: sudo chgrp GROUP "
			   "%s; sudo chmod 0660 %s",
			   path, path);
}

void *doctor_library(const struct doctor *doctor, const char *name)
{
	char path[PATH_MAX];

	if (!doctor->root[0])
		return dlopen(name, RTLD_LAZY | RTLD_NODELETE);
	if (path_open(doctor, path, "/lib/%s", name))
		return NULL;
	return dlopen(path, RTLD_LAZY | RTLD_NODELETE);
}

bool doctor_setting(const char *text, const char *name, char separator,
		    char *value, size_t room)
{
	const char *ends = separator == '=' ? " \n" : "\n";
	size_t length = strlen(name);

	for (const char *at = text; (at = strstr(at, name)); at += length) {
		bool starts = at == text || strchr(" \n", at[-1]);

		if (!starts || at[length] != separator)
			continue;
		at += length + 1;
		at += strspn(at, " \t");
		snprintf(value, room, "%.*s", (int)strcspn(at, ends), at);
		return true;
	}
	return false;
}

const char *doctor_size(char *text, size_t room, uint64_t bytes)
{
	if (bytes >= 1ull << 30)
		snprintf(text, room, "%.4g GiB", bytes / 1073741824.0);
	else
		snprintf(text, room, "%.4g MiB", bytes / 1048576.0);
	return text;
}
