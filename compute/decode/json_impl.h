/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the JSON decoder: what json_new.c compiles, json.c walks and json_field.c fills cells by.
 *
 * Positions are passed along as in json_scan.h. NULL stands for a record that is bad; `error` and
 * `reason` are set, or else the fault is in `text`.
 */
#pragma once

#include "compute/decode/json.h"
#include "compute/decode/json_scan.h"

#define JSON_LITERAL_MAX 64
#define JSON_LEARNED_MAX 256 /* keys outside the schema that are predicted */
#define JSON_NO_FIELD    UINT32_MAX
#define JSON_NO_SLOT     0 /* no key in particular: matches nothing, wanted by nobody */
#define JSON_ROOT_SLOT   1

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
	uint32_t field; /* the first column that wants it, or JSON_NO_FIELD */
	struct guess inside, after;
	bool has_children;
	uint8_t key_size;
	uint8_t literal_size;           /* 0: none yet */
	char literal[JSON_LITERAL_MAX]; /* key, colon and white space around them, as last seen */
	char key[COLUMN_NAME_MAX];
};

/* A column, compiled. */
struct target {
	enum column_type type;
	bool is_json, is_required;
	uint8_t scale;
	uint32_t slot;
	uint32_t next; /* the next column that wants the same slot, or JSON_NO_FIELD */
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
	struct slot *slots; /* [slot_count] and room for JSON_LEARNED_MAX more */
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

/** The slot of a key; one that is learned when it is new and there is room; else JSON_NO_SLOT. */
uint32_t json_new_slot(struct json_decoder *decoder, uint32_t parent, const char *key,
		       uint32_t size);

/** Room until the reset. @return NULL with the decoder's error set */
char *json_new_scratch(struct json_decoder *decoder, size_t size);

/** What was taken last is not needed from here on. */
static inline void json_return_scratch(struct json_decoder *decoder, const char *from)
{
	decoder->scratch->used = (size_t)(from - decoder->scratch->bytes);
}

/**
 * Judge a value and put it into the row's cell of a column.
 *
 * @param at     its first byte
 * @param depth  objects around it
 * @return behind it; NULL
 */
const uint8_t *json_field_read(struct json_decoder *decoder, uint32_t field, const uint8_t *at,
			       uint32_t depth);
/** Put null there. @return false: the column is required, error and reason are set */
bool json_field_null(struct json_decoder *decoder, uint32_t field);
/** Turn the text's fault into error and reason. */
void json_field_explain(struct json_decoder *decoder);
