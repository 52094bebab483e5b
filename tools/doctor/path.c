// SPDX-License-Identifier: MIT
/*
 * gpumem doctor: the devices that share a PCI Express switch with the GPU, and whether
 * its ports let them reach each other. As kernel/gpumem/path.c judges it.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "doctor/doctor.h"

#define PCI_NVIDIA 0x10de
#define PCI_BRIDGE 0x06

/* PCI Express Base Specification, 7.7: extended capabilities, and that of ACS. */
#define CONFIG_SIZE 4096
#define CONFIG_EXTENDED 256
#define CAPABILITY_ACS 0x000d
#define ACS_CONTROL 6
#define ACS_REQUEST_REDIRECT 0x04
#define ACS_COMPLETION_REDIRECT 0x08
#define ACS_EGRESS_CONTROL 0x20

#define DEPTH_MAX 32
#define NAME_MAX_PCI 24

/* A device's place: the bridges above it, from the host bridge's down, and itself. */
struct place {
	char root[PATH_MAX]; /* down to the host bridge */
	char names[DEPTH_MAX][NAME_MAX_PCI];
	unsigned int count;
};

struct peers {
	unsigned int count; /* of devices below a switch with the GPU */
	unsigned int blocked; /* a port redirects, and there is no IOMMU */
	unsigned int sent_up; /* a port redirects, and there is one */
	unsigned int translated; /* the IOMMU gives them other addresses */
	bool hidden; /* a port's capabilities cannot be read */
	char list[160];
	char top[NAME_MAX_PCI]; /* the switch of the last one */
	char port[NAME_MAX_PCI]; /* the last that redirects */
};

static bool place_find(const struct doctor *doctor, const char *pci,
		       struct place *place)
{
	char target[PATH_MAX], *at, *name, *state;

	place->count = 0;
	if (!doctor_link(doctor, target, sizeof(target), DOCTOR_PCI "/%s", pci))
		return false;
	/* A host bridge made in software lies below a device of another one. */
	for (at = name = target; (at = strstr(at, "/pci")); name = at++)
		;
	name = *name == '/' ? strchr(name + 1, '/') : NULL;
	if (!name)
		return false;
	*name++ = '\0';
	snprintf(place->root, sizeof(place->root), "%s", target);
	for (name = strtok_r(name, "/", &state); name;
	     name = strtok_r(NULL, "/", &state)) {
		if (place->count == DEPTH_MAX || strlen(name) >= NAME_MAX_PCI)
			return false;
		snprintf(place->names[place->count++], NAME_MAX_PCI, "%s",
			 name);
	}
	return place->count > 0;
}

/* How many bridges both are below. */
static unsigned int place_shared(const struct place *one,
				 const struct place *other)
{
	unsigned int n = 0;

	if (strcmp(one->root, other->root) != 0)
		return 0;
	while (n + 1 < one->count && n + 1 < other->count &&
	       !strcmp(one->names[n], other->names[n]))
		n++;
	return n;
}

static unsigned int config_word(const uint8_t *config, size_t at)
{
	return config[at] | config[at + 1] << 8;
}

/* Whether the port has one of the bits set; *hidden where that cannot be seen. */
static bool port_redirects(const struct doctor *doctor, const char *port,
			   unsigned int bits, bool *hidden)
{
	uint8_t config[CONFIG_SIZE];
	size_t size = doctor_read_bytes(doctor, config, sizeof(config),
					DOCTOR_PCI "/%s/config", port);
	size_t at = CONFIG_EXTENDED;

	/* Others than root are shown the first 64 bytes. */
	if (size < CONFIG_EXTENDED) {
		*hidden = true;
		return false;
	}
	for (int i = 0; i < CONFIG_SIZE / 8; i++) {
		if (at < CONFIG_EXTENDED || at + 8 > size)
			return false;
		if (config_word(config, at) == CAPABILITY_ACS) {
			unsigned int control =
				config_word(config, at + ACS_CONTROL);

			return control != 0xffff && control & bits;
		}
		at = config_word(config, at + 2) >> 4;
	}
	return false;
}

/* The port between the device and the bridge number top that redirects, or NULL. */
static const char *place_redirects(const struct doctor *doctor,
				   const struct place *place, unsigned int top,
				   unsigned int bits, bool *hidden)
{
	for (unsigned int i = place->count - 1; i-- > top;)
		if (port_redirects(doctor, place->names[i], bits, hidden))
			return place->names[i];
	return NULL;
}

static void peer_add(const struct doctor *doctor, const struct place *gpu,
		     const struct place *peer, unsigned int shared,
		     struct peers *peers)
{
	const char *name = peer->names[peer->count - 1];
	size_t used = strlen(peers->list);
	const char *port;
	char type[32];

	if (peers->count++ < 4)
		snprintf(peers->list + used, sizeof(peers->list) - used, "%s%s",
			 used ? ", " : "", name);
	snprintf(peers->top, sizeof(peers->top), "%s", gpu->names[shared - 1]);
	port = place_redirects(doctor, peer, shared,
			       ACS_REQUEST_REDIRECT | ACS_EGRESS_CONTROL,
			       &peers->hidden);
	if (!port)
		port = place_redirects(doctor, gpu, shared,
				       ACS_COMPLETION_REDIRECT, &peers->hidden);
	if (port)
		snprintf(peers->port, sizeof(peers->port), "%s", port);
	if (!doctor_exists(doctor, DOCTOR_PCI "/%s/iommu_group", name)) {
		peers->blocked += !!port;
		return;
	}
	doctor_read(doctor, type, sizeof(type),
		    DOCTOR_PCI "/%s/iommu_group/type", name);
	if (!strncmp(type, "DMA", 3))
		peers->translated++;
	else
		peers->sent_up += !!port;
}

/* Not a GPU, nor a function of this one. */
static bool is_peer(const struct doctor *doctor, const char *gpu,
		    const char *pci)
{
	uint64_t vendor, class;

	return pci[0] != '.' && strncmp(gpu, pci, strcspn(gpu, ".")) != 0 &&
	       doctor_read_number(doctor, 16, &vendor, DOCTOR_PCI "/%s/vendor",
				  pci) &&
	       vendor != PCI_NVIDIA &&
	       doctor_read_number(doctor, 16, &class, DOCTOR_PCI "/%s/class",
				  pci) &&
	       class >> 16 != PCI_BRIDGE;
}

static void peers_find(const struct doctor *doctor, const struct place *gpu,
		       struct peers *peers)
{
	DIR *dir = doctor_dir(doctor, DOCTOR_PCI);
	struct dirent *entry;

	memset(peers, 0, sizeof(*peers));
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		struct place peer;
		unsigned int shared;

		if (!is_peer(doctor, gpu->names[gpu->count - 1],
			     entry->d_name) ||
		    !place_find(doctor, entry->d_name, &peer))
			continue;
		shared = place_shared(gpu, &peer);
		if (shared)
			peer_add(doctor, gpu, &peer, shared, peers);
	}
	closedir(dir);
}

static void peers_judge(const struct peers *peers,
			struct doctor_finding *finding)
{
	const char *more = peers->count > 4 ? ", ..." : "";
	const char *noun = peers->count == 1 ? "device" : "devices";

	if (peers->blocked) {
		doctor_found(finding, DOCTOR_WARN,
			     "%u %s below %s with the GPU (%s%s); the port %s "
			     "redirects requests (ACS), and there is no IOMMU",
			     peers->count, noun, peers->top, peers->list, more,
			     peers->port);
		doctor_impact(finding, "gpumem_dma_map() is refused for %u",
			      peers->blocked);
		doctor_fix(finding,
			   "where these devices are trusted with each other: "
			   "sudo setpci -s %s ECAP_ACS+6.w=0:2c (until the "
			   "next start); or turn the IOMMU on",
			   peers->port);
	} else if (peers->sent_up) {
		doctor_found(finding, DOCTOR_NOTE,
			     "%u %s below %s with the GPU (%s%s); the port %s "
			     "redirects requests (ACS)",
			     peers->count, noun, peers->top, peers->list, more,
			     peers->port);
		doctor_impact(finding, "DMA between them and the GPU runs "
				       "through the host bridge");
		doctor_fix(finding,
			   "where these devices are trusted with each other: "
			   "sudo setpci -s %s ECAP_ACS+6.w=0:2c (until the "
			   "next start)",
			   peers->port);
	} else {
		doctor_found(finding, DOCTOR_OK,
			     "%u %s below %s with the GPU (%s%s)%s",
			     peers->count, noun, peers->top, peers->list, more,
			     peers->translated ? ", behind an IOMMU: DMA runs "
						 "through the host bridge"
			     : peers->hidden
				     ? "; whether ports redirect (ACS) is "
				       "shown to root only"
				     : "; no port redirects");
	}
}

void doctor_check_peers(const struct doctor *doctor,
			const struct doctor_gpu *gpu,
			struct doctor_finding *finding)
{
	struct place place;
	struct peers peers;

	if (!gpu->on_bus || !place_find(doctor, gpu->pci, &place)) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	peers_find(doctor, &place, &peers);
	doctor_value(finding, "devices", peers.count);
	doctor_value(finding, "blocked", peers.blocked);
	doctor_value_text(finding, "switch", peers.count ? peers.top : NULL);
	doctor_value_text(finding, "port", peers.port[0] ? peers.port : NULL);
	if (peers.count)
		peers_judge(&peers, finding);
	else
		doctor_found(finding, DOCTOR_OK,
			     "none below a switch with the GPU: DMA of other "
			     "devices runs through the host bridge");
}
