/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the generated codec (wire_gen.h) stands on: strings, byte ranges, scratch memory for decoded
 * arrays, and the primitives of Kafka's protocol in their classic and flexible (KIP-482) forms.
 *
 * Decoding borrows: strings and byte ranges point into the input, arrays into the scratch memory.
 * Both must outlive the decoded value. Errors are the sticky error of the cursor: a reader ends with
 * ERR_TRUNCATED, ERR_MALFORMED (a size that cannot be, null where null is not allowed) or
 * ERR_TOO_LARGE (scratch is used up); a writer with ERR_TOO_LARGE, with ERR_MALFORMED (null where
 * the version does not allow it) or ERR_UNSUPPORTED (the version).
 *
 * Context: any thread; no I/O, no allocation. Memory: the caller's. Limits: strings have at most
 * 32,767 bytes, arrays at most as many elements as the input has bytes left.
 */
#pragma once

#include <string.h>

#include "base/bytes.h"
#include "base/uuid.h"

#define WIRE_STRING_SIZE_MAX 32767

/** Not zero-terminated. */
struct wire_string {
	const char *bytes;
	int32_t size; /* bytes; -1 = null */
};

struct wire_bytes {
	const uint8_t *bytes;
	int32_t size; /* bytes; -1 = null */
};

/** Bump memory for decoded arrays; everything in it dies together. */
struct wire_scratch {
	uint8_t *at;  /* next free byte, not aligned */
	uint8_t *end; /* one past the last */
};

enum wire_kind {
	WIRE_KIND_REQUEST,
	WIRE_KIND_RESPONSE,
	WIRE_KIND_RECORD,
	WIRE_KIND_DATA,
};

/** One message of the generated codec, for code that treats all of them alike (tests, dumps). */
struct wire_codec {
	enum wire_kind kind;
	int16_t key; /* of the api or the record; -1 for data */
	int16_t min; /* versions that decode and encode */
	int16_t max;
	const char *name;
	size_t size; /* of the struct */
	int (*decode)(struct reader *reader, int16_t version, struct wire_scratch *scratch,
		      void *ret_value);
	void (*encode)(struct writer *writer, int16_t version, const void *value);
};

extern const struct wire_codec wire_codecs[];
extern const size_t wire_codec_count;

#define WIRE_STRING(literal)                                                                       \
	((struct wire_string){ .bytes = (literal), .size = (int32_t)sizeof(literal) - 1 })
#define WIRE_STRING_NULL ((struct wire_string){ .bytes = NULL, .size = -1 })
#define WIRE_BYTES_NULL  ((struct wire_bytes){ .bytes = NULL, .size = -1 })

/** @param text  zero-terminated, at most INT32_MAX bytes, borrowed; NULL gives the null string */
static inline struct wire_string wire_string_from(const char *text)
{
	return text == NULL ? WIRE_STRING_NULL
			    : (struct wire_string){ .bytes = text, .size = (int32_t)strlen(text) };
}

/** Null equals only null. */
static inline bool wire_string_equal(struct wire_string a, struct wire_string b)
{
	return a.size == b.size && (a.size <= 0 || memcmp(a.bytes, b.bytes, (size_t)a.size) == 0);
}

static inline void wire_scratch_init(struct wire_scratch *scratch, void *memory, size_t size)
{
	scratch->at = memory;
	scratch->end = scratch->at + size;
}

/**
 * Room for an array, aligned for every generated struct; not initialised.
 *
 * @param count  elements; 0 or less gives NULL without an error
 * @param size   bytes of one element
 * @return NULL and the reader's sticky ERR_TOO_LARGE when the scratch memory is used up
 */
void *wire_scratch_take(struct reader *reader, struct wire_scratch *scratch, int32_t count,
			size_t size);

/**
 * The count in front of an array.
 *
 * @param flexible  compact form: an unsigned varint of count + 1
 * @param nullable  null is allowed
 * @return elements, -1 for null; never more than the bytes left; 0 after an error
 */
int32_t wire_read_count(struct reader *reader, bool flexible, bool nullable);
struct wire_string wire_read_string(struct reader *reader, bool flexible, bool nullable);
struct wire_bytes wire_read_bytes(struct reader *reader, bool flexible, bool nullable);
struct uuid wire_read_uuid(struct reader *reader);

static inline bool wire_read_bool(struct reader *reader)
{
	return reader_u8(reader) != 0;
}

/** @return number of tagged fields that follow; 0 after an error */
uint32_t wire_read_tag_count(struct reader *reader);

/**
 * Open the next tagged field.
 *
 * @param[out] ret_field  cursor over the field's bytes; empty after an error
 * @return the tag; UINT32_MAX after an error
 */
uint32_t wire_read_tag(struct reader *reader, struct reader *ret_field);

/** A tagged field must have been read to its end; its error becomes the reader's. */
void wire_close_tag(struct reader *reader, const struct reader *field);

/** Pass over tagged fields, known or not. */
void wire_skip_tags(struct reader *reader);

/** Stop writing with another error than a full buffer; the first error stays. */
void wire_write_fail(struct writer *writer, int error);

/** The counterparts; a null (-1) where `nullable` is false is the writer's ERR_MALFORMED. */
void wire_write_count(struct writer *writer, bool flexible, bool nullable, int32_t count);
void wire_write_string(struct writer *writer, bool flexible, bool nullable,
		       struct wire_string value);
void wire_write_bytes(struct writer *writer, bool flexible, bool nullable, struct wire_bytes value);

static inline void wire_write_uuid(struct writer *writer, const struct uuid *value)
{
	writer_bytes(writer, value->bytes, UUID_SIZE);
}

static inline void wire_write_bool(struct writer *writer, bool value)
{
	writer_u8(writer, value ? 1 : 0);
}

/**
 * Begin a tagged field, whose size stands in front of it but is known only behind it.
 *
 * @return mark for wire_finish_tag()
 */
size_t wire_open_tag(struct writer *writer, uint32_t tag);

/** Move the bytes written since `mark` up and put their size in front. */
void wire_finish_tag(struct writer *writer, size_t mark);
