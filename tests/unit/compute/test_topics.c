/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: topic() shows every record of its ranges once, with its own columns and the declared ones; bounds cut
   it; bad records fail the query or are kept aside, whatever the query asks for; what DuckDB gets is UTF-8.
   Shown with a log on the fake ring and the real DuckDB. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/err.h"

#include "compute/duck/topics.h"

#include "cm.h"
#include "logbox.h"
#include "uring_fake.h"

#define RING_SIZE (UINT64_C(16) * 1024 * 1024)
#define T0        INT64_C(1600000000000)
#define PARTITION 3 /* of logbox */
#define COLUMNS                                                                                    \
	"{\"n\": {\"type\": \"integer\", \"required\": true}, \"name\": \"string\", "              \
	"\"price\": \"decimal(8,2)\", \"moment\": \"timestamp\", \"raw\": \"binary\", "            \
	"\"doc\": \"json\", \"small\": \"decimal(4,1)\"}"

struct box {
	struct logbox *log;
	struct partitions *table;
	struct duck *duck;
};

static char text[2000];

static int setup(void **state)
{
	const struct duck_config config = { .memory_limit = INT64_C(256) << 20, .threads = 2 };
	struct box *box = calloc(1, sizeof(*box));
	struct partition_view view = { .topic = LOGBOX_TOPIC };
	struct topics_config topics = { 0 };
	char path[TEMP_PATH_SIZE];

	box->log = logbox_new(RING_SIZE);
	temp_dir_path(box->log->dir, "partitions", path);
	view.topic_id = box->log->args.topic_id;
	CHECK(partitions_open(path, true, &box->table) == 0);
	for (; view.partition <= PARTITION; view.partition++)
		box->log->args.cell = partitions_add(box->table, &view);
	CHECK(logbox_open(box->log, false, 0) == 0);
	uring_fake_set_auto(box->log->uring, true);
	if (duck_open(&config, &box->duck, text, sizeof(text)) != 0)
		fail_msg("%s", text);
	topics.log_dir = box->log->dir;
	topics.table = box->table;
	CHECK(topics_register(box->duck, &topics) == 0);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	struct box *box = *state;

	duck_close(box->duck);
	assert_int_equal(partitions_lease_count(box->table), 0);
	logbox_free(box->log);
	partitions_close(box->table);
	free(box);
	return 0;
}

/* ---- records ---- */

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

static void seal(uint8_t *header, uint32_t size)
{
	bytes_store_u32(header + 8, size - BATCH_LENGTH_END);
	bytes_store_u32(header + 17, crc32c_extend(CRC32C_INIT, header + BATCH_CRC_BEGIN,
						   size - BATCH_CRC_BEGIN));
}

/* One batch of these values; NULL: null. */
static void append(struct logbox *box, const char *const *values, size_t count,
		   enum batch_codec codec)
{
	static uint8_t packed[256 * 1024];
	struct batch_builder builder;
	int64_t size, next = seglog_next_offset(box->log);
	size_t n;

	batch_builder_init(&builder, box->scratch, sizeof(box->scratch), T0 + next,
			   (uint16_t)codec);
	for (size_t i = 0; i < count; i++)
		batch_builder_add(&builder,
				  (next + (int64_t)i) % 2 == 0 ? "a key of some size" : NULL, 18,
				  values[i], values[i] != NULL ? strlen(values[i]) : 0);
	size = batch_builder_end(&builder, 0, -1);
	CHECK(size > 0);
	if (codec == BATCH_CODEC_ZSTD) {
		n = ZSTD_compress(packed, sizeof(packed), box->scratch + BATCH_HEADER_SIZE,
				  (size_t)size - BATCH_HEADER_SIZE, 1);
		memcpy(box->scratch + BATCH_HEADER_SIZE, packed, n);
		size = (int64_t)n + BATCH_HEADER_SIZE;
		seal(box->scratch, (uint32_t)size);
	}
	append_scratch(box, (uint32_t)size);
	logbox_settle(box);
}

static void append_numbers(struct logbox *box, int batches, enum batch_codec codec)
{
	static char values[50][200];
	const char *at[50];

	for (int b = 0; b < batches; b++) {
		for (int i = 0; i < 50; i++) {
			const int64_t n = seglog_next_offset(box->log) + i;

			(void)snprintf(
				values[i], sizeof(values[i]),
				"{\"n\":%lld,\"name\":\"%s number %lld of them all\",\"price\":%lld.25,"
				"\"small\":-0.5}",
				(long long)n, n % 7 == 0 ? "an \\u00e9scaped" : "plain",
				(long long)n, (long long)n);
			at[i] = values[i];
		}
		append(box, at, 50, codec);
	}
}

/* ---- queries ---- */

static void expect(struct box *box, const char *sql, const char *wanted)
{
	struct duck_result *result;
	char row[1000] = "";
	size_t used = 0;

	if (duck_run(box->duck, sql, &result, text, sizeof(text)) != DUCK_OK)
		fail_msg("%s: %s", sql, text);
	assert_int_equal(duck_result_chunk(result), 1);
	for (uint32_t i = 0; i < duck_result_columns(result); i++) {
		size_t size = 0;
		const char *value = duck_result_text(result, i, 0, &size);

		used += (size_t)snprintf(row + used, sizeof(row) - used, "%s%.*s", i > 0 ? "|" : "",
					 value != NULL ? (int)size : 4,
					 value != NULL ? value : "NULL");
	}
	duck_result_free(result);
	assert_string_equal(row, wanted);
}

static void expect_failure(struct box *box, const char *sql, enum duck_status status,
			   const char *part)
{
	assert_int_equal(duck_run(box->duck, sql, NULL, text, sizeof(text)), status);
	if (strstr(text, part) == NULL)
		fail_msg("%s: %s", sql, text);
}

static void declare(struct box *box, const char *columns, const struct topicscan_range *range,
		    bool keep_bad)
{
	json_t *json = columns != NULL ? json_loads(columns, 0, NULL) : NULL;
	const struct topics_declaration declaration = {
		.columns = json, .ranges = range, .range_count = range != NULL, .keep_bad = keep_bad
	};
	const int error = topics_declare(box->duck, LOGBOX_TOPIC, &declaration, text, sizeof(text));

	json_decref(json);
	if (error != 0)
		fail_msg("%s", text);
}

static void test_topics_own_columns(void **state)
{
	static const char *const values[] = { "first", NULL, "", "the fourth of the values" };
	struct box *box = *state;

	append(box->log, values, 4, BATCH_CODEC_NONE);
	expect(box, "SELECT count(*) FROM topic('flights')", "4");
	expect(box, "SELECT * FROM topic('flights') WHERE \"offset\" = 0",
	       "0|3|2020-09-13 12:26:40+00|flights|a key of some size|{}|first");
	expect(box, "SELECT value IS NULL, key IS NULL FROM topic('flights') WHERE \"offset\" = 1",
	       "true|true");
	expect(box, "SELECT value, octet_length(value) FROM topic('flights') WHERE \"offset\" = 2",
	       "|0");
	expect(box, "SELECT decode(value), topic FROM topic('flights') WHERE \"offset\" = 3",
	       "the fourth of the values|flights");
	expect(box,
	       "SELECT typeof(value), typeof(headers), typeof(timestamp) FROM topic('flights') LIMIT 1",
	       "BLOB|MAP(VARCHAR, BLOB)|TIMESTAMP WITH TIME ZONE");
}

/* A batch of one record whose headers are these bytes. */
static void append_headers(struct logbox *box, int count, const char *headers, size_t size)
{
	uint8_t body[512];
	struct batch_builder builder;
	struct writer writer;
	int64_t total;

	writer_init(&writer, body, sizeof(body));
	writer_u8(&writer, 0); /* attributes */
	writer_u8(&writer, 0); /* timestamp delta */
	writer_u8(&writer, 0); /* offset delta */
	writer_u8(&writer, 1); /* null key */
	writer_u8(&writer, 1); /* null value */
	writer_u8(&writer, (uint8_t)(2 * count));
	writer_bytes(&writer, headers, size);
	batch_builder_init(&builder, box->scratch, sizeof(box->scratch), T0, 0);
	batch_builder_add(&builder, NULL, 0, NULL, 0);
	CHECK(batch_builder_end(&builder, 0, -1) > 0);
	CHECK(writer.error == 0 && writer_size(&writer) < 64);
	box->scratch[BATCH_HEADER_SIZE] = (uint8_t)(2 * writer_size(&writer));
	memcpy(box->scratch + BATCH_HEADER_SIZE + 1, body, writer_size(&writer));
	total = BATCH_HEADER_SIZE + 1 + (int64_t)writer_size(&writer);
	seal(box->scratch, (uint32_t)total);
	append_scratch(box, (uint32_t)total);
	logbox_settle(box);
}

static void test_topics_headers(void **state)
{
	static const char two[] = "\x02"
				  "a"
				  "\x04"
				  "12"
				  "\x02"
				  "b"
				  "\x01"; /* null */
	static const char same[] = "\x02"
				   "a"
				   "\x02"
				   "1"
				   "\x02"
				   "a"
				   "\x02"
				   "2";
	static const char not_utf8[] = "\x04"
				       "\xff"
				       "x"
				       "\x02"
				       "\xfe";
	struct box *box = *state;

	append_headers(box->log, 2, two, sizeof(two) - 1);
	append_headers(box->log, 2, same, sizeof(same) - 1);
	append_headers(box->log, 1, not_utf8, sizeof(not_utf8) - 1);
	expect(box, "SELECT headers FROM topic('flights') WHERE \"offset\" = 0", "{a=12, b=NULL}");
	expect(box, "SELECT headers FROM topic('flights') WHERE \"offset\" = 1", "{a=2}");
	expect(box,
	       "SELECT headers, upper(map_keys(headers)[1]) FROM topic('flights') WHERE \"offset\" = 2",
	       "{\xef\xbf\xbdx=\\xFE}|\xef\xbf\xbdX");
}

static void test_topics_many_headers_in_a_chunk(void **state)
{
	static const char header[] = "\x02"
				     "a"
				     "\x28"
				     "a value of some size"
				     "\x02"
				     "b"
				     "\x01";
	struct box *box = *state;

	for (int i = 0; i < 3000; i++)
		append_headers(box->log, 2, header, sizeof(header) - 1);
	expect(box,
	       "SELECT count(*), sum(octet_length(headers['a'])), count(headers['b']) FROM topic('flights')",
	       "3000|60000|0");
}

static void test_topics_declared_columns(void **state)
{
	static const char *const values[] = {
		"{\"n\": 1, \"name\": \"a plain name, not inline\", \"price\": 12.5, \"moment\": "
		"\"2020-01-02T03:04:05Z\", \"raw\": \"AAEC/w==\", \"doc\": [1, {\"x\": null}], \"small\": 99.9}",
		"{\"n\": 2, \"name\": \"esc\\u0061ped and longer than inline\", \"price\": \"-0.01\"}",
	};
	struct box *box = *state;

	declare(box, COLUMNS, NULL, false);
	append(box->log, values, 2, BATCH_CODEC_NONE);
	append(box->log, values, 2, BATCH_CODEC_ZSTD);
	for (int i = 0; i < 4; i++) {
		char sql[200];

		(void)snprintf(
			sql, sizeof(sql),
			"SELECT n, name, price, moment, raw, doc, small FROM topic('flights') WHERE "
			"\"offset\" = %d",
			i);
		expect(box, sql,
		       i % 2 == 0 ? "1|a plain name, not inline|12.50|2020-01-02 03:04:05+00|"
				    "\\x00\\x01\\x02\\xFF|[1, {\"x\": null}]|99.9"
				  : "2|escaped and longer than inline|-0.01|NULL|NULL|NULL|NULL");
	}
	expect(box,
	       "SELECT typeof(price), typeof(moment), typeof(doc) FROM topic('flights') LIMIT 1",
	       "DECIMAL(8,2)|TIMESTAMP WITH TIME ZONE|VARCHAR");
}

static void test_topics_many_rows_by_several_threads(void **state)
{
	struct box *box = *state;

	declare(box, COLUMNS, NULL, false);
	append_numbers(box->log, 300, BATCH_CODEC_NONE);
	append_numbers(box->log, 300, BATCH_CODEC_ZSTD);
	expect(box,
	       "SELECT count(*), count(DISTINCT \"offset\"), sum(n), sum(price), count(DISTINCT name), "
	       "sum(small), count(key) FROM topic('flights')",
	       "30000|30000|449985000|449992500.00|30000|-15000.0|15000");
	/* Results are the statement's own, not the log's. */
	expect(box, "CREATE TABLE t AS SELECT * FROM topic('flights'); SELECT count(*) FROM t",
	       "30000");
	topics_release(box->duck);
	expect(box,
	       "SELECT count(*) FROM t WHERE name LIKE '%number ' || n || ' of them all' AND "
	       "(name LIKE 'an \xc3\xa9scaped%') = (n % 7 = 0)",
	       "30000");
	assert_int_equal(topics_progress(box->duck).records, 60000);
	assert_int_equal(topics_progress(box->duck).records_total, 60000);
	assert_int_equal(topics_progress(box->duck).bad, 0);
}

static void test_topics_result_outlives_the_scan(void **state)
{
	struct box *box = *state;
	struct duck_result *result;
	uint32_t rows, seen = 0;

	declare(box, COLUMNS, NULL, false);
	append_numbers(box->log, 100, BATCH_CODEC_NONE);
	assert_int_equal(duck_run(box->duck, "SELECT n, name, value FROM topic('flights')", &result,
				  text, sizeof(text)),
			 DUCK_OK);
	topics_release(box->duck);
	while ((rows = duck_result_chunk(result)) > 0)
		for (uint32_t i = 0; i < rows; i++, seen++) {
			char part[40];
			size_t size = 0;
			const char *name = duck_result_text(result, 1, i, &size);
			const int n = snprintf(part, sizeof(part), "number %lld of them all",
					       (long long)duck_result_integer(result, 0, i));

			assert_memory_equal(name + size - n, part, (size_t)n);
			assert_memory_equal(duck_result_text(result, 2, i, &size), "{", 1);
		}
	assert_int_equal(seen, 5000);
	duck_result_free(result);
}

static void test_topics_twice_in_one_statement(void **state)
{
	struct box *box = *state;

	declare(box, COLUMNS, NULL, false);
	append_numbers(box->log, 10, BATCH_CODEC_NONE);
	expect(box,
	       "SELECT count(*) FROM topic('flights') a JOIN topic('flights') b USING (\"offset\")",
	       "500");
	/* The declared scan is one picture: what is appended later is not in it. */
	append_numbers(box->log, 1, BATCH_CODEC_NONE);
	expect(box, "SELECT count(*) FROM topic('flights')", "500");
	topics_release(box->duck);
	expect(box, "SELECT count(*) FROM topic('flights')", "550");
}

static void test_topics_bounds(void **state)
{
	const struct topicscan_range range = { PARTITION, 100, 400 };
	struct box *box = *state;

	append_numbers(box->log, 10, BATCH_CODEC_NONE);
	expect(box,
	       "SELECT min(\"offset\"), max(\"offset\") FROM topic('flights', from_offset := 10, to_offset := 499)",
	       "10|498");
	expect(box, "SELECT count(*) FROM topic('flights', to_offset := 1000000)", "500");
	expect(box, "SELECT count(*) FROM topic('flights', from_offset := 1000000)", "0");
	expect(box, "SELECT count(*) FROM topic('flights', partitions := [0, 2, 2])", "0");
	expect(box, "SELECT count(*) FROM topic('flights', partitions := [3])", "500");
	expect(box, "SELECT count(*) FROM topic('flights', partitions := [])", "0");
	expect(box,
	       "SELECT count(*), min(\"offset\") FROM topic('flights', from_timestamp := "
	       "'2020-09-13 12:26:40.1+00', to_timestamp := '2020-09-13 12:26:40.2+00')",
	       "100|100");
	expect(box,
	       "SELECT sum(n) FROM topic('flights', columns := '{\"n\": \"long\"}', to_offset := 3)",
	       "3");
	declare(box, COLUMNS, &range, false);
	expect(box, "SELECT count(*), min(n), max(n) FROM topic('flights')", "300|100|399");
	/* A later declaration takes the place of an earlier one that was used. */
	declare(box, NULL, NULL, false);
	expect(box, "SELECT count(*) FROM topic('flights')", "500");
	declare(box, COLUMNS, &range, false);
	expect(box,
	       "SELECT count(*), min(n), max(n) FROM topic('flights', from_offset := 50, to_offset := 200)",
	       "100|100|199");
}

static void test_topics_errors_are_sentences(void **state)
{
	struct box *box = *state;

	append_numbers(box->log, 1, BATCH_CODEC_NONE);
	expect_failure(box, "SELECT * FROM topic('nothing')", DUCK_USER,
		       "there is no topic nothing");
	assert_int_equal(topics_failure(box->duck), ERR_UNKNOWN);
	expect_failure(box, "SELECT * FROM topic('flights', partitions := [9])", DUCK_USER,
		       "flights has no partition 9");
	expect_failure(box, "SELECT * FROM topic('flights', columns := '{')", DUCK_USER,
		       "not JSON");
	expect_failure(box, "SELECT * FROM topic('flights', columns := '{\"a\": \"int\"}')",
		       DUCK_USER, "column a");
	expect_failure(box, "SELECT * FROM topic(NULL)", DUCK_USER, "name");
	expect(box, "SELECT count(*) FROM topic('flights')", "50");
	assert_int_equal(topics_failure(box->duck), 0);
}

static void test_topics_damaged_segment(void **state)
{
	struct box *box = *state;

	append_numbers(box->log, 2, BATCH_CODEC_NONE);
	logbox_damage(box->log, 0, ".log", 300, "?", 1);
	expect_failure(box, "SELECT count(*) FROM topic('flights')", DUCK_IO, "checksum");
	assert_int_equal(topics_failure(box->duck), ERR_CORRUPT);
}

static const char *const damaged[] = {
	"{\"n\": 1, \"name\": \"good\"}",
	"{\"n\": \"text\", \"name\": \"bad\"}",
	"not JSON at all",
	NULL,
	"{\"name\": \"n is missing\"}",
	"{\"n\": 6, \"name\": \"\xff is not UTF-8\"}",
	"{\"n\": 7, \"name\": \"good\"}",
};

static void test_topics_bad_record_fails_any_query(void **state)
{
	struct box *box = *state;

	declare(box, COLUMNS, NULL, false);
	append(box->log, damaged, 7, BATCH_CODEC_NONE);
	expect_failure(box, "SELECT count(*) FROM topic('flights')", DUCK_USER,
		       "flights/3: the record at offset 1 is bad: n: ");
	expect_failure(box, "SELECT price FROM topic('flights')", DUCK_USER, "offset 1");
}

static void test_topics_bad_records_are_kept_aside(void **state)
{
	struct box *box = *state;
	const struct topics_bad *bad;
	uint32_t count;

	declare(box, COLUMNS, NULL, true);
	append(box->log, damaged, 7, BATCH_CODEC_ZSTD);
	expect(box, "SELECT count(*) FROM topic('flights')", "2");
	expect(box,
	       "SELECT list([n::VARCHAR, name, price::VARCHAR] ORDER BY n) FROM topic('flights')",
	       "[[1, good, NULL], [7, good, NULL]]");
	bad = topics_bad(box->duck, &count);
	assert_int_equal(count, 5);
	for (uint32_t i = 0; i < count; i++) {
		assert_string_equal(bad[i].topic, "flights");
		assert_int_equal(bad[i].partition, PARTITION);
		assert_int_equal(bad[i].offset, i + 1);
		assert_int_equal(bad[i].timestamp_ms, T0);
		assert_true(bad[i].reason[0] != '\0');
		if (damaged[i + 1] == NULL) {
			assert_null(bad[i].value);
			continue;
		}
		assert_int_equal(bad[i].value_size, strlen(damaged[i + 1]));
		assert_memory_equal(bad[i].value, damaged[i + 1], bad[i].value_size);
	}
	assert_int_equal(topics_progress(box->duck).bad, 10); /* two statements saw them */
}

static void test_topics_only_bad_records(void **state)
{
	static const char *const all[] = { "x", "y", "z" };
	struct box *box = *state;
	uint32_t count;

	declare(box, COLUMNS, NULL, true);
	for (int i = 0; i < 1000; i++)
		append(box->log, all, 3, BATCH_CODEC_NONE);
	expect(box, "SELECT count(*) FROM topic('flights')", "0");
	(void)topics_bad(box->duck, &count);
	assert_int_equal(count, 3000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_topics_own_columns),
		TEST(test_topics_headers),
		TEST(test_topics_many_headers_in_a_chunk),
		TEST(test_topics_declared_columns),
		TEST(test_topics_many_rows_by_several_threads),
		TEST(test_topics_result_outlives_the_scan),
		TEST(test_topics_twice_in_one_statement),
		TEST(test_topics_bounds),
		TEST(test_topics_errors_are_sentences),
		TEST(test_topics_damaged_segment),
		TEST(test_topics_bad_record_fails_any_query),
		TEST(test_topics_bad_records_are_kept_aside),
		TEST(test_topics_only_bad_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
