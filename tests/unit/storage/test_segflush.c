/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: nothing counts as durable before every write of its round came back whole and the fsync after
   them came back too; a round is fsynced once, rounds of a log never overlap, and a failed or short one
   ends the log's acks for good. Shown with the fake uring, which settles operations in the orders and
   with the results that matter. */
#include <errno.h>
#include <string.h>

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE (UINT64_C(16) * 1024 * 1024)

/* A log with space prepared, so that a flush begins at once. */
static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);

	CHECK(logbox_open(box, false, 0) == 0);
	box->log->ahead = 8 * 1024 * 1024;
	CHECK(logbox_append(box, &(struct logbox_spec){ 0 }) == 0);
	logbox_housekeep(box);
	(void)uring_fake_perform_all(box->uring);
	(void)uring_poll(box->uring);
	(void)uring_fake_perform_all(box->uring);
	(void)uring_poll(box->uring);
	CHECK(seglog_high_watermark(box->log) == 1);
	CHECK(uring_fake_count(box->uring) == 0);
	box->durable_calls = 0;
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	logbox_free(*state);
	return 0;
}

static void perform(struct logbox *box, enum uring_fake_kind kind)
{
	int index = uring_fake_find(box->uring, kind);

	assert_true(index >= 0);
	uring_fake_perform(box->uring, (uint32_t)index);
	(void)uring_poll(box->uring);
}

static void test_segflush_durable_only_after_the_fsync(void **state)
{
	struct logbox *box = *state;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	assert_false(seglog_flush(box->log));
	assert_int_equal(uring_fake_count(box->uring), 1);
	assert_int_equal(uring_fake_at(box->uring, 0)->kind, URING_FAKE_WRITE);
	assert_int_equal(seglog_high_watermark(box->log), 1);
	perform(box, URING_FAKE_WRITE);
	assert_int_equal(uring_fake_count(box->uring), 1);
	assert_int_equal(uring_fake_at(box->uring, 0)->kind, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 1);
	assert_int_equal(box->durable_calls, 0);
	perform(box, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 2);
	assert_int_equal(box->durable_calls, 1);
	assert_int_equal(uring_fake_count(box->uring), 0);
}

static void test_segflush_writes_complete_in_any_order(void **state)
{
	struct logbox *box = *state;
	uint32_t count;

	for (int i = 0; i < 20; i++)
		assert_true(logbox_append(box, &(struct logbox_spec){ .value_size = 30000 }) > 0);
	assert_false(seglog_flush(box->log));
	count = uring_fake_count(box->uring);
	assert_true(count >= 3);
	/* Newest first; the fsync must not be asked for while one is missing. */
	while (count > 0) {
		assert_int_equal(uring_fake_find(box->uring, URING_FAKE_FSYNC), -1);
		uring_fake_perform(box->uring, --count);
		(void)uring_poll(box->uring);
		assert_int_equal(seglog_high_watermark(box->log), 1);
	}
	perform(box, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 21);
	logbox_verify_range(box, 0, 21, 1000000);
}

static void test_segflush_one_round_at_a_time(void **state)
{
	struct logbox *box = *state;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	(void)seglog_flush(box->log);
	for (int i = 0; i < 5; i++) {
		assert_true(logbox_append(box, &(struct logbox_spec){ 0 }) > 0);
		(void)seglog_flush(box->log);
		assert_int_equal(uring_fake_count(box->uring), 1);
	}
	perform(box, URING_FAKE_WRITE);
	(void)seglog_flush(box->log);
	assert_int_equal(uring_fake_count(box->uring), 1);
	perform(box, URING_FAKE_FSYNC);
	/* Only the first round's batch; the gathered ones are under way by themselves, in one round. */
	assert_int_equal(seglog_high_watermark(box->log), 2);
	assert_int_equal(uring_fake_count(box->uring), 1);
	perform(box, URING_FAKE_WRITE);
	perform(box, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 7);
	assert_int_equal(uring_fake_settled(box->uring, URING_FAKE_FSYNC), 3);
}

static void test_segflush_writes_are_aligned(void **state)
{
	struct logbox *box = *state;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 9000 }), 1);
	(void)seglog_flush(box->log);
	for (uint32_t i = 0; i < uring_fake_count(box->uring); i++) {
		const struct uring_fake_op *op = uring_fake_at(box->uring, i);

		assert_int_equal(op->pos % SEGFILE_ALIGN, 0);
		assert_int_equal(op->size % SEGFILE_ALIGN, 0);
		assert_int_equal((uintptr_t)op->bytes % SEGFILE_ALIGN, 0);
		assert_true(op->pos + op->size <= box->log->tail->prepared);
	}
}

static void expect_poisoned(struct logbox *box)
{
	struct seglog_read read;

	assert_int_equal(seglog_error(box->log), ERR_POISONED);
	assert_int_equal(seglog_high_watermark(box->log), 1);
	assert_int_equal(box->durable_calls, 1);
	assert_int_equal(uring_fake_count(box->uring), 0);
	assert_int_equal(seglog_reserve(box->log, 100, box->now_ms), ERR_POISONED);
	/* Never again, whatever is asked; not even the same bytes. */
	(void)seglog_flush(box->log);
	logbox_housekeep(box);
	assert_int_equal(uring_fake_count(box->uring), 0);
	/* What was durable is still served. */
	assert_int_equal(logbox_read(box, 0, 1000, INT64_MAX, &read), 0);
	assert_int_equal(logbox_verify(box, &read), 1);
	seglog_read_release(&read);
}

static void test_segflush_short_write_poisons(void **state)
{
	struct logbox *box = *state;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 9000 }), 1);
	(void)seglog_flush(box->log);
	uring_fake_perform_part(box->uring, 0, SEGFILE_ALIGN);
	(void)uring_poll(box->uring);
	expect_poisoned(box);
}

static void test_segflush_failed_write_poisons_after_all_came_back(void **state)
{
	struct logbox *box = *state;
	uint32_t count;

	for (int i = 0; i < 20; i++)
		assert_true(logbox_append(box, &(struct logbox_spec){ .value_size = 30000 }) > 0);
	(void)seglog_flush(box->log);
	count = uring_fake_count(box->uring);
	assert_true(count >= 3);
	uring_fake_complete(box->uring, 1, -EIO);
	(void)uring_poll(box->uring);
	/* The ring's memory is still being read by the others: not over yet. */
	assert_int_equal(seglog_error(box->log), 0);
	while (uring_fake_count(box->uring) > 0)
		perform(box, URING_FAKE_WRITE);
	expect_poisoned(box);
}

static void test_segflush_failed_fsync_poisons(void **state)
{
	struct logbox *box = *state;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	(void)seglog_flush(box->log);
	perform(box, URING_FAKE_WRITE);
	uring_fake_complete(box->uring, 0, -EIO);
	(void)uring_poll(box->uring);
	expect_poisoned(box);
	assert_int_equal(logbox_close(box), ERR_POISONED);
}

/* Between reservation and commit a flush writes the block they share; the commit's bytes come later. */
static void test_segflush_open_reservation_is_not_promised(void **state)
{
	struct logbox *box = *state;
	struct seglog_appended appended;
	struct batch batch;
	uint32_t size;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	size = logbox_make(box, &(struct logbox_spec){ .value_size = 50 });
	assert_int_equal(logbox_fill(box, size), 0);
	assert_int_equal(batch_decode(box->scratch, &batch), 0);
	(void)seglog_flush(box->log);
	perform(box, URING_FAKE_WRITE);
	perform(box, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 2);
	assert_int_equal(seglog_commit(box->log, &batch, box->now_ms, &appended), 0);
	assert_int_equal(appended.base_offset, 2);
	assert_int_equal(seglog_high_watermark(box->log), 2);
	(void)seglog_flush(box->log);
	perform(box, URING_FAKE_WRITE);
	perform(box, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 3);
}

static void test_segflush_waits_for_prepared_space(void **state)
{
	struct logbox *box = *state;
	int64_t offset = 0;

	while (box->log->tail->size <= box->log->tail->prepared) {
		offset = logbox_append(box, &(struct logbox_spec){ .value_size = 900000 });
		assert_true(offset > 0);
		if (box->log->tail->size > box->log->tail->prepared)
			break;
		uring_fake_set_auto(box->uring, true);
		(void)seglog_flush(box->log);
		while (box->log->flush.segment != NULL)
			(void)uring_poll(box->uring);
		uring_fake_set_auto(box->uring, false);
	}
	assert_false(seglog_flush(box->log));
	assert_int_equal(uring_fake_count(box->uring), 0);
	assert_true(seglog_high_watermark(box->log) <= offset);
	assert_true(box->wants_housekeep);
	logbox_housekeep(box);
	assert_true(uring_fake_count(box->uring) > 0);
	uring_fake_set_auto(box->uring, true);
	logbox_settle(box);
	assert_int_equal(seglog_high_watermark(box->log), offset + 1);
}

/* The flush of a rolled segment ends before the next one's begins, and the roll waits for nothing. */
static void test_segflush_segments_in_order(void **state)
{
	struct logbox *box = *state;
	const struct segment *first = box->log->first;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	(void)seglog_flush(box->log);
	box->now_ms += box->args.settings.segment_ms;
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 2);
	assert_ptr_not_equal(box->log->tail, first);
	assert_int_equal(uring_fake_count(box->uring), 1);
	perform(box, URING_FAKE_WRITE);
	perform(box, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 2);
	/* The new segment has no file yet. */
	assert_int_equal(uring_fake_count(box->uring), 0);
	assert_true(first->is_done);
	logbox_housekeep(box);
	assert_true(first->is_finished);
	assert_int_equal(uring_fake_count(box->uring), 1);
	perform(box, URING_FAKE_WRITE);
	perform(box, URING_FAKE_FSYNC);
	assert_int_equal(seglog_high_watermark(box->log), 3);
	logbox_verify_range(box, 0, 3, 1000);
}

static void test_segflush_detach_flushes_first(void **state)
{
	struct logbox *box = *state;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	assert_false(seglog_detach(box->log));
	assert_int_equal(uring_fake_count(box->uring), 1);
	perform(box, URING_FAKE_WRITE);
	assert_false(seglog_detach(box->log));
	perform(box, URING_FAKE_FSYNC);
	assert_true(seglog_detach(box->log));
	assert_int_equal(chunk_pool_available(box->chunks), chunk_pool_size(box->chunks));
}

/* An answer that is still being sent when the log goes: its bytes stay, and the chunk, which would be
   evicted into a log that is no more, is no candidate for eviction. */
static void test_segflush_detach_leaves_chunks_that_are_being_sent(void **state)
{
	struct logbox *box = *state;
	struct seglog_read read;
	uint64_t rest;

	/* Enough that the first chunk is full, so durable and clean. */
	for (int i = 0; i < 5; i++)
		assert_true(logbox_append(box, &(struct logbox_spec){ .value_size = 30000 }) > 0);
	assert_false(seglog_flush(box->log));
	while (uring_fake_count(box->uring) > 0) {
		(void)uring_fake_perform_all(box->uring);
		(void)uring_poll(box->uring);
	}
	assert_int_equal(logbox_read(box, 0, 1000, INT64_MAX, &read), 0);
	assert_int_equal(read.slice_count, 1);
	assert_non_null(read.slices[0].chunk->on_evict);
	assert_int_equal(logbox_verify(box, &read), 1);
	assert_true(seglog_detach(box->log));
	rest = chunk_pool_available(box->chunks);
	assert_true(rest < chunk_pool_size(box->chunks));
	/* Take all the memory there is, as an appender under pressure does. */
	for (struct chunk *chunk; (chunk = chunk_take(box->chunks, CHUNK_SIZE_MIN)) != NULL;) {
		assert_ptr_not_equal(chunk, read.slices[0].chunk);
		memset(chunk->mem, 0xee, chunk->size);
		rest -= chunk->size;
	}
	assert_int_equal(rest, 0);
	assert_int_equal(logbox_verify(box, &read), 1);
	seglog_read_release(&read);
	assert_int_equal(chunk_pool_available(box->chunks), CHUNK_SIZE_MIN);
}

/* log.discard: the round ends, later than its call, without a byte on the disk; the ring still reads. */
static void test_segflush_discarded_log_writes_nothing(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);

	(void)state;
	box->args.is_discarded = true;
	assert_int_equal(logbox_open(box, false, 0), 0);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 9000 }), 0);
	logbox_housekeep(box);
	assert_int_equal(uring_fake_count(box->uring), 1);
	assert_int_equal(uring_fake_at(box->uring, 0)->kind, URING_FAKE_NOP);
	assert_int_equal(seglog_high_watermark(box->log), 0);
	perform(box, URING_FAKE_NOP);
	assert_int_equal(seglog_high_watermark(box->log), 1);
	assert_true(box->durable_calls > 0);
	logbox_verify_range(box, 0, 1, 1000000);
	assert_int_equal(logbox_load(box, 0, ".log"), 0);
	logbox_free(box);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_segflush_durable_only_after_the_fsync),
		TEST(test_segflush_writes_complete_in_any_order),
		TEST(test_segflush_one_round_at_a_time),
		TEST(test_segflush_writes_are_aligned),
		TEST(test_segflush_short_write_poisons),
		TEST(test_segflush_failed_write_poisons_after_all_came_back),
		TEST(test_segflush_failed_fsync_poisons),
		TEST(test_segflush_open_reservation_is_not_promised),
		TEST(test_segflush_waits_for_prepared_space),
		TEST(test_segflush_segments_in_order),
		TEST(test_segflush_detach_flushes_first),
		TEST(test_segflush_detach_leaves_chunks_that_are_being_sent),
		cmocka_unit_test(test_segflush_discarded_log_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
