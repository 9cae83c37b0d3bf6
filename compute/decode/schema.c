/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/err.h"

#define TYPES         "boolean, integer, long, double, string, binary, date, timestamp, decimal(p,s), json"
#define PRECISION_MAX 18 /* digits that an int64_t holds */

static const struct {
	const char *name, *sql;
	enum column_type type;
} types[] = {
	{ "boolean", "BOOLEAN", COLUMN_BOOLEAN }, { "integer", "INTEGER", COLUMN_INTEGER },
	{ "long", "BIGINT", COLUMN_LONG },        { "double", "DOUBLE", COLUMN_DOUBLE },
	{ "string", "VARCHAR", COLUMN_STRING },   { "binary", "BLOB", COLUMN_BINARY },
	{ "date", "DATE", COLUMN_DATE },          { "timestamp", "TIMESTAMPTZ", COLUMN_TIMESTAMP },
};

/* What is said about a wrong column, and where. */
struct complaint {
	const char *column;
	char *text;
	size_t size;
};

PRINTF_LIKE(2, 3)
static int complain(const struct complaint *complaint, const char *format, ...)
{
	va_list arguments;
	int used = snprintf(complaint->text, complaint->size, "column %.*s: ", COLUMN_NAME_MAX - 1,
			    complaint->column);

	if (used < 0 || (size_t)used >= complaint->size)
		return ERR_CONFIG;
	va_start(arguments, format);
	(void)vsnprintf(complaint->text + used, complaint->size - (size_t)used, format, arguments);
	va_end(arguments);
	return ERR_CONFIG;
}

static bool parse_decimal(const char *text, struct schema_field *field)
{
	unsigned precision, scale;
	int end = 0;

	if (strncasecmp(text, "decimal", 7) != 0)
		return false;
	text += 7;
	if (sscanf(text, " ( %2u , %2u )%n", &precision, &scale, &end) != 2 || end == 0 ||
	    text[end] != '\0')
		return false;
	if (precision < 1 || precision > PRECISION_MAX || scale > precision)
		return false;
	field->type = COLUMN_DECIMAL;
	field->precision = (uint8_t)precision;
	field->scale = (uint8_t)scale;
	return true;
}

static bool parse_type(const char *text, struct schema_field *field)
{
	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		if (strcasecmp(text, types[i].name) == 0) {
			field->type = types[i].type;
			return true;
		}
	}
	field->is_json = strcasecmp(text, "json") == 0;
	if (field->is_json)
		field->type = COLUMN_STRING;
	return field->is_json || parse_decimal(text, field);
}

static int set_type(const json_t *value, struct schema_field *field,
		    const struct complaint *complaint)
{
	if (!json_is_string(value))
		return complain(complaint, "a type is wanted, one of " TYPES);
	if (!parse_type(json_string_value(value), field))
		return complain(complaint,
				"type '%.40s' is not one of " TYPES " (p up to %d, s up to p)",
				json_string_value(value), PRECISION_MAX);
	return 0;
}

static int set_path(const char *from, struct schema_field *field, const struct complaint *complaint)
{
	for (;;) {
		size_t size = strcspn(from, ".");

		if (size == 0)
			return complain(complaint, "a key of `from` is empty");
		if (size >= COLUMN_NAME_MAX)
			return complain(complaint, "a key of `from` is longer than %d bytes",
					COLUMN_NAME_MAX - 1);
		if (field->depth == SCHEMA_DEPTH_MAX)
			return complain(complaint, "`from` has more than %d keys",
					SCHEMA_DEPTH_MAX);
		memcpy(field->path[field->depth], from, size);
		field->path[field->depth++][size] = '\0';
		if (from[size] == '\0')
			return 0;
		from += size + 1;
	}
}

/* {"type": "long", "required": true, "from": "meta.id"} */
static int set_details(json_t *details, struct schema_field *field,
		       const struct complaint *complaint)
{
	int error = set_type(json_object_get(details, "type"), field, complaint);
	const char *key;
	json_t *value;

	if (error != 0)
		return error;
	json_object_foreach(details, key, value)
	{
		if (strcmp(key, "type") == 0)
			continue;
		if (strcmp(key, "required") == 0 && json_is_boolean(value))
			field->is_required = json_is_true(value);
		else if (strcmp(key, "from") == 0 && json_is_string(value))
			error = set_path(json_string_value(value), field, complaint);
		else if (strcmp(key, "required") == 0 || strcmp(key, "from") == 0)
			error = complain(complaint, "`required` is true or false, `from` a text");
		else
			error = complain(complaint,
					 "'%.40s' is not known; allowed are type, "
					 "required, from",
					 key);
		if (error != 0)
			return error;
	}
	return 0;
}

static bool is_reserved(const char *name)
{
	static const char reserved[] = SCHEMA_RESERVED;
	size_t size = strlen(name);

	for (const char *at = reserved; *at != '\0';) {
		size_t word = strcspn(at, ",");

		if (word == size && strncasecmp(at, name, size) == 0)
			return true;
		at += word;
		at += strspn(at, ", ");
	}
	return false;
}

static int check_name(const char *name, const struct schema *schema,
		      const struct complaint *complaint)
{
	if (name[0] == '\0' || strlen(name) >= COLUMN_NAME_MAX)
		return complain(complaint, "a name has 1 to %d bytes", COLUMN_NAME_MAX - 1);
	for (const char *at = name; *at != '\0'; at++) {
		if ((uint8_t)*at < ' ' || *at == 0x7f)
			return complain(complaint, "a name has no control characters");
	}
	if (is_reserved(name))
		return complain(complaint,
				"topic() has a column of this name (" SCHEMA_RESERVED
				"); choose another and say \"from\": \"%s\"",
				name);
	for (uint32_t i = 0; i < schema->count; i++) {
		if (strcasecmp(schema->fields[i].name, name) == 0)
			return complain(complaint, "the name is given twice (case does not count)");
	}
	return 0;
}

static int add_field(struct schema *schema, const char *name, json_t *value,
		     const struct complaint *complaint)
{
	struct schema_field *field = &schema->fields[schema->count];
	int error = check_name(name, schema, complaint);

	if (error != 0)
		return error;
	memcpy(field->name, name, strlen(name) + 1);
	error = json_is_object(value) ? set_details(value, field, complaint)
				      : set_type(value, field, complaint);
	if (error != 0)
		return error;
	if (field->depth == 0) { /* the name as one key, dots and all */
		memcpy(field->path[0], name, strlen(name) + 1);
		field->depth = 1;
	}
	schema->count++;
	return 0;
}

int schema_parse(const json_t *columns, struct schema **ret_schema, char *reterr,
		 size_t reterr_size)
{
	CLEANUP(schema_freep) struct schema *schema = NULL;
	json_t *object, *value;
	const char *name;

	if (!json_is_object(columns)) {
		(void)snprintf(reterr, reterr_size, "columns are an object of names and types");
		return ERR_CONFIG;
	}
	if (json_object_size(columns) > COLUMN_MAX) {
		(void)snprintf(reterr, reterr_size, "%zu columns are more than the %d allowed",
			       json_object_size(columns), COLUMN_MAX);
		return ERR_CONFIG;
	}
	schema = calloc(1,
			sizeof(*schema) + json_object_size(columns) * sizeof(struct schema_field));
	if (schema == NULL)
		return -ENOMEM;
	object = (json_t *)(uintptr_t)columns; /* jansson cannot iterate what is const */
	json_object_foreach(object, name, value)
	{
		const struct complaint complaint = { name, reterr, reterr_size };
		int error = add_field(schema, name, value, &complaint);

		if (error != 0)
			return error;
	}
	*ret_schema = TAKE_PTR(schema);
	return 0;
}

void schema_free(struct schema *schema)
{
	free(schema);
}

const char *schema_sql_type(const struct schema_field *field, char *ret, size_t size)
{
	if (field->type == COLUMN_DECIMAL) {
		(void)snprintf(ret, size, "DECIMAL(%d,%d)", field->precision, field->scale);
		return ret;
	}
	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		if (types[i].type == field->type)
			(void)snprintf(ret, size, "%s", types[i].sql);
	}
	return ret;
}
