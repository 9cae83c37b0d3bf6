/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: group requests are answered as Kafka answers them, what must be durable is answered only
 * after the append was reported, and after a restart the log gives everything back. Shown with
 * requests and answers as bytes; the log is a list of the appended batches, which the wrapped
 * segment reader hands out again.
 */
#include <errno.h>

#include "base/log.h"
#include "storage/segreader.h"

#include "control/group/coordinator.h"

#include "cm.h"
#include "metabox.h"

#define APPENDS_MAX 32
#define TOKENS_MAX  64

struct logged {
	uint32_t partition;
	uint64_t cookie;
	uint32_t size;
	uint8_t *batch;
	bool durable;
};

struct fixture {
	struct metabox box;
	struct parked *parked;
	struct coordinator *coordinator;
	struct logged log[APPENDS_MAX];
	uint32_t log_count;
	uint64_t token; /* of the last request */
	uint8_t *answers[TOKENS_MAX];
	uint32_t answer_sizes[TOKENS_MAX];
	uint32_t requests;
	uint64_t tokens[TOKENS_MAX];
	int64_t now_ns;
	bool refuse_appends;
	int open_error;
};

/* ---- the wrapped reader: a cursor over the log's durable batches of one partition ---- */

struct segreader {
	uint32_t partition;
	uint32_t at;
};

static struct fixture *reader_source;

int __wrap_segreader_open(const char *log_dir, const struct partitions *table,
			  const struct uuid *topic_id, uint32_t partition, int64_t offset,
			  struct segreader **ret_reader);
int __wrap_segreader_next(struct segreader *reader, struct batch *ret_batch,
			  const uint8_t **ret_bytes);
void __wrap_segreader_close(struct segreader *reader);

int __wrap_segreader_open(const char *log_dir, const struct partitions *table,
			  const struct uuid *topic_id, uint32_t partition, int64_t offset,
			  struct segreader **ret_reader)
{
	struct segreader *reader;

	(void)log_dir;
	(void)table;
	(void)topic_id;
	assert_int_equal(offset, -2);
	if (reader_source->open_error != 0)
		return reader_source->open_error;
	reader = calloc(1, sizeof(*reader));
	assert_non_null(reader);
	reader->partition = partition;
	*ret_reader = reader;
	return 0;
}

int __wrap_segreader_next(struct segreader *reader, struct batch *ret_batch,
			  const uint8_t **ret_bytes)
{
	while (reader->at < reader_source->log_count) {
		const struct logged *one = &reader_source->log[reader->at++];

		if (one->partition != reader->partition || !one->durable)
			continue;
		assert_int_equal(batch_decode(one->batch, ret_batch), 0);
		*ret_bytes = one->batch;
		return 1;
	}
	return 0;
}

void __wrap_segreader_close(struct segreader *reader)
{
	free(reader);
}

/* ---- the coordinator's neighbours ---- */

static void on_reply(void *context, uint64_t token, const uint8_t *body, uint32_t size)
{
	struct fixture *f = context;
	struct parked_request request;
	uint32_t at = 0;

	assert_true(parked_take(f->parked, token, &request));
	assert_non_null(body);
	while (f->tokens[at] != token)
		at++;
	assert_null(f->answers[at]);
	f->answers[at] = malloc(size + 1);
	assert_non_null(f->answers[at]);
	memcpy(f->answers[at], body, size);
	f->answer_sizes[at] = size;
}

static int on_append(void *context, uint32_t partition, uint64_t cookie, const uint8_t *batch,
		     uint32_t size)
{
	struct fixture *f = context;
	struct logged *one = &f->log[f->log_count];

	if (f->refuse_appends)
		return -ENOTCONN;
	assert_true(f->log_count < APPENDS_MAX);
	*one = (struct logged){ partition, cookie, size, malloc(size), false };
	assert_non_null(one->batch);
	memcpy(one->batch, batch, size);
	f->log_count++;
	return 0;
}

static const struct coordinator_ops ops = { on_reply, on_append };

static void run(struct fixture *f, int64_t ms)
{
	f->now_ns += ms * NS_PER_MS;
	(void)coordinator_run(f->coordinator, f->now_ns, f->now_ns / NS_PER_MS);
}

static void start(struct fixture *f)
{
	coordinator_start(f->coordinator, f->box.dir, NULL);
	for (int i = 0; i < 4; i++)
		run(f, 0);
	assert_true(coordinator_is_loaded(f->coordinator));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	log_init("test", LOG_ERROR);
	metabox_init(&f->box);
	f->box.config.group_rebalance_delay_ms = 0;
	f->box.config.offsets_retention_minutes = 1;
	assert_int_equal(admin_create_offsets_topic(&f->box.admin), 0);
	assert_int_equal(admin_auto_create(&f->box.admin, WIRE_STRING("t")), KAFKA_NONE);
	f->parked = parked_new();
	assert_non_null(f->parked);
	f->coordinator = coordinator_new(&f->box.config, f->box.meta, f->parked, &ops, f);
	assert_non_null(f->coordinator);
	f->now_ns = 1000 * NS_PER_S;
	reader_source = f;
	start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	coordinator_free(f->coordinator);
	parked_free(f->parked);
	metabox_fini(&f->box);
	for (uint32_t i = 0; i < f->log_count; i++)
		free(f->log[i].batch);
	for (uint32_t i = 0; i < TOKENS_MAX; i++)
		free(f->answers[i]);
	free(f);
	return 0;
}

/** Report the newest append. */
static void appended(struct fixture *f, int error)
{
	struct logged *one = &f->log[f->log_count - 1];

	one->durable = error == 0;
	coordinator_appended(f->coordinator, one->cookie, error, f->now_ns, f->now_ns / NS_PER_MS);
}

/** Send what was written. @return the request's number; its answer is answers[number], now or later */
static uint32_t request(struct fixture *f, const struct writer *writer, int16_t key,
			int16_t version)
{
	struct parked_request parked = { 0, 0, key, version };
	struct call call = metabox_call(&f->box, writer, key, version);
	uint32_t number = f->requests++;
	enum call_result result;

	call.now_ns = f->now_ns;
	call.wall_ms = f->now_ns / NS_PER_MS;
	call.token = f->tokens[number] = parked_add(f->parked, &parked);
	result = coordinator_call(f->coordinator, &call);
	assert_int_not_equal(result, CALL_BAD);
	if (result == CALL_DONE)
		on_reply(f, call.token, call.reply.begin, (uint32_t)writer_size(&call.reply));
	return number;
}

/** Decode an answer into the fixture's memory. */
#define ANSWER(f, number, type, version)                                                           \
	({                                                                                         \
		struct wire_##type answer_;                                                        \
		struct wire_scratch scratch_;                                                      \
		struct reader reader_;                                                             \
                                                                                                   \
		assert_non_null((f)->answers[number]);                                             \
		wire_scratch_init(&scratch_, (f)->box.decoded, METABOX_SCRATCH);                   \
		reader_init(&reader_, (f)->answers[number], (f)->answer_sizes[number]);            \
		assert_int_equal(wire_decode_##type(&reader_, (version), &scratch_, &answer_), 0); \
		answer_;                                                                           \
	})

static uint32_t commit(struct fixture *f, const char *group, int32_t partition, int64_t offset)
{
	struct wire_offset_commit_request_topics_partitions one = { partition, offset, -1,
								    WIRE_STRING("") };
	struct wire_offset_commit_request_topics topic = { .name = WIRE_STRING("t"),
							   .partitions = &one,
							   .partitions_count = 1 };
	struct wire_offset_commit_request message;
	struct writer writer = metabox_writer(&f->box);

	wire_default_offset_commit_request(&message);
	message.group_id = wire_string_from(group);
	message.member_id = WIRE_STRING("");
	message.topics = &topic;
	message.topics_count = 1;
	wire_encode_offset_commit_request(&writer, 8, &message);
	return request(f, &writer, WIRE_API_OFFSET_COMMIT, 8);
}

static int16_t commit_error(struct fixture *f, uint32_t number)
{
	return ANSWER(f, number, offset_commit_response, 8).topics[0].partitions[0].error_code;
}

/** @return the committed offset of partition 0; -1 none; below that -1 - error */
static int64_t committed(struct fixture *f, const char *group)
{
	struct wire_offset_fetch_request_groups asked;
	struct wire_offset_fetch_request message;
	struct writer writer = metabox_writer(&f->box);
	struct wire_offset_fetch_response answer;
	uint32_t number;

	wire_default_offset_fetch_request(&message);
	wire_default_offset_fetch_request_groups(&asked);
	asked.group_id = wire_string_from(group);
	asked.topics_count = -1; /* all */
	message.groups = &asked;
	message.groups_count = 1;
	wire_encode_offset_fetch_request(&writer, 8, &message);
	number = request(f, &writer, WIRE_API_OFFSET_FETCH, 8);
	answer = ANSWER(f, number, offset_fetch_response, 8);
	if (answer.groups[0].error_code != 0)
		return -1 - answer.groups[0].error_code;
	return answer.groups[0].topics_count > 0
		       ? answer.groups[0].topics[0].partitions[0].committed_offset
		       : -1;
}

static void test_coordinator_commit_waits_for_the_disk(void **state)
{
	struct fixture *f = *state;
	uint32_t number = commit(f, "g", 0, 42);

	assert_null(f->answers[number]);
	assert_int_equal(committed(f, "g"), -1); /* not visible before it is durable */
	appended(f, 0);
	assert_int_equal(commit_error(f, number), KAFKA_NONE);
	assert_int_equal(committed(f, "g"), 42);
	number = commit(f, "g", 0, 43);
	appended(f, -EIO);
	assert_int_equal(commit_error(f, number), KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(committed(f, "g"), 42);
	number = commit(f, "g", 99, 1);
	assert_int_equal(commit_error(f, number), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	f->refuse_appends = true;
	number = commit(f, "g", 0, 44);
	assert_int_equal(commit_error(f, number), KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static void test_coordinator_restart_replays(void **state)
{
	struct fixture *f = *state;
	uint32_t lost;

	(void)commit(f, "g", 0, 42);
	appended(f, 0);
	(void)commit(f, "other", 0, 7);
	appended(f, 0);
	lost = commit(f, "g", 0, 43);
	coordinator_stop(f->coordinator);
	assert_int_equal(committed(f, "g"), -1 - KAFKA_COORDINATOR_NOT_AVAILABLE);
	f->open_error = -ENOENT; /* the dataplane is not there yet */
	coordinator_start(f->coordinator, f->box.dir, NULL);
	run(f, 1);
	assert_int_equal(committed(f, "g"), -1 - KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
	f->open_error = 0;
	for (int i = 0; i < 4; i++)
		run(f, 1);
	assert_int_equal(committed(f, "g"), 42);
	assert_int_equal(committed(f, "other"), 7);
	/* The append of before is nobody's any more. */
	appended(f, 0);
	assert_null(f->answers[lost]);
}

static uint32_t join(struct fixture *f, const char *member_id)
{
	struct wire_join_group_request_protocols protocol = { WIRE_STRING("range"),
							      { (const uint8_t *)"sub", 3 } };
	struct wire_join_group_request message;
	struct writer writer = metabox_writer(&f->box);

	wire_default_join_group_request(&message);
	message.group_id = WIRE_STRING("g");
	message.session_timeout_ms = 10000;
	message.rebalance_timeout_ms = 20000;
	message.member_id = wire_string_from(member_id);
	message.protocol_type = WIRE_STRING("consumer");
	message.protocols = &protocol;
	message.protocols_count = 1;
	wire_encode_join_group_request(&writer, 9, &message);
	return request(f, &writer, WIRE_API_JOIN_GROUP, 9);
}

static uint32_t sync(struct fixture *f, const char *member_id)
{
	struct wire_sync_group_request_assignments one = { wire_string_from(member_id),
							   { (const uint8_t *)"mine", 4 } };
	struct wire_sync_group_request message;
	struct writer writer = metabox_writer(&f->box);

	wire_default_sync_group_request(&message);
	message.group_id = WIRE_STRING("g");
	message.generation_id = 1;
	message.member_id = wire_string_from(member_id);
	message.protocol_type = WIRE_STRING("consumer");
	message.protocol_name = WIRE_STRING("range");
	message.assignments = &one;
	message.assignments_count = 1;
	wire_encode_sync_group_request(&writer, 5, &message);
	return request(f, &writer, WIRE_API_SYNC_GROUP, 5);
}

static int16_t beat(struct fixture *f, const char *member_id)
{
	struct wire_heartbeat_request message;
	struct writer writer = metabox_writer(&f->box);
	uint32_t number;

	wire_default_heartbeat_request(&message);
	message.group_id = WIRE_STRING("g");
	message.generation_id = 1;
	message.member_id = wire_string_from(member_id);
	wire_encode_heartbeat_request(&writer, 4, &message);
	number = request(f, &writer, WIRE_API_HEARTBEAT, 4);
	return ANSWER(f, number, heartbeat_response, 4).error_code;
}

/** A stable group of one. @param[out] ret_id  [128] */
static void make_stable(struct fixture *f, char *ret_id)
{
	struct wire_join_group_response joined;
	uint32_t number = join(f, "");

	joined = ANSWER(f, number, join_group_response, 9);
	assert_int_equal(joined.error_code, KAFKA_MEMBER_ID_REQUIRED);
	(void)snprintf(ret_id, 128, "%.*s", joined.member_id.size, joined.member_id.bytes);
	number = join(f, ret_id);
	joined = ANSWER(f, number, join_group_response, 9);
	assert_int_equal(joined.error_code, KAFKA_NONE);
	assert_int_equal(joined.generation_id, 1);
	assert_int_equal(joined.members_count, 1);
	assert_memory_equal(joined.members[0].metadata.bytes, "sub", 3);
	number = sync(f, ret_id);
	assert_null(f->answers[number]);
	appended(f, 0);
	assert_memory_equal(ANSWER(f, number, sync_group_response, 5).assignment.bytes, "mine", 4);
}

static uint32_t delete_group(struct fixture *f)
{
	struct wire_string name = WIRE_STRING("g");
	struct wire_delete_groups_request message = { &name, 1 };
	struct writer writer = metabox_writer(&f->box);

	wire_encode_delete_groups_request(&writer, 2, &message);
	return request(f, &writer, WIRE_API_DELETE_GROUPS, 2);
}

static void test_coordinator_member_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	struct wire_string name = WIRE_STRING("g");
	struct wire_describe_groups_request message = { &name, 1, false };
	struct wire_describe_groups_response answer;
	struct writer writer;
	char id[128];

	make_stable(f, id);
	assert_int_equal(beat(f, id), KAFKA_NONE);
	run(f, 9000);
	start(f);
	run(f, 9000); /* a fresh session began with the replay */
	assert_int_equal(beat(f, id), KAFKA_NONE);
	writer = metabox_writer(&f->box);
	wire_encode_describe_groups_request(&writer, 6, &message);
	answer = ANSWER(f, request(f, &writer, WIRE_API_DESCRIBE_GROUPS, 6),
			describe_groups_response, 6);
	assert_true(wire_string_equal(answer.groups[0].group_state, WIRE_STRING("Stable")));
	assert_true(wire_string_equal(answer.groups[0].protocol_data, WIRE_STRING("range")));
	assert_memory_equal(answer.groups[0].members[0].member_assignment.bytes, "mine", 4);
	assert_int_equal(
		ANSWER(f, delete_group(f), delete_groups_response, 2).results[0].error_code,
		KAFKA_NON_EMPTY_GROUP);
	run(f, 10000);
	assert_int_equal(beat(f, id), KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_coordinator_delete_group(void **state)
{
	struct fixture *f = *state;
	uint32_t number = delete_group(f);

	assert_int_equal(ANSWER(f, number, delete_groups_response, 2).results[0].error_code,
			 KAFKA_GROUP_ID_NOT_FOUND);
	(void)commit(f, "g", 0, 42);
	appended(f, 0);
	number = delete_group(f);
	assert_null(f->answers[number]);
	appended(f, 0);
	assert_int_equal(ANSWER(f, number, delete_groups_response, 2).results[0].error_code, 0);
	assert_int_equal(committed(f, "g"), -1);
	start(f);
	assert_int_equal(committed(f, "g"), -1);
	assert_int_equal(coordinator_groups(f->coordinator)->count, 0);
}

static void test_coordinator_offsets_expire(void **state)
{
	struct fixture *f = *state;
	uint32_t before;

	(void)commit(f, "g", 0, 42);
	appended(f, 0);
	before = f->log_count;
	run(f, 60000);
	assert_int_equal(f->log_count, before); /* retention is one minute, not reached */
	run(f, 61000);
	assert_int_equal(f->log_count, before + 1);
	appended(f, 0);
	assert_int_equal(committed(f, "g"), -1);
	assert_int_equal(coordinator_groups(f->coordinator)->count, 0);
}

static void test_coordinator_deleted_topic_takes_its_offsets(void **state)
{
	struct fixture *f = *state;

	(void)commit(f, "g", 0, 42);
	appended(f, 0);
	coordinator_topic_deleted(f->coordinator, "other");
	assert_int_equal(f->log_count, 1);
	coordinator_topic_deleted(f->coordinator, "t");
	assert_int_equal(f->log_count, 2);
	appended(f, 0);
	assert_int_equal(committed(f, "g"), -1);
	start(f);
	assert_int_equal(committed(f, "g"), -1);
}

static void test_coordinator_list_groups_filters(void **state)
{
	struct fixture *f = *state;
	struct wire_string states[] = { WIRE_STRING("stable"), WIRE_STRING("Empty") };
	struct wire_list_groups_request message = { .states_filter = states,
						    .states_filter_count = 1 };
	struct wire_list_groups_response answer;
	struct writer writer = metabox_writer(&f->box);
	char id[128];

	make_stable(f, id);
	(void)commit(f, "simple", 0, 1);
	appended(f, 0);
	writer = metabox_writer(&f->box);
	wire_encode_list_groups_request(&writer, 5, &message);
	answer = ANSWER(f, request(f, &writer, WIRE_API_LIST_GROUPS, 5), list_groups_response, 5);
	assert_int_equal(answer.groups_count, 1);
	assert_true(wire_string_equal(answer.groups[0].group_id, WIRE_STRING("g")));
	assert_true(wire_string_equal(answer.groups[0].group_type, WIRE_STRING("classic")));
	message.states_filter_count = 2;
	writer = metabox_writer(&f->box);
	wire_encode_list_groups_request(&writer, 5, &message);
	answer = ANSWER(f, request(f, &writer, WIRE_API_LIST_GROUPS, 5), list_groups_response, 5);
	assert_int_equal(answer.groups_count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_coordinator_commit_waits_for_the_disk),
		TEST(test_coordinator_restart_replays),
		TEST(test_coordinator_member_survives_a_restart),
		TEST(test_coordinator_delete_group),
		TEST(test_coordinator_offsets_expire),
		TEST(test_coordinator_deleted_topic_takes_its_offsets),
		TEST(test_coordinator_list_groups_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
