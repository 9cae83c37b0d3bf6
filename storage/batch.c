/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/batch.h"

#include <limits.h>
#include <string.h>

#include "base/crc32c.h"

int batch_decode(const uint8_t *header, struct batch *ret_batch)
{
	uint32_t length = bytes_load_u32(header + 8);

	if (length < BATCH_HEADER_SIZE - BATCH_LENGTH_END || length > INT32_MAX - BATCH_LENGTH_END)
		return ERR_MALFORMED;
	*ret_batch = (struct batch){
		.base_offset = (int64_t)bytes_load_u64(header),
		.size = length + BATCH_LENGTH_END,
		.leader_epoch = (int32_t)bytes_load_u32(header + BATCH_LEADER_EPOCH_AT),
		.magic = header[16],
		.crc = bytes_load_u32(header + 17),
		.attributes = bytes_load_u16(header + 21),
		.last_offset_delta = (int32_t)bytes_load_u32(header + 23),
		.base_timestamp = (int64_t)bytes_load_u64(header + 27),
		.max_timestamp = (int64_t)bytes_load_u64(header + 35),
		.producer_id = (int64_t)bytes_load_u64(header + 43),
		.producer_epoch = (int16_t)bytes_load_u16(header + 51),
		.base_sequence = (int32_t)bytes_load_u32(header + 53),
		.record_count = (int32_t)bytes_load_u32(header + 57),
	};
	return 0;
}

enum batch_verdict batch_check(const struct batch *batch, uint32_t size, uint32_t size_max)
{
	/* Older formats have their magic at the same place, so it is judged before the size. */
	if (batch->magic != BATCH_MAGIC)
		return BATCH_BAD_MAGIC;
	if (batch->size != size)
		return BATCH_BAD_SIZE;
	if (size > size_max)
		return BATCH_TOO_LARGE;
	if (batch->record_count <= 0 || batch->last_offset_delta != batch->record_count - 1 ||
	    batch->base_offset != 0)
		return BATCH_BAD_COUNT;
	if ((batch->attributes & BATCH_ATTRIBUTE_CONTROL) != 0)
		return BATCH_BAD_CONTROL;
	if (batch->producer_id >= 0 && (batch->base_sequence < 0 || batch->producer_epoch < 0))
		return BATCH_BAD_PRODUCER;
	if ((batch->attributes & BATCH_ATTRIBUTE_CODEC) > BATCH_CODEC_ZSTD)
		return BATCH_BAD_CODEC;
	return BATCH_OK;
}

void batch_patch(uint8_t *header, int64_t base_offset, int32_t leader_epoch)
{
	bytes_store_u64(header, (uint64_t)base_offset);
	bytes_store_u32(header + BATCH_LEADER_EPOCH_AT, (uint32_t)leader_epoch);
}

void batch_builder_init(struct batch_builder *builder, void *memory, size_t size, int64_t timestamp,
			uint16_t attributes)
{
	uint8_t *header;

	*builder = (struct batch_builder){
		.base_timestamp = timestamp,
		.max_timestamp = timestamp,
		.attributes = attributes,
	};
	writer_init(&builder->writer, memory, size);
	header = writer_room(&builder->writer, BATCH_HEADER_SIZE);
	if (header != NULL)
		memset(header, 0, BATCH_HEADER_SIZE);
}

/* Encoded length of a record's nullable field: the length as a zig-zag varint, then the bytes. */
static size_t field_size(const void *bytes, size_t size)
{
	return bytes == NULL ? 1 : bytes_uvarint_size((uint64_t)size << 1) + size;
}

static void field_write(struct writer *writer, const void *bytes, size_t size)
{
	if (bytes == NULL) {
		writer_varint(writer, -1);
		return;
	}
	writer_varint(writer, (int32_t)size);
	writer_bytes(writer, bytes, size);
}

void batch_builder_add(struct batch_builder *builder, const void *key, size_t key_size,
		       const void *value, size_t value_size)
{
	struct writer *writer = &builder->writer;
	size_t body;

	if (key_size > INT32_MAX / 4 || value_size > INT32_MAX / 4) {
		writer->error = ERR_TOO_LARGE;
		return;
	}
	/* attributes, timestamp delta 0, offset delta, key, value, no headers */
	body = 1 + 1 + bytes_uvarint_size((uint64_t)builder->record_count << 1) +
	       field_size(key, key_size) + field_size(value, value_size) + 1;
	writer_varint(writer, (int32_t)body);
	writer_u8(writer, 0);
	writer_varint64(writer, 0);
	writer_varint(writer, builder->record_count);
	field_write(writer, key, key_size);
	field_write(writer, value, value_size);
	writer_varint(writer, 0);
	if (writer->error == 0)
		builder->record_count++;
}

int64_t batch_builder_end(struct batch_builder *builder, int64_t base_offset, int32_t leader_epoch)
{
	struct writer *writer = &builder->writer;
	uint8_t *header = writer->begin;
	size_t size = writer_size(writer);

	if (writer->error != 0)
		return writer->error;
	if (size > INT32_MAX)
		return ERR_TOO_LARGE;
	bytes_store_u32(header + 8, (uint32_t)(size - BATCH_LENGTH_END));
	header[16] = BATCH_MAGIC;
	bytes_store_u16(header + 21, builder->attributes);
	bytes_store_u32(header + 23, (uint32_t)(builder->record_count - 1));
	bytes_store_u64(header + 27, (uint64_t)builder->base_timestamp);
	bytes_store_u64(header + 35, (uint64_t)builder->max_timestamp);
	bytes_store_u64(header + 43, UINT64_MAX); /* no producer id, epoch, sequence */
	bytes_store_u16(header + 51, UINT16_MAX);
	bytes_store_u32(header + 53, UINT32_MAX);
	bytes_store_u32(header + 57, (uint32_t)builder->record_count);
	batch_patch(header, base_offset, leader_epoch);
	bytes_store_u32(header + 17, crc32c_extend(CRC32C_INIT, header + BATCH_CRC_BEGIN,
						   size - BATCH_CRC_BEGIN));
	return (int64_t)size;
}

/* @return the field's bytes, NULL for null; a length below -1 is malformed */
static const uint8_t *field_read(struct reader *reader, int32_t *ret_size)
{
	int32_t size = reader_varint(reader);

	*ret_size = 0;
	if (size == -1)
		return NULL;
	if (size < 0) {
		reader_fail(reader, ERR_MALFORMED);
		return NULL;
	}
	*ret_size = size;
	return reader_bytes(reader, (size_t)size);
}

int batch_record_next(struct reader *reader, struct batch_record *ret_record)
{
	struct batch_record record = { 0 };
	struct reader body;
	int32_t size = reader_varint(reader);
	const uint8_t *bytes;

	if (reader->error == 0 && size < 0)
		reader_fail(reader, ERR_MALFORMED);
	bytes = reader->error == 0 ? reader_bytes(reader, (size_t)size) : NULL;
	if (bytes == NULL)
		return reader->error;
	reader_init(&body, bytes, (size_t)size);
	(void)reader_u8(&body); /* attributes: unused by the format */
	record.timestamp_delta = reader_varint64(&body);
	record.offset_delta = reader_varint(&body);
	record.key = field_read(&body, &record.key_size);
	record.value = field_read(&body, &record.value_size);
	record.header_count = reader_varint(&body);
	if (body.error == 0 && record.header_count < 0)
		reader_fail(&body, ERR_MALFORMED);
	record.headers = body.at;
	for (int32_t i = 0; i < record.header_count && body.error == 0; i++) {
		int32_t key_size = reader_varint(&body), ignored;

		if (key_size < 0)
			reader_fail(&body, ERR_MALFORMED);
		else
			(void)reader_bytes(&body, (size_t)key_size);
		(void)field_read(&body, &ignored);
	}
	if (body.error == 0 && reader_left(&body) != 0)
		reader_fail(&body, ERR_MALFORMED);
	if (body.error != 0) {
		/* A record that lies about its length leaves nothing to go on from. */
		reader_fail(reader, ERR_MALFORMED);
		return ERR_MALFORMED;
	}
	record.headers_size = (uint32_t)(body.at - record.headers);
	*ret_record = record;
	return 0;
}
