/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: an instance keeps to its threads, memory, spill folder and folders; what happens to one happens to no
   other; values look as in SQL. Shown with the real library, several instances at a time. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#include "compute/duck/duck_impl.h"

#include "cm.h"
#include "temp_dir.h"

#define MIB (INT64_C(1) << 20)

static char dir[TEMP_PATH_SIZE], spill[TEMP_PATH_SIZE];
static char text[2000];

static int setup(void **state)
{
	(void)state;
	temp_dir_make(dir);
	temp_dir_path(dir, "spill", spill);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	temp_dir_remove(dir);
	return 0;
}

static struct duck *open_with(const struct duck_config *config)
{
	struct duck *duck = NULL;

	if (duck_open(config, &duck, text, sizeof(text)) != 0)
		fail_msg("%s", text);
	return duck;
}

static struct duck *open_plain(void)
{
	const struct duck_config config = { .memory_limit = 256 * MIB, .threads = 1 };

	return open_with(&config);
}

static void run(struct duck *duck, const char *sql)
{
	if (duck_run(duck, sql, NULL, text, sizeof(text)) != DUCK_OK)
		fail_msg("%s: %s", sql, text);
}

/** Text of the first value. */
static void expect(struct duck *duck, const char *sql, const char *wanted)
{
	struct duck_result *result;
	const char *value;
	size_t size = 0;

	if (duck_run(duck, sql, &result, text, sizeof(text)) != DUCK_OK)
		fail_msg("%s: %s", sql, text);
	assert_int_equal(duck_result_chunk(result), 1);
	value = duck_result_text(result, 0, 0, &size);
	assert_int_equal(value == NULL, wanted == NULL);
	if (wanted != NULL) {
		assert_int_equal(size, strlen(wanted));
		assert_memory_equal(value, wanted, size);
	}
	assert_int_equal(duck_result_chunk(result), 0);
	duck_result_free(result);
}

static uint32_t count_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	const struct dirent *entry;
	uint32_t count = 0;

	while ((entry = readdir(folder)) != NULL)
		count += entry->d_name[0] != '.';
	(void)closedir(folder);
	return count;
}

static void test_duck_load_tells_the_remedy(void **state)
{
	struct duck *duck = NULL;
	const struct duck_config config = { .memory_limit = 256 * MIB, .threads = 1 };

	(void)state;
	/* Runs first: a library that is loaded stays. */
	assert_int_equal(setenv("MILLRACE_DUCKDB", "/nowhere/libduckdb.so", 1), 0);
	assert_true(duck_open(&config, &duck, text, sizeof(text)) < 0);
	assert_non_null(strstr(text, "/nowhere/libduckdb.so"));
	assert_non_null(strstr(text, "deploy/duckdb"));
	assert_string_equal(duck_version(), "none");
	assert_int_equal(setenv("MILLRACE_DUCKDB", "/proc/self/exe", 1), 0);
	assert_true(duck_open(&config, &duck, text, sizeof(text)) < 0);
	assert_int_equal(unsetenv("MILLRACE_DUCKDB"), 0);
	assert_int_equal(duck_load(text, sizeof(text)), 0);
	assert_memory_equal(duck_version(), "v1.", 3);
}

static void test_duck_values_look_as_in_sql(void **state)
{
	static const char *const values[][2] = {
		{ "1.50::DECIMAL(10,2)", "1.50" },
		{ "-7::TINYINT", "-7" },
		{ "170141183460469231731687303715884105727",
		  "170141183460469231731687303715884105727" },
		{ "0.1 + 0.2::DOUBLE", "0.30000000000000004" },
		{ "[1, NULL, 3]", "[1, NULL, 3]" },
		{ "{'a': 'x', 'b': [DATE '2020-02-29']}", "{'a': x, 'b': [2020-02-29]}" },
		{ "MAP {'k': '\\xAA'::BLOB}", "{k=\\xAA}" },
		{ "TIMESTAMPTZ '2020-01-01 00:00:00.5+02'", "2019-12-31 22:00:00.5+00" },
		{ "'a\\x00b'::BLOB", "a\\x00b" },
		{ "INTERVAL 3 DAYS", "3 days" },
		{ "true", "true" },
		{ "'a string beyond twelve bytes'", "a string beyond twelve bytes" },
		{ "'short'", "short" },
		{ "''", "" },
		{ "NULL", NULL },
	};
	CLEANUP(duck_closep) struct duck *duck = open_plain();
	char sql[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		(void)snprintf(sql, sizeof(sql), "SELECT %s", values[i][0]);
		expect(duck, sql, values[i][1]);
	}
}

static void test_duck_result_columns_and_chunks(void **state)
{
	CLEANUP(duck_closep) struct duck *duck = open_plain();
	struct duck_result *result;
	int64_t rows = 0, sum = 0;
	uint32_t count;

	(void)state;
	assert_int_equal(
		duck_run(duck,
			 "CREATE TABLE t AS SELECT range AS i FROM range(5000);"
			 "SELECT i, i % 3 = 0 AS b, [i::DECIMAL(9,2)] AS l, i::HUGEINT AS h, "
			 "i::UTINYINT AS s FROM (SELECT least(i, 200) AS i FROM t);",
			 &result, text, sizeof(text)),
		DUCK_OK);
	assert_int_equal(duck_result_columns(result), 5);
	assert_string_equal(duck_result_name(result, 1), "b");
	assert_string_equal(duck_result_type(result, 0), "BIGINT");
	assert_string_equal(duck_result_type(result, 2), "DECIMAL(9,2)[]");
	while ((count = duck_result_chunk(result)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			const int64_t value = duck_result_integer(result, 0, i);
			char wanted[32];
			size_t size = 0;

			sum += value;
			assert_int_equal(duck_result_integer(result, 1, i), value % 3 == 0);
			assert_int_equal(duck_result_integer(result, 3, i), value);
			assert_int_equal(duck_result_integer(result, 4, i), value);
			(void)snprintf(wanted, sizeof(wanted), "[%lld.00]", (long long)value);
			assert_memory_equal(duck_result_text(result, 2, i, &size), wanted,
					    strlen(wanted));
			assert_int_equal(size, strlen(wanted));
		}
		rows += count;
	}
	assert_int_equal(rows, 5000);
	assert_int_equal(sum, 199 * 200 / 2 + 4800 * 200);
	duck_result_free(result);
	assert_int_equal(
		duck_run(duck, "INSERT INTO t SELECT 1 FROM range(7)", &result, text, sizeof(text)),
		DUCK_OK);
	assert_int_equal(duck_result_changed(result), 7);
	duck_result_free(result);
}

static void test_duck_errors_have_classes(void **state)
{
	const char *dirs[] = { dir };
	const struct duck_config config = {
		.memory_limit = 64 * MIB, .threads = 1, .dirs = dirs, .dir_count = 1
	};
	CLEANUP(duck_closep) struct duck *duck = open_with(&config);
	char sql[TEMP_PATH_SIZE + 100];

	(void)state;
	assert_int_equal(duck_run(duck, "SELEC 1", NULL, text, sizeof(text)), DUCK_USER);
	assert_int_equal(duck_run(duck, "", NULL, text, sizeof(text)), DUCK_USER);
	assert_int_equal(
		duck_run(duck, "SELECT error('Out of Memory Error')", NULL, text, sizeof(text)),
		DUCK_USER);
	assert_int_equal(duck_run(duck,
				  "SELECT count(DISTINCT i::VARCHAR) FROM range(9000000) t(i)",
				  NULL, text, sizeof(text)),
			 DUCK_MEMORY);
	(void)snprintf(sql, sizeof(sql), "SELECT * FROM read_csv('%s/none.csv')", dir);
	assert_int_equal(duck_run(duck, sql, NULL, text, sizeof(text)), DUCK_IO);
	expect(duck, "SELECT 1", "1");
}

static void test_duck_sql_stays_in_its_folders(void **state)
{
	static const char *const forbidden[] = {
		"SELECT * FROM read_text('/etc/hostname')",
		"SELECT * FROM '/etc/passwd'",
		"COPY (SELECT 1) TO '/tmp/millrace-must-not-be.csv'",
		"ATTACH '/tmp/millrace-must-not-be.db'",
		"INSTALL httpfs",
		"LOAD '/tmp/x.duckdb_extension'",
		"SET memory_limit = '9GB'",
		"SET enable_external_access = true",
		"RESET lock_configuration",
		"SET allowed_directories = ['/']",
	};
	const char *dirs[] = { dir };
	const struct duck_config config = { .memory_limit = 256 * MIB,
					    .threads = 1,
					    .spill_dir = spill,
					    .dirs = dirs,
					    .dir_count = 1 };
	CLEANUP(duck_closep) struct duck *duck = open_with(&config);
	char sql[2 * TEMP_PATH_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(forbidden); i++)
		assert_int_equal(duck_run(duck, forbidden[i], NULL, text, sizeof(text)), DUCK_USER);
	(void)snprintf(sql, sizeof(sql), "SELECT * FROM read_text('%s/../../../etc/hostname')",
		       dir);
	assert_int_equal(duck_run(duck, sql, NULL, text, sizeof(text)), DUCK_USER);
	(void)snprintf(sql, sizeof(sql), "COPY (SELECT 42 AS a) TO '%s/a.parquet'", dir);
	run(duck, sql);
	(void)snprintf(sql, sizeof(sql), "SELECT a FROM '%s/a.parquet'", dir);
	expect(duck, sql, "42");
}

static void test_duck_threads_are_exactly_ours(void **state)
{
	const uint32_t cpus[] = { 0 };
	const struct duck_config config = {
		.memory_limit = 256 * MIB, .threads = 3, .cpus = cpus, .cpu_count = 1
	};
	const uint32_t before = count_threads();
	struct duck *duck, *single;

	(void)state;
	duck = open_with(&config);
	single = open_plain();
	assert_int_equal(count_threads(), before + 2);
	expect(duck, "SELECT count(*) FROM range(3000000) t(i) WHERE hash(i) % 2 >= 0", "3000000");
	expect(single, "SELECT count(*) FROM range(3000000) t(i) WHERE hash(i) % 2 >= 0",
	       "3000000");
	assert_int_equal(count_threads(), before + 2);
	duck_close(duck);
	duck_close(single);
	assert_int_equal(count_threads(), before);
}

static void test_duck_spills_under_a_small_limit(void **state)
{
	const struct duck_config config = { .memory_limit = 64 * MIB,
					    .threads = 2,
					    .spill_dir = spill };
	struct duck_config tight = config;
	struct duck *duck = open_with(&config);
	char stale[TEMP_PATH_SIZE];
	FILE *file;

	(void)state;
	expect(duck,
	       "SELECT count(*) FROM (SELECT i, md5(i::VARCHAR) AS m FROM range(2000000) t(i) "
	       "ORDER BY m LIMIT 1999999 OFFSET 1)",
	       "1999999");
	duck_close(duck);
	/* What a killed process left there goes away. */
	temp_dir_path(spill, "duckdb_temp_storage_DEFAULT-7.tmp", stale);
	file = fopen(stale, "w");
	assert_non_null(file);
	(void)fclose(file);
	tight.spill_max = 1 * MIB;
	duck = open_with(&tight);
	assert_int_equal(access(stale, F_OK), -1);
	assert_int_equal(duck_run(duck,
				  "CREATE TABLE x AS SELECT i, md5(i::VARCHAR) AS m FROM "
				  "range(4000000) t(i) ORDER BY m",
				  NULL, text, sizeof(text)),
			 DUCK_MEMORY);
	duck_close(duck);
}

static const char endless[] =
	"SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range + b.range) = 1";

static void *interrupt_soon(void *duck)
{
	struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };

	(void)nanosleep(&pause, NULL);
	duck_interrupt(duck);
	return NULL;
}

static void test_duck_interrupt_ends_an_endless_query(void **state)
{
	const struct duck_config config = { .memory_limit = 256 * MIB, .threads = 2 };
	struct duck *duck = open_with(&config);
	const int64_t begin = clock_now_ns();
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, duck), 0);
	assert_int_equal(duck_run(duck, endless, NULL, text, sizeof(text)), DUCK_INTERRUPTED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(clock_now_ns() - begin < 5 * NS_PER_S);
	expect(duck, "SELECT 1", "1");
	/* One that comes between two statements is not lost. */
	duck_interrupt(duck);
	assert_int_equal(duck_run(duck, endless, NULL, text, sizeof(text)), DUCK_INTERRUPTED);
	expect(duck, "SELECT 1", "1");
	duck_close(duck);
}

/* A table function that breaks DuckDB's trust in its strings: the shortest way to an internal error. */
static void lie_bind(duckdb_handle info)
{
	duckdb_handle type = duck_api.create_logical_type(DUCKDB_VARCHAR);

	duck_api.bind_add_result_column(info, "a", type);
	duck_api.destroy_logical_type(&type);
}

static void lie_init(duckdb_handle info)
{
	duck_api.init_set_max_threads(info, 1);
}

static void lie(duckdb_handle info, duckdb_handle chunk)
{
	(void)info;
	column_string_set(duck_api.vector_get_data(duck_api.data_chunk_get_vector(chunk, 0)),
			  "\xff\xc3(\xe2", 4);
	duck_api.data_chunk_set_size(chunk, 1);
}

static void poison(struct duck *duck)
{
	duckdb_handle function = duck_api.create_table_function();

	duck_api.table_function_set_name(function, "lie");
	duck_api.table_function_set_bind(function, lie_bind);
	duck_api.table_function_set_init(function, lie_init);
	duck_api.table_function_set_function(function, lie);
	assert_int_equal(duck_api.register_table_function(duck->connection, function), 0);
	duck_api.destroy_table_function(&function);
	assert_int_equal(duck_run(duck, "SELECT upper(a) FROM lie()", NULL, text, sizeof(text)),
			 DUCK_POISONED);
	assert_int_equal(duck_run(duck, "SELECT 1", NULL, text, sizeof(text)), DUCK_POISONED);
}

static void test_duck_instances_do_not_disturb_each_other(void **state)
{
	const struct duck_config small = { .memory_limit = 64 * MIB, .threads = 2 };
	struct duck *victim = open_with(&small), *other = open_plain();

	(void)state;
	run(other, "CREATE TABLE kept AS SELECT 7 AS a");
	poison(victim);
	expect(other, "SELECT a FROM kept", "7");
	duck_close(victim);
	victim = open_with(&small);
	assert_int_equal(duck_run(victim,
				  "SELECT count(DISTINCT i::VARCHAR) FROM range(9000000) t(i)",
				  NULL, text, sizeof(text)),
			 DUCK_MEMORY);
	expect(other, "SELECT a FROM kept", "7");
	duck_close(victim);
	expect(other, "SELECT a FROM kept", "7");
	duck_close(other);
}

static void expect_names(struct duck *duck, const char *sql, const char *wanted)
{
	char joined[500] = "";
	char **names;
	uint32_t count;
	size_t used = 0;

	if (duck_table_names(duck, sql, &names, &count, text, sizeof(text)) != DUCK_OK)
		fail_msg("%s: %s", sql, text);
	for (uint32_t i = 0; i < count; i++)
		used += (size_t)snprintf(joined + used, sizeof(joined) - used, "%s ", names[i]);
	duck_names_free(names, count);
	assert_string_equal(joined, wanted);
}

static void test_duck_table_names(void **state)
{
	CLEANUP(duck_closep) struct duck *duck = open_plain();
	char **names;
	uint32_t count;

	(void)state;
	expect_names(duck, "SELECT * FROM bronze.f JOIN silver.x USING (a), bronze.f AS again",
		     "bronze.f silver.x ");
	expect_names(duck, "WITH c AS (FROM q.a) SELECT c.x FROM c, \"My Schema\".\"t\"",
		     "q.a My Schema.t ");
	expect_names(duck, "SELECT 'from x.y', (SELECT max(z) FROM u.w) /* a.b; */ -- c.d\n",
		     "u.w ");
	expect_names(duck, "CREATE TABLE t AS SELECT $$;$$ FROM a.b; SELECT * FROM c.d, t",
		     "a.b c.d t ");
	expect_names(duck, "COPY (SELECT * FROM a.b) TO '/tmp/x'", "a.b ");
	expect_names(duck, "PIVOT bronze.cities ON year USING sum(pop)", "bronze.cities ");
	expect_names(duck, "SELECT * FROM topic('raw.x'); SELECT 1", "");
	assert_int_equal(
		duck_table_names(duck, "SELECT FROM WHERE", &names, &count, text, sizeof(text)),
		DUCK_USER);
}

static void test_duck_table_names_longer_than_any_name(void **state)
{
	CLEANUP(duck_closep) struct duck *duck = open_plain();
	char sql[2000];

	(void)state;
	(void)snprintf(sql, sizeof(sql), "PIVOT a.%0600d_ ON year USING sum(x.y)", 0);
	memset(strchr(sql, '0'), 'a', 600);
	expect_names(duck, sql, "x.y ");
}

static void test_duck_quote(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(duck_quote("it's", out, sizeof(out)), "'it''s'");
	assert_string_equal(duck_quote_name("a\"b'", out, sizeof(out)), "\"a\"\"b'\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duck_load_tells_the_remedy),
		cmocka_unit_test(test_duck_values_look_as_in_sql),
		cmocka_unit_test(test_duck_result_columns_and_chunks),
		cmocka_unit_test(test_duck_errors_have_classes),
		cmocka_unit_test(test_duck_sql_stays_in_its_folders),
		cmocka_unit_test(test_duck_threads_are_exactly_ours),
		cmocka_unit_test(test_duck_spills_under_a_small_limit),
		cmocka_unit_test(test_duck_interrupt_ends_an_endless_query),
		cmocka_unit_test(test_duck_instances_do_not_disturb_each_other),
		cmocka_unit_test(test_duck_table_names),
		cmocka_unit_test(test_duck_table_names_longer_than_any_name),
		cmocka_unit_test(test_duck_quote),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
