// SPDX-License-Identifier: MIT
/* Starting up, and what a forked child gets. */
#include <errno.h>
#include <stdatomic.h>

#include "sim.h"

enum { SIM_NEW, SIM_READY, SIM_FORKED };

struct sim sim = { .lock = PTHREAD_RWLOCK_INITIALIZER };

static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int state = SIM_NEW;

/* CUDA does not survive fork(): nothing works in the child, ever. */
static void forked(void)
{
	if (atomic_load(&state) == SIM_READY)
		atomic_store(&state, SIM_FORKED);
}

static CUresult start(void)
{
	const struct sim_store *store;
	unsigned int gpus = 0;
	CUresult result;

	store = sim_store_open(&gpus);
	if (!store)
		return CUDA_ERROR_NO_DEVICE;
	sim.store = store;
	sim_visible_choose(gpus);
	if (!sim.device_count) {
		result = CUDA_ERROR_NO_DEVICE;
		goto close;
	}
	if (pthread_atfork(NULL, NULL, forked)) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto close;
	}
	for (int i = 0; i < sim.device_count; i++) {
		sim.primary[i].id = ++sim.last_id;
		sim.primary[i].dev = i;
	}
	atomic_store(&state, SIM_READY);
	return CUDA_SUCCESS;

close:
	sim.store = NULL;
	store->close();
	return result;
}

CUresult cuInit(unsigned int flags)
{
	CUresult result = CUDA_SUCCESS;

	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (atomic_load(&state) == SIM_FORKED)
		return CUDA_ERROR_NOT_INITIALIZED;
	pthread_mutex_lock(&init_lock);
	if (atomic_load(&state) == SIM_NEW)
		result = start();
	pthread_mutex_unlock(&init_lock);
	return result;
}

CUresult cuDriverGetVersion(int *version)
{
	if (!version)
		return CUDA_ERROR_INVALID_VALUE;
	*version = SIM_DRIVER_VERSION;
	return CUDA_SUCCESS;
}

CUresult sim_ready(void)
{
	return atomic_load(&state) == SIM_READY ? CUDA_SUCCESS
						: CUDA_ERROR_NOT_INITIALIZED;
}

int sim_ready_errno(void)
{
	switch (atomic_load(&state)) {
	case SIM_READY:
		return 0;
	case SIM_FORKED:
		return -EPERM;
	default:
		return -ENODEV;
	}
}

CUresult sim_result(int err)
{
	switch (err) {
	case 0:
		return CUDA_SUCCESS;
	case -ENOMEM:
	case -ENOSPC:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case -EINVAL:
	case -EFAULT:
		return CUDA_ERROR_INVALID_VALUE;
	case -EOPNOTSUPP:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
}
