/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: every core appears as a broker with the listener's address and a port of its own, and as
 * leader of what it owns; unknown names get Kafka's errors or are created first, the answer waiting
 * for control; groups hash as in Java; the short answers (InitProducerId, ListOffsets,
 * OffsetForLeaderEpoch) are right at both ends of the log and for another core's partition.
 * Shown with frames of the wire codec on two cores.
 */
#include <string.h>

#include "dataplane/core/metadata.h"
#include "dataplane/core/producerids.h"

#include "../storage/temp_dir.h"
#include "cm.h"
#include "corebox.h"

static uint8_t memory[65536];
static struct wire_scratch scratch;
static struct wire_metadata_response response;

static void ask_for(struct client *client, int16_t version, int32_t correlation, const char *name)
{
	struct wire_metadata_request_topics topic = { .name = wire_string_from(name) };
	struct wire_metadata_request request;
	struct writer writer = client_begin(WIRE_API_METADATA, version, correlation);

	wire_default_metadata_request(&request);
	request.topics = name != NULL ? &topic : NULL;
	request.topics_count = name != NULL ? 1 : version == 0 ? 0 : -1;
	wire_encode_metadata_request(&writer, version, &request);
	client_end(client, &writer, 3);
}

static bool answered(struct client *client, int16_t version, int32_t correlation)
{
	struct reader reader;

	if (!client_response(client, WIRE_API_METADATA, version, correlation, &reader))
		return false;
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_metadata_response(&reader, version, &scratch, &response), 0);
	assert_int_equal(reader_left(&reader), 0);
	return true;
}

static void test_metadata_cores_are_brokers(void **state)
{
	struct corebox *box = corebox_new(2);
	struct client *client = client_new(box, 0);

	(void)state;
	for (int16_t version = 0; version <= 13; version++) {
		ask_for(client, version, 1, NULL);
		assert_true(answered(client, version, 1));
		assert_int_equal(response.brokers_count, 2);
		assert_int_equal(response.brokers[1].node_id, 2);
		assert_int_equal(response.brokers[1].port, 9093);
		assert_memory_equal(response.brokers[1].host.bytes, "127.0.0.1", 9);
		assert_int_equal(response.topics_count, 1);
		assert_int_equal(response.topics[0].error_code, 0);
		assert_int_equal(response.topics[0].partitions_count, COREBOX_PARTITIONS);
		assert_int_equal(response.topics[0].partitions[0].leader_id, 1);
		assert_int_equal(response.topics[0].partitions[3].leader_id, 2);
		assert_int_equal(response.topics[0].partitions[3].replica_nodes[0], 2);
		if (version >= 7)
			assert_int_equal(response.topics[0].partitions[0].leader_epoch, 3);
	}
	client->link.host = "10.77.0.2";
	ask_for(client, 9, 2, COREBOX_TOPIC);
	assert_true(answered(client, 9, 2));
	assert_memory_equal(response.brokers[0].host.bytes, "10.77.0.2", 9);
	client_free(client);
	corebox_free(box);
}

static void test_metadata_creates_topics(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	const struct upcall_create *upcall = (const void *)box->upcall;
	struct command_reply reply = { .header = { COMMAND_REPLY, 0, sizeof(reply) } };

	(void)state;
	ask_for(client, 9, 1, "bad/name");
	assert_true(answered(client, 9, 1));
	assert_int_equal(response.topics[0].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
	/* Control is away. */
	ask_for(client, 9, 2, "fresh");
	assert_true(answered(client, 9, 2));
	assert_int_equal(response.topics[0].error_code, KAFKA_LEADER_NOT_AVAILABLE);
	box->is_connected = true;
	ask_for(client, 9, 3, "fresh");
	assert_false(answered(client, 9, 3));
	assert_int_equal(upcall->header.kind, UPCALL_CREATE);
	assert_int_equal(upcall->topic_count, 1);
	assert_memory_equal(upcall->bytes + 2, "fresh", 5);
	reply.cookie = upcall->cookie;
	sessions_reply(box->cores[0], &reply);
	assert_true(answered(client, 9, 3));
	assert_int_equal(response.topics[0].error_code, KAFKA_LEADER_NOT_AVAILABLE);
	assert_int_equal(box->upcall_count, 1);
	box->config.auto_create = false;
	ask_for(client, 9, 4, "fresh");
	assert_true(answered(client, 9, 4));
	assert_int_equal(response.topics[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	client_free(client);
	corebox_free(box);
}

/* Values of "...".hashCode() in Java. */
static void test_metadata_group_partition(void **state)
{
	(void)state;
	assert_int_equal(metadata_group_partition(WIRE_STRING(""), 50), 0);
	assert_int_equal(metadata_group_partition(WIRE_STRING("abc"), 50), 96354 % 50);
	assert_int_equal(metadata_group_partition(WIRE_STRING("hello"), 50), 99162322 % 50);
	/* U+00E9: 233; U+1F600: d83d de00 */
	assert_int_equal(metadata_group_partition(WIRE_STRING("\xc3\xa9"), 1000), 233);
	assert_int_equal(metadata_group_partition(WIRE_STRING("\xf0\x9f\x98\x80"), 10000000),
			 (31 * 0xd83d + 0xde00) % 10000000);
}

static void test_metadata_name_is_valid(void **state)
{
	char longest[251];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	assert_true(metadata_name_is_valid("a.b_c-9", 7));
	assert_true(metadata_name_is_valid(longest, 249));
	assert_false(metadata_name_is_valid(longest, 250));
	assert_false(metadata_name_is_valid("", 0));
	assert_false(metadata_name_is_valid(".", 1));
	assert_false(metadata_name_is_valid("..", 2));
	assert_false(metadata_name_is_valid("a b", 3));
	assert_false(metadata_name_is_valid("a/b", 3));
}

static void test_metadata_find_coordinator(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);

	(void)state;
	for (int16_t version = 0; version <= 6; version++) {
		struct wire_string key = WIRE_STRING("group");
		struct wire_find_coordinator_request request;
		struct wire_find_coordinator_response found;
		struct writer writer = client_begin(WIRE_API_FIND_COORDINATOR, version, 1);
		struct reader reader;

		wire_default_find_coordinator_request(&request);
		request.key = key;
		request.coordinator_keys = &key;
		request.coordinator_keys_count = 1;
		wire_encode_find_coordinator_request(&writer, version, &request);
		client_end(client, &writer, 100);
		assert_true(
			client_response(client, WIRE_API_FIND_COORDINATOR, version, 1, &reader));
		wire_scratch_init(&scratch, memory, sizeof(memory));
		assert_int_equal(
			wire_decode_find_coordinator_response(&reader, version, &scratch, &found),
			0);
		/* There is no __consumer_offsets yet. */
		assert_int_equal(version < 4 ? found.error_code : found.coordinators[0].error_code,
				 KAFKA_COORDINATOR_NOT_AVAILABLE);
	}
	client_free(client);
	corebox_free(box);
}

static int16_t init_producer(struct client *client, int64_t *ret_id)
{
	struct wire_init_producer_id_request request;
	struct wire_init_producer_id_response got;
	struct writer writer = client_begin(WIRE_API_INIT_PRODUCER_ID, 4, 1);
	struct reader reader;

	wire_default_init_producer_id_request(&request);
	request.transactional_id = WIRE_STRING_NULL;
	wire_encode_init_producer_id_request(&writer, 4, &request);
	client_end(client, &writer, 100);
	assert_true(client_response(client, WIRE_API_INIT_PRODUCER_ID, 4, 1, &reader));
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_init_producer_id_response(&reader, 4, &scratch, &got), 0);
	*ret_id = got.producer_id;
	return got.error_code;
}

static void test_metadata_producer_ids(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	const struct upcall_header *upcall = (const void *)box->upcall;
	char path[TEMP_PATH_SIZE];
	int64_t id;

	(void)state;
	temp_dir_path(box->dir, "ids", path);
	box->is_connected = true;
	/* Not opened: never an id that might be in use. */
	assert_int_equal(init_producer(client, &id), KAFKA_COORDINATOR_NOT_AVAILABLE);
	/* A new file skips the block that was there at start. */
	assert_int_equal(producerids_open(path, box->topics->snapshot), 0);
	assert_int_equal(init_producer(client, &id), KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(upcall->kind, UPCALL_PRODUCER_IDS);
	producerids_close();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(producerids_open(path, NULL), 0);
	for (int64_t want = 1000; want < 1008; want++) {
		assert_int_equal(init_producer(client, &id), 0);
		assert_int_equal(id, want);
		/* A restart in between changes nothing. */
		producerids_close();
		assert_int_equal(producerids_open(path, box->topics->snapshot), 0);
	}
	assert_int_equal(init_producer(client, &id), KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(id, -1);
	producerids_close();
	client_free(client);
	corebox_free(box);
}

static const struct corebox_batch plain = { .producer_id = -1, .records = 3, .value_size = 100 };

static void produce(struct client *client, int32_t partition)
{
	struct reader reader;

	client_produce(client, 9, 900, -1, partition, corebox_batch(&plain), 1000);
	corebox_settle(client->box);
	assert_true(client_response(client, WIRE_API_PRODUCE, 9, 900, &reader));
}

static void test_metadata_list_offsets(void **state)
{
	struct corebox *box = corebox_new(2);
	struct client *client = client_new(box, 0);

	(void)state;
	produce(client, 0);
	produce(client, 1);
	for (int16_t version = 1; version <= 9; version++) {
		struct wire_list_offsets_request_topics_partitions partitions[3];
		struct wire_list_offsets_request_topics topic = { .name = WIRE_STRING(
									  COREBOX_TOPIC),
								  .partitions = partitions,
								  .partitions_count = 3 };
		struct wire_list_offsets_request request;
		struct wire_list_offsets_response got;
		struct writer writer = client_begin(WIRE_API_LIST_OFFSETS, version, 1);
		struct reader reader;

		for (int32_t i = 0; i < 3; i++) {
			wire_default_list_offsets_request_topics_partitions(&partitions[i]);
			partitions[i].partition_index = i;
			partitions[i].timestamp = -1;
		}
		partitions[2].partition_index = 77;
		wire_default_list_offsets_request(&request);
		request.topics = &topic;
		request.topics_count = 1;
		wire_encode_list_offsets_request(&writer, version, &request);
		client_end(client, &writer, 100);
		assert_true(client_response(client, WIRE_API_LIST_OFFSETS, version, 1, &reader));
		wire_scratch_init(&scratch, memory, sizeof(memory));
		assert_int_equal(
			wire_decode_list_offsets_response(&reader, version, &scratch, &got), 0);
		assert_int_equal(got.topics[0].partitions[0].offset, 3);
		assert_int_equal(got.topics[0].partitions[1].error_code, 0);
		assert_int_equal(got.topics[0].partitions[1].offset, 3);
		assert_int_equal(got.topics[0].partitions[2].error_code,
				 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	}
	client_free(client);
	corebox_free(box);
}

static void test_metadata_epoch_end(void **state)
{
	struct corebox *box = corebox_new(2);
	struct client *client = client_new(box, 0);

	(void)state;
	produce(client, 0);
	produce(client, 1);
	for (int16_t version = 2; version <= 4; version++) {
		struct wire_offset_for_leader_epoch_request_topics_partitions partitions[3];
		struct wire_offset_for_leader_epoch_request_topics topic = {
			.topic = WIRE_STRING(COREBOX_TOPIC),
			.partitions = partitions,
			.partitions_count = 3
		};
		struct wire_offset_for_leader_epoch_request request;
		struct wire_offset_for_leader_epoch_response got;
		struct writer writer = client_begin(WIRE_API_OFFSET_FOR_LEADER_EPOCH, version, 1);
		struct reader reader;

		for (int32_t i = 0; i < 3; i++) {
			wire_default_offset_for_leader_epoch_request_topics_partitions(
				&partitions[i]);
			partitions[i].partition = i;
			partitions[i].leader_epoch = 3;
		}
		partitions[2].current_leader_epoch = 9;
		wire_default_offset_for_leader_epoch_request(&request);
		request.topics = &topic;
		request.topics_count = 1;
		wire_encode_offset_for_leader_epoch_request(&writer, version, &request);
		client_end(client, &writer, 100);
		corebox_settle(box);
		assert_true(client_response(client, WIRE_API_OFFSET_FOR_LEADER_EPOCH, version, 1,
					    &reader));
		wire_scratch_init(&scratch, memory, sizeof(memory));
		assert_int_equal(wire_decode_offset_for_leader_epoch_response(&reader, version,
									      &scratch, &got),
				 0);
		for (int32_t i = 0; i < 2; i++) {
			assert_int_equal(got.topics[0].partitions[i].error_code, 0);
			assert_int_equal(got.topics[0].partitions[i].leader_epoch, 3);
			assert_int_equal(got.topics[0].partitions[i].end_offset, 3);
		}
		assert_int_equal(got.topics[0].partitions[2].error_code,
				 KAFKA_UNKNOWN_LEADER_EPOCH);
	}
	client_free(client);
	corebox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metadata_cores_are_brokers),
		cmocka_unit_test(test_metadata_creates_topics),
		cmocka_unit_test(test_metadata_group_partition),
		cmocka_unit_test(test_metadata_name_is_valid),
		cmocka_unit_test(test_metadata_find_coordinator),
		cmocka_unit_test(test_metadata_producer_ids),
		cmocka_unit_test(test_metadata_list_offsets),
		cmocka_unit_test(test_metadata_epoch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
