// SPDX-License-Identifier: MIT
/*
 * Who may map DMA for a device: root, and who can open its files for writing.
 * Run as root.
 */
#include "t_dma.h"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define USER 1000

static struct t_peer peer, other;
static int open_config = -1, open_other = -1;

/* One mapping with a descriptor: 0 or the errno. */
static int try(const struct t_peer *device, int device_fd)
{
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	struct gpumem_dma_map map;
	int r = gm_dma_map_fd(fd, pin.pin, device, device_fd, &map);

	if (!r)
		check_result(gm_dma_unmap(fd, map.dma), 0, "DMA_UNMAP");
	close(fd);
	close(emu);
	return r;
}

static int open_file(const struct t_peer *device, const char *file, int flags)
{
	char path[96];

	return open(t_peer_file(device, file, path, sizeof(path)),
		    flags | O_CLOEXEC);
}

static int try_file(const struct t_peer *device, const char *file, int flags)
{
	int fd = open_file(device, file, flags), r;

	need(fd >= 0, "open %s of %s: %s", file, device->name, strerror(errno));
	r = try(device, fd);
	close(fd);
	return r;
}

static void give(const struct t_peer *device, const char *file, uid_t uid)
{
	char path[96];

	t_peer_file(device, file, path, sizeof(path));
	need(!chown(path, uid, 0), "chown %s: %s", path, strerror(errno));
}

static void become_user(void)
{
	need(!setgroups(0, NULL) && !setgid(USER) && !setuid(USER),
	     "becoming an ordinary user: %s", strerror(errno));
	/* Its files below /proc are its own again. */
	prctl(PR_SET_DUMPABLE, 1);
}

static void user_run(void *arg)
{
	become_user();
	check_result(try(&peer, -1), EACCES, "a user without a descriptor");
	check(open_file(&peer, "config", O_RDWR) < 0 && errno == EACCES,
	      "a user can open config for writing");
	check_result(try_file(&peer, "config", O_RDONLY), EACCES,
		     "config open for reading");
	check_result(try_file(&peer, "resource", O_RDONLY), EACCES,
		     "resource open for reading");
	/* Root's descriptors, which it left open for us. */
	check_result(try(&peer, open_config), 0, "config open for writing");
	check_result(try(&other, open_other), 0, "the other device's own");
	check_result(try(&peer, open_other), EACCES, "another device's file");
	check_result(try(&other, open_config), EACCES, "the other way round");
}

/* resource0 is the user's: the way a udev rule gives a board to someone. */
static void owner_run(void *arg)
{
	become_user();
	check_result(try_file(&peer, "resource0", O_RDWR), 0,
		     "the own resource0");
	check_result(try_file(&peer, "resource0", O_WRONLY), 0,
		     "the own resource0, for writing alone");
	check_result(try_file(&peer, "resource0", O_RDONLY), EACCES,
		     "the own resource0, for reading alone");
	check_result(try_file(&peer, "resource0", O_PATH), EBADF,
		     "the own resource0, as a path alone");
	/* A file of the device that gives no power over it. */
	check_result(try_file(&peer, "enable", O_RDWR), EACCES,
		     "the own enable");
	check_result(try(&peer, open("/dev/null", O_RDWR)), EACCES,
		     "/dev/null");
	check_result(try(&peer, open("/sys/bus/pci/devices", O_RDONLY)), EACCES,
		     "a folder");
}

static void file_make(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0, "making %s: %s", path, strerror(errno));
	close(fd);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/*
 * The user is root in a namespace, where files can be put over those of sysfs.
 * The other device's resource0 is the user's; the board's is not.
 */
static void namespace_run(void *arg)
{
	char path[96], from[96];
	int fd;

	become_user();
	if (access("/proc/self/ns/user", F_OK)) {
		printf("this kernel has no user namespaces\n");
		return;
	}
	need(!unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare: %s",
	     strerror(errno));
	need(write_file("/proc/self/setgroups", "deny") &&
		     write_file("/proc/self/uid_map", "0 1000 1") &&
		     write_file("/proc/self/gid_map", "0 1000 1"),
	     "becoming root of the namespace: %s", strerror(errno));
	need(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL),
	     "making mounts private: %s", strerror(errno));
	check_result(try(&peer, -1), EACCES, "root of a namespace");

	t_peer_file(&peer, "resource0", path, sizeof(path));
	t_peer_file(&other, "resource0", from, sizeof(from));
	need(!mount(from, path, NULL, MS_BIND, NULL), "mount: %s",
	     strerror(errno));
	check_result(try_file(&peer, "resource0", O_RDWR), EACCES,
		     "another device's file in the place of the board's");
	umount2(path, MNT_DETACH);

	file_make("/tmp/resource0");
	need(!mount("/tmp/resource0", path, NULL, MS_BIND, NULL), "mount: %s",
	     strerror(errno));
	check_result(try_file(&peer, "resource0", O_RDWR), EACCES,
		     "a plain file in the place of the board's");
	umount2(path, MNT_DETACH);

	t_peer_file(&peer, "", path, sizeof(path));
	need(!mount("tmpfs", path, "tmpfs", 0, NULL), "mount tmpfs: %s",
	     strerror(errno));
	t_peer_file(&peer, "resource0", path, sizeof(path));
	file_make(path);
	fd = open(path, O_RDWR);
	check_result(try(&peer, fd), EACCES, "a tmpfs over the board's folder");
	close(fd);
}

static void no_rawio_run(void *arg)
{
	/* CAP_SYS_RAWIO goes; user 0 stays. */
	need(!prctl(PR_CAPBSET_DROP, 17), "dropping: %s", strerror(errno));
	execl("/proc/self/exe", "vm-dma-access", "no-rawio", NULL);
	need(false, "exec: %s", strerror(errno));
}

static void users(void)
{
	open_other = open_file(&other, "config", O_RDWR);
	open_config = open_file(&peer, "config", O_RDWR);
	need(open_config >= 0 && open_other >= 0, "opening config: %s",
	     strerror(errno));
	check_result(try(&peer, -1), 0, "root");
	check_result(try(&peer, open_config), 0, "root with a descriptor");
	check_result(try(&peer, open_other), EACCES,
		     "root with another device's");
	t_child("an ordinary user", user_run, NULL);
	t_child("root without CAP_SYS_RAWIO", no_rawio_run, NULL);
	close(open_config);
	close(open_other);

	give(&peer, "resource0", USER);
	give(&peer, "enable", USER);
	t_child("the board's owner", owner_run, NULL);
	give(&peer, "resource0", 0);
	give(&peer, "enable", 0);

	give(&other, "resource0", USER);
	t_child("root of a namespace", namespace_run, NULL);
	give(&other, "resource0", 0);
}

int main(int argc, char **argv)
{
	int board, second;

	if (argc > 1) {
		peer = t_peer_find(0x1234, 0x11e8);
		check_result(try(&peer, -1), EACCES,
			     "root without CAP_SYS_RAWIO");
		return t_end();
	}
	board = t_board_open();
	second = t_board_try_open(1);
	need(second >= 0, "the machine has no second board");
	peer = t_peer_of_board(board);
	other = t_peer_of_board(second);
	close(board);
	close(second);
	users();
	emu_check_nothing_pinned("in the end");
	return t_end();
}
