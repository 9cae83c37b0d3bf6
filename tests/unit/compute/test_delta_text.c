/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: texts go into SQL, the log and paths so that nothing in them has a meaning of its own, and paths of a log
   that leave the table or lie elsewhere are refused. Shown by tables of cases and a round trip of all bytes. */
#include <errno.h>

#include "deltabox.h"

static void test_quotes_are_doubled(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	delta_text_literal(out, "it's \"so\"");
	delta_text_name(out, "a\"b'c");
	assert_int_equal(delta_text_end(out, &text), 0);
	assert_string_equal(text, "'it''s \"so\"'\"a\"\"b'c\"");
	free(text);
}

static void test_every_byte_survives_a_uri(void **state)
{
	char bytes[256];
	char *uri;
	char *back;

	(void)state;
	for (int i = 1; i < 256; i++)
		bytes[i - 1] = (char)i;
	bytes[255] = '\0';
	uri = delta_text_uri_encode(bytes);
	for (const char *at = uri; *at != '\0'; at++)
		assert_true(*at > ' ' && *at < 127 && strchr("\"<>\\^`{|}?#[]:", *at) == NULL);
	back = delta_text_uri_decode(uri);
	assert_string_equal(back, bytes);
	free(uri);
	free(back);
}

static void test_broken_escapes_are_refused(void **state)
{
	static const char *const broken[] = { "%", "%1", "a%zz", "%0", "x%00y", "%-1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++)
		assert_null(delta_text_uri_decode(broken[i]));
}

static void test_paths_are_made_plain(void **state)
{
	static const struct {
		const char *uri, *path;
		int error;
	} cases[] = {
		{ "part-1.parquet", "part-1.parquet", 0 },
		{ "./p=1//a%20b.parquet", "p=1/a b.parquet", 0 },
		{ "p=%2520/x", "p=%20/x", 0 },
		{ "/else/where.parquet", "/else/where.parquet", 0 },
		{ "file:///else/where.parquet", "/else/where.parquet", 0 },
		{ "file:/else/where.parquet", "/else/where.parquet", 0 },
		{ "a..b/...", "a..b/...", 0 },
		{ "../x", NULL, ERR_CORRUPT },
		{ "a/../../x", NULL, ERR_CORRUPT },
		{ "a/%2e%2e/x", NULL, ERR_CORRUPT },
		{ "", NULL, ERR_CORRUPT },
		{ "/", NULL, ERR_CORRUPT },
		{ "./.", NULL, ERR_CORRUPT },
		{ "a%", NULL, ERR_CORRUPT },
		{ "s3://bucket/x", NULL, ERR_UNSUPPORTED },
		{ "abfss://a@b/x", NULL, ERR_UNSUPPORTED },
		{ "file:relative", NULL, ERR_UNSUPPORTED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char *path = NULL;

		assert_int_equal(delta_text_path(cases[i].uri, &path), cases[i].error);
		if (cases[i].error == 0)
			assert_string_equal(path, cases[i].path);
		else
			assert_null(path);
		free(path);
	}
}

static void test_a_full_disk_is_told_from_other_trouble(void **state)
{
	(void)state;
	assert_int_equal(delta_text_status(DUCK_OK, ""), 0);
	assert_int_equal(delta_text_status(DUCK_IO, "IO Error: No space left on device"), -ENOSPC);
	assert_int_equal(delta_text_status(DUCK_IO, "IO Error: bad"), -EIO);
	assert_int_equal(delta_text_status(DUCK_USER, "x"), ERR_MALFORMED);
	assert_int_equal(delta_text_status(DUCK_MEMORY, "x"), -ENOMEM);
	assert_int_equal(delta_text_status(DUCK_INTERRUPTED, "x"), -ECANCELED);
	assert_int_equal(delta_text_status(DUCK_POISONED, "x"), ERR_POISONED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quotes_are_doubled),
		cmocka_unit_test(test_every_byte_survives_a_uri),
		cmocka_unit_test(test_broken_escapes_are_refused),
		cmocka_unit_test(test_paths_are_made_plain),
		cmocka_unit_test(test_a_full_disk_is_told_from_other_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
