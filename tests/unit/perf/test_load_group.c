/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: every record that fell due is durable once, whatever the number of files; no latency is less than
   its commit took; what makes no sense is refused. Shown on the disk under the build's folder. */
#include <errno.h>
#include <stdlib.h>

#include "cm.h"
#include "perf/load/load_group.h"

static struct load_group_result result;

static void test_load_group_commits_all_that_is_due(void **state)
{
	const uint32_t files[] = { 1, 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
		struct load_group_options options = { .folder = ".",
						      .files = files[i],
						      .record_size = 1100,
						      .rate = 2000,
						      .seconds = 0.2 };
		int r = load_group_run(&options, &result);

		if (r == -EINVAL)
			skip(); /* a file system without O_DIRECT */
		assert_int_equal(r, 0);
		/* Threads start one after the other: the window of the later ones ends later. */
		assert_in_range(result.latency.count, 400, 400 + 100 * files[i]);
		assert_in_range(result.commit.count, 1, result.latency.count);
		assert_true(result.latency.max >= hist_quantile(&result.commit, 1));
	}
}

static void test_load_group_refuses_nonsense(void **state)
{
	struct load_group_options options = {
		.folder = ".", .files = 1, .record_size = 100, .rate = 0, .seconds = 1
	};

	(void)state;
	assert_int_equal(load_group_run(&options, &result), -EINVAL);
	options.rate = 1;
	options.files = LOAD_GROUP_FILES + 1;
	assert_int_equal(load_group_run(&options, &result), -EINVAL);
	options.files = 1;
	options.folder = "/nowhere";
	assert_int_equal(load_group_run(&options, &result), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_group_commits_all_that_is_due),
		cmocka_unit_test(test_load_group_refuses_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
