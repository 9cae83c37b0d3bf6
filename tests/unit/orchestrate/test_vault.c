/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: variables and connections survive a restart, their secrets are known as masks, and with a key
   that is gone or another's nothing is read or changed, and why is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrate/vault.h"

#include "cm.h"
#include "temp_dir.h"

static char dir[TEMP_PATH_SIZE], path[TEMP_PATH_SIZE + 16], key[TEMP_PATH_SIZE + 16];
static struct store *store;
static struct vault *vault;

static void open_all(void)
{
	char reterr[300];

	assert_int_equal(store_open(path, &store, reterr, sizeof(reterr)), 0);
	assert_int_equal(vault_open(store, key, &vault), 0);
}

static void close_all(void)
{
	(void)store_seal(store);
	vault_close(vault);
	store_close(store);
	vault = NULL;
	store = NULL;
}

static int setup(void **state)
{
	json_t *connection = json_pack("{s:s,s:s,s:{s:s,s:s}}", "host", "h", "password", "hunter2",
				       "extra", "api_token", "tok-1", "plain", "shown");

	(void)state;
	temp_dir_make(dir);
	(void)snprintf(path, sizeof(path), "%s/state.db", dir);
	(void)snprintf(key, sizeof(key), "%s/key", dir);
	open_all();
	assert_int_equal(vault_set_variable(vault, "plain", "seen"), 0);
	assert_int_equal(vault_set_variable(vault, "my_Secret", "hidden"), 0);
	assert_int_equal(vault_set_connection(vault, "c", connection), 0);
	json_decref(connection);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_all();
	temp_dir_remove(dir);
	return 0;
}

static bool has_mask(const char *text)
{
	size_t index;
	json_t *mask;

	json_array_foreach(vault_masks(vault), index, mask)
	{
		if (strcmp(json_string_value(mask), text) == 0)
			return true;
	}
	return false;
}

static void test_vault_survives(void **state)
{
	(void)state;
	close_all();
	open_all();
	assert_null(vault_error(vault));
	assert_string_equal(json_string_value(json_object_get(vault_variables(vault), "plain")),
			    "seen");
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(vault_connections(vault), "c"), "password")),
			    "hunter2");
	assert_true(has_mask("hidden") && has_mask("hunter2") && has_mask("tok-1"));
	assert_false(has_mask("seen") || has_mask("shown"));
	assert_int_equal(vault_set_variable(vault, "my_Secret", NULL), 0);
	assert_int_equal(vault_set_variable(vault, "my_Secret", NULL), -ENOENT);
	assert_false(has_mask("hidden"));
	close_all();
	open_all();
	assert_null(json_object_get(vault_variables(vault), "my_Secret"));
}

static void test_vault_tells_a_lost_key(void **state)
{
	(void)state;
	close_all();
	assert_int_equal(unlink(key), 0);
	open_all();
	assert_non_null(strstr(vault_error(vault), "lost"));
	assert_int_equal(access(key, F_OK), -1);
	assert_int_equal(json_object_size(vault_variables(vault)), 0);
	assert_int_equal(vault_set_variable(vault, "plain", "other"), -EACCES);
}

static void test_vault_tells_a_wrong_key(void **state)
{
	FILE *file;

	(void)state;
	close_all();
	file = fopen(key, "w");
	assert_non_null(file);
	assert_int_equal(fwrite("0123456789abcdef0123456789abcdef", 32, 1, file), 1);
	(void)fclose(file);
	open_all();
	assert_non_null(strstr(vault_error(vault), "decrypted"));
	assert_int_equal(vault_set_variable(vault, "plain", NULL), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vault_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vault_tells_a_lost_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vault_tells_a_wrong_key, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
