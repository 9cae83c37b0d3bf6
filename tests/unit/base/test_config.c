/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: settings have defaults, refuse what is out of range with a sentence that names the range,
   files name the line at fault, and what config_print() writes can be loaded back. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/err.h"

#include "cm.h"

static char path[] = "/tmp/millrace-test-config-XXXXXX";

static void write_file(const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_config_defaults_are_kafkas(void **state)
{
	struct config config;

	(void)state;
	config_init(&config);
	assert_int_equal(config.port, 9092);
	assert_int_equal(config.partitions, 4);
	assert_true(config.auto_create);
	assert_int_equal(config.message_size_max, 1048588);
	assert_string_equal(config.data_dir, "/var/lib/millrace");
}

static void test_config_refuses_with_the_allowed_range(void **state)
{
	struct config config;
	char why[256];

	(void)state;
	config_init(&config);
	assert_int_equal(config_set(&config, "port", "0", why, sizeof(why)), ERR_CONFIG);
	assert_non_null(strstr(why, "1 to 65000"));
	assert_int_equal(config_set(&config, "port", "12x", why, sizeof(why)), ERR_CONFIG);
	assert_int_equal(config_set(&config, "port", "", why, sizeof(why)), ERR_CONFIG);
	assert_int_equal(config_set(&config, "auto.create.topics.enable", "yes", why, sizeof(why)),
			 ERR_CONFIG);
	assert_int_equal(config_set(&config, "prot", "1", why, sizeof(why)), ERR_CONFIG);
	assert_int_equal(config.port, 9092);
	assert_int_equal(config_set(&config, "port", " 19092 ", why, sizeof(why)), 0);
	assert_int_equal(config.port, 19092);
}

static void test_config_takes_lists_of_numbers(void **state)
{
	static const char *const wrong[] = { "",       "1500,",     ",1500",
					     "1500,x", "1500;9000", "1500,99999" };
	struct config config;
	char why[256];

	(void)state;
	config_init(&config);
	assert_string_equal(config.dpdk_mtu, "1500");
	assert_int_equal(config_set(&config, "dpdk.mtu", " 1500,9000, 576 ", why, sizeof(why)), 0);
	assert_string_equal(config.dpdk_mtu, "1500,9000, 576");
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		assert_int_equal(config_set(&config, "dpdk.mtu", wrong[i], why, sizeof(why)),
				 ERR_CONFIG);
		assert_non_null(strstr(why, "576 to 9000"));
		assert_non_null(strstr(why, "commas"));
	}
	assert_string_equal(config.dpdk_mtu, "1500,9000, 576");
}

static void test_config_assigns_as_on_a_command_line(void **state)
{
	char text[2 * CONFIG_TEXT_MAX], why[2 * CONFIG_TEXT_MAX + 64];
	struct config config;

	(void)state;
	config_init(&config);
	assert_int_equal(config_assign(&config, "port=19092", why, sizeof(why)), 0);
	assert_int_equal(config.port, 19092);
	assert_int_equal(config_assign(&config, " data.dir = /a=b ", why, sizeof(why)), 0);
	assert_string_equal(config.data_dir, "/a=b");
	assert_int_equal(config_assign(&config, "port", why, sizeof(why)), ERR_CONFIG);
	assert_non_null(strstr(why, "NAME=VALUE"));
	assert_int_equal(config_assign(&config, "prot=1", why, sizeof(why)), ERR_CONFIG);
	assert_int_equal(config_assign(&config, "=1", why, sizeof(why)), ERR_CONFIG);
	memset(text, 'n', sizeof(text));
	memcpy(text + CONFIG_TEXT_MAX, "=1", 3);
	assert_int_equal(config_assign(&config, text, why, sizeof(why)), ERR_CONFIG);
	assert_int_equal(config.port, 19092);
}

static void test_config_file_names_the_line_at_fault(void **state)
{
	struct config config;
	char why[512];

	(void)state;
	config_init(&config);
	write_file("# comment\n\nport=10000\ncores = 2\nnonsense\n");
	assert_int_equal(config_load(&config, path, why, sizeof(why)), ERR_CONFIG);
	assert_non_null(strstr(why, ":5: "));
	assert_int_equal(config.cores, 2);
	assert_int_equal(config_load(&config, "/nonexistent/file", why, sizeof(why)), -2);
}

static void test_config_print_loads_back(void **state)
{
	struct config config, again;
	char why[512];

	(void)state;
	config_init(&config);
	config_init(&again);
	assert_int_equal(config_set(&config, "data.dir", "/x/y", why, sizeof(why)), 0);
	assert_int_equal(config_set(&config, "log.retention.bytes", "77", why, sizeof(why)), 0);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	config_print(&config, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(config_load(&again, path, why, sizeof(why)), 0);
	assert_memory_equal(&again, &config, sizeof(config));
}

static void test_config_finish_derives_one_run_dir_per_data_dir(void **state)
{
	struct config a, b;
	char why[256];

	(void)state;
	config_init(&a);
	config_init(&b);
	assert_int_equal(config_set(&b, "data.dir", "/elsewhere", why, sizeof(why)), 0);
	config_finish(&a);
	config_finish(&b);
	assert_memory_equal(a.run_dir, "/dev/shm/millrace-", 18);
	assert_string_not_equal(a.run_dir, b.run_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_defaults_are_kafkas),
		cmocka_unit_test(test_config_refuses_with_the_allowed_range),
		cmocka_unit_test(test_config_takes_lists_of_numbers),
		cmocka_unit_test(test_config_assigns_as_on_a_command_line),
		cmocka_unit_test(test_config_file_names_the_line_at_fault),
		cmocka_unit_test(test_config_print_loads_back),
		cmocka_unit_test(test_config_finish_derives_one_run_dir_per_data_dir),
	};
	int fd = mkstemp(path);
	int failed;

	if (fd < 0)
		return 1;
	(void)close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return failed;
}
