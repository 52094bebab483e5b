// SPDX-License-Identifier: MIT
/* gpumem info: what of gpumem can be used here, and why the rest cannot. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "report.h"
#include "text.h"
#include "tool.h"

#define MODULE_VERSION_FILE "/sys/module/gpumem/version"

/* More than there are backends. */
#define BACKENDS_MAX 16

struct info {
	struct tool_target target;
	struct gpumem_backend backends[BACKENDS_MAX];
	unsigned int backend_count;
	struct gpumem *session; /* NULL: no GPU could be opened */
	const char *backend;
	char error[512]; /* why there is no session */
	char module[64]; /* version of the kernel module; "": not loaded */
	int device_count;
};

static void info_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem info [OPTION]...\n"
		"Shows the GPUs, the memory that the CPU can map, and "
		"which "
		"backends work here.\n"
		"\n"
		"  --device N        open this GPU to look (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    open it with kmod, rm, dmabuf or sim (the "
		"first "
		"that works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n"
		"\n"
		"Exit status: 0 also where no GPU can be used, 2 wrong "
		"usage, "
		"3 a step failed.\n");
}

/* A module that is loaded but tells no version counts as "unknown". */
static void info_find_module(struct info *info)
{
	FILE *file = fopen(MODULE_VERSION_FILE, "re");

	if (!file)
		return;
	if (!fgets(info->module, sizeof(info->module), file))
		snprintf(info->module, sizeof(info->module), "unknown");
	info->module[strcspn(info->module, "\n")] = '\0';
	fclose(file);
}

/* Before anything is opened: that changes what there is to say. */
static void info_find_backends(struct info *info)
{
	unsigned int i = 0;

	for (; i < BACKENDS_MAX; i++) {
		info->backends[i].size = sizeof(info->backends[i]);
		if (gpumem_backend_get(i, &info->backends[i]))
			break;
	}
	info->backend_count = i;
}

static void info_print_backends(const struct info *info)
{
	printf("backends, in the order in which they are tried\n");
	for (unsigned int i = 0; i < info->backend_count; i++) {
		const struct gpumem_backend *backend = &info->backends[i];

		text_line(stdout, 21, "  %-6s %-11s %s", backend->name,
			  backend->status ? "not usable:" : "usable:",
			  backend->reason);
	}
}

static void print_bytes(const char *what, uint64_t bytes)
{
	if (bytes == GPUMEM_UNKNOWN)
		printf("    %-10s unknown\n", what);
	else
		printf("    %-10s %" PRIu64 " bytes (%.1f MiB)\n", what, bytes,
		       bytes / 1048576.0);
}

static void info_print_device(const struct info *info,
			      const struct gpumem_device *device)
{
	text_line(stdout, 4, "  %d: %s%s", device->ordinal, device->name,
		  tool_device_label(device, info->backend));
	printf("    %-10s %s\n", "PCI", device->pci[0] ? device->pci : "none");
	printf("    %-10s %d.%d\n", "compute", device->compute_major,
	       device->compute_minor);
	print_bytes("memory", device->memory);
	print_bytes("BAR1", device->bar1_size);
	print_bytes("BAR1 free", device->bar1_free);
}

static int info_print(struct info *info)
{
	struct gpumem_device device = { .size = sizeof(device) };

	printf("gpumem         %s\n", gpumem_version());
	text_line(stdout, 15, "kernel module  %s",
		  info->module[0] ? info->module : "not loaded");
	info_print_backends(info);
	if (!info->session) {
		printf("GPUs: none can be used\n");
		text_line(stdout, 2, "  %s", info->error);
		return TOOL_OK;
	}
	printf("GPUs, through the backend %s\n", info->backend);
	for (int i = 0; i < info->device_count; i++) {
		if (gpumem_device_get(info->session, i, &device))
			return tool_gpumem_error("describing GPU %d", i);
		info_print_device(info, &device);
	}
	return TOOL_OK;
}

static void info_report_backends(const struct info *info, struct report *to)
{
	struct report *backends = report_list();

	for (unsigned int i = 0; i < info->backend_count; i++) {
		struct report *entry = report_object();

		report_string(entry, "name", info->backends[i].name);
		report_bool(entry, "usable", !info->backends[i].status);
		report_string(entry, "reason", info->backends[i].reason);
		report_member(backends, NULL, entry);
	}
	report_member(to, "backends", backends);
}

static int info_report(struct info *info)
{
	struct gpumem_device device = { .size = sizeof(device) };
	struct report *report = report_object(), *devices = report_list();
	int status = TOOL_OK;

	report_string(report, "version", gpumem_version());
	report_string(report, "kernel_module",
		      info->module[0] ? info->module : NULL);
	info_report_backends(info, report);
	report_string(report, "backend", info->backend);
	report_string(report, "error", info->session ? NULL : info->error);
	for (int i = 0; i < info->device_count && !status; i++) {
		struct report *entry = report_object();

		if (gpumem_device_get(info->session, i, &device))
			status = tool_gpumem_error("describing GPU %d", i);
		else
			tool_report_device(entry, &device, info->backend);
		report_member(devices, NULL, entry);
	}
	report_member(report, "devices", devices);
	report_print(report);
	return status;
}

static int info_parse(struct info *info, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ 0 },
	};

	return tool_parse(argc, argv, options, &info->target, NULL, NULL);
}

static int info_run(int argc, char **argv)
{
	struct info info = { 0 };
	struct gpumem_options options;
	int status = info_parse(&info, argc, argv);

	if (status)
		return status;
	if (info.target.help) {
		info_help(stdout);
		return TOOL_OK;
	}
	info_find_module(&info);
	info_find_backends(&info);
	options = tool_target_options(&info.target);
	status = gpumem_open(&options, &info.session);
	if (status == -EINVAL || status == -ENOENT) {
		tool_error("%s", tool_reason());
		return status == -EINVAL ? TOOL_USAGE : TOOL_FAILED;
	}
	if (status) {
		info.session = NULL;
		snprintf(info.error, sizeof(info.error), "%s", tool_reason());
	} else {
		info.backend = gpumem_backend_name(info.session);
		if (gpumem_device_count(info.session, &info.device_count))
			status = tool_gpumem_error("counting GPUs");
	}
	if (!info.session || !status)
		status = info.target.json ? info_report(&info)
					  : info_print(&info);
	if (info.session)
		gpumem_close(info.session);
	return status;
}

const struct tool_command tool_info = {
	.name = "info",
	.summary = "show GPUs, BAR1 and the backends that work here",
	.run = info_run,
	.help = info_help,
};
