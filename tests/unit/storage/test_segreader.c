/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: another process that follows the reader contract sees every batch below the high watermark
   once and in order, over segment ends, while the log is written, rolled and trimmed, and is told
   when retention took what it wanted; and one that wants new batches only is spared the old ones.
   Shown with a log and its readers in one thread, in step. */
#include <errno.h>
#include <string.h>

#include "base/crc32c.h"
#include "storage/segreader.h"

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE (UINT64_C(16) * 1024 * 1024)

static struct partitions *table;

static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);
	struct partition_view view = { .partition = 3, .topic = LOGBOX_TOPIC };
	char path[TEMP_PATH_SIZE];

	temp_dir_path(box->dir, "partitions", path);
	view.topic_id = box->args.topic_id;
	CHECK(partitions_open(path, true, &table) == 0);
	box->args.cell = partitions_add(table, &view);
	CHECK(box->args.cell != NULL);
	box->args.settings.segment_size = 128 * 1024;
	CHECK(logbox_open(box, false, 0) == 0);
	uring_fake_set_auto(box->uring, true);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	logbox_free(*state);
	partitions_close(table);
	return 0;
}

static int open_at(struct logbox *box, int64_t offset, struct segreader **ret_reader)
{
	return segreader_open(box->dir, table, &box->args.topic_id, 3, offset, ret_reader);
}

static int64_t read_on(struct logbox *box, struct segreader *reader, int64_t expected)
{
	struct batch batch;
	const uint8_t *bytes;
	int result;

	while ((result = segreader_next(reader, &batch, &bytes)) == 1) {
		assert_int_equal(batch.base_offset, expected);
		assert_int_equal(batch.crc, box->batches[expected].crc);
		assert_int_equal(crc32c_extend(CRC32C_INIT, bytes + BATCH_CRC_BEGIN,
					       batch.size - BATCH_CRC_BEGIN),
				 batch.crc);
		expected = batch_last_offset(&batch) + 1;
	}
	assert_int_equal(result, 0);
	return expected;
}

static void test_segreader_follows_the_watermark(void **state)
{
	struct logbox *box = *state;
	struct segreader *reader;
	int64_t next = 0;

	assert_int_equal(open_at(box, -2, &reader), 0);
	assert_int_equal(read_on(box, reader, 0), 0);
	for (int round = 0; round < 60; round++) {
		logbox_append_many(box, 1 + (uint32_t)round % 9, 3000);
		assert_int_equal(read_on(box, reader, next), seglog_high_watermark(box->log));
		next = seglog_high_watermark(box->log);
		logbox_settle(box);
		next = read_on(box, reader, next);
		assert_int_equal(next, seglog_next_offset(box->log));
	}
	assert_ptr_not_equal(box->log->first, box->log->tail);
	segreader_close(reader);
}

static void test_segreader_begins_anywhere(void **state)
{
	struct logbox *box = *state;
	struct segreader *reader;

	logbox_append_many(box, 200, 3000);
	logbox_settle(box);
	for (int64_t offset = 0; offset <= 200; offset += 13) {
		assert_int_equal(open_at(box, offset, &reader), 0);
		assert_int_equal(read_on(box, reader, offset), 200);
		segreader_close(reader);
	}
	assert_int_equal(open_at(box, 201, &reader), ERR_OFFSET_RANGE);
	assert_int_equal(segreader_open(box->dir, table, &box->args.topic_id, 4, 0, &reader),
			 ERR_UNKNOWN);
}

static void test_segreader_after_reopening(void **state)
{
	struct logbox *box = *state;
	struct segreader *reader;

	logbox_append_many(box, 100, 3000);
	logbox_settle(box);
	assert_int_equal(logbox_close(box), 0);
	assert_int_equal(logbox_open(box, true, 100), 0);
	uring_fake_set_auto(box->uring, true);
	logbox_append_many(box, 100, 500);
	logbox_settle(box);
	assert_int_equal(open_at(box, 95, &reader), 0);
	assert_int_equal(read_on(box, reader, 95), 200);
	segreader_close(reader);
}

static void test_segreader_retention_is_reported(void **state)
{
	struct logbox *box = *state;
	struct segreader *reader;
	struct batch batch;
	const uint8_t *bytes;

	logbox_append_many(box, 200, 3000);
	logbox_settle(box);
	assert_int_equal(open_at(box, 0, &reader), 0);
	assert_int_equal(segreader_next(reader, &batch, &bytes), 1);
	box->args.settings.retention_size = 200 * 1024;
	seglog_configure(box->log, &box->args.settings);
	logbox_housekeep(box);
	logbox_housekeep(box);
	assert_true(seglog_start_offset(box->log) > 0);
	/* What is open stays readable; what follows is gone, and said to be. */
	do {
		int result = segreader_next(reader, &batch, &bytes);

		if (result != 1) {
			assert_int_equal(result, ERR_RETENTION);
			break;
		}
	} while (true);
	segreader_close(reader);
	assert_int_equal(open_at(box, 0, &reader), ERR_RETENTION);
	assert_int_equal(open_at(box, -2, &reader), 0);
	assert_int_equal(read_on(box, reader, seglog_start_offset(box->log)), 200);
	segreader_close(reader);
}

static void test_segreader_damage_is_reported(void **state)
{
	struct logbox *box = *state;
	struct segreader *reader;
	struct batch batch;
	const uint8_t *bytes;
	uint8_t byte;

	logbox_append_many(box, 10, 3000);
	logbox_settle(box);
	(void)logbox_load(box, 0, ".log");
	byte = (uint8_t)~box->scratch[200];
	logbox_damage(box, 0, ".log", 200, &byte, 1);
	assert_int_equal(open_at(box, 0, &reader), 0);
	assert_int_equal(segreader_next(reader, &batch, &bytes), ERR_CORRUPT);
	segreader_close(reader);
}

/* Batch i at 1000 + i. */
static void append_times(struct logbox *box, int count)
{
	for (int i = 0; i < count; i++) {
		const struct logbox_spec spec = { .value_size = 3000, .timestamp = 1000 + i };

		while (logbox_append(box, &spec) == -EAGAIN)
			logbox_settle(box);
	}
	logbox_settle(box);
}

static void test_segreader_passes_what_is_older(void **state)
{
	struct logbox *box = *state;
	struct segreader *reader;
	struct batch batch;
	const uint8_t *bytes;

	append_times(box, 300);
	for (int64_t i = 0; i < 250; i += 11) {
		uint32_t passed = 0, older = 0;
		int result;

		assert_int_equal(open_at(box, -2, &reader), 0);
		do {
			result = segreader_next_since(reader, 1000 + i, &batch, &bytes);
			passed += result == -EAGAIN ? 1 : 0;
			older += result == 1 ? 1 : 0;
		} while (result == -EAGAIN || (result == 1 && batch.max_timestamp < 1000 + i));
		assert_int_equal(result, 1);
		assert_int_equal(batch.base_offset, i);
		assert_in_range(older, 1, 3);
		assert_in_range(passed, i / 60, i / 30);
		/* And on to the end, nothing left out. */
		assert_int_equal(read_on(box, reader, i + 1), 300);
		segreader_close(reader);
	}
}

static void test_segreader_newest(void **state)
{
	struct logbox *box = *state;
	struct segreader *reader;

	assert_int_equal(open_at(box, -2, &reader), 0);
	assert_int_equal(segreader_newest(reader), -1);
	append_times(box, 300);
	segreader_close(reader);
	assert_int_equal(open_at(box, -2, &reader), 0);
	assert_int_equal(segreader_newest(reader), 1000 + box->log->tail->base - 1);
	segreader_close(reader);
}

static void test_segreader_damaged_index_misleads_nobody(void **state)
{
	static const uint32_t wrongs[] = { 77, 60 * 3069 };
	struct logbox *box = *state;
	struct segreader *reader;

	logbox_append_many(box, 200, 3000);
	logbox_settle(box);
	for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
		uint8_t pos[4];

		bytes_store_u32(pos, wrongs[i] % (100 * 1024));
		for (int64_t at = 0; at < logbox_load(box, 0, ".index"); at += 8)
			logbox_damage(box, 0, ".index", at + 4, pos, 4);
		for (int64_t offset = 0; offset < 30; offset += 3) {
			assert_int_equal(open_at(box, offset, &reader), 0);
			assert_int_equal(read_on(box, reader, offset), 200);
			segreader_close(reader);
		}
	}
}

/* A batch that was given up left its header behind the end of a segment that the housekeeper has not trimmed. */
static void test_segreader_goes_on_behind_what_was_given_up(void **state)
{
	struct logbox *box = *state;
	uint8_t header[BATCH_HEADER_SIZE];
	struct segreader *reader;

	logbox_append_many(box, 5, 3000);
	logbox_settle(box);
	memset(header, 0x5a, sizeof(header));
	logbox_damage(box, 0, ".log", box->log->tail->size, header, sizeof(header));
	box->now_ms += box->args.settings.segment_ms;
	logbox_append_many(box, 1, 3000);
	assert_int_equal(box->log->tail->base, 5);
	box->log->first->is_finished = true;
	logbox_settle(box);
	assert_true(logbox_load(box, 0, ".log") > box->log->first->size);
	assert_int_equal(open_at(box, 0, &reader), 0);
	assert_int_equal(read_on(box, reader, 0), 6);
	segreader_close(reader);
	box->log->first->is_finished = false;
}

/* Without a lease a file could be written to anew while it is read. */
static void test_segreader_wants_a_lease(void **state)
{
	int leases[PARTITIONS_LEASES_MAX];
	struct logbox *box = *state;
	struct segreader *reader;

	for (int i = 0; i < PARTITIONS_LEASES_MAX; i++) {
		leases[i] = partitions_lease_take(table);
		assert_true(leases[i] >= 0);
	}
	assert_false(partitions_is_unread(table));
	assert_int_equal(open_at(box, 0, &reader), -ENFILE);
	partitions_lease_release(table, leases[7]);
	assert_int_equal(open_at(box, 0, &reader), 0);
	assert_int_equal(partitions_lease_take(table), -ENFILE);
	segreader_close(reader);
	for (int i = 0; i < PARTITIONS_LEASES_MAX; i++)
		partitions_lease_release(table, leases[i]);
	assert_true(partitions_is_unread(table));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_segreader_follows_the_watermark),
		TEST(test_segreader_begins_anywhere),
		TEST(test_segreader_after_reopening),
		TEST(test_segreader_retention_is_reported),
		TEST(test_segreader_damage_is_reported),
		TEST(test_segreader_passes_what_is_older),
		TEST(test_segreader_newest),
		TEST(test_segreader_damaged_index_misleads_nobody),
		TEST(test_segreader_goes_on_behind_what_was_given_up),
		TEST(test_segreader_wants_a_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
