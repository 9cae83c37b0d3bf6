/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a snapshot's SQL gives every row of its version once, with columns that older files
   lack as null and partition values from the log; a span gives what was added in it,
   compaction or not. Shown with tables whose commits were made by hand as other writers make
   them. */
#include "deltabox.h"

#define META(columns, partitions)                                                                  \
	"{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"        \
	"\"partitionColumns\":[" partitions "],\"configuration\":{},"                              \
	"\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" columns "]}\"}}\n"
#define COLUMN(name, type)                                                                         \
	"{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":\\\"" type                                    \
	"\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}"

static void put_parquet(struct deltabox *box, const char *query, const char *name)
{
	char path[2 * TEMP_PATH_SIZE];
	char *slash;

	(void)snprintf(path, sizeof(path), "%s/%s", box->path, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(delta_disk_make_dir(path), 0);
	*slash = '/';
	if (duck_runf(box->duck, NULL, box->text, sizeof(box->text),
		      "COPY (%s) TO '%s' (FORMAT parquet)", query, path) != DUCK_OK)
		fail_msg("%s", box->text);
}

static void test_files_of_other_writers_are_read(void **state)
{
	struct deltabox *box = *state;

	/* One lacks a column and has another type, one has the partition's column itself, in a folder that lies. */
	put_parquet(box, "SELECT 1::INTEGER AS id", "a b.parquet");
	put_parquet(box, "SELECT 2::BIGINT AS id, 'x' AS s, 'wrong' AS p, 5 AS more",
		    "p=lie/b.parquet");
	deltabox_commit(
		box, 0,
		DELTABOX_PROTOCOL META(
			COLUMN("id", "long") "," COLUMN("s", "string") "," COLUMN(
				"p", "date") "," COLUMN("t", "timestamp"),
			"\"p\"") "{\"add\":{\"path\":\"a%20b.parquet\",\"partitionValues\":{\"p\":\"2024-02-29\"},"
				 "\"size\":1,\"modificationTime\":1,\"dataChange\":true}}\n"
				 "{\"add\":{\"path\":\"p=lie/b.parquet\",\"partitionValues\":{\"p\":null},"
				 "\"size\":1,\"modificationTime\":1,\"dataChange\":true}}\n");
	assert_string_equal(
		deltabox_value(
			box, 0, -1,
			"SELECT string_agg(id || ':' || coalesce(s, '-') || ':' || coalesce(p::VARCHAR, "
			"'-') || ':' || typeof(t), ';' ORDER BY id) FROM t"),
		"1:-:2024-02-29:TIMESTAMP WITH TIME ZONE;2:x:-:TIMESTAMP WITH TIME ZONE");
}

static void test_an_empty_table_has_columns(void **state)
{
	struct deltabox *box = *state;

	deltabox_commit(
		box, 0,
		DELTABOX_PROTOCOL META(COLUMN("id", "long") "," COLUMN("p", "date"), "\"p\""));
	assert_string_equal(deltabox_value(box, 0, -1, "SELECT count(p) + count(id) FROM t"), "0");
}

static void test_very_many_partitions_are_joined(void **state)
{
	static const char *const by[] = { "p", "q" };
	struct deltabox *box = *state;

	assert_int_equal(
		deltabox_write(box,
			       (struct delta_write){
				       .query = "SELECT i AS id, i % 250 AS p, CASE WHEN i % 2 = 0 "
						"THEN 'even' END AS q FROM range(500) r(i)",
				       .partition_by = by,
				       .partition_count = 2 }),
		0);
	assert_string_equal(
		deltabox_value(box, 0, -1,
			       "SELECT count(*) || ':' || sum(id) || ':' || count(q) FROM t"),
		"500:124750:250");
	assert_string_equal(
		deltabox_value(
			box, 0, -1,
			"SELECT string_agg(id, ',' ORDER BY id) FROM t WHERE p = 249 AND q IS NULL"),
		"249,499");
}

static bool append_only(struct deltabox *box, int64_t after)
{
	struct delta_snapshot *snapshot = deltabox_open(box, DELTA_VERSION_NEWEST);
	bool result = delta_is_append_only_since(snapshot, after);

	delta_close(snapshot);
	return result;
}

static const char *span(struct deltabox *box, int64_t after)
{
	return deltabox_value(box, DELTA_VERSION_NEWEST, after,
			      "SELECT coalesce(string_agg(id, ',' ORDER BY id), '-') FROM t");
}

static void test_a_span_is_what_was_added_in_it(void **state)
{
	struct deltabox *box = *state;
	struct delta_snapshot *snapshot;
	char commit[1000];
	size_t used = 0;
	uint32_t count;

	deltabox_append(box, "SELECT 1::BIGINT AS id");
	deltabox_append(box, "SELECT 2::BIGINT AS id");
	deltabox_append(box, "SELECT 3::BIGINT AS id");
	assert_string_equal(span(box, 0), "2,3");
	assert_string_equal(span(box, 2), "-");
	/* Compaction: all files become one, without a change of rows. */
	snapshot = deltabox_open(box, 2);
	for (uint32_t i = 0; i < 3; i++)
		used += (size_t)snprintf(commit + used, sizeof(commit) - used,
					 "{\"remove\":{\"path\":\"%s\",\"dataChange\":false}}\n",
					 delta_files(snapshot, &count)[i].path);
	(void)snprintf(
		commit + used, sizeof(commit) - used,
		"{\"add\":{\"path\":\"all.parquet\",\"partitionValues\":{},\"size\":1,\"modificationTime\":1,"
		"\"dataChange\":false}}\n");
	put_parquet(box, "SELECT unnest([1, 2, 3])::BIGINT AS id", "all.parquet");
	deltabox_commit(box, 3, commit);
	assert_true(append_only(box, 0));
	assert_string_equal(span(box, 0), "2,3");
	assert_string_equal(deltabox_ids(box), "1,2,3");
	/* What it replaced is gone: its rows can no longer be told from older ones. */
	(void)snprintf(commit, sizeof(commit), "%s/%s", box->path,
		       delta_files(snapshot, &count)[2].path);
	assert_int_equal(unlink(commit), 0);
	assert_false(append_only(box, 0));
	assert_true(append_only(box, 3));
	delta_close(snapshot);
	assert_int_equal(deltabox_write(box, (struct delta_write){ .query = "SELECT 9 AS id",
								   .mode = DELTA_OVERWRITE }),
			 0);
	assert_false(append_only(box, 3));
	assert_true(append_only(box, 4));
}

int main(void)
{
#define WITH_DUCK(name)                                                                            \
	cmocka_unit_test_setup_teardown(name, deltabox_setup_duck, deltabox_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DUCK(test_files_of_other_writers_are_read),
		WITH_DUCK(test_an_empty_table_has_columns),
		WITH_DUCK(test_very_many_partitions_are_joined),
		WITH_DUCK(test_a_span_is_what_was_added_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
