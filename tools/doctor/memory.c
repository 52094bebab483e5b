// SPDX-License-Identifier: MIT
/* gpumem doctor: write-combining, measured, and what the process may use. */
#include <string.h>
#include <sys/resource.h>

#include "doctor/doctor.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Bytes stored a round, and those stored one by one. */
#define STREAM_BYTES (64u << 10)
#define SINGLE_BYTES (4u << 10)
#define ROUNDS 32

/*
 * Plain 8-byte stores that follow each other, against the same stores each sent
 * alone, with a fence after it.
 *
 * Write-combined memory collects 8 of them in one transaction of a line. Alone
 * they take at least as long as the bus needs: of a PCIe packet with about 24
 * bytes around the data, 8 packets of 8 bytes take (8 * 32) / (64 + 24) = 2.9
 * times as long as one of 64, and far more where the fence waits: 200 to 350
 * times on an H100, PCIe 5.0 x16. Uncached memory sends each store alone anyway:
 * the fence adds its own wait at most, less than the store's. The border is the
 * geometric mean of 2 and 2.9.
 */
#define COMBINED_LEAST 2.4

struct combining {
	double stream; /* GB/s of 64-byte non-temporal stores */
	double plain; /* GB/s of 8-byte stores that follow each other */
	double single; /* GB/s of 8-byte stores, each sent alone */
};

#ifdef __x86_64__

__attribute__((target("avx512f"))) static void store_lines_512(char *to)
{
	__m512i line = _mm512_set1_epi32(0x5a5a5a5a);

	for (unsigned int i = 0; i < STREAM_BYTES; i += 64)
		_mm512_stream_si512((__m512i *)(to + i), line);
}

static void store_lines_128(char *to)
{
	__m128i part = _mm_set1_epi32(0x5a5a5a5a);

	for (unsigned int i = 0; i < STREAM_BYTES; i += 16)
		_mm_stream_si128((__m128i *)(to + i), part);
}

static void store_stream(char *to)
{
	if (__builtin_cpu_supports("avx512f"))
		store_lines_512(to);
	else
		store_lines_128(to);
	_mm_sfence();
}

/* volatile: the compiler may not make wider stores of them. */
static void store_plain(char *to)
{
	volatile uint64_t *word = (volatile uint64_t *)to;

	for (unsigned int i = 0; i < STREAM_BYTES / 8; i++)
		word[i] = i;
	_mm_sfence();
}

static void store_single(char *to)
{
	volatile uint64_t *word = (volatile uint64_t *)to;

	for (unsigned int i = 0; i < SINGLE_BYTES / 8; i++) {
		word[i] = i;
		_mm_sfence();
	}
}

/* The best of some rounds, each started with no store under way. */
static double store_rate(void (*store)(char *to), char *to, unsigned int bytes)
{
	double best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		double start, rate;

		(void)*(volatile char *)to;
		_mm_mfence();
		start = tool_now();
		store(to);
		rate = bytes / (tool_now() - start) / 1e3;
		if (rate > best)
			best = rate;
	}
	return best;
}

static void combining_measure(char *to, struct combining *combining)
{
	combining->stream = store_rate(store_stream, to, STREAM_BYTES);
	combining->plain = store_rate(store_plain, to, STREAM_BYTES);
	combining->single = store_rate(store_single, to, SINGLE_BYTES);
}

#define CAN_MEASURE true

#else

/* Without x86's fences the stores could not be sent alone. */
static void combining_measure(char *to, struct combining *combining)
{
	memset(combining, 0, sizeof(*combining));
}

#define CAN_MEASURE false

#endif

/* False, with the finding filled in, if there is nothing to measure. */
static bool combining_get(const struct doctor *doctor,
			  struct combining *combining,
			  struct doctor_finding *finding)
{
	struct gpumem_buf *buf;
	void *addr;
	bool mapped;

	if (!doctor->session) {
		doctor_not_open(doctor, finding);
		return false;
	}
	if (!CAN_MEASURE) {
		doctor_found(finding, DOCTOR_NOTE,
			     "not measured: only known how on x86-64");
		return false;
	}
	if (gpumem_alloc(doctor->session, STREAM_BYTES, 0, &buf)) {
		mapped = false;
		buf = NULL;
	} else {
		mapped = !gpumem_map(buf, &addr);
	}
	if (!mapped) {
		doctor_found(finding, DOCTOR_FAIL,
			     "a buffer of %u KiB cannot be mapped: %s",
			     STREAM_BYTES >> 10, tool_reason());
		doctor_impact(finding, "gpumem cannot be used");
		doctor_fix(finding, "GPUMEM_LOG=debug gpumem demo");
	} else {
		combining_measure(addr, combining);
	}
	if (buf)
		gpumem_unpin(buf);
	return mapped;
}

void doctor_check_combining(const struct doctor *doctor,
			    const struct doctor_gpu *gpu,
			    struct doctor_finding *finding)
{
	struct combining c = { 0 };
	char rates[160];
	double gain;

	if (!combining_get(doctor, &c, finding))
		return;
	gain = c.plain / c.single;
	doctor_value_real(finding, "stream_gb_per_s", c.stream);
	doctor_value_real(finding, "plain_gb_per_s", c.plain);
	doctor_value_real(finding, "single_gb_per_s", c.single);
	doctor_value_real(finding, "gain", gain);
	doctor_value_real(finding, "least_gain", COMBINED_LEAST);
	snprintf(rates, sizeof(rates),
		 "64-byte stores %.3g GB/s, 8-byte stores %.3g GB/s, sent "
		 "alone %.3g GB/s",
		 c.stream, c.plain, c.single);
	if (doctor->simulated) {
		doctor_found(finding, DOCTOR_NOTE,
			     "%s: says nothing, the memory is that of a "
			     "simulated GPU (SIMULATED)",
			     rates);
		return;
	}
	if (gain >= COMBINED_LEAST) {
		doctor_found(finding, DOCTOR_OK,
			     "in force: %s (%.3g times, at least %.2g when "
			     "combined)",
			     rates, gain, COMBINED_LEAST);
		return;
	}
	doctor_found(finding, DOCTOR_WARN,
		     "not in force: %s (%.3g times, at least %.2g when "
		     "combined)",
		     rates, gain, COMBINED_LEAST);
	doctor_impact(finding, "stores go out one by one, tens to hundreds of "
			       "times slower");
	doctor_fix(finding,
		   "look for nopat in /proc/cmdline, and for "
		   "UsePageAttributeTable and RegistryDwords: grep -r NVreg "
		   "/etc/modprobe.d /proc/driver/nvidia/params");
}

/* Host memory that RDMA and CUDA may lock; gpumem's mappings count for none. */
#define MEMLOCK_LITTLE (64ull << 20)

void doctor_check_memlock(const struct doctor *doctor,
			  const struct doctor_gpu *gpu,
			  struct doctor_finding *finding)
{
	struct rlimit limit;
	char text[32];

	if (getrlimit(RLIMIT_MEMLOCK, &limit)) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	if (limit.rlim_cur == RLIM_INFINITY) {
		doctor_value(finding, "limit", GPUMEM_UNKNOWN);
		doctor_found(finding, DOCTOR_OK, "unlimited");
		return;
	}
	doctor_value(finding, "limit", limit.rlim_cur);
	doctor_found(finding, DOCTOR_OK, "%s may be locked",
		     doctor_size(text, sizeof(text), limit.rlim_cur));
	if (limit.rlim_cur >= MEMLOCK_LITTLE)
		return;
	finding->level = DOCTOR_NOTE;
	doctor_impact(finding, "nothing for gpumem; ibv_reg_mr() of more host "
			       "memory fails");
	doctor_fix(finding, "echo '* - memlock unlimited' | sudo tee "
			    "/etc/security/limits.d/memlock.conf, then log "
			    "in again");
}

/* Descriptors: a mapping of the rm backend takes one for good. */
#define FILES_FEW 256
#define FILES_PLENTY 4096

void doctor_check_files(const struct doctor *doctor,
			const struct doctor_gpu *gpu,
			struct doctor_finding *finding)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit)) {
		finding->level = DOCTOR_SKIP;
		return;
	}
	if (limit.rlim_cur == RLIM_INFINITY) {
		doctor_value(finding, "limit", GPUMEM_UNKNOWN);
		doctor_found(finding, DOCTOR_OK, "unlimited");
		return;
	}
	doctor_value(finding, "limit", limit.rlim_cur);
	doctor_found(finding, DOCTOR_OK, "%llu at a time",
		     (unsigned long long)limit.rlim_cur);
	if (limit.rlim_cur >= FILES_PLENTY)
		return;
	finding->level = limit.rlim_cur < FILES_FEW ? DOCTOR_WARN : DOCTOR_NOTE;
	doctor_impact(finding, "backend rm takes one for each mapped "
			       "allocation: no more than that can be mapped");
	if (limit.rlim_cur < limit.rlim_max)
		doctor_fix(finding, "ulimit -n %llu",
			   limit.rlim_max == RLIM_INFINITY
				   ? 65536ull
				   : (unsigned long long)limit.rlim_max);
	else
		doctor_fix(finding, "echo '* - nofile 65536' | sudo tee "
				    "/etc/security/limits.d/nofile.conf, "
				    "then log in again");
}
