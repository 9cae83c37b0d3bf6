/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: a request for control carries body, client id and both addresses; its reply is framed and
 * sent; while control is away, goes away, or is silent too long, each api answers with an error that
 * makes clients try again; a reply nobody waits for is counted; a closed connection is reported;
 * control's appends are answered after the flush, with an error for what cannot be.
 * Shown with a double of the channel.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/wire/api.h"

#include "cm.h"
#include "corebox.h"

static uint8_t memory[65536];
static struct wire_scratch scratch;

static void heartbeat(struct client *client, int32_t correlation)
{
	struct wire_heartbeat_request request;
	struct writer writer = client_begin(WIRE_API_HEARTBEAT, 4, correlation);

	wire_default_heartbeat_request(&request);
	request.group_id = WIRE_STRING("group");
	request.member_id = WIRE_STRING("member");
	wire_encode_heartbeat_request(&writer, 4, &request);
	client_end(client, &writer, 5);
}

static bool heartbeat_answered(struct client *client, int32_t correlation, int16_t *ret_error)
{
	struct wire_heartbeat_response response;
	struct reader reader;

	if (!client_response(client, WIRE_API_HEARTBEAT, 4, correlation, &reader))
		return false;
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_heartbeat_response(&reader, 4, &scratch, &response), 0);
	*ret_error = response.error_code;
	return true;
}

static void reply_to(struct corebox *box, uint64_t cookie, int error, int16_t code)
{
	struct wire_heartbeat_response response = { .error_code = code };
	struct command_reply *reply = calloc(1, sizeof(*reply) + 64);
	struct writer writer;

	assert_non_null(reply);
	writer_init(&writer, reply->body, 64);
	wire_encode_heartbeat_response(&writer, 4, &response);
	reply->cookie = cookie;
	reply->error = error;
	reply->body_size = (uint32_t)writer_size(&writer);
	sessions_reply(box->cores[0], reply);
	free(reply);
}

static void test_forward_there_and_back(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	const struct upcall_request *upcall = (const void *)box->upcall;
	const struct upcall_gone *gone = (const void *)box->upcall;
	struct wire_heartbeat_request got;
	struct reader reader;
	uint64_t connection;
	uint64_t cookie;
	int16_t error;

	(void)state;
	box->is_connected = true;
	heartbeat(client, 1);
	assert_int_equal(box->upcall_count, 1);
	assert_int_equal(upcall->header.kind, UPCALL_REQUEST);
	assert_int_equal(upcall->api_key, WIRE_API_HEARTBEAT);
	assert_int_equal(upcall->api_version, 4);
	assert_memory_equal(upcall->bytes, "127.0.0.1corebox10.77.0.1", 25);
	reader_init(&reader, upcall->bytes + 25, upcall->body_size);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_heartbeat_request(&reader, 4, &scratch, &got), 0);
	assert_memory_equal(got.member_id.bytes, "member", 6);
	cookie = upcall->cookie;
	connection = upcall->connection;
	reply_to(box, cookie + (UINT64_C(1) << 32), 0, 0);
	assert_false(heartbeat_answered(client, 1, &error));
	reply_to(box, cookie, 0, KAFKA_REBALANCE_IN_PROGRESS);
	assert_true(heartbeat_answered(client, 1, &error));
	assert_int_equal(error, KAFKA_REBALANCE_IN_PROGRESS);
	reply_to(box, cookie, 0, 0);
	assert_int_equal(counters_get(box->cores[0]->counters, COUNTER_SESSION_REPLIES_STALE), 2);
	heartbeat(client, 2);
	reply_to(box, upcall->cookie, ERR_MALFORMED, 0);
	assert_true(client->is_closed);
	client_free(client);
	assert_int_equal(gone->header.kind, UPCALL_GONE);
	assert_int_equal(gone->connection, connection);
	corebox_free(box);
}

static void test_forward_without_control(void **state)
{
	struct corebox *box = corebox_new(1);
	struct client *client = client_new(box, 0);
	int16_t error;

	(void)state;
	heartbeat(client, 1);
	assert_true(heartbeat_answered(client, 1, &error));
	assert_int_equal(error, KAFKA_NONE);
	box->is_connected = true;
	heartbeat(client, 2);
	assert_false(heartbeat_answered(client, 2, &error));
	box->is_connected = false;
	sessions_control_lost(box->cores[0]);
	assert_true(heartbeat_answered(client, 2, &error));
	assert_int_equal(error, KAFKA_NONE);
	box->is_connected = true;
	heartbeat(client, 3);
	corebox_sleep(box, 59000);
	corebox_settle(box);
	assert_false(heartbeat_answered(client, 3, &error));
	corebox_sleep(box, 1001);
	corebox_settle(box);
	assert_true(heartbeat_answered(client, 3, &error));
	assert_int_equal(error, KAFKA_NONE);
	client_free(client);
	corebox_free(box);
}

/* Default requests of every api and version that control answers: an answer that decodes. */
static void test_forward_away_every_api(void **state)
{
	static uint8_t value[4096];
	struct corebox *box = corebox_new(1);

	(void)state;
	for (size_t i = 0; i < wire_api_count; i++) {
		const struct wire_api_info *info = &wire_apis[i];
		const struct wire_codec *request = wire_codec_get(WIRE_KIND_REQUEST, info->key);
		const struct wire_codec *response = wire_codec_get(WIRE_KIND_RESPONSE, info->key);

		if (!info->in_control)
			continue;
		assert_true(request->size <= sizeof(value) && response->size <= sizeof(value));
		for (int16_t version = info->min; version <= info->max; version++) {
			struct client *client = client_new(box, 0);
			struct writer writer = client_begin(info->key, version, 7);
			struct reader reader;

			memset(value, 0, sizeof(value));
			request->encode(&writer, version, value);
			client_end(client, &writer, 1000);
			assert_true(client_response(client, info->key, version, 7, &reader));
			wire_scratch_init(&scratch, memory, sizeof(memory));
			assert_int_equal(response->decode(&reader, version, &scratch, value), 0);
			assert_int_equal(reader_left(&reader), 0);
			client_free(client);
		}
	}
	corebox_free(box);
}

/* A client that hears "not available" looks for another coordinator and may lose its session. */
static void test_forward_away_is_a_coordinator_that_loads(void **state)
{
	static const struct {
		int16_t key, version, error;
	} cases[] = {
		{ WIRE_API_JOIN_GROUP, 5, KAFKA_COORDINATOR_LOAD_IN_PROGRESS },
		{ WIRE_API_SYNC_GROUP, 3, KAFKA_REBALANCE_IN_PROGRESS },
		{ WIRE_API_HEARTBEAT, 3, KAFKA_NONE },
		{ WIRE_API_LEAVE_GROUP, 1, KAFKA_COORDINATOR_LOAD_IN_PROGRESS },
	};
	static uint8_t value[4096];
	struct corebox *box = corebox_new(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct wire_codec *request = wire_codec_get(WIRE_KIND_REQUEST, cases[i].key);
		struct client *client = client_new(box, 0);
		struct writer writer = client_begin(cases[i].key, cases[i].version, 7);
		struct reader reader;

		memset(value, 0, sizeof(value));
		request->encode(&writer, cases[i].version, value);
		client_end(client, &writer, 1000);
		assert_true(client_response(client, cases[i].key, cases[i].version, 7, &reader));
		(void)reader_i32(&reader); /* throttle time: first in all of these versions */
		assert_int_equal(reader_i16(&reader), cases[i].error);
		client_free(client);
	}
	corebox_free(box);
}

static struct command_append *append_of(struct wire_bytes batch)
{
	struct command_append *command = calloc(1, sizeof(*command) + (size_t)batch.size);

	assert_non_null(command);
	command->header.kind = COMMAND_APPEND;
	command->header.size = (uint32_t)sizeof(*command) + (uint32_t)batch.size;
	command->batch_size = (uint32_t)batch.size;
	memset(command->topic_id.bytes, 7, UUID_SIZE);
	memcpy(command->batch, batch.bytes, (size_t)batch.size);
	return command;
}

static void test_forward_appends_of_control(void **state)
{
	const struct corebox_batch plain = { .producer_id = -1, .records = 2, .value_size = 50 };
	struct corebox *box = corebox_new(2);
	const struct upcall_appended *upcall = (const void *)box->upcall;
	struct command_append *command = append_of(corebox_batch(&plain));

	(void)state;
	box->is_connected = true;
	for (uint32_t partition = 0; partition < 2; partition++) {
		uint32_t before = box->upcall_count;

		command->partition = partition;
		command->cookie = 50 + partition;
		assert_true(partition_append_command(box->cores[0], command));
		corebox_turn(box);
		assert_int_equal(box->upcall_count, before); /* not durable yet */
		corebox_settle(box);
		assert_int_equal(box->upcall_count, before + 1);
		assert_int_equal(upcall->header.kind, UPCALL_APPENDED);
		assert_int_equal(upcall->cookie, 50 + partition);
		assert_int_equal(upcall->error, 0);
		assert_int_equal(upcall->base_offset, 0);
	}
	command->partition = 99;
	assert_true(partition_append_command(box->cores[0], command));
	assert_int_equal(upcall->error, ERR_UNKNOWN);
	command->partition = 0;
	command->batch[80] ^= 1;
	assert_true(partition_append_command(box->cores[0], command));
	assert_int_equal(upcall->error, ERR_CORRUPT);
	free(command);
	corebox_free(box);
}

/* A full upcall ring: the outcome waits, whether the append worked or not. */
static void test_forward_outcome_survives_a_full_ring(void **state)
{
	const struct corebox_batch plain = { .producer_id = -1, .records = 2, .value_size = 50 };
	struct corebox *box = corebox_new(1);
	const struct upcall_appended *upcall = (const void *)box->upcall;
	struct command_append *command = append_of(corebox_batch(&plain));

	(void)state;
	box->is_connected = box->is_full = true;
	for (command->cookie = 1; command->cookie <= 3; command->cookie++)
		assert_true(partition_append_command(box->cores[0], command));
	command->partition = 99;
	assert_false(partition_append_command(box->cores[0], command)); /* stays in its ring */
	corebox_settle(box);
	assert_int_equal(box->upcall_count, 0);
	box->is_full = false;
	corebox_sleep(box, SESSION_RETRY_NS / NS_PER_MS + 1);
	corebox_turn(box);
	assert_int_equal(box->upcall_count, 3);
	assert_int_equal(upcall->header.kind, UPCALL_APPENDED);
	assert_int_equal(upcall->cookie, 3);
	assert_int_equal(upcall->error, 0);
	assert_true(partition_append_command(box->cores[0], command));
	assert_int_equal(upcall->error, ERR_UNKNOWN);
	free(command);
	corebox_free(box);
}

/* Another control counts its cookies anew: what the one before asked for is none of its. */
static void test_forward_outcome_is_not_for_the_next_control(void **state)
{
	const struct corebox_batch plain = { .producer_id = -1, .records = 2, .value_size = 50 };
	struct corebox *box = corebox_new(1);
	struct command_append *command = append_of(corebox_batch(&plain));

	(void)state;
	box->is_connected = box->is_full = true;
	command->cookie = 1;
	assert_true(partition_append_command(box->cores[0], command));
	corebox_settle(box); /* waits for room */
	assert_true(partition_append_command(box->cores[0], command));
	box->is_full = false;
	box->connection++;
	corebox_settle(box);
	assert_int_equal(box->upcall_count, 0);
	assert_true(list_is_empty(&box->cores[0]->sessions->unsent));
	free(command);
	corebox_free(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward_there_and_back),
		cmocka_unit_test(test_forward_without_control),
		cmocka_unit_test(test_forward_away_every_api),
		cmocka_unit_test(test_forward_away_is_a_coordinator_that_loads),
		cmocka_unit_test(test_forward_appends_of_control),
		cmocka_unit_test(test_forward_outcome_survives_a_full_ring),
		cmocka_unit_test(test_forward_outcome_is_not_for_the_next_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
