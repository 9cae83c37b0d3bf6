/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of any type is DuckDB's own cast: the present chunk is handed to it again by a table function,
 * on a connection of its own, so nested types, decimals and time zones look as in SQL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/duck/duck_impl.h"

#define FUNCTION "millrace_result"

struct duck_result {
	struct duck *duck;
	struct duckdb_result result;
	uint32_t columns;
	uint32_t rows; /* of chunk */
	duckdb_handle chunk;
	duckdb_handle texts; /* chunk as text; NULL: not needed so far */
	char **types;        /* [columns] NULL: not asked for so far */
	bool is_handed;      /* chunk was given to the function */
	bool is_failed;      /* chunk could not be cast */
	char error[DUCK_ERROR_MAX];
};

/* ---- the function ---- */

static void present_bind(duckdb_handle info)
{
	const struct duck *duck = duck_api.bind_get_extra_info(info);
	struct duck_result *result = duck->shown;

	if (result == NULL) {
		duck_api.bind_set_error(info, FUNCTION "() is for the program itself");
		return;
	}
	for (uint32_t i = 0; i < result->columns; i++) {
		duckdb_handle type = duck_api.column_logical_type(&result->result, i);
		char name[16];

		(void)snprintf(name, sizeof(name), "c%u", i);
		duck_api.bind_add_result_column(info, name, type);
		duck_api.destroy_logical_type(&type);
	}
}

static void present_init(duckdb_handle info)
{
	duck_api.init_set_max_threads(info, 1);
}

static void present(duckdb_handle info, duckdb_handle output)
{
	const struct duck *duck = duck_api.function_get_extra_info(info);
	struct duck_result *result = duck->shown;

	if (result == NULL || result->is_handed || result->chunk == NULL) {
		duck_api.data_chunk_set_size(output, 0);
		return;
	}
	for (uint32_t i = 0; i < result->columns; i++)
		duck_api.vector_reference_vector(duck_api.data_chunk_get_vector(output, i),
						 duck_api.data_chunk_get_vector(result->chunk, i));
	duck_api.data_chunk_set_size(output, result->rows);
	result->is_handed = true;
}

int duck_result_register(struct duck *duck)
{
	duckdb_handle function = duck_api.create_table_function();
	int error;

	duck_api.table_function_set_name(function, FUNCTION);
	duck_api.table_function_set_extra_info(function, duck, NULL);
	duck_api.table_function_set_bind(function, present_bind);
	duck_api.table_function_set_init(function, present_init);
	duck_api.table_function_set_function(function, present);
	error = duck_api.register_table_function(duck->side, function);
	duck_api.destroy_table_function(&function);
	return error == 0 ? 0 : ERR_UNSUPPORTED;
}

/** Run one query on the side with the result on show. @return whether it succeeded, else result->error */
static bool run_aside(struct duck_result *result, const char *sql, struct duckdb_result *ret_query)
{
	struct duck *duck = result->duck;
	bool is_good;

	memset(ret_query, 0, sizeof(*ret_query));
	duck->shown = result;
	result->is_handed = false;
	is_good = duck_api.query(duck->side, sql, ret_query) == 0;
	duck->shown = NULL;
	if (!is_good) {
		const char *message = duck_api.result_error(ret_query);

		(void)snprintf(result->error, sizeof(result->error), "(not shown: %s)",
			       message != NULL ? message : "no memory");
		duck_api.destroy_result(ret_query);
	}
	return is_good;
}

/* ---- life ---- */

struct duck_result *duck_result_new(struct duck *duck, struct duckdb_result *result)
{
	struct duck_result *made = calloc(1, sizeof(*made));

	if (made == NULL) {
		duck_api.destroy_result(result);
		return NULL;
	}
	made->duck = duck;
	made->result = *result;
	made->columns = (uint32_t)duck_api.column_count(result);
	return made;
}

static void drop_chunk(struct duck_result *result)
{
	if (result->texts != NULL)
		duck_api.destroy_data_chunk(&result->texts);
	if (result->chunk != NULL)
		duck_api.destroy_data_chunk(&result->chunk);
	result->rows = 0;
	result->is_failed = false;
}

void duck_result_free(struct duck_result *result)
{
	if (result == NULL)
		return;
	drop_chunk(result);
	for (uint32_t i = 0; i < result->columns && result->types != NULL; i++)
		free(result->types[i]);
	free(result->types);
	duck_api.destroy_result(&result->result);
	free(result);
}

/* ---- columns ---- */

uint32_t duck_result_columns(const struct duck_result *result)
{
	return result->columns;
}

/** DuckDB's readers take a result that is not const, and leave it as it is. */
static struct duckdb_result *inside(const struct duck_result *result)
{
	return &((struct duck_result *)(uintptr_t)result)->result;
}

const char *duck_result_name(const struct duck_result *result, uint32_t column)
{
	const char *name = duck_api.column_name(inside(result), column);

	return name != NULL ? name : "";
}

static void find_types(struct duck_result *result)
{
	struct duckdb_result query;
	duckdb_handle chunk;
	uint32_t done = 0;

	result->types = calloc(result->columns, sizeof(*result->types));
	if (result->types == NULL ||
	    !run_aside(result, "SELECT column_type FROM (DESCRIBE FROM " FUNCTION "())", &query))
		return;
	while ((chunk = duck_api.fetch_chunk(query)) != NULL) {
		const struct column_string *names =
			duck_api.vector_get_data(duck_api.data_chunk_get_vector(chunk, 0));
		const uint64_t rows = duck_api.data_chunk_get_size(chunk);

		for (uint64_t i = 0; i < rows && done < result->columns; i++)
			result->types[done++] =
				strndup(column_string_bytes(&names[i]), names[i].size);
		duck_api.destroy_data_chunk(&chunk);
	}
	duck_api.destroy_result(&query);
}

const char *duck_result_type(const struct duck_result *result, uint32_t column)
{
	struct duck_result *self = (struct duck_result *)(uintptr_t)result;

	if (self->types == NULL)
		find_types(self);
	return self->types != NULL && self->types[column] != NULL ? self->types[column] : "UNKNOWN";
}

int64_t duck_result_changed(const struct duck_result *result)
{
	return (int64_t)duck_api.rows_changed(inside(result));
}

/* ---- values ---- */

uint32_t duck_result_chunk(struct duck_result *result)
{
	drop_chunk(result);
	result->chunk = duck_api.fetch_chunk(result->result);
	if (result->chunk != NULL)
		result->rows = (uint32_t)duck_api.data_chunk_get_size(result->chunk);
	return result->rows;
}

static bool is_null_in(duckdb_handle vector, uint32_t row)
{
	const uint64_t *validity = duck_api.vector_get_validity(vector);

	return validity != NULL && (validity[row / 64] >> (row % 64) & 1) == 0;
}

bool duck_result_is_null(struct duck_result *result, uint32_t column, uint32_t row)
{
	CHECK(column < result->columns && row < result->rows);
	return is_null_in(duck_api.data_chunk_get_vector(result->chunk, column), row);
}

static void cast_chunk(struct duck_result *result)
{
	struct duckdb_result query;

	result->is_failed = true;
	if (!run_aside(result, "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM " FUNCTION "()", &query))
		return;
	result->texts = duck_api.fetch_chunk(query);
	if (result->texts != NULL && duck_api.data_chunk_get_size(result->texts) == result->rows)
		result->is_failed = false;
	else
		(void)snprintf(result->error, sizeof(result->error), "(not shown)");
	duck_api.destroy_result(&query);
}

const char *duck_result_text(struct duck_result *result, uint32_t column, uint32_t row,
			     size_t *ret_size)
{
	const struct column_string *string;
	duckdb_handle chunk = result->chunk;

	if (duck_result_is_null(result, column, row))
		return NULL;
	if (duck_api.column_type(&result->result, column) != DUCKDB_VARCHAR) {
		if (result->texts == NULL && !result->is_failed)
			cast_chunk(result);
		if (result->is_failed) {
			*ret_size = strlen(result->error);
			return result->error;
		}
		chunk = result->texts;
	}
	string = duck_api.vector_get_data(duck_api.data_chunk_get_vector(chunk, column));
	string += row;
	*ret_size = string->size;
	return column_string_bytes(string);
}

int64_t duck_result_integer(struct duck_result *result, uint32_t column, uint32_t row)
{
	const void *data;

	if (duck_result_is_null(result, column, row))
		return 0;
	data = duck_api.vector_get_data(duck_api.data_chunk_get_vector(result->chunk, column));
	switch (duck_api.column_type(&result->result, column)) {
	case DUCKDB_BOOLEAN:
	case DUCKDB_UTINYINT:
		return ((const uint8_t *)data)[row];
	case DUCKDB_TINYINT:
		return ((const int8_t *)data)[row];
	case DUCKDB_SMALLINT:
		return ((const int16_t *)data)[row];
	case DUCKDB_USMALLINT:
		return ((const uint16_t *)data)[row];
	case DUCKDB_INTEGER:
		return ((const int32_t *)data)[row];
	case DUCKDB_UINTEGER:
		return ((const uint32_t *)data)[row];
	case DUCKDB_BIGINT:
	case DUCKDB_UBIGINT:
		return ((const int64_t *)data)[row];
	case DUCKDB_HUGEINT: /* sums are of this type */
		return ((const int64_t *)data)[2 * (size_t)row];
	default:
		return 0;
	}
}
