/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a reader gets whole views or none, through any number of writes, removals and re-used
   cells; a table of another make is refused; readers of a replaced table are told. Shown by a
   writing and a reading thread whose views must be consistent in themselves (run it under TSan as
   well), and by files changed byte by byte. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/partitions.h"
#include "storage/partitions_file.h"

#include "cm.h"
#include "temp_dir.h"

#define THREADED_READS 30000

struct bench {
	char dir[TEMP_PATH_SIZE];
	char path[TEMP_PATH_SIZE];
	struct partitions *writer;
	struct partitions *reader;
};

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	temp_dir_make(bench.dir);
	temp_dir_path(bench.dir, "table", bench.path);
	*state = &bench;
	if (partitions_open(bench.path, true, &bench.writer) != 0)
		return -1;
	return partitions_open(bench.path, false, &bench.reader);
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	partitions_close(bench->reader);
	partitions_close(bench->writer);
	temp_dir_remove(bench->dir);
	return 0;
}

/* All numbers of a view follow from `n`. */
static struct partition_view view_of(uint8_t topic, uint32_t partition, int64_t n)
{
	struct partition_view view;

	memset(&view, 0, sizeof(view));
	view.topic_id.bytes[0] = topic;
	view.partition = partition;
	view.core = (uint32_t)n % 64;
	view.leader_epoch = (int32_t)(n % 1000);
	view.start_offset = n;
	view.high_watermark = 2 * n;
	view.last_stable_offset = 3 * n;
	view.next_offset = 4 * n;
	view.segment_base = 5 * n;
	view.file_end = 6 * n;
	view.size = 7 * n;
	(void)snprintf(view.topic, sizeof(view.topic), "topic-%u", topic);
	return view;
}

static void check_view(const struct partition_view *view)
{
	struct partition_view want =
		view_of(view->topic_id.bytes[0], view->partition, view->start_offset);

	assert_memory_equal(view, &want, sizeof(want));
}

static void test_partitions_publishes_views(void **state)
{
	struct bench *bench = *state;
	struct partition_view view = view_of(1, 7, 10);
	struct partition_view got;
	struct partition_cell *cell = partitions_add(bench->writer, &view);
	struct uuid other = { .bytes = { 9 } };

	assert_non_null(cell);
	assert_int_equal(partitions_count(bench->reader), 1);
	assert_true(partition_cell_read(partitions_at(bench->reader, 0), &got));
	check_view(&got);
	/* Topic and partition stay whatever the view says. */
	view = view_of(5, 6, 1234567890123);
	partition_cell_write(cell, &view);
	assert_true(partition_cell_read(partitions_at(bench->reader, 0), &got));
	check_view(&got);
	assert_int_equal(got.topic_id.bytes[0], 1);
	assert_int_equal(got.partition, 7);
	assert_true(got.start_offset == 1234567890123);
	assert_int_equal(partitions_find(bench->reader, &got.topic_id, 7, &view), 0);
	assert_memory_equal(&view, &got, sizeof(view));
	assert_int_equal(partitions_find(bench->reader, &got.topic_id, 8, &view), ERR_UNKNOWN);
	assert_int_equal(partitions_find(bench->reader, &other, 7, &view), ERR_UNKNOWN);
}

static void test_partitions_reuses_cells_and_fills_up(void **state)
{
	struct bench *bench = *state;
	static struct partition_cell *cells[PARTITIONS_MAX];
	struct partition_view view;
	struct partition_view got;

	for (uint32_t i = 0; i < PARTITIONS_MAX; i++) {
		view = view_of((uint8_t)(i % 200), i, i);
		cells[i] = partitions_add(bench->writer, &view);
		assert_non_null(cells[i]);
	}
	assert_null(partitions_add(bench->writer, &view));
	assert_int_equal(partitions_count(bench->reader), PARTITIONS_MAX);
	partitions_remove(bench->writer, cells[40000]);
	partitions_remove(bench->writer, cells[500]);
	assert_false(partition_cell_read(partitions_at(bench->reader, 500), &got));
	assert_int_equal(partitions_find(bench->reader, &view.topic_id, 500, &got), ERR_UNKNOWN);
	view = view_of(201, 1, 77);
	assert_ptr_equal(partitions_add(bench->writer, &view), cells[500]);
	assert_true(partition_cell_read(partitions_at(bench->reader, 500), &got));
	check_view(&got);
	assert_ptr_equal(partitions_add(bench->writer, &view), cells[40000]);
	assert_null(partitions_add(bench->writer, &view));
}

static void test_partitions_reader_gives_up_on_a_dead_writer(void **state)
{
	struct bench *bench = *state;
	struct partition_view view = view_of(1, 0, 5);
	struct partition_cell *cell = partitions_add(bench->writer, &view);

	cell->sequence++; /* as if killed inside */
	assert_false(partition_cell_read(partitions_at(bench->reader, 0), &view));
	cell->sequence++;
	assert_true(partition_cell_read(partitions_at(bench->reader, 0), &view));
}

static void test_partitions_readers_learn_of_a_new_table(void **state)
{
	struct bench *bench = *state;
	struct partition_view view = view_of(1, 0, 5);
	struct partitions *reader = NULL;
	struct partitions *writer = NULL;

	(void)partitions_add(bench->writer, &view);
	assert_false(partitions_is_retired(bench->reader));
	assert_int_equal(partitions_open(bench->path, true, &writer), 0);
	assert_true(partitions_is_retired(bench->reader));
	assert_true(partition_cell_read(partitions_at(bench->reader, 0), &view));
	assert_int_equal(partitions_open(bench->path, false, &reader), 0);
	assert_int_equal(partitions_count(reader), 0);
	assert_false(partitions_is_retired(reader));
	partitions_close(writer);
	assert_true(partitions_is_retired(reader));
	partitions_close(reader);
	partitions_close(NULL);
}

static void test_partitions_refuses_other_files(void **state)
{
	struct bench *bench = *state;
	struct partitions *reader = NULL;
	char path[TEMP_PATH_SIZE];
	int fd = open(bench->path, O_RDWR);

	for (off_t at = 0; at < (off_t)offsetof(struct partitions_header, count); at++) {
		uint8_t good;
		uint8_t bad;

		assert_int_equal(pread(fd, &good, 1, at), 1);
		bad = good ^ 1;
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		assert_int_equal(partitions_open(bench->path, false, &reader), ERR_UNSUPPORTED);
		assert_int_equal(pwrite(fd, &good, 1, at), 1);
	}
	(void)close(fd);
	temp_dir_path(bench->dir, "short", path);
	assert_int_equal(close(open(path, O_CREAT | O_RDWR, 0600)), 0);
	assert_int_equal(partitions_open(path, false, &reader), ERR_UNSUPPORTED);
	temp_dir_path(bench->dir, "none", path);
	assert_int_equal(partitions_open(path, false, &reader), -ENOENT);
	assert_null(reader);
}

struct race {
	struct partition_cell *cell;
	bool is_over;
};

static void *write_on(void *arg)
{
	struct race *race = arg;

	for (int64_t n = 1; !__atomic_load_n(&race->is_over, __ATOMIC_RELAXED); n++) {
		struct partition_view view = view_of(1, 3, n);

		partition_cell_write(race->cell, &view);
		if (n % 16 == 0)
			(void)sched_yield();
	}
	return NULL;
}

static void test_partitions_reads_are_never_torn(void **state)
{
	struct bench *bench = *state;
	struct partition_view view = view_of(1, 3, 0);
	struct race race = { .cell = partitions_add(bench->writer, &view) };
	int64_t last = 0;
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, write_on, &race), 0);
	for (uint32_t i = 0; i < THREADED_READS; i++) {
		/* The same mapping, so that a thread sanitizer sees both sides. */
		if (!partition_cell_read(race.cell, &view))
			continue;
		check_view(&view);
		assert_true(view.start_offset >= last);
		last = view.start_offset;
	}
	__atomic_store_n(&race.is_over, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_true(last > 0);
}

int main(void)
{
#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_partitions_publishes_views),
		ROW(test_partitions_reuses_cells_and_fills_up),
		ROW(test_partitions_reader_gives_up_on_a_dead_writer),
		ROW(test_partitions_readers_learn_of_a_new_table),
		ROW(test_partitions_refuses_other_files),
		ROW(test_partitions_reads_are_never_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
