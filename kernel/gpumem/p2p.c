// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Everything that gpumem asks of the NVIDIA driver, through its nv-p2p.h.
 *
 * What is relied on, as drivers 535 to 595 do it: the free callback comes at
 * most once for a page table, under the driver's locks; put_pages takes those
 * locks too, so after it has returned the callback has either ended or never
 * comes; put_pages of a table that the driver took back returns 0 without
 * touching it; put_pages called from another process than get_pages returns 0
 * and releases nothing. So does one whose process no RM client has registered
 * any more (a process may be registered with a P2P object by another, as MPS
 * does); get_pages finds nothing for it then, and the callback still comes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "gpumem_drv.h"
#include "nv-p2p.h"

/* The emulated GPU's header says which PCI device it is. */
#ifdef NVIDIA_P2P_EMULATED_VENDOR
#define GPUMEM_GPU_VENDOR NVIDIA_P2P_EMULATED_VENDOR
#define GPUMEM_GPU_DEVICE NVIDIA_P2P_EMULATED_DEVICE
#else
#define GPUMEM_GPU_VENDOR PCI_VENDOR_ID_NVIDIA
#define GPUMEM_GPU_DEVICE PCI_ANY_ID
#endif

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

/*
 * The pins that the driver may still call back for, by a number that is never
 * used again: a call that comes after its pin is gone finds nothing. An entry
 * holds the driver's reference; whoever takes it out drops that.
 */
static DEFINE_XARRAY(gpumem_p2p_pins);
static atomic_long_t gpumem_p2p_last;

static void gpumem_p2p_freed(void *data)
{
	struct gpumem_pinned *pin =
		xa_erase(&gpumem_p2p_pins, (unsigned long)data);

	if (pin)
		gpumem_pin_revoke(pin);
}

/* A probe's pages were freed before they were put; under gpumem_p2p_tables. */
static bool gpumem_p2p_probe_gone;

/* For pages that are put at once. */
static void gpumem_p2p_probe_freed(void *data)
{
	WRITE_ONCE(gpumem_p2p_probe_gone, true);
}

/*
 * What the driver is asked for is never longer than any GPU's memory seen from
 * the CPU: it allocates for the whole length before it looks what is there. That is
 * the largest BAR, or on coherent platforms, where the kernel has the GPU's memory,
 * all memory.
 */
static u64 gpumem_p2p_limit(void)
{
	struct pci_dev *pdev = NULL;
	u64 limit = 0;
	int bar;

	while ((pdev = pci_get_device(GPUMEM_GPU_VENDOR, GPUMEM_GPU_DEVICE,
				      pdev)))
		for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
			limit = max_t(u64, limit, pci_resource_len(pdev, bar));
	if (IS_ENABLED(CONFIG_ARM64))
		limit = max_t(u64, limit, (u64)totalram_pages() << PAGE_SHIFT);
	return limit;
}

/* 0, or -EINVAL as the driver would say. */
static int gpumem_p2p_check(u64 size)
{
	/* The largest that was allowed: GPUs come and go seldom. */
	static u64 allowed;

	if (size <= READ_ONCE(allowed))
		return 0;
	if (size > gpumem_p2p_limit())
		return -EINVAL;
	WRITE_ONCE(allowed, size);
	return 0;
}

/* The GPU in whose BAR a physical address lies, with a reference, or NULL. */
struct pci_dev *gpumem_p2p_gpu(u64 addr)
{
	struct pci_dev *pdev = NULL;
	int bar;

	while ((pdev = pci_get_device(GPUMEM_GPU_VENDOR, GPUMEM_GPU_DEVICE,
				      pdev)))
		for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
			if (pci_resource_flags(pdev, bar) & IORESOURCE_MEM &&
			    addr >= pci_resource_start(pdev, bar) &&
			    addr <= pci_resource_end(pdev, bar))
				return pdev;
	return NULL;
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

/* Coherent platforms, in the words of drivers since 580. */
static bool gpumem_p2p_is_cacheable(const struct nvidia_p2p_page_table *table)
{
#ifdef NVIDIA_P2P_PAGE_TABLE_FLAGS_CPU_CACHEABLE
	return table->flags & NVIDIA_P2P_PAGE_TABLE_FLAGS_CPU_CACHEABLE;
#else
	return false;
#endif
}

/* Memory with struct pages. A BAR can have them too, for DMA between devices. */
static bool gpumem_p2p_is_ram(u64 addr)
{
	unsigned long pfn = PHYS_PFN(addr);

	return pfn_valid(pfn) && !is_pci_p2pdma_page(pfn_to_page(pfn));
}

/*
 * Copies out of the table what is needed, so that nothing reads it later, into the
 * room that gpumem_p2p_begin() made.
 */
static int gpumem_p2p_read(struct gpumem_page_set *set, u64 base, u64 size,
			   const struct nvidia_p2p_page_table *table)
{
	int shift;
	u32 i;

	if (!gpumem_p2p_compatible(table->version)) {
		pr_warn_ratelimited(
			"the NVIDIA driver's page table version is %#x, this module was built for %#x: rebuild it against the driver's source\n",
			table->version, NVIDIA_P2P_PAGE_TABLE_VERSION);
		return -EPROTO;
	}
	shift = gpumem_p2p_page_shift(table->page_size);
	/* Smaller pages than the CPU's could not be mapped one by one. */
	if (shift < PAGE_SHIFT || (u64)table->entries << shift < size ||
	    base & (BIT_ULL(shift) - 1)) {
		pr_warn_ratelimited(
			"the NVIDIA driver returned %u pages of size type %d for %llu bytes\n",
			table->entries, table->page_size, size);
		return -EPROTO;
	}

	/* Smaller pages: no driver is known to give any. */
	if (table->entries > size / GPUMEM_GPU_PAGE_SIZE) {
		kvfree(set->addr);
		set->addr = kvmalloc_array(table->entries, sizeof(*set->addr),
					   GFP_KERNEL_ACCOUNT);
		if (!set->addr)
			return -ENOMEM;
	}
	set->ram = gpumem_p2p_is_cacheable(table);
	for (i = 0; i < table->entries; i++) {
		set->addr[i] = table->pages[i]->physical_address;
		/* Older drivers do not say it. */
		if (gpumem_p2p_is_ram(set->addr[i]))
			set->ram = true;
	}
	set->map_type = gpumem_map_choose(set);
	set->shift = shift;
	set->count = table->entries;
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
		pr_warn_ratelimited("the NVIDIA driver returned %d\n", rc);
		return -EIO;
	}
}

static int gpumem_p2p_flags(u32 flags, u32 *p2p_flags)
{
	*p2p_flags = 0;
	if (!(flags & GPUMEM_PIN_FORCE_BAR1))
		return 0;
#ifdef NVIDIA_P2P_FLAGS_FORCE_BAR1_MAPPING
	*p2p_flags = NVIDIA_P2P_FLAGS_FORCE_BAR1_MAPPING;
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

/* The driver never takes such a table back: the put is of this one. */
static void gpumem_p2p_put_persistent(u64 base,
				      struct nvidia_p2p_page_table *table)
{
	int rc = nvidia_p2p_put_pages_persistent(base, table, 0);

	if (rc)
		pr_warn_ratelimited(
			"nvidia_p2p_put_pages_persistent returned %d\n", rc);
}

/*
 * Before the driver is asked for pages. Makes room for the addresses of as many as
 * drivers give: later a lock is held that the driver's callback takes. The wait for
 * others ends with the caller.
 */
static int gpumem_p2p_begin(struct gpumem_user *user,
			    struct gpumem_page_set *set, u64 size)
{
	int rc = gpumem_user_begin(user);

	if (rc)
		return rc;
	set->addr = kvmalloc_array(size / GPUMEM_GPU_PAGE_SIZE,
				   sizeof(*set->addr), GFP_KERNEL_ACCOUNT);
	if (!set->addr)
		rc = -ENOMEM;
	else if (mutex_lock_killable(&gpumem_p2p_tables))
		rc = -EINTR;
	if (rc)
		gpumem_user_end(user);
	return rc;
}

static void gpumem_p2p_end(struct gpumem_user *user)
{
	mutex_unlock(&gpumem_p2p_tables);
	gpumem_user_end(user);
}

/* The driver keeps the memory until gpumem_p2p_unhold(). */
int gpumem_p2p_hold(struct gpumem_hold *hold, u32 flags)
{
	u32 p2p_flags;
	int rc;

	rc = gpumem_p2p_flags(flags, &p2p_flags);
	if (!rc)
		rc = gpumem_p2p_check(hold->size);
	if (!rc)
		rc = gpumem_p2p_begin(hold->user, &hold->set, hold->size);
	if (rc)
		return rc;
	rc = nvidia_p2p_get_pages_persistent(hold->base, hold->size,
					     &hold->table, p2p_flags);
	gpumem_p2p_end(hold->user);
	if (rc)
		return gpumem_p2p_errno(rc);
	rc = gpumem_p2p_read(&hold->set, hold->base, hold->size, hold->table);
	if (rc)
		gpumem_p2p_put_persistent(hold->base, hold->table);
	return rc;
}

void gpumem_p2p_unhold(struct gpumem_hold *hold)
{
	gpumem_p2p_put_persistent(hold->base, hold->table);
}

/* The driver never calls back for the pin, or has begun to. */
static void gpumem_p2p_drop(struct gpumem_pinned *pin)
{
	if (xa_erase(&gpumem_p2p_pins, pin->number))
		gpumem_pin_put(pin);
	else
		wait_for_completion(&pin->call_done);
}

/* Pins revocably. On success the driver holds a reference to the pin. */
int gpumem_p2p_get(struct gpumem_pinned *pin)
{
	struct nvidia_p2p_page_table *table = NULL;
	bool got, taken;
	int rc;

	rc = gpumem_p2p_check(pin->size);
	if (rc)
		return rc;
	gpumem_pin_get(pin);
	pin->number = atomic_long_inc_return(&gpumem_p2p_last);
	rc = xa_insert(&gpumem_p2p_pins, pin->number, pin, GFP_KERNEL_ACCOUNT);
	if (rc) {
		gpumem_pin_put(pin);
		return rc;
	}
	rc = gpumem_p2p_begin(pin->user, &pin->set, pin->size);
	if (rc) {
		gpumem_p2p_drop(pin);
		return rc;
	}
	rc = nvidia_p2p_get_pages(0, 0, pin->base, pin->size, &table,
				  gpumem_p2p_freed, (void *)pin->number);
	gpumem_p2p_end(pin->user);
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
		rc = taken ? -ENODEV
			   : gpumem_p2p_read(&pin->set, pin->base, pin->size,
					     table);
	if (!rc) {
		pin->table = table;
		pin->state = GPUMEM_PIN_LIVE;
	}
	up_write(&pin->lock);

	if (taken)
		wait_for_completion(&pin->call_done);
	else if (!got)
		gpumem_p2p_drop(pin);
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
 * The driver keeps the pages, and calls back when their owner frees them or
 * dies. Until then the module must stay.
 */
static void gpumem_p2p_abandon(struct gpumem_pinned *pin)
{
	bool called;

	down_write(&pin->lock);
	called = pin->called_back;
	if (!called) {
		__module_get(THIS_MODULE);
		pin->orphan = true;
	}
	up_write(&pin->lock);
	if (called)
		wait_for_completion(&pin->call_done);
}

/*
 * False if the driver would not find the pin for the calling process: it would not
 * put it either, and not say so. Costs a pin of one page. What is found has to be
 * the pin's memory: the same process can register other memory at the address. Two
 * objects with the same memory have BAR1 addresses of their own; on coherent
 * platforms they do not, and one is taken for the other. Where the driver could not
 * look the put is believed.
 */
static bool gpumem_p2p_probe(const struct gpumem_pinned *pin)
{
	struct nvidia_p2p_page_table *table = NULL;
	bool same = true;
	int rc;

	lockdep_assert_held(&gpumem_p2p_tables);
	WRITE_ONCE(gpumem_p2p_probe_gone, false);
	rc = nvidia_p2p_get_pages(0, 0, pin->base, GPUMEM_GPU_PAGE_SIZE, &table,
				  gpumem_p2p_probe_freed, NULL);
	if (rc)
		return rc != -EINVAL && rc != -EIO;
	if (READ_ONCE(gpumem_p2p_probe_gone))
		return true;
	if (pin->set.count)
		same = table->pages[0]->physical_address == pin->set.addr[0];
	nvidia_p2p_put_pages(0, 0, pin->base, table);
	return same;
}

/*
 * Gives the pages back. The caller has made sure that no one else does, and
 * that no user mapping is left.
 */
void gpumem_p2p_put(struct gpumem_pinned *pin,
		    struct nvidia_p2p_page_table *table)
{
	bool found;
	int rc;

	if (!gpumem_file_is_owner(pin->file)) {
		/*
		 * The last descriptor was closed elsewhere (a child that
		 * outlived its parent, a passed descriptor): the driver would
		 * not release the pages for this process.
		 */
		gpumem_p2p_abandon(pin);
		return;
	}

	mutex_lock(&gpumem_p2p_tables);
	found = gpumem_p2p_probe(pin);
	rc = gpumem_p2p_called(pin)
		     ? 0
		     : nvidia_p2p_put_pages(0, 0, pin->base, table);
	mutex_unlock(&gpumem_p2p_tables);
	if (rc)
		pr_warn_ratelimited("nvidia_p2p_put_pages returned %d\n", rc);
	if (rc || !found)
		gpumem_p2p_abandon(pin);
	else
		gpumem_p2p_drop(pin);
}

/*
 * Returns when no callback that has begun is in our code any more: the driver
 * makes them under a lock that this call takes too, whatever it answers.
 */
void gpumem_p2p_drain(void)
{
	struct nvidia_p2p_page_table *table = NULL;
	int rc;

	/* Without memory the driver has not taken the lock. */
	while ((rc = nvidia_p2p_get_pages(0, 0, 0, GPUMEM_GPU_PAGE_SIZE, &table,
					  gpumem_p2p_probe_freed, NULL)) ==
	       -ENOMEM)
		msleep(100);
	if (!rc)
		nvidia_p2p_put_pages(0, 0, 0, table);
}

u32 gpumem_p2p_version(void)
{
	return NVIDIA_P2P_PAGE_TABLE_VERSION;
}
