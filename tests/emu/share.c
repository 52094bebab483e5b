// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Descriptors that hold memory, whatever becomes of its block: those that RM
 * imports, and dma-bufs. The memory does not move, so a dma-buf needs no
 * revocation: its importers keep what they have mapped.
 */
#include <linux/anon_inodes.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/moduleparam.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "emu.h"
#include "emu_compat.h"

static int dmabuf_mmap;
module_param(dmabuf_mmap, int, 0644);
MODULE_PARM_DESC(
	dmabuf_mmap,
	"mmap of the GPU's dma-bufs: 0: ENOTSUPP; 1: of the first block alone; 2: of all");

/* A dma-buf is of so many blocks at most. */
#define EMU_DMABUF_PARTS 8

struct emu_dmabuf_part {
	struct emu_mem *mem;
	u64 at;
	u64 length;
};

struct emu_dmabuf {
	u32 count;
	struct emu_dmabuf_part part[EMU_DMABUF_PARTS];
};

static int export_release(struct inode *inode, struct file *file)
{
	emu_mem_put(file->private_data);
	emu_count(EMU_EXPORTS, -1);
	return 0;
}

static const struct file_operations export_fops = {
	.owner = THIS_MODULE,
	.release = export_release,
	.llseek = noop_llseek,
};

int emu_export_new(struct emu_mem *mem)
{
	int fd;

	fd = anon_inode_getfd("[gpumem-emu-memory]", &export_fops,
			      emu_mem_get(mem), O_RDWR | O_CLOEXEC);
	if (fd < 0)
		emu_mem_put(mem);
	else
		emu_count(EMU_EXPORTS, 1);
	return fd;
}

struct emu_mem *emu_export_mem(int fd)
{
	struct file *file = fget(fd);
	struct emu_mem *mem;

	if (!file)
		return ERR_PTR(-EBADF);
	mem = file->f_op == &export_fops ? emu_mem_get(file->private_data)
					 : ERR_PTR(-EINVAL);
	fput(file);
	return mem;
}

/* The pages of video memory that a part lies in. */
static u32 dmabuf_part_pages(const struct emu_dmabuf_part *part)
{
	return (part->at + part->length - 1) / EMU_PAGE - part->at / EMU_PAGE +
	       1;
}

/* What entry i of a table shows: its part of the page of video memory. */
static u64 dmabuf_entry(const struct emu_dmabuf *own, u32 i, u64 *length)
{
	const struct emu_dmabuf_part *part = own->part;
	u64 first, start, end;

	for (; i >= dmabuf_part_pages(part); part++)
		i -= dmabuf_part_pages(part);
	first = part->at / EMU_PAGE;
	start = i ? (first + i) * EMU_PAGE : part->at;
	end = min((first + i + 1) * EMU_PAGE, part->at + part->length);
	*length = end - start;
	return emu_gpu.base + emu_mem_offset(part->mem, start);
}

static void dmabuf_undo(struct dma_buf_attachment *attach,
			struct sg_table *table,
			enum dma_data_direction direction)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(table, sg, i) {
		if (!sg_dma_len(sg))
			break;
		dma_unmap_resource(attach->dev, sg_dma_address(sg),
				   sg_dma_len(sg), direction,
				   DMA_ATTR_SKIP_CPU_SYNC);
	}
	sg_free_table(table);
	kfree(table);
}

static struct sg_table *dmabuf_map(struct dma_buf_attachment *attach,
				   enum dma_data_direction direction)
{
	struct emu_dmabuf *own = attach->dmabuf->priv;
	struct scatterlist *sg;
	struct sg_table *table;
	u32 entries = 0;
	int ret;
	u32 k;
	int i;

	table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	for (k = 0; k < own->count; k++)
		entries += dmabuf_part_pages(&own->part[k]);
	ret = sg_alloc_table(table, entries, GFP_KERNEL_ACCOUNT);
	if (ret) {
		kfree(table);
		return ERR_PTR(ret);
	}
	for_each_sgtable_dma_sg(table, sg, i) {
		u64 length;
		u64 phys = dmabuf_entry(own, i, &length);
		dma_addr_t dma = dma_map_resource(attach->dev, phys, length,
						  direction,
						  DMA_ATTR_SKIP_CPU_SYNC);

		ret = dma_mapping_error(attach->dev, dma);
		if (ret) {
			dmabuf_undo(attach, table, direction);
			return ERR_PTR(ret);
		}
		/* No struct page behind it: addresses only. */
		sg_set_page(sg, NULL, length, 0);
		sg_dma_address(sg) = dma;
		sg_dma_len(sg) = length;
	}
	return table;
}

static vm_fault_t dmabuf_fault(struct vm_fault *vmf)
{
	struct emu_dmabuf *own = vmf->vma->vm_private_data;
	/* The driver's loop ends after the first object. */
	u32 count = READ_ONCE(dmabuf_mmap) > 1 ? own->count : 1;
	u64 at = (u64)vmf->pgoff << PAGE_SHIFT;
	u32 i;

	for (i = 0; i < count; i++) {
		struct emu_dmabuf_part *part = &own->part[i];

		if (at < part->length)
			return emu_mem_fault(part->mem, part->at + at, vmf);
		at -= part->length;
	}
	return VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct dmabuf_vm_ops = {
	.fault = dmabuf_fault,
};

/* The core has checked that the range is inside; the vma holds the dma-buf. */
static int dmabuf_mmap_call(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	int ret;

	if (!READ_ONCE(dmabuf_mmap))
		return -ENOTSUPP;
	ret = emu_vma_prepare(vma);
	if (ret)
		return ret;
	vma->vm_private_data = dmabuf->priv;
	vma->vm_ops = &dmabuf_vm_ops;
	return 0;
}

static void dmabuf_free(struct emu_dmabuf *own)
{
	while (own->count)
		emu_mem_put(own->part[--own->count].mem);
	kfree(own);
}

static void dmabuf_release(struct dma_buf *dmabuf)
{
	dmabuf_free(dmabuf->priv);
	emu_count(EMU_EXPORTS, -1);
}

static const struct dma_buf_ops dmabuf_ops = {
	.map_dma_buf = dmabuf_map,
	.unmap_dma_buf = dmabuf_undo,
	.mmap = dmabuf_mmap_call,
	.release = dmabuf_release,
};

/* Takes references to all that lies in the range. */
static int dmabuf_take(struct emu_dmabuf *own, struct emu_context *context,
		       u64 addr, u64 length)
{
	while (length) {
		struct emu_dmabuf_part *part = &own->part[own->count];

		if (own->count == EMU_DMABUF_PARTS)
			return -EINVAL;
		part->length = length;
		part->mem = emu_block_mem_part(context, addr, &part->length,
					       &part->at);
		if (!part->mem)
			return -EINVAL;
		own->count++;
		addr += part->length;
		length -= part->length;
	}
	return 0;
}

int emu_dmabuf_new(struct emu_context *context, u64 addr, u64 length)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct emu_dmabuf *own;
	struct dma_buf *dmabuf;
	int ret;
	int fd;

	own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);
	if (!own)
		return -ENOMEM;
	ret = dmabuf_take(own, context, addr, length);
	if (ret) {
		dmabuf_free(own);
		return ret;
	}
	info.ops = &dmabuf_ops;
	info.size = length;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = own;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		dmabuf_free(own);
		return PTR_ERR(dmabuf);
	}
	emu_count(EMU_EXPORTS, 1);
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}
