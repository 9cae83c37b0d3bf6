/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: whatever a crash leaves, a log opens with exactly the batches it had promised plus a clean
   prefix of the rest, and damage to promised batches is reported, never cut away. Shown by killing,
   damaging and reopening real folders, and by comparing what is read with what was appended. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE (UINT64_C(16) * 1024 * 1024)

static void reopen(struct logbox *box, bool was_clean, int64_t checkpoint, int expected)
{
	assert_int_equal(logbox_open(box, was_clean, checkpoint), expected);
	uring_fake_set_auto(box->uring, true);
}

static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);

	reopen(box, false, 0, 0);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	logbox_free(*state);
	return 0;
}

static void set_segment_size(struct logbox *box, uint32_t size)
{
	box->args.settings.segment_size = size;
	seglog_configure(box->log, &box->args.settings);
}

static void test_recover_new_folder(void **state)
{
	struct logbox *box = *state;
	char path[TEMP_PATH_SIZE], id[UUID_TEXT_SIZE], expected[128], text[128] = { 0 };
	int fd;

	uuid_format(&box->args.topic_id, id);
	(void)snprintf(expected, sizeof(expected), "version: 0\ntopic_id: %s\n", id);
	(void)snprintf(path, sizeof(path), "%.400s/%s/partition.metadata", box->dir, LOGBOX_FOLDER);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	(void)close(fd);
	assert_string_equal(text, expected);
	assert_int_equal(seglog_next_offset(box->log), 0);
	assert_int_equal(seglog_size(box->log), 0);
}

static void test_recover_refuses_another_topic(void **state)
{
	struct logbox *box = *state;

	assert_int_equal(logbox_close(box), 0);
	box->args.topic_id.bytes[0]++;
	assert_int_equal(logbox_open(box, true, 0), -EEXIST);
	box->log = NULL;
}

static void test_recover_after_clean_stop(void **state)
{
	struct logbox *box = *state;

	set_segment_size(box, 256 * 1024);
	logbox_append_many(box, 500, 3000);
	assert_int_equal(logbox_close(box), 0);
	reopen(box, true, 500, 0);
	assert_int_equal(box->found.segments, 0);
	assert_true(box->found.scanned_size == 0);
	assert_int_equal(seglog_next_offset(box->log), 500);
	assert_int_equal(seglog_high_watermark(box->log), 500);
	logbox_verify_range(box, 0, 500, 100000);
	logbox_append_many(box, 300, 3000);
	logbox_settle(box);
	logbox_verify_range(box, 0, 800, 100000);
	assert_int_equal(logbox_close(box), 0);
	reopen(box, true, 800, 0);
	logbox_verify_range(box, 0, 800, 100000);
}

/* Only the first part was flushed; the ring brings the rest back. */
static void test_recover_after_kill_with_the_ring(void **state)
{
	struct logbox *box = *state;

	logbox_append_many(box, 50, 3000);
	logbox_settle(box);
	uring_fake_set_auto(box->uring, false);
	logbox_append_many(box, 300, 3000);
	assert_int_equal(seglog_high_watermark(box->log), 50);
	logbox_kill(box);
	reopen(box, false, 50, 0);
	assert_int_equal(seglog_high_watermark(box->log), 350);
	logbox_verify_range(box, 0, 350, 100000);
	logbox_append_many(box, 5, 100);
	logbox_settle(box);
	logbox_verify_range(box, 0, 355, 100000);
}

/* Killed at any point of a roll: the second segment may have no file yet. */
static void test_recover_after_kill_in_a_roll(void **state)
{
	struct logbox *box = *state;

	logbox_housekeep(box);
	logbox_append_many(box, 10, 3000);
	box->now_ms += box->args.settings.segment_ms;
	logbox_append_many(box, 10, 3000);
	assert_int_equal(box->log->tail->base, 10);
	logbox_kill(box);
	reopen(box, false, 0, 0);
	assert_int_equal(seglog_next_offset(box->log), 20);
	assert_int_equal(box->log->tail->base, 10);
	logbox_verify_range(box, 0, 20, 100000);
}

static void test_recover_without_the_ring(void **state)
{
	struct logbox *box = *state;

	logbox_append_many(box, 50, 3000);
	logbox_settle(box);
	uring_fake_set_auto(box->uring, false);
	logbox_append_many(box, 300, 3000);
	logbox_lose_ring(box);
	reopen(box, false, 50, 0);
	assert_int_equal(seglog_high_watermark(box->log), 50);
	assert_int_equal(box->found.truncated_size,
			 0); /* prepared zeroes only: no loss to report */
	logbox_verify_range(box, 0, 50, 100000);
	/* The offsets above are given anew. */
	box->batch_count = 50;
	logbox_append_many(box, 5, 100);
	logbox_settle(box);
	logbox_verify_range(box, 0, 55, 100000);
}

/* A write that only partly reached the disk: every cut of the last batch. */
static void test_recover_torn_tail(void **state)
{
	struct logbox *box = *state;
	struct stat stat;
	uint32_t end, last = 0;
	int64_t size;

	logbox_append_many(box, 20, 700);
	logbox_settle(box);
	end = box->log->tail->size;
	last = box->batches[19].size;
	/* A record ends in a zero, so less than three bytes may be no cut at all. */
	for (uint32_t cut = 3; cut <= last; cut += cut < 70 ? 1 : 97) {
		uint8_t zeros[1024] = { 0 };
		char path[TEMP_PATH_SIZE];

		logbox_lose_ring(box);
		logbox_damage(box, 0, ".log", end - cut, zeros, cut);
		reopen(box, false, 10, 0);
		assert_int_equal(seglog_next_offset(box->log), 19);
		logbox_path(box, 0, ".log", path);
		assert_int_equal(lstat(path, &stat), 0);
		assert_int_equal(stat.st_size, end - last);
		box->batch_count = 19;
		logbox_append_many(box, 1, 700);
		logbox_settle(box);
		assert_int_equal(box->log->tail->size, end);
	}
	size = logbox_load(box, 0, ".log");
	assert_true(size >= end);
	logbox_verify_range(box, 0, 20, 100000);
}

static void test_recover_garbage_tail(void **state)
{
	struct logbox *box = *state;
	uint8_t garbage[5000];

	logbox_append_many(box, 20, 700);
	logbox_settle(box);
	memset(garbage, 0xa5, sizeof(garbage));
	logbox_damage(box, 0, ".log", box->log->tail->size, garbage, sizeof(garbage));
	logbox_lose_ring(box);
	reopen(box, false, 20, 0);
	assert_true(box->found.truncated_size >= sizeof(garbage));
	assert_int_equal(seglog_next_offset(box->log), 20);
	logbox_verify_range(box, 0, 20, 100000);
}

/* A valid batch of the past behind the end must not be taken for a new one. */
static void test_recover_old_batch_behind_the_end(void **state)
{
	struct logbox *box = *state;
	uint32_t first = 0;
	int64_t size;

	logbox_append_many(box, 20, 700);
	logbox_settle(box);
	first = box->batches[0].size;
	size = logbox_load(box, 0, ".log");
	assert_true(size > 0);
	logbox_damage(box, 0, ".log", box->log->tail->size, box->scratch, first);
	logbox_lose_ring(box);
	reopen(box, false, 0, 0);
	assert_int_equal(seglog_next_offset(box->log), 20);
}

static void test_recover_damage_below_the_checkpoint_is_offline(void **state)
{
	struct logbox *box = *state;
	struct stat before, after;
	struct seglog_read read;
	char path[TEMP_PATH_SIZE];
	uint8_t byte = 0;
	int64_t pos;

	logbox_append_many(box, 100, 700);
	logbox_settle(box);
	pos = box->log->tail->size / 2;
	logbox_lose_ring(box);
	logbox_path(box, 0, ".log", path);
	(void)logbox_load(box, 0, ".log");
	byte = (uint8_t)~box->scratch[pos];
	logbox_damage(box, 0, ".log", pos, &byte, 1);
	assert_int_equal(stat(path, &before), 0);
	reopen(box, false, 90, ERR_CORRUPT);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_size == after.st_size);
	assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	assert_int_equal(seglog_error(box->log), ERR_OFFLINE);
	assert_int_equal(seglog_reserve(box->log, 100, 0), ERR_OFFLINE);
	assert_int_equal(logbox_read(box, 0, 1000, INT64_MAX, &read), ERR_OFFLINE);
	assert_int_equal(logbox_close(box), ERR_OFFLINE);
	/* Above the checkpoint the same damage is a torn tail. */
	reopen(box, false, 40, 0);
	assert_true(seglog_next_offset(box->log) >= 40);
	assert_true(seglog_next_offset(box->log) < 60);
	logbox_verify_range(box, 0, seglog_next_offset(box->log), 100000);
}

static void test_recover_damage_drops_later_segments(void **state)
{
	struct logbox *box = *state;
	uint8_t zero = 0;
	int64_t base;

	set_segment_size(box, 64 * 1024);
	logbox_append_many(box, 100, 3000);
	logbox_settle(box);
	base = box->log->first->next->base;
	assert_true(base > 0);
	logbox_lose_ring(box);
	logbox_damage(box, base, ".log", 16, &zero, 1);
	reopen(box, false, 0, 0);
	assert_int_equal(seglog_next_offset(box->log), base);
	assert_int_equal(box->log->tail->base, base);
	assert_int_equal(logbox_load(box, base, ".log"), 0);
	logbox_verify_range(box, 0, base, 100000);
	box->batch_count = (uint32_t)base;
	logbox_append_many(box, 100, 3000);
	logbox_settle(box);
	logbox_verify_range(box, 0, base + 100, 100000);
}

/* Indexes are caches: gone or wrong, they come back as they were. */
static void test_recover_rebuilds_indexes(void **state)
{
	struct logbox *box = *state;
	uint8_t *index = malloc(65536), *times = malloc(65536);
	int64_t index_size, times_size;
	char path[TEMP_PATH_SIZE];

	set_segment_size(box, 256 * 1024);
	logbox_append_many(box, 200, 3000);
	logbox_settle(box);
	index_size = logbox_load(box, 0, ".index");
	assert_true(index_size > 8);
	memcpy(index, box->scratch, (size_t)index_size);
	times_size = logbox_load(box, 0, ".timeindex");
	assert_true(times_size >= 12);
	memcpy(times, box->scratch, (size_t)times_size);
	assert_int_equal(logbox_close(box), 0);
	logbox_path(box, 0, ".index", path);
	assert_int_equal(unlink(path), 0);
	logbox_path(box, 0, ".timeindex", path);
	assert_int_equal(truncate(path, 7), 0);
	reopen(box, true, 200, 0);
	logbox_verify_range(box, 0, 200, 100000);
	assert_int_equal(logbox_load(box, 0, ".index"), index_size);
	assert_memory_equal(box->scratch, index, index_size);
	assert_int_equal(logbox_load(box, 0, ".timeindex"), times_size);
	assert_memory_equal(box->scratch, times, times_size);
	free(index);
	free(times);
}

/* The sequence state is that of the log, after every kind of stop. */
static void test_recover_producers(void **state)
{
	struct logbox *box = *state;
	struct logbox_spec spec = { .records = 2, .producer_id = 77 };

	for (int i = 0; i < 10; i++, spec.sequence += 2)
		assert_int_equal(logbox_append(box, &spec), 2 * i);
	assert_int_equal(logbox_close(box), 0);
	reopen(box, true, 20, 0);
	spec.sequence = 18;
	assert_int_equal(logbox_append(box, &spec), ERR_DUPLICATE);
	spec.sequence = 22;
	assert_int_equal(logbox_append(box, &spec), ERR_OUT_OF_ORDER);
	/* Another producer's segment, then a crash: the first one is known by the snapshot alone. */
	logbox_housekeep(box);
	box->now_ms += box->args.settings.segment_ms;
	logbox_append_many(box, 10, 100);
	logbox_settle(box);
	logbox_kill(box);
	reopen(box, false, 30, 0);
	assert_int_equal(box->found.segments, 1);
	spec.sequence = 18;
	assert_int_equal(logbox_append(box, &spec), ERR_DUPLICATE);
	spec.sequence = 20;
	assert_int_equal(logbox_append(box, &spec), 30);
	/* And by scanning everything when the snapshots are gone: all five batches of the ring again. */
	logbox_settle(box);
	logbox_kill(box);
	for (int64_t offset = 0; offset <= 30; offset++) {
		char path[TEMP_PATH_SIZE];

		logbox_path(box, offset, ".snapshot", path);
		(void)unlink(path);
	}
	reopen(box, false, 30, 0);
	assert_int_equal(box->found.segments, 2);
	for (spec.sequence = 12; spec.sequence <= 20; spec.sequence += 2)
		assert_int_equal(logbox_append(box, &spec), ERR_DUPLICATE);
	spec.sequence = 10;
	assert_int_equal(logbox_append(box, &spec), ERR_OUT_OF_ORDER);
}

static void test_recover_epochs(void **state)
{
	struct logbox *box = *state;
	int32_t epoch;

	logbox_append_many(box, 10, 100);
	logbox_settle(box);
	logbox_kill(box);
	box->args.leader_epoch = 6;
	reopen(box, false, 0, 0);
	assert_int_equal(seglog_leader_epoch(box->log), 6);
	logbox_append_many(box, 10, 100);
	logbox_settle(box);
	assert_int_equal(seglog_epoch_end(box->log, 4, &epoch), 10);
	assert_int_equal(epoch, 4);
	assert_int_equal(seglog_epoch_end(box->log, 5, &epoch), 10);
	assert_int_equal(epoch, 4);
	assert_int_equal(seglog_epoch_end(box->log, 6, &epoch), 20);
	assert_int_equal(logbox_close(box), 0);
	/* A caller that forgot does not go back. */
	box->args.leader_epoch = 1;
	reopen(box, true, 20, 0);
	assert_int_equal(seglog_leader_epoch(box->log), 6);
}

static void test_recover_removes_leftovers(void **state)
{
	struct logbox *box = *state;
	char path[TEMP_PATH_SIZE];
	int fd;

	logbox_append_many(box, 3, 100);
	assert_int_equal(logbox_close(box), 0);
	logbox_path(box, 700, ".log.deleted", path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	reopen(box, true, 3, 0);
	assert_int_equal(logbox_load(box, 700, ".log.deleted"), -1);
	assert_int_equal(seglog_next_offset(box->log), 3);
}

/* An empty log; the ring's memory stays as it is. */
static void begin_anew(struct logbox *box)
{
	char path[TEMP_PATH_SIZE];

	logbox_kill(box);
	logbox_path(box, 0, ".log", path);
	assert_int_equal(unlink(path), 0);
	box->identity.directory_id.bytes[0]++;
	box->batch_count = 0;
	reopen(box, false, 0, 0);
	assert_int_equal(seglog_next_offset(box->log), 0);
}

/* Another box's log of the same offsets and positions was in the ring's memory: the worst neighbour. */
static void live_once_before(struct logbox *box, uint32_t count, uint32_t value_size)
{
	begin_anew(box);
	logbox_append_many(box, count, value_size);
	begin_anew(box);
}

/* A chunk is not cleared when it is taken: what was in it must never be found behind the tail. Killed
   after each number of appends, so that the tail lies anywhere in a block and across chunks. */
static void test_recover_old_memory_behind_the_tail(void **state)
{
	static const uint32_t value_sizes[] = { 100, 1500, 3977, 66000 };
	struct logbox *box = *state;

	for (size_t i = 0; i < ARRAY_COUNT(value_sizes); i++) {
		for (uint32_t count = 1; count < 60; count += 3) {
			uint32_t size = value_sizes[i];

			live_once_before(box, 70, size);
			logbox_append_many(box, count, size);
			logbox_kill(box);
			reopen(box, false, 0, 0);
			assert_int_equal(seglog_next_offset(box->log), count);
			logbox_verify_range(box, 0, count, 100000);
			/* On the same bytes again: what the salvage has written is cut off. */
			logbox_append_many(box, 1, size / 2);
			logbox_kill(box);
			reopen(box, false, 0, 0);
			assert_int_equal(seglog_next_offset(box->log), count + 1);
			logbox_verify_range(box, 0, count + 1, 100000);
		}
	}
}

/* The same while a batch is being received, and after one was given up. */
static void test_recover_old_memory_under_a_reservation(void **state)
{
	struct logbox *box = *state;

	for (uint32_t part = 0; part <= BATCH_HEADER_SIZE + 40; part += 7) {
		for (int is_abandoned = 0; is_abandoned < 2; is_abandoned++) {
			uint32_t room;

			live_once_before(box, 40, 3000);
			logbox_append_many(box, 20, 3000);
			assert_int_equal(seglog_reserve(box->log, 200000, box->now_ms), 0);
			memset(seglog_room(box->log, 0, &room), 0xee, part);
			if (is_abandoned) {
				seglog_abandon(box->log);
				logbox_append_many(box, 1, 1000);
			}
			logbox_kill(box);
			reopen(box, false, 0, 0);
			assert_int_equal(seglog_next_offset(box->log), 20 + is_abandoned);
			logbox_verify_range(box, 0, 20 + is_abandoned, 100000);
		}
	}
}

/* The block that a flush rounds up to goes to the file: nothing of the chunk's past may be in it. */
static void test_recover_old_memory_stays_out_of_files(void **state)
{
	struct logbox *box = *state;
	uint32_t end;
	int64_t size;

	live_once_before(box, 40, 3000);
	logbox_append_many(box, 3, 1000);
	logbox_settle(box);
	end = box->log->tail->size;
	size = logbox_load(box, 0, ".log");
	assert_true(size >= end);
	for (int64_t at = end; at < size; at++)
		assert_int_equal(box->scratch[at], 0);
}

static void test_recover_remains_of_a_deleted_topic(void **state)
{
	struct logbox *box = *state;
	const uint8_t bytes[16] = { 1 };
	const struct chunk_remains remains = { .partition = 99, .size = 16, .bytes = bytes };

	assert_int_equal(seglog_salvage_write(box->log_dir_fd, "gone", &remains), -ENOENT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_recover_new_folder),
		TEST(test_recover_refuses_another_topic),
		TEST(test_recover_after_clean_stop),
		TEST(test_recover_after_kill_with_the_ring),
		TEST(test_recover_after_kill_in_a_roll),
		TEST(test_recover_without_the_ring),
		TEST(test_recover_torn_tail),
		TEST(test_recover_garbage_tail),
		TEST(test_recover_old_batch_behind_the_end),
		TEST(test_recover_damage_below_the_checkpoint_is_offline),
		TEST(test_recover_damage_drops_later_segments),
		TEST(test_recover_rebuilds_indexes),
		TEST(test_recover_producers),
		TEST(test_recover_epochs),
		TEST(test_recover_removes_leftovers),
		TEST(test_recover_old_memory_behind_the_tail),
		TEST(test_recover_old_memory_under_a_reservation),
		TEST(test_recover_old_memory_stays_out_of_files),
		TEST(test_recover_remains_of_a_deleted_topic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
