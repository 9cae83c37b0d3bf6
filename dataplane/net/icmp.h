/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * ICMP: echo is answered, everything else is ignored.
 *
 * Context: any thread. Memory: none. Source: RFC 792, 1122 section 3.2.2.6, 1812 section 4.3.2.8
 * (rate limit).
 */
#pragma once

#include "base/defs.h"

#define ICMP_HEADER_SIZE 8

enum icmp_result { ICMP_ECHO, ICMP_MALFORMED, ICMP_CHECKSUM, ICMP_OTHER };

/** What a received ICMP packet is; ICMP_ECHO asks for an answer. */
enum icmp_result icmp_parse(const uint8_t *bytes, uint32_t size);

/** Write the answer [size] to the echo request `bytes` [size]; the two do not overlap. */
void icmp_write_reply(uint8_t *reply, const uint8_t *bytes, uint32_t size);

/** Answers are limited: a bucket of tokens that fills with time. */
struct icmp_limit {
	int64_t filled_ns;
	uint32_t tokens;
};

#define ICMP_PER_SECOND 1000
#define ICMP_BURST      100

/** @return whether one more answer may go out now */
bool icmp_limit_take(struct icmp_limit *limit, int64_t now_ns);
