// SPDX-License-Identifier: MIT
#include <errno.h>

#include "private.h"

static int gdrapi_pin_check(const char *call, unsigned long addr, size_t size,
			    uint32_t flags, const gdr_mh_t *handle)
{
	if (!handle)
		return gdrapi_error(EINVAL, "%s: handle is NULL", call);
	if (flags & ~(uint32_t)GDR_PIN_FLAG_FORCE_PCIE)
		return gdrapi_error(EINVAL, "%s: flags 0x%x are unknown", call,
				    flags);
	if (!size || size > UINT64_MAX - GPU_PAGE_OFFSET - addr)
		return gdrapi_error(EINVAL,
				    "%s: %zu bytes at 0x%lx are none "
				    "that can be pinned",
				    call, size, addr);
	return 0;
}

/* What the rest of the library has to know of the new pin. */
static int gdrapi_pin_fill(struct gdrapi_pin *pin, struct gpumem_buf *buf,
			   uint64_t addr, uint64_t size)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	int rc = gpumem_buf_get(buf, &info);

	if (rc)
		return rc;
	pin->addr = addr;
	pin->va = addr & GPU_PAGE_MASK;
	pin->mapped_size =
		((addr + size + GPU_PAGE_OFFSET) & GPU_PAGE_MASK) - pin->va;
	atomic_store(&pin->buf, buf);
	atomic_store(&pin->buf_offset, info.addr - pin->va);
	atomic_store(&pin->buf_size, info.length);
	return 0;
}

static int gdrapi_pin(struct gdr *g, const char *call, uint64_t addr,
		      uint64_t size, uint32_t flags, gdr_mh_t *handle)
{
	struct gdrapi_pin *pin = gdrapi_pin_new(g);
	struct gpumem_buf *buf;
	int rc;

	if (!pin)
		return gdrapi_error(ENOMEM,
				    "%s: too many buffers are pinned; unpin "
				    "some",
				    call);
	rc = gdrapi_reach(g, addr, size, flags, &buf);
	if (rc)
		goto free_pin;
	rc = gdrapi_pin_fill(pin, buf, addr, size);
	if (rc)
		goto unpin;
	*handle = gdrapi_pin_publish(pin);
	gdrapi_log(GDRAPI_DEBUG, "%s: 0x%lx: %zu bytes at 0x%lx", call,
		   handle->h, (size_t)size, (unsigned long)addr);
	return 0;

unpin:
	gpumem_unpin(buf);
free_pin:
	gdrapi_pin_free(pin);
	return gdrapi_error_of(rc, call);
}

static int gdrapi_pin_call(struct gdr *g, const char *call, unsigned long addr,
			   size_t size, uint32_t flags, gdr_mh_t *handle)
{
	int error = gdrapi_get(g, call);

	if (error)
		return error;
	error = gdrapi_pin_check(call, addr, size, flags, handle);
	if (!error)
		error = gdrapi_pin(g, call, addr, size, flags, handle);
	gdrapi_put(g);
	return error;
}

int gdr_pin_buffer(gdr_t g, unsigned long addr, size_t size, uint64_t p2p_token,
		   uint32_t va_space, gdr_mh_t *handle)
{
	(void)p2p_token;
	(void)va_space;
	return gdrapi_pin_call(g, "gdr_pin_buffer", addr, size,
			       GDR_PIN_FLAG_DEFAULT, handle);
}

int gdr_pin_buffer_v2(gdr_t g, unsigned long addr, size_t size, uint32_t flags,
		      gdr_mh_t *handle)
{
	return gdrapi_pin_call(g, "gdr_pin_buffer_v2", addr, size, flags,
			       handle);
}

int gdr_unpin_buffer(gdr_t g, gdr_mh_t handle)
{
	struct gdrapi_pin *pin;
	struct gpumem_buf *buf;
	int error = gdrapi_get(g, "gdr_unpin_buffer");

	if (error)
		return error;
	error = gdrapi_pin_lock(g, handle, "gdr_unpin_buffer", &pin);
	if (!error) {
		buf = gdrapi_pin_end(pin);
		gdrapi_pin_unlock(pin);
		error = gdrapi_error_of(gpumem_unpin(buf), "gdr_unpin_buffer");
		gdrapi_pin_free(pin);
	}
	gdrapi_put(g);
	return error;
}

/* Locked. */
static int gdrapi_callback_flag(struct gdrapi_pin *pin, int *flag)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	int rc;

	if (!flag)
		return gdrapi_error(EINVAL,
				    "gdr_get_callback_flag: flag is NULL");
	rc = gpumem_buf_get(pin->buf, &info);
	if (!rc)
		*flag = info.flags & GPUMEM_BUF_REVOKED ? 1 : 0;
	return gdrapi_error_of(rc, "gdr_get_callback_flag");
}

int gdr_get_callback_flag(gdr_t g, gdr_mh_t handle, int *flag)
{
	struct gdrapi_pin *pin;
	int error = gdrapi_get(g, "gdr_get_callback_flag");

	if (error)
		return error;
	error = gdrapi_pin_lock(g, handle, "gdr_get_callback_flag", &pin);
	if (!error) {
		error = gdrapi_callback_flag(pin, flag);
		gdrapi_pin_unlock(pin);
	}
	gdrapi_put(g);
	return error;
}
