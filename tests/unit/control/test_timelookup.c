/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a timestamp finds the first record at or after it, exactly in plain batches and never too
 * late in compressed ones, shown with a list of built batches behind a wrapped segment reader. And
 * time indexes keep reading to the right segment, damaged ones cost only time, and a long lookup takes
 * many turns in which others are served; shown with a real log of many segments.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/segfile.h"
#include "storage/segreader.h"

#include "control/meta/timelookup.h"

#include "../storage/logbox.h"
#include "../storage/uring_fake.h"
#include "cm.h"
#include "metabox.h"

#define BATCHES    4
#define BATCH_SIZE 512

#define RING_SIZE    (UINT64_C(16) * 1024 * 1024)
#define SEGMENT_SIZE (128 * 1024)
#define VALUE_SIZE   3000
#define PARTITION    3 /* logbox's */
#define VERSION      7
#define BEGIN_MS     INT64_C(1700000000000)
#define STEP_MS      10 /* between batches of the real log */
#define REPLIES_MAX  8

static uint8_t batches[BATCHES][BATCH_SIZE];
static bool is_fake;
static int open_error;
static int read_error;
static uint32_t segments_opened;
static int64_t bytes_read;

struct segreader {
	uint32_t at;
};

struct answered {
	uint64_t token;
	struct wire_list_offsets_response_topics_partitions answer;
};

struct fixture {
	struct metabox meta;
	struct logbox *log;
	struct partitions *table;
	struct timelookup *timelookup;
	struct answered replies[REPLIES_MAX];
	uint32_t replies_count;
	uint64_t forgotten; /* token */
	char table_path[TEMP_PATH_SIZE];
};

int __real_segreader_open(const char *log_dir, const struct partitions *table,
			  const struct uuid *topic_id, uint32_t partition, int64_t offset,
			  struct segreader **ret_reader);
int __real_segreader_next_since(struct segreader *reader, int64_t since, struct batch *ret_batch,
				const uint8_t **ret_bytes);
void __real_segreader_close(struct segreader *reader);
int64_t __real_segreader_newest(struct segreader *reader);
int __real_segfile_open(int dir_fd, int64_t base, int flags);
int __wrap_segreader_open(const char *log_dir, const struct partitions *table,
			  const struct uuid *topic_id, uint32_t partition, int64_t offset,
			  struct segreader **ret_reader);
int __wrap_segreader_next_since(struct segreader *reader, int64_t since, struct batch *ret_batch,
				const uint8_t **ret_bytes);
void __wrap_segreader_close(struct segreader *reader);
int64_t __wrap_segreader_newest(struct segreader *reader);
int __wrap_segfile_open(int dir_fd, int64_t base, int flags);

int __wrap_segreader_open(const char *log_dir, const struct partitions *table,
			  const struct uuid *topic_id, uint32_t partition, int64_t offset,
			  struct segreader **ret_reader)
{
	if (!is_fake)
		return __real_segreader_open(log_dir, table, topic_id, partition, offset,
					     ret_reader);
	if (open_error != 0)
		return open_error;
	*ret_reader = calloc(1, sizeof(struct segreader));
	assert_non_null(*ret_reader);
	return 0;
}

int __wrap_segreader_next_since(struct segreader *reader, int64_t since, struct batch *ret_batch,
				const uint8_t **ret_bytes)
{
	if (!is_fake) {
		int got = __real_segreader_next_since(reader, since, ret_batch, ret_bytes);

		bytes_read += got == 1 ? ret_batch->size : 0;
		return got;
	}
	if (reader->at == BATCHES)
		return read_error;
	*ret_bytes = batches[reader->at++];
	assert_int_equal(batch_decode(*ret_bytes, ret_batch), 0);
	return 1;
}

void __wrap_segreader_close(struct segreader *reader)
{
	if (is_fake)
		free(reader);
	else
		__real_segreader_close(reader);
}

int64_t __wrap_segreader_newest(struct segreader *reader)
{
	return is_fake ? -1 : __real_segreader_newest(reader);
}

int __wrap_segfile_open(int dir_fd, int64_t base, int flags)
{
	segments_opened++;
	return __real_segfile_open(dir_fd, base, flags);
}

/** Three records at 1000 + 10 i, i + 1, i + 2; offsets from 3 i. */
static void make_batches(void)
{
	for (int i = 0; i < BATCHES; i++) {
		struct writer record;
		uint8_t *bytes = batches[i];

		memset(bytes, 0, BATCH_SIZE);
		writer_init(&record, bytes + BATCH_HEADER_SIZE, BATCH_SIZE - BATCH_HEADER_SIZE);
		for (int k = 0; k < 3; k++) {
			writer_varint(&record, 6);   /* length of the rest */
			writer_u8(&record, 0);       /* attributes */
			writer_varint64(&record, k); /* timestamp delta */
			writer_varint(&record, k);   /* offset delta */
			writer_varint(&record, -1);  /* no key */
			writer_varint(&record, -1);  /* no value */
			writer_varint(&record, 0);   /* no headers */
		}
		bytes_store_u64(bytes, (uint64_t)i * 3);
		bytes_store_u32(bytes + 8, (uint32_t)(BATCH_HEADER_SIZE + writer_size(&record)) -
						   BATCH_LENGTH_END);
		bytes_store_u32(bytes + 12, 4); /* leader epoch */
		bytes[16] = BATCH_MAGIC;
		bytes_store_u32(bytes + 23, 2);
		bytes_store_u64(bytes + 27, (uint64_t)(1000 + 10 * i));
		bytes_store_u64(bytes + 35, (uint64_t)(1002 + 10 * i));
		bytes_store_u32(bytes + 57, 3);
	}
}

static void on_reply(void *context, uint64_t token, const uint8_t *body, uint32_t size)
{
	struct fixture *f = context;
	struct wire_list_offsets_response response;
	struct wire_scratch scratch;
	struct reader reader;

	assert_non_null(body);
	assert_in_range(f->replies_count, 0, REPLIES_MAX - 1);
	wire_scratch_init(&scratch, f->meta.decoded, METABOX_SCRATCH);
	reader_init(&reader, body, size);
	assert_int_equal(wire_decode_list_offsets_response(&reader, VERSION, &scratch, &response),
			 0);
	assert_int_equal(response.topics_count, 1);
	assert_int_equal(response.topics[0].name.size, strlen(LOGBOX_TOPIC));
	assert_int_equal(response.topics[0].partitions_count, 1);
	f->replies[f->replies_count++] =
		(struct answered){ token, response.topics[0].partitions[0] };
}

static void on_forget(void *context, uint64_t token)
{
	struct fixture *f = context;

	f->forgotten = token;
}

static const struct timelookup_ops ops = { .reply = on_reply, .forget = on_forget };

static struct uuid create_topic(struct metabox *box)
{
	struct wire_create_topics_request_topics topic = { .name = WIRE_STRING(LOGBOX_TOPIC),
							   .num_partitions = PARTITION + 1,
							   .replication_factor = 1 };
	struct wire_create_topics_request request = { &topic, 1, 1000, false };
	struct writer writer = metabox_writer(box);
	struct call call;

	wire_encode_create_topics_request(&writer, 5, &request);
	call = metabox_call(box, &writer, WIRE_API_CREATE_TOPICS, 5);
	assert_int_equal(admin_create_topics(&box->admin, &call), CALL_SERVED);
	return metaimage_topic(meta_image(box->meta), WIRE_STRING(LOGBOX_TOPIC))->id;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct partition_view view = { .partition = PARTITION, .topic = LOGBOX_TOPIC };

	if (f == NULL)
		return -1;
	is_fake = false;
	open_error = read_error = 0;
	metabox_init(&f->meta);
	f->log = logbox_new(RING_SIZE);
	view.topic_id = f->log->args.topic_id = create_topic(&f->meta);
	temp_dir_path(f->log->dir, "partitions", f->table_path);
	assert_int_equal(partitions_open(f->table_path, true, &f->table), 0);
	f->log->args.cell = partitions_add(f->table, &view);
	assert_non_null(f->log->args.cell);
	f->log->args.settings.segment_size = SEGMENT_SIZE;
	assert_int_equal(logbox_open(f->log, false, 0), 0);
	uring_fake_set_auto(f->log->uring, true);
	f->timelookup = timelookup_new(f->meta.meta, &ops, f);
	assert_non_null(f->timelookup);
	timelookup_start(f->timelookup, f->log->dir, f->table);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	timelookup_free(f->timelookup);
	logbox_free(f->log);
	partitions_close(f->table);
	metabox_fini(&f->meta);
	free(f);
	return 0;
}

/** The log is the list of built batches. */
static struct fixture *fake(void **state)
{
	is_fake = true;
	make_batches();
	return *state;
}

static void append(struct fixture *f, int64_t timestamp)
{
	const struct logbox_spec spec = { .value_size = VALUE_SIZE, .timestamp = timestamp };

	while (logbox_append(f->log, &spec) == -EAGAIN)
		logbox_settle(f->log);
}

/** A real log: batch i has one record, offset i, at BEGIN_MS + i STEP_MS. */
static void fill(struct fixture *f, int count)
{
	for (int i = 0; i < count; i++)
		append(f, BEGIN_MS + (int64_t)i * STEP_MS);
	logbox_settle(f->log);
}

/** Hand over a request; an answer at once goes where later ones go. */
static enum call_result ask(struct fixture *f, uint64_t token, uint64_t connection,
			    int64_t timestamp)
{
	struct wire_list_offsets_request_topics_partitions partition = { PARTITION, -1, timestamp };
	struct wire_list_offsets_request_topics topic = { WIRE_STRING(LOGBOX_TOPIC), &partition,
							  1 };
	struct wire_list_offsets_request request = { .replica_id = -1,
						     .topics = &topic,
						     .topics_count = 1 };
	struct writer writer = metabox_writer(&f->meta);
	enum call_result result;
	struct call call;

	wire_encode_list_offsets_request(&writer, VERSION, &request);
	call = metabox_call(&f->meta, &writer, WIRE_API_LIST_OFFSETS, VERSION);
	call.token = token;
	call.connection = connection;
	result = timelookup_list_offsets(f->timelookup, &call);
	if (result == CALL_DONE)
		on_reply(f, token, f->meta.reply, (uint32_t)writer_size(&call.reply));
	/* Nothing of the request may be needed later. */
	memset(f->meta.request, 0xee, METABOX_BYTES);
	memset(f->meta.scratch, 0xee, 4096);
	return result;
}

/** Take turns until there is no more to do. @return how many */
static uint32_t run(struct fixture *f)
{
	uint32_t turns = 1;

	while (timelookup_run(f->timelookup, 1) != INT64_MAX)
		turns++;
	return turns;
}

static struct wire_list_offsets_response_topics_partitions look_up(struct fixture *f,
								   int64_t timestamp)
{
	f->replies_count = 0;
	segments_opened = 0;
	bytes_read = 0;
	assert_int_equal(ask(f, 1, 1, timestamp), CALL_LATER);
	(void)run(f);
	assert_int_equal(f->replies_count, 1);
	assert_int_equal(f->replies[0].token, 1);
	return f->replies[0].answer;
}

static int64_t find(struct fixture *f, int64_t timestamp, int64_t *ret_timestamp)
{
	struct wire_list_offsets_response_topics_partitions answer = look_up(f, timestamp);

	assert_int_equal(answer.error_code, KAFKA_NONE);
	assert_int_equal(answer.leader_epoch, answer.offset >= 0 ? 4 : -1);
	*ret_timestamp = answer.timestamp;
	return answer.offset;
}

static void test_timelookup_plain_batches(void **state)
{
	static const struct {
		int64_t wanted, offset, timestamp;
	} rows[] = {
		{ 0, 0, 1000 },    { 1000, 0, 1000 },  { 1001, 1, 1001 }, { 1003, 3, 1010 },
		{ 1012, 5, 1012 }, { 1032, 11, 1032 }, { 1033, -1, -1 },
	};

	struct fixture *f = fake(state);

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int64_t timestamp;

		assert_int_equal(find(f, rows[i].wanted, &timestamp), rows[i].offset);
		assert_int_equal(timestamp, rows[i].timestamp);
	}
}

static void test_timelookup_compressed_batch_starts_early(void **state)
{
	int64_t timestamp;

	struct fixture *f = fake(state);

	bytes_store_u16(batches[1] + 21, BATCH_CODEC_LZ4);
	assert_int_equal(find(f, 1011, &timestamp), 3);
}

static void test_timelookup_latest_record(void **state)
{
	int64_t timestamp;

	struct fixture *f = fake(state);

	assert_int_equal(find(f, TIMELOOKUP_MAX_TIMESTAMP, &timestamp), 11);
	assert_int_equal(timestamp, 1032);
	/* Times need not grow with offsets. */
	bytes_store_u64(batches[1] + 27, 2000);
	bytes_store_u64(batches[1] + 35, 2002);
	assert_int_equal(find(f, TIMELOOKUP_MAX_TIMESTAMP, &timestamp), 5);
	assert_int_equal(timestamp, 2002);
}

/* "None" would send the client to the log's end, past the records it asked for. */
static void test_timelookup_limit_loses_no_record(void **state)
{

	struct fixture *f = fake(state);

	for (int i = 0; i < 3; i++) /* the third crosses the limit */
		bytes_store_u32(batches[i] + 8, INT32_MAX - 4096);
	assert_int_equal(look_up(f, 1032).offset, 9);
}

static void test_timelookup_errors(void **state)
{

	struct fixture *f = fake(state);

	read_error = ERR_CORRUPT;
	assert_int_equal(look_up(f, 5000).error_code, KAFKA_CORRUPT_MESSAGE);
	open_error = ERR_UNKNOWN;
	assert_int_equal(look_up(f, 0).error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void expect(struct fixture *f, int64_t timestamp, int64_t offset)
{
	int64_t found;

	assert_int_equal(find(f, timestamp, &found), offset);
	assert_int_equal(found, offset >= 0 ? BEGIN_MS + offset * STEP_MS : -1);
}

static void test_timelookup_reads_the_right_segment_only(void **state)
{
	struct fixture *f = *state;

	fill(f, 400);
	assert_true(f->log->log->tail->base > 300);
	for (int64_t i = 0; i < 300; i += 7) {
		expect(f, BEGIN_MS + i * STEP_MS - 1, i);
		assert_int_equal(segments_opened, 1);
		assert_in_range(bytes_read, VALUE_SIZE, 4 * VALUE_SIZE);
	}
	/* No time index speaks of the segment being written. */
	expect(f, BEGIN_MS + 399 * STEP_MS, 399);
	assert_int_equal(segments_opened, 1);
	expect(f, BEGIN_MS + 400 * STEP_MS, -1);
	assert_in_range(bytes_read, VALUE_SIZE, SEGMENT_SIZE);
	expect(f, TIMELOOKUP_MAX_TIMESTAMP, 399);
	assert_in_range(segments_opened, 1, 2);
}

static void test_timelookup_finds_the_newest_anywhere(void **state)
{
	struct fixture *f = *state;
	int64_t timestamp;

	fill(f, 100);
	append(f, BEGIN_MS + 1000000);
	for (int i = 0; i < 1000; i++) /* more segments than are asked for a hint */
		append(f, BEGIN_MS + i);
	logbox_settle(f->log);
	assert_int_equal(find(f, TIMELOOKUP_MAX_TIMESTAMP, &timestamp), 100);
	assert_int_equal(timestamp, BEGIN_MS + 1000000);
	/* What comes after the newest is found to be older. */
	assert_int_equal(find(f, BEGIN_MS + 99 * STEP_MS + 1, &timestamp), 100);
	assert_int_equal(find(f, BEGIN_MS + 1000001, &timestamp), -1);
}

/** Every rolled segment. */
static void each_segment(struct fixture *f, void (*damage)(struct fixture *f, int64_t base))
{
	for (struct segment *segment = f->log->log->first; segment != f->log->log->tail;
	     segment = segment->next)
		damage(f, segment->base);
}

static void cut_times(struct fixture *f, int64_t base)
{
	char path[TEMP_PATH_SIZE];

	logbox_path(f->log, base, ".timeindex", path);
	assert_int_equal(truncate(path, 11), 0);
}

static void remove_times(struct fixture *f, int64_t base)
{
	char path[TEMP_PATH_SIZE];

	logbox_path(f->log, base, ".timeindex", path);
	assert_int_equal(unlink(path), 0);
}

/** The last entry: so new, and of so late a batch. */
static void overwrite_last(struct fixture *f, int64_t base, int64_t timestamp, uint32_t offset)
{
	int64_t size = logbox_load(f->log, base, ".timeindex");
	uint8_t entry[12];

	assert_true(size >= 12);
	memcpy(entry, f->log->scratch + size - 12, 12);
	if (timestamp != 0)
		bytes_store_u64(entry, (uint64_t)timestamp);
	if (offset != 0)
		bytes_store_u32(entry + 8, offset);
	logbox_damage(f->log, base, ".timeindex", size - 12, entry, 12);
}

static void age_times(struct fixture *f, int64_t base)
{
	overwrite_last(f, base, 1, 0);
}

static void lead_beyond(struct fixture *f, int64_t base)
{
	overwrite_last(f, base, 1, 1000000);
}

static void renew_times(struct fixture *f, int64_t base)
{
	overwrite_last(f, base, BEGIN_MS * 2, 0);
}

static void spoil_offsets(struct fixture *f, int64_t base)
{
	uint8_t pos[4];

	bytes_store_u32(pos, 1234);
	for (int64_t at = 0; at < logbox_load(f->log, base, ".index"); at += 8)
		logbox_damage(f->log, base, ".index", at + 4, pos, 4);
}

static void test_timelookup_damaged_indexes_cost_time_only(void **state)
{
	static void (*const damages[])(struct fixture *, int64_t) = {
		lead_beyond, age_times, renew_times, cut_times, remove_times, spoil_offsets,
	};
	struct fixture *f = *state;

	fill(f, 400);
	for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
		each_segment(f, damages[i]);
		expect(f, BEGIN_MS + 250 * STEP_MS, 250);
		if (damages[i] == remove_times)
			assert_true(segments_opened > 5);
		expect(f, BEGIN_MS + 399 * STEP_MS, 399);
		expect(f, BEGIN_MS + 400 * STEP_MS, -1);
		expect(f, TIMELOOKUP_MAX_TIMESTAMP, 399);
	}
}

static void test_timelookup_takes_turns(void **state)
{
	struct fixture *f = *state;
	const uint64_t size_max = TIMELOOKUP_TURN_SIZE + SEGMENT_SIZE;
	uint32_t turns = 0;
	int64_t before = 0;

	fill(f, 4500);
	each_segment(f, remove_times);
	bytes_read = 0;
	assert_int_equal(ask(f, 1, 1, BEGIN_MS * 2), CALL_LATER);
	assert_int_equal(ask(f, 2, 2, BEGIN_MS + 100 * STEP_MS), CALL_LATER);
	assert_int_equal(f->replies_count, 0);
	while (timelookup_run(f->timelookup, 77) != INT64_MAX) {
		assert_in_range(bytes_read - before, 0, size_max);
		before = bytes_read;
		turns++;
		/* What needs no reading does not wait. */
		if (turns == 1)
			assert_int_equal(ask(f, 3, 3, TIMELOOKUP_LATEST), CALL_DONE);
	}
	assert_true(turns >= 2);
	assert_true(bytes_read > (int64_t)3 * TIMELOOKUP_TURN_SIZE);
	/* The short one did not wait for the long one before it. */
	assert_int_equal(f->replies_count, 3);
	assert_int_equal(f->replies[2].token, 1);
	assert_int_equal(f->replies[2].answer.offset, -1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(f->replies[i].answer.offset,
				 f->replies[i].token == 2 ? 100 : 4500);
}

static void test_timelookup_many_wait_their_turn(void **state)
{
	struct fixture *f = *state;
	uint32_t asked = 0;

	fill(f, 200);
	for (uint64_t token = 1; token <= 100; token++)
		assert_int_equal(ask(f, token, token, BEGIN_MS + (int64_t)token * STEP_MS),
				 CALL_LATER);
	for (uint64_t token = 5; token <= 100; token++) {
		timelookup_gone(f->timelookup, token); /* active or waiting */
		assert_int_equal(f->forgotten, token);
	}
	(void)run(f);
	assert_int_equal(f->replies_count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(f->replies[i].answer.offset, f->replies[i].token);
		asked += (uint32_t)f->replies[i].token;
	}
	assert_int_equal(asked, 1 + 2 + 3 + 4);
}

static void test_timelookup_gone_connection_is_forgotten(void **state)
{
	struct fixture *f = *state;

	fill(f, 4500);
	each_segment(f, remove_times);
	assert_int_equal(ask(f, 1, 71, BEGIN_MS * 2), CALL_LATER);
	assert_int_equal(ask(f, 2, 72, BEGIN_MS * 2), CALL_LATER);
	assert_int_equal(timelookup_run(f->timelookup, 9), 9);
	timelookup_gone(f->timelookup, 70);
	assert_int_equal(f->forgotten, 0);
	timelookup_gone(f->timelookup, 71);
	assert_int_equal(f->forgotten, 1);
	(void)run(f);
	assert_int_equal(f->replies_count, 1);
	assert_int_equal(f->replies[0].token, 2);
}

static void test_timelookup_dataplane_restarts(void **state)
{
	struct fixture *f = *state;

	fill(f, 4500);
	each_segment(f, remove_times);
	assert_int_equal(ask(f, 1, 1, BEGIN_MS * 2), CALL_LATER);
	assert_int_equal(timelookup_run(f->timelookup, 9), 9);
	assert_int_equal(ask(f, 2, 2, BEGIN_MS * 2), CALL_LATER);
	timelookup_stop(f->timelookup);
	assert_int_equal(f->replies_count, 2);
	assert_int_equal(ask(f, 3, 3, BEGIN_MS), CALL_DONE);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(f->replies[i].token, i + 1);
		assert_int_equal(f->replies[i].answer.error_code, KAFKA_LEADER_NOT_AVAILABLE);
		assert_int_equal(f->replies[i].answer.offset, -1);
	}
	assert_int_equal(timelookup_run(f->timelookup, 9), INT64_MAX);
	timelookup_start(f->timelookup, f->log->dir, f->table);
	expect(f, BEGIN_MS, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_timelookup_plain_batches),
		TEST(test_timelookup_compressed_batch_starts_early),
		TEST(test_timelookup_latest_record),
		TEST(test_timelookup_limit_loses_no_record),
		TEST(test_timelookup_errors),
		TEST(test_timelookup_reads_the_right_segment_only),
		TEST(test_timelookup_finds_the_newest_anywhere),
		TEST(test_timelookup_damaged_indexes_cost_time_only),
		TEST(test_timelookup_takes_turns),
		TEST(test_timelookup_many_wait_their_turn),
		TEST(test_timelookup_gone_connection_is_forgotten),
		TEST(test_timelookup_dataplane_restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
