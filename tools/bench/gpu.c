// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/base/cpu_model.h"
#include "bench/bench.h"
#include "text.h"

int bench_gpu_symbol(struct bench_gpu *gpu, const char *name, void *function)
{
	void *symbol = gpumem_cuda_symbol(gpu->session, name);

	if (!symbol) {
		tool_error("libcuda has no %s; a newer NVIDIA driver has",
			   name);
		return TOOL_FAILED;
	}
	/* POSIX has void * hold functions; ISO C has no cast for it. */
	memcpy(function, &symbol, sizeof(symbol));
	return 0;
}

int bench_gpu_open(struct bench_gpu *gpu)
{
	double start = tool_now();
	int status = tool_open(&gpu->target, &gpu->session);

	if (status)
		return status;
	gpu->open_us = tool_now() - start;
	gpu->backend = gpumem_backend_name(gpu->session);
	status = tool_device(gpu->session, &gpu->device);
	if (status)
		goto close;
	if (cuda_open(&gpu->cuda, gpu->session, gpu->device.ordinal)) {
		tool_error("%s", gpu->cuda.why);
		status = TOOL_FAILED;
		goto close;
	}
	status = bench_gpu_symbol(gpu, "cuMemHostAlloc", &gpu->host_alloc);
	if (!status)
		status =
			bench_gpu_symbol(gpu, "cuMemFreeHost", &gpu->host_free);
	if (!status)
		return 0;
	cuda_close(&gpu->cuda);
close:
	gpumem_close(gpu->session);
	return status;
}

void bench_gpu_close(struct bench_gpu *gpu)
{
	cuda_close(&gpu->cuda);
	gpumem_close(gpu->session);
}

int bench_gpu_check_sizes(const struct bench_gpu *gpu, const char *what,
			  const uint64_t *size, int count, unsigned int copies)
{
	int status = 0;

	for (int i = 0; i < count && !status; i++) {
		uint64_t host = size[i] > UINT64_MAX / copies
					? UINT64_MAX / 2
					: size[i] * copies;

		status = tool_check_memory(&gpu->device, gpu->backend, what,
					   size[i], host);
	}
	return status;
}

int bench_cuda_failed(const struct bench_gpu *gpu, const char *what, int result)
{
	char text[128];

	tool_error("%s: %s", what,
		   cuda_error(&gpu->cuda, result, text, sizeof(text)));
	return TOOL_FAILED;
}

/* What follows a key in a text file, up to a mark or the line's end. */
static bool file_value(const char *path, const char *key, const char *before,
		       char *value, size_t room)
{
	char line[512];
	bool found = false;
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		char *at = strncmp(line, key, strlen(key))
				   ? NULL
				   : strstr(line, before);

		if (!at)
			continue;
		at += strlen(before);
		at += strspn(at, " \t");
		at[strcspn(at, "\n")] = '\0';
		snprintf(value, room, "%.*s", (int)room - 1, at);
		found = true;
	}
	fclose(file);
	return found;
}

/* "NVRM version: NVIDIA UNIX ... Module  580.159.04  Release Build ..." */
static void machine_driver(const struct bench_gpu *gpu, char *text, size_t room)
{
	int (*version)(int *version) = NULL;
	void *symbol = gpumem_cuda_symbol(gpu->session, "cuDriverGetVersion");
	char module[256] = "unknown", nvrm[256];
	const char *word;
	int cuda = 0;

	if (symbol)
		memcpy(&version, &symbol, sizeof(symbol));
	if (version)
		version(&cuda);
	if (gpu->device.flags & GPUMEM_DEVICE_SIMULATED) {
		snprintf(module, sizeof(module), "simulated");
	} else if (file_value("/proc/driver/nvidia/version", "NVRM", ":", nvrm,
			      sizeof(nvrm))) {
		/* The first word with a dot between digits. */
		for (word = strtok(nvrm, " \t"); word;
		     word = strtok(NULL, " \t"))
			if (word[0] >= '0' && word[0] <= '9' &&
			    strchr(word, '.'))
				break;
		if (word)
			snprintf(module, sizeof(module), "%s", word);
	}
	snprintf(text, room, "%.40s, CUDA %d.%d", module, cuda / 1000,
		 cuda % 1000 / 10);
}

void bench_machine_get(const struct bench_gpu *gpu,
		       struct bench_machine *machine)
{
	time_t now = time(NULL);
	struct tm utc;

	snprintf(machine->gpu, sizeof(machine->gpu), "%s%s", gpu->device.name,
		 tool_device_label(&gpu->device, gpu->backend));
	machine_driver(gpu, machine->driver, sizeof(machine->driver));
	gm_cpu_model(machine->cpu, sizeof(machine->cpu));
	if (!gmtime_r(&now, &utc) ||
	    !strftime(machine->date, sizeof(machine->date),
		      "%Y-%m-%dT%H:%M:%SZ", &utc))
		snprintf(machine->date, sizeof(machine->date), "unknown");
}

void bench_machine_print(const struct bench_gpu *gpu)
{
	struct bench_machine machine = { 0 };

	bench_machine_get(gpu, &machine);
	text_line(stdout, 9, "GPU      %d: %s", gpu->device.ordinal,
		  machine.gpu);
	printf("backend  %s\n", gpu->backend);
	text_line(stdout, 9, "driver   %s", machine.driver);
	text_line(stdout, 9, "CPU      %s", machine.cpu);
	printf("date     %s, gpumem %s\n", machine.date, gpumem_version());
}

void bench_machine_report(const struct bench_gpu *gpu, struct report *to)
{
	struct report *object = report_object();
	struct bench_machine machine = { 0 };

	bench_machine_get(gpu, &machine);
	report_string(to, "version", gpumem_version());
	tool_report_device(to, &gpu->device, gpu->backend);
	report_string(object, "gpu", machine.gpu);
	report_string(object, "driver", machine.driver);
	report_string(object, "cpu", machine.cpu);
	report_string(object, "date", machine.date);
	report_member(to, "machine", object);
}

int bench_memory_new(struct bench_gpu *gpu, uint64_t length,
		     struct bench_memory *memory)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	void *cpu;

	memset(memory, 0, sizeof(*memory));
	if (gpumem_alloc(gpu->session, length + 2 * BENCH_GUARD, 0,
			 &memory->buf)) {
		memory->buf = NULL;
		return tool_gpumem_error(
			"allocating %" PRIu64 " bytes of GPU memory", length);
	}
	if (gpumem_map(memory->buf, &cpu) ||
	    gpumem_buf_get(memory->buf, &info)) {
		tool_gpumem_error("mapping %" PRIu64 " bytes", length);
		bench_memory_free(memory);
		return TOOL_FAILED;
	}
	memory->cpu = cpu;
	memory->addr = info.addr;
	memory->length = length;
	return 0;
}

void bench_memory_free(struct bench_memory *memory)
{
	if (memory->buf)
		gpumem_unpin(memory->buf);
	memory->buf = NULL;
}

int bench_host_new(struct bench_gpu *gpu, uint64_t length, bool pinned,
		   struct bench_host *host)
{
	void *memory = NULL;
	size_t room = length + 2 * BENCH_GUARD;
	int result;

	host->pinned = pinned;
	host->length = length;
	host->memory = NULL;
	if (pinned) {
		result = gpu->host_alloc(&memory, room, 0);
		if (result)
			return bench_cuda_failed(gpu, "cuMemHostAlloc", result);
	} else if (posix_memalign(&memory, BENCH_GUARD, room)) {
		tool_error("no host memory for a copy of %" PRIu64
			   " bytes; give a smaller size",
			   length);
		return TOOL_FAILED;
	}
	/* Host pages exist before they are measured. */
	memset(memory, 0x5a, room);
	host->memory = (char *)memory + BENCH_GUARD;
	return 0;
}

void bench_host_free(struct bench_gpu *gpu, struct bench_host *host)
{
	if (!host->memory)
		return;
	if (host->pinned)
		gpu->host_free(host->memory - BENCH_GUARD);
	else
		free(host->memory - BENCH_GUARD);
	host->memory = NULL;
}
