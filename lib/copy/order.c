// SPDX-License-Identifier: MIT
/*
 * Data and flags in an order that a running kernel can rely on.
 *
 * Stores to write-combined memory leave the CPU in any order until sfence, and
 * what it lets go travels over PCI Express as posted writes, which do not pass
 * each other (PCI Express Base Specification, transaction ordering, where relaxed
 * ordering is not set). So data, fence, flag; tests/gpu/test_litmus.c looks
 * whether a GPU ever sees it otherwise.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "copy/copy.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "base/hazptr.h"
#include "base/handle.h"
#include "base/handle_slot.h"

static int gm_flag_check(struct gm_buf *buf, const char *call, uint64_t offset,
			 unsigned int width)
{
	if (width != 4 && width != 8)
		return gm_error(-EINVAL, "%s: width is %u; use 4 or 8", call,
				width);
	if (offset > buf->length || width > buf->length - offset)
		return gm_error(-ERANGE,
				"%s: %u bytes at %" PRIu64 " pass the end of "
				"the buffer, which has %" PRIu64
				"; put the flag inside",
				call, width, offset, buf->length);
	if ((buf->addr + offset) % width)
		return gm_error(-EINVAL,
				"%s: the flag's device address 0x%" PRIx64
				" is no multiple of %u, so one store cannot "
				"write it; align it",
				call, buf->addr + offset, width);
	return 0;
}

/*
 * After all that this thread stored and loaded before, and not kept back in the
 * CPU: the flag may give away memory that was just read.
 */
static void gm_flag_store(char *flag, uint64_t value, unsigned int width)
{
	gm_cpu_loads_done();
	gm_cpu_fence();
	if (width == 4)
		*(volatile uint32_t *)flag = (uint32_t)value;
	else
		*(volatile uint64_t *)flag = value;
	gm_cpu_fence();
}

static int gm_doorbell(struct gm_buf *buf, uint64_t offset, uint64_t value,
		       unsigned int width)
{
	int rc = gm_flag_check(buf, "doorbell", offset, width);

	if (!rc)
		rc = gm_buf_use(buf, "doorbell");
	if (rc)
		return rc;
	gm_flag_store(buf->base + buf->addr_offset + offset, value, width);
	gm_buf_unuse(buf);
	gm_buf_allow_quick(buf);
	return 0;
}

int gpumem_doorbell(struct gpumem_buf *handle, uint64_t offset, uint64_t value,
		    unsigned int width)
{
	struct gm_guard *mine = gm_guard_mine;
	const struct gm_quick *quick =
		gm_quick_begin(mine, gm_slot_any(handle), handle);
	void *buf;
	int rc;

	if (quick) {
		char *flag = NULL;

		/* A mapping begins where the device's page does. */
		if ((width == 4 || width == 8) && offset <= quick->length &&
		    width <= quick->length - offset &&
		    !((uintptr_t)(quick->map + offset) % width)) {
			flag = quick->map + offset;
			gm_flag_store(flag, value, width);
		}
		gm_guard_end(mine);
		if (flag)
			return 0;
	}

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "doorbell", &buf);
	if (rc)
		return rc;
	rc = gm_doorbell(buf, offset, value, width);
	gm_handle_put(handle);
	return rc;
}

static int gm_publish(struct gm_buf *buf, uint64_t offset, const void *data,
		      size_t length, uint64_t flag_offset, uint32_t flag)
{
	int rc = gm_copy_check(buf, "publish", offset, data, length);

	if (!rc)
		rc = gm_flag_check(buf, "publish", flag_offset, sizeof(flag));
	if (rc)
		return rc;
	if (flag_offset + sizeof(flag) > offset &&
	    flag_offset < offset + length)
		return gm_error(-EINVAL,
				"publish: the flag at %" PRIu64 " lies in the "
				"data, %zu bytes at %" PRIu64 "; put it "
				"outside",
				flag_offset, length, offset);
	rc = gm_buf_use(buf, "publish");
	if (rc)
		return rc;
	if (length)
		rc = gm_copy_held(buf, "publish", offset,
				  (void *)(uintptr_t)data, length, false);
	if (!rc)
		gm_flag_store(buf->base + buf->addr_offset + flag_offset, flag,
			      sizeof(flag));
	gm_buf_unuse(buf);
	return rc;
}

int gpumem_publish(struct gpumem_buf *handle, uint64_t offset, const void *data,
		   size_t length, uint64_t flag_offset, uint32_t flag)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "publish", &buf);
	if (rc)
		return rc;
	rc = gm_publish(buf, offset, data, length, flag_offset, flag);
	gm_handle_put(handle);
	return rc;
}

/* 0 when the flag came. */
static int gm_flag_wait(struct gm_buf *buf, uint64_t offset, uint32_t flag,
			uint64_t timeout_us)
{
	const volatile uint32_t *at =
		(uint32_t *)(buf->base + buf->addr_offset + offset);
	uint64_t start = gm_clock_ns();
	uint32_t seen;

	while ((seen = *at) != flag)
		if ((gm_clock_ns() - start) / 1000 >= timeout_us)
			return gm_error(-ETIMEDOUT,
					"consume: the flag is %" PRIu32 " and "
					"not %" PRIu32 " after %" PRIu64 " us; "
					"does the kernel run, and write it "
					"with a fence before?",
					seen, flag, timeout_us);
	return 0;
}

static int gm_consume(struct gm_buf *buf, uint64_t flag_offset, uint32_t flag,
		      uint64_t timeout_us, uint64_t offset, void *data,
		      size_t length)
{
	int rc = gm_copy_check(buf, "consume", offset, data, length);

	if (!rc)
		rc = gm_flag_check(buf, "consume", flag_offset, sizeof(flag));
	if (!rc)
		rc = gm_buf_use(buf, "consume");
	if (rc)
		return rc;
	rc = gm_flag_wait(buf, flag_offset, flag, timeout_us);
	/* The data is loaded after the flag. */
	gm_cpu_load_fence();
	if (!rc && length)
		rc = gm_copy_held(buf, "consume", offset, data, length, true);
	gm_buf_unuse(buf);
	return rc;
}

int gpumem_consume(struct gpumem_buf *handle, uint64_t flag_offset,
		   uint32_t flag, uint64_t timeout_us, uint64_t offset,
		   void *data, size_t length)
{
	void *buf;
	int rc;

	rc = gm_handle_get(GM_KIND_BUFFER, handle, "consume", &buf);
	if (rc)
		return rc;
	rc = gm_consume(buf, flag_offset, flag, timeout_us, offset, data,
			length);
	gm_handle_put(handle);
	return rc;
}
