// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The nvidia_p2p_* exports, where the emulator is the driver too.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "p2p_export.h"

/* Where no page table is. */
#define TABLE_FREED ((struct nvidia_p2p_page_table *)0x6b6b6b6b6b6b6b6bUL)
/* What the driver allocates for each page of a range that it is asked for. */
#define ENTRY_SIZE 16

unsigned int emu_pin_release(struct emu_pin *pin)
{
	unsigned int maps = emu_dma_free_all(pin);

	emu_table_free((void *)pin->table, pin->length / EMU_PAGE);
	return maps;
}

static int pin_make(u64 addr, u64 length, void (*callback)(void *data),
		    void *data, struct nvidia_p2p_page_table **page_table)
{
	struct nvidia_p2p_page_table *table;
	struct emu_pin *pin;

	pin = emu_pin_new(addr, length);
	if (IS_ERR(pin))
		return PTR_ERR(pin);
	table = emu_table_new(pin);
	if (!table) {
		emu_pin_cancel(pin);
		return -ENOMEM;
	}
	pin->persistent = !callback;
	pin->callback = callback;
	pin->data = data;
	emu_pin_add(pin, table);
	*page_table = table;
	return 0;
}

static int get_pages(u64 addr, u64 length, void (*callback)(void *data),
		     void *data, struct nvidia_p2p_page_table **page_table)
{
	void *entries;
	u64 end;
	int ret;

	if (!page_table || !length || addr % EMU_PAGE || length % EMU_PAGE ||
	    check_add_overflow(addr, length, &end))
		return -EINVAL;
	/* A call that fails leaves a pointer to what it has freed. */
	*page_table = TABLE_FREED;

	/* The driver allocates for the whole length before it looks for it. */
	entries = kvcalloc(length / EMU_PAGE, ENTRY_SIZE, GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	ret = emu_pin_begin();
	if (!ret) {
		mutex_lock(&emu_lock);
		ret = pin_make(addr, length, callback, data, page_table);
		mutex_unlock(&emu_lock);
	}
	kvfree(entries);
	return ret;
}

static int put_pages(u64 addr, struct nvidia_p2p_page_table *page_table,
		     bool persistent)
{
	int ret;

	mutex_lock(&emu_lock);
	ret = emu_pin_put(addr, page_table, persistent);
	mutex_unlock(&emu_lock);
	return ret == -ENOENT ? 0 : ret;
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
