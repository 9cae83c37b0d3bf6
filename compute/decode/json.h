/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * JSON records into columns, by a program compiled from the schema. The order of keys is predicted
 * from the record before; strings are named where they lie unless they hold escapes.
 *
 * All fields of the schema are judged, wanted or not, so that whether a record is bad does not depend
 * on what a query asks for. A record is one JSON object (RFC 8259) in UTF-8; of keys given twice
 * the last counts, though each must fit its column; keys outside the schema are passed over but must
 * be well formed. null is as absent, for json too; a path is absent where it meets no object.
 * Rules: integers must be integers in range; double takes any number; string takes a JSON string
 * only; date "YYYY-MM-DD"; timestamp RFC 3339 text (no zone: UTC; blank or T between) or a number of
 * milliseconds since 1970, in the years 0 to 9999; boolean true or false; decimal a number or text
 * without rounding.
 *
 * Context: one thread per decoder. Memory: heap; scratch for unescaped strings grows to what a chunk
 * of rows needs. Limits: nesting JSON_DEPTH_MAX; records up to 32 MiB.
 */
#pragma once

#include "compute/column.h"
#include "compute/decode/schema.h"

#define JSON_DEPTH_MAX 64

struct json_decoder;

/** Why a record is bad, for people. */
struct decode_error {
	uint32_t at;      /* byte of the record */
	char reason[160]; /* "dep_delay: string where integer is wanted"; UTF-8 */
};

/** @param schema  borrowed for life. @return 0; -ENOMEM */
NODISCARD int json_decoder_new(const struct schema *schema, struct json_decoder **ret_decoder);
void json_decoder_free(struct json_decoder *decoder);
DEFINE_CLEANUP(struct json_decoder, json_decoder_free);

/**
 * Decode one record into row `row`.
 *
 * @param text     [size] borrowed: strings of the columns point into it
 * @param columns  [schema->count]; validity bits must be set before; those without values are judged only
 * @return 0; ERR_MALFORMED the record is bad, the row's cells are undefined; -ENOMEM
 */
NODISCARD int json_decoder_row(struct json_decoder *decoder, const uint8_t *text, uint32_t size,
			       struct column *columns, uint32_t row,
			       struct decode_error *ret_error);

/** Forget the unescaped strings of the rows so far: call when a chunk has been handed on. */
void json_decoder_reset(struct json_decoder *decoder);
