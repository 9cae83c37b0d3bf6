/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any frame through Ethernet, ARP, IPv4 and ICMP: nothing is read outside the input, and what is
 * accepted lies inside it. The first byte chooses whether checksums count as verified, so that the
 * fuzzer gets behind them.
 */
#include <string.h>

#include "base/check.h"

#include "dataplane/net/arp.h"
#include "dataplane/net/eth.h"
#include "dataplane/net/icmp.h"
#include "dataplane/net/ip4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct arp_table table;
static int64_t now_ns = 1;

static void try_arp(const uint8_t *bytes, uint32_t size)
{
	struct arp_packet packet;
	uint8_t mac[6], out[ARP_PACKET_SIZE];

	if (!arp_parse(bytes, size, &packet))
		return;
	now_ns += NS_PER_S;
	(void)arp_table_learn(&table, &packet, packet.target % 2 == 0, now_ns);
	(void)arp_table_look_up(&table, packet.target, now_ns, mac);
	arp_write(out, &packet, packet.sender_mac);
	CHECK(arp_parse(out, sizeof(out), &packet));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t reply[UINT16_MAX];
	struct eth_frame frame;
	struct ip4_packet ip;

	if (size < 1 || size > UINT16_MAX || !eth_parse(data + 1, (uint32_t)size - 1, &frame))
		return 0;
	CHECK(frame.bytes + frame.size == data + size);
	try_arp(frame.bytes, frame.size);
	if (ip4_parse(frame.bytes, frame.size, data[0] % 2 == 0, &ip) != IP4_OK)
		return 0;
	CHECK(ip.bytes >= frame.bytes + IP4_HEADER_SIZE);
	CHECK(ip.bytes + ip.size <= data + size);
	if (icmp_parse(ip.bytes, ip.size) == ICMP_ECHO) {
		icmp_write_reply(reply, ip.bytes, ip.size);
		CHECK(icmp_parse(reply, ip.size) == ICMP_OTHER);
	}
	return 0;
}
