/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records into vectors. Strings of mapped records are named where they lie, as the scan outlives the
 * statement; all others (decompressed, unescaped) are copied into the vector.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include "compute/decode/unicode.h"
#include "compute/duck/topics_impl.h"

#define HEADERS_MAX   1000                      /* of a record: they are compared with each other */
#define TIMESTAMP_MAX INT64_C(9223371331200000) /* ms; both ways: what a TIMESTAMPTZ can hold */
#define NOT_ASKED     UINT32_MAX

/** A scan under way, shared by its threads. */
struct scan {
	const struct topics_table *table;
	struct topicscan *cursor;
	uint32_t column_count;
	uint32_t columns[]; /* [column_count] of the table, in the order of the output */
};

struct header_key {
	const uint8_t *bytes;
	uint32_t size;
	uint64_t at; /* in the vector of keys */
};

/** A thread of it. */
struct local {
	struct scan *scan; /* NULL: the rest is still to be made */
	const struct schema *schema;
	struct topicscan_reader *reader;
	struct json_decoder *decoder;
	uint32_t asked[TOPICS_OWN_COUNT];        /* column of the output, or NOT_ASKED */
	duckdb_handle vectors[TOPICS_OWN_COUNT]; /* of the present chunk; NULL: not asked for */
	void *data[TOPICS_OWN_COUNT];
	uint64_t *validity[TOPICS_OWN_COUNT];
	struct column *columns;  /* [schema->count] */
	duckdb_handle *fields;   /* [schema->count] their vectors; NULL: not asked for */
	int64_t **wide;          /* [schema->count] decimals that DuckDB stores in less; or NULL */
	uint64_t header_count;   /* in this chunk so far */
	struct header_key *keys; /* [HEADERS_MAX] of the record at hand */
	uint8_t *mended;         /* [mended_room] a key made UTF-8 */
	size_t mended_room;
	char text[TOPICS_SENTENCE_MAX];
};

/* ---- life ---- */

static void free_scan(void *argument)
{
	struct scan *scan = argument;

	topicscan_close(scan->cursor);
	free(scan);
}

void topics_init(duckdb_handle info)
{
	const struct topics_table *table = duck_api.init_get_bind_data(info);
	const uint32_t count = (uint32_t)duck_api.init_get_column_count(info);
	struct scan *scan = calloc(1, sizeof(*scan) + count * sizeof(scan->columns[0]));

	if (scan == NULL || topicscan_again(table->scan, &scan->cursor) != 0) {
		free(scan);
		topics_fail(table->topics, -ENOMEM, "no memory for topic()");
		duck_api.init_set_error(info, "no memory for topic()");
		return;
	}
	scan->table = table;
	scan->column_count = count;
	for (uint32_t i = 0; i < count; i++)
		scan->columns[i] = (uint32_t)duck_api.init_get_column_index(info, i);
	(void)atomic_fetch_add(&table->topics->records_total, topicscan_size(scan->cursor));
	duck_api.init_set_max_threads(info, MAX(topicscan_extent_count(scan->cursor), 1U));
	duck_api.init_set_init_data(info, scan, free_scan);
}

static void free_local(void *argument)
{
	struct local *local = argument;
	const struct schema *schema = local->schema;

	topicscan_reader_free(local->reader);
	json_decoder_free(local->decoder);
	for (uint32_t i = 0; schema != NULL && i < schema->count && local->wide != NULL; i++)
		free(local->wide[i]);
	free(local->wide);
	free(local->columns);
	free(local->fields);
	free(local->keys);
	free(local->mended);
	free(local);
}

static bool is_narrow(const struct schema_field *field)
{
	return field->type == COLUMN_DECIMAL && field->precision <= 9;
}

static int make_decoder(struct local *local, const struct schema *schema)
{
	local->columns = calloc(schema->count + 1, sizeof(*local->columns));
	local->fields = calloc(schema->count + 1, sizeof(*local->fields));
	local->wide = calloc(schema->count + 1, sizeof(*local->wide));
	if (local->columns == NULL || local->fields == NULL || local->wide == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < schema->count; i++) {
		local->columns[i].type = schema->fields[i].type;
		if (is_narrow(&schema->fields[i]))
			local->wide[i] = calloc(COLUMN_ROWS, sizeof(**local->wide));
		if (is_narrow(&schema->fields[i]) && local->wide[i] == NULL)
			return -ENOMEM;
	}
	return json_decoder_new(schema, &local->decoder);
}

void topics_init_local(duckdb_handle info)
{
	const struct topics_table *table = duck_api.init_get_bind_data(info);
	struct local *local = calloc(1, sizeof(*local));

	/* What is missing is made by the first fill: only that sees the scan. */
	if (local == NULL) {
		topics_fail(table->topics, -ENOMEM, "no memory for topic()");
		duck_api.init_set_error(info, "no memory for topic()");
		return;
	}
	duck_api.init_set_init_data(info, local, free_local);
}

static int make_local(struct local *local, struct scan *scan)
{
	const struct schema *schema = scan->table->schema;
	int error;

	local->schema = schema;
	for (uint32_t i = 0; i < TOPICS_OWN_COUNT; i++)
		local->asked[i] = NOT_ASKED;
	for (uint32_t i = 0; i < scan->column_count; i++)
		if (scan->columns[i] < TOPICS_OWN_COUNT)
			local->asked[scan->columns[i]] = i;
	if (local->asked[TOPICS_HEADERS] != NOT_ASKED)
		local->keys = calloc(HEADERS_MAX, sizeof(*local->keys));
	if (local->asked[TOPICS_HEADERS] != NOT_ASKED && local->keys == NULL)
		return -ENOMEM;
	error = schema != NULL ? make_decoder(local, schema) : 0;
	if (error == 0)
		error = topicscan_reader_new(scan->cursor, &local->reader);
	if (error == 0)
		local->scan = scan;
	return error;
}

/* ---- a chunk ---- */

static uint64_t *writable_validity(duckdb_handle vector)
{
	duck_api.vector_ensure_validity_writable(vector);
	return duck_api.vector_get_validity(vector);
}

static void begin_chunk(struct local *local, duckdb_handle chunk)
{
	const struct scan *scan = local->scan;
	const struct schema *schema = scan->table->schema;

	for (uint32_t i = 0; i < TOPICS_OWN_COUNT; i++) {
		if (local->asked[i] == NOT_ASKED)
			continue;
		local->vectors[i] = duck_api.data_chunk_get_vector(chunk, local->asked[i]);
		local->data[i] = duck_api.vector_get_data(local->vectors[i]);
		if (i == TOPICS_TIMESTAMP || i == TOPICS_KEY || i == TOPICS_VALUE)
			local->validity[i] = writable_validity(local->vectors[i]);
	}
	local->header_count = 0;
	for (uint32_t i = 0; i < scan->column_count && schema != NULL; i++) {
		const uint32_t field = scan->columns[i] - TOPICS_OWN_COUNT;

		if (scan->columns[i] < TOPICS_OWN_COUNT || field >= schema->count)
			continue;
		local->fields[field] = duck_api.data_chunk_get_vector(chunk, i);
		local->columns[field].validity = writable_validity(local->fields[field]);
		local->columns[field].values =
			local->wide[field] != NULL ? (void *)local->wide[field]
						   : duck_api.vector_get_data(local->fields[field]);
	}
}

static void narrow(const struct schema_field *field, const int64_t *wide, void *data, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++)
		if (field->precision <= 4)
			((int16_t *)data)[i] = (int16_t)wide[i];
		else
			((int32_t *)data)[i] = (int32_t)wide[i];
}

static void end_chunk(struct local *local, duckdb_handle chunk, uint32_t rows)
{
	const struct schema *schema = local->scan->table->schema;

	for (uint32_t i = 0; schema != NULL && i < schema->count; i++)
		if (local->wide[i] != NULL && local->fields[i] != NULL)
			narrow(&schema->fields[i], local->wide[i],
			       duck_api.vector_get_data(local->fields[i]), rows);
	if (local->decoder != NULL)
		json_decoder_reset(local->decoder);
	duck_api.data_chunk_set_size(chunk, rows);
}

static void set_validity(uint64_t *validity, uint64_t row, bool is_valid)
{
	const uint64_t bit = UINT64_C(1) << (row % 64);

	validity[row / 64] = is_valid ? validity[row / 64] | bit : validity[row / 64] & ~bit;
}

/** Name bytes that stay, copy others. */
static void put_bytes(duckdb_handle vector, struct column_string *cell, uint64_t row,
		      const uint8_t *bytes, uint32_t size, bool stays)
{
	if (stays || size <= COLUMN_INLINE_MAX)
		column_string_set(cell, (const char *)bytes, size);
	else
		duck_api.unsafe_vector_assign_string_element_len(vector, row, (const char *)bytes,
								 size);
}

static void put_blob(struct local *local, enum topics_own own, uint32_t row,
		     const struct topicscan_record *record)
{
	const uint8_t *bytes = own == TOPICS_KEY ? record->key : record->value;
	const int32_t size = own == TOPICS_KEY ? record->key_size : record->value_size;

	if (bytes == NULL)
		set_validity(local->validity[own], row, false);
	else
		put_bytes(local->vectors[own], (struct column_string *)local->data[own] + row, row,
			  bytes, (uint32_t)size, record->is_mapped);
}

/* ---- headers ---- */

/** Replace what is not UTF-8, so that DuckDB never sees it. @return -ENOMEM */
static int mend(struct local *local, const uint8_t **bytes, uint32_t *size)
{
	static const uint8_t replacement[] = { 0xef, 0xbf, 0xbd };
	size_t good = unicode_check(*bytes, *size);
	const uint8_t *at = *bytes, *end = at + *size;
	size_t used = 0;

	if (good == *size)
		return 0;
	if (local->mended_room < sizeof(replacement) * *size) {
		const size_t room = sizeof(replacement) * *size;
		uint8_t *grown = realloc(local->mended, room);

		if (grown == NULL)
			return -ENOMEM;
		local->mended = grown;
		local->mended_room = room;
	}
	while (at < end) {
		memcpy(local->mended + used, at, good);
		used += good;
		at += good;
		if (at == end)
			break;
		memcpy(local->mended + used, replacement, sizeof(replacement));
		used += sizeof(replacement);
		at++;
		good = unicode_check(at, (size_t)(end - at));
	}
	*bytes = local->mended;
	*size = (uint32_t)used;
	return 0;
}

/** @return the slot of a key: that of an equal one before it, or a new one; NULL: too many */
static struct header_key *find_key(struct local *local, uint32_t *count, const uint8_t *bytes,
				   uint32_t size)
{
	struct header_key *key = local->keys;

	for (uint32_t i = 0; i < *count; i++, key++)
		if (key->size == size && memcmp(key->bytes, bytes, size) == 0)
			return key;
	*key = (struct header_key){ bytes, size, local->header_count + *count };
	(*count)++;
	return key;
}

static int put_header(struct local *local, const struct header_key *key, const uint8_t *value,
		      int32_t value_size, bool stays)
{
	duckdb_handle entries = duck_api.list_vector_get_child(local->vectors[TOPICS_HEADERS]);
	duckdb_handle names = duck_api.struct_vector_get_child(entries, 0);
	duckdb_handle values = duck_api.struct_vector_get_child(entries, 1);
	struct column_string *name_cells = duck_api.vector_get_data(names);
	struct column_string *value_cells = duck_api.vector_get_data(values);
	const uint8_t *name = key->bytes;
	uint32_t name_size = key->size;

	if (mend(local, &name, &name_size) != 0)
		return -ENOMEM;
	put_bytes(names, name_cells + key->at, key->at, name, name_size,
		  stays && name == key->bytes);
	set_validity(writable_validity(values), key->at, value != NULL);
	if (value != NULL)
		put_bytes(values, value_cells + key->at, key->at, value, (uint32_t)value_size,
			  stays);
	return 0;
}

static int put_headers(struct local *local, uint32_t row, const struct topicscan_record *record)
{
	struct duckdb_list_entry *entry =
		(struct duckdb_list_entry *)local->data[TOPICS_HEADERS] + row;
	struct reader reader;
	uint32_t count = 0;

	if (record->header_count > HEADERS_MAX) {
		(void)snprintf(local->text, sizeof(local->text),
			       "%s/%" PRIu32 ": the record at offset %" PRId64 " has %" PRId32
			       " headers; topic() shows up to %d: leave the column headers out",
			       local->scan->table->name, record->partition, record->offset,
			       record->header_count, HEADERS_MAX);
		return ERR_TOO_LARGE;
	}
	if (duck_api.list_vector_reserve(local->vectors[TOPICS_HEADERS],
					 local->header_count + (uint64_t)record->header_count) != 0)
		return -ENOMEM;
	reader_init(&reader, record->headers, record->headers_size);
	for (int32_t i = 0; i < record->header_count; i++) {
		const int32_t key_size = reader_varint(&reader);
		const uint8_t *key = reader_bytes(&reader, key_size > 0 ? (size_t)key_size : 0);
		const int32_t size = reader_varint(&reader);
		const uint8_t *value = reader_bytes(&reader, size > 0 ? (size_t)size : 0);
		int error;

		CHECK(reader.error == 0); /* the scan has read them before */
		error = put_header(local, find_key(local, &count, key, (uint32_t)key_size),
				   size < 0 ? NULL : value, size, record->is_mapped);
		if (error != 0)
			return error;
	}
	*entry = (struct duckdb_list_entry){ local->header_count, count };
	local->header_count += count;
	if (duck_api.list_vector_set_size(local->vectors[TOPICS_HEADERS], local->header_count) != 0)
		return -ENOMEM;
	return 0;
}

/* ---- rows ---- */

/** @return 0; an error with local->text */
static int put_own(struct local *local, uint32_t row, const struct topicscan_record *record)
{
	void **data = local->data;

	if (data[TOPICS_OFFSET] != NULL)
		((int64_t *)data[TOPICS_OFFSET])[row] = record->offset;
	if (data[TOPICS_PARTITION] != NULL)
		((int32_t *)data[TOPICS_PARTITION])[row] = (int32_t)record->partition;
	if (data[TOPICS_TIMESTAMP] != NULL) {
		const int64_t ms = record->timestamp_ms;

		if (ms == -1 || ms > TIMESTAMP_MAX || ms < -TIMESTAMP_MAX)
			set_validity(local->validity[TOPICS_TIMESTAMP], row, false);
		else
			((int64_t *)data[TOPICS_TIMESTAMP])[row] = ms * 1000;
	}
	if (data[TOPICS_TOPIC] != NULL)
		column_string_set((struct column_string *)data[TOPICS_TOPIC] + row,
				  local->scan->table->name,
				  (uint32_t)strlen(local->scan->table->name));
	if (data[TOPICS_KEY] != NULL)
		put_blob(local, TOPICS_KEY, row, record);
	if (data[TOPICS_VALUE] != NULL)
		put_blob(local, TOPICS_VALUE, row, record);
	return data[TOPICS_HEADERS] != NULL ? put_headers(local, row, record) : 0;
}

/** Copy strings of the row that do not lie in a mapped record. */
static void settle_strings(struct local *local, const struct schema *schema, uint32_t row,
			   const struct topicscan_record *record)
{
	const uintptr_t begin = (uintptr_t)record->value;

	for (uint32_t i = 0; i < schema->count; i++) {
		struct column *column = &local->columns[i];
		struct column_string *cell;
		uintptr_t at;

		if (column->values == NULL ||
		    (column->type != COLUMN_STRING && column->type != COLUMN_BINARY) ||
		    (column->validity[row / 64] >> (row % 64) & 1) == 0)
			continue;
		cell = (struct column_string *)column->values + row;
		if (cell->size <= COLUMN_INLINE_MAX)
			continue;
		at = (uintptr_t)cell->far.at;
		if (record->is_mapped && at >= begin && at - begin < (uintptr_t)record->value_size)
			continue;
		duck_api.unsafe_vector_assign_string_element_len(local->fields[i], row,
								 cell->far.at, cell->size);
	}
}

/** @return 0; ERR_CONFIG the query is to fail, local->text says why; -ENOMEM */
static int handle_bad(struct local *local, const struct topicscan_record *record,
		      const char *reason)
{
	const struct topics_table *table = local->scan->table;
	struct topics *topics = table->topics;
	int error;

	(void)atomic_fetch_add(&topics->bads, 1);
	if (!table->keep_bad) {
		(void)snprintf(
			local->text, sizeof(local->text),
			"%s/%" PRIu32 ": the record at offset %" PRId64
			" is bad: %s; name a quarantine table for the topic, or correct its columns",
			table->name, record->partition, record->offset, reason);
		return ERR_CONFIG;
	}
	if (atomic_load(&topics->duck->is_interrupted)) {
		(void)snprintf(local->text, sizeof(local->text), "the query was interrupted");
		return -EINTR;
	}
	error = topics_keep(topics, table->name, record, reason);
	if (error == ERR_TOO_LARGE)
		(void)snprintf(
			local->text, sizeof(local->text),
			"%s: more than %u MiB of bad records, the latest at partition %" PRIu32
			", offset %" PRId64 ": %s",
			table->name, TOPICS_BAD_MAX >> 20, record->partition, record->offset,
			reason);
	return error;
}

/** @return 1; 0 the record was kept aside; an error with local->text */
static int decode(struct local *local, uint32_t row, const struct topicscan_record *record)
{
	const struct schema *schema = local->scan->table->schema;
	struct decode_error why = { .reason = "the record has no value" };
	int error = ERR_MALFORMED;

	if (record->value != NULL)
		error = json_decoder_row(local->decoder, record->value,
					 (uint32_t)record->value_size, local->columns, row, &why);
	if (likely(error == 0)) {
		settle_strings(local, schema, row, record);
		return 1;
	}
	if (error != ERR_MALFORMED)
		return error;
	for (uint32_t i = 0; i < schema->count; i++)
		if (local->columns[i].validity != NULL)
			set_validity(local->columns[i].validity, row, true);
	return handle_bad(local, record, why.reason);
}

/** @return rows; an error with local->text */
static int fill(struct local *local)
{
	struct topics *topics = local->scan->table->topics;
	struct topicscan_record record;
	int64_t records = 0, bytes = 0;
	uint32_t row = 0;
	int result = 1;

	while (row < COLUMN_ROWS) {
		result = topicscan_next(local->reader, &record, local->text, sizeof(local->text));
		if (result <= 0)
			break;
		records++;
		bytes += record.value != NULL ? record.value_size : 0;
		if (local->decoder != NULL) {
			result = decode(local, row, &record);
			if (unlikely(result < 0))
				break;
			if (unlikely(result == 0))
				continue;
		}
		result = put_own(local, row, &record);
		if (unlikely(result < 0))
			break;
		row++;
	}
	(void)atomic_fetch_add(&topics->records, records);
	(void)atomic_fetch_add(&topics->bytes, bytes);
	return result < 0 ? result : (int)row;
}

void topics_fill(duckdb_handle info, duckdb_handle chunk)
{
	struct scan *scan = duck_api.function_get_init_data(info);
	struct local *local = duck_api.function_get_local_init_data(info);
	int result = 0;

	(void)snprintf(local->text, sizeof(local->text), "no memory for topic()");
	if (local->scan == NULL)
		result = make_local(local, scan);
	if (result == 0) {
		begin_chunk(local, chunk);
		result = fill(local);
		end_chunk(local, chunk, (uint32_t)MAX(result, 0));
	}
	if (result < 0) {
		topics_fail(scan->table->topics, result, local->text);
		duck_api.function_set_error(info, local->text);
	}
}
