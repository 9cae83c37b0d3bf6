/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a secret is read again only with its key and its label, and a lost key is told, not replaced.
   Shown with key files that are missing, others', cut, and secrets changed in each byte. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#include "orchestrate/secrets.h"

#include "cm.h"
#include "temp_dir.h"

static char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16];

static int setup(void **state)
{
	(void)state;
	temp_dir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/key", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	temp_dir_remove(dir);
	return 0;
}

static void test_secrets_come_back(void **state)
{
	CLEANUP(secrets_closep) struct secrets *one = NULL, *again = NULL;
	char reterr[200];
	struct stat stat_;
	uint8_t *bytes;
	size_t size;
	char *text;

	(void)state;
	assert_int_equal(secrets_open(path, true, &one, reterr, sizeof(reterr)), 0);
	assert_int_equal(stat(path, &stat_), 0);
	assert_int_equal(stat_.st_mode & 0777, 0600);
	assert_int_equal(secrets_seal(one, "variable/a", "s3cret", &bytes, &size), 0);
	assert_null(memmem(bytes, size, "s3cret", 6));
	assert_int_equal(secrets_open(path, false, &again, reterr, sizeof(reterr)), 0);
	assert_int_equal(secrets_unseal(again, "variable/a", bytes, size, &text), 0);
	assert_string_equal(text, "s3cret");
	free(text);
	assert_int_equal(secrets_unseal(again, "variable/b", bytes, size, &text), ERR_CORRUPT);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 1;
		assert_int_equal(secrets_unseal(again, "variable/a", bytes, size, &text),
				 ERR_CORRUPT);
		bytes[i] ^= 1;
		assert_int_equal(secrets_unseal(again, "variable/a", bytes, i, &text), ERR_CORRUPT);
	}
	free(bytes);
}

static void test_secrets_nonces_differ(void **state)
{
	CLEANUP(secrets_closep) struct secrets *secrets = NULL;
	uint8_t *first, *second;
	char reterr[200];
	size_t size;

	(void)state;
	assert_int_equal(secrets_open(path, true, &secrets, reterr, sizeof(reterr)), 0);
	assert_int_equal(secrets_seal(secrets, "x", "same", &first, &size), 0);
	assert_int_equal(secrets_seal(secrets, "x", "same", &second, &size), 0);
	assert_memory_not_equal(first, second, size);
	free(first);
	free(second);
}

static void test_secrets_tell_a_lost_key(void **state)
{
	CLEANUP(secrets_closep) struct secrets *one = NULL, *other = NULL;
	char reterr[200] = "";
	uint8_t *bytes;
	size_t size;
	char *text;

	(void)state;
	assert_int_equal(secrets_open(path, false, &one, reterr, sizeof(reterr)), -ENOENT);
	assert_non_null(strstr(reterr, "lost"));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(secrets_open(path, true, &one, reterr, sizeof(reterr)), 0);
	assert_int_equal(secrets_seal(one, "x", "text", &bytes, &size), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(secrets_open(path, true, &other, reterr, sizeof(reterr)), 0);
	assert_int_equal(secrets_unseal(other, "x", bytes, size, &text), ERR_CORRUPT);
	free(bytes);
	secrets_close(other);
	other = NULL;
	assert_int_equal(truncate(path, 31), 0);
	assert_int_equal(secrets_open(path, true, &other, reterr, sizeof(reterr)), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_secrets_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secrets_nonces_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secrets_tell_a_lost_key, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
