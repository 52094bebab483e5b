// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/backend.h"
#include "base/clock.h"
#include "base/error.h"
#include "backend/rm/ioctl.h"
#include "abi/nvidia_rm.h"

static int gm_rm_ioctl(int fd, unsigned int nr, void *arg, size_t size)
{
	int rc;

	do {
		rc = ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 'F', nr, size),
			   arg);
	} while (rc && (errno == EINTR || errno == EAGAIN));
	return rc ? -errno : 0;
}

struct gm_rm_status {
	uint32_t status;
	int err;
	const char *text;
};

static const struct gm_rm_status gm_rm_statuses[] = {
	{ 0x0f, -ENODEV, "the GPU is lost; see dmesg" },
	{ 0x1a, -ENOMEM, "out of resources" },
	{ 0x1b, -EIO,
	  "no permission: the memory is another process's, or "
	  "confidential computing is on; use memory of this process" },
	{ 0x1f, -EPROTO, "an argument is invalid; report the driver version" },
	{ 0x22, -EPROTO, "the class is unknown; report the driver version" },
	{ 0x23, -EPROTO, "the client is unknown; report the driver version" },
	{ 0x33, -EPROTO, "the object is unknown; report the driver version" },
	{ 0x3a, -EPROTO,
	  "a structure's size is wrong; report the driver version" },
	{ 0x51, -ENOMEM, "out of memory" },
	{ 0x56, -EOPNOTSUPP,
	  "not supported for this GPU or memory; use backend kmod" },
	{ 0x57, -EPROTO, "the object is unknown; report the driver version" },
	{ 0x65, -EIO, "timed out; see dmesg" },
};

/* BAR1 that is left, for those who ran out of it. */
static void gm_rm_bar1_text(const struct gm_rm *rm, char *text, size_t size)
{
	uint64_t bytes, bytes_free;

	gm_bar1_get(rm->pci, &bytes, &bytes_free);
	if (bytes_free != GPUMEM_UNKNOWN && bytes != GPUMEM_UNKNOWN)
		snprintf(text, size,
			 "BAR1 has %" PRIu64 " MiB, %" PRIu64 " MiB free; ",
			 bytes >> 20, bytes_free >> 20);
	else if (bytes != GPUMEM_UNKNOWN)
		snprintf(text, size, "BAR1 has %" PRIu64 " MiB; ", bytes >> 20);
	else
		*text = '\0';
}

/* The result of a call: its errno, or the status that the driver set. */
static int gm_rm_result(const struct gm_rm *rm, const char *what, int rc,
			uint32_t status)
{
	const struct gm_rm_status *known = NULL;
	char bar1[96];

	if (rc)
		return gm_error(rc == -ENOMEM ? rc : -EIO,
				"rm: %s: %s; see dmesg", what, strerror(-rc));
	if (!status)
		return 0;
	for (size_t i = 0;
	     i < sizeof(gm_rm_statuses) / sizeof(gm_rm_statuses[0]); i++)
		if (gm_rm_statuses[i].status == status)
			known = &gm_rm_statuses[i];
	if (!known)
		return gm_error(-EIO,
				"rm: %s: the driver answers status 0x%x; see "
				"dmesg, or use backend kmod",
				what, status);
	if (known->err != -ENOMEM)
		return gm_error(known->err, "rm: %s: %s (status 0x%x)", what,
				known->text, status);
	gm_rm_bar1_text(rm, bar1, sizeof(bar1));
	return gm_error(-ENOMEM,
			"rm: %s: %s (status 0x%x): %sunpin other buffers, or "
			"pin less at a time",
			what, known->text, status, bar1);
}

static int gm_rm_register(const struct gm_rm *rm, int fd)
{
	int32_t ctl = rm->ctl;

	return gm_rm_result(
		rm, "register a descriptor",
		gm_rm_ioctl(fd, GM_RM_NR_REGISTER_FD, &ctl, sizeof(ctl)), 0);
}

/* Opens /dev/nvidia<minor> and ties it to the client. */
static int gm_rm_open_device(const struct gm_rm *rm)
{
	char node[32], hint[GM_HINT_LENGTH];
	int fd, rc;

	snprintf(node, sizeof(node), "/dev/nvidia%u", rm->minor);
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		gm_backend_access_hint(node, hint, sizeof(hint));
		if (rc == -EACCES || rc == -EPERM)
			return gm_error(-EACCES,
					"rm: open %s: this user may not; %s",
					node, hint);
		if (rc == -ENOENT)
			return gm_error(-ENODEV,
					"rm: open %s: %s: the GPU's node is "
					"missing; in a container, give it that "
					"node too, else run nvidia-modprobe",
					node, strerror(-rc));
		return gm_error(rc == -EMFILE || rc == -ENFILE ? -ENOMEM : -EIO,
				"rm: open %s: %s; %s", node, strerror(-rc),
				rc == -EMFILE ? "raise ulimit -n"
					      : "see dmesg");
	}
	rc = gm_rm_register(rm, fd);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static int gm_rm_alloc(struct gm_rm *rm, const char *what, uint32_t class,
		       void *params, uint32_t size, uint32_t *object)
{
	struct gm_rm_alloc_args args = {
		.root = rm->client,
		.parent = rm->client,
		.class = class,
		.params = (uintptr_t)params,
	};
	uint32_t *status = &args.status;
	int rc;

	if (rm->layout->alloc_params_size)
		args.params_size = size;
	else
		status = &args.params_size;
	rc = gm_rm_ioctl(rm->ctl, GM_RM_NR_ALLOC, &args, sizeof(args));
	rc = gm_rm_result(rm, what, rc, *status);
	if (rc)
		return rc;
	if (!args.object)
		return gm_error(-EPROTO,
				"rm: %s: the driver gave no handle; report "
				"the driver version",
				what);
	*object = args.object;
	return 0;
}

static int gm_rm_free_object(struct gm_rm *rm, uint32_t parent, uint32_t object)
{
	struct gm_rm_free_args args = {
		.root = rm->client,
		.parent = parent,
		.object = object,
	};
	int rc = gm_rm_ioctl(rm->ctl, GM_RM_NR_FREE, &args, sizeof(args));

	if (rc || args.status)
		gm_debug("rm: free object 0x%x: %d, status 0x%x", object, rc,
			 args.status);
	return rc;
}

/* Finds the GPU's minor and its id among the cards. */
static int gm_rm_find_card(struct gm_rm *rm, uint32_t *gpu_id)
{
	struct gm_rm_card cards[GM_RM_CARDS] = { 0 };
	unsigned int domain, bus, slot;
	int rc;

	if (sscanf(rm->pci, "%x:%x:%x", &domain, &bus, &slot) != 3)
		return gm_error(-EPROTO,
				"rm: CUDA gives no PCI address of the GPU "
				"(\"%s\"); use backend kmod",
				rm->pci);
	rc = gm_rm_ioctl(rm->ctl, GM_RM_NR_CARD_INFO, cards, sizeof(cards));
	rc = gm_rm_result(rm, "list the cards", rc, 0);
	if (rc)
		return rc;
	for (int i = 0; i < GM_RM_CARDS; i++) {
		const struct gm_rm_card *card = &cards[i];

		if (card->valid && card->domain == domain && card->bus == bus &&
		    card->slot == slot) {
			rm->minor = card->minor;
			*gpu_id = card->gpu_id;
			return 0;
		}
	}
	return gm_error(-ENODEV,
			"rm: the driver lists no card at %s, where CUDA sees "
			"the GPU; in a container, give it the GPU's nodes",
			rm->pci);
}

/* A control call on the client, or on an object of it. */
static int gm_rm_control(const struct gm_rm *rm, const char *what,
			 uint32_t object, uint32_t command, void *params,
			 uint32_t size)
{
	struct gm_rm_control_args args = {
		.client = rm->client,
		.object = object,
		.command = command,
		.params = (uintptr_t)params,
		.params_size = size,
	};
	int rc;

	rc = gm_rm_ioctl(rm->ctl, GM_RM_NR_CONTROL, &args, sizeof(args));
	return gm_rm_result(rm, what, rc, args.status);
}

static int gm_rm_device_instance(struct gm_rm *rm, uint32_t gpu_id,
				 uint32_t *instance)
{
	struct gm_rm_gpu_id_info info = { .gpu_id = gpu_id };
	int rc;

	rc = gm_rm_control(rm, "ask for the GPU's instance", rm->client,
			   GM_RM_GPU_GET_ID_INFO_V2, &info, sizeof(info));
	if (!rc)
		*instance = info.device_instance;
	return rc;
}

/* Opens the GPU's node, so that it is registered, and makes its object. */
static int gm_rm_open_gpu(struct gm_rm *rm)
{
	struct gm_rm_device_params params = { .client_share = rm->client };
	uint32_t gpu_id = 0;
	int rc;

	rc = gm_rm_find_card(rm, &gpu_id);
	if (rc)
		return rc;
	rc = gm_rm_device_instance(rm, gpu_id, &params.device_id);
	if (rc)
		return rc;
	rm->gpu = gm_rm_open_device(rm);
	if (rm->gpu < 0)
		return rm->gpu;
	rc = gm_rm_alloc(rm, "make a device", GM_RM_CLASS_DEVICE, &params,
			 sizeof(params), &rm->device);
	if (rc)
		close(rm->gpu);
	gm_debug("rm: GPU %s is /dev/nvidia%u, id 0x%x, instance %u", rm->pci,
		 rm->minor, gpu_id, params.device_id);
	return rc;
}

static int gm_rm_read_version(int ctl, struct gm_rm_version *version)
{
	struct gm_rm_version_args args = { .command = GM_RM_VERSION_QUERY };
	int rc;

	rc = gm_rm_ioctl(ctl, GM_RM_NR_CHECK_VERSION, &args, sizeof(args));
	args.string[sizeof(args.string) - 1] = '\0';
	return rc ? rc : gm_rm_version_parse(args.string, version);
}

/* Reads the driver's version and how it lays its calls out. */
static int gm_rm_read_layout(int ctl, struct gm_rm_version *version,
			     const struct gm_rm_layout **layout, char *reason,
			     size_t size)
{
	int rc = gm_rm_read_version(ctl, version);

	if (rc) {
		snprintf(reason, size,
			 GM_RM_CONTROL_NODE " does not tell its version: %s; "
					    "reinstall the NVIDIA driver",
			 strerror(-rc));
		return -ENODEV;
	}
	*layout = gm_rm_version_layout(version);
	if (*layout)
		return 0;
	snprintf(reason, size,
		 "the NVIDIA driver is %.40s; this backend needs 515 or newer: "
		 "update it, or use backend kmod",
		 version->text);
	return -EOPNOTSUPP;
}

/* Why the control node is not there. */
static void gm_rm_no_node(int err, char *reason, size_t size)
{
	char hint[GM_HINT_LENGTH];

	gm_backend_driver_hint(hint, sizeof(hint));
	if (!access("/dev/dxg", F_OK))
		snprintf(reason, size,
			 GM_RM_CONTROL_NODE ": %s: this is WSL2, whose driver "
					    "has no such node and cannot map "
					    "GPU memory; use Linux itself",
			 strerror(err));
	else if (!access("/proc/driver/nvidia/version", F_OK))
		snprintf(reason, size,
			 GM_RM_CONTROL_NODE
			 ": %s, though the NVIDIA driver is loaded: in a "
			 "container, give it the GPU's nodes (docker run "
			 "--gpus all), else run nvidia-modprobe",
			 strerror(err));
	else
		snprintf(reason, size,
			 GM_RM_CONTROL_NODE
			 ": %s: no NVIDIA driver is loaded; %s",
			 strerror(err), hint);
}

/* Opens the control node; a negative errno with its reason in reason. */
static int gm_rm_open_control(char *reason, size_t size)
{
	int ctl = open(GM_RM_CONTROL_NODE, O_RDWR | O_CLOEXEC);
	char hint[GM_HINT_LENGTH];
	int err = errno;

	if (ctl >= 0)
		return ctl;
	if (err != EACCES && err != EPERM) {
		gm_rm_no_node(err, reason, size);
		return -ENODEV;
	}
	gm_backend_access_hint(GM_RM_CONTROL_NODE, hint, sizeof(hint));
	snprintf(reason, size,
		 GM_RM_CONTROL_NODE ": this user may not open it; %s", hint);
	return -EACCES;
}

int gm_rm_open(struct gm_rm *rm, const char *pci)
{
	uint64_t start = gm_clock_ns();
	char reason[232];
	int rc;

	*rm = (struct gm_rm){ 0 };
	snprintf(rm->pci, sizeof(rm->pci), "%s", pci);
	rm->ctl = gm_rm_open_control(reason, sizeof(reason));
	if (rm->ctl < 0)
		return gm_error(rm->ctl, "rm: %s", reason);
	rc = gm_rm_read_layout(rm->ctl, &rm->version, &rm->layout, reason,
			       sizeof(reason));
	if (rc) {
		gm_error(rc, "rm: %s", reason);
		goto close_ctl;
	}
	rc = gm_rm_alloc(rm, "make a client", GM_RM_CLASS_ROOT, NULL, 0,
			 &rm->client);
	if (rc)
		goto close_ctl;
	rc = gm_rm_open_gpu(rm);
	if (rc)
		goto free_client;
	gm_debug("rm: client 0x%x, device 0x%x made in %.1f us", rm->client,
		 rm->device, (gm_clock_ns() - start) / 1e3);
	return 0;

free_client:
	gm_rm_free_object(rm, 0, rm->client);
close_ctl:
	close(rm->ctl);
	return rc;
}

void gm_rm_close(struct gm_rm *rm)
{
	gm_rm_free_object(rm, rm->client, rm->device);
	gm_rm_free_object(rm, 0, rm->client);
	gm_rm_drop(rm);
}

void gm_rm_drop(struct gm_rm *rm)
{
	close(rm->gpu);
	close(rm->ctl);
}

int gm_rm_dup(struct gm_rm *rm, uint32_t client, uint32_t object,
	      uint32_t *memory)
{
	struct gm_rm_dup_args args = {
		.client = rm->client,
		.parent = rm->device,
		.client_source = client,
		.object_source = object,
	};
	int rc;

	rc = gm_rm_ioctl(rm->ctl, GM_RM_NR_DUP_OBJECT, &args, sizeof(args));
	rc = gm_rm_result(rm, "duplicate CUDA's memory object", rc,
			  args.status);
	if (rc)
		return rc;
	if (!args.object)
		return gm_error(-EPROTO,
				"rm: duplicate CUDA's memory object: the "
				"driver gave no handle; report the driver "
				"version");
	*memory = args.object;
	return 0;
}

void gm_rm_free(struct gm_rm *rm, uint32_t memory)
{
	gm_rm_free_object(rm, rm->device, memory);
}

int gm_rm_size(const struct gm_rm *rm, uint32_t memory, uint64_t *bytes)
{
	struct gm_rm_surface_item item = { .index = GM_RM_SURFACE_PHYS_SIZE };
	struct gm_rm_surface_params params = { .count = 1,
					       .items = (uintptr_t)&item };
	int rc;

	rc = gm_rm_control(rm, "ask for a memory object's size", memory,
			   GM_RM_GET_SURFACE_INFO, &params, sizeof(params));
	if (!rc)
		*bytes = item.data * GM_RM_SURFACE_UNIT;
	return rc;
}

int gm_rm_are_same(const struct gm_rm *rm, uint32_t a, uint32_t b, bool *same)
{
	struct gm_rm_duplicates_params params = { .object1 = a, .object2 = b };
	int rc;

	rc = gm_rm_control(rm, "compare two memory objects", rm->client,
			   GM_RM_ARE_DUPLICATES, &params, sizeof(params));
	if (!rc)
		*same = params.same;
	return rc;
}

int gm_rm_map(struct gm_rm *rm, uint32_t memory, uint64_t offset,
	      uint64_t length, struct gm_rm_map *map)
{
	struct gm_rm_map_args args = {
		.client = rm->client,
		.device = rm->device,
		.memory = memory,
		.offset = offset,
		.length = length,
	};
	int rc;

	map->fd = gm_rm_open_device(rm);
	if (map->fd < 0)
		return map->fd;
	args.fd = map->fd;
	rc = gm_rm_ioctl(rm->ctl, GM_RM_NR_MAP_MEMORY, &args, sizeof(args));
	rc = gm_rm_result(rm, "map the memory into BAR1", rc, args.status);
	if (rc) {
		close(map->fd);
		return rc;
	}
	map->linear = args.linear;
	return 0;
}

int gm_rm_no_mmap(uint64_t length)
{
	int rc = errno == ENOMEM ? -ENOMEM : -EIO;

	return gm_error(rc,
			"map: mmap of %" PRIu64 " bytes of GPU memory: %s; %s",
			length, strerror(errno),
			rc == -ENOMEM ? "unmap other buffers, or raise "
					"vm.max_map_count (sysctl)"
				      : "see dmesg");
}

void gm_rm_map_done(struct gm_rm_map *map)
{
	int saved = errno;

	close(map->fd);
	map->fd = -1;
	errno = saved;
}

void gm_rm_unmap(struct gm_rm *rm, uint32_t memory, const struct gm_rm_map *map)
{
	struct gm_rm_unmap_args args = {
		.client = rm->client,
		.device = rm->device,
		.memory = memory,
		.linear = map->linear,
	};
	int rc;

	rc = gm_rm_ioctl(rm->ctl, GM_RM_NR_UNMAP_MEMORY, &args, sizeof(args));
	if (rc || args.status)
		gm_debug("rm: unmap object 0x%x: %d, status 0x%x", memory, rc,
			 args.status);
}

int gm_rm_import(struct gm_rm *rm, int fd, uint32_t *memory)
{
	struct gm_rm_import_params params = {
		.fd = fd,
		.parent = rm->device,
		.count = 1,
	};
	int rc;

	rc = gm_rm_control(rm, "import exported memory", rm->client,
			   GM_RM_IMPORT_OBJECTS_FROM_FD, &params,
			   sizeof(params));
	if (rc)
		return rc;
	if (!params.objects[0])
		return gm_error(-EPROTO,
				"rm: import exported memory: the driver gave "
				"no handle; report the driver version");
	if (params.types[0] != GM_RM_IMPORT_VIDEO_MEMORY) {
		gm_rm_free(rm, params.objects[0]);
		return gm_error(-EOPNOTSUPP,
				"rm: import exported memory: it is no video "
				"memory (type %u); create it on the GPU",
				params.types[0]);
	}
	*memory = params.objects[0];
	return 0;
}

int gm_rm_probe(struct gm_rm_version *version, char *reason, size_t size)
{
	const struct gm_rm_layout *layout;
	int ctl, rc;

	ctl = gm_rm_open_control(reason, size);
	if (ctl < 0)
		return ctl;
	rc = gm_rm_read_layout(ctl, version, &layout, reason, size);
	close(ctl);
	return rc;
}
