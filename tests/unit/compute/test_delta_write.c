/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a write of any mode leaves the rows it should, exactly once by its txns; what does
   not fit is refused with the reason; a writer that dies at any step, or finds the disk full,
   leaves the table as before or after. Shown with the SQL engine, by killing a writer at each
   step, and on a limit on the size of files. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "deltabox.h"

static void expect_refusal(struct deltabox *box, struct delta_write write, int error,
			   const char *words)
{
	int64_t before = deltabox_count(box);

	assert_int_equal(deltabox_write(box, write), error);
	if (strstr(box->text, words) == NULL)
		fail_msg("%s: no '%s'", box->text, words);
	assert_int_equal(deltabox_count(box), before);
}

static void test_an_append_adds_rows(void **state)
{
	struct deltabox *box = *state;

	deltabox_append(box, "SELECT 1 AS id, 'a' AS s;\n ; ");
	assert_int_equal(box->written.version, 0);
	deltabox_append(box, "SELECT 2 AS id, NULL::VARCHAR AS s -- the second");
	assert_int_equal(box->written.version, 1);
	assert_int_equal(box->written.rows, 1);
	assert_int_equal(box->written.files_added, 1);
	assert_true(box->written.bytes > 0);
	assert_string_equal(deltabox_ids(box), "1,2");
}

static void test_no_rows_are_no_commit(void **state)
{
	struct delta_txn txn = { "app", 1 };
	struct deltabox *box = *state;
	struct delta_write none = { .query = "SELECT 1 AS id WHERE false" };

	assert_int_equal(deltabox_write(box, none), 0);
	assert_int_equal(box->written.version, -1);
	none.txns = &txn;
	none.txn_count = 1;
	assert_int_equal(deltabox_write(box, none), 0);
	assert_int_equal(box->written.version, 0);
	assert_int_equal(deltabox_count(box), 0);
	none.mode = DELTA_OVERWRITE;
	none.txn_count = 0;
	deltabox_append(box, "SELECT 1 AS id");
	assert_int_equal(deltabox_write(box, none), 0);
	assert_int_equal(box->written.files_removed, 1);
	assert_string_equal(deltabox_ids(box), "");
}

static void test_txns_keep_rows_from_coming_twice(void **state)
{
	struct delta_txn txns[2] = { { "a", 5 }, { "b", 3 } };
	int64_t before[2] = { -1, -1 };
	struct deltabox *box = *state;
	struct delta_write write = { .query = "SELECT 1 AS id", .txns = txns, .txn_count = 2 };
	struct delta_snapshot *snapshot;

	assert_int_equal(deltabox_write(box, write), 0);
	expect_refusal(box, write, ERR_DUPLICATE, "txn a");
	txns[0].version = 6;
	expect_refusal(box, write, ERR_DUPLICATE, "txn b");
	txns[1].version = 4;
	write.txns_before = before;
	expect_refusal(box, write, ERR_DUPLICATE, "txn a"); /* planned from an older table */
	before[0] = 5;
	before[1] = 3;
	txns[1].version = 3; /* a partition with nothing new: no txn for it */
	assert_int_equal(deltabox_write(box, write), 0);
	before[0] = 6;
	txns[0].version = 6; /* nothing new anywhere */
	write.query = "SELECT 2 AS id WHERE false";
	assert_int_equal(deltabox_write(box, write), 0);
	assert_int_equal(box->written.version, -1);
	assert_string_equal(deltabox_ids(box), "1,1");
	snapshot = deltabox_open(box, DELTA_VERSION_NEWEST);
	assert_int_equal(delta_txn(snapshot, "a"), 6);
	assert_int_equal(delta_txn(snapshot, "b"), 3);
	assert_int_equal(delta_txn(snapshot, "c"), -1);
	delta_close(snapshot);
}

static void test_a_merge_adds_each_key_once(void **state)
{
	static const char *const key[] = { "ID", "k" };
	struct deltabox *box = *state;
	struct delta_write write = {
		.query = "SELECT i % 4 AS id, CASE WHEN i % 2 = 0 THEN NULL ELSE 'x' END AS k "
			 "FROM range(20) r(i)",
		.mode = DELTA_MERGE,
		.key = key,
		.key_count = 2,
	};

	assert_int_equal(deltabox_write(box, write), 0);
	assert_string_equal(deltabox_ids(box), "0,1,2,3");
	write.query = "SELECT i AS id, CASE WHEN i % 2 = 0 THEN NULL ELSE 'x' END AS k "
		      "FROM range(3, 6) r(i)";
	assert_int_equal(deltabox_write(box, write), 0);
	assert_int_equal(box->written.rows, 2);
	assert_string_equal(deltabox_ids(box), "0,1,2,3,4,5");
	write.key_count = 0;
	expect_refusal(box, write, ERR_CONFIG, "key");
	write.key_count = 2;
	write.query = "SELECT 1 AS id";
	expect_refusal(box, write, ERR_CONFIG, "key column k");
}

static void test_replace_where_keeps_the_rest(void **state)
{
	struct deltabox *box = *state;
	struct delta_write write = {
		.query = "SELECT 100 AS id, 2 AS g",
		.mode = DELTA_REPLACE_WHERE,
		.predicate = "g = 2",
	};

	deltabox_append(box, "SELECT i AS id, i % 3 AS g FROM range(6) r(i)");
	deltabox_append(box, "SELECT 50 AS id, 2 AS g");
	deltabox_append(box, "SELECT 60 AS id, 0 AS g UNION ALL SELECT 61, NULL");
	assert_int_equal(deltabox_write(box, write), 0);
	assert_int_equal(box->written.rows, 1);
	assert_int_equal(box->written.files_removed, 2);
	assert_int_equal(box->written.files_added, 2);
	assert_string_equal(deltabox_ids(box), "0,1,3,4,60,61,100");
	write.query = "SELECT 1 AS id, 3 AS g";
	expect_refusal(box, write, ERR_CONFIG, "predicate");
	write.query = "SELECT 1 AS id, NULL::INTEGER AS g";
	expect_refusal(box, write, ERR_CONFIG, "predicate");
	write.predicate = NULL;
	expect_refusal(box, write, ERR_CONFIG, "predicate");
	assert_string_equal(deltabox_ids(box), "0,1,3,4,60,61,100");
}

static void test_what_does_not_fit_is_refused(void **state)
{
	static const char *const by_p[] = { "p" };
	static const char *const by_two[] = { "p", "id" };
	static const char *const by_twice[] = { "p", "P" };
	struct deltabox *box = *state;
	struct delta_write write = { .query = "SELECT 1 AS id, 'x' AS p",
				     .partition_by = by_two,
				     .partition_count = 2 };

	expect_refusal(box, write, ERR_CONFIG, "besides");
	write.partition_by = by_twice;
	write.query = "SELECT 1 AS id, 'x' AS p, 2 AS q";
	expect_refusal(box, write, ERR_CONFIG, "twice");
	write.partition_by = by_p;
	write.partition_count = 1;
	write.query = "SELECT 1 AS id";
	expect_refusal(box, write, ERR_CONFIG, "not in the query");
	write.query = "SELECT 1 AS id, ['x'] AS p";
	expect_refusal(box, write, ERR_CONFIG, "its type");
	write.query = "SELECT 1 AS id, 'x' AS p";
	assert_int_equal(deltabox_write(box, write), 0);
	write.partition_by = by_two;
	write.partition_count = 2;
	expect_refusal(box, write, ERR_CONFIG, "partition");
	write.partition_count = 0;
	write.query = "SELECT 1 AS id, 'x' AS p, 2 AS more";
	expect_refusal(box, write, ERR_CONFIG, "merge_schema");
	write.query = "SELECT 'x' AS id, 'x' AS p";
	expect_refusal(box, write, ERR_CONFIG, "column id");
	write.query = "SELECT INTERVAL 1 DAY AS id";
	expect_refusal(box, write, ERR_CONFIG, "column id: type INTERVAL");
	write.query = "SELECT 1 AS id, 2 AS ID";
	assert_int_not_equal(deltabox_write(box, write), 0);
	write.query = "SELEKT 1";
	expect_refusal(box, write, ERR_MALFORMED, "syntax");
	write.query = "SELECT 3000000000 AS id, 'x' AS p"; /* beyond the column's integer */
	expect_refusal(box, write, ERR_MALFORMED, "3000000000");
	assert_string_equal(deltabox_ids(box), "1");
}

static void test_columns_come_when_they_may(void **state)
{
	struct deltabox *box = *state;

	deltabox_append(box, "SELECT 1 AS id");
	assert_int_equal(
		deltabox_write(box,
			       (struct delta_write){ .query = "SELECT 2 AS id, {'a': [1, 2]} AS st",
						     .merge_schema = true }),
		0);
	assert_string_equal(deltabox_ids(box), "1,2");
	deltabox_append(box, "SELECT 3 AS Id");
	assert_string_equal(deltabox_value(box, DELTA_VERSION_NEWEST, -1,
					   "SELECT count(*) || ':' || count(st) || ':' || "
					   "max(st.a[2]) FROM t"),
			    "3:1:2");
}

static void test_rules_of_another_writer_are_kept(void **state)
{
	struct deltabox *box = *state;

	deltabox_commit(
		box, 0,
		DELTABOX_PROTOCOL
		"{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"
		"\"partitionColumns\":[],\"configuration\":{\"delta.appendOnly\":\"true\"},\"schemaString\":"
		"\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[{\\\"name\\\":\\\"id\\\",\\\"type\\\":\\\"long\\\","
		"\\\"nullable\\\":false,\\\"metadata\\\":{}},{\\\"name\\\":\\\"s\\\",\\\"type\\\":\\\"string\\\","
		"\\\"nullable\\\":true,\\\"metadata\\\":{}}]}\"}}\n");
	deltabox_append(box, "SELECT 1 AS id");
	expect_refusal(box, (struct delta_write){ .query = "SELECT NULL::BIGINT AS id" },
		       ERR_MALFORMED, "must not be null");
	expect_refusal(box, (struct delta_write){ .query = "SELECT 'x' AS s" }, ERR_CONFIG,
		       "column id must not be null");
	expect_refusal(box,
		       (struct delta_write){ .query = "SELECT 1 AS id", .mode = DELTA_OVERWRITE },
		       ERR_CONFIG, "append-only");
	assert_string_equal(deltabox_ids(box), "1");
}

static void test_partitions_hold_any_text(void **state)
{
	static const char *const by[] = { "p", "d" };
	struct deltabox *box = *state;

	assert_int_equal(
		deltabox_write(
			box,
			(struct delta_write){
				.query =
					"SELECT i AS id, CASE i WHEN 0 THEN NULL WHEN 1 THEN 'a/b=%20''[x]*' "
					"ELSE 'ü' END AS p, DATE '2024-02-29' AS d FROM range(3) r(i)",
				.partition_by = by,
				.partition_count = 2 }),
		0);
	assert_int_equal(box->written.files_added, 3);
	assert_string_equal(deltabox_value(box, DELTA_VERSION_NEWEST, -1,
					   "SELECT string_agg(coalesce(p, '-'), ';' ORDER BY id) "
					   "FROM t WHERE d = DATE '2024-02-29'"),
			    "-;a/b=%20'[x]*;ü");
}

/* ---- death at each step ---- */

static const char *dead_step;

static void die_there(const char *step)
{
	if (strcmp(step, dead_step) == 0)
		(void)raise(SIGKILL);
}

/* A writer in a process of its own, killed at the step. */
static void write_and_die(struct deltabox *box, const struct delta_write *write)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		delta_disk_step_hook = die_there;
		deltabox_open_duck(box);
		_exit(deltabox_write(box, *write) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_a_writer_killed_at_any_step_leaves_before_or_after(void **state)
{
	static const struct {
		const char *step;
		bool is_after;
	} steps[] = {
		{ "data written", false },     { "data durable", false },
		{ "commit stored", false },    { "commit linked", true },
		{ "commit durable", true },    { "checkpoint stored", true },
		{ "checkpoint linked", true }, { "checkpoint told", true },
	};
	struct deltabox *box = *state;
	struct delta_txn txn = { "app", 1 };
	struct delta_write write = {
		.query = "SELECT 7 AS id", .mode = DELTA_OVERWRITE, .txns = &txn, .txn_count = 1
	};

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		struct delta_snapshot *snapshot;
		char name[20];
		int again;

		(void)snprintf(name, sizeof(name), "table%zu", i);
		temp_dir_path(box->dir, name, box->path);
		deltabox_open_duck(box);
		for (int v = 0; v < 10; v++) /* the next version has a checkpoint */
			deltabox_append(box, "SELECT 1 AS id");
		duck_close(box->duck);
		box->duck = NULL;
		dead_step = steps[i].step;
		write_and_die(box, &write);
		deltabox_open_duck(box);
		snapshot = deltabox_open(box, DELTA_VERSION_NEWEST);
		assert_int_equal(delta_version(snapshot), 9 + steps[i].is_after);
		delta_close(snapshot);
		assert_int_equal(strcmp(deltabox_ids(box), "7") == 0, steps[i].is_after);
		/* The run again brings it, once. */
		again = deltabox_write(box, write);
		assert_int_equal(again, steps[i].is_after ? ERR_DUPLICATE : 0);
		assert_string_equal(deltabox_ids(box), "7");
		duck_close(box->duck);
		box->duck = NULL;
	}
}

/* ---- a full disk ---- */

static void limit_files(rlim_t size)
{
	struct rlimit limit;

	(void)getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = size;
	(void)setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_a_full_disk_leaves_the_table(void **state)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct deltabox *box = *state;
	struct sigaction before;
	char note[5000];
	json_t *info;
	int error;

	memset(note, 'x', sizeof(note));
	info = json_pack("{s:s#}", "note", note, sizeof(note));
	deltabox_append(box, "SELECT 1 AS id, 'x' AS s");
	(void)sigaction(SIGXFSZ, &ignore, &before);
	limit_files(100000);
	error = deltabox_write(
		box,
		(struct delta_write){ .query = "SELECT 1 AS id, hash(i)::VARCHAR || i AS s FROM "
					       "range(200000) r(i)" });
	limit_files(RLIM_INFINITY);
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(deltabox_count(box), 1);
	/* Room for the data, none for the commit. */
	limit_files(4000);
	error = deltabox_write(box,
			       (struct delta_write){ .query = "SELECT 2 AS id", .info = info });
	limit_files(RLIM_INFINITY);
	(void)sigaction(SIGXFSZ, &before, NULL);
	json_decref(info);
	assert_int_equal(error, -EFBIG);
	assert_int_equal(deltabox_count(box), 1);
	assert_string_equal(deltabox_ids(box), "1");
	deltabox_append(box, "SELECT 3 AS id, 'x' AS s");
}

int main(void)
{
#define WITH_DUCK(name)                                                                            \
	cmocka_unit_test_setup_teardown(name, deltabox_setup_duck, deltabox_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DUCK(test_an_append_adds_rows),
		WITH_DUCK(test_no_rows_are_no_commit),
		WITH_DUCK(test_txns_keep_rows_from_coming_twice),
		WITH_DUCK(test_a_merge_adds_each_key_once),
		WITH_DUCK(test_replace_where_keeps_the_rest),
		WITH_DUCK(test_what_does_not_fit_is_refused),
		WITH_DUCK(test_columns_come_when_they_may),
		WITH_DUCK(test_rules_of_another_writer_are_kept),
		WITH_DUCK(test_partitions_hold_any_text),
		cmocka_unit_test_setup_teardown(
			test_a_writer_killed_at_any_step_leaves_before_or_after, deltabox_setup,
			deltabox_teardown),
		WITH_DUCK(test_a_full_disk_leaves_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
