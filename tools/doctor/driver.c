// SPDX-License-Identifier: MIT
/* gpumem doctor: the GPU, the backend that opened it, driver and CUDA. */
#include <stdlib.h>
#include <string.h>

#include "doctor/doctor.h"

/* The first driver whose device nodes the rm backend can use. */
#define OLDEST_DRIVER 515

/* From the CUDA driver API. */
#define CUDA_DMA_BUF_SUPPORTED 124

void doctor_find_driver(struct doctor *doctor)
{
	doctor->driver = doctor_exists(doctor, "/proc/driver/nvidia/version") ||
			 doctor_exists(doctor, "/sys/module/nvidia");
}

void doctor_check_gpu(const struct doctor *doctor, const struct doctor_gpu *gpu,
		      struct doctor_finding *finding)
{
	const struct gpumem_device *device = &doctor->device;

	doctor_value(finding, "on_bus", doctor->bus_count);
	if (doctor->session) {
		doctor_value_text(finding, "name", device->name);
		doctor_found(finding, DOCTOR_OK, "%d: %s%s%s%s",
			     device->ordinal, device->name,
			     device->pci[0] ? ", " : "", device->pci,
			     tool_device_label(device, doctor->backend));
	} else if (doctor->bus_count) {
		doctor_found(finding, DOCTOR_OK,
			     "%u on the PCI bus, the first is %s",
			     doctor->bus_count, doctor->gpus[0].pci);
	} else if (doctor->wsl) {
		doctor_found(finding, DOCTOR_NOTE,
			     "none on the PCI bus, as always under WSL2");
	} else {
		doctor_found(finding, DOCTOR_FAIL,
			     "there is no NVIDIA GPU on the PCI bus");
		doctor_impact(finding, "nothing can be mapped");
		doctor_fix(finding,
			   "use a machine with an NVIDIA GPU (look with: "
			   "lspci -d 10de:), or try gpumem on a simulated "
			   "one: gpumem demo --backend sim");
	}
}

void doctor_check_backend(const struct doctor *doctor,
			  const struct doctor_gpu *gpu,
			  struct doctor_finding *finding)
{
	doctor_value_text(finding, "name", doctor->backend);
	if (doctor->session) {
		doctor_found(finding, DOCTOR_OK, "%s%s", doctor->backend,
			     strcmp(doctor->backend, "sim")
				     ? ""
				     : ", the simulated GPU");
	} else if (doctor->root[0] && !doctor->target.backend) {
		doctor_found(finding, DOCTOR_NOTE, "not tried: %s",
			     doctor->error);
	} else {
		doctor_found(finding, DOCTOR_FAIL, "%s: %s",
			     doctor->nothing_usable
				     ? "none can be used here"
				     : "the GPU cannot be opened",
			     doctor->error);
		doctor_impact(finding, "gpumem cannot be used");
		doctor_fix(finding, "fix what fails below, or as the "
				    "message says; then: gpumem info");
	}
}

/* The first word that is a version, such as 580.159.04. */
static bool driver_version(const char *text, char *version, size_t room)
{
	while (*text) {
		size_t length = strspn(text, "0123456789.");
		const char *dot = memchr(text, '.', length);

		if (dot && dot != text && dot[1] >= '0' && dot[1] <= '9' &&
		    strchr(" \t\n", text[length])) {
			snprintf(version, room, "%.*s", (int)length, text);
			return true;
		}
		text += strcspn(text, " \t\n");
		text += strspn(text, " \t\n");
	}
	return false;
}

static void driver_missing(const struct doctor *doctor,
			   struct doctor_finding *finding)
{
	if (doctor->wsl) {
		doctor_found(finding, DOCTOR_NOTE,
			     "it is Windows' under WSL2, none is loaded here");
		return;
	}
	if (!doctor->bus_count) {
		doctor_found(finding, DOCTOR_NOTE,
			     "not loaded; there is no GPU for it");
		return;
	}
	doctor_impact(finding, "the GPU cannot be used");
	if (doctor_exists(doctor, "/sys/module/nouveau")) {
		doctor_found(finding, DOCTOR_FAIL,
			     "nouveau drives the GPU, not NVIDIA's driver");
		doctor_fix(finding, DOCTOR_GET_DRIVER
			   ", which turns nouveau off, and restart");
		return;
	}
	doctor_found(finding, DOCTOR_FAIL, "the NVIDIA driver is not loaded");
	if (doctor->container[0])
		doctor_fix(
			finding,
			"on the host: sudo modprobe nvidia, or " DOCTOR_GET_DRIVER);
	else
		doctor_fix(finding, DOCTOR_LOAD_DRIVER);
}

void doctor_check_driver(const struct doctor *doctor,
			 const struct doctor_gpu *gpu,
			 struct doctor_finding *finding)
{
	char text[512], version[32];
	const char *flavour;
	bool is_open;

	if (!doctor->driver) {
		driver_missing(doctor, finding);
		return;
	}
	if (!doctor_read(doctor, text, sizeof(text),
			 "/proc/driver/nvidia/version") ||
	    !driver_version(text, version, sizeof(version))) {
		doctor_found(finding, DOCTOR_WARN,
			     "loaded, but /proc/driver/nvidia/version does not "
			     "say which");
		doctor_impact(finding, "gpumem cannot tell what it can do");
		doctor_fix(finding, "sudo dmesg | grep NVRM");
		return;
	}
	is_open = strstr(text, "Open Kernel Module");
	flavour = is_open ? "open" : "proprietary";
	doctor_value_text(finding, "driver", version);
	doctor_value_text(finding, "flavour", flavour);
	if (strtol(version, NULL, 10) < OLDEST_DRIVER) {
		bool kmod = doctor_exists(doctor, "/sys/module/gpumem");

		doctor_found(finding, kmod ? DOCTOR_WARN : DOCTOR_FAIL,
			     "%s, %s kernel modules: older than %d", version,
			     flavour, OLDEST_DRIVER);
		doctor_impact(finding, "backend rm refuses it%s",
			      kmod ? ", backend kmod alone works"
				   : ", only the kernel module (backend kmod) "
				     "could work");
		doctor_fix(finding, "install a newer NVIDIA driver (Debian: "
				    "sudo apt install nvidia-driver)");
		return;
	}
	if (is_open) {
		doctor_found(finding, DOCTOR_OK, "%s, open kernel modules",
			     version);
		return;
	}
	doctor_found(finding, DOCTOR_NOTE, "%s, proprietary kernel modules",
		     version);
	doctor_impact(finding, "CUDA makes no dma-bufs with them");
	doctor_fix(finding, "on Turing or newer: install the open kernel "
			    "modules (Debian: sudo apt install "
			    "nvidia-open-kernel-dkms)");
}

/* The kernel's command line has that word, alone. */
static bool started_with(const struct doctor *doctor, const char *word)
{
	char line[4096], *save, *at;

	doctor_read(doctor, line, sizeof(line), "/proc/cmdline");
	at = strtok_r(line, " ", &save);
	while (at && strcmp(at, word) != 0)
		at = strtok_r(NULL, " ", &save);
	return at;
}

/*
 * Settings in which a value other than the usual matters here. The driver's
 * file shows them all.
 */
void doctor_check_settings(const struct doctor *doctor,
			   const struct doctor_gpu *gpu,
			   struct doctor_finding *finding)
{
	char text[8192], pat[32] = "", words[256] = "";

	if (started_with(doctor, "nopat")) {
		doctor_found(finding, DOCTOR_WARN,
			     "the kernel was started with nopat");
		doctor_impact(finding, "no write-combining: stores to the GPU "
				       "go out one by one");
		doctor_fix(finding, "take nopat out of GRUB_CMDLINE_LINUX in "
				    "/etc/default/grub, sudo update-grub and "
				    "restart");
		return;
	}
	if (!doctor_read(doctor, text, sizeof(text),
			 "/proc/driver/nvidia/params")) {
		doctor_found(finding, DOCTOR_NOTE,
			     "no /proc/driver/nvidia/params to look at");
		return;
	}
	doctor_setting(text, "RegistryDwords", ':', words, sizeof(words));
	doctor_value_text(finding, "registry_dwords", words);
	if (doctor_setting(text, "UsePageAttributeTable", ':', pat,
			   sizeof(pat)) &&
	    !strcmp(pat, "0")) {
		doctor_found(finding, DOCTOR_WARN,
			     "UsePageAttributeTable is 0");
		doctor_impact(finding, "no write-combining: stores to the GPU "
				       "go out one by one");
		doctor_fix(finding,
			   "take NVreg_UsePageAttributeTable=0 out of the "
			   "file that has it (grep -r UsePageAttribute "
			   "/etc/modprobe.d) and restart");
	} else if (words[0] && strcmp(words, "\"\"") != 0) {
		doctor_found(finding, DOCTOR_NOTE, "RegistryDwords is %s",
			     words);
		doctor_impact(finding,
			      "such a setting can turn write-combining "
			      "off; the measurement below says");
		doctor_fix(finding,
			   "if it is not wanted, take it out of the file "
			   "that has it: grep -r RegistryDwords "
			   "/etc/modprobe.d");
	} else {
		doctor_found(finding, DOCTOR_OK,
			     "none that slows down access to the GPU's memory");
	}
}

void doctor_check_cuda(const struct doctor *doctor,
		       const struct doctor_gpu *gpu,
		       struct doctor_finding *finding)
{
	int (*get)(int *version);
	int version = 0;

	if (!doctor->session) {
		doctor_not_open(doctor, finding);
		return;
	}
	*(void **)&get =
		gpumem_cuda_symbol(doctor->session, "cuDriverGetVersion");
	if (!get || get(&version)) {
		doctor_found(finding, DOCTOR_WARN,
			     "libcuda does not tell its version");
		doctor_impact(finding, "it may be no libcuda, or a broken one");
		doctor_fix(finding, "ldconfig -p | grep libcuda.so.1");
		return;
	}
	doctor_value(finding, "version", version);
	doctor_found(finding, DOCTOR_OK, "CUDA %d.%d%s", version / 1000,
		     version % 1000 / 10,
		     doctor->simulated ? " (SIMULATED)" : "");
}

void doctor_check_dmabuf(const struct doctor *doctor,
			 const struct doctor_gpu *gpu,
			 struct doctor_finding *finding)
{
	int (*get)(int *value, int attribute, int device);
	int (*find)(int *device, int ordinal);
	int device, value;

	if (!doctor->session) {
		doctor_not_open(doctor, finding);
		return;
	}
	*(void **)&find = gpumem_cuda_symbol(doctor->session, "cuDeviceGet");
	*(void **)&get =
		gpumem_cuda_symbol(doctor->session, "cuDeviceGetAttribute");
	/* CUDA before 11.7 does not know the attribute: no dma-buf either. */
	if (!find || !get || find(&device, doctor->device.ordinal) ||
	    get(&value, CUDA_DMA_BUF_SUPPORTED, device))
		value = 0;
	doctor_value(finding, "supported", value != 0);
	if (value) {
		doctor_found(finding, DOCTOR_OK,
			     "CUDA makes dma-bufs of its "
			     "memory");
		return;
	}
	doctor_found(finding, DOCTOR_NOTE,
		     "CUDA makes no dma-bufs of its memory%s",
		     doctor->simulated ? ": the GPU is simulated" : "");
	if (doctor->simulated)
		return;
	doctor_impact(finding, "no ibv_reg_dmabuf_mr but through backend kmod");
	doctor_fix(finding, "install the open kernel modules (Debian: sudo "
			    "apt install nvidia-open-kernel-dkms), or use "
			    "backend kmod");
}
