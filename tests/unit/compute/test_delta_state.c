/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: actions add up to the newest word on each file and txn; what is damaged or not supported is refused by name.
   Shown by commits as texts. */
#include "deltabox.h"

static char message[512];
static struct delta_error error = { message, sizeof(message) };

static int apply(struct delta_state *state, const char *lines)
{
	message[0] = '\0';
	return delta_log_parse("f", lines, strlen(lines), delta_state_apply, state, &error);
}

#define ADD(path) "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{},\"size\":1}}\n"

static void test_the_newest_word_counts(void **unused)
{
	struct delta_state state;

	(void)unused;
	assert_int_equal(delta_state_init(&state), 0);
	state.version = 3;
	assert_int_equal(apply(&state,
			       ADD("a") ADD("b%20c") "{\"remove\":{\"path\":\"./a\"}}\n"
						     "{\"txn\":{\"appId\":\"x\",\"version\":1}}\n"),
			 0);
	assert_int_equal(json_object_size(state.files), 1);
	assert_int_equal(delta_state_added(json_object_get(state.files, "b c")), 3);
	assert_non_null(json_object_get(state.tombs, "a"));
	state.version = 4;
	assert_int_equal(apply(&state, ADD("a") "{\"txn\":{\"appId\":\"x\",\"version\":7}}\n"
						"{\"newAction\":{\"x\":1}}\n"),
			 0);
	assert_int_equal(json_object_size(state.files), 2);
	assert_int_equal(json_object_size(state.tombs), 0);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(state.txns, "x"), "version")),
		7);
	delta_state_free(&state);
}

static void test_damaged_actions_are_refused(void **unused)
{
	static const char *const broken[] = {
		"{\"add\":{}}",
		"{\"add\":{\"path\":1}}",
		"{\"add\":{\"path\":\"../x\",\"partitionValues\":{},\"size\":1}}",
		"{\"add\":{\"path\":\"x\",\"size\":1}}",
		"{\"add\":{\"path\":\"x\",\"partitionValues\":{\"a\":1},\"size\":1}}",
		"{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":-1}}",
		"{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":\"1\"}}",
		"{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":1,\"stats\":{}}}",
		"{\"remove\":{}}",
		"{\"remove\":{\"path\":\"a/../../etc\"}}",
		"{\"txn\":{\"appId\":\"x\"}}",
		"{\"txn\":{\"version\":1}}",
		"{\"protocol\":{}}",
		"{\"protocol\":{\"minReaderVersion\":\"1\",\"minWriterVersion\":2}}",
		"{\"metaData\":{}}",
	};
	struct delta_state state;

	(void)unused;
	assert_int_equal(delta_state_init(&state), 0);
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
		assert_int_equal(apply(&state, broken[i]), ERR_CORRUPT);
		assert_memory_equal(message, "f:1: ", 5);
	}
	assert_int_equal(json_object_size(state.files), 0);
	delta_state_free(&state);
}

static void test_features_are_refused_by_name(void **unused)
{
	static const struct {
		const char *line, *name;
		bool readable, writable;
	} cases[] = {
		{ DELTABOX_PROTOCOL, "", true, true },
		{ "{\"protocol\":{\"minReaderVersion\":2,\"minWriterVersion\":2}}", "", true,
		  true },
		{ "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":3}}",
		  "writer version 3", true, false },
		{ "{\"protocol\":{\"minReaderVersion\":4,\"minWriterVersion\":7}}",
		  "reader version 4", false, false },
		{ "{\"protocol\":{\"minReaderVersion\":0,\"minWriterVersion\":2}}",
		  "reader version 0", false, false },
		{ "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"timestampNtz\"],"
		  "\"writerFeatures\":[\"timestampNtz\",\"appendOnly\",\"invariants\"]}}",
		  "", true, true },
		{ "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":"
		  "[\"deletionVectors\"],\"writerFeatures\":[\"deletionVectors\"]}}",
		  "deletionVectors", false, false },
		{ "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":"
		  "[\"rowTracking\"]}}",
		  "rowTracking", true, false },
		{ "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[5]}}",
		  "?", false, false },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct delta_state state;

		assert_int_equal(delta_state_init(&state), 0);
		assert_int_equal(apply(&state, DELTABOX_METADATA), 0);
		assert_int_equal(apply(&state, cases[i].line), 0);
		assert_int_equal(delta_state_readable(&state, &error),
				 cases[i].readable ? 0 : ERR_UNSUPPORTED);
		if (!cases[i].readable)
			assert_non_null(strstr(message, cases[i].name));
		if (cases[i].readable)
			assert_int_equal(delta_state_writable(&state, NULL, &error),
					 cases[i].writable ? 0 : ERR_UNSUPPORTED);
		if (!cases[i].writable)
			assert_non_null(strstr(message, cases[i].name));
		delta_state_free(&state);
	}
}

static void test_deletion_vectors_and_column_mapping_are_refused(void **unused)
{
	struct delta_state state;

	(void)unused;
	assert_int_equal(delta_state_init(&state), 0);
	assert_int_equal(apply(&state, "{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":1,"
				       "\"deletionVector\":{\"storageType\":\"u\"}}}"),
			 ERR_UNSUPPORTED);
	assert_non_null(strstr(message, "deletion vectors"));
	assert_int_equal(apply(&state, "{\"sidecar\":{\"path\":\"x\"}}"), ERR_UNSUPPORTED);
	assert_int_equal(apply(&state,
			       "{\"protocol\":{\"minReaderVersion\":2,\"minWriterVersion\":5}}\n"
			       "{\"metaData\":{\"schemaString\":\"\",\"configuration\":"
			       "{\"delta.columnMapping.mode\":\"name\"}}}"),
			 0);
	assert_int_equal(delta_state_readable(&state, &error), ERR_UNSUPPORTED);
	assert_non_null(strstr(message, "columnMapping"));
	assert_string_equal(delta_state_setting(&state, "delta.columnMapping.mode"), "name");
	assert_null(delta_state_setting(&state, "delta.appendOnly"));
	delta_state_free(&state);
}

static void test_rules_of_columns_stop_writes(void **unused)
{
	struct delta_state state;
	json_t *schema = json_loads("{\"fields\":[{\"name\":\"a\",\"metadata\":"
				    "{\"delta.invariants\":\"x\"}}]}",
				    0, NULL);

	(void)unused;
	assert_int_equal(delta_state_init(&state), 0);
	assert_int_equal(apply(&state, DELTABOX_PROTOCOL), 0);
	assert_int_equal(delta_state_writable(&state, schema, &error), ERR_UNSUPPORTED);
	assert_non_null(strstr(message, "delta.invariants"));
	json_decref(schema);
	delta_state_free(&state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_newest_word_counts),
		cmocka_unit_test(test_damaged_actions_are_refused),
		cmocka_unit_test(test_features_are_refused_by_name),
		cmocka_unit_test(test_deletion_vectors_and_column_mapping_are_refused),
		cmocka_unit_test(test_rules_of_columns_stop_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
