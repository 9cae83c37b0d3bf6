/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/wire.h"

#include <stdalign.h>

/* Generated structs hold pointers, numbers up to 64 bits and byte arrays. */
#define SCRATCH_ALIGN alignof(max_align_t)

void *wire_scratch_take(struct reader *reader, struct wire_scratch *scratch, int32_t count,
			size_t size)
{
	uintptr_t at = (uintptr_t)scratch->at;
	size_t pad = (size_t)(ALIGN_UP(at, SCRATCH_ALIGN) - at);
	size_t left = (size_t)(scratch->end - scratch->at);
	void *memory;

	if (count <= 0)
		return NULL;
	/* By division, so that no product can wrap. */
	if (pad > left || (size_t)count > (left - pad) / size) {
		reader_fail(reader, ERR_TOO_LARGE);
		return NULL;
	}
	memory = scratch->at + pad;
	scratch->at += pad + (size_t)count * size;
	return memory;
}

/* Compact sizes are sent plus one, so that 0 can say null. Others than 0 fit int32_t after it. */
static int64_t read_compact_size(struct reader *reader)
{
	return (int64_t)reader_uvarint(reader) - 1;
}

static int32_t check_size(struct reader *reader, int64_t size, bool nullable)
{
	if (reader->error != 0)
		return 0;
	if (size == -1 && nullable)
		return -1;
	if (size < 0 || size > INT32_MAX) {
		reader_fail(reader, ERR_MALFORMED);
		return 0;
	}
	return (int32_t)size;
}

int32_t wire_read_count(struct reader *reader, bool flexible, bool nullable)
{
	int64_t size = flexible ? read_compact_size(reader) : reader_i32(reader);
	int32_t count = check_size(reader, size, nullable);

	/* No element takes less than a byte: a larger count is a lie, not a short read. */
	if (count > 0 && (size_t)count > reader_left(reader)) {
		reader_fail(reader, ERR_MALFORMED);
		return 0;
	}
	return count;
}

struct wire_string wire_read_string(struct reader *reader, bool flexible, bool nullable)
{
	int64_t size = flexible ? read_compact_size(reader) : reader_i16(reader);
	struct wire_string value = { .bytes = NULL, .size = check_size(reader, size, nullable) };

	if (value.size > WIRE_STRING_SIZE_MAX)
		reader_fail(reader, ERR_MALFORMED);
	if (value.size > 0)
		value.bytes = (const char *)reader_bytes(reader, (size_t)value.size);
	if (value.bytes == NULL && value.size > 0)
		value.size = 0;
	return value;
}

struct wire_bytes wire_read_bytes(struct reader *reader, bool flexible, bool nullable)
{
	int64_t size = flexible ? read_compact_size(reader) : reader_i32(reader);
	struct wire_bytes value = { .bytes = NULL, .size = check_size(reader, size, nullable) };

	if (value.size > 0)
		value.bytes = reader_bytes(reader, (size_t)value.size);
	if (value.bytes == NULL && value.size > 0)
		value.size = 0;
	return value;
}

struct uuid wire_read_uuid(struct reader *reader)
{
	const uint8_t *bytes = reader_bytes(reader, UUID_SIZE);
	struct uuid value = { { 0 } };

	if (bytes != NULL)
		memcpy(value.bytes, bytes, UUID_SIZE);
	return value;
}

uint32_t wire_read_tag_count(struct reader *reader)
{
	uint32_t count = reader_uvarint(reader);

	/* A tagged field takes two bytes at least: its tag and its size. */
	if (count > reader_left(reader) / 2) {
		reader_fail(reader, ERR_MALFORMED);
		return 0;
	}
	return count;
}

uint32_t wire_read_tag(struct reader *reader, struct reader *ret_field)
{
	uint32_t tag = reader_uvarint(reader);
	uint32_t size = reader_uvarint(reader);
	const uint8_t *bytes = reader_bytes(reader, size);

	reader_init(ret_field, bytes, bytes != NULL ? size : 0);
	return reader->error == 0 ? tag : UINT32_MAX;
}

void wire_close_tag(struct reader *reader, const struct reader *field)
{
	if (field->error != 0)
		reader_fail(reader, field->error);
	else if (reader_left(field) != 0)
		reader_fail(reader, ERR_MALFORMED);
}

void wire_skip_tags(struct reader *reader)
{
	for (uint32_t left = wire_read_tag_count(reader); left > 0 && reader->error == 0; left--) {
		struct reader field;

		(void)wire_read_tag(reader, &field);
	}
}

void wire_write_fail(struct writer *writer, int error)
{
	if (writer->error == 0)
		writer->error = error;
	/* A full writer answers every further write with its own error and keeps what it had. */
	writer->end = writer->at;
}

/* Sizes of compact values are sent plus one; null is 0 there and -1 in the classic form. */
static bool write_size(struct writer *writer, bool flexible, bool nullable, int32_t size)
{
	if (size < 0 && !nullable) {
		wire_write_fail(writer, ERR_MALFORMED);
		return false;
	}
	if (flexible)
		writer_uvarint(writer, size < 0 ? 0 : (uint32_t)size + 1);
	return writer->error == 0;
}

void wire_write_count(struct writer *writer, bool flexible, bool nullable, int32_t count)
{
	if (write_size(writer, flexible, nullable, count) && !flexible)
		writer_i32(writer, count < 0 ? -1 : count);
}

void wire_write_string(struct writer *writer, bool flexible, bool nullable,
		       struct wire_string value)
{
	if (value.size > WIRE_STRING_SIZE_MAX) {
		wire_write_fail(writer, ERR_TOO_LARGE);
		return;
	}
	if (!write_size(writer, flexible, nullable, value.size))
		return;
	if (!flexible)
		writer_i16(writer, (int16_t)(value.size < 0 ? -1 : value.size));
	if (value.size > 0)
		writer_bytes(writer, value.bytes, (size_t)value.size);
}

void wire_write_bytes(struct writer *writer, bool flexible, bool nullable, struct wire_bytes value)
{
	if (!write_size(writer, flexible, nullable, value.size))
		return;
	if (!flexible)
		writer_i32(writer, value.size < 0 ? -1 : value.size);
	if (value.size > 0)
		writer_bytes(writer, value.bytes, (size_t)value.size);
}

size_t wire_open_tag(struct writer *writer, uint32_t tag)
{
	writer_uvarint(writer, tag);
	return writer_size(writer);
}

void wire_finish_tag(struct writer *writer, size_t mark)
{
	size_t size = writer_size(writer) - mark;
	size_t prefix = bytes_uvarint_size(size);

	if (writer_room(writer, prefix) == NULL)
		return;
	memmove(writer->begin + mark + prefix, writer->begin + mark, size);
	writer->at = writer->begin + mark;
	writer_uvarint64(writer, size);
	writer->at += size;
}
