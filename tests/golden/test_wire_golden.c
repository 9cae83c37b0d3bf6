/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: every message of the codec reads and writes, in every version, the bytes of Apache
 * Kafka's own classes. Shown: the folder wire holds Kafka's encoding of two samples of each message
 * and version (tools/make_wire.py); each decodes to its last byte, encodes back to the same bytes,
 * fails with a defined error when a byte is missing or a byte of output does not fit, and no message
 * or version is left out. For the messages that carry the product some decoded fields are compared
 * with the values that Kafka was given.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/wire/api.h"

#include "cm.h"

#define BYTES_MAX   4096
#define SCRATCH_MAX 16384

static const char *folder;

struct golden {
	char message[64];
	int version;
	char sample[8];
	uint8_t bytes[BYTES_MAX];
	size_t size;
};

static uint8_t scratch_memory[SCRATCH_MAX];

static bool parse_line(const char *line, struct golden *golden)
{
	char hex[2 * BYTES_MAX + 1];

	if (sscanf(line, "%63s %d %7s %8192s", golden->message, &golden->version, golden->sample,
		   hex) != 4)
		return false;
	golden->size = 0;
	if (strcmp(hex, "-") == 0)
		return true;
	for (const char *at = hex; *at != '\0'; at += 2) {
		unsigned byte;

		if (sscanf(at, "%2x", &byte) != 1)
			return false;
		golden->bytes[golden->size++] = (uint8_t)byte;
	}
	return true;
}

static void visit_file(const char *path, void (*visit)(struct golden *, void *), void *argument)
{
	FILE *file = fopen(path, "r");
	char line[2 * BYTES_MAX + 128];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		struct golden golden;

		assert_true(parse_line(line, &golden));
		visit(&golden, argument);
	}
	assert_int_equal(fclose(file), 0);
}

static void visit_all(void (*visit)(struct golden *, void *), void *argument)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[1024];

		if (strstr(entry->d_name, ".hex") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		visit_file(path, visit, argument);
	}
	closedir(dir);
}

static size_t codec_index(const char *name)
{
	for (size_t i = 0; i < wire_codec_count; i++) {
		if (strcmp(wire_codecs[i].name, name) == 0)
			return i;
	}
	fail_msg("no codec for %s", name);
	return 0;
}

/* The input lies in an allocation of its own size, so that ASan sees a read past its end. */
static int decode_part(const struct wire_codec *codec, const struct golden *golden, size_t size,
		       void *value)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	struct wire_scratch scratch;
	struct reader reader;
	int error;

	assert_non_null(copy);
	memcpy(copy, golden->bytes, size);
	wire_scratch_init(&scratch, scratch_memory, sizeof(scratch_memory));
	reader_init(&reader, copy, size);
	error = codec->decode(&reader, (int16_t)golden->version, &scratch, value);
	free(copy);
	return error;
}

static void require(bool holds, const struct golden *golden, const char *what)
{
	if (!holds)
		fail_msg("%s %d %s: %s", golden->message, golden->version, golden->sample, what);
}

static void check_encode(const struct golden *golden, const struct wire_codec *codec,
			 const void *value)
{
	struct writer writer;
	uint8_t out[BYTES_MAX];

	for (size_t size = 0; size < golden->size; size++) {
		writer_init(&writer, out, size);
		codec->encode(&writer, (int16_t)golden->version, value);
		require(writer.error == ERR_TOO_LARGE, golden, "wrote past the end");
	}
	/* A tagged field's size moves its bytes up, which needs no more room than the result. */
	writer_init(&writer, out, golden->size);
	codec->encode(&writer, (int16_t)golden->version, value);
	require(writer.error == 0, golden, "does not encode");
	require(writer_size(&writer) == golden->size &&
			memcmp(out, golden->bytes, golden->size) == 0,
		golden, "encodes to other bytes");
}

static void check_golden(struct golden *golden, void *argument)
{
	size_t index = codec_index(golden->message);
	const struct wire_codec *codec = &wire_codecs[index];
	struct wire_scratch scratch;
	struct reader reader;
	void *value = malloc(codec->size);

	assert_non_null(value);
	for (size_t size = 0; size < golden->size; size++) {
		int error = decode_part(codec, golden, size, value);

		require(error == ERR_TRUNCATED || error == ERR_MALFORMED, golden,
			"decodes without its end");
	}
	wire_scratch_init(&scratch, scratch_memory, sizeof(scratch_memory));
	reader_init(&reader, golden->bytes, golden->size);
	require(codec->decode(&reader, (int16_t)golden->version, &scratch, value) == 0, golden,
		"does not decode");
	require(reader_left(&reader) == 0, golden, "leaves bytes");
	check_encode(golden, codec, value);
	free(value);
	((uint32_t *)argument)[index] += 1;
}

static void test_golden_bytes_round_trip(void **state)
{
	uint32_t *seen = calloc(wire_codec_count, sizeof(*seen));

	(void)state;
	assert_non_null(seen);
	visit_all(check_golden, seen);
	for (size_t i = 0; i < wire_codec_count; i++) {
		const struct wire_codec *codec = &wire_codecs[i];

		if (seen[i] != 2 * (uint32_t)(codec->max - codec->min + 1))
			fail_msg("%s: %u samples", codec->name, seen[i]);
	}
	free(seen);
}

struct wanted {
	const char *message;
	int version;
	void *value;
	bool found;
	uint8_t bytes[BYTES_MAX]; /* what the decoded value points into */
};

static void decode_wanted(struct golden *golden, void *argument)
{
	struct wanted *wanted = argument;
	struct wire_scratch scratch;
	struct reader reader;

	if (strcmp(golden->message, wanted->message) != 0 || golden->version != wanted->version ||
	    strcmp(golden->sample, "full") != 0)
		return;
	memcpy(wanted->bytes, golden->bytes, golden->size);
	wire_scratch_init(&scratch, scratch_memory, sizeof(scratch_memory));
	reader_init(&reader, wanted->bytes, golden->size);
	assert_int_equal(wire_codecs[codec_index(golden->message)].decode(
				 &reader, (int16_t)golden->version, &scratch, wanted->value),
			 0);
	wanted->found = true;
}

/* The value borrows the static bytes and scratch until the next call. */
static void get_golden(const char *message, int version, void *value)
{
	static struct wanted wanted;

	wanted = (struct wanted){ .message = message, .version = version, .value = value };
	visit_all(decode_wanted, &wanted);
	assert_true(wanted.found);
}

#define ASSERT_STRING(value, literal) assert_true(wire_string_equal(value, WIRE_STRING(literal)))

static void assert_uuid(const struct uuid *id, const char *text)
{
	char out[UUID_TEXT_SIZE];

	uuid_format(id, out);
	assert_string_equal(out, text);
}

static void test_golden_produce_request(void **state)
{
	static const uint8_t records[] = { 0x91, 0xcc, 0x9a, 0x92, 0x3a };
	struct wire_produce_request request;

	(void)state;
	get_golden("ProduceRequest", 9, &request);
	ASSERT_STRING(request.transactional_id, "tb2ef");
	assert_int_equal(request.acks, 32555);
	assert_int_equal(request.timeout_ms, 1694287947);
	assert_int_equal(request.topic_data_count, 2);
	ASSERT_STRING(request.topic_data[1].name, "n02fc");
	assert_int_equal(request.topic_data[1].partition_data_count, 1);
	assert_int_equal(request.topic_data[1].partition_data[0].index, 1798350759);
	assert_int_equal(request.topic_data[1].partition_data[0].records.size, sizeof(records));
	assert_memory_equal(request.topic_data[1].partition_data[0].records.bytes, records,
			    sizeof(records));
}

static void test_golden_fetch_request(void **state)
{
	struct wire_fetch_request request;
	const struct wire_fetch_request_topics_partitions *partition;

	(void)state;
	get_golden("FetchRequest", 18, &request);
	ASSERT_STRING(request.cluster_id, "c9c16");
	assert_int_equal(request.replica_id, -1); /* gone in this version: its default */
	assert_int_equal(request.replica_state.replica_id, 670556623);
	assert_int_equal(request.replica_state.replica_epoch, INT64_C(8525998514128372933));
	assert_int_equal(request.max_bytes, 689283139);
	assert_int_equal(request.isolation_level, 57);
	assert_int_equal(request.session_epoch, 1355576511);
	assert_uuid(&request.topics[1].topic_id, "tRuI45hd3D2bLobL-en6vw");
	assert_int_equal(request.topics[1].topic.size, 0);
	partition = &request.topics[1].partitions[0];
	assert_int_equal(partition->partition, 1527501595);
	assert_int_equal(partition->current_leader_epoch, 605889961);
	assert_int_equal(partition->fetch_offset, INT64_C(6741571515815578609));
	assert_int_equal(partition->last_fetched_epoch, 557011789);
	assert_int_equal(partition->log_start_offset, INT64_C(1601296305551391081));
	assert_int_equal(partition->partition_max_bytes, 1924975033);
	assert_int_equal(partition->high_watermark, INT64_C(4090012538686396785));
	assert_int_equal(request.forgotten_topics_data[1].partitions[0], 1636335777);
	ASSERT_STRING(request.rack_id, "r9746");
}

static void test_golden_fetch_response(void **state)
{
	struct wire_fetch_response response;
	const struct wire_fetch_response_responses_partitions *partition;

	(void)state;
	get_golden("FetchResponse", 18, &response);
	assert_int_equal(response.session_id, 1232276575);
	partition = &response.responses[0].partitions[0];
	assert_int_equal(partition->partition_index, 635115675);
	assert_int_equal(partition->error_code, 24645);
	assert_int_equal(partition->high_watermark, INT64_C(2748460573840951563));
	assert_int_equal(partition->last_stable_offset, INT64_C(3955160148311886935));
	assert_int_equal(partition->log_start_offset, INT64_C(621833401547172211));
	assert_int_equal(partition->current_leader.leader_id, 1841169833);
	assert_int_equal(partition->snapshot_id.epoch, 57151807);
	assert_int_equal(partition->aborted_transactions[0].first_offset,
			 INT64_C(9175822592712555049));
	assert_int_equal(partition->preferred_read_replica, 1745516365);
	assert_int_equal(partition->records.size, 5);
	assert_int_equal(response.node_endpoints_count, 2);
	ASSERT_STRING(response.node_endpoints[1].host, "hc394");
}

static void test_golden_metadata_response(void **state)
{
	struct wire_metadata_response response;
	const struct wire_metadata_response_topics_partitions *partition;

	(void)state;
	get_golden("MetadataResponse", 12, &response);
	assert_int_equal(response.brokers[1].node_id, 781717573);
	ASSERT_STRING(response.brokers[1].host, "h6134");
	assert_int_equal(response.brokers[1].port, 649198993);
	ASSERT_STRING(response.cluster_id, "cbd7c");
	assert_int_equal(response.controller_id, 535673629);
	assert_uuid(&response.topics[0].topic_id, "ZaiwGirMXBzCyhU3u-W_og");
	assert_true(response.topics[0].is_internal);
	partition = &response.topics[0].partitions[0];
	assert_int_equal(partition->partition_index, 2133719159);
	assert_int_equal(partition->leader_id, 109053545);
	assert_int_equal(partition->leader_epoch, 1621843311);
	assert_int_equal(partition->replica_nodes[0], 761642879);
	assert_int_equal(partition->isr_nodes[0], 668002961);
	assert_int_equal(partition->offline_replicas[0], 1978137187);
}

static void test_golden_join_group_response(void **state)
{
	struct wire_join_group_response response;

	(void)state;
	get_golden("JoinGroupResponse", 9, &response);
	assert_int_equal(response.generation_id, 828611695);
	ASSERT_STRING(response.protocol_type, "p87ab");
	ASSERT_STRING(response.protocol_name, "p9400");
	ASSERT_STRING(response.leader, "ldd93");
	assert_true(response.skip_assignment);
	ASSERT_STRING(response.member_id, "mde6f");
	ASSERT_STRING(response.members[1].member_id, "m917b");
	ASSERT_STRING(response.members[1].group_instance_id, "g5156");
}

static void test_golden_records(void **state)
{
	struct wire_partition_record partition;
	struct wire_partition_change_record change;
	struct wire_group_metadata_value group;
	struct wire_offset_commit_key key;

	(void)state;
	get_golden("PartitionRecord", 2, &partition);
	assert_uuid(&partition.topic_id, "F638fVzmZqzxqMEi486XVg");
	assert_int_equal(partition.leader, 1259708315);
	assert_int_equal(partition.leader_recovery_state, 49);
	assert_int_equal(partition.partition_epoch, 80378363);
	assert_uuid(&partition.directories[1], "UckNiWZyXarvm8XpwWW_Jg");
	assert_int_equal(partition.last_known_elr[1], 745403351);
	get_golden("PartitionChangeRecord", 2, &change);
	assert_int_equal(change.isr[1], 843000837);
	assert_int_equal(change.leader, 486344947);
	assert_int_equal(change.leader_recovery_state, 75);
	assert_int_equal(change.directories_count, 2);
	get_golden("GroupMetadataValue", 4, &group);
	ASSERT_STRING(group.leader, "ld7d9");
	assert_int_equal(group.current_state_timestamp, INT64_C(1998841797927310943));
	ASSERT_STRING(group.members[1].client_host, "c26d9");
	assert_int_equal(group.members[1].session_timeout, 969846047);
	get_golden("OffsetCommitKey", 1, &key);
	ASSERT_STRING(key.group, "gd130");
	ASSERT_STRING(key.topic, "t6b7f");
	assert_int_equal(key.partition, 815261469);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_bytes_round_trip),
		cmocka_unit_test(test_golden_produce_request),
		cmocka_unit_test(test_golden_fetch_request),
		cmocka_unit_test(test_golden_fetch_response),
		cmocka_unit_test(test_golden_metadata_response),
		cmocka_unit_test(test_golden_join_group_response),
		cmocka_unit_test(test_golden_records),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_wire_golden FOLDER\n");
		return 2;
	}
	folder = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
