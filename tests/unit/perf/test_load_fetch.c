/* SPDX-License-Identifier: Apache-2.0 */
/* Claims: a consumer reads every batch of its partitions once and in order, across answers and whatever is
   cut off at their ends, counts their records and knows the end of the log; a refusal is an error. Shown
   over loopback in one thread against a server of the test's own, which has BATCHES batches and cuts each
   answer at CUT bytes. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/batch.h"

#include "dataplane/wire/frame.h"

#include "cm.h"
#include "perf/load/load_batch.h"
#include "perf/load/load_fetch.h"
#include "perf/load/load_sock.h"

#define BATCHES 7
#define CUT     2500
#define FIRST   100 /* offset of the first batch */

static struct load_link served;
static uint8_t answer[16384];
static uint8_t log_bytes[BATCHES * 2000];
static uint32_t batch_size, batch_records, seen;
static int16_t refusal;

static void put_frame(struct writer *writer, size_t mark)
{
	wire_frame_close(writer, mark);
	assert_int_equal(writer->error, 0);
	assert_int_equal(load_sendq_push(&served.out, "", 0, answer, (uint32_t)writer_size(writer)),
			 0);
	load_link_flush(&served);
}

static void answer_offsets(struct writer *writer)
{
	struct wire_list_offsets_response_topics_partitions partition;
	struct wire_list_offsets_response_topics topic;
	struct wire_list_offsets_response response;

	wire_default_list_offsets_response_topics_partitions(&partition);
	wire_default_list_offsets_response_topics(&topic);
	wire_default_list_offsets_response(&response);
	partition.offset = FIRST;
	topic.name = WIRE_STRING("t");
	topic.partitions = &partition;
	topic.partitions_count = 1;
	response.topics = &topic;
	response.topics_count = 1;
	wire_encode_list_offsets_response(writer, 2, &response);
}

static void answer_fetch(struct writer *writer, int64_t offset)
{
	struct wire_fetch_response_responses_partitions partition;
	struct wire_fetch_response_responses topic;
	struct wire_fetch_response response;
	int64_t at = (offset - FIRST) / batch_records * batch_size;

	assert_int_equal((offset - FIRST) % batch_records, 0);
	wire_default_fetch_response_responses_partitions(&partition);
	wire_default_fetch_response_responses(&topic);
	wire_default_fetch_response(&response);
	partition.error_code = refusal;
	partition.high_watermark = FIRST + BATCHES * batch_records;
	partition.records.bytes = log_bytes + at;
	partition.records.size = (int32_t)MIN((int64_t)CUT, BATCHES * (int64_t)batch_size - at);
	topic.topic = WIRE_STRING("t");
	topic.partitions = &partition;
	topic.partitions_count = 1;
	response.responses = &topic;
	response.responses_count = 1;
	wire_encode_fetch_response(writer, 11, &response);
}

static void serve(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	_Alignas(16) uint8_t memory[2048];
	struct wire_request_header header;
	struct wire_fetch_request request;
	struct wire_scratch scratch;
	struct reader reader;
	struct writer writer;
	size_t mark;

	(void)link;
	assert_int_equal(kept, size);
	reader_init(&reader, bytes, size);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	assert_int_equal(wire_decode_request_header(&reader, &header), 0);
	writer_init(&writer, answer, sizeof(answer));
	mark = wire_frame_open(&writer);
	wire_encode_response_header(&writer, header.api_key, header.api_version,
				    header.correlation_id);
	if (header.api_key == WIRE_API_LIST_OFFSETS) {
		answer_offsets(&writer);
	} else {
		assert_int_equal(
			wire_decode_fetch_request(&reader, header.api_version, &scratch, &request),
			0);
		answer_fetch(&writer, request.topics[0].partitions[0].fetch_offset);
	}
	put_frame(&writer, mark);
}

static void on_open(struct load_link *link)
{
	(void)link;
}

static void on_close(struct load_link *link, int error)
{
	(void)link;
	(void)error;
}

static const struct load_link_ops server_ops = { on_open, serve, on_close };

static struct load_link *on_accept(void *ctx)
{
	(void)ctx;
	served = (struct load_link){ .ops = &server_ops };
	load_frame_init(&served.in, SIZE_MAX);
	return load_sendq_init(&served.out, 2) == 0 ? &served : NULL;
}

static void on_batch(void *ctx, int32_t partition, int64_t base_offset, int64_t now_ns)
{
	(void)ctx;
	(void)now_ns;
	assert_int_equal(partition, 0);
	assert_int_equal(base_offset, FIRST + seen * batch_records);
	seen++;
}

static uint16_t free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(close(fd), 0);
	return ntohs(at.sin_port);
}

static void make_log(void)
{
	struct load_batch batch;

	assert_int_equal(load_batch_new(&batch, 1000, 100, 1), 0);
	batch_size = batch.size;
	batch_records = batch.records;
	for (uint32_t i = 0; i < BATCHES; i++) {
		memcpy(log_bytes + i * batch_size, batch.bytes, batch_size);
		batch_patch(log_bytes + i * batch_size, FIRST + i * batch_records, 0);
	}
	load_batch_free(&batch);
}

static struct load_fetch_result read_all(void)
{
	struct load_fetch_options options = {
		.topic = "t", .connections = 1, .max_bytes = CUT, .on_batch = on_batch
	};
	uint16_t leaders[1] = { 0 };
	struct load_call_cluster cluster = { .broker_count = 1,
					     .partition_count = 1,
					     .leaders = leaders };
	struct load_net *net = load_sock_new();
	struct load_fetch_result result;
	struct load_fetch *fetch = NULL;
	int64_t end_ns = clock_now_ns() + 10 * NS_PER_S;

	cluster.brokers[0] = (struct load_call_target){ INADDR_LOOPBACK, free_port() };
	assert_int_equal(
		load_net_listen(net, INADDR_LOOPBACK, cluster.brokers[0].port, on_accept, NULL), 0);
	seen = 0;
	make_log();
	assert_int_equal(load_fetch_new(net, &cluster, &options, &fetch), 0);
	while (!load_fetch_is_ready(fetch) && clock_now_ns() < end_ns)
		load_net_poll(net, NS_PER_MS);
	load_fetch_begin(fetch);
	load_fetch_start(fetch);
	while (!load_fetch_is_done(fetch) && clock_now_ns() < end_ns)
		load_net_poll(net, NS_PER_MS);
	assert_true(load_fetch_is_done(fetch));
	load_fetch_end(fetch);
	result = *load_fetch_result(fetch);
	load_fetch_free(fetch);
	load_link_close(&served);
	load_frame_free(&served.in);
	load_sendq_free(&served.out);
	load_net_free(net);
	return result;
}

static void test_load_fetch_reads_each_batch_once(void **state)
{
	struct load_fetch_result result;

	(void)state;
	refusal = 0;
	result = read_all();
	assert_int_equal(result.errors, 0);
	assert_int_equal(seen, BATCHES);
	assert_int_equal(result.records, BATCHES * batch_records);
	assert_int_equal(result.bytes, BATCHES * batch_size);
	/* What is cut off is asked for again. */
	assert_int_equal(result.answers, (BATCHES + CUT / batch_size - 1) / (CUT / batch_size));
}

static void test_load_fetch_counts_refusals(void **state)
{
	struct load_fetch_result result;

	(void)state;
	refusal = 6;
	result = read_all();
	assert_int_equal(result.errors, 1);
	assert_int_equal(result.first_error, 6);
	assert_int_equal(result.records, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_fetch_reads_each_batch_once),
		cmocka_unit_test(test_load_fetch_counts_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
