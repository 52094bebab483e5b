// SPDX-License-Identifier: MIT
/* gpumem doctor: the GPUs of the machine, BAR1, Resizable BAR, IOMMU. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/doctor.h"

#define PCI_NVIDIA 0x10de
#define PCI_DISPLAY 0x03

/* Of the lines in "resource": standard BARs, and the flag of memory. */
#define RESOURCE_BARS 6
#define RESOURCE_MEM 0x200u

/* Less of BAR1 than this is soon used up: a driver maps 2 MiB at a time. */
#define BAR1_LITTLE (16ull << 20)

/* The second BAR that has memory, whether the first takes one register or two. */
static void gpu_read_bar1(const struct doctor *doctor, struct doctor_gpu *gpu)
{
	char text[2048];
	char *at = text;
	int found = 0;

	gpu->bar1_index = -1;
	doctor_read(doctor, text, sizeof(text), DOCTOR_PCI "/%s/resource",
		    gpu->pci);
	for (int i = 0; i < RESOURCE_BARS && *at; i++) {
		uint64_t start = strtoull(at, &at, 16);
		uint64_t end = strtoull(at, &at, 16);
		uint64_t flags = strtoull(at, &at, 16);

		if (flags & RESOURCE_MEM && end > start && ++found == 2) {
			gpu->bar1_index = i;
			gpu->bar1_size = end - start + 1;
			return;
		}
	}
}

static struct doctor_gpu *gpu_add(struct doctor *doctor, const char *pci)
{
	struct doctor_gpu *gpu;

	if (doctor->gpu_count == DOCTOR_GPUS_MAX ||
	    strlen(pci) >= sizeof(gpu->pci))
		return NULL;
	gpu = &doctor->gpus[doctor->gpu_count++];
	memset(gpu, 0, sizeof(*gpu));
	snprintf(gpu->pci, sizeof(gpu->pci), "%s", pci);
	gpu->on_bus = *pci && doctor_exists(doctor, DOCTOR_PCI "/%s", pci);
	gpu->memory = GPUMEM_UNKNOWN;
	gpu->bar1_size = GPUMEM_UNKNOWN;
	gpu->bar1_free = GPUMEM_UNKNOWN;
	gpu_read_bar1(doctor, gpu);
	doctor_nvml_memory(doctor, pci, &gpu->memory);
	doctor_nvml_bar1(doctor, pci, &gpu->bar1_size, &gpu->bar1_free);
	return gpu;
}

static struct doctor_gpu *gpu_find(struct doctor *doctor, const char *pci)
{
	for (unsigned int i = 0; i < doctor->gpu_count; i++)
		if (!strcmp(doctor->gpus[i].pci, pci))
			return &doctor->gpus[i];
	return NULL;
}

static int gpu_order(const void *a, const void *b)
{
	const struct doctor_gpu *one = a, *other = b;

	return strcmp(one->pci, other->pci);
}

static void gpus_find_on_bus(struct doctor *doctor)
{
	DIR *dir = doctor_dir(doctor, DOCTOR_PCI);
	uint64_t vendor, class;
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		const char *pci = entry->d_name;

		if (pci[0] != '.' &&
		    doctor_read_number(doctor, 16, &vendor,
				       DOCTOR_PCI "/%s/vendor", pci) &&
		    vendor == PCI_NVIDIA &&
		    doctor_read_number(doctor, 16, &class,
				       DOCTOR_PCI "/%s/class", pci) &&
		    class >> 16 == PCI_DISPLAY)
			gpu_add(doctor, pci);
	}
	closedir(dir);
	qsort(doctor->gpus, doctor->gpu_count, sizeof(doctor->gpus[0]),
	      gpu_order);
	doctor->bus_count = doctor->gpu_count;
}

/* What CUDA tells of a GPU goes to the one of that address on the bus. */
static void gpus_add_known(struct doctor *doctor, int ordinal)
{
	struct gpumem_device device = { .size = sizeof(device) };
	struct doctor_gpu *gpu;

	if (gpumem_device_get(doctor->session, ordinal, &device))
		return;
	gpu = gpu_find(doctor, device.pci);
	/* Beside real GPUs nothing of a simulated one is on the bus. */
	if (!gpu)
		gpu = gpu_add(doctor, device.pci);
	if (!gpu)
		return;
	gpu->simulated = device.flags & GPUMEM_DEVICE_SIMULATED;
	gpu->open = ordinal == doctor->device.ordinal;
	gpu->memory = device.memory;
	if (device.bar1_size != GPUMEM_UNKNOWN)
		gpu->bar1_size = device.bar1_size;
	if (device.bar1_free != GPUMEM_UNKNOWN)
		gpu->bar1_free = device.bar1_free;
}

void doctor_find_gpus(struct doctor *doctor)
{
	unsigned int kept = 0;
	int count = 0;

	gpus_find_on_bus(doctor);
	if (!doctor->session)
		return;
	gpumem_device_count(doctor->session, &count);
	for (int i = 0; i < count; i++)
		gpus_add_known(doctor, i);
	if (!doctor->target.device_given)
		return;
	for (unsigned int i = 0; i < doctor->gpu_count; i++)
		if (doctor->gpus[i].open)
			doctor->gpus[kept++] = doctor->gpus[i];
	doctor->gpu_count = kept;
}

void doctor_check_bar1(const struct doctor *doctor,
		       const struct doctor_gpu *gpu,
		       struct doctor_finding *finding)
{
	uint64_t size = gpu->bar1_size, left = gpu->bar1_free;
	char all[32], used[32], rest[32];

	doctor_value(finding, "size", size);
	doctor_value(finding, "free", left);
	if (size == GPUMEM_UNKNOWN) {
		doctor_found(finding, DOCTOR_NOTE, "its size cannot be seen");
		return;
	}
	doctor_size(all, sizeof(all), size);
	if (left == GPUMEM_UNKNOWN || left > size) {
		doctor_found(finding, DOCTOR_OK, "%s, use unknown", all);
		return;
	}
	doctor_size(used, sizeof(used), size - left);
	doctor_size(rest, sizeof(rest), left);
	doctor_found(finding, DOCTOR_OK, "%s, %s in use, %s free%s", all, used,
		     rest, gpu->simulated ? " (SIMULATED)" : "");
	if (left >= BAR1_LITTLE)
		return;
	finding->level = DOCTOR_WARN;
	doctor_impact(finding, "mapping more than %s fails", rest);
	doctor_fix(finding, "end programs that map GPU memory: nvidia-smi "
			    "shows them, nvidia-smi -q -d MEMORY shows BAR1");
}

/* The largest size that the BAR can be given; 0: it cannot be resized. */
static uint64_t bar1_resize(const struct doctor *doctor,
			    const struct doctor_gpu *gpu)
{
	uint64_t sizes;

	if (gpu->bar1_index < 0 ||
	    !doctor_read_number(doctor, 16, &sizes,
				DOCTOR_PCI "/%s/resource%d_resize", gpu->pci,
				gpu->bar1_index))
		return 0;
	/* Bit n stands for 2^n MiB; more than 2^63 bytes are none of a BAR. */
	sizes &= (1ull << 44) - 1;
	if (!sizes)
		return 0;
	return 1ull << (63 - __builtin_clzll(sizes) + 20);
}

static void resizable_fix(const struct doctor *doctor,
			  const struct doctor_gpu *gpu, uint64_t most,
			  struct doctor_finding *finding)
{
	char text[8192], value[16];

	if (!most)
		doctor_fix(finding,
			   "in the firmware's setup turn on Above 4G "
			   "Decoding and Resizable BAR, if it has them");
	else if (doctor_read(doctor, text, sizeof(text),
			     "/proc/driver/nvidia/params") &&
		 doctor_setting(text, "EnableResizableBar", ':', value,
				sizeof(value)) &&
		 !strcmp(value, "0"))
		doctor_fix(finding,
			   "echo options nvidia NVreg_EnableResizableBar=1 | "
			   "sudo tee /etc/modprobe.d/nvidia-bar.conf, and "
			   "restart; or turn on Resizable BAR in the "
			   "firmware's setup");
	else
		doctor_fix(
			finding,
			"turn on Resizable BAR in the firmware's setup, "
			"or with the driver unloaded: echo %d | sudo tee " DOCTOR_PCI
			"/%s/resource%d_resize",
			63 - __builtin_clzll(most >> 20), gpu->pci,
			gpu->bar1_index);
}

void doctor_check_resizable(const struct doctor *doctor,
			    const struct doctor_gpu *gpu,
			    struct doctor_finding *finding)
{
	uint64_t most = bar1_resize(doctor, gpu), size = gpu->bar1_size;
	uint64_t memory = gpu->memory;
	char bar[32], all[32], top[32];
	bool covers = memory != GPUMEM_UNKNOWN && size >= memory;

	if (size == GPUMEM_UNKNOWN || !gpu->on_bus) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	doctor_value(finding, "memory", memory);
	doctor_value(finding, "bar1_size", size);
	doctor_value(finding, "bar1_largest", most ? most : GPUMEM_UNKNOWN);
	doctor_size(bar, sizeof(bar), size);
	doctor_size(all, sizeof(all), memory);
	doctor_size(top, sizeof(top), most);
	if (covers) {
		doctor_found(finding, DOCTOR_OK,
			     "BAR1 (%s) covers all %s of GPU memory", bar, all);
	} else if (memory == GPUMEM_UNKNOWN && size >= most) {
		doctor_found(finding, DOCTOR_OK,
			     most ? "BAR1 (%s) has the largest size that it can"
				  : "BAR1 has %s and cannot be resized",
			     bar);
	} else if (memory != GPUMEM_UNKNOWN) {
		doctor_found(
			finding, DOCTOR_WARN,
			"BAR1 (%s) covers a part of %s of GPU memory%s%s%s",
			bar, all, most > size ? "; it can have " : "",
			most > size ? top : "",
			most ? "" : "; it cannot be resized now");
	} else {
		doctor_found(finding, DOCTOR_WARN, "BAR1 is %s, it can have %s",
			     bar, top);
	}
	if (finding->level == DOCTOR_OK)
		return;
	doctor_impact(finding,
		      "only %s can be mapped at a time, by all programs "
		      "together",
		      bar);
	resizable_fix(doctor, gpu, most > size ? most : 0, finding);
}

void doctor_check_iommu(const struct doctor *doctor,
			const struct doctor_gpu *gpu,
			struct doctor_finding *finding)
{
	static const char *const words[] = { "iommu", "intel_iommu",
					     "amd_iommu", "iommu.passthrough" };
	char line[4096], type[32], group[32], asked[128] = "";

	if (!gpu->on_bus) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	doctor_read(doctor, line, sizeof(line), "/proc/cmdline");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t used = strlen(asked);
		char value[32];

		if (doctor_setting(line, words[i], '=', value, sizeof(value)))
			snprintf(asked + used, sizeof(asked) - used, "%s%s=%s",
				 used ? " " : ", started with ", words[i],
				 value);
	}
	doctor_link_name(doctor, group, sizeof(group),
			 DOCTOR_PCI "/%s/iommu_group", gpu->pci);
	doctor_read(doctor, type, sizeof(type),
		    DOCTOR_PCI "/%s/iommu_group/type", gpu->pci);
	doctor_value_text(finding, "group", group[0] ? group : NULL);
	doctor_value_text(finding, "type", type[0] ? type : NULL);
	if (!group[0] && !type[0]) {
		doctor_found(finding, DOCTOR_OK,
			     "none for the GPU%s: devices use physical "
			     "addresses",
			     asked);
	} else if (!strcmp(type, "identity")) {
		doctor_found(finding, DOCTOR_OK,
			     "group %s passes addresses through%s", group,
			     asked);
	} else if (!type[0]) {
		doctor_found(finding, DOCTOR_NOTE,
			     "group %s, its mode cannot be read%s", group,
			     asked);
	} else {
		doctor_found(finding, DOCTOR_NOTE, "group %s translates (%s)%s",
			     group, type, asked);
		doctor_impact(finding,
			      "nothing for the CPU; DMA between devices needs "
			      "gpumem_dma_map() and may run through the root "
			      "complex");
		doctor_fix(finding,
			   "for the fastest DMA between devices that are "
			   "trusted: add iommu=pt to GRUB_CMDLINE_LINUX in "
			   "/etc/default/grub, sudo update-grub and restart");
	}
}
