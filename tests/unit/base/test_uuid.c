/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: ids print and parse in Kafka's base64url form. Shown by known ids and round trips. */
#include <string.h>

#include "base/err.h"
#include "base/uuid.h"

#include "cm.h"

static void test_uuid_metadata_topic_id_is_kafkas(void **state)
{
	struct uuid id = { { 0 } }, back;
	char text[UUID_TEXT_SIZE];

	(void)state;
	id.bytes[15] = 1; /* UUID(0, 1) names __cluster_metadata */
	uuid_format(&id, text);
	assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAQ");
	assert_int_equal(uuid_parse(text, &back), 0);
	assert_true(uuid_equal(&id, &back));
}

static void test_uuid_random_round_trips(void **state)
{
	struct uuid a, b, back;
	char text[UUID_TEXT_SIZE];

	(void)state;
	uuid_random(&a);
	uuid_random(&b);
	assert_false(uuid_equal(&a, &b));
	assert_false(uuid_is_zero(&a));
	uuid_format(&a, text);
	assert_int_equal(strlen(text), 22);
	assert_int_equal(uuid_parse(text, &back), 0);
	assert_true(uuid_equal(&a, &back));
}

static void test_uuid_parse_refuses_other_text(void **state)
{
	struct uuid id;

	(void)state;
	assert_int_equal(uuid_parse("", &id), ERR_MALFORMED);
	assert_int_equal(uuid_parse("AAAAAAAAAAAAAAAAAAAAA", &id), ERR_MALFORMED);
	assert_int_equal(uuid_parse("AAAAAAAAAAAAAAAAAAAA+Q", &id), ERR_MALFORMED);
	assert_int_equal(uuid_parse("AAAAAAAAAAAAAAAAAAAAAQQ", &id), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uuid_metadata_topic_id_is_kafkas),
		cmocka_unit_test(test_uuid_random_round_trips),
		cmocka_unit_test(test_uuid_parse_refuses_other_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
