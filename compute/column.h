/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Columns: where decoders put values, laid out in memory as DuckDB's flat vectors are, so that a
 * vector's own memory can be named here and filled without a copy.
 *
 * Context: one thread per set of columns. Memory: the caller's. Limits: COLUMN_ROWS rows at a time.
 */
#pragma once

#include <string.h>

#include "base/defs.h"

#define COLUMN_ROWS       2048 /* rows of a vector */
#define COLUMN_NAME_MAX   128
#define COLUMN_INLINE_MAX 12   /* longest string that lies in its cell */
#define COLUMN_MAX        1000 /* columns of one schema */

/** Value in memory in brackets. Names as in Delta's schema. */
enum column_type {
	COLUMN_BOOLEAN,   /* [uint8_t] 0 or 1 */
	COLUMN_INTEGER,   /* [int32_t] */
	COLUMN_LONG,      /* [int64_t] */
	COLUMN_DOUBLE,    /* [double] */
	COLUMN_STRING,    /* [struct column_string] UTF-8 */
	COLUMN_BINARY,    /* [struct column_string] any bytes */
	COLUMN_DATE,      /* [int32_t] days since 1970-01-01 */
	COLUMN_TIMESTAMP, /* [int64_t] microseconds since 1970-01-01T00:00:00Z */
	COLUMN_DECIMAL,   /* [int64_t] value times 10^scale; precision up to 18 */
};

/** A string of a column: short ones inline, others by reference with their first four bytes. */
struct column_string {
	uint32_t size;
	union {
		char inlined[COLUMN_INLINE_MAX]; /* zero behind the string */
		struct {
			char prefix[4];
			const char *at;
		} PACKED far;
	};
};

struct column {
	enum column_type type;
	void *values; /* [COLUMN_ROWS] by type; NULL: the column is not wanted */
	uint64_t *
		validity; /* [COLUMN_ROWS / 64] bit set: there is a value; all set before decoding */
};

/** Name [size] bytes; they stay where they are unless they fit inline. */
static inline void column_string_set(struct column_string *string, const char *bytes, uint32_t size)
{
	string->size = size;
	if (size <= COLUMN_INLINE_MAX) {
		memset(string->inlined, 0, sizeof(string->inlined));
		memcpy(string->inlined, bytes, size);
	} else {
		memcpy(string->far.prefix, bytes, sizeof(string->far.prefix));
		string->far.at = bytes;
	}
}

/** @return [string->size] its bytes; inline ones live as long as the cell */
static inline const char *column_string_bytes(const struct column_string *string)
{
	return string->size <= COLUMN_INLINE_MAX ? string->inlined : string->far.at;
}

static inline void column_set_null(struct column *column, uint32_t row)
{
	column->validity[row / 64] &= ~(UINT64_C(1) << (row % 64));
}
