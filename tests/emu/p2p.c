// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Pins, with the behaviour of the NVIDIA driver's, and with a count of what a peer
 * gets wrong. p2p_export.c or p2p_shim.c gives them to the peer.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/delay.h>
#include <linux/io.h>
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

#define COHERENT_RAM 2

static unsigned int coherent;
module_param(coherent, uint, 0644);
MODULE_PARM_DESC(
	coherent,
	"a GPU with a coherent CPU link: 1: new page tables say so; 2: their pages are the kernel's memory, always the same; 3: both");

/* Tables taken back by a revocation, the latest ones: a late put is no error. */
#define TOMBS 256

/* emu_lock */
static LIST_HEAD(pins);
static const void *tombs[TOMBS];
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

unsigned int emu_pin_coherent(void)
{
	return READ_ONCE(coherent);
}

struct emu_pin *emu_pin_find(const void *table)
{
	struct emu_pin *pin;

	lockdep_assert_held(&emu_lock);
	list_for_each_entry(pin, &pins, all)
		if (pin->table == table)
			return pin;
	return NULL;
}

static bool tomb_find(const void *table, bool remove)
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

u64 emu_pin_page(const struct emu_pin *pin, u64 i)
{
	if (READ_ONCE(coherent) & COHERENT_RAM)
		return ALIGN_DOWN(virt_to_phys(emu_gpu.pdev), EMU_PAGE);
	return emu_gpu.base + emu_mem_offset(pin->mem, pin->at + i * EMU_PAGE);
}

int emu_pin_begin(void)
{
	int fail = READ_ONCE(fail_get_pages);

	if (fail)
		return -abs(fail);
	atomic_inc(&stalled);
	while (READ_ONCE(stall))
		msleep(20);
	atomic_dec(&stalled);
	return 0;
}

struct emu_block *emu_pin_block(u64 addr, u64 length)
{
	struct emu_block *block;
	u64 end;

	lockdep_assert_held(&emu_lock);
	if (!length || addr % EMU_PAGE || length % EMU_PAGE ||
	    check_add_overflow(addr, length, &end))
		return NULL;
	block = emu_block_find(addr, length);
	if (!block || !emu_owner_is_current(block->context->owner) ||
	    READ_ONCE(unregistered))
		return NULL;
	return block;
}

struct emu_pin *emu_pin_new(u64 addr, u64 length)
{
	struct emu_block *block = emu_pin_block(addr, length);
	struct emu_pin *pin;

	if (!block)
		return ERR_PTR(-EINVAL);
	if (!emu_bar1_take(length))
		return ERR_PTR(-ENOMEM);
	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin) {
		emu_bar1_give(length);
		return ERR_PTR(-ENOMEM);
	}
	pin->block = block;
	pin->mem = emu_mem_get(block->mem);
	pin->at = block->at + (addr - block->addr);
	pin->owner = get_pid(block->context->owner);
	pin->addr = addr;
	pin->length = length;
	return pin;
}

void emu_pin_add(struct emu_pin *pin, const void *table)
{
	lockdep_assert_held(&emu_lock);
	/* The allocator gave a revoked table's place to a live one. */
	tomb_find(table, true);
	pin->table = table;
	list_add_tail(&pin->all, &pins);
	emu_count(EMU_PINS, 1);
	emu_count(EMU_PINNED_PAGES, pin->length / EMU_PAGE);
}

void emu_pin_cancel(struct emu_pin *pin)
{
	lockdep_assert_held(&emu_lock);
	emu_bar1_give(pin->length);
	emu_mem_put(pin->mem);
	put_pid(pin->owner);
	kfree(pin);
}

static void pin_free(struct emu_pin *pin)
{
	lockdep_assert_held(&emu_lock);
	list_del(&pin->all);
	emu_count(EMU_PINS, -1);
	emu_count(EMU_PINNED_PAGES, -(s64)(pin->length / EMU_PAGE));
	emu_pin_cancel(pin);
}

void emu_pins_revoke(struct emu_block *block)
{
	struct emu_pin *pin, *next;

	lockdep_assert_held(&emu_lock);
	list_for_each_entry_safe(pin, next, &pins, all) {
		if (pin->block != block)
			continue;
		pin->block = NULL;
		if (pin->persistent)
			continue;
		if (pin->callback) {
			emu_count(EMU_CALLBACKS, 1);
			WRITE_ONCE(callback_task, current);
			pin->callback(pin->data);
			WRITE_ONCE(callback_task, NULL);
		}
		emu_pin_release(pin);
		tombs[tomb_next++ % TOMBS] = pin->table;
		pin_free(pin);
	}
}

int emu_pin_put(u64 addr, const void *table, bool persistent)
{
	struct emu_pin *pin = emu_pin_find(table);

	if (!pin) {
		if (!persistent && tomb_find(table, false))
			return -ENOENT;
		emu_violation("an unknown page table is put (put twice?)");
		return -EINVAL;
	}
	if (persistent != pin->persistent) {
		emu_violation("a page table is put as the other kind of pin");
		return -EINVAL;
	}
	if (pin->addr != addr) {
		emu_violation("a pin of 0x%llx is put as 0x%llx", pin->addr,
			      addr);
		return -EINVAL;
	}
	/* The driver finds nothing of the caller's there, and says nothing. */
	if (!persistent &&
	    (!emu_owner_is_current(pin->owner) || READ_ONCE(unregistered)))
		return -ENOENT;
	if (emu_pin_release(pin))
		emu_violation("a pin is put before its DMA mappings");
	pin_free(pin);
	return 0;
}
