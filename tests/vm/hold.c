// SPDX-License-Identifier: MIT
/*
 * Runs a command while GPU memory is pinned, mapped and filled with a counter
 * from 0x0A000000 on. The command finds in its environment HOLD_PID, HOLD_ADDR
 * (GPU address), HOLD_BYTES and HOLD_PAGES (physical addresses).
 *
 * usage: vm-hold BYTES COMMAND...; exits as the command does
 */
#include "t.h"

static void env_set(const char *name, const char *format, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), format, (unsigned long long)value);
	setenv(name, text, 1);
}

int main(int argc, char **argv)
{
	uint64_t length = argc > 2 ? strtoull(argv[1], NULL, 0) : 0, n, i;
	int emu, fd, status, r;
	struct gpumem_pin pin;
	uint64_t addr, *pages;
	char *text, *end;
	void *at;
	pid_t pid;

	need(length, "usage: vm-hold BYTES COMMAND...");
	emu = emu_open();
	fd = gm_open();
	addr = emu_alloc(emu, length);
	pin = gm_must_pin(fd, addr, length);
	r = gm_map(fd, &pin, &at);
	need(!r, "mmap: %s", strerror(r));
	counter_fill(at, gm_bytes(&pin) / 4, 0x0A000000);
	n = pin.page_count;
	pages = calloc(n, 8);
	text = end = malloc(n * 20 + 1);
	need(pages && text, "out of memory");
	r = gm_pages(fd, pin.pin, 0, pages, &n);
	need(!r, "PAGES: %s", strerror(r));
	for (i = 0; i < n; i++)
		end += sprintf(end, "%#llx ", (unsigned long long)pages[i]);
	*end = 0;
	env_set("HOLD_PID", "%llu", (uint64_t)getpid());
	env_set("HOLD_ADDR", "%#llx", addr);
	env_set("HOLD_BYTES", "%llu", length);
	setenv("HOLD_PAGES", text, 1);

	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		execvp(argv[2], argv + 2);
		printf("%s: %s\n", argv[2], strerror(errno));
		fflush(stdout);
		_exit(127);
	}
	need(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	munmap(at, gm_bytes(&pin));
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check_result(emu_free(emu, addr), 0, "freeing");
	if (t_end())
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
