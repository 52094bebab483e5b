// SPDX-License-Identifier: MIT
/* abi/cuda.h against CUDA's own header, and a program that is built with it. */
#include "abi_client.h"
#include "abi_table.h"
#include "sim_test.h"

static void test_values(void **state)
{
	assert_int_equal(abi_ours_count, abi_theirs_count);
	for (unsigned long i = 0; i < abi_ours_count; i++) {
		if (abi_ours[i].value != abi_theirs[i].value)
			fail_msg("%s is %lld, abi/cuda.h has %lld",
				 abi_theirs[i].name, abi_theirs[i].value,
				 abi_ours[i].value);
	}
}

static void test_client(void **state)
{
	assert_int_equal(abi_client_run(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
