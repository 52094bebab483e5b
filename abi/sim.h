/* SPDX-License-Identifier: MIT */
/*
 * What the simulated CUDA (the stand-in libcuda.so.1) exports beside the driver
 * API, for the sim backend of libgpumem. Every function may be called from any
 * thread and returns 0 or a negative errno: -ENODEV before cuInit(), -EPERM in
 * a forked child, -ENOENT for an unknown pin.
 *
 * There is one GPU, or as many as GPUMEM_SIM_GPUS says (up to 8) where memory
 * files are used. CUDA_VISIBLE_DEVICES is heeded.
 *
 * Device memory is made of pages of 64 KiB that lie scattered in a memory file
 * of the process, one for each GPU, or, where the emulated GPU's kernel module
 * is loaded, in that GPU's video memory.
 *
 * Kernels: of all the kernels in a module, the one by which libgpumem reads is
 * simulated, by a thread of this process, those of `gpumem bench loops`, whose
 * launch returns when they have ended, and gpumem_sim_spin, which runs until
 * the word at its parameter, a device address, is not 0; any other is refused
 * with CUDA_ERROR_NOT_SUPPORTED. While a kernel runs in the null stream, calls
 * that allocate or register memory or load a module wait, as a driver's do. With
 * GPUMEM_SIM_NEAR_PAGE it is late with every job unless its doorbell is in that
 * one of the sixteen pages of 4 KiB.
 */
#ifndef GPUMEM_SIM_H
#define GPUMEM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPUMEM_SIM_PAGE_SIZE 65536ull

/* What GPUMEM_SIM_GPUS and GPUMEM_SIM_MEMORY_MB take. */
#define GPUMEM_SIM_GPUS_MAX 8
#define GPUMEM_SIM_MB_MIN 2ull
#define GPUMEM_SIM_MB_MAX (1ull << 20)

/*
 * Addresses reported for the pages of a memory file start here, so that they
 * cannot be taken for real ones; those of the emulated GPU are real.
 */
#define GPUMEM_SIM_FAKE_PHYS 0xf51000000000ull

/* One line, such as "simulated GPU, memory file in this process". */
const char *gpumem_sim_description(void);

/* Of all the simulated GPUs that the process sees, together. */
struct gpumem_sim_info {
	int emulated; /* 1: the memory is the emulated GPU's */
	uint64_t memory; /* bytes of video memory */
	uint64_t memory_used; /* bytes, pins of freed memory included */
	uint64_t bar1_size; /* bytes */
	uint64_t bar1_free; /* bytes */
	uint64_t pins; /* pins alive in this process */
	/*
	 * Asynchronous copies to and from the host asked for in a stream so far,
	 * refused ones too, and of these the ones whose host memory was not
	 * pinned, or not all of it: a real driver does them itself, in turns
	 * with the caller.
	 */
	uint64_t copies;
	uint64_t pageable_copies;
	/*
	 * Jobs that the courier's kernel did so far, and of these the ones that
	 * went to its staging memory.
	 */
	uint64_t jobs;
	uint64_t staged_jobs;
	/*
	 * Reads by kernels of memory that no copy and no other kernel had
	 * written, which a checker reports: stores through a mapping do not
	 * count.
	 */
	uint64_t uninitialised_reads;
};

int gpumem_sim_get_info(struct gpumem_sim_info *info);

/*
 * A clock for kernels and events in place of the system's, which NULL brings
 * back. Any thread calls it.
 */
struct gpumem_sim_clock {
	uint64_t (*now_ns)(void);
	void (*wait)(uint64_t ns);
};

void gpumem_sim_set_clock(const struct gpumem_sim_clock *clock);

/*
 * While held, no kernel begins, as where other work keeps a GPU busy. One that
 * has begun goes on.
 */
void gpumem_sim_hold_kernels(bool hold);

/*
 * While delayed, an asynchronous copy between the device and page-locked memory and
 * a value that a stream writes are not done when the call returns, as on a GPU, but
 * at the next question for the stream (cuStreamQuery(), which says once that it is
 * not ready, cuEventQuery() alike), at what waits for it or comes after it there,
 * and where memory is freed. A program that looks at host memory alone waits for
 * ever: that is why they are not delayed unless asked for.
 */
void gpumem_sim_delay_copies(bool delay);

/* The next so many of these copies fail with CUDA_ERROR_UNKNOWN. */
void gpumem_sim_fail_copies(uint64_t count);

/*
 * What becomes of values that a stream is given to write (cuStreamWriteValue32()):
 * 0: they are written; 1: the call is refused; 2: they are lost; 3: they are written,
 * and nothing else tells that a stream has come to an end; 4: they are lost, and
 * cuStreamSynchronize() alone tells that.
 */
void gpumem_sim_break_writes(int how);

/*
 * Pins [addr, addr + length): the pages that the range touches stay allocated,
 * and show the same memory, until gpumem_sim_unpin(), even after cuMemFree().
 * -EINVAL: not in one live allocation.
 */
int gpumem_sim_pin(uint64_t addr, uint64_t length, uint64_t *pin);

/* -EBUSY: still mapped. */
int gpumem_sim_unpin(uint64_t pin);

/*
 * Maps the pin's pages, one after the other, shared and writable, outside what
 * a forked child inherits. *addr is the first page's first byte. Each call
 * makes a mapping of its own, for one gpumem_sim_unmap() with the same values.
 */
int gpumem_sim_map(uint64_t pin, void **addr, uint64_t *length);
int gpumem_sim_unmap(uint64_t pin, void *addr, uint64_t length);

/*
 * Physical addresses (see GPUMEM_SIM_FAKE_PHYS) of count pages from first on.
 * -EINVAL: past the pin's last page.
 */
int gpumem_sim_pages(uint64_t pin, uint64_t first, uint64_t *pages,
		     size_t count);

#endif /* GPUMEM_SIM_H */
