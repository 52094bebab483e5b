// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/*
 * How much GPU memory each user has pinned, and the limit on it. As with
 * RLIMIT_MEMLOCK, CAP_IPC_LOCK lifts the limit; unlike it, the limit is the
 * user's, over all processes, and is counted in whole GPU pages.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/uidgid.h>

#include "gpumem_drv.h"

static unsigned long user_limit;
module_param(user_limit, ulong, 0644);
MODULE_PARM_DESC(
	user_limit,
	"MiB of GPU memory that a user without CAP_IPC_LOCK may pin (0: no limit)");

/**
 * struct gpumem_user - what one user has pinned
 * @uid:	the user
 * @pins:	charges that are not undone
 * @bytes:	their sum
 */
struct gpumem_user {
	uid_t uid;
	u64 pins;
	u64 bytes;
};

/* Guards the table and what is in it. */
static DEFINE_MUTEX(gpumem_users_lock);
static DEFINE_XARRAY(gpumem_users);

static bool gpumem_user_may(const struct gpumem_user *user, u64 bytes)
{
	u64 limit = (u64)READ_ONCE(user_limit) << 20;

	if (!limit || capable(CAP_IPC_LOCK))
		return true;
	return bytes <= limit && user->bytes <= limit - bytes;
}

static struct gpumem_user *gpumem_user_find(uid_t uid)
{
	struct gpumem_user *user;
	int rc;

	lockdep_assert_held(&gpumem_users_lock);
	user = xa_load(&gpumem_users, uid);
	if (user)
		return user;
	user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
	if (!user)
		return ERR_PTR(-ENOMEM);
	user->uid = uid;
	rc = xa_err(xa_store(&gpumem_users, uid, user, GFP_KERNEL_ACCOUNT));
	if (rc) {
		kfree(user);
		return ERR_PTR(rc);
	}
	return user;
}

static void gpumem_user_drop(struct gpumem_user *user)
{
	lockdep_assert_held(&gpumem_users_lock);
	if (user->pins)
		return;
	xa_erase(&gpumem_users, user->uid);
	kfree(user);
}

/* Charges the calling user; -EDQUOT past the limit. */
struct gpumem_user *gpumem_user_charge(u64 bytes)
{
	struct gpumem_user *user;

	mutex_lock(&gpumem_users_lock);
	user = gpumem_user_find(__kuid_val(current_uid()));
	if (IS_ERR(user))
		goto out;
	if (gpumem_user_may(user, bytes)) {
		user->pins++;
		user->bytes += bytes;
	} else {
		gpumem_user_drop(user);
		user = ERR_PTR(-EDQUOT);
	}
out:
	mutex_unlock(&gpumem_users_lock);
	return user;
}

void gpumem_user_uncharge(struct gpumem_user *user, u64 bytes)
{
	mutex_lock(&gpumem_users_lock);
	user->pins--;
	user->bytes -= bytes;
	gpumem_user_drop(user);
	mutex_unlock(&gpumem_users_lock);
}

void gpumem_user_exit(void)
{
	xa_destroy(&gpumem_users);
}
