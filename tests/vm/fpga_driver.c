// SPDX-License-Identifier: MIT
/* The example's driver: wild arguments, signals, a board that goes away. */
#include "t_dma.h"

#define UNBIND "/sys/bus/pci/drivers/fpga_dma/unbind"
#define BIND "/sys/bus/pci/drivers/fpga_dma/bind"

static struct gpumem_dma_run run;
static int board, fd;

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

static void signals(void)
{
	struct sigaction action = { .sa_handler = nothing };
	uint64_t done = 0, from = t_now_ms();

	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	/* Would take 3.2 s. */
	check_result(copy(run.addr, run.addr + GPU_PAGE / 2, GPU_PAGE / 2,
			  &done),
		     EINTR, "a copy and a signal");
	check(done && done < GPU_PAGE / 2, "%llu bytes were done",
	      (unsigned long long)done);
	check(t_now_ms() - from < 3000, "the signal was noticed after %llu ms",
	      (unsigned long long)(t_now_ms() - from));
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
	check_result(copy(run.addr, run.addr + GPU_PAGE / 2, GPU_PAGE / 2,
			  NULL),
		     ENODEV, "a copy while the board goes");
}

static void run_map(uint32_t pin, const struct t_peer *peer)
{
	struct gpumem_dma_map map = gm_must_dma_map(fd, pin, peer);
	uint64_t n = 1;

	/* One page: no run is shorter. */
	need(!gm_dma_runs(fd, map.dma, 0, &run, &n), "DMA_RUNS");
}

/* The driver is unbound under an open file and a running copy. */
static void goes_away(const struct t_peer *peer, uint32_t pin)
{
	struct fpga_dma_info info;
	pid_t pid = t_fork(copier_run, NULL);
	uint64_t end;
	int again;

	t_sleep_us(500000);
	sysfs_write(UNBIND, peer->name);
	t_join("the copier", pid);
	check_result(copy(run.addr, run.addr + 4096, 16, NULL), ENODEV,
		     "a copy without a board");
	check_result(t_ioctl(board, FPGA_DMA_IOC_INFO, &info), ENODEV, "INFO");
	check(access(FPGA_DMA_NODE, F_OK), "the node is still there");
	sysfs_write(BIND, peer->name);
	end = t_now_ms() + 5000;
	while ((again = open(FPGA_DMA_NODE, O_RDWR | O_CLOEXEC)) < 0 &&
	       t_now_ms() < end)
		t_sleep_us(1000);
	need(again >= 0, "the board does not come back");
	close(board);
	board = again;
	/* The mapping went with the driver. */
	run_map(pin, peer);
	check_result(copy(run.addr, run.addr + 4096, 16, NULL), 0,
		     "a copy by the board that came back");
}

int main(void)
{
	int emu = emu_open();
	struct t_peer peer;
	struct gpumem_pin pin;

	fd = gm_open();
	board = t_board_open();
	peer = t_peer_of_board(board);
	pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	run_map(pin.pin, &peer);
	wild_arguments();
	signals();
	goes_away(&peer, pin.pin);
	close(fd);
	emu_check_nothing_pinned("in the end");
	return t_end();
}
