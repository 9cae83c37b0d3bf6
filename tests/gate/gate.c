/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions of the hot path, counted under callgrind. `gate [NAME...]` runs each case to warm up,
 * then with N and with 2N operations, a dump of the counts after each, and prints
 * `NAME N-OPERATIONS 2N-OPERATIONS`. What one operation costs is the difference of the dumps by the
 * difference of the operations, so that what happens once is not in it: gate.py. `gate --compiler`
 * says what built it.
 *
 * Exit codes: 0; 2 no such case; 77 this processor lacks the instructions that are counted.
 */
#include <stdio.h>
#include <string.h>

#include "base/crc32c_copy.h"

#include "dataplane/net/checksum.h"
#include "dataplane/nic/nic.h"

#include "gate_box.h"
#include "gate_count.h"

#define SEGMENT      1448
#define SCRATCH_SIZE (64U * 1024)
#define FRAME_SIZE   (2U * 1024 * 1024)

static uint8_t frame[FRAME_SIZE];
static size_t frame_size;

static void keep_frame(struct writer *writer)
{
	frame_size = writer_size(writer);
	CHECK(writer->error == 0 && frame_size <= FRAME_SIZE);
	memcpy(frame, writer->begin, frame_size);
	bytes_store_u32(frame, (uint32_t)frame_size - 4);
}

static void make_produce(int32_t records, uint32_t value_size)
{
	const struct corebox_batch spec = { .producer_id = -1,
					    .records = records,
					    .value_size = value_size };
	struct writer writer = produce_frame(9, 1, -1, 0, corebox_batch(&spec));

	keep_frame(&writer);
}

static void make_api_versions(void)
{
	const struct wire_api_versions_request request = { .client_software_name =
								   WIRE_STRING("gate"),
							   .client_software_version =
								   WIRE_STRING("1") };
	struct writer writer = client_begin(WIRE_API_API_VERSIONS, 3, 1);

	wire_encode_api_versions_request(&writer, 3, &request);
	keep_frame(&writer);
}

static void make_fetch(int32_t partitions)
{
	struct wire_fetch_request_topics_partitions asked[64];
	struct wire_fetch_request_topics topic = { .topic = WIRE_STRING(COREBOX_TOPIC),
						   .partitions = asked,
						   .partitions_count = partitions };
	struct wire_fetch_request request;
	struct writer writer = client_begin(WIRE_API_FETCH, 12, 1);

	CHECK(partitions <= (int32_t)ARRAY_COUNT(asked));
	for (int32_t i = 0; i < partitions; i++) {
		wire_default_fetch_request_topics_partitions(&asked[i]);
		asked[i].partition = i;
		asked[i].partition_max_bytes = 4096; /* the first batch comes whole */
	}
	wire_default_fetch_request(&request);
	request.max_wait_ms = 0;
	request.min_bytes = 1;
	request.session_epoch = -1;
	request.topics = &topic;
	request.topics_count = 1;
	wire_encode_fetch_request(&writer, 12, &request);
	keep_frame(&writer);
}

static void make_metadata(int32_t topics)
{
	struct wire_metadata_request_topics asked[64];
	struct wire_metadata_request request;
	struct writer writer = client_begin(WIRE_API_METADATA, 9, 1);

	CHECK(topics <= (int32_t)ARRAY_COUNT(asked));
	for (int32_t i = 0; i < topics; i++) {
		wire_default_metadata_request_topics(&asked[i]);
		asked[i].name = WIRE_STRING("a-topic-of-some-length");
	}
	wire_default_metadata_request(&request);
	request.topics = asked;
	request.topics_count = topics;
	wire_encode_metadata_request(&writer, 9, &request);
	keep_frame(&writer);
}

/* ---- what is done again and again ---- */

static uint64_t call(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		(void)gate_box_call(frame, frame_size);
	return count;
}

static uint64_t call_wire(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		(void)gate_box_call_wire(frame, frame_size);
	return count;
}

/* @return segments that carried the requests */
static uint64_t send_wire(uint32_t count)
{
	return call_wire(count) * (frame_size / SEGMENT);
}

/* @return segments that carried the answers */
static uint64_t receive_wire(uint32_t count)
{
	uint64_t segments = 0;

	for (uint32_t i = 0; i < count; i++)
		segments += gate_box_call_wire(frame, frame_size) / SEGMENT;
	return segments;
}

/* Header and body, as request.c reads them. */
static uint64_t decode(uint32_t count, int16_t version,
		       int (*body)(struct reader *reader, struct wire_scratch *scratch))
{
	static uint8_t memory[SCRATCH_SIZE];

	for (uint32_t i = 0; i < count; i++) {
		struct wire_request_header header;
		struct wire_scratch scratch;
		struct reader reader;
		int error;

		gate_count_begin();
		wire_scratch_init(&scratch, memory, sizeof(memory));
		reader_init(&reader, frame + 4, frame_size - 4);
		error = wire_decode_request_header(&reader, &header);
		if (error == 0)
			error = body(&reader, &scratch);
		gate_count_end();
		CHECK(error == 0 && header.api_version == version && reader_left(&reader) == 0);
	}
	return count;
}

static int decode_fetch_body(struct reader *reader, struct wire_scratch *scratch)
{
	struct wire_fetch_request request;

	return wire_decode_fetch_request(reader, 12, scratch, &request);
}

static int decode_metadata_body(struct reader *reader, struct wire_scratch *scratch)
{
	struct wire_metadata_request request;

	return wire_decode_metadata_request(reader, 9, scratch, &request);
}

static uint64_t decode_fetch(uint32_t count)
{
	return decode(count, 12, decode_fetch_body);
}

static uint64_t decode_metadata(uint32_t count)
{
	return decode(count, 9, decode_metadata_body);
}

/* ---- the cases ---- */

static void open_produce_1m(void)
{
	gate_box_open_wire(0);
	make_produce(1000, 1024);
}

static void open_produce_1m_merged(void)
{
	gate_box_open_wire(NIC_RX_MERGE);
	make_produce(1000, 1024);
}

static void open_fetch_1m_on(uint32_t offloads)
{
	gate_box_open_wire(offloads);
	make_produce(1000, 1024);
	(void)gate_box_call_wire(frame, frame_size);
	make_fetch(1);
	CHECK(gate_box_call_wire(frame, frame_size) > 1000 * 1024);
}

static void open_fetch_1m(void)
{
	open_fetch_1m_on(0);
}

static void open_fetch_1m_lent(void)
{
	open_fetch_1m_on(NIC_TX_CHECKSUM | NIC_TX_PIECES | NIC_TX_LENT);
}

static void open_fetch_1m_split(void)
{
	open_fetch_1m_on(NIC_TX_CHECKSUM | NIC_TX_PIECES | NIC_TX_LENT | NIC_TX_SPLIT);
}

static void open_request_wire(void)
{
	gate_box_open_wire(0);
	make_api_versions();
}

static void open_produce_64k(void)
{
	gate_box_open();
	make_produce(63, 1024);
}

static void open_produce_4k(void)
{
	gate_box_open();
	make_produce(4, 1000);
}

static void open_produce_100b(void)
{
	gate_box_open();
	make_produce(1, 100);
}

static void open_fetch_64k(void)
{
	gate_box_open();
	make_produce(63, 1024);
	(void)gate_box_call(frame, frame_size);
	make_fetch(1);
	CHECK(gate_box_call(frame, frame_size) > 63 * 1024);
}

static void open_fetch_4k(void)
{
	gate_box_open();
	make_produce(4, 1000);
	(void)gate_box_call(frame, frame_size);
	make_fetch(1);
	CHECK(gate_box_call(frame, frame_size) > 4 * 1000);
}

static void open_api_versions(void)
{
	gate_box_open();
	make_api_versions();
}

static void open_decode_fetch(void)
{
	make_fetch(16);
}

static void open_decode_metadata(void)
{
	make_metadata(16);
}

static void close_nothing(void)
{
}

static const struct gate_case {
	const char *name;
	void (*open)(void);
	/* @return operations done */
	uint64_t (*run)(uint32_t count);
	void (*close)(void);
	uint32_t count;
} cases[] = {
	{ "packet_received", open_produce_1m, send_wire, gate_box_close, 1 },
	{ "packet_received_merged", open_produce_1m_merged, send_wire, gate_box_close, 1 },
	{ "packet_sent", open_fetch_1m, receive_wire, gate_box_close, 1 },
	{ "packet_sent_lent", open_fetch_1m_lent, receive_wire, gate_box_close, 1 },
	{ "packet_sent_split", open_fetch_1m_split, receive_wire, gate_box_close, 1 },
	{ "request_on_wire", open_request_wire, call_wire, gate_box_close, 200 },
	{ "batch_produced_64k", open_produce_64k, call, gate_box_close, 16 },
	{ "batch_produced_4k", open_produce_4k, call, gate_box_close, 100 },
	{ "batch_produced_100b", open_produce_100b, call, gate_box_close, 100 },
	{ "batch_fetched_64k", open_fetch_64k, call, gate_box_close, 100 },
	{ "batch_fetched_4k", open_fetch_4k, call, gate_box_close, 100 },
	{ "request_api_versions", open_api_versions, call, gate_box_close, 100 },
	{ "decode_fetch_16", open_decode_fetch, decode_fetch, close_nothing, 200 },
	{ "decode_metadata_16", open_decode_metadata, decode_metadata, close_nothing, 200 },
};

static void run(const struct gate_case *what)
{
	uint64_t once, twice;
	char name[64];

	what->open();
	for (int i = 0; i < 2; i++)
		(void)what->run(what->count);
	CALLGRIND_START_INSTRUMENTATION;
	(void)what->run(what->count);
	CALLGRIND_ZERO_STATS;
	once = what->run(what->count);
	(void)snprintf(name, sizeof(name), "%s 1", what->name);
	CALLGRIND_DUMP_STATS_AT(name);
	twice = what->run(2 * what->count);
	(void)snprintf(name, sizeof(name), "%s 2", what->name);
	CALLGRIND_DUMP_STATS_AT(name);
	CALLGRIND_STOP_INSTRUMENTATION;
	what->close();
	printf("%s %llu %llu\n", what->name, (unsigned long long)once, (unsigned long long)twice);
}

static bool is_asked(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	uint32_t count = 0;

	if (argc == 2 && strcmp(argv[1], "--compiler") == 0) {
		printf("%s\n", __VERSION__);
		return 0;
	}
	/* The same forms on every machine; wider ones have their own tests. */
	if (!checksum_choose(CHECKSUM_AVX2) || !crc32c_copy_choose(CRC32C_COPY_NARROW)) {
		(void)fputs("gate: this processor has no AVX2\n", stderr);
		return 77;
	}
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (!is_asked(cases[i].name, argc, argv))
			continue;
		run(&cases[i]);
		count++;
	}
	return count > 0 ? 0 : 2;
}
