/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/checksum.h"

#include <endian.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "dataplane/core/hot.h"

#define SIZE_WIDE_MIN 64

static uint64_t add_words(uint64_t sum, const uint8_t *at, size_t size)
{
	uint64_t even = 0, odd = 0;
	uint32_t words[8];

	/* 32-bit words in 64-bit sums: the carries gather in the upper halves until the fold. Two
	   sums halve the chain of additions. */
	for (; size >= sizeof(words); size -= sizeof(words), at += sizeof(words)) {
		memcpy(words, at, sizeof(words));
		even += (uint64_t)words[0] + words[2] + words[4] + words[6];
		odd += (uint64_t)words[1] + words[3] + words[5] + words[7];
	}
	for (; size >= sizeof(words[0]); size -= sizeof(words[0]), at += sizeof(words[0])) {
		memcpy(words, at, sizeof(words[0]));
		even += words[0];
	}
	if (size >= 2) {
		uint16_t word;

		memcpy(&word, at, sizeof(word));
		even += word;
		size -= 2;
		at += 2;
	}
	if (size == 1) {
		uint8_t last[2] = { *at, 0 };
		uint16_t word;

		memcpy(&word, last, sizeof(word));
		even += word;
	}
	return sum + even + odd;
}

static uint64_t (*add_form)(uint64_t sum, const uint8_t *at, size_t size) = add_words;

#ifdef __x86_64__

/* The same in vectors: lower and upper halves of 64-bit lanes are summed apart. */

__attribute__((target("avx2"))) static uint64_t add_avx2(uint64_t sum, const uint8_t *at,
							 size_t size)
{
	const __m256i mask = _mm256_set1_epi64x(UINT32_MAX);
	__m256i low = _mm256_setzero_si256(), high = low;
	uint64_t lanes[4];

	for (; size >= 32; size -= 32, at += 32) {
		__m256i words = _mm256_loadu_si256((const __m256i *)(const void *)at);

		low = _mm256_add_epi64(low, _mm256_and_si256(words, mask));
		high = _mm256_add_epi64(high, _mm256_srli_epi64(words, 32));
	}
	_mm256_storeu_si256((__m256i *)(void *)lanes, _mm256_add_epi64(low, high));
	return add_words(sum + lanes[0] + lanes[1] + lanes[2] + lanes[3], at, size);
}

__attribute__((target("avx512f,avx512bw"))) static uint64_t
add_avx512(uint64_t sum, const uint8_t *at, size_t size)
{
	const __m512i mask = _mm512_set1_epi64(UINT32_MAX);
	__m512i low = _mm512_setzero_si512(), high = low;

	for (; size >= 64; size -= 64, at += 64) {
		__m512i words = _mm512_loadu_si512(at);

		low = _mm512_add_epi64(low, _mm512_and_si512(words, mask));
		high = _mm512_add_epi64(high, _mm512_srli_epi64(words, 32));
	}
	/* An odd last byte is padded with zero, and so is all behind the end. */
	if (size > 0) {
		__m512i words = _mm512_maskz_loadu_epi8((UINT64_C(1) << size) - 1, at);

		low = _mm512_add_epi64(low, _mm512_and_si512(words, mask));
		high = _mm512_add_epi64(high, _mm512_srli_epi64(words, 32));
	}
	return sum + (uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
}

bool checksum_choose(enum checksum_form form)
{
	if (form == CHECKSUM_AVX512 &&
	    !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")))
		return false;
	if (form == CHECKSUM_AVX2 && !__builtin_cpu_supports("avx2"))
		return false;
	add_form = form == CHECKSUM_AVX512 ? add_avx512
		   : form == CHECKSUM_AVX2 ? add_avx2
					   : add_words;
	return true;
}

__attribute__((constructor)) static void choose(void)
{
	__builtin_cpu_init();
	if (!checksum_choose(CHECKSUM_AVX512))
		(void)checksum_choose(CHECKSUM_AVX2);
}

#else

bool checksum_choose(enum checksum_form form)
{
	return form == CHECKSUM_WORDS;
}

#endif

uint64_t checksum_add(uint64_t sum, const void *bytes, size_t size)
{
	/* A header is not worth a call through a pointer. */
	return size < SIZE_WIDE_MIN ? add_words(sum, bytes, size) : add_form(sum, bytes, size);
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 16) + (sum & UINT16_MAX);
	sum = (sum >> 16) + (sum & UINT16_MAX);
	sum = (sum >> 16) + (sum & UINT16_MAX);
	return (uint16_t)~sum;
}

/* From registers: twelve bytes written piece by piece and loaded as one would stall. */
uint64_t checksum_pseudo(uint32_t source, uint32_t destination, uint8_t protocol, uint16_t size)
{
	return (uint64_t)htobe32(source) + htobe32(destination) +
	       htobe32((uint32_t)protocol << 16 | size);
}
