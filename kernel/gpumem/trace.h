/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * Tracepoints, below events/gpumem. The kernel has them for GPL modules only;
 * without GPUMEM_GPL they do nothing.
 */
#ifdef GPUMEM_GPL

#undef TRACE_SYSTEM
#define TRACE_SYSTEM gpumem

#if !defined(GPUMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define GPUMEM_TRACE_H

#include <linux/tracepoint.h>

#include "gpumem_drv.h"

/* A call that pins: rc is 0 or what it failed with. */
TRACE_EVENT(gpumem_pin, TP_PROTO(const struct gpumem_pinned *pin, int rc),
	    TP_ARGS(pin, rc),
	    TP_STRUCT__entry(__field(u64, addr) __field(u64, length)
				     __field(u64, pages) __field(u32, flags)
					     __field(int, rc)),
	    TP_fast_assign(__entry->addr = pin->addr;
			   __entry->length = pin->length;
			   __entry->pages = pin->set.count;
			   __entry->flags = pin->flags; __entry->rc = rc;),
	    TP_printk("addr=%#llx length=%llu pages=%llu flags=%#x rc=%d",
		      __entry->addr, __entry->length, __entry->pages,
		      __entry->flags, __entry->rc));

DECLARE_EVENT_CLASS(
	gpumem_pin_class, TP_PROTO(const struct gpumem_pinned *pin),
	TP_ARGS(pin),
	TP_STRUCT__entry(__field(u32, pin) __field(u64, addr)
				 __field(u64, length) __field(int, maps)),
	TP_fast_assign(__entry->pin = pin->id; __entry->addr = pin->addr;
		       __entry->length = pin->length;
		       __entry->maps = atomic_read(&pin->maps);),
	TP_printk("pin=%u addr=%#llx length=%llu mappings=%d", __entry->pin,
		  __entry->addr, __entry->length, __entry->maps));

/* A pin ends because its owner asked, closed or exited. */
DEFINE_EVENT(gpumem_pin_class, gpumem_unpin,
	     TP_PROTO(const struct gpumem_pinned *pin), TP_ARGS(pin));

/* The driver took the memory back; its user mappings are gone. */
DEFINE_EVENT(gpumem_pin_class, gpumem_revoke,
	     TP_PROTO(const struct gpumem_pinned *pin), TP_ARGS(pin));

/* mmap(): offset is from the pin's first page. */
TRACE_EVENT(gpumem_map,
	    TP_PROTO(const struct gpumem_pinned *pin, u64 offset, u64 length),
	    TP_ARGS(pin, offset, length),
	    TP_STRUCT__entry(__field(u32, pin) __field(u64, offset)
				     __field(u64, length)),
	    TP_fast_assign(__entry->pin = pin->id; __entry->offset = offset;
			   __entry->length = length;),
	    TP_printk("pin=%u offset=%llu length=%llu", __entry->pin,
		      __entry->offset, __entry->length));

DECLARE_EVENT_CLASS(gpumem_dma_class,
		    TP_PROTO(const struct gpumem_dma *dma, const char *peer),
		    TP_ARGS(dma, peer),
		    TP_STRUCT__entry(__field(u32, pin) __field(u64, runs)
					     __string(peer, peer)),
		    TP_fast_assign(__entry->pin = dma->pin->id;
				   __entry->runs = dma->run_count;
				   gpumem_assign_str(peer, peer);),
		    TP_printk("pin=%u peer=%s runs=%llu", __entry->pin,
			      __get_str(peer), __entry->runs));

DEFINE_EVENT(gpumem_dma_class, gpumem_dma_map,
	     TP_PROTO(const struct gpumem_dma *dma, const char *peer),
	     TP_ARGS(dma, peer));

DEFINE_EVENT(gpumem_dma_class, gpumem_dma_unmap,
	     TP_PROTO(const struct gpumem_dma *dma, const char *peer),
	     TP_ARGS(dma, peer));

#endif /* GPUMEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>

#elif !defined(GPUMEM_TRACE_H)
#define GPUMEM_TRACE_H

#include "gpumem_drv.h"

static inline void trace_gpumem_pin(const struct gpumem_pinned *pin, int rc)
{
}

static inline void trace_gpumem_unpin(const struct gpumem_pinned *pin)
{
}

static inline void trace_gpumem_revoke(const struct gpumem_pinned *pin)
{
}

static inline void trace_gpumem_map(const struct gpumem_pinned *pin, u64 offset,
				    u64 length)
{
}

static inline void trace_gpumem_dma_map(const struct gpumem_dma *dma,
					const char *peer)
{
}

static inline void trace_gpumem_dma_unmap(const struct gpumem_dma *dma,
					  const char *peer)
{
}

#endif
