/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: a Produce request is understood in pieces of any size and every version; acks=all is
 * answered only after the commit round's fsync has completed, acks=1 at once, acks=0 never; a wrong
 * checksum is refused and nothing of it becomes visible; a repeated batch of an idempotent producer
 * gets the first answer; two connections that fill one partition at the same time both succeed, in
 * arrival order, and a stalled one does not hold up the other; another core's partition works.
 * Shown with frames of the wire codec against real logs on a fake ring that completes on demand.
 */
#include <errno.h>
#include <string.h>

#include "../storage/uring_fake.h"
#include "cm.h"
#include "corebox.h"

static struct wire_produce_response_responses_partition_responses answer;

/* @return false: no response yet */
static bool answered(struct client *client, int16_t version, int32_t correlation)
{
	static uint8_t memory[4096];
	struct wire_scratch scratch;
	struct wire_produce_response response;
	struct reader reader;

	if (!client_response(client, WIRE_API_PRODUCE, version, correlation, &reader))
		return false;
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_produce_response(&reader, version, &scratch, &response), 0);
	assert_int_equal(reader_left(&reader), 0);
	assert_int_equal(response.responses_count, 1);
	assert_int_equal(response.responses[0].partition_responses_count, 1);
	answer = response.responses[0].partition_responses[0];
	return true;
}

static struct seglog *log_of(const struct corebox *box, uint32_t partition)
{
	return box->topics->topics[0].partitions[partition]->log;
}

static const struct corebox_batch plain = { .producer_id = -1, .records = 3, .value_size = 700 };

static void test_produce_every_version_in_pieces(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 61, 1000, 1U << 20 };
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	int64_t offset = 0;

	(void)state;
	for (int16_t version = 3; version <= 13; version++) {
		for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
			client_produce(client, version, 42, -1, 0, corebox_batch(&plain),
				       pieces[i]);
			corebox_settle(box);
			assert_true(answered(client, version, 42));
			assert_int_equal(answer.error_code, 0);
			assert_int_equal(answer.index, 0);
			assert_int_equal(answer.base_offset, offset);
			offset += 3;
		}
	}
	assert_int_equal(seglog_high_watermark(log_of(box, 0)), offset);
	client_free(client);
	corebox_free(box);
}

static void test_produce_waits_for_the_flush(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct uring *uring = box->cores[0]->uring;
	int fsync;

	(void)state;
	client_produce(client, 9, 1, -1, 0, corebox_batch(&plain), 4096);
	corebox_turn(box);
	corebox_turn(box);
	assert_false(answered(client, 9, 1));
	assert_int_equal(seglog_high_watermark(log_of(box, 0)), 0);
	/* The data is written: still nothing, it is not durable. */
	while ((fsync = uring_fake_find(uring, URING_FAKE_WRITE)) >= 0) {
		uring_fake_perform(uring, (uint32_t)fsync);
		corebox_turn(box);
	}
	assert_false(answered(client, 9, 1));
	fsync = uring_fake_find(uring, URING_FAKE_FSYNC);
	assert_true(fsync >= 0);
	assert_false(answered(client, 9, 1));
	uring_fake_perform(uring, (uint32_t)fsync);
	corebox_turn(box);
	assert_true(answered(client, 9, 1));
	assert_int_equal(answer.error_code, 0);
	assert_int_equal(seglog_high_watermark(log_of(box, 0)), 3);
	client_free(client);
	corebox_free(box);
}

static void test_produce_failed_flush_is_an_error(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	uring_fake_fail_next(box->cores[0]->uring, URING_FAKE_FSYNC, 1, -EIO);
	client_produce(client, 9, 1, -1, 0, corebox_batch(&plain), 4096);
	corebox_settle(box);
	assert_true(answered(client, 9, 1));
	assert_int_equal(answer.error_code, KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(seglog_high_watermark(log_of(box, 0)), 0);
	client_free(client);
	box->is_poisoned = true;
	corebox_free(box);
}

static void test_produce_acks(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	client_produce(client, 7, 1, 1, 0, corebox_batch(&plain), 100);
	assert_true(answered(client, 7, 1));
	assert_int_equal(answer.base_offset, 0);
	client_produce(client, 7, 2, 0, 0, corebox_batch(&plain), 100);
	corebox_settle(box);
	assert_false(answered(client, 7, 2));
	assert_int_equal(seglog_high_watermark(log_of(box, 0)), 6);
	client_produce(client, 7, 3, 5, 0, corebox_batch(&plain), 100);
	assert_true(answered(client, 7, 3));
	assert_int_equal(answer.error_code, KAFKA_INVALID_REQUIRED_ACKS);
	assert_false(client->is_closed);
	client_produce(client, 7, 4, 0, 99, corebox_batch(&plain), 100);
	assert_true(client->is_closed);
	client_free(client);
	corebox_free(box);
}

static void test_produce_refuses_corruption(void **state)
{
	const struct corebox_batch corrupt = {
		.producer_id = -1, .records = 3, .value_size = 700, .is_corrupt = true
	};
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	client_produce(client, 9, 1, -1, 0, corebox_batch(&corrupt), 333);
	corebox_settle(box);
	assert_true(answered(client, 9, 1));
	assert_int_equal(answer.error_code, KAFKA_CORRUPT_MESSAGE);
	assert_int_equal(seglog_next_offset(log_of(box, 0)), 0);
	assert_false(seglog_is_reserved(log_of(box, 0)));
	client_produce(client, 9, 2, -1, 0, corebox_batch(&plain), 333);
	corebox_settle(box);
	assert_true(answered(client, 9, 2));
	assert_int_equal(answer.base_offset, 0);
	client_produce(client, 9, 3, -1, 77, corebox_batch(&plain), 333);
	assert_true(answered(client, 9, 3));
	assert_int_equal(answer.error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	client_free(client);
	corebox_free(box);
}

static void test_produce_duplicate_gets_the_first_answer(void **state)
{
	const struct corebox_batch first = {
		.producer_id = 5, .sequence = 0, .records = 2, .value_size = 10
	};
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	client_produce(client, 9, 1, -1, 0, corebox_batch(&first), 4096);
	client_produce(client, 9, 2, -1, 0, corebox_batch(&first), 4096);
	corebox_turn(box);
	assert_false(answered(client, 9, 1)); /* nor the second: it is not durable yet */
	corebox_settle(box);
	assert_true(answered(client, 9, 1));
	assert_int_equal(answer.base_offset, 0);
	assert_true(answered(client, 9, 2));
	assert_int_equal(answer.error_code, 0);
	assert_int_equal(answer.base_offset, 0);
	assert_int_equal(seglog_next_offset(log_of(box, 0)), 2);
	client_free(client);
	corebox_free(box);
}

static void test_produce_two_connections_one_partition(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *slow = client_new(box, 0);
	struct client *fast = client_new(box, 0);
	size_t size;

	(void)state;
	/* The slow one stops in the middle of its batch and so holds the tail. */
	client_produce(slow, 9, 1, -1, 0, corebox_batch(&plain), 1U << 20);
	corebox_settle(box);
	assert_true(answered(slow, 9, 1));
	client_produce_part(slow, 9, 2, corebox_batch(&plain), 1500, &size);
	assert_true(seglog_is_reserved(log_of(box, 0)));
	client_produce(fast, 9, 3, -1, 0, corebox_batch(&plain), 100);
	corebox_settle(box);
	assert_false(answered(fast, 9, 3));
	corebox_sleep(box, 20);
	corebox_settle(box);
	assert_true(answered(fast, 9, 3));
	assert_int_equal(answer.base_offset, 3);
	assert_int_equal(counters_get(box->cores[0]->counters, COUNTER_PRODUCE_DEMOTIONS), 1);
	client_produce_rest(slow, size);
	corebox_settle(box);
	assert_true(answered(slow, 9, 2));
	assert_int_equal(answer.error_code, 0);
	assert_int_equal(answer.base_offset, 6);
	client_free(slow);
	client_free(fast);
	corebox_free(box);
}

static void test_produce_closed_in_the_middle(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *gone = client_new(box, 0);
	struct client *next = client_new(box, 0);
	size_t size;

	(void)state;
	client_produce_part(gone, 9, 1, corebox_batch(&plain), 1500, &size);
	assert_true(seglog_is_reserved(log_of(box, 0)));
	client_free(gone);
	assert_false(seglog_is_reserved(log_of(box, 0)));
	client_produce(next, 9, 2, -1, 0, corebox_batch(&plain), 100);
	corebox_settle(box);
	assert_true(answered(next, 9, 2));
	assert_int_equal(answer.base_offset, 0);
	client_free(next);
	corebox_free(box);
}

static void test_produce_to_another_core(void **state)
{
	struct corebox *box = corebox_new(2);
	struct client *client = client_new(box, 0);

	(void)state;
	client_produce(client, 9, 1, -1, 1, corebox_batch(&plain), 1000);
	corebox_settle(box);
	assert_true(answered(client, 9, 1));
	assert_int_equal(answer.error_code, 0);
	assert_int_equal(answer.base_offset, 0);
	assert_int_equal(seglog_high_watermark(log_of(box, 1)), 3);
	/* The connection goes while the batch is away. */
	client_produce(client, 9, 2, -1, 1, corebox_batch(&plain), 1000);
	client_free(client);
	corebox_settle(box);
	assert_int_equal(seglog_high_watermark(log_of(box, 1)), 6);
	corebox_free(box);
}

/* The disk answers nothing: the ring fills, reading stops, nothing is lost when it goes on. */
static void test_produce_ring_full_is_back_pressure(void **state)
{
	const struct corebox_batch large = { .producer_id = -1,
					     .records = 1,
					     .value_size = 1 << 20 };
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	int32_t sent = 0;

	(void)state;
	while (client->kept_size == 0 && sent < 60) {
		client_produce(client, 9, sent, -1, sent % 2, corebox_batch(&large), 100000);
		corebox_turn(box);
		sent++;
	}
	assert_in_range(sent, 10, 40);
	assert_int_equal(session_credit(client->link.session), 0);
	for (int32_t i = 0; i < sent; i++) {
		bool is_there = answered(client, 9, i);

		for (int j = 0; j < 100 && !is_there; j++) {
			corebox_sleep(box, 20);
			corebox_settle(box);
			is_there = answered(client, 9, i);
		}
		assert_true(is_there);
		assert_int_equal(answer.error_code, 0);
	}
	assert_int_equal(seglog_high_watermark(log_of(box, 0)) +
				 seglog_high_watermark(log_of(box, 1)),
			 sent);
	client_free(client);
	corebox_free(box);
}

static void test_produce_judges_batches(void **state)
{
	static const struct {
		uint32_t at; /* byte of the batch that is changed */
		uint8_t to;
		int16_t error;
		int16_t version;
	} rows[] = {
		{ 16, 1, KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT, 9 },
		{ 22, 0x20, KAFKA_INVALID_RECORD, 9 },            /* control */
		{ 22, 0x10, KAFKA_INVALID_TXN_STATE, 9 },         /* transactional */
		{ 22, 4, KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 6 }, /* zstd */
		{ 22, 7, KAFKA_UNSUPPORTED_COMPRESSION_TYPE, 9 },
		{ 60, 9, KAFKA_INVALID_RECORD, 9 }, /* count and last offset delta differ */
		{ 11, 0, KAFKA_INVALID_RECORD, 9 }, /* more bytes than the batch says */
		{ 20, 1, KAFKA_CORRUPT_MESSAGE, 9 },
	};
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct wire_bytes batch = corebox_batch(&plain);
		uint8_t bytes[4096];

		assert_true((size_t)batch.size <= sizeof(bytes));
		memcpy(bytes, batch.bytes, (size_t)batch.size);
		bytes[rows[i].at] = bytes[rows[i].at] != rows[i].to ? rows[i].to : 0x55;
		batch.bytes = bytes;
		client_produce(client, rows[i].version, 1, -1, 0, batch, 77);
		corebox_settle(box);
		assert_true(answered(client, rows[i].version, 1));
		assert_int_equal(answer.error_code, rows[i].error);
	}
	client_produce(client, 9, 2, -1, 0, WIRE_BYTES_NULL, 77);
	assert_true(answered(client, 9, 2));
	assert_int_equal(answer.error_code, KAFKA_INVALID_RECORD);
	assert_int_equal(seglog_next_offset(log_of(box, 0)), 0);
	client_free(client);
	corebox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_produce_every_version_in_pieces),
		cmocka_unit_test(test_produce_waits_for_the_flush),
		cmocka_unit_test(test_produce_failed_flush_is_an_error),
		cmocka_unit_test(test_produce_acks),
		cmocka_unit_test(test_produce_refuses_corruption),
		cmocka_unit_test(test_produce_duplicate_gets_the_first_answer),
		cmocka_unit_test(test_produce_two_connections_one_partition),
		cmocka_unit_test(test_produce_closed_in_the_middle),
		cmocka_unit_test(test_produce_to_another_core),
		cmocka_unit_test(test_produce_ring_full_is_back_pressure),
		cmocka_unit_test(test_produce_judges_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
