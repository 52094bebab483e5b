// SPDX-License-Identifier: MIT
/* gpumem doctor: modes of a GPU that keep its memory out of reach. */
#include <ctype.h>
#include <string.h>

#include "doctor/doctor.h"

/* The driver shows a folder for each GPU instance. */
static unsigned int mig_instances(const struct doctor *doctor)
{
	unsigned int count = 0;
	struct dirent *entry;

	for (unsigned int i = 0; i < DOCTOR_GPUS_MAX; i++) {
		DIR *dir = doctor_dir(
			doctor, "/proc/driver/nvidia/capabilities/gpu%u/mig",
			i);

		if (!dir)
			continue;
		while ((entry = readdir(dir)))
			count += !strncmp(entry->d_name, "gi", 2) &&
				 isdigit((unsigned char)entry->d_name[2]);
		closedir(dir);
	}
	return count;
}

void doctor_check_mig(const struct doctor *doctor, const struct doctor_gpu *gpu,
		      struct doctor_finding *finding)
{
	unsigned int instances = mig_instances(doctor);
	const char *where = NULL;
	bool known = false, on;

	for (unsigned int i = 0; i < doctor->gpu_count; i++) {
		if (!doctor_nvml_mig(doctor, doctor->gpus[i].pci, &on))
			continue;
		known = true;
		if (on && !where)
			where = doctor->gpus[i].pci;
	}
	doctor_value(finding, "instances", instances);
	if (!where && !instances) {
		/* A GPU without MIG answers "not supported". */
		doctor_found(finding, DOCTOR_OK, "%s",
			     known ? "off" : "no GPU instance is seen");
		return;
	}
	doctor_found(finding, DOCTOR_WARN, "on%s%s, %u GPU instance%s",
		     where ? " for " : "", where ? where : "", instances,
		     instances == 1 ? "" : "s");
	doctor_impact(finding, "BAR1 is divided, and memory of an instance may "
			       "not be mappable");
	doctor_fix(finding, "sudo nvidia-smi -i %s -mig 0",
		   where ? where : "0");
}

static bool cpu_guest_encrypted(const struct doctor *doctor)
{
	return doctor_exists(doctor, "/dev/tdx_guest") ||
	       doctor_exists(doctor, "/dev/sev-guest");
}

void doctor_check_confidential(const struct doctor *doctor,
			       const struct doctor_gpu *gpu,
			       struct doctor_finding *finding)
{
	bool known, on = false;

	known = doctor_nvml_confidential(doctor, &on);
	if (on) {
		doctor_found(finding, DOCTOR_FAIL,
			     "the GPU is in confidential-computing mode");
		doctor_impact(finding,
			      "the driver refuses to map its memory for "
			      "the CPU");
		doctor_fix(finding, "use cuMemcpy here; or turn the mode off "
				    "on the host (nvidia_gpu_tools.py "
				    "--set-cc-mode=off "
				    "--reset-after-cc-mode-switch)");
		return;
	}
	if (cpu_guest_encrypted(doctor)) {
		doctor_found(finding, DOCTOR_NOTE,
			     "this is a confidential virtual machine; the GPU "
			     "is %s",
			     known ? "not in that mode" : "not known to be");
		return;
	}
	doctor_found(finding, DOCTOR_OK, known ? "off" : "no sign of it");
}
