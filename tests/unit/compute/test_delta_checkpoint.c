/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a checkpoint holds all that the log said below it, and readers need nothing older; a damaged one is named.
   Shown by taking the older commits away, and by broken files. */
#include <errno.h>

#include "deltabox.h"

#define CHECKPOINT DELTA_LOG_DIR "/00000000000000000010.checkpoint.parquet"

static char *describe(struct deltabox *box, int64_t version)
{
	struct delta_snapshot *snapshot = deltabox_open(box, version);
	json_t *all =
		json_pack("[O, O, O, O, O]", snapshot->state.protocol, snapshot->state.metadata,
			  snapshot->state.txns, snapshot->state.tombs, snapshot->state.files);
	const char *path;
	json_t *add;
	char *text;

	/* The one difference: a checkpoint does not know which commit added a file. */
	json_object_foreach(snapshot->state.files, path, add)(void)
		json_object_set_new(add, ".version", json_integer(-1));
	text = json_dumps(all, JSON_SORT_KEYS | JSON_INDENT(1));
	json_decref(all);
	delta_close(snapshot);
	return text;
}

/* Without what the reader does not need and SQL adds: keys that are null. */
static void drop_nulls(json_t *value)
{
	const char *key;
	json_t *part;
	size_t index;
	void *next;

	json_object_foreach_safe(value, next, key, part)
	{
		if (json_is_null(part) && strcmp(key, "p") != 0)
			(void)json_object_del(value, key);
		else
			drop_nulls(part);
	}
	json_array_foreach(value, index, part) drop_nulls(part);
}

static void expect_equal(const char *left, const char *right)
{
	json_t *a = json_loads(left, 0, NULL);
	json_t *b = json_loads(right, 0, NULL);

	drop_nulls(a);
	drop_nulls(b);
	if (!json_equal(a, b))
		fail_msg("%s\n%s", left, right);
	json_decref(a);
	json_decref(b);
}

/* Eleven versions with partitions (one null), txns, statistics and tombstones. */
static void fill(struct deltabox *box)
{
	static const char *const by[] = { "p" };
	struct delta_txn txn = { "app", 0 };

	for (int i = 0; i <= 10; i++) {
		char query[100];

		(void)snprintf(query, sizeof(query), "SELECT %d AS id, %s AS p", i,
			       i % 3 == 0 ? "NULL::VARCHAR" : "'it''s \"p\"'");
		txn.version = i;
		assert_int_equal(
			deltabox_write(box, (struct delta_write){ .query = query,
								  .mode = i == 5 ? DELTA_OVERWRITE
										 : DELTA_APPEND,
								  .partition_by = by,
								  .partition_count = 1,
								  .txns = &txn,
								  .txn_count = 1 }),
			0);
	}
}

static void path_of(const struct deltabox *box, const char *name, char *ret_path, size_t size)
{
	(void)snprintf(ret_path, size, "%s/%s", box->path, name);
}

static void remove_commits(struct deltabox *box, int64_t below)
{
	char name[DELTA_NAME_MAX];
	char path[2 * TEMP_PATH_SIZE];

	for (int64_t v = 0; v < below; v++) {
		delta_log_name(v, name);
		(void)snprintf(path, sizeof(path), "%s/%s/%s", box->path, DELTA_LOG_DIR, name);
		assert_int_equal(unlink(path), 0);
	}
}

static void test_a_checkpoint_holds_it_all(void **state)
{
	struct deltabox *box = *state;
	char path[2 * TEMP_PATH_SIZE];
	char aside[2 * TEMP_PATH_SIZE];
	struct delta_snapshot *snapshot;
	char *by_commits;
	char *by_checkpoint;

	fill(box);
	assert_true(deltabox_has(box, CHECKPOINT));
	path_of(box, CHECKPOINT, path, sizeof(path));
	path_of(box, "_aside", aside, sizeof(aside));
	assert_int_equal(rename(path, aside), 0);
	by_commits = describe(box, 10);
	assert_int_equal(rename(aside, path), 0);
	remove_commits(box, 10);
	by_checkpoint = describe(box, 10);
	expect_equal(by_commits, by_checkpoint);
	free(by_commits);
	free(by_checkpoint);
	assert_string_equal(deltabox_ids(box), "5,6,7,8,9,10");
	assert_string_equal(deltabox_value(box, 10, -1,
					   "SELECT count(*) || p FROM t WHERE p IS NOT NULL GROUP "
					   "BY p"),
			    "4it's \"p\"");
	snapshot = deltabox_open(box, DELTA_VERSION_NEWEST);
	assert_int_equal(delta_txn(snapshot, "app"), 10);
	assert_int_equal(delta_rows(snapshot), 6);
	/* What commits said below it cannot be known any more. */
	assert_false(delta_is_append_only_since(snapshot, 3));
	delta_close(snapshot);
	deltabox_append(box, "SELECT 11 AS id, 'q' AS p");
	assert_string_equal(deltabox_ids(box), "5,6,7,8,9,10,11");
}

static void test_the_hint_and_no_litter(void **state)
{
	struct deltabox *box = *state;
	char *text = NULL;
	json_t *hint;
	int fd;

	fill(box);
	fd = open(box->path, O_RDONLY | O_DIRECTORY);
	assert_true(delta_disk_load(fd, DELTA_LOG_DIR "/_last_checkpoint", 1000, &text) > 0);
	hint = json_loads(text, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(hint, "version")), 10);
	/* protocol, metaData, txn, five tombstones, six files */
	assert_int_equal(json_integer_value(json_object_get(hint, "size")), 14);
	json_decref(hint);
	free(text);
	(void)close(fd);
	assert_false(deltabox_has(box, DELTA_LOG_DIR "/00000000000000000009.checkpoint.parquet"));
}

static void test_a_damaged_checkpoint_is_named(void **state)
{
	struct delta_snapshot *snapshot = NULL;
	struct deltabox *box = *state;

	fill(box);
	deltabox_put(box, CHECKPOINT, "PAR1 and nothing else PAR1");
	assert_int_not_equal(delta_open(box->path, DELTA_VERSION_NEWEST, box->duck, &snapshot,
					box->text, sizeof(box->text)),
			     0);
	assert_non_null(strstr(box->text, "00000000000000000010.checkpoint.parquet"));
	assert_null(snapshot);
	/* Older versions do not need it. */
	snapshot = deltabox_open(box, 9);
	delta_close(snapshot);
}

static void test_the_tables_own_interval_counts(void **state)
{
	struct deltabox *box = *state;

	deltabox_commit(
		box, 0,
		DELTABOX_PROTOCOL
		"{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"
		"\"partitionColumns\":[],\"configuration\":{\"delta.checkpointInterval\":\"3\"},"
		"\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[{\\\"name\\\":\\\"id\\\","
		"\\\"type\\\":\\\"long\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}]}\"}}\n");
	for (int i = 0; i < 4; i++)
		deltabox_append(box, "SELECT 1 AS id");
	assert_true(deltabox_has(box, DELTA_LOG_DIR "/00000000000000000003.checkpoint.parquet"));
	assert_false(deltabox_has(box, DELTA_LOG_DIR "/00000000000000000004.checkpoint.parquet"));
}

int main(void)
{
#define WITH_DUCK(name)                                                                            \
	cmocka_unit_test_setup_teardown(name, deltabox_setup_duck, deltabox_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DUCK(test_a_checkpoint_holds_it_all),
		WITH_DUCK(test_the_hint_and_no_litter),
		WITH_DUCK(test_a_damaged_checkpoint_is_named),
		WITH_DUCK(test_the_tables_own_interval_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
