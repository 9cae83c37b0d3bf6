/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * JSON text: one vector pass marks the bytes that may end a run of plain string bytes; strings and
 * whole values are then checked with the help of the marks.
 *
 * Positions are passed along as pointers: a function takes where it begins and returns where it
 * ended, or NULL when the text is not JSON; the fault is then in the text. Nothing is read at or
 * behind `end`.
 *
 * Context: any thread; a text belongs to one. Memory: the caller's.
 */
#pragma once

#include "base/defs.h"

/** Words of marks for a text of `size` bytes. */
#define JSON_SCAN_WORDS(size) ((size_t)(size) / 64 + 1)

struct json_text {
	const uint8_t *begin, *end;
	uint64_t *marks; /* [JSON_SCAN_WORDS] bit: quote, backslash, control byte, or the end */
	const uint8_t *fault_at; /* what json_scan_fault() was told last */
	const char *fault;
};

/**
 * Mark quotes, backslashes, bytes below 0x20, and all from `end` on.
 *
 * @return whether the text is ASCII
 */
bool json_scan_marks(const struct json_text *text);
/** The two ways to do it, which must agree; the second is NULL where the processor lacks AVX2. */
bool json_scan_marks_plain(const struct json_text *text);
typedef bool json_scan_marks_fn(const struct json_text *text);
json_scan_marks_fn *json_scan_marks_vector(void);

/** @return NULL, always */
static inline const uint8_t *json_scan_fault(struct json_text *text, const uint8_t *at,
					     const char *fault)
{
	text->fault_at = at;
	text->fault = fault;
	return NULL;
}

/** @return the first mark at or behind `at`, which may be `end` */
static inline const uint8_t *json_scan_next(const struct json_text *text, const uint8_t *at)
{
	size_t pos = (size_t)(at - text->begin), word = pos / 64;
	uint64_t marks = text->marks[word] >> (pos % 64);

	if (likely(marks != 0))
		return at + __builtin_ctzll(marks);
	do {
		word++;
	} while (text->marks[word] == 0);
	return text->begin + word * 64 + (size_t)__builtin_ctzll(text->marks[word]);
}

/** @return the first byte that is not white space, or `end` */
static inline const uint8_t *json_scan_space(const struct json_text *text, const uint8_t *at)
{
	while (at < text->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
		at++;
	return at;
}

/** Check the rest of a string from a mark in it on. @return behind the closing quote; NULL */
const uint8_t *json_scan_rest(struct json_text *text, const uint8_t *at);

/**
 * Check a string.
 *
 * @param at  behind the opening quote
 * @param[out] ret_is_plain  no escapes in it
 * @return behind the closing quote; NULL
 */
static inline const uint8_t *json_scan_string(struct json_text *text, const uint8_t *at,
					      bool *ret_is_plain)
{
	const uint8_t *mark = json_scan_next(text, at);

	*ret_is_plain = mark < text->end && *mark == '"';
	return likely(*ret_is_plain) ? mark + 1 : json_scan_rest(text, mark);
}

/**
 * Undo the escapes of a checked string.
 *
 * @param string  [size] between the quotes
 * @param out     [size]
 * @return bytes of UTF-8 in out
 */
uint32_t json_scan_unescape(const uint8_t *string, uint32_t size, char *out);

/**
 * Check a value of any type.
 *
 * @param at     its first byte
 * @param depth  arrays and objects that may lie within each other; at most 64
 * @return behind it; NULL
 */
const uint8_t *json_scan_value(struct json_text *text, const uint8_t *at, uint32_t depth);
