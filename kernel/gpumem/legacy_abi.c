// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The original three ioctls over today's pins. A handle is the pin's id in a
 * pointer's clothes: it means nothing outside its open file.
 */
#include <linux/uaccess.h>

#include "gpumem_drv.h"
#include "gpumemioctl.h"

static long gpumem_seed_lock(struct gpumem_file *file, void __user *user)
{
	struct gpumem_pin args = { 0 };
	struct gpudma_lock_t lock;
	struct gpumem_pinned *pin;
	int rc;

	if (copy_from_user(&lock, user, sizeof(lock)))
		return -EFAULT;
	args.addr = lock.addr;
	args.length = lock.size;
	pin = gpumem_pin_create(file, &args);
	if (IS_ERR(pin))
		return PTR_ERR(pin);
	rc = gpumem_pin_reserve(pin);
	if (rc)
		goto err_abort;
	lock.handle = (void *)(uintptr_t)pin->id;
	lock.page_count = pin->set.count;
	rc = -EFAULT;
	if (copy_to_user(user, &lock, sizeof(lock)))
		goto err_abort;
	gpumem_pin_publish(pin);
	return 0;

err_abort:
	gpumem_pin_abort(pin);
	return rc;
}

static long gpumem_seed_claim_lock(struct gpumem_file *file, void __user *user)
{
	int claim = gpumem_file_claim(file);
	long rc;

	if (claim < 0)
		return claim;
	rc = gpumem_seed_lock(file, user);
	if (claim)
		gpumem_file_claim_end(file, !rc);
	return rc;
}

static long gpumem_seed_unlock(struct gpumem_file *file, void __user *user)
{
	struct gpudma_unlock_t unlock;
	int rc;

	rc = gpumem_file_own(file);
	if (rc)
		return rc;
	if (copy_from_user(&unlock, user, sizeof(unlock)))
		return -EFAULT;
	return gpumem_pin_remove(file, (uintptr_t)unlock.handle);
}

static long gpumem_seed_state(struct gpumem_file *file, void __user *user)
{
	const size_t head = offsetof(struct gpudma_state_t, pages);
	struct gpudma_state_t state;
	struct gpumem_pinned *pin;
	size_t room;
	int rc;

	rc = gpumem_file_own(file);
	if (rc)
		return rc;
	if (copy_from_user(&state, user, head))
		return -EFAULT;
	pin = gpumem_pin_find(file, (uintptr_t)state.handle);
	if (!pin)
		return -ENOENT;
	rc = gpumem_pin_alive(pin);
	if (rc)
		goto out_put;

	room = state.page_count;
	state.page_count = pin->set.count;
	state.page_size = 1UL << pin->set.shift;
	rc = -EFAULT;
	if (copy_to_user(user, &state, head))
		goto out_put;
	rc = -ENOSPC;
	if (room < pin->set.count)
		goto out_put;
	rc = 0;
	if (copy_to_user(user + head, pin->set.addr,
			 pin->set.count * sizeof(*pin->set.addr)))
		rc = -EFAULT;
out_put:
	gpumem_pin_put(pin);
	return rc;
}

/* True, with the result in *ret, if the command is one of the original three. */
bool gpumem_seed_ioctl(struct gpumem_file *file, unsigned int cmd,
		       unsigned long arg, long *ret)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case IOCTL_GPUMEM_LOCK:
		*ret = gpumem_seed_claim_lock(file, user);
		return true;
	case IOCTL_GPUMEM_UNLOCK:
		*ret = gpumem_seed_unlock(file, user);
		return true;
	case IOCTL_GPUMEM_STATE:
		*ret = gpumem_seed_state(file, user);
		return true;
	default:
		return false;
	}
}
