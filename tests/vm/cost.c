// SPDX-License-Identifier: MIT
/*
 * The time of the module's calls, each with the call that undoes it, for one block of
 * a comparison.
 *
 *   vm-cost
 *
 * Prints a line for each: its name and microseconds, the median of CYCLES.
 */
#include <time.h>

#include "t_dma.h"
#include "t_dmabuf.h"

#define BYTES (2 * MIB)
#define WARM_UP 20
#define CYCLES 101

static int emu, fd;
static uint64_t addr;
static struct t_peer peer;
static struct gpumem_pin pin;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void cycle_pin(void)
{
	struct gpumem_pin own = gm_must_pin_flags(fd, addr, BYTES, 0);

	check_result(gm_unpin(fd, own.pin), 0, "UNPIN");
}

static void cycle_persistent(void)
{
	struct gpumem_pin own =
		gm_must_pin_flags(fd, addr, BYTES, GPUMEM_PIN_PERSISTENT);

	check_result(gm_unpin(fd, own.pin), 0, "UNPIN");
}

static void cycle_dma_map(void)
{
	struct gpumem_dma_map map = gm_must_dma_map(fd, pin.pin, &peer);

	check_result(gm_dma_unmap(fd, map.dma), 0, "DMA_UNMAP");
}

static void cycle_export(void)
{
	close(gm_must_export(fd, &pin));
}

static int time_order(const void *a, const void *b)
{
	const double *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

static void measure(const char *name, void (*cycle)(void))
{
	double times[CYCLES];
	int i;

	for (i = -WARM_UP; i < CYCLES; i++) {
		double start = now_us();

		cycle();
		if (i >= 0)
			times[i] = now_us() - start;
	}
	qsort(times, CYCLES, sizeof(times[0]), time_order);
	printf("%s %.3f\n", name, times[CYCLES / 2]);
}

int main(void)
{
	emu = emu_open();
	fd = gm_open();
	addr = emu_alloc(emu, BYTES);
	peer = t_peer_find(0x1234, 0x11e8);
	pin = gm_must_pin(fd, addr, BYTES);
	measure("pin", cycle_pin);
	measure("pin-persistent", cycle_persistent);
	measure("dma-map", cycle_dma_map);
	measure("export", cycle_export);
	close(fd);
	close(emu);
	return t_end();
}
