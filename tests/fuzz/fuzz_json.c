/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any bytes decode as records or are refused with a reason, nothing is read outside them, all
 * strings that come out can be read, and what was learned from records before changes no result.
 * Input: records with a NUL between them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/decode/json.h"
#include "compute/decode/json_scan.h"
#include "compute/decode/unicode.h"

#define COLUMNS 12

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char declaration[] =
	"{\"i\": \"integer\", \"l\": \"long\", \"d\": \"double\", \"b\": \"boolean\","
	" \"s\": \"string\", \"x\": \"binary\", \"day\": \"date\", \"t\": \"timestamp\","
	" \"p\": \"decimal(9,2)\", \"j\": \"json\","
	" \"n\": {\"type\": \"string\", \"from\": \"m.n\"},"
	" \"o\": {\"type\": \"long\", \"from\": \"m.o\", \"required\": true}}";

struct row {
	uint64_t values[COLUMNS][2];
	uint64_t validity[COLUMNS][1];
	struct column columns[COLUMNS];
	struct decode_error error;
	int result;
};

static struct schema *make_schema(void)
{
	json_t *columns = json_loads(declaration, 0, NULL);
	struct schema *schema;
	char error[200];

	CHECK(columns != NULL);
	CHECK(schema_parse(columns, &schema, error, sizeof(error)) == 0);
	CHECK(schema->count == COLUMNS);
	json_decref(columns);
	return schema;
}

static void decode(struct json_decoder *decoder, const struct schema *schema, const uint8_t *bytes,
		   size_t size, struct row *row)
{
	memset(row, 0, sizeof(*row));
	for (uint32_t i = 0; i < COLUMNS; i++) {
		row->validity[i][0] = UINT64_MAX;
		row->columns[i] = (struct column){ .type = schema->fields[i].type,
						   .values = row->values[i],
						   .validity = row->validity[i] };
	}
	row->result =
		json_decoder_row(decoder, bytes, (uint32_t)size, row->columns, 0, &row->error);
	CHECK(row->result == 0 || row->result == ERR_MALFORMED);
	if (row->result != 0) {
		size_t length = strnlen(row->error.reason, sizeof(row->error.reason));

		CHECK(length > 0 && length < sizeof(row->error.reason));
		CHECK(unicode_check((uint8_t *)row->error.reason, length) == length);
		CHECK(row->error.at <= size);
	}
}

static const char *string_of(struct row *row, uint32_t column, uint32_t *ret_size)
{
	struct column_string *string = (struct column_string *)(void *)row->values[column];

	*ret_size = string->size;
	return string->size <= COLUMN_INLINE_MAX ? string->inlined : string->far.at;
}

static void compare(struct row *a, struct row *b)
{
	CHECK(a->result == b->result);
	if (a->result != 0)
		return;
	CHECK(memcmp(a->validity, b->validity, sizeof(a->validity)) == 0);
	for (uint32_t i = 0; i < COLUMNS; i++) {
		if ((a->validity[i][0] & 1) == 0)
			continue;
		if (a->columns[i].type == COLUMN_STRING || a->columns[i].type == COLUMN_BINARY) {
			uint32_t sizes[2];
			const char *texts[2] = { string_of(a, i, &sizes[0]),
						 string_of(b, i, &sizes[1]) };

			CHECK(sizes[0] == sizes[1] && memcmp(texts[0], texts[1], sizes[0]) == 0);
			CHECK(a->columns[i].type == COLUMN_BINARY ||
			      unicode_check((const uint8_t *)texts[0], sizes[0]) == sizes[0]);
		} else {
			CHECK(a->values[i][0] == b->values[i][0]);
		}
	}
}

static void compare_marks(const uint8_t *bytes, size_t size)
{
	size_t words = JSON_SCAN_WORDS(size);
	uint64_t *marks = calloc(2 * words, sizeof(*marks));
	struct json_text text = { .begin = bytes, .end = bytes + size, .marks = marks };
	bool is_ascii;

	CHECK(marks != NULL);
	is_ascii = json_scan_marks_plain(&text);
	text.marks = marks + words;
	CHECK(json_scan_marks(&text) == is_ascii);
	CHECK(memcmp(marks, marks + words, words * sizeof(*marks)) == 0);
	free(marks);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct schema *schema;
	static struct json_decoder *learned;
	size_t at = 0;

	if (schema == NULL)
		schema = make_schema();
	if (learned == NULL)
		CHECK(json_decoder_new(schema, &learned) == 0);
	while (at < size) {
		const uint8_t *end = memchr(bytes + at, 0, size - at);
		size_t length = end != NULL ? (size_t)(end - bytes) - at : size - at;
		uint8_t *exact = malloc(length + (length == 0));
		struct json_decoder *fresh;
		struct row rows[2];

		CHECK(exact != NULL && json_decoder_new(schema, &fresh) == 0);
		memcpy(exact, bytes + at, length);
		decode(learned, schema, exact, length, &rows[0]);
		decode(fresh, schema, exact, length, &rows[1]);
		compare(&rows[0], &rows[1]);
		compare_marks(exact, length);
		json_decoder_free(fresh);
		free(exact);
		at += length + 1;
	}
	json_decoder_reset(learned);
	return 0;
}
