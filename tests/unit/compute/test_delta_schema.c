/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: each SQL type that DuckDB names has its Delta type and comes back as SQL; what cannot
   be stored, and rows that do not fit a table, are refused with the column's name. Shown by
   tables of types. */
#include "deltabox.h"

static char message[512];
static struct delta_error error = { message, sizeof(message) };

static void expect_sql(const json_t *type, const char *wanted)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(delta_schema_sql(type, out, &error), 0);
	assert_int_equal(delta_text_end(out, &text), 0);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_types_go_both_ways(void **state)
{
	/* SQL as DESCRIBE has it, Delta's JSON, SQL as it is read back */
	static const char *const cases[][3] = {
		{ "VARCHAR", "\"string\"", "VARCHAR" },
		{ "BIGINT", "\"long\"", "BIGINT" },
		{ "HUGEINT", "\"long\"", "BIGINT" },
		{ "INTEGER", "\"integer\"", "INTEGER" },
		{ "SMALLINT", "\"short\"", "SMALLINT" },
		{ "TINYINT", "\"byte\"", "TINYINT" },
		{ "UTINYINT", "\"short\"", "SMALLINT" },
		{ "UBIGINT", "\"decimal(20,0)\"", "DECIMAL(20,0)" },
		{ "DOUBLE", "\"double\"", "DOUBLE" },
		{ "FLOAT", "\"float\"", "FLOAT" },
		{ "BOOLEAN", "\"boolean\"", "BOOLEAN" },
		{ "BLOB", "\"binary\"", "BLOB" },
		{ "DATE", "\"date\"", "DATE" },
		{ "TIMESTAMP", "\"timestamp\"", "TIMESTAMP WITH TIME ZONE" },
		{ "TIMESTAMP WITH TIME ZONE", "\"timestamp\"", "TIMESTAMP WITH TIME ZONE" },
		{ "DECIMAL(10,2)", "\"decimal(10,2)\"", "DECIMAL(10,2)" },
		{ "UUID", "\"string\"", "VARCHAR" },
		{ "ENUM('a', 'b)''c')", "\"string\"", "VARCHAR" },
		{ "INTEGER[]",
		  "{\"type\":\"array\",\"elementType\":\"integer\",\"containsNull\":true}",
		  "INTEGER[]" },
		{ "INTEGER[3][]",
		  "{\"type\":\"array\",\"elementType\":{\"type\":\"array\",\"elementType\":\"integer\","
		  "\"containsNull\":true},\"containsNull\":true}",
		  "INTEGER[][]" },
		{ "MAP(VARCHAR, DOUBLE)",
		  "{\"type\":\"map\",\"keyType\":\"string\",\"valueType\":\"double\",\"valueContainsNull\":true}",
		  "MAP(VARCHAR, DOUBLE)" },
		{ "STRUCT(a INTEGER, \"b c\"\"d\" VARCHAR[])",
		  "{\"type\":\"struct\",\"fields\":["
		  "{\"name\":\"a\",\"type\":\"integer\",\"nullable\":true,\"metadata\":"
		  "{}},{\"name\":\"b c\\\"d\",\"type\":{\"type\":\"array\",\"elementType\":\"string\",\"containsNull\":"
		  "true},\"nullable\":true,\"metadata\":{}}]}",
		  "STRUCT(\"a\" INTEGER, \"b c\"\"d\" VARCHAR[])" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		json_t *type = NULL;
		char *text;

		assert_int_equal(delta_schema_from_sql(cases[i][0], &type, &error), 0);
		text = json_dumps(type, JSON_COMPACT | JSON_ENCODE_ANY);
		assert_string_equal(text, cases[i][1]);
		expect_sql(type, cases[i][2]);
		free(text);
		json_decref(type);
	}
}

static void test_what_cannot_be_stored_is_named(void **state)
{
	static const char *const bad[] = {
		"INTERVAL",       "BIT",          "TIME",     "UNION(a INTEGER)", "STRUCT(a",
		"STRUCT(a TIME)", "MAP(VARCHAR)", "INTEGER[", "DECIMAL(5)",       "",
		"BIGINT VARCHAR"
	};
	json_t *type = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		assert_int_equal(delta_schema_from_sql(bad[i], &type, &error), ERR_CONFIG);
		assert_non_null(strstr(message, "cast it"));
		assert_null(type);
	}
}

static void test_schemas_of_others_are_checked(void **state)
{
	static const struct {
		const char *text;
		int error;
		const char *name;
	} cases[] = {
		{ "{\"type\":\"struct\",\"fields\":[]}", 0, "" },
		{ "[]", ERR_CORRUPT, "schema" },
		{ "{", ERR_CORRUPT, "schema" },
		{ "{\"type\":\"struct\"}", ERR_CORRUPT, "schema" },
		{ "{\"type\":\"struct\",\"fields\":[{\"type\":\"long\"}]}", ERR_CORRUPT,
		  "no name" },
		{ "{\"type\":\"struct\",\"fields\":["
		  "{\"name\":\"a\",\"type\":\"long\"},{\"name\":\"A\",\"type\":\"long\"}]}",
		  ERR_CORRUPT, "A" },
		{ "{\"type\":\"struct\",\"fields\":[{\"name\":\"v\",\"type\":\"variant\"}]}",
		  ERR_UNSUPPORTED, "variant" },
		{ "{\"type\":\"struct\",\"fields\":[{\"name\":\"v\",\"type\":\"decimal(39,0)\"}]}",
		  ERR_UNSUPPORTED, "v" },
		{ "{\"type\":\"struct\",\"fields\":[{\"name\":\"v\",\"type\":\"decimal(3,4)\"}]}",
		  ERR_UNSUPPORTED, "v" },
		{ "{\"type\":\"struct\",\"fields\":[{\"name\":\"v\",\"type\":{\"type\":\"array\"}}]}",
		  ERR_CORRUPT, "v" },
		{ "{\"type\":\"struct\",\"fields\":[{\"name\":\"v\",\"type\":{\"type\":\"struct\",\"fields\":[]}}]}",
		  ERR_UNSUPPORTED, "v" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		json_t *schema = NULL;

		assert_int_equal(delta_schema_parse(cases[i].text, &schema, &error),
				 cases[i].error);
		if (cases[i].error != 0)
			assert_non_null(strstr(message, cases[i].name));
		json_decref(schema);
	}
}

static void test_deep_types_end(void **state)
{
	char *text = calloc(1, 20000);
	json_t *schema = NULL;

	(void)state;
	(void)strncat(text, "{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":", 100);
	for (int i = 0; i < 100; i++)
		(void)strncat(text,
			      "{\"type\":\"array\",\"containsNull\":true,\"elementType\":", 100);
	(void)strncat(text, "\"long\"", 10);
	for (int i = 0; i < 100; i++)
		(void)strncat(text, "}", 2);
	(void)strncat(text, "}]}", 4);
	assert_int_equal(delta_schema_parse(text, &schema, &error), ERR_UNSUPPORTED);
	free(text);
}

/* Schema from "name type" pairs. */
static json_t *schema_of(const char *a, const char *type_a, const char *b, const char *type_b)
{
	json_t *schema = json_pack("{s:s, s:[{s:s, s:s, s:b, s:{}}]}", "type", "struct", "fields",
				   "name", a, "type", type_a, "nullable", 1, "metadata");

	if (b != NULL)
		json_array_append_new(json_object_get(schema, "fields"),
				      json_pack("{s:s, s:s, s:b, s:{}}", "name", b, "type", type_b,
						"nullable", 1, "metadata"));
	return schema;
}

static void test_a_schema_grows_only_when_it_may(void **state)
{
	json_t *table = schema_of("id", "long", NULL, NULL);
	json_t *query = schema_of("ID", "integer", "extra", "string");
	json_t *grown = NULL;
	bool is_grown;

	(void)state;
	assert_int_equal(delta_schema_grow(table, query, false, &grown, &is_grown, &error),
			 ERR_CONFIG);
	assert_non_null(strstr(message, "extra"));
	assert_int_equal(delta_schema_grow(table, query, true, &grown, &is_grown, &error), 0);
	assert_true(is_grown);
	assert_int_equal(json_array_size(json_object_get(grown, "fields")), 2);
	assert_string_equal(delta_schema_field_name(delta_schema_field(grown, "Id")), "id");
	json_decref(grown);
	assert_int_equal(delta_schema_grow(table, table, false, &grown, &is_grown, &error), 0);
	assert_false(is_grown);
	json_decref(grown);
	json_decref(table);
	json_decref(query);
}

static void test_values_fit_without_loss_or_not_at_all(void **state)
{
	static const struct {
		const char *from, *to;
		bool fits;
	} cases[] = {
		{ "long", "long", true },
		{ "long", "integer", true }, /* the cast fails where a value does not fit */
		{ "integer", "decimal(10,2)", true },
		{ "float", "double", true },
		{ "double", "float", false },
		{ "double", "long", false },
		{ "string", "long", false },
		{ "long", "string", false },
		{ "decimal(5,2)", "decimal(12,3)", true },
		{ "decimal(5,2)", "decimal(12,1)", false },
		{ "decimal(5,2)", "double", false },
		{ "timestamp", "timestamp_ntz", true },
		{ "date", "timestamp", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		json_t *table = schema_of("c", cases[i].to, NULL, NULL);
		json_t *query = schema_of("c", cases[i].from, NULL, NULL);
		json_t *grown = NULL;
		bool is_grown;

		assert_int_equal(delta_schema_grow(table, query, true, &grown, &is_grown, &error),
				 cases[i].fits ? 0 : ERR_CONFIG);
		if (!cases[i].fits)
			assert_non_null(strstr(message, "cast it"));
		json_decref(grown);
		json_decref(table);
		json_decref(query);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types_go_both_ways),
		cmocka_unit_test(test_what_cannot_be_stored_is_named),
		cmocka_unit_test(test_schemas_of_others_are_checked),
		cmocka_unit_test(test_deep_types_end),
		cmocka_unit_test(test_a_schema_grows_only_when_it_may),
		cmocka_unit_test(test_values_fit_without_loss_or_not_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
