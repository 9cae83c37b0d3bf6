/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: headers and frames have Kafka's bytes: request header v1 and v2 by api and version, the
 * response header of ApiVersions without tagged fields in every version, metadata record frames.
 * Shown: against bytes written down from the protocol, with every truncation refused.
 */
#include "dataplane/wire/frame.h"

#include "cm.h"

/* ApiVersions v3 from a client named "me": flexible, so tagged fields end the header. */
static const uint8_t header_v2[] = { 0, 18, 0, 3, 0, 0, 0, 7, 0, 2, 'm', 'e', 1, 9, 2, 0xaa, 0xbb };
/* Metadata v1, client id null. */
static const uint8_t header_v1[] = { 0, 3, 0, 1, 0x80, 0, 0, 1, 0xff, 0xff };

static void test_frame_request_header_flexible(void **state)
{
	struct wire_request_header header;
	struct reader reader;

	(void)state;
	reader_init(&reader, header_v2, sizeof(header_v2));
	assert_int_equal(wire_decode_request_header(&reader, &header), 0);
	assert_int_equal(header.api_key, WIRE_API_API_VERSIONS);
	assert_int_equal(header.api_version, 3);
	assert_int_equal(header.correlation_id, 7);
	assert_true(wire_string_equal(header.client_id, WIRE_STRING("me")));
	assert_int_equal(header.size, sizeof(header_v2));
	for (size_t size = 0; size < sizeof(header_v2); size++) {
		reader_init(&reader, header_v2, size);
		assert_true(wire_decode_request_header(&reader, &header) < 0);
	}
}

static void test_frame_request_header_classic(void **state)
{
	struct wire_request_header header;
	struct reader reader;
	struct writer writer;
	uint8_t out[64];

	(void)state;
	reader_init(&reader, header_v1, sizeof(header_v1));
	assert_int_equal(wire_decode_request_header(&reader, &header), 0);
	assert_int_equal(header.api_key, WIRE_API_METADATA);
	assert_int_equal(header.correlation_id, INT32_MIN + 1);
	assert_int_equal(header.client_id.size, -1);
	assert_int_equal(header.size, sizeof(header_v1));
	writer_init(&writer, out, sizeof(out));
	wire_encode_request_header(&writer, &header);
	assert_int_equal(writer_size(&writer), sizeof(header_v1));
	assert_memory_equal(out, header_v1, sizeof(header_v1));
	header.api_version = 9; /* flexible: one more byte, no tagged fields */
	writer_init(&writer, out, sizeof(out));
	wire_encode_request_header(&writer, &header);
	assert_int_equal(writer_size(&writer), sizeof(header_v1) + 1);
	assert_int_equal(out[sizeof(header_v1)], 0);
}

static void test_frame_request_header_of_unknown_api(void **state)
{
	static const uint8_t bytes[] = { 0x7f, 0xff, 0, 5, 0, 0, 0, 3, 0, 0, 0xee };
	struct wire_request_header header;
	struct reader reader;

	(void)state;
	reader_init(&reader, bytes, sizeof(bytes));
	assert_int_equal(wire_decode_request_header(&reader, &header), 0);
	assert_int_equal(header.correlation_id, 3);
	assert_int_equal(reader_left(&reader), 1);
	assert_false(wire_api_is_served(header.api_key, header.api_version));
}

static void test_frame_response_header(void **state)
{
	struct writer writer;
	struct reader reader;
	uint8_t out[16];
	int32_t correlation_id;

	(void)state;
	writer_init(&writer, out, sizeof(out));
	wire_encode_response_header(&writer, WIRE_API_METADATA, 8, 5);
	assert_int_equal(writer_size(&writer), 4);
	wire_encode_response_header(&writer, WIRE_API_METADATA, 9, 6);
	assert_int_equal(writer_size(&writer), 9);
	assert_int_equal(out[8], 0);
	/* A client reads this one before it knows what the broker speaks. */
	wire_encode_response_header(&writer, WIRE_API_API_VERSIONS, 4, 8);
	assert_int_equal(writer_size(&writer), 13);
	reader_init(&reader, out, 9);
	assert_int_equal(
		wire_decode_response_header(&reader, WIRE_API_METADATA, 8, &correlation_id), 0);
	assert_int_equal(correlation_id, 5);
	assert_int_equal(
		wire_decode_response_header(&reader, WIRE_API_METADATA, 9, &correlation_id), 0);
	assert_int_equal(correlation_id, 6);
	assert_int_equal(
		wire_decode_response_header(&reader, WIRE_API_METADATA, 9, &correlation_id),
		ERR_TRUNCATED);
	assert_int_equal(correlation_id, 6);
}

static void test_frame_size_is_patched(void **state)
{
	struct writer writer;
	uint8_t out[16];
	size_t mark;

	(void)state;
	writer_init(&writer, out, sizeof(out));
	writer_u8(&writer, 0xcc);
	mark = wire_frame_open(&writer);
	writer_u32(&writer, 1);
	writer_u8(&writer, 2);
	wire_frame_close(&writer, mark);
	assert_int_equal(writer.error, 0);
	assert_int_equal(bytes_load_u32(out + 1), 5);
	assert_int_equal(out[0], 0xcc);
	writer_init(&writer, out, 3);
	mark = wire_frame_open(&writer);
	wire_frame_close(&writer, mark);
	assert_int_equal(writer.error, ERR_TOO_LARGE);
}

static void test_frame_record(void **state)
{
	static const uint8_t topic[] = { 1, 2, 0 };
	static const uint8_t other_frame[] = { 2, 2, 0 };
	static const uint8_t huge_key[] = { 1, 0x80, 0x80, 0x02, 0 };
	struct wire_record_frame frame = { .key = -1 };
	struct reader reader;
	struct writer writer;
	uint8_t out[16];

	(void)state;
	writer_init(&writer, out, sizeof(out));
	wire_record_frame_encode(&writer, WIRE_RECORD_TOPIC, 0);
	assert_int_equal(writer_size(&writer), sizeof(topic));
	assert_memory_equal(out, topic, sizeof(topic));
	reader_init(&reader, other_frame, sizeof(other_frame));
	assert_int_equal(wire_record_frame_decode(&reader, &frame), ERR_UNSUPPORTED);
	reader_init(&reader, huge_key, sizeof(huge_key));
	assert_int_equal(wire_record_frame_decode(&reader, &frame), ERR_MALFORMED);
	reader_init(&reader, topic, 2);
	assert_int_equal(wire_record_frame_decode(&reader, &frame), ERR_TRUNCATED);
	assert_int_equal(frame.key, -1);
	reader_init(&reader, topic, sizeof(topic));
	assert_int_equal(wire_record_frame_decode(&reader, &frame), 0);
	assert_int_equal(frame.key, WIRE_RECORD_TOPIC);
	assert_int_equal(frame.version, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_request_header_flexible),
		cmocka_unit_test(test_frame_request_header_classic),
		cmocka_unit_test(test_frame_request_header_of_unknown_api),
		cmocka_unit_test(test_frame_response_header),
		cmocka_unit_test(test_frame_size_is_patched),
		cmocka_unit_test(test_frame_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
