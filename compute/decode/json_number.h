/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * JSON numbers: read once into digits and an exponent, then made what a column wants.
 *
 * Context: any thread. Memory: none. Independent of the locale.
 */
#pragma once

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

/** @return behind the number; NULL: it is not well formed. Nothing at or behind `end` is read. */
const uint8_t *json_number_read(const uint8_t *at, const uint8_t *end,
				struct json_number *ret_number);

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
