/* SPDX-License-Identifier: Apache-2.0 */
/** @file A folder for one table and an SQL engine: for tests of Delta tables. */
#pragma once

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#include "cm.h"
#include "temp_dir.h"

#define DELTABOX_PROTOCOL "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
#define DELTABOX_METADATA                                                                          \
	"{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\",\"options\":{}},"        \
	"\"partitionColumns\":[],"                                                                 \
	"\"configuration\":{},"                                                                    \
	"\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":["                         \
	"{\\\"name\\\":\\\"id\\\",\\\"type\\\":"                                                   \
	"\\\"long\\\",\\\"nullable\\\":true,\\\"metadata\\\":{}}]}\"}}\n"

struct deltabox {
	char dir[TEMP_PATH_SIZE];
	char path[TEMP_PATH_SIZE]; /* of the table */
	struct duck *duck;
	struct delta_written written;
	char text[2000]; /* message, or value */
};

static inline void deltabox_open_duck(struct deltabox *box)
{
	struct duck_config config = { .memory_limit = INT64_C(256) << 20, .threads = 1 };

	if (duck_load(box->text, sizeof(box->text)) != 0 ||
	    duck_open(&config, &box->duck, box->text, sizeof(box->text)) != 0)
		fail_msg("%s", box->text);
}

static inline int deltabox_setup(void **state)
{
	struct deltabox *box = calloc(1, sizeof(*box));

	temp_dir_make(box->dir);
	temp_dir_path(box->dir, "table", box->path);
	*state = box;
	return 0;
}

static inline int deltabox_setup_duck(void **state)
{
	(void)deltabox_setup(state);
	deltabox_open_duck(*state);
	return 0;
}

static inline int deltabox_teardown(void **state)
{
	struct deltabox *box = *state;

	delta_disk_step_hook = NULL;
	duck_close(box->duck);
	temp_dir_remove(box->dir);
	free(box);
	return 0;
}

/** @return as delta_write(); box->text has the message, box->written the answer */
static inline int deltabox_write(struct deltabox *box, struct delta_write write)
{
	enum duck_status status;

	write.path = write.path != NULL ? write.path : box->path;
	box->text[0] = '\0';
	return delta_write(box->duck, &write, &box->written, &status, box->text, sizeof(box->text));
}

static inline void deltabox_append(struct deltabox *box, const char *query)
{
	if (deltabox_write(box, (struct delta_write){ .query = query }) != 0)
		fail_msg("%s", box->text);
}

static inline struct delta_snapshot *deltabox_open(struct deltabox *box, int64_t version)
{
	struct delta_snapshot *snapshot = NULL;

	if (delta_open(box->path, version, box->duck, &snapshot, box->text, sizeof(box->text)) != 0)
		fail_msg("%s", box->text);
	return snapshot;
}

/** The first value of a query over "t", the table's files after a commit (-1: all), as text; "" for null. */
static inline const char *deltabox_value(struct deltabox *box, int64_t version, int64_t after,
					 const char *sql)
{
	struct delta_snapshot *snapshot = deltabox_open(box, version);
	char *select = delta_select(snapshot, after);
	struct duck_result *result = NULL;
	const char *value;
	size_t size = 0;

	assert_non_null(select);
	if (duck_runf(box->duck, &result, box->text, sizeof(box->text), "WITH t AS (%s) %s", select,
		      sql) != DUCK_OK)
		fail_msg("%s\n%s", box->text, select);
	assert_int_equal(duck_result_chunk(result), 1);
	value = duck_result_text(result, 0, 0, &size);
	(void)snprintf(box->text, sizeof(box->text), "%.*s", value != NULL ? (int)size : 0,
		       value != NULL ? value : "");
	duck_result_free(result);
	free(select);
	delta_close(snapshot);
	return box->text;
}

/** All ids of the newest version in order: "0,1,2". */
static inline const char *deltabox_ids(struct deltabox *box)
{
	return deltabox_value(box, DELTA_VERSION_NEWEST, -1,
			      "SELECT string_agg(id, ',' ORDER BY id) FROM t");
}

/** Put a file below the table. */
static inline void deltabox_put(struct deltabox *box, const char *name, const char *text)
{
	char path[2 * TEMP_PATH_SIZE];
	char *slash;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", box->path, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(delta_disk_make_dir(path), 0);
	*slash = '/';
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/** Put a commit as another writer would. */
static inline void deltabox_commit(struct deltabox *box, int64_t version, const char *lines)
{
	char name[DELTA_NAME_MAX + 20];

	(void)snprintf(name, sizeof(name), DELTA_LOG_DIR "/%020" PRId64 ".json", version);
	deltabox_put(box, name, lines);
}

static inline bool deltabox_has(const struct deltabox *box, const char *name)
{
	char path[2 * TEMP_PATH_SIZE];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", box->path, name);
	return lstat(path, &st) == 0;
}

static inline int deltabox_count_one(void *context, const struct delta_disk_entry *entry)
{
	(void)context;
	(void)entry;
	return 1;
}

/** Data files below the table; 0: there is no folder. */
static inline int64_t deltabox_count(const struct deltabox *box)
{
	int64_t count = delta_disk_walk(box->path, deltabox_count_one, NULL);

	return MAX(count, 0);
}
