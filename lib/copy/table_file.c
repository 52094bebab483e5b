// SPDX-License-Identifier: MIT
/*
 * Plans in the user's cache folder, one file for each GPU model and CPU model:
 * a line that says what it is, then a line for each step,
 *   read|write pageable|pinned METHOD THREADS UP_TO
 * with UP_TO in bytes, or "end".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu_model.h"
#include "base/error.h"
#include "copy/table.h"
#include "copy/threads/pool.h"

#define GM_PLAN_HEAD "gpumem plan 1"
#define GM_PLAN_SIZE_MAX 65536

static const char *const gm_method_names[] = {
	[GPUMEM_COPY_AUTO] = "auto",	   [GPUMEM_COPY_CPU] = "cpu",
	[GPUMEM_COPY_THREADS] = "threads", [GPUMEM_COPY_COURIER] = "courier",
	[GPUMEM_COPY_ENGINE] = "engine",
};

const char *gm_method_name(unsigned int method)
{
	return method <= GPUMEM_COPY_ENGINE ? gm_method_names[method] : "?";
}

/* Appends a name with everything but letters and digits as one '-'. */
static size_t gm_path_name(char *path, size_t used, size_t size,
			   const char *name)
{
	bool gap = false;

	for (; *name && used + 2 < size; name++) {
		bool plain = (*name >= 'a' && *name <= 'z') ||
			     (*name >= 'A' && *name <= 'Z') ||
			     (*name >= '0' && *name <= '9');

		if (plain) {
			if (gap)
				path[used++] = '-';
			path[used++] = *name;
		}
		gap = !plain && used && path[used - 1] != '/';
	}
	path[used] = 0;
	return used;
}

int gm_plan_path(const char *gpu, char *path, size_t size)
{
	const char *cache = secure_getenv("XDG_CACHE_HOME");
	const char *home = secure_getenv("HOME");
	char model[128];
	int n;

	/* The specification of these folders: a relative path is ignored. */
	if (cache && *cache == '/')
		n = snprintf(path, size, "%s/gpumem/", cache);
	else if (home && *home == '/')
		n = snprintf(path, size, "%s/.cache/gpumem/", home);
	else
		return gm_error(-ENOENT,
				"plan: neither XDG_CACHE_HOME nor HOME names a "
				"folder to keep it in; set one");
	if (n < 0 || (size_t)n >= size)
		goto too_long;
	n = (int)gm_path_name(path, n, size, gpu);
	if ((size_t)n + 2 >= size)
		goto too_long;
	path[n++] = '_';
	path[n] = 0;
	gm_cpu_model(model, sizeof(model));
	n = (int)gm_path_name(path, n, size, model);
	if ((size_t)n + sizeof(".plan") > size)
		goto too_long;
	memcpy(path + n, ".plan", sizeof(".plan"));
	return 0;

too_long:
	return gm_error(-ENOSPC,
			"plan: the path of its file is longer than "
			"%zu bytes; give more room",
			size);
}

/* Digits alone, which strtoull() does not insist on. */
static bool gm_number_parse(const char *text, uint64_t most, uint64_t *number)
{
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &rest, 10);
	return !*rest && !errno && *number <= most;
}

static int gm_line_parse(const char *line, struct gpumem_plan_step *step)
{
	char direction[8], kind[12], method[12], count[12], end[24], more;
	uint64_t threads;

	*step = (struct gpumem_plan_step){ 0 };
	if (sscanf(line, "%7s %11s %11s %11s %23s %c", direction, kind, method,
		   count, end, &more) != 5)
		return -EINVAL;
	if (!strcmp(direction, "read"))
		step->flags |= GPUMEM_COPY_READ;
	else if (strcmp(direction, "write") != 0)
		return -EINVAL;
	if (!strcmp(kind, "pinned"))
		step->flags |= GPUMEM_COPY_PINNED;
	else if (strcmp(kind, "pageable") != 0)
		return -EINVAL;
	for (unsigned int i = GPUMEM_COPY_CPU; i <= GPUMEM_COPY_ENGINE; i++)
		if (!strcmp(method, gm_method_names[i]))
			step->method = i;
	if (!gm_number_parse(count, GM_POOL_MAX, &threads))
		return -EINVAL;
	step->threads = (uint32_t)threads;
	if (!strcmp(end, "end")) {
		step->up_to = UINT64_MAX;
		return 0;
	}
	return gm_number_parse(end, UINT64_MAX, &step->up_to) ? 0 : -EINVAL;
}

/* Why a file is not to be read, or NULL. */
static const char *gm_plan_refuse(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return "nothing can be found out about it";
	if (!S_ISREG(st.st_mode))
		return "it is no regular file";
	if (st.st_uid && st.st_uid != geteuid())
		return "it is neither this user's nor root's";
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return "its group or others may write it";
	if (st.st_size > GM_PLAN_SIZE_MAX)
		return "it is too large";
	return NULL;
}

/* Opens the file without waiting for whoever is at another end of it. */
static int gm_plan_open(const char *path, FILE **in)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	const char *why;

	if (fd < 0)
		return -ENOENT;
	why = gm_plan_refuse(fd);
	if (why) {
		gm_debug("open: the plan %s is passed over: %s", path, why);
		close(fd);
		return -EPERM;
	}
	*in = fdopen(fd, "r");
	if (*in)
		return 0;
	close(fd);
	return -ENOENT;
}

/* A line without its newline: 1; 0 at the end; -EINVAL where it is no text. */
static int gm_line_read(FILE *in, char **line, size_t *size)
{
	ssize_t length = getline(line, size, in);

	if (length < 0)
		return feof(in) ? 0 : -EINVAL;
	if (strlen(*line) != (size_t)length)
		return -EINVAL;
	(*line)[strcspn(*line, "\n")] = 0;
	return 1;
}

int gm_plan_read(struct gm_plan *plan, FILE *in)
{
	struct gpumem_plan_step steps[GM_PLAN_WAYS * GM_PLAN_STEPS];
	char *line = NULL;
	size_t size = 0, count = 0;
	int rc = gm_line_read(in, &line, &size);

	if (rc <= 0 || strcmp(line, GM_PLAN_HEAD) != 0)
		goto refuse;
	while ((rc = gm_line_read(in, &line, &size)) > 0) {
		if (*line == '#' || !*line)
			continue;
		if (count == GM_PLAN_WAYS * GM_PLAN_STEPS ||
		    gm_line_parse(line, &steps[count++]))
			goto refuse;
	}
	free(line);
	if (!rc)
		rc = gm_plan_set(plan, steps, count);
	if (!rc)
		plan->measured = count;
	return rc;

refuse:
	free(line);
	return -EINVAL;
}

int gm_plan_load(struct gm_plan *plan, const char *path)
{
	FILE *in;
	int rc = gm_plan_open(path, &in);

	if (rc)
		return rc;
	rc = gm_plan_read(plan, in);
	fclose(in);
	return rc;
}

/* Makes the folders of a file's path. */
static void gm_path_make(const char *path)
{
	char folder[512];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *c = folder + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = 0;
		mkdir(folder, 0700);
		*c = '/';
	}
}

void gm_plan_write(const struct gm_plan *plan, FILE *out, const char *comment)
{
	fprintf(out, GM_PLAN_HEAD "\n# %s\n", comment);
	for (unsigned int i = 0; i < GM_PLAN_WAYS; i++) {
		const struct gm_plan_list *list = &plan->list[i];

		for (unsigned int k = 0; k < list->count; k++) {
			const struct gpumem_plan_step *step = &list->step[k];

			fprintf(out, "%s %s %s %u ",
				step->flags & GPUMEM_COPY_READ ? "read"
							       : "write",
				step->flags & GPUMEM_COPY_PINNED ? "pinned"
								 : "pageable",
				gm_method_name(step->method), step->threads);
			if (step->up_to == UINT64_MAX)
				fprintf(out, "end\n");
			else
				fprintf(out, "%" PRIu64 "\n", step->up_to);
		}
	}
}

int gm_plan_save(const struct gm_plan *plan, const char *path, const char *gpu)
{
	char part[560], comment[256], model[128];
	FILE *out;
	int fd, err;

	gm_path_make(path);
	snprintf(part, sizeof(part), "%s.XXXXXX", path);
	fd = mkostemp(part, O_CLOEXEC);
	if (fd < 0)
		goto fail;
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		goto remove;
	}
	gm_cpu_model(model, sizeof(model));
	snprintf(comment, sizeof(comment), "%s, %s", gpu, model);
	comment[strcspn(comment, "\n")] = 0;
	gm_plan_write(plan, out, comment);
	err = ferror(out);
	if (fclose(out) || err || rename(part, path))
		goto remove;
	return 0;

remove:
	err = errno;
	unlink(part);
	errno = err;
fail:
	err = errno ? errno : EIO;
	return gm_error(-err,
			"plan: %s cannot be written: %s; check the folder and "
			"its free space",
			path, strerror(err));
}
