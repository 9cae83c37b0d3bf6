/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/icmp.h"

#include <string.h>

#include "dataplane/net/checksum.h"

#include "dataplane/core/hot.h"

#define TYPE_ECHO_REPLY 0
#define TYPE_ECHO       8

enum icmp_result icmp_parse(const uint8_t *bytes, uint32_t size)
{
	if (size < ICMP_HEADER_SIZE)
		return ICMP_MALFORMED;
	if (checksum_fold(checksum_add(0, bytes, size)) != 0)
		return ICMP_CHECKSUM;
	return bytes[0] == TYPE_ECHO && bytes[1] == 0 ? ICMP_ECHO : ICMP_OTHER;
}

void icmp_write_reply(uint8_t *reply, const uint8_t *bytes, uint32_t size)
{
	uint16_t sum;

	memcpy(reply, bytes, size);
	memset(reply, 0, 4);
	reply[0] = TYPE_ECHO_REPLY;
	sum = checksum_fold(checksum_add(0, reply, size));
	memcpy(reply + 2, &sum, sizeof(sum));
}

bool icmp_limit_take(struct icmp_limit *limit, int64_t now_ns)
{
	const int64_t token_ns = NS_PER_S / ICMP_PER_SECOND;
	int64_t earned = (now_ns - limit->filled_ns) / token_ns;

	if (limit->filled_ns == 0 || earned >= ICMP_BURST) {
		limit->tokens = ICMP_BURST;
		limit->filled_ns = now_ns;
	} else if (earned > 0) {
		limit->tokens = MIN(limit->tokens + (uint32_t)earned, (uint32_t)ICMP_BURST);
		limit->filled_ns += earned * token_ns;
	}
	if (limit->tokens == 0)
		return false;
	limit->tokens--;
	return true;
}
