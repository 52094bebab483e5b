// SPDX-License-Identifier: MIT
/* Workers, their children, and descriptors passed between them. */
#include "fuzz.h"

#include <linux/magic.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/vfs.h>

struct fuzz_entry {
	const char *name;
	void (*run)(struct fuzz_ctx *c);
	uint32_t weight;
};

static const struct fuzz_entry fuzz_table[] = {
#define FUZZ_ENTRY(name, fn, weight) { #name, fn, weight },
	FUZZ_OPS(FUZZ_ENTRY)
#undef FUZZ_ENTRY
};

/*
 * What any call may say, and what some say beside it. EIO, EPROTO, EINTR and
 * what is not here never.
 */
static const int fuzz_any[] = { EINVAL, E2BIG,	EFAULT, EPERM,	ENOMEM,
				EBADF,	ENOTTY, EMFILE, ENFILE, 0 };

static const int fuzz_own[FUZZ_OP_COUNT][8] = {
	[FUZZ_PIN] = { EOVERFLOW, ENOSPC, EOPNOTSUPP, ENODEV },
	[FUZZ_LOCK] = { EOVERFLOW, ENOSPC, ENODEV },
	[FUZZ_UNPIN] = { ENOENT },
	[FUZZ_UNLOCK] = { ENOENT },
	[FUZZ_INFO] = { ENOENT },
	[FUZZ_PAGES] = { ENOENT, ENODEV },
	[FUZZ_STATE] = { ENOENT, ENODEV, ENOSPC },
	/* EIO: a device that reaches 32 bits of address only. */
	[FUZZ_DMA_MAP] = { ENOENT, ENODEV, EACCES, EBUSY, EIO, ENOSPC,
			   EOPNOTSUPP },
	[FUZZ_DMA_RUNS] = { ENOENT, ENODEV },
	[FUZZ_DMA_UNMAP] = { ENOENT },
	[FUZZ_EXPORT] = { ENOENT, ENODEV },
	[FUZZ_MMAP] = { ENODEV, EACCES, EOVERFLOW },
	[FUZZ_MMAP_PHYS] = { ENODEV, EACCES, EOVERFLOW },
	[FUZZ_MMAP_BUF] = { ENODEV, EACCES, EOVERFLOW },
	[FUZZ_MPROTECT] = { EACCES },
	/* ENODEV: MADV_WILLNEED. */
	[FUZZ_MADVISE] = { EACCES, EAGAIN, EHWPOISON, EBUSY, ENODEV },
	[FUZZ_MREMAP] = { EAGAIN },
	[FUZZ_PEEK] = { EIO },
	[FUZZ_SEND] = { EAGAIN, ETOOMANYREFS, ECONNRESET },
	[FUZZ_RECEIVE] = { EAGAIN },
	[FUZZ_FORK] = { EAGAIN },
	[FUZZ_RAW] = { ENOENT, ENODEV, EOVERFLOW, EACCES, EOPNOTSUPP, ENOSPC },
};

const char *fuzz_op_name(int op)
{
	return op >= 0 && op < FUZZ_OP_COUNT ? fuzz_table[op].name : "nothing";
}

void fuzz_wrong(struct fuzz_ctx *c, const char *format, ...)
{
	char text[256];
	va_list args;
	int n;

	if (atomic_fetch_add(&fuzz_shared->wrong, 1) > 20)
		return;
	va_start(args, format);
	n = vsnprintf(text, sizeof(text) - 1, format, args);
	va_end(args);
	if (n < 0 || n > (int)sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	text[n] = '\n';
	dprintf(1, "worker %d thread %d%s: %.*s", c->worker, c->thread,
		c->child ? " child" : "", n + 1, text);
}

void fuzz_result(struct fuzz_ctx *c, enum fuzz_op op, int result)
{
	size_t i;

	atomic_fetch_add(&fuzz_shared->done, 1);
	atomic_fetch_add(&fuzz_shared->tried[op], 1);
	if (!result) {
		atomic_fetch_add(&fuzz_shared->good[op], 1);
		return;
	}
	if (result == ENODEV)
		atomic_fetch_add(&fuzz_shared->revoked, 1);
	for (i = 0; fuzz_any[i]; i++)
		if (fuzz_any[i] == result)
			return;
	for (i = 0; i < 8; i++)
		if (fuzz_own[op][i] == result)
			return;
	fuzz_wrong(c, "%s said %s (%d), which is none of its errors",
		   fuzz_op_name(op), strerrorname_np(result), result);
}

void fuzz_file_result(struct fuzz_ctx *c, enum fuzz_op op, int fd, int result)
{
	if (!result && c->child && fuzz_is_forbidden(fd))
		fuzz_wrong(c, "%s of a file that the parent owns succeeded",
			   fuzz_op_name(op));
	fuzz_result(c, op, result);
}

void fuzz_step(struct fuzz_ctx *c)
{
	static uint32_t total;
	uint32_t n;
	int op;

	if (!total)
		for (op = 0, n = 0; op < FUZZ_OP_COUNT; op++)
			total = n += fuzz_table[op].weight;
	n = fuzz_below(c, total);
	for (op = 0; n >= fuzz_table[op].weight; op++)
		n -= fuzz_table[op].weight;
	atomic_store(&fuzz_shared->now[c->worker][c->thread], op + 1);
	fuzz_table[op].run(c);
	atomic_store(&fuzz_shared->now[c->worker][c->thread], 0);
}

static bool fuzz_over(void)
{
	return atomic_load(&fuzz_shared->done) >=
	       atomic_load(&fuzz_shared->limit);
}

/* A child has its parent's descriptors and none of its rights to them. */
void fuzz_fork(struct fuzz_ctx *c)
{
	uint32_t steps = fuzz_below(c, 60);
	uint64_t seed = c->random;
	pid_t pid;

	if (c->child)
		return;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	pid = fork();
	fuzz_result(c, FUZZ_FORK, pid < 0 ? errno : 0);
	if (pid)
		return;
	fuzz_pools_unlock();
	c->child = true;
	c->random = ~seed;
	fuzz_note_forbidden();
	while (steps-- && !fuzz_over())
		fuzz_step(c);
	_exit(0);
}

void fuzz_send(struct fuzz_ctx *c)
{
	struct fuzz_thing what;
	int to = fuzz_shared->socks[fuzz_below(c, FUZZ_WORKERS)][1];

	if (fuzz_pick(c, fuzz_chance(c, 50) ? FUZZ_FILES : FUZZ_BUFS, &what))
		fuzz_result(c, FUZZ_SEND, t_fd_send(to, what.fd));
}

static int fuzz_fd_receive(int sock, int *fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec io = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &io,
			      .msg_iovlen = 1,
			      .msg_control = control.space,
			      .msg_controllen = sizeof(control.space) };
	struct cmsghdr *head;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) < 0)
		return errno;
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_type != SCM_RIGHTS)
		return EMFILE;
	memcpy(fd, CMSG_DATA(head), sizeof(*fd));
	return 0;
}

void fuzz_receive(struct fuzz_ctx *c)
{
	int fd = -1, r = fuzz_fd_receive(fuzz_shared->socks[c->worker][0], &fd);
	struct fuzz_thing buf = { .foreign = true };
	off_t size;

	fuzz_result(c, FUZZ_RECEIVE, r);
	if (r)
		return;
	fuzz_set_forbidden(fd, false);
	/* Only a dma-buf says how long it is. */
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0) {
		fuzz_put_file(c, fd, true, false);
		return;
	}
	buf.fd = fd;
	buf.bytes = (uint64_t)size;
	fuzz_put(c, FUZZ_BUFS, &buf);
}

/*
 * Two threads share their descriptors' numbers. One that closed a file and maps
 * it all the same may meet the file of /proc that the other opened in between,
 * and mmap() of such a file is EIO.
 */
static atomic_uint fuzz_proc_begun, fuzz_proc_ended;

void fuzz_proc(struct fuzz_ctx *c)
{
	int fd;

	atomic_fetch_add(&fuzz_proc_begun, 1);
	fd = open(fuzz_chance(c, 70) ? GPUMEM_PROC_NODE : "/proc/self/smaps",
		  O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && read(fd, c->room, sizeof(c->room)) > 0)
		;
	fuzz_result(c, FUZZ_PROC, 0);
	close(fd);
	atomic_fetch_add(&fuzz_proc_ended, 1);
}

uint32_t fuzz_proc_before(void)
{
	return atomic_load(&fuzz_proc_ended);
}

bool fuzz_proc_since(const struct fuzz_ctx *c, uint32_t before, int fd)
{
	struct statfs fs;

	if (atomic_load(&fuzz_proc_begun) != before)
		return true;
	/*
	 * A child has the parent's files as they were when fork() began and its
	 * counts as they were a little later: the other thread may have been
	 * through with such a file by then. No thread of the child closes it.
	 */
	return c->child && !fstatfs(fd, &fs) && fs.f_type == PROC_SUPER_MAGIC;
}

static void *fuzz_thread(void *arg)
{
	while (!fuzz_over())
		fuzz_step(arg);
	return NULL;
}

/* Every third worker is an ordinary user. */
void fuzz_worker(int worker, uint64_t seed, uint32_t life)
{
	static struct fuzz_ctx c[FUZZ_THREADS];
	pthread_t threads[FUZZ_THREADS];
	int i, emu;

	if (worker % 3 == 2 && (setgid(1000) || setuid(1000)))
		_exit(3);
	fuzz_pools_reset();
	emu = emu_open();
	for (i = 0; i < FUZZ_THREADS; i++) {
		c[i] = (struct fuzz_ctx){
			.random =
				seed + 0x10000ull * life + 0x100u * worker + i,
			.worker = worker,
			.thread = i,
			.emu = emu,
			.mark = FUZZ_MARK | (life & ~FUZZ_MARK_MASK),
		};
		/* Its stream, not a shifted copy of its neighbour's. */
		c[i].random = (uint64_t)t_random(&c[i].random) << 32 | i;
	}
	for (i = 1; i < FUZZ_THREADS; i++)
		if (pthread_create(&threads[i], NULL, fuzz_thread, &c[i]))
			_exit(4);
	fuzz_thread(&c[0]);
	for (i = 1; i < FUZZ_THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}
