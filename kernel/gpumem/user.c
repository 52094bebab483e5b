// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * How much GPU memory each user has pinned, in how many pins, and the limits on
 * both. As with RLIMIT_MEMLOCK, CAP_IPC_LOCK lifts the limits; unlike it, they are
 * the user's, over all processes, and memory is counted in whole GPU pages.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
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

/* A sixteenth of the windows of mmap offsets that there are. */
static unsigned int user_pins = 65536;
module_param(user_pins, uint, 0644);
MODULE_PARM_DESC(user_pins,
		 "pins that a user without CAP_IPC_LOCK may have (0: no limit)");

/**
 * struct gpumem_user - what one user has pinned
 * @node:	in the table of users
 * @uid:	the user
 * @charges:	charges that are not undone, and windows
 * @bytes:	sum of the charges
 * @windows:	windows of mmap offsets that are taken
 * @turn:	held while the driver is asked for pages
 */
struct gpumem_user {
	struct hlist_node node;
	uid_t uid;
	u64 charges;
	u64 bytes;
	u64 windows;
	struct mutex turn; /* one call for pages */
};

/*
 * Guards the table and what is in it. The driver's callback takes it, so no memory
 * is allocated inside.
 */
static DEFINE_MUTEX(gpumem_users_lock);
static DEFINE_HASHTABLE(gpumem_users, 6);

static bool gpumem_user_may(const struct gpumem_user *user, u64 bytes)
{
	u64 limit = (u64)READ_ONCE(user_limit) << 20;

	if (!limit || capable(CAP_IPC_LOCK))
		return true;
	return bytes <= limit && user->bytes <= limit - bytes;
}

static bool gpumem_user_may_window(const struct gpumem_user *user)
{
	unsigned int limit = READ_ONCE(user_pins);

	return !limit || user->windows < limit || capable(CAP_IPC_LOCK);
}

static struct gpumem_user *gpumem_user_find(uid_t uid)
{
	struct gpumem_user *user;

	lockdep_assert_held(&gpumem_users_lock);
	hash_for_each_possible(gpumem_users, user, node, uid)
		if (user->uid == uid)
			return user;
	return NULL;
}

/* The calling user with the lock held, or an error without it. */
static struct gpumem_user *gpumem_user_lock(void)
{
	const uid_t uid = __kuid_val(current_uid());
	struct gpumem_user *user, *fresh;

	mutex_lock(&gpumem_users_lock);
	user = gpumem_user_find(uid);
	if (user)
		return user;
	mutex_unlock(&gpumem_users_lock);

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return ERR_PTR(-ENOMEM);
	fresh->uid = uid;
	mutex_init(&fresh->turn);
	mutex_lock(&gpumem_users_lock);
	user = gpumem_user_find(uid);
	if (user) {
		kfree(fresh);
		return user;
	}
	hash_add(gpumem_users, &fresh->node, uid);
	return fresh;
}

static void gpumem_user_drop(struct gpumem_user *user)
{
	lockdep_assert_held(&gpumem_users_lock);
	if (user->charges)
		return;
	hash_del(&user->node);
	kfree(user);
}

/* Charges the calling user; -EDQUOT past the limit. */
struct gpumem_user *gpumem_user_charge(u64 bytes)
{
	struct gpumem_user *user;

	user = gpumem_user_lock();
	if (IS_ERR(user))
		return user;
	if (gpumem_user_may(user, bytes)) {
		user->charges++;
		user->bytes += bytes;
	} else {
		gpumem_user_drop(user);
		user = ERR_PTR(-EDQUOT);
	}
	mutex_unlock(&gpumem_users_lock);
	return user;
}

void gpumem_user_uncharge(struct gpumem_user *user, u64 bytes)
{
	mutex_lock(&gpumem_users_lock);
	user->charges--;
	user->bytes -= bytes;
	gpumem_user_drop(user);
	mutex_unlock(&gpumem_users_lock);
}

/*
 * Counts a pin of the calling user; -EDQUOT past the limit. Not a matter of bytes:
 * a window stays taken while a mapping or a dma-buf refers to the pin.
 */
struct gpumem_user *gpumem_user_take_window(void)
{
	struct gpumem_user *user;

	user = gpumem_user_lock();
	if (IS_ERR(user))
		return user;
	if (gpumem_user_may_window(user)) {
		user->charges++;
		user->windows++;
	} else {
		gpumem_user_drop(user);
		user = ERR_PTR(-EDQUOT);
	}
	mutex_unlock(&gpumem_users_lock);
	return user;
}

void gpumem_user_give_window(struct gpumem_user *user)
{
	mutex_lock(&gpumem_users_lock);
	user->charges--;
	user->windows--;
	gpumem_user_drop(user);
	mutex_unlock(&gpumem_users_lock);
}

/*
 * A user asks the driver for one thing at a time, so that others wait for one call
 * of his and not for as many as he has processes. The caller has charged the user.
 */
int gpumem_user_begin(struct gpumem_user *user)
{
	return mutex_lock_killable(&user->turn) ? -EINTR : 0;
}

void gpumem_user_end(struct gpumem_user *user)
{
	mutex_unlock(&user->turn);
}
