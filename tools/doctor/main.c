// SPDX-License-Identifier: MIT
/* gpumem doctor: looks at all that matters, a line each. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor/doctor.h"
#include "text.h"

struct doctor_check {
	const char *name;
	doctor_check_fn *run;
	bool each_gpu; /* once for every GPU */
	/* about reaching a real GPU: a note at most where none is in use */
	bool real;
};

/*
 * In the order of the output. Write-combining comes before the link: an idle
 * GPU slows its link down, and the measurement wakes it.
 */
static const struct doctor_check checks[] = {
	{ .name = "gpu", .run = doctor_check_gpu },
	{ .name = "backend", .run = doctor_check_backend },
	{ .name = "driver", .run = doctor_check_driver, .real = true },
	{ .name = "driver-settings",
	  .run = doctor_check_settings,
	  .real = true },
	{ .name = "cuda", .run = doctor_check_cuda },
	{ .name = "nvidiactl", .run = doctor_check_nvidiactl, .real = true },
	{ .name = "nvidia-uvm", .run = doctor_check_uvm, .real = true },
	{ .name = "gpu-node",
	  .run = doctor_check_gpu_node,
	  .each_gpu = true,
	  .real = true },
	{ .name = "container", .run = doctor_check_container, .real = true },
	{ .name = "wsl2", .run = doctor_check_wsl, .real = true },
	{ .name = "mig", .run = doctor_check_mig, .real = true },
	{ .name = "confidential",
	  .run = doctor_check_confidential,
	  .real = true },
	{ .name = "kernel-module", .run = doctor_check_module, .real = true },
	{ .name = "gdrcopy", .run = doctor_check_gdrcopy },
	{ .name = "dma-buf", .run = doctor_check_dmabuf },
	{ .name = "write-combining", .run = doctor_check_combining },
	{ .name = "bar1", .run = doctor_check_bar1, .each_gpu = true },
	{ .name = "resizable-bar",
	  .run = doctor_check_resizable,
	  .each_gpu = true },
	{ .name = "iommu", .run = doctor_check_iommu, .each_gpu = true },
	{ .name = "pci-peers", .run = doctor_check_peers, .each_gpu = true },
	{ .name = "pci-link", .run = doctor_check_link, .each_gpu = true },
	{ .name = "numa", .run = doctor_check_numa, .each_gpu = true },
	{ .name = "memlock", .run = doctor_check_memlock },
	{ .name = "open-files", .run = doctor_check_files },
};

static const char *const level_names[DOCTOR_LEVELS] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_FAIL] = "fail",
};

static void doctor_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem doctor [OPTION]...\n"
		"Looks at everything between this process and the GPU's "
		"memory. Prints for each\n"
		"check ok, note, warn or fail and what was found; where "
		"that is not fine, its\n"
		"impact and the command that fixes it.\n"
		"\n"
		"  --device N        look at this GPU only\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    open it with kmod, rm, dmabuf or sim (the "
		"first that works;\n"
		"                    sim only when it is named)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n"
		"\n"
		"Exit status: 0 nothing worse than a note, 1 a warning, 2 "
		"wrong usage,\n"
		"3 something prevents use.\n");
}

void doctor_found(struct doctor_finding *finding, enum doctor_level level,
		  const char *format, ...)
{
	va_list args;

	finding->level = level;
	va_start(args, format);
	vsnprintf(finding->found, sizeof(finding->found), format, args);
	va_end(args);
}

void doctor_not_open(const struct doctor *doctor,
		     struct doctor_finding *finding)
{
	doctor_found(finding, DOCTOR_NOTE, "not looked at: no GPU is open");
}

void doctor_impact(struct doctor_finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->impact, sizeof(finding->impact), format, args);
	va_end(args);
}

void doctor_fix(struct doctor_finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->fix, sizeof(finding->fix), format, args);
	va_end(args);
}

void doctor_value(struct doctor_finding *finding, const char *key,
		  uint64_t value)
{
	if (finding->values)
		report_number(finding->values, key, value);
}

void doctor_value_real(struct doctor_finding *finding, const char *key,
		       double value)
{
	if (finding->values)
		report_real(finding->values, key, value);
}

void doctor_value_text(struct doctor_finding *finding, const char *key,
		       const char *value)
{
	if (finding->values)
		report_string(finding->values, key, value);
}

/* Columns before the text of a finding, and before "impact:" and "fix:". */
#define FOUND_INDENT 22
#define PART_INDENT 6

static void doctor_put_part(const char *name, const char *text)
{
	if (*text)
		text_wrapped(stdout, PART_INDENT + 8, "%*s%-8s%s", PART_INDENT,
			     "", name, text);
}

static void doctor_put_text(const struct doctor_check *check, const char *pci,
			    const struct doctor_finding *finding)
{
	text_wrapped(stdout, FOUND_INDENT, "%-5s %-15s %s%s%s",
		     level_names[finding->level], check->name, pci ? pci : "",
		     pci ? ": " : "", finding->found);
	doctor_put_part("impact:", finding->impact);
	doctor_put_part("fix:", finding->fix);
}

static void doctor_put(struct doctor *doctor, const struct doctor_check *check,
		       const struct doctor_gpu *gpu,
		       const struct doctor_finding *finding)
{
	const char *pci = gpu && gpu->pci[0] ? gpu->pci : NULL;
	struct report *entry;

	if (!doctor->list) {
		doctor_put_text(check, pci, finding);
		return;
	}
	entry = report_object();
	report_string(entry, "check", check->name);
	report_string(entry, "gpu", pci);
	report_string(entry, "level", level_names[finding->level]);
	report_string(entry, "found", finding->found);
	report_string(entry, "impact",
		      finding->impact[0] ? finding->impact : NULL);
	report_string(entry, "fix", finding->fix[0] ? finding->fix : NULL);
	report_member(entry, "values", finding->values);
	report_member(doctor->list, NULL, entry);
}

static void doctor_check_one(struct doctor *doctor,
			     const struct doctor_check *check,
			     const struct doctor_gpu *gpu)
{
	struct doctor_finding finding = { .level = DOCTOR_OK };

	if (doctor->list)
		finding.values = report_object();
	check->run(doctor, gpu, &finding);
	if (finding.level == DOCTOR_SKIP) {
		report_drop(finding.values);
		return;
	}
	if (check->real && doctor->simulated && finding.level > DOCTOR_NOTE)
		finding.level = DOCTOR_NOTE;
	doctor->count[finding.level]++;
	doctor_put(doctor, check, gpu, &finding);
}

static void doctor_check_all(struct doctor *doctor)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (!checks[i].each_gpu) {
			doctor_check_one(doctor, &checks[i], NULL);
			continue;
		}
		for (unsigned int g = 0; g < doctor->gpu_count; g++)
			doctor_check_one(doctor, &checks[i], &doctor->gpus[g]);
	}
}

static enum doctor_level doctor_worst(const struct doctor *doctor)
{
	enum doctor_level worst = DOCTOR_FAIL;

	while (worst > DOCTOR_OK && !doctor->count[worst])
		worst--;
	return worst;
}

static int doctor_status(const struct doctor *doctor)
{
	switch (doctor_worst(doctor)) {
	case DOCTOR_FAIL:
		return TOOL_FAILED;
	case DOCTOR_WARN:
		return TOOL_WARNED;
	default:
		return TOOL_OK;
	}
}

static int doctor_parse(struct doctor *doctor, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ 0 },
	};

	return tool_parse(argc, argv, options, &doctor->target, NULL, NULL);
}

static int doctor_open_with(struct doctor *doctor, const char *backend)
{
	struct gpumem_options options = tool_target_options(&doctor->target);
	int rc;

	options.backend = backend;
	rc = gpumem_open(&options, &doctor->session);
	if (rc) {
		doctor->session = NULL;
		snprintf(doctor->error, sizeof(doctor->error), "%s",
			 tool_reason());
	}
	return rc;
}

/* The first real backend that opens; the simulated one is never chosen. */
static int doctor_open_first(struct doctor *doctor)
{
	struct gpumem_backend backend = { .size = sizeof(backend) };
	char reasons[sizeof(doctor->error)] = "";
	size_t used = 0;
	int rc = -ENODEV;

	doctor->nothing_usable = true;
	for (unsigned int i = 0; !gpumem_backend_get(i, &backend); i++) {
		if (!strcmp(backend.name, "sim"))
			continue;
		/* Also what is not usable: a bad environment is said first. */
		rc = doctor_open_with(doctor, backend.name);
		if (!rc || rc == -ENOENT || rc == -EINVAL)
			return rc;
		if (!backend.status)
			doctor->nothing_usable = false;
		if (used < sizeof(reasons))
			used += snprintf(reasons + used, sizeof(reasons) - used,
					 "%s%s: %s", used ? "; " : "",
					 backend.name,
					 backend.status ? backend.reason
							: doctor->error);
	}
	snprintf(doctor->error, sizeof(doctor->error), "%s", reasons);
	return rc;
}

/* Returns 0, also where no GPU can be opened, or TOOL_USAGE or TOOL_FAILED. */
static int doctor_open(struct doctor *doctor)
{
	const char *forced = doctor->target.backend;
	int rc;

	if (!forced)
		forced = secure_getenv("GPUMEM_BACKEND");
	if (doctor->target.backend || (forced && *forced)) {
		rc = doctor_open_with(doctor, forced);
	} else if (doctor->root[0]) {
		/* Those files are of another machine than the GPU would be. */
		snprintf(doctor->error, sizeof(doctor->error),
			 "GPUMEM_DOCTOR_ROOT is set and no backend is named");
		return 0;
	} else {
		rc = doctor_open_first(doctor);
	}
	if (rc == -EINVAL || rc == -ENOENT) {
		tool_error("%s", doctor->error);
		return rc == -EINVAL ? TOOL_USAGE : TOOL_FAILED;
	}
	if (rc)
		return 0;
	doctor->backend = gpumem_backend_name(doctor->session);
	rc = tool_device(doctor->session, &doctor->device);
	doctor->simulated = doctor->device.flags & GPUMEM_DEVICE_SIMULATED;
	return rc;
}

static void doctor_print(struct doctor *doctor)
{
	doctor_check_all(doctor);
	printf("%u failed, %u warned, %u noted, %u ok\n",
	       doctor->count[DOCTOR_FAIL], doctor->count[DOCTOR_WARN],
	       doctor->count[DOCTOR_NOTE], doctor->count[DOCTOR_OK]);
}

static void doctor_report(struct doctor *doctor)
{
	struct report *report = report_object();

	report_string(report, "version", gpumem_version());
	report_string(report, "backend", doctor->backend);
	report_bool(report, "simulated", doctor->simulated);
	doctor->list = report_list();
	doctor_check_all(doctor);
	report_string(report, "worst", level_names[doctor_worst(doctor)]);
	report_number(report, "exit_status", doctor_status(doctor));
	report_member(report, "checks", doctor->list);
	report_print(report);
}

static int doctor_examine(struct doctor *doctor)
{
	int status = doctor_open(doctor);

	if (status)
		return status;
	doctor_find_driver(doctor);
	doctor_find_surroundings(doctor);
	doctor_find_nvml(doctor);
	doctor_find_gpus(doctor);
	if (doctor->target.json)
		doctor_report(doctor);
	else
		doctor_print(doctor);
	return doctor_status(doctor);
}

static int doctor_run(int argc, char **argv)
{
	struct doctor *doctor = calloc(1, sizeof(*doctor));
	const char *root = secure_getenv("GPUMEM_DOCTOR_ROOT");
	int status;

	if (!doctor) {
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	doctor->root = root ? root : "";
	status = doctor_parse(doctor, argc, argv);
	if (!status && !doctor->target.help && *doctor->root &&
	    access(doctor->root, R_OK | X_OK)) {
		tool_error(
			"GPUMEM_DOCTOR_ROOT is \"%s\": %s; name a folder, or "
			"unset it",
			doctor->root, strerror(errno));
		status = TOOL_USAGE;
	} else if (!status && doctor->target.help)
		doctor_help(stdout);
	else if (!status)
		status = doctor_examine(doctor);
	if (doctor->session)
		gpumem_close(doctor->session);
	free(doctor);
	return status;
}

const struct tool_command tool_doctor = {
	.name = "doctor",
	.summary = "find what is wrong or slow on this machine, and the fix",
	.run = doctor_run,
	.help = doctor_help,
};
