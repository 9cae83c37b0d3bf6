/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/duck/topics_impl.h"

/** What the named parameters ask for; as if absent: everything. */
struct bounds {
	bool is_bounded;
	int64_t from_offset, to_offset;
	int64_t since_ms, until_ms;
	uint32_t *partitions; /* [partition_count]; NULL: all */
	uint32_t partition_count;
};

static void free_table(void *argument)
{
	struct topics_table *table = argument;

	if (table == NULL)
		return;
	topicscan_close(table->own_scan);
	schema_free(table->own_schema);
	free(table);
}

static void free_tablep(struct topics_table **table)
{
	free_table(*table);
}

/* ---- parameters ---- */

/** @return a parameter that is given and not null, to be destroyed; NULL */
static duckdb_handle take_parameter(duckdb_handle info, const char *name)
{
	duckdb_handle value = duck_api.bind_get_named_parameter(info, name);

	if (value != NULL && duck_api.is_null_value(value))
		duck_api.destroy_value(&value);
	return value;
}

static void read_number(duckdb_handle info, const char *name, bool is_time, int64_t *number,
			bool *is_bounded)
{
	duckdb_handle value = take_parameter(info, name);
	int64_t micros;

	if (value == NULL)
		return;
	*is_bounded = true;
	if (is_time) {
		/* The records' times are whole milliseconds: up, for `at or after` and for `before`. */
		micros = duck_api.get_timestamp_tz(value);
		*number = micros / 1000 + (micros % 1000 > 0);
	} else {
		*number = duck_api.get_int64(value);
	}
	duck_api.destroy_value(&value);
}

static int read_partitions(duckdb_handle info, struct bounds *bounds)
{
	duckdb_handle list = take_parameter(info, "partitions");
	uint64_t count;

	if (list == NULL)
		return 0;
	bounds->is_bounded = true;
	count = duck_api.get_list_size(list);
	bounds->partitions = calloc(count + 1, sizeof(*bounds->partitions));
	for (uint64_t i = 0; i < count && bounds->partitions != NULL; i++) {
		duckdb_handle item = duck_api.get_list_child(list, i);
		const uint32_t partition = (uint32_t)duck_api.get_int32(item);
		bool is_new = true;

		duck_api.destroy_value(&item);
		for (uint32_t j = 0; j < bounds->partition_count; j++)
			is_new &= bounds->partitions[j] != partition;
		if (is_new)
			bounds->partitions[bounds->partition_count++] = partition;
	}
	duck_api.destroy_value(&list);
	return bounds->partitions != NULL ? 0 : -ENOMEM;
}

static int read_columns(duckdb_handle info, struct topics_table *table, char *reterr, size_t size)
{
	duckdb_handle value = take_parameter(info, "columns");
	json_t *columns;
	char *text;
	int error;

	if (value == NULL)
		return 0;
	text = duck_api.get_varchar(value);
	duck_api.destroy_value(&value);
	columns = json_loads(text != NULL ? text : "", JSON_REJECT_DUPLICATES, NULL);
	duck_api.free(text);
	if (columns == NULL) {
		(void)snprintf(reterr, size,
			       "topic(): columns := is not JSON; write columns := '{\"year\": "
			       "\"integer\", \"carrier\": \"string\"}'");
		return ERR_CONFIG;
	}
	error = schema_parse(columns, &table->own_schema, reterr, size);
	json_decref(columns);
	table->schema = table->own_schema;
	return error;
}

/* ---- the scan ---- */

static bool is_wanted(const struct bounds *bounds, uint32_t partition)
{
	if (bounds->partitions == NULL)
		return true;
	for (uint32_t i = 0; i < bounds->partition_count; i++)
		if (bounds->partitions[i] == partition)
			return true;
	return false;
}

/**
 * Ranges of `whole` cut to the bounds. A partition that is not wanted at all stays as an empty range, as a
 * request without ranges would mean the whole topic.
 */
static int cut_ranges(const struct topicscan *whole, const struct bounds *bounds,
		      struct topicscan_range **ret_ranges, uint32_t *ret_count)
{
	uint32_t count;
	const struct topicscan_range *from = topicscan_ranges(whole, &count);
	struct topicscan_range *ranges = calloc(count + 1, sizeof(*ranges));

	if (ranges == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		ranges[i] = from[i];
		if (!is_wanted(bounds, from[i].partition))
			ranges[i].end = ranges[i].begin;
		ranges[i].begin = MIN(MAX(ranges[i].begin, bounds->from_offset), ranges[i].end);
		ranges[i].end = MAX(MIN(ranges[i].end, bounds->to_offset), ranges[i].begin);
	}
	*ret_ranges = ranges;
	*ret_count = count;
	return 0;
}

static int check_partitions(const struct topicscan *whole, const char *topic,
			    const struct bounds *bounds, char *reterr, size_t reterr_size)
{
	const uint32_t count = topicscan_partition_count(whole);

	for (uint32_t i = 0; i < bounds->partition_count; i++) {
		if (bounds->partitions[i] < count)
			continue;
		(void)snprintf(reterr, reterr_size, "%s has no partition %d, only 0 to %d", topic,
			       (int)bounds->partitions[i], (int)count - 1);
		return ERR_CONFIG;
	}
	return 0;
}

/** The topic as declared: opened once, or, if it is not declared, for this table alone. */
static int open_whole(struct topics_table *table, struct topics_entry *entry, char *reterr,
		      size_t reterr_size)
{
	const struct topicscan_request request = {
		.log_dir = table->topics->log_dir,
		.table = table->topics->table,
		.topic = table->name,
		.ranges = entry != NULL ? entry->ranges : NULL,
		.range_count = entry != NULL ? entry->range_count : 0,
		.since_ms = INT64_MIN,
		.until_ms = INT64_MAX,
	};
	struct topicscan **slot = entry != NULL ? &entry->scan : &table->own_scan;
	int error = 0;

	if (request.table == NULL) {
		(void)snprintf(reterr, reterr_size,
			       "topic(): no box is running on this data directory; start it with "
			       "millrace up");
		return ERR_OFFLINE;
	}
	if (*slot == NULL)
		error = topicscan_open(&request, slot, reterr, reterr_size);
	table->scan = *slot;
	return error;
}

static int open_bounded(struct topics_table *table, const struct bounds *bounds, char *reterr,
			size_t reterr_size)
{
	struct topicscan_request request = {
		.log_dir = table->topics->log_dir,
		.table = table->topics->table,
		.topic = table->name,
		.since_ms = bounds->since_ms,
		.until_ms = bounds->until_ms,
	};
	struct topicscan_range *ranges = NULL;
	struct topicscan *scan = NULL;
	int error = check_partitions(table->scan, table->name, bounds, reterr, reterr_size);

	if (error == 0)
		error = cut_ranges(table->scan, bounds, &ranges, &request.range_count);
	request.ranges = ranges;
	if (error == 0)
		error = topicscan_open(&request, &scan, reterr, reterr_size);
	free(ranges);
	if (error != 0)
		return error;
	topicscan_close(table->own_scan);
	table->own_scan = scan;
	table->scan = scan;
	return 0;
}

static int open_scan(duckdb_handle info, struct topics_table *table, char *reterr,
		     size_t reterr_size)
{
	struct topics_entry *entry = topics_find(table->topics, table->name);
	struct bounds bounds = { .to_offset = INT64_MAX,
				 .since_ms = INT64_MIN,
				 .until_ms = INT64_MAX };
	int error = read_partitions(info, &bounds);

	if (entry != NULL) {
		table->schema = entry->schema;
		table->keep_bad = entry->keep_bad;
	}
	read_number(info, "from_offset", false, &bounds.from_offset, &bounds.is_bounded);
	read_number(info, "to_offset", false, &bounds.to_offset, &bounds.is_bounded);
	read_number(info, "from_timestamp", true, &bounds.since_ms, &bounds.is_bounded);
	read_number(info, "to_timestamp", true, &bounds.until_ms, &bounds.is_bounded);
	if (error == 0)
		error = read_columns(info, table, reterr, reterr_size);
	if (error == 0)
		error = open_whole(table, entry, reterr, reterr_size);
	if (error == 0 && bounds.is_bounded)
		error = open_bounded(table, &bounds, reterr, reterr_size);
	free(bounds.partitions);
	return error;
}

/* ---- columns ---- */

static duckdb_handle make_type(const struct schema_field *field)
{
	static const int types[] = {
		[COLUMN_BOOLEAN] = DUCKDB_BOOLEAN, [COLUMN_INTEGER] = DUCKDB_INTEGER,
		[COLUMN_LONG] = DUCKDB_BIGINT,     [COLUMN_DOUBLE] = DUCKDB_DOUBLE,
		[COLUMN_STRING] = DUCKDB_VARCHAR,  [COLUMN_BINARY] = DUCKDB_BLOB,
		[COLUMN_DATE] = DUCKDB_DATE,       [COLUMN_TIMESTAMP] = DUCKDB_TIMESTAMP_TZ,
	};

	if (field->type == COLUMN_DECIMAL)
		return duck_api.create_decimal_type(field->precision, field->scale);
	return duck_api.create_logical_type(types[field->type]);
}

static void add_column(duckdb_handle info, const char *name, duckdb_handle type)
{
	duck_api.bind_add_result_column(info, name, type);
	duck_api.destroy_logical_type(&type);
}

static void add_columns(duckdb_handle info, const struct schema *schema)
{
	duckdb_handle text = duck_api.create_logical_type(DUCKDB_VARCHAR);
	duckdb_handle bytes = duck_api.create_logical_type(DUCKDB_BLOB);

	add_column(info, "offset", duck_api.create_logical_type(DUCKDB_BIGINT));
	add_column(info, "partition", duck_api.create_logical_type(DUCKDB_INTEGER));
	add_column(info, "timestamp", duck_api.create_logical_type(DUCKDB_TIMESTAMP_TZ));
	duck_api.bind_add_result_column(info, "topic", text);
	duck_api.bind_add_result_column(info, "key", bytes);
	add_column(info, "headers", duck_api.create_map_type(text, bytes));
	duck_api.bind_add_result_column(info, "value", bytes);
	duck_api.destroy_logical_type(&text);
	duck_api.destroy_logical_type(&bytes);
	for (uint32_t i = 0; schema != NULL && i < schema->count; i++)
		add_column(info, schema->fields[i].name, make_type(&schema->fields[i]));
}

static int read_name(duckdb_handle info, struct topics_table *table)
{
	duckdb_handle value = duck_api.bind_get_parameter(info, 0);
	char *name = duck_api.is_null_value(value) ? NULL : duck_api.get_varchar(value);
	const bool is_good = name != NULL && strlen(name) < sizeof(table->name);

	duck_api.destroy_value(&value);
	if (is_good)
		(void)snprintf(table->name, sizeof(table->name), "%s", name);
	duck_api.free(name);
	return is_good ? 0 : ERR_CONFIG;
}

void topics_bind(duckdb_handle info)
{
	struct topics *topics = duck_api.bind_get_extra_info(info);
	CLEANUP(free_tablep) struct topics_table *table = calloc(1, sizeof(*table));
	char text[TOPICS_SENTENCE_MAX] = "no memory for topic()";
	int error = -ENOMEM;

	if (table != NULL) {
		table->topics = topics;
		error = read_name(info, table);
		if (error != 0)
			(void)snprintf(text, sizeof(text), "topic(): a topic's name is wanted");
		else
			error = open_scan(info, table, text, sizeof(text));
	}
	if (error != 0) {
		topics_fail(topics, error, text);
		duck_api.bind_set_error(info, text);
		return;
	}
	add_columns(info, table->schema);
	duck_api.bind_set_cardinality(info, (uint64_t)topicscan_size(table->scan), false);
	duck_api.bind_set_bind_data(info, TAKE_PTR(table), free_table);
}
