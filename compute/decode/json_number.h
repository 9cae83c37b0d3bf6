/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * JSON numbers: read once into digits and an exponent, then made what a column wants.
 *
 * Context: any thread. Memory: none. Independent of the locale.
 */
#pragma once

#include <endian.h>
#include <string.h>

#include "base/defs.h"

#define JSON_NUMBER_DIGITS 19 /* that a uint64_t holds whatever they are */

/** value = digits × 10^exponent, unless the digits are cut */
struct json_number {
	uint64_t digits;  /* the first JSON_NUMBER_DIGITS significant ones */
	int64_t exponent; /* of ten */
	bool is_negative;
	bool is_cut;     /* digits that are not zero were left out */
	bool is_integer; /* written without point and exponent */
	const uint8_t *begin, *end;
};

/** "e-12": the sign and at least one digit. @return behind it; NULL */
const uint8_t *json_number_exponent(const uint8_t *at, const uint8_t *end, int64_t *ret_exponent);
/** Digits [at, end) with a point among them: keep the first significant ones. */
void json_number_cut(const uint8_t *at, const uint8_t *end, struct json_number *number);

static inline bool json_number_is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

/**
 * Add the digits from `at` on behind those in *digits: eight bytes at a time, without a branch for how
 * many of them are digits, which the processor would guess wrong.
 *
 * @return behind them
 */
static inline const uint8_t *json_number_digits(const uint8_t *at, const uint8_t *end,
						uint64_t *digits)
{
	static const uint64_t powers[] = { 1,      10,      100,      1000,     10000,
					   100000, 1000000, 10000000, 100000000 };

	while (end - at >= 8) {
		uint64_t word, others;
		uint32_t count;

		memcpy(&word, at, sizeof(word));
		word = le64toh(word) ^ UINT64_C(0x3030303030303030);
		others = (word | (word + UINT64_C(0x7676767676767676))) & /* bytes above 9 */
			 UINT64_C(0x8080808080808080);
		count = others != 0 ? (uint32_t)__builtin_ctzll(others) / 8 : 8;
		if (count == 0)
			return at;
		word <<= 64 - 8 * count; /* zeros in front */
		word = word * 10 + (word >> 8);
		word = ((word & UINT64_C(0xff000000ff)) * UINT64_C(0xf424000000064) +
			(word >> 16 & UINT64_C(0xff000000ff)) * UINT64_C(0x271000000001)) >>
		       32;
		*digits = *digits * powers[count] + (uint32_t)word;
		at += count;
		if (count < 8)
			return at;
	}
	for (; at < end && json_number_is_digit(*at); at++)
		*digits = *digits * 10 + (uint64_t)(*at - '0');
	return at;
}

/** @return behind the number; NULL: it is not well formed. Nothing at or behind `end` is read. */
static inline const uint8_t *json_number_read(const uint8_t *at, const uint8_t *end,
					      struct json_number *ret_number)
{
	const uint8_t *begin = at, *first, *behind;
	bool is_negative = at < end && *at == '-', is_integer = true;
	int64_t exponent = 0, scale = 0;
	uint64_t digits = 0;

	first = at + is_negative;
	at = json_number_digits(first, end, &digits);
	if (at == first || (*first == '0' && at - first > 1))
		return NULL;
	if (at < end && *at == '.') {
		const uint8_t *point = at;

		at = json_number_digits(at + 1, end, &digits);
		scale = at - point - 1;
		is_integer = false;
		if (scale == 0)
			return NULL;
	}
	behind = at;
	if (unlikely(at < end && (*at == 'e' || *at == 'E'))) {
		at = json_number_exponent(at, end, &exponent);
		if (at == NULL)
			return NULL;
		is_integer = false;
	}
	/* One by one: a struct copied whole would wait for its parts to be written. */
	ret_number->digits = digits;
	ret_number->exponent = exponent - scale;
	ret_number->is_negative = is_negative;
	ret_number->is_cut = false;
	ret_number->is_integer = is_integer;
	ret_number->begin = begin;
	ret_number->end = at;
	if (unlikely(behind - first > JSON_NUMBER_DIGITS))
		json_number_cut(first, behind, ret_number);
	return at;
}

/** Correctly rounded, ties to even. @return false: beyond the range of double */
bool json_number_double(const struct json_number *number, double *ret_value);

/** @return false: written with point or exponent, or outside [-limit - 1, limit]; limit is 2^n - 1 */
static inline bool json_number_integer(const struct json_number *number, uint64_t limit,
				       int64_t *ret_value)
{
	if (!number->is_integer || number->exponent != 0 || number->is_cut ||
	    number->digits > limit + number->is_negative)
		return false;
	*ret_value = (int64_t)(number->is_negative ? 0 - number->digits : number->digits);
	return true;
}

/** value × 10^scale. @return false: it is no integer, or its size exceeds limit */
bool json_number_scaled(const struct json_number *number, uint32_t scale, uint64_t limit,
			int64_t *ret_value);
