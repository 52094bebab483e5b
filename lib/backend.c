// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/gpumem.h>

#include "../sim/gpumem_sim.h"
#include "backend.h"
#include "error.h"
#include "handle.h"

#define GM_PCI_DEVICES "/sys/bus/pci/devices"
#define GM_PCI_NVIDIA 0x10de
#define GM_PCI_DISPLAY 0x03

static const struct gm_backend_ops *const gm_backends[] = {
	&gm_backend_kmod,
	&gm_backend_rm,
	&gm_backend_sim,
};

#define GM_BACKENDS (sizeof(gm_backends) / sizeof(gm_backends[0]))

const struct gm_backend_ops *gm_backend_at(unsigned int index)
{
	return index < GM_BACKENDS ? gm_backends[index] : NULL;
}

int gm_backend_find(const char *name, const struct gm_backend_ops **ops)
{
	for (size_t i = 0; i < GM_BACKENDS; i++) {
		if (!strcmp(gm_backends[i]->name, name)) {
			*ops = gm_backends[i];
			return 0;
		}
	}
	return gm_error(-EINVAL,
			"open: there is no backend \"%.40s\"; choose kmod, rm "
			"or sim, or none for the first that works",
			name);
}

const char *gm_backend_forced(void)
{
	const char *name = secure_getenv("GPUMEM_BACKEND");

	return name && *name ? name : NULL;
}

int gm_backend_no_alive(struct gm_buf *buf)
{
	return -EOPNOTSUPP;
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

void *gm_backend_mmap(int fd, uint64_t length, uint64_t offset)
{
	void *addr;
	int saved;

	/* A fork() in between would give a child the mapping. */
	gm_fork_block();
	addr = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    offset);
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
	else
		snprintf(hint, size, "run as root, or give access to it");
}

int gpumem_backend_get(unsigned int index, struct gpumem_backend *backend)
{
	const struct gm_backend_ops *ops = gm_backend_at(index);

	if (!backend)
		return gm_error(-EINVAL,
				"backend_get: backend is NULL; pass a struct "
				"gpumem_backend");
	if (backend->size != sizeof(*backend))
		return gm_error(-EINVAL,
				"backend_get: size is %zu: this library knows "
				"%zu; set it to sizeof(struct gpumem_backend)",
				backend->size, sizeof(*backend));
	if (!ops)
		return gm_error(-ENOENT,
				"backend_get: there is no backend %u: there "
				"are %zu; stop at this error",
				index, GM_BACKENDS);
	memset(backend->reason, 0, sizeof(backend->reason));
	backend->name = ops->name;
	backend->status = ops->probe(backend->reason, sizeof(backend->reason));
	return 0;
}
