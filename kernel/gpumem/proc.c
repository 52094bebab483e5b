// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * /proc/gpumem: every pin of the machine. GPU addresses of other users' pins, and
 * physical addresses, are shown to a reader who opened the file with CAP_SYS_ADMIN.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "gpumem_drv.h"

#define GPUMEM_PROC_NAME "gpumem"

/* Who opened the file. */
struct gpumem_proc_reader {
	bool privileged;
	kuid_t uid;
};

static void gpumem_proc_show_pages(struct seq_file *m,
				   struct gpumem_pinned *pin)
{
	u64 size = BIT_ULL(pin->set.shift);
	u64 i = 0, n;

	while (i < pin->set.count) {
		for (n = 1; i + n < pin->set.count &&
			    pin->set.addr[i + n] == pin->set.addr[i] + n * size;
		     n++)
			;
		seq_printf(m, "  pages %llu-%llu at %#llx\n", i, i + n - 1,
			   pin->set.addr[i]);
		i += n;
	}
}

static void *gpumem_proc_start(struct seq_file *m, loff_t *pos)
{
	unsigned long window = *pos;
	struct gpumem_pinned *pin;

	if (!window)
		return SEQ_START_TOKEN;
	pin = gpumem_pin_next(&window);
	if (pin)
		*pos = window;
	return pin;
}

static void *gpumem_proc_next(struct seq_file *m, void *v, loff_t *pos)
{
	if (v != SEQ_START_TOKEN)
		gpumem_pin_put(v);
	++*pos;
	return gpumem_proc_start(m, pos);
}

static void gpumem_proc_stop(struct seq_file *m, void *v)
{
	if (v && v != SEQ_START_TOKEN)
		gpumem_pin_put(v);
}

static int gpumem_proc_show(struct seq_file *m, void *v)
{
	const struct gpumem_proc_reader *reader = m->private;
	struct gpumem_pinned *pin = v;
	enum gpumem_pin_state state;

	if (v == SEQ_START_TOKEN) {
		seq_puts(
			m,
			"# pid command gpu_address bytes pages page_size mappings state\n");
		return 0;
	}
	down_read(&pin->lock);
	state = pin->state;
	up_read(&pin->lock);
	if (state != GPUMEM_PIN_LIVE && state != GPUMEM_PIN_TAKEN)
		return SEQ_SKIP;
	seq_printf(m, "%d ", pin->file->owner);
	/* A process names itself as it likes, and a terminal may show it. */
	seq_escape_mem(m, pin->comm, strlen(pin->comm),
		       ESCAPE_HEX | ESCAPE_NAP | ESCAPE_APPEND, " \\");
	if (reader->privileged || uid_eq(reader->uid, pin->uid))
		seq_printf(m, " %#llx", pin->addr);
	else
		seq_puts(m, " -");
	seq_printf(m, " %llu %llu %lu %d %s\n", pin->length, pin->set.count,
		   BIT(pin->set.shift), atomic_read(&pin->maps),
		   state == GPUMEM_PIN_LIVE ? "live" : "revoked");
	if (state == GPUMEM_PIN_LIVE && reader->privileged)
		gpumem_proc_show_pages(m, pin);
	return 0;
}

static const struct seq_operations gpumem_proc_ops = {
	.start = gpumem_proc_start,
	.next = gpumem_proc_next,
	.stop = gpumem_proc_stop,
	.show = gpumem_proc_show,
};

static int gpumem_proc_open(struct inode *inode, struct file *filp)
{
	struct gpumem_proc_reader *reader;

	reader = __seq_open_private(filp, &gpumem_proc_ops, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->privileged = capable(CAP_SYS_ADMIN);
	reader->uid = current_euid();
	return 0;
}

static const struct proc_ops gpumem_proc_fops = {
	.proc_open = gpumem_proc_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = seq_release_private,
};

int gpumem_proc_create(void)
{
	if (!proc_create(GPUMEM_PROC_NAME, 0444, NULL, &gpumem_proc_fops))
		return -ENOMEM;
	return 0;
}

void gpumem_proc_remove(void)
{
	remove_proc_entry(GPUMEM_PROC_NAME, NULL);
}
