/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a timestamp finds the first record at or after it, exactly in plain batches and never too
 * late in compressed ones. Shown with a log of built batches behind a wrapped segment reader.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "storage/segreader.h"

#include "control/meta/timelookup.h"

#include "cm.h"

#define BATCHES    4
#define BATCH_SIZE 512

static uint8_t batches[BATCHES][BATCH_SIZE];
static int open_error;
static int read_error;

struct segreader {
	uint32_t at;
};

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
	(void)log_dir;
	(void)table;
	(void)topic_id;
	(void)partition;
	(void)offset;
	if (open_error != 0)
		return open_error;
	*ret_reader = calloc(1, sizeof(struct segreader));
	assert_non_null(*ret_reader);
	return 0;
}

int __wrap_segreader_next(struct segreader *reader, struct batch *ret_batch,
			  const uint8_t **ret_bytes)
{
	if (reader->at == BATCHES)
		return read_error;
	*ret_bytes = batches[reader->at++];
	assert_int_equal(batch_decode(*ret_bytes, ret_batch), 0);
	return 1;
}

void __wrap_segreader_close(struct segreader *reader)
{
	free(reader);
}

/** Three records at 1000 + 10 i, i + 1, i + 2; offsets from 3 i. */
static int setup(void **state)
{
	(void)state;
	open_error = read_error = 0;
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
	return 0;
}

static int64_t find(int64_t timestamp, int64_t *ret_timestamp)
{
	struct uuid id = { { 1 } };
	struct timelookup_result result = { 0 };

	assert_int_equal(timelookup_find("", NULL, &id, 0, timestamp, &result), KAFKA_NONE);
	*ret_timestamp = result.timestamp;
	assert_int_equal(result.leader_epoch, result.offset >= 0 ? 4 : -1);
	return result.offset;
}

static void test_timelookup_plain_batches(void **state)
{
	static const struct {
		int64_t wanted, offset, timestamp;
	} rows[] = {
		{ 0, 0, 1000 },    { 1000, 0, 1000 },  { 1001, 1, 1001 }, { 1003, 3, 1010 },
		{ 1012, 5, 1012 }, { 1032, 11, 1032 }, { 1033, -1, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int64_t timestamp;

		assert_int_equal(find(rows[i].wanted, &timestamp), rows[i].offset);
		assert_int_equal(timestamp, rows[i].timestamp);
	}
}

static void test_timelookup_compressed_batch_starts_early(void **state)
{
	int64_t timestamp;

	(void)state;
	bytes_store_u16(batches[1] + 21, BATCH_CODEC_LZ4);
	assert_int_equal(find(1011, &timestamp), 3);
}

static void test_timelookup_latest_record(void **state)
{
	int64_t timestamp;

	(void)state;
	assert_int_equal(find(TIMELOOKUP_MAX_TIMESTAMP, &timestamp), 11);
	assert_int_equal(timestamp, 1032);
	/* Times need not grow with offsets. */
	bytes_store_u64(batches[1] + 27, 2000);
	bytes_store_u64(batches[1] + 35, 2002);
	assert_int_equal(find(TIMELOOKUP_MAX_TIMESTAMP, &timestamp), 5);
	assert_int_equal(timestamp, 2002);
}

/* "None" would send the client to the log's end, past the records it asked for. */
static void test_timelookup_limit_loses_no_record(void **state)
{
	struct uuid id = { { 1 } };
	struct timelookup_result result;

	(void)state;
	for (int i = 0; i < 3; i++) /* the third crosses the limit */
		bytes_store_u32(batches[i] + 8, INT32_MAX - 4096);
	assert_int_equal(timelookup_find("", NULL, &id, 0, 1032, &result), KAFKA_NONE);
	assert_int_equal(result.offset, 9);
}

static void test_timelookup_errors(void **state)
{
	struct uuid id = { { 1 } };
	struct timelookup_result result;

	(void)state;
	read_error = ERR_CORRUPT;
	assert_int_equal(timelookup_find("", NULL, &id, 0, 5000, &result), KAFKA_CORRUPT_MESSAGE);
	open_error = ERR_UNKNOWN;
	assert_int_equal(timelookup_find("", NULL, &id, 0, 0, &result),
			 KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_timelookup_plain_batches, setup),
		cmocka_unit_test_setup(test_timelookup_compressed_batch_starts_early, setup),
		cmocka_unit_test_setup(test_timelookup_latest_record, setup),
		cmocka_unit_test_setup(test_timelookup_limit_loses_no_record, setup),
		cmocka_unit_test_setup(test_timelookup_errors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
