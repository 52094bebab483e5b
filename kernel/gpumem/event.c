// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The eventfd of a pin, signalled once when the driver takes the memory back.
 */
#include "compat.h"
#include "gpumem_drv.h"

#ifdef GPUMEM_GPL
int gpumem_event_get(struct gpumem_pinned *pin, int fd)
{
	struct eventfd_ctx *event = eventfd_ctx_fdget(fd);

	if (IS_ERR(event))
		return -EBADF;
	pin->event = event;
	return 0;
}

void gpumem_event_signal(struct gpumem_pinned *pin)
{
	if (pin->event)
		gpumem_eventfd_signal(pin->event);
}

void gpumem_event_put(struct gpumem_pinned *pin)
{
	if (pin->event)
		eventfd_ctx_put(pin->event);
}
#else
int gpumem_event_get(struct gpumem_pinned *pin, int fd)
{
	return -EOPNOTSUPP;
}

void gpumem_event_signal(struct gpumem_pinned *pin)
{
}

void gpumem_event_put(struct gpumem_pinned *pin)
{
}
#endif
