/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Ethernet II headers.
 *
 * Context: any thread. Memory: none; payloads are borrowed. Source: IEEE 802.3, RFC 894.
 */
#pragma once

#include "base/defs.h"

#define ETH_HEADER_SIZE 14
#define ETH_ARP         0x0806
#define ETH_IP4         0x0800

struct eth_frame {
	const uint8_t *destination; /* [6] */
	const uint8_t *source;      /* [6] */
	uint16_t type;              /* ETH_... */
	const uint8_t *bytes;       /* [size] behind the header */
	uint32_t size;
};

extern const uint8_t eth_broadcast[6];

/**
 * Take the header off.
 *
 * @return false: shorter than a header, a tagged or length-typed frame, or a group address as source
 */
bool eth_parse(const uint8_t *bytes, uint32_t size, struct eth_frame *ret_frame);

/** @return whether a frame is meant for a station: its own address or broadcast */
bool eth_is_for(const struct eth_frame *frame, const uint8_t mac[6]);

/** Write ETH_HEADER_SIZE bytes. */
void eth_write(uint8_t *bytes, const uint8_t destination[6], const uint8_t source[6],
	       uint16_t type);
