/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: appends get dense offsets, keep their bytes over chunk edges and segment rolls, refuse
   duplicates and gaps of idempotent producers, and give back-pressure instead of growing. Shown with
   the fake uring performing everything, by reading all batches back against notes of what was sent. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/crc32c.h"

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE (UINT64_C(16) * 1024 * 1024)

static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);

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

static void test_seglog_append_offsets_are_dense(void **state)
{
	struct logbox *box = *state;
	int64_t expected = 0;

	for (int32_t i = 1; i <= 50; i++) {
		assert_int_equal(logbox_append(box, &(struct logbox_spec){ .records = i }),
				 expected);
		expected += i;
		assert_int_equal(seglog_next_offset(box->log), expected);
		assert_int_equal(seglog_high_watermark(box->log), 0);
	}
	logbox_settle(box);
	assert_int_equal(seglog_high_watermark(box->log), expected);
	assert_int_equal(seglog_last_stable_offset(box->log), expected);
	assert_true(box->durable_calls > 0);
	logbox_verify_range(box, 0, expected, 1024 * 1024);
}

/* Sizes that make headers and bodies cross every kind of chunk edge. */
static void test_seglog_append_straddles_chunks(void **state)
{
	struct logbox *box = *state;

	for (uint32_t i = 0; i < 400; i++) {
		uint32_t size = i % 7 == 0 ? 200000 + i : 1 + i * 37 % 5000;

		assert_true(logbox_append(box, &(struct logbox_spec){ .value_size = size }) >= 0);
		if (i % 5 == 4) /* a tail that is durable begins a new chunk instead */
			logbox_settle(box);
	}
	assert_true(seglog_high_watermark(box->log) == 400);
	logbox_verify_range(box, 0, 400, 1);
	logbox_verify_range(box, 0, 400, 300000);
}

static void test_seglog_reserve_one_at_a_time(void **state)
{
	struct logbox *box = *state;

	assert_false(seglog_is_reserved(box->log));
	assert_int_equal(seglog_reserve(box->log, 1000, box->now_ms), 0);
	assert_true(seglog_is_reserved(box->log));
	assert_int_equal(seglog_reserve(box->log, 1000, box->now_ms), -EBUSY);
	seglog_abandon(box->log);
	assert_false(seglog_is_reserved(box->log));
	assert_int_equal(seglog_reserve(box->log, BATCH_HEADER_SIZE - 1, box->now_ms),
			 ERR_TOO_LARGE);
	assert_int_equal(seglog_reserve(box->log, SEGLOG_BATCH_SIZE_MAX + 1, box->now_ms),
			 ERR_TOO_LARGE);
	assert_int_equal(seglog_next_offset(box->log), 0);
}

static void test_seglog_abandon_leaves_nothing(void **state)
{
	struct logbox *box = *state;
	uint32_t size, room;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 0);
	/* A large batch given up, then a small one: behind it must be zeroes. */
	size = logbox_make(box, &(struct logbox_spec){ .value_size = 100000 });
	memset(box->scratch, 0xee, size);
	assert_int_equal(logbox_fill(box, size), 0);
	seglog_abandon(box->log);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	assert_int_equal(seglog_reserve(box->log, BATCH_HEADER_SIZE, box->now_ms), 0);
	for (uint32_t at = 0; at < BATCH_HEADER_SIZE; at++)
		assert_int_equal(*seglog_room(box->log, at, &room), 0);
	seglog_abandon(box->log);
	logbox_settle(box);
	logbox_verify_range(box, 0, 2, 1000);
}

static void test_seglog_rolls_by_size(void **state)
{
	struct logbox *box = *state;
	struct seglog_settings settings = *seglog_settings(box->log);
	struct segment *segment;
	uint32_t segments = 0;

	settings.segment_size = 64 * 1024;
	seglog_configure(box->log, &settings);
	for (uint32_t i = 0; i < 300; i++) {
		int64_t offset;

		while ((offset = logbox_append(box, &(struct logbox_spec){ .value_size = 3000 })) ==
		       -EAGAIN)
			logbox_settle(box);
		assert_int_equal(offset, i);
		if (i % 10 == 0)
			logbox_settle(box);
	}
	logbox_settle(box);
	for (segment = box->log->first; segment != NULL; segment = segment->next) {
		assert_true(segment->size <= 64 * 1024);
		assert_true(segment->next == NULL || segment->is_finished);
		segments++;
	}
	assert_true(segments > 10);
	assert_int_equal(seglog_high_watermark(box->log), 300);
	logbox_verify_range(box, 0, 300, 10000);
}

static void test_seglog_rolls_by_age(void **state)
{
	struct logbox *box = *state;

	logbox_housekeep(box);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 0);
	box->now_ms += box->args.settings.segment_ms;
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 1);
	assert_int_equal(box->log->tail->base, 1);
	logbox_settle(box);
	logbox_verify_range(box, 0, 2, 10000);
}

static void test_seglog_duplicates_and_gaps(void **state)
{
	struct logbox *box = *state;
	struct seglog_appended appended;
	struct batch batch;
	uint32_t size;

	for (int32_t i = 0; i < 7; i++)
		assert_int_equal(logbox_append(box, &(struct logbox_spec){ .records = 3,
									   .producer_id = 5,
									   .sequence = 3 * i }),
				 3 * i);
	/* The last five are known; each is answered with its own offset. */
	for (int32_t i = 2; i < 7; i++) {
		size = logbox_make(
			box,
			&(struct logbox_spec){ .records = 3, .producer_id = 5, .sequence = 3 * i });
		assert_int_equal(logbox_fill(box, size), 0);
		assert_int_equal(batch_decode(box->scratch, &batch), 0);
		assert_int_equal(seglog_commit(box->log, &batch, box->now_ms, &appended),
				 ERR_DUPLICATE);
		assert_int_equal(appended.base_offset, 3 * i);
		assert_int_equal(appended.append_time, -1);
	}
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .records = 3,
								   .producer_id = 5,
								   .sequence = 3 }),
			 ERR_OUT_OF_ORDER);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .records = 3,
								   .producer_id = 5,
								   .sequence = 22 }),
			 ERR_OUT_OF_ORDER);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .producer_id = 5, .epoch = 1 }),
			 21);
	assert_int_equal(
		logbox_append(box, &(struct logbox_spec){ .producer_id = 5, .sequence = 21 }),
		ERR_FENCED);
	assert_int_equal(seglog_next_offset(box->log), 22);
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_DUPLICATES), 5);
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_OUT_OF_ORDER), 2);
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_FENCED), 1);
	logbox_settle(box);
	logbox_verify_range(box, 0, 22, 10000);
}

static void test_seglog_no_memory_is_back_pressure(void **state)
{
	struct logbox *box = *state;
	int64_t offset = 0, appended = 0;

	uring_fake_set_auto(box->uring, false);
	while ((offset = logbox_append(box, &(struct logbox_spec){ .value_size = 500000 })) >= 0)
		appended++;
	assert_int_equal(offset, -EAGAIN);
	assert_true(appended > 10);
	assert_true(counters_get(&box->counters, COUNTER_SEGLOG_NO_MEMORY) > 0);
	uring_fake_set_auto(box->uring, true);
	logbox_settle(box);
	assert_int_equal(seglog_high_watermark(box->log), appended);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 500000 }),
			 appended);
	logbox_settle(box);
	logbox_verify_range(box, 0, appended + 1, 1000000);
}

static void test_seglog_append_time(void **state)
{
	struct logbox *box = *state;
	struct seglog_settings settings = *seglog_settings(box->log);
	struct seglog_appended appended;
	struct seglog_read read;
	struct batch batch;
	uint32_t size;

	settings.append_time = true;
	seglog_configure(box->log, &settings);
	size = logbox_make(box, &(struct logbox_spec){ .value_size = 90000, .timestamp = 5 });
	assert_int_equal(logbox_fill(box, size), 0);
	assert_int_equal(batch_decode(box->scratch, &batch), 0);
	assert_int_equal(seglog_commit(box->log, &batch, box->now_ms, &appended), 0);
	assert_int_equal(appended.append_time, box->now_ms);
	logbox_settle(box);
	assert_int_equal(logbox_read(box, 0, 200000, INT64_MAX, &read), 0);
	assert_int_equal(read.size, size);
	for (uint32_t i = 0, at = 0; i < read.slice_count; at += read.slices[i].size, i++)
		memcpy(box->scratch + at, read.slices[i].bytes, read.slices[i].size);
	seglog_read_release(&read);
	assert_int_equal(batch_decode(box->scratch, &batch), 0);
	assert_int_equal(batch.attributes, BATCH_ATTRIBUTE_APPEND_TIME);
	assert_int_equal(batch.max_timestamp, box->now_ms);
	assert_int_equal(batch.base_timestamp, 5);
	assert_int_equal(batch.leader_epoch, 4);
	assert_int_equal(batch.crc, crc32c_extend(CRC32C_INIT, box->scratch + BATCH_CRC_BEGIN,
						  size - BATCH_CRC_BEGIN));
}

/* The tail chunk of a quiet log can be evicted; appends go on behind it all the same. */
static void test_seglog_quiet_tail_is_given_back(void **state)
{
	struct logbox *box = *state;
	struct chunk *scratch[RING_SIZE / CHUNK_SIZE_MIN + 1];
	uint32_t count = 0;

	for (uint32_t round = 0; round < 4; round++) {
		int64_t next = seglog_next_offset(box->log);

		assert_int_equal(
			logbox_append(box,
				      &(struct logbox_spec){ .value_size = 1000 + 2500 * round }),
			next);
		logbox_settle(box);
		box->now_ms += 60000;
		logbox_housekeep(box);
		assert_true(box->log->is_tail_clean);
		assert_int_equal(chunk_pool_available(box->chunks), chunk_pool_size(box->chunks));
		if (round % 2 == 1) {
			count = 0;
			while ((scratch[count] = chunk_take(box->chunks, CHUNK_SIZE_MIN)) != NULL)
				count++;
			assert_true(list_is_empty(&box->log->chunks));
			while (count > 0)
				chunk_unref(scratch[--count]);
		}
	}
	logbox_verify_range(box, 0, 4, 1);
}

/* Take all that can be had. @return how many chunks */
static uint32_t take_all(struct logbox *box, uint32_t size, struct chunk **ret_chunks)
{
	uint32_t count = 0;

	while ((ret_chunks[count] = chunk_take(box->chunks, size)) != NULL)
		count++;
	return count;
}

static uint64_t tails_given(const struct logbox *box)
{
	return counters_get(&box->counters, COUNTER_SEGLOG_TAILS_GIVEN);
}

/* Many logs that were busy until now held all of the ring by their last chunks, and one that went on got
   nothing for seconds. */
static void test_seglog_tail_goes_at_once_when_memory_is_short(void **state)
{
	struct logbox *box = *state;
	struct chunk *scratch[RING_SIZE / CHUNK_SIZE_MIN + 1];
	uint32_t count;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 5000 }), 0);
	logbox_settle(box);
	count = take_all(box, CHUNK_SIZE_MIN * 2, scratch);
	assert_int_equal(tails_given(box),
			 0); /* nobody wrote later, and there is still less to be had */
	count += take_all(box, CHUNK_SIZE_MIN, scratch + count);
	assert_int_equal(tails_given(box), 1);
	assert_int_equal(chunk_pool_available(box->chunks), 0);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 5000 }), -EAGAIN);
	assert_false(seglog_is_reserved(box->log));
	chunk_unref(scratch[--count]);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 5000 }), 1);
	logbox_settle(box);
	while (count > 0)
		chunk_unref(scratch[--count]);
	logbox_verify_range(box, 0, 2, 1);
}

static void test_seglog_tail_stays_while_it_is_committed(void **state)
{
	struct logbox *box = *state;
	struct chunk *scratch[RING_SIZE / CHUNK_SIZE_MIN + 1];
	uint32_t count;

	uring_fake_set_auto(box->uring, false);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 5000 }), 0);
	(void)seglog_flush(box->log);
	count = take_all(box, CHUNK_SIZE_MIN, scratch);
	assert_int_equal(tails_given(box), 0);
	uring_fake_set_auto(box->uring, true);
	logbox_settle(box);
	scratch[count] = chunk_take(box->chunks, CHUNK_SIZE_MIN);
	assert_non_null(scratch[count]);
	assert_int_equal(tails_given(box), 1);
	for (uint32_t i = 0; i <= count; i++)
		chunk_unref(scratch[i]);
	logbox_verify_range(box, 0, 1, 1);
}

/* A log that takes chunks for a batch must not be asked for the one that the batch begins in. */
static void test_seglog_tail_is_not_given_for_its_own_batch(void **state)
{
	const struct logbox_spec large = { .value_size =
						   140000 }; /* three chunks of the smallest */
	struct logbox *box = *state;
	struct chunk *scratch[RING_SIZE / CHUNK_SIZE_MIN + 1];
	uint32_t count = take_all(box, CHUNK_SIZE_MIN, scratch);

	for (int i = 0; i < 2; i++)
		chunk_unref(scratch[--count]);
	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 5000 }), 0);
	logbox_settle(box);
	for (int i = 0; i < 2; i++)
		assert_int_equal(logbox_append(box, &large), -EAGAIN);
	chunk_unref(scratch[--count]);
	assert_int_equal(logbox_append(box, &large), 1);
	logbox_settle(box);
	while (count > 0)
		chunk_unref(scratch[--count]);
	logbox_verify_range(box, 0, 2, 1);
}

/* A batch that has no room behind a durable tail is one write all the same. */
static void test_seglog_batch_after_a_durable_one_is_one_write(void **state)
{
	struct logbox *box = *state;

	for (int64_t i = 0; i < 50; i++) {
		assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 30000 }),
				 i);
		logbox_settle(box);
	}
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_FLUSH_WRITES), 50);
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_FLUSHES), 50);
	logbox_verify_range(box, 0, 50, 1);
	logbox_verify_range(box, 0, 50, 1000000);
}

static void test_seglog_epoch_end(void **state)
{
	struct logbox *box = *state;
	int32_t epoch;

	assert_int_equal(logbox_append(box, &(struct logbox_spec){ .records = 10 }), 0);
	logbox_settle(box);
	assert_int_equal(seglog_epoch_end(box->log, 4, &epoch), 10);
	assert_int_equal(epoch, 4);
	assert_int_equal(seglog_epoch_end(box->log, 5, &epoch), -1);
	assert_int_equal(epoch, -1);
}

static void test_seglog_find_time(void **state)
{
	struct logbox *box = *state;

	for (int32_t i = 0; i < 100; i++)
		assert_int_equal(logbox_append(box, &(struct logbox_spec){ .value_size = 2000,
									   .timestamp = 1000 + i }),
				 i);
	logbox_settle(box);
	for (int32_t i = 0; i < 100; i++) {
		int64_t offset = seglog_find_time(box->log, 1000 + i);

		assert_true(offset <= i);
		assert_true(offset >= i - 4);
	}
	assert_int_equal(seglog_find_time(box->log, 2000), 100);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_seglog_append_offsets_are_dense),
		TEST(test_seglog_append_straddles_chunks),
		TEST(test_seglog_reserve_one_at_a_time),
		TEST(test_seglog_abandon_leaves_nothing),
		TEST(test_seglog_rolls_by_size),
		TEST(test_seglog_rolls_by_age),
		TEST(test_seglog_duplicates_and_gaps),
		TEST(test_seglog_no_memory_is_back_pressure),
		TEST(test_seglog_append_time),
		TEST(test_seglog_quiet_tail_is_given_back),
		TEST(test_seglog_tail_goes_at_once_when_memory_is_short),
		TEST(test_seglog_tail_stays_while_it_is_committed),
		TEST(test_seglog_tail_is_not_given_for_its_own_batch),
		TEST(test_seglog_batch_after_a_durable_one_is_one_write),
		TEST(test_seglog_epoch_end),
		TEST(test_seglog_find_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
