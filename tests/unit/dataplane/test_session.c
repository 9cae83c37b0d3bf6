/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: bad frames close the connection with a counted reason and hurt nobody else; every other
 * request is read in pieces of any size; requests are answered in order, Produce requests overlap,
 * and nothing is read behind a request that waits; idle connections are closed, busy ones are not;
 * connections beyond the limit are refused; random bytes never crash; errors map to Kafka's.
 * Shown by feeding sessions by hand.
 */
#include <errno.h>
#include <string.h>

#include "base/prng.h"

#include "cm.h"
#include "corebox.h"

static const struct corebox_batch plain = { .producer_id = -1, .records = 1, .value_size = 100 };

static uint64_t count_of(const struct corebox *box, enum counter which)
{
	return counters_get(box->cores[0]->counters, which);
}

static void send_raw(struct client *client, uint32_t size, int16_t key, int16_t version)
{
	uint8_t frame[64] = { 0 };

	bytes_store_u32(frame, size);
	bytes_store_u16(frame + 4, (uint16_t)key);
	bytes_store_u16(frame + 6, (uint16_t)version);
	client_send(client, frame, sizeof(frame), 5);
}

static void test_session_bad_frames(void **state)
{
	static const struct {
		uint32_t size;
		int16_t key;
		int16_t version;
		enum counter reason;
	} rows[] = {
		{ 7, 3, 1, COUNTER_SESSION_CLOSE_FRAME_SIZE },
		{ 0, 3, 1, COUNTER_SESSION_CLOSE_FRAME_SIZE },
		{ UINT32_MAX, 3, 1, COUNTER_SESSION_CLOSE_FRAME_SIZE },
		{ 1U << 30, 0, 9, COUNTER_SESSION_CLOSE_FRAME_TOO_LARGE },
		{ SESSION_FRAME_MAX + 1, 3, 1, COUNTER_SESSION_CLOSE_FRAME_TOO_LARGE },
		{ 40, 999, 0, COUNTER_SESSION_CLOSE_API_KEY },
		{ 40, -1, 0, COUNTER_SESSION_CLOSE_API_KEY },
		{ 40, 3, 99, COUNTER_SESSION_CLOSE_API_VERSION },
		{ 40, 0, 2, COUNTER_SESSION_CLOSE_API_VERSION },
		{ 12, 3, 9, COUNTER_SESSION_CLOSE_MALFORMED },
		{ 12, 0, 9, COUNTER_SESSION_CLOSE_MALFORMED },
	};
	struct corebox *box = corebox_new(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct client *client = client_new(box, 0);
		uint64_t before = count_of(box, rows[i].reason);

		send_raw(client, rows[i].size, rows[i].key, rows[i].version);
		assert_true(client->is_closed);
		assert_int_equal(count_of(box, rows[i].reason), before + 1);
		client_free(client);
	}
	corebox_free(box);
}

static void api_versions(struct client *client, int16_t version, int32_t correlation, size_t piece)
{
	struct wire_api_versions_request request = { .client_software_name = WIRE_STRING("box"),
						     .client_software_version = WIRE_STRING("1") };
	int16_t known = version < 4 ? version : 4; /* newer ones are encoded as the newest */
	struct writer writer = client_begin(WIRE_API_API_VERSIONS, known, correlation);

	wire_encode_api_versions_request(&writer, known, &request);
	bytes_store_u16(writer.begin + 6, (uint16_t)version);
	client_end(client, &writer, piece);
}

static void test_session_api_versions(void **state)
{
	static uint8_t memory[16384];
	static const struct {
		int16_t asked, answered, error;
	} rows[] = { { 0, 0, 0 }, { 3, 3, 0 }, { 4, 4, 0 }, { 9, 0, KAFKA_UNSUPPORTED_VERSION } };
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct wire_api_versions_response response;
		struct wire_scratch scratch;
		struct reader reader;

		api_versions(client, rows[i].asked, 5, 1);
		assert_true(client_response(client, WIRE_API_API_VERSIONS, rows[i].answered, 5,
					    &reader));
		wire_scratch_init(&scratch, memory, sizeof(memory));
		assert_int_equal(wire_decode_api_versions_response(&reader, rows[i].answered,
								   &scratch, &response),
				 0);
		assert_int_equal(response.error_code, rows[i].error);
		assert_int_equal(response.api_keys_count, (int64_t)wire_api_count);
		/* librdkafka up to 2.11 turns compression off unless Produce begins at 0. */
		assert_int_equal(response.api_keys[0].api_key, WIRE_API_PRODUCE);
		assert_int_equal(response.api_keys[0].min_version, 0);
	}
	client_free(client);
	corebox_free(box);
}

static void test_session_answers_in_order(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct reader reader;

	(void)state;
	client_produce(client, 9, 1, -1, 0, corebox_batch(&plain), 100);
	client_produce(client, 9, 2, 1, 1, corebox_batch(&plain), 100);
	api_versions(client, 3, 3, 100);
	client_produce(client, 9, 4, 1, 1, corebox_batch(&plain), 100);
	/* acks=1 could be answered, but the first is not durable. */
	assert_false(client_response(client, WIRE_API_PRODUCE, 9, 1, &reader));
	corebox_settle(box);
	assert_true(client_response(client, WIRE_API_PRODUCE, 9, 1, &reader));
	assert_true(client_response(client, WIRE_API_PRODUCE, 9, 2, &reader));
	assert_true(client_response(client, WIRE_API_API_VERSIONS, 3, 3, &reader));
	corebox_settle(box);
	assert_true(client_response(client, WIRE_API_PRODUCE, 9, 4, &reader));
	client_free(client);
	corebox_free(box);
}

static void test_session_half_close_is_answered_first(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct client *half = client_new(box, 0);
	struct client *done = client_new(box, 0);
	struct reader reader;
	size_t at;

	(void)state;
	client_produce(client, 9, 1, -1, 0, corebox_batch(&plain), 100);
	api_versions(client, 3, 2, 100);
	assert_true(session_eof(client->link.session));
	assert_false(client->is_closed);
	corebox_settle(box);
	assert_true(client_response(client, WIRE_API_PRODUCE, 9, 1, &reader));
	assert_true(client_response(client, WIRE_API_API_VERSIONS, 3, 2, &reader));
	assert_true(client->is_closed);
	/* A request that will never be complete is not waited for, and lets go of its place. */
	client_produce(half, 9, 1, -1, 0, corebox_batch(&plain), 100);
	client_produce_part(half, 9, 2, corebox_batch(&plain), 120, &at);
	assert_true(session_eof(half->link.session));
	corebox_settle(box);
	assert_true(client_response(half, WIRE_API_PRODUCE, 9, 1, &reader));
	assert_true(half->is_closed);
	assert_true(list_is_empty(&box->cores[0]->sessions->reserving));
	/* Nothing is owed. */
	assert_false(session_eof(done->link.session));
	assert_int_equal(count_of(box, COUNTER_SESSION_CLOSE_ENDED), 3);
	client_free(client);
	client_free(half);
	client_free(done);
	corebox_free(box);
}

/* The answer never comes: the client is gone, so this does not hold the connection for ever. */
static void test_session_half_close_without_answer_ends_as_idle(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	client_produce(client, 9, 1, -1, 0, corebox_batch(&plain), 100);
	assert_true(session_eof(client->link.session));
	corebox_sleep(box, box->config.connection_idle_ms + 10);
	corebox_turn(box); /* without the disk, so the batch stays unanswered */
	assert_true(client->is_closed);
	assert_int_equal(count_of(box, COUNTER_SESSION_CLOSE_IDLE), 1);
	corebox_settle(box);
	client_free(client);
	corebox_free(box);
}

static void test_session_many_in_flight(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct reader reader;

	(void)state;
	for (int32_t i = 0; i < 3 * SESSION_REQUESTS_MAX; i++)
		client_produce(client, 9, i, -1, 0, corebox_batch(&plain), 1000);
	assert_true(client->kept_size > 0); /* the session stopped reading */
	assert_int_equal(session_credit(client->link.session), 0);
	for (int32_t i = 0; i < 3 * SESSION_REQUESTS_MAX; i++) {
		for (int j = 0; j < 10 && !client_response(client, WIRE_API_PRODUCE, 9, i, &reader);
		     j++)
			corebox_settle(box);
	}
	assert_int_equal(client->kept_size, 0);
	assert_int_equal(client->out_size, 0);
	assert_int_equal(seglog_high_watermark(box->topics->topics[0].partitions[0]->log),
			 3 * SESSION_REQUESTS_MAX);
	client_free(client);
	corebox_free(box);
}

static void test_session_idle(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *quiet = client_new(box, 0);
	struct client *busy = client_new(box, 0);

	(void)state;
	corebox_sleep(box, box->config.connection_idle_ms - 10);
	api_versions(busy, 3, 1, 100);
	corebox_sleep(box, 20);
	corebox_settle(box);
	assert_true(quiet->is_closed);
	assert_false(busy->is_closed);
	assert_int_equal(count_of(box, COUNTER_SESSION_CLOSE_IDLE), 1);
	client_free(quiet);
	client_free(busy);
	corebox_free(box);
}

static void test_session_limit(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *clients[16];
	struct link link = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(clients); i++)
		clients[i] = client_new(box, 0);
	assert_int_equal(session_open(box->cores[0], &link, 1), -ENOBUFS);
	assert_int_equal(count_of(box, COUNTER_SESSION_REFUSED), 1);
	assert_int_equal(sessions_count(box->cores[0]), 16);
	client_free(clients[3]);
	clients[3] = client_new(box, 0);
	for (size_t i = 0; i < ARRAY_COUNT(clients); i++)
		client_free(clients[i]);
	corebox_free(box);
}

/* Valid Produce frames with one byte changed: every outcome is an answer, a wait or a close. */
static void test_session_random_damage(void **state)
{
	struct corebox *box = corebox_new(1);
	struct prng prng = { .state = 1 };

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct client *client = client_new(box, 0);
		struct writer writer =
			produce_frame((int16_t)(3 + i % 11), 1, -1, 0, corebox_batch(&plain));
		size_t size = writer_size(&writer);

		bytes_store_u32(writer.begin, (uint32_t)size - 4);
		for (int j = 0; j < 3; j++)
			writer.begin[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
		client_send(client, writer.begin, size, 1 + prng_below(&prng, 64));
		if (i % 50 == 0)
			corebox_settle(box);
		client_free(client);
	}
	corebox_settle(box);
	assert_int_equal(sessions_count(box->cores[0]), 0);
	assert_true(list_is_empty(&box->cores[0]->sessions->reserving));
	corebox_free(box);
}

static void test_session_err_from(void **state)
{
	static const struct {
		int error;
		int16_t kafka;
	} rows[] = {
		{ 0, KAFKA_NONE },
		{ ERR_CORRUPT, KAFKA_CORRUPT_MESSAGE },
		{ ERR_OFFSET_RANGE, KAFKA_OFFSET_OUT_OF_RANGE },
		{ ERR_OUT_OF_ORDER, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER },
		{ ERR_FENCED, KAFKA_INVALID_PRODUCER_EPOCH },
		{ ERR_POISONED, KAFKA_KAFKA_STORAGE_ERROR },
		{ ERR_OFFLINE, KAFKA_KAFKA_STORAGE_ERROR },
		{ ERR_UNKNOWN, KAFKA_UNKNOWN_TOPIC_OR_PARTITION },
		{ -EAGAIN, KAFKA_REQUEST_TIMED_OUT },
		{ -EPERM, KAFKA_UNKNOWN_SERVER_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(session_err_from(rows[i].error), rows[i].kafka);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_bad_frames),
		cmocka_unit_test(test_session_api_versions),
		cmocka_unit_test(test_session_answers_in_order),
		cmocka_unit_test(test_session_half_close_is_answered_first),
		cmocka_unit_test(test_session_half_close_without_answer_ends_as_idle),
		cmocka_unit_test(test_session_many_in_flight),
		cmocka_unit_test(test_session_idle),
		cmocka_unit_test(test_session_limit),
		cmocka_unit_test(test_session_random_damage),
		cmocka_unit_test(test_session_err_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
