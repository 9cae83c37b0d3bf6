/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a template gives the text that Jinja would, an undefined name is an error that says what there is,
   and no template runs for ever or takes more than its limit. Shown with tables of templates. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "orchestrate/template.h"

#include "cm.h"

static json_t *names;
static char reason[512];

static int setup(void **state)
{
	(void)state;
	names = json_loads(
		"{\"ds\": \"2026-02-28\", \"try_number\": 2, \"ratio\": 0.1, \"nothing\": null,"
		" \"dag\": {\"id\": \"flights\"}, \"conf\": {\"full\": true, \"name\": \"O'Hare\"},"
		" \"params\": {\"carriers\": [\"AA\", \"UA\"], \"empty\": [], \"n\": 5, \"b\": 1,"
		" \"a\": 2, \"text\": \"\"},"
		" \"conn\": {\"my-db\": {\"host\": \"h\"}},"
		" \"xcom\": {\"silver\": {\"rows\": 7}}, \"wide\": \"Z\\u00fcrich\"}",
		0, NULL);
	CHECK(names != NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(names);
	return 0;
}

struct row {
	const char *text;
	const char *wanted; /* result, or error */
};

static void assert_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t line;
		char *got = NULL;
		int error = template_render(rows[i].text, names, &got, reason, sizeof(reason));

		if (error != 0)
			print_message("%s: %s\n", rows[i].text, reason);
		assert_int_equal(error, 0);
		assert_string_equal(got, rows[i].wanted);
		free(got);
		assert_int_equal(template_check(rows[i].text, &line, reason, sizeof(reason)), 0);
	}
}

static void test_template_values(void **state)
{
	static const struct row rows[] = {
		{ "", "" },
		{ "plain { text } %} }}", "plain { text } %} }}" },
		{ "{{ ds }}", "2026-02-28" },
		{ "a{{ds}}b{{ dag.id }}c", "a2026-02-28bflightsc" },
		{ "{{ try_number }} {{ ratio }} {{ conf.full }} {{ nothing }}", "2 0.1 true null" },
		{ "{{ params.carriers }}", "[\"AA\",\"UA\"]" },
		{ "{{ params.carriers[0] }}{{ params.carriers[-1] }}", "AAUA" },
		{ "{{ conn['my-db'].host }}{{ conn[\"my-db\"]['host'] }}", "hh" },
		{ "{{ '}}' }}{{ \"a\\\"b\\n\" }}", "}}a\"b\n" },
		{ "{{ -3 }} {{ 1.5 }} {{ true }} {{ none }}", "-3 1.5 true null" },
		{ "a{# {{ no }} #}b", "ab" },
		{ "a {{- 1 -}} b {#- x -#} c", "a1bc" },
		{ "a\n  {%- if true %}\nb\n{% endif -%}\n  c", "a\nb\nc" },
	};

	(void)state;
	assert_rows(rows, ARRAY_COUNT(rows));
}

static void test_template_filters(void **state)
{
	static const struct row rows[] = {
		{ "{{ missing.x | default('d') }}", "d" },
		{ "{{ ds | default('d') }}", "2026-02-28" },
		{ "{{ params.text | default('d') }}{{ params.text | default('e', true) }}", "e" },
		{ "{{ params | tojson }}{{ conf.name | tojson }}",
		  "{\"carriers\":[\"AA\",\"UA\"],\"empty\":[],\"n\":5,\"b\":1,\"a\":2,\"text\":\"\"}"
		  "\"O'Hare\"" },
		{ "{{ conf.name | quote_sql }}", "'O''Hare'" },
		{ "IN ({{ params.carriers | quote_sql }}) {{ 5 | quote_sql }}",
		  "IN ('AA', 'UA') 5" },
		{ "{{ ds | ds_add(1) }} {{ ds | ds_add(-59) }} {{ '2024-02-28' | ds_add(1) }}",
		  "2026-03-01 2025-12-31 2024-02-29" },
		{ "{{ dag.id | upper }}{{ 'ABC' | lower }}{{ wide | upper }}", "FLIGHTSabcZüRICH" },
		{ "{{ ds | replace('-', '') }}{{ 'aaa' | replace('aa', 'b') }}", "20260228ba" },
		{ "{{ params.carriers | join(', ') }}", "AA, UA" },
		{ "{{ params.carriers | length }}{{ wide | length }}{{ conf | length }}", "262" },
		{ "{{ ds | replace('-', '/') | upper | length }}", "10" },
		{ "{{ ds|ds_add(params.n) }}", "2026-03-05" },
	};

	(void)state;
	assert_rows(rows, ARRAY_COUNT(rows));
}

static void test_template_blocks(void **state)
{
	static const struct row rows[] = {
		{ "{% if conf.full %}y{% else %}n{% endif %}", "y" },
		{ "{% if not conf.full %}y{% else %}n{% endif %}", "n" },
		{ "{% if params.n > 7 %}a{% elif params.n > 4 %}b{% elif params.n > 3 %}c"
		  "{% else %}d{% endif %}",
		  "b" },
		{ "{% if params.n == 5.0 and dag.id != 'x' %}y{% endif %}", "y" },
		{ "{% if params.empty or params.text %}y{% endif %}", "" },
		{ "{% if ds >= '2026-01-01' and (ds < '2027' or no.such) %}y{% endif %}", "y" },
		{ "{% if false %}{{ no.such }}{% endif %}", "" },
		{ "{% if conf.x is defined %}y{% endif %}{% if conf.x is not defined %}n{% endif %}",
		  "n" },
		{ "{% if 'AA' in params.carriers and 'XX' not in params.carriers %}y{% endif %}",
		  "y" },
		{ "{% for c in params.carriers %}{{ c }};{% endfor %}", "AA;UA;" },
		{ "{% for c in params.carriers %}{{ loop.index }}{{ c }}{% if not loop.last %}, "
		  "{% endif %}{% endfor %}",
		  "1AA, 2UA" },
		{ "{% for c in params.empty %}{{ c.no.such }}{% endfor %}", "" },
		{ "{% for a in params.carriers %}{% for b in params.carriers %}{{ a }}{{ b }} "
		  "{% endfor %}{{ a }}.{% endfor %}",
		  "AAAA AAUA AA.UAAA UAUA UA." },
		{ "{% for k in conf %}{{ k }}={{ conf[k] }} {% endfor %}",
		  "full=true name=O'Hare " },
		{ "{% for ds in params.carriers %}{{ ds }}{% endfor %}{{ ds }}", "AAUA2026-02-28" },
		{ "{{ 1 == 1 }}{{ (1 > 2) or 'x' }}{{ 0 and no.such }}", "truex0" },
	};

	(void)state;
	assert_rows(rows, ARRAY_COUNT(rows));
}

static void test_template_undefined_says_what_there_is(void **state)
{
	static const struct row rows[] = {
		{ "a\nb\n{{ xcom.bronze.rows }}",
		  "line 3: xcom.bronze.rows is not defined; xcom has: silver" },
		{ "{{ dag.name }}", "line 1: dag.name is not defined; dag has: id" },
		{ "{{ ds.x }}", "line 1: ds.x is not defined; ds has no parts" },
		{ "{{ params.carriers[2] }}",
		  "line 1: params.carriers[2] is not defined; params.carriers has no parts" },
		{ "{{ foo | upper }}",
		  "line 1: foo is not defined; there are: ds, try_number, ratio, nothing, dag, conf, "
		  "params, conn, xcom, wide" },
		{ "{% if conf.x %}{% endif %}",
		  "line 1: conf.x is not defined; conf has: full, name" },
		{ "{{ ds == conf.x }}", "line 1: conf.x is not defined; conf has: full, name" },
		{ "{{ nope | default(conf.x) }}",
		  "line 1: conf.x is not defined; conf has: full, name" },
		{ "{% for x in conf.x %}{% endfor %}",
		  "line 1: conf.x is not defined; conf has: full, name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t line;
		char *got = NULL;

		assert_int_equal(template_render(rows[i].text, names, &got, reason, sizeof(reason)),
				 ERR_MALFORMED);
		assert_string_equal(reason, rows[i].wanted);
		assert_null(got);
		/* But its form is right. */
		assert_int_equal(template_check(rows[i].text, &line, reason, sizeof(reason)), 0);
	}
}

static void test_template_syntax_errors(void **state)
{
	static const struct {
		const char *text;
		uint32_t line;
		const char *wanted; /* somewhere in the message */
	} rows[] = {
		{ "a\n{{ ds", 2, "}} expected" },
		{ "{{ }}", 1, "a name is expected" },
		{ "{{ 'abc }}", 1, "never closed" },
		{ "\n{# x", 2, "never closed" },
		{ "{% if ds %}\n", 2, "the end of the text where {% endif %} is expected" },
		{ "{% endif %}", 1, "endif where text is expected" },
		{ "{% if a %}{% endfor %}", 1, "endfor where {% endif %} is expected" },
		{ "{% if a %}{% else %}{% else %}{% endif %}", 1, "else where" },
		{ "{% for x in y %}{% endif %}", 1, "endif where {% endfor %} is expected" },
		{ "{% for x y %}", 1, "`in` expected" },
		{ "{% set x = 1 %}", 1, "if, elif, else, endif, for or endfor" },
		{ "{{ x | sort }}", 1, "there is no filter sort" },
		{ "{{ x | upper(1) }}", 1, "upper takes 0 arguments, not 1" },
		{ "{{ x | ds_add }}", 1, "ds_add takes 1 argument, not 0" },
		{ "{{ x.items() }}", 1, "nothing can be called" },
		{ "{{ (x }}", 1, ") expected" },
		{ "{{ x[1 }}", 1, "] expected" },
		{ "{{ x is odd }}", 1, "`defined` expected" },
		{ "{% if false %}{{ x | sort }}{% endif %}", 1, "there is no filter sort" },
		{ "{{ a b }}", 1, "}} expected" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t line = 0;

		assert_int_equal(template_check(rows[i].text, &line, reason, sizeof(reason)),
				 ERR_MALFORMED);
		assert_int_equal(line, rows[i].line);
		if (strstr(reason, rows[i].wanted) == NULL)
			fail_msg("%s: %s", rows[i].text, reason);
	}
}

static void test_template_wrong_values(void **state)
{
	static const struct row rows[] = {
		{ "{{ ds | ds_add('x') }}", "ds_add wants" },
		{ "{{ '2026-02-30' | ds_add(1) }}", "ds_add wants" },
		{ "{{ '9999-12-31' | ds_add(1) }}", "years 1 to 9999" },
		{ "{{ params.n | upper }}", "upper wants texts" },
		{ "{{ params.n < ds }}", "only two numbers or two texts" },
		{ "{% for c in ds %}{% endfor %}", "wants a list" },
		{ "{{ params | quote_sql }}", "quote_sql wants" },
		{ "{{ ds | join(',') }}", "join wants" },
		{ "{{ 5 | length }}", "length wants" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char *got = NULL;

		assert_int_equal(template_render(rows[i].text, names, &got, reason, sizeof(reason)),
				 ERR_MALFORMED);
		if (strstr(reason, rows[i].wanted) == NULL)
			fail_msg("%s: %s", rows[i].text, reason);
	}
}

static void test_template_limits(void **state)
{
	size_t size = 3U << 20;
	char *large = malloc(size + 1), *got = NULL, deep[3000] = "";
	json_t *many = json_array();

	(void)state;
	CHECK(large != NULL);
	memset(large, 'x', size);
	large[size] = '\0';
	CHECK(json_object_set_new(names, "large", json_string(large)) == 0);
	free(large);
	for (int i = 0; i < 400; i++)
		CHECK(json_array_append_new(many, json_integer(i)) == 0);
	CHECK(json_object_set_new(names, "many", many) == 0);
	assert_int_equal(
		template_render("{{ large }}{{ large }}", names, &got, reason, sizeof(reason)),
		ERR_TOO_LARGE);
	assert_int_equal(template_render("{{ 'xx' | replace('x', large) }}", names, &got, reason,
					 sizeof(reason)),
			 ERR_TOO_LARGE);
	assert_int_equal(template_render("{% for a in many %}{% for b in many %}{% endfor %}"
					 "{% endfor %}",
					 names, &got, reason, sizeof(reason)),
			 ERR_TOO_LARGE);
	assert_non_null(strstr(reason, "steps"));
	memset(deep, '(', 2900);
	memcpy(deep, "{{", 2);
	assert_int_equal(template_render(deep, names, &got, reason, sizeof(reason)), ERR_TOO_LARGE);
	for (int i = 0; i < 200; i++)
		memcpy(deep + 8 * i, "{%if 1%}", 9);
	assert_int_equal(template_render(deep, names, &got, reason, sizeof(reason)), ERR_TOO_LARGE);
	assert_non_null(strstr(reason, "deeper"));
	for (int i = 0; i < 250; i++)
		memcpy(deep + 4 * i, i == 0 ? "{{  " : "not ", 5);
	assert_int_equal(template_render(deep, names, &got, reason, sizeof(reason)), ERR_TOO_LARGE);
}

static void test_template_json(void **state)
{
	json_t *value = json_loads("{\"a\": \"{{ ds }}\", \"b\": [1, \"x{{ dag.id }}\", null],"
				   " \"{{ ds }}\": true}",
				   0, NULL);
	json_t *wanted = json_loads("{\"a\": \"2026-02-28\", \"b\": [1, \"xflights\", null],"
				    " \"{{ ds }}\": true}",
				    0, NULL);
	json_t *got = NULL;

	(void)state;
	assert_int_equal(template_render_json(value, names, &got, reason, sizeof(reason)), 0);
	assert_true(json_equal(got, wanted));
	json_decref(got);
	CHECK(json_object_set_new(value, "c", json_string("{{ no }}")) == 0);
	got = NULL;
	assert_int_equal(template_render_json(value, names, &got, reason, sizeof(reason)),
			 ERR_MALFORMED);
	assert_null(got);
	json_decref(value);
	json_decref(wanted);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_template_values),        TEST(test_template_filters),
		TEST(test_template_blocks),        TEST(test_template_undefined_says_what_there_is),
		TEST(test_template_syntax_errors), TEST(test_template_wrong_values),
		TEST(test_template_limits),        TEST(test_template_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
