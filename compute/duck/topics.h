/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * `topic('raw.flights')`: a topic as a table in SQL.
 *
 * Columns: offset BIGINT, partition INTEGER, timestamp TIMESTAMPTZ, topic VARCHAR, key BLOB,
 * headers MAP(VARCHAR, BLOB), value BLOB, and, when columns are declared for the topic, one more
 * for each. Named parameters bound what is read: partitions := [0, 2], from_offset := , to_offset :=
 * (each partition), from_timestamp := , to_timestamp := , columns := '{"year": "integer"}' (JSON as in
 * schema.h; in place of what was declared). Only the columns that a query needs are decoded.
 *
 * Bytes that are not UTF-8 in the key of a header become U+FFFD. Of headers with the same key the last counts.
 *
 * A bad record of a topic with declared columns fails the query, or is kept aside
 * when its topic was declared with `keep_bad`; topics_bad() then has it.
 *
 * Context: as duck.h. Memory: kept-aside records are copied, up to TOPICS_BAD_MAX bytes, then the query fails.
 */
#pragma once

#include <jansson.h>

#include "compute/duck/duck.h"
#include "compute/scan/topicscan.h"

#define TOPICS_BAD_MAX (256U << 20)

/** What topic() may see in one instance. */
struct topics_config {
	const char *log_dir;
	const struct partitions *table; /* borrowed until duck_close(); NULL: no box is running */
};

/** Make topic() known to the instance. @return 0; -ENOMEM; ERR_UNSUPPORTED */
NODISCARD int topics_register(struct duck *duck, const struct topics_config *config);

/** What is known of a topic besides its name; zero: nothing. */
struct topics_declaration {
	const json_t *columns; /* as in schema.h; NULL: none declared */
	const struct topicscan_range
		*ranges;      /* [range_count] what every topic() of this name reads */
	uint32_t range_count; /* 0: all up to the watermark */
	bool keep_bad;        /* keep bad records aside instead of failing */
};

/**
 * Declare a topic for this instance, in place of what was declared before.
 *
 * @param declaration  copied
 * @return 0; ERR_CONFIG with reterr; -ENOMEM
 */
NODISCARD int topics_declare(struct duck *duck, const char *topic,
			     const struct topics_declaration *declaration, char *reterr,
			     size_t reterr_size);

/**
 * The same scan for several statements: a declared topic is opened at its first use and held (lease, files)
 * until topics_release() or duck_close(), as strings of its records may be in the engine's hands.
 */
void topics_release(struct duck *duck);

/** @return what kept topic() from reading in the last statement: ERR_RETENTION, ERR_UNKNOWN, ...; 0: nothing */
int topics_failure(const struct duck *duck);

/** A record that was kept aside. Strings are the instance's until duck_close(). */
struct topics_bad {
	const char *topic;
	uint32_t partition;
	int64_t offset;
	int64_t timestamp_ms;
	const uint8_t *value; /* [value_size] */
	uint32_t value_size;
	const char *reason;
};

/** @return those kept aside so far, sorted, each (topic, partition, offset) once; valid until the next statement */
const struct topics_bad *topics_bad(struct duck *duck, uint32_t *ret_count);

/** Counted since the instance was opened, readable from any thread. */
struct topics_progress {
	int64_t records, bytes, bad;
	int64_t records_total; /* of the scans opened so far */
};
struct topics_progress topics_progress(const struct duck *duck);
