/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#define DECIMAL_DIGITS_MAX 38

struct type_pair {
	const char *delta;
	const char *sql;
};

/*
 * The first DELTA_TYPES lines are Delta's types, the others more SQL types that fit into one. HUGEINT, the sum of
 * integers, becomes long as in Spark; too large sums fail.
 */
#define DELTA_TYPES 12
static const struct type_pair types[] = {
	{ "string", "VARCHAR" },
	{ "long", "BIGINT" },
	{ "integer", "INTEGER" },
	{ "short", "SMALLINT" },
	{ "byte", "TINYINT" },
	{ "double", "DOUBLE" },
	{ "float", "FLOAT" },
	{ "boolean", "BOOLEAN" },
	{ "binary", "BLOB" },
	{ "date", "DATE" },
	{ "timestamp", "TIMESTAMP WITH TIME ZONE" },
	{ "timestamp_ntz", "TIMESTAMP" },
	{ "timestamp", "TIMESTAMP_S" },
	{ "timestamp", "TIMESTAMP_MS" },
	{ "timestamp", "TIMESTAMP_NS" },
	{ "long", "HUGEINT" },
	{ "long", "UINTEGER" },
	{ "integer", "USMALLINT" },
	{ "short", "UTINYINT" },
	{ "decimal(20,0)", "UBIGINT" },
	{ "string", "UUID" },
	{ "string", "JSON" },
	{ "string", "ENUM" },
};

/* ---- Delta to SQL ---- */

static bool is_decimal(const char *name, int *ret_precision, int *ret_scale)
{
	int end = 0;

	return strncmp(name, "decimal(", 8) == 0 && isdigit((unsigned char)name[8]) &&
	       sscanf(name, "decimal(%2d,%2d)%n", ret_precision, ret_scale, &end) == 2 &&
	       end == (int)strlen(name) && *ret_precision >= 1 &&
	       *ret_precision <= DECIMAL_DIGITS_MAX && *ret_scale >= 0 &&
	       *ret_scale <= *ret_precision;
}

static int put_type(const json_t *type, FILE *out, uint32_t depth, struct delta_error *error);

static int put_struct(const json_t *type, FILE *out, uint32_t depth, struct delta_error *error)
{
	const json_t *fields = json_object_get(type, "fields");
	json_t *field;
	size_t index;
	int result;

	if (json_array_size(fields) == 0)
		return delta_text_fail(error, ERR_UNSUPPORTED, "a struct without fields");
	(void)fputs("STRUCT(", out);
	json_array_foreach((json_t *)(uintptr_t)fields, index, field)
	{
		const char *name = json_string_value(json_object_get(field, "name"));

		if (name == NULL)
			return delta_text_fail(error, ERR_CORRUPT, "a field has no name");
		(void)fputs(index > 0 ? ", " : "", out);
		delta_text_name(out, name);
		(void)fputc(' ', out);
		result = put_type(json_object_get(field, "type"), out, depth, error);
		if (result != 0)
			return result;
	}
	(void)fputc(')', out);
	return 0;
}

static int put_nested(const json_t *type, FILE *out, uint32_t depth, struct delta_error *error)
{
	const char *kind = json_string_value(json_object_get(type, "type"));
	int result;

	if (kind != NULL && strcmp(kind, "struct") == 0)
		return put_struct(type, out, depth, error);
	if (kind != NULL && strcmp(kind, "array") == 0) {
		result = put_type(json_object_get(type, "elementType"), out, depth, error);
		(void)fputs("[]", out);
		return result;
	}
	if (kind != NULL && strcmp(kind, "map") == 0) {
		(void)fputs("MAP(", out);
		result = put_type(json_object_get(type, "keyType"), out, depth, error);
		(void)fputs(", ", out);
		if (result == 0)
			result = put_type(json_object_get(type, "valueType"), out, depth, error);
		(void)fputc(')', out);
		return result;
	}
	return delta_text_fail(error, ERR_UNSUPPORTED, "type %.60s", kind != NULL ? kind : "?");
}

static int put_type(const json_t *type, FILE *out, uint32_t depth, struct delta_error *error)
{
	const char *name = json_string_value(type);
	int precision;
	int scale;

	if (depth == 0)
		return delta_text_fail(error, ERR_UNSUPPORTED, "types nested too deep");
	if (json_is_object(type))
		return put_nested(type, out, depth - 1, error);
	if (name == NULL)
		return delta_text_fail(error, ERR_CORRUPT,
				       "a type that is neither name nor object");
	for (size_t i = 0; i < DELTA_TYPES; i++) {
		if (strcmp(name, types[i].delta) == 0)
			return fputs(types[i].sql, out) < 0 ? -ENOMEM : 0;
	}
	if (is_decimal(name, &precision, &scale))
		return fprintf(out, "DECIMAL(%d,%d)", precision, scale) < 0 ? -ENOMEM : 0;
	return delta_text_fail(error, ERR_UNSUPPORTED, "type %.60s", name);
}

int delta_schema_sql(const json_t *type, FILE *out, struct delta_error *error)
{
	return put_type(type, out, DELTA_DEPTH_MAX, error);
}

const char *delta_schema_field_name(const json_t *field)
{
	const char *name = json_string_value(json_object_get(field, "name"));

	return name != NULL ? name : "";
}

json_t *delta_schema_field(const json_t *schema, const char *name)
{
	json_t *field;
	size_t index;

	json_array_foreach(json_object_get(schema, "fields"), index, field)
	{
		if (strcasecmp(delta_schema_field_name(field), name) == 0)
			return field;
	}
	return NULL;
}

bool delta_schema_names(const json_t *names, const char *name)
{
	json_t *value;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)names, index, value)
	{
		if (json_is_string(value) && strcasecmp(json_string_value(value), name) == 0)
			return true;
	}
	return false;
}

static int check_field(const json_t *schema, const json_t *field, struct delta_error *error)
{
	const char *name = json_string_value(json_object_get(field, "name"));
	char message[200] = "";
	struct delta_error inner = { message, sizeof(message) };
	char *text = NULL;
	size_t size;
	FILE *out;
	int result;

	if (name == NULL || name[0] == '\0')
		return delta_text_fail(error, ERR_CORRUPT, "schema: a column has no name");
	if (delta_schema_field(schema, name) != field)
		return delta_text_fail(error, ERR_CORRUPT, "schema: two columns are named %.100s",
				       name);
	out = open_memstream(&text, &size);
	if (out == NULL)
		return -ENOMEM;
	result = delta_schema_sql(json_object_get(field, "type"), out, &inner);
	if (delta_text_end(out, &text) != 0 && result == 0)
		result = -ENOMEM;
	free(text);
	if (result != 0)
		return delta_text_fail(error, result, "schema: column %.100s: %s%s", name, message,
				       result == ERR_UNSUPPORTED ? " is not supported" : "");
	return 0;
}

int delta_schema_parse(const char *text, json_t **ret_schema, struct delta_error *error)
{
	json_error_t why;
	CLEANUP(json_decrefp) json_t *schema = json_loads(text, 0, &why);
	const char *kind = json_string_value(json_object_get(schema, "type"));
	json_t *fields = json_object_get(schema, "fields");
	json_t *field;
	size_t index;
	int result;

	if (kind == NULL || strcmp(kind, "struct") != 0 || !json_is_array(fields) ||
	    json_array_size(fields) > COLUMN_MAX)
		return delta_text_fail(error, ERR_CORRUPT,
				       "schema: not a struct type of up to %d columns", COLUMN_MAX);
	json_array_foreach(fields, index, field)
	{
		result = check_field(schema, field, error);
		if (result != 0)
			return result;
	}
	*ret_schema = TAKE_PTR(schema);
	return 0;
}

/* ---- SQL to Delta: a cursor over the text of DESCRIBE ---- */

struct cursor {
	const char *at;
	uint32_t depth;
	struct delta_error *error;
};

static json_t *parse_type(struct cursor *cursor);

static void skip_blanks(struct cursor *cursor)
{
	while (*cursor->at == ' ')
		cursor->at++;
}

static bool take(struct cursor *cursor, const char *text)
{
	size_t size = strlen(text);

	skip_blanks(cursor);
	if (strncmp(cursor->at, text, size) != 0)
		return false;
	cursor->at += size;
	return true;
}

/* A name in quotes or without. */
static bool take_word(struct cursor *cursor, char *ret_word, size_t size)
{
	bool quoted = take(cursor, "\"");
	size_t used = 0;

	skip_blanks(cursor);
	while (*cursor->at != '\0' && used + 1 < size) {
		if (quoted && cursor->at[0] == '"' && cursor->at[1] == '"')
			cursor->at++;
		else if (quoted ? *cursor->at == '"' : strchr(" ,()[]", *cursor->at) != NULL)
			break;
		ret_word[used++] = *cursor->at++;
	}
	ret_word[used] = '\0';
	if (quoted && *cursor->at++ != '"')
		return false;
	return used > 0;
}

static json_t *make_field(const char *name, json_t *type)
{
	return json_pack("{s:s, s:o, s:b, s:{}}", "name", name, "type", type, "nullable", 1,
			 "metadata");
}

static json_t *parse_struct(struct cursor *cursor)
{
	CLEANUP(json_decrefp) json_t *fields = json_array();
	char name[512];
	json_t *type;

	do {
		if (!take_word(cursor, name, sizeof(name)))
			return NULL;
		type = parse_type(cursor);
		if (type == NULL || json_array_append_new(fields, make_field(name, type)) < 0)
			return NULL;
	} while (take(cursor, ","));
	return take(cursor, ")")
		       ? json_pack("{s:s, s:o}", "type", "struct", "fields", TAKE_PTR(fields))
		       : NULL;
}

static json_t *parse_map(struct cursor *cursor)
{
	CLEANUP(json_decrefp) json_t *key = parse_type(cursor);
	CLEANUP(json_decrefp) json_t *value = NULL;

	if (key == NULL || !take(cursor, ","))
		return NULL;
	value = parse_type(cursor);
	if (value == NULL || !take(cursor, ")"))
		return NULL;
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "map", "keyType", TAKE_PTR(key),
			 "valueType", TAKE_PTR(value), "valueContainsNull", 1);
}

static json_t *parse_plain(struct cursor *cursor)
{
	const char *begin;
	char name[64];
	size_t size;

	skip_blanks(cursor);
	begin = cursor->at;
	if (strncmp(begin, "DECIMAL(", 8) == 0) {
		int precision;
		int scale;
		int end = 0;

		if (sscanf(begin, "DECIMAL(%2d,%2d)%n", &precision, &scale, &end) != 2 || end == 0)
			return NULL;
		cursor->at += end;
		(void)snprintf(name, sizeof(name), "decimal(%d,%d)", precision, scale);
		return json_string(name);
	}
	if (strncmp(begin, "ENUM(", 5) == 0) {
		bool quoted = false;

		for (; *cursor->at != '\0' && (quoted || *cursor->at != ')'); cursor->at++)
			quoted ^= *cursor->at == '\'';
		return take(cursor, ")") ? json_string("string") : NULL;
	}
	size = strcspn(begin, ",()[]");
	cursor->at += size;
	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		/* A timestamp without zone is one in UTC: Delta's plain type, which every engine reads. */
		if (strlen(types[i].sql) == size && strncmp(types[i].sql, begin, size) == 0)
			return json_string(strcmp(types[i].delta, "timestamp_ntz") == 0
						   ? "timestamp"
						   : types[i].delta);
	}
	return NULL;
}

static json_t *parse_type(struct cursor *cursor)
{
	json_t *type;

	if (cursor->depth == 0)
		return NULL;
	cursor->depth--;
	if (take(cursor, "STRUCT("))
		type = parse_struct(cursor);
	else if (take(cursor, "MAP("))
		type = parse_map(cursor);
	else
		type = parse_plain(cursor);
	while (type != NULL && take(cursor, "[")) {
		while (isdigit((unsigned char)*cursor->at))
			cursor->at++;
		if (!take(cursor, "]")) {
			json_decref(type);
			type = NULL;
			break;
		}
		type = json_pack("{s:s, s:o, s:b}", "type", "array", "elementType", type,
				 "containsNull", 1);
	}
	cursor->depth++;
	return type;
}

int delta_schema_from_sql(const char *type, json_t **ret_type, struct delta_error *error)
{
	struct cursor cursor = { type, DELTA_DEPTH_MAX, error };
	json_t *found = parse_type(&cursor);

	if (found == NULL || *cursor.at != '\0') {
		json_decref(found);
		return delta_text_fail(error, ERR_CONFIG,
				       "type %.100s cannot be stored in a table: cast it", type);
	}
	*ret_type = found;
	return 0;
}

/* ---- growth ---- */

static int integer_rank(const char *name)
{
	static const char *const ranks[] = { "byte", "short", "integer", "long" };

	for (int i = 0; i < (int)ARRAY_COUNT(ranks); i++) {
		if (strcmp(name, ranks[i]) == 0)
			return i + 1;
	}
	return 0;
}

/* Whether values of a plain type may go into a column: without loss, or the cast fails loudly. */
static bool fits_plain(const char *from, const char *to)
{
	int from_precision;
	int from_scale;
	int precision;
	int scale;

	if (strcmp(from, to) == 0)
		return true;
	if (integer_rank(from) != 0)
		return integer_rank(to) != 0 || strcmp(to, "double") == 0 ||
		       is_decimal(to, &precision, &scale);
	if (strcmp(from, "float") == 0)
		return strcmp(to, "double") == 0;
	if (strcmp(from, "timestamp") == 0)
		return strcmp(to, "timestamp_ntz") == 0;
	return is_decimal(from, &from_precision, &from_scale) &&
	       is_decimal(to, &precision, &scale) && scale >= from_scale;
}

static bool fits(const json_t *from, const json_t *to)
{
	static const char *const parts[] = { "elementType", "keyType", "valueType" };
	json_t *field;
	size_t index;

	if (json_is_string(from) && json_is_string(to))
		return fits_plain(json_string_value(from), json_string_value(to));
	if (!json_is_object(from) || !json_is_object(to) ||
	    !json_equal(json_object_get(from, "type"), json_object_get(to, "type")))
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		const json_t *part = json_object_get(from, parts[i]);

		if (part != NULL && !fits(part, json_object_get(to, parts[i])))
			return false;
	}
	json_array_foreach(json_object_get(from, "fields"), index, field)
	{
		const json_t *other = delta_schema_field(to, delta_schema_field_name(field));

		if (other == NULL ||
		    !fits(json_object_get(field, "type"), json_object_get(other, "type")))
			return false;
	}
	return json_array_size(json_object_get(from, "fields")) ==
	       json_array_size(json_object_get(to, "fields"));
}

static int misfit(const json_t *field, const json_t *known, struct delta_error *error)
{
	char *from = json_dumps(json_object_get(field, "type"), JSON_COMPACT | JSON_ENCODE_ANY);
	char *to = json_dumps(json_object_get(known, "type"), JSON_COMPACT | JSON_ENCODE_ANY);

	(void)delta_text_fail(
		error, ERR_CONFIG,
		"column %.100s is %.200s in the table, the query gives %.200s: cast it",
		delta_schema_field_name(known), to != NULL ? to : "?", from != NULL ? from : "?");
	free(from);
	free(to);
	return ERR_CONFIG;
}

int delta_schema_grow(const json_t *table, const json_t *query, bool may_grow, json_t **ret_schema,
		      bool *ret_grown, struct delta_error *error)
{
	CLEANUP(json_decrefp)
	json_t *schema = table != NULL ? json_deep_copy(table)
				       : json_pack("{s:s, s:[]}", "type", "struct", "fields");
	bool grown = false;
	json_t *field;
	size_t index;

	if (schema == NULL)
		return -ENOMEM;
	json_array_foreach(json_object_get(query, "fields"), index, field)
	{
		const char *name = delta_schema_field_name(field);
		const json_t *known = delta_schema_field(schema, name);

		if (delta_schema_field(query, name) != field)
			return delta_text_fail(error, ERR_CONFIG,
					       "two columns of the query are named %.100s", name);
		if (known != NULL &&
		    !fits(json_object_get(field, "type"), json_object_get(known, "type")))
			return misfit(field, known, error);
		if (known != NULL)
			continue;
		if (table != NULL && !may_grow)
			return delta_text_fail(
				error, ERR_CONFIG,
				"column %.100s is not in the table: leave it out, or set merge_schema",
				name);
		if (json_array_append(json_object_get(schema, "fields"), field) < 0)
			return -ENOMEM;
		grown = true;
	}
	*ret_schema = TAKE_PTR(schema);
	*ret_grown = grown;
	return 0;
}
