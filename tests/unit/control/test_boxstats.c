/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the counters of a dataplane are followed over its restarts, the last values stay while it is
   away, and the transports are told line by line. Shown with real files of a writer in this process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/http/boxstats.h"

#include "cm.h"

static void test_boxstats_follow_the_writer(void **state)
{
	char dir[] = "/tmp/test_boxstats.XXXXXX", path[64];
	struct shmcounters *writer = NULL;
	struct boxstats stats;
	struct hist hist;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/counters", dir);
	boxstats_init(&stats, dir);
	boxstats_refresh(&stats);
	assert_int_equal(stats.count, 0);
	assert_int_equal(boxstats_sum(&stats, COUNTER_SEGLOG_FLUSHES), 0);
	assert_int_equal(shmcounters_create(path, 2, &writer), 0);
	counters_add(shmcounters_core(writer, 0), COUNTER_SEGLOG_FLUSHES, 3);
	counters_add(shmcounters_core(writer, 1), COUNTER_SEGLOG_FLUSHES, 4);
	hist_add(shmcounters_flush_ns(writer, 0), 1000);
	hist_add(shmcounters_flush_ns(writer, 1), 2000);
	boxstats_refresh(&stats);
	assert_int_equal(stats.count, 2);
	assert_int_equal(boxstats_sum(&stats, COUNTER_SEGLOG_FLUSHES), 7);
	boxstats_flush_all(&stats, &hist);
	assert_int_equal(hist.count, 2);
	shmcounters_close(writer); /* it leaves */
	assert_int_equal(unlink(path), 0);
	boxstats_refresh(&stats);
	assert_int_equal(boxstats_sum(&stats, COUNTER_SEGLOG_FLUSHES), 7);
	assert_int_equal(shmcounters_create(path, 1, &writer), 0);
	boxstats_refresh(&stats);
	assert_int_equal(stats.count, 1);
	assert_int_equal(boxstats_sum(&stats, COUNTER_SEGLOG_FLUSHES), 0);
	boxstats_fini(&stats);
	shmcounters_close(writer);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

static void test_boxstats_transports_by_line(void **state)
{
	char dir[] = "/tmp/test_boxstats.XXXXXX", path[64];
	struct boxstats stats;
	json_t *lines;
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/transports", dir);
	boxstats_init(&stats, dir);
	lines = boxstats_transports(&stats);
	assert_int_equal(json_array_size(lines), 0);
	json_decref(lines);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs("dpdk on x\n\nsocket at y", file) >= 0);
	assert_int_equal(fclose(file), 0);
	lines = boxstats_transports(&stats);
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(json_string_value(json_array_get(lines, 0)), "dpdk on x");
	assert_string_equal(json_string_value(json_array_get(lines, 1)), "socket at y");
	json_decref(lines);
	boxstats_fini(&stats);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boxstats_follow_the_writer),
		cmocka_unit_test(test_boxstats_transports_by_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
