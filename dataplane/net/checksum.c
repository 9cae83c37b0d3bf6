/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/checksum.h"

#include <string.h>

#include "base/bytes.h"

#include "dataplane/core/hot.h"

uint64_t checksum_add(uint64_t sum, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t even = 0, odd = 0;
	uint32_t words[8];

	/* 32-bit words in 64-bit sums: the carries gather in the upper halves until the fold. Two
	   sums halve the chain of additions. */
	for (; size >= sizeof(words); size -= sizeof(words), at += sizeof(words)) {
		memcpy(words, at, sizeof(words));
		even += (uint64_t)words[0] + words[2] + words[4] + words[6];
		odd += (uint64_t)words[1] + words[3] + words[5] + words[7];
	}
	for (; size >= 2; size -= 2, at += 2) {
		uint16_t word;

		memcpy(&word, at, sizeof(word));
		even += word;
	}
	if (size == 1) {
		uint8_t last[2] = { *at, 0 };
		uint16_t word;

		memcpy(&word, last, sizeof(word));
		even += word;
	}
	return sum + even + odd;
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

uint64_t checksum_pseudo(uint32_t source, uint32_t destination, uint8_t protocol, uint16_t size)
{
	uint8_t header[12];

	bytes_store_u32(header, source);
	bytes_store_u32(header + 4, destination);
	header[8] = 0;
	header[9] = protocol;
	bytes_store_u16(header + 10, size);
	return checksum_add(0, header, sizeof(header));
}
