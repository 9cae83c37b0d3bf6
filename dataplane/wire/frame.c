/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/frame.h"

static bool is_flexible(int16_t api_key, int16_t api_version)
{
	const struct wire_api_info *info = wire_api_info(api_key);

	return info != NULL && api_version >= info->flexible_from;
}

static bool has_response_tags(int16_t api_key, int16_t api_version)
{
	return api_key != WIRE_API_API_VERSIONS && is_flexible(api_key, api_version);
}

int wire_decode_request_header(struct reader *reader, struct wire_request_header *ret_header)
{
	const uint8_t *begin = reader->at;
	struct wire_request_header header = { .api_key = reader_i16(reader) };

	header.api_version = reader_i16(reader);
	header.correlation_id = reader_i32(reader);
	/* The client id keeps its classic form in the flexible header: KIP-482 left it alone. */
	header.client_id = wire_read_string(reader, false, true);
	if (is_flexible(header.api_key, header.api_version))
		wire_skip_tags(reader);
	if (reader->error != 0)
		return reader->error;
	header.size = (uint32_t)(reader->at - begin);
	*ret_header = header;
	return 0;
}

void wire_encode_request_header(struct writer *writer, const struct wire_request_header *header)
{
	writer_i16(writer, header->api_key);
	writer_i16(writer, header->api_version);
	writer_i32(writer, header->correlation_id);
	wire_write_string(writer, false, true, header->client_id);
	if (is_flexible(header->api_key, header->api_version))
		writer_uvarint(writer, 0);
}

void wire_encode_response_header(struct writer *writer, int16_t api_key, int16_t api_version,
				 int32_t correlation_id)
{
	writer_i32(writer, correlation_id);
	if (has_response_tags(api_key, api_version))
		writer_uvarint(writer, 0);
}

int wire_decode_response_header(struct reader *reader, int16_t api_key, int16_t api_version,
				int32_t *ret_correlation_id)
{
	int32_t correlation_id = reader_i32(reader);

	if (has_response_tags(api_key, api_version))
		wire_skip_tags(reader);
	if (reader->error != 0)
		return reader->error;
	*ret_correlation_id = correlation_id;
	return 0;
}

size_t wire_frame_open(struct writer *writer)
{
	size_t mark = writer_size(writer);

	writer_u32(writer, 0);
	return mark;
}

void wire_frame_close(struct writer *writer, size_t mark)
{
	size_t size = writer_size(writer) - mark;

	if (writer->error != 0)
		return;
	bytes_store_u32(writer->begin + mark, (uint32_t)(size - WIRE_FRAME_PREFIX_SIZE));
}

void wire_record_frame_encode(struct writer *writer, int16_t key, int16_t version)
{
	writer_uvarint(writer, WIRE_RECORD_FRAME_VERSION);
	writer_uvarint(writer, (uint16_t)key);
	writer_uvarint(writer, (uint16_t)version);
}

int wire_record_frame_decode(struct reader *reader, struct wire_record_frame *ret_frame)
{
	uint32_t frame_version = reader_uvarint(reader);
	uint32_t key = reader_uvarint(reader);
	uint32_t version = reader_uvarint(reader);

	if (reader->error == 0 && frame_version != WIRE_RECORD_FRAME_VERSION)
		return ERR_UNSUPPORTED;
	if (key > INT16_MAX || version > INT16_MAX)
		reader_fail(reader, ERR_MALFORMED);
	if (reader->error != 0)
		return reader->error;
	*ret_frame = (struct wire_record_frame){ .key = (int16_t)key, .version = (int16_t)version };
	return 0;
}
