/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a deleted segment's file becomes the next one's when nobody reads it and it is not too old, never
   before its old name is durably gone; whenever the process or the machine dies, the log opens with exactly
   what it had promised, though older batches lie behind its end, of the same size and at the same places. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "storage/recycle.h"
#include "storage/retain.h"

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE    (UINT64_C(16) * 1024 * 1024)
#define SEGMENT_SIZE (128U * 1024)
#define VALUE_SIZE   9000

/* ---- the order of what is made durable ---- */

static struct {
	bool is_rename_open; /* a file has another name, which is not durable */
	ino_t inode;         /* that file */
	uint32_t renames;
	bool is_unsynced; /* something was written to it since */
	uint32_t
		violations; /* writes to it meanwhile; a new name for it while there is something unsynced */
} order;

int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t size, off_t pos);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t pos);

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat stat;

	if (strstr(to, RECYCLE_SUFFIX) != NULL && fstatat(from_fd, from, &stat, 0) == 0) {
		order.is_rename_open = true;
		order.inode = stat.st_ino;
		order.renames++;
	}
	if (strstr(from, RECYCLE_SUFFIX) != NULL) { /* it serves again, when that is durable */
		order.is_rename_open = true;
		order.violations += order.is_unsynced;
	}
	return __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_fsync(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat) == 0 && S_ISDIR(stat.st_mode))
		order.is_rename_open = false;
	return __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat) == 0 && stat.st_ino == order.inode)
		order.is_unsynced = false;
	return __real_fdatasync(fd);
}

static void check_order(int fd)
{
	struct stat stat;

	if (fstat(fd, &stat) != 0 || stat.st_ino != order.inode)
		return;
	order.violations += order.is_rename_open;
	order.is_unsynced = true;
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t pos)
{
	check_order(fd);
	return __real_pwrite64(fd, bytes, size, pos);
}

/* ---- the log ---- */

static void reopen(struct logbox *box, bool was_clean, int64_t checkpoint)
{
	assert_int_equal(logbox_open(box, was_clean, checkpoint), 0);
	uring_fake_set_auto(box->uring, true);
}

static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);

	memset(&order, 0, sizeof(order));
	box->args.settings.segment_size = SEGMENT_SIZE;
	box->args.settings.retention_size = 2 * SEGMENT_SIZE;
	CHECK(logbox_open(box, false, 0) == 0);
	uring_fake_set_auto(box->uring, true);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	logbox_free(*state);
	return order.violations > 0 ? -1 : 0;
}

static void append(struct logbox *box, uint32_t count, uint32_t value_size)
{
	for (uint32_t i = 0; i < count; i++) {
		logbox_append_many(box, 1, value_size);
		logbox_settle(box);
		logbox_housekeep(box);
	}
}

static ino_t inode_of(const struct logbox *box, int64_t base, const char *suffix)
{
	char path[TEMP_PATH_SIZE];
	struct stat stat;

	logbox_path(box, base, suffix, path);
	return lstat(path, &stat) == 0 ? stat.st_ino : 0;
}

/* Fill segments until one's file has been kept. @return its base */
static int64_t fill_until_kept(struct logbox *box)
{
	for (int i = 0; i < 1000 && box->log->recycled.fd < 0; i++)
		append(box, 1, VALUE_SIZE);
	assert_true(box->log->recycled.fd >= 0);
	return box->log->recycled.base;
}

/* ... and until the tail has such a file, with `count` batches in it. @return the tail's base */
static int64_t fill_until_recycled(struct logbox *box, uint32_t count)
{
	const struct segment *tail;

	(void)fill_until_kept(box);
	tail = box->log->tail;
	for (int i = 0; i < 1000 && box->log->tail == tail; i++)
		append(box, 1, VALUE_SIZE);
	assert_true(box->log->tail->is_recycled);
	if (count > 1)
		append(box, count - 1, VALUE_SIZE);
	return box->log->tail->base;
}

static void verify_all(struct logbox *box, int64_t end)
{
	assert_int_equal(seglog_next_offset(box->log), end);
	assert_int_equal(seglog_high_watermark(box->log), end);
	logbox_verify_range(box, seglog_start_offset(box->log), end, 100000);
}

/* ---- tests ---- */

static void test_recycle_next_segment_has_the_file(void **state)
{
	struct logbox *box = *state;
	int64_t kept = fill_until_kept(box), base;
	ino_t inode = inode_of(box, kept, ".log.recycled");
	uint32_t prepared;

	assert_true(inode != 0);
	assert_true(inode_of(box, kept, ".log") == 0);
	assert_true(inode_of(box, kept, ".index") == 0);
	base = fill_until_recycled(box, 1);
	assert_true(inode_of(box, base, ".log") == inode);
	assert_true(inode_of(box, kept, ".log.recycled") == 0);
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_RECYCLED), 1);
	/* All its space is there: nobody zeroes what is ahead. */
	prepared = box->log->tail->prepared;
	assert_true(prepared > SEGMENT_SIZE - 2 * VALUE_SIZE - SEGFILE_ALIGN);
	append(box, 10, VALUE_SIZE);
	assert_int_equal(box->log->tail->prepared, prepared);
	append(box, 100, VALUE_SIZE);
	assert_true(counters_get(&box->counters, COUNTER_SEGLOG_RECYCLED) > 5);
	assert_true(order.renames > 5);
	verify_all(box, seglog_next_offset(box->log));
}

/* The folder of a clean stop has whole segments and nothing of older ones. */
/* By what appends wait for alone: the end of the old segment syncs the folder too, and comes later. */
static void commit_first(struct logbox *box, bool has_snapshot)
{
	const struct segment *tail = box->log->tail;

	while (box->log->tail == tail) {
		assert_true(logbox_append(box, &(struct logbox_spec){ .value_size = VALUE_SIZE }) >=
			    0);
		if (box->log->tail != tail && !has_snapshot)
			box->log->tail->snapshot_size = 0; /* as if there were too many producers */
		box->wants_housekeep = false;
		seglog_prepare(box->log, box->now_ms);
		(void)seglog_flush(box->log);
		(void)uring_wait(box->uring, NS_PER_MS);
	}
	for (int i = 0; i < 10 && box->log->tail->durable == 0; i++) {
		(void)seglog_flush(box->log);
		(void)uring_wait(box->uring, NS_PER_MS);
	}
	assert_true(box->log->tail->is_recycled);
	assert_true(box->log->tail->durable > 0);
	assert_int_equal(order.violations, 0);
}

static void test_recycle_new_name_before_the_first_commit(void **state)
{
	struct logbox *box = *state;

	(void)fill_until_kept(box);
	commit_first(box, true);
	(void)fill_until_kept(box);
	commit_first(box, false);
}

static void test_recycle_nothing_old_after_a_clean_stop(void **state)
{
	struct logbox *box = *state;
	int64_t kept, base, end, start;

	append(box, 100, VALUE_SIZE);
	base = fill_until_recycled(box, 3);
	kept = fill_until_kept(box);
	end = seglog_next_offset(box->log);
	start = seglog_start_offset(box->log);
	assert_int_equal(logbox_close(box), 0);
	assert_true(inode_of(box, kept, ".log.recycled") == 0);
	reopen(box, true, end);
	assert_true(base >= start);
	for (const struct segment *segment = box->log->first; segment != NULL;
	     segment = segment->next) {
		int64_t size = logbox_load(box, segment->base, ".log"), next = segment->base;

		assert_int_equal(size, segment->size);
		for (uint32_t pos = 0; pos < size;) {
			struct batch batch;

			assert_int_equal(batch_decode(box->scratch + pos, &batch), 0);
			assert_int_equal(batch.base_offset, next);
			next = batch_last_offset(&batch) + 1;
			pos += batch.size;
		}
		assert_int_equal(next, segment->end_offset);
	}
	verify_all(box, end);
}

/* After each number of batches in such a segment; all have the size of the older ones behind them, so those
   stand exactly where a next one would. */
static void test_recycle_power_fails(void **state)
{
	struct logbox *box = *state;

	for (uint32_t count = 1; count < 13; count += 3) {
		int64_t base = fill_until_recycled(box, count), end = base + count;

		if (box->log->tail->base != base) /* full before */
			continue;
		assert_int_equal(seglog_next_offset(box->log), end);
		logbox_lose_ring(box);
		reopen(box, false, base + 1);
		assert_int_equal(box->found.truncated_size, 0);
		verify_all(box, end);
	}
}

static void check_header_behind(struct logbox *box)
{
	uint32_t end = box->log->tail->size;

	assert_true(logbox_load(box, box->log->tail->base, ".log") > end + BATCH_HEADER_SIZE);
	for (uint32_t i = 0; i < BATCH_HEADER_SIZE; i++)
		assert_int_equal(box->scratch[end + i], 0);
}

/* Ends at distances from a block's end that a header has no room in. */
static void test_recycle_header_behind_the_end_is_zeroes(void **state)
{
	struct logbox *box = *state;

	for (uint32_t distance = 0; distance < BATCH_HEADER_SIZE + 10; distance += 9) {
		int64_t base = fill_until_recycled(box, 1);
		uint32_t size = box->log->tail->size;
		uint32_t overhead = size - VALUE_SIZE;
		uint32_t block = ALIGN_UP(size + VALUE_SIZE, SEGFILE_ALIGN);

		append(box, 1, block - size - overhead - distance);
		assert_int_equal(box->log->tail->base, base);
		check_header_behind(box);
	}
}

/* ... also where the ring's memory had ended. */
static void test_recycle_header_behind_the_end_in_another_chunk(void **state)
{
	struct logbox *box = *state;
	uint32_t overhead, left;
	int64_t base;

	(void)fill_until_kept(box);
	while (!box->log->tail->is_recycled) {
		box->log->chunk_ms = 0; /* long ago: the next one is the smallest */
		append(box, 1, VALUE_SIZE);
	}
	base = box->log->tail->base;
	overhead = box->batches[base].size - VALUE_SIZE;
	assert_int_equal(box->log->tail_end, CHUNK_SIZE_MIN);
	while ((left = box->log->tail_end - box->log->tail->size) > 2 * VALUE_SIZE)
		append(box, 1, VALUE_SIZE);
	append(box, 1, left - overhead - BATCH_HEADER_SIZE / 2);
	assert_int_equal(box->log->tail->base, base);
	assert_in_range(CHUNK_SIZE_MIN - box->log->tail->size, 1, BATCH_HEADER_SIZE - 1);
	check_header_behind(box);
}

/* Killed at each step between the deletion and the first commit, with and without what is in the ring. */
static void test_recycle_killed_before_the_first_commit(void **state)
{
	struct logbox *box = *state;

	for (int with_ring = 0; with_ring < 2; with_ring++) {
		for (int steps = 0; steps < 6; steps++) {
			int64_t durable, end, kept = fill_until_kept(box);

			uring_fake_set_auto(box->uring, false);
			durable = seglog_high_watermark(box->log);
			do
				end = logbox_append(
					box, &(struct logbox_spec){ .value_size = VALUE_SIZE });
			while (end >= 0 && box->log->tail->size > 2 * VALUE_SIZE);
			for (int i = 0; i < steps; i++) {
				logbox_housekeep(box);
				if (i > 2)
					(void)uring_fake_perform_all(box->uring);
			}
			end = seglog_next_offset(box->log);
			if (with_ring)
				logbox_kill(box);
			else
				logbox_lose_ring(box);
			reopen(box, false, durable);
			assert_true(inode_of(box, kept, ".log.recycled") == 0);
			if (with_ring)
				assert_int_equal(seglog_next_offset(box->log), end);
			else
				assert_int_equal(box->found.truncated_size, 0);
			assert_in_range(seglog_next_offset(box->log), durable, end);
			box->batch_count = (uint32_t)seglog_next_offset(box->log);
			verify_all(box, seglog_next_offset(box->log));
		}
	}
}

/* A write that reached the disk in part, over older batches. */
static void test_recycle_torn_write(void **state)
{
	struct logbox *box = *state;

	for (uint32_t part = SEGFILE_ALIGN; part <= 4 * SEGFILE_ALIGN; part += SEGFILE_ALIGN) {
		int64_t base = fill_until_recycled(box, 5), end = base + 5;

		uring_fake_set_auto(box->uring, false);
		for (int i = 0; i < 5; i++)
			assert_true(logbox_append(box, &(struct logbox_spec){
							       .value_size = VALUE_SIZE }) >= 0);
		(void)seglog_flush(box->log);
		assert_int_equal(uring_fake_at(box->uring, 0)->kind, URING_FAKE_WRITE);
		uring_fake_perform_part(box->uring, 0, part);
		logbox_lose_ring(box);
		reopen(box, false, end);
		assert_in_range(seglog_next_offset(box->log), end, end + 4);
		box->batch_count = (uint32_t)seglog_next_offset(box->log);
		verify_all(box, seglog_next_offset(box->log));
	}
}

/* Rolled, not trimmed yet, and older batches behind its end; the next one has promised batches. */
static void test_recycle_rolled_segment_is_followed(void **state)
{
	struct logbox *box = *state;
	int64_t base = fill_until_recycled(box, 5), end;
	uint8_t garbage[BATCH_HEADER_SIZE];

	memset(garbage, 0x5a, sizeof(garbage)); /* of a batch that was given up */
	logbox_damage(box, base, ".log", box->log->tail->size, garbage, sizeof(garbage));
	box->now_ms += box->args.settings.segment_ms;
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = VALUE_SIZE }),
			 base + 5);
	box->log->tail->prev->is_finished = true; /* the housekeeper does not come to it */
	logbox_settle(box);
	assert_true(logbox_load(box, base, ".log") > box->log->tail->prev->size);
	end = seglog_next_offset(box->log);
	assert_int_equal(end, base + 6);
	logbox_lose_ring(box);
	reopen(box, false, base);
	assert_int_equal(box->log->tail->base, base + 5);
	assert_int_equal(box->found.truncated_size, 0);
	verify_all(box, end);
}

static void test_recycle_not_what_somebody_reads(void **state)
{
	struct logbox *box = *state;
	char path[TEMP_PATH_SIZE];
	struct partitions *table;
	int lease;

	(void)snprintf(path, sizeof(path), "%.400s/partitions", box->dir);
	assert_int_equal(partitions_open(path, true, &table), 0);
	lease = partitions_lease_take(table);
	assert_true(lease >= 0);
	box->log->readers = table;
	append(box, 80, VALUE_SIZE);
	assert_true(seglog_start_offset(box->log) > 0);
	assert_true(order.renames > 0);
	assert_int_equal(box->log->recycled.fd, -1);
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_RECYCLED), 0);
	partitions_lease_release(table, lease);
	(void)fill_until_recycled(box, 1);
	partitions_close(table);
	box->log->readers = NULL;
}

static void test_recycle_not_for_long(void **state)
{
	struct logbox *box = *state;
	int64_t kept = fill_until_kept(box);

	box->now_ms += RECYCLE_KEEP_MS - 1;
	logbox_housekeep(box);
	assert_true(inode_of(box, kept, ".log.recycled") != 0);
	box->now_ms += 1;
	logbox_housekeep(box);
	assert_true(inode_of(box, kept, ".log.recycled") == 0);
	assert_int_equal(box->log->recycled.fd, -1);
	append(box, 100, VALUE_SIZE);
	verify_all(box, seglog_next_offset(box->log));
}

/* segment.bytes was lowered meanwhile. */
static void test_recycle_not_what_is_too_large(void **state)
{
	struct logbox *box = *state;
	const struct segment *tail;

	(void)fill_until_kept(box);
	box->args.settings.segment_size = SEGMENT_SIZE / 2;
	seglog_configure(box->log, &box->args.settings);
	retain_segment_free(box->log->spare); /* made before */
	box->log->spare = NULL;
	tail = box->log->tail;
	while (box->log->tail == tail)
		append(box, 1, VALUE_SIZE);
	assert_false(box->log->tail->is_recycled);
	append(box, 100, VALUE_SIZE);
	verify_all(box, seglog_next_offset(box->log));
}

static void test_recycle_full_disk_gets_the_space(void **state)
{
	struct logbox *box = *state;
	int64_t kept = fill_until_kept(box);
	int fd = box->log->tail->fd;

	box->log->tail->prepared = ALIGN_UP(box->log->tail->size, SEGFILE_ALIGN);
	box->log->tail->fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	assert_true(box->log->tail->fd >= 0);
	while (logbox_append(box, &(struct logbox_spec){ .value_size = VALUE_SIZE }) >= 0)
		logbox_housekeep(box);
	assert_int_equal(box->log->prepare_error, -ENOSPC);
	assert_true(inode_of(box, kept, ".log.recycled") == 0);
	(void)close(box->log->tail->fd);
	box->log->tail->fd = fd;
	logbox_settle(box);
	append(box, 100, VALUE_SIZE);
	verify_all(box, seglog_next_offset(box->log));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_recycle_next_segment_has_the_file),
		TEST(test_recycle_new_name_before_the_first_commit),
		TEST(test_recycle_nothing_old_after_a_clean_stop),
		TEST(test_recycle_power_fails),
		TEST(test_recycle_header_behind_the_end_is_zeroes),
		TEST(test_recycle_header_behind_the_end_in_another_chunk),
		TEST(test_recycle_killed_before_the_first_commit),
		TEST(test_recycle_torn_write),
		TEST(test_recycle_rolled_segment_is_followed),
		TEST(test_recycle_not_what_somebody_reads),
		TEST(test_recycle_not_for_long),
		TEST(test_recycle_not_what_is_too_large),
		TEST(test_recycle_full_disk_gets_the_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
