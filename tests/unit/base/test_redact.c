/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: no byte of a secret stays readable, whatever secrets begin, overlap or contain each other, wherever the
   text is cut, and however it comes in pieces; all other bytes stay as they are. Shown by cases with known
   answers, each at every cut into two pieces and byte by byte, and by random texts of few letters, where
   nearly everything overlaps, against a second way to say it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "base/redact.h"

#include "cm.h"

#define TEXT_MAX 12000

static char shown[TEXT_MAX];
static size_t shown_size;

static void take(void *context, const char *text, size_t size)
{
	assert_ptr_equal(context, shown);
	assert_true(size > 0 && size <= sizeof(shown) - shown_size);
	memcpy(shown + shown_size, text, size);
	shown_size += size;
}

/** Secrets, then NULL. */
static struct redact *hide(const char *first, ...)
{
	struct redact *redact;
	va_list args;

	assert_int_equal(redact_new(&redact), 0);
	va_start(args, first);
	for (const char *secret = first; secret != NULL; secret = va_arg(args, const char *))
		assert_int_equal(redact_add(redact, secret, strlen(secret)), 0);
	va_end(args);
	return redact;
}

static void check_shown(const char *wanted, size_t size)
{
	assert_int_equal(shown_size, size);
	assert_memory_equal(shown, wanted, size);
	shown_size = 0;
}

/** As a whole, in two pieces cut anywhere, and in pieces of `step` bytes. */
static void check_bytes(const struct redact *redact, const char *text, size_t size, bool is_cut,
			const char *wanted, size_t wanted_size)
{
	struct redact_stream *stream;
	char *copy = malloc(size + 1); /* to the byte, for the sanitizer */

	assert_non_null(copy);
	memcpy(copy, text, size);
	shown_size = redact_text(redact, copy, size, is_cut);
	memcpy(shown, copy, shown_size);
	free(copy);
	check_shown(wanted, wanted_size);
	assert_int_equal(redact_stream_new(redact, take, shown, &stream), 0);
	for (size_t cut = 0; cut <= size && size < 200; cut++) {
		redact_stream_put(stream, text, cut);
		redact_stream_put(stream, text + cut, size - cut);
		redact_stream_end(stream, is_cut);
		check_shown(wanted, wanted_size);
	}
	for (size_t step = 1; step <= 3; step++) {
		for (size_t at = 0; at < size; at += step)
			redact_stream_put(stream, text + at, MIN(step, size - at));
		redact_stream_end(stream, is_cut);
		check_shown(wanted, wanted_size);
	}
	redact_stream_put(stream, text, size);
	redact_stream_end(stream, is_cut);
	check_shown(wanted, wanted_size);
	redact_stream_free(stream);
}

static void check(const struct redact *redact, const char *text, bool is_cut, const char *wanted)
{
	check_bytes(redact, text, strlen(text), is_cut, wanted, strlen(wanted));
}

/* Masked in the order of the list, "abcdef" was shown as "***def". */
static void test_redact_secret_begins_like_another(void **state)
{
	struct redact *shorter = hide("abc", "abcdef", NULL);
	struct redact *longer = hide("abcdef", "abc", NULL);

	(void)state;
	check(shorter, "abcdefg abcabc abx abcde", false, "***g ****** abx ***de");
	check(longer, "abcdefg abcabc abx abcde", false, "***g ****** abx ***de");
	redact_free(shorter);
	redact_free(longer);
}

/* Longest first at each place would show the end of the second. */
static void test_redact_overlapping_ones(void **state)
{
	struct redact *redact = hide("abcd", "cdef", "efg", "xyx", NULL);

	(void)state;
	check(redact, "abcdef", false, "***");
	check(redact, "-abcdefg-", false, "-***-");
	check(redact, "abcdabcd", false, "******");
	check(redact, "abcdxy", false, "***xy");
	check(redact, "xyxyxyx xyxxyx", false, "*** ******");
	redact_free(redact);
}

static void test_redact_one_inside_another(void **state)
{
	struct redact *redact = hide("key", "my-key-is-long", NULL);

	(void)state;
	check(redact, "my-key-is-long", false, "***");
	check(redact, "my-key-is-short", false, "my-***-is-short");
	check(redact, "my-key-is-lon", false, "my-***-is-lon");
	redact_free(redact);
}

/* A text cut to the room that there was showed the beginning of the secret at its end. */
static void test_redact_cut_text_ends_in_a_secret(void **state)
{
	struct redact *redact = hide("hunter2", "unterwegs", "abc", "abcdef", NULL);

	(void)state;
	check(redact, "it is hunter", true, "it is ***");
	check(redact, "it is hunter", false, "it is hunter");
	check(redact, "it is hu", true, "it is hu");
	check(redact, "it is hunt", true, "it is ***");
	check(redact, "abcde", true, "***");
	check(redact, "abcde", false, "***de");
	redact_free(redact);
}

static void test_redact_empty_and_short_ones(void **state)
{
	struct redact *none = hide(NULL);
	struct redact *redact = hide("", "a", "bc", NULL);

	(void)state;
	check(none, "abc", true, "abc");
	check(none, "", true, "");
	check(redact, "abc bc a", true, "abc bc a");
	check(redact, "", false, "");
	redact_free(none);
	redact_free(redact);
}

static void test_redact_secret_is_the_mask(void **state)
{
	struct redact *redact = hide("***", "****x", NULL);

	(void)state;
	check(redact, "***", false, "***");
	check(redact, "****", false, "***");
	check(redact, "a******b", false, "a***b");
	check(redact, "****x", false, "***");
	redact_free(redact);
}

/* A key of several lines; and bytes of any kind. */
static void test_redact_any_bytes(void **state)
{
	struct redact *redact = hide("-- KEY\nAAAA\n-- END\n", NULL);
	static const char zeroes[] = { 'a', '\0', '\0', '\0', 'b', '\0', '\0', (char)0xff };
	static const char hidden[] = { 'a', '*', '*', '*', 'b', '\0', '\0', (char)0xff };

	(void)state;
	check(redact, "key:\n-- KEY\nAAAA\n-- END\nbye\n", false, "key:\n***bye\n");
	check(redact, "key:\n-- KEY\nAAAA\n", true, "key:\n***");
	assert_int_equal(redact_add(redact, "\0\0\0", 3), 0);
	check_bytes(redact, zeroes, sizeof(zeroes), false, hidden, sizeof(hidden));
	redact_free(redact);
}

/* What no secret begins with is not waited for. */
static void test_redact_stream_holds_nothing_needlessly(void **state)
{
	struct redact *redact = hide("secret-of-many-bytes", NULL);
	struct redact_stream *stream;

	(void)state;
	assert_int_equal(redact_stream_new(redact, take, shown, &stream), 0);
	redact_stream_put(stream, "a line\n", 7);
	check_shown("a line\n", 7);
	redact_stream_put(stream, "a secret", 8);
	check_shown("a ", 2);
	redact_stream_put(stream, "ary\n", 4);
	check_shown("secretary\n", 10);
	redact_stream_put(stream, "secret", 6); /* lost */
	redact_stream_free(stream);
	redact_free(redact);
	check_shown("", 0);
}

/** The same said by marks on every byte: what a run of occurrences that overlap covers is one mask. */
static size_t mark(const char secrets[][8], size_t count, const char *text, size_t size, char *to)
{
	size_t covered_to = 0, clean = 0;

	for (size_t i = 0; i < size; i++) {
		size_t end = 0;

		for (size_t j = 0; j < count; j++) {
			size_t length = strlen(secrets[j]);

			if (length <= size - i && memcmp(text + i, secrets[j], length) == 0)
				end = MAX(end, i + length);
		}
		if (end > 0 && i >= covered_to) {
			memcpy(to + clean, "***", 3);
			clean += 3;
		}
		covered_to = MAX(covered_to, end);
		if (i >= covered_to)
			to[clean++] = text[i];
	}
	return clean;
}

static void test_redact_random_texts(void **state)
{
	static char text[TEXT_MAX], wanted[TEXT_MAX];
	struct prng prng = { .state = 3 };

	(void)state;
	for (int round = 0; round < 600; round++) {
		char secrets[4][8] = { "" };
		size_t size = round % 50 == 0 ? 9000 : prng_next(&prng) % 60;
		struct redact *redact;

		assert_int_equal(redact_new(&redact), 0);
		for (size_t i = 0; i < ARRAY_COUNT(secrets); i++) {
			size_t length = REDACT_SIZE_MIN + prng_next(&prng) % 5;

			for (size_t at = 0; at < length; at++)
				secrets[i][at] = (char)('a' + prng_next(&prng) % 3);
			assert_int_equal(redact_add(redact, secrets[i], length), 0);
		}
		for (size_t i = 0; i < size; i++)
			text[i] = (char)('a' + prng_next(&prng) % 4);
		check_bytes(redact, text, size, false, wanted,
			    mark(secrets, ARRAY_COUNT(secrets), text, size, wanted));
		redact_free(redact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redact_secret_begins_like_another),
		cmocka_unit_test(test_redact_overlapping_ones),
		cmocka_unit_test(test_redact_one_inside_another),
		cmocka_unit_test(test_redact_cut_text_ends_in_a_secret),
		cmocka_unit_test(test_redact_empty_and_short_ones),
		cmocka_unit_test(test_redact_secret_is_the_mask),
		cmocka_unit_test(test_redact_any_bytes),
		cmocka_unit_test(test_redact_stream_holds_nothing_needlessly),
		cmocka_unit_test(test_redact_random_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
