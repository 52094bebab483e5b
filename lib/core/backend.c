// SPDX-License-Identifier: MIT
/* What backends share: answers of those that cannot do a thing, mappings, hints. */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/gpumem.h>

#include "abi/sim.h"
#include "core/backend.h"
#include "base/error.h"
#include "base/handle.h"
#include "base/pci.h"

#define GM_PCI_NVIDIA 0x10de
#define GM_PCI_DISPLAY 0x03

int gm_backend_no_repin(struct gm_buf *buf,
			const struct gpumem_pin_options *options)
{
	return -ENOENT;
}

bool gm_backend_no_flush(struct gm_session *session)
{
	return false;
}

int gm_backend_no_alive(struct gm_buf *buf)
{
	return -EOPNOTSUPP;
}

int gm_backend_check_pin(const struct gm_buf *buf,
			 const struct gpumem_pin_options *options)
{
	const char *backend = buf->session->ops->name;

	if (options->flags & GPUMEM_PIN_EVENTFD)
		return gm_error(-EOPNOTSUPP,
				"pin: an eventfd would never be signalled: "
				"backend %s keeps the memory until it is "
				"unpinned; leave GPUMEM_PIN_EVENTFD away",
				backend);
	if (options->flags & GPUMEM_PIN_FORCE_BAR1)
		return gm_error(-EOPNOTSUPP,
				"pin: backend %s cannot choose BAR1; leave "
				"GPUMEM_PIN_FORCE_BAR1 away, or use backend "
				"kmod",
				backend);
	return 0;
}

/* Why a call that needs the kernel module fails without it. */
static int gm_backend_needs_kmod(const struct gm_buf *buf, const char *call,
				 const char *what)
{
	char hint[GM_HINT_LENGTH];

	gm_backend_module_hint(hint, sizeof(hint));
	return gm_error(-EOPNOTSUPP,
			"%s: backend %s cannot %s: only backend kmod can; %s",
			call, buf->session->ops->name, what, hint);
}

int gm_backend_no_dma_map(struct gm_dma *dma)
{
	return gm_backend_needs_kmod(dma->buf, "dma_map",
				     "map memory for a PCI device");
}

void gm_backend_no_dma_unmap(struct gm_dma *dma)
{
}

int gm_backend_no_dma_runs(struct gm_dma *dma, uint64_t first,
			   struct gpumem_run *runs, size_t count)
{
	return gm_backend_needs_kmod(dma->buf, "dma_runs",
				     "map memory for a PCI device");
}

int gm_backend_no_export(struct gm_buf *buf, unsigned int flags,
			 struct gpumem_dmabuf *dmabuf)
{
	return gm_backend_needs_kmod(buf, "export_dmabuf", "make a dma-buf");
}

static unsigned long gm_sysfs_hex(const char *device, const char *name)
{
	char path[512];
	unsigned long value = 0;
	FILE *file;

	snprintf(path, sizeof(path), GM_PCI_DEVICES "/%s/%s", device, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%lx", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

static bool gm_pci_has_nvidia(void)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	dir = opendir(GM_PCI_DEVICES);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.' &&
			gm_sysfs_hex(entry->d_name, "vendor") ==
				GM_PCI_NVIDIA &&
			gm_sysfs_hex(entry->d_name, "class") >> 16 ==
				GM_PCI_DISPLAY;
	closedir(dir);
	return found;
}

bool gm_backend_no_gpu(void)
{
	return access(GPUMEM_DEVICE_NODE, F_OK) &&
	       access("/dev/nvidiactl", F_OK) && !gm_pci_has_nvidia();
}

int gm_backend_check_cuda(struct gm_session *session)
{
	struct gpumem_sim_info info;

	if (!session->cuda.simulated ||
	    (!session->cuda.sim.get_info(&info) && info.emulated))
		return 0;
	return gm_error(-ELIBACC,
			"open: the libcuda.so.1 of this process simulates a "
			"GPU inside the process, which backend %s cannot "
			"reach; use backend sim, or take the simulated "
			"libcuda away",
			session->ops->name);
}

static void *gm_backend_mmap_flags(void *place, int prot, int flags, int fd,
				   uint64_t length, uint64_t offset)
{
	void *addr;
	int saved;

	/* A fork() in between would give a child the mapping. */
	gm_fork_block();
	addr = mmap(place, length, prot, MAP_SHARED | flags, fd, offset);
	if (addr != MAP_FAILED && madvise(addr, length, MADV_DONTFORK)) {
		saved = errno;
		munmap(addr, length);
		errno = saved;
		addr = MAP_FAILED;
	}
	saved = errno;
	gm_fork_allow();
	errno = saved;
	return addr == MAP_FAILED ? NULL : addr;
}

void *gm_backend_mmap(int fd, uint64_t length, uint64_t offset)
{
	return gm_backend_mmap_flags(NULL, PROT_READ | PROT_WRITE, 0, fd,
				     length, offset);
}

void *gm_backend_mmap_read(int fd, uint64_t length)
{
	return gm_backend_mmap_flags(NULL, PROT_READ, 0, fd, length, 0);
}

void *gm_backend_mmap_over(void *addr, int fd, uint64_t length)
{
	return gm_backend_mmap_flags(addr, PROT_READ | PROT_WRITE, MAP_FIXED,
				     fd, length, 0);
}

void gm_backend_access_hint(const char *node, char *hint, size_t size)
{
	struct group group, *found = NULL;
	char names[1024];
	struct stat st;

	if (!stat(node, &st) && (st.st_mode & 0060) == 0060 && st.st_gid &&
	    !getgrgid_r(st.st_gid, &group, names, sizeof(names), &found) &&
	    found)
		snprintf(hint, size, "join group %s, which may",
			 found->gr_name);
	else if (!strcmp(node, GPUMEM_DEVICE_NODE))
		snprintf(hint, size,
			 "join group gpumem, and have root install gpumem's "
			 "udev rule, which lets it in");
	else
		snprintf(hint, size,
			 "run as root, or have root let a group of yours in");
}

/* Whether gpumem.ko is where modprobe finds it: by DKMS or modules_install. */
static bool gm_module_installed(const char *release)
{
	static const char *const folders[] = { "updates/dkms", "updates",
					       "extra" };
	static const char *const ends[] = { "", ".xz", ".zst", ".gz" };
	char path[256];

	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 4; k++) {
			snprintf(path, sizeof(path),
				 "/lib/modules/%s/%s/gpumem.ko%s", release,
				 folders[i], ends[k]);
			if (!access(path, F_OK))
				return true;
		}
	}
	return false;
}

void gm_backend_module_hint(char *hint, size_t size)
{
	struct utsname kernel;

	if (uname(&kernel))
		kernel.release[0] = '\0';
	if (gm_backend_no_gpu())
		snprintf(hint, size,
			 "there is no NVIDIA GPU for gpumem.ko here");
	else if (!access(GPUMEM_DEVICE_NODE, F_OK))
		snprintf(hint, size, "gpumem.ko is loaded: choose it");
	else if (!access("/sys/module/gpumem", F_OK))
		snprintf(
			hint, size,
			"gpumem.ko is loaded: in a container, give it the node "
			"(--device " GPUMEM_DEVICE_NODE ")");
	else if (gm_module_installed(kernel.release))
		snprintf(hint, size, "load gpumem.ko: modprobe gpumem");
	else
		snprintf(hint, size,
			 "gpumem.ko is not installed for kernel %.64s: make "
			 "install-module in gpumem's source does that",
			 kernel.release);
}

void gm_backend_driver_hint(char *hint, size_t size)
{
	snprintf(hint, size, "%s",
		 gm_backend_no_gpu()
			 ? "there is no NVIDIA GPU here"
			 : "load it: modprobe nvidia, then nvidia-smi; where "
			   "there is no such module, install the driver");
}
