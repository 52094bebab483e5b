// SPDX-License-Identifier: MIT
/*
 * Objects that end in another order than they were made: the node's file system
 * before a dma-buf, a dma-buf's file before the dma-buf, a pin before the driver's
 * callback, a thread before its process.
 *
 * usage: vm-lifetimes MODE
 */
#include "t_dmabuf.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BLOCK (2 * MIB)
#define FOLDER "/tmp/dev"
#define UNREGISTERED "/sys/module/gpumem_emu/parameters/unregistered"
#define PAT "/sys/kernel/debug/x86/pat_memtype_list"
/* More files than fit into what the kernel keeps for the next open(). */
#define FILES 3000
#define PINS 64

static void file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
	     "writing %s: %s", path, strerror(errno));
	close(fd);
}

/* A second node of the device, in a file system that holds nothing else. */
static int node_open(void)
{
	struct stat st;
	int fd;

	need(!stat(GPUMEM_DEVICE_NODE, &st), "stat: %s", strerror(errno));
	need(!mkdir(FOLDER, 0755) || errno == EEXIST, "mkdir: %s",
	     strerror(errno));
	need(!mount("tmpfs", FOLDER, "tmpfs", 0, ""), "mount: %s",
	     strerror(errno));
	need(!mknod(FOLDER "/gpumem", S_IFCHR | 0600, st.st_rdev), "mknod: %s",
	     strerror(errno));
	fd = t_open(FOLDER "/gpumem");
	return fd;
}

/* The file system of the node goes while a dma-buf and its mapping live. */
static void mode_umount(void)
{
	int emu = emu_open(), fd = node_open(), dmabuf;
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK);
	void *at;

	dmabuf = gm_must_export(fd, &pin);
	need(!t_map(dmabuf, 0, BLOCK, &at), "mmap of the dma-buf");
	check(!t_store(at, 1), "a store raises a signal");
	close(fd);
	check(!umount(FOLDER), "umount: %s", strerror(errno));
	check(t_load(at, NULL) == SIGBUS, "the mapping outlived the pin");
	munmap(at, BLOCK);
	close(dmabuf);
	check_result(emu_free(emu, addr), 0, "freeing");
	close(emu);
	emu_check_nothing_pinned("in the end");
}

/* Leaves a dma-buf in the queue of a socket that only the kernel can reach. */
static void socket_run(void *arg)
{
	int emu, fd, s[2];
	struct gpumem_pin pin;

	(void)arg;
	need(!unshare(CLONE_NEWNS), "unshare: %s", strerror(errno));
	need(!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL),
	     "making mounts private: %s", strerror(errno));
	emu = emu_open();
	fd = node_open();
	pin = gm_must_pin(fd, emu_alloc(emu, BLOCK), BLOCK);
	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, s), "socketpair: %s",
	     strerror(errno));
	check_result(t_fd_send(s[0], s[1]), 0, "sending the other end");
	check_result(t_fd_send(s[0], s[0]), 0, "sending this end");
	check_result(t_fd_send(s[0], gm_must_export(fd, &pin)), 0,
		     "sending the dma-buf");
}

/* All of a container goes at its exit, the dma-buf last. */
static void mode_namespace(void)
{
	int s[2];

	t_child("the container", socket_run, NULL);
	/* The kernel looks for such sockets when another is closed. */
	need(!socketpair(AF_UNIX, SOCK_DGRAM, 0, s), "socketpair: %s",
	     strerror(errno));
	close(s[0]);
	close(s[1]);
	emu_check_nothing_pinned("after the container");
}

static bool is_present(int pagemap, const void *at)
{
	uint64_t entry = 0;

	need(pread(pagemap, &entry, sizeof(entry),
		   (off_t)((uintptr_t)at / PAGE * sizeof(entry))) ==
		     sizeof(entry),
	     "reading the pagemap: %s", strerror(errno));
	return entry >> 63;
}

/* A dma-buf whose file is gone: an O_PATH descriptor keeps the rest. */
static int path_only(int fd, const struct gpumem_pin *pin)
{
	int dmabuf = gm_must_export(fd, pin), path_fd;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dmabuf);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	need(path_fd >= 0, "open with O_PATH: %s", strerror(errno));
	close(dmabuf);
	/* The file's memory is another's after a grace period. */
	t_sleep_us(300000);
	return path_fd;
}

static void mode_opath(void)
{
	int emu = emu_open(), fd = gm_open(), path_fd;
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK);

	path_fd = path_only(fd, &pin);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	close(path_fd);
	/* The other way: the driver takes the memory back. */
	pin = gm_must_pin(fd, addr, BLOCK);
	path_fd = path_only(fd, &pin);
	check_result(emu_free(emu, addr), 0, "freeing");
	close(path_fd);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN after revocation");
	close(fd);
	close(emu);
	emu_check_nothing_pinned("in the end");
}

/* Other files, mapped and written to, take the place of the dma-buf's. */
static void mode_opath_reuse(void)
{
	static void *at[FILES];
	static int files[FILES];
	struct rlimit limit = { FILES + 100, FILES + 100 };
	int emu = emu_open(), fd = gm_open(), path_fd, i, lost = 0;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK);
	char path[64];

	need(pagemap >= 0, "open pagemap: %s", strerror(errno));
	need(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit: %s",
	     strerror(errno));
	path_fd = path_only(fd, &pin);
	for (i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "/tmp/other%d", i);
		files[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		need(files[i] >= 0, "open %s: %s", path, strerror(errno));
		need(!unlink(path) && !ftruncate(files[i], (off_t)PAGE),
		     "ftruncate: %s", strerror(errno));
		need(!t_map(files[i], 0, PAGE, &at[i]), "mmap of a file");
		check(!t_store(at[i], 1), "a store raises a signal");
		need(is_present(pagemap, at[i]), "the page is not there");
	}
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	for (i = 0; i < FILES; i++)
		lost += !is_present(pagemap, at[i]);
	check(!lost, "UNPIN took the pages of %d files of others", lost);
	close(path_fd);
	for (i = 0; i < FILES; i++) {
		munmap(at[i], PAGE);
		close(files[i]);
	}
	close(pagemap);
	close(fd);
	close(emu);
	emu_check_nothing_pinned("in the end");
}

/* put_pages releases nothing and says 0; the callback comes to other pins. */
static void mode_forgotten(void)
{
	int emu = emu_open(), fd = gm_open(), i;
	uint64_t calls = emu_counters().callbacks;
	uint64_t addr = emu_alloc(emu, BLOCK), others[PINS];
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK), pins[PINS];
	struct gpumem_info info;

	for (i = 0; i < PINS; i++)
		others[i] = emu_alloc(emu, 1);
	file_write(UNREGISTERED, "1");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	file_write(UNREGISTERED, "0");
	check(emu_counters().pins == 1, "the driver has released the pin");
	/* They lie where the pin was, or near. */
	for (i = 0; i < PINS; i++)
		pins[i] = gm_must_pin(fd, others[i], GPU_PAGE);
	check_result(emu_free(emu, addr), 0, "freeing");
	check(emu_counters().callbacks == calls + 1, "no callback came");
	for (i = 0; i < PINS; i++) {
		check_result(gm_info(fd, pins[i].pin, &info), 0, "INFO");
		check(!info.flags, "pin %d, whose memory lives, is revoked", i);
	}
	close(fd);
	close(emu);
	emu_check_nothing_pinned("in the end");
}

/* The same, and nothing of the module is in use: it stays until the callback. */
static void mode_forgotten_unload(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK);

	file_write(UNREGISTERED, "1");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	file_write(UNREGISTERED, "0");
	close(fd);
	t_sleep_us(100000);
	check(system("rmmod gpumem 2>/dev/null"),
	      "the module is gone before the callback");
	check_result(emu_free(emu, addr), 0, "freeing");
	close(emu);
	emu_check_nothing_pinned("in the end");
	check(!system("rmmod gpumem && insmod /lib/modules/gpumem.ko && chmod 0666 /dev/gpumem"),
	      "the module cannot be unloaded after the callback");
}

static void *unshare_run(void *arg)
{
	(void)arg;
	need(!unshare(CLONE_FILES), "unshare: %s", strerror(errno));
	return NULL;
}

/* A thread that has descriptors of its own ends; its process does not. */
static void mode_thread(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, BLOCK);
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK);
	struct gpumem_info info;
	pthread_t thread;
	void *at;

	need(!gm_map(fd, &pin, &at), "mmap");
	need(!pthread_create(&thread, NULL, unshare_run, NULL),
	     "pthread_create");
	pthread_join(thread, NULL);
	/* join() returns before the kernel closes the thread's files. */
	t_sleep_us(300000);
	check_result(gm_info(fd, pin.pin, &info), 0, "INFO");
	check(!t_store(at, 1), "a store raises a signal");
	munmap(at, BLOCK);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	close(fd);
	close(emu);
}

/* Entries of the kernel's list of memory types that lie in the range. */
static int pat_entries(uint64_t from, uint64_t to)
{
	unsigned long long first, last;
	FILE *f = fopen(PAT, "r");
	char line[256];
	int n = 0;

	need(f, "opening " PAT ": %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		n += sscanf(line, "PAT: [mem 0x%llx-0x%llx]", &first, &last) ==
			     2 &&
		     first >= from && last <= to;
	fclose(f);
	return n;
}

static void pat_check(int emu, int fd, uint64_t addr, bool revoked)
{
	struct gpumem_pin pin = gm_must_pin(fd, addr, BLOCK);
	uint64_t pages[BLOCK / GPU_PAGE], n = BLOCK / GPU_PAGE, i;
	int before, mapped = 0, after = 0;
	void *at;

	need(!gm_pages(fd, pin.pin, 0, pages, &n), "PAGES");
	before = 0;
	for (i = 0; i < n; i++)
		before += pat_entries(pages[i], pages[i] + GPU_PAGE);
	need(!gm_map(fd, &pin, &at), "mmap");
	check(!t_store(at, 1), "a store raises a signal");
	for (i = 0; i < n; i++)
		mapped += pat_entries(pages[i], pages[i] + GPU_PAGE);
	check(mapped > before, "nothing is reserved for a mapped pin");
	if (revoked)
		check_result(emu_free(emu, addr), 0, "freeing");
	else
		check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	/* The VMA stays, and shows nothing. */
	for (i = 0; i < n; i++)
		after += pat_entries(pages[i], pages[i] + GPU_PAGE);
	check(after == before, "%d reservations are left of %d", after - before,
	      mapped - before);
	munmap(at, BLOCK);
	if (revoked)
		check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
}

/* Write-combining is reserved as long as the pages are ours, and no longer. */
static void mode_write_combined(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, BLOCK);

	pat_check(emu, fd, addr, false);
	pat_check(emu, fd, addr, true);
	close(fd);
	close(emu);
}

static const struct t_mode modes[] = {
	{ "umount", mode_umount },
	{ "namespace", mode_namespace },
	{ "opath", mode_opath },
	{ "opath-reuse", mode_opath_reuse },
	{ "forgotten", mode_forgotten },
	{ "forgotten-unload", mode_forgotten_unload },
	{ "thread", mode_thread },
	{ "write-combined", mode_write_combined },
};

int main(int argc, char **argv)
{
	need(argc > 1, "usage: vm-lifetimes MODE");
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
