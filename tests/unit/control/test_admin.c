/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the admin requests change the metadata as Kafka would, refuse with Kafka's codes, and what
 * they changed is there after a restart. Shown on a real metadata log, requests and answers as bytes.
 */
#include "control/meta/describe.h"
#include "control/meta/topicconf.h"

#include "cm.h"
#include "metabox.h"

static int setup(void **state)
{
	struct metabox *box = calloc(1, sizeof(*box));

	if (box == NULL)
		return -1;
	metabox_init(box);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	metabox_fini(*state);
	free(*state);
	return 0;
}

typedef struct wire_create_topics_request_topics create_topic;

static create_topic topic(const char *name, int32_t partitions, int16_t factor)
{
	create_topic topic = { 0 };

	topic.name = wire_string_from(name);
	topic.num_partitions = partitions;
	topic.replication_factor = factor;
	return topic;
}

/** @return the answer's first topic, in box->decoded */
static struct wire_create_topics_response_topics create(struct metabox *box, create_topic *topics,
							int32_t count, bool validate_only,
							enum call_result result)
{
	struct wire_create_topics_request request = { topics, count, 1000, validate_only };
	struct wire_create_topics_response response;
	struct writer writer = metabox_writer(box);
	struct wire_scratch scratch;
	struct reader reader;
	struct call call;

	wire_encode_create_topics_request(&writer, 7, &request);
	call = metabox_call(box, &writer, WIRE_API_CREATE_TOPICS, 7);
	assert_int_equal(admin_create_topics(&box->admin, &call), result);
	wire_scratch_init(&scratch, box->decoded, METABOX_SCRATCH);
	reader_init(&reader, call.reply.begin, writer_size(&call.reply));
	assert_int_equal(wire_decode_create_topics_response(&reader, 7, &scratch, &response), 0);
	assert_int_equal(response.topics_count, count);
	return response.topics[0];
}

static const struct metaimage_topic *find(struct metabox *box, const char *name)
{
	return metaimage_topic(meta_image(box->meta), wire_string_from(name));
}

static void test_admin_create_survives_a_restart(void **state)
{
	struct wire_create_topics_request_topics_configs configs[] = {
		{ WIRE_STRING("retention.ms"), WIRE_STRING("1000") },
		{ WIRE_STRING("cleanup.policy"), WIRE_STRING("compact") },
	};
	struct metabox *box = *state;
	create_topic wanted = topic("t", 3, 1);
	struct wire_create_topics_response_topics made;
	uint64_t before = meta_generation(box->meta);
	struct uuid id;

	wanted.configs = configs;
	wanted.configs_count = 2;
	made = create(box, &wanted, 1, false, CALL_SERVED);
	assert_int_equal(made.error_code, 0);
	assert_int_equal(made.num_partitions, 3);
	assert_int_equal(made.configs_count, topicconf_count);
	assert_true(meta_generation(box->meta) > before);
	id = find(box, "t")->id;
	assert_true(uuid_equal(&id, &made.topic_id));
	assert_int_equal(meta_flush(box->meta, 1000), 0);
	assert_int_equal(meta_save(box->meta), 0);
	metabox_reopen(box);
	assert_int_equal(find(box, "t")->partition_count, 3);
	assert_true(uuid_equal(&find(box, "t")->id, &id));
	assert_string_equal(metaimage_config(find(box, "t"), "retention.ms"), "1000");
	assert_int_equal(create(box, &wanted, 1, false, CALL_DONE).error_code,
			 KAFKA_TOPIC_ALREADY_EXISTS);
}

static void test_admin_unflushed_changes_are_lost_together(void **state)
{
	struct metabox *box = *state;
	create_topic wanted = topic("t", 3, 1);

	(void)create(box, &wanted, 1, false, CALL_SERVED);
	metabox_reopen(box);
	assert_null(find(box, "t"));
}

static void test_admin_create_refusals(void **state)
{
	static const struct {
		const char *name;
		int32_t partitions;
		int16_t factor;
		enum kafka_err error;
	} rows[] = {
		{ "", 1, 1, KAFKA_INVALID_TOPIC_EXCEPTION },
		{ "a b", 1, 1, KAFKA_INVALID_TOPIC_EXCEPTION },
		{ "x_y", 1, 1, KAFKA_INVALID_TOPIC_EXCEPTION }, /* collides with x.y */
		{ "x.y", 1, 1, KAFKA_TOPIC_ALREADY_EXISTS },
		{ "t", 0, 1, KAFKA_INVALID_PARTITIONS },
		{ "t", -2, 1, KAFKA_INVALID_PARTITIONS },
		{ "t", 60000, 1, KAFKA_INVALID_PARTITIONS },
		{ "t", 1, 3, KAFKA_INVALID_REPLICATION_FACTOR },
		{ "t", 1, 0, KAFKA_INVALID_REPLICATION_FACTOR },
	};
	struct metabox *box = *state;
	create_topic first = topic("x.y", -1, -1);

	assert_int_equal(create(box, &first, 1, false, CALL_SERVED).num_partitions,
			 box->config.partitions);
	assert_int_equal(meta_flush(box->meta, 1000), 0);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		create_topic wanted = topic(rows[i].name, rows[i].partitions, rows[i].factor);

		assert_int_equal(create(box, &wanted, 1, false, CALL_DONE).error_code,
				 rows[i].error);
	}
	box->config.clamp_replication = true;
	first = topic("clamped", 1, 3);
	assert_int_equal(create(box, &first, 1, false, CALL_SERVED).replication_factor, 1);
}

static void test_admin_create_configs_and_assignments(void **state)
{
	struct wire_create_topics_request_topics_configs bad = { WIRE_STRING("retention"),
								 WIRE_STRING("1") };
	int32_t node = 1;
	int32_t stranger = 77;
	struct wire_create_topics_request_topics_assignments places[] = { { 0, &node, 1 },
									  { 1, &node, 1 } };
	struct metabox *box = *state;
	create_topic wanted = topic("t", 1, 1);
	create_topic twice[2] = { wanted, wanted };

	wanted.configs = &bad;
	wanted.configs_count = 1;
	assert_int_equal(create(box, &wanted, 1, false, CALL_DONE).error_code,
			 KAFKA_INVALID_CONFIG);
	bad.name = WIRE_STRING("min.insync.replicas"); /* known, stored, without effect here */
	assert_int_equal(create(box, &wanted, 1, true, CALL_DONE).error_code, KAFKA_NONE);
	assert_null(find(box, "t")); /* only validated */
	assert_int_equal(create(box, twice, 2, false, CALL_DONE).error_code, KAFKA_INVALID_REQUEST);
	wanted = topic("t", -1, -1);
	wanted.assignments = places;
	wanted.assignments_count = 2;
	assert_int_equal(create(box, &wanted, 1, false, CALL_SERVED).num_partitions, 2);
	wanted.name = WIRE_STRING("u");
	places[1].broker_ids = &stranger;
	assert_int_equal(create(box, &wanted, 1, false, CALL_SERVED).error_code,
			 KAFKA_INVALID_REPLICA_ASSIGNMENT);
}

static void test_admin_delete_by_name_and_id(void **state)
{
	struct metabox *box = *state;
	create_topic wanted[2] = { topic("a", 1, 1), topic("b", 2, 1) };
	struct wire_delete_topics_request_topics gone[3] = { { .name = WIRE_STRING_NULL } };
	struct wire_delete_topics_request request = { .topics = gone, .topics_count = 3 };
	struct wire_delete_topics_response response;
	struct writer writer = metabox_writer(box);
	struct wire_scratch scratch;
	struct reader reader;
	struct call call;

	(void)create(box, wanted, 2, false, CALL_SERVED);
	gone[0].topic_id = find(box, "b")->id;
	gone[1].name = WIRE_STRING("a");
	gone[2].name = WIRE_STRING("c");
	writer = metabox_writer(box);
	wire_encode_delete_topics_request(&writer, 6, &request);
	call = metabox_call(box, &writer, WIRE_API_DELETE_TOPICS, 6);
	assert_int_equal(admin_delete_topics(&box->admin, &call), CALL_SERVED);
	wire_scratch_init(&scratch, box->decoded, METABOX_SCRATCH);
	reader_init(&reader, call.reply.begin, writer_size(&call.reply));
	assert_int_equal(wire_decode_delete_topics_response(&reader, 6, &scratch, &response), 0);
	assert_int_equal(response.responses[0].error_code, 0);
	assert_true(wire_string_equal(response.responses[0].name, WIRE_STRING("b")));
	assert_int_equal(response.responses[1].error_code, 0);
	assert_int_equal(response.responses[2].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(meta_image(box->meta)->topic_count, 0);
	assert_int_equal(meta_image(box->meta)->partition_count, 0);
}

static void test_admin_create_partitions(void **state)
{
	struct metabox *box = *state;
	create_topic wanted = topic("t", 2, 1);
	struct wire_create_partitions_request_topics grow = { .name = WIRE_STRING("t"),
							      .assignments_count = -1 };
	struct wire_create_partitions_request request = { .topics = &grow, .topics_count = 1 };
	static const struct {
		int32_t count;
		enum call_result result;
		int32_t after;
	} rows[] = { { 2, CALL_DONE, 2 }, { 1, CALL_DONE, 2 }, { 5, CALL_SERVED, 5 } };

	(void)create(box, &wanted, 1, false, CALL_SERVED);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct writer writer = metabox_writer(box);
		struct call call;

		assert_int_equal(meta_flush(box->meta, 1000), 0);
		grow.count = rows[i].count;
		wire_encode_create_partitions_request(&writer, 3, &request);
		call = metabox_call(box, &writer, WIRE_API_CREATE_PARTITIONS, 3);
		assert_int_equal(admin_create_partitions(&box->admin, &call), rows[i].result);
		assert_int_equal(find(box, "t")->partition_count, rows[i].after);
	}
}

static void test_admin_offsets_topic_and_auto_create(void **state)
{
	struct metabox *box = *state;

	assert_int_equal(admin_create_offsets_topic(&box->admin), 0);
	assert_int_equal(admin_create_offsets_topic(&box->admin), 0);
	assert_int_equal(find(box, "__consumer_offsets")->partition_count, 2);
	assert_string_equal(metaimage_config(find(box, "__consumer_offsets"), "cleanup.policy"),
			    "compact");
	assert_int_equal(admin_auto_create(&box->admin, WIRE_STRING("new")), KAFKA_NONE);
	assert_int_equal(admin_auto_create(&box->admin, WIRE_STRING("new")),
			 KAFKA_TOPIC_ALREADY_EXISTS);
	assert_int_equal(admin_auto_create(&box->admin, WIRE_STRING("no/way")),
			 KAFKA_INVALID_TOPIC_EXCEPTION);
}

static void test_admin_truncated_requests_are_bad(void **state)
{
	struct metabox *box = *state;
	create_topic wanted = topic("t", 2, 1);
	struct wire_create_topics_request request = { &wanted, 1, 1000, false };
	struct writer writer = metabox_writer(box);

	wire_encode_create_topics_request(&writer, 7, &request);
	for (size_t size = 0; size < writer_size(&writer); size++) {
		struct call call = metabox_call(box, &writer, WIRE_API_CREATE_TOPICS, 7);

		call.body.end = call.body.at + size;
		assert_int_equal(admin_create_topics(&box->admin, &call), CALL_BAD);
	}
	assert_null(find(box, "t"));
}

static void test_admin_describe_configs(void **state)
{
	struct wire_create_topics_request_topics_configs config = { WIRE_STRING("retention.ms"),
								    WIRE_STRING("1000") };
	struct wire_string key = WIRE_STRING("retention.ms");
	struct wire_describe_configs_request_resources resources[] = {
		{ 2, WIRE_STRING("t"), &key, 1 },
		{ 2, WIRE_STRING("none"), NULL, -1 },
		{ 4, WIRE_STRING("1"), NULL, -1 },
		{ 4, WIRE_STRING("9"), NULL, -1 },
	};
	struct wire_describe_configs_request request = { resources, 4, true, true };
	struct wire_describe_configs_response response;
	struct metabox *box = *state;
	create_topic wanted = topic("t", 2, 1);
	struct writer writer;
	struct wire_scratch scratch;
	struct reader reader;
	struct call call;

	wanted.configs = &config;
	wanted.configs_count = 1;
	(void)create(box, &wanted, 1, false, CALL_SERVED);
	writer = metabox_writer(box);
	wire_encode_describe_configs_request(&writer, 4, &request);
	call = metabox_call(box, &writer, WIRE_API_DESCRIBE_CONFIGS, 4);
	assert_int_equal(describe_configs(&box->admin, &call), CALL_DONE);
	wire_scratch_init(&scratch, box->decoded, METABOX_SCRATCH);
	reader_init(&reader, call.reply.begin, writer_size(&call.reply));
	assert_int_equal(wire_decode_describe_configs_response(&reader, 4, &scratch, &response), 0);
	assert_int_equal(response.results[0].configs_count, 1);
	assert_true(wire_string_equal(response.results[0].configs[0].value, WIRE_STRING("1000")));
	assert_int_equal(response.results[0].configs[0].config_source, TOPICCONF_FROM_TOPIC);
	assert_int_equal(response.results[0].configs[0].synonyms_count, 2);
	assert_int_equal(response.results[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_true(response.results[2].configs_count > 30);
	assert_int_equal(response.results[3].error_code, KAFKA_INVALID_REQUEST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_admin_create_survives_a_restart),
		TEST(test_admin_unflushed_changes_are_lost_together),
		TEST(test_admin_create_refusals),
		TEST(test_admin_create_configs_and_assignments),
		TEST(test_admin_delete_by_name_and_id),
		TEST(test_admin_create_partitions),
		TEST(test_admin_offsets_topic_and_auto_create),
		TEST(test_admin_truncated_requests_are_bad),
		TEST(test_admin_describe_configs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
