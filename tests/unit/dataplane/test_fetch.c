/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: what was produced comes back byte for byte in every version, never above the high
 * watermark; a long poll is woken by the flush and by its time; the first batch comes whole whatever
 * the limits; offsets outside the log and wrong epochs get Kafka's errors; fetch sessions follow
 * KIP-227 (full, incremental, forgotten, wrong id, wrong epoch, final); another core's partition is
 * read and waited for; a connection may go while its fetch waits.
 * Shown with frames of the wire codec, answers decoded by it, on real logs and a fake ring.
 */
#include <string.h>

#include "../storage/uring_fake.h"
#include "cm.h"
#include "corebox.h"

struct ask {
	int16_t version;
	int32_t partition;
	int32_t partitions; /* from `partition` on; 0: none named */
	int64_t offset;
	int32_t wait_ms;
	int32_t min_bytes;
	int32_t size_max;
	int32_t session_id;
	int32_t session_epoch;
	int32_t leader_epoch;
	int32_t forget; /* partition; -1: none */
};

static const struct ask common = { .version = 11,
				   .partitions = 1,
				   .min_bytes = 1,
				   .size_max = 1 << 20,
				   .session_epoch = -1,
				   .leader_epoch = -1,
				   .forget = -1 };
static const struct corebox_batch plain = { .producer_id = -1, .records = 3, .value_size = 700 };
static struct wire_fetch_response response;
static struct wire_fetch_response_responses_partitions *first;

static void ask_for(struct client *client, int32_t correlation, const struct ask *ask)
{
	struct wire_fetch_request_topics_partitions partitions[COREBOX_PARTITIONS];
	struct wire_fetch_request_topics topic = { .topic = WIRE_STRING(COREBOX_TOPIC),
						   .partitions = partitions,
						   .partitions_count = ask->partitions };
	int32_t forgotten = ask->forget;
	struct wire_fetch_request_forgotten_topics_data forget = {
		.topic = WIRE_STRING(COREBOX_TOPIC), .partitions = &forgotten, .partitions_count = 1
	};
	struct wire_fetch_request request;
	struct writer writer = client_begin(WIRE_API_FETCH, ask->version, correlation);

	wire_default_fetch_request(&request);
	memset(topic.topic_id.bytes, 7, UUID_SIZE);
	memset(forget.topic_id.bytes, 7, UUID_SIZE);
	for (int32_t i = 0; i < ask->partitions; i++) {
		wire_default_fetch_request_topics_partitions(&partitions[i]);
		partitions[i].partition = ask->partition + i;
		partitions[i].fetch_offset = ask->offset;
		partitions[i].partition_max_bytes = ask->size_max;
		partitions[i].current_leader_epoch = ask->leader_epoch;
	}
	request.max_wait_ms = ask->wait_ms;
	request.min_bytes = ask->min_bytes;
	request.session_id = ask->session_id;
	request.session_epoch = ask->session_epoch;
	request.topics = &topic;
	request.topics_count = ask->partitions > 0 ? 1 : 0;
	request.forgotten_topics_data = &forget;
	request.forgotten_topics_data_count = ask->forget >= 0 ? 1 : 0;
	wire_encode_fetch_request(&writer, ask->version, &request);
	client_end(client, &writer, 50);
}

static bool answered(struct client *client, int32_t correlation, const struct ask *ask)
{
	static uint8_t memory[65536];
	struct wire_scratch scratch;
	struct reader reader;

	if (!client_response(client, WIRE_API_FETCH, ask->version, correlation, &reader))
		return false;
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_fetch_response(&reader, ask->version, &scratch, &response), 0);
	assert_int_equal(reader_left(&reader), 0);
	first = response.responses_count > 0 ? &response.responses[0].partitions[0] : NULL;
	return true;
}

static void produce(struct client *client, int32_t partition)
{
	struct reader reader;

	client_produce(client, 9, 900, -1, partition, corebox_batch(&plain), 1000);
	corebox_settle(client->box);
	assert_true(client_response(client, WIRE_API_PRODUCE, 9, 900, &reader));
}

/* The batch as it was sent, but for what the broker assigns (its first 16 bytes). */
static void assert_records(const struct wire_bytes *records, uint32_t batches)
{
	struct wire_bytes sent = corebox_batch(&plain);

	assert_int_equal(records->size, (int64_t)batches * sent.size);
	for (uint32_t i = 0; i < batches; i++)
		assert_memory_equal(records->bytes + (int64_t)i * sent.size + 16, sent.bytes + 16,
				    (size_t)sent.size - 16);
}

static void test_fetch_every_version(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	produce(client, 0);
	produce(client, 0);
	for (int16_t version = 4; version <= 18; version++) {
		struct ask ask = common;

		ask.version = version;
		ask_for(client, version, &ask);
		assert_true(answered(client, version, &ask));
		assert_int_equal(response.error_code, 0);
		assert_non_null(first);
		assert_int_equal(first->error_code, 0);
		assert_int_equal(first->high_watermark, 6);
		assert_records(&first->records, 2);
		ask.offset = 4; /* within the second batch */
		ask_for(client, version, &ask);
		assert_true(answered(client, version, &ask));
		assert_records(&first->records, 1);
	}
	client_free(client);
	corebox_free(box);
}

static void test_fetch_first_batch_is_whole(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct ask ask = common;

	(void)state;
	produce(client, 0);
	produce(client, 0);
	ask.size_max = 10;
	ask_for(client, 1, &ask);
	assert_true(answered(client, 1, &ask));
	assert_records(&first->records, 1);
	client_free(client);
	corebox_free(box);
}

static void test_fetch_long_poll(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct client *producer = client_new(box, 0);
	struct ask ask = common;
	struct reader reader;

	(void)state;
	ask.wait_ms = 500;
	ask_for(client, 1, &ask);
	corebox_settle(box);
	assert_false(answered(client, 1, &ask));
	client_produce(producer, 9, 2, 1, 0, corebox_batch(&plain), 1000);
	corebox_turn(box);
	corebox_turn(box);
	assert_true(client_response(producer, WIRE_API_PRODUCE, 9, 2, &reader));
	/* Appended, even acknowledged with acks=1, but not durable: not to be read. */
	assert_false(answered(client, 1, &ask));
	corebox_settle(box);
	assert_true(answered(client, 1, &ask));
	assert_records(&first->records, 1);
	/* Nothing comes: the time ends it. */
	ask.offset = 3;
	ask_for(client, 2, &ask);
	corebox_sleep(box, 499);
	corebox_settle(box);
	assert_false(answered(client, 2, &ask));
	corebox_sleep(box, 2);
	corebox_settle(box);
	assert_true(answered(client, 2, &ask));
	assert_int_equal(first->records.size, 0);
	assert_int_equal(first->high_watermark, 3);
	/* More than one batch is asked for. */
	ask.min_bytes = corebox_batch(&plain).size + 1;
	ask_for(client, 3, &ask);
	produce(producer, 0);
	assert_false(answered(client, 3, &ask));
	client_free(producer);
	client_free(client); /* while it waits */
	corebox_settle(box);
	corebox_free(box);
}

static void test_fetch_errors(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct ask ask = common;

	(void)state;
	produce(client, 0);
	ask.wait_ms = 500;
	ask.offset = 4;
	ask_for(client, 1, &ask);
	assert_true(answered(client, 1, &ask));
	assert_int_equal(first->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(first->high_watermark, 3);
	assert_int_equal(first->log_start_offset, 0);
	ask.offset = 0;
	ask.leader_epoch = 2;
	ask_for(client, 2, &ask);
	assert_true(answered(client, 2, &ask));
	assert_int_equal(first->error_code, KAFKA_FENCED_LEADER_EPOCH);
	ask.leader_epoch = 4;
	ask_for(client, 3, &ask);
	assert_true(answered(client, 3, &ask));
	assert_int_equal(first->error_code, KAFKA_UNKNOWN_LEADER_EPOCH);
	ask.leader_epoch = 3;
	ask_for(client, 4, &ask);
	assert_true(answered(client, 4, &ask));
	assert_int_equal(first->error_code, 0);
	ask.partition = 50;
	ask_for(client, 5, &ask);
	assert_true(answered(client, 5, &ask));
	assert_int_equal(first->error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	client_free(client);
	corebox_free(box);
}

static void sessions_of_version(int16_t version)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct client *producer = client_new(box, 0);
	struct ask full = common;
	struct ask next = common;

	full.version = next.version = version;
	full.session_epoch = 0;
	full.partitions = COREBOX_PARTITIONS;
	produce(producer, 1);
	ask_for(client, 1, &full);
	assert_true(answered(client, 1, &full));
	assert_true(response.session_id > 0);
	assert_int_equal(response.responses_count, 1);
	assert_int_equal(response.responses[0].partitions_count, COREBOX_PARTITIONS);
	next.session_id = response.session_id;
	/* Nothing is new, once the offset of partition 1 moved. */
	next.session_epoch = 1;
	next.partition = 1;
	next.offset = 3;
	ask_for(client, 2, &next);
	assert_true(answered(client, 2, &next));
	assert_int_equal(response.error_code, 0);
	assert_int_equal(response.responses_count, 0);
	/* Only what is new is named. */
	produce(producer, 2);
	next.session_epoch = 2;
	next.partitions = 0;
	ask_for(client, 3, &next);
	assert_true(answered(client, 3, &next));
	assert_int_equal(response.responses_count, 1);
	assert_int_equal(response.responses[0].partitions_count, 1);
	assert_int_equal(first->partition_index, 2);
	assert_records(&first->records, 1);
	/* The same epoch again is refused, and so is an unknown session. */
	ask_for(client, 4, &next);
	assert_true(answered(client, 4, &next));
	assert_int_equal(response.error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
	next.session_epoch = 3;
	next.forget = 2;
	ask_for(client, 5, &next);
	assert_true(answered(client, 5, &next));
	assert_int_equal(response.error_code, 0);
	assert_int_equal(response.responses_count, 0);
	next.forget = -1;
	next.session_epoch = -1; /* final */
	next.partitions = 1;
	ask_for(client, 6, &next);
	assert_true(answered(client, 6, &next));
	assert_int_equal(response.session_id, 0);
	next.session_epoch = 4;
	ask_for(client, 7, &next);
	assert_true(answered(client, 7, &next));
	assert_int_equal(response.error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	client_free(client);
	client_free(producer);
	corebox_free(box);
}

static void test_fetch_sessions(void **state)
{
	(void)state;
	sessions_of_version(7);
	sessions_of_version(12);
	sessions_of_version(16);
}

static void test_fetch_from_another_core(void **state)
{
	struct corebox *box = corebox_new(2);
	struct client *client = client_new(box, 0);
	struct client *producer = client_new(box, 1);
	struct ask ask = common;

	(void)state;
	produce(producer, 1);
	ask.partition = 1;
	ask_for(client, 1, &ask);
	corebox_settle(box);
	assert_true(answered(client, 1, &ask));
	assert_records(&first->records, 1);
	/* Waiting on both cores' partitions; the other core's gets data. */
	ask.partition = 0;
	ask.partitions = 2;
	ask.wait_ms = 1000;
	ask.offset = 3;
	produce(producer, 0);
	ask_for(client, 2, &ask);
	corebox_settle(box);
	assert_false(answered(client, 2, &ask));
	produce(producer, 1);
	corebox_settle(box);
	assert_true(answered(client, 2, &ask));
	assert_int_equal(response.responses[0].partitions_count, 2);
	assert_records(&response.responses[0].partitions[1].records, 1);
	/* The time ends a wait at another core, and so does the end of the connection. */
	ask.partition = 1;
	ask.partitions = 1;
	ask.offset = 6;
	ask_for(client, 3, &ask);
	corebox_settle(box);
	corebox_sleep(box, 1001);
	corebox_settle(box);
	assert_true(answered(client, 3, &ask));
	ask_for(client, 4, &ask);
	corebox_settle(box);
	client_free(client);
	corebox_settle(box);
	produce(producer, 1);
	client_free(producer);
	corebox_free(box);
}

/* More than the ring holds: the oldest batches come from the files. */
static void test_fetch_cold(void **state)
{
	const struct corebox_batch large = { .producer_id = -1,
					     .records = 1,
					     .value_size = 1 << 20 };
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	struct client *gone = client_new(box, 0);
	struct ask ask = common;
	struct reader reader;

	(void)state;
	for (int32_t i = 0; i < 40; i++) {
		client_produce(client, 9, i, -1, 0, corebox_batch(&large), 1 << 20);
		for (int j = 0; j < 100; j++) {
			corebox_settle(box);
			if (client_response(client, WIRE_API_PRODUCE, 9, i, &reader))
				break;
			corebox_sleep(box, 20);
			assert_true(j < 99);
		}
	}
	ask_for(client, 50, &ask);
	ask_for(gone, 51, &ask);
	assert_false(answered(client, 50, &ask));
	client_free(gone); /* while its read is out */
	corebox_settle(box);
	assert_true(answered(client, 50, &ask));
	assert_int_equal(first->error_code, 0);
	assert_int_equal(first->records.size, corebox_batch(&large).size);
	assert_memory_equal(first->records.bytes + 16, corebox_batch(&large).bytes + 16,
			    (size_t)first->records.size - 16);
	assert_true(counters_get(box->cores[0]->counters, COUNTER_FETCH_COLD_READS) >= 2);
	client_free(client);
	corebox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetch_every_version),
		cmocka_unit_test(test_fetch_first_batch_is_whole),
		cmocka_unit_test(test_fetch_long_poll),
		cmocka_unit_test(test_fetch_errors),
		cmocka_unit_test(test_fetch_sessions),
		cmocka_unit_test(test_fetch_from_another_core),
		cmocka_unit_test(test_fetch_cold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
