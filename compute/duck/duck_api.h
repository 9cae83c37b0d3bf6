/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What we use of DuckDB's C API (v1), in our own words: opaque handles, the few structs that are passed
 * by value, and a table of functions that duck_load() fills by name. A function is here without its
 * prefix: duck_api.query is duckdb_query.
 *
 * Context: any thread after duck_load(). Memory: none of our own; what the library hands out is freed
 * with its own free or destroy.
 */
#pragma once

#include "base/defs.h"

typedef struct duckdb_opaque *duckdb_handle; /* database, connection, vector, chunk, ... */

enum duckdb_type {
	DUCKDB_BOOLEAN = 1,
	DUCKDB_TINYINT = 2,
	DUCKDB_SMALLINT = 3,
	DUCKDB_INTEGER = 4,
	DUCKDB_BIGINT = 5,
	DUCKDB_UTINYINT = 6,
	DUCKDB_USMALLINT = 7,
	DUCKDB_UINTEGER = 8,
	DUCKDB_UBIGINT = 9,
	DUCKDB_DOUBLE = 11,
	DUCKDB_DATE = 13,
	DUCKDB_HUGEINT = 16,
	DUCKDB_VARCHAR = 17,
	DUCKDB_BLOB = 18,
	DUCKDB_TIMESTAMP_TZ = 31,
};

/** A finished query; only the last member means anything, but the size counts. */
struct duckdb_result {
	uint64_t retired_counts[3];
	void *retired_pointers[2];
	void *inside;
};

struct duckdb_list_entry {
	uint64_t offset, length; /* of the child vector */
};

typedef void (*duckdb_delete_fn)(void *data);
typedef void (*duckdb_info_fn)(duckdb_handle info);
typedef void (*duckdb_fill_fn)(duckdb_handle info, duckdb_handle chunk);

/* X(result, name, parameters). Functions that return int: 0 is success. */
#define DUCK_API(X)                                                                                \
	X(const char *, library_version, (void))                                                   \
	X(void, free, (void *memory))                                                              \
	X(int, create_config, (duckdb_handle * config))                                            \
	X(int, set_config, (duckdb_handle config, const char *name, const char *value))            \
	X(void, destroy_config, (duckdb_handle * config))                                          \
	X(int, open_ext,                                                                           \
	  (const char *path, duckdb_handle *database, duckdb_handle config, char **error))         \
	X(void, close, (duckdb_handle * database))                                                 \
	X(int, connect, (duckdb_handle database, duckdb_handle * connection))                      \
	X(void, disconnect, (duckdb_handle * connection))                                          \
	X(void, interrupt, (duckdb_handle connection))                                             \
	X(duckdb_handle, create_task_state, (duckdb_handle database))                              \
	X(void, execute_tasks_state, (duckdb_handle state))                                        \
	X(void, finish_execution, (duckdb_handle state))                                           \
	X(void, destroy_task_state, (duckdb_handle state))                                         \
	X(uint64_t, extract_statements,                                                            \
	  (duckdb_handle connection, const char *sql, duckdb_handle *statements))                  \
	X(const char *, extract_statements_error, (duckdb_handle statements))                      \
	X(void, destroy_extracted, (duckdb_handle * statements))                                   \
	X(int, prepare_extracted_statement,                                                        \
	  (duckdb_handle connection, duckdb_handle statements, uint64_t index,                     \
	   duckdb_handle * prepared))                                                              \
	X(const char *, prepare_error, (duckdb_handle prepared))                                   \
	X(void, destroy_prepare, (duckdb_handle * prepared))                                       \
	X(int, pending_prepared, (duckdb_handle prepared, duckdb_handle * pending))                \
	X(const char *, pending_error, (duckdb_handle pending))                                    \
	X(int, execute_pending, (duckdb_handle pending, struct duckdb_result * result))            \
	X(void, destroy_pending, (duckdb_handle * pending))                                        \
	X(int, query, (duckdb_handle connection, const char *sql, struct duckdb_result *result))   \
	X(void, destroy_result, (struct duckdb_result * result))                                   \
	X(const char *, result_error, (struct duckdb_result * result))                             \
	X(uint64_t, column_count, (struct duckdb_result * result))                                 \
	X(const char *, column_name, (struct duckdb_result * result, uint64_t column))             \
	X(int, column_type, (struct duckdb_result * result, uint64_t column))                      \
	X(duckdb_handle, column_logical_type, (struct duckdb_result * result, uint64_t column))    \
	X(uint64_t, rows_changed, (struct duckdb_result * result))                                 \
	X(duckdb_handle, fetch_chunk, (struct duckdb_result result))                               \
	X(uint64_t, get_list_size, (duckdb_handle value))                                          \
	X(duckdb_handle, get_list_child, (duckdb_handle value, uint64_t index))                    \
	X(char *, get_varchar, (duckdb_handle value))                                              \
	X(int32_t, get_int32, (duckdb_handle value))                                               \
	X(int64_t, get_int64, (duckdb_handle value))                                               \
	X(int64_t, get_timestamp_tz, (duckdb_handle value))                                        \
	X(bool, is_null_value, (duckdb_handle value))                                              \
	X(void, destroy_value, (duckdb_handle * value))                                            \
	X(duckdb_handle, create_logical_type, (int type))                                          \
	X(duckdb_handle, create_list_type, (duckdb_handle child))                                  \
	X(duckdb_handle, create_map_type, (duckdb_handle key, duckdb_handle value))                \
	X(duckdb_handle, create_decimal_type, (uint8_t width, uint8_t scale))                      \
	X(void, destroy_logical_type, (duckdb_handle * type))                                      \
	X(uint64_t, data_chunk_get_size, (duckdb_handle chunk))                                    \
	X(void, data_chunk_set_size, (duckdb_handle chunk, uint64_t size))                         \
	X(duckdb_handle, data_chunk_get_vector, (duckdb_handle chunk, uint64_t column))            \
	X(void, destroy_data_chunk, (duckdb_handle * chunk))                                       \
	X(uint64_t, vector_size, (void))                                                           \
	X(void *, vector_get_data, (duckdb_handle vector))                                         \
	X(uint64_t *, vector_get_validity, (duckdb_handle vector))                                 \
	X(void, vector_ensure_validity_writable, (duckdb_handle vector))                           \
	X(void, vector_reference_vector, (duckdb_handle to, duckdb_handle from))                   \
	X(void, unsafe_vector_assign_string_element_len,                                           \
	  (duckdb_handle vector, uint64_t row, const char *text, uint64_t size))                   \
	X(duckdb_handle, list_vector_get_child, (duckdb_handle vector))                            \
	X(int, list_vector_reserve, (duckdb_handle vector, uint64_t capacity))                     \
	X(int, list_vector_set_size, (duckdb_handle vector, uint64_t size))                        \
	X(duckdb_handle, struct_vector_get_child, (duckdb_handle vector, uint64_t index))          \
	X(duckdb_handle, create_table_function, (void))                                            \
	X(void, destroy_table_function, (duckdb_handle * function))                                \
	X(void, table_function_set_name, (duckdb_handle function, const char *name))               \
	X(void, table_function_add_parameter, (duckdb_handle function, duckdb_handle type))        \
	X(void, table_function_add_named_parameter,                                                \
	  (duckdb_handle function, const char *name, duckdb_handle type))                          \
	X(void, table_function_set_extra_info,                                                     \
	  (duckdb_handle function, void *data, duckdb_delete_fn destroy))                          \
	X(void, table_function_set_bind, (duckdb_handle function, duckdb_info_fn bind))            \
	X(void, table_function_set_init, (duckdb_handle function, duckdb_info_fn init))            \
	X(void, table_function_set_local_init, (duckdb_handle function, duckdb_info_fn init))      \
	X(void, table_function_set_function, (duckdb_handle function, duckdb_fill_fn fill))        \
	X(void, table_function_supports_projection_pushdown, (duckdb_handle function, bool does))  \
	X(int, register_table_function, (duckdb_handle connection, duckdb_handle function))        \
	X(void *, bind_get_extra_info, (duckdb_handle info))                                       \
	X(void, bind_add_result_column,                                                            \
	  (duckdb_handle info, const char *name, duckdb_handle type))                              \
	X(duckdb_handle, bind_get_parameter, (duckdb_handle info, uint64_t index))                 \
	X(duckdb_handle, bind_get_named_parameter, (duckdb_handle info, const char *name))         \
	X(void, bind_set_bind_data, (duckdb_handle info, void *data, duckdb_delete_fn destroy))    \
	X(void, bind_set_cardinality, (duckdb_handle info, uint64_t rows, bool is_exact))          \
	X(void, bind_set_error, (duckdb_handle info, const char *error))                           \
	X(void *, init_get_bind_data, (duckdb_handle info))                                        \
	X(void, init_set_init_data, (duckdb_handle info, void *data, duckdb_delete_fn destroy))    \
	X(uint64_t, init_get_column_count, (duckdb_handle info))                                   \
	X(uint64_t, init_get_column_index, (duckdb_handle info, uint64_t column))                  \
	X(void, init_set_max_threads, (duckdb_handle info, uint64_t threads))                      \
	X(void, init_set_error, (duckdb_handle info, const char *error))                           \
	X(void *, function_get_extra_info, (duckdb_handle info))                                   \
	X(void *, function_get_bind_data, (duckdb_handle info))                                    \
	X(void *, function_get_init_data, (duckdb_handle info))                                    \
	X(void *, function_get_local_init_data, (duckdb_handle info))                              \
	X(void, function_set_error, (duckdb_handle info, const char *error))

struct duck_api {
#define DUCK_API_MEMBER(result, name, parameters) result(*name) parameters;
	DUCK_API(DUCK_API_MEMBER)
#undef DUCK_API_MEMBER
};

/** Filled by duck_load(), constant afterwards. */
extern struct duck_api duck_api;
