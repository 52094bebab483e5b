// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/*
 * Pins: the nvidia_p2p_* exports, with the behaviour of the NVIDIA driver's,
 * and with a count of what a peer gets wrong.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "p2p.h"

static int fail_get_pages;
module_param(fail_get_pages, int, 0644);
MODULE_PARM_DESC(fail_get_pages,
		 "errno that every get_pages returns (0: it works)");

static bool unregistered;
module_param(unregistered, bool, 0644);
MODULE_PARM_DESC(
	unregistered,
	"no RM client has the calling process registered: get_pages finds nothing, put_pages neither and says 0");

static bool stall;
module_param(stall, bool, 0644);
MODULE_PARM_DESC(
	stall,
	"get_pages does not come back while this is set, whatever signals come");

static atomic_t stalled;
module_param_named(stalled, stalled.counter, int, 0444);
MODULE_PARM_DESC(stalled, "calls that do not come back (to be read)");

/* Tables taken back by a revocation, the latest ones: a late put is no error. */
#define TOMBS 256

/* Where no page table is. */
#define TABLE_FREED ((struct nvidia_p2p_page_table *)0x6b6b6b6b6b6b6b6bUL)
/* What the driver allocates for each page of a range that it is asked for. */
#define ENTRY_SIZE 16

/* emu_lock */
static LIST_HEAD(pins);
static const struct nvidia_p2p_page_table *tombs[TOMBS];
static unsigned int tomb_next;

/* Who calls others with the driver's lock held; written under emu_lock. */
static struct task_struct *callback_task;

bool emu_pin_in_callback(const char *call)
{
	if (READ_ONCE(callback_task) != current)
		return false;
	emu_violation("%s with the driver's lock held: it would hang here",
		      call);
	return true;
}

/* Takes a PCI device out under the driver's lock, as nvidia-smi drain does. */
static int drain_set(const char *value, const struct kernel_param *param)
{
	unsigned int domain, bus, slot, function;
	struct pci_dev *pdev;

	if (sscanf(value, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(domain, bus,
					   PCI_DEVFN(slot, function));
	if (!pdev)
		return -ENODEV;
	mutex_lock(&emu_lock);
	WRITE_ONCE(callback_task, current);
	/* Calls that are on their way to the lock get there. */
	msleep(100);
	pci_stop_and_remove_bus_device(pdev);
	WRITE_ONCE(callback_task, NULL);
	mutex_unlock(&emu_lock);
	pci_dev_put(pdev);
	return 0;
}

static const struct kernel_param_ops drain_ops = { .set = drain_set };
module_param_cb(drain, &drain_ops, NULL, 0200);
MODULE_PARM_DESC(drain, "PCI device to take out under the driver's lock");

struct emu_pin *emu_pin_find(const struct nvidia_p2p_page_table *table)
{
	struct emu_pin *pin;

	lockdep_assert_held(&emu_lock);
	list_for_each_entry(pin, &pins, all)
		if (pin->table == table)
			return pin;
	return NULL;
}

static bool tomb_find(const struct nvidia_p2p_page_table *table, bool remove)
{
	unsigned int i;

	lockdep_assert_held(&emu_lock);
	for (i = 0; i < TOMBS; i++) {
		if (tombs[i] != table)
			continue;
		if (remove)
			tombs[i] = NULL;
		return true;
	}
	return false;
}

static void pin_free(struct emu_pin *pin)
{
	u64 pages = pin->length / EMU_PAGE;

	lockdep_assert_held(&emu_lock);
	list_del(&pin->all);
	emu_table_free(pin->table, pages);
	emu_bar1_give(pin->length);
	emu_mem_put(pin->mem);
	put_pid(pin->owner);
	kfree(pin);
	emu_count(EMU_PINS, -1);
	emu_count(EMU_PINNED_PAGES, -(s64)pages);
}

void emu_pins_revoke(struct emu_block *block)
{
	struct emu_pin *pin, *next;

	lockdep_assert_held(&emu_lock);
	list_for_each_entry_safe(pin, next, &pins, all) {
		if (pin->block != block)
			continue;
		pin->block = NULL;
		if (!pin->callback)
			continue;
		emu_count(EMU_CALLBACKS, 1);
		WRITE_ONCE(callback_task, current);
		pin->callback(pin->data);
		WRITE_ONCE(callback_task, NULL);
		emu_dma_free_all(pin);
		tombs[tomb_next++ % TOMBS] = pin->table;
		pin_free(pin);
	}
}

static int pin_new(u64 addr, u64 length, void (*callback)(void *data),
		   void *data, struct nvidia_p2p_page_table **page_table)
{
	struct emu_block *block;
	struct emu_pin *pin;

	lockdep_assert_held(&emu_lock);
	block = emu_block_find(addr, length);
	if (!block || !emu_owner_is_current(block->context->owner) ||
	    READ_ONCE(unregistered))
		return -EINVAL;
	if (!emu_bar1_take(length))
		return -ENOMEM;
	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		goto err_bar1;
	pin->table = emu_table_new(block->mem, block->at + (addr - block->addr),
				   length / EMU_PAGE);
	if (!pin->table)
		goto err_pin;
	/* The allocator gave a revoked table's place to a live one. */
	tomb_find(pin->table, true);

	pin->block = block;
	pin->mem = emu_mem_get(block->mem);
	pin->owner = get_pid(block->context->owner);
	pin->addr = addr;
	pin->length = length;
	pin->callback = callback;
	pin->data = data;
	list_add_tail(&pin->all, &pins);
	emu_count(EMU_PINS, 1);
	emu_count(EMU_PINNED_PAGES, length / EMU_PAGE);
	*page_table = pin->table;
	return 0;

err_pin:
	kfree(pin);
err_bar1:
	emu_bar1_give(length);
	return -ENOMEM;
}

static int get_pages(u64 addr, u64 length, void (*callback)(void *data),
		     void *data, struct nvidia_p2p_page_table **page_table)
{
	int fail = READ_ONCE(fail_get_pages);
	void *entries;
	u64 end;
	int ret;

	if (!page_table || !length || addr % EMU_PAGE || length % EMU_PAGE ||
	    check_add_overflow(addr, length, &end))
		return -EINVAL;
	/* A call that fails leaves a pointer to what it has freed. */
	*page_table = TABLE_FREED;
	if (fail)
		return -abs(fail);

	/* The driver allocates for the whole length before it looks for it. */
	entries = kvcalloc(length / EMU_PAGE, ENTRY_SIZE, GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	atomic_inc(&stalled);
	while (READ_ONCE(stall))
		msleep(20);
	atomic_dec(&stalled);
	mutex_lock(&emu_lock);
	ret = pin_new(addr, length, callback, data, page_table);
	mutex_unlock(&emu_lock);
	kvfree(entries);
	return ret;
}

static int put_pages(u64 addr, struct nvidia_p2p_page_table *page_table,
		     bool persistent)
{
	struct emu_pin *pin;
	int ret = 0;

	mutex_lock(&emu_lock);
	pin = emu_pin_find(page_table);
	if (!pin) {
		if (!persistent && tomb_find(page_table, false))
			goto out;
		emu_violation("an unknown page table is put (put twice?)");
		ret = -EINVAL;
		goto out;
	}
	if (persistent != !pin->callback) {
		emu_violation("a page table is put as the other kind of pin");
		ret = -EINVAL;
		goto out;
	}
	if (pin->addr != addr) {
		emu_violation("a pin of 0x%llx is put as 0x%llx", pin->addr,
			      addr);
		ret = -EINVAL;
		goto out;
	}
	/* The driver finds nothing of the caller's there, and says nothing. */
	if (!persistent &&
	    (!emu_owner_is_current(pin->owner) || READ_ONCE(unregistered)))
		goto out;
	if (emu_dma_free_all(pin))
		emu_violation("a pin is put before its DMA mappings");
	pin_free(pin);
out:
	mutex_unlock(&emu_lock);
	return ret;
}

int nvidia_p2p_get_pages(u64 p2p_token, u32 va_space, u64 virtual_address,
			 u64 length, struct nvidia_p2p_page_table **page_table,
			 void (*free_callback)(void *data), void *data)
{
	if (emu_pin_in_callback("get_pages"))
		return -EDEADLK;
	if (!free_callback || p2p_token || va_space)
		return -EINVAL;
	return get_pages(virtual_address, length, free_callback, data,
			 page_table);
}
EXPORT_SYMBOL(nvidia_p2p_get_pages);

int nvidia_p2p_put_pages(u64 p2p_token, u32 va_space, u64 virtual_address,
			 struct nvidia_p2p_page_table *page_table)
{
	if (emu_pin_in_callback("put_pages"))
		return -EDEADLK;
	if (!page_table)
		return 0;
	return put_pages(virtual_address, page_table, false);
}
EXPORT_SYMBOL(nvidia_p2p_put_pages);

int nvidia_p2p_get_pages_persistent(u64 virtual_address, u64 length,
				    struct nvidia_p2p_page_table **page_table,
				    u32 flags)
{
	if (emu_pin_in_callback("get_pages_persistent"))
		return -EDEADLK;
	if (flags)
		return -EINVAL;
	return get_pages(virtual_address, length, NULL, NULL, page_table);
}
EXPORT_SYMBOL(nvidia_p2p_get_pages_persistent);

int nvidia_p2p_put_pages_persistent(u64 virtual_address,
				    struct nvidia_p2p_page_table *page_table,
				    u32 flags)
{
	if (emu_pin_in_callback("put_pages_persistent"))
		return -EDEADLK;
	if (flags)
		return -EINVAL;
	if (!page_table)
		return 0;
	return put_pages(virtual_address, page_table, true);
}
EXPORT_SYMBOL(nvidia_p2p_put_pages_persistent);

int nvidia_p2p_free_page_table(struct nvidia_p2p_page_table *page_table)
{
	return 0;
}
EXPORT_SYMBOL(nvidia_p2p_free_page_table);
