/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Cursors over bytes with a sticky error: read or write everything, check once at the end.
 *
 * Numbers are big-endian as on Kafka's wire; varints are Protocol Buffers' (zig-zag when signed).
 * After the first failure every further read yields 0 or NULL and every write does nothing.
 *
 * Context: one thread owns a cursor. Memory: borrowed buffers. Limits: SIZE_MAX bytes.
 */
#pragma once

#include <string.h>

#include "base/defs.h"
#include "base/err.h"

struct reader {
	const uint8_t *at;  /* next byte */
	const uint8_t *end; /* one past the last */
	int error;          /* 0, ERR_TRUNCATED or ERR_MALFORMED; sticky */
};

struct writer {
	uint8_t *begin;
	uint8_t *at;  /* next byte */
	uint8_t *end; /* one past the last usable */
	int error;    /* 0, ERR_TOO_LARGE or what an encoder found; sticky */
};

static inline uint16_t bytes_load_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t bytes_load_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t bytes_load_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline void bytes_store_u16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void bytes_store_u32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void bytes_store_u64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

static inline void reader_init(struct reader *r, const void *bytes, size_t size)
{
	r->at = bytes;
	r->end = r->at + size;
	r->error = 0;
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static inline void reader_fail(struct reader *r, int error)
{
	if (r->error == 0)
		r->error = error;
	r->at = r->end;
}

/** @return [size] bytes in place, borrowed from the input; NULL (and a sticky error) when short */
static inline const uint8_t *reader_bytes(struct reader *r, size_t size)
{
	const uint8_t *at = r->at;

	if (unlikely(reader_left(r) < size)) {
		reader_fail(r, ERR_TRUNCATED);
		return NULL;
	}
	r->at += size;
	return at;
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 1);

	return p != NULL ? *p : 0;
}

static inline int8_t reader_i8(struct reader *r)
{
	return (int8_t)reader_u8(r);
}

static inline uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 2);

	return p != NULL ? bytes_load_u16(p) : 0;
}

static inline int16_t reader_i16(struct reader *r)
{
	return (int16_t)reader_u16(r);
}

static inline uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 4);

	return p != NULL ? bytes_load_u32(p) : 0;
}

static inline int32_t reader_i32(struct reader *r)
{
	return (int32_t)reader_u32(r);
}

static inline uint64_t reader_u64(struct reader *r)
{
	const uint8_t *p = reader_bytes(r, 8);

	return p != NULL ? bytes_load_u64(p) : 0;
}

static inline int64_t reader_i64(struct reader *r)
{
	return (int64_t)reader_u64(r);
}

/** Unsigned varint of at most 64 bits; more than 10 bytes or overlong bits are ERR_MALFORMED. */
uint64_t reader_uvarint64(struct reader *r);

/** Unsigned varint that must fit 32 bits. */
uint32_t reader_uvarint(struct reader *r);

/** Zig-zag varints of the record format. */
int32_t reader_varint(struct reader *r);
int64_t reader_varint64(struct reader *r);

static inline void writer_init(struct writer *w, void *bytes, size_t size)
{
	w->begin = w->at = bytes;
	w->end = w->begin + size;
	w->error = 0;
}

/** @return bytes written so far */
static inline size_t writer_size(const struct writer *w)
{
	return (size_t)(w->at - w->begin);
}

static inline size_t writer_left(const struct writer *w)
{
	return (size_t)(w->end - w->at);
}

/** @return room for [size] bytes, to be filled by the caller; NULL (sticky error) when it is full */
static inline uint8_t *writer_room(struct writer *w, size_t size)
{
	uint8_t *at = w->at;

	if (unlikely(w->error != 0 || writer_left(w) < size)) {
		if (w->error == 0)
			w->error = ERR_TOO_LARGE;
		return NULL;
	}
	w->at += size;
	return at;
}

static inline void writer_bytes(struct writer *w, const void *bytes, size_t size)
{
	uint8_t *p = writer_room(w, size);

	if (p != NULL && size > 0)
		memcpy(p, bytes, size);
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
	writer_bytes(w, &v, 1);
}

static inline void writer_i8(struct writer *w, int8_t v)
{
	writer_u8(w, (uint8_t)v);
}

static inline void writer_u16(struct writer *w, uint16_t v)
{
	uint8_t *p = writer_room(w, 2);

	if (p != NULL)
		bytes_store_u16(p, v);
}

static inline void writer_i16(struct writer *w, int16_t v)
{
	writer_u16(w, (uint16_t)v);
}

static inline void writer_u32(struct writer *w, uint32_t v)
{
	uint8_t *p = writer_room(w, 4);

	if (p != NULL)
		bytes_store_u32(p, v);
}

static inline void writer_i32(struct writer *w, int32_t v)
{
	writer_u32(w, (uint32_t)v);
}

static inline void writer_u64(struct writer *w, uint64_t v)
{
	uint8_t *p = writer_room(w, 8);

	if (p != NULL)
		bytes_store_u64(p, v);
}

static inline void writer_i64(struct writer *w, int64_t v)
{
	writer_u64(w, (uint64_t)v);
}

void writer_uvarint64(struct writer *w, uint64_t v);

static inline void writer_uvarint(struct writer *w, uint32_t v)
{
	writer_uvarint64(w, v);
}

void writer_varint(struct writer *w, int32_t v);
void writer_varint64(struct writer *w, int64_t v);

/** @return bytes that writer_uvarint64() takes for `v`, 1 to 10 */
size_t bytes_uvarint_size(uint64_t v);
