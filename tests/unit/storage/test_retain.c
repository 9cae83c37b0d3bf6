/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: after a clean close the folder holds what Kafka would have written, byte for byte; retention
   removes the oldest segments and only those; deleting a topic leaves nothing; a full disk stops appends
   and nothing else. Shown on files, with an own reading of Kafka's rules for the indexes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE (UINT64_C(16) * 1024 * 1024)

static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);

	box->args.settings.segment_size = 128 * 1024;
	CHECK(logbox_open(box, false, 0) == 0);
	uring_fake_set_auto(box->uring, true);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	logbox_free(*state);
	return 0;
}

static void append(struct logbox *box, uint32_t count, const struct logbox_spec *spec)
{
	for (uint32_t i = 0; i < count; i++) {
		int64_t offset;

		while ((offset = logbox_append(box, spec)) == -EAGAIN)
			logbox_settle(box);
		assert_true(offset >= 0);
	}
	logbox_settle(box);
}

/* What Kafka's DumpLogSegments demands: an offset entry names the batch at its position by that batch's
   last offset; a time entry holds the largest timestamp so far and the batch it is in. */
static void check_segment(struct logbox *box, int64_t base, int64_t *ret_next)
{
	static uint8_t log[1024 * 1024], index[65536], times[65536];
	int64_t log_size = logbox_load(box, base, ".log");
	int64_t index_size, times_size, max_timestamp = -1, max_offset = -1, next = base;
	uint32_t index_at = 0, times_at = 0, since = 0;

	assert_in_range(log_size, 0, sizeof(log));
	memcpy(log, box->scratch, (size_t)log_size);
	index_size = logbox_load(box, base, ".index");
	assert_in_range(index_size, 0, sizeof(index));
	memcpy(index, box->scratch, (size_t)index_size);
	times_size = logbox_load(box, base, ".timeindex");
	assert_in_range(times_size, 0, sizeof(times));
	memcpy(times, box->scratch, (size_t)times_size);
	for (uint32_t pos = 0; pos < log_size;) {
		struct batch batch;

		assert_int_equal(batch_decode(log + pos, &batch), 0);
		assert_int_equal(batch.base_offset, next);
		next = batch_last_offset(&batch) + 1;
		if (batch.max_timestamp > max_timestamp) {
			max_timestamp = batch.max_timestamp;
			max_offset = next - 1;
		}
		if (since > 4096) {
			assert_true(index_at < index_size);
			assert_int_equal(bytes_load_u32(index + index_at), next - 1 - base);
			assert_int_equal(bytes_load_u32(index + index_at + 4), pos);
			index_at += 8;
			since = 0;
			if (times_at < times_size &&
			    bytes_load_u64(times + times_at) == (uint64_t)max_timestamp) {
				assert_int_equal(bytes_load_u32(times + times_at + 8),
						 max_offset - base);
				times_at += 12;
			}
		}
		since += batch.size;
		pos += batch.size;
	}
	assert_int_equal(index_at, index_size);
	if (times_at < times_size) { /* the one of the end */
		assert_int_equal(bytes_load_u64(times + times_at), max_timestamp);
		assert_int_equal(bytes_load_u32(times + times_at + 8), max_offset - base);
		times_at += 12;
	}
	assert_int_equal(times_at, times_size);
	if (times_size > 0)
		assert_int_equal(bytes_load_u64(times + times_size - 12), max_timestamp);
	*ret_next = next;
}

/* The file of epochs begins like this. */
static void check_epochs(const struct logbox *box, const char *expected)
{
	char path[TEMP_PATH_SIZE], text[256] = { 0 };
	int fd;

	(void)snprintf(path, sizeof(path), "%.400s/%s/leader-epoch-checkpoint", box->dir,
		       LOGBOX_FOLDER);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	(void)close(fd);
	assert_memory_equal(text, expected, strlen(expected));
}

static void test_retain_clean_close_is_kafkas(void **state)
{
	struct logbox *box = *state;
	int64_t base = 0, next = 0;
	uint32_t segments = 0;

	for (int i = 0; i < 20; i++) {
		box->now_ms += i % 5 - 2; /* timestamps go back now and then */
		append(box, 10, &(struct logbox_spec){ .value_size = 1500, .records = 2 });
	}
	assert_int_equal(logbox_close(box), 0);
	for (base = 0; base < 400; base = next, segments++)
		check_segment(box, base, &next);
	assert_int_equal(next, 400);
	assert_true(segments > 3);
	check_epochs(box, "0\n1\n4 0\n");
}

static void test_retain_snapshot_bytes(void **state)
{
	struct logbox *box = *state;
	const uint8_t *entry = box->scratch + 10;

	append(box, 1, &(struct logbox_spec){ .records = 4, .producer_id = 1000, .epoch = 3 });
	append(box, 1,
	       &(struct logbox_spec){ .records = 2,
				      .producer_id = 1000,
				      .epoch = 3,
				      .sequence = 4,
				      .timestamp = 123456789 });
	assert_int_equal(logbox_close(box), 0);
	assert_int_equal(logbox_load(box, 6, ".snapshot"), 10 + 46);
	assert_int_equal(bytes_load_u16(box->scratch), 1);
	assert_int_equal(bytes_load_u32(box->scratch + 2),
			 crc32c_extend(CRC32C_INIT, box->scratch + 6, 50));
	assert_int_equal(bytes_load_u32(box->scratch + 6), 1);
	assert_int_equal(bytes_load_u64(entry), 1000);
	assert_int_equal(bytes_load_u16(entry + 8), 3);
	assert_int_equal(bytes_load_u32(entry + 10), 5);
	assert_int_equal(bytes_load_u64(entry + 14), 5);
	assert_int_equal(bytes_load_u32(entry + 22), 1);
	assert_int_equal(bytes_load_u64(entry + 26), 123456789);
	assert_int_equal(bytes_load_u32(entry + 34), UINT32_MAX);
	assert_int_equal(bytes_load_u64(entry + 38), UINT64_MAX);
}

static void test_retain_by_size(void **state)
{
	struct logbox *box = *state;
	int64_t start;

	append(box, 300, &(struct logbox_spec){ .value_size = 3000 });
	logbox_housekeep(box);
	assert_int_equal(seglog_start_offset(box->log), 0);
	box->args.settings.retention_size = 400 * 1024;
	seglog_configure(box->log, &box->args.settings);
	logbox_housekeep(box);
	start = seglog_start_offset(box->log);
	assert_true(start > 0);
	assert_true(seglog_size(box->log) >= 400 * 1024);
	assert_true(seglog_size(box->log) < (400 + 128) * 1024);
	/* The core let go first; the files go with the next turn of the housekeeper. */
	assert_true(logbox_load(box, 0, ".log") >= 0);
	logbox_settle(box);
	assert_int_equal(logbox_load(box, 0, ".log"), -1);
	assert_int_equal(logbox_load(box, 0, ".index"), -1);
	assert_int_equal(logbox_load(box, 0, ".log.deleted"), -1);
	logbox_verify_range(box, start, 300, 100000);
	assert_int_equal(logbox_close(box), 0);
	assert_int_equal(logbox_open(box, true, 300), 0);
	uring_fake_set_auto(box->uring, true);
	assert_int_equal(seglog_start_offset(box->log), start);
	logbox_verify_range(box, start, 300, 100000);
}

/* A thousand logs that rolled at once waited for the ends of one another's old segments. */
static void test_retain_prepare_leaves_the_old_segment_for_later(void **state)
{
	struct logbox *box = *state;
	const struct segment *first = box->log->first;

	while (logbox_append(box, &(struct logbox_spec){ .value_size = 3000 }) >= 0 &&
	       box->log->tail == first)
		logbox_settle(box);
	assert_ptr_not_equal(box->log->tail, first);
	seglog_prepare(box->log, box->now_ms);
	assert_true(box->log->tail->fd >= 0);
	assert_true(box->log->tail->prepared > 0);
	assert_true(first->is_done);
	assert_false(first->is_finished);
	assert_int_equal(logbox_load(box, 0, ".index"), -1);
	(void)seglog_housekeep(box->log, box->now_ms);
	assert_true(first->is_finished);
	assert_true(logbox_load(box, 0, ".index") >= 0);
	logbox_settle(box);
	logbox_verify_range(box, 0, seglog_next_offset(box->log), 100000);
}

static void test_retain_forgets_epochs_that_are_gone(void **state)
{
	struct logbox *box = *state;

	append(box, 100, &(struct logbox_spec){ .value_size = 3000 });
	assert_int_equal(logbox_close(box), 0);
	box->args.leader_epoch = 5;
	assert_int_equal(logbox_open(box, true, 100), 0);
	uring_fake_set_auto(box->uring, true);
	append(box, 10, &(struct logbox_spec){ .value_size = 3000 });
	box->args.settings.retention_size = 200 * 1024;
	seglog_configure(box->log, &box->args.settings);
	logbox_housekeep(box);
	logbox_settle(box);
	assert_true(seglog_start_offset(box->log) > 0);
	assert_true(seglog_start_offset(box->log) < 100);
	check_epochs(box, "0\n2\n4 0\n5 100\n"); /* both are still needed */
	append(box, 200, &(struct logbox_spec){ .value_size = 3000 });
	logbox_housekeep(box);
	logbox_settle(box);
	assert_true(seglog_start_offset(box->log) > 100);
	check_epochs(box, "0\n1\n5 ");
}

/* Two things that a log has to do when nobody writes, reads or flushes. */
static void test_retain_idle_log_loses_its_last_records(void **state)
{
	struct logbox *box = *state;

	append(box, 10, &(struct logbox_spec){ .value_size = 3000 });
	box->args.settings.retention_ms = 1000;
	seglog_configure(box->log, &box->args.settings);
	box->now_ms += 1001;
	for (int i = 0; i < 6; i++) {
		/* The housekeeper's periodic round: the core flushes when told so, and only then. */
		box->wants_housekeep = false;
		if (seglog_housekeep(box->log, box->now_ms))
			(void)seglog_flush(box->log);
		(void)uring_wait(box->uring, NS_PER_MS);
	}
	assert_int_equal(seglog_start_offset(box->log), 10);
	assert_int_equal(seglog_next_offset(box->log), 10);
	assert_ptr_equal(box->log->first, box->log->tail);
	assert_int_equal(chunk_pool_available(box->chunks), chunk_pool_size(box->chunks));
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 10);
	logbox_settle(box);
	logbox_verify_range(box, 10, 11, 100000);
	assert_int_equal(logbox_close(box), 0);
	assert_int_equal(logbox_open(box, true, 11), 0);
	uring_fake_set_auto(box->uring, true);
	assert_int_equal(seglog_start_offset(box->log), 10);
	logbox_verify_range(box, 10, 11, 100000);
}

static void test_retain_idle_log_gives_its_last_chunk_back(void **state)
{
	struct logbox *box = *state;

	append(box, 3, &(struct logbox_spec){ 0 });
	assert_true(chunk_pool_available(box->chunks) < chunk_pool_size(box->chunks));
	assert_false(seglog_housekeep(box->log, box->now_ms));
	box->now_ms += 6000;
	assert_true(seglog_housekeep(box->log, box->now_ms));
	(void)seglog_flush(box->log);
	assert_int_equal(chunk_pool_available(box->chunks), chunk_pool_size(box->chunks));
	assert_false(seglog_housekeep(box->log, box->now_ms)); /* once */
}

/* A record that comes when the roll is asked for is in the next segment, and stays. */
static void test_retain_expired_tail_goes_without_the_new_record(void **state)
{
	struct logbox *box = *state;

	append(box, 10, &(struct logbox_spec){ .value_size = 3000 });
	box->args.settings.retention_ms = 1000;
	seglog_configure(box->log, &box->args.settings);
	box->now_ms += 1001;
	assert_true(seglog_housekeep(box->log, box->now_ms));
	append(box, 1, &(struct logbox_spec){ 0 });
	logbox_housekeep(box);
	logbox_settle(box);
	assert_int_equal(seglog_start_offset(box->log), 10);
	logbox_verify_range(box, 10, 11, 100000);
}

static void test_retain_by_time_spares_a_tail_with_newer_records(void **state)
{
	struct logbox *box = *state;

	append(box, 100, &(struct logbox_spec){ .value_size = 3000 });
	box->args.settings.retention_ms = 1000;
	seglog_configure(box->log, &box->args.settings);
	logbox_housekeep(box);
	assert_int_equal(seglog_start_offset(box->log), 0);
	box->now_ms += 1001;
	append(box, 1, &(struct logbox_spec){ .value_size = 3000 });
	logbox_housekeep(box);
	assert_int_equal(seglog_start_offset(box->log), box->log->tail->base);
	assert_ptr_equal(box->log->first, box->log->tail);
	logbox_settle(box);
	logbox_verify_range(box, seglog_start_offset(box->log), 101, 100000);
}

/* An answer is being sent while its segment goes: its bytes stay as they are. */
static void test_retain_leaves_chunks_that_are_being_sent(void **state)
{
	struct logbox *box = *state;
	struct seglog_read read;

	append(box, 100, &(struct logbox_spec){ .value_size = 3000 });
	assert_int_equal(logbox_read(box, 0, 3000, INT64_MAX, &read), 0);
	assert_non_null(read.slices[0].chunk->on_evict);
	box->args.settings.retention_ms = 1000;
	seglog_configure(box->log, &box->args.settings);
	box->now_ms += 1001;
	logbox_housekeep(box);
	logbox_settle(box);
	assert_true(seglog_start_offset(box->log) > 0);
	/* Take all the memory there is, as appenders under pressure do. */
	for (struct chunk *chunk; (chunk = chunk_take(box->chunks, CHUNK_SIZE_MIN)) != NULL;) {
		assert_ptr_not_equal(chunk, read.slices[0].chunk);
		memset(chunk->mem, 0xee, chunk->size);
	}
	assert_int_equal(logbox_verify(box, &read), 1);
	seglog_read_release(&read);
}

static void test_retain_never_of_a_compacted_topic(void **state)
{
	struct logbox *box = *state;

	append(box, 100, &(struct logbox_spec){ .value_size = 3000 });
	box->args.settings.retention_ms = 1000;
	box->args.settings.is_compacted = true;
	seglog_configure(box->log, &box->args.settings);
	box->now_ms += 1001;
	logbox_housekeep(box);
	logbox_settle(box);
	assert_int_equal(seglog_start_offset(box->log), 0);
}

/* A reader of the files is not disturbed: the segment goes when its last read came back. */
static void ignore(struct seglog_read *read, int error)
{
	*(int *)read->owner = error;
}

static void test_retain_waits_for_reads(void **state)
{
	struct logbox *box = *state;
	int error = 1;
	struct seglog_read read = {
		.size_max = 1000, .limit = INT64_MAX, .done = ignore, .owner = &error
	};

	append(box, 100, &(struct logbox_spec){ .value_size = 3000 });
	LIST_EACH_SAFE(&box->log->chunks, node) /* nothing in the ring any more */
	{
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, node);

		if (chunk->segment_base == 0)
			chunk->on_evict(chunk->owner, chunk);
	}
	uring_fake_set_auto(box->uring, false);
	assert_int_equal(seglog_read(box->log, &read), -EINPROGRESS);
	box->args.settings.retention_size = 0;
	seglog_configure(box->log, &box->args.settings);
	logbox_housekeep(box);
	logbox_housekeep(box);
	assert_true(seglog_start_offset(box->log) > 0);
	assert_true(logbox_load(box, 0, ".log") > 0);
	uring_fake_set_auto(box->uring, true);
	(void)uring_poll(box->uring);
	assert_int_equal(error, 0);
	assert_int_equal(logbox_verify(box, &read), 1);
	seglog_read_release(&read);
	logbox_settle(box);
	assert_int_equal(logbox_load(box, 0, ".log"), -1);
}

static void test_retain_checkpoint_waits_for_finished_segments(void **state)
{
	struct logbox *box = *state;

	logbox_housekeep(box);
	assert_int_equal(seglog_checkpoint_offset(box->log), 0);
	append(box, 3, &(struct logbox_spec){ 0 });
	logbox_housekeep(box);
	assert_int_equal(seglog_checkpoint_offset(box->log), 3);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 3);
	logbox_housekeep(box);
	assert_int_equal(seglog_checkpoint_offset(box->log), 3);
	logbox_settle(box);
	logbox_housekeep(box);
	assert_int_equal(seglog_checkpoint_offset(box->log), 4);
}

static void test_retain_destroy_leaves_nothing(void **state)
{
	struct logbox *box = *state;
	const struct dirent *entry;
	DIR *dir;

	append(box, 100, &(struct logbox_spec){ .value_size = 3000 });
	while (!seglog_detach(box->log))
		(void)uring_poll(box->uring);
	seglog_destroy(box->log);
	box->log = NULL;
	dir = opendir(box->dir);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		assert_true(entry->d_name[0] == '.');
	(void)closedir(dir);
}

/* The file cannot be made: as on a full disk, appends are refused, and go on when it can. */
static void test_retain_no_space_refuses_appends(void **state)
{
	struct logbox *box = *state;
	int64_t next;
	int fd;

	append(box, 3, &(struct logbox_spec){ 0 });
	fd = box->log->tail->fd;
	box->log->tail->fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	do {
		next = seglog_next_offset(box->log);
		assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 20000 }),
				 next);
	} while (box->log->tail->size < box->log->tail->prepared);
	logbox_housekeep(box);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), -ENOSPC);
	assert_true(seglog_high_watermark(box->log) < seglog_next_offset(box->log));
	assert_int_equal(seglog_error(box->log), 0);
	(void)close(box->log->tail->fd);
	box->log->tail->fd = fd;
	logbox_settle(box);
	assert_int_equal(seglog_high_watermark(box->log), next + 1);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), next + 1);
	logbox_settle(box);
	logbox_verify_range(box, 0, next + 2, 100000);
}

/* Up to where the tail's file is written, by the file system's own word. */
static int64_t data_end(const struct logbox *box)
{
	off_t at = 0, end = 0;

	while ((at = lseek(box->log->tail->fd, at, SEEK_DATA)) >= 0)
		at = end = lseek(box->log->tail->fd, at, SEEK_HOLE);
	return end;
}

struct filled {
	int64_t lasted_ms; /* the log's own space */
	uint32_t ahead;    /* so much of it */
	int64_t window_ms; /* for so long the others have been counted */
	uint64_t others;   /* bytes that they filled */
};

/* @return bytes of the tail's file that are prepared and not written */
static int64_t unwritten_after(const struct filled *filled)
{
	struct logbox *box = logbox_new(RING_SIZE);
	struct seglog_fill fill = { .begin_ms = box->now_ms };
	int64_t size;

	box->args.fill = &fill;
	assert_int_equal(logbox_open(box, false, 0), 0);
	uring_fake_set_auto(box->uring, true);
	append(box, 3, &(struct logbox_spec){ 0 });
	box->log->ahead = filled->ahead;
	box->log->prepared_ms = box->now_ms - filled->lasted_ms;
	fill = (struct seglog_fill){ .begin_ms = box->now_ms - filled->window_ms,
				     .bytes = filled->others };
	logbox_housekeep(box);
	size = box->log->tail->prepared - data_end(box);
	append(box, 3, &(struct logbox_spec){ .value_size = 100000 });
	logbox_verify_range(box, 0, 6, 1000000);
	/* What was answered is in the file, after a power failure too. */
	logbox_kill(box);
	logbox_lose_ring(box);
	assert_int_equal(logbox_open(box, false, 0), 0);
	uring_fake_set_auto(box->uring, true);
	assert_int_equal(box->found.truncated_size, 0);
	logbox_verify_range(box, 0, 6, 1000000);
	logbox_free(box);
	return size;
}

static void test_retain_zeroes_no_space_of_a_fast_log(void **state)
{
	(void)state;
	assert_int_equal(unwritten_after(&(struct filled){ 600, SEGLOG_PREPARE_MAX, 1000, 0 }), 0);
	assert_true(unwritten_after(&(struct filled){ 400, SEGLOG_PREPARE_MAX, 1000, 0 }) >=
		    SEGLOG_PREPARE_MAX - SEGLOG_PREPARE_MIN);
}

static void test_retain_zeroes_no_space_of_many_logs_that_are_fast_together(void **state)
{
	(void)state;
	for (int64_t window_ms = 10; window_ms <= 1000; window_ms += 990) {
		struct filled filled = { 500, 4 * SEGLOG_PREPARE_MIN, window_ms, 130000000 };

		assert_int_equal(unwritten_after(&filled), 0);
		filled.others = 132000000;
		assert_true(unwritten_after(&filled) >= 63 * SEGLOG_PREPARE_MIN);
	}
}

/* Thousands of slow logs that begin in the same second must not have the disk reserved for them. */
static void test_retain_reserves_little_for_a_slow_log_among_fast_ones(void **state)
{
	const struct filled filled = { 2000, 4 * SEGLOG_PREPARE_MIN, 1000, 10 * 132000000 };

	(void)state;
	assert_true(unwritten_after(&filled) <= 4 * SEGLOG_PREPARE_MIN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_retain_clean_close_is_kafkas),
		TEST(test_retain_snapshot_bytes),
		TEST(test_retain_by_size),
		TEST(test_retain_prepare_leaves_the_old_segment_for_later),
		TEST(test_retain_forgets_epochs_that_are_gone),
		TEST(test_retain_idle_log_loses_its_last_records),
		TEST(test_retain_idle_log_gives_its_last_chunk_back),
		TEST(test_retain_expired_tail_goes_without_the_new_record),
		TEST(test_retain_by_time_spares_a_tail_with_newer_records),
		TEST(test_retain_leaves_chunks_that_are_being_sent),
		TEST(test_retain_never_of_a_compacted_topic),
		TEST(test_retain_waits_for_reads),
		TEST(test_retain_checkpoint_waits_for_finished_segments),
		TEST(test_retain_destroy_leaves_nothing),
		TEST(test_retain_no_space_refuses_appends),
		cmocka_unit_test(test_retain_zeroes_no_space_of_a_fast_log),
		cmocka_unit_test(test_retain_zeroes_no_space_of_many_logs_that_are_fast_together),
		cmocka_unit_test(test_retain_reserves_little_for_a_slow_log_among_fast_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
