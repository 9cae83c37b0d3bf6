/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: error codes have Kafka's numbers, without a gap, and each has a name and a text.
 * Shown: by a walk over the range and by some numbers that clients depend on.
 */
#include <string.h>

#include "dataplane/wire/kafka_err.h"

#include "cm.h"

static void test_kafka_err_numbers(void **state)
{
	(void)state;
	assert_int_equal(KAFKA_UNKNOWN_SERVER_ERROR, -1);
	assert_int_equal(KAFKA_NONE, 0);
	assert_int_equal(KAFKA_NOT_LEADER_OR_FOLLOWER, 6);
	assert_int_equal(KAFKA_NOT_COORDINATOR, 16);
	assert_int_equal(KAFKA_UNSUPPORTED_VERSION, 35);
	assert_int_equal(KAFKA_KAFKA_STORAGE_ERROR, 56);
	assert_int_equal(KAFKA_FETCH_SESSION_ID_NOT_FOUND, 70);
	assert_int_equal(KAFKA_MEMBER_ID_REQUIRED, 79);
	assert_int_equal(KAFKA_UNKNOWN_TOPIC_ID, 100);
	assert_int_equal(KAFKA_REBOOTSTRAP_REQUIRED, 129);
}

static void test_kafka_err_texts(void **state)
{
	(void)state;
	for (int16_t error = -1; error <= 133; error++) {
		assert_true(strlen(kafka_err_str(error)) > 5);
		assert_string_not_equal(kafka_err_str(error), "unknown error");
		assert_string_not_equal(kafka_err_name(error), "UNKNOWN");
	}
	assert_string_equal(kafka_err_name(KAFKA_NOT_COORDINATOR), "NOT_COORDINATOR");
	assert_string_equal(kafka_err_str(134), "unknown error");
	assert_string_equal(kafka_err_name(-2), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kafka_err_numbers),
		cmocka_unit_test(test_kafka_err_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
