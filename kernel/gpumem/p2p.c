// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/*
 * Everything that gpumem asks of the NVIDIA driver, through its nv-p2p.h.
 *
 * What is relied on, as drivers 535 to 595 do it: the free callback comes at
 * most once for a page table, under the driver's locks; put_pages takes those
 * locks too, so after it has returned the callback has either ended or never
 * comes; put_pages of a table that the driver took back returns 0 without
 * touching it; put_pages called from another process than get_pages returns 0
 * and releases nothing.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "gpumem_drv.h"
#include "nv-p2p.h"

#ifndef ENOTSUPP
#define ENOTSUPP 524
#endif

/*
 * The driver may take a table back just before we put it; the put then finds
 * nothing. It must not find another pin's table that was made at the same place
 * meanwhile: no table is made between the look at called_back and the put. Never
 * taken in the callback.
 */
static DEFINE_MUTEX(gpumem_p2p_tables);

static void gpumem_p2p_freed(void *data)
{
	gpumem_pin_revoke(data);
}

static bool gpumem_p2p_compatible(u32 version)
{
	const u32 built = NVIDIA_P2P_PAGE_TABLE_VERSION;

	return version >> 16 == built >> 16 &&
	       (version & 0xffff) >= (built & 0xffff);
}

static int gpumem_p2p_page_shift(enum nvidia_p2p_page_size_type type)
{
	switch (type) {
	case NVIDIA_P2P_PAGE_SIZE_4KB:
		return 12;
	case NVIDIA_P2P_PAGE_SIZE_64KB:
		return 16;
	case NVIDIA_P2P_PAGE_SIZE_128KB:
		return 17;
	default:
		return -EPROTO;
	}
}

/* Copies out of the table what the pin needs, so that nothing reads it later. */
static int gpumem_p2p_read(struct gpumem_pinned *pin,
			   struct nvidia_p2p_page_table *table)
{
	int shift;
	u32 i;

	lockdep_assert_held_write(&pin->lock);

	if (!gpumem_p2p_compatible(table->version)) {
		pr_warn_ratelimited(
			"the NVIDIA driver's page table version is %#x, this module was built for %#x: rebuild it against the driver's source\n",
			table->version, NVIDIA_P2P_PAGE_TABLE_VERSION);
		return -EPROTO;
	}
	shift = gpumem_p2p_page_shift(table->page_size);
	if (shift < 0 || (u64)table->entries << shift < pin->size ||
	    pin->base & (BIT_ULL(shift) - 1)) {
		pr_warn_ratelimited(
			"the NVIDIA driver returned %u pages of size type %d for %llu bytes\n",
			table->entries, table->page_size, pin->size);
		return -EPROTO;
	}

	pin->pages = kvmalloc_array(table->entries, sizeof(*pin->pages),
				    GFP_KERNEL_ACCOUNT);
	if (!pin->pages)
		return -ENOMEM;
	for (i = 0; i < table->entries; i++)
		pin->pages[i] = table->pages[i]->physical_address;
	pin->page_shift = shift;
	pin->page_count = table->entries;
	pin->table = table;
	pin->state = GPUMEM_PIN_LIVE;
	return 0;
}

static int gpumem_p2p_errno(int rc)
{
	switch (rc) {
	case -EINVAL:
	case -ENOMEM:
	case -EBUSY:
	case -ENODEV:
	case -EIO:
		return rc;
	case -ENOTSUPP:
	case -EOPNOTSUPP:
		return -EOPNOTSUPP;
	default:
		pr_warn_ratelimited("nvidia_p2p_get_pages returned %d\n", rc);
		return -EIO;
	}
}

/*
 * Pins pin->base, pin->size. On success the pin is live and the driver holds a
 * reference to it.
 */
int gpumem_p2p_get(struct gpumem_pinned *pin)
{
	struct nvidia_p2p_page_table *table = NULL;
	bool got, taken;
	int rc;

	gpumem_pin_get(pin);
	mutex_lock(&gpumem_p2p_tables);
	rc = nvidia_p2p_get_pages(0, 0, pin->base, pin->size, &table,
				  gpumem_p2p_freed, pin);
	mutex_unlock(&gpumem_p2p_tables);
	got = !rc;

	down_write(&pin->lock);
	/*
	 * The callback can come before we do: the table is gone then, and so is
	 * the driver's reference.
	 */
	taken = pin->called_back;
	if (!got)
		rc = gpumem_p2p_errno(rc);
	else
		rc = taken ? -ENODEV : gpumem_p2p_read(pin, table);
	up_write(&pin->lock);

	if (taken)
		wait_for_completion(&pin->call_done);
	else if (!got)
		gpumem_pin_put(pin);
	else if (rc)
		gpumem_p2p_put(pin, table);
	return rc;
}

static bool gpumem_p2p_called(struct gpumem_pinned *pin)
{
	bool called;

	down_read(&pin->lock);
	called = pin->called_back;
	up_read(&pin->lock);
	return called;
}

/*
 * Gives the pages back. The caller has made sure that no one else does, and
 * that no user mapping is left.
 */
void gpumem_p2p_put(struct gpumem_pinned *pin,
		    struct nvidia_p2p_page_table *table)
{
	bool called;
	int rc;

	if (!gpumem_file_is_owner(pin->file)) {
		/*
		 * The last descriptor was closed elsewhere (a child that
		 * outlived its parent, a passed descriptor). The driver would
		 * not release the pages for this process; it does when the
		 * owner frees them or dies, and calls back. Until then the
		 * module must stay.
		 */
		down_write(&pin->lock);
		called = pin->called_back;
		if (!called) {
			__module_get(THIS_MODULE);
			pin->orphan = true;
		}
		up_write(&pin->lock);
		if (called)
			wait_for_completion(&pin->call_done);
		return;
	}

	mutex_lock(&gpumem_p2p_tables);
	rc = gpumem_p2p_called(pin)
		     ? 0
		     : nvidia_p2p_put_pages(0, 0, pin->base, table);
	mutex_unlock(&gpumem_p2p_tables);
	if (rc) {
		/* The driver may still call back: the pin must outlive us. */
		pr_warn_ratelimited("nvidia_p2p_put_pages returned %d\n", rc);
		return;
	}
	if (gpumem_p2p_called(pin))
		wait_for_completion(&pin->call_done);
	else
		gpumem_pin_put(pin);
}

u32 gpumem_p2p_version(void)
{
	return NVIDIA_P2P_PAGE_TABLE_VERSION;
}
