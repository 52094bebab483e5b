// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Part of a nvidia.ko in which these functions of the resource manager (RM) are
 * replaced: pins are another module's (rm_shim.h), and the GPU, which has no
 * firmware, starts and stops without a word. See scripts/nvidia-hybrid.sh.
 */
#include "nv-linux.h"

#include <linux/export.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/string.h>

#include "rm_shim.h"

static const NvU8 shim_uuid[GPU_UUID_LEN] = "gpumem-emulated";

/* Written with the lock held for writing, called with it held for reading. */
static const struct rm_shim_ops *shim_ops;
static DECLARE_RWSEM(shim_lock);

int rm_shim_register(const struct rm_shim_ops *ops)
{
	int ret = 0;

	down_write(&shim_lock);
	if (shim_ops)
		ret = -EBUSY;
	else
		shim_ops = ops;
	up_write(&shim_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(rm_shim_register);

void rm_shim_unregister(const struct rm_shim_ops *ops)
{
	down_write(&shim_lock);
	if (shim_ops == ops)
		shim_ops = NULL;
	up_write(&shim_lock);
}
EXPORT_SYMBOL_GPL(rm_shim_unregister);

/* Calls an operation; without a module it answers that there is nothing. */
#define shim_call(name, ...)                                \
	({                                                  \
		int ret_ = -ENOENT;                         \
		down_read(&shim_lock);                      \
		if (shim_ops)                               \
			ret_ = shim_ops->name(__VA_ARGS__); \
		up_read(&shim_lock);                        \
		shim_status(ret_);                          \
	})

/* The status that nv-p2p.c turns into the errno again. */
static NV_STATUS shim_status(int ret)
{
	switch (ret) {
	case 0:
		return NV_OK;
	case -ENOENT:
		return NV_ERR_OBJECT_NOT_FOUND;
	case -EINVAL:
		return NV_ERR_INVALID_ARGUMENT;
	case -ENOMEM:
		return NV_ERR_NO_MEMORY;
	case -EBUSY:
		return NV_ERR_STATE_IN_USE;
	case -ENODEV:
		return NV_ERR_GPU_UUID_NOT_FOUND;
	case -EOPNOTSUPP:
	case -524: /* ENOTSUPP */
		return NV_ERR_NOT_SUPPORTED;
	default:
		return NV_ERR_GENERIC;
	}
}

/* A copy of the UUID that the driver frees. */
static NV_STATUS shim_uuid_new(NvU8 **uuid)
{
	NV_STATUS status = os_alloc_mem((void **)uuid, sizeof(shim_uuid));

	if (status == NV_OK)
		memcpy(*uuid, shim_uuid, sizeof(shim_uuid));
	else
		*uuid = NULL;
	return status;
}

NV_STATUS NV_API_CALL rm_p2p_get_pages(nvidia_stack_t *sp, NvU64 token,
				       NvU32 space, NvU64 addr, NvU64 length,
				       NvU64 *pages, NvU32 *write_credits,
				       NvU32 *read_credits, NvU32 *entries,
				       NvU8 **uuid, void *table)
{
	NvU64 count = length >> RM_SHIM_PAGE_SHIFT;
	NV_STATUS status;

	if (token || space)
		return NV_ERR_INVALID_ARGUMENT;
	status = shim_uuid_new(uuid);
	if (status != NV_OK)
		return status;
	status = shim_call(get_pages, addr, length, table, pages);
	if (status != NV_OK) {
		os_free_mem(*uuid);
		*uuid = NULL;
		return status;
	}
	memset(write_credits, 0, count * sizeof(*write_credits));
	memset(read_credits, 0, count * sizeof(*read_credits));
	*entries = count;
	return NV_OK;
}

NV_STATUS NV_API_CALL rm_p2p_register_callback(nvidia_stack_t *sp, NvU64 token,
					       NvU64 addr, NvU64 length,
					       void *table,
					       void (*callback)(void *),
					       void *data)
{
	return shim_call(callback_set, table, callback, data);
}

NV_STATUS NV_API_CALL rm_p2p_put_pages(nvidia_stack_t *sp, NvU64 token,
				       NvU32 space, NvU64 addr, void *table)
{
	return shim_call(put_pages, addr, table);
}

NV_STATUS NV_API_CALL rm_p2p_get_gpu_info(nvidia_stack_t *sp, NvU64 addr,
					  NvU64 length, NvU8 **uuid,
					  void **info)
{
	NV_STATUS status = shim_call(look, addr, length);

	*info = NULL;
	return status == NV_OK ? shim_uuid_new(uuid) : status;
}

NV_STATUS NV_API_CALL rm_p2p_get_pages_persistent(nvidia_stack_t *sp,
						  NvU64 addr, NvU64 length,
						  void **object, NvU64 *pages,
						  NvU32 *entries, void *table,
						  void *info)
{
	*object = table;
	*entries = length >> RM_SHIM_PAGE_SHIFT;
	return shim_call(get_pages_persistent, addr, length, table, pages);
}

NV_STATUS NV_API_CALL rm_p2p_put_pages_persistent(nvidia_stack_t *sp,
						  void *object, void *table)
{
	/* Of a table that get_pages made it is NULL. */
	return object == table ? shim_call(put_pages_persistent, table)
			       : NV_ERR_INVALID_ARGUMENT;
}

/* As RM does it, page after page, by the driver's own nv-dma.c. */
static int shim_map(nv_dma_device_t *peer, NvU64 page_size, NvU32 count,
		    NvU64 *addr)
{
	struct nv_dma_device gpu = {};
	NV_STATUS status = NV_OK;
	NvU32 i;

	if (!shim_ops)
		return -ENODEV;
	gpu.dev = &shim_ops->gpu->dev;
	for (i = 0; i < count; i++) {
		status = nv_dma_map_peer(peer, &gpu, 1, page_size / PAGE_SIZE,
					 &addr[i]);
		if (status != NV_OK)
			break;
	}
	if (status == NV_OK)
		return 0;
	while (i--)
		nv_dma_unmap_peer(peer, page_size / PAGE_SIZE, addr[i]);
	return -EIO;
}

NV_STATUS NV_API_CALL rm_p2p_dma_map_pages(nvidia_stack_t *sp,
					   nv_dma_device_t *peer, NvU8 *uuid,
					   NvU64 page_size, NvU32 count,
					   NvU64 *addr, void **private)
{
	int ret;

	*private = NULL;
	down_read(&shim_lock);
	ret = shim_map(peer, page_size, count, addr);
	up_read(&shim_lock);
	return shim_status(ret);
}

NvBool NV_API_CALL rm_init_adapter(nvidia_stack_t *sp, nv_state_t *nv)
{
	return NV_TRUE;
}

void NV_API_CALL rm_disable_adapter(nvidia_stack_t *sp, nv_state_t *nv)
{
}

void NV_API_CALL rm_shutdown_adapter(nvidia_stack_t *sp, nv_state_t *nv)
{
}

const NvU8 *NV_API_CALL rm_get_gpu_uuid_raw(nvidia_stack_t *sp, nv_state_t *nv)
{
	memcpy(nv->nv_uuid_cache.uuid, shim_uuid, sizeof(shim_uuid));
	nv->nv_uuid_cache.valid = NV_TRUE;
	return nv->nv_uuid_cache.uuid;
}

NV_STATUS NV_API_CALL rm_set_external_kernel_client_count(nvidia_stack_t *sp,
							  nv_state_t *nv,
							  NvBool up)
{
	return NV_OK;
}
