/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a scan gives each record of its ranges once, in every codec, by one reader or several, from its
   start to the watermark of the moment it was opened; retention cannot disturb it once it is open;
   damage and lost ranges are told, never passed over. Shown with a log on the fake ring, whose files
   are cut, damaged and unlinked under the scan. */
#include <errno.h>
#include <lz4frame.h>
#include <pthread.h>
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/crc32c.h"

#include "compute/scan/topicscan.h"

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE    (UINT64_C(16) * 1024 * 1024)
#define SEGMENT_SIZE (128 * 1024)
#define RECORDS_MAX  20000

static struct partitions *table;
static char text[512];
static uint8_t seen[RECORDS_MAX]; /* times an offset was read */

static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);
	struct partition_view view = { .partition = 0, .topic = LOGBOX_TOPIC };
	char path[TEMP_PATH_SIZE];

	temp_dir_path(box->dir, "partitions", path);
	view.topic_id = box->args.topic_id;
	CHECK(partitions_open(path, true, &table) == 0);
	/* Three empty ones before the log's. */
	for (; view.partition < 4; view.partition++)
		box->args.cell = partitions_add(table, &view);
	CHECK(box->args.cell != NULL);
	box->args.readers = table;
	box->args.settings.segment_size = SEGMENT_SIZE;
	CHECK(logbox_open(box, false, 0) == 0);
	uring_fake_set_auto(box->uring, true);
	memset(seen, 0, sizeof(seen));
	text[0] = '\0';
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(partitions_lease_count(table), 0);
	logbox_free(*state);
	partitions_close(table);
	return 0;
}

/* The batch in box->scratch. */
static void append_scratch(struct logbox *box, uint32_t size)
{
	struct seglog_appended appended;
	struct batch batch;
	int error;

	while ((error = logbox_fill(box, size)) == -EAGAIN)
		logbox_settle(box);
	CHECK(error == 0 && batch_decode(box->scratch, &batch) == 0);
	CHECK(seglog_commit(box->log, &batch, box->now_ms, &appended) == 0);
}

/* Batches of `records` records with a running number as value, from the log's end on. */
static uint32_t make_numbers(struct logbox *box, int32_t records, uint16_t attributes)
{
	int64_t next = seglog_next_offset(box->log), size;
	struct batch_builder builder;
	char value[120];

	batch_builder_init(&builder, box->scratch, sizeof(box->scratch), 1000 + next, attributes);
	for (int64_t i = next; i < next + records; i++) {
		int n = snprintf(value, sizeof(value), "%0100lld", (long long)i);

		batch_builder_add(&builder, i % 2 == 0 ? "key" : NULL, 3, value, (size_t)n);
	}
	size = batch_builder_end(&builder, 0, -1);
	CHECK(size > 0);
	return (uint32_t)size;
}

static void append(struct logbox *box, int batches, int32_t records)
{
	for (int i = 0; i < batches; i++)
		append_scratch(box, make_numbers(box, records, 0));
	logbox_settle(box);
}

static void seal(uint8_t *header, uint32_t size)
{
	bytes_store_u32(header + 8, size - BATCH_LENGTH_END);
	bytes_store_u32(header + 17, crc32c_extend(CRC32C_INIT, header + BATCH_CRC_BEGIN,
						   size - BATCH_CRC_BEGIN));
}

static size_t pack(enum batch_codec kind, const uint8_t *from, size_t size, uint8_t *to,
		   size_t room)
{
	z_stream zlib = { .next_out = to, .avail_out = (uInt)room };
	size_t n = room;

	switch (kind) {
	case BATCH_CODEC_GZIP:
		zlib.next_in = (Bytef *)(uintptr_t)from;
		zlib.avail_in = (uInt)size;
		CHECK(deflateInit2(&zlib, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
		CHECK(deflate(&zlib, Z_FINISH) == Z_STREAM_END);
		n = zlib.total_out;
		(void)deflateEnd(&zlib);
		return n;
	case BATCH_CODEC_SNAPPY:
		CHECK(snappy_compress((const char *)from, size, (char *)to, &n) == SNAPPY_OK);
		return n;
	case BATCH_CODEC_LZ4:
		return LZ4F_compressFrame(to, room, from, size, NULL);
	case BATCH_CODEC_ZSTD:
		return ZSTD_compress(to, room, from, size, 1);
	case BATCH_CODEC_NONE:
	default:
		memcpy(to, from, size);
		return size;
	}
}

static void append_packed(struct logbox *box, int32_t records, enum batch_codec kind)
{
	static uint8_t packed[256 * 1024];
	uint32_t size = make_numbers(box, records, (uint16_t)kind);
	size_t n = pack(kind, box->scratch + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE, packed,
			sizeof(packed));

	memcpy(box->scratch + BATCH_HEADER_SIZE, packed, n);
	seal(box->scratch, (uint32_t)n + BATCH_HEADER_SIZE);
	append_scratch(box, (uint32_t)n + BATCH_HEADER_SIZE);
}

static struct topicscan_request request_of(struct logbox *box, const struct topicscan_range *range)
{
	return (struct topicscan_request){ .log_dir = box->dir,
					   .table = table,
					   .topic = LOGBOX_TOPIC,
					   .ranges = range,
					   .range_count = range != NULL ? 1 : 0,
					   .since_ms = INT64_MIN,
					   .until_ms = INT64_MAX };
}

static int open_range(struct logbox *box, int64_t begin, int64_t end, struct topicscan **ret_scan)
{
	const struct topicscan_range range = { 3, begin, end };
	const struct topicscan_request request = request_of(box, &range);

	return topicscan_open(&request, ret_scan, text, sizeof(text));
}

static void check_record(const struct topicscan_record *record)
{
	char value[120];
	int n = snprintf(value, sizeof(value), "%0100lld", (long long)record->offset);

	assert_int_equal(record->value_size, n);
	assert_memory_equal(record->value, value, (size_t)n);
	assert_int_equal(record->key != NULL, record->offset % 2 == 0);
	assert_int_equal(record->partition, 3);
	assert_in_range(record->offset, 0, RECORDS_MAX - 1);
}

/* Read on to the end or an error. @return records, or the error */
static int64_t read_all(struct topicscan_reader *reader)
{
	struct topicscan_record record;
	int64_t count = 0;
	int result;

	while ((result = topicscan_next(reader, &record, text, sizeof(text))) == 1) {
		check_record(&record);
		seen[record.offset]++;
		count++;
	}
	return result < 0 ? result : count;
}

static int64_t read_scan(struct topicscan *scan)
{
	struct topicscan_reader *reader;
	int64_t count;

	assert_int_equal(topicscan_reader_new(scan, &reader), 0);
	count = read_all(reader);
	if (count < 0) /* and says so again */
		assert_int_equal(read_all(reader), count);
	topicscan_reader_free(reader);
	return count;
}

static void assert_seen_once(int64_t begin, int64_t end)
{
	for (int64_t i = 0; i < RECORDS_MAX; i++)
		assert_int_equal(seen[i], i >= begin && i < end ? 1 : 0);
	memset(seen, 0, sizeof(seen));
}

static void test_topicscan_whole_topic(void **state)
{
	struct logbox *box = *state;
	const struct topicscan_request request = request_of(box, NULL);
	const struct topicscan_range *ranges;
	struct topicscan *scan;
	uint32_t count;

	append(box, 300, 30);
	assert_ptr_not_equal(box->log->first, box->log->tail);
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), 0);
	assert_int_equal(partitions_lease_count(table), 1);
	append(box, 3, 30); /* came too late */
	ranges = topicscan_ranges(scan, &count);
	assert_int_equal(count, 4);
	assert_int_equal(ranges[2].end, 0);
	assert_int_equal(ranges[3].begin, 0);
	assert_int_equal(ranges[3].end, 9000);
	assert_int_equal(topicscan_size(scan), 9000);
	assert_int_equal(topicscan_partition_count(scan), 4);
	assert_true(uuid_equal(topicscan_topic_id(scan), &box->args.topic_id));
	assert_int_equal(read_scan(scan), 9000);
	assert_seen_once(0, 9000);
	topicscan_close(scan);
	assert_int_equal(partitions_lease_count(table), 0);
}

static void test_topicscan_ranges_begin_and_end_anywhere(void **state)
{
	struct logbox *box = *state;
	struct topicscan *scan;

	append(box, 200, 30);
	for (int64_t begin = 0; begin <= 6000; begin += 617) {
		for (int64_t end = begin; end <= 6000; end += 1001) {
			assert_int_equal(open_range(box, begin, end, &scan), 0);
			assert_int_equal(read_scan(scan), end - begin);
			assert_seen_once(begin, end);
			topicscan_close(scan);
		}
	}
}

/* Everything but the newest batch is unlinked while the scan has read one record. */
static void test_topicscan_retention_does_not_disturb(void **state)
{
	struct logbox *box = *state;
	struct topicscan_reader *reader;
	struct topicscan_record record;
	struct topicscan *scan;

	append(box, 300, 30);
	assert_int_equal(open_range(box, -1, -1, &scan), 0);
	assert_int_equal(topicscan_reader_new(scan, &reader), 0);
	assert_int_equal(topicscan_next(reader, &record, text, sizeof(text)), 1);
	seen[record.offset]++;
	box->args.settings.retention_size = 1;
	seglog_configure(box->log, &box->args.settings);
	logbox_housekeep(box);
	logbox_housekeep(box);
	assert_true(seglog_start_offset(box->log) > 6000);
	assert_int_equal(logbox_load(box, 0, ".log"), -1);
	assert_int_equal(partitions_lease_count(table), 1);
	assert_int_equal(read_all(reader), 8999);
	assert_seen_once(0, 9000);
	topicscan_reader_free(reader);
	topicscan_close(scan);

	assert_int_equal(open_range(box, 10, -1, &scan), ERR_RETENTION);
	assert_non_null(strstr(text, "flights/3: offsets 10 to "));
	assert_int_equal(partitions_lease_count(table), 0);
	assert_int_equal(open_range(box, -1, -1, &scan), 0);
	assert_int_equal(read_scan(scan), 9000 - seglog_start_offset(box->log));
	topicscan_close(scan);
}

static void test_topicscan_refuses_what_is_not_there(void **state)
{
	struct logbox *box = *state;
	struct topicscan_range range = { 9, 0, 0 };
	struct topicscan_request request = request_of(box, &range);
	struct topicscan *scan;

	append(box, 10, 1);
	assert_int_equal(open_range(box, 11, -1, &scan), ERR_OFFSET_RANGE);
	assert_int_equal(open_range(box, 0, 11, &scan), ERR_OFFSET_RANGE);
	assert_int_equal(open_range(box, 5, 4, &scan), ERR_OFFSET_RANGE);
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), ERR_UNKNOWN);
	assert_string_equal(text, "flights has no partition 9, only 0 to 3");
	request.topic = "ships";
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), ERR_UNKNOWN);
	assert_string_equal(text, "there is no topic ships");
}

static void test_topicscan_codecs_and_control_batches(void **state)
{
	struct logbox *box = *state;
	struct topicscan_reader *reader;
	struct topicscan_record record;
	struct topicscan *scan;
	int64_t expected = 0;

	for (int round = 0; round < 40; round++) {
		for (int kind = BATCH_CODEC_NONE; kind <= BATCH_CODEC_ZSTD; kind++)
			append_packed(box, 50, (enum batch_codec)kind);
		append_scratch(box, make_numbers(box, 1, BATCH_ATTRIBUTE_CONTROL));
	}
	logbox_settle(box);
	assert_int_equal(open_range(box, 0, -1, &scan), 0);
	assert_int_equal(topicscan_reader_new(scan, &reader), 0);
	while (topicscan_next(reader, &record, text, sizeof(text)) == 1) {
		check_record(&record);
		assert_int_equal(record.offset, expected);
		assert_int_equal(record.is_mapped, record.offset % 251 < 50);
		expected += record.offset % 251 == 249 ? 2 : 1; /* the control record is passed */
	}
	assert_int_equal(expected, 40 * 251);
	topicscan_reader_free(reader);
	topicscan_close(scan);
}

static void *read_thread(void *arg)
{
	struct topicscan *scan = arg;
	struct topicscan_reader *reader;
	struct topicscan_record record;
	char reason[256];
	int result;

	CHECK(topicscan_reader_new(scan, &reader) == 0);
	while ((result = topicscan_next(reader, &record, reason, sizeof(reason))) == 1)
		(void)__atomic_add_fetch(&seen[record.offset], 1, __ATOMIC_RELAXED);
	CHECK(result == 0);
	topicscan_reader_free(reader);
	return NULL;
}

static void test_topicscan_several_readers_share_the_work(void **state)
{
	struct logbox *box = *state;
	pthread_t threads[4];
	struct topicscan *scan;

	append(box, 600, 30);
	assert_int_equal(open_range(box, 7, 17990, &scan), 0);
	assert_in_range(topicscan_extent_count(scan), 2, 60);
	for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, read_thread, scan) == 0);
	for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	assert_seen_once(7, 17990);
	topicscan_close(scan);
}

static void test_topicscan_times(void **state)
{
	struct logbox *box = *state;
	struct topicscan_request request = request_of(box, NULL);
	struct topicscan *scan;
	uint32_t extents;

	append(box, 300, 30); /* records of the batch at offset n are of 1000 + n */
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), 0);
	extents = topicscan_extent_count(scan);
	topicscan_close(scan);
	request.since_ms = 1000 + 8000;
	request.until_ms = 1000 + 8070;
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), 0);
	assert_true(topicscan_extent_count(scan) < extents / 2);
	assert_int_equal(read_scan(scan), 60);
	assert_seen_once(8010, 8070);
	topicscan_close(scan);
}

/* A record's time within a batch, and the one time of a batch whose times are the log's. */
static void test_topicscan_time_of_a_record(void **state)
{
	struct logbox *box = *state;
	struct topicscan_request request = request_of(box, NULL);
	struct topicscan_reader *reader;
	struct topicscan_record record;
	struct topicscan *scan;
	static const int64_t times[] = { 1000, 1000, 5000, 5000 };

	for (int i = 0; i < 2; i++) {
		uint32_t size = make_numbers(box, 2, i == 0 ? 0 : BATCH_ATTRIBUTE_APPEND_TIME);

		bytes_store_u64(box->scratch + 27, 1000); /* base */
		bytes_store_u64(box->scratch + 35, 5000); /* largest */
		seal(box->scratch, size);
		append_scratch(box, size);
	}
	logbox_settle(box);
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), 0);
	assert_int_equal(topicscan_reader_new(scan, &reader), 0);
	for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
		assert_int_equal(topicscan_next(reader, &record, text, sizeof(text)), 1);
		assert_int_equal(record.timestamp_ms, times[i]);
	}
	topicscan_reader_free(reader);
	topicscan_close(scan);
	request.since_ms = 2000;
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), 0);
	assert_int_equal(read_scan(scan), 2);
	topicscan_close(scan);
	request.since_ms = INT64_MIN;
	request.until_ms = 5000;
	assert_int_equal(topicscan_open(&request, &scan, text, sizeof(text)), 0);
	assert_int_equal(read_scan(scan), 2);
	topicscan_close(scan);
}

static void test_topicscan_damage_is_reported(void **state)
{
	static const int64_t places[] = { 5, 10, 16, 25, 60, 100, 3200, 3300 };
	struct logbox *box = *state;
	struct topicscan *scan;

	append(box, 10, 30);
	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		uint8_t was, is;

		CHECK(logbox_load(box, 0, ".log") > places[i]);
		was = box->scratch[places[i]];
		is = was ^ 0x5a;
		logbox_damage(box, 0, ".log", places[i], &is, 1);
		assert_int_equal(open_range(box, 0, -1, &scan), 0);
		assert_int_equal(read_scan(scan), ERR_CORRUPT);
		assert_non_null(strstr(text, "flights/3: "));
		topicscan_close(scan);
		logbox_damage(box, 0, ".log", places[i], &was, 1);
	}
	memset(seen, 0, sizeof(seen));
	assert_int_equal(open_range(box, 0, -1, &scan), 0);
	assert_int_equal(read_scan(scan), 300);
	topicscan_close(scan);
}

static void test_topicscan_missing_segment_is_reported(void **state)
{
	struct logbox *box = *state;
	char path[TEMP_PATH_SIZE];
	struct topicscan *scan;

	append(box, 300, 30);
	logbox_path(box, box->log->first->next->base, ".log", path);
	CHECK(unlink(path) == 0);
	assert_int_equal(open_range(box, 0, -1, &scan), 0);
	assert_int_equal(read_scan(scan), ERR_CORRUPT);
	topicscan_close(scan);
	logbox_path(box, 0, ".log", path);
	CHECK(unlink(path) == 0);
	assert_int_equal(open_range(box, 0, -1, &scan), ERR_CORRUPT);
	assert_non_null(strstr(text, "is missing"));
}

static void test_topicscan_shortened_tail_is_reported(void **state)
{
	struct logbox *box = *state;
	char path[TEMP_PATH_SIZE];
	struct topicscan *scan;

	append(box, 10, 30);
	logbox_path(box, 0, ".log", path);
	CHECK(truncate(path, 4096) == 0);
	assert_int_equal(open_range(box, 0, -1, &scan), ERR_CORRUPT);
	assert_non_null(strstr(text, "shorter"));
}

static void test_topicscan_segment_cut_under_the_map(void **state)
{
	struct logbox *box = *state;
	char path[TEMP_PATH_SIZE];
	struct topicscan *scan;

	append(box, 300, 30);
	assert_int_equal(open_range(box, 0, -1, &scan), 0);
	logbox_path(box, 0, ".log", path);
	CHECK(truncate(path, 4096) == 0);
	assert_int_equal(read_scan(scan), -EIO);
	assert_non_null(strstr(text, "cannot be read"));
	topicscan_close(scan);
}

static void test_topicscan_damaged_index_misleads_nobody(void **state)
{
	static const uint32_t wrongs[] = { 77, 60 * 1000, UINT32_MAX };
	struct logbox *box = *state;
	struct topicscan *scan;

	append(box, 300, 30);
	for (size_t i = 0; i < ARRAY_COUNT(wrongs); i++) {
		uint8_t pos[4];

		bytes_store_u32(pos, wrongs[i]);
		for (int64_t at = 0; at < logbox_load(box, 0, ".index"); at += 8)
			logbox_damage(box, 0, ".index", at + 4, pos, 4);
		assert_int_equal(open_range(box, 500, -1, &scan), 0);
		assert_int_equal(read_scan(scan), 8500);
		assert_seen_once(500, 9000);
		topicscan_close(scan);
	}
}

static void test_topicscan_again_from_the_beginning(void **state)
{
	struct logbox *box = *state;
	struct topicscan *scan, *again;

	append(box, 100, 30);
	assert_int_equal(open_range(box, 500, -1, &scan), 0);
	assert_int_equal(read_scan(scan), 2500);
	append(box, 1, 30);
	assert_int_equal(read_scan(scan), 0);
	assert_int_equal(topicscan_again(scan, &again), 0);
	assert_int_equal(read_scan(again), 2500);
	topicscan_close(again);
	assert_int_equal(topicscan_again(scan, &again), 0);
	assert_int_equal(read_scan(again), 2500);
	topicscan_close(again);
	topicscan_close(scan);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_topicscan_whole_topic),
		TEST(test_topicscan_ranges_begin_and_end_anywhere),
		TEST(test_topicscan_retention_does_not_disturb),
		TEST(test_topicscan_refuses_what_is_not_there),
		TEST(test_topicscan_codecs_and_control_batches),
		TEST(test_topicscan_several_readers_share_the_work),
		TEST(test_topicscan_times),
		TEST(test_topicscan_time_of_a_record),
		TEST(test_topicscan_damage_is_reported),
		TEST(test_topicscan_missing_segment_is_reported),
		TEST(test_topicscan_shortened_tail_is_reported),
		TEST(test_topicscan_segment_cut_under_the_map),
		TEST(test_topicscan_damaged_index_misleads_nobody),
		TEST(test_topicscan_again_from_the_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
