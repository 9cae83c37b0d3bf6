/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#include "compute/decode/json_impl.h"
#include "compute/decode/unicode.h"

#define RECORD_MAX  (32U << 20)
#define LITERAL_MIN 4 /* "a": */

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
	if (slot->field == JSON_NO_FIELD)
		return *at == '{' ? behind
				  : json_scan_value(&decoder->text, at, JSON_DEPTH_MAX - depth);
	if (slot->has_children && *at == '{' && behind == NULL)
		return NULL;
	for (uint32_t field = slot->field; field != JSON_NO_FIELD;
	     field = decoder->targets[field].next) {
		behind = json_field_read(decoder, field, at, depth);
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

	if (unlikely(at < decoder->text.end &&
		     *at <= ' ')) /* more than after the key as predicted */
		at = json_scan_space(&decoder->text, at);
	if (at == decoder->text.end)
		behind = json_scan_fault(&decoder->text, at, "no value");
	else if (slot->field == JSON_NO_FIELD && !slot->has_children)
		behind = json_scan_value(&decoder->text, at, JSON_DEPTH_MAX - depth);
	else
		behind = read_slot(decoder, index, epoch, at, depth);
	if (unlikely(behind == NULL) && decoder->blamed == JSON_NO_SLOT)
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
	*ret_slot = JSON_NO_SLOT;
	if (!is_plain && size <= sizeof(unescaped)) {
		size = json_scan_unescape(key, size, unescaped);
		key = (const uint8_t *)unescaped;
	} else if (!is_plain) {
		return at; /* longer than any name */
	}
	*ret_slot = json_new_slot(decoder, parent, (const char *)key, size);
	if (*ret_slot == JSON_NO_SLOT)
		return at;
	slot = &decoder->slots[*ret_slot];
	if (at - begin <= JSON_LITERAL_MAX) {
		slot->literal_size = (uint8_t)(at - begin);
		memcpy(slot->literal, begin, slot->literal_size);
	}
	if (guess != &decoder->slots[JSON_NO_SLOT].after) { /* that one is shared by all objects */
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

static bool is_present(const struct json_decoder *decoder, uint32_t index)
{
	const struct slot *slots = decoder->slots;

	for (; index != JSON_ROOT_SLOT; index = slots[index].parent) {
		if (slots[index].seen != slots[slots[index].parent].epoch)
			return false;
	}
	return true;
}

/* What the record does not have is null. */
static int finish_row(struct json_decoder *decoder)
{
	for (uint32_t i = 0; i < decoder->schema->count; i++) {
		if (unlikely(!is_present(decoder, decoder->targets[i].slot)) &&
		    !json_field_null(decoder, i))
			return decoder->error;
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
	at = read_object(decoder, JSON_ROOT_SLOT, at + 1, 1);
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
	decoder->blamed = JSON_NO_SLOT;
	decoder->error = 0;
	decoder->reason = ret_error;
	error = prepare(decoder, text, size);
	if (unlikely(error == -ENOMEM))
		return error;
	if (unlikely(error != 0 || read_record(decoder) == NULL)) {
		if (decoder->error == 0)
			json_field_explain(decoder);
		return decoder->error;
	}
	return finish_row(decoder);
}
