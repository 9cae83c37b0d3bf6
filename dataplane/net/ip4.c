/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/ip4.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#include "dataplane/net/checksum.h"

#include "dataplane/core/hot.h"

#define FRAGMENT_BITS 0x3fff /* more fragments, offset */

static bool is_bad_source(uint32_t address)
{
	uint32_t first = address >> 24;

	return first == 0 || first == 127 || first >= 224;
}

enum ip4_result ip4_parse(const uint8_t *bytes, uint32_t size, bool is_verified,
			  struct ip4_packet *ret_packet)
{
	uint32_t header_size, total;

	if (size < IP4_HEADER_SIZE || bytes[0] >> 4 != 4)
		return IP4_MALFORMED;
	header_size = (bytes[0] & 15U) * 4;
	total = bytes_load_u16(bytes + 2);
	if (header_size < IP4_HEADER_SIZE || total < header_size || total > size)
		return IP4_MALFORMED;
	if (!is_verified && checksum_fold(checksum_add(0, bytes, header_size)) != 0)
		return IP4_CHECKSUM;
	if ((bytes_load_u16(bytes + 6) & FRAGMENT_BITS) != 0)
		return IP4_FRAGMENT;
	if (is_bad_source(bytes_load_u32(bytes + 12)))
		return IP4_BAD_ADDRESS;
	*ret_packet = (struct ip4_packet){ .source = bytes_load_u32(bytes + 12),
					   .destination = bytes_load_u32(bytes + 16),
					   .protocol = bytes[9],
					   .ecn = bytes[1] & 3,
					   .bytes = bytes + header_size,
					   .size = total - header_size };
	return IP4_OK;
}

void ip4_write(uint8_t *bytes, uint32_t source, uint32_t destination, uint8_t protocol, uint16_t id,
	       uint16_t size)
{
	uint16_t sum;

	bytes[0] = 0x45;
	bytes[1] = 0;
	bytes_store_u16(bytes + 2, (uint16_t)(size + IP4_HEADER_SIZE));
	bytes_store_u16(bytes + 4, id);
	/* Fragments on the way are allowed: a forbidden one would need path MTU discovery. */
	bytes_store_u16(bytes + 6, 0);
	bytes[8] = IP4_TTL;
	bytes[9] = protocol;
	bytes_store_u16(bytes + 10, 0);
	bytes_store_u32(bytes + 12, source);
	bytes_store_u32(bytes + 16, destination);
	sum = checksum_fold(checksum_add(0, bytes, IP4_HEADER_SIZE));
	memcpy(bytes + 10, &sum, sizeof(sum));
}

void ip4_set_ecn(uint8_t *bytes, uint8_t ecn)
{
	uint16_t sum;

	bytes[1] = (uint8_t)((bytes[1] & ~3U) | ecn);
	bytes_store_u16(bytes + 10, 0);
	sum = checksum_fold(checksum_add(0, bytes, IP4_HEADER_SIZE));
	memcpy(bytes + 10, &sum, sizeof(sum));
}

int ip4_parse_text(const char *text, uint32_t *ret_address)
{
	uint32_t address = 0;

	for (int part = 0; part < 4; part++) {
		uint32_t value = 0;
		int digits = 0;

		for (; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
			value = value * 10 + (uint32_t)(*text - '0');
		if (digits == 0 || value > 255 || *text != (part < 3 ? '.' : '\0'))
			return -EINVAL;
		text += part < 3;
		address = address << 8 | value;
	}
	*ret_address = address;
	return 0;
}
