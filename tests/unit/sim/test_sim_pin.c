// SPDX-License-Identifier: MIT
/* The simulated CUDA: pins, as the sim backend uses them. */
#include <errno.h>
#include <signal.h>

#include "sim_test.h"

/* Something that a fork()ed child looks for in vain. */
static volatile unsigned char *mapped;

static void test_errors(void **state)
{
	CUdeviceptr a = mem_alloc(100);
	uint64_t pin = 0, pages[2], length;
	void *addr;

	assert_int_equal(gpumem_sim_pin(a, 0, &pin), -EINVAL);
	assert_int_equal(gpumem_sim_pin(a, 101, &pin), -EINVAL);
	assert_int_equal(gpumem_sim_pin(a, UINT64_MAX, &pin), -EINVAL);
	assert_int_equal(gpumem_sim_pin(a - 1, 1, &pin), -EINVAL);
	assert_int_equal(gpumem_sim_pin(a, 1, NULL), -EINVAL);
	assert_int_equal(gpumem_sim_pin(0, 1, &pin), -EINVAL);
	assert_int_equal(gpumem_sim_unpin(0), -ENOENT);
	assert_int_equal(gpumem_sim_get_info(NULL), -EINVAL);
	assert_int_equal(gpumem_sim_pin(a, 100, &pin), 0);
	assert_int_equal(gpumem_sim_pages(pin, 0, pages, 2), -EINVAL);
	assert_int_equal(gpumem_sim_pages(pin, 2, pages, 0), -EINVAL);
	assert_int_equal(gpumem_sim_pages(pin, 0, NULL, 1), -EINVAL);
	assert_int_equal(gpumem_sim_map(pin, NULL, &length), -EINVAL);
	assert_int_equal(gpumem_sim_map(pin + 1, &addr, &length), -ENOENT);
	assert_int_equal(gpumem_sim_unmap(pin, &addr, PAGE), -EINVAL);
	assert_int_equal(gpumem_sim_unpin(pin), 0);
	assert_int_equal(gpumem_sim_unpin(pin), -ENOENT);
	assert_ok(cuMemFree_v2(a));
}

static void test_pages(void **state)
{
	uint64_t pages[48], pin, again, first;
	CUdeviceptr a = mem_alloc(3 * MIB);
	unsigned int jumps = 0;

	assert_int_equal(gpumem_sim_pin(a, 3 * MIB, &pin), 0);
	assert_int_equal(gpumem_sim_pages(pin, 0, pages, 48), 0);
	for (int i = 0; i < 48; i++) {
		assert_true(pages[i] >= GPUMEM_SIM_FAKE_PHYS);
		assert_true(pages[i] < GPUMEM_SIM_FAKE_PHYS + 64 * MIB);
		assert_int_equal(pages[i] % PAGE, 0);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(pages[i], pages[j]);
		jumps += i && pages[i] != pages[i - 1] + PAGE;
	}
	assert_true(jumps > 24);

	/* Another pin of the same memory tells the same, from its own start. */
	assert_int_equal(gpumem_sim_pin(a + PAGE + 5, PAGE, &again), 0);
	assert_int_equal(gpumem_sim_pages(again, 0, &first, 1), 0);
	assert_int_equal(first, pages[1]);
	assert_int_equal(gpumem_sim_pages(again, 1, &first, 1), 0);
	assert_int_equal(first, pages[2]);
	assert_int_equal(gpumem_sim_pages(again, 2, &first, 1), -EINVAL);
	assert_int_equal(gpumem_sim_unpin(again), 0);
	assert_int_equal(gpumem_sim_unpin(pin), 0);
	assert_ok(cuMemFree_v2(a));
}

static void test_map(void **state)
{
	unsigned char *out = malloc(3 * PAGE), *cpu;
	CUdeviceptr small = mem_alloc(700), a = mem_alloc(4 * PAGE);
	uint64_t pin, length;
	void *addr, *second;

	/* a shares its block with small, and so starts inside a page. */
	assert_int_not_equal(a % PAGE, 0);
	assert_non_null(out);
	assert_ok(cuMemsetD8_v2(small, 0x77, 700));
	assert_ok(cuMemsetD8_v2(a, 0, 4 * PAGE));
	assert_int_equal(gpumem_sim_pin(a + PAGE, 3 * PAGE, &pin), 0);
	assert_int_equal(gpumem_sim_map(pin, &addr, &length), 0);
	assert_int_equal(length, 4 * PAGE);
	cpu = (unsigned char *)addr + a % PAGE;
	for (uint64_t i = 0; i < 3 * PAGE; i++)
		cpu[i] = (unsigned char)(i * 31 + (i >> 9));
	assert_ok(cuMemcpyDtoH_v2(out, a + PAGE, 3 * PAGE));
	assert_memory_equal(out, cpu, 3 * PAGE);
	assert_ok(cuMemsetD8_v2(a + PAGE, 0x42, 1));
	assert_int_equal(cpu[0], 0x42);

	assert_int_equal(gpumem_sim_map(pin, &second, &length), 0);
	assert_ptr_not_equal(second, addr);
	assert_int_equal(((unsigned char *)second)[a % PAGE], 0x42);
	assert_int_equal(gpumem_sim_unpin(pin), -EBUSY);
	assert_int_equal(gpumem_sim_unmap(pin, second, length - PAGE), -EINVAL);
	assert_int_equal(gpumem_sim_unmap(pin, second, length), 0);
	assert_int_equal(gpumem_sim_unmap(pin, second, length), -EINVAL);
	assert_int_equal(gpumem_sim_unmap(pin, addr, length), 0);
	assert_int_equal(gpumem_sim_unpin(pin), 0);
	assert_ok(cuMemFree_v2(a));
	assert_ok(cuMemFree_v2(small));
	free(out);
}

static void test_pin_outlives_free(void **state)
{
	CUdeviceptr a = mem_alloc(2 * MIB), b;
	struct gpumem_sim_info info;
	uint64_t pin, length;
	unsigned char *cpu;
	void *addr;

	assert_ok(cuMemsetD8_v2(a, 0x33, 2 * MIB));
	assert_int_equal(gpumem_sim_pin(a + PAGE, PAGE, &pin), 0);
	assert_int_equal(gpumem_sim_map(pin, &addr, &length), 0);
	assert_int_equal(length, PAGE);
	assert_ok(cuMemFree_v2(a));
	assert_int_equal(gpumem_sim_get_info(&info), 0);
	assert_int_equal(info.emulated, 0);
	assert_int_equal(info.memory, 64 * MIB);
	assert_int_equal(info.memory_used, PAGE);
	assert_int_equal(info.bar1_size - info.bar1_free, PAGE);
	assert_int_equal(info.pins, 1);

	/* All the memory there is does not contain the pinned page. */
	assert_err(cuMemAlloc_v2(&b, 64 * MIB), OUT_OF_MEMORY);
	b = mem_alloc(62 * MIB);
	assert_ok(cuMemsetD8_v2(b, 0x44, 62 * MIB));
	cpu = addr;
	for (uint64_t i = 0; i < PAGE; i++)
		assert_int_equal(cpu[i], 0x33);
	assert_ok(cuMemFree_v2(b));
	assert_int_equal(gpumem_sim_unmap(pin, addr, length), 0);
	assert_int_equal(gpumem_sim_unpin(pin), 0);
}

/* Reading the mapping must kill the child. */
static void touch_mapping(void)
{
	int status;
	pid_t pid = fork();

	CHILD_CHECK(pid >= 0);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(*mapped);
	}
	CHILD_CHECK(waitpid(pid, &status, 0) == pid);
	CHILD_CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0x55);
}

static void test_not_inherited(void **state)
{
	CUdeviceptr a = mem_alloc(10);
	uint64_t pin, length;
	void *addr;

	assert_ok(cuMemsetD8_v2(a, 0x55, 10));
	assert_int_equal(gpumem_sim_pin(a, 10, &pin), 0);
	assert_int_equal(gpumem_sim_map(pin, &addr, &length), 0);
	mapped = (unsigned char *)addr + a % PAGE;
	assert_int_equal(*mapped, 0x55);
	run_in_child(touch_mapping);
	assert_int_equal(gpumem_sim_unmap(pin, addr, length), 0);
	assert_int_equal(gpumem_sim_unpin(pin), 0);
	assert_ok(cuMemFree_v2(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_pin_outlives_free),
		cmocka_unit_test(test_not_inherited),
	};

	return group_run(tests, context_setup, context_teardown);
}
