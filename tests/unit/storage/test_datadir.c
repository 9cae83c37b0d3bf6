/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a data directory has one owner, keeps its identity, is not taken when it is somebody
   else's, and tells a clean stop from a crash. Shown by opening it in every state, also from a
   second process and after one was killed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/err.h"
#include "storage/datadir.h"

#include "cm.h"
#include "temp_dir.h"

struct bench {
	char dir[TEMP_PATH_SIZE];
	char data[TEMP_PATH_SIZE];
	char reason[DATADIR_REASON_SIZE];
};

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "data", bench.data);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	temp_dir_remove(bench->dir);
	return 0;
}

static void put_file(const struct bench *bench, const char *name, const char *text)
{
	char path[TEMP_PATH_SIZE];
	int fd;

	temp_dir_path(bench->data, name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void get_file(const struct bench *bench, const char *name, char *ret_text, size_t size)
{
	char path[TEMP_PATH_SIZE];
	ssize_t got;
	int fd;

	temp_dir_path(bench->data, name, path);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	got = read(fd, ret_text, size - 1);
	assert_true(got >= 0);
	ret_text[got] = '\0';
	(void)close(fd);
}

static struct datadir *open_good(struct bench *bench)
{
	struct datadir *datadir = NULL;

	assert_int_equal(datadir_open(bench->data, 1, &datadir, bench->reason), 0);
	assert_non_null(datadir);
	return datadir;
}

static void check_open_fails(struct bench *bench, int32_t node_id, int error, const char *reason)
{
	struct datadir *datadir = NULL;

	assert_int_equal(datadir_open(bench->data, node_id, &datadir, bench->reason), error);
	assert_null(datadir);
	assert_non_null(strstr(bench->reason, reason));
}

static void test_datadir_keeps_its_identity(void **state)
{
	struct bench *bench = *state;
	struct datadir *datadir = open_good(bench);
	char directory_id[UUID_TEXT_SIZE];
	char cluster_id[DATADIR_CLUSTER_MAX];
	char want[512];
	char text[512];
	struct stat st;

	assert_true(datadir->is_new);
	assert_false(datadir->was_clean);
	assert_int_equal(strlen(datadir->cluster_id), 22);
	assert_int_equal(stat(bench->data, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_true(datadir_free_size(datadir) > 0);
	uuid_format(&datadir->directory_id, directory_id);
	(void)snprintf(cluster_id, sizeof(cluster_id), "%s", datadir->cluster_id);
	(void)snprintf(want, sizeof(want), "version=1\ncluster.id=%s\nnode.id=1\ndirectory.id=%s\n",
		       cluster_id, directory_id);
	get_file(bench, "log/meta.properties", text, sizeof(text));
	assert_string_equal(text, want);
	datadir_close(datadir);
	datadir = open_good(bench);
	assert_false(datadir->is_new);
	assert_string_equal(datadir->cluster_id, cluster_id);
	uuid_format(&datadir->directory_id, text);
	assert_string_equal(text, directory_id);
	datadir_close(datadir);
	datadir_close(NULL);
}

static void test_datadir_tells_clean_from_crashed(void **state)
{
	struct bench *bench = *state;
	struct datadir *datadir = open_good(bench);
	char text[256];

	assert_int_equal(datadir_mark_clean(datadir), 0);
	datadir_close(datadir);
	get_file(bench, "log/.kafka_cleanshutdown", text, sizeof(text));
	assert_string_equal(text, "{\"version\":0,\"brokerEpoch\":-1}");
	datadir = open_good(bench);
	assert_true(datadir->was_clean);
	datadir_close(datadir); /* without the mark, as a crash */
	datadir = open_good(bench);
	assert_false(datadir->was_clean);
	datadir_close(datadir);
	put_file(bench, "log/.kafka_cleanshutdown", "nonsense");
	datadir = open_good(bench);
	assert_false(datadir->was_clean);
	datadir_close(datadir);
}

static void test_datadir_has_one_owner(void **state)
{
	struct bench *bench = *state;
	struct datadir *datadir = open_good(bench);
	char pid[32];

	assert_int_equal(datadir_mark_clean(datadir), 0);
	(void)snprintf(pid, sizeof(pid), "process %d,", (int)getpid());
	check_open_fails(bench, 1, ERR_LOCKED, pid);
	datadir_close(datadir);
	/* The one that was turned away has touched nothing. */
	datadir = open_good(bench);
	assert_true(datadir->was_clean);
	datadir_close(datadir);
}

static void test_datadir_is_free_after_a_kill(void **state)
{
	struct bench *bench = *state;
	char want[32];
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves nobody behind */
		(void)open_good(bench);
		CHECK(write(ready[1], "r", 1) == 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)snprintf(want, sizeof(want), "process %d,", (int)pid);
	check_open_fails(bench, 1, ERR_LOCKED, want);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	datadir_close(open_good(bench));
}

static void test_datadir_refuses_what_is_not_its_own(void **state)
{
	struct bench *bench = *state;

	datadir_close(open_good(bench));
	check_open_fails(bench, 2, ERR_CONFIG, "another node.id");
	put_file(bench, "log/meta.properties", "version=0\nbroker.id=1\n");
	check_open_fails(bench, 1, ERR_UNSUPPORTED, "version=1");
	put_file(bench, "log/meta.properties", "version=1\nnode.id=1\n");
	check_open_fails(bench, 1, ERR_MALFORMED, "cluster.id");
	put_file(bench, "log/meta.properties", "version=1\nnode.id=1\ncluster.id=../x\n");
	check_open_fails(bench, 1, ERR_MALFORMED, "cluster.id");
	put_file(bench, "log/meta.properties",
		 "version=1\nnode.id=1\ncluster.id=abc\ndirectory.id=short\n");
	check_open_fails(bench, 1, ERR_MALFORMED, "directory.id");
	put_file(bench, "log/meta.properties", "");
	check_open_fails(bench, 1, ERR_UNSUPPORTED, "version=1");
}

static void test_datadir_takes_over_kafkas_own(void **state)
{
	struct bench *bench = *state;
	struct datadir *datadir;
	char text[512];

	datadir_close(open_good(bench));
	put_file(bench, "log/meta.properties",
		 "#\n#Mon Jan 01 00:00:00 UTC 2024\nnode.id=1\r\nversion=1\n"
		 "cluster.id=Some-Cluster_1");
	datadir = open_good(bench);
	assert_string_equal(datadir->cluster_id, "Some-Cluster_1");
	assert_false(uuid_is_zero(&datadir->directory_id));
	datadir_close(datadir);
	get_file(bench, "log/meta.properties", text, sizeof(text));
	assert_non_null(strstr(text, "\ndirectory.id="));
}

static void test_datadir_takes_controls_cluster_id(void **state)
{
	struct bench *bench = *state;
	struct datadir *datadir;
	char path[TEMP_PATH_SIZE];

	assert_int_equal(mkdir(bench->data, 0750), 0);
	temp_dir_path(bench->data, "metadata", path);
	assert_int_equal(mkdir(path, 0750), 0);
	put_file(bench, "metadata/meta.properties",
		 "version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=1\n");
	datadir = open_good(bench);
	assert_string_equal(datadir->cluster_id, "AAAAAAAAAAAAAAAAAAAAAQ");
	datadir_close(datadir);
}

static void test_datadir_says_what_cannot_be_opened(void **state)
{
	struct bench *bench = *state;

	temp_dir_path(bench->dir, "none/data", bench->data);
	check_open_fails(bench, 1, -ENOENT, "none/data");
	temp_dir_path(bench->dir, "file", bench->data);
	assert_int_equal(close(open(bench->data, O_CREAT | O_RDWR, 0600)), 0);
	check_open_fails(bench, 1, -ENOTDIR, "file");
}

static void test_datadir_boot_id_stays_the_same(void **state)
{
	char first[DATADIR_BOOT_SIZE];
	char second[DATADIR_BOOT_SIZE];

	(void)state;
	memset(first, 1, sizeof(first));
	memset(second, 2, sizeof(second));
	assert_int_equal(datadir_boot_id(first), 0);
	assert_int_equal(datadir_boot_id(second), 0);
	assert_memory_equal(first, second, sizeof(first));
	assert_int_equal(strlen(first), 36);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_datadir_keeps_its_identity),
		ROW(test_datadir_tells_clean_from_crashed),
		ROW(test_datadir_has_one_owner),
		ROW(test_datadir_is_free_after_a_kill),
		ROW(test_datadir_refuses_what_is_not_its_own),
		ROW(test_datadir_takes_over_kafkas_own),
		ROW(test_datadir_takes_controls_cluster_id),
		ROW(test_datadir_says_what_cannot_be_opened),
		ROW(test_datadir_boot_id_stays_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
