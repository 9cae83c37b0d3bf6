/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c_copy.h"

#include <string.h>

#include "base/crc32c.h"

/* A piece is checked while the first cache level still has it from the copying. */
#define PIECE_SIZE (16U * 1024)

static uint32_t copy_two_passes(uint32_t crc, void *to, const void *from, size_t size)
{
	while (size > 0) {
		size_t piece = MIN(size, (size_t)PIECE_SIZE);

		memcpy(to, from, piece);
		crc = crc32c_extend(crc, to, piece);
		to = (uint8_t *)to + piece;
		from = (const uint8_t *)from + piece;
		size -= piece;
	}
	return crc;
}

typedef uint32_t (*copy_function)(uint32_t crc, void *to, const void *from, size_t size);

static copy_function copy_form = copy_two_passes, cold_form = copy_two_passes;

#ifdef __x86_64__

#include <immintrin.h>

#define WIDE       __attribute__((target("avx512f,avx512bw,avx512vl,vpclmulqdq,pclmul,sse4.2")))
#define NARROW     __attribute__((target("avx2,pclmul,sse4.2")))
#define TAIL       __attribute__((target("sse4.2")))
#define POLYNOMIAL UINT32_C(0x82f63b78) /* bits reflected */
#define STEP_SIZE  256U
#define LINE_LANES 4U /* of the narrow form, 16 bytes each */

/* What a 128-bit lane is multiplied by to stand `bytes` further on: its low half and its high half. */
struct fold {
	uint64_t low, high;
};

enum { FOLD_256, FOLD_192, FOLD_128, FOLD_64, FOLD_48, FOLD_32, FOLD_16, FOLD_COUNT };

static const uint16_t fold_bytes[FOLD_COUNT] = { 256, 192, 128, 64, 48, 32, 16 };
static struct fold folds[FOLD_COUNT];

/* x^n mod P, reflected and shifted to where the product of reflected halves wants it. */
static uint64_t power(unsigned int n)
{
	uint32_t value = UINT32_C(1) << 31;

	for (; n > 0; n--)
		value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
	return (uint64_t)value << 1;
}

static void make_folds(void)
{
	for (int i = 0; i < FOLD_COUNT; i++) {
		folds[i].low = power(fold_bytes[i] * 8U + 32);
		folds[i].high = power(fold_bytes[i] * 8U - 32);
	}
}

WIDE static inline __m512i factor_of(int which)
{
	return _mm512_broadcast_i32x4(
		_mm_set_epi64x((int64_t)folds[which].high, (int64_t)folds[which].low));
}

/* `lanes` moved on, added to what stands there. */
WIDE static inline __m512i fold_512(__m512i lanes, __m512i factor, __m512i onto)
{
	return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(lanes, factor, 0x00),
					 _mm512_clmulepi64_epi128(lanes, factor, 0x11), onto, 0x96);
}

NARROW static inline __m128i fold_128(__m128i lane, int which, __m128i onto)
{
	__m128i factor = _mm_set_epi64x((int64_t)folds[which].high, (int64_t)folds[which].low);

	return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(lane, factor, 0x00),
					   _mm_clmulepi64_si128(lane, factor, 0x11)),
			     onto);
}

/* The checksum's state after four lanes that stand for all before them. */
NARROW static inline uint32_t reduce(__m128i a, __m128i b, __m128i c, __m128i sum)
{
	uint64_t state;

	sum = fold_128(a, FOLD_48, sum);
	sum = fold_128(b, FOLD_32, sum);
	sum = fold_128(c, FOLD_16, sum);
	state = _mm_crc32_u64(0, (uint64_t)_mm_extract_epi64(sum, 0));
	state = _mm_crc32_u64(state, (uint64_t)_mm_extract_epi64(sum, 1));
	return (uint32_t)state;
}

TAIL static uint32_t copy_tail(uint32_t state, uint8_t *to, const uint8_t *from, size_t size)
{
	uint64_t wide = state, word;

	for (; size >= sizeof(word); size -= sizeof(word)) {
		memcpy(&word, from, sizeof(word));
		memcpy(to, &word, sizeof(word));
		wide = _mm_crc32_u64(wide, word);
		to += sizeof(word);
		from += sizeof(word);
	}
	state = (uint32_t)wide;
	for (; size > 0; size--) {
		*to++ = *from;
		state = _mm_crc32_u8(state, *from++);
	}
	return state;
}

/* Up to the first whole line of the target. */
TAIL static inline __attribute__((always_inline)) void
begin_cold(uint32_t *state, uint8_t **to, const uint8_t **from, size_t *size)
{
	size_t before = MIN(-(uintptr_t)*to % CACHELINE_SIZE, *size);

	/* The last line is written in part, so it has to be loaded: on its way from now on. */
	__builtin_prefetch(*to + *size, 1);
	*state = copy_tail(*state, *to, *from, before);
	*from += before;
	*to += before;
	*size -= before;
}

WIDE static inline __m512i move(uint8_t *to, const uint8_t *from, bool is_cold)
{
	__m512i bytes = _mm512_loadu_si512(from);

	if (is_cold)
		_mm512_stream_si512((void *)to, bytes);
	else
		_mm512_storeu_si512(to, bytes);
	return bytes;
}

/* Inlined twice, once for each value of `is_cold`; cold lines are whole ones of the target. */
WIDE static inline __attribute__((always_inline)) uint32_t
copy_lines(uint32_t crc, uint8_t *to, const uint8_t *from, size_t size, bool is_cold)
{
	uint32_t state = ~crc;
	__m512i lanes;

	if (is_cold)
		begin_cold(&state, &to, &from, &size);
	if (size >= 64) {
		__m512i first = _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)state));

		lanes = _mm512_xor_si512(move(to, from, is_cold), first);
		if (size >= STEP_SIZE) {
			__m512i factor = factor_of(FOLD_256);
			__m512i a = lanes, b = move(to + 64, from + 64, is_cold);
			__m512i c = move(to + 128, from + 128, is_cold);

			lanes = move(to + 192, from + 192, is_cold);
			for (from += STEP_SIZE, to += STEP_SIZE, size -= STEP_SIZE;
			     size >= STEP_SIZE;
			     from += STEP_SIZE, to += STEP_SIZE, size -= STEP_SIZE) {
				a = fold_512(a, factor, move(to, from, is_cold));
				b = fold_512(b, factor, move(to + 64, from + 64, is_cold));
				c = fold_512(c, factor, move(to + 128, from + 128, is_cold));
				lanes = fold_512(lanes, factor,
						 move(to + 192, from + 192, is_cold));
			}
			lanes = fold_512(a, factor_of(FOLD_192), lanes);
			lanes = fold_512(b, factor_of(FOLD_128), lanes);
			lanes = fold_512(c, factor_of(FOLD_64), lanes);
		} else {
			from += 64;
			to += 64;
			size -= 64;
		}
		for (__m512i factor = factor_of(FOLD_64); size >= 64;
		     from += 64, to += 64, size -= 64)
			lanes = fold_512(lanes, factor, move(to, from, is_cold));
		state = reduce(
			_mm512_extracti32x4_epi32(lanes, 0), _mm512_extracti32x4_epi32(lanes, 1),
			_mm512_extracti32x4_epi32(lanes, 2), _mm512_extracti32x4_epi32(lanes, 3));
	}
	return ~copy_tail(state, to, from, size);
}

WIDE static uint32_t copy_wide(uint32_t crc, void *to, const void *from, size_t size)
{
	return copy_lines(crc, to, from, size, false);
}

WIDE static uint32_t copy_wide_cold(uint32_t crc, void *to, const void *from, size_t size)
{
	return copy_lines(crc, to, from, size, true);
}

NARROW static inline __m128i move_lane(uint8_t *to, const uint8_t *from, bool is_cold)
{
	__m128i bytes = _mm_loadu_si128((const void *)from);

	if (is_cold)
		_mm_stream_si128((void *)to, bytes);
	else
		_mm_storeu_si128((void *)to, bytes);
	return bytes;
}

/* Four lanes are a line; `onto` what comes behind them. */
NARROW static inline __attribute__((always_inline)) void fold_line(__m128i *lanes, int which,
								   const __m128i *onto)
{
#pragma GCC unroll 4
	for (unsigned int i = 0; i < LINE_LANES; i++)
		lanes[i] = fold_128(lanes[i], which, onto[i]);
}

NARROW static inline __attribute__((always_inline)) void
move_line(__m128i *lanes, uint8_t *to, const uint8_t *from, bool is_cold)
{
#pragma GCC unroll 4
	for (unsigned int i = 0; i < LINE_LANES; i++)
		lanes[i] = move_lane(to + i * sizeof(__m128i), from + i * sizeof(__m128i), is_cold);
}

/* The same, two lines a step. */
NARROW static inline __attribute__((always_inline)) uint32_t
copy_lanes(uint32_t crc, uint8_t *to, const uint8_t *from, size_t size, bool is_cold)
{
	uint32_t state = ~crc;
	__m128i a[LINE_LANES], b[LINE_LANES], next[LINE_LANES];

	if (is_cold)
		begin_cold(&state, &to, &from, &size);
	if (size >= 64) {
		move_line(a, to, from, is_cold);
		a[0] = _mm_xor_si128(a[0], _mm_cvtsi32_si128((int)state));
		from += 64;
		to += 64;
		size -= 64;
		if (size >= 64 + 128) {
			move_line(b, to, from, is_cold);
			for (from += 64, to += 64, size -= 64; size >= 128;
			     from += 128, to += 128, size -= 128) {
				move_line(next, to, from, is_cold);
				fold_line(a, FOLD_128, next);
				move_line(next, to + 64, from + 64, is_cold);
				fold_line(b, FOLD_128, next);
			}
			fold_line(a, FOLD_64, b);
		}
		for (; size >= 64; from += 64, to += 64, size -= 64) {
			move_line(next, to, from, is_cold);
			fold_line(a, FOLD_64, next);
		}
		state = reduce(a[0], a[1], a[2], a[3]);
	}
	return ~copy_tail(state, to, from, size);
}

NARROW static uint32_t copy_narrow(uint32_t crc, void *to, const void *from, size_t size)
{
	return copy_lanes(crc, to, from, size, false);
}

NARROW static uint32_t copy_narrow_cold(uint32_t crc, void *to, const void *from, size_t size)
{
	return copy_lanes(crc, to, from, size, true);
}

static bool has_wide(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("vpclmulqdq") &&
	       __builtin_cpu_supports("sse4.2");
}

static bool has_narrow(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
	       __builtin_cpu_supports("sse4.2");
}

bool crc32c_copy_choose(enum crc32c_copy_form form)
{
	switch (form) {
	case CRC32C_COPY_TWO_PASSES:
		copy_form = cold_form = copy_two_passes;
		return true;
	case CRC32C_COPY_NARROW:
		if (!has_narrow())
			return false;
		copy_form = copy_narrow;
		cold_form = copy_narrow_cold;
		return true;
	case CRC32C_COPY_WIDE:
		if (!has_wide())
			return false;
		copy_form = copy_wide;
		cold_form = copy_wide_cold;
		return true;
	}
	return false;
}

/* Stores past the caches are in no order with others but for this. */
static void fence(void)
{
	_mm_sfence();
}

__attribute__((constructor)) static void choose(void)
{
	__builtin_cpu_init();
	make_folds();
	if (!crc32c_copy_choose(CRC32C_COPY_WIDE))
		(void)crc32c_copy_choose(CRC32C_COPY_NARROW);
}

#else

bool crc32c_copy_choose(enum crc32c_copy_form form)
{
	return form == CRC32C_COPY_TWO_PASSES;
}

static void fence(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

#endif

void crc32c_copy_begin(struct crc32c_copy *copy)
{
	copy->crc = CRC32C_INIT;
}

void crc32c_copy_put(struct crc32c_copy *copy, void *to, const void *from, size_t size)
{
	copy->crc = copy_form(copy->crc, to, from, size);
}

void crc32c_copy_put_cold(struct crc32c_copy *copy, void *to, const void *from, size_t size)
{
	copy->crc = cold_form(copy->crc, to, from, size);
}

void crc32c_copy_filled(struct crc32c_copy *copy, const void *at, size_t size)
{
	copy->crc = crc32c_extend(copy->crc, at, size);
}

uint32_t crc32c_copy_end(const struct crc32c_copy *copy)
{
	fence();
	return copy->crc;
}
