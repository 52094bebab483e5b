// SPDX-License-Identifier: MIT
/* Which store: the emulated GPU's memory or a memory file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpumem_emu.h"
#include "sim.h"

/* NULL: the variable names no store. */
static const struct sim_store *store_choose(void)
{
	const char *name = getenv("GPUMEM_SIM_DEVICE");

	if (!name || !*name)
		return access(GPUMEM_EMU_NODE, R_OK | W_OK) ? &sim_store_memfd
							    : &sim_store_emu;
	if (!strcmp(name, "memfd"))
		return &sim_store_memfd;
	if (!strcmp(name, "emulated"))
		return &sim_store_emu;
	return NULL;
}

const struct sim_store *sim_store_open(unsigned int *gpus)
{
	const struct sim_store *store = store_choose();
	int err;

	if (!store) {
		fprintf(stderr,
			"gpumem simulated CUDA: GPUMEM_SIM_DEVICE=%s is "
			"unknown; use \"memfd\" or \"emulated\"\n",
			getenv("GPUMEM_SIM_DEVICE"));
		return NULL;
	}
	err = store->open(gpus);
	if (err) {
		fprintf(stderr,
			"gpumem simulated CUDA: cannot start the %s: %s\n",
			store->description, strerror(-err));
		return NULL;
	}
	return store;
}

const char *gpumem_sim_description(void)
{
	const struct sim_store *store;

	store = sim_ready() ? store_choose() : sim.store;
	return store ? store->description
		     : "no simulated GPU: GPUMEM_SIM_DEVICE is neither "
		       "\"memfd\" nor \"emulated\"";
}
