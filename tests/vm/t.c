// SPDX-License-Identifier: MIT
#include "t.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

static atomic_int t_failures;
static _Thread_local sigjmp_buf t_jump;
static _Thread_local volatile sig_atomic_t t_armed;

static void t_say(const char *file, int line, const char *format, va_list args)
{
	char text[512];
	const char *base = strrchr(file, '/');

	vsnprintf(text, sizeof(text), format, args);
	printf("%s:%d: %s\n", base ? base + 1 : file, line, text);
	fflush(stdout);
	atomic_fetch_add(&t_failures, 1);
}

bool t_check(const char *file, int line, bool ok, const char *format, ...)
{
	va_list args;

	if (ok)
		return true;
	va_start(args, format);
	t_say(file, line, format, args);
	va_end(args);
	return false;
}

static const char *t_result_name(int result)
{
	const char *name = result ? strerrorname_np(result) : "success";

	return name ? name : "an unknown errno";
}

bool t_check_result(const char *file, int line, int found, int want,
		    const char *format, ...)
{
	char text[256];
	va_list args;

	if (found == want)
		return true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return t_check(file, line, false, "%s: expected %s, found %s (%d)",
		       text, t_result_name(want), t_result_name(found), found);
}

int t_end(void)
{
	int failures = atomic_load(&t_failures);

	if (failures)
		printf("%d checks failed\n", failures);
	fflush(stdout);
	return failures ? 1 : 0;
}

int t_main(int argc, char **argv, const struct t_mode *modes, size_t count)
{
	bool found = false;
	size_t i;

	t_signals_catch();
	for (i = 0; i < count; i++) {
		if (argc > 1 && strcmp(argv[1], modes[i].name))
			continue;
		found = true;
		modes[i].run();
	}
	need(found, "no mode %s", argc > 1 ? argv[1] : "");
	return t_end();
}

int t_ioctl(int fd, unsigned long nr, void *arg)
{
	return ioctl(fd, nr, arg) < 0 ? errno : 0;
}

int t_mmap(int fd, uint64_t offset, size_t length, int prot, int flags,
	   void **at)
{
	void *p = mmap(NULL, length, prot, flags, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return errno;
	if (at)
		*at = p;
	else
		munmap(p, length);
	return 0;
}

int t_map(int fd, uint64_t offset, size_t length, void **at)
{
	return t_mmap(fd, offset, length, PROT_READ | PROT_WRITE, MAP_SHARED,
		      at);
}

int t_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	need(fd >= 0, "open %s: %s", path, strerror(errno));
	return fd;
}

void t_file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text),
	     "writing %s: %s", path, strerror(errno));
	close(fd);
}

static void t_signal(int signal)
{
	if (!t_armed) {
		static const char text[] = "unexpected SIGBUS or SIGSEGV\n";

		if (write(1, text, sizeof(text) - 1) < 0)
			_exit(3);
		_exit(2);
	}
	siglongjmp(t_jump, signal);
}

void t_signals_catch(void)
{
	struct sigaction action = { .sa_handler = t_signal };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

int t_load(const volatile void *at, uint32_t *value)
{
	int signal = sigsetjmp(t_jump, 1);
	uint32_t v;

	if (!signal) {
		t_armed = 1;
		v = *(const volatile uint32_t *)at;
		if (value)
			*value = v;
	}
	t_armed = 0;
	return signal;
}

int t_store(volatile void *at, uint32_t value)
{
	int signal = sigsetjmp(t_jump, 1);

	if (!signal) {
		t_armed = 1;
		*(volatile uint32_t *)at = value;
	}
	t_armed = 0;
	return signal;
}

pid_t t_fork(void (*run)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		atomic_store(&t_failures, 0);
		run(arg);
		_exit(t_end());
	}
	return pid;
}

void t_join(const char *name, pid_t pid)
{
	int status = 0;

	need(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	check(!status, "%s: expected exit code 0, found status %#x", name,
	      (unsigned int)status);
}

void t_child(const char *name, void (*run)(void *), void *arg)
{
	t_join(name, t_fork(run, arg));
}

int t_fd_send(int sock, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .space = { 0 } };
	char byte = 0;
	struct iovec io = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &io,
			      .msg_iovlen = 1,
			      .msg_control = control.space,
			      .msg_controllen = sizeof(control.space) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : errno;
}

int t_fd_receive(int sock)
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
	struct cmsghdr *c;
	int fd;

	need(recvmsg(sock, &msg, 0) == 1, "recvmsg: %s", strerror(errno));
	c = CMSG_FIRSTHDR(&msg);
	need(c && c->cmsg_type == SCM_RIGHTS, "no descriptor in the message");
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

uint32_t t_random(uint64_t *state)
{
	uint64_t x;

	/* splitmix64: any first state will do, 0 too. */
	*state += 0x9e3779b97f4a7c15ull;
	x = *state;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (uint32_t)((x ^ (x >> 31)) >> 16);
}

uint64_t t_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void t_sleep_us(unsigned int us)
{
	struct timespec ts = { .tv_sec = us / 1000000,
			       .tv_nsec = (long)(us % 1000000) * 1000 };

	nanosleep(&ts, NULL);
}

void counter_fill(volatile void *at, size_t words, uint32_t first)
{
	volatile uint32_t *p = at;
	size_t i;

	for (i = 0; i < words; i++)
		p[i] = first + (uint32_t)i;
}

bool counter_check(const void *at, size_t words, uint32_t first,
		   const char *what)
{
	const uint32_t *p = at;
	size_t i;

	for (i = 0; i < words; i++)
		if (!check(p[i] == first + (uint32_t)i,
			   "%s: word %zu: expected %#x, found %#x", what, i,
			   first + (uint32_t)i, p[i]))
			return false;
	return true;
}
