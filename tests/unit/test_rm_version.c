// SPDX-License-Identifier: MIT
/* Which driver releases the rm backend knows, and how they differ. */
#include "../../lib/backend/rm/version.h"
#include "unit.h"

static const struct gm_rm_layout *layout_of(const char *text)
{
	struct gm_rm_version version;

	assert_int_equal(gm_rm_version_parse(text, &version), 0);
	return gm_rm_version_layout(&version);
}

static void versions_are_read(void **state)
{
	struct gm_rm_version version;

	assert_int_equal(gm_rm_version_parse("580.159.04", &version), 0);
	assert_int_equal(version.major, 580);
	assert_int_equal(version.minor, 159);
	assert_int_equal(version.patch, 4);
	assert_string_equal(version.text, "580.159.04");
	assert_int_equal(gm_rm_version_parse("550.54", &version), 0);
	assert_int_equal(version.patch, 0);
	assert_int_equal(gm_rm_version_parse("", &version), -EPROTO);
	assert_int_equal(gm_rm_version_parse("rel", &version), -EPROTO);
}

static void drivers_before_515_are_refused(void **state)
{
	assert_null(layout_of("470.256.02"));
	assert_null(layout_of("510.108.03"));
	assert_non_null(layout_of("515.0"));
}

static void alloc_tells_the_size_from_535_43_02_on(void **state)
{
	static const struct {
		const char *text;
		bool told;
	} cases[] = {
		{ "515.43.04", false }, { "525.147.05", false },
		{ "530.41.03", false }, { "535.43.01", false },
		{ "535.42.99", false }, { "535.43.02", true },
		{ "535.54.03", true },	{ "536.0.0", true },
		{ "580.159.04", true }, { "620.10", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct gm_rm_layout *layout = layout_of(cases[i].text);

		assert_non_null(layout);
		assert_int_equal(layout->alloc_params_size, cases[i].told);
	}
}

static void newer_drivers_are_tried(void **state)
{
	struct gm_rm_version version;

	assert_int_equal(gm_rm_version_parse("620.99.99", &version), 0);
	assert_true(gm_rm_version_known(&version));
	assert_int_equal(gm_rm_version_parse("621.1", &version), 0);
	assert_false(gm_rm_version_known(&version));
	assert_non_null(gm_rm_version_layout(&version));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_are_read),
		cmocka_unit_test(drivers_before_515_are_refused),
		cmocka_unit_test(alloc_tells_the_size_from_535_43_02_on),
		cmocka_unit_test(newer_drivers_are_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
