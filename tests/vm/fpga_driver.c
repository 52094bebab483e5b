// SPDX-License-Identifier: MIT
/* The example's driver: wild arguments, signals, a board that goes away. */
#include "t_dma.h"

#define UNBIND "/sys/bus/pci/drivers/fpga_dma/unbind"
#define BIND "/sys/bus/pci/drivers/fpga_dma/bind"

/* In the first word of what is copied. */
#define MARK 0x6d61726b
/* Exit code of a copier that was done before the signal came. */
#define TOO_LATE 42

static struct gpumem_dma_run run;
static uint64_t block; /* the GPU's address of the run */
static int board, fd, emu;

static int copy(uint64_t from, uint64_t to, uint64_t length, uint64_t *done)
{
	struct fpga_dma_copy c = { .from = from, .to = to, .length = length };
	int r = t_ioctl(board, FPGA_DMA_IOC_COPY, &c);

	if (done)
		*done = c.done;
	return r;
}

static void wild_arguments(void)
{
	struct fpga_dma_transfer t = { .addr = run.addr, .length = 16 };
	char data[16] = "";

	check_result(t_ioctl(board, _IO('F', 9), NULL), ENOTTY, "no command");
	check_result(t_ioctl(board, FPGA_DMA_IOC_INFO, NULL), EFAULT, "NULL");
	check_result(t_ioctl(board, FPGA_DMA_IOC_COPY, NULL), EFAULT, "NULL");
	check_result(board_send(board, run.addr, NULL, 16), EFAULT,
		     "data at NULL");
	check_result(board_receive(board, run.addr, NULL, 16), EFAULT,
		     "room at NULL");
	check_result(board_send(board, run.addr, data, 0), EINVAL, "no bytes");
	check_result(board_send(board, UINT64_MAX - 8, data, 16), EINVAL,
		     "past the last address");
	check_result(board_send(board, run.addr, data, UINT64_MAX), EINVAL,
		     "as many bytes as there are");
	t.data = (uintptr_t)data;
	t.direction = 2;
	check_result(t_ioctl(board, FPGA_DMA_IOC_TRANSFER, &t), EINVAL,
		     "direction 2");
	t.direction = 0;
	t.__reserved = 1;
	check_result(t_ioctl(board, FPGA_DMA_IOC_TRANSFER, &t), EINVAL,
		     "a reserved member");
	check_result(copy(run.addr, UINT64_MAX, 2, NULL), EINVAL,
		     "a copy past the end");
	check_result(copy(run.addr, run.addr, 0, NULL), EINVAL,
		     "an empty copy");
}

static void nothing(int signal)
{
}

/* Copies half of the run to the other half: 16 pieces, 3.2 s of the board. */
static int copy_half(uint64_t *done)
{
	return copy(run.addr, run.addr + GPU_PAGE / 2, GPU_PAGE / 2, done);
}

static bool piece_arrived(void *unused)
{
	uint32_t word = 0;

	need(!emu_read(emu, block + GPU_PAGE / 2, &word, sizeof(word)),
	     "reading GPU memory");
	return word == MARK;
}

/* Starts a process that copies half of the run, and waits for its first piece. */
static pid_t copier_start(void (*copier)(void *))
{
	uint32_t mark = MARK, none = 0;
	pid_t pid;

	need(!emu_write(emu, block, &mark, sizeof(mark)) &&
		     !emu_write(emu, block + GPU_PAGE / 2, &none, sizeof(none)),
	     "writing GPU memory");
	pid = t_fork(copier, NULL);
	need(t_wait(piece_arrived, NULL), "the copy does not begin");
	return pid;
}

static void signalled_run(void *arg)
{
	uint64_t done = 0;
	int r = copy_half(&done);

	if (!r) {
		printf("the signal did not end the copy: once more\n");
		fflush(stdout);
		_exit(TOO_LATE);
	}
	check_result(r, EINTR, "a copy and a signal");
	check(done && done < GPU_PAGE / 2, "%llu bytes were done",
	      (unsigned long long)done);
}

/* A signal ends a copy between two pieces. */
static void signals(void)
{
	struct sigaction action = { .sa_handler = nothing };
	int status;
	pid_t pid;

	sigaction(SIGUSR1, &action, NULL);
	/* On a busy machine the copy may be over before the signal comes. */
	do {
		pid = copier_start(signalled_run);
		kill(pid, SIGUSR1);
		need(waitpid(pid, &status, 0) == pid, "waitpid: %s",
		     strerror(errno));
	} while (WIFEXITED(status) && WEXITSTATUS(status) == TOO_LATE);
	check(!status, "the copier: status %#x", (unsigned int)status);
}

static void sysfs_write(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);

	need(file >= 0 && write(file, text, strlen(text)) > 0, "writing %s: %s",
	     path, strerror(errno));
	close(file);
}

static void copier_run(void *arg)
{
	int r;

	while (!(r = copy_half(NULL)))
		;
	check_result(r, ENODEV, "a copy while the board goes");
}

static void run_map(uint32_t pin, const struct t_peer *peer)
{
	struct gpumem_dma_map map = gm_must_dma_map(fd, pin, peer);
	uint64_t n = 1;

	/* One page: no run is shorter. */
	need(!gm_dma_runs(fd, map.dma, 0, &run, &n), "DMA_RUNS");
}

static bool board_opens(void *opened)
{
	return (*(int *)opened = open(FPGA_DMA_NODE, O_RDWR | O_CLOEXEC)) >= 0;
}

/* The driver is unbound under an open file and a running copy. */
static void goes_away(const struct t_peer *peer, uint32_t pin)
{
	struct fpga_dma_info info;
	pid_t pid = copier_start(copier_run);
	int again;

	sysfs_write(UNBIND, peer->name);
	t_join("the copier", pid);
	check_result(copy(run.addr, run.addr + 4096, 16, NULL), ENODEV,
		     "a copy without a board");
	check_result(t_ioctl(board, FPGA_DMA_IOC_INFO, &info), ENODEV, "INFO");
	check(access(FPGA_DMA_NODE, F_OK), "the node is still there");
	sysfs_write(BIND, peer->name);
	need(t_wait(board_opens, &again), "the board does not come back");
	close(board);
	board = again;
	/* The mapping went with the driver. */
	run_map(pin, peer);
	check_result(copy(run.addr, run.addr + 4096, 16, NULL), 0,
		     "a copy by the board that came back");
}

int main(void)
{
	struct t_peer peer;
	struct gpumem_pin pin;

	emu = emu_open();
	fd = gm_open();
	board = t_board_open();
	peer = t_peer_of_board(board);
	block = emu_alloc(emu, MIB);
	pin = gm_must_pin(fd, block, MIB);
	run_map(pin.pin, &peer);
	wild_arguments();
	signals();
	goes_away(&peer, pin.pin);
	close(fd);
	emu_check_nothing_pinned("in the end");
	return t_end();
}
