// SPDX-License-Identifier: MIT
/*
 * Objects that end in another order than they were made: the node's file system
 * before a dma-buf.
 *
 * usage: vm-lifetimes MODE
 */
#include "t_dmabuf.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BLOCK (2 * MIB)
#define FOLDER "/tmp/dev"

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

static const struct t_mode modes[] = {
	{ "umount", mode_umount },
	{ "namespace", mode_namespace },
};

int main(int argc, char **argv)
{
	need(argc > 1, "usage: vm-lifetimes MODE");
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
