/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the text follows Prometheus' format whatever the label values are, every counter is there once
   for each core, and the latency histogram's buckets grow up to its count. Shown on the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/metrics.h"

#include "cm.h"

static void expect(struct metrics *metrics, const char *text)
{
	if (strstr(metrics->text, text) == NULL)
		fail_msg("missing: %s\nin: %.4000s", text, metrics->text);
}

static void test_metrics_escapes_label_values(void **state)
{
	struct metrics_label labels[] = { { "group", "a\"b\\c\nd\xff" }, { "x", "\xc3\xa9" } };
	struct metrics metrics;

	(void)state;
	assert_int_equal(metrics_begin(&metrics), 0);
	metrics_family(&metrics, "group_lag", "gauge", "how far behind");
	metrics_integer(&metrics, labels, 2, -3);
	metrics_integer(&metrics, NULL, 0, INT64_MAX);
	metrics_real(&metrics, labels + 1, 1, 0.25);
	assert_int_equal(metrics_end(&metrics), 0);
	assert_string_equal(
		metrics.text,
		"# HELP millrace_group_lag how far behind\n# TYPE millrace_group_lag gauge\n"
		"millrace_group_lag{group=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\",x=\"\xc3\xa9\"} -3\n"
		"millrace_group_lag 9223372036854775807\n"
		"millrace_group_lag{x=\"\xc3\xa9\"} 0.25\n");
	free(metrics.text);
}

static void test_metrics_counters_by_core(void **state)
{
	static struct counters blocks[2];
	const struct counters *cores[] = { &blocks[0], &blocks[1] };
	struct metrics metrics;
	size_t lines = 0;

	(void)state;
	counters_add(&blocks[1], COUNTER_PRODUCE_BATCHES, 7);
	assert_int_equal(metrics_begin(&metrics), 0);
	metrics_counters(&metrics, cores, 2);
	assert_int_equal(metrics_end(&metrics), 0);
	expect(&metrics, "# HELP millrace_produce_batches_total record batches appended (batches)\n"
			 "# TYPE millrace_produce_batches_total counter\n"
			 "millrace_produce_batches_total{core=\"0\"} 0\n"
			 "millrace_produce_batches_total{core=\"1\"} 7\n");
	for (const char *at = metrics.text; *at != '\0'; at++)
		lines += *at == '\n';
	assert_int_equal(lines, COUNTER_COUNT * (2 + 2));
	free(metrics.text);
}

static void test_metrics_flush_buckets_add_up(void **state)
{
	static struct hist hist;
	const struct hist *cores[] = { &hist };
	struct metrics metrics;
	unsigned long long before = 0, now;
	size_t buckets = 0;

	(void)state;
	hist_init(&hist);
	hist_add(&hist, 80 * NS_PER_US);
	hist_add(&hist, 150 * NS_PER_US);
	hist_add(&hist, 150 * NS_PER_US);
	hist_add(&hist, 100 * NS_PER_S);
	assert_int_equal(metrics_begin(&metrics), 0);
	metrics_flush(&metrics, cores, 1);
	assert_int_equal(metrics_end(&metrics), 0);
	expect(&metrics, "# TYPE millrace_flush_latency_seconds histogram\n");
	expect(&metrics, "_bucket{core=\"0\",le=\"0.00005\"} 0\n");
	expect(&metrics, "_bucket{core=\"0\",le=\"0.0001\"} 1\n");
	expect(&metrics, "_bucket{core=\"0\",le=\"0.0002\"} 3\n");
	expect(&metrics, "_bucket{core=\"0\",le=\"5\"} 3\n");
	expect(&metrics, "_bucket{core=\"0\",le=\"+Inf\"} 4\n");
	expect(&metrics, "_sum{core=\"0\"} 100.00038\n");
	expect(&metrics, "_count{core=\"0\"} 4\n");
	for (const char *at = metrics.text; (at = strstr(at, "le=\"")) != NULL; at++) {
		assert_int_equal(sscanf(strchr(at, '}'), "} %llu", &now), 1);
		assert_true(now >= before);
		before = now;
		buckets++;
	}
	assert_true(buckets > 10);
	free(metrics.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics_escapes_label_values),
		cmocka_unit_test(test_metrics_counters_by_core),
		cmocka_unit_test(test_metrics_flush_buckets_add_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
