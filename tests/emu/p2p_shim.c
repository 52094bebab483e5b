// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Pins for NVIDIA's driver, which asks for them where it would ask its resource
 * manager, and exports nvidia_p2p_* itself.
 */
#define pr_fmt(fmt) "gpumem-emu: " fmt

#include <linux/moduleparam.h>

#include "p2p.h"
#include "rm_shim.h"

static_assert(EMU_PAGE == BIT_ULL(RM_SHIM_PAGE_SHIFT));

static atomic_t lost;
module_param_named(lost, lost.counter, int, 0444);
MODULE_PARM_DESC(
	lost,
	"page tables that the driver leaks, their memory freed before it set the callback (to be read)");

/* Page table and DMA mappings are the driver's. */
unsigned int emu_pin_release(struct emu_pin *pin)
{
	return 0;
}

static int pin_make(u64 addr, u64 length, const void *table, bool persistent,
		    u64 *pages)
{
	struct emu_pin *pin;
	u64 i;

	pin = emu_pin_new(addr, length);
	if (IS_ERR(pin))
		return PTR_ERR(pin);
	pin->persistent = persistent;
	for (i = 0; i < length / EMU_PAGE; i++)
		pages[i] = emu_pin_page(pin, i);
	emu_pin_add(pin, table);
	return 0;
}

static int shim_get(u64 addr, u64 length, const void *table, bool persistent,
		    u64 *pages, const char *call)
{
	int ret;

	if (emu_pin_in_callback(call))
		return -EDEADLK;
	ret = emu_pin_begin();
	if (ret)
		return ret;
	mutex_lock(&emu_lock);
	ret = pin_make(addr, length, table, persistent, pages);
	mutex_unlock(&emu_lock);
	return ret;
}

static int shim_get_pages(u64 addr, u64 length, const void *table, u64 *pages)
{
	return shim_get(addr, length, table, false, pages, "get_pages");
}

static int shim_get_pages_persistent(u64 addr, u64 length, const void *table,
				     u64 *pages)
{
	return shim_get(addr, length, table, true, pages,
			"get_pages_persistent");
}

static int shim_look(u64 addr, u64 length)
{
	int ret;

	if (emu_pin_in_callback("get_pages_persistent"))
		return -EDEADLK;
	mutex_lock(&emu_lock);
	ret = emu_pin_block(addr, length) ? 0 : -ENOENT;
	mutex_unlock(&emu_lock);
	return ret;
}

static int shim_callback_set(const void *table, void (*callback)(void *data),
			     void *data)
{
	struct emu_pin *pin;

	mutex_lock(&emu_lock);
	pin = emu_pin_find(table);
	if (pin) {
		pin->data = data;
		pin->callback = callback;
	}
	mutex_unlock(&emu_lock);
	if (pin)
		return 0;
	/* The memory went meanwhile, and the pin with it. */
	atomic_inc(&lost);
	return -ENOENT;
}

static int shim_put_pages(u64 addr, const void *table)
{
	int ret;

	if (emu_pin_in_callback("put_pages"))
		return -EDEADLK;
	mutex_lock(&emu_lock);
	ret = emu_pin_put(addr, table, false);
	mutex_unlock(&emu_lock);
	return ret;
}

static int shim_put_pages_persistent(const void *table)
{
	struct emu_pin *pin;
	int ret;

	if (emu_pin_in_callback("put_pages_persistent"))
		return -EDEADLK;
	mutex_lock(&emu_lock);
	/* The driver does not pass the address on. */
	pin = emu_pin_find(table);
	ret = emu_pin_put(pin ? pin->addr : 0, table, true);
	mutex_unlock(&emu_lock);
	return ret;
}

static struct rm_shim_ops shim_ops = {
	.get_pages = shim_get_pages,
	.callback_set = shim_callback_set,
	.put_pages = shim_put_pages,
	.look = shim_look,
	.get_pages_persistent = shim_get_pages_persistent,
	.put_pages_persistent = shim_put_pages_persistent,
};

int emu_shim_init(void)
{
	shim_ops.gpu = emu_gpu.pdev;
	return rm_shim_register(&shim_ops);
}

void emu_shim_exit(void)
{
	rm_shim_unregister(&shim_ops);
}
