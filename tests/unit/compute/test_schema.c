/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: columns are read as a manifest declares them; what is wrong is refused with a sentence that
   names the column. Shown with tables of good and bad declarations. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/decode/schema.h"

#include "cm.h"

static int parse(const char *text, struct schema **ret_schema, char *reterr, size_t size)
{
	json_t *columns = json_loads(text, JSON_DECODE_ANY, NULL);
	int error;

	assert_non_null(columns);
	reterr[0] = '\0';
	error = schema_parse(columns, ret_schema, reterr, size);
	json_decref(columns);
	return error;
}

static void test_schema_types(void **state)
{
	static const struct {
		const char *type, *sql;
		enum column_type column;
	} cases[] = {
		{ "boolean", "BOOLEAN", COLUMN_BOOLEAN },
		{ "integer", "INTEGER", COLUMN_INTEGER },
		{ "long", "BIGINT", COLUMN_LONG },
		{ "double", "DOUBLE", COLUMN_DOUBLE },
		{ "string", "VARCHAR", COLUMN_STRING },
		{ "binary", "BLOB", COLUMN_BINARY },
		{ "date", "DATE", COLUMN_DATE },
		{ "timestamp", "TIMESTAMPTZ", COLUMN_TIMESTAMP },
		{ "decimal(10,2)", "DECIMAL(10,2)", COLUMN_DECIMAL },
		{ "Decimal( 18 , 18 )", "DECIMAL(18,18)", COLUMN_DECIMAL },
		{ "json", "VARCHAR", COLUMN_STRING },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		CLEANUP(schema_freep) struct schema *schema = NULL;
		char text[100], error[300];

		(void)snprintf(text, sizeof(text), "{\"x\": \"%s\"}", cases[i].type);
		assert_int_equal(parse(text, &schema, error, sizeof(error)), 0);
		assert_int_equal(schema->count, 1);
		assert_int_equal(schema->fields[0].type, cases[i].column);
		assert_int_equal(schema->fields[0].is_json, strcmp(cases[i].type, "json") == 0);
		assert_string_equal(schema_sql_type(&schema->fields[0], text, sizeof(text)),
				    cases[i].sql);
	}
}

static void test_schema_details(void **state)
{
	CLEANUP(schema_freep) struct schema *schema = NULL;
	char error[300];

	(void)state;
	assert_int_equal(parse("{\"id\": {\"type\": \"long\", \"required\": true},"
			       " \"when\": {\"type\": \"timestamp\", \"from\": \"meta.timestamp\"},"
			       " \"a.b\": \"string\"}",
			       &schema, error, sizeof(error)),
			 0);
	assert_int_equal(schema->count, 3);
	assert_string_equal(schema->fields[0].name, "id");
	assert_true(schema->fields[0].is_required);
	assert_int_equal(schema->fields[0].depth, 1);
	assert_string_equal(schema->fields[0].path[0], "id");
	assert_string_equal(schema->fields[1].name, "when");
	assert_false(schema->fields[1].is_required);
	assert_int_equal(schema->fields[1].depth, 2);
	assert_string_equal(schema->fields[1].path[0], "meta");
	assert_string_equal(schema->fields[1].path[1], "timestamp");
	assert_int_equal(schema->fields[2].depth, 1); /* a name is one key, dots and all */
	assert_string_equal(schema->fields[2].path[0], "a.b");
}

static void test_schema_refusals(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "[]", "object" },
		{ "{\"a\": 1}", "column a: a type is wanted" },
		{ "{\"a\": \"text\"}", "column a: type 'text' is not one of boolean, integer" },
		{ "{\"a\": \"decimal\"}", "column a: type 'decimal'" },
		{ "{\"a\": \"decimal(19,2)\"}", "p up to 18" },
		{ "{\"a\": \"decimal(0,0)\"}", "column a" },
		{ "{\"a\": \"decimal(4,5)\"}", "column a" },
		{ "{\"a\": \"decimal(-4,5)\"}", "column a" },
		{ "{\"a\": \"decimal(4,2)x\"}", "column a" },
		{ "{\"a\": {}}", "column a: a type is wanted" },
		{ "{\"a\": {\"type\": \"long\", \"requird\": true}}", "'requird' is not known" },
		{ "{\"a\": {\"type\": \"long\", \"required\": 1}}", "`required` is true or false" },
		{ "{\"a\": {\"type\": \"long\", \"from\": 1}}", "`from` a text" },
		{ "{\"a\": {\"type\": \"long\", \"from\": \"x..y\"}}", "a key of `from` is empty" },
		{ "{\"a\": {\"type\": \"long\", \"from\": \"\"}}", "a key of `from` is empty" },
		{ "{\"a\": {\"type\": \"long\", \"from\": \"x.\"}}", "a key of `from` is empty" },
		{ "{\"a\": {\"type\": \"long\", \"from\": \"1.2.3.4.5.6.7.8.9\"}}", "more than 8" },
		{ "{\"\": \"long\"}", "1 to 127 bytes" },
		{ "{\"a\\nb\": \"long\"}", "control" },
		{ "{\"a\": \"long\", \"A\": \"long\"}", "column A: the name is given twice" },
		{ "{\"offset\": \"long\"}", "choose another and say \"from\": \"offset\"" },
		{ "{\"Timestamp\": \"timestamp\"}", "topic() has a column" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct schema *schema = NULL;
		char error[300];

		assert_int_equal(parse(cases[i].text, &schema, error, sizeof(error)), ERR_CONFIG);
		assert_null(schema);
		if (strstr(error, cases[i].said) == NULL)
			fail_msg("%s: %s", cases[i].text, error);
	}
}

static void test_schema_limits(void **state)
{
	json_t *columns = json_object();
	char name[COLUMN_NAME_MAX + 1], error[20];
	struct schema *schema = NULL;

	(void)state;
	for (int i = 0; i < COLUMN_MAX; i++) {
		(void)snprintf(name, sizeof(name), "c%d", i);
		json_object_set_new(columns, name, json_string("long"));
	}
	assert_int_equal(schema_parse(columns, &schema, error, sizeof(error)), 0);
	assert_int_equal(schema->count, COLUMN_MAX);
	schema_free(schema);
	json_object_set_new(columns, "more", json_string("long"));
	assert_int_equal(schema_parse(columns, &schema, error, sizeof(error)), ERR_CONFIG);
	json_object_clear(columns);
	memset(name, 'n', COLUMN_NAME_MAX);
	name[COLUMN_NAME_MAX] = '\0';
	json_object_set_new(columns, name, json_string("long"));
	assert_int_equal(schema_parse(columns, &schema, error, sizeof(error)), ERR_CONFIG);
	assert_int_equal(strlen(error), sizeof(error) - 1); /* cut, not overrun */
	json_object_clear(columns);
	name[COLUMN_NAME_MAX - 1] = '\0';
	json_object_set_new(columns, name, json_string("long"));
	assert_int_equal(schema_parse(columns, &schema, error, sizeof(error)), 0);
	schema_free(schema);
	json_decref(columns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_types),
		cmocka_unit_test(test_schema_details),
		cmocka_unit_test(test_schema_refusals),
		cmocka_unit_test(test_schema_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
