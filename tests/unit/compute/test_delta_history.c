/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the history tells the newest commits first, whoever made them. Shown by our commits
   and one without commitInfo. */
#include "deltabox.h"

static const char *text_of(const json_t *history, size_t index, const char *name)
{
	return json_string_value(json_object_get(json_array_get(history, index), name));
}

static void test_newest_first(void **state)
{
	struct deltabox *box = *state;
	json_t *info = json_pack("{s:s, s:s}", "task", "flights/bronze", "operation", "not this");
	json_t *history;
	const json_t *first;

	deltabox_append(box, "SELECT 1 AS id");
	assert_int_equal(deltabox_write(box, (struct delta_write){ .query = "SELECT 2 AS id",
								   .operation = "STREAM",
								   .info = info }),
			 0);
	deltabox_commit(box, 2, "{\"txn\":{\"appId\":\"a\",\"version\":1}}\n");
	history = delta_history(box->path, 10, box->text, sizeof(box->text));
	assert_int_equal(json_array_size(history), 3);
	first = json_array_get(history, 0);
	assert_int_equal(json_integer_value(json_object_get(first, "version")), 2);
	assert_true(json_integer_value(json_object_get(first, "timestamp")) > 0);
	assert_string_equal(text_of(history, 1, "operation"), "STREAM");
	assert_string_equal(text_of(history, 1, "task"), "flights/bronze");
	assert_string_equal(text_of(history, 2, "operation"), "WRITE");
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(json_array_get(history, 2), "metrics"), "numOutputRows")),
		"1");
	json_decref(history);
	history = delta_history(box->path, 1, box->text, sizeof(box->text));
	assert_int_equal(json_array_size(history), 1);
	json_decref(history);
	json_decref(info);
}

static void test_no_table_has_no_history(void **state)
{
	struct deltabox *box = *state;

	assert_null(delta_history(box->path, 1, box->text, sizeof(box->text)));
	assert_non_null(strstr(box->text, "no table"));
	deltabox_commit(box, 0, "nonsense");
	assert_null(delta_history(box->path, 1, box->text, sizeof(box->text)));
	assert_non_null(strstr(box->text, "json:1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_newest_first, deltabox_setup_duck,
						deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_no_table_has_no_history, deltabox_setup,
						deltabox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
