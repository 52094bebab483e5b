/* SPDX-License-Identifier: MIT */
/* What the files of virtual memory management share. */
#ifndef SIM_VMM_H
#define SIM_VMM_H

#include "sim.h"

/* Addresses that cuMemAddressReserve() gave. */
struct sim_reserve {
	uint64_t addr;
	uint64_t length;
	struct sim_reserve *next;
};

/* Takes sim.lock for writing on success; no context is needed. */
CUresult sim_vmm_lock(void);
/* The reservation that holds the whole range, or NULL. */
struct sim_reserve *sim_reserve_find(uint64_t addr, uint64_t size);

#endif /* SIM_VMM_H */
