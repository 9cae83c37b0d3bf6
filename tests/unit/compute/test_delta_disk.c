/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a walk below a table sees its data files and nothing else, files are stored whole or not at all, and what is
   too large is not read. Shown on a tree with links, hidden names and a limit on the size of files. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "deltabox.h"

static int visit(void *context, const struct delta_disk_entry *entry)
{
	char *seen = context;

	(void)strncat(seen, entry->path, 200 - strlen(seen));
	(void)strncat(seen, ";", 200 - strlen(seen));
	return 1;
}

static void test_a_walk_stays_below_the_table(void **state)
{
	struct deltabox *box = *state;
	char target[TEMP_PATH_SIZE + 10];
	char link[TEMP_PATH_SIZE + 10];
	char seen[256] = "";

	deltabox_put(box, "p=1/q=2/a.parquet", "");
	deltabox_put(box, "_delta_log/0.json", "");
	deltabox_put(box, "_other/x", "");
	deltabox_put(box, ".hidden/x", "");
	deltabox_put(box, "p=1/_x", "");
	(void)snprintf(target, sizeof(target), "%s/p=1", box->path);
	(void)snprintf(link, sizeof(link), "%s/p=9", box->path);
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(delta_disk_walk(box->path, visit, seen), 1);
	assert_string_equal(seen, "p=1/q=2/a.parquet;");
	/* A partition column may begin so. */
	deltabox_put(box, "_p=1/b.parquet", "");
	assert_int_equal(delta_disk_walk(box->path, visit, seen), 2);
	assert_int_equal(delta_disk_walk("/no/such/folder", visit, seen), -ENOENT);
}

static int stop(void *context, const struct delta_disk_entry *entry)
{
	(void)context;
	(void)entry;
	return -EIO;
}

static void test_a_walk_ends_with_the_visitors_error(void **state)
{
	struct deltabox *box = *state;

	deltabox_put(box, "a/b", "");
	deltabox_put(box, "c", "");
	assert_int_equal(delta_disk_walk(box->path, stop, NULL), -EIO);
}

static void test_discard_takes_one_writes_files(void **state)
{
	struct deltabox *box = *state;

	deltabox_put(box, "p=1/part-aa-1.parquet", "");
	deltabox_put(box, "part-aa-2.parquet", "");
	deltabox_put(box, "part-ab-1.parquet", "");
	delta_disk_discard(box->path, "part-aa-");
	assert_int_equal(deltabox_count(box), 1);
	assert_true(deltabox_has(box, "part-ab-1.parquet"));
}

static void test_load_has_a_limit(void **state)
{
	struct deltabox *box = *state;
	char *text = NULL;
	int fd;

	deltabox_put(box, "file", "12345");
	fd = open(box->path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(delta_disk_load(fd, "file", 4, &text), ERR_TOO_LARGE);
	assert_int_equal(delta_disk_load(fd, "none", 9, &text), -ENOENT);
	assert_null(text);
	assert_int_equal(delta_disk_load(fd, "file", 5, &text), 5);
	assert_string_equal(text, "12345");
	free(text);
	(void)close(fd);
}

static void test_what_cannot_be_stored_leaves_no_file(void **state)
{
	struct deltabox *box = *state;
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction before;
	struct rlimit limit;
	struct rlimit small;
	char *big = calloc(1, 100000);
	int fd;

	deltabox_put(box, "file", "");
	fd = open(box->path, O_RDONLY | O_DIRECTORY);
	(void)getrlimit(RLIMIT_FSIZE, &limit);
	(void)sigaction(SIGXFSZ, &ignore, &before);
	small = (struct rlimit){ 50000, limit.rlim_max };
	(void)setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(delta_disk_store(fd, "new", big, 100000), -EFBIG);
	(void)setrlimit(RLIMIT_FSIZE, &limit);
	(void)sigaction(SIGXFSZ, &before, NULL);
	assert_false(deltabox_has(box, "new"));
	assert_int_equal(delta_disk_store(fd, "file", "x", 1), -EEXIST);
	assert_int_equal(delta_disk_store(fd, "new", big, 100000), 0);
	assert_true(deltabox_has(box, "new"));
	(void)close(fd);
	free(big);
}

static void test_folders_are_made_with_those_above(void **state)
{
	struct deltabox *box = *state;
	char path[TEMP_PATH_SIZE + 20];
	json_t *paths = json_pack("[s, s]", "b/c/file", "file");

	(void)snprintf(path, sizeof(path), "%s/b/c", box->path);
	assert_int_equal(delta_disk_make_dir(path), 0);
	assert_int_equal(delta_disk_make_dir(path), 0);
	deltabox_put(box, "b/c/file", "x");
	assert_int_equal(delta_disk_sync(box->path, paths), -ENOENT);
	deltabox_put(box, "file", "x");
	assert_int_equal(delta_disk_sync(box->path, paths), 0);
	(void)strncat(path, "/file/d", sizeof(path) - strlen(path) - 1);
	assert_int_equal(delta_disk_make_dir(path), -ENOTDIR);
	json_decref(paths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_walk_stays_below_the_table, deltabox_setup,
						deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_a_walk_ends_with_the_visitors_error,
						deltabox_setup, deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_discard_takes_one_writes_files, deltabox_setup,
						deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_load_has_a_limit, deltabox_setup,
						deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_stored_leaves_no_file,
						deltabox_setup, deltabox_teardown),
		cmocka_unit_test_setup_teardown(test_folders_are_made_with_those_above,
						deltabox_setup, deltabox_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
