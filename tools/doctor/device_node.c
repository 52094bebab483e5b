// SPDX-License-Identifier: MIT
/* gpumem doctor: device nodes, kernel modules, containers and WSL2. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "doctor/doctor.h"

static const struct {
	const char *file;
	const char *kind;
} container_files[] = {
	{ "/.dockerenv", "docker" },
	{ "/run/.containerenv", "podman" },
};

/* Parts of the paths in /proc/1/cgroup and /proc/self/mountinfo. */
static const struct {
	const char *part;
	const char *kind;
} container_parts[] = {
	{ "kubepods", "kubernetes" },	{ "/kubelet/pods/", "kubernetes" },
	{ "/docker", "docker" },	{ "libpod", "podman" },
	{ "containerd", "containerd" }, { "/lxc", "lxc" },
};

#define GET_MODULE "make install-module in gpumem's source (README.md, Install)"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *container_part(const char *text)
{
	for (size_t i = 0; i < COUNT(container_parts); i++)
		if (strstr(text, container_parts[i].part))
			return container_parts[i].kind;
	return "";
}

/*
 * Where /etc/hosts comes from: engines mount their own. Other lines say nothing
 * of this process: a host shows its containers' mounts too.
 */
static const char *container_mount(char *text)
{
	char *end = strstr(text, " /etc/hosts ");
	char *line;

	if (!end)
		return "";
	*end = '\0';
	line = strrchr(text, '\n');
	return container_part(line ? line : text);
}

static const char *container_kind(const struct doctor *doctor)
{
	char text[16384];
	const char *kind;

	for (size_t i = 0; i < COUNT(container_files); i++)
		if (doctor_exists(doctor, "%s", container_files[i].file))
			return container_files[i].kind;
	doctor_read(doctor, text, sizeof(text), "/proc/1/cgroup");
	kind = container_part(text);
	if (*kind)
		return kind;
	doctor_read(doctor, text, sizeof(text), "/proc/self/mountinfo");
	return container_mount(text);
}

void doctor_find_surroundings(struct doctor *doctor)
{
	char text[512];

	snprintf(doctor->container, sizeof(doctor->container), "%s",
		 container_kind(doctor));
	doctor_read(doctor, text, sizeof(text), "/proc/version");
	doctor->wsl = doctor_exists(doctor, "/dev/dxg") ||
		      strcasestr(text, "microsoft");
}

/* Why a node of the NVIDIA driver is not there, and the cure. */
static void node_missing(const struct doctor *doctor, const char *path,
			 struct doctor_finding *finding)
{
	if (doctor->wsl || (!doctor->driver && !doctor->bus_count)) {
		doctor_found(
			finding, DOCTOR_NOTE, "%s is not there, as %s", path,
			doctor->wsl ? "always under WSL2" : "there is no GPU");
		return;
	}
	doctor_found(finding, DOCTOR_FAIL, "%s is not there", path);
	doctor_impact(finding, "CUDA and gpumem cannot reach the GPU");
	if (doctor->container[0])
		doctor_fix(finding, "start the container with its GPUs: "
				    "docker run --gpus all ...");
	else if (!doctor->driver)
		doctor_fix(finding, DOCTOR_LOAD_DRIVER);
	else
		doctor_fix(finding, "sudo nvidia-modprobe -c 0 -u");
}

static void node_check(const struct doctor *doctor, const char *path,
		       struct doctor_finding *finding)
{
	int rc = doctor_try(doctor, path);

	switch (rc) {
	case 0:
		doctor_found(finding, DOCTOR_OK,
			     "%s can be opened for reading and writing", path);
		return;
	case -ENOENT:
		node_missing(doctor, path, finding);
		return;
	case -EACCES:
		doctor_found(finding, DOCTOR_FAIL,
			     "%s: this user may not open it", path);
		doctor_mend_access(doctor, path, finding);
		break;
	case -EPERM:
		doctor_found(finding, DOCTOR_FAIL,
			     "%s is there, but the device cgroup does not let "
			     "it be opened",
			     path);
		doctor_fix(finding, "start the container with its GPUs: "
				    "docker run --gpus all ...");
		break;
	default:
		doctor_found(finding, DOCTOR_FAIL, "%s: %s", path,
			     strerror(-rc));
		doctor_fix(finding, "sudo dmesg | grep -e NVRM -e Xid");
		break;
	}
	doctor_impact(finding, "CUDA and gpumem cannot reach the GPU");
}

void doctor_check_nvidiactl(const struct doctor *doctor,
			    const struct doctor_gpu *gpu,
			    struct doctor_finding *finding)
{
	node_check(doctor, "/dev/nvidiactl", finding);
}

void doctor_check_uvm(const struct doctor *doctor, const struct doctor_gpu *gpu,
		      struct doctor_finding *finding)
{
	node_check(doctor, "/dev/nvidia-uvm", finding);
}

void doctor_check_gpu_node(const struct doctor *doctor,
			   const struct doctor_gpu *gpu,
			   struct doctor_finding *finding)
{
	char text[2048], minor[16], path[32];

	/* The driver knows the GPU's number; the order on the bus may differ. */
	if (!gpu->on_bus ||
	    !doctor_read(doctor, text, sizeof(text),
			 "/proc/driver/nvidia/gpus/%s/information", gpu->pci) ||
	    !doctor_setting(text, "Device Minor", ':', minor, sizeof(minor))) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	snprintf(path, sizeof(path), "/dev/nvidia%.10s", minor);
	doctor_value_text(finding, "node", path);
	node_check(doctor, path, finding);
}

void doctor_check_container(const struct doctor *doctor,
			    const struct doctor_gpu *gpu,
			    struct doctor_finding *finding)
{
	const char *visible = secure_getenv("NVIDIA_VISIBLE_DEVICES");
	bool nodes = doctor_exists(doctor, "/dev/nvidiactl");
	char asked[128];

	if (!doctor->container[0]) {
		doctor_found(finding, DOCTOR_OK, "not in one");
		return;
	}
	if (visible)
		snprintf(asked, sizeof(asked),
			 "NVIDIA_VISIBLE_DEVICES is \"%.80s\"", visible);
	else
		snprintf(asked, sizeof(asked),
			 "NVIDIA_VISIBLE_DEVICES is not set");
	doctor_value_text(finding, "kind", doctor->container);
	doctor_value_text(finding, "visible_devices", visible);
	if (nodes || !doctor->driver) {
		doctor_found(finding, DOCTOR_OK, "%s, %s%s", doctor->container,
			     nodes ? "with GPU nodes, "
				   : "on a host without the NVIDIA driver, ",
			     asked);
		return;
	}
	doctor_found(finding, DOCTOR_FAIL,
		     "%s: the host has the NVIDIA driver, but the GPU's nodes "
		     "are not in the container; %s",
		     doctor->container, asked);
	doctor_impact(finding, "CUDA and gpumem cannot reach the GPU");
	doctor_fix(finding,
		   strcmp(doctor->container, "kubernetes")
			   ? "docker run --gpus all ..., or --runtime=nvidia "
			     "-e NVIDIA_VISIBLE_DEVICES=all ..."
			   : "ask for a GPU in the pod: resources: limits: "
			     "nvidia.com/gpu: 1");
}

void doctor_check_wsl(const struct doctor *doctor, const struct doctor_gpu *gpu,
		      struct doctor_finding *finding)
{
	if (!doctor->wsl) {
		doctor_found(finding, DOCTOR_OK, "no");
		return;
	}
	doctor_found(finding, DOCTOR_FAIL,
		     "this is WSL2: the driver is Windows', there is no "
		     "/dev/nvidiactl");
	doctor_impact(finding, "the GPU's memory cannot be mapped at all");
	doctor_fix(finding, "run Linux itself on this machine, or try gpumem "
			    "on a simulated GPU: gpumem demo --backend sim");
}

static void module_missing(const struct doctor *doctor,
			   struct doctor_finding *finding)
{
	if (!doctor->driver && !doctor->bus_count &&
	    !doctor_exists(doctor, "/dev/nvidiactl")) {
		doctor_found(finding, DOCTOR_NOTE,
			     "gpumem.ko is not loaded; there is no GPU for it");
		return;
	}
	doctor_impact(finding,
		      "no DMA by other devices, no physical addresses, "
		      "no revocation");
	if (doctor->container[0]) {
		doctor_found(finding, DOCTOR_NOTE, "gpumem.ko is not loaded");
		doctor_fix(finding, "on the host: sudo modprobe gpumem, or "
				    "where it is not installed " GET_MODULE);
	} else if (doctor_module_installed(doctor, "gpumem")) {
		doctor_found(finding, DOCTOR_NOTE, "gpumem.ko is not loaded");
		doctor_fix(finding, "sudo modprobe gpumem");
	} else {
		doctor_found(finding, DOCTOR_NOTE,
			     "gpumem.ko is not installed for this kernel");
		doctor_fix(finding, "where that is wanted: " GET_MODULE);
	}
}

/* Of a module that is loaded, but whose node is not there. */
static void module_reload(const struct doctor *doctor, const char *name,
			  struct doctor_finding *finding)
{
	if (doctor_module_installed(doctor, name))
		doctor_fix(finding, "sudo modprobe -r %s; sudo modprobe %s",
			   name, name);
	else
		doctor_fix(finding,
			   "sudo rmmod %s, and load it as it was loaded: it "
			   "is not installed where modprobe looks",
			   name);
}

void doctor_check_module(const struct doctor *doctor,
			 const struct doctor_gpu *gpu,
			 struct doctor_finding *finding)
{
	char version[64];
	int rc;

	if (!doctor_exists(doctor, "/sys/module/gpumem")) {
		module_missing(doctor, finding);
		return;
	}
	if (!doctor_read(doctor, version, sizeof(version),
			 "/sys/module/gpumem/version"))
		snprintf(version, sizeof(version), "of unknown version");
	doctor_value_text(finding, "module", version);
	if (strcmp(version, gpumem_version()) != 0) {
		doctor_found(finding, DOCTOR_WARN,
			     "gpumem.ko %s is loaded, the library is %s",
			     version, gpumem_version());
		doctor_impact(finding, "what is newer in one may be refused by "
				       "the other");
		doctor_fix(finding,
			   "install both of one release (make install and "
			   "make install-module in its source, after sudo "
			   "rmmod gpumem)");
		return;
	}
	rc = doctor_try(doctor, "/dev/gpumem");
	if (!rc) {
		doctor_found(finding, DOCTOR_OK,
			     "gpumem.ko %s through "
			     "/dev/gpumem",
			     version);
		return;
	}
	doctor_found(finding, DOCTOR_WARN,
		     "gpumem.ko %s is loaded, but /dev/gpumem: %s", version,
		     strerror(-rc));
	doctor_impact(finding, "this user cannot use backend kmod");
	if (rc == -EACCES)
		doctor_mend_access(doctor, "/dev/gpumem", finding);
	else if (doctor->container[0])
		doctor_fix(finding, "start the container with --device "
				    "/dev/gpumem");
	else
		module_reload(doctor, "gpumem", finding);
}

void doctor_check_gdrcopy(const struct doctor *doctor,
			  const struct doctor_gpu *gpu,
			  struct doctor_finding *finding)
{
	void *lib = doctor_library(doctor, "libgdrapi.so.2");
	void (*get)(int *major, int *minor);
	char library[64] = "no libgdrapi.so.2", module[64];
	int major = 0, minor = 0, rc;

	if (lib) {
		*(void **)&get = dlsym(lib, "gdr_runtime_get_version");
		if (get)
			get(&major, &minor);
		snprintf(library, sizeof(library), "libgdrapi.so.2 %d.%d",
			 major, minor);
	}
	doctor_value(finding, "library", lib != NULL);
	if (!doctor_exists(doctor, "/sys/module/gdrdrv")) {
		doctor_found(finding, DOCTOR_OK,
			     "%s, gdrdrv is not loaded; gpumem needs neither",
			     library);
		return;
	}
	if (!doctor_read(doctor, module, sizeof(module),
			 "/sys/module/gdrdrv/version"))
		snprintf(module, sizeof(module), "of unknown version");
	doctor_value_text(finding, "module", module);
	rc = doctor_try(doctor, "/dev/gdrdrv");
	if (!rc) {
		doctor_found(finding, DOCTOR_OK,
			     "%s, gdrdrv %s through /dev/gdrdrv", library,
			     module);
		return;
	}
	doctor_found(finding, DOCTOR_NOTE, "%s, gdrdrv %s, but /dev/gdrdrv: %s",
		     library, module, strerror(-rc));
	doctor_impact(finding, "programs that use GDRCopy do without it");
	if (rc == -EACCES)
		doctor_mend_access(doctor, "/dev/gdrdrv", finding);
	else if (doctor->container[0])
		doctor_fix(finding, "start the container with -e "
				    "NVIDIA_GDRCOPY=enabled");
	else
		module_reload(doctor, "gdrdrv", finding);
}
