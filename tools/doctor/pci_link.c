// SPDX-License-Identifier: MIT
/* gpumem doctor: how the GPU is connected: PCI Express link and NUMA node. */
#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/doctor.h"

struct link {
	double speed; /* GT/s a lane; 0: unknown */
	unsigned int width; /* lanes; 0: unknown */
};

static struct link link_read(const struct doctor *doctor, const char *pci,
			     const char *of, const char *kind)
{
	struct link link = { 0 };
	char text[64];

	if (doctor_read(doctor, text, sizeof(text),
			DOCTOR_PCI "/%s%s/%s_link_speed", pci, of, kind))
		link.speed = strtod(text, NULL);
	if (doctor_read(doctor, text, sizeof(text),
			DOCTOR_PCI "/%s%s/%s_link_width", pci, of, kind))
		link.width = strtoul(text, NULL, 10);
	/* A virtual machine shows 255 lanes where it knows none. */
	if (link.width > 32)
		link.width = 0;
	return link;
}

/* GB/s, with the line code of the generation. */
static double link_rate(struct link link)
{
	double code = link.speed < 8 ? 8.0 / 10 : 128.0 / 130;

	/* From 64 GT/s on, of 256 bytes 242 carry data. */
	if (link.speed >= 64)
		code = 242.0 / 256;
	return link.speed * link.width * code / 8;
}

static struct link link_least(struct link one, struct link other)
{
	if (other.speed > 0 && other.speed < one.speed)
		one.speed = other.speed;
	if (other.width && other.width < one.width)
		one.width = other.width;
	return one;
}

static void link_judge(const struct doctor *doctor,
		       const struct doctor_gpu *gpu, struct link now,
		       struct link most, struct link slot,
		       struct doctor_finding *finding)
{
	struct link can = link_least(most, slot);
	bool slow = now.speed < can.speed, narrow = now.width < can.width;

	doctor_found(finding, DOCTOR_OK,
		     "%.4g GT/s x%u (%.3g GB/s), the GPU can do %.4g GT/s x%u",
		     now.speed, now.width, link_rate(now), most.speed,
		     most.width);
	if (narrow || (slow && gpu->open)) {
		finding->level = DOCTOR_WARN;
		doctor_impact(finding, "%.0f%% of %.3g GB/s",
			      100 * (1 - link_rate(now) / link_rate(can)),
			      link_rate(can));
		doctor_fix(finding,
			   "seat the card in a slot with %u lanes, look for "
			   "a riser or divided lanes, and in the firmware's "
			   "setup at the slot's speed; sudo lspci -vv -s %s | "
			   "grep Lnk",
			   can.width, gpu->pci);
	} else if (slow) {
		finding->level = DOCTOR_NOTE;
		doctor_impact(finding, "nothing if the GPU is idle: it slows "
				       "its link down then");
		doctor_fix(finding, "look again while the GPU is at work");
	} else if (link_rate(can) < link_rate(most)) {
		finding->level = DOCTOR_WARN;
		doctor_impact(finding,
			      "%.0f%% of %.3g GB/s: the slot can do no more",
			      100 * (1 - link_rate(can) / link_rate(most)),
			      link_rate(most));
		doctor_fix(finding, "put the card into a slot of %.4g GT/s x%u",
			   most.speed, most.width);
	}
}

void doctor_check_link(const struct doctor *doctor,
		       const struct doctor_gpu *gpu,
		       struct doctor_finding *finding)
{
	struct link now = link_read(doctor, gpu->pci, "", "current");
	struct link most = link_read(doctor, gpu->pci, "", "max");
	/* The link resolves first, so that this is the port above. */
	struct link slot = link_read(doctor, gpu->pci, "/..", "max");

	if (!gpu->on_bus) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	if (now.speed <= 0 || !now.width || most.speed <= 0 || !most.width) {
		doctor_found(finding, DOCTOR_NOTE,
			     "the link's speed cannot be seen, as in virtual "
			     "machines");
		return;
	}
	doctor_value_real(finding, "speed_gts", now.speed);
	doctor_value(finding, "width", now.width);
	doctor_value_real(finding, "max_speed_gts", most.speed);
	doctor_value(finding, "max_width", most.width);
	doctor_value_real(finding, "gb_per_s", link_rate(now));
	link_judge(doctor, gpu, now, most, slot, finding);
}

static unsigned int numa_nodes(const struct doctor *doctor)
{
	DIR *dir = doctor_dir(doctor, "/sys/devices/system/node");
	struct dirent *entry;
	unsigned int count = 0;

	if (!dir)
		return 1;
	while ((entry = readdir(dir)))
		count += !strncmp(entry->d_name, "node", 4) &&
			 isdigit((unsigned char)entry->d_name[4]);
	closedir(dir);
	return count;
}

void doctor_check_numa(const struct doctor *doctor,
		       const struct doctor_gpu *gpu,
		       struct doctor_finding *finding)
{
	unsigned int cpu, node, nodes = numa_nodes(doctor);
	char text[32];
	long home = -1;

	if (!gpu->on_bus || getcpu(&cpu, &node)) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	if (doctor_read(doctor, text, sizeof(text), DOCTOR_PCI "/%s/numa_node",
			gpu->pci))
		home = strtol(text, NULL, 10);
	doctor_value(finding, "gpu_node",
		     home < 0 ? GPUMEM_UNKNOWN : (uint64_t)home);
	doctor_value(finding, "process_node", node);
	if (nodes <= 1 && home <= 0) {
		doctor_found(finding, DOCTOR_OK, "this machine has one node");
	} else if (home < 0) {
		doctor_found(finding, DOCTOR_NOTE,
			     "the GPU's node is unknown, this process runs on "
			     "node %u",
			     node);
		doctor_impact(finding, "access may cross sockets");
		doctor_fix(finding, "compare nodes: numactl --cpunodebind=N "
				    "--membind=N gpumem doctor");
	} else if ((unsigned long)home == node) {
		doctor_found(finding, DOCTOR_OK,
			     "GPU and process are on node %u (CPU %u)", node,
			     cpu);
	} else {
		doctor_found(finding, DOCTOR_WARN,
			     "the GPU is on node %ld, this process runs on "
			     "node %u (CPU %u)",
			     home, node, cpu);
		doctor_impact(finding, "every access crosses between sockets: "
				       "more latency, less bandwidth");
		doctor_fix(finding,
			   "numactl --cpunodebind=%ld --membind=%ld COMMAND",
			   home, home);
	}
}
