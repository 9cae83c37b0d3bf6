/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: epochs answer OffsetForLeaderEpoch as KIP-279 says, and the checkpoint file is Kafka's text.
   Shown with a small table of epochs and the file's bytes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/err.h"
#include "storage/epochs.h"
#include "storage/segfile.h"

#include "cm.h"
#include "temp_dir.h"

static char dir[TEMP_PATH_SIZE];
static int dir_fd;
static struct epochs epochs;

static int setup(void **state)
{
	(void)state;
	memset(&epochs, 0, sizeof(epochs));
	temp_dir_make(dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(dir_fd);
	temp_dir_remove(dir);
	return 0;
}

static void expect_end(int32_t epoch, int64_t end, int32_t known)
{
	int32_t found = 99;

	assert_int_equal(epochs_end(&epochs, epoch, 500, &found), end);
	assert_int_equal(found, known);
}

static void test_epochs_end(void **state)
{
	(void)state;
	expect_end(3, -1, -1);
	epochs_assign(&epochs, 2, 10);
	epochs_assign(&epochs, 5, 100);
	epochs_assign(&epochs, 6, 200);
	expect_end(-1, -1, -1);
	expect_end(1, 10, 1);
	expect_end(2, 100, 2);
	expect_end(3, 100, 2);
	expect_end(5, 200, 5);
	expect_end(6, 500, 6);
	expect_end(7, -1, -1);
}

static void test_epochs_assign_folds(void **state)
{
	(void)state;
	epochs_assign(&epochs, 2, 10);
	epochs_assign(&epochs, 2, 20);
	epochs_assign(&epochs, 1, 30);
	assert_int_equal(epochs.count, 1);
	/* Nothing was written under epoch 3: it never was. */
	epochs_assign(&epochs, 3, 40);
	epochs_assign(&epochs, 4, 40);
	assert_int_equal(epochs.count, 2);
	expect_end(2, 40, 2);
	epochs_truncate(&epochs, 40);
	assert_int_equal(epochs.count, 1);
	for (int32_t i = 0; i < 2 * EPOCHS_MAX; i++)
		epochs_assign(&epochs, 10 + i, 100 + i);
	assert_int_equal(epochs.count, EPOCHS_MAX);
	expect_end(9 + 2 * EPOCHS_MAX, 500, 9 + 2 * EPOCHS_MAX);
}

static void test_epochs_file(void **state)
{
	char text[256];

	(void)state;
	assert_int_equal(epochs_load(&epochs, dir_fd), 0);
	assert_int_equal(epochs.count, 0);
	epochs_assign(&epochs, 0, 0);
	epochs_assign(&epochs, 5, 100);
	epochs_assign(&epochs, 6, INT64_MAX);
	assert_int_equal(epochs_save(&epochs, dir_fd, 0), 0);
	assert_true(segfile_load(dir_fd, "leader-epoch-checkpoint", text, sizeof(text)) > 0);
	assert_string_equal(text, "0\n3\n0 0\n5 100\n6 9223372036854775807\n");
	assert_int_equal(epochs_load(&epochs, dir_fd), 0);
	assert_int_equal(epochs.count, 3);
	/* The log begins later now. */
	assert_int_equal(epochs_save(&epochs, dir_fd, 150), 0);
	assert_true(segfile_load(dir_fd, "leader-epoch-checkpoint", text, sizeof(text)) > 0);
	assert_string_equal(text, "0\n2\n5 150\n6 9223372036854775807\n");
}

static void test_epochs_bad_file(void **state)
{
	static const char *const texts[] = { "", "1\n0\n", "0\n2\n1 1\n", "0\nx", "0\n1\nx 5\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		assert_int_equal(segfile_replace(dir_fd, "leader-epoch-checkpoint", texts[i],
						 strlen(texts[i])),
				 0);
		assert_int_equal(epochs_load(&epochs, dir_fd), ERR_CORRUPT);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_epochs_end),
		TEST(test_epochs_assign_folds),
		TEST(test_epochs_file),
		TEST(test_epochs_bad_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
