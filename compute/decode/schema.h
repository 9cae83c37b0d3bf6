/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The columns that a topic's records are decoded into, as a manifest declares them:
 *
 *   {"year": "integer", "tailnum": "string", "price": "decimal(10,2)",
 *    "id": {"type": "long", "required": true},
 *    "event_time": {"type": "timestamp", "from": "meta.timestamp"}}
 *
 * Types: boolean, integer, long, double, string, binary (base64 text), date, timestamp,
 * decimal(p,s), json (a string column that takes any JSON value as its text). `from` is the path of object
 * keys, dots between them; default: the column's name. A name that topic() has itself
 * (SCHEMA_RESERVED) is refused with the hint to use another name and `from`.
 *
 * Context: set-up; afterwards read by any thread. Memory: heap. Limits: COLUMN_MAX columns,
 * SCHEMA_DEPTH_MAX keys in a path.
 */
#pragma once

#include <jansson.h>

#include "compute/column.h"

#define SCHEMA_DEPTH_MAX 8
#define SCHEMA_RESERVED  "offset, partition, timestamp, topic, key, value, headers"

struct schema_field {
	char name[COLUMN_NAME_MAX];
	enum column_type type;
	uint8_t precision, scale; /* of a decimal */
	bool is_required;         /* null or absent makes the record bad */
	bool is_json;             /* any JSON value, kept as text */
	uint32_t depth;           /* keys of the path */
	char path[SCHEMA_DEPTH_MAX][COLUMN_NAME_MAX];
};

struct schema {
	uint32_t count;
	struct schema_field fields[]; /* [count] */
};

/**
 * @param columns      JSON object as above; borrowed
 * @param[out] reterr  [reterr_size] which column is wrong, how, and what is allowed
 * @return 0; ERR_CONFIG; -ENOMEM
 */
NODISCARD int schema_parse(const json_t *columns, struct schema **ret_schema, char *reterr,
			   size_t reterr_size);
void schema_free(struct schema *schema);
DEFINE_CLEANUP(struct schema, schema_free);

/** @return SQL type of a field, "DECIMAL(10,2)", into ret [size] */
const char *schema_sql_type(const struct schema_field *field, char *ret, size_t size);
