/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/decode/base64.h"
#include "compute/decode/json_number.h"
#include "compute/decode/json_scan.h"
#include "compute/decode/json_time.h"
#include "compute/decode/unicode.h"

#define RECORD_MAX   (32U << 20)
#define LITERAL_MIN  4 /* "a": */
#define LITERAL_MAX  64
#define LEARNED_MAX  256 /* keys outside the schema that are predicted */
#define NO_FIELD     UINT32_MAX
#define NO_SLOT      0 /* no key in particular: matches nothing, wanted by nobody */
#define ROOT_SLOT    1
#define SCRATCH_MIN  (64U << 10)
#define SCRATCH_KEEP (4U << 20)
#define EXCERPT_MAX  40

/* The keys that came next the last times: two, so that an optional key costs nothing. */
struct guess {
	uint32_t slots[2];
};

/*
 * A key of an object, known from the schema or learned from records. Presence is told by epochs: every
 * object that is entered gets a new one, and a key is present when it was seen in its parent's
 * present epoch. So a record, or an object given twice, forgets what was before without any clearing.
 */
struct slot {
	uint64_t seen;  /* epoch of the parent when it last had a value */
	uint64_t epoch; /* of the object in it */
	uint32_t parent;
	uint32_t field; /* the first column that wants it, or NO_FIELD */
	struct guess inside, after;
	bool has_children;
	uint8_t key_size;
	uint8_t literal_size;      /* 0: none yet */
	char literal[LITERAL_MAX]; /* key, colon and white space around them, as last seen */
	char key[COLUMN_NAME_MAX];
};

/* A column, compiled. */
struct target {
	enum column_type type;
	bool is_json, is_required;
	uint8_t scale;
	uint32_t slot;
	uint32_t next; /* the next column that wants the same slot, or NO_FIELD */
	uint64_t limit;
};

/* Memory of unescaped strings. */
struct scratch {
	struct scratch *below;
	size_t size, used;
	char bytes[];
};

struct json_decoder {
	const struct schema *schema;
	struct target *targets;
	struct slot *slots; /* [slot_count] and room for LEARNED_MAX more */
	uint32_t slot_count, learned_count;
	uint32_t *table; /* [table_mask + 1] hash of parent and key to slot */
	uint32_t table_mask;
	uint64_t epoch;
	struct scratch *scratch;
	uint64_t *marks; /* [marks_room] */
	size_t marks_room;

	/* The record at hand. */
	struct json_text text;
	struct column *columns;
	uint32_t row;
	uint32_t blamed; /* slot at fault */
	int error;
	struct decode_error *reason;
};

/* Set-up. */

static uint32_t hash(uint32_t parent, const char *key, uint32_t size)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325) ^ parent;

	for (uint32_t i = 0; i < size; i++)
		value = (value ^ (uint8_t)key[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(value >> 32 ^ value);
}

/* Where the key is in the table, or would be. */
static uint32_t *find_cell(const struct json_decoder *decoder, uint32_t parent, const char *key,
			   uint32_t size)
{
	for (uint32_t i = hash(parent, key, size);; i++) {
		uint32_t *cell = &decoder->table[i & decoder->table_mask];
		const struct slot *slot = &decoder->slots[*cell];

		if (*cell == NO_SLOT || (slot->parent == parent && slot->key_size == size &&
					 memcmp(slot->key, key, size) == 0))
			return cell;
	}
}

static uint32_t add_slot(struct json_decoder *decoder, uint32_t *cell, uint32_t parent,
			 const char *key, uint32_t size)
{
	struct slot *slot = &decoder->slots[decoder->slot_count];

	slot->parent = parent;
	slot->field = NO_FIELD;
	slot->key_size = (uint8_t)size;
	memcpy(slot->key, key, size);
	*cell = decoder->slot_count;
	return decoder->slot_count++;
}

static void compile_field(struct json_decoder *decoder, uint32_t index)
{
	const struct schema_field *field = &decoder->schema->fields[index];
	struct target *target = &decoder->targets[index];
	uint32_t at = ROOT_SLOT;

	for (uint32_t i = 0; i < field->depth; i++) {
		uint32_t size = (uint32_t)strlen(field->path[i]);
		uint32_t *cell = find_cell(decoder, at, field->path[i], size);

		decoder->slots[at].has_children = true;
		at = *cell != NO_SLOT ? *cell : add_slot(decoder, cell, at, field->path[i], size);
	}
	target->type = field->type;
	target->is_json = field->is_json;
	target->is_required = field->is_required;
	target->scale = field->scale;
	target->limit = field->type == COLUMN_INTEGER ? INT32_MAX : INT64_MAX;
	if (field->type == COLUMN_DECIMAL) {
		target->limit = 1;
		for (uint32_t i = 0; i < field->precision; i++)
			target->limit *= 10;
		target->limit--;
	}
	target->slot = at;
	target->next = decoder->slots[at].field;
	decoder->slots[at].field = index;
}

int json_decoder_new(const struct schema *schema, struct json_decoder **ret_decoder)
{
	CLEANUP(json_decoder_freep) struct json_decoder *decoder = calloc(1, sizeof(*decoder));
	size_t slots = ROOT_SLOT + 1 + LEARNED_MAX, table = 1024;

	if (decoder == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < schema->count; i++)
		slots += schema->fields[i].depth;
	while (table < 2 * slots)
		table *= 2;
	decoder->schema = schema;
	decoder->targets = calloc(MAX(schema->count, 1U), sizeof(*decoder->targets));
	decoder->slots = calloc(slots, sizeof(*decoder->slots));
	decoder->table = calloc(table, sizeof(*decoder->table));
	if (decoder->targets == NULL || decoder->slots == NULL || decoder->table == NULL)
		return -ENOMEM;
	decoder->table_mask = (uint32_t)table - 1;
	decoder->slots[NO_SLOT].field = NO_FIELD;
	decoder->slots[ROOT_SLOT].field = NO_FIELD;
	decoder->slot_count = ROOT_SLOT + 1;
	for (uint32_t i = 0; i < schema->count; i++)
		compile_field(decoder, i);
	*ret_decoder = TAKE_PTR(decoder);
	return 0;
}

static void free_scratch(struct scratch *scratch)
{
	while (scratch != NULL) {
		struct scratch *below = scratch->below;

		free(scratch);
		scratch = below;
	}
}

void json_decoder_free(struct json_decoder *decoder)
{
	if (decoder == NULL)
		return;
	free_scratch(decoder->scratch);
	free(decoder->marks);
	free(decoder->table);
	free(decoder->slots);
	free(decoder->targets);
	free(decoder);
}

void json_decoder_reset(struct json_decoder *decoder)
{
	struct scratch *top = decoder->scratch;

	if (top == NULL)
		return;
	free_scratch(top->below); /* blocks double, so the top one has room for half of all */
	top->below = NULL;
	top->used = 0;
	if (top->size > SCRATCH_KEEP) {
		free(top);
		decoder->scratch = NULL;
	}
}

/* Room until the reset. @return NULL with the decoder's error set */
static char *take_scratch(struct json_decoder *decoder, size_t size)
{
	struct scratch *top = decoder->scratch;
	char *taken;

	if (top == NULL || top->size - top->used < size) {
		size_t room = top != NULL && top->size < SCRATCH_KEEP ? 2 * top->size : SCRATCH_MIN;

		room = MAX(room, size);
		top = malloc(sizeof(*top) + room);
		if (top == NULL) {
			decoder->error = -ENOMEM;
			return NULL;
		}
		top->below = decoder->scratch;
		top->size = room;
		top->used = 0;
		decoder->scratch = top;
	}
	taken = top->bytes + top->used;
	top->used += size;
	return taken;
}

/* What was taken last was larger than needed. */
static void return_scratch(struct json_decoder *decoder, const char *from)
{
	decoder->scratch->used = (size_t)(from - decoder->scratch->bytes);
}

/* Faults. */

/* The reason may have been cut in the middle of a character. */
static void end_cleanly(struct decode_error *error)
{
	size_t good = unicode_check((const uint8_t *)error->reason, strlen(error->reason));

	error->reason[good] = '\0';
}

static const char *name_of(const struct json_decoder *decoder, uint32_t slot)
{
	uint32_t field = decoder->slots[slot].field;

	if (field != NO_FIELD)
		return decoder->schema->fields[field].name;
	return slot <= ROOT_SLOT ? "record" : decoder->slots[slot].key;
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

/* The text is not JSON. */
static void explain_fault(struct json_decoder *decoder)
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
static const uint8_t *read_number(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				  uint32_t depth, struct json_number *ret_number)
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
		ret_plain->scratch = take_scratch(decoder, ret_plain->size);
		if (ret_plain->scratch == NULL)
			return NULL;
		ret_plain->size = json_scan_unescape(at + 1, ret_plain->size, ret_plain->scratch);
		ret_plain->bytes = (const uint8_t *)ret_plain->scratch;
		return_scratch(decoder, ret_plain->scratch + ret_plain->size);
	}
	return behind;
}

static void put_string(struct json_decoder *decoder, uint32_t field, const uint8_t *bytes,
		       uint32_t size)
{
	if (IS_WANTED(decoder, field))
		column_string_set(CELL(decoder, field, struct column_string), (const char *)bytes,
				  size);
}

static const uint8_t *read_string(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
				  uint32_t depth)
{
	struct plain plain;
	const uint8_t *behind = read_plain(decoder, field, at, depth, &plain);

	if (behind == NULL)
		return NULL;
	put_string(decoder, field, plain.bytes, plain.size);
	if (plain.scratch != NULL &&
	    (plain.size <= COLUMN_INLINE_MAX || !IS_WANTED(decoder, field)))
		return_scratch(decoder, plain.scratch);
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
	bytes = take_scratch(decoder, base64_bound(plain.size));
	if (bytes == NULL)
		return NULL;
	size = base64_decode(plain.bytes, plain.size, (uint8_t *)bytes);
	if (size < 0)
		return refuse_value(decoder, field, at, behind, "is no base64");
	put_string(decoder, field, (const uint8_t *)bytes, (uint32_t)size);
	return_scratch(decoder, size <= COLUMN_INLINE_MAX || !IS_WANTED(decoder, field)
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
		return_scratch(decoder, plain.scratch);
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
					    "is no time (YYYY-MM-DDThh:mm:ssZ)");
		if (behind != NULL && plain.scratch != NULL)
			return_scratch(decoder, plain.scratch);
	}
	if (behind != NULL && IS_WANTED(decoder, field))
		*CELL(decoder, field, int64_t) = us;
	return behind;
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
			return_scratch(decoder, plain.scratch);
	} else {
		behind = read_number(decoder, field, at, depth, &number);
		if (behind == NULL)
			return NULL;
	}
	if (!json_number_scaled(&number, target->scale, target->limit, &value))
		return refuse_value(decoder, field, at, behind, "does not fit its decimal");
	if (IS_WANTED(decoder, field))
		*CELL(decoder, field, int64_t) = value;
	return behind;
}

static const uint8_t *read_field(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
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
	CHECK(!"a type of enum column_type");
	return NULL;
}

/* Objects. */

static const uint8_t *read_object(struct json_decoder *decoder, uint32_t parent, const uint8_t *at,
				  uint32_t depth);

/* The value of a key that somebody wants. */
static const uint8_t *read_slot(struct json_decoder *decoder, uint32_t index, uint64_t epoch,
				const uint8_t *at, uint32_t depth)
{
	struct slot *slot = &decoder->slots[index];
	const uint8_t *behind = NULL;

	if (*at == 'n' && decoder->text.end - at >= 4 && memcmp(at, "null", 4) == 0) {
		slot->seen = 0; /* as if absent, whatever came before */
		return at + 4;
	}
	slot->seen = epoch;
	if (slot->has_children) {
		if (*at == '{')
			behind = read_object(decoder, index, at + 1, depth + 1);
		else
			slot->epoch = ++decoder->epoch; /* an object before it counts no more */
	}
	if (slot->field == NO_FIELD)
		return *at == '{' ? behind
				  : json_scan_value(&decoder->text, at, JSON_DEPTH_MAX - depth);
	if (slot->has_children && *at == '{' && behind == NULL)
		return NULL;
	for (uint32_t field = slot->field; field != NO_FIELD;
	     field = decoder->targets[field].next) {
		behind = read_field(decoder, field, at, depth);
		if (behind == NULL)
			return NULL;
	}
	return behind;
}

static const uint8_t *read_value(struct json_decoder *decoder, uint32_t index, uint64_t epoch,
				 const uint8_t *at, uint32_t depth)
{
	const struct slot *slot = &decoder->slots[index];
	const uint8_t *behind;

	if (at == decoder->text.end)
		behind = json_scan_fault(&decoder->text, at, "no value");
	else if (slot->field == NO_FIELD && !slot->has_children)
		behind = json_scan_value(&decoder->text, at, JSON_DEPTH_MAX - depth);
	else
		behind = read_slot(decoder, index, epoch, at, depth);
	if (unlikely(behind == NULL) && decoder->blamed == NO_SLOT)
		decoder->blamed = index;
	return behind;
}

/* Whether the text goes on with the key as it was written last. @return its value; NULL */
static inline const uint8_t *match(const struct slot *slot, const uint8_t *at, const uint8_t *end)
{
	const char *literal = slot->literal;
	size_t size = slot->literal_size;
	uint64_t a, b;
	uint32_t c, d;

	if (size < LITERAL_MIN || (size_t)(end - at) < size)
		return NULL;
	if (size < sizeof(a)) {
		memcpy(&c, at, sizeof(c));
		memcpy(&d, literal, sizeof(d));
		if (c != d)
			return NULL;
		memcpy(&c, at + size - sizeof(c), sizeof(c));
		memcpy(&d, literal + size - sizeof(d), sizeof(d));
		return c == d ? at + size : NULL;
	}
	for (size_t i = 0; i + sizeof(a) < size; i += sizeof(a)) {
		memcpy(&a, at + i, sizeof(a));
		memcpy(&b, literal + i, sizeof(b));
		if (a != b)
			return NULL;
	}
	memcpy(&a, at + size - sizeof(a), sizeof(a));
	memcpy(&b, literal + size - sizeof(b), sizeof(b));
	return a == b ? at + size : NULL;
}

/* The slot of a key; one that is learned when it is new and there is room. */
static uint32_t find_slot(struct json_decoder *decoder, uint32_t parent, const char *key,
			  uint32_t size)
{
	uint32_t *cell = find_cell(decoder, parent, key, size);

	if (*cell != NO_SLOT || size >= COLUMN_NAME_MAX || decoder->learned_count == LEARNED_MAX)
		return *cell;
	decoder->learned_count++;
	return add_slot(decoder, cell, parent, key, size);
}

/* Any key of an object, with a look into the table; the guess is set right. @return its value; NULL */
static const uint8_t *read_key(struct json_decoder *decoder, uint32_t parent, struct guess *guess,
			       const uint8_t *at, uint32_t *ret_slot)
{
	struct json_text *text = &decoder->text;
	char unescaped[6 * COLUMN_NAME_MAX];
	const uint8_t *begin = at, *key, *behind;
	struct slot *slot;
	uint32_t size;
	bool is_plain;

	key = json_scan_space(text, at) + 1;
	if (key > text->end || key[-1] != '"')
		return json_scan_fault(text, key - 1, "object with a key that is no string");
	behind = json_scan_string(text, key, &is_plain);
	if (behind == NULL)
		return NULL;
	size = (uint32_t)(behind - key - 1);
	at = json_scan_space(text, behind);
	if (at == text->end || *at != ':')
		return json_scan_fault(text, at, "key without a colon");
	at = json_scan_space(text, at + 1);
	*ret_slot = NO_SLOT;
	if (!is_plain && size <= sizeof(unescaped)) {
		size = json_scan_unescape(key, size, unescaped);
		key = (const uint8_t *)unescaped;
	} else if (!is_plain) {
		return at; /* longer than any name */
	}
	*ret_slot = find_slot(decoder, parent, (const char *)key, size);
	if (*ret_slot == NO_SLOT)
		return at;
	slot = &decoder->slots[*ret_slot];
	if (at - begin <= LITERAL_MAX) {
		slot->literal_size = (uint8_t)(at - begin);
		memcpy(slot->literal, begin, slot->literal_size);
	}
	if (guess != &decoder->slots[NO_SLOT].after) { /* that one is shared by all objects */
		guess->slots[1] = guess->slots[0];
		guess->slots[0] = *ret_slot;
	}
	return at;
}

/* An object from behind its brace. */
static const uint8_t *read_object(struct json_decoder *decoder, uint32_t parent, const uint8_t *at,
				  uint32_t depth)
{
	const uint8_t *end = decoder->text.end, *value;
	struct slot *slots = decoder->slots;
	struct guess *guess = &slots[parent].inside;
	uint64_t epoch = ++decoder->epoch;

	slots[parent].epoch = epoch;
	value = json_scan_space(&decoder->text, at);
	if (value < end && *value == '}')
		return value + 1;
	for (;;) {
		uint32_t index = guess->slots[0];

		value = match(&slots[index], at, end);
		if (unlikely(value == NULL)) {
			index = guess->slots[1];
			value = match(&slots[index], at, end);
		}
		if (unlikely(value == NULL))
			value = read_key(decoder, parent, guess, at, &index);
		if (unlikely(value == NULL))
			return NULL;
		at = read_value(decoder, index, epoch, value, depth);
		if (unlikely(at == NULL))
			return NULL;
		if (unlikely(at == end || *at != ',')) {
			at = json_scan_space(&decoder->text, at);
			if (at < end && *at == '}')
				return at + 1;
			if (at == end || *at != ',') {
				decoder->blamed = index;
				return json_scan_fault(&decoder->text, at,
						       "no , or } behind the value");
			}
		}
		at++;
		guess = &slots[index].after;
	}
}

/* Records. */

static bool is_present(const struct json_decoder *decoder, uint32_t index)
{
	const struct slot *slots = decoder->slots;

	for (; index != ROOT_SLOT; index = slots[index].parent) {
		if (slots[index].seen != slots[slots[index].parent].epoch)
			return false;
	}
	return true;
}

/* What the record does not have is null. */
static int finish_row(struct json_decoder *decoder)
{
	for (uint32_t i = 0; i < decoder->schema->count; i++) {
		if (likely(is_present(decoder, decoder->targets[i].slot)))
			continue;
		if (decoder->targets[i].is_required) {
			(void)refuse(decoder, i, decoder->text.begin,
				     "null or absent, but required");
			return ERR_MALFORMED;
		}
		if (IS_WANTED(decoder, i))
			column_set_null(&decoder->columns[i], decoder->row);
	}
	return 0;
}

static int prepare(struct json_decoder *decoder, const uint8_t *bytes, uint32_t size)
{
	size_t words = JSON_SCAN_WORDS(size), good;

	if (unlikely(words > decoder->marks_room)) {
		uint64_t *marks = realloc(decoder->marks, words * sizeof(*marks));

		if (marks == NULL)
			return -ENOMEM;
		decoder->marks = marks;
		decoder->marks_room = words;
	}
	decoder->text.begin = bytes;
	decoder->text.end = bytes + size;
	decoder->text.marks = decoder->marks;
	if (likely(json_scan_marks(&decoder->text)))
		return 0;
	good = unicode_check(bytes, size);
	if (good == size)
		return 0;
	(void)json_scan_fault(&decoder->text, bytes + good, "not UTF-8");
	return ERR_MALFORMED;
}

static const uint8_t *read_record(struct json_decoder *decoder)
{
	struct json_text *text = &decoder->text;
	const uint8_t *at = json_scan_space(text, text->begin);

	if (at == text->end || *at != '{')
		return json_scan_fault(text, at, "not a JSON object");
	at = read_object(decoder, ROOT_SLOT, at + 1, 1);
	if (at == NULL)
		return NULL;
	at = json_scan_space(text, at);
	return at == text->end ? at : json_scan_fault(text, at, "something behind the object");
}

int json_decoder_row(struct json_decoder *decoder, const uint8_t *text, uint32_t size,
		     struct column *columns, uint32_t row, struct decode_error *ret_error)
{
	int error;

	if (unlikely(size == 0 || size > RECORD_MAX)) {
		ret_error->at = 0;
		(void)snprintf(ret_error->reason, sizeof(ret_error->reason), "record: %s",
			       size == 0 ? "no bytes in it" : "larger than 32 MiB");
		return ERR_MALFORMED;
	}
	decoder->columns = columns;
	decoder->row = row;
	decoder->blamed = NO_SLOT;
	decoder->error = 0;
	decoder->reason = ret_error;
	error = prepare(decoder, text, size);
	if (unlikely(error == -ENOMEM))
		return error;
	if (unlikely(error != 0 || read_record(decoder) == NULL)) {
		if (decoder->error == 0)
			explain_fault(decoder);
		return decoder->error;
	}
	return finish_row(decoder);
}
