/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * IPv4 headers. Options are skipped; fragments are refused: no path we serve needs them, and
 * reassembly is memory that strangers command.
 *
 * Context: any thread. Memory: none; payloads are borrowed. Limits: header of 20 bytes when sending.
 * Source: RFC 791, 1122 section 3.2.1, 3168, 6864.
 */
#pragma once

#include "base/defs.h"

#define IP4_HEADER_SIZE 20
#define IP4_ICMP        1
#define IP4_TCP         6
#define IP4_TTL         64

struct ip4_packet {
	uint32_t source; /* host byte order */
	uint8_t protocol;
	uint8_t ecn;
	const uint8_t *bytes; /* [size] behind the header */
	uint32_t size;
	/* Not beside the source: two narrow stores read back as one wide load stall the CPU until all
	   stores before them are done, the copying of the frame included. */
	uint32_t destination; /* host byte order */
};

enum ip4_result {
	IP4_OK,
	IP4_MALFORMED,   /* version, lengths */
	IP4_CHECKSUM,    /* header checksum is wrong */
	IP4_FRAGMENT,    /* a piece of a packet */
	IP4_BAD_ADDRESS, /* source is a group, loopback or unspecified address */
	IP4_RESULT_COUNT
};

/**
 * Take the header off; bytes behind the packet (Ethernet padding) are cut.
 *
 * @param is_verified      the port verified the header checksum
 * @param[out] ret_packet  set for IP4_OK only
 */
enum ip4_result ip4_parse(const uint8_t *bytes, uint32_t size, bool is_verified,
			  struct ip4_packet *ret_packet);

/** Write IP4_HEADER_SIZE bytes in front of `size` bytes of payload, checksum included. */
void ip4_write(uint8_t *bytes, uint32_t source, uint32_t destination, uint8_t protocol, uint16_t id,
	       uint16_t size);

/** Set the two ECN bits of a written header (RFC 3168 section 5). */
void ip4_set_ecn(uint8_t *bytes, uint8_t ecn);

/** Parse "10.77.0.2". @return 0; -EINVAL */
NODISCARD int ip4_parse_text(const char *text, uint32_t *ret_address);

/** @return mask of a prefix of 0 to 32 bits */
static inline uint32_t ip4_mask(uint32_t prefix)
{
	return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}
