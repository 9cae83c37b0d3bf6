/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/decode/json_scan.h"

#include <string.h>

#include "base/check.h"

#include "compute/decode/json_number.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BLOCK 64

/* The text's last bytes that are no whole block, filled up with what is never marked. */
struct tail {
	uint8_t bytes[BLOCK];
	uint64_t behind; /* bits of bytes that are not the text's */
};

static void take_tail(const struct json_text *text, struct tail *ret_tail)
{
	size_t used = (size_t)(text->end - text->begin) % BLOCK;

	memset(ret_tail->bytes, ' ', sizeof(ret_tail->bytes));
	memcpy(ret_tail->bytes, text->end - used, used);
	ret_tail->behind = UINT64_MAX << used;
}

static uint64_t marks_plain(const uint8_t *block)
{
	uint64_t marks = 0;

	for (uint32_t i = 0; i < BLOCK; i++)
		marks |= (uint64_t)(block[i] < 0x20 || block[i] == '"' || block[i] == '\\') << i;
	return marks;
}

bool json_scan_marks_plain(const struct json_text *text)
{
	size_t blocks = (size_t)(text->end - text->begin) / BLOCK;
	uint8_t every = 0;
	struct tail tail;

	for (const uint8_t *at = text->begin; at < text->end; at++)
		every |= *at;
	for (size_t i = 0; i < blocks; i++)
		text->marks[i] = marks_plain(text->begin + i * BLOCK);
	take_tail(text, &tail);
	text->marks[blocks] = marks_plain(tail.bytes) | tail.behind;
	return every < 0x80;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t marks_avx2(const uint8_t *at, __m256i *every)
{
	__m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)at);
	__m256i control = _mm256_set1_epi8(0x1f);
	__m256i hit = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, control), control);

	hit = _mm256_or_si256(hit, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')));
	hit = _mm256_or_si256(hit, _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));
	*every = _mm256_or_si256(*every, bytes);
	return (uint32_t)_mm256_movemask_epi8(hit);
}

__attribute__((target("avx2"))) static bool json_scan_marks_avx2(const struct json_text *text)
{
	size_t blocks = (size_t)(text->end - text->begin) / BLOCK;
	__m256i every = _mm256_setzero_si256();

	for (size_t i = 0; i < blocks; i++) {
		const uint8_t *at = text->begin + i * BLOCK;
		uint64_t low = marks_avx2(at, &every), high = marks_avx2(at + 32, &every);

		text->marks[i] = low | high << 32;
	}
	if (blocks > 0) { /* the last whole block once more, as far as it has what is left */
		const uint8_t *at = text->end - BLOCK;
		uint64_t low = marks_avx2(at, &every), high = marks_avx2(at + 32, &every);
		uint32_t used = (uint32_t)(text->end - text->begin) % BLOCK;

		text->marks[blocks] =
			used == 0 ? UINT64_MAX
				  : (low | high << 32) >> (BLOCK - used) | UINT64_MAX << used;
	} else {
		struct tail tail;

		take_tail(text, &tail);
		text->marks[0] = marks_avx2(tail.bytes, &every) |
				 marks_avx2(tail.bytes + 32, &every) << 32 | tail.behind;
	}
	return _mm256_movemask_epi8(every) == 0;
}
#endif

json_scan_marks_fn *json_scan_marks_vector(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return json_scan_marks_avx2;
#endif
	return NULL;
}

bool json_scan_marks(const struct json_text *text)
{
#if defined(__x86_64__)
	if (likely(__builtin_cpu_supports("avx2")))
		return json_scan_marks_avx2(text);
#endif
	return json_scan_marks_plain(text);
}

static int hex_value(uint8_t digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The 16 bits of \uXXXX at `at`, the backslash; -1: no such escape here. */
static int32_t unit(const uint8_t *at, const uint8_t *end)
{
	int32_t value = 0;

	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int digit = hex_value(at[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static bool is_high(int32_t value)
{
	return value >= 0xd800 && value <= 0xdbff;
}

static bool is_low(int32_t value)
{
	return value >= 0xdc00 && value <= 0xdfff;
}

static const uint8_t *check_escape(struct json_text *text, const uint8_t *at)
{
	int32_t value;

	if (text->end - at < 2)
		return json_scan_fault(text, text->end, "string without an end");
	if (at[1] != 'u') {
		if (at[1] == '\0' || strchr("\"\\/bfnrt", at[1]) == NULL)
			return json_scan_fault(text, at, "escape that JSON does not know");
		return at + 2;
	}
	value = unit(at, text->end);
	if (value < 0)
		return json_scan_fault(text, at, "\\u without four hexadecimal digits");
	if (is_low(value) || (is_high(value) && !is_low(unit(at + 6, text->end))))
		return json_scan_fault(text, at, "half of a surrogate pair");
	return at + (is_high(value) ? 12 : 6);
}

const uint8_t *json_scan_rest(struct json_text *text, const uint8_t *at)
{
	for (;;) {
		if (at == text->end)
			return json_scan_fault(text, at, "string without an end");
		if (*at == '"')
			return at + 1;
		if (*at != '\\')
			return json_scan_fault(text, at, "control character in a string");
		at = check_escape(text, at);
		if (at == NULL)
			return NULL;
		at = json_scan_next(text, at);
	}
}

static char *put_code_point(char *out, int32_t value)
{
	if (value < 0x80) {
		*out++ = (char)value;
		return out;
	}
	if (value < 0x800) {
		*out++ = (char)(0xc0 | value >> 6);
	} else {
		if (value < 0x10000) {
			*out++ = (char)(0xe0 | value >> 12);
		} else {
			*out++ = (char)(0xf0 | value >> 18);
			*out++ = (char)(0x80 | (value >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (value >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (value & 0x3f));
	return out;
}

static char plain_escape(uint8_t letter)
{
	switch (letter) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return (char)letter; /* quote, backslash, slash */
	}
}

uint32_t json_scan_unescape(const uint8_t *string, uint32_t size, char *out)
{
	const uint8_t *at = string, *end = string + size;
	char *begin = out;

	while (at < end) {
		const uint8_t *escape = memchr(at, '\\', (size_t)(end - at));
		size_t run = (size_t)((escape != NULL ? escape : end) - at);
		int32_t value;

		memcpy(out, at, run);
		out += run;
		at += run;
		if (escape == NULL)
			break;
		value = unit(at, end);
		if (value < 0) {
			*out++ = plain_escape(at[1]);
			at += 2;
			continue;
		}
		at += 6;
		if (is_high(value)) {
			value = 0x10000 + (value - 0xd800) * 0x400 + (unit(at, end) - 0xdc00);
			at += 6;
		}
		out = put_code_point(out, value);
	}
	return (uint32_t)(out - begin);
}

static const uint8_t *check_word(struct json_text *text, const uint8_t *at)
{
	static const char words[][6] = { "true", "false", "null" };

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		size_t size = strlen(words[i]);

		if ((size_t)(text->end - at) >= size && memcmp(at, words[i], size) == 0)
			return at + size;
	}
	return json_scan_fault(text, at, "something that is no JSON value");
}

static const uint8_t *check_scalar(struct json_text *text, const uint8_t *at)
{
	struct json_number number;
	bool is_plain;

	if (*at == '"')
		return json_scan_string(text, at + 1, &is_plain);
	if (*at == '-' || (*at >= '0' && *at <= '9')) {
		const uint8_t *behind = json_number_read(at, text->end, &number);

		return behind != NULL ? behind
				      : json_scan_fault(text, at, "number that is not well formed");
	}
	return check_word(text, at);
}

/* A key and its colon. @return the value's first byte; NULL */
static const uint8_t *check_key(struct json_text *text, const uint8_t *at)
{
	bool is_plain;

	if (at == text->end || *at != '"')
		return json_scan_fault(text, at, "object with a key that is no string");
	at = json_scan_string(text, at + 1, &is_plain);
	if (at == NULL)
		return NULL;
	at = json_scan_space(text, at);
	if (at == text->end || *at != ':')
		return json_scan_fault(text, at, "key without a colon");
	return json_scan_space(text, at + 1);
}

/* Arrays and objects: a bit for each that is open, the innermost lowest; set for objects. */
const uint8_t *json_scan_value(struct json_text *text, const uint8_t *at, uint32_t depth)
{
	uint64_t objects = 0;
	uint32_t open = 0;

	for (;;) { /* at a value */
		if (at == text->end)
			return json_scan_fault(text, at,
					       "end of the record where a value is wanted");
		if (*at == '{' || *at == '[') {
			bool is_object = *at == '{';

			if (open == depth)
				return json_scan_fault(text, at,
						       "too many arrays and objects "
						       "within each other");
			at = json_scan_space(text, at + 1);
			if (at == text->end || *at != (is_object ? '}' : ']')) {
				objects = objects << 1 | is_object;
				open++;
				at = is_object ? check_key(text, at) : at;
				if (at == NULL)
					return NULL;
				continue;
			}
			at++;
		} else {
			at = check_scalar(text, at);
			if (at == NULL)
				return NULL;
		}
		while (open > 0) { /* behind a value */
			bool is_object = (objects & 1) != 0;

			at = json_scan_space(text, at);
			if (at < text->end && *at == ',')
				break;
			if (at == text->end || *at != (is_object ? '}' : ']'))
				return json_scan_fault(text, at,
						       is_object ? "object without , or }"
								 : "array without , or ]");
			at++;
			objects >>= 1;
			open--;
		}
		if (open == 0)
			return at;
		at = json_scan_space(text, at + 1);
		at = (objects & 1) != 0 ? check_key(text, at) : at;
		if (at == NULL)
			return NULL;
	}
}
