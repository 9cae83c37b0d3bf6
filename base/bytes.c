/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

uint64_t reader_uvarint64(struct reader *r)
{
	uint64_t value = 0;

	if (likely(r->at < r->end && *r->at < 0x80)) /* most are one byte */
		return *r->at++;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = reader_u8(r);

		if (r->error != 0)
			return 0;
		if (shift == 63 && byte > 1)
			break; /* bits past the 64th */
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	reader_fail(r, ERR_MALFORMED);
	return 0;
}

uint32_t reader_uvarint(struct reader *r)
{
	uint64_t value = reader_uvarint64(r);

	if (value > UINT32_MAX) {
		reader_fail(r, ERR_MALFORMED);
		return 0;
	}
	return (uint32_t)value;
}

int32_t reader_varint(struct reader *r)
{
	uint32_t v = reader_uvarint(r);

	return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}

int64_t reader_varint64(struct reader *r)
{
	uint64_t v = reader_uvarint64(r);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

void writer_uvarint64(struct writer *w, uint64_t v)
{
	while (v >= 0x80) {
		writer_u8(w, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	writer_u8(w, (uint8_t)v);
}

void writer_varint(struct writer *w, int32_t v)
{
	writer_uvarint64(w, ((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

void writer_varint64(struct writer *w, int64_t v)
{
	writer_uvarint64(w, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

size_t bytes_uvarint_size(uint64_t v)
{
	size_t size = 1;

	for (; v >= 0x80; v >>= 7)
		size++;
	return size;
}
