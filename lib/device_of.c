// SPDX-License-Identifier: MIT
/* Which GPU an address is on, without a session. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "backends.h"
#include "base/cancel.h"
#include "base/error.h"
#include "core/pointer.h"

/* By whose libcuda it is. They are loaded once, and never freed. */
enum { GM_LIBCUDA_REAL, GM_LIBCUDA_SIM, GM_LIBCUDAS };

static struct gm_cuda *_Atomic gm_libcuda[GM_LIBCUDAS];

/* One of them and 1, once it was chosen: to look for GPUs takes long. */
static atomic_int gm_libcuda_choice;

static int gm_libcuda_choose(int *which)
{
	const char *name = gm_backend_forced();
	const struct gm_backend_ops *ops;
	int choice = atomic_load(&gm_libcuda_choice);
	int rc = 0;

	if (name) {
		rc = gm_backend_find(name, &ops);
		choice = !rc && ops == &gm_backend_sim ? GM_LIBCUDA_SIM + 1
						       : GM_LIBCUDA_REAL + 1;
	} else if (!choice) {
		choice = gm_backend_no_gpu() ? GM_LIBCUDA_SIM + 1
					     : GM_LIBCUDA_REAL + 1;
		atomic_store(&gm_libcuda_choice, choice);
	}
	*which = choice - 1;
	return rc;
}

static int gm_libcuda_load(int which, struct gm_cuda **loaded)
{
	struct gm_cuda *cuda = calloc(1, sizeof(*cuda));
	struct gm_cuda *other = NULL;
	int rc;

	if (!cuda)
		return gm_error(-ENOMEM,
				"device_of: out of host memory; free some");
	rc = which == GM_LIBCUDA_SIM ? gm_backend_sim.load_cuda(cuda)
				     : gm_cuda_load(cuda);
	if (!rc &&
	    !atomic_compare_exchange_strong(&gm_libcuda[which], &other, cuda))
		gm_cuda_unload(cuda);
	if (rc || other)
		free(cuda);
	*loaded = other ? other : cuda;
	return rc;
}

static int gm_libcuda_get(struct gm_cuda **cuda)
{
	int which;
	int rc = gm_libcuda_choose(&which);

	if (rc)
		return rc;
	*cuda = atomic_load(&gm_libcuda[which]);
	return *cuda ? 0 : gm_libcuda_load(which, cuda);
}

static int gm_device_of(uint64_t addr, int *ordinal)
{
	struct gm_cuda *cuda;
	int found = -1;
	int rc = gm_libcuda_get(&cuda);

	if (!rc)
		rc = gm_range_device(cuda, "device_of", addr, &found);
	if (rc)
		return rc;
	if (found < 0)
		return gm_error(-EINVAL,
				"device_of 0x%" PRIx64 ": CUDA names no single "
				"GPU for it; pass a device address from "
				"cuMemAlloc",
				addr);
	*ordinal = found;
	return 0;
}

int gpumem_device_of(uint64_t addr, int *ordinal)
{
	int rc;

	if (!ordinal)
		return gm_error(-EINVAL, "device_of: ordinal is NULL; pass "
					 "where the number goes");
	gm_cancel_point();
	gm_cancel_block();
	rc = gm_device_of(addr, ordinal);
	gm_cancel_allow();
	return rc;
}
