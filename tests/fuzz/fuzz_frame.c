/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: whatever a client sends, every request of every version decodes within its input and its
 * scratch memory or fails with a defined error, and what decoded encodes and decodes again to the
 * same bytes.
 * Input: a request as on the wire, header first. A header that names no version we serve is mapped
 * to one, so that all decoders are reached; an odd correlation id chooses the response instead. The
 * same bytes are also taken as the value of a metadata log record.
 */
#include "base/check.h"

#include "dataplane/wire/frame.h"

#define SIZE_INPUT_MAX 65536
#define SCRATCH_MAX    (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static uint8_t scratch_memory[2][SCRATCH_MAX];
static uint8_t out[2][4 * SIZE_INPUT_MAX];
static uint64_t values[2][128]; /* room for any message, aligned */

static bool decode(const struct wire_codec *codec, int16_t version, struct reader *reader, int slot)
{
	struct wire_scratch scratch;
	int error;

	wire_scratch_init(&scratch, scratch_memory[slot], SCRATCH_MAX);
	error = codec->decode(reader, version, &scratch, values[slot]);
	CHECK(error == 0 || error == ERR_TRUNCATED || error == ERR_MALFORMED ||
	      error == ERR_TOO_LARGE);
	CHECK(scratch.at <= scratch.end && reader->at <= reader->end);
	return error == 0;
}

static size_t encode(const struct wire_codec *codec, int16_t version, int slot)
{
	struct writer writer;

	writer_init(&writer, out[slot], sizeof(out[slot]));
	codec->encode(&writer, version, values[slot]);
	CHECK(writer.error == 0);
	return writer_size(&writer);
}

/* Unknown tags are dropped and flags normalised, so the first encoding may differ from the input;
   the second may not differ from the first. */
static void round_trip(const struct wire_codec *codec, int16_t version, struct reader *reader)
{
	const uint8_t *begin = reader->at;
	struct reader again;
	size_t first, second;

	CHECK(codec->size <= sizeof(values[0]));
	if (!decode(codec, version, reader, 0))
		return;
	first = encode(codec, version, 0);
	CHECK(first <= (size_t)(reader->at - begin));
	reader_init(&again, out[0], first);
	CHECK(decode(codec, version, &again, 1));
	CHECK(reader_left(&again) == 0);
	second = encode(codec, version, 1);
	CHECK(first == second && memcmp(out[0], out[1], first) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct wire_request_header header;
	struct wire_record_frame frame;
	const struct wire_api_info *info;
	const struct wire_codec *codec;
	struct reader reader;
	int16_t version;

	if (size > SIZE_INPUT_MAX)
		return 0;
	reader_init(&reader, bytes, size);
	if (wire_record_frame_decode(&reader, &frame) == 0) {
		codec = wire_codec_get(WIRE_KIND_RECORD, frame.key);
		if (codec != NULL && frame.version >= codec->min && frame.version <= codec->max)
			round_trip(codec, frame.version, &reader);
	}
	reader_init(&reader, bytes, size);
	if (wire_decode_request_header(&reader, &header) != 0)
		return 0;
	info = &wire_apis[(uint16_t)header.api_key % wire_api_count];
	if (wire_api_info(header.api_key) != NULL)
		info = wire_api_info(header.api_key);
	version = header.api_version;
	if (version < info->min || version > info->max)
		version = (int16_t)(info->min +
				    (uint16_t)version % (uint16_t)(info->max - info->min + 1));
	codec = wire_codec_get((header.correlation_id & 1) != 0 ? WIRE_KIND_RESPONSE
								: WIRE_KIND_REQUEST,
			       info->key);
	round_trip(codec, version, &reader);
	return 0;
}
