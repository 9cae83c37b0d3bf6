/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/decode/base64.h"
#include "compute/decode/json_impl.h"
#include "compute/decode/json_number.h"
#include "compute/decode/json_time.h"
#include "compute/decode/unicode.h"

#define EXCERPT_MAX 40

/* The reason may have been cut in the middle of a character, and names may hold anything. */
static void end_cleanly(struct decode_error *error)
{
	size_t good = unicode_check((const uint8_t *)error->reason, strlen(error->reason));

	error->reason[good] = '\0';
	for (char *at = error->reason; *at != '\0'; at++) {
		if ((uint8_t)*at < ' ' || *at == 0x7f)
			*at = '?';
	}
}

static const char *name_of(const struct json_decoder *decoder, uint32_t slot)
{
	uint32_t field = decoder->slots[slot].field;

	if (field != JSON_NO_FIELD)
		return decoder->schema->fields[field].name;
	return slot <= JSON_ROOT_SLOT ? "record" : decoder->slots[slot].key;
}

/* The value at `at` is JSON but not what the column takes. @return NULL */
PRINTF_LIKE(4, 5)
static const uint8_t *refuse(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
			     const char *format, ...)
{
	struct decode_error *error = decoder->reason;
	va_list arguments;
	int used = snprintf(error->reason, sizeof(error->reason),
			    "%.80s: ", decoder->schema->fields[field].name);

	va_start(arguments, format);
	(void)vsnprintf(error->reason + used, sizeof(error->reason) - (size_t)used, format,
			arguments);
	va_end(arguments);
	end_cleanly(error);
	error->at = (uint32_t)(at - decoder->text.begin);
	decoder->error = ERR_MALFORMED;
	return NULL;
}

void json_field_explain(struct json_decoder *decoder)
{
	const struct json_text *text = &decoder->text;
	struct decode_error *error = decoder->reason;
	const char *name = name_of(decoder, decoder->blamed);

	error->at = (uint32_t)(text->fault_at - text->begin);
	if (text->fault_at == text->end)
		(void)snprintf(error->reason, sizeof(error->reason), "%.80s: %s (at its end)", name,
			       text->fault);
	else if (*text->fault_at > ' ' && *text->fault_at < 0x7f)
		(void)snprintf(error->reason, sizeof(error->reason), "%.80s: %s (%c at byte %u)",
			       name, text->fault, *text->fault_at, error->at);
	else
		(void)snprintf(error->reason, sizeof(error->reason),
			       "%.80s: %s (0x%02x at byte %u)", name, text->fault, *text->fault_at,
			       error->at);
	end_cleanly(error);
	decoder->error = ERR_MALFORMED;
}

static const char *kind_of(uint8_t first)
{
	switch (first) {
	case '"':
		return "string";
	case '{':
		return "object";
	case '[':
		return "array";
	case 't':
	case 'f':
		return "boolean";
	default:
		return "number";
	}
}

static const char *type_name(const struct target *target)
{
	static const char *const names[] = {
		[COLUMN_BOOLEAN] = "boolean", [COLUMN_INTEGER] = "integer",
		[COLUMN_LONG] = "long",       [COLUMN_DOUBLE] = "double",
		[COLUMN_STRING] = "string",   [COLUMN_BINARY] = "base64 text",
		[COLUMN_DATE] = "date",       [COLUMN_TIMESTAMP] = "timestamp",
		[COLUMN_DECIMAL] = "decimal",
	};

	return names[target->type];
}

/* A value of another kind than the column's; if it is one at all. @return NULL */
static const uint8_t *refuse_kind(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				  uint32_t depth)
{
	if (json_scan_value(&decoder->text, at, JSON_DEPTH_MAX - depth) == NULL)
		return NULL;
	return refuse(decoder, field, at, "%s where %s is wanted", kind_of(*at),
		      type_name(&decoder->targets[field]));
}

/* A value [at, behind) of the right kind that does not fit. @return NULL */
static const uint8_t *refuse_value(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				   const uint8_t *behind, const char *why)
{
	int size = (int)MIN(behind - at, EXCERPT_MAX);

	size = (int)unicode_check(at, (size_t)size);
	return refuse(decoder, field, at, "%.*s%s %s", size, (const char *)at,
		      size < behind - at ? "..." : "", why);
}

/* Values. Each reader takes the value's first byte and returns where it ends, or NULL. */

#define CELL(decoder, field, ctype) (&((ctype *)(decoder)->columns[field].values)[(decoder)->row])
#define IS_WANTED(decoder, field)   ((decoder)->columns[field].values != NULL)

static const uint8_t *read_boolean(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				   uint32_t depth)
{
	size_t left = (size_t)(decoder->text.end - at);
	bool value = left >= 4 && memcmp(at, "true", 4) == 0;

	if (!value && (left < 5 || memcmp(at, "false", 5) != 0))
		return refuse_kind(decoder, field, at, depth);
	if (IS_WANTED(decoder, field))
		*CELL(decoder, field, uint8_t) = value;
	return at + (value ? 4 : 5);
}

static bool is_number(uint8_t first)
{
	return first == '-' || (first >= '0' && first <= '9');
}

/* A number, if the value is one. */
static inline const uint8_t *read_number(struct json_decoder *decoder, uint32_t field,
					 const uint8_t *at, uint32_t depth,
					 struct json_number *ret_number)
{
	const uint8_t *behind;

	if (!is_number(*at))
		return refuse_kind(decoder, field, at, depth);
	behind = json_number_read(at, decoder->text.end, ret_number);
	if (behind == NULL)
		return json_scan_fault(&decoder->text, at, "number that is not well formed");
	return behind;
}

static const uint8_t *read_integer(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				   uint32_t depth)
{
	const struct target *target = &decoder->targets[field];
	struct json_number number;
	const uint8_t *behind = read_number(decoder, field, at, depth, &number);
	int64_t value;

	if (behind == NULL)
		return NULL;
	if (!json_number_integer(&number, target->limit, &value))
		return refuse_value(decoder, field, at, behind,
				    !number.is_integer               ? "is no integer"
				    : target->type == COLUMN_INTEGER ? "is out of range of integer"
								     : "is out of range of long");
	if (IS_WANTED(decoder, field)) {
		if (target->type == COLUMN_INTEGER)
			*CELL(decoder, field, int32_t) = (int32_t)value;
		else
			*CELL(decoder, field, int64_t) = value;
	}
	return behind;
}

static const uint8_t *read_double(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				  uint32_t depth)
{
	struct json_number number;
	const uint8_t *behind = read_number(decoder, field, at, depth, &number);
	double value;

	if (behind == NULL)
		return NULL;
	if (!json_number_double(&number, &value))
		return refuse_value(decoder, field, at, behind, "is out of range of double");
	if (IS_WANTED(decoder, field))
		*CELL(decoder, field, double) = value;
	return behind;
}

/* A string without its escapes: where it lies, or in scratch memory. */
struct plain {
	const uint8_t *bytes;
	uint32_t size;
	char *scratch; /* what was taken; NULL: nothing */
};

static const uint8_t *read_plain(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				 uint32_t depth, struct plain *ret_plain)
{
	const uint8_t *behind;
	bool is_plain;

	if (*at != '"')
		return refuse_kind(decoder, field, at, depth);
	behind = json_scan_string(&decoder->text, at + 1, &is_plain);
	if (behind == NULL)
		return NULL;
	ret_plain->bytes = at + 1;
	ret_plain->size = (uint32_t)(behind - at - 2);
	ret_plain->scratch = NULL;
	if (unlikely(!is_plain)) {
		ret_plain->scratch = json_new_scratch(decoder, ret_plain->size);
		if (ret_plain->scratch == NULL)
			return NULL;
		ret_plain->size = json_scan_unescape(at + 1, ret_plain->size, ret_plain->scratch);
		ret_plain->bytes = (const uint8_t *)ret_plain->scratch;
		json_return_scratch(decoder, ret_plain->scratch + ret_plain->size);
	}
	return behind;
}

/* A string that fits inline, by two loads that may take in what follows it. */
static void put_inline(struct column_string *cell, const uint8_t *bytes, uint32_t size)
{
	uint64_t low, high = 0;

	memcpy(&low, bytes, sizeof(low));
	memcpy(&high, bytes + sizeof(low), COLUMN_INLINE_MAX - sizeof(low));
	high = size > 8 ? high & (le64toh((UINT64_C(1) << 8 * (size - 8)) - 1)) : 0;
	low = size >= 8 ? low : low & le64toh((UINT64_C(1) << 8 * size) - 1);
	cell->size = size;
	memcpy(cell->inlined, &low, sizeof(low));
	memcpy(cell->inlined + sizeof(low), &high, COLUMN_INLINE_MAX - sizeof(low));
}

/* A string of the record or of scratch memory. */
static inline void put_string(struct json_decoder *decoder, uint32_t field, const uint8_t *bytes,
			      uint32_t size)
{
	const struct json_text *text = &decoder->text;
	struct column_string *cell;

	if (!IS_WANTED(decoder, field))
		return;
	cell = CELL(decoder, field, struct column_string);
	if (size <= COLUMN_INLINE_MAX && bytes >= text->begin && bytes < text->end &&
	    text->end - bytes >= COLUMN_INLINE_MAX)
		put_inline(cell, bytes, size);
	else
		column_string_set(cell, (const char *)bytes, size);
}

static const uint8_t *read_string(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				  uint32_t depth)
{
	const uint8_t *behind, *mark;
	struct plain plain;

	if (likely(*at == '"')) {
		mark = json_scan_next(&decoder->text, at + 1);
		if (likely(mark < decoder->text.end && *mark == '"')) {
			put_string(decoder, field, at + 1, (uint32_t)(mark - at - 1));
			return mark + 1;
		}
	}
	behind = read_plain(decoder, field, at, depth, &plain);
	if (behind == NULL)
		return NULL;
	put_string(decoder, field, plain.bytes, plain.size);
	if (plain.scratch != NULL &&
	    (plain.size <= COLUMN_INLINE_MAX || !IS_WANTED(decoder, field)))
		json_return_scratch(decoder, plain.scratch);
	return behind;
}

static const uint8_t *read_json(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				uint32_t depth)
{
	const uint8_t *behind = json_scan_value(&decoder->text, at, JSON_DEPTH_MAX - depth);

	if (behind != NULL)
		put_string(decoder, field, at, (uint32_t)(behind - at));
	return behind;
}

static const uint8_t *read_binary(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				  uint32_t depth)
{
	struct plain plain;
	const uint8_t *behind = read_plain(decoder, field, at, depth, &plain);
	int64_t size;
	char *bytes;

	if (behind == NULL)
		return NULL;
	bytes = json_new_scratch(decoder, base64_bound(plain.size));
	if (bytes == NULL)
		return NULL;
	size = base64_decode(plain.bytes, plain.size, (uint8_t *)bytes);
	if (size < 0)
		return refuse_value(decoder, field, at, behind, "is no base64");
	put_string(decoder, field, (const uint8_t *)bytes, (uint32_t)size);
	json_return_scratch(decoder, size <= COLUMN_INLINE_MAX || !IS_WANTED(decoder, field)
					     ? bytes
					     : bytes + size);
	return behind;
}

static const uint8_t *read_date(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				uint32_t depth)
{
	struct plain plain;
	const uint8_t *behind = read_plain(decoder, field, at, depth, &plain);
	int32_t days;

	if (behind == NULL)
		return NULL;
	if (!json_time_date(plain.bytes, plain.size, &days))
		return refuse_value(decoder, field, at, behind, "is no date (YYYY-MM-DD)");
	if (plain.scratch != NULL)
		json_return_scratch(decoder, plain.scratch);
	if (IS_WANTED(decoder, field))
		*CELL(decoder, field, int32_t) = days;
	return behind;
}

static const uint8_t *read_timestamp(struct json_decoder *decoder, uint32_t field,
				     const uint8_t *at, uint32_t depth)
{
	struct json_number number;
	struct plain plain;
	const uint8_t *behind;
	int64_t us;

	if (is_number(*at)) {
		behind = read_number(decoder, field, at, depth, &number);
		if (behind != NULL && (!json_number_scaled(&number, 3, INT64_MAX, &us) ||
				       us < JSON_TIME_MIN || us >= JSON_TIME_END))
			return refuse_value(decoder, field, at, behind,
					    "is no number of milliseconds in the years 0 to 9999");
	} else {
		behind = read_plain(decoder, field, at, depth, &plain);
		if (behind != NULL && !json_time_stamp(plain.bytes, plain.size, &us))
			return refuse_value(decoder, field, at, behind,
					    "is no timestamp (YYYY-MM-DDThh:mm:ssZ)");
		if (behind != NULL && plain.scratch != NULL)
			json_return_scratch(decoder, plain.scratch);
	}
	if (behind != NULL && IS_WANTED(decoder, field))
		*CELL(decoder, field, int64_t) = us;
	return behind;
}

static const uint8_t *refuse_decimal(struct json_decoder *decoder, uint32_t field,
				     const uint8_t *at, const uint8_t *behind)
{
	const struct schema_field *wanted = &decoder->schema->fields[field];
	char why[50];

	(void)snprintf(why, sizeof(why), "does not fit decimal(%d,%d)", wanted->precision,
		       wanted->scale);
	return refuse_value(decoder, field, at, behind, why);
}

static const uint8_t *read_decimal(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				   uint32_t depth)
{
	const struct target *target = &decoder->targets[field];
	struct json_number number;
	const uint8_t *behind, *digits_end;
	struct plain plain;
	int64_t value;

	if (*at == '"') {
		behind = read_plain(decoder, field, at, depth, &plain);
		if (behind == NULL)
			return NULL;
		digits_end = plain.bytes + plain.size;
		if (json_number_read(plain.bytes, digits_end, &number) != digits_end)
			return refuse_value(decoder, field, at, behind, "is no decimal number");
		if (plain.scratch != NULL)
			json_return_scratch(decoder, plain.scratch);
	} else {
		behind = read_number(decoder, field, at, depth, &number);
		if (behind == NULL)
			return NULL;
	}
	if (!json_number_scaled(&number, target->scale, target->limit, &value))
		return refuse_decimal(decoder, field, at, behind);
	if (IS_WANTED(decoder, field))
		*CELL(decoder, field, int64_t) = value;
	return behind;
}

const uint8_t *json_field_read(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
			       uint32_t depth)
{
	switch (decoder->targets[field].type) {
	case COLUMN_BOOLEAN:
		return read_boolean(decoder, field, at, depth);
	case COLUMN_INTEGER:
	case COLUMN_LONG:
		return read_integer(decoder, field, at, depth);
	case COLUMN_DOUBLE:
		return read_double(decoder, field, at, depth);
	case COLUMN_STRING:
		return decoder->targets[field].is_json ? read_json(decoder, field, at, depth)
						       : read_string(decoder, field, at, depth);
	case COLUMN_BINARY:
		return read_binary(decoder, field, at, depth);
	case COLUMN_DATE:
		return read_date(decoder, field, at, depth);
	case COLUMN_TIMESTAMP:
		return read_timestamp(decoder, field, at, depth);
	case COLUMN_DECIMAL:
		return read_decimal(decoder, field, at, depth);
	}
	CHECK(false); /* no other types */
	return NULL;
}

bool json_field_null(struct json_decoder *decoder, uint32_t field)
{
	if (decoder->targets[field].is_required) {
		(void)refuse(decoder, field, decoder->text.begin, "null or absent, but required");
		return false;
	}
	if (IS_WANTED(decoder, field))
		column_set_null(&decoder->columns[field], decoder->row);
	return true;
}
