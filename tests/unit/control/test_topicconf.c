/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: topic names and settings are judged by Kafka's rules, and resolve to what the cores use.
 * Shown by tables of names, keys and values.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "storage/seglog.h"

#include "control/meta/topicconf.h"

#include "cm.h"

static struct wire_string text(const char *bytes)
{
	return wire_string_from(bytes);
}

static void test_topicconf_names(void **state)
{
	static const struct {
		const char *name;
		bool legal;
	} rows[] = {
		{ "a", true },
		{ "raw.flights", true },
		{ "A-z_0.9", true },
		{ "", false },
		{ ".", false },
		{ "..", false },
		{ "...", true },
		{ "a b", false },
		{ "a/b", false },
		{ "\xc3\xa4", false },
		{ "__consumer_offsets", true },
	};
	char longest[251];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(topicconf_name_fault(text(rows[i].name)) == NULL, rows[i].legal);
	memset(longest, 'x', sizeof(longest));
	assert_null(topicconf_name_fault((struct wire_string){ longest, 249 }));
	assert_non_null(topicconf_name_fault((struct wire_string){ longest, 250 }));
}

static void test_topicconf_collisions(void **state)
{
	(void)state;
	assert_true(topicconf_names_collide(text("a.b"), "a_b"));
	assert_true(topicconf_names_collide(text("a_b.c"), "a.b_c"));
	assert_false(topicconf_names_collide(text("a.b"), "a.b"));
	assert_false(topicconf_names_collide(text("a.b"), "a-b"));
	assert_false(topicconf_names_collide(text("a.b"), "a_bc"));
}

static void test_topicconf_values(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		bool good;
	} rows[] = {
		{ "cleanup.policy", "compact", true },
		{ "cleanup.policy", "compact,delete", true },
		{ "cleanup.policy", "shred", false },
		{ "compression.type", "zstd", true },
		{ "compression.type", "brotli", false },
		{ "retention.ms", "-1", true },
		{ "retention.ms", "-2", false },
		{ "retention.ms", "86400000", true },
		{ "retention.ms", "1d", false },
		{ "retention.ms", "", false },
		{ "retention.ms", "99999999999999999999", false },
		{ "segment.bytes", "1048576", true },
		{ "segment.bytes", "1048575", false },
		{ "min.cleanable.dirty.ratio", "0.25", true },
		{ "min.cleanable.dirty.ratio", "1.25", false },
		{ "preallocate", "true", true },
		{ "preallocate", "yes", false },
		{ "message.timestamp.type", "LogAppendTime", true },
		{ "min.insync.replicas", "1", true },
		{ "flush.ms", "1000", true },
	};
	char reterr[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct topicconf *conf = topicconf_find(text(rows[i].name));

		assert_non_null(conf);
		reterr[0] = '\0';
		assert_int_equal(topicconf_check(conf, text(rows[i].value), reterr, sizeof(reterr)),
				 rows[i].good ? 0 : ERR_CONFIG);
		assert_int_equal(reterr[0] == '\0', rows[i].good);
	}
	assert_null(topicconf_find(text("retention")));
	assert_int_equal(topicconf_check(topicconf_find(text("retention.ms")), WIRE_STRING_NULL,
					 reterr, sizeof(reterr)),
			 ERR_CONFIG);
}

static void test_topicconf_defaults_are_legal_and_sorted(void **state)
{
	char reterr[128];

	(void)state;
	for (size_t i = 0; i < topicconf_count; i++) {
		assert_int_equal(topicconf_check(&topicconfs[i], text(topicconfs[i].value), reterr,
						 sizeof(reterr)),
				 0);
		if (i > 0)
			assert_true(strcmp(topicconfs[i - 1].name, topicconfs[i].name) < 0);
	}
}

/* A batch that the setting admits must be one that storage can take. */
static void test_topicconf_no_batch_beyond_what_storage_holds(void **state)
{
	static char name[] = "max.message.bytes", value[] = "33554432";
	struct metaimage_config row = { name, value };
	struct metaimage_topic topic = { .configs = &row, .config_count = 1 };
	const struct topicconf *conf = topicconf_find(text(name));
	struct snapshot_topic resolved;
	struct config config;
	char limit[32], over[32], error[256];

	(void)state;
	(void)snprintf(limit, sizeof(limit), "%u", SEGLOG_BATCH_SIZE_MAX);
	(void)snprintf(over, sizeof(over), "%u", SEGLOG_BATCH_SIZE_MAX + 1);
	config_init(&config);
	assert_int_equal(topicconf_check(conf, text(limit), error, sizeof(error)), 0);
	assert_int_equal(topicconf_check(conf, text(over), error, sizeof(error)), ERR_CONFIG);
	assert_non_null(strstr(error, "2093056"));
	assert_int_equal(config_set(&config, "message.max.bytes", limit, error, sizeof(error)), 0);
	assert_int_not_equal(config_set(&config, "message.max.bytes", over, error, sizeof(error)),
			     0);
	topicconf_resolve(&topic, &config, &resolved);
	assert_int_equal(resolved.message_size_max, SEGLOG_BATCH_SIZE_MAX);
}

static void test_topicconf_resolve(void **state)
{
	static char names[3][24] = { "cleanup.policy", "max.message.bytes", "retention.ms" };
	static char values[3][24] = { "compact", "4096", "1000" };
	struct metaimage_config configs[3] = { { names[0], values[0] },
					       { names[1], values[1] },
					       { names[2], values[2] } };
	struct metaimage_topic topic = { .configs = configs, .config_count = 3 };
	struct snapshot_topic resolved;
	struct config config;

	(void)state;
	config_init(&config);
	config.segment_size = 2097152;
	topicconf_resolve(&topic, &config, &resolved);
	assert_int_equal(resolved.message_size_max, 4096);
	assert_int_equal(resolved.segment_size, 2097152);
	assert_true(resolved.is_compacted);
	assert_int_equal(resolved.retention_ms, -1); /* compact alone deletes nothing by age */
	topic.config_count = 0;
	topicconf_resolve(&topic, &config, &resolved);
	assert_int_equal(resolved.retention_ms, config.retention_ms);
	assert_false(resolved.is_compacted);
	assert_false(resolved.append_time);
}

static void test_topicconf_sources(void **state)
{
	char value[TOPICCONF_VALUE_MAX];
	struct config config;

	(void)state;
	config_init(&config);
	assert_int_equal(topicconf_box_value(topicconf_find(text("segment.bytes")), &config, value),
			 TOPICCONF_FROM_DEFAULT);
	assert_string_equal(value, "1073741824");
	config.segment_size = 2097152;
	assert_int_equal(topicconf_box_value(topicconf_find(text("segment.bytes")), &config, value),
			 TOPICCONF_FROM_BROKER);
	assert_string_equal(value, "2097152");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topicconf_names),
		cmocka_unit_test(test_topicconf_collisions),
		cmocka_unit_test(test_topicconf_values),
		cmocka_unit_test(test_topicconf_defaults_are_legal_and_sorted),
		cmocka_unit_test(test_topicconf_no_batch_beyond_what_storage_holds),
		cmocka_unit_test(test_topicconf_resolve),
		cmocka_unit_test(test_topicconf_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
