/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: the table of requests is in order of key, its versions are those the codec accepts, and
 * control answers exactly the requests about groups, offsets, topics and configuration.
 * Shown: against the codec's own table and a list written here.
 */
#include "dataplane/wire/api.h"

#include "cm.h"

static void test_api_table_matches_codec(void **state)
{
	(void)state;
	assert_int_equal(wire_api_count, 22);
	for (size_t i = 0; i < wire_api_count; i++) {
		const struct wire_api_info *info = &wire_apis[i];
		const struct wire_codec *request = wire_codec_get(WIRE_KIND_REQUEST, info->key);
		const struct wire_codec *response = wire_codec_get(WIRE_KIND_RESPONSE, info->key);

		assert_true(i == 0 || wire_apis[i - 1].key < info->key);
		assert_ptr_equal(wire_api_info(info->key), info);
		assert_non_null(request);
		assert_non_null(response);
		assert_int_equal(request->min, info->min);
		assert_int_equal(request->max, info->max);
		assert_int_equal(response->min, info->min);
		assert_int_equal(response->max, info->max);
		assert_true(info->min <= info->max);
		/* Only Produce advertises versions that it refuses (librdkafka before 2.11.1). */
		assert_int_equal(info->advertised_min,
				 info->key == WIRE_API_PRODUCE ? 0 : info->min);
	}
}

static void test_api_is_served(void **state)
{
	(void)state;
	assert_true(wire_api_is_served(WIRE_API_PRODUCE, 3));
	assert_true(wire_api_is_served(WIRE_API_PRODUCE, 13));
	assert_false(wire_api_is_served(WIRE_API_PRODUCE, 2));
	assert_false(wire_api_is_served(WIRE_API_PRODUCE, 14));
	assert_false(wire_api_is_served(4, 0));
	assert_false(wire_api_is_served(-1, 0));
	assert_null(wire_api_info(4));
	assert_null(wire_codec_get(WIRE_KIND_REQUEST, 4));
	assert_non_null(wire_codec_get(WIRE_KIND_RECORD, WIRE_RECORD_PARTITION));
}

static void test_api_in_control(void **state)
{
	static const int16_t control[] = {
		WIRE_API_OFFSET_COMMIT,   WIRE_API_OFFSET_FETCH,     WIRE_API_JOIN_GROUP,
		WIRE_API_HEARTBEAT,       WIRE_API_LEAVE_GROUP,      WIRE_API_SYNC_GROUP,
		WIRE_API_DESCRIBE_GROUPS, WIRE_API_LIST_GROUPS,      WIRE_API_CREATE_TOPICS,
		WIRE_API_DELETE_TOPICS,   WIRE_API_DESCRIBE_CONFIGS, WIRE_API_CREATE_PARTITIONS,
		WIRE_API_DELETE_GROUPS,
	};
	size_t found = 0;

	(void)state;
	for (size_t i = 0; i < wire_api_count; i++)
		found += wire_apis[i].in_control;
	assert_int_equal(found, ARRAY_COUNT(control));
	for (size_t i = 0; i < ARRAY_COUNT(control); i++)
		assert_true(wire_api_info(control[i])->in_control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_api_table_matches_codec),
		cmocka_unit_test(test_api_is_served),
		cmocka_unit_test(test_api_in_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
