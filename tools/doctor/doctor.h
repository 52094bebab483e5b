/* SPDX-License-Identifier: MIT */
/*
 * gpumem doctor: what its checks share. Every check looks at one thing and
 * fills one finding, which becomes one line, or one entry of the JSON list.
 */
#ifndef GPUMEM_TOOL_DOCTOR_H
#define GPUMEM_TOOL_DOCTOR_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#include "report.h"
#include "tool.h"

#define DOCTOR_PCI "/sys/bus/pci/devices"
#define DOCTOR_GPUS_MAX 64

#define DOCTOR_GET_DRIVER \
	"install the NVIDIA driver (Debian: sudo apt install nvidia-driver)"
#define DOCTOR_LOAD_DRIVER \
	"sudo modprobe nvidia; if there is no such module: " DOCTOR_GET_DRIVER

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_NOTE, /* worth knowing; nothing to fix for most users */
	DOCTOR_WARN, /* works, but at a price */
	DOCTOR_FAIL, /* the GPU's memory cannot be reached */
	DOCTOR_LEVELS,
	DOCTOR_SKIP = DOCTOR_LEVELS, /* nothing to say: no line */
};

struct doctor_finding {
	enum doctor_level level;
	char found[400]; /* the state of what was looked at */
	char impact[240]; /* its effect on programs; "": none */
	char fix[320]; /* the command that changes it; "": none */
	struct report *values; /* figures for --json; NULL in text */
};

/* A GPU on the PCI bus, or one that only the session knows. */
struct doctor_gpu {
	char pci[16]; /* "": the session's, which is on no bus */
	bool on_bus; /* sysfs has it */
	bool open; /* it is the session's */
	bool simulated;
	int bar1_index; /* of resourceN; -1: unknown */
	/* bytes, or GPUMEM_UNKNOWN */
	uint64_t memory;
	uint64_t bar1_size;
	uint64_t bar1_free;
};

struct doctor {
	struct tool_target target;
	const char *root; /* where /proc, /sys and /dev are; "": at / */
	struct gpumem *session; /* NULL: no GPU is open */
	const char *backend;
	struct gpumem_device device;
	bool simulated; /* the session's GPU is no real one */
	char error[512]; /* why there is no session */
	bool nothing_usable; /* no backend works here */

	struct doctor_gpu gpus[DOCTOR_GPUS_MAX];
	unsigned int gpu_count;
	unsigned int bus_count; /* NVIDIA GPUs on the bus */
	bool driver; /* the NVIDIA kernel driver is loaded */
	void *nvml; /* NULL: it is not there, or does not start */
	bool wsl;
	char container[32]; /* its kind; "": none */

	unsigned int count[DOCTOR_LEVELS];
	struct report *list; /* NULL in text */
};

/*
 * gpu is NULL in checks of the machine. The finding comes as DOCTOR_OK with
 * empty texts.
 */
typedef void doctor_check_fn(const struct doctor *doctor,
			     const struct doctor_gpu *gpu,
			     struct doctor_finding *finding);

doctor_check_fn doctor_check_gpu;
doctor_check_fn doctor_check_backend;
doctor_check_fn doctor_check_driver;
doctor_check_fn doctor_check_settings;
doctor_check_fn doctor_check_cuda;
doctor_check_fn doctor_check_dmabuf;
doctor_check_fn doctor_check_mig;
doctor_check_fn doctor_check_confidential;
doctor_check_fn doctor_check_nvidiactl;
doctor_check_fn doctor_check_uvm;
doctor_check_fn doctor_check_gpu_node;
doctor_check_fn doctor_check_container;
doctor_check_fn doctor_check_wsl;
doctor_check_fn doctor_check_module;
doctor_check_fn doctor_check_gdrcopy;
doctor_check_fn doctor_check_combining;
doctor_check_fn doctor_check_memlock;
doctor_check_fn doctor_check_files;
doctor_check_fn doctor_check_bar1;
doctor_check_fn doctor_check_resizable;
doctor_check_fn doctor_check_iommu;
doctor_check_fn doctor_check_peers;
doctor_check_fn doctor_check_link;
doctor_check_fn doctor_check_numa;

/* What other checks depend on; before any of them runs. */
void doctor_find_driver(struct doctor *doctor);
void doctor_find_surroundings(struct doctor *doctor);
void doctor_find_nvml(struct doctor *doctor);
void doctor_find_gpus(struct doctor *doctor);

/* Parts of a finding. The first two set the level. */
void doctor_found(struct doctor_finding *finding, enum doctor_level level,
		  const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* For what only an open GPU can tell. */
void doctor_not_open(const struct doctor *doctor,
		     struct doctor_finding *finding);
void doctor_impact(struct doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void doctor_fix(struct doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Figures for --json. */
void doctor_value(struct doctor_finding *finding, const char *key,
		  uint64_t value);
void doctor_value_real(struct doctor_finding *finding, const char *key,
		       double value);
void doctor_value_text(struct doctor_finding *finding, const char *key,
		       const char *value);

/*
 * Files, all below the root. doctor_read() takes the start of a file, without
 * the newline at its end, and makes text "" where that fails.
 */
bool doctor_exists(const struct doctor *doctor, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool doctor_read(const struct doctor *doctor, char *text, size_t room,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
bool doctor_read_number(const struct doctor *doctor, int base, uint64_t *value,
			const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The start of a file, as it is: how much there was of it. */
size_t doctor_read_bytes(const struct doctor *doctor, void *bytes, size_t room,
			 const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A symbolic link's target; false, and "", if there is none. */
bool doctor_link(const struct doctor *doctor, char *target, size_t room,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The last name in a symbolic link's target, or "". */
void doctor_link_name(const struct doctor *doctor, char *name, size_t room,
		      const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Opens for reading and writing and closes again: 0 or a negative errno. */
int doctor_try(const struct doctor *doctor, const char *path);
DIR *doctor_dir(const struct doctor *doctor, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A module is where modprobe finds it for the running kernel. */
bool doctor_module_installed(const struct doctor *doctor, const char *name);
/* Permissions and group of a node that may not be opened, and who may. */
void doctor_mend_access(const struct doctor *doctor, const char *path,
			struct doctor_finding *finding);
/*
 * A shared library; with a root, the one in its /lib and no other. Never
 * unloaded.
 */
void *doctor_library(const struct doctor *doctor, const char *name);

/*
 * The value of "name: value" in text, or of "name=value" where separator is
 * '='. False if there is none.
 */
bool doctor_setting(const char *text, const char *name, char separator,
		    char *value, size_t room);

/* "23.9 GiB" or "256 MiB". */
const char *doctor_size(char *text, size_t room, uint64_t bytes);

/*
 * What NVML knows of a GPU, or of the machine; false where it cannot be found
 * out.
 */
bool doctor_nvml_memory(const struct doctor *doctor, const char *pci,
			uint64_t *bytes);
bool doctor_nvml_bar1(const struct doctor *doctor, const char *pci,
		      uint64_t *size, uint64_t *bytes_free);
bool doctor_nvml_mig(const struct doctor *doctor, const char *pci, bool *on);
bool doctor_nvml_confidential(const struct doctor *doctor, bool *on);

#endif /* GPUMEM_TOOL_DOCTOR_H */
