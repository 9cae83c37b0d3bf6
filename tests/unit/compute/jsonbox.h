/* SPDX-License-Identifier: Apache-2.0 */
/** @file One JSON decoder with columns to decode into: for tests of single records. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/decode/json.h"

#include "cm.h"

#define JSONBOX_COLUMNS 16

struct jsonbox {
	struct schema *schema;
	struct json_decoder *decoder;
	struct column columns[JSONBOX_COLUMNS];
	uint64_t validity[JSONBOX_COLUMNS][COLUMN_ROWS / 64];
	struct decode_error error;
};

/** @param declaration  columns as in a manifest */
static inline struct jsonbox *jsonbox_new(const char *declaration)
{
	struct jsonbox *box = calloc(1, sizeof(*box));
	json_t *columns = json_loads(declaration, 0, NULL);
	char error[200] = "";

	assert_non_null(box);
	assert_non_null(columns);
	if (schema_parse(columns, &box->schema, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	json_decref(columns);
	assert_true(box->schema->count <= JSONBOX_COLUMNS);
	assert_int_equal(json_decoder_new(box->schema, &box->decoder), 0);
	for (uint32_t i = 0; i < box->schema->count; i++) {
		box->columns[i].type = box->schema->fields[i].type;
		box->columns[i].values = calloc(COLUMN_ROWS, sizeof(struct column_string));
		assert_non_null(box->columns[i].values);
		box->columns[i].validity = box->validity[i];
	}
	memset(box->validity, 0xff, sizeof(box->validity));
	return box;
}

static inline void jsonbox_free(struct jsonbox *box)
{
	for (uint32_t i = 0; i < box->schema->count; i++)
		free(box->columns[i].values);
	json_decoder_free(box->decoder);
	schema_free(box->schema);
	free(box);
}

/** Decode into row 0, from memory that ends where the text does. The text lives until the next call. */
static inline int jsonbox_decode(struct jsonbox *box, const char *text, size_t size)
{
	static uint8_t *exact;

	free(exact);
	exact = malloc(size > 0 ? size : 1);
	assert_non_null(exact);
	memcpy(exact, text, size);
	memset(box->validity, 0xff, sizeof(box->validity));
	memset(&box->error, 0, sizeof(box->error));
	return json_decoder_row(box->decoder, exact, (uint32_t)size, box->columns, 0, &box->error);
}

static inline int jsonbox_row(struct jsonbox *box, const char *text)
{
	return jsonbox_decode(box, text, strlen(text));
}

static inline bool jsonbox_is_null(const struct jsonbox *box, uint32_t column)
{
	return (box->validity[column][0] & 1) == 0;
}

static inline int64_t jsonbox_integer(const struct jsonbox *box, uint32_t column)
{
	const void *values = box->columns[column].values;

	switch ((int)box->columns[column].type) {
	case COLUMN_BOOLEAN:
		return *(const uint8_t *)values;
	case COLUMN_INTEGER:
	case COLUMN_DATE:
		return *(const int32_t *)values;
	default:
		return *(const int64_t *)values;
	}
}

static inline const char *jsonbox_string(const struct jsonbox *box, uint32_t column,
					 size_t *ret_size)
{
	const struct column_string *string = box->columns[column].values;

	*ret_size = string->size;
	return string->size <= COLUMN_INLINE_MAX ? string->inlined : string->far.at;
}

static inline void jsonbox_expect_string(const struct jsonbox *box, uint32_t column,
					 const char *expected)
{
	size_t size;
	const char *bytes = jsonbox_string(box, column, &size);

	assert_int_equal(size, strlen(expected));
	assert_memory_equal(bytes, expected, size);
}
