// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Memory held for devices and importers. The driver keeps memory that was
 * pinned the persistent way until it is put, and never calls back.
 */
#include <linux/slab.h>

#include "gpumem_drv.h"

static void gpumem_hold_free(struct kref *ref)
{
	struct gpumem_hold *hold = container_of(ref, struct gpumem_hold, ref);

	gpumem_p2p_unhold(hold);
	gpumem_user_uncharge(hold->user, hold->size);
	kvfree(hold->set.addr);
	kfree(hold);
}

/* Pins the persistent way. For the memory's owner only. */
struct gpumem_hold *gpumem_hold_new(u64 base, u64 size, u32 flags)
{
	struct gpumem_hold *hold;
	int rc;

	hold = kzalloc(sizeof(*hold), GFP_KERNEL_ACCOUNT);
	if (!hold)
		return ERR_PTR(-ENOMEM);
	kref_init(&hold->ref);
	hold->base = base;
	hold->size = size;
	/* It can outlive the pin, and takes BAR1 space of its own. */
	hold->user = gpumem_user_charge(hold->size);
	if (IS_ERR(hold->user)) {
		rc = PTR_ERR(hold->user);
		goto err_free;
	}
	rc = gpumem_p2p_hold(hold, flags);
	if (rc)
		goto err_uncharge;
	return hold;

err_uncharge:
	gpumem_user_uncharge(hold->user, hold->size);
err_free:
	kvfree(hold->set.addr);
	kfree(hold);
	return ERR_PTR(rc);
}

/*
 * The memory of a pin, for the pin's owner only. A persistent pin holds it
 * itself, and must be asked: CUDA may have freed the memory since and given its
 * address to another. That of a revocable pin is pinned once more; the caller
 * then looks whether the pin is still live.
 */
struct gpumem_hold *gpumem_hold_of(struct gpumem_pinned *pin)
{
	struct gpumem_hold *hold;

	if (!(pin->flags & GPUMEM_PIN_PERSISTENT))
		return gpumem_hold_new(pin->base, pin->size, pin->flags);
	down_read(&pin->lock);
	hold = pin->hold;
	if (hold)
		kref_get(&hold->ref);
	up_read(&pin->lock);
	return hold ? hold : ERR_PTR(-ENODEV);
}

void gpumem_hold_get(struct gpumem_hold *hold)
{
	kref_get(&hold->ref);
}

/* Not inside the driver's callback, if it can be the last reference. */
void gpumem_hold_put(struct gpumem_hold *hold)
{
	kref_put(&hold->ref, gpumem_hold_free);
}

/* Pages from the first one on, at most that many, that follow each other. */
u64 gpumem_set_run(const struct gpumem_page_set *set, u64 first, u64 most)
{
	u64 n = 1;

	while (n < most && first + n < set->count &&
	       set->addr[first + n] == set->addr[first] + (n << set->shift))
		n++;
	return n;
}
