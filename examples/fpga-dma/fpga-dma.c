// SPDX-License-Identifier: MIT
/*
 * A PCI board writes into GPU memory and reads from it by itself, at addresses
 * that gpumem made for it; CUDA checks every byte. See README.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <gpumem.h>
#include "fpga_dma.h"

#define MAX_BUFFER (64ull << 20)
#define MAX_CAPTURE 4096ull
#define MAX_BOARDS 32

/* The parts of CUDA's driver API that this program needs. */
typedef int (*device_get)(int *device, int ordinal);
typedef int (*context_retain)(void **context, int device);
typedef int (*context_set)(void *context);
typedef int (*copy_to_host)(void *to, uint64_t from, size_t length);
typedef int (*copy_to_device)(uint64_t to, const void *from, size_t length);

/* A board, and the addresses at which it reaches the buffer. */
struct board {
	const char *node;
	int fd;
	struct gpumem_dma *dma;
	struct gpumem_dma_info info;
	struct gpumem_run *runs;
};

/* A board's part of a copy. */
struct share {
	pthread_t thread;
	struct board *board;
	uint64_t from, to, length;
	int rc;
};

static struct gpumem *gpu;
static struct gpumem_buf *buf;
static struct gpumem_buf_info info;
static struct board boards[MAX_BOARDS];
static unsigned int board_count;
static copy_to_host cuda_to_host;
static copy_to_device cuda_to_device;

static int fail(const char *what)
{
	fprintf(stderr, "fpga-dma: %s: %s\n", what, gpumem_last_error());
	return -1;
}

static int fail_errno(const char *what)
{
	fprintf(stderr, "fpga-dma: %s: %s\n", what, strerror(errno));
	return -1;
}

static int cuda_failed(const char *what, int result)
{
	fprintf(stderr, "fpga-dma: %s: CUDA error %d\n", what, result);
	return -1;
}

/* CUDA's copies need a current context: the one that gpumem allocates in. */
static int cuda_begin(void)
{
	device_get get = (device_get)gpumem_cuda_symbol(gpu, "cuDeviceGet");
	context_retain retain = (context_retain)gpumem_cuda_symbol(
		gpu, "cuDevicePrimaryCtxRetain");
	context_set set =
		(context_set)gpumem_cuda_symbol(gpu, "cuCtxSetCurrent");
	void *context;
	int device, rc;

	cuda_to_host = (copy_to_host)gpumem_cuda_symbol(gpu, "cuMemcpyDtoH_v2");
	cuda_to_device =
		(copy_to_device)gpumem_cuda_symbol(gpu, "cuMemcpyHtoD_v2");
	if (!get || !retain || !set || !cuda_to_host || !cuda_to_device)
		return fail("looking up CUDA's functions");
	rc = get(&device, 0);
	if (!rc)
		rc = retain(&context, device);
	if (!rc)
		rc = set(context);
	return rc ? cuda_failed("making the context current", rc) : 0;
}

static int gpu_open(void)
{
	/* The only backend that knows addresses for another device. */
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "kmod" };

	if (gpumem_open(&options, &gpu))
		return fail("opening the GPU");
	return cuda_begin();
}

static int buffer_alloc(uint64_t length)
{
	info.size = sizeof(info);
	if (gpumem_alloc(gpu, length, 0, &buf) || gpumem_buf_get(buf, &info))
		return fail("allocating GPU memory");
	return 0;
}

/* Opens a board and learns the buffer's addresses, as it must use them. */
static int board_open(struct board *board)
{
	struct fpga_dma_info where;
	char peer[24];
	size_t count;

	board->fd = open(board->node, O_RDWR | O_CLOEXEC);
	if (board->fd < 0)
		return fail_errno(board->node);
	if (ioctl(board->fd, FPGA_DMA_IOC_INFO, &where))
		return fail_errno("asking the board where it is");
	snprintf(peer, sizeof(peer), "%04x:%02x:%02x.%x", where.domain,
		 where.bus, where.devfn >> 3, where.devfn & 7);

	board->info.size = sizeof(board->info);
	if (gpumem_dma_map(buf, peer, 0, &board->dma) ||
	    gpumem_dma_get(board->dma, &board->info))
		return fail("mapping the buffer for the board");
	count = board->info.run_count;
	board->runs = calloc(count, sizeof(*board->runs));
	if (!board->runs)
		return fail_errno("allocating room for the addresses");
	if (gpumem_dma_runs(board->dma, 0, board->runs, &count))
		return fail("asking for the addresses");
	printf("board %s reaches %" PRIu64 " bytes of GPU memory in %" PRIu64
	       " runs, the first at %#" PRIx64 "\n",
	       peer, info.length, board->info.run_count, board->runs[0].addr);
	return 0;
}

/*
 * The board's address of a byte of the buffer. Lowers *length to how much
 * follows there without a gap.
 */
static uint64_t board_addr(const struct board *board, uint64_t offset,
			   uint64_t *length)
{
	const struct gpumem_run *run = board->runs;

	offset += board->info.addr_offset;
	while (offset >= run->length)
		offset -= run++->length;
	if (*length > run->length - offset)
		*length = run->length - offset;
	return run->addr + offset;
}

/* The first board and the beginning of the buffer exchange bytes. */
static int board_transfer(uint32_t direction, void *data, uint64_t length)
{
	struct fpga_dma_transfer t = { .direction = direction };
	uint64_t at, part;

	for (at = 0; at < length; at += part) {
		part = length - at;
		t.addr = board_addr(&boards[0], at, &part);
		t.data = (uintptr_t)data + at;
		t.length = part;
		if (ioctl(boards[0].fd, FPGA_DMA_IOC_TRANSFER, &t))
			return fail_errno("the board's transfer");
	}
	return 0;
}

static void *share_copy(void *arg)
{
	struct share *share = arg;
	struct fpga_dma_copy c = { 0 };
	uint64_t at, part;

	for (at = 0; at < share->length; at += part) {
		part = share->length - at;
		c.from = board_addr(share->board, share->from + at, &part);
		c.to = board_addr(share->board, share->to + at, &part);
		c.length = part;
		if (ioctl(share->board->fd, FPGA_DMA_IOC_COPY, &c)) {
			share->rc = fail_errno("the board's copy");
			break;
		}
	}
	return NULL;
}

/* All boards at once, each a part. */
static int boards_copy(uint64_t from, uint64_t to, uint64_t length)
{
	struct share shares[MAX_BOARDS] = { 0 };
	uint64_t at = 0, each = length / board_count;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < board_count; i++) {
		struct share *share = &shares[i];

		share->board = &boards[i];
		share->from = from + at;
		share->to = to + at;
		share->length = i == board_count - 1 ? length - at : each;
		at += each;
		if (pthread_create(&share->thread, NULL, share_copy, share)) {
			share->board = NULL;
			rc = fail_errno("starting a thread");
		}
	}
	for (i = 0; i < board_count; i++) {
		if (!shares[i].board)
			continue;
		pthread_join(shares[i].thread, NULL);
		if (shares[i].rc)
			rc = -1;
	}
	return rc;
}

/* Bytes that differ from round to round and from place to place. */
static void pattern_fill(uint8_t *data, uint64_t length, uint64_t round)
{
	uint64_t i, x = 0;

	for (i = 0; i < length; i++) {
		if (i % 8 == 0) {
			x = (i + 1 + (round << 40)) * 0x9e3779b97f4a7c15ull;
			x ^= x >> 29;
		}
		data[i] = (uint8_t)(x >> 8 * (i % 8));
	}
}

static int differs(const char *what, const uint8_t *found, const uint8_t *want,
		   uint64_t length)
{
	uint64_t i;

	for (i = 0; i < length && found[i] == want[i]; i++)
		;
	if (i == length)
		return 0;
	fprintf(stderr, "fpga-dma: %s: byte %" PRIu64 " is %#x, expected %#x\n",
		what, i, found[i], want[i]);
	return -1;
}

/* The board captures something; CUDA finds it in GPU memory. */
static int capture(uint8_t *want, uint8_t *found, uint64_t length)
{
	int rc;

	pattern_fill(want, length, 1);
	memset(found, 0, length);
	if (board_transfer(FPGA_DMA_TO_MEMORY, want, length))
		return -1;
	rc = cuda_to_host(found, info.addr, length);
	if (rc)
		return cuda_failed("cuMemcpyDtoH", rc);
	return differs("what the board wrote", found, want, length);
}

/* CUDA makes something; the board gets it. */
static int replay(uint8_t *want, uint8_t *found, uint64_t length)
{
	int rc;

	pattern_fill(want, length, 2);
	memset(found, 0, length);
	rc = cuda_to_device(info.addr, want, length);
	if (rc)
		return cuda_failed("cuMemcpyHtoD", rc);
	if (board_transfer(FPGA_DMA_FROM_MEMORY, found, length))
		return -1;
	return differs("what the board read", found, want, length);
}

/* The boards read the buffer's first half and write it to the second. */
static int copy_half(uint8_t *want, uint8_t *found, uint64_t length,
		     uint64_t round)
{
	int rc;

	pattern_fill(want, length, round);
	memset(found, 0, length);
	rc = cuda_to_device(info.addr, want, length);
	if (!rc)
		rc = cuda_to_device(info.addr + info.length / 2, found, length);
	if (rc)
		return cuda_failed("cuMemcpyHtoD", rc);
	if (boards_copy(0, info.length / 2, length))
		return -1;
	rc = cuda_to_host(found, info.addr + info.length / 2, length);
	if (rc)
		return cuda_failed("cuMemcpyDtoH", rc);
	return differs("what the boards copied", found, want, length);
}

/* Moves total bytes into or out of GPU memory and verifies each. */
static int move(uint64_t total)
{
	uint64_t half = info.length / 2, moved, length, round;
	uint64_t captured = half < MAX_CAPTURE ? half : MAX_CAPTURE;
	uint8_t *want = malloc(half), *found = malloc(half);
	int rc = -1;

	if (!want || !found) {
		fail_errno("allocating host memory");
		goto out;
	}
	if (captured > total / 2)
		captured = total / 2;
	if (capture(want, found, captured) || replay(want, found, captured))
		goto out;
	moved = 2 * captured;
	for (round = 3; moved < total; round++) {
		length = (total - moved) / 2;
		if (length > half)
			length = half;
		if (copy_half(want, found, length, round))
			goto out;
		moved += 2 * length;
	}
	printf("the boards wrote %" PRIu64 " bytes and read %" PRIu64
	       " bytes, all right\n",
	       moved / 2, moved / 2);
	rc = 0;
out:
	free(want);
	free(found);
	return rc;
}

/* Frees what there is; the boards have stopped. */
static int finish(void)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < board_count; i++) {
		if (boards[i].dma && gpumem_dma_unmap(boards[i].dma))
			rc = fail("ending a board's mapping");
		if (boards[i].fd >= 0)
			close(boards[i].fd);
		free(boards[i].runs);
	}
	if (gpu && gpumem_close(gpu))
		rc = fail("closing the GPU");
	return rc;
}

static int run(uint64_t total)
{
	unsigned int i;

	if (gpu_open() || buffer_alloc(total < MAX_BUFFER ? total : MAX_BUFFER))
		return -1;
	for (i = 0; i < board_count; i++)
		if (board_open(&boards[i]))
			return -1;
	return move(total);
}

static bool parse_size(const char *text, uint64_t *size)
{
	char *end;
	int shift = 0;

	errno = 0;
	*size = strtoull(text, &end, 0);
	if (*end == 'K')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	if (errno || end == text || end[shift ? 1 : 0] || *text == '-' ||
	    *size > UINT64_MAX >> shift)
		return false;
	*size <<= shift;
	return *size >= 2 && *size % 2 == 0;
}

static int usage(FILE *out, int code)
{
	fprintf(out,
		"Usage: fpga-dma [--board NODE]... [--total N[K|M|G]]\n"
		"Lets PCI boards write into GPU memory and read from it.\n"
		"\n"
		"  --board NODE  a board, up to 32 of them (" FPGA_DMA_NODE
		")\n"
		"  --total N     bytes to move in all, an even number (32K)\n"
		"\n"
		"Exit status: 0 every byte was right, 1 not, 2 wrong usage.\n");
	return code;
}

static void board_add(const char *node)
{
	boards[board_count].node = node;
	boards[board_count++].fd = -1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "board", required_argument, NULL, 'b' },
		{ "total", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	uint64_t total = 32 << 10;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'b' && board_count < MAX_BOARDS)
			board_add(optarg);
		else if (option == 'h')
			return usage(stdout, 0);
		else if (option != 't' || !parse_size(optarg, &total))
			return usage(stderr, 2);
	}
	if (optind != argc)
		return usage(stderr, 2);
	if (!board_count)
		board_add(FPGA_DMA_NODE);

	rc = run(total);
	if (finish())
		rc = -1;
	if (!rc)
		puts("Test successful");
	return rc ? 1 : 0;
}
