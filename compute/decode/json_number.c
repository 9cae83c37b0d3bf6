/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/json_number.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPONENT_MAX  INT64_C(1000000000000) /* no text is long enough to bring it back in range */
#define DOUBLE_DIGITS 800                    /* more cannot change which double is nearest */
#define EXACT_POWER   22                     /* 10^22 is a double */
#define FIVES_MAX     27                     /* 5^27 is a uint64_t, its top bit clear */
#define DOUBLE_BITS   53
#define EXPONENT_BIAS 1023

const uint8_t *json_number_exponent(const uint8_t *at, const uint8_t *end, int64_t *ret_exponent)
{
	int64_t value = 0;
	bool is_negative;

	at++;
	is_negative = at < end && *at == '-';
	if (at < end && (*at == '-' || *at == '+'))
		at++;
	if (at == end || !json_number_is_digit(*at))
		return NULL;
	for (; at < end && json_number_is_digit(*at); at++) {
		if (value < EXPONENT_MAX)
			value = value * 10 + (*at - '0');
	}
	*ret_exponent = is_negative ? -value : value;
	return at;
}

void json_number_cut(const uint8_t *at, const uint8_t *end, struct json_number *number)
{
	uint32_t count = 0;

	number->digits = 0;
	for (; at < end; at++) {
		if (*at == '.')
			continue;
		if (count == JSON_NUMBER_DIGITS) {
			number->exponent++;
			number->is_cut |= *at != '0';
		} else if (count > 0 || *at != '0') {
			number->digits = number->digits * 10 + (uint64_t)(*at - '0');
			count++;
		}
	}
}

/* As strtod() wants it, without a point (which the locale names) and no longer than it must be. */
static double convert(const struct json_number *number)
{
	char text[DOUBLE_DIGITS + 32];
	int64_t exponent = number->exponent;
	uint32_t used = 0;
	bool is_cut = false;

	if (!number->is_cut) {
		(void)snprintf(text, sizeof(text), "%" PRIu64 "e%" PRId64, number->digits,
			       exponent);
		return strtod(text, NULL);
	}
	for (const uint8_t *at = number->begin + number->is_negative;
	     at < number->end && (*at == '.' || json_number_is_digit(*at)); at++) {
		if (*at == '.' || (used == 0 && *at == '0'))
			continue;
		if (used < DOUBLE_DIGITS)
			text[used++] = (char)*at;
		else
			is_cut |= *at != '0';
	}
	exponent -= used - JSON_NUMBER_DIGITS; /* it belongs to the first ones */
	if (is_cut) {
		text[used++] = '1';
		exponent--;
	}
	(void)snprintf(text + used, sizeof(text) - used, "e%" PRId64, exponent);
	return strtod(text, NULL);
}

/* 2^exponent, which is in the range of normal numbers. */
static double power_of_two(int exponent)
{
	uint64_t bits = (uint64_t)(exponent + EXPONENT_BIAS) << (DOUBLE_BITS - 1);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* value × 2^exponent to the nearest double; value is not 0. */
static double round_wide(unsigned __int128 value, int exponent)
{
	uint64_t high = (uint64_t)(value >> 64);
	int size = high != 0 ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)value);
	int shift = size - DOUBLE_BITS;
	unsigned __int128 rest, half;
	uint64_t digits;

	if (shift <= 0)
		return (double)(uint64_t)value * power_of_two(exponent);
	digits = (uint64_t)(value >> shift);
	half = (unsigned __int128)1 << (shift - 1);
	rest = value & (2 * half - 1);
	digits += rest > half || (rest == half && (digits & 1) != 0);
	return (double)digits * power_of_two(exponent + shift);
}

/* digits × 10^exponent for up to FIVES_MAX either way: 10^n is 5^n × 2^n, and 128 bits hold what
   matters of the product or quotient. */
static double scale_exactly(uint64_t digits, int exponent)
{
	unsigned __int128 quotient, dividend;
	uint64_t fives = 1;
	int shift;

	for (int i = exponent < 0 ? -exponent : exponent; i > 0; i--)
		fives *= 5;
	if (exponent >= 0)
		return round_wide((unsigned __int128)digits * fives, exponent);
	shift = __builtin_clzll(digits) + 64;
	dividend = (unsigned __int128)digits << shift;
	quotient = dividend / fives;
	quotient |= dividend % fives != 0; /* at least 64 bits: the lowest only breaks ties */
	return round_wide(quotient, exponent - shift);
}

bool json_number_double(const struct json_number *number, double *ret_value)
{
	static const double powers[EXACT_POWER + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,
							1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
							1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
							1e18, 1e19, 1e20, 1e21, 1e22 };
	int64_t exponent = number->exponent;
	double value;

	if (number->digits == 0) {
		value = 0;
	} else if (likely(!number->is_cut && number->digits >> DOUBLE_BITS == 0 &&
			  exponent >= -EXACT_POWER && exponent <= EXACT_POWER)) {
		value = (double)number->digits; /* both exact, so one rounding */
		value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
	} else if (!number->is_cut && exponent >= -FIVES_MAX && exponent <= FIVES_MAX) {
		value = scale_exactly(number->digits, (int)exponent);
	} else {
		value = convert(number);
		if (isinf(value))
			return false;
	}
	*ret_value = number->is_negative ? -value : value;
	return true;
}

bool json_number_scaled(const struct json_number *number, uint32_t scale, uint64_t limit,
			int64_t *ret_value)
{
	int64_t exponent = number->exponent + scale;
	uint64_t digits = number->digits;

	if (number->is_cut)
		return false;
	for (; digits != 0 && exponent < 0; exponent++) {
		if (digits % 10 != 0)
			return false;
		digits /= 10;
	}
	for (; digits != 0 && exponent > 0; exponent--) {
		if (digits > limit / 10)
			return false;
		digits *= 10;
	}
	if (digits > limit)
		return false;
	*ret_value = (int64_t)(number->is_negative ? 0 - digits : digits);
	return true;
}
