/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: two writers never take one version; what another committed meanwhile stops a write,
   by its name, exactly when it matters to it; may_commit() is asked once, right before, and
   obeyed. Shown by commits put in between by the hook. */
#include <errno.h>

#include "deltabox.h"

static struct deltabox *hooked;
static const char *between; /* lines of the other writer's commit */
static int64_t between_version;

static void commit_between(const char *step)
{
	if (between == NULL || strcmp(step, "data durable") != 0)
		return;
	deltabox_commit(hooked, between_version, between);
	between = NULL;
}

/* The write, while another one commits the lines. */
static int write_while(struct deltabox *box, struct delta_write write, const char *lines)
{
	struct delta_snapshot *snapshot = deltabox_open(box, DELTA_VERSION_NEWEST);

	hooked = box;
	between = lines;
	between_version = delta_version(snapshot) + 1;
	delta_close(snapshot);
	delta_disk_step_hook = commit_between;
	return deltabox_write(box, write);
}

#define OTHER_ADD(change)                                                                          \
	"{\"add\":{\"path\":\"other.parquet\",\"partitionValues\":{},\"size\":1,"                  \
	"\"modificationTime\":1,\"dataChange\":" change "}}\n"
#define OTHER_REMOVE "{\"remove\":{\"path\":\"other.parquet\",\"dataChange\":true}}\n"

static const char *const key[] = { "id" };
static struct delta_txn txn = { "app", 100 };
static int64_t before = -1;
static const struct {
	struct delta_write write;
	const char *lines;
	int error;
	const char *name;
} cases[] = {
	{ { .query = "SELECT 1 AS id" }, OTHER_ADD("true"), 0, "" },
	{ { .query = "SELECT 1 AS id" }, OTHER_REMOVE, 0, "" },
	{ { .query = "SELECT 1 AS id" }, DELTABOX_PROTOCOL, -EBUSY, "ProtocolChanged" },
	{ { .query = "SELECT 1 AS id" }, DELTABOX_METADATA, -EBUSY, "MetadataChanged" },
	{ { .query = "SELECT 1 AS id", .mode = DELTA_OVERWRITE },
	  OTHER_ADD("true"),
	  -EBUSY,
	  "ConcurrentAppend" },
	{ { .query = "SELECT 1 AS id", .mode = DELTA_OVERWRITE }, OTHER_ADD("false"), 0, "" },
	{ { .query = "SELECT 1 AS id", .mode = DELTA_OVERWRITE },
	  OTHER_REMOVE,
	  -EBUSY,
	  "ConcurrentDeleteRead" },
	{ { .query = "SELECT 99 AS id", .mode = DELTA_MERGE, .key = key, .key_count = 1 },
	  OTHER_ADD("true"),
	  -EBUSY,
	  "ConcurrentAppend" },
	{ { .query = "SELECT 98 AS id", .mode = DELTA_REPLACE_WHERE, .predicate = "id = 98" },
	  OTHER_ADD("true"),
	  -EBUSY,
	  "ConcurrentAppend" },
	{ { .query = "SELECT 1 AS id", .txns = &txn, .txn_count = 1 },
	  "{\"txn\":{\"appId\":\"app\",\"version\":99}}\n",
	  -EBUSY,
	  "ConcurrentTransaction" },
	{ { .query = "SELECT 1 AS id", .txns = &txn, .txn_count = 1 },
	  "{\"txn\":{\"appId\":\"app\",\"version\":100}}\n",
	  ERR_DUPLICATE,
	  "ConcurrentTransaction" },
	{ { .query = "SELECT 1 AS id", .txns = &txn, .txn_count = 1, .txns_before = &before },
	  "{\"txn\":{\"appId\":\"app\",\"version\":7}}\n",
	  ERR_DUPLICATE,
	  "ConcurrentTransaction" },
	{ { .query = "SELECT 1 AS id", .txns = &txn, .txn_count = 1 },
	  "{\"txn\":{\"appId\":\"else\",\"version\":100}}\n",
	  0,
	  "" },
	{ { .query = "SELECT 1 AS id" }, "{\"commitInfo\":{", ERR_CORRUPT, "json:1" },
};

static void test_conflicts_have_names(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct deltabox *box = *state;
		int64_t files;
		int error;

		deltabox_append(box, "SELECT 0::BIGINT AS id");
		files = deltabox_count(box);
		error = write_while(box, cases[i].write, cases[i].lines);
		if (error != cases[i].error || strstr(box->text, cases[i].name) == NULL)
			fail_msg("%zu %s: %d %s", i, cases[i].lines, error, box->text);
		if (error == 0)
			assert_int_equal(box->written.attempts, 2);
		else
			assert_int_equal(deltabox_count(box), files);
		deltabox_teardown(state);
		deltabox_setup_duck(state);
	}
}

static void test_two_that_make_one_table(void **state)
{
	struct deltabox *box = *state;

	hooked = box;
	between = DELTABOX_PROTOCOL DELTABOX_METADATA;
	between_version = 0;
	delta_disk_step_hook = commit_between;
	assert_int_equal(deltabox_write(box, (struct delta_write){ .query = "SELECT 5 AS id" }),
			 -EBUSY);
	assert_non_null(strstr(box->text, "Changed"));
	deltabox_append(box, "SELECT 5 AS id");
	assert_int_equal(box->written.version, 1);
	assert_string_equal(deltabox_ids(box), "5");
}

/* ---- may_commit ---- */

struct gate {
	struct deltabox *box;
	int answer;
	int asked;
};

static int ask(void *context)
{
	struct gate *gate = context;

	gate->asked++;
	/* Everything but the name is there. */
	assert_int_equal(deltabox_count(gate->box), 2);
	assert_false(deltabox_has(gate->box, DELTA_LOG_DIR "/00000000000000000001.json"));
	return gate->answer;
}

static void test_may_commit_is_obeyed(void **state)
{
	struct deltabox *box = *state;
	struct gate gate = { box, ERR_FENCED, 0 };
	struct delta_write write = { .query = "SELECT 1 AS id",
				     .may_commit = ask,
				     .context = &gate };

	deltabox_append(box, "SELECT 0 AS id");
	assert_int_equal(deltabox_write(box, write), ERR_FENCED);
	assert_int_equal(gate.asked, 1);
	assert_int_equal(deltabox_count(box), 1);
	assert_string_equal(deltabox_ids(box), "0");
	gate.answer = 0;
	assert_int_equal(deltabox_write(box, write), 0);
	assert_string_equal(deltabox_ids(box), "0,1");
}

static int ask_once(void *context)
{
	(*(int *)context)++;
	return 0;
}

/* A lock taken there is held to the end: asking twice would wait for itself. */
static void test_may_commit_is_asked_once_however_many_attempts(void **state)
{
	struct deltabox *box = *state;
	int asked = 0;
	struct delta_write write = { .query = "SELECT 1 AS id",
				     .may_commit = ask_once,
				     .context = &asked };

	deltabox_append(box, "SELECT 0 AS id");
	assert_int_equal(write_while(box, write, OTHER_REMOVE), 0);
	assert_int_equal(box->written.attempts, 2);
	assert_int_equal(asked, 1);
}

static void test_writers_in_processes_lose_nothing(void **state)
{
	struct deltabox *box = *state;
	pid_t children[3];
	char query[60];
	int status;

	for (int c = 0; c < 3; c++) {
		children[c] = fork();
		if (children[c] != 0)
			continue;
		deltabox_open_duck(box);
		for (int i = 0; i < 8; i++) {
			int error;

			(void)snprintf(query, sizeof(query), "SELECT %d AS id", c * 100 + i);
			do
				error = deltabox_write(box, (struct delta_write){ .query = query });
			while (error == -EBUSY);
			if (error != 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int c = 0; c < 3; c++) {
		assert_int_equal(waitpid(children[c], &status, 0), children[c]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	deltabox_open_duck(box);
	assert_string_equal(
		deltabox_value(box, 23, -1, "SELECT count(*) || ':' || count(DISTINCT id) FROM t"),
		"24:24");
}

int main(void)
{
#define WITH_DUCK(name)                                                                            \
	cmocka_unit_test_setup_teardown(name, deltabox_setup_duck, deltabox_teardown)
	const struct CMUnitTest tests[] = {
		WITH_DUCK(test_conflicts_have_names),
		WITH_DUCK(test_two_that_make_one_table),
		WITH_DUCK(test_may_commit_is_obeyed),
		WITH_DUCK(test_may_commit_is_asked_once_however_many_attempts),
		cmocka_unit_test_setup_teardown(test_writers_in_processes_lose_nothing,
						deltabox_setup, deltabox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
