/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/eth.h"

#include <string.h>

#include "base/bytes.h"

#include "dataplane/core/hot.h"

#define TYPE_MIN 0x0600 /* below: a length */
#define TYPE_TAG 0x8100

const uint8_t eth_broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

bool eth_parse(const uint8_t *bytes, uint32_t size, struct eth_frame *ret_frame)
{
	uint16_t type;

	if (size < ETH_HEADER_SIZE || (bytes[6] & 1) != 0)
		return false;
	type = bytes_load_u16(bytes + 12);
	if (type < TYPE_MIN || type == TYPE_TAG)
		return false;
	*ret_frame = (struct eth_frame){ .destination = bytes,
					 .source = bytes + 6,
					 .type = type,
					 .bytes = bytes + ETH_HEADER_SIZE,
					 .size = size - ETH_HEADER_SIZE };
	return true;
}

bool eth_is_for(const struct eth_frame *frame, const uint8_t mac[6])
{
	return memcmp(frame->destination, mac, 6) == 0 ||
	       memcmp(frame->destination, eth_broadcast, 6) == 0;
}

void eth_write(uint8_t *bytes, const uint8_t destination[6], const uint8_t source[6], uint16_t type)
{
	memcpy(bytes, destination, 6);
	memcpy(bytes + 6, source, 6);
	bytes_store_u16(bytes + 12, type);
}
