// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * A pin: made, published in its file's table, found, revoked, removed.
 *
 * The table entry's reference is dropped by whoever takes the entry out, so a
 * pin is released once however many threads unpin it.
 */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sched.h>

#include "gpumem_drv.h"
#include "trace.h"

/*
 * Each pin has a window of mmap offsets of its own, across all files: revoking
 * one must not touch the mappings of another, which hang in the same inode. Bit
 * 62 keeps the windows away from physical addresses, which the original
 * interface uses as offsets.
 */
#define GPUMEM_WINDOW_SHIFT 42
#define GPUMEM_WINDOW_BASE BIT_ULL(62)
#define GPUMEM_WINDOW_MAX (BIT(62 - GPUMEM_WINDOW_SHIFT) - 1)

static DEFINE_XARRAY_ALLOC1(gpumem_windows);
/* Where the search for a free one goes on; under its xa_lock. */
static u32 gpumem_window_next;

u64 gpumem_pin_mmap_offset(const struct gpumem_pinned *pin)
{
	return GPUMEM_WINDOW_BASE | (u64)pin->window << GPUMEM_WINDOW_SHIFT;
}

static void gpumem_pin_uncharge(struct gpumem_pinned *pin)
{
	if (pin->user)
		gpumem_user_uncharge(pin->user, pin->size);
	pin->user = NULL;
}

static void gpumem_pin_free(struct kref *ref)
{
	struct gpumem_pinned *pin =
		container_of(ref, struct gpumem_pinned, ref);

	if (pin->window)
		xa_erase(&gpumem_windows, pin->window);
	gpumem_event_put(pin);
	gpumem_pin_uncharge(pin);
	if (pin->window_user)
		gpumem_user_give_window(pin->window_user);
	kvfree(pin->set.addr);
	gpumem_file_put(pin->file);
	kfree(pin);
}

void gpumem_pin_get(struct gpumem_pinned *pin)
{
	kref_get(&pin->ref);
}

void gpumem_pin_put(struct gpumem_pinned *pin)
{
	kref_put(&pin->ref, gpumem_pin_free);
}

u64 gpumem_pin_bytes(const struct gpumem_pinned *pin)
{
	return pin->set.count << pin->set.shift;
}

static int gpumem_pin_check(const struct gpumem_pin *args, u64 *end)
{
	const u32 known = GPUMEM_PIN_PERSISTENT | GPUMEM_PIN_FORCE_BAR1 |
			  GPUMEM_PIN_EVENTFD;

	if (args->flags & ~known || !args->length)
		return -EINVAL;
	if (args->flags & GPUMEM_PIN_FORCE_BAR1 &&
	    !(args->flags & GPUMEM_PIN_PERSISTENT))
		return -EINVAL;
	if (args->event_fd && !(args->flags & GPUMEM_PIN_EVENTFD))
		return -EINVAL;
	if (check_add_overflow(args->addr, args->length, end) ||
	    check_add_overflow(*end, (u64)GPUMEM_GPU_PAGE_SIZE - 1, end))
		return -EOVERFLOW;
	return 0;
}

/* A persistent pin is its hold: the driver never takes that back. */
static int gpumem_pin_fill_persistent(struct gpumem_pinned *pin)
{
	struct gpumem_hold *hold;

	hold = gpumem_hold_new(pin->base, pin->size, pin->flags);
	if (IS_ERR(hold))
		return PTR_ERR(hold);
	pin->set = hold->set;
	pin->set.addr = kvmalloc_array(hold->set.count, sizeof(*pin->set.addr),
				       GFP_KERNEL_ACCOUNT);
	if (!pin->set.addr) {
		gpumem_hold_put(hold);
		return -ENOMEM;
	}
	memcpy(pin->set.addr, hold->set.addr,
	       hold->set.count * sizeof(*pin->set.addr));
	pin->hold = hold;
	pin->state = GPUMEM_PIN_LIVE;
	return 0;
}

static int gpumem_pin_fill(struct gpumem_pinned *pin, int event_fd)
{
	struct gpumem_user *user;
	int rc;

	user = gpumem_user_take_window();
	if (IS_ERR(user))
		return PTR_ERR(user);
	pin->window_user = user;
	if (pin->size > GPUMEM_PIN_MAX_LENGTH)
		return -EOVERFLOW;
	if (pin->flags & GPUMEM_PIN_EVENTFD) {
		rc = gpumem_event_get(pin, event_fd);
		if (rc)
			return rc;
	}
	if (pin->flags & GPUMEM_PIN_PERSISTENT)
		return gpumem_pin_fill_persistent(pin);
	user = gpumem_user_charge(pin->size);
	if (IS_ERR(user))
		return PTR_ERR(user);
	pin->user = user;
	return gpumem_p2p_get(pin);
}

/*
 * Pins a range. The result is live but in no table yet: gpumem_pin_reserve()
 * and gpumem_pin_publish(), or gpumem_pin_abort(), come next.
 */
struct gpumem_pinned *gpumem_pin_create(struct gpumem_file *file,
					const struct gpumem_pin *args)
{
	const u64 mask = GPUMEM_GPU_PAGE_SIZE - 1;
	struct gpumem_pinned *pin;
	u64 end;
	int rc;

	rc = gpumem_pin_check(args, &end);
	if (rc)
		return ERR_PTR(rc);
	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return ERR_PTR(-ENOMEM);
	kref_init(&pin->ref);
	init_rwsem(&pin->lock);
	init_completion(&pin->call_done);
	mutex_init(&pin->exports_lock);
	INIT_LIST_HEAD(&pin->exports);
	INIT_LIST_HEAD(&pin->dmas);
	kref_get(&file->ref);
	pin->file = file;
	pin->addr = args->addr;
	pin->length = args->length;
	pin->flags = args->flags;
	pin->base = args->addr & ~mask;
	pin->size = (end & ~mask) - pin->base;
	pin->uid = current_euid();
	strscpy_pad(pin->comm, current->comm, sizeof(pin->comm));

	rc = gpumem_pin_fill(pin, args->event_fd);
	trace_gpumem_pin(pin, rc);
	if (rc) {
		gpumem_pin_put(pin);
		return ERR_PTR(rc);
	}
	return pin;
}

/* Chooses the pin's id and window; neither leads to it yet. */
int gpumem_pin_reserve(struct gpumem_pinned *pin)
{
	u32 window, id;
	int rc;

	/* These write a number even if they fail: it may be another's by now. */
	rc = xa_alloc_cyclic(&gpumem_windows, &window, NULL,
			     XA_LIMIT(1, GPUMEM_WINDOW_MAX),
			     &gpumem_window_next, GFP_KERNEL);
	if (rc < 0)
		goto err;
	pin->window = window;
	rc = xa_alloc_cyclic(&pin->file->pins, &id, NULL, xa_limit_31b,
			     &pin->file->next_pin, GFP_KERNEL_ACCOUNT);
	if (rc < 0)
		goto err;
	pin->id = id;
	return 0;

err:
	/* xarray says EBUSY for full. */
	return rc == -EBUSY ? -ENOSPC : rc;
}

/* Puts a reserved pin into the tables, which take over the caller's reference. */
void gpumem_pin_publish(struct gpumem_pinned *pin)
{
	/* Stores into reserved entries: they need no memory and cannot fail. */
	xa_store(&gpumem_windows, pin->window, pin, GFP_KERNEL);
	xa_store(&pin->file->pins, pin->id, pin, GFP_KERNEL_ACCOUNT);
}

/*
 * Ends the pin's life in the driver and in user mappings, and drops the
 * caller's reference.
 */
static void gpumem_pin_kill(struct gpumem_pinned *pin)
{
	struct nvidia_p2p_page_table *table;
	struct gpumem_hold *hold;
	bool called;

	down_write(&pin->lock);
	pin->state = GPUMEM_PIN_DEAD;
	table = pin->table;
	pin->table = NULL;
	hold = pin->hold;
	pin->hold = NULL;
	called = pin->called_back;
	up_write(&pin->lock);

	gpumem_mmap_zap(pin);
	gpumem_export_revoke_all(pin);
	gpumem_mmap_wc_release(pin);
	gpumem_dma_end_all(pin);
	gpumem_dma_forget(pin->file, pin);
	trace_gpumem_unpin(pin);
	if (hold)
		gpumem_hold_put(hold);
	else if (table)
		gpumem_p2p_put(pin, table);
	else if (called)
		/* The module may be unloaded as soon as the file is closed. */
		wait_for_completion(&pin->call_done);
	/*
	 * A VMA may keep the pin itself for long. What the driver still keeps
	 * stays charged until its callback.
	 */
	if (!pin->orphan)
		gpumem_pin_uncharge(pin);
	gpumem_pin_put(pin);
}

/* Undoes gpumem_pin_create() and gpumem_pin_reserve(). */
void gpumem_pin_abort(struct gpumem_pinned *pin)
{
	if (pin->id)
		xa_erase(&pin->file->pins, pin->id);
	gpumem_pin_kill(pin);
}

/* The file's pin of that id with a reference for the caller, or NULL. */
struct gpumem_pinned *gpumem_pin_find(struct gpumem_file *file, u64 id)
{
	struct gpumem_pinned *pin;

	if (id > U32_MAX)
		return NULL;
	xa_lock(&file->pins);
	pin = xa_load(&file->pins, id);
	if (pin)
		kref_get(&pin->ref);
	xa_unlock(&file->pins);
	return pin;
}

/* The file's pin whose window holds that mmap offset, likewise, or NULL. */
struct gpumem_pinned *gpumem_pin_find_window(struct gpumem_file *file,
					     u64 offset)
{
	struct gpumem_pinned *pin;

	if (!(offset & GPUMEM_WINDOW_BASE))
		return NULL;
	xa_lock(&gpumem_windows);
	pin = xa_load(&gpumem_windows,
		      (offset & ~GPUMEM_WINDOW_BASE) >> GPUMEM_WINDOW_SHIFT);
	if (pin && (pin->file != file || !kref_get_unless_zero(&pin->ref)))
		pin = NULL;
	xa_unlock(&gpumem_windows);
	return pin;
}

/* The next pin of any file from *window on, with a reference, or NULL. */
struct gpumem_pinned *gpumem_pin_next(unsigned long *window)
{
	struct gpumem_pinned *pin;

	xa_lock(&gpumem_windows);
	pin = xa_find(&gpumem_windows, window, ULONG_MAX, XA_PRESENT);
	while (pin && !kref_get_unless_zero(&pin->ref))
		pin = xa_find_after(&gpumem_windows, window, ULONG_MAX,
				    XA_PRESENT);
	xa_unlock(&gpumem_windows);
	return pin;
}

int gpumem_pin_remove(struct gpumem_file *file, u64 id)
{
	struct gpumem_pinned *pin = NULL;

	xa_lock(&file->pins);
	/* A reserved entry loads as NULL and stays. */
	if (id <= U32_MAX && xa_load(&file->pins, id))
		pin = __xa_erase(&file->pins, id);
	xa_unlock(&file->pins);
	if (!pin)
		return -ENOENT;
	gpumem_pin_kill(pin);
	return 0;
}

void gpumem_pin_remove_all(struct gpumem_file *file)
{
	struct gpumem_pinned *pin;
	unsigned long id;

	xa_for_each(&file->pins, id, pin)
		gpumem_pin_remove(file, id);
}

/* 0, or -ENODEV when the driver took the memory back. */
int gpumem_pin_alive(struct gpumem_pinned *pin)
{
	int rc;

	down_read(&pin->lock);
	rc = pin->state == GPUMEM_PIN_LIVE ? 0 : -ENODEV;
	up_read(&pin->lock);
	return rc;
}

/*
 * The driver takes the memory back, now. Called by it, with its locks held, at
 * most once for a pin; the memory may have another owner when this returns.
 */
void gpumem_pin_revoke(struct gpumem_pinned *pin)
{
	bool orphan, taken;

	down_write(&pin->lock);
	pin->called_back = true;
	pin->table = NULL;
	taken = pin->state == GPUMEM_PIN_LIVE;
	if (taken)
		pin->state = GPUMEM_PIN_TAKEN;
	orphan = pin->orphan;
	up_write(&pin->lock);

	/*
	 * Whatever the state was: one who is unpinning at this moment may not
	 * have got to it yet.
	 */
	gpumem_mmap_zap(pin);
	gpumem_export_revoke_all(pin);
	gpumem_mmap_wc_release(pin);
	gpumem_dma_end_all(pin);
	/* Whoever unpinned it is not waiting for this. */
	if (taken)
		gpumem_event_signal(pin);
	/* VMAs may keep the pin itself for long. */
	if (orphan)
		gpumem_pin_uncharge(pin);
	trace_gpumem_revoke(pin);

	complete_all(&pin->call_done);
	gpumem_pin_put(pin);
	if (orphan)
		module_put(THIS_MODULE);
}
